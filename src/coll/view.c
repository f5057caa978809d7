/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Collectives that hand out pointers instead of bytes. Blocks that can't be mapped by all are moved to
 * memory of the view, so that it shows the same.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/handle.h"
#include "base/known.h"
#include "base/point.h"
#include "coll/offer.h"
#include "coll/transfer.h"

struct ipcshare_view {
	struct ipcshare__owned owned;
	struct ipcshare_group *group;
	uint64_t serial;
	/* the mappings, and the region of our own block, that it holds */
	struct ipcshare__offers *offered;
	char *copy; /* or where the blocks were moved to */
	size_t copy_len;
	int nranks;
	const void *blocks[]; /* of each rank; NULL: it has none */
};

/* ---- What it holds ---- */

static void let_go(struct ipcshare_view *v)
{
	if (v->offered)
		ipcshare__offers_drop(v->group, v->offered);
	v->offered = NULL;
}

static void view_delete(struct ipcshare_view *v)
{
	free(v->copy);
	free(v);
}

/* The mappings go with the context. */
static void view_abandon(struct ipcshare__owned *owned)
{
	struct ipcshare_view *v = (struct ipcshare_view *)owned;

	ipcshare__handle_remove(v);
	free(v->offered);
	view_delete(v);
}

/* ---- Memory for copies ---- */

/*
 * It is needed before the ranks agree, and stays untouched where blocks are mapped. The group keeps it
 * then: to take so much from the system, and give it back, costs more than all else of a view.
 */
static bool copy_take(struct ipcshare_view *v, struct ipcshare_group *g, size_t len)
{
	if (g->spare_len >= len) {
		v->copy = g->spare;
		v->copy_len = g->spare_len;
		g->spare = NULL;
		g->spare_len = 0;
	} else {
		v->copy = malloc(len);
		v->copy_len = len;
	}
	return v->copy;
}

static void copy_keep(struct ipcshare_view *v, struct ipcshare_group *g)
{
	free(g->spare);
	g->spare = v->copy;
	g->spare_len = v->copy_len;
	v->copy = NULL;
}

/* ---- Making it ---- */

static struct ipcshare_view *view_make(struct ipcshare__call *c)
{
	struct ipcshare_view *v = calloc(1, sizeof(*v) +
						    (size_t)c->group->size * sizeof(v->blocks[0]));
	size_t most = c->status ? 0 : c->in.count * c->size;
	size_t n = c->in.only == IPCSHARE__EVERY ? (size_t)c->group->size : 1;

	if (v && most <= PTRDIFF_MAX / n && copy_take(v, c->group, most * n + 1) &&
	    !ipcshare__handle_add(v, IPCSHARE__HANDLE_VIEW)) {
		v->group = c->group;
		v->nranks = c->group->size;
		return v;
	}
	if (v)
		view_delete(v);
	if (!c->status)
		c->status = ipcshare__fail_errno(ENOMEM, "view", "a view of %zu bytes of each rank",
						 most);
	return NULL;
}

static const void *block(const struct ipcshare__call *c, int rank)
{
	int me = c->group->rank;

	if (!ipcshare__layout_len(&c->in, rank))
		return NULL;
	if (!c->shown)
		return ipcshare__layout_at(&c->in, rank);
	return rank == me ? ipcshare__layout_at(&c->out, me) : c->offered->ranks[rank].from;
}

static void view_fill(struct ipcshare_view *v, struct ipcshare__call *c)
{
	for (int r = 0; r < v->nranks; r++)
		v->blocks[r] = block(c, r);
	if (c->shown) {
		copy_keep(v, c->group);
		v->offered = c->offered;
		c->offered = NULL;
	}
	v->serial = ++c->group->views_made;
	atomic_fetch_add(&c->group->children, 1);
	ipcshare__owned_add(c->group->ctx, &v->owned, view_abandon);
	IPCSHARE__POINT("view.made");
}

