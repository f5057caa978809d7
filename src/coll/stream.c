/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * On the board the ranks agree on what a call is and where its buffers are. Then each queues its part on
 * its stream: it meets the others there, so that all have what they give; copies and reduces, all by the
 * device; and meets them again, so that nobody writes over what another still reads. A last round tells
 * all ranks whether each could queue its part.
 */
#include "coll/stream.h"

#include <errno.h>

#include "base/error.h"
#include "coll/offer.h"
#include "coll/flow.h"
#include "group/pull.h"

/* Bytes of an array from which on each rank reduces a part of it, which the others copy. */
#define IN_PARTS ((size_t)64 << 10)

/* The scratch: pieces of blocks on their way, or */
/* what was copied to be reduced, what is ours, and a result */
#define WINDOW (IPCSHARE__SCRATCH / 3)

static char *scratch(const struct ipcshare__flow *f, int window)
{
	return (char *)f->call->group->mesh->scratch.base + (size_t)window * WINDOW;
}

/* What @rank has for us, from byte @at on; NULL if we don't read it, or could not map it. */
static const char *from(const struct ipcshare__flow *f, int rank, size_t at)
{
	const char *block = f->err ? NULL : f->call->offered->ranks[rank].from;

	return block ? block + at : NULL;
}

static size_t piece(size_t len, uint64_t done, size_t most)
{
	return len <= done ? 0 : len - done < most ? len - (size_t)done : most;
}

/* ---- Blocks that are moved ---- */

/* Each begins with another rank, so that not all read the same one. */
static int nth(const struct ipcshare_group *g, int i)
{
	return (g->rank + i) % g->size;
}

static void copy_blocks(struct ipcshare__flow *f)
{
	const struct ipcshare__call *c = f->call;

	for (int i = 1; i < c->group->size; i++) {
		int r = nth(c->group, i);
		size_t len = ipcshare__layout_len(&c->in, r);

		if (len)
			ipcshare__flow_copy(f, ipcshare__layout_at(&c->in, r), from(f, r, 0), len);
	}
}

/* From byte @done of each block on, @lane bytes of it: to scratch, and from there to their places. */
static void fetch_pieces(struct ipcshare__flow *f, uint64_t done, size_t lane)
{
	const struct ipcshare__call *c = f->call;

	for (int i = 1; i < c->group->size; i++) {
		int r = nth(c->group, i);
		size_t n = piece(ipcshare__layout_len(&c->in, r), done, lane);

		if (n)
			ipcshare__flow_copy(f, scratch(f, 0) + (size_t)r * lane,
					    from(f, r, (size_t)done), n);
	}
}

static void put_pieces(struct ipcshare__flow *f, uint64_t done, size_t lane)
{
	const struct ipcshare__call *c = f->call;

	for (int i = 1; i < c->group->size; i++) {
		int r = nth(c->group, i);
		size_t n = piece(ipcshare__layout_len(&c->in, r), done, lane);

		if (n)
			ipcshare__flow_copy(f, ipcshare__layout_at(&c->in, r) + done,
					    scratch(f, 0) + (size_t)r * lane, n);
	}
}

/* In place: a piece of what others read is written over as soon as all have read it. */
static void swap_blocks(struct ipcshare__flow *f)
{
	size_t lane = IPCSHARE__SCRATCH / (size_t)f->call->group->size / 64 * 64;

	for (uint64_t done = 0; done < f->call->most; done += lane) {
		fetch_pieces(f, done, lane);
		ipcshare__flow_meet(f);
		put_pieces(f, done, lane);
	}
}

static void copy_own(struct ipcshare__flow *f)
{
	const struct ipcshare__call *c = f->call;
	int me = c->group->rank;
	size_t out = c->own ? ipcshare__layout_len(&c->out, me) : 0,
	       in = ipcshare__layout_len(&c->in, me);

	if (out && in)
		ipcshare__flow_copy(f, ipcshare__layout_at(&c->in, me),
				    ipcshare__layout_at(&c->out, me), in < out ? in : out);
}

static void move(struct ipcshare__flow *f)
{
	ipcshare__flow_meet(f);
	if (f->call->is_long)
		swap_blocks(f);
	else
		copy_blocks(f);
	copy_own(f);
	ipcshare__flow_meet(f);
}

/* ---- Blocks that are reduced ---- */

/*
 * @dst becomes what @len bytes at @at in the blocks of the ranks reduce to, in their order. What is written
 * over may be our own.
 */
