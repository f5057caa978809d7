/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A depot: slabs of an arena that are cut into cells of one size, and what is free in them. Threads come
 * here for cells when they have none of their own; what they have too many of goes back to where it came
 * from. Each depot has its lock, which is a leaf: no other lock is taken under it.
 *
 * For small cells there are several: threads that take from one slab would meet not only at the lock, but
 * whenever they take or free cells whose bytes are on one line, which is most of the cost of both.
 */
#ifndef IPCSHARE_MEMORY_DEPOT_H
#define IPCSHARE_MEMORY_DEPOT_H

#include <pthread.h>

#include "memory/slab.h"

struct ipcshare_arena;

struct ipcshare__depot {
	_Alignas(128) pthread_mutex_t lock;
	pthread_cond_t grown;
	uint32_t size;
	size_t cell;
	bool growing; /* one thread makes a slab, others that find no cell wait for it */
	struct ipcshare__slab *first, *last; /* those with free cells */
	size_t slabs, bytes, cells, nfree; /* of all */
};

void ipcshare__depot_open(struct ipcshare__depot *depot, unsigned shift, uint32_t size);
void ipcshare__depot_close(struct ipcshare__depot *depot);

/* Up to @n cells, the lowest last; 0 if the arena can't get another slab, which is *@err then. */
uint32_t ipcshare__depot_take(struct ipcshare_arena *arena, struct ipcshare__depot *depot,
			      struct ipcshare__cell *cells, uint32_t n, int *err);
/* All @n or none, in the caller's hands; in as few runs as there can be. */
int ipcshare__depot_take_many(struct ipcshare_arena *arena, struct ipcshare__depot *depot,
			      void **out, size_t n);
/* Each to its own. */
void ipcshare__depots_give(struct ipcshare_arena *arena, const struct ipcshare__cell *cells,
			   size_t n);

/*
 * Slabs of which no cell is used or kept by a thread, @most of them, as a list: each to be released, or
 * attached, to this depot or another one of the size.
 */
struct ipcshare__slab *ipcshare__depot_detach_empty(struct ipcshare__depot *depot, size_t most);
void ipcshare__depot_attach(struct ipcshare__depot *depot, struct ipcshare__slab *slab);

#endif
