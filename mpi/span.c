/* SPDX-License-Identifier: BSD-3-Clause */
#include "span.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/wire.h"
#include "fallback.h"
#include "lanes.h"

typedef struct ipcshare__mpi_job job;
typedef struct ipcshare__mpi_course course;

static job job_of(const struct ipcshare__mpi_call *c, const course *course, int which)
{
	return (job){
		.on = c->on->nodes,
		.group = c->group,
		.course = course,
		.which = (uint16_t)which,
		.type = c->type,
		.op = c->op,
		.size = ipcshare_type_size(c->type),
	};
}

static bool is_few(const job *j)
{
	return j->count * j->size <= IPCSHARE__MPI_FEW;
}

/* What little there is goes with the word, by the leader alone. */
static void cut(job *j)
{
	size_t bytes = j->count * j->size;

	ipcshare__mpi_job_cut(j, ipcshare__mpi_job_lanes(j, bytes), IPCSHARE__MPI_SLOT);
}

/* A root that is none is found out by the node's own call; until then it is some rank. */
static int root_node(const job *j)
{
	return j->root < 0 || j->root >= j->on->size ? -1 : j->on->node_of[j->root];
}

static int root_local(const job *j)
{
	return root_node(j) < 0 ? j->on->nlocal : j->on->local_of[j->root];
}

static char *at(const job *j, const char *base, size_t chunk)
{
	return (char *)base + ipcshare__mpi_chunk_at(j, chunk) * j->size;
}

/* ---- Stages on a node ---- */

/* Nothing but to hear if an argument is wrong on a rank. */
static int hear(job *j, size_t chunk)
{
	return chunk ? 0 : ipcshare_bcast(j->group, NULL, 0, j->type, root_node(j) < 0 ? -1 : 0);
}

static int to_all(job *j, size_t chunk)
{
	ipcshare__mpi_chunk_cut(j, chunk);
	return ipcshare_allgatherv(j->group, ipcshare__mpi_slot(j, chunk), at(j, j->recv, chunk),
				   j->on->counts, j->on->displs, j->type);
}

static int reduced(job *j, size_t chunk)
{
	ipcshare__mpi_chunk_cut(j, chunk);
	return ipcshare_reduce_scatter(j->group, at(j, j->send, chunk),
				       ipcshare__mpi_slot(j, chunk), j->on->counts, j->type, j->op);
}

/* What is looked at last, or only by some: all must hear now if it is nowhere. */
static void check_place(struct ipcshare__mpi_call *c, const void *buf, size_t len)
{
	if (len && (!buf || buf == IPCSHARE_IN_PLACE))
		ipcshare__mpi_fault(c, ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
						      buf ? "a buffer is MPI_IN_PLACE where that "
							    "means nothing"
							  : "a buffer is NULL"));
}

/* ---- Barrier ---- */

int ipcshare__mpi_span_barrier(struct ipcshare__mpi_call *c)
{
	static const course course = { hear, NULL, NULL, NULL };
	struct ipcshare__mpi_word word;
	job j = job_of(c, &course, IPCSHARE__COLL_BARRIER);

	return ipcshare__mpi_job_run(&j, true, NULL, &word);
}

/* ---- Bcast ---- */

static bool is_roots(const job *j)
{
	return root_node(j) == j->on->mine;
}

static int bcast_in(job *j, size_t chunk)
{
	char *from = at(j, j->recv, chunk);
	size_t len = ipcshare__mpi_chunk_len(j, chunk);
	int err;

	if (!is_roots(j))
		return hear(j, chunk);
	err = ipcshare_bcast(j->group, from, len, j->type, root_local(j));
	if (err || !len || j->on->local >= j->lanes)
		return err;
	ipcshare__mpi_chunk_cut(j, chunk);
	memcpy(ipcshare__mpi_slot(j, chunk), from + j->on->displs[j->on->local] * j->size,
	       j->on->counts[j->on->local] * j->size);
	return 0;
}

static int bcast_start(job *j, size_t chunk)
{
	size_t len = ipcshare__mpi_piece_len(j, chunk) * j->size;

	if (is_roots(j))
		ipcshare__mpi_count_crossed(len);
	return MPI_Ibcast(ipcshare__mpi_slot(j, chunk), (int)len, MPI_BYTE, root_node(j),
			  j->on->lane, &j->on->requests[chunk % 2]);
}

static int bcast_out(job *j, size_t chunk)
{
	return is_roots(j) ? 0 : to_all(j, chunk);
}

int ipcshare__mpi_span_bcast(struct ipcshare__mpi_call *c, const struct ipcshare__mpi_buffer *b,
			     int root)
{
	static const course course = { bcast_in, bcast_start, bcast_out, "MPI_Ibcast" };
	struct ipcshare__mpi_word word;
	job j;
	int err;

	check_place(c, b->at, b->len);
	j = job_of(c, &course, IPCSHARE__COLL_BCAST);
	j.recv = b->at;
	j.count = b->len;
	j.root = root;
	cut(&j);
	err = ipcshare__mpi_job_run(&j, is_few(&j), is_roots(&j) ? j.recv : NULL, &word);
	if (!err && is_few(&j) && !is_roots(&j) && j.count)
		memcpy(j.recv, word.data, j.count);
	return err;
}

