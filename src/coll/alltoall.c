/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In place, a round takes away the same bytes of each block that it brings: what is written over has
 * gone to the slot before.
 */
#include "coll/forms.h"
#include "coll/transfer.h"

static int alltoall(struct ipcshare__call *c, struct ipcshare_group *group, const void *send,
		    void *recv, size_t count, enum ipcshare_type type)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_ALLTOALL, type);

	if (err)
		return err;
	c->moves = ipcshare__transfer;
	c->to_each = true;
	c->own = send != IPCSHARE_IN_PLACE;
	c->in = ipcshare__call_block(c, recv, count, IPCSHARE__EVERY);
	c->out = ipcshare__call_block(c, c->own ? send : recv, count, IPCSHARE__EVERY);
	return 0;
}

static int alltoallv(struct ipcshare__call *c, struct ipcshare_group *group, const void *send,
		     const size_t *send_counts, const size_t *send_displs, void *recv,
		     const size_t *recv_counts, const size_t *recv_displs, enum ipcshare_type type)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_ALLTOALL, type);

	if (err)
		return err;
	c->moves = ipcshare__transfer;
	c->to_each = true;
	c->own = send != IPCSHARE_IN_PLACE;
	c->in = ipcshare__call_blocks(c, recv, recv_counts, recv_displs);
	c->out = c->own ? ipcshare__call_blocks(c, send, send_counts, send_displs) : c->in;
	return 0;
}

IPCSHARE__FORMS(alltoall,
		(struct ipcshare_group * group, const void *send, void *recv, size_t count,
		 enum ipcshare_type type),
		group, send, recv, count, type)
IPCSHARE__FORMS(alltoallv,
		(struct ipcshare_group * group, const void *send, const size_t *send_counts,
		 const size_t *send_displs, void *recv, const size_t *recv_counts,
		 const size_t *recv_displs, enum ipcshare_type type),
		group, send, send_counts, send_displs, recv, recv_counts, recv_displs, type)
