/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The arena: many small buffers in few allocations. A request is rounded up to a size (sizes.h); cells
 * of it come from this thread's stash (stash.h), which is filled from a depot of that size (depot.h),
 * which cuts them from slabs (slab.h), which are regions like all others. What is larger than a quarter
 * of a slab is a region of its own.
 *
 * The first share of depots has all sizes. When threads come, each gets a further one with those that
 * stashes keep, as long as there are some; later threads take turns.
 *
 * Lock order: the table of live handles (when a thread ends), then arena->lock, then a depot's lock. No
 * lock is held while regions are made or freed. Slabs are found without a lock; what is known of one is
 * used again, but not freed while the arena lives, so that a stale pointer finds old bytes of ours at
 * worst.
 */
#ifndef IPCSHARE_MEMORY_ARENA_H
#define IPCSHARE_MEMORY_ARENA_H

#include <pthread.h>

#include "base/index.h"
#include "memory/context.h"
#include "memory/depot.h"
#include "memory/stash.h"

#define IPCSHARE__SLAB_STEP ((size_t)2 << 20) /* a huge page */
#define IPCSHARE__SLAB_MOST ((size_t)1 << 30)
#define IPCSHARE__SHARES_MOST 64u
#define IPCSHARE__SPARE_ROOMS 21 /* log2 of words: of SLAB_MOST in the smallest cells */

struct ipcshare_arena {
	struct ipcshare__owned owned;
	struct ipcshare_ctx *ctx;
	unsigned shift; /* log2 of the alignment */
	size_t slab, slab_max; /* bytes of the first slab of a size, and of the largest */
	size_t most; /* bytes of the largest cell: more is a region of its own */
	struct ipcshare__index slabs; /* by address; changed under the lock */
	pthread_mutex_t lock;
	struct ipcshare__stash *stashes;
	struct ipcshare__slab *spare[IPCSHARE__SPARE_ROOMS]; /* by .room */
	size_t own, own_bytes; /* regions for one request */
	size_t huge_bytes, huge_misses;
	uint32_t nsizes, nkept; /* all sizes; those up to which stashes keep cells */
	/* Depots by size: added under the lock, and never moved. */
	uint32_t nshares, shares_max, nstashes;
	struct ipcshare__depot *shares[IPCSHARE__SHARES_MOST];
};

/* One share of depots more, of @nsizes; locked. 0, or IPCSHARE_ERR_NO_MEMORY without detail. */
int ipcshare__arena_share(struct ipcshare_arena *arena, uint32_t nsizes);

/*
 * A new slab for @depot, not attached to it: @wanted bytes, or if the machine has not so much, enough
 * for @least; both within the arena's bounds. *@out is set on success.
 */
int ipcshare__arena_slab(struct ipcshare_arena *arena, const struct ipcshare__depot *depot,
			 size_t least, size_t wanted, struct ipcshare__slab **out);
/* One cell of @len bytes, which is a region. */
int ipcshare__arena_own(struct ipcshare_arena *arena, size_t len, void **out);
/* Free its region, after the importers have closed it. On failure it is as before. */
int ipcshare__arena_slab_release(struct ipcshare_arena *arena, struct ipcshare__slab *slab,
				 const char *stage);
/* The same for all, or none, in two steps; then, without any region, forget them. */
int ipcshare__arena_slabs_begin(struct ipcshare_arena *arena, const char *stage);
void ipcshare__arena_slabs_end(struct ipcshare_arena *arena);
void ipcshare__arena_slabs_forget(struct ipcshare_arena *arena);

/* The slab that holds @ptr, NULL if none does. */
static inline struct ipcshare__slab *ipcshare__arena_slab_at(struct ipcshare_arena *arena,
							     const void *ptr)
{
	struct ipcshare__range range;

	return ipcshare__index_find(&arena->slabs, ptr, &range) ? range.what : NULL;
}

/* The depots that this thread takes from: in its stash's share, or the first one. */
static inline struct ipcshare__depot *ipcshare__arena_depot(struct ipcshare_arena *arena,
							    const struct ipcshare__stash *stash,
							    uint32_t size)
{
	return size < arena->nkept && stash ? &stash->depots[size] : &arena->shares[0][size];
}

/* A live cell goes back to its slab, past the stash. */
void ipcshare__arena_take_back(struct ipcshare_arena *arena, void *ptr);

#endif
