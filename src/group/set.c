/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/handle.h"
#include "group/share.h"

/* What is behind a rank's row. */
struct row {
	void **ptr;
	size_t *len;
	int *status; /* NULL: every buffer is all right */
	struct ipcshare__mapping **mappings; /* by region of the blob; NULL where it failed */
	uint32_t nmappings;
};

struct set {
	struct ipcshare_set open; /* first: what users see */
	struct ipcshare__owned owned;
	struct ipcshare_group *group;
	struct row *rows; /* by rank */
	struct ipcshare_row *open_rows;
	struct ipcshare__region **regions; /* our own, held */
	uint32_t nregions;
	uint64_t failures;
	uint64_t serial; /* 0: not collective */
};

static struct set *set_of(const struct ipcshare_set *open)
{
	return (struct set *)open;
}

static struct set *set_at(struct ipcshare__owned *owned)
{
	return (struct set *)((char *)owned - offsetof(struct set, owned));
}

/* ---- Rows ---- */

static int row_alloc(struct row *row, size_t n)
{
	row->ptr = calloc(n + 1, sizeof(*row->ptr));
	row->len = calloc(n + 1, sizeof(*row->len));
	return row->ptr && row->len ? 0 : ipcshare__fail_errno(ENOMEM, "share", "%zu pointers", n);
}

static void row_free(struct row *row)
{
	free(row->ptr);
	free(row->len);
	free(row->status);
	free(row->mappings);
}

/* Where a region of the blob starts here, or why it doesn't. */
struct base {
	char *at;
	int status;
};

static int row_fail(struct set *set, struct row *row, size_t n, size_t i, int status)
{
	if (!row->status)
		row->status = calloc(n, sizeof(*row->status));
	if (!row->status)
		return ipcshare__fail_errno(ENOMEM, "share", "%zu statuses", n);
	row->status[i] = status;
	set->failures++;
	return 0;
}

/* Descriptors to pointers. *@first is the first buffer whose region failed here, or n. */
static int row_fill(struct set *set, struct row *row, const struct ipcshare__blob *blob,
		    const struct base *bases, size_t *first)
{
	int err = 0;

	*first = blob->nbufs;
	for (size_t i = 0; i < blob->nbufs && !err; i++) {
		struct ipcshare__wire_descriptor d;

		memcpy(&d, blob->descriptors + i * sizeof(d), sizeof(d));
		row->len[i] = ipcshare__descriptor_length(&d);
		if (d.ref == IPCSHARE__REF_EMPTY)
			continue;
		if (d.ref == IPCSHARE__REF_FAILED) {
			err = row_fail(set, row, blob->nbufs, i, -(int)d.offset_lo);
		} else if (bases[d.ref].status) {
			err = row_fail(set, row, blob->nbufs, i, bases[d.ref].status);
			if (*first == blob->nbufs)
				*first = i;
		} else {
			row->ptr[i] = bases[d.ref].at + ipcshare__descriptor_offset(&d);
		}
	}
	return err;
}

/* ---- Bases: our own memory, or a peer's as mapped here ---- */

static void bases_own(const struct ipcshare_share *s, struct base *bases)
{
	for (uint32_t i = 0; i < s->nregions; i++)
		bases[i] = (struct base){ s->regions[i]->mem.start, 0 };
}

/* Not needed by any buffer, as happens when its export failed: nothing to import. */
static void mark_needed(const struct ipcshare__blob *blob, bool *needed)
{
	for (size_t i = 0; i < blob->nbufs; i++) {
		struct ipcshare__wire_descriptor d;

		memcpy(&d, blob->descriptors + i * sizeof(d), sizeof(d));
		if (d.ref < blob->nregions)
			needed[d.ref] = true;
	}
}

struct importing {
	struct ipcshare__wire_region *regions; /* aligned copies: the keys are in them */
	struct ipcshare__want *wants; /* of the needed ones */
	uint32_t *ref; /* of each want */
	bool *needed;
	uint32_t nwants;
};

static int importing_alloc(struct importing *im, const struct ipcshare__blob *blob)
{
	size_t n = blob->nregions + 1;

	im->regions = malloc(n * sizeof(*im->regions));
	im->wants = calloc(n, sizeof(*im->wants));
	im->ref = malloc(n * sizeof(*im->ref));
	im->needed = calloc(n, sizeof(*im->needed));
	im->nwants = 0;
	if (!im->regions || !im->wants || !im->ref || !im->needed)
		return ipcshare__fail_errno(ENOMEM, "share", "%zu imports", n);
	memcpy(im->regions, blob->regions, blob->nregions * sizeof(*im->regions));
	return 0;
}