static void fold_window(struct ipcshare__flow *f, char *dst, size_t at, size_t len)
{
	const struct ipcshare__call *c = f->call;
	int me = c->group->rank;
	const char *own = ipcshare__layout_at(&c->out, me) + at, *src;

	if (own == dst && me > 0) {
		ipcshare__flow_copy(f, scratch(f, 1), own, len);
		own = scratch(f, 1);
	}
	for (int r = 0; r < c->last; r++) {
		src = r == me ? own : from(f, r, at);
		if (r == 0) {
			ipcshare__flow_copy(f, dst, src, len);
			continue;
		}
		if (r != me) {
			ipcshare__flow_copy(f, scratch(f, 0), src, len);
			src = scratch(f, 0);
		}
		ipcshare__flow_reduce(f, dst, src, len);
	}
}

static void fold(struct ipcshare__flow *f, char *dst, size_t at, size_t len)
{
	for (size_t done = 0; done < len; done += WINDOW)
		fold_window(f, dst + done, at + done, piece(len, done, WINDOW));
}

/* In place, as with swap_blocks(). Results lie before all that is still to be read. */
static void fold_over(struct ipcshare__flow *f)
{
	const struct ipcshare__call *c = f->call;
	size_t len = ipcshare__layout_len(&c->in, c->group->rank);

	for (uint64_t done = 0; done < c->most; done += WINDOW) {
		size_t n = piece(len, done, WINDOW);

		if (n)
			fold_window(f, scratch(f, 2), (size_t)done, n);
		ipcshare__flow_meet(f);
		if (n)
			ipcshare__flow_copy(f, c->in.base + done, scratch(f, 2), n);
	}
}

/* The part that @rank reduces. */
static size_t part_of(const struct ipcshare__call *c, int rank, size_t *len)
{
	size_t all = ipcshare__layout_len(&c->in, c->group->rank), n = (size_t)c->group->size;
	size_t each = (all / n + 511) / 512 * 512, first = each * (size_t)rank;

	*len = piece(all, first, rank + 1 < c->group->size ? each : SIZE_MAX);
	return first;
}

static void fold_parts(struct ipcshare__flow *f)
{
	const struct ipcshare__call *c = f->call;
	size_t len, first = part_of(c, c->group->rank, &len);

	fold(f, c->in.base + first, first, len);
	ipcshare__flow_meet(f);
	for (int i = 1; i < c->group->size; i++) {
		int r = nth(c->group, i);

		first = part_of(c, r, &len);
		if (!f->err)
			ipcshare__flow_copy(f, c->in.base + first, c->offered->ranks[r].to + first,
					    len);
	}
}

/* All see the same offers, and find the same. */
static bool is_in_parts(const struct ipcshare__call *c)
{
	bool all = c->which == IPCSHARE__COLL_ALLREDUCE && c->most >= IN_PARTS;

	for (int r = 0; r < c->group->size && all; r++)
		all = ipcshare__offer_takes(c, r);
	return all;
}

static void reduce(struct ipcshare__flow *f)
{
	const struct ipcshare__call *c = f->call;

	ipcshare__flow_meet(f);
	if (is_in_parts(c))
		fold_parts(f);
	else if (c->is_long)
		fold_over(f);
	else
		fold(f, c->in.base, 0, ipcshare__layout_len(&c->in, c->group->rank));
	ipcshare__flow_meet(f);
}

/* ---- What the others give ---- */

/* Nothing of this call keeps a mapping until its bytes are moved, so a set must. */
static int kept_check(const struct ipcshare__call *c, size_t users, int rank)
{
	if (users > 1) /* one is the call */
		return 0;
	ipcshare__fail(
		IPCSHARE_ERR_INVALID, "collective",
		"keep the set, not made with IPCSHARE_LAZY, until the stream is synchronised",
		"the rank gives a buffer that no set holds%s",
		rank == c->group->rank ? "" : " here");
	ipcshare__fail_at(rank, -1);
	return IPCSHARE_ERR_INVALID;
}

static size_t users_of(const struct ipcshare__call *c, const size_t *users)
{
	size_t n;

	pthread_mutex_lock(&c->group->ctx->lock);
	n = *users;
	pthread_mutex_unlock(&c->group->ctx->lock);
	return n;
}

/* Bytes of the block of @rank that this rank reads. */
static size_t reads(const struct ipcshare__call *c, int rank)
{
	if (!c->fold.op)
		return ipcshare__layout_len(&c->in, rank);
	if (rank >= c->last)
		return 0;
	return ipcshare__layout_len(&c->in, c->group->rank);
}

static int map_one(struct ipcshare__call *c, int rank)
{
	struct ipcshare__reach *reach = &c->offered->ranks[rank];
	int err = ipcshare__offer_from(c, rank, reads(c, rank));

	if (!err && reach->out)
		err = kept_check(c, users_of(c, &reach->out->users), rank);
	if (!err && is_in_parts(c))
		err = ipcshare__offer_to(c, rank, reads(c, rank));
	if (!err && reach->in)
		err = kept_check(c, users_of(c, &reach->in->users), rank);
	return err;
}

