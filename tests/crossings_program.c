/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crossings_program mpi|ours order|turns CALL TIMES - make a collective of 8000 bytes TIMES times, by MPI or by
 * the library, on a communicator of two halves of the world: one after the other, or in turns
 */
#include <ipcshare_mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 1000
#define RANKS 8 /* each gets such a part of a reduce_scatter */

static int call(const char *which, int ours, MPI_Comm comm)
{
	static double mine[N], all[64 * N];

	if (!strcmp(which, "barrier"))
		return ours ? ipcshare_mpi_barrier(comm) : MPI_Barrier(comm);
	if (!strcmp(which, "bcast"))
		return ours ? ipcshare_mpi_bcast(mine, N, MPI_DOUBLE, 0, comm)
			    : MPI_Bcast(mine, N, MPI_DOUBLE, 0, comm);
	if (!strcmp(which, "allreduce"))
		return ours ? ipcshare_mpi_allreduce(mine, all, N, MPI_DOUBLE, MPI_SUM, comm)
			    : MPI_Allreduce(mine, all, N, MPI_DOUBLE, MPI_SUM, comm);
	if (!strcmp(which, "allgather"))
		return ours ? ipcshare_mpi_allgather(mine, N, MPI_DOUBLE, all, N, MPI_DOUBLE, comm)
			    : MPI_Allgather(mine, N, MPI_DOUBLE, all, N, MPI_DOUBLE, comm);
	if (!strcmp(which, "reduce_scatter"))
		return (ours ? ipcshare_mpi_reduce_scatter_block : MPI_Reduce_scatter_block)(
			mine, all, N / RANKS, MPI_DOUBLE, MPI_SUM, comm);
	fprintf(stderr, "there is no %s\n", which);
	return 1;
}

int main(int argc, char **argv)
{
	int ours, rank, size, failed = 0;
	MPI_Comm comm;

	if (argc != 5)
		return 2;
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	MPI_Comm_split(MPI_COMM_WORLD, 0, strcmp(argv[2], "turns") ? rank : rank % (size / 2), &comm);
	ours = !strcmp(argv[1], "ours");
	failed |= call("barrier", ours, comm); /* of ours, the first call makes the group */
	for (int i = 0; i < atoi(argv[4]); i++)
		failed |= call(argv[3], ours, comm);
	MPI_Comm_free(&comm);
	MPI_Finalize();
	return failed != 0;
}
