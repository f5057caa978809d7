/* SPDX-License-Identifier: BSD-3-Clause */
#include "lanes.h"

#include <string.h>

#include "across.h"
#include "base/error.h"
#include "coll/fold.h"

#define LANES_FROM                                                                                 \
	(32u                                                                                       \
	 << 10) /* bytes: with fewer, one message between two nodes takes less than more of them */

/* ---- Pieces ---- */

int ipcshare__mpi_job_lanes(const struct ipcshare__mpi_job *j, size_t bytes)
{
	return bytes < LANES_FROM ? 1 : j->on->lanes;
}

void ipcshare__mpi_job_cut(struct ipcshare__mpi_job *j, int lanes, size_t most)
{
	size_t size = j->size ? j->size : 1, chunk;

	j->lanes = lanes;
	j->piece = most / size ? most / size : 1;
	chunk = j->piece * (size_t)lanes;
	j->chunks = j->count / chunk + (j->count % chunk != 0);
}

size_t ipcshare__mpi_chunk_len(const struct ipcshare__mpi_job *j, size_t chunk)
{
	size_t at = ipcshare__mpi_chunk_at(j, chunk), most = j->piece * (size_t)j->lanes;

	return at >= j->count ? 0 : j->count - at < most ? j->count - at : most;
}

/* As even as can be: the first lanes have one more. */
static size_t piece_of(const struct ipcshare__mpi_job *j, size_t len, int lane)
{
	size_t lanes = (size_t)j->lanes;

	return lane >= j->lanes ? 0 : len / lanes + ((size_t)lane < len % lanes);
}

void ipcshare__mpi_chunk_cut(const struct ipcshare__mpi_job *j, size_t chunk)
{
	size_t len = ipcshare__mpi_chunk_len(j, chunk), at = 0;

	for (int l = 0; l < j->on->nlocal; l++) {
		j->on->counts[l] = piece_of(j, len, l);
		j->on->displs[l] = at;
		at += j->on->counts[l];
	}
}

size_t ipcshare__mpi_piece_len(const struct ipcshare__mpi_job *j, size_t chunk)
{
	return piece_of(j, ipcshare__mpi_chunk_len(j, chunk), j->on->local);
}

/* ---- Making it ---- */

/*
 * If MPI fails on one lane, its rank goes on: the others of its node hear of it in the end, and not in the
 * middle of what they do together, and those of its lane need not wait for it. Nobody knows what becomes of a
 * request that it still has.
 */
static void note(struct ipcshare__mpi_job *j, int err)
{
	if (!err || j->failed)
		return;
	j->failed = err;
	j->failure = *ipcshare_last_error();
}

/* Who has waited in vain does not begin to wait again. */
static bool has_stopped(const struct ipcshare__mpi_job *j)
{
	return j->failed && j->failed != IPCSHARE_ERR_BOOTSTRAP;
}

static void start(struct ipcshare__mpi_job *j, size_t chunk)
{
	int result;

	if (j->on->local >= j->lanes || has_stopped(j) ||
	    j->on->requests[chunk % 2] != MPI_REQUEST_NULL)
		return;
	result = j->course->start(j, chunk);
	if (result)
		note(j, ipcshare__mpi_across_wait(j->on, j->group, (int)(chunk % 2), result,
						  j->course->call));
}

static void finish(struct ipcshare__mpi_job *j, size_t chunk)
{
	int which = (int)(chunk % 2);

	if (j->on->requests[which] != MPI_REQUEST_NULL && !has_stopped(j))
		note(j, ipcshare__mpi_across_wait(j->on, j->group, which, MPI_SUCCESS,
						  j->course->call));
}

static int run_chunks(struct ipcshare__mpi_job *j)
{
	int err = 0;

	for (size_t c = 0; c <= j->chunks; c++) {
		if (c && c < j->chunks)
			err = j->course->in(j, c);
		if (!err && c < j->chunks)
			start(j, c);
		if (!err && c) {
			finish(j, c - 1);
			err = j->course->out(j, c - 1);
		}
		if (err) { /* the group is of no more use; other nodes wait for us until their deadline */
			j->on->broken = err;
			return err;
		}
	}
	if (j->failed)
		ipcshare__error_restore(&j->failure);
	return ipcshare__mpi_node_agree(j->on, j->group, j->failed);
}

int ipcshare__mpi_job_run(struct ipcshare__mpi_job *j, bool is_few, const void *few,
			  struct ipcshare__mpi_word *word)
{
	int err;

	if (j->on->broken)
		return ipcshare__fail(IPCSHARE_ERR_CLOSED, "collective",
				      "free the communicator, and make another",
				      "an earlier call failed between the nodes: %s",
				      ipcshare_strerror(j->on->broken));
	*word = (struct ipcshare__mpi_word){
		.call = j->which,
		.type = (uint16_t)j->type,
		.op = (uint16_t)(j->op ? ipcshare__op_kind(j->op) : 0),
		.root = j->root,
		.count = j->count,
	};
	err = j->course->in(j, 0);
	if (!err && is_few && few && j->on->local == 0) {
		word->has = j->count * j->size;
		if (word->has)
			memcpy(word->data, few, word->has);
	}
	err = ipcshare__mpi_across_agree(j->on, j->group, err, word);
	return err || is_few ? err : run_chunks(j);
}
