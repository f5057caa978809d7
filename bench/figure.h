/* SPDX-License-Identifier: BSD-3-Clause */
/* figure.h - one measured figure, its spread and what it is compared with, as a line of JSON */
#ifndef BENCH_FIGURE_H
#define BENCH_FIGURE_H

#include <stddef.h>
#include <stdio.h>

#include "stats.h"
#include "team.h"

/* Texts are plain: no quotes or control characters. */
struct figure {
	const char *bench;
	const char *workload;	/* what it was measured on: "new" */
	const char *order;	/* NULL: there is but one */
	const char *place;	/* "bound": each rank has cores of its own; NULL: no matter */
	const char *memory;	/* "shared", "private"; NULL: no matter */
	const char *things;	/* "pieces": what there are @count of */
	size_t count;
	size_t bytes;		/* of each; 0: no matter */
	unsigned rounds;
	const char *stage;	/* what was done to them */
	const char *metric, *unit;
	struct middle value;
	const char *baseline;	/* a stage, or NULL: there is none */
	double baseline_value;
	struct middle ratio;	/* to the baseline */
};

void figure_json(FILE *to, const struct team *team, const struct figure *f);

#endif
