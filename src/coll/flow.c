/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/flow.h"

#include "base/error.h"

void ipcshare__flow_fail(struct ipcshare__flow *f, int err)
{
	if (!err || f->err)
		return;
	f->err = err;
	f->why = *ipcshare_last_error();
}

static void order_failed(struct ipcshare__flow *f, int err)
{
	ipcshare__flow_fail(f, err);
	f->lost |= err != 0;
}

/* Where there is a root, all deal with it alone. */
static bool is_partner(const struct ipcshare__call *c, int rank)
{
	return rank != c->group->rank &&
	       (c->root < 0 || c->root == c->group->rank || c->root == rank);
}

void ipcshare__flow_meet(struct ipcshare__flow *f)
{
	struct ipcshare_group *g = f->call->group;

	for (int r = 0; r < g->size; r++)
		if (is_partner(f->call, r))
			order_failed(f, ipcshare__mesh_tell(g, r, f->nth, f->stream));
	for (int r = 0; r < g->size; r++)
		if (is_partner(f->call, r))
			order_failed(f, ipcshare__mesh_wait(g, r, f->nth, f->stream));
	f->nth++;
}

void ipcshare__flow_begin(struct ipcshare__flow *f)
{
	int err = ipcshare__mesh_take_turn(f->call->group, f->stream);

	if (!err)
		return;
	ipcshare__flow_fail(f, err);
	/* perhaps it is the caller's stream that is bad */
	f->stream = f->call->group->mesh->stream;
	order_failed(f, ipcshare__mesh_take_turn(f->call->group, f->stream));
}

void ipcshare__flow_end(struct ipcshare__flow *f)
{
	while (f->nth % IPCSHARE__LINKED)
		ipcshare__flow_meet(f);
	order_failed(f, ipcshare__mesh_pass_turn(f->call->group, f->stream));
}

void ipcshare__flow_copy(struct ipcshare__flow *f, void *dst, const void *src, size_t len)
{
	struct ipcshare__backend *be = f->call->group->ctx->backend;
	struct ipcshare__piece piece = { dst, src, len };

	if (!f->err && len && dst != src)
		ipcshare__flow_fail(f, be->ops->copy_pieces(be, &piece, 1, f->stream));
}

void ipcshare__flow_reduce(struct ipcshare__flow *f, void *dst, const void *src, size_t len)
{
	const struct ipcshare__call *c = f->call;
	struct ipcshare__backend *be = c->group->ctx->backend;

	if (!f->err && len)
		ipcshare__flow_fail(f, be->ops->reduce(be, dst, src, len, c->type,
						       ipcshare__op_kind(c->fold.op), f->stream));
}
