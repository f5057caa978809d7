/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/transfer.h"

/* What this rank gives is @send, or lies in its place in t->in already. */
static void give(struct ipcshare__transfer *t, const void *send, size_t count)
{
	int me = t->call->group->rank;
	bool in_place = send == IPCSHARE_IN_PLACE;

	if (in_place && !t->call->status)
		send = ipcshare__layout_at(&t->in, me);
	t->own = !in_place;
	t->out = ipcshare__call_block(t->call, send, count, me);
}

int ipcshare_allgather(struct ipcshare_group *group, const void *send, void *recv, size_t count,
		       enum ipcshare_type type)
{
	struct ipcshare__transfer t = { 0 };
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_ALLGATHER, type);

	if (err)
		return err;
	t.call = &c;
	t.in = ipcshare__call_block(&c, recv, count, IPCSHARE__EVERY);
	give(&t, send, count);
	return ipcshare__transfer(&t);
}

int ipcshare_allgatherv(struct ipcshare_group *group, const void *send, void *recv,
			const size_t *counts, const size_t *displs, enum ipcshare_type type)
{
	struct ipcshare__transfer t = { 0 };
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_ALLGATHER, type);

	if (err)
		return err;
	t.call = &c;
	t.in = ipcshare__call_blocks(&c, recv, counts, displs);
	give(&t, send, c.status ? 0 : counts[group->rank]);
	return ipcshare__transfer(&t);
}

/* Nobody but the root wants anything; and only the root's block can be in place. */
int ipcshare_gather(struct ipcshare_group *group, const void *send, void *recv, size_t count,
		    enum ipcshare_type type, int root)
{
	struct ipcshare__transfer t = { 0 };
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_GATHER, type);

	if (err)
		return err;
	ipcshare__call_root(&c, root);
	t.call = &c;
	t.in.only = IPCSHARE__NOBODY;
	if (ipcshare__call_is_root(&c)) {
		t.in = ipcshare__call_block(&c, recv, count, IPCSHARE__EVERY);
		give(&t, send, count);
	} else {
		t.out = ipcshare__call_block(&c, send, count, group->rank);
	}
	return ipcshare__transfer(&t);
}

int ipcshare_gatherv(struct ipcshare_group *group, const void *send, size_t count, void *recv,
		     const size_t *counts, const size_t *displs, enum ipcshare_type type, int root)
{
	struct ipcshare__transfer t = { 0 };
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_GATHER, type);

	if (err)
		return err;
	ipcshare__call_root(&c, root);
	t.call = &c;
	t.in.only = IPCSHARE__NOBODY;
	if (ipcshare__call_is_root(&c)) {
		t.in = ipcshare__call_blocks(&c, recv, counts, displs);
		give(&t, send, c.status ? 0 : counts[group->rank]);
	} else {
		t.out = ipcshare__call_block(&c, send, count, group->rank);
	}
	return ipcshare__transfer(&t);
}
