/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/offer.h"

#include <stdlib.h>
#include <string.h>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/point.h"
#include "group/describe.h"

/* What follows an offer, for each rank: where its block begins, and where what it has for us belongs. */
struct offsets {
	uint64_t out, in;
};

/* ---- Offering ---- */

/* The rank that our block for @rank is named by. */
static int key_of(const struct ipcshare__call *c, int rank)
{
	return c->to_each ? rank : c->group->rank;
}

/* The rank by which we name the block that @rank gives. */
static int source_of(const struct ipcshare__call *c, int rank)
{
	return ipcshare__call_is_reduction(c) ? c->group->rank : rank;
}

/* From the first byte of the blocks to the last. */
static size_t extent(const struct ipcshare__call *c, const struct ipcshare__layout *l, char **first)
{
	char *end = NULL;

	*first = NULL;
	for (int r = 0; r < c->group->size; r++) {
		size_t len = ipcshare__layout_len(l, r);
		char *at = len ? ipcshare__layout_at(l, r) : NULL;

		if (len && (!*first || at < *first))
			*first = at;
		if (len && at + len > end)
			end = at + len;
	}
	return *first ? (size_t)(end - *first) : 0;
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

/* The region that holds the blocks, held; or NULL. */
static struct ipcshare__region *place(const struct ipcshare__call *c,
				      const struct ipcshare__layout *l, char **first,
				      struct ipcshare__wire_descriptor *out)
{
	size_t len = extent(c, l, first);
	struct ipcshare__region *r = len ? region_find(c->group, *first, len) : NULL;

	if (r && ipcshare__describe_in(r, *first, len, out)) {
		ipcshare__region_drop(c->group->ctx, r);
		return NULL;
	}
	return r;
}

static uint64_t offset(const struct ipcshare__layout *l, int rank, const char *first)
{
	return first && ipcshare__layout_len(l, rank)
		       ? (uint64_t)(ipcshare__layout_at(l, rank) - first)
		       : 0;
}

static void offer_write(const struct ipcshare__call *c, const struct ipcshare__wire_offer *offer,
			const char *out, const char *in)
{
	unsigned char *body = ipcshare__board_slot(c->group)->body;

	memcpy(body, offer, sizeof(*offer));
	body += sizeof(*offer);
	for (int r = 0; r < c->group->size; r++) {
		struct offsets o = { offset(&c->out, key_of(c, r), out),
				     offset(&c->in, source_of(c, r), in) };

		memcpy(body + (size_t)r * sizeof(o), &o, sizeof(o));
	}
}

bool ipcshare__offers_make(struct ipcshare__call *c)
{
	if (!c->offered)
		c->offered = calloc(1, sizeof(*c->offered) + (size_t)c->group->size *
								     sizeof(c->offered->ranks[0]));
	return c->offered;
}

bool ipcshare__offer(struct ipcshare__call *c, bool gives, bool takes)
{
	struct ipcshare__wire_offer o = { .pad = 0 };
	struct ipcshare__offers *d;
	char *out, *in = NULL;

	if (!ipcshare__offers_make(c))
		return false;
	d = c->offered;
	d->out = place(c, &c->out, &out, &o.at);
	if (gives && !d->out)
		return false;
	if (takes)
		d->in = place(c, &c->in, &in, &o.to);
	if (d->in && d->in->read_only)
		o.to = (struct ipcshare__wire_descriptor){ 0 };
	o.read_only = d->out && d->out->read_only;
	offer_write(c, &o, out, in);
	IPCSHARE__POINT("offer.made");
	return d->out || d->in;
}

/* ---- Mapping what was offered ---- */

static struct ipcshare__wire_offer offer_of(const struct ipcshare__call *c, int rank)
{
	struct ipcshare__wire_offer o;

	memcpy(&o, ipcshare__board_read(c->group, rank)->body, sizeof(o));
	return o;
}

/* What @rank says to @other. */
static struct offsets offsets_of(const struct ipcshare__call *c, int rank, int other)
{
	struct offsets o;

	memcpy(&o,
	       ipcshare__board_read(c->group, rank)->body + sizeof(struct ipcshare__wire_offer) +
		       (size_t)other * sizeof(o),
	       sizeof(o));
	return o;
}

/* Does it offer that others write there? */
bool ipcshare__offer_takes(const struct ipcshare__call *c, int rank)
{
	return ipcshare__board_read(c->group, rank)->front.header.flags & IPCSHARE__CALL_OFFERS &&
	       ipcshare__descriptor_length(offer_of(c, rank).to) > 0;
}

static int nothing_there(int rank)
{
	ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "collective", "",
		       "the rank offers what is not there");
	ipcshare__fail_at(rank, -1);
	return IPCSHARE_ERR_PROTOCOL;
}

