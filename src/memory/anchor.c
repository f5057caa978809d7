/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/anchor.h"

#include "base/error.h"
#include "memory/context.h"

void ipcshare__anchor_keep(const struct ipcshare__anchor *anchor)
{
	if (anchor->region) {
		anchor->region->users++;
		return;
	}
	anchor->mapping->users++;
	anchor->mapping->peer->users++;
}

/* What ipcshare_map() has given out is in use. */
static bool hold_map(struct ipcshare_ctx *ctx, const void *ptr, struct ipcshare__anchor *out)
{
	struct ipcshare__range range;
	bool found;

	pthread_mutex_lock(&ctx->lock);
	found = !ipcshare__index_find(&ctx->regions.by_address, ptr, &range) &&
		ipcshare__index_find(&ctx->imports.maps.by_address, ptr, &range);
	if (found) {
		*out = (struct ipcshare__anchor){ .mapping = range.what };
		ipcshare__anchor_keep(out);
	}
	pthread_mutex_unlock(&ctx->lock);
	return found;
}

int ipcshare__anchor_hold(struct ipcshare_ctx *ctx, const void *ptr, const char *stage,
			  struct ipcshare__anchor *out)
{
	struct ipcshare__region *region;
	int err;

	if (hold_map(ctx, ptr, out))
		return 0;
	err = ipcshare__region_hold(ctx, ptr, 1, stage, &region);
	if (!err)
		*out = (struct ipcshare__anchor){ .region = region };
	return err;
}

void ipcshare__anchor_drop(struct ipcshare_ctx *ctx, const struct ipcshare__anchor *anchor)
{
	if (anchor->region)
		ipcshare__region_drop(ctx, anchor->region);
	else
		ipcshare__mapping_drop(ctx, anchor->mapping);
}

struct ipcshare__span ipcshare__anchor_span(const struct ipcshare__anchor *anchor)
{
	const struct ipcshare__region *r = anchor->region;
	const struct ipcshare__mapping *m = anchor->mapping;

	if (r)
		return (struct ipcshare__span){ r->mem.base, r->mem.length, IPCSHARE__READ_WRITE };
	return (struct ipcshare__span){ m->at.base, m->length, m->access };
}

struct ipcshare__attached **ipcshare__anchor_list(const struct ipcshare__anchor *anchor)
{
	if (anchor->region)
		return anchor->region->withdrawn ? NULL : &anchor->region->attached;
	return anchor->mapping->gone ? NULL : &anchor->mapping->attached;
}

void ipcshare__attach(struct ipcshare__attached **list, struct ipcshare__attached *a)
{
	a->next = *list;
	a->link = list;
	if (a->next)
		a->next->link = &a->next;
	*list = a;
}

void ipcshare__detach(struct ipcshare_ctx *ctx, struct ipcshare__attached *a)
{
	*a->link = a->next;
	if (a->next)
		a->next->link = a->link;
	pthread_cond_broadcast(&ctx->changed);
}

void ipcshare__attached_end(struct ipcshare_ctx *ctx, struct ipcshare__attached **list)
{
	struct ipcshare__attached *a;

	pthread_mutex_lock(&ctx->lock);
	while ((a = *list)) {
		if (a->busy) {
			pthread_cond_wait(&ctx->changed, &ctx->lock);
			continue;
		}
		a->busy = true;
		pthread_mutex_unlock(&ctx->lock);
		a->end(a);
		pthread_mutex_lock(&ctx->lock);
	}
	pthread_mutex_unlock(&ctx->lock);
}
