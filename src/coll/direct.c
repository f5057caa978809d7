/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/direct.h"

#include <string.h>

#include "base/error.h"
#include "base/point.h"
#include "coll/chain.h"
#include "coll/offer.h"
#include "coll/relay.h"
#include "coll/thresholds.h"
#include "coll/transfer.h"

/*
 * Blocks that are written while others still read them have to go through the slots. Of a reduction in
 * place that is not so: one rank alone reads and writes a part, on all of them.
 */
static bool swaps(const struct ipcshare__call *c)
{
	return c->to_each && ipcshare__call_is_in_place(c);
}

/* The others may write what they have for us. */
static bool can_take(const struct ipcshare__call *c)
{
	return ipcshare__call_is_reduction(c) || c->which == IPCSHARE__COLL_BCAST ||
	       c->which == IPCSHARE__COLL_GATHER || c->relays;
}

static bool can_offer(const struct ipcshare__call *c)
{
	const struct ipcshare_group *g = c->group;

	return !c->status && !swaps(c) && g->size <= 1024 && g->ctx->backend->ops->direct;
}

bool ipcshare__direct_offer(struct ipcshare__call *c, uint64_t gives, uint64_t takes)
{
	uint64_t least = ipcshare__direct_least(c->group);
	bool is_long = gives >= least || (can_take(c) && takes >= least) || (c->shows && gives);

	return is_long && can_offer(c) && ipcshare__offer(c, gives, can_take(c));
}

/* ---- Blocks that are moved ---- */

/*
 * Who wants a block copies it. But a root that gathers has its own to copy meanwhile: the others bring
 * theirs, if it takes them.
 */
static bool is_brought(const struct ipcshare__call *c)
{
	return c->which == IPCSHARE__COLL_GATHER && ipcshare__offer_takes(c, c->root);
}

/* Of the block of a bcast, what the root copies to each of the others, to be no idler than they are. */
static size_t roots_share(const struct ipcshare__call *c, size_t len)
{
	if (c->which != IPCSHARE__COLL_BCAST || c->relays)
		return 0;
	for (int r = 0; r < c->group->size; r++)
		if (r != c->root && !ipcshare__offer_takes(c, r))
			return 0;
	return len / (size_t)c->group->size / 64 * 64;
}

static bool is_far(const struct ipcshare__call *c, int rank)
{
	return ipcshare__border_divides(&c->group->border, c->group->rank, rank);
}

/* Of the block of @rank, the bytes that we copy from there; *@at where they begin. */
static size_t taken_from(const struct ipcshare__call *c, int rank, size_t *at)
{
	size_t len = ipcshare__layout_len(&c->in, rank);

	if (c->relays && is_far(c, rank))
		return ipcshare__relay_piece(c, rank, len, at);
	*at = roots_share(c, len);
	return len - *at;
}

static bool map_blocks(struct ipcshare__call *c)
{
	bool root = ipcshare__call_is_root(c), ok = true;
	size_t share = root ? roots_share(c, ipcshare__layout_len(&c->out, c->root)) : 0, at;

	for (int r = 0; r < c->group->size && ok; r++)
		if (r != c->group->rank && share)
			ok = !ipcshare__offer_to(c, r, share);
		else if (r != c->group->rank && !is_brought(c) && taken_from(c, r, &at))
			ok = !ipcshare__offer_from(c, r, ipcshare__layout_len(&c->in, r));
	if (ok && is_brought(c) && !root)
		ok = !ipcshare__offer_to(c, c->root, ipcshare__layout_len(&c->out, c->group->rank));
	return ok && !(c->relays && ipcshare__relay_map(c));
}

static void count_far(const struct ipcshare__call *c, int rank, size_t bytes)
{
	if (bytes && is_far(c, rank))
		ipcshare__count(&c->group->ctx->counters.far_bytes, bytes);
}

