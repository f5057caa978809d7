/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/known.h"
#include "base/point.h"
#include "group/set.h"

/* ---- Make: this rank's part ---- */

int ipcshare__share_check(const struct ipcshare__share_args *args, unsigned known)
{
	if (!args->bufs && args->n)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "share", "",
				      "bufs is NULL, but n is %zu", args->n);
	if (args->flags & ~known)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "share", "",
				      "flags 0x%x are unknown here", args->flags & ~known);
	return 0;
}

/* A buffer whose region was not noted, if it is one. */
static struct ipcshare__wire_descriptor buffer_look(struct ipcshare_share *s,
						    const struct ipcshare_buf *buf, size_t i)
{
	struct ipcshare__wire_descriptor d = ipcshare__descriptor_special(IPCSHARE__EMPTY, 0, 0);

	if (buf->len && ipcshare__describe(&s->describer, buf->ptr, buf->len, &d) &&
	    !s->bad.status) {
		ipcshare__fail_at(-1, (int64_t)i);
		s->bad = *ipcshare_last_error();
	}
	return d;
}

/* How many buffers, of the @n that follow @last, have its length and @stride to the one before. */
static size_t evenly_spaced(const struct ipcshare_buf *last, size_t n, uint64_t stride)
{
	uintptr_t at = (uintptr_t)last->ptr + stride;
	size_t k = 0;

	for (uint64_t differ = 0; k + 4 <= n; k += 4) {
#pragma GCC unroll 4
		for (size_t j = 1; j <= 4; j++, at += stride)
			differ |= ((uintptr_t)last[k + j].ptr ^ at) | (last[k + j].len ^ last->len);
		if (!differ)
			continue;
		at -= 4 * stride;
		break;
	}
	for (; k < n && (uintptr_t)last[k + 1].ptr == at && last[k + 1].len == last->len; k++)
		at += stride;
	return k;
}

/* The run that ends with @last goes on for some of the @n behind it, in the same region: for how many? */
static size_t run_extend(struct ipcshare_share *s, const struct ipcshare_buf *last, size_t n,
			 struct ipcshare__blob_writer *w)
{
	const struct ipcshare__recent *r = ipcshare__recent_of(s->describer.recent,
							       IPCSHARE__RECENT, last->ptr);
	uintptr_t offset = (uintptr_t)last->ptr - r->base;
	uint64_t room = ipcshare__blob_run_room(w), here;

	if (!n || !room || !evenly_spaced(last, 1, w->stride) || offset >= r->length ||
	    last->len > r->length - offset)
		return 0;
	here = (r->length - offset - last->len) / w->stride;
	room = room < here ? room : here;
	n = evenly_spaced(last, n < room ? n : (size_t)room, w->stride);
	ipcshare__blob_run_add(w, n);
	return n;
}

static void buffers_add(struct ipcshare_share *s, const struct ipcshare_buf *bufs, size_t n,
			struct ipcshare__blob_writer *writer)
{
	struct ipcshare__blob_writer w = *writer; /* nobody else's, so that it stays in registers */

	for (size_t i = 0; i < n; i++) {
		struct ipcshare__wire_descriptor d;

		if (!bufs[i].len ||
		    !ipcshare__recent_describe(s->describer.recent, IPCSHARE__RECENT, bufs[i].ptr,
					       bufs[i].len, &d))
			d = buffer_look(s, &bufs[i], i);
		ipcshare__blob_add(&w, d);
		if (w.run)
			i += run_extend(s, &bufs[i], n - i - 1, &w);
	}
	*writer = w;
	if (s->bad.status)
		ipcshare__error_restore(&s->bad);
}

/* Was every rank of the group told of it, in a collective that succeeded? */
static bool was_told(const struct ipcshare_share *s, const struct ipcshare__region *r)
{
	const uint32_t *generation = ipcshare__idmap_find(&s->group->told, r->id);

	return s->collective && generation && *generation == r->generation;
}

/* What the peers have to know of the regions. */
static uint32_t regions_fill(const struct ipcshare_share *s, struct ipcshare__wire_region *wire)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->describer.nheld; i++) {
		const struct ipcshare__region *r = s->describer.held[i].region;

		if (s->describer.held[i].status || was_told(s, r))
			continue;
		wire[n] = (struct ipcshare__wire_region){
			.region = r->id,
			.generation = r->generation,
			.length = r->mem.span,
		};
		if (s->group->nothers)
			memcpy(wire[n].key, r->key, sizeof(wire[n].key));
		n++;
	}
	return n;
}

