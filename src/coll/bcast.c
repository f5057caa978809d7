/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/transfer.h"

int ipcshare_bcast(struct ipcshare_group *group, void *buf, size_t count, enum ipcshare_type type,
		   int root)
{
	struct ipcshare__transfer t = { 0 };
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_BCAST, type);

	if (err)
		return err;
	ipcshare__call_root(&c, root);
	t.call = &c;
	t.out = ipcshare__call_block(&c, buf, count, ipcshare__call_is_root(&c) ? root : IPCSHARE__NOBODY);
	t.in = ipcshare__call_block(&c, buf, count, root);
	return ipcshare__transfer(&t);
}
