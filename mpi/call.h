/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One call with MPI's signature. What is wrong on one rank must not leave the others waiting: a fault
 * is noted, and the call made all the same, with a type that is none, so that it fails on all ranks.
 */
#ifndef IPCSHARE_MPI_CALL_H
#define IPCSHARE_MPI_CALL_H

#include <ipcshare_coll.h>

#include "buffer.h"
#include "comm.h"

struct ipcshare__mpi_call {
	MPI_Comm comm;
	struct ipcshare__mpi_comm *on;
	struct ipcshare_group *group;
	enum ipcshare_type type; /* of the elements; of moves: bytes */
	const struct ipcshare_op *op;
	struct ipcshare__mpi_buffer out, in; /* what is given, where it comes to */
	struct ipcshare_error fault;
};

/* 0: leave it to MPI. Of the second: so are all calls of communicators that have more than one node. */
bool ipcshare__mpi_begin(struct ipcshare__mpi_call *c, MPI_Comm comm);
/* Leave it to MPI after all: there is more than one node, and a rank is @given too few bytes, as all are. */
bool ipcshare__mpi_is_short(const struct ipcshare__mpi_call *c,
			    const struct ipcshare__mpi_given *given);
bool ipcshare__mpi_begin_on_node(struct ipcshare__mpi_call *c, MPI_Comm comm);
/* @status, if not 0, with its detail as the last error; the first one counts. */
void ipcshare__mpi_fault(struct ipcshare__mpi_call *c, int status);
/* What became of it, as MPI's calls return it. */
int ipcshare__mpi_end(struct ipcshare__mpi_call *c, int status);

#endif
