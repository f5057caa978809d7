/* SPDX-License-Identifier: BSD-3-Clause */
/* Allgather: blocks of all ranks, of which each goes to a node once. */
#include "base/wire.h"
#include "fallback.h"
#include "rows.h"
#include "stage.h"

typedef struct ipcshare__mpi_job job;
typedef struct ipcshare__mpi_course course;

static int own_pieces(const job *j)
{
	return j->on->node_counts[j->on->mine];
}

/* The blocks of this node's ranks, by local rank, in counts and displs. */
static void own_places(const job *j)
{
	const struct ipcshare__mpi_nodes *on = j->on;

	for (int l = 0; l < on->nlocal && !j->status; l++) {
		int rank = on->members[on->first[on->mine] + l];

		on->counts[l] = ipcshare__mpi_block_len(j->rows, rank);
		on->displs[l] = ipcshare__mpi_block_at(j->rows, rank);
	}
}

/* First the node's own blocks go to their places on all its ranks: so each lane has what it gives. */
static int allgather_in(job *j, size_t chunk)
{
	struct ipcshare__mpi_nodes *on = j->on;
	size_t from, len;
	int err;

	if (!chunk) {
		own_places(j);
		err = ipcshare_allgatherv(j->group, j->send, j->recv, on->counts, on->displs,
					  j->type);
		if (err)
			return err;
	}
	if (!j->chunks || on->local >= j->lanes)
		return 0;
	len = ipcshare__mpi_row_piece(j, on->mine, chunk, on->local, &from);
	ipcshare__mpi_row_copy(j, on->mine, from, len, ipcshare__mpi_slot(j, chunk), false);
	return 0;
}

static int allgather_start(job *j, size_t chunk)
{
	struct ipcshare__mpi_nodes *on = j->on;

	ipcshare__mpi_lane_pieces(j, chunk);
	ipcshare__mpi_count_crossed((size_t)own_pieces(j));
	return MPI_Iallgatherv(ipcshare__mpi_slot(j, chunk), own_pieces(j), MPI_BYTE,
			       ipcshare__mpi_brought(j, chunk, 1), on->node_counts, on->node_displs,
			       MPI_BYTE, on->lane, &on->requests[chunk % 2]);
}

/* Of each lane the pieces of all nodes; then all but our own go to their places. */
static int allgather_out(job *j, size_t chunk)
{
	int err;

	ipcshare__mpi_passing_places(j, chunk);
	err = ipcshare_allgatherv(j->group, ipcshare__mpi_brought(j, chunk, 1), j->passing,
				  j->on->counts, j->on->displs, j->type);
	if (!err)
		ipcshare__mpi_passing_copy(j, chunk, j->on->mine, true);
	return err;
}

int ipcshare__mpi_span_allgather(struct ipcshare__mpi_call *c)
{
	static const course course = { allgather_in, allgather_start, allgather_out,
				       "MPI_Iallgatherv" };
	const struct ipcshare__mpi_buffer *b = &c->in;
	const struct ipcshare__mpi_rows rows = { b->at, b->lens, b->firsts,
						 b->len / (size_t)c->on->size };
	job j;

	ipcshare__mpi_check_place(c, b->at, b->len);
	j = ipcshare__mpi_job_of(c, &course, IPCSHARE__COLL_ALLGATHER);
	j.rows = &rows;
	j.send = c->out.at;
	j.recv = b->at;
	return ipcshare__mpi_rows_run(c, &j, (size_t)j.on->count + 1);
}
