/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Collectives of communicators that have more than one node: with the arguments of MPI's as call.h has
 * understood them, and a status to be given to ipcshare__mpi_end().
 */
#ifndef IPCSHARE_MPI_SPAN_H
#define IPCSHARE_MPI_SPAN_H

#include "call.h"

struct ipcshare__mpi_rows;

int ipcshare__mpi_span_barrier(struct ipcshare__mpi_call *c);
/* @b: c->out of the root, c->in of others. */
int ipcshare__mpi_span_bcast(struct ipcshare__mpi_call *c, const struct ipcshare__mpi_buffer *b,
			     int root);
/* The blocks of all ranks in c->in. */
int ipcshare__mpi_span_allgather(struct ipcshare__mpi_call *c);
/* What MPI is to reduce between the nodes. */
struct ipcshare__mpi_reduction {
	const void *send; /* IPCSHARE_IN_PLACE: it is in @recv */
	void *recv;
	size_t count;
	MPI_Datatype type;
	MPI_Op op;
};

int ipcshare__mpi_span_reduce(struct ipcshare__mpi_call *c, const struct ipcshare__mpi_reduction *r,
			      int root);
int ipcshare__mpi_span_allreduce(struct ipcshare__mpi_call *c,
				 const struct ipcshare__mpi_reduction *r);
/* @rows: the lengths of all ranks' blocks, whose sum is r->count. */
int ipcshare__mpi_span_reduce_scatter(struct ipcshare__mpi_call *c,
				      const struct ipcshare__mpi_reduction *r,
				      struct ipcshare__mpi_rows *rows);
/* Of nodes that are in order. */
int ipcshare__mpi_span_scan(struct ipcshare__mpi_call *c, const struct ipcshare__mpi_reduction *r,
			    bool exclusive);

#endif
