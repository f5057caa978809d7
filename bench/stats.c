/* SPDX-License-Identifier: BSD-3-Clause */
#include "stats.h"

#include <stdlib.h>

#include <mpi.h>

#include "bench.h"

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct middle middle_of_ratios(const double *values, const double *baseline, unsigned n)
{
	double *sorted = malloc(n * sizeof(*sorted));
	struct middle m;

	if (!sorted)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	for (unsigned k = 0; k < n; k++)
		sorted[k] = baseline ? values[k] / baseline[k] : values[k];
	qsort(sorted, n, sizeof(*sorted), by_value);
	m.median = sorted[n / 2];
	m.spread = m.median > 0 ? (sorted[(3 * n) / 4] - sorted[n / 4]) / m.median : 0;
	free(sorted);
	return m;
}

struct middle middle_of(const double *values, unsigned n)
{
	return middle_of_ratios(values, NULL, n);
}
