/* SPDX-License-Identifier: BSD-3-Clause */
/* MPI's datatypes and ops, in the library's terms. */
#ifndef IPCSHARE_MPI_TYPE_H
#define IPCSHARE_MPI_TYPE_H

#include <ipcshare_coll.h>
#include <mpi.h>
#include <stdbool.h>

/* The op; NULL: it is the program's own, or none that the library has. */
const struct ipcshare_op *ipcshare__mpi_op(MPI_Op op);

/* What @op, one of ours, reduces elements of @type as; IPCSHARE_TYPES: it doesn't. */
enum ipcshare_type ipcshare__mpi_reducible(MPI_Datatype type, const struct ipcshare_op *op);

/* Do elements that follow each other in memory have the bytes of their signature, in its order, without gaps? */
bool ipcshare__mpi_is_flat(MPI_Datatype type);

#endif