/* ---- Reduce and allreduce ---- */

static void reduction(job *j, const struct ipcshare__mpi_reduction *r, bool takes)
{
	j->send = takes && r->send == IPCSHARE_IN_PLACE ? r->recv : r->send;
	j->recv = r->recv;
	j->count = r->count;
	j->mpi_type = r->type;
	j->mpi_op = r->op;
	cut(j);
}

static int allreduce_start(job *j, size_t chunk)
{
	size_t n = ipcshare__mpi_piece_len(j, chunk);

	ipcshare__mpi_count_crossed(n * j->size);
	return MPI_Iallreduce(MPI_IN_PLACE, ipcshare__mpi_slot(j, chunk), (int)n, j->mpi_type,
			      j->mpi_op, j->on->lane, &j->on->requests[chunk % 2]);
}

int ipcshare__mpi_span_allreduce(struct ipcshare__mpi_call *c,
				 const struct ipcshare__mpi_reduction *r)
{
	static const course course = { reduced, allreduce_start, to_all, "MPI_Iallreduce" };
	struct ipcshare__mpi_word word;
	job j;
	int err;

	check_place(c, r->recv, r->count);
	j = job_of(c, &course, IPCSHARE__COLL_ALLREDUCE);
	reduction(&j, r, true);
	err = ipcshare__mpi_job_run(&j, is_few(&j), j.on->slots[0], &word);
	if (!err && is_few(&j) && j.count)
		memcpy(j.recv, word.data, j.count * j.size);
	return err;
}

/* A root that is none is a fault here, as the node's own call knows none. */
static void check_root(struct ipcshare__mpi_call *c, int root)
{
	if (root < 0 || root >= c->on->size)
		ipcshare__mpi_fault(c, ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
						      "the root is %d, and there are %d ranks",
						      root, c->on->size));
}

static int reduce_start(job *j, size_t chunk)
{
	char *slot = ipcshare__mpi_slot(j, chunk);
	size_t n = ipcshare__mpi_piece_len(j, chunk);
	MPI_Request *request = &j->on->requests[chunk % 2];

	if (!is_roots(j))
		ipcshare__mpi_count_crossed(n * j->size);
	return MPI_Ireduce(is_roots(j) ? MPI_IN_PLACE : slot, is_roots(j) ? slot : NULL, (int)n,
			   j->mpi_type, j->mpi_op, root_node(j), j->on->lane, request);
}

static int reduce_out(job *j, size_t chunk)
{
	if (!is_roots(j))
		return 0;
	ipcshare__mpi_chunk_cut(j, chunk);
	return ipcshare_gatherv(j->group, ipcshare__mpi_slot(j, chunk), j->on->counts[j->on->local],
				at(j, j->recv, chunk), j->on->counts, j->on->displs, j->type,
				root_local(j));
}

int ipcshare__mpi_span_reduce(struct ipcshare__mpi_call *c, const struct ipcshare__mpi_reduction *r,
			      int root)
{
	static const course course = { reduced, reduce_start, reduce_out, "MPI_Ireduce" };
	bool takes = c->on->rank == root;
	struct ipcshare__mpi_word word;
	job j;
	int err;

	check_root(c, root);
	check_place(c, takes ? r->recv : r->send, r->count);
	j = job_of(c, &course, IPCSHARE__COLL_REDUCE);
	j.root = root;
	reduction(&j, r, takes);
	err = ipcshare__mpi_job_run(&j, is_few(&j), j.on->slots[0], &word);
	if (!err && takes && is_few(&j) && j.count)
		memcpy(j.recv, word.data, j.count * j.size);
	return err;
}

/* ---- Allgather ---- */

/*
 * First the node's own blocks go to their places on all its ranks. What the other nodes have are then the
 * bytes of their ranks' blocks in a row, which are there wherever in memory they are.
 */
static size_t block_len(const job *j, int rank)
{
	const struct ipcshare__mpi_buffer *b = j->blocks;

	return b->lens ? b->lens[rank] : b->len / (size_t)j->on->size;
}

static size_t block_at(const job *j, int rank)
{
	const struct ipcshare__mpi_buffer *b = j->blocks;

	return b->lens ? b->firsts[rank] : (size_t)rank * block_len(j, rank);
}

