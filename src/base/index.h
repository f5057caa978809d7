/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ordered index of address ranges that don't overlap. Writers lock among themselves; readers take
 * no lock and wait for nobody.
 *
 * Ranges sit in leaves that never change once they can be found: a writer makes a new leaf and swaps it
 * in. Old ones are used again, but never given back while the index lives, so a reader that comes late
 * reads old bytes and no foreign ones. It looks at @recycled before and after: if that is the same, no
 * leaf it has passed was used again.
 */
#ifndef IPCSHARE_BASE_INDEX_H
#define IPCSHARE_BASE_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/thread_local.h"

struct ipcshare__range {
	uintptr_t start, end;
	void *what;
};

struct ipcshare__index_leaf;
struct ipcshare__index_top;
struct ipcshare__index_chunk;

struct ipcshare__index { /* all zero: empty */
	size_t count;
	_Atomic(struct ipcshare__index_top *) top; /* NULL: nothing was ever added */
	_Atomic uint64_t recycled;
	_Atomic uint64_t version; /* another one after every change, in no other index */
	struct ipcshare__index_top *other; /* of the same size as @top, for the next change */
	struct ipcshare__index_top *outgrown;
	struct ipcshare__index_leaf *spare, *retired; /* readers may be in retired ones */
	size_t nretired;
	struct ipcshare__index_chunk *chunks; /* where leaves come from, the newest first */
};

/* 0; IPCSHARE_ERR_BUSY it overlaps one that is there; IPCSHARE_ERR_NO_MEMORY. Without detail. */
int ipcshare__index_add(struct ipcshare__index *index, const void *start, size_t length,
			void *what);
/* The range that begins there, which must be in it. Can't fail. */
void ipcshare__index_remove(struct ipcshare__index *index, const void *start);
/* No reader may be in it any more. */
void ipcshare__index_clear(struct ipcshare__index *index);

/* What this thread found last. No change since then: it is still there. */
struct ipcshare__index_last {
	const struct ipcshare__index *index;
	uint64_t version;
	struct ipcshare__range range;
};
extern IPCSHARE__THREAD_LOCAL struct ipcshare__index_last ipcshare__index_last;

/* That, if it holds @address; else NULL. */
static inline const struct ipcshare__range *ipcshare__index_hit(const struct ipcshare__index *index,
								const void *address)
{
	const struct ipcshare__index_last *last = &ipcshare__index_last;

	if (last->index != index || (uintptr_t)address < last->range.start ||
	    (uintptr_t)address >= last->range.end ||
	    last->version != atomic_load_explicit(&index->version, memory_order_acquire))
		return NULL;
	return &last->range;
}

/* The range that holds @address. A copy: what it names may be gone unless the caller holds a lock. */
bool ipcshare__index_find(struct ipcshare__index *index, const void *address,
			  struct ipcshare__range *out);

/* The first range that ends behind @address, whether it holds it or not. */
bool ipcshare__index_next(struct ipcshare__index *index, const void *address,
			  struct ipcshare__range *out);

#endif
