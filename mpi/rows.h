/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The row of a node: the blocks of its ranks, one behind the other in the order of its ranks, wherever they are
 * in memory. A chunk takes the same part of the row of each node, and cuts it into pieces, one for each lane.
 */
#ifndef IPCSHARE_MPI_ROWS_H
#define IPCSHARE_MPI_ROWS_H

#include "lanes.h"

/* The blocks of all ranks of the communicator, in elements of the job. */
struct ipcshare__mpi_rows {
	char *at; /* where they are; NULL: not on this rank */
	const size_t *lens, *firsts; /* by rank; NULL: */
	size_t len; /* each is so long, and they follow each other */
};

static inline size_t ipcshare__mpi_block_len(const struct ipcshare__mpi_rows *rows, int rank)
{
	return rows->lens ? rows->lens[rank] : rows->len;
}

static inline size_t ipcshare__mpi_block_at(const struct ipcshare__mpi_rows *rows, int rank)
{
	return rows->lens ? rows->firsts[rank] : (size_t)rank * rows->len;
}

/* The call, whose job->rows are cut so that @pieces of them fit into a slot. */
int ipcshare__mpi_rows_run(struct ipcshare__mpi_call *c, struct ipcshare__mpi_job *job,
			   size_t pieces);
/* The piece of lane @lane: its elements, and where it begins in the row of @node. */
size_t ipcshare__mpi_row_piece(const struct ipcshare__mpi_job *job, int node, size_t chunk,
			       int lane, size_t *from);
/* @len elements from @from of a node's row go to @flat, or back. */
void ipcshare__mpi_row_copy(const struct ipcshare__mpi_job *job, int node, size_t from, size_t len,
			    char *flat, bool back);

/* What a lane brings is in its slot behind the @given pieces. */
static inline char *ipcshare__mpi_brought(const struct ipcshare__mpi_job *job, size_t chunk,
					  int given)
{
	return ipcshare__mpi_slot(job, chunk) + (size_t)given * job->piece * job->size;
}

/* The pieces of all nodes for this rank's lane, side by side, in job->on->node_counts and node_displs. */
void ipcshare__mpi_lane_pieces(const struct ipcshare__mpi_job *job, size_t chunk);

/*
 * job->passing has the pieces of all nodes, of one lane behind the other's: how many elements each lane has of it, and
 * where they begin, in job->on->counts and displs.
 */
void ipcshare__mpi_passing_places(const struct ipcshare__mpi_job *job, size_t chunk);
/* What the blocks have goes there, or @back; but for those of node @but, if it is one. */
void ipcshare__mpi_passing_copy(const struct ipcshare__mpi_job *job, size_t chunk, int but,
				bool back);

/* On a node: of the lanes' pieces of its row, @piece if this rank has a lane, to each rank its block. */
int ipcshare__mpi_lanes_to_blocks(struct ipcshare__mpi_job *job, size_t chunk, const char *piece,
				  char *block);

#endif
