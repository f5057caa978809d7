/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/part.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/host/free_memory.h"
#include "base/error.h"
#include "group/set.h"

#define ROOM_LOOK ((uint64_t)64 << 20) /* less is there, or nothing is */

struct ipcshare__part *ipcshare__parts_new(struct ipcshare__set *set, struct ipcshare_share *share,
					   uint64_t serial)
{
	int n = set->open.nranks;
	struct ipcshare__part *parts = calloc((size_t)n, sizeof(*parts));

	for (int r = 0; parts && r < n; r++) {
		parts[r].set = set;
		parts[r].share = share;
		parts[r].rank = r;
		parts[r].serial = serial;
	}
	if (!parts)
		ipcshare__fail_errno(ENOMEM, "share", "what %d ranks bring", n);
	return parts;
}

void ipcshare__parts_free(struct ipcshare__part *parts, struct ipcshare_group *g)
{
	struct ipcshare__blocks *blocks = &g->ctx->blocks;

	for (int r = 0; parts && r < g->size; r++) {
		ipcshare__block_put(blocks, &parts[r].prefix);
		ipcshare__cells_free(&parts[r].cells, blocks);
		ipcshare__catalog_clear(&parts[r].carried);
	}
	free(parts);
}

/* ---- Take: the head, the rest of the prefix, the descriptors ---- */

static void part_fail(struct ipcshare__part *p, int status)
{
	if (!status)
		return;
	ipcshare__fail_at(p->rank, -1);
	p->status = status;
	p->why = *ipcshare_last_error();
}

/* A blob that the user carried comes in one piece. */
static int carried_check(const struct ipcshare__part *p, const void *bytes, size_t n)
{
	const struct ipcshare_share *s = p->share;
	int err = ipcshare__blob_check_sum(bytes, n);

	/* Our own must be the one that was begun: its regions are ours to hand over. */
	if (!err && p->rank == s->group->rank && (n != s->blob->bytes || memcmp(bytes, s->blob, n)))
		err = ipcshare__fail(IPCSHARE_ERR_MISMATCH, "share", "pass the blob of this share",
				     "our own blob is not the one that was begun");
	return err;
}

/* From here on the copy counts: the bytes may become others at any time. */
static int head_take(struct ipcshare__part *p, const void *bytes, size_t n, uint64_t len)
{
	struct ipcshare_group *g = p->set->group;
	struct ipcshare__wire_blob *head = &p->head;
	int err;

	memcpy(head, bytes, n < sizeof(*head) ? n : sizeof(*head));
	__asm__ volatile("" : "+m"(*head));
	err = ipcshare__blob_check_form(head, len);
	if (!err && !p->share->collective)
		err = carried_check(p, bytes, n);
	if (!err)
		err = ipcshare__blob_check_owner(head, (uint32_t)p->rank,
						 g->members[p->rank].identity.endpoint);
	if (!err && head->set != p->serial)
		err = ipcshare__fail(IPCSHARE_ERR_MISMATCH, "share",
				     "every rank must update the same set",
				     "the rank's buffers are for set %ju of the group, not %ju",
				     (uintmax_t)head->set, (uintmax_t)p->serial);
	p->prefix_len = ipcshare__blob_prefix(head);
	return err;
}

void ipcshare__part_begin(struct ipcshare__part *p, const void *bytes, size_t n, uint64_t len)
{
	part_fail(p, head_take(p, bytes, n, len));
}

static bool is_lazy(const struct ipcshare__part *p)
{
	return p->set->lazy && p->rank != p->set->group->rank;
}

static uint64_t room_of(const struct ipcshare__part *p)
{
	return p->status ? 0 : p->prefix_len + ipcshare__cells_bytes(p->head.nbufs, is_lazy(p));
}

