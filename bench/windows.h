/* SPDX-License-Identifier: BSD-3-Clause */
/* windows.h - buffers shared by MPI_Win_allocate_shared: a window for each, or one for all */
#ifndef BENCH_WINDOWS_H
#define BENCH_WINDOWS_H

#include "team.h"

/**
 * windows_share - a pointer to each of @n buffers of @len bytes of each rank; collective over @node
 * @count: windows: @n, or 1
 * @seconds: what it took this rank to have them; ending the windows is not timed
 *
 * Return: 0; -1 on every rank, and what failed where is printed
 */
int windows_share(const struct team *team, MPI_Comm node, size_t n, size_t len, size_t count,
		  unsigned serial, double *seconds);

#endif
