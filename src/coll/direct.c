/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/direct.h"

#include <stdlib.h>
#include <string.h>

#include "base/descriptor.h"
#include "base/error.h"
#include "group/describe.h"

/* Where our blocks begin and end, in one buffer. */
static size_t extent(const struct ipcshare__transfer *t, char **first)
{
	size_t most = 0;
	char *end = NULL;

	*first = NULL;
	for (int r = 0; r < t->call->group->size; r++) {
		size_t len = ipcshare__layout_len(&t->out, r);
		char *at = len ? ipcshare__layout_at(&t->out, r) : NULL;

		if (len && (!*first || at < *first))
			*first = at;
		if (len && at + len > end)
			end = at + len;
	}
	most = *first ? (size_t)(end - *first) : 0;
	return most;
}

/* Does every rank know the region? A miss is no failure, and leaves no detail. */
static struct ipcshare__region *region_find(struct ipcshare_group *g, const void *ptr, size_t len)
{
	struct ipcshare_error before = *ipcshare_last_error();
	struct ipcshare__region *r = NULL;
	const uint32_t *told;

	if (ipcshare__region_hold(g->ctx, ptr, len, "collective", &r)) {
		ipcshare__error_restore(&before);
		return NULL;
	}
	told = ipcshare__idmap_find(&g->told, r->id);
	if (told && *told == r->generation)
		return r;
	ipcshare__region_drop(g->ctx, r);
	return NULL;
}

/* A block for each rank at a place of its own is found by the offsets behind. */
static void offer_write(const struct ipcshare__direct *d, struct ipcshare__wire_descriptor at,
			const char *first)
{
	const struct ipcshare__transfer *t = d->transfer;
	struct ipcshare_group *g = t->call->group;
	struct ipcshare__wire_offer offer = { at, d->region->read_only, 0 };
	unsigned char *slot = ipcshare__board_slot(g) + IPCSHARE__SLOT_BODY;

	memcpy(slot, &offer, sizeof(offer));
	for (int r = 0; r < g->size; r++) {
		bool any = ipcshare__layout_len(&t->out, t->to_each ? r : g->rank) > 0;
		uint64_t offset = !any ? 0 : (uint64_t)(ipcshare__layout_at(&t->out, t->to_each ? r : g->rank) - first);

		memcpy(slot + sizeof(offer) + (size_t)r * sizeof(offset), &offset, sizeof(offset));
	}
}

bool ipcshare__direct_offer(struct ipcshare__direct *d, const struct ipcshare__transfer *t, uint64_t most)
{
	struct ipcshare_group *g = t->call->group;
	bool swaps = t->to_each && t->out.base == t->in.base; /* in place, what is read is written over */
	struct ipcshare__wire_descriptor at;
	char *first;
	size_t len;

	*d = (struct ipcshare__direct){ .transfer = t };
	if (most < IPCSHARE__DIRECT_LEAST || t->call->fold.op || t->call->status || swaps ||
	    g->size > 1024 || !g->ctx->backend->ops->direct)
		return false;
	len = extent(t, &first);
	d->region = region_find(g, first, len);
	if (d->region && ipcshare__describe_in(d->region, first, len, &at)) {
		ipcshare__region_drop(g->ctx, d->region);
		d->region = NULL;
	}
	if (d->region)
		offer_write(d, at, first);
	return d->region != NULL;
}

/* ---- Reading ---- */

struct offer {
	struct ipcshare__wire_offer where;
	uint64_t offset; /* of the block for us */
};

static struct offer offer_of(const struct ipcshare_group *g, int rank)
{
	const unsigned char *slot = ipcshare__board_read(g, rank) + IPCSHARE__SLOT_BODY;
	struct offer o;

	memcpy(&o.where, slot, sizeof(o.where));
	memcpy(&o.offset, slot + sizeof(o.where) + (size_t)g->rank * sizeof(o.offset), sizeof(o.offset));
	return o;
}

/* The peer may be hostile: what it offers must lie in a region that it has told of. */
static int map_one(struct ipcshare__direct *d, int rank, size_t len, const char **out)
{
	struct ipcshare_group *g = d->transfer->call->group;
	struct offer o = offer_of(g, rank);
	uint64_t first = ipcshare__descriptor_low(o.where.at), all = ipcshare__descriptor_length(o.where.at);
	const struct ipcshare__known *known =
		ipcshare__catalog_find(&g->members[rank].catalog, ipcshare__descriptor_what(o.where.at));
	struct ipcshare__want want;
	int err;

	if (!known || (known->generation & IPCSHARE__LOW20) != ipcshare__descriptor_high(o.where.at) ||
	    first > known->length || all > known->length - first || o.offset > all ||
	    len > all - o.offset)
		return IPCSHARE_ERR_PROTOCOL;
	want = (struct ipcshare__want){
		.region = ipcshare__descriptor_what(o.where.at), .generation = known->generation,
		.access = o.where.read_only ? IPCSHARE__READ_ONLY : IPCSHARE__READ_WRITE,
		.key = known->key, .length = known->length,
	};
	err = ipcshare__mappings_hold(g->ctx, g->members[rank].peer, &want, 1);
	if (err)
		return err;
	d->mappings[rank] = want.mapping;
	*out = (const char *)want.mapping->at.base + first + o.offset;
	return 0;
}

/* All that we want, mapped; else one status. */
static int map_all(struct ipcshare__direct *d, const char **from)
{
	const struct ipcshare__transfer *t = d->transfer;
	int err = 0;

	for (int r = 0; r < t->call->group->size && !err; r++) {
		size_t len = ipcshare__layout_len(&t->in, r);

		if (r != t->call->group->rank && len)
			err = map_one(d, r, len, &from[r]);
	}
	return err;
}

static void copy_all(const struct ipcshare__direct *d, const char *const *from)
{
	const struct ipcshare__transfer *t = d->transfer;
	int n = t->call->group->size;

	/* Each begins with another rank, so that not all read the same one. */
	for (int i = 1; i < n; i++) {
		int r = (t->call->group->rank + i) % n;

		if (from[r])
			memcpy(ipcshare__layout_at(&t->in, r), from[r], ipcshare__layout_len(&t->in, r));
	}
}

int ipcshare__direct_run(struct ipcshare__direct *d, bool *done)
{
	struct ipcshare__call *c = d->transfer->call;
	struct ipcshare_error before = *ipcshare_last_error();
	size_t n = (size_t)c->group->size;
	const char **from = calloc(n, sizeof(*from));
	uint64_t failed;
	int err;

	d->mappings = calloc(n, sizeof(struct ipcshare__mapping *));
	err = from && d->mappings ? map_all(d, from) : IPCSHARE_ERR_NO_MEMORY;
	ipcshare__error_restore(&before); /* there is another way */
	ipcshare__call_say(c, err != 0);
	err = ipcshare__exchange_barrier(c->group);
	if (!err)
		err = ipcshare__call_hear(c, &failed);
	*done = !err && !failed;
	if (*done) {
		copy_all(d, from);
		err = ipcshare__exchange_barrier(c->group);
	}
	free(from);
	return err;
}

void ipcshare__direct_end(struct ipcshare__direct *d)
{
	struct ipcshare_group *g = d->transfer->call->group;

	for (int r = 0; r < g->size && d->mappings; r++)
		if (d->mappings[r])
			ipcshare__mapping_drop(g->ctx, d->mappings[r]);
	free(d->mappings);
	if (d->region)
		ipcshare__region_drop(g->ctx, d->region);
}
