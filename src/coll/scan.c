/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/transfer.h"

/* The ranks below @last, which is this one or the next. */
static int scan(struct ipcshare__call *c, const void *send, void *recv, size_t count,
		const struct ipcshare_op *op, int last)
{
	struct ipcshare__transfer t = { .call = c, .last = last };
	int me = c->group->rank;

	ipcshare__call_op(c, op);
	t.in = ipcshare__call_block(c, recv, count, last ? me : IPCSHARE__NOBODY);
	t.out = ipcshare__call_block(c, send == IPCSHARE_IN_PLACE ? recv : send, count, me);
	return ipcshare__transfer(&t);
}

int ipcshare_scan(struct ipcshare_group *group, const void *send, void *recv, size_t count,
		  enum ipcshare_type type, const struct ipcshare_op *op)
{
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_SCAN, type);

	return err ? err : scan(&c, send, recv, count, op, group->rank + 1);
}

int ipcshare_exscan(struct ipcshare_group *group, const void *send, void *recv, size_t count,
		    enum ipcshare_type type, const struct ipcshare_op *op)
{
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_EXSCAN, type);

	return err ? err : scan(&c, send, recv, count, op, group->rank);
}
