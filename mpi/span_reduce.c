/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reduce, allreduce, reduce_scatter and scans: each node reduces what its ranks have, and only what comes of that goes
 * between the nodes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/wire.h"
#include "coll/fold.h"
#include "fallback.h"
#include "rows.h"
#include "stage.h"

typedef struct ipcshare__mpi_job job;
typedef struct ipcshare__mpi_course course;
typedef struct ipcshare__mpi_reduction reduction;

/* ---- What they have in common ---- */

static void reduces(job *j, const reduction *r, bool takes)
{
	j->send = takes && r->send == IPCSHARE_IN_PLACE ? r->recv : r->send;
	j->recv = r->recv;
	j->count = r->count;
	j->mpi_type = r->type;
	j->mpi_op = r->op;
}

/* To each lane its piece of what the ranks of the node reduce to. */
static int reduced(job *j, size_t chunk)
{
	ipcshare__mpi_chunk_cut(j, chunk);
	return ipcshare_reduce_scatter(j->group, ipcshare__mpi_chunk_in(j, j->send, chunk),
				       ipcshare__mpi_slot(j, chunk), j->on->counts, j->type, j->op);
}

/* What has come of the few bytes goes to @recv, if this rank takes it. */
static int run(job *j, bool takes)
{
	bool is_few = ipcshare__mpi_is_few(j);
	struct ipcshare__mpi_word word;
	int err;

	ipcshare__mpi_flat_cut(j);
	err = ipcshare__mpi_job_run(j, is_few, j->on->slots[0], &word);
	if (!err && takes && is_few && j->count)
		memcpy(j->recv, word.data, j->count * j->size);
	return err;
}

/* The op and the type are known to be right by then. */
static void fold(const job *j, char *to, const char *x, const char *y, size_t len)
{
	const size_t most = IPCSHARE__FOLD_STEP / j->size;
	struct ipcshare__fold fold;

	if (ipcshare__fold_find(j->op, j->type, &fold))
		return;
	for (size_t i = 0, n; i < len; i += n) {
		size_t at = i * j->size;

		n = len - i < most ? len - i : most;
		ipcshare__fold(&fold, to + at, x + at, y + at, n);
	}
}

/* ---- Allreduce ---- */

static int allreduce_start(job *j, size_t chunk)
{
	size_t n = ipcshare__mpi_piece_len(j, chunk);

	ipcshare__mpi_count_crossed(n * j->size);
	return MPI_Iallreduce(MPI_IN_PLACE, ipcshare__mpi_slot(j, chunk), (int)n, j->mpi_type,
			      j->mpi_op, j->on->lane, &j->on->requests[chunk % 2]);
}

static int allreduce_out(job *j, size_t chunk)
{
	return ipcshare__mpi_to_all(j, chunk, ipcshare__mpi_chunk_in(j, j->recv, chunk));
}

int ipcshare__mpi_span_allreduce(struct ipcshare__mpi_call *c, const reduction *r)
{
	static const course course = { reduced, allreduce_start, allreduce_out, "MPI_Iallreduce" };
	job j;

	ipcshare__mpi_check_place(c, r->recv, r->count);
	j = ipcshare__mpi_job_of(c, &course, IPCSHARE__COLL_ALLREDUCE);
	reduces(&j, r, true);
	return run(&j, true);
}

/* ---- Reduce ---- */

static int reduce_start(job *j, size_t chunk)
{
	bool takes = ipcshare__mpi_is_roots(j);
	char *slot = ipcshare__mpi_slot(j, chunk);
	size_t n = ipcshare__mpi_piece_len(j, chunk);

	if (!takes)
		ipcshare__mpi_count_crossed(n * j->size);
	return MPI_Ireduce(takes ? MPI_IN_PLACE : slot, takes ? slot : NULL, (int)n, j->mpi_type,
			   j->mpi_op, ipcshare__mpi_root_node(j), j->on->lane,
			   &j->on->requests[chunk % 2]);
}

