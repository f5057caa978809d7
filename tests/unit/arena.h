/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of arenas have in common. */
#ifndef TEST_ARENA_H
#define TEST_ARENA_H

#include <stdio.h>

#include "team.h"

/* With these options, 0 for the defaults; a failure ends the test. */
static inline struct ipcshare_arena *arena_with(struct ipcshare_ctx *ctx, size_t align, size_t slab,
						size_t slab_max)
{
	struct ipcshare_arena_options o = IPCSHARE_ARENA_OPTIONS_INIT;
	struct ipcshare_arena *arena = NULL;

	o.align = align;
	o.slab = slab;
	o.slab_max = slab_max;
	REQUIRE_OK(ipcshare_arena_create(ctx, &o, &arena));
	return arena;
}

static inline void *arena_alloc(struct ipcshare_arena *arena, size_t len)
{
	void *p = NULL;

	REQUIRE_OK(ipcshare_arena_alloc(arena, len, &p));
	return p;
}

static inline struct ipcshare_arena_stats arena_stats(struct ipcshare_arena *arena)
{
	struct ipcshare_arena_stats s = { .size = sizeof(s) };

	REQUIRE_OK(ipcshare_arena_stats(arena, &s));
	return s;
}

#endif
