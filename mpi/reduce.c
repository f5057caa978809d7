/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The calls that reduce. MPI wants the same op and datatype of all ranks, and so these may choose MPI
 * for the call; but handles that are none are a fault, for all to hear.
 */
#include "base/error.h"
#include "call.h"
#include "fallback.h"
#include "rows.h"
#include "span.h"
#include "type.h"

typedef struct ipcshare__mpi_reduction reduction;

/* false: leave it to MPI. */
static bool begin(struct ipcshare__mpi_call *c, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
	if (!ipcshare__mpi_begin(c, comm))
		return false;
	if (type == MPI_DATATYPE_NULL || op == MPI_OP_NULL) {
		ipcshare__mpi_fault(c, ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
						      "the datatype or the op is no handle"));
		return true;
	}
	c->op = ipcshare__mpi_op(op);
	if (c->op)
		c->type = ipcshare__mpi_reducible(type, c->op);
	if (c->op && c->type != IPCSHARE_TYPES)
		return true;
	ipcshare__mpi_fall_back(c->op ? IPCSHARE_MPI_TYPE : IPCSHARE_MPI_OP);
	return false;
}

static bool is_short(const struct ipcshare__mpi_call *c, int count, MPI_Datatype type)
{
	return ipcshare__mpi_is_short(c, &(struct ipcshare__mpi_given){
						 .type = type, .blocks = 1, .count = count });
}

static size_t elements(struct ipcshare__mpi_call *c, int count)
{
	if (count >= 0)
		return (size_t)count;
	ipcshare__mpi_fault(c, ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
					      "a count is %d", count));
	return 0;
}

static void *place(const void *buf)
{
	return buf == MPI_IN_PLACE ? IPCSHARE_IN_PLACE : (void *)buf;
}

int ipcshare_mpi_reduce(const void *send, void *recv, int count, MPI_Datatype type, MPI_Op op,
			int root, MPI_Comm comm)
{
	struct ipcshare__mpi_call c;
	size_t n;

	if (!begin(&c, type, op, comm) || is_short(&c, count, type))
		return PMPI_Reduce(send, recv, count, type, op, root, comm);
	n = elements(&c, count);
	if (c.on->nodes)
		return ipcshare__mpi_end(&c, ipcshare__mpi_span_reduce(&c,
								       &(reduction){ place(send),
										     place(recv), n,
										     type, op },
								       root));
	return ipcshare__mpi_end(&c, ipcshare_reduce(c.group, place(send), place(recv), n, c.type,
						     c.op, root));
}

int ipcshare_mpi_allreduce(const void *send, void *recv, int count, MPI_Datatype type, MPI_Op op,
			   MPI_Comm comm)
{
	struct ipcshare__mpi_call c;
	size_t n;

	if (!begin(&c, type, op, comm) || is_short(&c, count, type))
		return PMPI_Allreduce(send, recv, count, type, op, comm);
	n = elements(&c, count);
	if (c.on->nodes)
		return ipcshare__mpi_end(&c,
					 ipcshare__mpi_span_allreduce(&c,
								      &(reduction){ place(send),
										    place(recv), n,
										    type, op }));
	return ipcshare__mpi_end(&c, ipcshare_allreduce(c.group, place(send), place(recv), n,
							c.type, c.op));
}

/* ---- Reduce_scatter ---- */

/* The lengths are in c->on->places, and their sum is @total. */
static int reduce_scatter(struct ipcshare__mpi_call *c, const void *send, void *recv,
			  MPI_Datatype type, MPI_Op op)
{
	size_t *lens = c->on->places, *firsts = lens + c->on->size, total = 0;

	for (int r = 0; r < c->on->size; r++) {
		firsts[r] = total;
		total += lens[r];
	}
	return ipcshare__mpi_span_reduce_scatter(c,
						 &(reduction){ place(send), place(recv), total,
							       type, op },
						 &(struct ipcshare__mpi_rows){ .lens = lens,
									       .firsts = firsts });
}

int ipcshare_mpi_reduce_scatter(const void *send, void *recv, const int *recv_counts,
				MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
	struct ipcshare__mpi_given all = { .type = type, .counts = recv_counts };
	struct ipcshare__mpi_call c;

	if (begin(&c, type, op, comm))
		all.blocks = c.on->size;
	if (!all.blocks || ipcshare__mpi_is_short(&c, &all))
		return PMPI_Reduce_scatter(send, recv, recv_counts, type, op, comm);
	for (int r = 0; r < c.on->size; r++)
		c.on->places[r] = elements(&c, recv_counts[r]);
	if (c.on->nodes)
		return ipcshare__mpi_end(&c, reduce_scatter(&c, send, recv, type, op));
	return ipcshare__mpi_end(&c, ipcshare_reduce_scatter(c.group, place(send), place(recv),
							     c.on->places, c.type, c.op));
}

int ipcshare_mpi_reduce_scatter_block(const void *send, void *recv, int recv_count,
				      MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
	struct ipcshare__mpi_given all = { .type = type, .count = recv_count };
	struct ipcshare__mpi_call c;
	size_t n;

	if (begin(&c, type, op, comm))
		all.blocks = c.on->size;
	if (!all.blocks || ipcshare__mpi_is_short(&c, &all))
		return PMPI_Reduce_scatter_block(send, recv, recv_count, type, op, comm);
	n = elements(&c, recv_count);
	if (!c.on->nodes)
		return ipcshare__mpi_end(&c, ipcshare_reduce_scatter_block(c.group, place(send),
									   place(recv), n, c.type,
									   c.op));
	for (int r = 0; r < c.on->size; r++)
		c.on->places[r] = n;
	return ipcshare__mpi_end(&c, reduce_scatter(&c, send, recv, type, op));
}

/* ---- Scans ---- */

/* A node whose ranks don't follow each other has no part of a scan that is its own. */
static bool scan_begin(struct ipcshare__mpi_call *c, int count, MPI_Datatype type, MPI_Op op,
		       MPI_Comm comm)
{
	if (!begin(c, type, op, comm) || is_short(c, count, type))
		return false;
	if (!c->on->nodes || c->on->nodes->in_order)
		return true;
	ipcshare__mpi_fall_back(IPCSHARE_MPI_NODES);
	return false;
}

int ipcshare_mpi_scan(const void *send, void *recv, int count, MPI_Datatype type, MPI_Op op,
		      MPI_Comm comm)
{
	struct ipcshare__mpi_call c;
	reduction r = { place(send), place(recv), 0, type, op };

	if (!scan_begin(&c, count, type, op, comm))
		return PMPI_Scan(send, recv, count, type, op, comm);
	r.count = elements(&c, count);
	if (c.on->nodes)
		return ipcshare__mpi_end(&c, ipcshare__mpi_span_scan(&c, &r, false));
	return ipcshare__mpi_end(&c, ipcshare_scan(c.group, r.send, r.recv, r.count, c.type, c.op));
}

int ipcshare_mpi_exscan(const void *send, void *recv, int count, MPI_Datatype type, MPI_Op op,
			MPI_Comm comm)
{
	struct ipcshare__mpi_call c;
	reduction r = { place(send), place(recv), 0, type, op };

	if (!scan_begin(&c, count, type, op, comm))
		return PMPI_Exscan(send, recv, count, type, op, comm);
	r.count = elements(&c, count);
	if (c.on->nodes)
		return ipcshare__mpi_end(&c, ipcshare__mpi_span_scan(&c, &r, true));
	return ipcshare__mpi_end(&c,
				 ipcshare_exscan(c.group, r.send, r.recv, r.count, c.type, c.op));
}
