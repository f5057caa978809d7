/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Other buffers in a set that lives on. The new cells are made beside the rows and put in their place
 * before the ranks agree, for tables on devices can fail too; if they don't agree, all go back.
 */
#include <errno.h>

#include "base/error.h"
#include "base/known.h"
#include "base/point.h"
#include "group/set.h"

#define LETS_GO 1u /* flag of the verdict: some region is not in the set any more */

/* @n numbers below @count, none of them twice? @at gives the number at a place. */
static int indices_check(uint32_t (*at)(const void *list, size_t i), const void *list, size_t n,
			 size_t count, int status)
{
	struct ipcshare__idmap seen = { NULL, 0, 0 };
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		uint32_t index = at(list, i);

		if (index >= count)
			err = ipcshare__fail(status, "set", "", "there is no buffer %u of %zu",
					     index, count);
		else if (ipcshare__idmap_find(&seen, index))
			err = ipcshare__fail(status, "set", "", "buffer %u stands there twice",
					     index);
		else if (ipcshare__idmap_put(&seen, index, 0))
			err = ipcshare__fail_errno(ENOMEM, "set", "%zu numbers of buffers", n);
		if (err)
			ipcshare__fail_at(-1, (int64_t)i);
	}
	ipcshare__idmap_clear(&seen);
	return err;
}

static uint32_t users_index(const void *list, size_t i)
{
	size_t index = ((const size_t *)list)[i];

	return index < UINT32_MAX ? (uint32_t)index : UINT32_MAX; /* is no number of a buffer */
}

static uint32_t blobs_index(const void *list, size_t i)
{
	return ((const uint32_t *)list)[i];
}

static int arguments_check(const struct ipcshare__set *set, const struct ipcshare__share_args *args)
{
	int err = ipcshare__share_check(args, IPCSHARE__BUFFER_FLAGS | IPCSHARE_ALL_OR_NOTHING);

	if (!err && !set->serial)
		err = ipcshare__fail(IPCSHARE_ERR_INVALID, "set", "share anew",
				     "a set of ipcshare_share_complete() can't be updated");
	if (!err && args->n && !args->indices)
		err = ipcshare__fail(IPCSHARE_ERR_INVALID, "set", "", "index is NULL, but k is %zu",
				     args->n);
	if (!err)
		err = indices_check(users_index, args->indices, args->n,
				    set->open_rows[set->open.rank].count, IPCSHARE_ERR_INVALID);
	return err;
}

/* ---- Prepare: the new cells of all ranks, and into their places ---- */

static int parts_end(struct ipcshare__set *set, struct ipcshare__part *parts,
		     struct ipcshare_error *bad)
{
	int err = 0;

	for (int r = 0; r < set->open.nranks && !err; r++) {
		err = ipcshare__part_end(&parts[r], bad);
		if (!err)
			err = indices_check(blobs_index,
					    ipcshare__blob_indices(
						    ipcshare__part_prefix(&parts[r])),
					    parts[r].cells.n, set->rows[r].cells.n,
					    IPCSHARE_ERR_PROTOCOL);
		if (err)
			ipcshare__fail_at(r, -1);
	}
	return err;
}

static int parts_swap(struct ipcshare__set *set, struct ipcshare__part *parts)
{
	int err = 0;

	pthread_mutex_lock(&set->lock);
	for (int r = 0; r < set->open.nranks; r++)
		ipcshare__row_swap(&set->rows[r],
				   ipcshare__blob_indices(ipcshare__part_prefix(&parts[r])),
				   &parts[r].cells);
	for (int r = 0; r < set->open.nranks && !err; r++)
		if (parts[r].cells.n)
			err = ipcshare__table_refresh(set, r);
	pthread_mutex_unlock(&set->lock);
	return err;
}

/* ---- Let go of what no cell lies in any more ---- */

static bool anything_idle(const struct ipcshare__set *set)
{
	for (int r = 0; r < set->open.nranks; r++)
		if (set->rows[r].nidle)
			return true;
	return false;
}

