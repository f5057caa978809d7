/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/call.h"

#include <string.h>

#include "base/error.h"
#include "base/point.h"
#include "coll/offer.h"

/* ---- Its arguments ---- */

int ipcshare__call_begin(struct ipcshare__call *c, struct ipcshare_group *group,
			 enum ipcshare__collective which, enum ipcshare_type type)
{
	int err = ipcshare__group_check(group, "collective");
	size_t n = sizeof(*c);

	if (err)
		return err;
	/* How much is hidden from the compiler: what it makes of so few bytes takes half as long as a round. */
	__asm__("" : "+r"(n));
	memset(c, 0, n);
	c->group = group;
	c->which = which;
	c->type = type;
	c->root = -1;
	c->size = ipcshare_type_size(type);
	if (!c->size)
		c->status = ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
					   "there is no type %d", (int)type);
	return 0;
}

void ipcshare__call_root(struct ipcshare__call *c, int root)
{
	c->root = root;
	if (!c->status && (root < 0 || root >= c->group->size))
		c->status = ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
					   "the root is %d, and there are %d ranks", root,
					   c->group->size);
}

bool ipcshare__call_is_root(const struct ipcshare__call *c)
{
	return c->root == c->group->rank;
}

void ipcshare__call_op(struct ipcshare__call *c, const struct ipcshare_op *op)
{
	if (!c->status)
		c->status = ipcshare__fold_find(op, c->type, &c->fold);
}

/* Can @n elements be at @ptr? */
static void check_block(struct ipcshare__call *c, const void *ptr, size_t n)
{
	if (c->status || !n)
		return;
	if (!ptr || ptr == IPCSHARE_IN_PLACE)
		c->status = ipcshare__fail(
			IPCSHARE_ERR_INVALID, "collective", "",
			ptr ? "a buffer is IPCSHARE_IN_PLACE where that means nothing"
			    : "a buffer is NULL");
	else if (n > PTRDIFF_MAX / c->size)
		c->status = ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
					   "%zu elements of %zu bytes are more than memory holds",
					   n, c->size);
}

struct ipcshare__layout ipcshare__call_block(struct ipcshare__call *c, const void *ptr,
					     size_t count, int only)
{
	struct ipcshare__layout l = {
		.base = (char *)ptr, .size = c->size, .only = only, .count = count
	};
	size_t ranks = only == IPCSHARE__EVERY ? (size_t)c->group->size : 1;

	if (only != IPCSHARE__NOBODY)
		check_block(c, ptr, count > SIZE_MAX / ranks ? SIZE_MAX : count * ranks);
	return l;
}

struct ipcshare__layout ipcshare__call_blocks(struct ipcshare__call *c, const void *ptr,
					      const size_t *counts, const size_t *displs)
{
	struct ipcshare__layout l = { .base = (char *)ptr,
				      .size = c->size,
				      .only = IPCSHARE__EVERY,
				      .counts = counts,
				      .displs = displs };
	size_t end = 0;

	if (!c->status && !counts)
		c->status = ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
					   "there are no counts, one for each rank");
	for (int r = 0; r < c->group->size && !c->status; r++) {
		size_t first = displs ? displs[r] : end;

		end = first > SIZE_MAX - counts[r] ? SIZE_MAX : first + counts[r];
		check_block(c, ptr, counts[r] ? end : 0);
	}
	return l;
}

int ipcshare__call_too_many(const struct ipcshare__call *c)
{
	return ipcshare__fail(IPCSHARE_ERR_LIMIT, "collective", "", "%d ranks are too many for it",
			      c->group->size);
}

/* ---- Making it ---- */

int ipcshare__call_first(struct ipcshare__call *c)
{
	return c->group->ctx->config.check ? ipcshare__call_check(c) : c->moves(c);
}

int ipcshare__call_make(struct ipcshare__call *c)
{
	int err;

	ipcshare__group_drain(c->group);
	err = ipcshare__call_first(c);
	while (err >= 0 && c->next) {
		err = ipcshare__exchange_barrier(c->group);
		if (!err)
			err = c->next(c);
	}
	return err < 0 ? err : 0;
}

int ipcshare__call_run(struct ipcshare__call *c)
{
	int err = ipcshare__call_make(c);

	ipcshare__call_end(c);
	return err;
}

void ipcshare__call_end(struct ipcshare__call *c)
{
	if (c->offered)
		ipcshare__offers_drop(c->group, c->offered);
	c->offered = NULL;
}

void ipcshare__call_say(struct ipcshare__call *c, uint64_t most)
{
	uint32_t flags = (c->group->ctx->config.check ? IPCSHARE__CALL_CHECKED : 0) |
			 (c->offers ? IPCSHARE__CALL_OFFERS : 0) |
			 (c->is_long ? IPCSHARE__CALL_LONG : 0) |
			 (c->relays ? IPCSHARE__CALL_RELAYS : 0) |
			 (c->stream ? IPCSHARE__CALL_STREAM : 0);

	ipcshare__header_fill(c->group, c->which, c->status, flags, most, &c->group->front.header);
	c->group->front_used = sizeof(c->group->front.header);
}

