/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/slab.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "memory/region.h"

#define WORD 64u /* cells */
#define LINE 64u /* bytes: those of the cells of a word */

unsigned ipcshare__slab_room(uint32_t ncells)
{
	uint32_t words = (ncells + WORD - 1) / WORD;

	return words > 1 ? 32u - (unsigned)__builtin_clz(words - 1) : 0;
}

static size_t head_bytes(unsigned room)
{
	return ipcshare__round_up(sizeof(struct ipcshare__slab) + (sizeof(uint64_t) << room), LINE);
}

struct ipcshare__slab *ipcshare__slab_new(uint32_t ncells)
{
	unsigned room = ipcshare__slab_room(ncells);
	struct ipcshare__slab *slab = aligned_alloc(LINE,
						    head_bytes(room) + ((size_t)LINE << room));

	if (!slab)
		return NULL;
	memset(slab, 0, head_bytes(room) + ((size_t)LINE << room));
	slab->room = room;
	slab->live = (_Atomic uint8_t *)((char *)slab + head_bytes(room));
	return slab;
}

void ipcshare__slab_set(struct ipcshare__slab *slab, struct ipcshare__region *region, uint32_t size,
			size_t cell, uint32_t ncells)
{
	slab->base = region->mem.base;
	slab->cell = cell;
	slab->inverse = ncells > 1 ? UINT64_MAX / cell + 1 : 1;
	slab->ncells = ncells;
	slab->size = size;
	slab->nfree = ncells;
	slab->from = 0;
	slab->region = region;
	memset(slab->free, 0xff, ncells / WORD * sizeof(slab->free[0]));
	if (ncells % WORD)
		slab->free[ncells / WORD] = (1ull << ncells % WORD) - 1;
}

static uint32_t words_of(const struct ipcshare__slab *slab)
{
	return (slab->ncells + WORD - 1) / WORD;
}

uint32_t ipcshare__slab_take(struct ipcshare__slab *slab, struct ipcshare__cell *cells, uint32_t n)
{
	uint32_t w = slab->from, taken, i;
	uint64_t word;

	while (!slab->free[w])
		w++;
	slab->from = w;
	word = slab->free[w];
	taken = (uint32_t)__builtin_popcountll(word);
	taken = taken < n ? taken : n;
	for (uint32_t k = taken; k--; word &= word - 1) {
		i = w * WORD + (uint32_t)__builtin_ctzll(word);
		cells[k] = (struct ipcshare__cell){ slab->base + i * slab->cell, &slab->live[i] };
	}
	slab->free[w] = word;
	slab->nfree -= taken;
	return taken;
}

/* The first of @n free cells in a row, or the number of cells. */
static uint32_t run_find(const struct ipcshare__slab *slab, uint32_t n)
{
	uint32_t first = 0, len = 0, ones;

	for (uint32_t w = slab->from; w < words_of(slab); w++)
		for (uint32_t at = 0; at < WORD; at += ones) {
			uint64_t rest = slab->free[w] >> at;

			if (!(rest & 1)) {
				len = 0;
				ones = rest ? (uint32_t)__builtin_ctzll(rest) : WORD;
				continue;
			}
			ones = ~rest ? (uint32_t)__builtin_ctzll(~rest) : WORD;
			if (!len)
				first = w * WORD + at;
			len += ones;
			if (len >= n)
				return first;
		}
	return slab->ncells;
}

bool ipcshare__slab_take_run(struct ipcshare__slab *slab, void **out, uint32_t n)
{
	uint32_t first = slab->nfree < n ? slab->ncells : run_find(slab, n), i;

	if (first == slab->ncells)
		return false;
	for (uint32_t k = 0; k < n; k++) {
		i = first + k;
		slab->free[i / WORD] &= ~(1ull << i % WORD);
		out[k] = slab->base + i * slab->cell;
		atomic_store_explicit(&slab->live[i], 1, memory_order_relaxed);
	}
	slab->nfree -= n;
	return true;
}

void ipcshare__slab_put(struct ipcshare__slab *slab, const _Atomic uint8_t *live)
{
	uint32_t i = (uint32_t)(live - slab->live), w = i / WORD;

	slab->free[w] |= 1ull << i % WORD;
	slab->nfree++;
	if (w < slab->from)
		slab->from = w;
}
