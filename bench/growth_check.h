/* SPDX-License-Identifier: BSD-3-Clause */
/* growth_check.h - the costs of the model from samples of few ranks, and the model against another sample */
#ifndef BENCH_GROWTH_CHECK_H
#define BENCH_GROWTH_CHECK_H

#include "growth_run.h"

/** growth_fit - costs of what samples of one rank and of two show; ids, latency and bandwidth stay */
void growth_fit(const struct growth_sample *one, const struct growth_sample *two,
		struct growth_costs *costs);

#define GROWTH_EXACT 0.0
#define GROWTH_SET_BOUND 0.1	/* of what is there */
/* So little that what malloc() keeps for a thread of freed pieces is a part of it. */
#define GROWTH_GROUP_BOUND 0.25
#define GROWTH_NO_BOUND (-1.0)	/* of times, which others on the machine change */

struct growth_check {
	const char *name, *unit;
	double model, real;
	double bound;
};
#define GROWTH_CHECKS 14

/**
 * growth_check - the model for @ranks ranks against what these did, in a share that no memory cost is from
 * @direct: the backend keeps its memory in memfds that are mapped, so these can be counted
 * @ids: that a whitelist call of this backend takes
 *
 * Return: how many there are in @out
 */
int growth_check(const struct growth_costs *costs, int ranks, int direct, double ids,
		 const struct growth_sample *real, struct growth_check out[GROWTH_CHECKS]);

/** growth_check_is_good - within its bound? */
int growth_check_is_good(const struct growth_check *check);

/** growth_files - descriptors that stay open in each of the shares */
void growth_files(int ranks, double files[GROWTH_NSHARES]);

#endif
