/* SPDX-License-Identifier: BSD-3-Clause */
/* What happens when a process comes to a point of the library (base/point.h), as a test wants it. */
#ifndef TEST_POINT_H
#define TEST_POINT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* A point as it is met in a step of a workload, for the nth time there. */
struct point_place {
	const char *point;
	int step, nth;
};

/*
 * The places that a process has come to, in order; in memory that others see. Of a broker's, which comes when
 * others ask, only the first in each step: the rest may come in the next one.
 */
#define POINT_PLACES 2000
struct point_record {
	_Atomic size_t n;
	struct point_place places[POINT_PLACES];
};

/* All points that the library has; names may occur twice. */
const char *const *point_names(size_t *n);

/* From now on the process is in that step. */
void point_step(int step);
/* Note where it comes to; NULL: no more. */
void point_watch(struct point_record *record);
/* When it first comes to @place it gets @signal, and the time of that is in @struck_ns just before. */
void point_arm(struct point_place place, int signal, _Atomic uint64_t *struck_ns);
/* Call @fn at each point, in whichever thread comes there; NULL: no more. */
void point_delay(void (*fn)(void));

#endif
