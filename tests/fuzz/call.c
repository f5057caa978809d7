/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feeds: what another rank says in all rounds of a collective of ipcshare_coll.h, with and without
 * IPCSHARE_CHECK: headers, offers of memory, arguments, bytes and details.
 * Must hold: 0 or a named status; nothing is written beside the buffers of the call; views can be read where
 * they are not NULL, and freed; no mapping is held afterwards; no leak.
 */
#include <ipcshare_coll.h>
#include <stdlib.h>
#include <string.h>

#include "member.h"

enum which {
	BARRIER, BCAST, ALLGATHER, ALLGATHERV, GATHER, GATHERV, SCATTER, ALLTOALL, ALLTOALLV, REDUCE, ALLREDUCE,
	REDUCE_SCATTER, SCAN, EXSCAN, BCAST_VIEW, ALLGATHER_VIEW, ALLTOALL_VIEW, KINDS
};

struct call {
	struct ipcshare_group *g;
	enum which which;
	size_t count; /* elements of a block */
	enum ipcshare_type type;
	const struct ipcshare_op *op;
	int root;
	char *out, *in; /* two blocks each */
};

static const size_t counts[] = { 0, 1, 3, 9, 20, 1000, 9000, 40000, 70000 };
static const enum ipcshare_type types[] = { IPCSHARE_INT8, IPCSHARE_FP32, IPCSHARE_INT64 };
static const struct ipcshare_op *const ops[] = { IPCSHARE_SUM, IPCSHARE_MAX };

static int view_end(int err, struct ipcshare_view *const *view)
{
	if (err)
		return err;
	for (int r = 0; r < 2; r++)
		fuzz_member_read(ipcshare_view_ptr(*view, r), 1);
	return ipcshare_view_free(*view);
}

static int make(const struct call *c)
{
	const size_t n[2] = { c->count, c->count / 2 };
	struct ipcshare_view *view = NULL;

	switch (c->which) {
	case BARRIER:
		return ipcshare_barrier(c->g);
	case BCAST:
		return ipcshare_bcast(c->g, c->in, c->count, c->type, c->root);
	case ALLGATHER:
		return ipcshare_allgather(c->g, c->out, c->in, c->count, c->type);
	case ALLGATHERV:
		return ipcshare_allgatherv(c->g, c->out, c->in, n, NULL, c->type);
	case GATHER:
		return ipcshare_gather(c->g, c->out, c->in, c->count, c->type, c->root);
	case GATHERV:
		return ipcshare_gatherv(c->g, c->out, n[c->g->rank], c->in, n, NULL, c->type, c->root);
	case SCATTER:
		return ipcshare_scatter(c->g, c->out, c->in, c->count, c->type, c->root);
	case ALLTOALL:
		return ipcshare_alltoall(c->g, c->out, c->in, c->count, c->type);
	case ALLTOALLV:
		return ipcshare_alltoallv(c->g, c->out, n, NULL, c->in, n, NULL, c->type);
	case REDUCE:
		return ipcshare_reduce(c->g, c->out, c->in, c->count, c->type, c->op, c->root);
	case ALLREDUCE:
		return ipcshare_allreduce(c->g, c->out, c->in, c->count, c->type, c->op);
	case REDUCE_SCATTER:
		return ipcshare_reduce_scatter(c->g, c->out, c->in, n, c->type, c->op);
	case SCAN:
		return ipcshare_scan(c->g, c->out, c->in, c->count, c->type, c->op);
	case EXSCAN:
		return ipcshare_exscan(c->g, c->out, c->in, c->count, c->type, c->op);
	case BCAST_VIEW:
		return view_end(ipcshare_bcast_view(c->g, c->out, c->count, c->type, c->root, &view), &view);
	case ALLGATHER_VIEW:
		return view_end(ipcshare_allgather_view(c->g, c->out, c->count, c->type, &view), &view);
	case ALLTOALL_VIEW:
		return view_end(ipcshare_alltoall_view(c->g, c->out, c->count, c->type, &view), &view);
	default:
		return 0;
	}
}

/* Room for two blocks: of just that length, where tools watch; or in memory that the group shares. */
static char *room(size_t len, int shared, size_t nth)
{
	return shared ? fuzz_member_ours() + nth * MEMBER_SHARES / 2 : calloc(1, len + !len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input in = { bytes, len };
	enum which which = (enum which)fuzz_below(&in, KINDS);
	struct ipcshare_group *g = fuzz_member_group((unsigned)fuzz_take(&in, 1));
	unsigned how = (unsigned)fuzz_take(&in, 1);
	size_t count = counts[fuzz_take(&in, 1) % (sizeof(counts) / sizeof(counts[0]))], size, both;
	struct call c = { .g = g, .which = which, .root = how >> 1 & 1, .op = ops[how >> 2 & 1] };
	int out_shared = how >> 3 & 1, in_shared = how >> 4 & 1;
	struct fuzz_edits edits;

	fuzz_edits(&in, &edits);
	c.type = types[(how >> 5) % 3];
	size = ipcshare_type_size(c.type);
	c.count = count * size > MEMBER_SHARES / 4 ? MEMBER_SHARES / 4 / size : count;
	both = 2 * c.count * size;
	c.out = room(both, out_shared, 0);
	c.in = room(both, in_shared, 1);
	g->ctx->config.check = how & 1;
	fuzz_member_begin(g, &edits, NULL, 0);
	fuzz_status(make(&c), 1);
	fuzz_member_end(g);
	FUZZ_REQUIRE(!g->children);
	if (!out_shared)
		free(c.out);
	if (!in_shared)
		free(c.in);
	return 0;
}
