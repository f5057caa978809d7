/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reduce and allreduce. What is short, every rank that wants it reduces for itself, after one round.
 * What is long, and not reduced where it lies (direct.h), goes in windows of as many parts as there are
 * ranks: each reduces its part of a window, straight into its next slot, where the others find it beside
 * the next window.
 */
#include <string.h>

#include "base/point.h"
#include "coll/direct.h"
#include "coll/forms.h"
#include "coll/relay.h"
#include "coll/thresholds.h"

#define BODY sizeof(((struct ipcshare__slot *)NULL)->body)
#define FEW sizeof(((struct ipcshare__front *)NULL)->few)

/* ---- Windows: the call's lane is a part ---- */

static size_t len_of(const struct ipcshare__call *c)
{
	return c->status ? 0 : ipcshare__layout_len(&c->out, c->group->rank);
}

static char *recv_of(const struct ipcshare__call *c) /* NULL: the result is not for this rank */
{
	return ipcshare__layout_len(&c->in, c->group->rank) ? c->in.base : NULL;
}

static size_t window_of(const struct ipcshare__call *c)
{
	return c->lane * (size_t)c->group->size;
}

static size_t piece(const struct ipcshare__call *c, uint64_t first, size_t most)
{
	size_t len = len_of(c);

	return first >= len ? 0 : len - first < most ? len - (size_t)first : most;
}

static void write_window(const struct ipcshare__call *c, uint64_t first)
{
	size_t n = piece(c, first, window_of(c));

	if (n)
		memcpy(ipcshare__board_slot(c->group)->body, c->out.base + first, n);
}

static void write_few(const struct ipcshare__call *c, size_t len)
{
	memcpy(c->group->front.few, c->out.base, len);
	c->group->front_used = offsetof(struct ipcshare__front, few) + len;
}

/* This rank's part of the window that is in the slots. */
static void reduce_part(const struct ipcshare__call *c)
{
	size_t at = (size_t)c->group->rank * c->lane;

	ipcshare__call_fold(c, ipcshare__board_slot(c->group)->body + window_of(c),
			    IPCSHARE__SLOT_BODY + at, c->out.base + c->done + at,
			    piece(c, c->done + at, c->lane));
}

/* The parts of all, of the window before the one that is in the slots. */
static void read_parts(const struct ipcshare__call *c)
{
	const struct ipcshare_group *g = c->group;
	char *recv = recv_of(c);

	for (int i = 0; i < g->size && recv; i++) {
		int rank = (g->rank + i) % g->size;
		uint64_t at = c->done + (size_t)rank * c->lane;
		size_t n = piece(c, at, c->lane);

		if (n)
			memcpy(recv + at, ipcshare__board_read(g, rank)->body + window_of(c), n);
	}
}

/* ---- The steps ---- */

static int after_window(struct ipcshare__call *c);

/* The window at @done is in the slots. */
static int reduce_window(struct ipcshare__call *c)
{
	reduce_part(c);
	IPCSHARE__POINT("reduce.part");
	write_window(c, c->done + window_of(c));
	c->next = after_window;
	return 0;
}

static int after_window(struct ipcshare__call *c)
{
	read_parts(c);
	IPCSHARE__POINT("reduce.window");
	c->done += window_of(c);
	if (c->done < c->most)
		return reduce_window(c);
	c->next = NULL;
	return 0;
}

static int again(struct ipcshare__call *c)
{
	write_window(c, 0);
	c->next = reduce_window;
	return 0;
}

static size_t short_at(uint64_t len)
{
	return len <= FEW ? offsetof(struct ipcshare__slot, front.few) : IPCSHARE__SLOT_BODY;
}

static int after_first(struct ipcshare__call *c)
{
	int err = ipcshare__call_hear(c, &c->most);
	char *recv = recv_of(c);

	if (err)
		return err;
	if (c->all_offer)
		return ipcshare__direct(c, again);
	if (c->some_offer)
		return again(c);
	if (c->is_long)
		return reduce_window(c);
	if (recv)
		ipcshare__call_fold(c, recv, short_at(c->most), c->out.base, len_of(c));
	IPCSHARE__POINT("reduce.folded");
	c->next = NULL;
	return 0;
}

static int first(struct ipcshare__call *c)
{
	size_t part = BODY / ((size_t)c->group->size + 1), len;

	c->lane = part >= 64 ? part / 64 * 64 : part / 16 * 16;
	if (!c->status && !c->lane)
		c->status = ipcshare__call_too_many(c);
	len = len_of(c);
	/* Parts are read from the body, and a few bytes aren't there: they are short on every rank. */
	c->is_long = len > FEW && (len > window_of(c) || len > ipcshare__short_most(c->group));
	c->relays = ipcshare__relay_pays(c, len);
	c->offers = ipcshare__direct_offer(c, len,
					   c->status
						   ? 0
						   : ipcshare__layout_len(&c->in, c->group->rank));
	ipcshare__call_say(c, len);
	if (len > FEW && !c->offers)
		write_window(c, 0);
	else if (len && len <= FEW)
		write_few(c, len);
	c->next = after_first;
	return 0;
}

/* ---- The calls ---- */

/* In place, what is to be reduced lies at @recv, of who @wants the result. */
static void reduce_arrays(struct ipcshare__call *c, const void *send, void *recv, bool wants,
			  size_t count, const struct ipcshare_op *op)
{
	int me = c->group->rank;

	ipcshare__call_op(c, op);
	if (wants && send == IPCSHARE_IN_PLACE)
		send = recv;
	c->moves = first;
	c->last = c->group->size;
	c->out = ipcshare__call_block(c, send, count, me);
	c->in = ipcshare__call_block(c, recv, count, wants ? me : IPCSHARE__NOBODY);
}

static int reduce(struct ipcshare__call *c, struct ipcshare_group *group, const void *send,
		  void *recv, size_t count, enum ipcshare_type type, const struct ipcshare_op *op,
		  int root)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_REDUCE, type);

	if (err)
		return err;
	ipcshare__call_root(c, root);
	reduce_arrays(c, send, recv, ipcshare__call_is_root(c), count, op);
	return 0;
}

static int allreduce(struct ipcshare__call *c, struct ipcshare_group *group, const void *send,
		     void *recv, size_t count, enum ipcshare_type type,
		     const struct ipcshare_op *op)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_ALLREDUCE, type);

	if (!err)
		reduce_arrays(c, send, recv, true, count, op);
	return err;
}

IPCSHARE__FORMS(reduce,
		(struct ipcshare_group * group, const void *send, void *recv, size_t count,
		 enum ipcshare_type type, const struct ipcshare_op *op, int root),
		group, send, recv, count, type, op, root)
IPCSHARE__FORMS(allreduce,
		(struct ipcshare_group * group, const void *send, void *recv, size_t count,
		 enum ipcshare_type type, const struct ipcshare_op *op),
		group, send, recv, count, type, op)
