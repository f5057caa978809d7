/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The depot of one size of cells: the slabs of an arena that are cut into it, and what is free in them.
 * Threads come here for cells when they have none of their own, and bring back what they have too many
 * of. Each depot has its lock, which is a leaf: no other lock is taken under it.
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
void ipcshare__depot_give(struct ipcshare_arena *arena, struct ipcshare__depot *depot,
			  const struct ipcshare__cell *cells, size_t n);

/* All slabs of which no cell is used or kept by a thread, as a list: each to be released, or attached again. */
struct ipcshare__slab *ipcshare__depot_detach_empty(struct ipcshare__depot *depot);
void ipcshare__depot_attach(struct ipcshare__depot *depot, struct ipcshare__slab *slab);

#endif
