/* SPDX-License-Identifier: BSD-3-Clause */
/* tune.h - between timing two ways of a collective (tune_run.c) and where they cross (tune.c) */
#ifndef BENCH_TUNE_H
#define BENCH_TUNE_H

#include "coll.h"

/* A context each, with the setting in which one of them is taken whatever the size. */
#define TUNE_WAYS 2

struct tune {
	struct coll_options options;
	struct team teams[TUNE_WAYS];
	struct coll colls[TUNE_WAYS];
};

/* One measurement: @what with blocks of @size bytes. */
struct tune_case {
	const struct collective *what;
	size_t size;
	unsigned rounds, calls;	/* calls in a row that are timed as one */
	double *seconds[TUNE_WAYS];	/* of a call, for each round */
};

/* What decides between the ways, in the environment: with cores of their own, with more ranks. */
struct tune_setting {
	const char *name, *crowded;
	const char *always[TUNE_WAYS];	/* the value with which each way is always taken */
};

/**
 * tune_open - both contexts; what the environment said before is back afterwards
 * @room: bytes that a rank needs on either side
 *
 * Return: 0, or -1 on every rank and it is printed
 */
int tune_open(struct tune *t, const struct tune_setting *s, const struct coll_options *options,
	      size_t room);

/**
 * tune_close - end them
 * @failed: drop them
 *
 * Return: 0, or -1 on every rank and it is printed
 */
int tune_close(struct tune *t, int failed);

/** tune_is_crowded - more ranks than cores, as the library sees it */
int tune_is_crowded(const struct tune *t);

/**
 * tune_measure - measure and verify, both ways in each round; collective over the job
 * @c: all but the seconds, for which there is room, is the caller's
 *
 * Return: 0; -1 on every rank, and what failed where is printed
 */
int tune_measure(struct tune *t, struct tune_case *c);

#endif
