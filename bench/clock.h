/* SPDX-License-Identifier: BSD-3-Clause */
/* clock.h - the time, and the time on a core */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <time.h>

static inline double clock_read(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/** now - seconds since some moment, the same for all processes of a machine */
static inline double now(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

/** now_on_core - seconds that this thread has had a core: for loops that wait for nobody */
static inline double now_on_core(void)
{
	return clock_read(CLOCK_THREAD_CPUTIME_ID);
}

#endif
