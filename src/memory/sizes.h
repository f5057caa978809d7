/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sizes of an arena's cells: multiples of its alignment, four from each power of two to the next.
 * So a cell is less than a quarter larger than what was asked for, once that is rounded up to the
 * alignment.
 */
#ifndef IPCSHARE_MEMORY_SIZES_H
#define IPCSHARE_MEMORY_SIZES_H

#include <stddef.h>
#include <stdint.h>

/* The number of the least size for @len bytes, from 1 on; the alignment is 1 << @shift. */
static inline uint32_t ipcshare__size_for(unsigned shift, size_t len)
{
	uint64_t last = (len - 1) >> shift; /* units but one */
	/* bits below the three that count */
	unsigned up = 61u - (unsigned)__builtin_clzll(last | 4);

	return 4 * up + (uint32_t)(last >> up);
}

/* Bytes of a cell of that size. */
static inline size_t ipcshare__size_bytes(unsigned shift, uint32_t size)
{
	unsigned up = size < 8 ? 0 : size / 4 - 1;

	return (size_t)(size - 4 * up + 1) << up << shift;
}

#endif
