/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "base/error.h"
#include "group/set.h"

/*
 * Our own must be the one that was begun: its regions are ours to hand over. Those of a collective add
 * to what we know of the rank; bytes that the user carried stand for themselves, for they may be old.
 */
static int blob_take(struct ipcshare__set *set, const struct ipcshare_share *s, int rank,
		     const void *bytes, size_t len, struct ipcshare__catalog *catalog,
		     struct ipcshare__blob *out)
{
	struct ipcshare_group *g = set->group;
	int err = ipcshare__blob_check(bytes, len, (uint32_t)rank, g->members[rank].identity.endpoint,
				       !s->collective, out);

	if (!err && rank == g->rank && bytes != s->blob && (len != s->blob->bytes || memcmp(bytes, s->blob, len)))
		err = ipcshare__fail(IPCSHARE_ERR_MISMATCH, "share", "pass the blob of this share",
				     "our own blob is not the one that was begun");
	if (err)
		return err;
	pthread_mutex_lock(&g->catalog_lock);
	err = ipcshare__blob_learn(out, catalog);
	pthread_mutex_unlock(&g->catalog_lock);
	return err;
}

static int row_map(struct ipcshare__set *set, struct ipcshare_share *s, int rank,
		   const struct ipcshare__catalog *catalog, int *failed)
{
	struct ipcshare__row *row = &set->rows[rank];

	*failed = 0;
	if (rank != set->open.rank && !set->lazy)
		return ipcshare__row_map(row, set->group->ctx, set->group->members[rank].peer,
					 catalog, failed);
	if (rank == set->open.rank)
		ipcshare__row_map_own(row, &s->describer);
	else
		ipcshare__row_map_later(row);
	return 0;
}

/* What this rank has to tell the others: that it can't import, with the first buffer concerned. */
static void note_failed(const struct ipcshare__row *row, const struct ipcshare__cells *cells,
			size_t i, int rank, int failed, struct ipcshare_error *bad)
{
	if (!failed) /* in an earlier call: the set holds that against the region */
		ipcshare__fail(row->used[cells->ref[i]].status, "import", "",
			       "the allocation could not be mapped when it came into the set");
	ipcshare__fail_at(rank, (int64_t)i);
	if (!bad->status)
		*bad = *ipcshare_last_error();
}

int ipcshare__part_make(struct ipcshare__set *set, struct ipcshare_share *s, int rank,
			uint64_t serial, const void *bytes, size_t len, struct ipcshare__part *part,
			struct ipcshare_error *bad)
{
	struct ipcshare__catalog carried = { 0 };
	struct ipcshare__catalog *catalog =
		s->collective ? &set->group->members[rank].catalog : &carried;
	struct ipcshare__row *row = &set->rows[rank];
	bool lazy = set->lazy && rank != set->open.rank;
	int err, failed;
	size_t first;

	*part = (struct ipcshare__part){ .cells = { .n = 0 } };
	err = blob_take(set, s, rank, bytes, len, catalog, &part->blob);
	if (!err && part->blob.set != serial)
		err = ipcshare__fail(IPCSHARE_ERR_MISMATCH, "share",
				     "every rank must update the same set",
				     "the rank's buffers are for set %ju of the group, not %ju",
				     (uintmax_t)part->blob.set, (uintmax_t)serial);
	if (!err)
		err = ipcshare__cells_alloc(&part->cells, &set->group->ctx->blocks,
					    part->blob.nbufs, lazy);
	if (!err) {
		pthread_mutex_lock(&set->lock); /* the row may grow */
		err = ipcshare__row_read(row, &part->blob, catalog, &part->cells);
		pthread_mutex_unlock(&set->lock);
	}
	if (!err)
		err = row_map(set, s, rank, catalog, &failed);
	if (!err) {
		first = ipcshare__row_fill(row, &part->blob, &part->cells);
		if (first < part->cells.n)
			note_failed(row, &part->cells, first, rank, failed, bad);
	} else {
		ipcshare__row_map_later(row); /* never: what it wanted is forgotten */
	}
	ipcshare__catalog_clear(&carried);
	return err;
}

void ipcshare__part_free(struct ipcshare__part *part, struct ipcshare__blocks *blocks)
{
	ipcshare__cells_free(&part->cells, blocks);
}
