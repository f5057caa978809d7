/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/set.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/handle.h"
#include "base/point.h"

static struct ipcshare__set *set_at(struct ipcshare__owned *owned)
{
	return (struct ipcshare__set *)((char *)owned - offsetof(struct ipcshare__set, owned));
}

int ipcshare__set_check(const struct ipcshare_set *open, const char *stage)
{
	int err = ipcshare__handle_check(open, IPCSHARE__HANDLE_SET, stage);

	return err ? err : ipcshare__group_check(ipcshare__set_group(open), stage);
}

/* ---- Make ---- */

static struct ipcshare__set *set_new(struct ipcshare_group *g)
{
	struct ipcshare__set *set = calloc(1, sizeof(*set));

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
	for (int r = 0; r < g->size; r++)
		ipcshare__row_init(&set->rows[r]);
	pthread_mutex_init(&set->lock, NULL);
	set->group = g;
	set->open = (struct ipcshare_set){ set->open_rows, g->size, g->rank };
	return set;
}

static void set_free_memory(struct ipcshare__set *set)
{
	for (int r = 0; r < set->open.nranks; r++) {
		ipcshare__table_free(set, r);
		ipcshare__row_free(&set->rows[r], &set->group->ctx->blocks);
	}
	pthread_mutex_destroy(&set->lock);
	free(set->rows);
	free(set->open_rows);
	free(set);
}

static void mappings_drop(struct ipcshare__set *set)
{
	for (int r = 0; r < set->open.nranks; r++)
		if (r != set->open.rank)
			ipcshare__row_drop(&set->rows[r], set->group->ctx);
}

static void regions_drop(struct ipcshare__set *set)
{
	ipcshare__row_drop(&set->rows[set->open.rank], set->group->ctx);
}

static void set_abandon(struct ipcshare__owned *owned)
{
	struct ipcshare__set *set = set_at(owned);

	ipcshare__handle_remove(set);
	ipcshare__plans_abandon(&set->plans);
	set_free_memory(set);
}

int ipcshare__set_begin(struct ipcshare_share *s, struct ipcshare__set **out,
			struct ipcshare__part **parts)
{
	struct ipcshare__set *set = set_new(s->group);

	if (!set)
		return ipcshare__fail_errno(ENOMEM, "share", "a set");
	set->lazy = s->lazy;
	*parts = ipcshare__parts_new(set, s, 0);
	if (!*parts) {
		set_free_memory(set);
		return IPCSHARE_ERR_NO_MEMORY;
	}
	*out = set;
	return 0;
}

void ipcshare__set_cancel(struct ipcshare__set *set)
{
	if (!set)
		return;
	mappings_drop(set);
	regions_drop(set);
	set_free_memory(set);
}

static int row_end(struct ipcshare__set *set, struct ipcshare__part *part,
		   struct ipcshare_error *bad)
{
	struct ipcshare__row *row = &set->rows[part->rank];
	int err = ipcshare__part_end(part, bad);

	if (err)
		return err;
	row->cells = part->cells;
	part->cells = (struct ipcshare__cells){ .n = 0 };
	ipcshare__row_remember(row);
	set->failures += ipcshare__row_failures(row);
	set->open_rows[part->rank] = (struct ipcshare_row){ row->cells.ptr, row->cells.len,
							    row->cells.n };
	return 0;
}

int ipcshare__set_end(struct ipcshare__set *set, struct ipcshare__part *parts, const void *own,
		      size_t len, struct ipcshare_error *bad)
{
	struct ipcshare_group *g = set->group;
	struct ipcshare__part *ours = &parts[g->rank];
	int err = 0;

	*bad = ours->share->bad; /* what our buffers lack is ours to report */
	for (int r = 0; r < g->size && !err; r++)
		if (r != g->rank)
			err = row_end(set, &parts[r], bad);
	if (!err)
		err = ipcshare__handle_add(set, IPCSHARE__HANDLE_SET);
	if (err)
		return err;
	if (own)
		ipcshare__part_take(ours, own, len);
	err = row_end(set, ours, bad);
	if (err) {
		ipcshare__handle_remove(set);
		return err;
	}
	atomic_fetch_add(&g->children, 1);
	ipcshare__count(&g->ctx->counters.sets, 1);
	ipcshare__owned_add(g->ctx, &set->owned, set_abandon);
	return 0;
}

void ipcshare__set_agreed(struct ipcshare_set *open, uint64_t failures)
{
	struct ipcshare__set *set = ipcshare__set_of(open);

	set->failures = failures;
	set->serial = ++set->group->sets_made;
}

/* ---- Look ---- */

int ipcshare_set_status(const struct ipcshare_set *open, int rank, size_t i)
{
	struct ipcshare__set *set = ipcshare__set_of(open);
	int err = ipcshare__handle_check(open, IPCSHARE__HANDLE_SET, "set");

	if (err)
		return err;
	if (rank < 0 || rank >= open->nranks || i >= open->rows[rank].count)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "set", "",
				      "there is no buffer %zu of rank %d", i, rank);
	pthread_mutex_lock(&set->lock);
	err = ipcshare__row_status(&set->rows[rank], i);
	pthread_mutex_unlock(&set->lock);
	return err;
}

int ipcshare__set_anchor(struct ipcshare_set *open, int rank, size_t i,
			 struct ipcshare__anchor *out)
{
	struct ipcshare__set *set = ipcshare__set_of(open);
	const struct ipcshare__used *u;

	if (!ipcshare_len(open, rank, i))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "set", "",
				      "buffer %zu of rank %d does not exist, or is empty", i, rank);
	if (!ipcshare_ptr_lazy(open, rank, i))
		return ipcshare_last_error()->status;
	pthread_mutex_lock(&set->lock);
	u = &set->rows[rank].used[set->rows[rank].cells.ref[i]];
	*out = (struct ipcshare__anchor){ .region = u->own, .mapping = u->mapping };
	pthread_mutex_lock(&set->group->ctx->lock);
	ipcshare__anchor_keep(out);
	pthread_mutex_unlock(&set->group->ctx->lock);
	pthread_mutex_unlock(&set->lock);
	return 0;
}

uint64_t ipcshare_set_failures(const struct ipcshare_set *open)
{
	if (ipcshare__handle_check(open, IPCSHARE__HANDLE_SET, "set"))
		return 0;
	return ipcshare__set_of(open)->failures;
}

/* ---- Free ---- */

void ipcshare__set_delete(struct ipcshare_set *open)
{
	struct ipcshare__set *set = ipcshare__set_of(open);
	struct ipcshare_group *g = set->group;

	ipcshare__handle_remove(set);
	ipcshare__owned_remove(g->ctx, &set->owned);
	mappings_drop(set);
	regions_drop(set);
	ipcshare__uncount(&g->ctx->counters.sets, 1);
	atomic_fetch_sub(&g->children, 1);
	set_free_memory(set);
}

int ipcshare_set_free(struct ipcshare_set *open)
{
	struct ipcshare__set *set = ipcshare__set_of(open);
	int err;

	if (!open)
		return 0;
	err = ipcshare__set_check(open, "set");
	if (err)
		return err;
	ipcshare__plans_end(set->group->ctx, &set->plans, IPCSHARE_ERR_CLOSED);
	mappings_drop(set); /* importers first, then all meet, then the owners let go */
	IPCSHARE__POINT("set.let_go");
	if (set->serial)
		err = ipcshare__agree_to_free(set->group, IPCSHARE__COLL_SET_FREE, set->serial,
					      "set");
	IPCSHARE__POINT("set.agreed");
	ipcshare__set_delete(open);
	return err;
}
