/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the blocks of the ranks lie in a buffer of the caller. */
#ifndef IPCSHARE_COLL_LAYOUT_H
#define IPCSHARE_COLL_LAYOUT_H

#include <stddef.h>

#define IPCSHARE__EVERY (-1)
#define IPCSHARE__NOBODY (-2)

struct ipcshare__layout {
	char *base;
	size_t size; /* of an element */
	int only; /* the rank that has a block, at base; or one of the two above */
	size_t count; /* elements of a block */
	const size_t *counts; /* or of each rank's, if not NULL */
	const size_t *displs; /* in elements; NULL: one block after the other */
};

/* Bytes of @rank's block. */
static inline size_t ipcshare__layout_len(const struct ipcshare__layout *l, int rank)
{
	if (l->only != IPCSHARE__EVERY && l->only != rank)
		return 0;
	return (l->counts ? l->counts[rank] : l->count) * l->size;
}

static inline char *ipcshare__layout_at(const struct ipcshare__layout *l, int rank)
{
	size_t before = 0;

	if (l->only != IPCSHARE__EVERY)
		return l->base;
	if (l->displs)
		before = l->displs[rank];
	else if (!l->counts)
		before = (size_t)rank * l->count;
	else
		for (int r = 0; r < rank; r++)
			before += l->counts[r];
	return l->base + before * l->size;
}

#endif