static void importing_free(struct importing *im)
{
	free(im->regions);
	free(im->wants);
	free(im->ref);
	free(im->needed);
}

static void wants_fill(struct importing *im, const struct ipcshare__blob *blob)
{
	mark_needed(blob, im->needed);
	for (uint32_t i = 0; i < blob->nregions; i++) {
		const struct ipcshare__wire_region *r = &im->regions[i];

		if (!im->needed[i])
			continue;
		im->ref[im->nwants] = i;
		im->wants[im->nwants++] = (struct ipcshare__want){
			.region = r->region,
			.generation = r->generation,
			.access = r->access,
			.key = r->key,
			.length = r->length,
		};
	}
}

/* *@failed is the status of the first import that failed, whose detail is the last error then. */
static int bases_import(struct set *set, int rank, const struct ipcshare__blob *blob,
			struct base *bases, int *failed)
{
	struct row *row = &set->rows[rank];
	struct ipcshare_ctx *ctx = set->group->ctx;
	struct importing im;
	int err = importing_alloc(&im, blob);

	if (!err) {
		row->mappings = calloc(blob->nregions + 1, sizeof(struct ipcshare__mapping *));
		if (!row->mappings)
			err = ipcshare__fail_errno(ENOMEM, "share", "%u mappings", blob->nregions);
	}
	if (err)
		goto out;
	wants_fill(&im, blob);
	*failed = im.nwants ? ipcshare__mappings_hold(ctx, set->group->members[rank].peer, im.wants,
						      im.nwants)
			    : 0;
	row->nmappings = blob->nregions;
	for (uint32_t i = 0; i < im.nwants; i++) {
		const struct ipcshare__want *w = &im.wants[i];

		row->mappings[im.ref[i]] = w->mapping;
		bases[im.ref[i]].status = w->status;
		if (!w->status)
			bases[im.ref[i]].at = w->mapping->at.base;
	}
out:
	importing_free(&im);
	return err;
}

/* ---- Make ---- */

static struct set *set_new(struct ipcshare_group *g)
{
	struct set *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->rows = calloc((size_t)g->size, sizeof(*set->rows));
	set->open_rows = calloc((size_t)g->size, sizeof(*set->open_rows));
	if (!set->rows || !set->open_rows) {
		free(set->rows);
		free(set->open_rows);
		free(set);
		return NULL;
	}
	set->group = g;
	set->open = (struct ipcshare_set){ set->open_rows, g->size, g->rank };
	return set;
}

static void set_free_memory(struct set *set)
{
	for (int r = 0; r < set->open.nranks; r++)
		row_free(&set->rows[r]);
	free(set->rows);
	free(set->open_rows);
	free(set->regions);
	free(set);
}

/* What this rank has to tell the others: that it can't import, with the first buffer concerned. */
static void note_failed(struct ipcshare_error *bad, int rank, size_t index)
{
	ipcshare__fail_at(rank, (int64_t)index);
	if (!bad->status)
		*bad = *ipcshare_last_error();
}

static int set_add_rank(struct set *set, const struct ipcshare_share *s, int rank, const void *bytes,
			size_t len, struct ipcshare_error *bad)
{
	const struct ipcshare_group *g = set->group;
	struct ipcshare__blob blob;
	struct base *bases;
	size_t first;
	int err, failed = 0;

	err = ipcshare__blob_check(bytes, len, (uint32_t)rank, g->members[rank].identity.endpoint,
				   &blob);
	if (err)
		return err;
	err = row_alloc(&set->rows[rank], blob.nbufs);
	if (err)
		return err;
	bases = calloc(blob.nregions + 1, sizeof(*bases));
	if (!bases)
		return ipcshare__fail_errno(ENOMEM, "share", "%u regions", blob.nregions);
	if (rank != g->rank)
		err = bases_import(set, rank, &blob, bases, &failed);
	else if (len == s->blob->bytes && !memcmp(bytes, s->blob, len))
		bases_own(s, bases);
	else
		err = ipcshare__fail(IPCSHARE_ERR_MISMATCH, "share", "pass the blob of this share",
				     "our own blob is not the one that was begun");
	if (!err)
		err = row_fill(set, &set->rows[rank], &blob, bases, &first);
	if (!err && failed)
		note_failed(bad, rank, first);
	free(bases);
	set->open_rows[rank] = (struct ipcshare_row){
		set->rows[rank].ptr, set->rows[rank].len, blob.nbufs,
	};
	return err;
}

static void set_abandon(struct ipcshare__owned *owned)
{
	struct set *set = set_at(owned);

	ipcshare__handle_remove(set);
	set_free_memory(set);
}

