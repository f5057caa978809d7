/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A recipe: what the cells of a row were made from. It stays with them in their block, so that whoever shares
 * the same list again, as long as it is mapped where it was, gets them as they are. Only where few descriptors
 * make many cells: else they are read as quickly as compared.
 */
#ifndef IPCSHARE_GROUP_RECIPE_H
#define IPCSHARE_GROUP_RECIPE_H

#include "base/wire.h"
#include "group/cells.h"

#define IPCSHARE__RECIPE_MOST 32u /* descriptors, and so regions */

/* A region of the row, in the order of their places there. */
struct ipcshare__ingredient {
	uint32_t region, generation;
	uint64_t length, cells;
	char *base;
};

struct ipcshare__recipe {
	uint64_t endpoint; /* whose buffers */
	uint32_t nbufs, access;
	uint32_t ndescriptors;
	uint32_t nregions; /* 0: the cells are not made yet */
	struct ipcshare__wire_descriptor descriptors[IPCSHARE__RECIPE_MOST];
	struct ipcshare__ingredient regions[IPCSHARE__RECIPE_MOST];
};

/* Should its cells have one? Their block must be large enough to be kept. */
static inline bool ipcshare__recipe_worthwhile(const struct ipcshare__wire_blob *prefix)
{
	return prefix->ndescriptors <= IPCSHARE__RECIPE_MOST &&
	       ipcshare__cells_bytes(prefix->nbufs, false) >= IPCSHARE__BLOCK_KEPT;
}

/* Its descriptors, at any address, which may change meanwhile: the copy is what counts. Nothing is made of it. */
void ipcshare__recipe_begin(struct ipcshare__recipe *recipe,
			    const struct ipcshare__wire_blob *prefix,
			    const unsigned char *descriptors);
/* For a block whose cells are made: never 0, and the same for the same descriptors. */
uint64_t ipcshare__recipe_tag(const struct ipcshare__recipe *recipe);
/* Are cells made of @made, and from what is @asked for, but for the regions? */
bool ipcshare__recipe_same(const struct ipcshare__recipe *made,
			   const struct ipcshare__recipe *asked);

#endif
