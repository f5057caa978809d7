/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/transfer.h"

int ipcshare_barrier(struct ipcshare_group *group)
{
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_BARRIER, IPCSHARE_INT8);
	struct ipcshare__layout none = { .only = IPCSHARE__NOBODY };

	return err ? err : ipcshare__transfer(&(struct ipcshare__transfer){ .call = &c, .out = none,
									    .in = none });
}
