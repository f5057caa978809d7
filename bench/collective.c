/* SPDX-License-Identifier: BSD-3-Clause */
#include "collective.h"

#include <string.h>

#include <ipcshare_coll.h>
#include <mpi.h>

#define N ((int)c->count)	/* MPI counts in int */

/* ---- The calls, of the library and of MPI --------------------------------------------------- */

static int barrier_ours(const struct collective_call *c)
{
	return ipcshare_barrier(c->group);
}

static int barrier_mpi(const struct collective_call *c)
{
	(void)c;
	return MPI_Barrier(MPI_COMM_WORLD);
}

static float *bcast_buffer(const struct collective_call *c)
{
	return c->rank == c->root ? c->send : c->recv;
}

static int bcast_ours(const struct collective_call *c)
{
	return ipcshare_bcast(c->group, bcast_buffer(c), c->count, IPCSHARE_FP32, c->root);
}

static int bcast_mpi(const struct collective_call *c)
{
	return MPI_Bcast(bcast_buffer(c), N, MPI_FLOAT, c->root, MPI_COMM_WORLD);
}

static int reduce_ours(const struct collective_call *c)
{
	return ipcshare_reduce(c->group, c->send, c->recv, c->count, IPCSHARE_FP32, IPCSHARE_SUM,
			       c->root);
}

static int reduce_mpi(const struct collective_call *c)
{
	return MPI_Reduce(c->send, c->recv, N, MPI_FLOAT, MPI_SUM, c->root, MPI_COMM_WORLD);
}

static int allreduce_ours(const struct collective_call *c)
{
	return ipcshare_allreduce(c->group, c->send, c->recv, c->count, IPCSHARE_FP32,
				  IPCSHARE_SUM);
}

