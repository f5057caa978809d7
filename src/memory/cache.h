/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mappings of peers' memory that nobody uses, kept for the next who asks. Bounded in number and bytes:
 * what was used longest ago goes first. A mapping in use is not here, so it is never closed.
 */
#ifndef IPCSHARE_MEMORY_CACHE_H
#define IPCSHARE_MEMORY_CACHE_H

#include <stddef.h>
#include <stdint.h>

struct ipcshare__mapping;
struct ipcshare__config;

struct ipcshare__cache { /* the context's lock is held in all that follows */
	struct ipcshare__mapping *oldest, *newest;
	size_t entries, max_entries;
	uint64_t bytes, max_bytes;
};

void ipcshare__cache_open(struct ipcshare__cache *cache, const struct ipcshare__config *config);

/* @mapping has lost its last user. */
void ipcshare__cache_keep(struct ipcshare__cache *cache, struct ipcshare__mapping *mapping);
/* It has one again, or is about to be closed. Nothing if it isn't kept. */
void ipcshare__cache_release(struct ipcshare__cache *cache, struct ipcshare__mapping *mapping);

/* What has to go, to keep within the bounds: still kept, and NULL if all is well. */
struct ipcshare__mapping *ipcshare__cache_excess(const struct ipcshare__cache *cache);

#endif