static int reduce_out(job *j, size_t chunk)
{
	if (!ipcshare__mpi_is_roots(j))
		return 0;
	ipcshare__mpi_chunk_cut(j, chunk);
	return ipcshare_gatherv(j->group, ipcshare__mpi_slot(j, chunk), j->on->counts[j->on->local],
				ipcshare__mpi_chunk_in(j, j->recv, chunk), j->on->counts,
				j->on->displs, j->type, ipcshare__mpi_root_local(j));
}

/* A root that is none is a fault here, as the node's own call knows none. */
static void check_root(struct ipcshare__mpi_call *c, int root)
{
	if (root < 0 || root >= c->on->size)
		ipcshare__mpi_fault(c, ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
						      "the root is %d, and there are %d ranks",
						      root, c->on->size));
}

int ipcshare__mpi_span_reduce(struct ipcshare__mpi_call *c, const reduction *r, int root)
{
	static const course course = { reduced, reduce_start, reduce_out, "MPI_Ireduce" };
	bool takes = c->on->rank == root;
	job j;

	check_root(c, root);
	ipcshare__mpi_check_place(c, takes ? r->recv : r->send, r->count);
	j = ipcshare__mpi_job_of(c, &course, IPCSHARE__COLL_REDUCE);
	j.root = root;
	reduces(&j, r, takes);
	return run(&j, takes);
}

/* ---- Scans ---- */

/*
 * What the nodes before this one reduce to comes before all that its ranks have: that is why nodes have to be in the
 * order of the ranks.
 */
static int scan_in(job *j, size_t chunk)
{
	char *send = ipcshare__mpi_chunk_in(j, j->send, chunk);
	char *recv = ipcshare__mpi_chunk_in(j, j->recv, chunk);
	size_t len = ipcshare__mpi_chunk_len(j, chunk);
	int err = reduced(j, chunk);

	if (err)
		return err;
	return (j->which == IPCSHARE__COLL_SCAN
			? ipcshare_scan
			: ipcshare_exscan)(j->group, send == recv ? IPCSHARE_IN_PLACE : send, recv,
					   len, j->type, j->op);
}

static int scan_start(job *j, size_t chunk)
{
	size_t n = ipcshare__mpi_piece_len(j, chunk);

	if (j->on->mine < j->on->count - 1)
		ipcshare__mpi_count_crossed(n * j->size);
	return MPI_Iexscan(MPI_IN_PLACE, ipcshare__mpi_slot(j, chunk), (int)n, j->mpi_type,
			   j->mpi_op, j->on->lane, &j->on->requests[chunk % 2]);
}

static int scan_out(job *j, size_t chunk)
{
	char *recv = ipcshare__mpi_chunk_in(j, j->recv, chunk);
	size_t len = ipcshare__mpi_chunk_len(j, chunk);
	int err;

	if (j->on->mine == 0)
		return 0;
	err = ipcshare__mpi_to_all(j, chunk, j->passing);
	if (err)
		return err;
	if (j->which == IPCSHARE__COLL_EXSCAN && j->on->local == 0)
		memcpy(recv, j->passing, len * j->size);
	else
		fold(j, recv, j->passing, recv, len);
	return 0;
}

int ipcshare__mpi_span_scan(struct ipcshare__mpi_call *c, const reduction *r, bool exclusive)
{
	static const course course = { scan_in, scan_start, scan_out, "MPI_Iexscan" };
	bool takes = !exclusive || c->on->rank > 0;
	struct ipcshare__mpi_word word;
	job j;
	int err;

	ipcshare__mpi_check_place(c, takes || r->send == IPCSHARE_IN_PLACE ? r->recv : r->send,
				  r->count);
	j = ipcshare__mpi_job_of(c, &course,
				 exclusive ? IPCSHARE__COLL_EXSCAN : IPCSHARE__COLL_SCAN);
	reduces(&j, r, true);
	if (!takes) /* what it has for that means nothing, and nothing is written there */
		j.recv = (char *)j.send;
	ipcshare__mpi_flat_cut(&j);
	if (j.chunks) {
		j.passing = malloc(j.piece * (size_t)j.lanes * j.size);
		if (!j.passing)
			ipcshare__mpi_fault(c, ipcshare__fail_errno(ENOMEM, "collective",
								    "a chunk of a scan"));
		j.type = c->type;
	}
	err = ipcshare__mpi_job_run(&j, j.count == 0, NULL, &word);
	free(j.passing);
	return err;
}