static int allreduce_mpi(const struct collective_call *c)
{
	return MPI_Allreduce(c->send, c->recv, N, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

static int reduce_scatter_ours(const struct collective_call *c)
{
	return ipcshare_reduce_scatter(c->group, c->send, c->recv, c->parts, IPCSHARE_FP32,
				       IPCSHARE_SUM);
}

static int reduce_scatter_mpi(const struct collective_call *c)
{
	return MPI_Reduce_scatter(c->send, c->recv, c->mpi_parts, MPI_FLOAT, MPI_SUM,
				  MPI_COMM_WORLD);
}

static int allgather_ours(const struct collective_call *c)
{
	return ipcshare_allgather(c->group, c->send, c->recv, c->count, IPCSHARE_FP32);
}

static int allgather_mpi(const struct collective_call *c)
{
	return MPI_Allgather(c->send, N, MPI_FLOAT, c->recv, N, MPI_FLOAT, MPI_COMM_WORLD);
}

static int gather_ours(const struct collective_call *c)
{
	return ipcshare_gather(c->group, c->send, c->recv, c->count, IPCSHARE_FP32, c->root);
}

static int gather_mpi(const struct collective_call *c)
{
	return MPI_Gather(c->send, N, MPI_FLOAT, c->recv, N, MPI_FLOAT, c->root, MPI_COMM_WORLD);
}

static int scatter_ours(const struct collective_call *c)
{
	return ipcshare_scatter(c->group, c->send, c->recv, c->count, IPCSHARE_FP32, c->root);
}

static int scatter_mpi(const struct collective_call *c)
{
	return MPI_Scatter(c->send, N, MPI_FLOAT, c->recv, N, MPI_FLOAT, c->root, MPI_COMM_WORLD);
}

static int alltoall_ours(const struct collective_call *c)
{
	return ipcshare_alltoall(c->group, c->send, c->recv, c->count, IPCSHARE_FP32);
}

static int alltoall_mpi(const struct collective_call *c)
{
	return MPI_Alltoall(c->send, N, MPI_FLOAT, c->recv, N, MPI_FLOAT, MPI_COMM_WORLD);
}

static int scan_ours(const struct collective_call *c)
{
	return ipcshare_scan(c->group, c->send, c->recv, c->count, IPCSHARE_FP32, IPCSHARE_SUM);
}

static int scan_mpi(const struct collective_call *c)
{
	return MPI_Scan(c->send, c->recv, N, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

static int exscan_ours(const struct collective_call *c)
{
	return ipcshare_exscan(c->group, c->send, c->recv, c->count, IPCSHARE_FP32, IPCSHARE_SUM);
}

static int exscan_mpi(const struct collective_call *c)
{
	return MPI_Exscan(c->send, c->recv, N, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

#define BOTH(name) #name, name##_ours, name##_mpi
const struct collective collectives[] = {
	{ BOTH(barrier), .from = FROM_NOBODY },
	{ BOTH(bcast), .from = FROM_ROOT },
	{ BOTH(reduce), .from = FROM_SUM, .to_root = 1 },
	{ BOTH(allreduce), .from = FROM_SUM },
	{ BOTH(reduce_scatter), .from = FROM_SUM, .sends_parts = 1 },
	{ BOTH(allgather), .from = FROM_EACH },
	{ BOTH(gather), .from = FROM_EACH, .to_root = 1 },
	{ BOTH(scatter), .from = FROM_ROOT, .sends_blocks = 1 },
	{ BOTH(alltoall), .from = FROM_EACH, .sends_blocks = 1 },
	{ BOTH(scan), .from = FROM_SUM_UPTO },
	{ BOTH(exscan), .from = FROM_SUM_BEFORE },
};
const size_t ncollectives = sizeof(collectives) / sizeof(collectives[0]);

const struct collective *collective_find(const char *name)
{
	for (size_t i = 0; i < ncollectives; i++)
		if (!strcmp(collectives[i].name, name))
			return &collectives[i];
	return NULL;
}

/* ---- What comes ----------------------------------------------------------------------------- */

size_t collective_part(const struct collective_call *c, int rank)
{
	const size_t r = (size_t)rank, n = (size_t)c->n, more = c->count % n;

	return r * (c->count / n) + (r < more ? r : more);
}

int collective_blocks(const struct collective *what, const struct collective_call *c)
{
	if (what->to_root && c->rank != c->root)
		return 0;
	if (what->sends_parts && !c->parts[c->rank])
		return 0;
	switch (what->from) {
	case FROM_NOBODY: return 0;
	case FROM_ROOT: return what->sends_blocks || c->rank != c->root;
	case FROM_EACH: return c->n;
	case FROM_SUM_BEFORE: return c->rank > 0;
	default: return 1;
	}
}

struct collective_block collective_block(const struct collective *what,
					 const struct collective_call *c, int i)
{
	struct collective_block b = { .first = 0, .last = c->n, .count = c->count };

	switch (what->from) {
	case FROM_ROOT: b.first = c->root, b.last = c->root + 1; break;
	case FROM_EACH: b.first = i, b.last = i + 1; break;
	case FROM_SUM_UPTO: b.last = c->rank + 1; break;
	case FROM_SUM_BEFORE: b.last = c->rank; break;
	default: break;
	}
	b.at = (size_t)i * c->count;
	if (what->sends_blocks)
		b.offset = (size_t)c->rank * c->count;
	if (what->sends_parts) {
		b.offset = collective_part(c, c->rank);
		b.count = c->parts[c->rank];
	}
	return b;
}

int collective_sent(const struct collective *what, int n)
{
	return what->from == FROM_NOBODY ? 0 : what->sends_blocks ? n : 1;
}

int collective_kept(const struct collective *what, int n)
{
	return what->from == FROM_NOBODY ? 0 : what->sends_blocks || what->from == FROM_EACH ? n : 1;
}

size_t collective_moved(const struct collective *what, int n, size_t size)
{
	const size_t ranks = (size_t)n, all = ranks * size;
	size_t written = 0, read;

	switch (what->from) {
	case FROM_NOBODY: break;
	case FROM_ROOT: written = what->sends_blocks ? all : all - size; break;
	case FROM_EACH: written = what->to_root ? all : ranks * all; break;
	case FROM_SUM: written = what->to_root || what->sends_parts ? size : all; break;
	case FROM_SUM_UPTO: written = all; break;
	case FROM_SUM_BEFORE: written = all - size; break;
	}
	read = what->from == FROM_SUM || what->from == FROM_SUM_UPTO ? all : written;
	return (read + written) / 2 / ranks;
}