static int share_fill(struct ipcshare_share *s, const struct ipcshare__share_args *args)
{
	struct ipcshare__blob_frame frame = {
		.rank = (uint32_t)s->group->rank,
		.endpoint = s->group->ctx->identity.endpoint,
		.access = args->flags & IPCSHARE_READ_ONLY ? IPCSHARE__READ_ONLY
							   : IPCSHARE__READ_WRITE,
		.set = args->set,
		.indices = args->indices,
		.carried = !args->collective,
	};
	struct ipcshare__wire_region *regions;
	struct ipcshare__blob_writer w;
	int err = ipcshare__blob_begin(&w, &s->group->ctx->blocks, args->n);

	if (err)
		return err;
	buffers_add(s, args->bufs, args->n, &w);
	regions = malloc((s->describer.nheld + 1) * sizeof(*regions));
	if (regions) {
		frame.regions = regions;
		frame.nregions = regions_fill(s, regions);
		err = ipcshare__blob_finish(&w, &frame, &s->blob);
	} else {
		err = ipcshare__fail_errno(ENOMEM, "share", "%u regions", s->describer.nheld);
	}
	free(regions);
	s->room = w.room;
	return err;
}

int ipcshare__share_make(struct ipcshare_group *g, const struct ipcshare__share_args *args,
			 struct ipcshare_share **out)
{
	struct ipcshare_share *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return ipcshare__fail_errno(ENOMEM, "share", "a share");
	s->group = g;
	s->collective = args->collective;
	s->lazy = args->flags & IPCSHARE_LAZY;
	s->describer.group = g;
	s->describer.flags = args->flags & IPCSHARE__BUFFER_FLAGS;
	atomic_fetch_add(&g->children, 1);
	err = share_fill(s, args);
	if (err)
		ipcshare__share_delete(s);
	else
		*out = s;
	return err;
}

void ipcshare__share_delete(struct ipcshare_share *s)
{
	if (!s)
		return;
	ipcshare__describer_end(&s->describer);
	atomic_fetch_sub(&s->group->children, 1);
	ipcshare__block_put(&s->group->ctx->blocks, &s->room);
	free(s);
}

/* ---- The collective form ---- */

/*
 * The verdict is against it, on every rank. All let go of their mappings before any returns, so that
 * the owners can free their memory at once.
 */
static void set_give_up(struct ipcshare_group *g, struct ipcshare__set *set, bool open)
{
	struct ipcshare_error why = *ipcshare_last_error();

	if (open)
		ipcshare__set_delete(&set->open);
	else
		ipcshare__set_cancel(set);
	IPCSHARE__POINT("share.given_up");
	if (!g->broken)
		ipcshare__exchange_barrier(g);
	ipcshare__error_restore(&why);
}

/* The set of this rank, and whether all ranks are content with theirs. */
static int set_agree(struct ipcshare_share *s, struct ipcshare__meeting *m,
		     struct ipcshare__set *set, struct ipcshare__part *parts)
{
	struct ipcshare_error bad;
	int status = ipcshare__set_end(set, parts, NULL, 0, &bad);
	uint64_t failures = status ? 0 : set->failures;
	int err;

	IPCSHARE__POINT("share.imported");
	err = ipcshare__meeting_end(m, s, status, &bad, &failures, NULL);
	IPCSHARE__POINT("share.agreed");
	if (err)
		set_give_up(s->group, set, !status);
	else
		ipcshare__set_agreed(&set->open, failures);
	return err;
}

int ipcshare_share(struct ipcshare_group *g, const struct ipcshare_buf *bufs, size_t n,
		   unsigned flags, struct ipcshare_set **out)
{
	struct ipcshare__share_args args = {
		.bufs = bufs,
		.n = n,
		.flags = flags,
		.collective = true,
	};
	struct ipcshare__meeting m = { .values = NULL };
	struct ipcshare__part *parts = NULL;
	struct ipcshare__set *set = NULL;
	struct ipcshare_share *s = NULL;
	int err = ipcshare__group_check(g, "share"), status;

	if (err)
		return err;
	status = out ? ipcshare__share_check(&args, IPCSHARE__BUFFER_FLAGS |
							    IPCSHARE_ALL_OR_NOTHING | IPCSHARE_LAZY)
		     : ipcshare__fail(IPCSHARE_ERR_INVALID, "share", "", "out is NULL");
	if (!status)
		status = ipcshare__meeting_init(&m, g->size, flags);
	if (!status)
		status = ipcshare__share_make(g, &args, &s);
	if (!status)
		status = ipcshare__set_begin(s, &set, &parts);
	IPCSHARE__POINT("share.described");
	err = ipcshare__meeting_hold(&m, g, IPCSHARE__COLL_SHARE, status, s, parts);
	IPCSHARE__POINT("share.exchanged");
	if (err) {
		ipcshare__set_cancel(set);
	} else {
		ipcshare__known(out && s && set); /* or the status would have ended the meeting */
		err = set_agree(s, &m, set, parts);
	}
	if (!err)
		*out = &set->open;
	ipcshare__parts_free(parts, g);
	ipcshare__share_delete(s);
	ipcshare__meeting_free(&m);
	return err;
}