/* The call is complete but for @in, which wants @count elements of rank @only, or of all. */
static int view_open(struct ipcshare__call *c, size_t count, int only, struct ipcshare_view **out)
{
	struct ipcshare_view *v;
	int err;

	if (!out && !c->status)
		c->status = ipcshare__fail(IPCSHARE_ERR_INVALID, "view", "",
					   "there is nowhere to put the view");
	c->moves = ipcshare__transfer;
	c->own = c->shows = true;
	c->in = (struct ipcshare__layout){ .size = c->size, .only = only, .count = count };
	v = view_make(c);
	c->in.base = v ? v->copy : NULL;
	err = ipcshare__call_make(c);
	if (!err) {
		ipcshare__known(out);
		view_fill(v, c);
		*out = v;
	} else if (v) {
		ipcshare__handle_remove(v);
		view_delete(v);
	}
	ipcshare__call_end(c);
	return err;
}

int ipcshare_allgather_view(struct ipcshare_group *group, const void *send, size_t count,
			    enum ipcshare_type type, struct ipcshare_view **view)
{
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_ALLGATHER_VIEW, type);

	if (err)
		return err;
	c.out = ipcshare__call_block(&c, send, count, group->rank);
	return view_open(&c, count, IPCSHARE__EVERY, view);
}

int ipcshare_alltoall_view(struct ipcshare_group *group, const void *send, size_t count,
			   enum ipcshare_type type, struct ipcshare_view **view)
{
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_ALLTOALL_VIEW, type);

	if (err)
		return err;
	c.to_each = true;
	c.out = ipcshare__call_block(&c, send, count, IPCSHARE__EVERY);
	return view_open(&c, count, IPCSHARE__EVERY, view);
}

int ipcshare_bcast_view(struct ipcshare_group *group, const void *buf, size_t count,
			enum ipcshare_type type, int root, struct ipcshare_view **view)
{
	struct ipcshare__call c;
	int err = ipcshare__call_begin(&c, group, IPCSHARE__COLL_BCAST_VIEW, type);

	if (err)
		return err;
	ipcshare__call_root(&c, root);
	c.out = ipcshare__call_block(&c, buf, count,
				     ipcshare__call_is_root(&c) ? root : IPCSHARE__NOBODY);
	return view_open(&c, count, root, view);
}

int ipcshare_allreduce_shared(struct ipcshare_group *group, const void *send, void *recv,
			      size_t count, enum ipcshare_type type, const struct ipcshare_op *op,
			      int root, struct ipcshare_view **view)
{
	int err = ipcshare_reduce(group, send, recv, count, type, op, root);

	return err ? err : ipcshare_bcast_view(group, recv, count, type, root, view);
}

/* ---- Using it, and its end ---- */

const void *ipcshare_view_ptr(const struct ipcshare_view *view, int rank)
{
	if (ipcshare__handle_check(view, IPCSHARE__HANDLE_VIEW, "view"))
		return NULL;
	if (rank >= 0 && rank < view->nranks && view->blocks[rank])
		return view->blocks[rank];
	ipcshare__fail(IPCSHARE_ERR_INVALID, "view", "", "there is no block of rank %d in it",
		       rank);
	return NULL;
}

int ipcshare_view_free(struct ipcshare_view *view)
{
	struct ipcshare_group *g;
	int err;

	if (!view)
		return 0;
	err = ipcshare__handle_check(view, IPCSHARE__HANDLE_VIEW, "view");
	if (err)
		return err;
	g = view->group;
	let_go(view); /* all have, when all meet */
	IPCSHARE__POINT("view.let_go");
	err = ipcshare__agree_to_free(g, IPCSHARE__COLL_VIEW_FREE, view->serial, "view");
	IPCSHARE__POINT("view.agreed");
	ipcshare__handle_remove(view);
	ipcshare__owned_remove(g->ctx, &view->owned);
	atomic_fetch_sub(&g->children, 1);
	view_delete(view);
	return err;
}
