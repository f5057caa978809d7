/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/counters.h"

static uint64_t get(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void ipcshare__counters_read(struct ipcshare__counters *c, struct ipcshare_counters *out)
{
	for (int i = 0; i < IPCSHARE_CALLS; i++) {
		out->calls[i] = get(&c->calls[i]);
		out->call_ns[i] = get(&c->call_ns[i]);
	}
	out->cache_hits = get(&c->cache_hits);
	out->cache_misses = get(&c->cache_misses);
	out->cache_evictions = get(&c->cache_evictions);
	out->open_exports = get(&c->open_exports);
	out->bytes_mapped = get(&c->bytes_mapped);
	out->bytes_allocated = get(&c->bytes_allocated);
	out->bytes_huge = get(&c->bytes_huge);
	out->huge_misses = get(&c->huge_misses);
	out->allocations = get(&c->allocations);
	out->sets = get(&c->sets);
	out->groups = get(&c->groups);
	out->far_bytes = get(&c->far_bytes);
}

const char *ipcshare_call_name(int call)
{
	static const char *const name[] = {
#define TEXT(name, text) text,
		IPCSHARE_CALL_LIST(TEXT)
#undef TEXT
	};

	return call >= 0 && call < IPCSHARE_CALLS ? name[call] : "unknown call";
}
