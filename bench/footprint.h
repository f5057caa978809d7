/* SPDX-License-Identifier: BSD-3-Clause */
/* footprint.h - how much private memory this process holds */
#ifndef BENCH_FOOTPRINT_H
#define BENCH_FOOTPRINT_H

#include <stddef.h>

struct footprint {
	size_t allocated;	/* bytes that malloc() gave and has not got back */
	size_t taken;		/* bytes that malloc() has from the system */
	size_t resident;	/* bytes of anonymous pages in memory: what is shared doesn't count */
};

/** footprint_now - where malloc() can't tell, what it has is among the resident bytes alone */
struct footprint footprint_now(void);

/** footprint_growth - of what malloc() gave, and of resident bytes that it has not taken; 0 if none */
size_t footprint_growth(const struct footprint *before, const struct footprint *after);

#endif
