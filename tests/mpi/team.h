/* SPDX-License-Identifier: BSD-3-Clause */
/* What the MPI tests share: a context of each rank, and content that says whose it is. */
#ifndef TESTS_MPI_TEAM_H
#define TESTS_MPI_TEAM_H

#include <ipcshare_mpi.h>

int team_rank(void); /* in MPI_COMM_WORLD */
int team_size(void);
int team_is_last(void);

/* On backends with devices, each rank has the device of its number. */
struct ipcshare_options team_options(void);

extern struct ipcshare_ctx *team_ctx;
void team_open(void); /* setup and teardown of suites */
void team_close(void);

/* A byte that only buffer @i of world rank @rank has at @offset. */
unsigned char team_byte(int rank, size_t i, size_t offset);
/* By ipcshare_copy(), as device memory is out of reach for loads and stores: @n buffers in a row. */
void team_fill(void *buf, size_t n, size_t len, int rank, size_t first);
int team_check(const void *buf, size_t len, int rank, size_t i);

/* The same number on every rank of the world? */
void team_check_same(const char *what, int value);

/* Leave a group and memory for team_after_mpi(), which uses them after MPI_Finalize: 0 all is well. */
void team_leave(struct ipcshare_ctx *ctx, struct ipcshare_group *group, struct ipcshare_set *set);
int team_after_mpi(void);

#endif
