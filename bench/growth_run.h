/* SPDX-License-Identifier: BSD-3-Clause */
/* growth_run.h - what groups of few ranks hold, call and take here, for the costs of the model */
#ifndef BENCH_GROWTH_RUN_H
#define BENCH_GROWTH_RUN_H

#include "growth.h"

/* Shares of so many buffers in so many regions: X(id, buffers, regions). */
#define GROWTH_SHARES(X)                                                                           \
	X(ONE, 1, 1)                                                                               \
	X(REGIONS, 64, 64)                                                                         \
	X(BUFFERS, 20000, 1)                                                                       \
	X(BOTH, 20000, 64)	/* the model is checked with it: no cost comes from its memory */

enum growth_share {
#define GROWTH_SHARE_ENUM(id, buffers, regions) GROWTH_SHARE_##id,
	GROWTH_SHARES(GROWTH_SHARE_ENUM)
#undef GROWTH_SHARE_ENUM
	GROWTH_NSHARES
};

#define GROWTH_SHARE_BYTES ((size_t)4 << 20)	/* of each rank in each of them */

/* Of the rank with the most; the least of some tries, for what others take is no cost of ours. In seconds. */
struct growth_sample {
	double group;			/* private bytes of a group */
	double round, create;
	struct growth_shared {
		double set;		/* private bytes of a set, and of what is known of its regions */
		double first, again;
		double calls[IPCSHARE_CALLS], call_time[IPCSHARE_CALLS];
		double blob;		/* bytes */
		double mapped;		/* bytes of peers */
		/* of the context, with its group, when the set is there: memfds, their bytes, descriptors */
		double maps, maps_bytes, files;
	} of[GROWTH_NSHARES];
	double copy;			/* of a byte of the next rank; 0: there is none */
};

/**
 * growth_sample - what the first @ranks of the job do, while the others sleep; collective over the job
 * @full: all of the shares; else what the model is checked with, and the first one, for its rounds
 * @files: descriptors that should be open in the end, by shares: what a broker has still to close is
 *         waited for; NULL: no matter
 *
 * Return: 0; -1 on every rank, and why is printed
 */
int growth_sample(int ranks, int full, const double *files, struct growth_sample *out);

/** growth_shape_of - of these shares */
struct growth_shape growth_shape_of(enum growth_share share, int ranks);

#endif
