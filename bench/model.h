/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * model.h - calls times an assumed cost of each: a model of a machine that is not here
 *
 * The costs are nobody's measurement. They show what the number of calls would mean.
 */
#ifndef BENCH_MODEL_H
#define BENCH_MODEL_H

#include <stdint.h>

#include <ipcshare.h>

struct model {
	double cost[IPCSHARE_CALLS];	/* seconds */
};

/** model_assumed - the costs that are assumed unless told otherwise */
struct model model_assumed(void);

/** model_set - "export=20us", also with ns and ms; the calls are named with - for blanks. -1: not that */
int model_set(struct model *m, const char *text);

/** model_time - so many calls, in seconds */
double model_time(const struct model *m, const double calls[IPCSHARE_CALLS]);

#endif
