/* SPDX-License-Identifier: BSD-3-Clause */
/* waiting.h - what a rank that waits in a call of MPI does with its core */
#ifndef BENCH_WAITING_H
#define BENCH_WAITING_H

enum waiting { WAITING_UNKNOWN, WAITING_YIELDS, WAITING_SPINS };

/** waiting_of_mpi - as the MPI of this job says itself; only Open MPI does */
enum waiting waiting_of_mpi(void);

#endif
