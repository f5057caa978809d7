/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * growth.h - what grows with the ranks of a node and with the nodes, as formulas: a model
 *
 * Nothing here is measured. The formulas take what a rank holds, calls, reads and waits for, and the
 * costs, which growth_run.c measures with two ranks (docs/scaling.md has both as a table).
 */
#ifndef BENCH_GROWTH_H
#define BENCH_GROWTH_H

#include "model.h"

struct growth_shape {
	double ranks;		/* of a node, all in one group */
	double nodes;
	double buffers, regions;	/* of each rank; no two buffers in a row make a run */
	double bytes;		/* of a rank's regions together */
};

/* Of one machine, in seconds and bytes. */
struct growth_costs {
	struct model calls;	/* of the backend, for a region; a whitelist: for a call */
	double message;		/* to a peer, for all its regions that are imported at once */
	double ids;		/* processes that a whitelist call takes; 0: all */
	double round, line;	/* a round of one rank, and for each other rank */
	double create, meet;	/* a group of one rank, and for each other rank */
	double again, first;	/* for each buffer of each rank in a share: in memory that is kept, or new */
	double copy;		/* a byte of a peer, while all ranks copy */
	double latency, bandwidth;	/* of a message between nodes, and of a node: bytes a second */

	double board;		/* a rank's control page and slots, which all ranks map */
	double page;		/* of the system */
	double group, peer;	/* private, of a group: of one rank, and for each other rank */
	double set, row;	/* of a set, so too */
	double own, other;	/* for each region: of this rank, and of another one */
	double cell;		/* for each buffer of each rank */
	double kept;		/* and once more of its own, kept for the next share */
};

/* X(id, name, unit, budget): the budgets are what we take for too much, in that unit; 0: the system's. */
#define GROWTH_COLUMNS(X)                                                                          \
	X(MEMORY, "memory", "bytes", 1073741824.0)		/* of a rank */                    \
	X(FILES, "descriptors", "files", 0)			/* the most at a time */           \
	X(MAPS, "mappings", "maps", 0)                                                             \
	X(CALLS, "driver calls", "calls", 10000.0)		/* of a first share */             \
	X(BYTES, "bytes read", "bytes", 1073741824.0)		/* creating a group and a first share */\
	X(CREATE, "group", "s", 10.0)                                                              \
	X(FIRST, "first share", "s", 1.0)                                                          \
	X(AGAIN, "re-share", "s", 0.1)                                                             \
	X(SHORT, "allreduce 8 B", "s", 10e-6)                                                     \
	X(LONG, "allreduce 64 MiB", "s", 0.1)

enum growth_column {
#define GROWTH_ENUM(id, name, unit, budget) GROWTH_##id,
	GROWTH_COLUMNS(GROWTH_ENUM)
#undef GROWTH_ENUM
	GROWTH_NCOLUMNS
};

#define GROWTH_TERMS 6
#define GROWTH_BOARD 131712	/* bytes of a rank's control page and slots, before whole pages */

struct growth_term {
	const char *name;	/* NULL: there are no more */
	const char *formula;
	double value;
};

struct growth_terms {
	struct growth_term of[GROWTH_TERMS + 1];
	double sum;
};

/** growth_column - all terms of a column */
struct growth_terms growth_column(enum growth_column column, const struct growth_costs *costs,
				  const struct growth_shape *shape);

/* Of the descriptors: the terms that stay. The others come and go with a group and its first shares. */
#define GROWTH_FILES_THAT_STAY 3

/** growth_most - the largest term */
const struct growth_term *growth_most(const struct growth_terms *terms);

/** growth_blob - bytes that a rank sends in a share; @told: the group knows the regions */
double growth_blob(const struct growth_shape *shape, int told);

/** growth_rounds - of a share with such a blob, the verdict with them */
double growth_rounds(double blob);

/** growth_network - "2us,25GB/s", also with ns, ms and MB/s. -1: not that */
int growth_network(struct growth_costs *costs, const char *text);

#endif
