/* SPDX-License-Identifier: BSD-3-Clause */
#include <mpi.h>
#include <stdio.h>

#include "mpi/team.h"
#include "support/test.h"

int main(int argc, char **argv)
{
	int level, failed;

	MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &level);
	failed = test_main(argc, argv, team_rank());
	ipcshare_mpi_bcast(&level, 1, MPI_INT, 0, MPI_COMM_WORLD); /* others may still be in it then */
	MPI_Finalize();
	return team_after_mpi() || failed;
}
