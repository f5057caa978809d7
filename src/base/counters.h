/* SPDX-License-Identifier: BSD-3-Clause */
/* What ipcshare_counters() shows: relaxed atomics, for no other data depends on them. */
#ifndef IPCSHARE_BASE_COUNTERS_H
#define IPCSHARE_BASE_COUNTERS_H

#include <ipcshare.h>
#include <stdatomic.h>

#include "base/clock.h"

struct ipcshare__counters {
	_Atomic uint64_t calls[IPCSHARE_CALLS];
	_Atomic uint64_t call_ns[IPCSHARE_CALLS];
	_Atomic uint64_t cache_hits, cache_misses, cache_evictions, open_exports;
	_Atomic uint64_t bytes_mapped, bytes_allocated, bytes_huge, huge_misses;
	_Atomic uint64_t allocations, sets, groups, far_bytes;
};

static inline void ipcshare__count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline void ipcshare__uncount(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_sub_explicit(counter, n, memory_order_relaxed);
}

/* @n calls of one kind that began at @start_ns and end now. */
static inline void ipcshare__count_calls(struct ipcshare__counters *c, enum ipcshare_call call,
					 uint64_t n, uint64_t start_ns)
{
	ipcshare__count(&c->calls[call], n);
	ipcshare__count(&c->call_ns[call], ipcshare__now_ns() - start_ns);
}

void ipcshare__counters_read(struct ipcshare__counters *c, struct ipcshare_counters *out);

#endif
