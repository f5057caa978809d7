/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In place, a round takes away the same bytes of each block that it brings: what is written over has
 * gone to the slot before.
 */
#include "coll/transfer.h"

int ipcshare_alltoall(struct ipcshare_group *group, const void *send, void *recv, size_t count,
		      enum ipcshare_type type)
{
	struct ipcshare__transfer t = { .to_each = true };
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_ALLTOALL, type);

	if (err)
		return err;
	t.call = &c;
	t.own = send != IPCSHARE_IN_PLACE;
	t.in = ipcshare__call_block(&c, recv, count, IPCSHARE__EVERY);
	t.out = ipcshare__call_block(&c, t.own ? send : recv, count, IPCSHARE__EVERY);
	return ipcshare__transfer(&t);
}

int ipcshare_alltoallv(struct ipcshare_group *group, const void *send, const size_t *send_counts,
		       const size_t *send_displs, void *recv, const size_t *recv_counts,
		       const size_t *recv_displs, enum ipcshare_type type)
{
	struct ipcshare__transfer t = { .to_each = true };
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_ALLTOALL, type);

	if (err)
		return err;
	t.call = &c;
	t.own = send != IPCSHARE_IN_PLACE;
	t.in = ipcshare__call_blocks(&c, recv, recv_counts, recv_displs);
	t.out = t.own ? ipcshare__call_blocks(&c, send, send_counts, send_displs) : t.in;
	return ipcshare__transfer(&t);
}
