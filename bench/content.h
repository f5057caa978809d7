/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * content.h - what ranks send in a row of collective calls, and what must come of it
 *
 * All elements follow from the rank, the place and the time of writing. The first of each block is
 * another in every call, and a call sends on what the one before has brought: what should have come
 * cancels out, an error stays, so that the last call shows the errors of all.
 */
#ifndef BENCH_CONTENT_H
#define BENCH_CONTENT_H

#include <stdint.h>

#include "collective.h"

struct content {
	const struct collective *what;
	struct collective_call *call;
	size_t sent;		/* elements that this rank sends */
	unsigned calls;		/* in a row */
	uint32_t serial;	/* of the first of them */
	float *says, *hears;	/* first elements in each: what is sent, and the sum of what must come */
	float off;		/* what came last, less what should have */
	float *expected;	/* some elements */
};

/** content_open - for a row of @calls; ends the job if there is no memory */
void content_open(struct content *c, const struct collective *what, struct collective_call *call,
		  unsigned calls);
void content_close(struct content *c);

/**
 * content_write - all that this rank sends, anew
 * @spoil: one element is wrong
 */
void content_write(struct content *c, int spoil);

/** content_begin - make ready for call @k of the row: its root, and what is sent first */
void content_begin(struct content *c, unsigned k);

/** content_end - take what call @k has brought first */
void content_end(struct content *c, unsigned k);

/* The first element that is not what it must be. */
struct content_diff {
	int block;
	size_t offset;		/* bytes, in the block */
	float saw, expected;
};

/** content_check - all elements that the last call of the row has brought; 0, or -1 and @diff */
int content_check(struct content *c, struct content_diff *diff);

#endif
