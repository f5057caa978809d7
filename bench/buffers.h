/* SPDX-License-Identifier: BSD-3-Clause */
/* buffers.h - a workload's buffers, placed in allocations */
#ifndef BENCH_BUFFERS_H
#define BENCH_BUFFERS_H

#include <ipcshare.h>

#include "workload.h"

#define BUFFERS_ALIGN ((size_t)128)

enum layout {
	LAYOUT_SLABS,	/* cut from few allocations, in order, at multiples of BUFFERS_ALIGN */
	LAYOUT_EACH,	/* one allocation each: the raw way */
};

struct slab {
	void *base;
	size_t len;
};

struct buffers {
	struct ipcshare_buf *buf;
	size_t n;
	uint64_t bytes;		/* of the buffers, without what alignment adds */
	struct slab *slabs;
	size_t nslabs;
	size_t *slab_of;	/* of each buffer */
	size_t *offset_of;
};

/**
 * buffers_plan - decide where each buffer goes; allocates nothing shareable
 * @slab: largest allocation with LAYOUT_SLABS; a buffer that is larger gets its own
 *
 * Return: 0, or -1 if out of memory
 */
int buffers_plan(struct buffers *b, const struct workload *w, enum layout layout, size_t slab);

/** buffers_alloc - make the allocations; 0 or the library's status: drop the context then */
int buffers_alloc(struct buffers *b, struct ipcshare_ctx *ctx);

/** buffers_free - give the allocations back; 0 or the library's status, and it stops there */
int buffers_free(struct buffers *b, struct ipcshare_ctx *ctx);

/** buffers_drop - forget the plan */
void buffers_drop(struct buffers *b);

#endif
