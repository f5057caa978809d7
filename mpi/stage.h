/* SPDX-License-Identifier: BSD-3-Clause */
/* What the courses of several calls have in common: how they begin, and stages. */
#ifndef IPCSHARE_MPI_STAGE_H
#define IPCSHARE_MPI_STAGE_H

#include "lanes.h"
#include "span.h"

struct ipcshare__mpi_job ipcshare__mpi_job_of(const struct ipcshare__mpi_call *c,
					      const struct ipcshare__mpi_course *course, int which);
/* What there is goes with the word, by the leader alone. */
bool ipcshare__mpi_is_few(const struct ipcshare__mpi_job *job);
/* Of job->count elements that are one behind the other. */
void ipcshare__mpi_flat_cut(struct ipcshare__mpi_job *job);

/* What is looked at last, or only by some: all must hear now if it is nowhere. */
void ipcshare__mpi_check_place(struct ipcshare__mpi_call *c, const void *buf, size_t len);

/* The root's node, and its local rank there; of a root that is none, what is none. */
int ipcshare__mpi_root_node(const struct ipcshare__mpi_job *job);
int ipcshare__mpi_root_local(const struct ipcshare__mpi_job *job);
/* Is it this rank's node? */
bool ipcshare__mpi_is_roots(const struct ipcshare__mpi_job *job);

/* Where the chunk of flat elements is in @base. */
char *ipcshare__mpi_chunk_in(const struct ipcshare__mpi_job *job, const char *base, size_t chunk);

/* Nothing but to hear if an argument is wrong on a rank. */
ipcshare__mpi_stage ipcshare__mpi_hear;
/* The lanes' pieces, to all ranks: @to is where the first one goes. */
int ipcshare__mpi_to_all(struct ipcshare__mpi_job *job, size_t chunk, char *to);

#endif
