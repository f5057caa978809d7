/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stash: free cells that one thread keeps of an arena, so that it mostly needs no lock. Bounded for
 * each size. What is too much goes to the depot, and so does all of it when the thread ends.
 *
 * It lives in pages that the kernel wipes in forked children: there it holds nothing and takes nothing,
 * so that the child comes to where the handle is checked.
 */
#ifndef IPCSHARE_MEMORY_STASH_H
#define IPCSHARE_MEMORY_STASH_H

#include "base/thread_local.h"
#include "memory/slab.h"

struct ipcshare__depot;
struct ipcshare_arena;

#define IPCSHARE__STASH_CELLS 128u /* of a size, at most */
#define IPCSHARE__STASH_BYTES ((size_t)64 << 10) /* so too */
#define IPCSHARE__STASH_CELL ((size_t)16 << 10) /* no larger ones: few would be kept */

#define IPCSHARE__STASH_BINS 36u /* sizes up to that one, with the least alignment */

/* How many cells of a size there are. Others than the thread read it, and set the capacity to 0: bring all back. */
struct ipcshare__bin {
	_Atomic uint32_t n, capacity;
};

struct ipcshare__stash {
	struct ipcshare__stash *next; /* of the arena, under its lock */
	const void *thread; /* NULL: it has ended, another one may take it over */
	size_t most; /* bytes of the largest cell kept here */
	unsigned shift;
	uint32_t nbins;
	struct ipcshare__depot *depots; /* of its share */
	struct ipcshare__bin bins[IPCSHARE__STASH_BINS];
	_Alignas(64) struct ipcshare__cell cells[][IPCSHARE__STASH_CELLS]; /* of each bin */
};

/* The stash that this thread used last. Nothing has ended since: it is still there. */
struct ipcshare__stash_last {
	const struct ipcshare_arena *arena;
	uint64_t ended;
	struct ipcshare__stash *stash;
};
extern IPCSHARE__THREAD_LOCAL struct ipcshare__stash_last ipcshare__stash_last;
extern _Atomic uint64_t ipcshare__arenas_ended; /* in this process, and one more */

/* NULL, also if there is one: then ipcshare__stash_get() finds it. @arena may be no live handle. */
static inline struct ipcshare__stash *ipcshare__stash_here(const struct ipcshare_arena *arena)
{
	const struct ipcshare__stash_last *last = &ipcshare__stash_last;

	if (last->arena != arena ||
	    last->ended != atomic_load_explicit(&ipcshare__arenas_ended, memory_order_relaxed))
		return NULL;
	if (!last->stash)
		__builtin_unreachable(); /* .ended is 0 then */
	return last->stash;
}

static inline uint32_t ipcshare__stash_count(const struct ipcshare__stash *stash, uint32_t size)
{
	return atomic_load_explicit(&stash->bins[size].n, memory_order_relaxed);
}

static inline void ipcshare__stash_set_count(struct ipcshare__stash *stash, uint32_t size,
					     uint32_t n)
{
	atomic_store_explicit(&stash->bins[size].n, n, memory_order_relaxed);
}

static inline bool ipcshare__stash_has_room(const struct ipcshare__stash *stash, uint32_t size)
{
	return ipcshare__stash_count(stash, size) <
	       atomic_load_explicit(&stash->bins[size].capacity, memory_order_relaxed);
}

/* The last one in; there must be one. */
static inline struct ipcshare__cell *ipcshare__stash_pop(struct ipcshare__stash *stash,
							 uint32_t size)
{
	uint32_t n = ipcshare__stash_count(stash, size) - 1;

	ipcshare__stash_set_count(stash, size, n);
	return &stash->cells[size][n];
}

/* There must be room. */
static inline void ipcshare__stash_push(struct ipcshare__stash *stash, uint32_t size,
					struct ipcshare__cell cell)
{
	uint32_t n = ipcshare__stash_count(stash, size);

	stash->cells[size][n] = cell;
	ipcshare__stash_set_count(stash, size, n + 1);
}

/* This thread's, a new one if need be; NULL if there is no memory for it. The arena is alive. */
struct ipcshare__stash *ipcshare__stash_get(struct ipcshare_arena *arena);

/* Cells into an empty bin; *@err if there is none, and false. */
bool ipcshare__stash_fill(struct ipcshare_arena *arena, struct ipcshare__stash *stash,
			  uint32_t size, int *err);
/* Make room in a full one. */
void ipcshare__stash_drain(struct ipcshare_arena *arena, struct ipcshare__stash *stash,
			   uint32_t size);
/* All of this thread's cells go back now, those of others with the next that they free. */
void ipcshare__stashes_recall(struct ipcshare_arena *arena);
/* Free cells of one size in all stashes; the arena's lock is held. */
size_t ipcshare__stashes_count(const struct ipcshare_arena *arena, uint32_t size);

/* For the arena's begin and end. */
uint32_t ipcshare__stash_sizes(unsigned shift); /* that are kept */
int ipcshare__stashes_open(struct ipcshare_arena *arena);
void ipcshare__stashes_close(struct ipcshare_arena *arena);

#endif
