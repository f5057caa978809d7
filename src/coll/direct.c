/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/direct.h"

#include <stdlib.h>
#include <string.h>

#include "base/descriptor.h"
#include "base/error.h"
#include "coll/transfer.h"
#include "group/describe.h"

/* Of one rank: what we read, and what we write. NULL where that is nothing. */
struct reach {
	struct ipcshare__mapping *out, *in; /* held */
	const char *from;
	char *to;
};

struct ipcshare__direct {
	struct ipcshare__region *out, *in; /* that our own buffers lie in, held; NULL: they don't */
	struct reach ranks[];
};

/* What follows an offer, for each rank: where its block begins, and where what it has for us belongs. */
struct offsets {
	uint64_t out, in;
};

/* ---- Offering ---- */

static bool is_reduction(const struct ipcshare__call *c)
{
	return c->which == IPCSHARE__COLL_ALLREDUCE || c->which == IPCSHARE__COLL_REDUCE;
}

/* The rank that our block for @rank is named by. */
static int key_of(const struct ipcshare__call *c, int rank)
{
	return c->to_each ? rank : c->group->rank;
}

/* The rank by which we name the block that @rank gives. */
static int source_of(const struct ipcshare__call *c, int rank)
{
	return is_reduction(c) ? c->group->rank : rank;
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
static struct ipcshare__region *place(const struct ipcshare__call *c, const struct ipcshare__layout *l,
				      char **first, struct ipcshare__wire_descriptor *out)
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
	return first && ipcshare__layout_len(l, rank) ? (uint64_t)(ipcshare__layout_at(l, rank) - first) : 0;
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

/*
 * Blocks that are written while others still read them have to go through the slots. Of a reduction in
 * place that is not so: one rank alone reads and writes a part, on all of them.
 */
static bool swaps(const struct ipcshare__call *c)
{
	return c->to_each && c->out.base == c->in.base;
}

/* The others may write what they have for us. */
static bool can_take(const struct ipcshare__call *c)
{
	return is_reduction(c) || c->which == IPCSHARE__COLL_BCAST || c->which == IPCSHARE__COLL_GATHER;
}

static bool can_offer(const struct ipcshare__call *c)
{
	const struct ipcshare_group *g = c->group;

	return !c->status && !swaps(c) && g->size <= 1024 && c->which != IPCSHARE__COLL_SCAN &&
	       c->which != IPCSHARE__COLL_EXSCAN && g->ctx->backend->ops->direct;
}

static struct ipcshare__direct *direct_make(struct ipcshare__call *c)
{
	if (!c->direct)
		c->direct = calloc(1, sizeof(*c->direct) +
					      (size_t)c->group->size * sizeof(c->direct->ranks[0]));
	return c->direct;
}

static bool offer(struct ipcshare__call *c, struct ipcshare__direct *d, bool gives)
{
	struct ipcshare__wire_offer o = { .pad = 0 };
	char *out, *in = NULL;

	d->out = place(c, &c->out, &out, &o.at);
	if (gives && !d->out)
		return false;
	if (can_take(c))
		d->in = place(c, &c->in, &in, &o.to);
	if (d->in && d->in->read_only)
		o.to = (struct ipcshare__wire_descriptor){ 0 };
	o.read_only = d->out && d->out->read_only;
	offer_write(c, &o, out, in);
	return d->out || d->in;
}

bool ipcshare__direct_offer(struct ipcshare__call *c, uint64_t gives, uint64_t takes)
{
	bool is_long = gives >= IPCSHARE__DIRECT_LEAST || (can_take(c) && takes >= IPCSHARE__DIRECT_LEAST);

	return is_long && can_offer(c) && direct_make(c) && offer(c, c->direct, gives);
}

/* ---- Mapping what was offered ---- */

static struct ipcshare__wire_offer offer_of(const struct ipcshare__call *c, int rank)
{
	struct ipcshare__wire_offer o;

	memcpy(&o, ipcshare__board_read(c->group, rank)->body, sizeof(o));
	return o;
}

static struct offsets offsets_of(const struct ipcshare__call *c, int rank)
{
	struct offsets o;

	memcpy(&o, ipcshare__board_read(c->group, rank)->body + sizeof(struct ipcshare__wire_offer) +
			   (size_t)c->group->rank * sizeof(o), sizeof(o));
	return o;
}

/* Does it offer that others write there? */
static bool takes(const struct ipcshare__call *c, int rank)
{
	return ipcshare__board_read(c->group, rank)->front.header.flags & IPCSHARE__CALL_OFFERS &&
	       ipcshare__descriptor_length(offer_of(c, rank).to) > 0;
}

/* The peer may be hostile: what it offers must lie in a region that it has told of. */
static char *map_at(struct ipcshare__call *c, int rank, struct ipcshare__wire_descriptor at, bool read_only,
		    uint64_t offset, size_t len, struct ipcshare__mapping **mapping)
{
	struct ipcshare_group *g = c->group;
	uint64_t first = ipcshare__descriptor_low(at), all = ipcshare__descriptor_length(at);
	const struct ipcshare__known *known =
		ipcshare__catalog_find(&g->members[rank].catalog, ipcshare__descriptor_what(at));
	struct ipcshare__want want;

	if (!known || (known->generation & IPCSHARE__LOW20) != ipcshare__descriptor_high(at) ||
	    first > known->length || all > known->length - first || offset > all || len > all - offset)
		return NULL;
	want = (struct ipcshare__want){
		.region = ipcshare__descriptor_what(at), .generation = known->generation,
		.access = read_only ? IPCSHARE__READ_ONLY : IPCSHARE__READ_WRITE,
		.key = known->key, .length = known->length,
	};
	if (ipcshare__mappings_hold(g->ctx, g->members[rank].peer, &want, 1))
		return NULL;
	*mapping = want.mapping;
	return (char *)want.mapping->at.base + first + offset;
}

static bool map_from(struct ipcshare__call *c, int rank, size_t len)
{
	struct reach *reach = &c->direct->ranks[rank];
	struct ipcshare__wire_offer o = offer_of(c, rank);

	if (len)
		reach->from = map_at(c, rank, o.at, o.read_only, offsets_of(c, rank).out, len, &reach->out);
	return !len || reach->from;
}

static bool map_to(struct ipcshare__call *c, int rank, size_t len)
{
	struct reach *reach = &c->direct->ranks[rank];

	if (len)
		reach->to = map_at(c, rank, offer_of(c, rank).to, false, offsets_of(c, rank).in, len,
				   &reach->in);
	return !len || reach->to;
}

/* ---- Blocks that are moved ---- */

/*
 * Who wants a block copies it. But a root that gathers has its own to copy meanwhile: the others bring
 * theirs, if it takes them.
 */
static bool is_brought(const struct ipcshare__call *c)
{
	return c->which == IPCSHARE__COLL_GATHER && takes(c, c->root);
}

/* Of the block of a bcast, what the root copies to each of the others, to be no idler than they are. */
static size_t roots_share(const struct ipcshare__call *c, size_t len)
{
	for (int r = 0; r < c->group->size; r++)
		if (r != c->root && !takes(c, r))
			return 0;
	return len / (size_t)c->group->size / 64 * 64;
}

static bool map_blocks(struct ipcshare__call *c)
{
	bool root = ipcshare__call_is_root(c), ok = true;
	size_t share = c->which == IPCSHARE__COLL_BCAST && root
			       ? roots_share(c, ipcshare__layout_len(&c->out, c->root)) : 0;

	for (int r = 0; r < c->group->size && ok; r++)
		if (r != c->group->rank && share)
			ok = map_to(c, r, share);
		else if (r != c->group->rank && !is_brought(c))
			ok = map_from(c, r, ipcshare__layout_len(&c->in, r));
	if (ok && is_brought(c) && !root)
		ok = map_to(c, c->root, ipcshare__layout_len(&c->out, c->group->rank));
	return ok;
}

static void copy_blocks(const struct ipcshare__call *c)
{
	const struct ipcshare_group *g = c->group;
	int me = g->rank;

	/* Each begins with another rank, so that not all use the same memory. */
	for (int i = 1; i < g->size; i++) {
		int r = (me + i) % g->size;
		const struct reach *reach = &c->direct->ranks[r];
		size_t len = ipcshare__layout_len(&c->in, r);
		size_t share = c->which == IPCSHARE__COLL_BCAST ? roots_share(c, len) : 0;

		if (reach->from)
			memcpy(ipcshare__layout_at(&c->in, r) + share, reach->from + share, len - share);
		if (reach->to && is_brought(c))
			memcpy(reach->to, c->out.base, ipcshare__layout_len(&c->out, me));
		else if (reach->to)
			memcpy(reach->to, c->out.base, roots_share(c, ipcshare__layout_len(&c->out, me)));
	}
}

/* All have tried; if one could not, nothing is lost: the blocks are still where they were. */
static int after_copies(struct ipcshare__call *c)
{
	uint64_t failed;
	int err = ipcshare__call_hear(c, &failed);

	if (err)
		return err;
	return failed ? c->otherwise(c) : ipcshare__transfer_end(c);
}

/* ---- Blocks that are reduced ---- */

/* The bytes that we reduce: a part of those of all, or our own block. */
static size_t part(const struct ipcshare__call *c, size_t *len)
{
	size_t all = ipcshare__layout_len(&c->out, c->group->rank), n = (size_t)c->group->size, each, first;

	*len = all;
	if (!is_reduction(c))
		return 0;
	each = (all / n + 127) / 128 * 128;
	first = each * (size_t)c->group->rank < all ? each * (size_t)c->group->rank : all;
	*len = all - first < each ? all - first : each;
	return first;
}

static bool wants_result(const struct ipcshare__call *c, int rank)
{
	return c->which == IPCSHARE__COLL_ALLREDUCE || (c->which == IPCSHARE__COLL_REDUCE && rank == c->root);
}

static bool map_parts(struct ipcshare__call *c)
{
	int me = c->group->rank;
	size_t len = ipcshare__layout_len(&c->out, me);
	bool ok = true;

	c->direct->ranks[me].from = ipcshare__layout_at(&c->out, me);
	c->direct->ranks[me].to = ipcshare__layout_len(&c->in, me) ? c->in.base : NULL;
	for (int r = 0; r < c->group->size && ok; r++)
		if (r != me)
			ok = map_from(c, r, len) && (!wants_result(c, r) || map_to(c, r, len));
	return ok;
}

/* So much of the result stays in the first cache until it is everywhere. */
#define FOLD_STEP 8192

static void fold_at(const struct ipcshare__call *c, size_t at, size_t n)
{
	const struct reach *ranks = c->direct->ranks;
	_Alignas(64) char acc[FOLD_STEP];

	memcpy(acc, ranks[0].from + at, n);
	for (int r = 1; r < c->group->size; r++)
		ipcshare__fold(&c->fold, acc, ranks[r].from + at, n / c->size);
	for (int r = 0; r < c->group->size; r++)
		if (ranks[r].to)
			memcpy(ranks[r].to + at, acc, n);
}

static void fold_part(const struct ipcshare__call *c)
{
	size_t len, first = part(c, &len);

	for (size_t done = 0; done < len; done += FOLD_STEP)
		fold_at(c, first + done, len - done < FOLD_STEP ? len - done : FOLD_STEP);
}

static int after_folds(struct ipcshare__call *c)
{
	c->next = NULL;
	return 0;
}

/* In place, what was reduced can't be reduced again: nobody begins unless all can. */
static int after_maps(struct ipcshare__call *c)
{
	uint64_t failed;
	int err = ipcshare__call_hear(c, &failed);

	if (err)
		return err;
	if (failed)
		return c->otherwise(c);
	fold_part(c);
	c->next = after_folds;
	return 0;
}

/* ---- Both ---- */

/* All see the same offers, and find the same. */
static bool all_take(const struct ipcshare__call *c)
{
	for (int r = 0; r < c->group->size; r++)
		if (is_reduction(c) && wants_result(c, r) && !takes(c, r))
			return false;
	return true;
}

static bool try(struct ipcshare__call *c)
{
	struct ipcshare_error before = *ipcshare_last_error();
	bool ok = direct_make(c) && (c->fold.op ? map_parts(c) : map_blocks(c));

	ipcshare__error_restore(&before); /* there is another way */
	if (ok && !c->fold.op)
		copy_blocks(c);
	return ok;
}

int ipcshare__direct(struct ipcshare__call *c, ipcshare__step *otherwise)
{
	if (!all_take(c))
		return otherwise(c);
	c->otherwise = otherwise;
	c->next = c->fold.op ? after_maps : after_copies;
	ipcshare__call_say(c, !try(c));
	return 0;
}

void ipcshare__direct_end(struct ipcshare__call *c)
{
	struct ipcshare__direct *d = c->direct;
	struct ipcshare_ctx *ctx = c->group->ctx;

	for (int r = 0; r < c->group->size; r++) {
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
	c->direct = NULL;
}