static int map_all(struct ipcshare__call *c)
{
	int err = 0;

	for (int r = 0; r < c->group->size && !err; r++)
		if (r != c->group->rank)
			err = map_one(c, r);
	return err;
}

/* ---- The steps ---- */

static int after_queued(struct ipcshare__call *c)
{
	uint64_t most;
	int err = ipcshare__call_hear(c, &most);

	if (c->is_long)
		c->group->mesh->lost = true;
	if (!err)
		c->next = NULL;
	return err;
}

static int after_offers(struct ipcshare__call *c)
{
	struct ipcshare__flow f = { .call = c, .stream = c->stream };
	int err = ipcshare__call_hear(c, &c->most);

	if (err)
		return err;
	ipcshare__flow_fail(&f, map_all(c));
	ipcshare__flow_begin(&f);
	if (c->fold.op)
		reduce(&f);
	else
		move(&f);
	ipcshare__flow_end(&f);
	if (f.err)
		ipcshare__error_restore(&f.why);
	c->status = f.err;
	c->is_long = f.lost;
	ipcshare__call_say(c, 0);
	c->next = after_queued;
	return 0;
}

/* What this rank gives to others. */
static uint64_t gives(const struct ipcshare__call *c)
{
	bool takes_all = c->which == IPCSHARE__COLL_GATHER || c->which == IPCSHARE__COLL_REDUCE;
	uint64_t most = 0;

	for (int r = 0; r < c->group->size && !(takes_all && ipcshare__call_is_root(c)); r++) {
		uint64_t len = ipcshare__layout_len(&c->out, r);

		most = len > most ? len : most;
	}
	return most;
}

/*
 * Others read what this rank writes over. They don't of a root that reduces; nor do blocks that are moved come
 * to where others read, but where there is one for each rank.
 */
static bool is_over(const struct ipcshare__call *c)
{
	return c->in.base && c->out.base == c->in.base &&
	       (c->to_each || (c->fold.op && c->which != IPCSHARE__COLL_REDUCE));
}

static int faults_find(const struct ipcshare__call *c)
{
	const struct ipcshare__backend *be = c->group->ctx->backend;

	if (c->group->mesh->lost)
		return ipcshare__fail(
			IPCSHARE_ERR_CLOSED, "collective", "free the group and make a new one",
			"a call that failed half-way has left the streams of the group out of "
			"step");
	if (c->group->size > 1024)
		return ipcshare__call_too_many(c);
	if (c->fold.op && !be->ops->reduces(be, c->type, ipcshare__op_kind(c->fold.op)))
		return ipcshare__fail(
			IPCSHARE_ERR_UNSUPPORTED, "collective",
			"sum, min and max of int8, int16, int32, fp16, bf16 and fp32 can be",
			"%s of %s can't be reduced by the device", ipcshare_op_name(c->fold.op),
			ipcshare_type_name(c->type));
	return c->fold.op || c->to_each ? ipcshare__mesh_scratch(c->group) : 0;
}

static int give(struct ipcshare__call *c, uint64_t most)
{
	bool takes = c->which == IPCSHARE__COLL_ALLREDUCE;

	if (!ipcshare__offers_make(c))
		return ipcshare__fail_errno(ENOMEM, "collective", "what %d ranks offer",
					    c->group->size);
	c->offers = ipcshare__offer(c, most > 0, takes);
	if (!most)
		return 0;
	if (!c->offers)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "collective",
				      "ipcshare_share() it first",
				      "what is given is not in memory that the group shares");
	return kept_check(c, users_of(c, &c->offered->out->users), c->group->rank);
}

static int first(struct ipcshare__call *c)
{
	uint64_t most = c->status ? 0 : gives(c);

	if (!c->status)
		c->status = faults_find(c);
	if (!c->status)
		c->status = give(c, most);
	c->is_long = is_over(c);
	ipcshare__call_say(c, most);
	c->next = after_offers;
	return 0;
}

int ipcshare__stream_run(struct ipcshare__call *c, void *stream)
{
	struct ipcshare__backend *be = c->group->ctx->backend;
	int err;

	if (be->ops->direct) {
		if (!c->status)
			c->status = ipcshare__items_stream(be, stream, "collective");
		return ipcshare__call_run(c);
	}
	err = ipcshare__mesh_make(c->group);
	if (err)
		return err;
	c->stream = stream ? stream : c->group->mesh->stream;
	c->moves = first;
	err = ipcshare__call_run(c);
	return err || stream ? err : be->ops->stream_synchronise(be, c->stream);
}