/* ---- Reduce_scatter ---- */

/*
 * Each lane has, of each node, the piece that this one reduces to; it gives it to that node's lane, which reduces what
 * comes from all nodes. MPI_Ireduce_scatter() would reduce all of it on one node, in Open MPI 4.1, and give it back.
 */
static int scatter_in(job *j, size_t chunk)
{
	if (!j->status) {
		ipcshare__mpi_passing_places(j, chunk);
		if (j->count)
			ipcshare__mpi_passing_copy(j, chunk, -1, false);
	}
	return ipcshare_reduce_scatter(j->group, j->passing, ipcshare__mpi_slot(j, chunk),
				       j->on->counts, j->type, j->op);
}

static int scatter_start(job *j, size_t chunk)
{
	const struct ipcshare__mpi_nodes *on = j->on;
	int own, given = 0;

	ipcshare__mpi_lane_pieces(j, chunk);
	own = on->node_counts[on->mine] * (int)j->size;
	for (int node = 0; node < on->count; node++) {
		on->node_counts[node] *= (int)j->size;
		on->node_displs[node] *= (int)j->size;
		on->brought_counts[node] = own;
		on->brought_displs[node] = node * own;
		given += node == on->mine ? 0 : on->node_counts[node];
	}
	ipcshare__mpi_count_crossed((size_t)given);
	return MPI_Ialltoallv(ipcshare__mpi_slot(j, chunk), on->node_counts, on->node_displs,
			      MPI_BYTE, ipcshare__mpi_brought(j, chunk, on->count),
			      on->brought_counts, on->brought_displs, MPI_BYTE, on->lane,
			      &j->on->requests[chunk % 2]);
}

static int scatter_out(job *j, size_t chunk)
{
	char *brought = ipcshare__mpi_brought(j, chunk, j->on->count);
	size_t from, own = ipcshare__mpi_row_piece(j, j->on->mine, chunk, j->on->local, &from);

	for (int node = 1; node < j->on->count && j->on->local < j->lanes; node++)
		fold(j, brought, brought, brought + (size_t)node * own * j->size, own);
	return ipcshare__mpi_lanes_to_blocks(j, chunk, brought, j->recv);
}

/*
 * In place, the block goes to where the blocks of the first ranks are. Those have been read by then: what comes before
 * an element in its node's row also comes before it in the buffer, so an element that is to be overwritten is in the
 * same chunk as the one that does it, or an earlier one.
 */
int ipcshare__mpi_span_reduce_scatter(struct ipcshare__mpi_call *c, const reduction *r,
				      struct ipcshare__mpi_rows *rows)
{
	static const course course = { scatter_in, scatter_start, scatter_out, "MPI_Ialltoallv" };
	bool in_place = r->send == IPCSHARE_IN_PLACE;
	job j;

	ipcshare__mpi_check_place(c, r->recv, ipcshare__mpi_block_len(rows, c->on->rank));
	ipcshare__mpi_check_place(c, in_place ? r->recv : r->send, r->count);
	j = ipcshare__mpi_job_of(c, &course, IPCSHARE__COLL_REDUCE_SCATTER);
	reduces(&j, r, true);
	rows->at = (char *)j.send;
	j.rows = rows;
	return ipcshare__mpi_rows_run(c, &j, 2 * (size_t)j.on->count);
}
