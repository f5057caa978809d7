/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A slab: one allocation cut into equal cells. All that is known of them is kept here, beside the
 * memory, which may be a device's. Of each cell a byte says if it is in the caller's hands, and a bit
 * if it is free in the slab; neither: a thread keeps it.
 *
 * The cells of one word of bits have their bytes on one cache line. Threads take cells by the word, so
 * they don't disturb each other by these bytes.
 */
#ifndef IPCSHARE_MEMORY_SLAB_H
#define IPCSHARE_MEMORY_SLAB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ipcshare__depot;
struct ipcshare__region;

#define IPCSHARE__SIZE_OWN UINT32_MAX /* a slab for a single request: one cell */

/* A cell that is on its way between a slab and the caller. */
struct ipcshare__cell {
	char *ptr;
	_Atomic uint8_t *live; /* 1: in the caller's hands */
};

struct ipcshare__slab {
	/* Read without a lock; they don't change while the slab can be found. */
	char *base;
	uint64_t inverse; /* 2^64 / cell, rounded up; 1 if there is but one */
	size_t cell; /* bytes */
	uint32_t ncells;
	uint32_t size; /* its number, or IPCSHARE__SIZE_OWN */
	_Atomic uint8_t *live;
	/* its home, but for SIZE_OWN: another one only while all is free */
	struct ipcshare__depot *depot;
	/* The depot's lock is held. */
	uint32_t nfree;
	uint32_t from; /* the words before it have no free cell */
	/* of the depot's with free cells; or of the arena's spare */
	struct ipcshare__slab *next, *prev;
	struct ipcshare__region *region;
	unsigned room; /* log2 of the words it has */
	uint64_t free[];
};

/* One with room for @ncells, or NULL; to be set up before each use. */
struct ipcshare__slab *ipcshare__slab_new(uint32_t ncells);
/* What that will have for .room. */
unsigned ipcshare__slab_room(uint32_t ncells);
/* All cells are free. */
void ipcshare__slab_set(struct ipcshare__slab *slab, struct ipcshare__region *region, uint32_t size,
			size_t cell, uint32_t ncells);

/*
 * The byte of the cell that begins at @ptr, or NULL if none does. One product tells both: its upper half is
 * the number of whole cells before @ptr, its lower half what is left over, which is less than the inverse
 * if that is nothing. Exact as offsets and cells are below 2^32; of a single cell, which may be longer,
 * only the offset 0 gives less than 1.
 */
static inline _Atomic uint8_t *ipcshare__slab_live(const struct ipcshare__slab *slab,
						   const void *ptr)
{
	__extension__ unsigned __int128 product = (unsigned __int128)(size_t)((const char *)ptr -
									      slab->base) *
						  slab->inverse;
	uint64_t i = (uint64_t)(product >> 64);

	return i < slab->ncells && (uint64_t)product < slab->inverse ? &slab->live[i] : NULL;
}

/*
 * The first free cells, at most @n and all of one word: the lowest stands last in @cells. Gives their
 * number; there is at least one.
 */
uint32_t ipcshare__slab_take(struct ipcshare__slab *slab, struct ipcshare__cell *cells, uint32_t n);
/* @n cells side by side, in ascending order; false if there are no such. */
bool ipcshare__slab_take_run(struct ipcshare__slab *slab, void **out, uint32_t n);
void ipcshare__slab_put(struct ipcshare__slab *slab, const _Atomic uint8_t *live);

#endif
