/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses of this process to descriptors; the regions are held and published on the way. */
#ifndef IPCSHARE_GROUP_DESCRIBE_H
#define IPCSHARE_GROUP_DESCRIBE_H

#include "base/idmap.h"
#include "group/group.h"

/*
 * Where recent addresses lay, so that most need neither the lock nor the index. Buffers of one
 * arena lie in a few slabs of whole 2 MiB: an address picks its place by the 2 MiB it is in.
 */
struct ipcshare__recent {
	uintptr_t base;
	size_t length; /* 0: nothing here yet */
	struct ipcshare__wire_descriptor first; /* of the byte at base, without a length */
};
#define IPCSHARE__RECENT 512 /* 1 GiB, for shares */
#define IPCSHARE__RECENT_FEW 64 /* for what should begin at once; both are powers of two */

static inline struct ipcshare__recent *ipcshare__recent_of(struct ipcshare__recent *all, unsigned n,
							   const void *ptr)
{
	return &all[(uintptr_t)ptr >> 21 & (n - 1)];
}

/* The descriptor of a buffer of @len bytes, not 0, in a region that was noted; false: not in one. */
static inline bool ipcshare__recent_describe(struct ipcshare__recent *all, unsigned n,
					     const void *ptr, size_t len,
					     struct ipcshare__wire_descriptor *out)
{
	const struct ipcshare__recent *r = ipcshare__recent_of(all, n, ptr);
	uintptr_t offset = (uintptr_t)ptr - r->base;

	if (__builtin_expect(offset >= r->length || len > r->length - offset, 0))
		return false;
	*out = (struct ipcshare__wire_descriptor){ r->first.what | len, r->first.where + offset };
	return true;
}

/* @ptr lies in @region: what is near it needs no look-up. */
void ipcshare__recent_note(struct ipcshare__recent *all, unsigned n, const void *ptr,
			   const struct ipcshare__region *region);

struct ipcshare__held {
	struct ipcshare__region *region; /* NULL: a set has it now */
	int status; /* of its publication */
};

struct ipcshare__describer {
	struct ipcshare_group *group;
	unsigned flags; /* IPCSHARE_READ_ONLY, IPCSHARE_SHARE_OPEN */
	struct ipcshare__held *held;
	uint32_t nheld, capacity;
	struct ipcshare__idmap by_id; /* region id to its place in held */
	struct ipcshare__recent recent[IPCSHARE__RECENT];
};

/*
 * One buffer of length @len, not 0, that is in no recent region. The result is why it can't be
 * shared, with detail unless another buffer of the same allocation failed before; *@out is set all
 * the same.
 */
int ipcshare__describe(struct ipcshare__describer *d, const void *ptr, size_t len,
		       struct ipcshare__wire_descriptor *out);
/* Let go of what is still held. */
void ipcshare__describer_end(struct ipcshare__describer *d);

/* The descriptor of a buffer that lies in @region; IPCSHARE_ERR_LIMIT beyond what it can reach. */
int ipcshare__describe_in(const struct ipcshare__region *region, const void *ptr, size_t len,
			  struct ipcshare__wire_descriptor *out);

#endif
