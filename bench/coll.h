/* SPDX-License-Identifier: BSD-3-Clause */
/* coll.h - between timing collectives (coll_run.c) and asking for and showing them (coll.c) */
#ifndef BENCH_COLL_H
#define BENCH_COLL_H

#include <stdint.h>

#include "collective.h"
#include "flags.h"
#include "options.h"
#include "team.h"
#include "waiting.h"

/* What is timed in turns: X(id, name). */
#define COLL_WAYS(X)                                                                               \
	X(OURS, "ipcshare")                                                                        \
	X(MPI, "MPI")                                                                              \
	X(MEMCPY, "memcpy")		/* as many bytes, by all ranks at once, all their own */   \
	X(PEER, "peer memcpy")		/* the same bytes that another rank has just written */    \
	X(FLAGS, "flag exchange")	/* nothing but that all have come */

enum coll_way {
#define COLL_WAY_ENUM(id, name) COLL_WAY_##id,
	COLL_WAYS(COLL_WAY_ENUM)
#undef COLL_WAY_ENUM
	COLL_NWAYS
};

#define COLL_SHORT ((size_t)4096)	/* up to here many calls are timed as one */
#define COLL_MOST ((size_t)64 << 20)	/* bytes that a rank has room for, on either side */

struct coll_options {
	struct option_texts names;	/* none: all */
	struct option_numbers sizes;	/* none: the default */
	uint64_t rounds, calls;
	int private;			/* memory that is not shared */
	int views;		/* and no other collectives */
	int spoil;
};

struct coll {
	const struct coll_options *options;
	const struct team *team;
	struct flags flags;
	enum waiting waiting;	/* of MPI */
	size_t room;		/* bytes at @send and at @recv */
	float *send, *recv;
	const float *peer;	/* what the next rank sends; NULL in private memory */
	struct ipcshare_set *set;
};

/* One measurement: @what with blocks of @size bytes. */
struct coll_case {
	const struct collective *what;
	size_t size;
	unsigned rounds, calls;	/* calls in a row that are timed as one */
	int has[COLL_NWAYS];
	double *seconds[COLL_NWAYS];	/* of a call, for each round */
};

/** coll_open - share what the cases need; 0, or -1 on every rank and it is printed */
int coll_open(struct coll *b, const struct coll_options *options, const struct team *team,
	      size_t room);

/**
 * coll_close - also after coll_open() has failed
 * @failed: leave what is shared to ipcshare_abandon()
 *
 * Return: 0, or -1 on every rank and it is printed: abandon the context then
 */
int coll_close(struct coll *b, int failed);

/**
 * coll_measure - measure and verify; collective over the job
 * @c: all but the seconds, for which there is room, is the caller's
 *
 * Return: 0; -1 on every rank, and what failed where is printed: abandon the context then
 */
int coll_measure(struct coll *b, struct coll_case *c);

#endif
