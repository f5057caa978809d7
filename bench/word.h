/* SPDX-License-Identifier: BSD-3-Clause */
/* word.h - the first 8 bytes of a small buffer: they say whose it is, which one, and since when */
#ifndef BENCH_WORD_H
#define BENCH_WORD_H

#include <stddef.h>
#include <stdint.h>

#include "pattern.h"
#include "team.h"

/* No two owners, buffers or serials have the same. */
static inline uint64_t word_of(int owner, size_t i, unsigned serial)
{
	return pattern_mix((uint64_t)(owner + 1) << 54 ^ (uint64_t)serial << 34 ^ i);
}

/** word_write - into buffer @i of this rank, of whichever memory; 0, or -1 and @why */
int word_write(const struct team *team, void *buf, size_t i, unsigned serial, char *why);

/** word_wrong - look again at what is not as it should be, or can't be looked at so: as word_check() */
int word_wrong(const struct team *team, const void *buf, int owner, size_t i, unsigned serial,
	       char *why);

/** word_check - is it what @owner wrote? 0, or -1 and @why */
static inline int word_check(const struct team *team, const void *buf, int owner, size_t i,
			     unsigned serial, char *why)
{
	if (team->direct && buf && *(const uint64_t *)buf == word_of(owner, i, serial))
		return 0;
	return word_wrong(team, buf, owner, i, serial, why);
}

#endif
