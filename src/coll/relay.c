/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/relay.h"

#include <string.h>

#include "coll/offer.h"

static const struct ipcshare__border *border_of(const struct ipcshare__call *c)
{
	return &c->group->border;
}

static bool all_want_it(const struct ipcshare__call *c)
{
	return c->which == IPCSHARE__COLL_BCAST || c->which == IPCSHARE__COLL_ALLGATHER ||
	       c->which == IPCSHARE__COLL_ALLREDUCE;
}

/* Each of the largest part but one spares the border the block. */
bool ipcshare__relay_pays(const struct ipcshare__call *c, uint64_t most)
{
	const struct ipcshare__border *b = border_of(c);
	uint64_t spared = b->level == IPCSHARE_LEVEL_NODE ? 0 : (uint64_t)b->most - 1;

	return !c->status && all_want_it(c) && spared &&
	       most >= c->group->ctx->config.coll_relay / spared;
}

/* The wish for it may come from a rank that has no business to have it. */
bool ipcshare__relay_can(const struct ipcshare__call *c)
{
	if (!all_want_it(c) || border_of(c)->level == IPCSHARE_LEVEL_NODE)
		return false;
	for (int r = 0; r < c->group->size; r++)
		if (!ipcshare__offer_takes(c, r))
			return false;
	return true;
}

/* ---- Who carries what ---- */

/* Of a bcast there is but one block: each of a part carries a piece of it. */
static size_t piece_of(const struct ipcshare__call *c, int source, int mate, size_t len, size_t *at)
{
	const struct ipcshare__border *b = border_of(c);
	size_t n = (size_t)b->mates[mate], each, first;

	*at = 0;
	if (c->which != IPCSHARE__COLL_BCAST)
		return ipcshare__border_carrier(b, source, mate) == mate ? len : 0;
	each = (len + n - 1) / n;
	each = (each + 63) / 64 * 64;
	first = each * (size_t)ipcshare__border_number(b, mate);
	*at = first < len ? first : len;
	return len - *at < each ? len - *at : each;
}

size_t ipcshare__relay_piece(const struct ipcshare__call *c, int source, size_t len, size_t *at)
{
	return piece_of(c, source, c->group->rank, len, at);
}

bool ipcshare__relay_brings(const struct ipcshare__call *c, int other)
{
	const struct ipcshare__border *b = border_of(c);
	int me = c->group->rank;

	return !ipcshare__border_divides(b, me, other) ||
	       ipcshare__border_carrier(b, me, other) == other;
}

/* ---- On this side of the border ---- */

/* A mate carries one piece of one block, or one block from each other part: so notes go by one of both. */
static struct ipcshare__reach *note_of(const struct ipcshare__call *c, int source, int mate)
{
	return &c->offered->ranks[c->which == IPCSHARE__COLL_BCAST ? mate : source];
}

void ipcshare__relay_note(const struct ipcshare__call *c, int source, int mate, const char *from,
			  char *to, size_t len)
{
	size_t at, n = piece_of(c, source, mate, len, &at);

	note_of(c, source, mate)->hop = (struct ipcshare__hop){ from + at, to + at, n };
}

static int map_from_mate(struct ipcshare__call *c, int source, int mate)
{
	size_t at, len = ipcshare__layout_len(&c->in, source);
	const char *there;
	int err;

	if (mate == c->group->rank || !piece_of(c, source, mate, len, &at))
		return 0;
	err = ipcshare__offer_again(c, note_of(c, source, mate), source, mate, len, &there);
	if (!err)
		ipcshare__relay_note(c, source, mate, there, ipcshare__layout_at(&c->in, source),
				     len);
	return err;
}

int ipcshare__relay_map(struct ipcshare__call *c)
{
	const struct ipcshare__border *b = border_of(c);
	int me = c->group->rank, err = 0;

	for (int r = 0; r < c->group->size && !err; r++) {
		if (!ipcshare__border_divides(b, me, r) || !ipcshare__layout_len(&c->in, r))
			continue;
		if (c->which != IPCSHARE__COLL_BCAST)
			err = map_from_mate(c, r, ipcshare__border_carrier(b, r, me));
		for (int n = 0; c->which == IPCSHARE__COLL_BCAST && n < b->mates[me] && !err; n++)
			err = map_from_mate(c, r, ipcshare__border_mate(b, me, n));
	}
	return err;
}

void ipcshare__relay_pass(const struct ipcshare__call *c)
{
	const struct ipcshare_group *g = c->group;

	/* Each begins with another one, so that not all use the same memory. */
	for (int i = 1; i <= g->size; i++) {
		const struct ipcshare__hop *hop = &c->offered->ranks[(g->rank + i) % g->size].hop;

		if (hop->len)
			memcpy(hop->to, hop->from, hop->len);
	}
}
