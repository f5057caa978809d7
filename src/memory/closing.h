/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mappings that nobody finds any more and that are still there, until the thread that took them has unmapped
 * them. An owner that asks for its memory has no answer before.
 */
#ifndef IPCSHARE_MEMORY_CLOSING_H
#define IPCSHARE_MEMORY_CLOSING_H

#include <stdint.h>

struct ipcshare_ctx;
struct ipcshare__mapping;

struct ipcshare__closing { /* the context's lock is held but where it says otherwise */
	struct ipcshare__mapping *newest;
};

/* @mapping was taken off its peer's list, and isn't in the cache. */
void ipcshare__closing_begin(struct ipcshare__closing *closing, struct ipcshare__mapping *mapping);
/* All of @list are unmapped. Takes the lock. */
void ipcshare__closing_end(struct ipcshare_ctx *ctx, struct ipcshare__mapping *list);
/* Until none of a region, or of all regions of @owner (IPCSHARE__REGION_ANY), is being closed. */
void ipcshare__closing_await(struct ipcshare_ctx *ctx, uint64_t owner, uint32_t region,
			     uint32_t generation);

#endif
