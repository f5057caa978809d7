/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An alltoall whose blocks are reduced as they come. In place, what a round writes lies before all
 * that is still to be sent, for results begin where the first block does.
 */
#include "coll/transfer.h"

static int reduce_scatter(struct ipcshare__transfer *t, void *recv, size_t count)
{
	struct ipcshare_group *g = t->call->group;

	t->to_each = true;
	t->last = g->size;
	t->in = ipcshare__call_block(t->call, recv, count, g->rank);
	return ipcshare__transfer(t);
}

int ipcshare_reduce_scatter_block(struct ipcshare_group *group, const void *send, void *recv,
				  size_t count, enum ipcshare_type type,
				  const struct ipcshare_op *op)
{
	struct ipcshare__transfer t = { 0 };
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_REDUCE_SCATTER, type);

	if (err)
		return err;
	ipcshare__call_op(&c, op);
	t.call = &c;
	t.out = ipcshare__call_block(&c, send == IPCSHARE_IN_PLACE ? recv : send, count, IPCSHARE__EVERY);
	return reduce_scatter(&t, recv, count);
}

int ipcshare_reduce_scatter(struct ipcshare_group *group, const void *send, void *recv,
			    const size_t *counts, enum ipcshare_type type,
			    const struct ipcshare_op *op)
{
	struct ipcshare__transfer t = { 0 };
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_REDUCE_SCATTER, type);

	if (err)
		return err;
	ipcshare__call_op(&c, op);
	t.call = &c;
	t.out = ipcshare__call_blocks(&c, send == IPCSHARE_IN_PLACE ? recv : send, counts, NULL);
	return reduce_scatter(&t, recv, c.status ? 0 : counts[group->rank]);
}
