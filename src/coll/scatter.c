/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/transfer.h"

/* What this rank takes goes to @recv, or stays where it lies at the root. */
static void take(struct ipcshare__transfer *t, void *recv, size_t count)
{
	bool in_place = recv == IPCSHARE_IN_PLACE && ipcshare__call_is_root(t->call);

	t->own = !in_place;
	t->in = ipcshare__call_block(t->call, recv, count, in_place ? IPCSHARE__NOBODY : t->call->root);
}

/* The root's own block is of the root's; the layout of what is taken names who it comes from. */
static int scatter(struct ipcshare__transfer *t, void *recv, size_t count)
{
	t->to_each = true;
	take(t, recv, count);
	return ipcshare__transfer(t);
}

int ipcshare_scatter(struct ipcshare_group *group, const void *send, void *recv, size_t count,
		     enum ipcshare_type type, int root)
{
	struct ipcshare__transfer t = { 0 };
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_SCATTER, type);

	if (err)
		return err;
	ipcshare__call_root(&c, root);
	t.call = &c;
	t.out.only = IPCSHARE__NOBODY;
	if (ipcshare__call_is_root(&c))
		t.out = ipcshare__call_block(&c, send, count, IPCSHARE__EVERY);
	return scatter(&t, recv, count);
}

int ipcshare_scatterv(struct ipcshare_group *group, const void *send, const size_t *counts,
		      const size_t *displs, void *recv, size_t count, enum ipcshare_type type,
		      int root)
{
	struct ipcshare__transfer t = { 0 };
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_SCATTER, type);

	if (err)
		return err;
	ipcshare__call_root(&c, root);
	t.call = &c;
	t.out.only = IPCSHARE__NOBODY;
	if (ipcshare__call_is_root(&c)) {
		t.out = ipcshare__call_blocks(&c, send, counts, displs);
		count = c.status ? 0 : counts[group->rank];
	}
	return scatter(&t, recv, count);
}
