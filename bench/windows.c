/* SPDX-License-Identifier: BSD-3-Clause */
#include "windows.h"

#include <stdlib.h>

#include <mpi.h>

#include "bench.h"
#include "clock.h"
#include "word.h"

#define CHECKED 1000	/* buffers of a rank */

struct windows {
	const struct team *team;
	MPI_Comm node;
	size_t n, len, count;
	MPI_Win *window;
	char **at;	/* buffer i of rank r at i * npeers + r */
};

/* Buffers @first to @end are this window's. */
static void open_window(struct windows *w, size_t k, size_t first, size_t end)
{
	const size_t npeers = (size_t)w->team->npeers;
	char *base;

	MPI_Win_allocate_shared((MPI_Aint)((end - first) * w->len), 1, MPI_INFO_NULL, w->node,
				&base, &w->window[k]);
	for (size_t r = 0; r < npeers; r++) {
		MPI_Aint size;
		int unit;

		MPI_Win_shared_query(w->window[k], (int)r, &size, &unit, &base);
		for (size_t i = first; i < end; i++)
			w->at[i * npeers + r] = base + (i - first) * w->len;
	}
}

/* Some, if there are many: each may be a page fault. */
static int verify(const struct windows *w, unsigned serial)
{
	const size_t npeers = (size_t)w->team->npeers, step = w->n / CHECKED + 1;
	char why[TEAM_TEXT];
	int err = 0;

	for (size_t i = 0; i < w->n; i += step)
		word_write(w->team, w->at[i * npeers + (size_t)w->team->peer], i, serial, why);
	for (size_t k = 0; k < w->count; k++)
		MPI_Win_fence(0, w->window[k]);
	for (size_t i = 0; i < w->n; i += step)
		for (size_t r = 0; r < npeers && !err; r++)
			err = word_check(w->team, w->at[i * npeers + r], (int)r, i, serial, why);
	return team_verdict(err ? why : NULL);
}

int windows_share(const struct team *team, MPI_Comm node, size_t n, size_t len, size_t count,
		  unsigned serial, double *seconds)
{
	struct windows w = { .team = team, .node = node, .n = n, .len = len, .count = count };
	double start;
	int err;

	w.window = calloc(count, sizeof(MPI_Win));
	w.at = calloc(n * (size_t)team->npeers, sizeof(*w.at));
	if (!w.window || !w.at)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	MPI_Barrier(node);
	start = now();
	for (size_t k = 0; k < count; k++)
		open_window(&w, k, k * n / count, (k + 1) * n / count);
	*seconds = now() - start;
	err = verify(&w, serial);
	for (size_t k = 0; k < count; k++)
		MPI_Win_free(&w.window[k]);
	free(w.window);
	free(w.at);
	return err;
}