/* The peer may be hostile: what it offers must lie in a region that it has told of. */
static int map_at(struct ipcshare__call *c, int rank, struct ipcshare__wire_descriptor at,
		  bool read_only, uint64_t offset, size_t len, struct ipcshare__mapping **mapping,
		  char **out)
{
	struct ipcshare_group *g = c->group;
	uint64_t first = ipcshare__descriptor_low(at), all = ipcshare__descriptor_length(at);
	const struct ipcshare__known *known = ipcshare__catalog_find(&g->members[rank].catalog,
								     ipcshare__descriptor_what(at));
	struct ipcshare__want want;
	int err;

	if (!known || (known->generation & IPCSHARE__LOW20) != ipcshare__descriptor_high(at) ||
	    first > known->length || all > known->length - first || offset > all ||
	    len > all - offset)
		return nothing_there(rank);
	want = (struct ipcshare__want){
		.region = ipcshare__descriptor_what(at),
		.generation = known->generation,
		.access = read_only ? IPCSHARE__READ_ONLY : IPCSHARE__READ_WRITE,
		.key = known->key,
		.length = known->length,
	};
	err = ipcshare__mappings_hold(g->ctx, g->members[rank].peer, &want, 1);
	if (err) {
		ipcshare__fail_at(rank, -1);
		return err;
	}
	*mapping = want.mapping;
	*out = (char *)want.mapping->at.base + first + offset;
	return 0;
}

int ipcshare__offer_from(struct ipcshare__call *c, int rank, size_t len)
{
	struct ipcshare__reach *reach = &c->offered->ranks[rank];
	struct ipcshare__wire_offer o = offer_of(c, rank);
	char *at = NULL;
	int err = len ? map_at(c, rank, o.at, o.read_only, offsets_of(c, rank, c->group->rank).out,
			       len, &reach->out, &at)
		      : 0;

	reach->from = at;
	return err;
}

int ipcshare__offer_to(struct ipcshare__call *c, int rank, size_t len)
{
	struct ipcshare__reach *reach = &c->offered->ranks[rank];

	return len ? map_at(c, rank, offer_of(c, rank).to, false,
			    offsets_of(c, rank, c->group->rank).in, len, &reach->in, &reach->to)
		   : 0;
}

int ipcshare__offer_again(struct ipcshare__call *c, struct ipcshare__reach *reach, int source,
			  int rank, size_t len, const char **out)
{
	char *at = NULL;
	int err = map_at(c, rank, offer_of(c, rank).to, false, offsets_of(c, rank, source).in, len,
			 &reach->in, &at);

	*out = at;
	return err;
}

void ipcshare__offers_drop(struct ipcshare_group *g, struct ipcshare__offers *d)
{
	struct ipcshare_ctx *ctx = g->ctx;

	for (int r = 0; r < g->size; r++) {
		if (d->ranks[r].out)
			ipcshare__mapping_drop(ctx, d->ranks[r].out);
		if (d->ranks[r].in)
			ipcshare__mapping_drop(ctx, d->ranks[r].in);
	}
	if (d->out)
		ipcshare__region_drop(ctx, d->out);
	if (d->in)
		ipcshare__region_drop(ctx, d->in);
	free(d);
}
