/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses of this process to descriptors; the regions are held and published on the way. */
#ifndef IPCSHARE_GROUP_DESCRIBE_H
#define IPCSHARE_GROUP_DESCRIBE_H

#include "base/idmap.h"
#include "group/group.h"

/*
 * Where recent addresses lay, so that most need neither the lock nor the index. Buffers of one arena
 * lie in a few slabs of whole 2 MiB: an address picks its place by the 2 MiB it is in.
 */
struct ipcshare__recent {
	uintptr_t base;
	size_t length; /* 0: nothing here yet */
	uint32_t number; /* the user's, of the region */
};
#define IPCSHARE__RECENT 64

static inline struct ipcshare__recent *ipcshare__recent_of(struct ipcshare__recent *all,
							   const void *ptr)
{
	return &all[(uintptr_t)ptr >> 21 & (IPCSHARE__RECENT - 1)];
}

/* All of ptr .. ptr + len is there. */
static inline bool ipcshare__recent_holds(const struct ipcshare__recent *r, const void *ptr,
					  size_t len)
{
	uintptr_t offset = (uintptr_t)ptr - r->base;

	return offset < r->length && len <= r->length - offset;
}

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
 * One buffer of length @len, not 0. The result is why it can't be shared, with detail unless another
 * buffer of the same allocation failed before; *@out is set all the same.
 */
int ipcshare__describe(struct ipcshare__describer *d, const void *ptr, size_t len,
		       struct ipcshare__wire_descriptor *out);
/* Let go of what is still held. */
void ipcshare__describer_end(struct ipcshare__describer *d);

/* The descriptor of a buffer that lies in @region; IPCSHARE_ERR_LIMIT beyond what it can reach. */
int ipcshare__describe_in(const struct ipcshare__region *region, const void *ptr, size_t len,
			  struct ipcshare__wire_descriptor *out);

#endif
