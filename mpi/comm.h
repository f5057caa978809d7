/* SPDX-License-Identifier: BSD-3-Clause */
/* What the collectives keep of a communicator: its group, or why it has none. */
#ifndef IPCSHARE_MPI_COMM_H
#define IPCSHARE_MPI_COMM_H

#include <ipcshare_mpi.h>
#include <stdbool.h>

#include "nodes.h"

struct ipcshare__mpi_comm {
	struct ipcshare_group *group; /* NULL: its calls are left to MPI */
	enum ipcshare_mpi_reason why;
	bool ours; /* we have made the group, and end it */
	struct ipcshare__mpi_nodes *nodes; /* NULL: the group is of all ranks */
	int rank, size;
	/* four numbers for each rank: MPI lets calls on a communicator not overlap */
	size_t *places;
	struct ipcshare__mpi_comm *next, **link; /* of all whose group is ours */
};

/* At the first call of all ranks the group is made. NULL: leave the call to MPI, which is counted. */
struct ipcshare__mpi_comm *ipcshare__mpi_comm_find(MPI_Comm comm);

#endif
