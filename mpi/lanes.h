/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A call of a communicator that has more than one node, in chunks. Each is cut into pieces, one for each
 * lane that is used, and goes through three stages: on the node, between the nodes, on the node. While MPI
 * has one chunk, the node works on the ones before and after it.
 */
#ifndef IPCSHARE_MPI_LANES_H
#define IPCSHARE_MPI_LANES_H

#include "call.h"
#include "nodes.h"

struct ipcshare__mpi_job;

/*
 * Of chunk @chunk, by all ranks of the node in the same order; of a start, by those with a piece of it: it
 * begins job->on->requests[slot] and returns what MPI says.
 */
typedef int ipcshare__mpi_stage(struct ipcshare__mpi_job *job, size_t chunk);

struct ipcshare__mpi_course {
	ipcshare__mpi_stage *in, *start, *out;
	const char *call; /* of MPI, that start makes */
};

struct ipcshare__mpi_job {
	struct ipcshare__mpi_nodes *on;
	struct ipcshare_group *group;
	const struct ipcshare__mpi_course *course;
	uint16_t which; /* the same on all ranks: enum ipcshare__collective */
	const char *send;
	char *recv;
	size_t count; /* elements that go through the lanes, by way of this node */
	size_t size; /* bytes of each */
	enum ipcshare_type type;
	const struct ipcshare_op *op;
	MPI_Datatype mpi_type; /* as MPI has them */
	MPI_Op mpi_op;
	int root; /* of the communicator; 0 if there is none */
	int status; /* what is wrong on this rank */
	const struct ipcshare__mpi_rows *rows; /* NULL: what goes through the lanes is no blocks */
	char *passing; /* what others' lanes have of a chunk */

	/* How it is cut */
	int lanes; /* that are used */
	size_t piece; /* elements of a lane's part of a whole chunk */
	size_t chunks;
	int failed; /* MPI, on this rank's lane; with its detail */
	struct ipcshare_error failure;
};

/* @lanes are used, for pieces of at most @most bytes. */
void ipcshare__mpi_job_cut(struct ipcshare__mpi_job *job, int lanes, size_t most);
/* One lane if there is little, so that fewer messages go; else all. */
int ipcshare__mpi_job_lanes(const struct ipcshare__mpi_job *job, size_t bytes);

/* Elements of chunk @chunk, and before it. */
size_t ipcshare__mpi_chunk_len(const struct ipcshare__mpi_job *job, size_t chunk);
static inline size_t ipcshare__mpi_chunk_at(const struct ipcshare__mpi_job *job, size_t chunk)
{
	return chunk * job->piece * (size_t)job->lanes;
}
/* The pieces, by local rank, in job->on->counts and displs: 0 for ranks without a lane. */
void ipcshare__mpi_chunk_cut(const struct ipcshare__mpi_job *job, size_t chunk);
/* This rank's piece of it. */
size_t ipcshare__mpi_piece_len(const struct ipcshare__mpi_job *job, size_t chunk);

static inline char *ipcshare__mpi_slot(const struct ipcshare__mpi_job *job, size_t chunk)
{
	return job->on->slots[chunk % 2];
}

/*
 * The whole call. The first chunk's stage in is made in any case, and before the leaders hear of each other:
 * it is where ranks of a node find out that an argument is wrong on one of them.
 *
 * @few: where the few bytes are that are given, on the leader, after the first stage; NULL: the node gives
 * nothing. If all fits, @word has what has come of it, and no chunk is made. The same status on all ranks of
 * the node.
 */
int ipcshare__mpi_job_run(struct ipcshare__mpi_job *job, bool is_few, const void *few,
			  struct ipcshare__mpi_word *word);

#endif
