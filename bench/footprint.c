/* SPDX-License-Identifier: BSD-3-Clause */
#include "footprint.h"

#include <malloc.h>
#include <stdio.h>

static size_t anonymous_pages(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	size_t kib = 0;

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "RssAnon: %zu", &kib) != 1)
		;
	if (f)
		fclose(f);
	return kib << 10;
}

struct footprint footprint_now(void)
{
	struct footprint p = { .resident = anonymous_pages() };

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
	struct mallinfo2 m = mallinfo2();

	p.allocated = m.uordblks + m.hblkhd;
	p.taken = m.arena + m.hblkhd;
#endif
	return p;
}

static size_t growth(size_t before, size_t after)
{
	return after > before ? after - before : 0;
}

size_t footprint_growth(const struct footprint *before, const struct footprint *after)
{
	return growth(before->allocated, after->allocated) +
	       growth(before->resident + growth(before->taken, after->taken), after->resident);
}
