/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/handle.h"

#define BUFFER_FLAGS (IPCSHARE_READ_ONLY | IPCSHARE_SHARE_OPEN)

/* ---- Make: this rank's part ---- */

static int arguments_check(const struct ipcshare_buf *bufs, size_t n, unsigned flags, unsigned known)
{
	if (!bufs && n)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "share", "",
				      "bufs is NULL, but n is %zu", n);
	if (flags & ~known)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "share", "",
				      "flags 0x%x are unknown here", flags & ~known);
	return 0;
}

/* Every buffer in region @ref has failed. */
static void mark_failed(struct ipcshare__wire_descriptor *d, size_t n, uint32_t ref, int status,
			struct ipcshare_error *bad)
{
	for (size_t i = 0; i < n; i++) {
		if (d[i].ref != ref)
			continue;
		d[i] = (struct ipcshare__wire_descriptor){ .ref = IPCSHARE__REF_FAILED,
							   .offset_lo = (uint32_t)-status };
		ipcshare__fail_at(-1, (int64_t)i);
		if (!bad->status)
			*bad = *ipcshare_last_error();
	}
}

/* Export and whitelist the regions, and name them as the blob will. */
static void regions_publish(struct ipcshare_share *s, size_t n, unsigned flags,
			    struct ipcshare__wire_region *wire)
{
	struct ipcshare_group *g = s->group;

	for (uint32_t i = 0; i < s->nregions; i++) {
		struct ipcshare__region *r = s->regions[i];
		int status;

		if (g->nothers)
			status = ipcshare__region_publish(g->ctx, r, flags & BUFFER_FLAGS,
							  g->others, g->nothers);
		else /* with nobody outside this process there is nothing to export */
			status = ipcshare__region_protect(g->ctx, r, flags & BUFFER_FLAGS);
		if (status)
			mark_failed(ipcshare__blob_descriptors(s->blob), n, i, status, &s->bad);
		wire[i] = (struct ipcshare__wire_region){
			.region = r->id,
			.generation = r->generation,
			.length = r->mem.span,
			.access = flags & IPCSHARE_READ_ONLY ? IPCSHARE__READ_ONLY
							     : IPCSHARE__READ_WRITE,
		};
		if (!status && g->nothers)
			memcpy(wire[i].key, r->key, sizeof(wire[i].key));
	}
}

static int share_fill(struct ipcshare_share *s, const struct ipcshare_buf *bufs, size_t n,
		      unsigned flags)
{
	struct ipcshare__described d = { .descriptors = ipcshare__blob_descriptors(s->blob) };
	struct ipcshare__wire_region *wire;
	struct ipcshare__wire_blob *blob;
	int err;

	err = ipcshare__regions_describe(s->group->ctx, bufs, n, &d);
	s->regions = d.regions;
	s->nregions = d.nregions;
	if (err)
		return err;
	if (d.failed)
		s->bad = *ipcshare_last_error();
	wire = calloc(d.nregions + 1, sizeof(*wire));
	if (!wire)
		return ipcshare__fail_errno(ENOMEM, "share", "%u regions", d.nregions);
	regions_publish(s, n, flags, wire);
	blob = ipcshare__blob_finish(s->blob, n, wire, d.nregions, (uint32_t)s->group->rank,
				     s->group->ctx->identity.endpoint);
	free(wire);
	if (!blob)
		return ipcshare__fail_errno(ENOMEM, "share", "%zu descriptors", n);
	s->blob = blob;
	return 0;
}

int ipcshare__share_make(struct ipcshare_group *g, const struct ipcshare_buf *bufs, size_t n,
			 unsigned flags, struct ipcshare_share **out)
{
	struct ipcshare_share *s = calloc(1, sizeof(*s));
	int err;

	if (s)
		s->blob = ipcshare__blob_new(n);
	if (!s || !s->blob) {
		free(s);
		return ipcshare__fail_errno(ENOMEM, "share", "%zu descriptors", n);
	}
	s->group = g;
	atomic_fetch_add(&g->children, 1);
	err = share_fill(s, bufs, n, flags);
	if (err)
		ipcshare__share_delete(s);
	else
		*out = s;
	return err;
}

