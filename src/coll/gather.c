/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/forms.h"
#include "coll/transfer.h"

/* What this rank gives is @send, or lies in its place in c->in already. */
static void give(struct ipcshare__call *c, const void *send, size_t count)
{
	int me = c->group->rank;
	bool in_place = send == IPCSHARE_IN_PLACE;

	if (in_place && !c->status)
		send = ipcshare__layout_at(&c->in, me);
	c->own = !in_place;
	c->out = ipcshare__call_block(c, send, count, me);
}

static int allgather(struct ipcshare__call *c, struct ipcshare_group *group, const void *send,
		     void *recv, size_t count, enum ipcshare_type type)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_ALLGATHER, type);

	if (err)
		return err;
	c->moves = ipcshare__transfer;
	c->in = ipcshare__call_block(c, recv, count, IPCSHARE__EVERY);
	give(c, send, count);
	return 0;
}

static int allgatherv(struct ipcshare__call *c, struct ipcshare_group *group, const void *send,
		      void *recv, const size_t *counts, const size_t *displs,
		      enum ipcshare_type type)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_ALLGATHER, type);

	if (err)
		return err;
	c->moves = ipcshare__transfer;
	c->in = ipcshare__call_blocks(c, recv, counts, displs);
	give(c, send, c->status ? 0 : counts[group->rank]);
	return 0;
}

/* Nobody but the root wants anything; and only the root's block can be in place. */
static int gather(struct ipcshare__call *c, struct ipcshare_group *group, const void *send,
		  void *recv, size_t count, enum ipcshare_type type, int root)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_GATHER, type);

	if (err)
		return err;
	ipcshare__call_root(c, root);
	c->moves = ipcshare__transfer;
	c->in.only = IPCSHARE__NOBODY;
	if (ipcshare__call_is_root(c)) {
		c->in = ipcshare__call_block(c, recv, count, IPCSHARE__EVERY);
		give(c, send, count);
	} else {
		c->out = ipcshare__call_block(c, send, count, group->rank);
	}
	return 0;
}

static int gatherv(struct ipcshare__call *c, struct ipcshare_group *group, const void *send,
		   size_t count, void *recv, const size_t *counts, const size_t *displs,
		   enum ipcshare_type type, int root)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_GATHER, type);

	if (err)
		return err;
	ipcshare__call_root(c, root);
	c->moves = ipcshare__transfer;
	c->in.only = IPCSHARE__NOBODY;
	if (ipcshare__call_is_root(c)) {
		c->in = ipcshare__call_blocks(c, recv, counts, displs);
		give(c, send, c->status ? 0 : counts[group->rank]);
	} else {
		c->out = ipcshare__call_block(c, send, count, group->rank);
	}
	return 0;
}

IPCSHARE__FORMS(allgather,
		(struct ipcshare_group * group, const void *send, void *recv, size_t count,
		 enum ipcshare_type type),
		group, send, recv, count, type)
IPCSHARE__FORMS(allgatherv,
		(struct ipcshare_group * group, const void *send, void *recv, const size_t *counts,
		 const size_t *displs, enum ipcshare_type type),
		group, send, recv, counts, displs, type)
IPCSHARE__FORMS(gather,
		(struct ipcshare_group * group, const void *send, void *recv, size_t count,
		 enum ipcshare_type type, int root),
		group, send, recv, count, type, root)
IPCSHARE__FORMS(gatherv,
		(struct ipcshare_group * group, const void *send, size_t count, void *recv,
		 const size_t *counts, const size_t *displs, enum ipcshare_type type, int root),
		group, send, count, recv, counts, displs, type, root)
