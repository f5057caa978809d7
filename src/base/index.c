/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/index.h"

#include <ipcshare.h>
#include <stdlib.h>
#include <string.h>

/* The first range that ends behind @address. */
static size_t lower_bound(const struct ipcshare__index *index, uintptr_t address)
{
	size_t low = 0, high = index->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (index->ranges[mid].end <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int ipcshare__index_add(struct ipcshare__index *index, const void *start, size_t length, void *what)
{
	struct ipcshare__range range = { (uintptr_t)start, (uintptr_t)start + length, what };
	size_t at = lower_bound(index, range.start), capacity;
	struct ipcshare__range *ranges;

	if (at < index->count && index->ranges[at].start < range.end)
		return IPCSHARE_ERR_BUSY;
	if (index->count == index->capacity) {
		capacity = index->capacity ? 2 * index->capacity : 16;
		ranges = realloc(index->ranges, capacity * sizeof(*ranges));
		if (!ranges)
			return IPCSHARE_ERR_NO_MEMORY;
		index->ranges = ranges;
		index->capacity = capacity;
	}
	memmove(&index->ranges[at + 1], &index->ranges[at],
		(index->count - at) * sizeof(index->ranges[0]));
	index->ranges[at] = range;
	index->count++;
	return 0;
}

void ipcshare__index_remove(struct ipcshare__index *index, const void *start)
{
	size_t at = lower_bound(index, (uintptr_t)start);

	index->count--;
	memmove(&index->ranges[at], &index->ranges[at + 1],
		(index->count - at) * sizeof(index->ranges[0]));
}

const struct ipcshare__range *ipcshare__index_find(const struct ipcshare__index *index,
						   const void *address)
{
	size_t at = lower_bound(index, (uintptr_t)address);

	if (at == index->count || index->ranges[at].start > (uintptr_t)address)
		return NULL;
	return &index->ranges[at];
}

void ipcshare__index_clear(struct ipcshare__index *index)
{
	free(index->ranges);
	*index = (struct ipcshare__index){ 0 };
}
