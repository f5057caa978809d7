/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spanned.h - a communicator of more than one node: of what IPCSHARE_FAKE_NODES makes of this one, which may also be
 * one
 */
#ifndef TESTS_MPI_SPANNED_H
#define TESTS_MPI_SPANNED_H

#include <ipcshare_mpi.h>

#include "../../mpi/comm.h"

#define SPANNED_LONG 300001 /* elements: more chunks than slots, and the last one is short */

extern MPI_Comm spanned_comm; /* a copy of the world that returns its errors */
extern const struct ipcshare__mpi_comm *spanned_kept;

void spanned_begin(void); /* setup and teardown of suites */
void spanned_end(void);

int spanned_nodes(void);
int spanned_node_of(int rank);
/* It still does what it is asked. */
void spanned_works(void);
/* A call has failed on all ranks, with @status; and it works. */
void spanned_failed_at(int line, int code, int status);
#define spanned_failed(code, status) spanned_failed_at(__LINE__, code, status)

struct ipcshare_mpi_counters spanned_counters(void);
/* A number that only element @i of rank @rank is. */
long spanned_element(int rank, size_t i);

#endif
