/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reduce and allreduce. What is short, every rank that wants it reduces for itself, after one round.
 * What is long goes in windows of as many parts as there are ranks: each reduces its part of a
 * window, straight into its next slot, where the others find it beside the next window.
 */
#include <string.h>

#include "coll/call.h"

#define BODY (IPCSHARE__SLOT - IPCSHARE__SLOT_BODY)
#define SHORT 2048 /* bytes: reading so much of each rank costs less than another round */

struct reduction {
	struct ipcshare__call *call;
	struct ipcshare__layout out;
	const char *send;
	char *recv; /* NULL: the result is not for this rank */
	size_t len; /* bytes */
	size_t part, window; /* bytes; a slot holds a window, and behind it a part */
};

static size_t part_len(const struct reduction *r, uint64_t first)
{
	return first >= r->len ? 0 : r->len - first < r->part ? r->len - (size_t)first : r->part;
}

static void write_window(const struct reduction *r, uint64_t first)
{
	unsigned char *slot = ipcshare__board_slot(r->call->group) + IPCSHARE__SLOT_BODY;
	size_t n = first >= r->len ? 0 : r->len - first < r->window ? r->len - (size_t)first : r->window;

	if (n && !r->call->status)
		memcpy(slot, r->send + first, n);
}

/* This rank's part of the window that is in the slots. */
static void reduce_part(const struct reduction *r, uint64_t first)
{
	const struct ipcshare_group *g = r->call->group;
	size_t at = (size_t)g->rank * r->part;

	ipcshare__call_fold(r->call, ipcshare__board_slot(r->call->group) + IPCSHARE__SLOT_BODY + r->window,
			    IPCSHARE__SLOT_BODY + at, part_len(r, first + at), 0, g->size);
}

/* The parts of all, of the window before the one that is in the slots. */
static void read_parts(const struct reduction *r, uint64_t first)
{
	const struct ipcshare_group *g = r->call->group;

	for (int i = 0; i < g->size && r->recv; i++) {
		int rank = (g->rank + i) % g->size;
		uint64_t at = first + (size_t)rank * r->part;
		size_t n = part_len(r, at);

		if (n)
			memcpy(r->recv + at,
			       ipcshare__board_read(g, rank) + IPCSHARE__SLOT_BODY + r->window, n);
	}
}

static int reduce_long(const struct reduction *r, uint64_t most)
{
	int err = 0;

	for (uint64_t first = 0; !err; first += r->window) {
		if (first)
			read_parts(r, first - r->window);
		if (first >= most)
			return 0;
		reduce_part(r, first);
		write_window(r, first + r->window);
		err = ipcshare__exchange_barrier(r->call->group);
	}
	return err;
}

static int reduce(struct reduction *r)
{
	struct ipcshare__call *c = r->call;
	size_t part = BODY / ((size_t)c->group->size + 1);
	uint64_t most;
	int err;

	r->part = part >= 64 ? part / 64 * 64 : part / 16 * 16;
	r->window = r->part * (size_t)c->group->size;
	if (!c->status && !r->part)
		c->status = ipcshare__call_too_many(c);
	err = ipcshare__call_check(c, false, &r->out, &r->out);
	if (err)
		return err;
	ipcshare__call_say(c, c->status ? 0 : r->len);
	write_window(r, 0);
	err = ipcshare__exchange_barrier(c->group);
	if (!err)
		err = ipcshare__call_hear(c, &most);
	if (err || (most <= SHORT && !r->recv))
		return err;
	if (most > SHORT)
		return reduce_long(r, most);
	ipcshare__call_fold(c, r->recv, IPCSHARE__SLOT_BODY, r->len, 0, c->group->size);
	return 0;
}

/* @recv NULL: not for this rank. In place, what is to be reduced lies there. */
static int begin(struct ipcshare__call *c, const void *send, void *recv, bool wants, size_t count,
		 const struct ipcshare_op *op)
{
	struct reduction r = { .call = c };

	ipcshare__call_op(c, op);
	if (wants && send == IPCSHARE_IN_PLACE)
		send = recv;
	r.out = ipcshare__call_block(c, send, count, c->group->rank);
	ipcshare__call_block(c, recv, count, wants ? c->group->rank : IPCSHARE__NOBODY);
	r.send = send;
	r.recv = wants ? recv : NULL;
	r.len = c->status ? 0 : count * c->size;
	return reduce(&r);
}

int ipcshare_reduce(struct ipcshare_group *group, const void *send, void *recv, size_t count,
		    enum ipcshare_type type, const struct ipcshare_op *op, int root)
{
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_REDUCE, type);

	if (err)
		return err;
	ipcshare__call_root(&c, root);
	return begin(&c, send, recv, ipcshare__call_is_root(&c), count, op);
}

int ipcshare_allreduce(struct ipcshare_group *group, const void *send, void *recv, size_t count,
		       enum ipcshare_type type, const struct ipcshare_op *op)
{
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_ALLREDUCE, type);

	return err ? err : begin(&c, send, recv, true, count, op);
}