void ipcshare__share_delete(struct ipcshare_share *s)
{
	for (uint32_t i = 0; i < s->nregions; i++)
		ipcshare__region_drop(s->group->ctx, s->regions[i]);
	atomic_fetch_sub(&s->group->children, 1);
	free(s->regions);
	free(s->blob);
	free(s);
}

/* ---- The collective form ---- */

/* Where each blob will be in the bytes of all; PROTOCOL if a length can't be. */
static int lens_sum(const uint64_t *announced, int nranks, size_t *lens, size_t *total)
{
	*total = 0;
	for (int r = 0; r < nranks; r++) {
		if (announced[r] % IPCSHARE__BLOB_ALIGN || announced[r] > PTRDIFF_MAX - *total) {
			ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "share", "",
				       "the rank announced a blob of %ju bytes",
				       (uintmax_t)announced[r]);
			ipcshare__fail_at(r, -1);
			return IPCSHARE_ERR_PROTOCOL;
		}
		lens[r] = (size_t)announced[r];
		*total += lens[r];
	}
	return 0;
}

/* Scratch of one collective share, allocated in one piece. */
struct exchange {
	uint64_t *announced; /* nranks of each */
	size_t *lens;
	const void **blobs;
};

static int exchange_alloc(int nranks, struct exchange *x)
{
	size_t n = (size_t)nranks;
	uint64_t *words = calloc(3 * n, sizeof(uint64_t));

	_Static_assert(sizeof(size_t) == 8 && sizeof(void *) == 8, "64-bit machines only");
	if (!words)
		return ipcshare__fail_errno(ENOMEM, "share", "the exchange");
	x->announced = words;
	x->lens = (size_t *)(words + n);
	x->blobs = (const void **)(words + 2 * n);
	return 0;
}

/* Everybody's blob, in one piece of memory that x->blobs point into; the caller frees *bytes. */
static int blobs_exchange(struct ipcshare_share *s, struct exchange *x, unsigned char **bytes)
{
	struct ipcshare_group *g = s->group;
	size_t total, at = 0;
	int err;

	err = lens_sum(x->announced, g->size, x->lens, &total);
	if (err)
		return ipcshare__exchange_quit(g, err);
	*bytes = malloc(total);
	if (!*bytes)
		return ipcshare__exchange_quit(
			g, ipcshare__fail_errno(ENOMEM, "share", "%zu bytes of descriptors", total));
	for (int r = 0; r < g->size; r++) {
		x->blobs[r] = *bytes + at;
		at += x->lens[r];
	}
	return ipcshare__exchange_v(g, s->blob, *bytes, x->lens);
}

static uint64_t sum(const uint64_t *values, int n)
{
	uint64_t total = 0;

	for (int i = 0; i < n; i++)
		total += values[i];
	return total;
}

/*
 * The verdict is against it, on every rank. All let go of their mappings before any returns, so that
 * the owners can free their memory at once.
 */
static void set_give_up(struct ipcshare_group *g, struct ipcshare_set *set)
{
	struct ipcshare_error why = *ipcshare_last_error();

	if (set)
		ipcshare__set_delete(set);
	if (!g->broken)
		ipcshare__exchange_barrier(g);
	ipcshare__error_restore(&why);
}

/* The set of this rank, and whether all ranks are content with theirs. */
static int set_agree(struct ipcshare_share *s, struct exchange *x, uint32_t flags,
		     struct ipcshare_set **out)
{
	struct ipcshare_group *g = s->group;
	struct ipcshare_error bad = { .status = 0 };
	struct ipcshare_set *set = NULL;
	int status, err;

	status = ipcshare__set_make(s, x->blobs, x->lens, &set, &bad);
	if (!status && bad.status && flags & IPCSHARE_ALL_OR_NOTHING) {
		ipcshare__error_restore(&bad);
		status = bad.status;
	}
	err = ipcshare__agree(g, IPCSHARE__COLL_VERDICT, status, NULL,
			      set ? ipcshare_set_failures(set) : 0, x->announced);
	if (err) {
		set_give_up(g, set);
		return err;
	}
	ipcshare__set_agreed(set, sum(x->announced, g->size));
	*out = set;
	return 0;
}