/* An eighth of what is left is left. */
void ipcshare__parts_look_for_room(struct ipcshare__part *parts, int nranks)
{
	struct ipcshare__part *most = parts;
	uint64_t all = 0, left;
	const char *whose;

	for (int r = 0; r < nranks; r++) {
		all += room_of(&parts[r]);
		most = room_of(&parts[r]) > room_of(most) ? &parts[r] : most;
	}
	if (all * (uint64_t)nranks < ROOM_LOOK)
		return;
	left = ipcshare__memory_left(&whose);
	if (all <= (left - left / 8) / (uint64_t)nranks)
		return;
	part_fail(most,
		  ipcshare__fail(
			  IPCSHARE_ERR_NO_MEMORY, "share", "share fewer buffers, or free memory",
			  "%u buffers: %d ranks need %ju bytes each for what all share, and %s "
			  "has %ju left",
			  most->head.nbufs, nranks, (uintmax_t)all, whose, (uintmax_t)left));
}

static int prefix_begin(struct ipcshare__part *p)
{
	if (ipcshare__block_get(&p->set->group->ctx->blocks, p->prefix_len, &p->prefix))
		return ipcshare__fail_errno(ENOMEM, "share", "%u regions", p->head.nregions);
	memcpy(p->prefix.at, &p->head, sizeof(p->head));
	return 0;
}

/* Collectives write catalogs, and the row may grow, while ipcshare_ptr_lazy() reads them. */
static int place(void *part, uint32_t region, struct ipcshare__placed *out)
{
	struct ipcshare__part *p = part;
	int err;

	pthread_mutex_lock(&p->set->lock);
	err = ipcshare__row_place(&p->source, region, out);
	pthread_mutex_unlock(&p->set->lock);
	return err;
}

/*
 * The prefix is complete. Blobs of a collective add to what we know of the rank; those that the user
 * carried stand for themselves, for they may be old.
 */
static int prefix_end(struct ipcshare__part *p)
{
	const struct ipcshare__wire_blob *prefix = ipcshare__part_prefix(p);
	struct ipcshare_group *g = p->set->group;
	struct ipcshare__member *m = &g->members[p->rank];
	struct ipcshare__catalog *catalog = p->share->collective ? &m->catalog : &p->carried;
	bool own = p->rank == g->rank;
	int err;

	pthread_mutex_lock(&g->catalog_lock);
	err = ipcshare__blob_learn(prefix, catalog);
	pthread_mutex_unlock(&g->catalog_lock);
	p->source = (struct ipcshare__row_source){
		.row = &p->set->rows[p->rank],
		.ctx = g->ctx,
		.peer = m->peer,
		.ours = own ? &p->share->describer : NULL,
		.catalog = catalog,
		.access = (enum ipcshare__access)prefix->access,
		.lazy = is_lazy(p),
	};
	return err;
}

/* The next @n descriptors. The cells of a new set are counted while they are in the cache. */
static int cells_read(struct ipcshare__part *p, const unsigned char *descriptors, size_t n)
{
	size_t before = p->reader.n;
	int err = ipcshare__reader_read(&p->reader, descriptors, n);

	if (!err && !p->serial)
		ipcshare__row_count(p->source.row, p->cells.ref + before, p->reader.n - before);
	return err;
}

static int cells_new(struct ipcshare__part *p, bool recipe)
{
	const struct ipcshare__wire_blob *prefix = ipcshare__part_prefix(p);
	int err = ipcshare__cells_alloc(&p->cells, &p->set->group->ctx->blocks, prefix->nbufs,
					p->source.lazy, recipe);

	if (!err)
		ipcshare__reader_begin(&p->reader, p->source.catalog, place, p, &p->cells);
	return err;
}

/* Cells that were made from what @asked says, if their regions are where they were; 1: there are none. */
static int cells_recall(struct ipcshare__part *p, const struct ipcshare__recipe *asked)
{
	struct ipcshare__blocks *blocks = &p->set->group->ctx->blocks;
	int err;

	if (!ipcshare__cells_find(&p->cells, blocks, asked))
		return 1;
	pthread_mutex_lock(&p->set->lock);
	err = ipcshare__row_recall(&p->source, p->cells.recipe);
	pthread_mutex_unlock(&p->set->lock);
	if (err)
		ipcshare__cells_free(&p->cells, blocks);
	else
		ipcshare__reader_skip(&p->reader, &p->cells, asked->ndescriptors);
	return err;
}

