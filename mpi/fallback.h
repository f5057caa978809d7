/* SPDX-License-Identifier: BSD-3-Clause */
/* What calls came to: the library's way, or MPI's own for one of the reasons there are. */
#ifndef IPCSHARE_MPI_FALLBACK_H
#define IPCSHARE_MPI_FALLBACK_H

#include <ipcshare_mpi.h>
#include <stdbool.h>

/* A call is left to MPI. The first one of each reason is logged. */
void ipcshare__mpi_fall_back(enum ipcshare_mpi_reason why);
void ipcshare__mpi_count_call(bool across);
void ipcshare__mpi_count_crossed(size_t bytes);
void ipcshare__mpi_count_packed(void);

#endif
