/* SPDX-License-Identifier: BSD-3-Clause */
/* Cells: what a set knows of each buffer of one rank. 20 bytes each, 28 in a lazy row. */
#ifndef IPCSHARE_GROUP_CELLS_H
#define IPCSHARE_GROUP_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blocks.h"

struct ipcshare__recipe;

/* In place of a reference: no region. With it the status of a failed buffer, negated; 0: empty. */
#define IPCSHARE__NO_REGION 0x80000000u

struct ipcshare__cells {
	void **ptr; /* NULL: empty, failed, or not mapped yet */
	size_t *len;
	uint32_t *ref; /* place of its region in the row */
	uint64_t *offset; /* in the region; NULL unless the row is lazy */
	size_t n;
	struct ipcshare__recipe *recipe; /* what they are made from; NULL: it is not kept */
	struct ipcshare__block room; /* all of these are in it */
};

/* What @n of them take. */
size_t ipcshare__cells_bytes(size_t n, bool lazy);
/* With room for a recipe; not if they are lazy. 0, or IPCSHARE_ERR_NO_MEMORY with detail. */
int ipcshare__cells_alloc(struct ipcshare__cells *cells, struct ipcshare__blocks *blocks, size_t n,
			  bool lazy, bool recipe);
/*
 * Some that were made from what @asked says, and freed: false if none are kept. Where their regions are mapped
 * is not looked at.
 */
bool ipcshare__cells_find(struct ipcshare__cells *cells, struct ipcshare__blocks *blocks,
			  const struct ipcshare__recipe *asked);
void ipcshare__cells_free(struct ipcshare__cells *cells, struct ipcshare__blocks *blocks);

#endif
