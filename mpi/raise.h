/* SPDX-License-Identifier: BSD-3-Clause */
/* The last error as one of MPI's, for calls that have MPI's signatures. */
#ifndef IPCSHARE_MPI_RAISE_H
#define IPCSHARE_MPI_RAISE_H

#include <ipcshare_mpi.h>

/*
 * The error handler of @comm is called, with a code whose text is that of the last error; returns
 * the code, if the handler does.
 */
int ipcshare__mpi_raise(MPI_Comm comm);

#endif
