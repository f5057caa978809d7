/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/cache.h"

#include "base/config.h"
#include "memory/mapping.h"

void ipcshare__cache_open(struct ipcshare__cache *cache, const struct ipcshare__config *config)
{
	cache->max_entries = config->cache_entries;
	cache->max_bytes = (uint64_t)config->cache_mib << 20;
}

void ipcshare__cache_keep(struct ipcshare__cache *cache, struct ipcshare__mapping *m)
{
	m->kept = true;
	m->newer = NULL;
	m->older = cache->newest;
	*(m->older ? &m->older->newer : &cache->oldest) = m;
	cache->newest = m;
	cache->entries++;
	cache->bytes += m->length;
}

void ipcshare__cache_release(struct ipcshare__cache *cache, struct ipcshare__mapping *m)
{
	if (!m->kept)
		return;
	m->kept = false;
	*(m->older ? &m->older->newer : &cache->oldest) = m->newer;
	*(m->newer ? &m->newer->older : &cache->newest) = m->older;
	cache->entries--;
	cache->bytes -= m->length;
}

struct ipcshare__mapping *ipcshare__cache_excess(const struct ipcshare__cache *cache)
{
	bool over = cache->entries > cache->max_entries || cache->bytes > cache->max_bytes;

	return over ? cache->oldest : NULL;
}
