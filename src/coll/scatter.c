/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/forms.h"
#include "coll/transfer.h"

/*
 * What this rank takes goes to @recv, or stays where it lies at the root. The root's own block is of the
 * root's; the layout of what is taken names who it comes from.
 */
static void take(struct ipcshare__call *c, void *recv, size_t count)
{
	bool in_place = recv == IPCSHARE_IN_PLACE && ipcshare__call_is_root(c);

	c->moves = ipcshare__transfer;
	c->to_each = true;
	c->own = !in_place;
	c->in = ipcshare__call_block(c, recv, count, in_place ? IPCSHARE__NOBODY : c->root);
}

static int scatter(struct ipcshare__call *c, struct ipcshare_group *group, const void *send,
		   void *recv, size_t count, enum ipcshare_type type, int root)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_SCATTER, type);

	if (err)
		return err;
	ipcshare__call_root(c, root);
	c->out.only = IPCSHARE__NOBODY;
	if (ipcshare__call_is_root(c))
		c->out = ipcshare__call_block(c, send, count, IPCSHARE__EVERY);
	take(c, recv, count);
	return 0;
}

static int scatterv(struct ipcshare__call *c, struct ipcshare_group *group, const void *send,
		    const size_t *counts, const size_t *displs, void *recv, size_t count,
		    enum ipcshare_type type, int root)
{
	int err = ipcshare__call_begin(c, group, IPCSHARE__COLL_SCATTER, type);

	if (err)
		return err;
	ipcshare__call_root(c, root);
	c->out.only = IPCSHARE__NOBODY;
	if (ipcshare__call_is_root(c)) {
		c->out = ipcshare__call_blocks(c, send, counts, displs);
		count = c->status ? 0 : counts[group->rank];
	}
	take(c, recv, count);
	return 0;
}

IPCSHARE__FORMS(scatter,
		(struct ipcshare_group * group, const void *send, void *recv, size_t count,
		 enum ipcshare_type type, int root),
		group, send, recv, count, type, root)
IPCSHARE__FORMS(scatterv,
		(struct ipcshare_group * group, const void *send, const size_t *counts,
		 const size_t *displs, void *recv, size_t count, enum ipcshare_type type, int root),
		group, send, counts, displs, recv, count, type, root)
