/* SPDX-License-Identifier: BSD-3-Clause */
/* arena.h - between timing an arena (arena_run.c) and asking for and showing it (arena.c) */
#ifndef BENCH_ARENA_H
#define BENCH_ARENA_H

#include <stdint.h>

#include "team.h"

/* Where buffers come from: X(id, name). The first is what the other is compared with. */
#define ARENA_WAYS(X)                                                                              \
	X(MALLOC, "malloc")                                                                        \
	X(ARENA, "arena")

enum arena_way {
#define ARENA_WAY_ENUM(id, name) ARENA_WAY_##id,
	ARENA_WAYS(ARENA_WAY_ENUM)
#undef ARENA_WAY_ENUM
	ARENA_NWAYS
};

#define ARENA_THREADS 64	/* at most */

/* One measurement: buffers of @size bytes by each of some threads. */
struct arena_case {
	size_t size;
	unsigned threads;
	size_t batch;		/* allocated before they are freed in random order; 1: freed at once */
	size_t n;		/* pairs of a call to allocate and one to free, of each thread a round */
	unsigned rounds;
	double *seconds[ARENA_NWAYS];	/* of each round, until the last thread was done */
	int spoil;
};

/**
 * arena_run - measure and verify; on one rank
 * @c: all is the caller's
 * @why: TEAM_TEXT bytes
 *
 * After each round every thread takes a batch once more, fills it, and when all have done so compares
 * every byte. Return: 0, or -1 and *@why
 */
int arena_run(const struct team *team, struct ipcshare_arena *arena, struct arena_case *c, char *why);

#endif
