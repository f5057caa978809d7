/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/forms.h"
#include "coll/transfer.h"

/* The ranks below @last, which is this one or the next. */
static void reduce_below(struct ipcshare__call *c, const void *send, void *recv, size_t count,
			 const struct ipcshare_op *op, int last)
{
	int me = c->group->rank;

	ipcshare__call_op(c, op);
	c->moves = ipcshare__transfer;
	c->last = last;
	c->in = ipcshare__call_block(c, recv, count, last ? me : IPCSHARE__NOBODY);
	c->out = ipcshare__call_block(c, send == IPCSHARE_IN_PLACE ? recv : send, count, me);
}

static int scan(struct ipcshare__call *c, struct ipcshare_group *group, const void *send,
		void *recv, size_t count, enum ipcshare_type type, const struct ipcshare_op *op)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_SCAN, type);

	if (!err)
		reduce_below(c, send, recv, count, op, group->rank + 1);
	return err;
}

static int exscan(struct ipcshare__call *c, struct ipcshare_group *group, const void *send,
		  void *recv, size_t count, enum ipcshare_type type, const struct ipcshare_op *op)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_EXSCAN, type);

	if (!err)
		reduce_below(c, send, recv, count, op, group->rank);
	return err;
}

IPCSHARE__FORMS(scan,
		(struct ipcshare_group * group, const void *send, void *recv, size_t count,
		 enum ipcshare_type type, const struct ipcshare_op *op),
		group, send, recv, count, type, op)
IPCSHARE__FORMS(exscan,
		(struct ipcshare_group * group, const void *send, void *recv, size_t count,
		 enum ipcshare_type type, const struct ipcshare_op *op),
		group, send, recv, count, type, op)
