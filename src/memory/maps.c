/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/maps.h"

#include "base/error.h"
#include "memory/context.h"

/* ---- Names ---- */

static struct ipcshare__name name_of(uint64_t endpoint, uint32_t region, uint32_t generation,
				     enum ipcshare__access access)
{
	_Static_assert(IPCSHARE__REGION_MAX <= 1u << 30, "a region id and an access are 32 bits");
	return (struct ipcshare__name){ endpoint, (uint64_t)generation << 32 | region << 2 |
							  (uint32_t)access };
}

/* What is mapped of this process is there once, for either access. */
static size_t names_of(const struct ipcshare__mapping *m, struct ipcshare__name names[2])
{
	static const enum ipcshare__access both[] = { IPCSHARE__READ_ONLY, IPCSHARE__READ_WRITE };
	size_t n = 0;

	for (size_t i = 0; i < 2; i++)
		if (m->local || m->access == both[i])
			names[n++] = name_of(m->peer->endpoint, m->region, m->generation, both[i]);
	return n;
}

void ipcshare__maps_hide(struct ipcshare__maps *maps, const struct ipcshare__mapping *m)
{
	struct ipcshare__name names[2];
	size_t n = names_of(m, names);

	for (size_t i = 0; i < n; i++)
		ipcshare__directory_remove(&maps->by_name, names[i]);
}

/* ---- Give out and take back; locked ---- */

static int note(struct ipcshare__maps *maps, struct ipcshare__mapping *m)
{
	struct ipcshare__behind what = { (uintptr_t)m->at.base, m->length };
	struct ipcshare__name names[2];
	size_t n = names_of(m, names);
	int err = 0;

	if (m->maps++)
		return 0;
	err = ipcshare__index_add(&maps->by_address, m->at.base, m->length, m);
	if (err)
		goto undo;
	for (size_t i = 0; i < n && !err && !m->gone; i++)
		err = ipcshare__directory_put(&maps->by_name, names[i], what);
	if (!err)
		return 0;
	ipcshare__maps_hide(maps, m);
	ipcshare__index_remove(&maps->by_address, m->at.base);
undo:
	m->maps--;
	return err;
}

static int note_fail(int err, const void *at)
{
	if (err == IPCSHARE_ERR_BUSY) /* in this process, where both are the owner's own address */
		return ipcshare__fail(err, "map", "unmap the older one first",
				      "memory that was there before, at %p, is still mapped", at);
	return ipcshare__fail(err, "map", "", "no room for one more mapping");
}

int ipcshare__maps_again(struct ipcshare_ctx *ctx, uint64_t endpoint, struct ipcshare__want *want,
			 struct ipcshare__mapping **out)
{
	struct ipcshare__mapping *m;
	struct ipcshare__peer *peer;
	const void *at = NULL;
	int err = 0;

	pthread_mutex_lock(&ctx->lock);
	peer = ipcshare__peer_find(ctx, endpoint);
	m = peer ? ipcshare__mapping_known(peer, want) : NULL;
	if (m) {
		at = m->at.base;
		err = note(&ctx->imports.maps, m);
		if (!err)
			ipcshare__mapping_keep(ctx, m);
	}
	pthread_mutex_unlock(&ctx->lock);
	if (err)
		return note_fail(err, at);
	*out = m;
	return 0;
}

int ipcshare__maps_add(struct ipcshare_ctx *ctx, struct ipcshare__mapping *m)
{
	int err;

	pthread_mutex_lock(&ctx->lock);
	err = note(&ctx->imports.maps, m);
	pthread_mutex_unlock(&ctx->lock);
	return err ? note_fail(err, m->at.base) : 0;
}

bool ipcshare__maps_remove(struct ipcshare_ctx *ctx, const void *address,
			   struct ipcshare__mapping **last)
{
	struct ipcshare__maps *maps = &ctx->imports.maps;
	struct ipcshare__range range;
	bool found;

	*last = NULL;
	pthread_mutex_lock(&ctx->lock);
	found = ipcshare__index_find(&maps->by_address, address, &range);
	if (found) {
		struct ipcshare__mapping *m = range.what;

		if (m->maps == 1) {
			if (!m->gone)
				ipcshare__maps_hide(maps, m);
			ipcshare__index_remove(&maps->by_address, m->at.base);
			*last = m;
		} else { /* it and its peer have other users */
			m->users--;
			m->peer->users--;
		}
		m->maps--;
	}
	pthread_mutex_unlock(&ctx->lock);
	return found;
}

/* ---- Find again ---- */

bool ipcshare__maps_find(struct ipcshare_ctx *ctx, uint64_t endpoint,
			 const struct ipcshare__want *w, void **base)
{
	struct ipcshare__name name = name_of(endpoint, w->region, w->generation, w->access);
	struct ipcshare__directory *names = &ctx->imports.maps.by_name;
	struct ipcshare__behind what;
	bool found = ipcshare__directory_find(names, name, &what);

	if (!found) { /* there may have been a change just then */
		pthread_mutex_lock(&ctx->lock);
		found = ipcshare__directory_find(names, name, &what);
		pthread_mutex_unlock(&ctx->lock);
	}
	if (!found || what.b != w->length)
		return false;
	*base = (void *)(uintptr_t)what.a;
	return true;
}

void ipcshare__maps_clear(struct ipcshare__maps *maps)
{
	ipcshare__index_clear(&maps->by_address);
	ipcshare__directory_clear(&maps->by_name);
}
