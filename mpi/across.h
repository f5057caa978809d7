/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the nodes of a communicator, by MPI: never for longer than the deadline. */
#ifndef IPCSHARE_MPI_ACROSS_H
#define IPCSHARE_MPI_ACROSS_H

#include "nodes.h"

/*
 * Wait for n->requests[@which], which @call began with @result. 0; IPCSHARE_ERR_BOOTSTRAP; IPCSHARE_ERR_TIMEOUT:
 * a little before the ranks of the node, who wait for this one, would give up, so that they hear why. On failure nothing goes between the nodes any more.
 */
int ipcshare__mpi_across_wait(struct ipcshare__mpi_nodes *n, struct ipcshare_group *group,
			      int which, int result, const char *call);

/*
 * The ranks of this node have @status, all of them; so do the leaders of all nodes hear, and their ranks.
 * @word: the call, and what this node has to say (of the leader); then what all have said. The same status
 * on all ranks of all nodes, as long as MPI doesn't fail.
 */
int ipcshare__mpi_across_agree(struct ipcshare__mpi_nodes *n, struct ipcshare_group *group,
			       int status, struct ipcshare__mpi_word *word);

/* The ranks of this node, each with its own @status: the same on all of them. */
int ipcshare__mpi_node_agree(struct ipcshare__mpi_nodes *n, struct ipcshare_group *group,
			     int status);

#endif