static int share_exchange(struct ipcshare_share *s, struct exchange *x, uint32_t flags,
			  struct ipcshare_set **out)
{
	unsigned char *bytes = NULL;
	int err = blobs_exchange(s, x, &bytes);

	if (!err)
		err = set_agree(s, x, flags, out);
	free(bytes);
	return err;
}

int ipcshare_share(struct ipcshare_group *g, const struct ipcshare_buf *bufs, size_t n,
		   unsigned flags, struct ipcshare_set **out)
{
	struct ipcshare_share *s = NULL;
	struct exchange x = { NULL, NULL, NULL };
	uint32_t agreed = flags;
	int err = ipcshare__group_check(g, "share"), status;

	if (err)
		return err;
	status = out ? arguments_check(bufs, n, flags, BUFFER_FLAGS | IPCSHARE_ALL_OR_NOTHING)
		     : ipcshare__fail(IPCSHARE_ERR_INVALID, "share", "", "out is NULL");
	if (!status)
		status = exchange_alloc(g->size, &x);
	if (!status)
		status = ipcshare__share_make(g, bufs, n, flags, &s);
	err = ipcshare__agree(g, IPCSHARE__COLL_SHARE, status, &agreed, s ? s->blob->bytes : 0,
			      x.announced);
	if (!err)
		err = share_exchange(s, &x, agreed, out);
	if (s) {
		struct ipcshare_error why = *ipcshare_last_error();

		ipcshare__share_delete(s);
		ipcshare__error_restore(&why);
	}
	free(x.announced);
	return err;
}

/* ---- The split form ---- */

static void share_abandon(struct ipcshare__owned *owned)
{
	struct ipcshare_share *s = (struct ipcshare_share *)owned;

	ipcshare__handle_remove(s);
	free(s->regions);
	free(s->blob);
	free(s);
}

int ipcshare_share_begin(struct ipcshare_group *g, const struct ipcshare_buf *bufs, size_t n,
			 unsigned flags, struct ipcshare_share **out, const void **blob, size_t *len)
{
	struct ipcshare_share *s;
	int err = ipcshare__group_check(g, "share");

	if (err)
		return err;
	if (!out || !blob || !len)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "share", "", "out, blob or len is NULL");
	err = arguments_check(bufs, n, flags, BUFFER_FLAGS);
	if (!err)
		err = ipcshare__share_make(g, bufs, n, flags, &s);
	if (err)
		return err;
	err = ipcshare__handle_add(s, IPCSHARE__HANDLE_SHARE);
	if (err) {
		ipcshare__share_delete(s);
		return err;
	}
	ipcshare__owned_add(g->ctx, &s->owned, share_abandon);
	*out = s;
	*blob = s->blob;
	*len = s->blob->bytes;
	return 0;
}

static void share_end(struct ipcshare_share *s)
{
	ipcshare__handle_remove(s);
	ipcshare__owned_remove(s->group->ctx, &s->owned);
	ipcshare__share_delete(s);
}

static int share_check(const struct ipcshare_share *s)
{
	int err = ipcshare__handle_check(s, IPCSHARE__HANDLE_SHARE, "share");

	return err ? err : ipcshare__group_check(s->group, "share");
}

int ipcshare_share_complete(struct ipcshare_share *s, const void *const *blobs, const size_t *lens,
			    struct ipcshare_set **out)
{
	struct ipcshare_error bad = { .status = 0 };
	int err = share_check(s);

	if (err)
		return err;
	if (!blobs || !lens || !out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "share", "",
				      "blobs, lens or out is NULL");
	for (int r = 0; r < s->group->size; r++)
		if (!blobs[r])
			return ipcshare__fail(IPCSHARE_ERR_INVALID, "share", "",
					      "the blob of rank %d is NULL", r);
	err = ipcshare__set_make(s, blobs, lens, out, &bad);
	if (!err)
		share_end(s);
	return err;
}

int ipcshare_share_cancel(struct ipcshare_share *s)
{
	int err;

	if (!s)
		return 0;
	err = share_check(s);
	if (!err)
		share_end(s);
	return err;
}
