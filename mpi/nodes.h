/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The nodes of a communicator that has more than one. The ranks of the same number on all nodes are a
 * lane, with a communicator of their own, in which a node is a rank; the first lane is that of the leaders.
 * There are as many lanes as the smallest node has ranks.
 */
#ifndef IPCSHARE_MPI_NODES_H
#define IPCSHARE_MPI_NODES_H

#include <ipcshare_mpi.h>
#include <stdbool.h>

#include "word.h"

/*
 * Bytes of a lane that are under way at once, twice: while some are between nodes, others are on them. So many, or so
 * many for each rank of the communicator, where there are very many: two of the largest elements.
 */
#define IPCSHARE__MPI_SLOT (256u << 10)
#define IPCSHARE__MPI_SLOT_OF_RANK 32u

struct ipcshare__mpi_nodes {
	int count, mine; /* nodes, in the order of their first ranks */
	int size, rank; /* of the communicator */
	int local, nlocal; /* of this node's group */
	int lanes;
	bool in_order; /* each node has ranks that follow each other, as its number follows the others' */
	uint64_t
		least; /* bytes of a call that is not left to MPI: the most that any rank is set to */
	/* by rank: its node, and its number there; by node: where its ranks begin in @members */
	int *node_of, *local_of, *first, *members;
	MPI_Comm lane; /* MPI_COMM_NULL: this rank has none */
	/*
	 * What MPI reads and writes is ours: if we stop waiting for it, it may do so at any later time. A request
	 * for each slot and one for the words.
	 */
	char *slots[2];
	size_t slot; /* bytes of each */
	struct ipcshare__mpi_word said, heard;
	MPI_Datatype word;
	MPI_Op merge;
	MPI_Request requests[3];
	struct ipcshare__mpi_nodes
		*next; /* of those that have ended while MPI had a request of theirs */
	int broken; /* why nothing goes between the nodes any more */
	/* of the call that is made: by local rank; and of this rank's lane, by local rank and by node */
	size_t *counts, *displs, *piece_counts, *piece_displs;
	int *node_counts, *node_displs, *brought_counts, *brought_displs;
};

/* Collective over @comm, whose ranks on this node are @group. NULL: there is no memory here, or MPI fails. */
struct ipcshare__mpi_nodes *ipcshare__mpi_nodes_make(MPI_Comm comm, struct ipcshare_group *group);
/* Of all ranks, each alone. NULL is none. */
void ipcshare__mpi_nodes_end(struct ipcshare__mpi_nodes *n);

#endif
