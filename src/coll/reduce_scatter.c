/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An alltoall whose blocks are reduced as they come. In place, what a round writes lies before all
 * that is still to be sent, for results begin where the first block does.
 */
#include "coll/forms.h"
#include "coll/transfer.h"

static void reduce_blocks(struct ipcshare__call *c, void *recv, size_t count)
{
	c->moves = ipcshare__transfer;
	c->to_each = true;
	c->last = c->group->size;
	c->in = ipcshare__call_block(c, recv, count, c->group->rank);
}

static int reduce_scatter_block(struct ipcshare__call *c, struct ipcshare_group *group,
				const void *send, void *recv, size_t count, enum ipcshare_type type,
				const struct ipcshare_op *op)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_REDUCE_SCATTER, type);

	if (err)
		return err;
	ipcshare__call_op(c, op);
	c->out = ipcshare__call_block(c, send == IPCSHARE_IN_PLACE ? recv : send, count,
				      IPCSHARE__EVERY);
	reduce_blocks(c, recv, count);
	return 0;
}

static int reduce_scatter(struct ipcshare__call *c, struct ipcshare_group *group, const void *send,
			  void *recv, const size_t *counts, enum ipcshare_type type,
			  const struct ipcshare_op *op)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_REDUCE_SCATTER, type);

	if (err)
		return err;
	ipcshare__call_op(c, op);
	c->out = ipcshare__call_blocks(c, send == IPCSHARE_IN_PLACE ? recv : send, counts, NULL);
	reduce_blocks(c, recv, c->status ? 0 : counts[group->rank]);
	return 0;
}

IPCSHARE__FORMS(reduce_scatter_block,
		(struct ipcshare_group * group, const void *send, void *recv, size_t count,
		 enum ipcshare_type type, const struct ipcshare_op *op),
		group, send, recv, count, type, op)
IPCSHARE__FORMS(reduce_scatter,
		(struct ipcshare_group * group, const void *send, void *recv, const size_t *counts,
		 enum ipcshare_type type, const struct ipcshare_op *op),
		group, send, recv, counts, type, op)
