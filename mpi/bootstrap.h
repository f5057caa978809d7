/* SPDX-License-Identifier: BSD-3-Clause */
/* A bootstrap over a communicator whose ranks share a node. */
#ifndef IPCSHARE_MPI_BOOTSTRAP_H
#define IPCSHARE_MPI_BOOTSTRAP_H

#include <ipcshare_mpi.h>

struct ipcshare__mpi_bootstrap {
	MPI_Comm comm; /* ours alone; MPI_COMM_NULL once the group is there */
	int nranks;
	int comm_size; /* of the user's communicator */
	int *comm_rank; /* by group rank */
};

/* Fill in @out's callbacks; @b is freed, with its communicator, by its release(), or by bootstrap_end(). */
void ipcshare__mpi_bootstrap_fill(struct ipcshare__mpi_bootstrap *b, int rank,
				  struct ipcshare_bootstrap *out);
/* What is behind a group that was made from a communicator; NULL for other groups. */
const struct ipcshare__mpi_bootstrap *
ipcshare__mpi_bootstrap_of(const struct ipcshare_bootstrap *bootstrap);
/* @broken: its communicator can't be freed together any more. */
void ipcshare__mpi_bootstrap_end(struct ipcshare__mpi_bootstrap *b, int broken);

/*
 * Bounded by @wait, whose status they return. What is given up is finished by MPI at some later time,
 * or never; then @comm must not be freed.
 */
int ipcshare__mpi_allgather(MPI_Comm comm, struct ipcshare_wait *wait, const void *mine, size_t len,
			    void *all);
int ipcshare__mpi_barrier(MPI_Comm comm, struct ipcshare_wait *wait);

/* 0, or IPCSHARE_ERR_BOOTSTRAP with MPI's own text. */
int ipcshare__mpi_result(int result, const char *call);
/* Not 0 between MPI_Init and MPI_Finalize. */
int ipcshare__mpi_is_up(void);

#endif
