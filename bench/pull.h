/* SPDX-License-Identifier: BSD-3-Clause */
/* pull.h - between timing pulls (pull_run.c) and asking for and showing them (pull.c) */
#ifndef BENCH_PULL_H
#define BENCH_PULL_H

#include <stdint.h>

#include "driver.h"
#include "team.h"

/* The ways to bring many pieces here: X(id, name). The first is what the others are compared with. */
#define PULL_WAYS(X)                                                                               \
	X(LOOP, "loop")                                                                            \
	X(PULL, "pull")                                                                            \
	X(PLAN, "plan")                                                                            \
	X(GET, "MPI_Get")

enum pull_way {
#define PULL_WAY_ENUM(id, name) PULL_WAY_##id,
	PULL_WAYS(PULL_WAY_ENUM)
#undef PULL_WAY_ENUM
	PULL_NWAYS
};

#define PULL_BYTES ((size_t)32 << 20)	/* of a round at most: fewer pieces when they are large */

struct pull_options {
	uint64_t size;		/* 0: all */
	uint64_t pieces;	/* 0: the default of the backend */
	uint64_t rounds;	/* so too */
	int warm;		/* pull again what was just pulled, instead of new bytes */
	int spoil;
};

/* One measurement: @size bytes a piece, in random order or not. */
struct pull_case {
	size_t size, n;
	int random;
	unsigned rounds;
	double *seconds[PULL_NWAYS];	/* of each round; of the rank that pulls */
	int has[PULL_NWAYS];
	struct driver_calls calls[PULL_NWAYS];	/* of the last round, if they are counted */
};

/**
 * pull_run - measure and verify; collective over the job
 * @c: size, n, random, rounds and the arrays are the caller's
 *
 * Return: 0; -1 on every rank, and what failed where is printed: abandon the context then
 */
int pull_run(const struct pull_options *options, const struct team *team, struct pull_case *c);

#endif