/* Importers first, then all meet, then the owners may free it. */
static void rows_sweep(struct ipcshare__set *set)
{
	struct ipcshare_group *g = set->group;
	struct ipcshare_error why = *ipcshare_last_error();

	for (int r = 0; r < g->size; r++)
		if (r != g->rank)
			ipcshare__row_sweep(&set->rows[r], g->ctx);
	IPCSHARE__POINT("update.let_go");
	if (!g->broken)
		ipcshare__exchange_barrier(g); /* its failure is the next collective's to tell */
	ipcshare__row_sweep(&set->rows[g->rank], g->ctx);
	ipcshare__error_restore(&why);
}

/* The exchange failed: the ranks part, and what was placed for it goes alone. */
static void rows_forget(struct ipcshare__set *set)
{
	struct ipcshare_error why = *ipcshare_last_error();

	for (int r = 0; r < set->open.nranks; r++)
		ipcshare__row_sweep(&set->rows[r], set->group->ctx);
	ipcshare__error_restore(&why);
}

/* ---- Update ---- */

static int update_agree(struct ipcshare__set *set, struct ipcshare_share *s,
			struct ipcshare__meeting *m, struct ipcshare__part *parts)
{
	struct ipcshare_error bad = s->bad, why;
	uint64_t failures = 0;
	uint32_t flags = 0;
	bool swapped;
	int err = parts_end(set, parts, &bad);

	swapped = !err;
	if (swapped) {
		err = parts_swap(set, parts);
		flags = anything_idle(set) ? LETS_GO : 0;
	}
	for (int r = 0; r < set->open.nranks; r++)
		failures += ipcshare__row_failures(&set->rows[r]);
	IPCSHARE__POINT("update.placed");
	err = ipcshare__meeting_end(m, s, err, &bad, &failures, &flags);
	IPCSHARE__POINT("update.agreed");
	if (err) {
		why = *ipcshare_last_error();
		if (swapped)
			/* a device that fails now has lost its table before */
			parts_swap(set, parts);
		ipcshare__error_restore(&why);
	} else {
		set->failures = failures;
		ipcshare__plans_end(set->group->ctx, &set->plans, IPCSHARE_ERR_STALE);
	}
	if (err || flags)
		rows_sweep(set);
	return err;
}

int ipcshare_set_update(struct ipcshare_set *open, const size_t *index,
			const struct ipcshare_buf *bufs, size_t k, unsigned flags)
{
	struct ipcshare__set *set = ipcshare__set_of(open);
	struct ipcshare__share_args args = {
		.bufs = bufs,
		.n = k,
		.flags = flags,
		.collective = true,
		.indices = index,
	};
	struct ipcshare_share *s = NULL;
	struct ipcshare__meeting m = { .values = NULL };
	struct ipcshare__part *parts = NULL;
	int err = ipcshare__set_check(open, "set"), status;

	if (err)
		return err;
	args.set = set->serial;
	status = arguments_check(set, &args);
	if (!status)
		status = ipcshare__meeting_init(&m, set->open.nranks, flags);
	if (!status)
		status = ipcshare__share_make(set->group, &args, &s);
	if (!status) {
		parts = ipcshare__parts_new(set, s, set->serial);
		status = parts ? 0 : IPCSHARE_ERR_NO_MEMORY;
	}
	IPCSHARE__POINT("update.described");
	err = ipcshare__meeting_hold(&m, set->group, IPCSHARE__COLL_SET_UPDATE, status, s, parts);
	IPCSHARE__POINT("update.exchanged");
	if (!err) {
		ipcshare__known(s && parts); /* or the status would have ended the meeting */
		err = update_agree(set, s, &m, parts);
	} else if (parts)
		rows_forget(set);
	ipcshare__parts_free(parts, set->group);
	ipcshare__share_delete(s);
	ipcshare__meeting_free(&m);
	return err;
}