static size_t node_len(const job *j, int node)
{
	size_t len = 0;

	for (int i = j->on->first[node]; i < j->on->first[node + 1]; i++)
		len += block_len(j, j->on->members[i]);
	return len;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* @len bytes from @from of a node's row, which begin somewhere in its blocks: from there to @flat, or back. */
static void copy_row(const job *j, int node, size_t from, size_t len, char *flat, bool back)
{
	for (int i = j->on->first[node]; len; i++) {
		int rank = j->on->members[i];
		size_t block = block_len(j, rank), n;
		char *bytes = j->recv + block_at(j, rank) + from;

		if (from >= block) {
			from -= block;
			continue;
		}
		n = least(block - from, len);
		memcpy(back ? bytes : flat, back ? flat : bytes, n);
		flat += n;
		len -= n;
		from = 0;
	}
}

/* The piece of lane @lane: where it begins in the row of a node, and its bytes. */
static size_t row_piece(const job *j, int node, size_t chunk, int lane, size_t *from)
{
	size_t row = node_len(j, node);

	*from = (chunk * (size_t)j->lanes + (size_t)lane) * j->piece;
	return *from >= row ? 0 : least(row - *from, j->piece);
}

/* What this rank's lane brings, behind what it gives. */
static char *brought(const job *j, size_t chunk)
{
	return ipcshare__mpi_slot(j, chunk) + j->piece;
}

static int allgather_in(job *j, size_t chunk)
{
	struct ipcshare__mpi_nodes *on = j->on;
	size_t from, len;
	int err;

	if (!chunk) {
		for (int l = 0; l < on->nlocal && !j->status; l++) {
			int rank = on->members[on->first[on->mine] + l];

			on->counts[l] = block_len(j, rank);
			on->displs[l] = block_at(j, rank);
		}
		err = ipcshare_allgatherv(j->group, j->send, j->recv, on->counts, on->displs,
					  j->type);
		if (err)
			return err;
	}
	if (!j->chunks || on->local >= j->lanes)
		return 0;
	len = row_piece(j, on->mine, chunk, on->local, &from);
	copy_row(j, on->mine, from, len, ipcshare__mpi_slot(j, chunk), false);
	return 0;
}

static int allgather_start(job *j, size_t chunk)
{
	struct ipcshare__mpi_nodes *on = j->on;
	size_t from;
	int at = 0;

	for (int node = 0; node < on->count; node++) {
		on->node_counts[node] = (int)row_piece(j, node, chunk, on->local, &from);
		on->node_displs[node] = at;
		at += on->node_counts[node];
	}
	ipcshare__mpi_count_crossed((size_t)on->node_counts[on->mine]);
	return MPI_Iallgatherv(ipcshare__mpi_slot(j, chunk), on->node_counts[on->mine], MPI_BYTE,
			       brought(j, chunk), on->node_counts, on->node_displs, MPI_BYTE,
			       on->lane, &on->requests[chunk % 2]);
}

/* Of each lane the pieces of all nodes; then all but our own go to their places. */
static int allgather_out(job *j, size_t chunk)
{
	struct ipcshare__mpi_nodes *on = j->on;
	size_t from, at = 0;
	int err;

	for (int l = 0; l < on->nlocal; l++) {
		on->displs[l] = at;
		for (int node = 0; node < on->count && l < j->lanes; node++)
			at += row_piece(j, node, chunk, l, &from);
		on->counts[l] = at - on->displs[l];
	}
	err = ipcshare_allgatherv(j->group, brought(j, chunk), j->passing, on->counts, on->displs,
				  j->type);
	if (err)
		return err;
	at = 0;
	for (int l = 0; l < j->lanes; l++)
		for (int node = 0; node < on->count; node++) {
			size_t len = row_piece(j, node, chunk, l, &from);

			if (node != on->mine)
				copy_row(j, node, from, len, j->passing + at, true);
			at += len;
		}
	return 0;
}

/* The longest row says how many chunks there are. */
static void allgather_cut(job *j, size_t total)
{
	size_t nodes = (size_t)j->on->count, longest = 0, lane;

	for (int node = 0; node < j->on->count && total; node++) {
		size_t len = node_len(j, node);

		longest = len > longest ? len : longest;
	}
	j->count = longest;
	ipcshare__mpi_job_cut(j, ipcshare__mpi_job_lanes(j, total),
			      IPCSHARE__MPI_SLOT / (nodes + 1));
	lane = longest / (size_t)j->lanes + 1;
	if (lane < j->piece) /* so that @passing is no longer than it has to be */
		j->piece = lane;
	j->count = total;
}

int ipcshare__mpi_span_allgather(struct ipcshare__mpi_call *c)
{
	static const course course = { allgather_in, allgather_start, allgather_out,
				       "MPI_Iallgatherv" };
	struct ipcshare__mpi_word word;
	job j;
	int err;

	check_place(c, c->in.at, c->in.len);
	j = job_of(c, &course, IPCSHARE__COLL_ALLGATHER);
	j.status = c->fault.status;
	j.blocks = &c->in;
	j.send = c->out.at;
	j.recv = c->in.at;
	for (int r = 0; r < c->on->size && !j.status; r++)
		j.count += block_len(&j, r);
	allgather_cut(&j, j.count);
	if (j.count) {
		j.passing = malloc((size_t)j.lanes * (size_t)j.on->count * j.piece);
		if (!j.passing) {
			ipcshare__mpi_fault(c, ipcshare__fail_errno(ENOMEM, "collective",
								    "pieces of %d nodes",
								    j.on->count));
			j.type = c->type;
		}
	}
	err = ipcshare__mpi_job_run(&j, j.count == 0, NULL, &word);
	free(j.passing);
	return err;
}
