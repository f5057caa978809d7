/* SPDX-License-Identifier: BSD-3-Clause */
/* Barrier and bcast. */
#include "span.h"

#include <string.h>

#include "base/wire.h"
#include "fallback.h"
#include "stage.h"

typedef struct ipcshare__mpi_job job;
typedef struct ipcshare__mpi_course course;

/* ---- Barrier ---- */

int ipcshare__mpi_span_barrier(struct ipcshare__mpi_call *c)
{
	static const course course = { ipcshare__mpi_hear, NULL, NULL, NULL };
	struct ipcshare__mpi_word word;
	job j = ipcshare__mpi_job_of(c, &course, IPCSHARE__COLL_BARRIER);

	return ipcshare__mpi_job_run(&j, true, NULL, &word);
}

/* ---- Bcast ---- */

static int bcast_in(job *j, size_t chunk)
{
	char *from = ipcshare__mpi_chunk_in(j, j->recv, chunk);
	size_t len = ipcshare__mpi_chunk_len(j, chunk);
	int err;

	if (!ipcshare__mpi_is_roots(j))
		return ipcshare__mpi_hear(j, chunk);
	err = ipcshare_bcast(j->group, from, len, j->type, ipcshare__mpi_root_local(j));
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

	if (ipcshare__mpi_is_roots(j))
		ipcshare__mpi_count_crossed(len);
	return MPI_Ibcast(ipcshare__mpi_slot(j, chunk), (int)len, MPI_BYTE,
			  ipcshare__mpi_root_node(j), j->on->lane, &j->on->requests[chunk % 2]);
}

static int bcast_out(job *j, size_t chunk)
{
	return ipcshare__mpi_is_roots(j)
		       ? 0
		       : ipcshare__mpi_to_all(j, chunk, ipcshare__mpi_chunk_in(j, j->recv, chunk));
}

int ipcshare__mpi_span_bcast(struct ipcshare__mpi_call *c, const struct ipcshare__mpi_buffer *b,
			     int root)
{
	static const course course = { bcast_in, bcast_start, bcast_out, "MPI_Ibcast" };
	struct ipcshare__mpi_word word;
	bool is_few;
	job j;
	int err;

	ipcshare__mpi_check_place(c, b->at, b->len);
	j = ipcshare__mpi_job_of(c, &course, IPCSHARE__COLL_BCAST);
	j.recv = b->at;
	j.count = b->len;
	j.root = root;
	ipcshare__mpi_flat_cut(&j);
	is_few = ipcshare__mpi_is_few(&j);
	err = ipcshare__mpi_job_run(&j, is_few, ipcshare__mpi_is_roots(&j) ? j.recv : NULL, &word);
	if (!err && is_few && !ipcshare__mpi_is_roots(&j) && j.count)
		memcpy(j.recv, word.data, j.count);
	return err;
}
