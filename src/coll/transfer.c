/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/transfer.h"

#include <string.h>

#include "coll/direct.h"

#define BODY (IPCSHARE__SLOT - IPCSHARE__SLOT_BODY)

/* Whole elements; and whole lines, while there are few ranks. */
size_t ipcshare__transfer_lane(const struct ipcshare__transfer *t)
{
	size_t lane = t->to_each ? BODY / (size_t)t->call->group->size : BODY;

	return lane >= 64 ? lane / 64 * 64 : lane / 16 * 16;
}

static size_t piece(size_t len, uint64_t done, size_t lane)
{
	return len <= done ? 0 : len - done < lane ? len - (size_t)done : lane;
}

static uint64_t longest(const struct ipcshare__transfer *t)
{
	uint64_t most = 0;

	for (int r = 0; r < t->call->group->size; r++) {
		uint64_t len = ipcshare__layout_len(&t->out, r);

		most = len > most ? len : most;
	}
	return most;
}

static void put(const struct ipcshare__transfer *t, int to, unsigned char *slot, uint64_t done,
		size_t lane)
{
	size_t n = piece(ipcshare__layout_len(&t->out, to), done, lane);

	if (n)
		memcpy(slot, ipcshare__layout_at(&t->out, to) + done, n);
}

static void write_slot(const struct ipcshare__transfer *t, uint64_t done, size_t lane)
{
	const struct ipcshare_group *g = t->call->group;
	unsigned char *slot = ipcshare__board_slot(t->call->group) + IPCSHARE__SLOT_BODY;

	if (t->call->status)
		return;
	if (!t->to_each)
		put(t, g->rank, slot, done, lane);
	for (int r = 0; r < g->size && t->to_each; r++)
		if (r != g->rank || t->call->fold.op)
			put(t, r, slot + (size_t)r * lane, done, lane);
}

static void read_slots(const struct ipcshare__transfer *t, uint64_t done, size_t lane)
{
	const struct ipcshare_group *g = t->call->group;
	size_t at = IPCSHARE__SLOT_BODY + (t->to_each ? (size_t)g->rank * lane : 0);

	if (t->call->fold.op) {
		size_t n = piece(ipcshare__layout_len(&t->in, g->rank), done, lane);

		if (n)
			ipcshare__call_fold(t->call, t->in.base + done, at, n, t->first, t->last);
		return;
	}
	/* Each begins with another rank, so that not all read the same one. */
	for (int i = 1; i < g->size; i++) {
		int r = (g->rank + i) % g->size;
		size_t n = piece(ipcshare__layout_len(&t->in, r), done, lane);

		if (n)
			memcpy(ipcshare__layout_at(&t->in, r) + done, ipcshare__board_read(g, r) + at, n);
	}
}

static void move_own(const struct ipcshare__transfer *t)
{
	int me = t->call->group->rank;
	size_t out = ipcshare__layout_len(&t->out, me), in = ipcshare__layout_len(&t->in, me);

	if (t->own && out && in)
		memmove(ipcshare__layout_at(&t->in, me), ipcshare__layout_at(&t->out, me),
			in < out ? in : out);
}

/* From the start, or from where the first round has brought it. */
static int move_on(const struct ipcshare__transfer *t, uint64_t done, uint64_t most, size_t lane)
{
	int err = 0;

	for (; done < most && !err; done += lane) {
		write_slot(t, done, lane);
		err = ipcshare__exchange_barrier(t->call->group);
		if (!err)
			read_slots(t, done, lane);
	}
	return err;
}

/* The first round, and what follows from it. */
static int move(const struct ipcshare__transfer *t, struct ipcshare__direct *direct, size_t lane)
{
	struct ipcshare__call *c = t->call;
	uint64_t most = c->status ? 0 : longest(t);
	bool done = false, again;
	int err;

	c->offers = ipcshare__direct_offer(direct, t, most);
	ipcshare__call_say(c, most);
	if (!c->offers)
		write_slot(t, 0, lane);
	err = ipcshare__exchange_barrier(c->group);
	if (!err)
		err = ipcshare__call_hear(c, &most);
	if (err)
		return err;
	again = c->some_offer; /* there are no bytes in the slots of some */
	if (c->all_offer)
		err = ipcshare__direct_run(direct, &done);
	if (err || done)
		return err;
	if (again)
		return move_on(t, 0, most, lane);
	read_slots(t, 0, lane);
	return move_on(t, lane, most, lane);
}

int ipcshare__transfer(const struct ipcshare__transfer *t)
{
	struct ipcshare__call *c = t->call;
	size_t lane = ipcshare__transfer_lane(t);
	struct ipcshare__direct direct;
	int err;

	if (!c->status && !lane)
		c->status = ipcshare__call_too_many(c);
	err = ipcshare__call_check(c, t->to_each, &t->out, &t->in);
	if (err)
		return err;
	err = move(t, &direct, lane);
	ipcshare__direct_end(&direct);
	if (!err)
		move_own(t);
	return err;
}
