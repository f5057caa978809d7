/* SPDX-License-Identifier: BSD-3-Clause */
/* What calls came to: the library's way, or MPI's own for one of the reasons there are. */
#ifndef IPCSHARE_MPI_FALLBACK_H
#define IPCSHARE_MPI_FALLBACK_H

#include <ipcshare_mpi.h>

/* A call is left to MPI. The first one of each reason is logged. */
void ipcshare__mpi_fall_back(enum ipcshare_mpi_reason why);
void ipcshare__mpi_count_call(void);
void ipcshare__mpi_count_packed(void);

#endif
