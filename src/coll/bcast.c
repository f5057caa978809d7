/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/forms.h"
#include "coll/transfer.h"

static int bcast(struct ipcshare__call *c, struct ipcshare_group *group, void *buf, size_t count,
		 enum ipcshare_type type, int root)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_BCAST, type);

	if (err)
		return err;
	ipcshare__call_root(c, root);
	c->moves = ipcshare__transfer;
	c->out = ipcshare__call_block(c, buf, count,
				      ipcshare__call_is_root(c) ? root : IPCSHARE__NOBODY);
	c->in = ipcshare__call_block(c, buf, count, root);
	return 0;
}

IPCSHARE__FORMS(bcast,
		(struct ipcshare_group * group, void *buf, size_t count, enum ipcshare_type type,
		 int root),
		group, buf, count, type, root)