static void copy_blocks(const struct ipcshare__call *c)
{
	const struct ipcshare_group *g = c->group;
	int me = g->rank;

	/* Each begins with another rank, so that not all use the same memory. */
	for (int i = 1; i < g->size; i++) {
		int r = (me + i) % g->size;
		const struct ipcshare__reach *reach = &c->offered->ranks[r];
		size_t at, n = reach->from ? taken_from(c, r, &at) : 0, given = 0;

		if (n)
			memcpy(ipcshare__layout_at(&c->in, r) + at, reach->from + at, n);
		if (reach->to)
			given = is_brought(c) ? ipcshare__layout_len(&c->out, me)
					      : roots_share(c, ipcshare__layout_len(&c->out, me));
		if (given)
			memcpy(reach->to, c->out.base, given);
		count_far(c, r, n + given);
	}
}

static int to_end(struct ipcshare__call *c)
{
	c->shown = c->shows;
	c->next = NULL;
	return 0;
}

/* All have what comes from them alone, and what they carry for their part. */
static int pass_on(struct ipcshare__call *c)
{
	if (!c->relays)
		return to_end(c);
	ipcshare__relay_pass(c);
	IPCSHARE__POINT("direct.passed");
	c->next = to_end;
	return 0;
}

/* All have tried; if one could not, nothing is lost: the blocks are still where they were. */
static int after_copies(struct ipcshare__call *c)
{
	uint64_t failed;
	int err = ipcshare__call_hear(c, &failed);

	if (err)
		return err;
	return failed ? c->otherwise(c) : pass_on(c);
}

/* ---- Blocks that are reduced ---- */

/* The bytes that @rank reduces: a part of those of all, or its own block. */
static size_t part(const struct ipcshare__call *c, int rank, size_t *len)
{
	size_t all = ipcshare__layout_len(&c->out, c->group->rank), n = (size_t)c->group->size,
	       each, first;

	*len = all;
	if (!ipcshare__call_is_reduction(c))
		return 0;
	each = ((all + n - 1) / n + 127) / 128 * 128;
	first = each * (size_t)rank < all ? each * (size_t)rank : all;
	*len = all - first < each ? all - first : each;
	return first;
}

static bool wants_result(const struct ipcshare__call *c, int rank)
{
	switch (c->which) {
	case IPCSHARE__COLL_REDUCE:
		return rank == c->root;
	case IPCSHARE__COLL_EXSCAN:
		return rank > 0;
	default:
		return ipcshare__call_is_reduction(c);
	}
}

/* Parts that others of this side have from ranks behind the border. */
static void note_parts(const struct ipcshare__call *c)
{
	const struct ipcshare__reach *ranks = c->offered->ranks;
	int me = c->group->rank;

	for (int r = 0; r < c->group->size; r++) {
		int mate = ipcshare__border_carrier(&c->group->border, r, me);
		size_t len, first = part(c, r, &len);

		if (is_far(c, r) && mate != me)
			ipcshare__relay_note(c, r, mate, ranks[mate].to + first,
					     ranks[me].to + first, len);
	}
}

static bool map_parts(struct ipcshare__call *c)
{
	int me = c->group->rank;
	size_t len = ipcshare__layout_len(&c->out, me);
	bool ok = true;

	c->offered->ranks[me].from = ipcshare__layout_at(&c->out, me);
	c->offered->ranks[me].to = ipcshare__layout_len(&c->in, me) ? c->in.base : NULL;
	if (c->chains)
		return ipcshare__chain_map(c);
	for (int r = 0; r < c->group->size && ok; r++)
		if (r != me)
			ok = !ipcshare__offer_from(c, r, len) &&
			     !(wants_result(c, r) && (!c->relays || ipcshare__relay_brings(c, r)) &&
			       ipcshare__offer_to(c, r, len));
	if (ok && c->relays)
		note_parts(c);
	return ok;
}

/*
 * In place, what is written may be what is read of the same rank: so the result grows where one of the first
 * two operands may lie, which are read before anything is written.
 */
