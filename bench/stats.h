/* SPDX-License-Identifier: BSD-3-Clause */
/* stats.h - the middle of many measurements */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

/* The median, and how far the middle half of the values spreads, as a part of the median. */
struct middle {
	double median, spread;
};

/** middle_of - of @n values, 1 or more */
struct middle middle_of(const double *values, unsigned n);

/**
 * middle_of_ratios - of @values to @baseline, round by round
 *
 * So what slows a whole round down is no matter.
 */
struct middle middle_of_ratios(const double *values, const double *baseline, unsigned n);

#endif
