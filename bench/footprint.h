/* SPDX-License-Identifier: BSD-3-Clause */
/* footprint.h - how much private memory this process holds */
#ifndef BENCH_FOOTPRINT_H
#define BENCH_FOOTPRINT_H

#include <stddef.h>

struct footprint {
	size_t allocated;	/* bytes that malloc() gave and has not got back; 0 if it can't tell */
	size_t resident;	/* bytes of anonymous pages in memory: what is shared doesn't count */
};

struct footprint footprint_now(void);

/** footprint_growth - the larger of both growths, in bytes; 0 if there is none */
size_t footprint_growth(const struct footprint *before, const struct footprint *after);

#endif
