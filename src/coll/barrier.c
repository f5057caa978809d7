/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/forms.h"
#include "coll/transfer.h"

static int barrier(struct ipcshare__call *c, struct ipcshare_group *group)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_BARRIER, IPCSHARE_INT8);

	if (err)
		return err;
	c->moves = ipcshare__transfer;
	c->out.only = c->in.only = IPCSHARE__NOBODY;
	return 0;
}

IPCSHARE__FORMS(barrier, (struct ipcshare_group * group), group)
