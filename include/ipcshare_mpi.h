/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare_mpi.h - groups over MPI communicators
 *
 * The conventions of <ipcshare.h> hold. Calls that are collective over a communicator need MPI to
 * be initialised, and at least MPI_THREAD_SERIALIZED if several threads use MPI or the library.
 */
#ifndef IPCSHARE_MPI_H
#define IPCSHARE_MPI_H

#include <ipcshare.h>
#include <mpi.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * ipcshare_mpi_group_create - the ranks of @comm on this node, as a group; collective over @comm
 * @comm: any intracommunicator, on one node or many; the group doesn't need it any more
 * @out: this node's group; the order of ranks is that of @comm
 *
 * The local ranks are those MPI_COMM_TYPE_SHARED finds and that have the same boot id. Only this call
 * uses MPI: the group also works after MPI_Finalize, as long as all its ranks are there.
 *
 * It waits for every rank of @comm until the deadline. MPI can't take a call back that it has begun:
 * after ERR_TIMEOUT, @comm must not be used for collective calls any more. Which rank did not come is
 * not known then, as nobody has heard of it yet.
 *
 * Return: as ipcshare_group_create(), the same on every rank of the node; ERR_INVALID @comm is
 *         MPI_COMM_NULL or an intercommunicator, or MPI is not initialised or finalized already
 */
IPCSHARE_API int ipcshare_mpi_group_create(struct ipcshare_ctx *ctx, MPI_Comm comm,
					   struct ipcshare_group **out);

/** ipcshare_mpi_comm_rank - rank in the communicator of group rank @group_rank. ERR_INVALID, ERR_CLOSED */
IPCSHARE_API int ipcshare_mpi_comm_rank(const struct ipcshare_group *group, int group_rank);

/**
 * ipcshare_mpi_group_rank - group rank of rank @comm_rank of the communicator
 *
 * Return: the rank; ERR_OTHER_NODE it is on another node; ERR_INVALID not a rank of the
 *         communicator, or the group was not made from one; ERR_CLOSED
 */
IPCSHARE_API int ipcshare_mpi_group_rank(const struct ipcshare_group *group, int comm_rank);

#ifdef __cplusplus
}
#endif
#endif