/* All descriptors are here, and they are few. */
static int cells_by_recipe(struct ipcshare__part *p, const unsigned char *descriptors)
{
	struct ipcshare__recipe asked;
	int err;

	ipcshare__recipe_begin(&asked, ipcshare__part_prefix(p), descriptors);
	err = cells_recall(p, &asked);
	if (err <= 0)
		return err;
	err = cells_new(p, true);
	if (err)
		return err;
	*p->cells.recipe = asked;
	return cells_read(p, (unsigned char *)asked.descriptors, asked.ndescriptors);
}

/* The prefix is complete, and @n bytes of descriptors are here. */
static int cells_begin(struct ipcshare__part *p, const unsigned char *descriptors, size_t n)
{
	const struct ipcshare__wire_blob *prefix = ipcshare__part_prefix(p);

	return !p->serial && !p->source.lazy && ipcshare__recipe_worthwhile(prefix) &&
			       n / sizeof(struct ipcshare__wire_descriptor) >= prefix->ndescriptors
		       ? cells_by_recipe(p, descriptors)
		       : cells_new(p, false);
}

/* @n bytes of the prefix, which are not all of it if @n is all there is. */
static int prefix_take(struct ipcshare__part *p, const unsigned char *bytes, size_t n)
{
	size_t head = p->taken ? 0 : sizeof(struct ipcshare__wire_blob); /* it was copied */

	memcpy((unsigned char *)p->prefix.at + p->taken + head, bytes + head, n - head);
	p->taken += n;
	return p->taken == p->prefix_len ? prefix_end(p) : 0;
}

static int descriptors_take(struct ipcshare__part *p, const unsigned char *bytes, size_t n)
{
	uint64_t left = ipcshare__part_prefix(p)->ndescriptors - p->reader.ndescriptors;
	size_t here = n / sizeof(struct ipcshare__wire_descriptor);

	p->taken += n;
	return cells_read(p, bytes, here < left ? here : (size_t)left);
}

void ipcshare__part_take(struct ipcshare__part *p, const void *bytes, size_t n)
{
	size_t most;
	int err = 0;

	if (p->status)
		return;
	if (!p->prefix.at)
		err = prefix_begin(p);
	if (!err && p->taken < p->prefix_len) {
		most = p->prefix_len - p->taken < n ? (size_t)(p->prefix_len - p->taken) : n;
		err = prefix_take(p, bytes, most);
		bytes = (const unsigned char *)bytes + most;
		n -= most;
		if (!err && p->taken == p->prefix_len)
			err = cells_begin(p, bytes, n);
	}
	if (!err && n)
		err = descriptors_take(p, bytes, n);
	part_fail(p, err);
}

/* ---- End ---- */

/* What this rank has to tell the others: that it can't import, with the first buffer concerned. */
static void note_failed(const struct ipcshare__part *p, size_t i, int failed,
			struct ipcshare_error *bad)
{
	if (!failed) /* in an earlier call: the set holds that against the region */
		ipcshare__fail(p->source.row->used[p->cells.ref[i]].status, "import", "",
			       "the allocation could not be mapped when it came into the set");
	ipcshare__fail_at(p->rank, (int64_t)i);
	if (!bad->status)
		*bad = *ipcshare_last_error();
}

int ipcshare__part_end(struct ipcshare__part *p, struct ipcshare_error *bad)
{
	int failed = 0;
	size_t first;

	if (!p->status && p->taken < p->prefix_len)
		part_fail(p, ipcshare__blob_malformed("it ends before its descriptors", p->taken));
	if (!p->status)
		part_fail(p, ipcshare__reader_end(&p->reader));
	if (!p->status)
		part_fail(p, ipcshare__row_map(&p->source, &failed));
	if (p->status) {
		ipcshare__error_restore(&p->why);
		return p->status;
	}
	first = ipcshare__row_settle(p->source.row, &p->cells);
	if (first < p->cells.n)
		note_failed(p, first, failed, bad);
	return 0;
}
