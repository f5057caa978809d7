/* SPDX-License-Identifier: BSD-3-Clause */
/* The slabs of an arena: made of regions, found by address, and given back. */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "memory/arena.h"

/* ---- What is known of a slab: kept while the arena lives. Locked ---- */

static struct ipcshare__slab *record_take(struct ipcshare_arena *arena, uint32_t ncells)
{
	struct ipcshare__slab **spare = &arena->spare[ipcshare__slab_room(ncells)], *slab = *spare;

	if (!slab)
		return ipcshare__slab_new(ncells);
	*spare = slab->next;
	return slab;
}

static void record_keep(struct ipcshare_arena *arena, struct ipcshare__slab *slab)
{
	slab->next = arena->spare[slab->room];
	arena->spare[slab->room] = slab;
}

/* ---- Make ---- */

static int slab_add(struct ipcshare_arena *arena, struct ipcshare__region *region, uint32_t size,
		    size_t cell, uint32_t ncells, struct ipcshare__slab **out)
{
	struct ipcshare__slab *slab;
	int err = IPCSHARE_ERR_NO_MEMORY;

	pthread_mutex_lock(&arena->lock);
	slab = record_take(arena, ncells);
	if (slab) {
		ipcshare__slab_set(slab, region, size, cell, ncells);
		err = ipcshare__index_add(&arena->slabs, slab->base, region->mem.length, slab);
		if (err)
			record_keep(arena, slab);
	}
	if (!err) {
		arena->huge_bytes += region->mem.huge ? region->mem.length : 0;
		arena->huge_misses += region->mem.huge_missed;
	}
	pthread_mutex_unlock(&arena->lock);
	if (err)
		return ipcshare__fail_errno(ENOMEM, "arena_alloc", "what is known of %u cells",
					    ncells);
	*out = slab;
	return 0;
}

static int slab_make(struct ipcshare_arena *arena, size_t bytes, uint32_t size, size_t cell,
		     uint32_t ncells, struct ipcshare__slab **out)
{
	struct ipcshare__region *region;
	int err = ipcshare__region_alloc(arena->ctx, bytes, IPCSHARE__ARENA, &region);

	if (err)
		return err;
	err = slab_add(arena, region, size, cell, ncells, out);
	if (err && !ipcshare__region_free_begin(arena->ctx, region, "arena_alloc"))
		ipcshare__region_free_end(arena->ctx, region);
	return err;
}

static size_t within(const struct ipcshare_arena *arena, size_t bytes)
{
	if (bytes < arena->slab)
		return arena->slab;
	if (bytes > arena->slab_max)
		return arena->slab_max;
	return ipcshare__round_up(bytes, IPCSHARE__SLAB_STEP);
}

int ipcshare__arena_slab(struct ipcshare_arena *arena, const struct ipcshare__depot *depot,
			 size_t least, size_t wanted, struct ipcshare__slab **out)
{
	const struct ipcshare_error before = *ipcshare_last_error();
	int err;

	least = within(arena, least);
	wanted = within(arena, wanted > least ? wanted : least);
	err = slab_make(arena, wanted, depot->size, depot->cell, (uint32_t)(wanted / depot->cell),
			out);
	if (err != IPCSHARE_ERR_NO_MEMORY || least == wanted)
		return err;
	err = slab_make(arena, least, depot->size, depot->cell, (uint32_t)(least / depot->cell),
			out);
	if (!err)
		ipcshare__error_restore(&before);
	return err;
}

int ipcshare__arena_own(struct ipcshare_arena *arena, size_t len, void **out)
{
	struct ipcshare__slab *slab;
	int err;

	len = ipcshare__round_up(len, (size_t)1 << arena->shift);
	err = slab_make(arena, len, IPCSHARE__SIZE_OWN, len, 1, &slab);
	if (err)
		return err;
	pthread_mutex_lock(&arena->lock);
	arena->own++;
	arena->own_bytes += len;
	pthread_mutex_unlock(&arena->lock);
	atomic_store_explicit(slab->live, 1, memory_order_relaxed);
	*out = slab->base;
	return 0;
}

/* ---- Release ---- */

int ipcshare__arena_slab_release(struct ipcshare_arena *arena, struct ipcshare__slab *slab,
				 const char *stage)
{
	struct ipcshare__region *region = slab->region;
	int err = ipcshare__region_free_begin(arena->ctx, region, stage);

	if (err)
		return err;
	/* Once the region is gone its addresses may be those of another. */
	pthread_mutex_lock(&arena->lock);
	ipcshare__index_remove(&arena->slabs, slab->base);
	arena->huge_bytes -= region->mem.huge ? region->mem.length : 0;
	if (slab->size == IPCSHARE__SIZE_OWN) {
		arena->own--;
		arena->own_bytes -= slab->cell;
	}
	record_keep(arena, slab);
	pthread_mutex_unlock(&arena->lock);
	ipcshare__region_free_end(arena->ctx, region);
	return 0;
}

/* The slab that begins at or behind @at, or NULL. */
static struct ipcshare__slab *slab_from(struct ipcshare_arena *arena, const char *at)
{
	struct ipcshare__range range;

	return ipcshare__index_next(&arena->slabs, at, &range) ? range.what : NULL;
}

static struct ipcshare__slab *slab_next(struct ipcshare_arena *arena,
					const struct ipcshare__slab *slab)
{
	return slab_from(arena, slab->base + slab->region->mem.length);
}

int ipcshare__arena_slabs_begin(struct ipcshare_arena *arena, const char *stage)
{
	struct ipcshare__slab *slab, *used;
	int err = 0;

	for (slab = slab_from(arena, NULL); slab && !err;
	     slab = err ? slab : slab_next(arena, slab))
		err = ipcshare__region_free_begin(arena->ctx, slab->region, stage);
	used = slab;
	for (slab = slab_from(arena, NULL); slab != used; slab = slab_next(arena, slab))
		ipcshare__region_free_undo(arena->ctx, slab->region);
	return err;
}

void ipcshare__arena_slabs_end(struct ipcshare_arena *arena)
{
	for (struct ipcshare__slab *slab = slab_from(arena, NULL), *next; slab; slab = next) {
		next = slab_next(arena, slab);
		ipcshare__region_free_end(arena->ctx, slab->region);
	}
}

void ipcshare__arena_slabs_forget(struct ipcshare_arena *arena)
{
	struct ipcshare__range range = { 0, 0, NULL };
	struct ipcshare__slab *slab, *next;

	while (ipcshare__index_next(&arena->slabs, (void *)range.end, &range))
		free(range.what);
	for (int room = 0; room < IPCSHARE__SPARE_ROOMS; room++)
		for (slab = arena->spare[room]; slab; slab = next) {
			next = slab->next;
			free(slab);
		}
	ipcshare__index_clear(&arena->slabs);
}
