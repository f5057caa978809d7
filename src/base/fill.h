/* SPDX-License-Identifier: BSD-3-Clause */
/* Long arrays of one value, or of evenly spaced ones: 64 bytes a step, however the compiler is set. */
#ifndef IPCSHARE_BASE_FILL_H
#define IPCSHARE_BASE_FILL_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t ipcshare__fill_words __attribute__((vector_size(64), aligned(4), may_alias));

/* p[i] = first + i * step */
static inline void ipcshare__fill64(uint64_t *p, uint64_t first, uint64_t step, size_t n)
{
	ipcshare__fill_words v = { 0, 1, 2, 3, 4, 5, 6, 7 };
	size_t i = 0;

	for (v = v * step + first; i + 8 <= n; i += 8, v += 8 * step)
		*(ipcshare__fill_words *)(p + i) = v;
	for (; i < n; i++)
		p[i] = first + i * step;
}

/* p[i] = value */
static inline void ipcshare__fill32(uint32_t *p, uint32_t value, size_t n)
{
	const uint64_t two = (uint64_t)value << 32 | value;
	const ipcshare__fill_words v = { two, two, two, two, two, two, two, two };
	size_t i = 0;

	for (; i + 16 <= n; i += 16)
		*(ipcshare__fill_words *)(p + i) = v;
	for (; i < n; i++)
		p[i] = value;
}

#endif
