/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/transfer.h"

#include <string.h>

#include "base/point.h"
#include "coll/direct.h"
#include "coll/relay.h"

#define BODY sizeof(((struct ipcshare__slot *)NULL)->body)
#define FEW sizeof(((struct ipcshare__front *)NULL)->few)

/* ---- Where the pieces are in a slot ---- */

struct place {
	size_t at, lane; /* of the first rank's piece; from one to the next */
};

/* Whole elements; and whole lines, while there are few ranks. */
static size_t lane_of(const struct ipcshare__call *c)
{
	size_t lane = c->to_each ? BODY / (size_t)c->group->size : BODY;

	return lane >= 64 ? lane / 64 * 64 : lane / 16 * 16;
}

/* In the first round, of a rank whose longest block has @most bytes. */
static bool is_few(const struct ipcshare__call *c, uint64_t most)
{
	return most <= FEW && (most + 7) / 8 * 8 * (c->to_each ? (size_t)c->group->size : 1) <= FEW;
}

static struct place first_place(const struct ipcshare__call *c, uint64_t most)
{
	if (is_few(c, most))
		return (struct place){ offsetof(struct ipcshare__slot, front.few),
				       (size_t)(most + 7) / 8 * 8 };
	return (struct place){ IPCSHARE__SLOT_BODY, c->lane };
}

static struct place place(const struct ipcshare__call *c)
{
	return (struct place){ IPCSHARE__SLOT_BODY, c->lane };
}

static size_t piece(const struct ipcshare__call *c, size_t len)
{
	return len <= c->done ? 0 : len - c->done < c->lane ? len - (size_t)c->done : c->lane;
}

/* ---- In and out of them ---- */

static uint64_t longest(const struct ipcshare__call *c, const struct ipcshare__layout *l)
{
	uint64_t most = 0;

	if (c->status)
		return 0;
	for (int r = 0; r < c->group->size; r++) {
		uint64_t len = ipcshare__layout_len(l, r);

		most = len > most ? len : most;
	}
	return most;
}

static void put(const struct ipcshare__call *c, int to, char *at)
{
	size_t n = piece(c, ipcshare__layout_len(&c->out, to));

	if (n)
		memcpy(at, ipcshare__layout_at(&c->out, to) + c->done, n);
}

static void write_pieces(const struct ipcshare__call *c, char *to, size_t lane)
{
	const struct ipcshare_group *g = c->group;

	if (c->status)
		return;
	if (!c->to_each)
		put(c, g->rank, to);
	for (int r = 0; r < g->size && c->to_each; r++)
		if (r != g->rank || (c->fold.op && ipcshare__call_is_in_place(c)))
			put(c, r, to + (size_t)r * lane);
}

static void write_slot(const struct ipcshare__call *c)
{
	write_pieces(c, (char *)ipcshare__board_slot(c->group)->body, c->lane);
}

/* A block has @most bytes at most. */
static void write_first(const struct ipcshare__call *c, uint64_t most)
{
	if (!is_few(c, most)) {
		write_slot(c);
		return;
	}
	write_pieces(c, (char *)c->group->front.few, first_place(c, most).lane);
	c->group->front_used = sizeof(c->group->front);
}

/* What of the slot of @rank is for us. */
static size_t taken_at(const struct ipcshare__call *c, struct place p)
{
	return p.at + (c->to_each ? (size_t)c->group->rank * p.lane : 0);
}

static void fold_slots(const struct ipcshare__call *c, struct place p)
{
	size_t n = piece(c, ipcshare__layout_len(&c->in, c->group->rank));

	if (n)
		ipcshare__call_fold(c, c->in.base + c->done, taken_at(c, p),
				    ipcshare__layout_at(&c->out, c->group->rank) + c->done, n);
}

static void take(const struct ipcshare__call *c, int rank, struct place p)
{
	size_t n = piece(c, ipcshare__layout_len(&c->in, rank));

	if (n)
		memcpy(ipcshare__layout_at(&c->in, rank) + c->done,
		       (const char *)ipcshare__board_read(c->group, rank) + taken_at(c, p), n);
}

/* Each begins with another rank, so that not all read the same one. */
static int nth(const struct ipcshare_group *g, int i)
{
	int r = g->rank + i;

	return r < g->size ? r : r - g->size;
}

static void read_slots(const struct ipcshare__call *c)
{
	if (c->fold.op) {
		fold_slots(c, place(c));
		return;
	}
	for (int i = 1; i < c->group->size; i++)
		take(c, nth(c->group, i), place(c));
}

static void read_first(const struct ipcshare__call *c)
{
	if (c->fold.op) { /* all have as much */
		fold_slots(c, first_place(c, c->most));
		return;
	}
	for (int i = 1; i < c->group->size; i++) {
		int r = nth(c->group, i);
		/* Once: the rank may alter it between two looks. */
		uint64_t most = __atomic_load_n(&ipcshare__board_read(c->group, r)
							 ->front.header.value,
						__ATOMIC_RELAXED);

		take(c, r, first_place(c, most));
	}
}

/* ---- The steps ---- */

void ipcshare__transfer_own(const struct ipcshare__call *c)
{
	int me = c->group->rank;
	size_t out = c->own ? ipcshare__layout_len(&c->out, me) : 0;
	size_t in = out ? ipcshare__layout_len(&c->in, me) : 0;

	if (in)
		memmove(ipcshare__layout_at(&c->in, me), ipcshare__layout_at(&c->out, me),
			in < out ? in : out);
}

static int after_more(struct ipcshare__call *c);

static int go_on(struct ipcshare__call *c)
{
	c->next = NULL;
	if (c->done >= c->most) {
		ipcshare__transfer_own(c);
		return 0;
	}
	write_slot(c);
	c->next = after_more;
	return 0;
}

static int after_more(struct ipcshare__call *c)
{
	read_slots(c);
	IPCSHARE__POINT("slots.more");
	c->done += c->lane;
	return go_on(c);
}

/* Some rank can't go another way. */
static int again(struct ipcshare__call *c)
{
	c->done = 0;
	return go_on(c);
}

static int after_first(struct ipcshare__call *c)
{
	int err = ipcshare__call_hear(c, &c->most);

	if (err)
		return err;
	if (c->all_offer)
		return ipcshare__direct(c, again);
	if (c->some_offer) /* there are no bytes in the slots of some */
		return again(c);
	read_first(c);
	IPCSHARE__POINT("slots.first");
	c->done = c->lane;
	return go_on(c);
}

int ipcshare__transfer(struct ipcshare__call *c)
{
	uint64_t most, wants;

	c->lane = lane_of(c);
	if (!c->status && !c->lane)
		c->status = ipcshare__call_too_many(c);
	most = longest(c, &c->out);
	wants = longest(c, &c->in);
	c->relays = ipcshare__relay_pays(c, most > wants ? most : wants);
	c->offers = ipcshare__direct_offer(c, most, wants);
	ipcshare__call_say(c, most);
	if (!c->offers)
		write_first(c, most);
	c->next = after_first;
	return 0;
}