/* What we have said last. */
static const struct ipcshare__wire_header *said(const struct ipcshare__call *c)
{
	return &c->group->front.header;
}

/* They don't make as many rounds, or not the same. */
static int form_differs(struct ipcshare_group *g, int rank, bool checked)
{
	if (checked)
		ipcshare__fail(IPCSHARE_ERR_MISMATCH, "collective", "set it for all ranks or none",
			       "IPCSHARE_CHECK is not the same there and here");
	else
		ipcshare__fail(IPCSHARE_ERR_MISMATCH, "collective",
			       "use one form of the call on all ranks",
			       "the call is queued on a stream there or here, but not on both");
	ipcshare__fail_at(rank, -1);
	return ipcshare__exchange_quit(g, IPCSHARE_ERR_MISMATCH);
}

/* The rank that said @h does something else. */
static int is_elsewhere(const struct ipcshare__call *c, int rank,
			const struct ipcshare__wire_header *h)
{
	int err = ipcshare__header_check(c->group, said(c), h, rank);

	return err ? err
		   : form_differs(c->group, rank,
				  (h->flags ^ said(c)->flags) & IPCSHARE__CALL_CHECKED);
}

/* All that says which call it is comes first in a header, and is the same for all who make it. */
static bool is_same(const struct ipcshare__call *c, const struct ipcshare__wire_header *h)
{
	return !memcmp(h, said(c), offsetof(struct ipcshare__wire_header, status)) &&
	       !((h->flags ^ said(c)->flags) & (IPCSHARE__CALL_CHECKED | IPCSHARE__CALL_STREAM));
}

static int hear_why(struct ipcshare__call *c)
{
	return ipcshare__details_hear(c->group);
}

/* One more header. */
static void heed(struct ipcshare__call *c, const struct ipcshare__wire_header *h, uint64_t *most,
		 bool *bytes)
{
	*most = h->value > *most ? h->value : *most;
	c->is_long |= (h->flags & IPCSHARE__CALL_LONG) != 0;
	c->relays |= (h->flags & IPCSHARE__CALL_RELAYS) != 0;
	c->some_offer |= h->value && (h->flags & IPCSHARE__CALL_OFFERS);
	*bytes |= h->value && !(h->flags & IPCSHARE__CALL_OFFERS);
}

int ipcshare__call_hear(struct ipcshare__call *c, uint64_t *most)
{
	bool failed = said(c)->status != 0, bytes = false;

	IPCSHARE__POINT("call.heard");
	*most = 0;
	c->some_offer = false;
	heed(c, said(c), most, &bytes);
	for (int r = 0; r < c->group->size; r++) {
		struct ipcshare__wire_header h;

		if (r == c->group->rank)
			continue;
		h = ipcshare__board_read(c->group, r)->front.header;
		if (!is_same(c, &h))
			return is_elsewhere(c, r, &h);
		failed |= h.status != 0;
		heed(c, &h, most, &bytes);
	}
	c->all_offer = c->some_offer && !bytes;
	if (failed) {
		ipcshare__detail_say(c->group, c->status);
		c->next = hear_why;
	}
	return failed;
}

/* ---- Reducing ---- */

/*
 * Our own bytes are taken from where they came from: what is in our slot, the others have taken away. But in
 * place the result may be written over them first, unless they are the first of all.
 */
static const char *bytes_of(const struct ipcshare__call *c, int rank, size_t at, const char *own,
			    bool kept)
{
	if (rank != c->group->rank)
		return (const char *)ipcshare__board_read(c->group, rank) + at;
	if (kept)
		return own;
	if (at < IPCSHARE__SLOT_BODY)
		return (const char *)&c->group->front + at - offsetof(struct ipcshare__slot, front);
	return (const char *)ipcshare__board_read(c->group, rank) + at;
}

void ipcshare__call_fold(const struct ipcshare__call *c, void *acc, size_t at, const void *own,
			 size_t len)
{
	bool kept = !ipcshare__call_is_in_place(c) || (acc == own && c->group->rank == 0);

	for (size_t done = 0; done < len && c->last > 0; done += IPCSHARE__FOLD_STEP) {
		size_t n = len - done < IPCSHARE__FOLD_STEP ? len - done : IPCSHARE__FOLD_STEP;
		const char *mine = (const char *)own + done, *x;
		char *to = (char *)acc + done;

		x = bytes_of(c, 0, at + done, mine, kept);
		for (int r = 1; r < c->last; r++, x = to)
			ipcshare__fold(&c->fold, to, x, bytes_of(c, r, at + done, mine, kept),
				       n / c->size);
		if (x != to)
			memcpy(to, x, n);
	}
}