static void fold_at(const struct ipcshare__call *c, size_t at, size_t n)
{
	const struct ipcshare__reach *ranks = c->offered->ranks;
	_Alignas(64) char scratch[IPCSHARE__FOLD_STEP];
	char *place = ranks[0].to || c->group->size < 2 ? ranks[0].to : ranks[1].to;
	char *acc = place ? place + at : scratch;
	const char *x = ranks[0].from + at;

	for (int r = 1; r < c->group->size; r++, x = acc)
		ipcshare__fold(&c->fold, acc, x, ranks[r].from + at, n / c->size);
	for (int r = 0; r < c->group->size; r++)
		if (ranks[r].to && ranks[r].to + at != x)
			memcpy(ranks[r].to + at, x, n);
}

static void leave(char *to, size_t at, const char *bytes, size_t n)
{
	if (to)
		memcpy(to + at, bytes, n);
}

/* What the ranks up to each reduce to, for it; or before each. Its own is read before it is written over. */
static void scan_at(const struct ipcshare__call *c, size_t at, size_t n)
{
	_Alignas(64) char scratch[2][IPCSHARE__FOLD_STEP];
	const struct ipcshare__reach *ranks = c->offered->ranks;
	char *before = scratch[0], *acc = scratch[1], *last;
	bool own = c->which == IPCSHARE__COLL_SCAN;

	memcpy(acc, ranks[0].from + at, n);
	if (own)
		leave(ranks[0].to, at, acc, n);
	for (int r = 1; r < c->group->size; r++) {
		last = before;
		before = acc;
		acc = last;
		if (own || r + 1 < c->group->size)
			ipcshare__fold(&c->fold, acc, before, ranks[r].from + at, n / c->size);
		leave(ranks[r].to, at, own ? acc : before, n);
	}
}

static void fold_part(const struct ipcshare__call *c)
{
	bool scans = c->which == IPCSHARE__COLL_SCAN || c->which == IPCSHARE__COLL_EXSCAN;
	const struct ipcshare__reach *ranks = c->offered->ranks;
	size_t len, first = part(c, c->group->rank, &len);

	for (size_t done = 0; done < len; done += IPCSHARE__FOLD_STEP) {
		size_t n = len - done < IPCSHARE__FOLD_STEP ? len - done : IPCSHARE__FOLD_STEP;

		if (scans)
			scan_at(c, first + done, n);
		else
			fold_at(c, first + done, n);
	}
	for (int r = 0; r < c->group->size; r++)
		count_far(c, r, (ranks[r].from ? len : 0) + (ranks[r].to ? len : 0));
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
	if (c->chains) {
		c->otherwise = to_end;
		return ipcshare__chain(c);
	}
	fold_part(c);
	IPCSHARE__POINT("direct.folded");
	c->next = pass_on;
	return 0;
}

/* ---- Both ---- */

/* All see the same offers, and find the same. */
static bool all_take(const struct ipcshare__call *c)
{
	for (int r = 0; r < c->group->size; r++)
		if (ipcshare__call_is_reduction(c) && wants_result(c, r) &&
		    !ipcshare__offer_takes(c, r))
			return false;
	return true;
}

static bool try(struct ipcshare__call *c)
{
	struct ipcshare_error before = *ipcshare_last_error();
	bool ok = ipcshare__offers_make(c) && (c->fold.op ? map_parts(c) : map_blocks(c));

	IPCSHARE__POINT("direct.mapped");
	ipcshare__error_restore(&before); /* there is another way */
	if (ok && !c->fold.op && !c->shows) {
		copy_blocks(c);
		ipcshare__transfer_own(c);
		IPCSHARE__POINT("direct.copied");
	}
	return ok;
}

int ipcshare__direct(struct ipcshare__call *c, ipcshare__step *otherwise)
{
	if (!all_take(c))
		return otherwise(c);
	c->relays &= ipcshare__relay_can(c);
	c->chains = ipcshare__chain_can(c);
	c->otherwise = otherwise;
	c->next = c->fold.op ? after_maps : after_copies;
	ipcshare__call_say(c, !try(c));
	return 0;
}
