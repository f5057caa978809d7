/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/chain.h"

#include <string.h>

#include "base/point.h"
#include "coll/offer.h"

/* An array is so many chunks: at its ends some parts are idle, and each chunk takes a round. */
#define CHUNKS 8u
/* Bytes of a rank in a chunk: more than what a round takes, and what one part leaves is in a cache for the next. */
#define LEAST_PIECE ((size_t)16 << 10)
#define MOST_PIECE ((size_t)512 << 10)

static const struct ipcshare__border *border_of(const struct ipcshare__call *c)
{
	return &c->group->border;
}

/* Numbers wrap around, so each order gives the same. */
static bool is_exact(const struct ipcshare__call *c)
{
	return ipcshare__op_kind(c->fold.op) < IPCSHARE_OPS && c->type <= IPCSHARE_UINT64;
}

bool ipcshare__chain_can(const struct ipcshare__call *c)
{
	return c->which == IPCSHARE__COLL_ALLREDUCE && c->relays &&
	       (is_exact(c) || ipcshare__border_in_order(border_of(c)));
}

/* ---- Who has what ---- */

/* The rank whose array takes what has come of part @part and those before it. */
static int holder(const struct ipcshare__call *c, int part)
{
	return ipcshare__border_leader(border_of(c), part);
}

static bool is_last(const struct ipcshare__call *c)
{
	const struct ipcshare__border *b = border_of(c);

	return ipcshare__border_part(b, c->group->rank) == b->parts - 1;
}

/* Whose array this rank carries its piece of the result from: as evenly as can be. */
static int source(const struct ipcshare__call *c)
{
	const struct ipcshare__border *b = border_of(c);

	return ipcshare__border_carrier(b, c->group->rank, holder(c, b->parts - 1));
}

/* Who reads, or writes, where the result is to be on @rank: its own part; where this rank has to go on from; the source. */
static bool uses_result_of(const struct ipcshare__call *c, int rank)
{
	const struct ipcshare__border *b = border_of(c);
	int part = ipcshare__border_part(b, c->group->rank);

	return !ipcshare__border_divides(b, c->group->rank, rank) ||
	       (part && rank == holder(c, part - 1)) || (!is_last(c) && rank == source(c));
}

bool ipcshare__chain_map(struct ipcshare__call *c)
{
	int me = c->group->rank;
	size_t len = ipcshare__layout_len(&c->out, me);
	bool ok = true;

	for (int r = 0; r < c->group->size && ok; r++)
		if (r != me && uses_result_of(c, r))
			ok = !ipcshare__offer_to(c, r, len) &&
			     (ipcshare__border_divides(border_of(c), me, r) ||
			      !ipcshare__offer_from(c, r, len));
	return ok;
}

/* ---- Chunks ---- */

static size_t chunk_of(const struct ipcshare__call *c)
{
	size_t ranks = (size_t)border_of(c)->most, chunk = (c->most / CHUNKS + 127) / 128 * 128;

	if (chunk > MOST_PIECE * ranks)
		return MOST_PIECE * ranks;
	return chunk > LEAST_PIECE * ranks ? chunk : LEAST_PIECE * ranks;
}

/* Of the chunk that the first part had @ago steps ago, the piece of @rank; *@at where it begins. */
static size_t piece_of(const struct ipcshare__call *c, int ago, int rank, size_t *at)
{
	const struct ipcshare__border *b = border_of(c);
	size_t len = ipcshare__layout_len(&c->out, c->group->rank), chunk = chunk_of(c), n, each,
	       first;

	if (c->done < (size_t)ago * chunk || c->done - (size_t)ago * chunk >= len)
		return 0;
	*at = c->done - (size_t)ago * chunk;
	n = len - *at < chunk ? len - *at : chunk;
	each = (n / (size_t)b->mates[rank] + 128) / 128 * 128;
	first = each * (size_t)ipcshare__border_number(b, rank);
	*at += first;
	return first >= n ? 0 : n - first < each ? n - first : each;
}

/*
 * In place, the holder's array has operands, too: each is read in the same step of the same rank as it is written
 * over, and nobody else reads it. @before: what the part before has left; NULL: this is the first.
 */
static void fold_at(const struct ipcshare__call *c, int leader, const char *before, size_t at,
		    size_t n)
{
	const struct ipcshare__reach *ranks = c->offered->ranks;
	char *acc = ranks[leader].to + at;
	const char *x = (before ? before : ranks[leader].from) + at;

	for (int r = before ? leader : leader + 1; r < c->group->size; r++) {
		if (ipcshare__border_divides(border_of(c), leader, r))
			continue;
		ipcshare__fold(&c->fold, acc, x, ranks[r].from + at, n / c->size);
		x = acc;
	}
	if (x != acc) /* one alone */
		memcpy(acc, x, n);
}

/* The result, to the others of the last part. */
static void give(const struct ipcshare__call *c, int leader, size_t at, size_t n)
{
	const struct ipcshare__border *b = border_of(c);
	const struct ipcshare__reach *ranks = c->offered->ranks;

	for (int k = 1; k < b->mates[leader]; k++)
		memcpy(ranks[ipcshare__border_mate(b, leader, k)].to + at, ranks[leader].to + at,
		       n);
}

static void count_far(const struct ipcshare__call *c, size_t bytes)
{
	if (bytes)
		ipcshare__count(&c->group->ctx->counters.far_bytes, bytes);
}

static void fold_piece(const struct ipcshare__call *c)
{
	const struct ipcshare__border *b = border_of(c);
	int part = ipcshare__border_part(b, c->group->rank), leader = holder(c, part);
	const char *before = part ? c->offered->ranks[holder(c, part - 1)].to : NULL;
	size_t at = 0, len = piece_of(c, part, c->group->rank, &at), n;

	for (size_t done = 0; done < len; done += n) {
		n = len - done < IPCSHARE__FOLD_STEP ? len - done : IPCSHARE__FOLD_STEP;
		fold_at(c, leader, before, at + done, n);
		if (part == b->parts - 1)
			give(c, leader, at + done, n);
	}
	count_far(c, part ? len : 0);
}

/* What the last part has: first a piece of it over the border, a step later to this rank from its mates. */
static void take_result(const struct ipcshare__call *c)
{
	const struct ipcshare__border *b = border_of(c);
	const struct ipcshare__reach *ranks = c->offered->ranks;
	int me = c->group->rank;
	size_t at = 0, n = piece_of(c, b->parts, me, &at);

	if (n)
		memcpy(ranks[me].to + at, ranks[source(c)].to + at, n);
	count_far(c, n);
	/* Each begins with another one, so that not all use the same memory. */
	for (int i = 1; i < b->mates[me]; i++) {
		int mate = ipcshare__border_mate(b, me,
						 (ipcshare__border_number(b, me) + i) %
							 b->mates[me]);

		n = piece_of(c, b->parts + 1, mate, &at);
		if (n)
			memcpy(ranks[me].to + at, ranks[mate].to + at, n);
	}
}

int ipcshare__chain(struct ipcshare__call *c)
{
	size_t chunk = chunk_of(c),
	       steps = (c->most + chunk - 1) / chunk + (size_t)border_of(c)->parts + 1;

	fold_piece(c);
	if (!is_last(c))
		take_result(c);
	IPCSHARE__POINT("chain.step");
	c->done += chunk;
	c->next = c->done < steps * chunk ? ipcshare__chain : c->otherwise;
	return 0;
}
