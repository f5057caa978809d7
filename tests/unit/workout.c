/* SPDX-License-Identifier: BSD-3-Clause */
#include "workout.h"

#include <ipcshare_coll.h>

#include "team.h"

#define BUFS 3
#define LEN 300
#define FRESH 7 /* index of what takes the place of buffer 0 */
#define COUNT 40 /* elements of a collective */
/* What each rank writes into the last buffer of the next one. */
#define LAST (BUFS - 1)

struct round {
	struct ipcshare_ctx *ctx;
	struct ipcshare_group *group;
	int rank, nranks;
	size_t salt; /* no byte is as in another round */
	char *old, *fresh; /* two allocations */
	struct ipcshare_set *set;
};

static void look(struct round *w, int rank, size_t i, size_t index)
{
	const char *p = ipcshare_ptr_lazy(w->set, rank, i);

	REQUIRE(p != NULL, "buffer %zu of rank %d: %s", i, rank, ipcshare_explain());
	REQUIRE(team_check(p, LEN, rank, w->salt + index), "buffer %zu", i);
}

static void shares(struct round *w, uint64_t seed)
{
	struct ipcshare_buf bufs[BUFS];
	int lazy = w->rank == (int)(seed % (uint64_t)w->nranks);

	w->old = team_alloc(w->ctx, BUFS * LEN);
	w->fresh = team_alloc(w->ctx, LEN);
	team_fill(w->fresh, LEN, w->rank, w->salt + FRESH);
	for (size_t i = 0; i < BUFS; i++) {
		bufs[i] = (struct ipcshare_buf){ w->old + i * LEN, LEN };
		team_fill(bufs[i].ptr, LEN, w->rank, w->salt + i);
	}
	REQUIRE_OK(ipcshare_share(w->group, bufs, BUFS, lazy ? IPCSHARE_LAZY : 0, &w->set));
	for (int r = 0; r < w->nranks; r++)
		for (size_t i = 0; i < BUFS; i++)
			look(w, r, i, i);
}

static void pulls(struct round *w)
{
	struct ipcshare_item items[TEST_RANKS_MAX];
	char here[TEST_RANKS_MAX * LEN];

	for (int r = 0; r < w->nranks; r++)
		items[r] = (struct ipcshare_item){ r, 1, 0, LEN, here + r * LEN };
	REQUIRE_OK(ipcshare_pull(w->set, items, (size_t)w->nranks));
	for (int r = 0; r < w->nranks; r++)
		REQUIRE(team_check(here + r * LEN, LEN, r, w->salt + 1), "pulled from rank %d", r);
}

static void pushes(struct round *w)
{
	int next = (w->rank + 1) % w->nranks, before = (w->rank + w->nranks - 1) % w->nranks;
	char here[LEN];

	REQUIRE_OK(ipcshare_barrier(w->group)); /* all have read what was there */
	team_fill(here, LEN, w->rank, w->salt);
	REQUIRE_OK(ipcshare_push(w->set, &(struct ipcshare_item){ next, LAST, 0, LEN, here }, 1));
	REQUIRE_OK(ipcshare_barrier(w->group));
	REQUIRE(team_check(w->old + LAST * LEN, LEN, before, w->salt), "pushed by rank %d", before);
}

static void updates(struct round *w)
{
	struct ipcshare_buf to = { w->fresh, LEN };

	REQUIRE_OK(ipcshare_set_update(w->set, &(size_t){ 0 }, &to, 1, 0));
	for (int r = 0; r < w->nranks; r++) {
		look(w, r, 0, FRESH);
		look(w, r, 1, 1);
	}
}

static void views(struct round *w)
{
	struct ipcshare_view *view;

	REQUIRE_OK(ipcshare_allgather_view(w->group, w->fresh, LEN, IPCSHARE_INT8, &view));
	for (int r = 0; r < w->nranks; r++)
		REQUIRE(team_check(ipcshare_view_ptr(view, r), LEN, r, w->salt + FRESH), "seen of rank %d",
			r);
	REQUIRE_OK(ipcshare_view_free(view));
}

static void calls(struct round *w, uint64_t seed)
{
	int64_t mine[COUNT], sum[COUNT], told[COUNT], n = w->nranks, bad = 0;
	int root = (int)(seed % (uint64_t)w->nranks);
	struct ipcshare_request *request;

	for (int i = 0; i < COUNT; i++)
		mine[i] = told[i] = (int64_t)(seed % 1000) * (w->rank + 1) + i;
	REQUIRE_OK(ipcshare_allreduce_start(w->group, mine, sum, COUNT, IPCSHARE_INT64, IPCSHARE_SUM,
					    &request));
	REQUIRE_OK(ipcshare_request_wait(&request));
	REQUIRE_OK(ipcshare_bcast(w->group, told, COUNT, IPCSHARE_INT64, root));
	for (int i = 0; i < COUNT; i++) {
		bad += sum[i] != (int64_t)(seed % 1000) * (n * (n + 1) / 2) + n * i;
		bad += told[i] != (int64_t)(seed % 1000) * (root + 1) + i;
	}
	REQUIRE_INT(bad, 0);
}

void workout(struct ipcshare_ctx *ctx, struct ipcshare_group *group, uint64_t seed)
{
	struct round w = {
		.ctx = ctx, .group = group, .salt = (size_t)(seed % 100000) * 16,
		.rank = ipcshare_group_rank(group), .nranks = ipcshare_group_size(group),
	};

	shares(&w, seed);
	pulls(&w);
	pushes(&w);
	updates(&w);
	views(&w);
	calls(&w, seed);
	REQUIRE_OK(ipcshare_set_free(w.set));
	REQUIRE_OK(ipcshare_free(ctx, w.old));
	REQUIRE_OK(ipcshare_free(ctx, w.fresh));
}
