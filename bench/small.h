/* SPDX-License-Identifier: BSD-3-Clause */
/* small.h - between timing shares of many small buffers (small_run.c) and showing them (small.c) */
#ifndef BENCH_SMALL_H
#define BENCH_SMALL_H

#include <stddef.h>
#include <stdint.h>

#include "options.h"
#include "raw.h"
#include "team.h"

/* What is timed: X(id, name). */
#define SMALL_STAGES(X)                                                                            \
	X(ARENA, "arena")		/* the buffers are allocated */                            \
	X(COLD, "cold share")		/* the first one of a context */                           \
	X(FIRST, "first share")		/* of memory that no peer knows */                         \
	X(AGAIN, "re-share")		/* of the same buffers, after the first set was freed */   \
	X(GATHER, "MPI_Allgatherv")	/* of as many bytes as a re-share sends */                 \
	X(ROWS, "rows")			/* a loop that writes what a set holds */                  \
	X(RAW, "raw")			/* see raw.h */                                            \
	X(WINDOWS, "a window each")                                                                \
	X(WINDOW, "one window")

enum small_stage {
#define SMALL_STAGE_ENUM(id, name) SMALL_STAGE_##id,
	SMALL_STAGES(SMALL_STAGE_ENUM)
#undef SMALL_STAGE_ENUM
	SMALL_NSTAGES
};

struct small_options {
	struct option_numbers buffers;	/* how many; none: several */
	uint64_t size;
	uint64_t rounds;
	uint64_t raw;		/* buffers that the raw way shares, at most; 0: the default */
	int spoil;
};

/* So many buffers of each rank, in order of their addresses or shuffled. */
struct small_case {
	size_t n, len;
	int shuffled;
	size_t raw, windows;	/* buffers that are shared so, one by one; 0: none */
	int window;		/* one for all is measured */
	unsigned rounds;
	unsigned repeats;	/* of what is short, in each round; its median counts */
	size_t sent;		/* bytes of a rank's descriptors in a re-share */
	/* By rounds; of the slowest rank; seconds for a buffer. */
	double *seconds[SMALL_NSTAGES];
	double *raw_seconds[RAW_NSTEPS];
	double *memory;		/* bytes that a rank holds for each buffer it shares */
	/* Backend calls of the rank with the most: of a whole share, and raw of one buffer. */
	double first_calls[IPCSHARE_CALLS];
	double again_calls[IPCSHARE_CALLS];
	double raw_calls[IPCSHARE_CALLS];
};

struct small;

/**
 * small_open - what rounds of up to @most buffers need
 * @node: the ranks of the group, in its order
 */
struct small *small_open(const struct small_options *options, const struct team *team,
			 MPI_Comm node, size_t most);

/**
 * small_round - measure each stage once and verify; collective over the job
 *
 * Return: 0; -1 on every rank, and what failed where is printed: abandon the context then
 */
int small_round(struct small *s, struct small_case *c, unsigned round);

void small_close(struct small *s);

#endif
