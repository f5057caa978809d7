/* SPDX-License-Identifier: BSD-3-Clause */
/* scaling.h - between running the model (scaling.c) and showing it (scaling_show.c) */
#ifndef BENCH_SCALING_H
#define BENCH_SCALING_H

#include <stdint.h>
#include <stdio.h>

#include "growth_check.h"
#include "options.h"
#include "team.h"

#define SCALING_IDS 31		/* that a whitelist call of the ascend backend takes */
#define SCALING_RANKS 65536u	/* of a group, at most */
#define SCALING_NODES 10000000u

struct scaling {
	struct option_numbers ranks, nodes;
	uint64_t buffers, regions, bytes;
	struct option_texts set_costs;
	const char *network;
	int spoil;
	struct growth_costs costs;
	struct growth_sample one, two, all;
	struct growth_check checks[GROWTH_CHECKS];
	int nchecks;
	struct team team;
	FILE *json;
};

/** scaling_show - all of it, on rank 0; and the figures, if there is a file for them */
void scaling_show(const struct scaling *m);

/** scaling_text - a figure of a column in its unit; returns @out of REPORT_TEXT bytes */
const char *scaling_text(double value, const char *unit, char *out);

#endif
