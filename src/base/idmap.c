/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/idmap.h"

#include <ipcshare.h>
#include <stdlib.h>
#include <string.h>

static void insert(struct ipcshare__idmap *map, struct ipcshare__idmap_entry e)
{
	uint32_t mask = map->capacity - 1, i = e.key * 0x9e3779b1u >> 7 & mask;

	while (map->entries[i].key != IPCSHARE__IDMAP_FREE)
		i = (i + 1) & mask;
	map->entries[i] = e;
	map->used++;
}

static int grow(struct ipcshare__idmap *map)
{
	struct ipcshare__idmap bigger = { .capacity = map->capacity ? 2 * map->capacity : 16 };
	size_t bytes = bigger.capacity * sizeof(*bigger.entries);

	if (!bigger.capacity) /* it had 2^31 */
		return IPCSHARE_ERR_NO_MEMORY;
	bigger.entries = malloc(bytes);
	if (!bigger.entries)
		return IPCSHARE_ERR_NO_MEMORY;
	memset(bigger.entries, 0xff, bytes); /* IPCSHARE__IDMAP_FREE everywhere */
	for (uint32_t i = 0; i < map->capacity; i++)
		if (map->entries[i].key != IPCSHARE__IDMAP_FREE)
			insert(&bigger, map->entries[i]);
	free(map->entries);
	*map = bigger;
	return 0;
}

int ipcshare__idmap_put(struct ipcshare__idmap *map, uint32_t key, uint32_t value)
{
	uint32_t *at = ipcshare__idmap_find(map, key);

	if (at) {
		*at = value;
		return 0;
	}
	if (2 * (map->used + 1) > map->capacity && grow(map))
		return IPCSHARE_ERR_NO_MEMORY;
	insert(map, (struct ipcshare__idmap_entry){ key, value });
	return 0;
}

void ipcshare__idmap_clear(struct ipcshare__idmap *map)
{
	free(map->entries);
	*map = (struct ipcshare__idmap){ 0 };
}
