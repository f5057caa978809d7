/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers to numbers: open addressing, at most half full. Nothing is ever taken out. Callers lock. */
#ifndef IPCSHARE_BASE_IDMAP_H
#define IPCSHARE_BASE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

#define IPCSHARE__IDMAP_FREE UINT32_MAX /* no key */

struct ipcshare__idmap_entry {
	uint32_t key;
	uint32_t value;
};

struct ipcshare__idmap { /* all zero: empty */
	struct ipcshare__idmap_entry *entries;
	uint32_t capacity; /* a power of two */
	uint32_t used;
};

/* Where the value of @key is, until the next put; NULL if it isn't there. */
static inline uint32_t *ipcshare__idmap_find(const struct ipcshare__idmap *map, uint32_t key)
{
	uint32_t mask = map->capacity - 1;

	if (!map->capacity)
		return NULL;
	for (uint32_t i = key * 0x9e3779b1u >> 7 & mask;; i = (i + 1) & mask) {
		if (map->entries[i].key == key)
			return &map->entries[i].value;
		if (map->entries[i].key == IPCSHARE__IDMAP_FREE)
			return NULL;
	}
}

/* Set the value of @key, new or not: 0, or IPCSHARE_ERR_NO_MEMORY without detail. */
int ipcshare__idmap_put(struct ipcshare__idmap *map, uint32_t key, uint32_t value);
void ipcshare__idmap_clear(struct ipcshare__idmap *map);

#endif
