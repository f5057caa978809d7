/* SPDX-License-Identifier: BSD-3-Clause */
/* pairs.h - between trying pairs (pairs.c) and showing what came out (pairs_show.c) */
#ifndef BENCH_PAIRS_H
#define BENCH_PAIRS_H

#include <stdint.h>
#include <stdio.h>

#include <ipcshare.h>

#include "team.h"

/* Outcomes of a pair beside enum ipcshare_status. */
enum {
	PAIRS_ELSEWHERE = 1,	/* on another node: not tried */
	PAIRS_WRONG_READ,	/* what was read is not what the owner wrote */
	PAIRS_WRONG_WRITTEN,	/* the owner did not get what was written */
};

/* What rank @row of the job found out about another. */
struct pairs_cell {
	int status;
	int device;	/* of the other rank */
	double rate;	/* bytes a second of reading it; 0: not timed */
};

struct pairs_options {
	uint64_t size;
	uint64_t spoil;	/* rank of the job whose bytes get a flipped bit; OPTION_NONE: none */
};

struct pairs {
	const struct pairs_options *options;
	const struct team *team;
	struct ipcshare_set *set;
	/* Own, shared: @size bytes for the peers to read, a mark of each of them, and our own. */
	char *shared;
	char *landing;		/* own, not shared: where a peer's bytes come to */
	char *seen, *expected;	/* @size bytes of host memory each */
	struct pairs_cell *row;	/* by rank in the job */
	char first[TEAM_TEXT];	/* this rank's first failure; "" none */
};

/* All rows, and for each rank of the job the first rank of its node. */
struct pairs_result {
	int size;
	struct pairs_cell *cells;
	int *node;
	char *texts;
	uint64_t npairs, nbad, nself;	/* ordered pairs, those that fail, ranks that fail alone */
};

/** pairs_head - rank 0: what is about to be tried */
void pairs_head(const struct pairs *p);

/**
 * pairs_collect - bring all rows to rank 0; collective over the job
 *
 * Return: 0 all pairs are fine; -1 some are not, on every rank. pairs_drop() either way.
 */
int pairs_collect(const struct pairs *p, struct pairs_result *r);
void pairs_drop(struct pairs_result *r);

/** pairs_print - rank 0: who reaches whom, how fast, and on standard error what failed */
void pairs_print(const struct pairs_result *r);

/** pairs_json - rank 0: a line for each pair, and for each rank with itself, the baseline */
void pairs_json(FILE *to, const struct pairs *p, const struct pairs_result *r);

#endif