static void mappings_drop(struct set *set)
{
	for (int r = 0; r < set->open.nranks; r++) {
		struct row *row = &set->rows[r];

		for (uint32_t i = 0; i < row->nmappings; i++)
			if (row->mappings[i])
				ipcshare__mapping_drop(set->group->ctx, row->mappings[i]);
		row->nmappings = 0;
	}
}

int ipcshare__set_make(struct ipcshare_share *s, const void *const *blobs, const size_t *lens,
		       struct ipcshare_set **out, struct ipcshare_error *bad)
{
	struct set *set = set_new(s->group);
	int err = 0;

	if (!set)
		return ipcshare__fail_errno(ENOMEM, "share", "a set");
	*bad = s->bad; /* what our buffers lack is ours to report */
	for (int r = 0; r < s->group->size && !err; r++) {
		err = set_add_rank(set, s, r, blobs[r], lens[r], bad);
		if (err)
			ipcshare__fail_at(r, -1);
	}
	if (!err)
		err = ipcshare__handle_add(set, IPCSHARE__HANDLE_SET);
	if (err) {
		struct ipcshare_error why = *ipcshare_last_error();

		mappings_drop(set);
		set_free_memory(set);
		ipcshare__error_restore(&why);
		return err;
	}
	set->regions = s->regions;
	set->nregions = s->nregions;
	s->regions = NULL;
	s->nregions = 0;
	atomic_fetch_add(&s->group->children, 1);
	ipcshare__count(&s->group->ctx->counters.sets, 1);
	ipcshare__owned_add(s->group->ctx, &set->owned, set_abandon);
	*out = &set->open;
	return 0;
}

void ipcshare__set_agreed(struct ipcshare_set *open, uint64_t failures)
{
	struct set *set = set_of(open);

	set->failures = failures;
	set->serial = ++set->group->sets_made;
}

/* ---- Look ---- */

int ipcshare_set_status(const struct ipcshare_set *open, int rank, size_t i)
{
	const struct set *set = set_of(open);
	int err = ipcshare__handle_check(open, IPCSHARE__HANDLE_SET, "set");

	if (err)
		return err;
	if (rank < 0 || rank >= open->nranks || i >= open->rows[rank].count)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "set", "",
				      "there is no buffer %zu of rank %d", i, rank);
	return set->rows[rank].status ? set->rows[rank].status[i] : 0;
}

uint64_t ipcshare_set_failures(const struct ipcshare_set *open)
{
	if (ipcshare__handle_check(open, IPCSHARE__HANDLE_SET, "set"))
		return 0;
	return set_of(open)->failures;
}

/* ---- Free ---- */

static void regions_drop(struct set *set)
{
	for (uint32_t i = 0; i < set->nregions; i++)
		ipcshare__region_drop(set->group->ctx, set->regions[i]);
	set->nregions = 0;
}

void ipcshare__set_delete(struct ipcshare_set *open)
{
	struct set *set = set_of(open);
	struct ipcshare_group *g = set->group;

	ipcshare__handle_remove(set);
	ipcshare__owned_remove(g->ctx, &set->owned);
	mappings_drop(set);
	regions_drop(set);
	ipcshare__uncount(&g->ctx->counters.sets, 1);
	atomic_fetch_sub(&g->children, 1);
	set_free_memory(set);
}

/* All ranks have let go of the mappings; and it is the same set that they free. */
static int free_together(struct set *set)
{
	struct ipcshare_group *g = set->group;
	uint64_t *serials = calloc((size_t)g->size, sizeof(*serials));
	int err;

	if (!serials)
		return ipcshare__exchange_quit(g, ipcshare__fail_errno(ENOMEM, "set", "serials"));
	err = ipcshare__agree(g, IPCSHARE__COLL_SET_FREE, 0, NULL, set->serial, serials);
	for (int r = 0; r < g->size && !err; r++)
		if (serials[r] != set->serial) {
			err = ipcshare__fail(IPCSHARE_ERR_MISMATCH, "set",
					     "free sets in the same order on every rank",
					     "the rank freed set %ju of the group, this rank %ju",
					     (uintmax_t)serials[r], (uintmax_t)set->serial);
			ipcshare__fail_at(r, -1);
		}
	free(serials);
	return err;
}

int ipcshare_set_free(struct ipcshare_set *open)
{
	struct set *set = set_of(open);
	int err;

	if (!open)
		return 0;
	err = ipcshare__handle_check(open, IPCSHARE__HANDLE_SET, "set");
	if (!err)
		err = ipcshare__group_check(set->group, "set");
	if (err)
		return err;
	mappings_drop(set); /* importers first, then all meet, then the owners let go */
	if (set->serial)
		err = free_together(set);
	ipcshare__set_delete(open);
	return err;
}
