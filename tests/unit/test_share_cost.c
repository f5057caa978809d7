/* SPDX-License-Identifier: BSD-3-Clause */
/* What shares cost: backend calls, and what is held after many of them. */
#include <pthread.h>
#include <stdlib.h>

#include "team.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RESIDENT_SLACK (128u << 20) /* freed memory is kept for a while, and shadows grow */
#define CYCLES 200
#else
#define RESIDENT_SLACK (1u << 20)
#define CYCLES 1000
#endif

/* ---- What it costs ---- */

#define MANY 10000

static void shares_many(struct test_rank *me, void *arg)
{
	struct ipcshare_buf *bufs = malloc(MANY * sizeof(*bufs));
	struct ipcshare_set *set;
	uint64_t before;
	struct team t;
	char *p;

	(void)arg;
	team_join(me, &t);
	p = team_alloc(t.ctx, MANY * 64);
	for (size_t i = 0; i < MANY; i++) {
		bufs[i] = (struct ipcshare_buf){ p + 64 * i, 64 };
		team_fill(bufs[i].ptr, 64, t.rank, i);
	}
	set = team_share(&t, bufs, MANY, 0);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_EXPORT), 1);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_ALLOW), 1);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_IMPORT), t.nranks - 1);
	CHECK_INT(team_counters(t.ctx).cache_misses, t.nranks - 1);
	CHECK_INT(team_counters(t.ctx).cache_hits, 0);
	for (int r = 0; r < t.nranks; r++)
		for (size_t i = 0; i < MANY; i++)
			team_check(ipcshare_ptr(set, r, i), 64, r, i);
	/* Again: nothing to do. After the first set is gone: still nothing. */
	before = team_calls(t.ctx);
	CHECK_STATUS(ipcshare_set_free(team_share(&t, bufs, MANY, 0)), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_set_free(team_share(&t, bufs, MANY / 2, 0)), 0);
	CHECK_INT(team_calls(t.ctx), before);
	CHECK_INT(team_counters(t.ctx).cache_misses, t.nranks - 1);
	CHECK_INT(team_counters(t.ctx).cache_hits, 2 * (t.nranks - 1));
	free(bufs);
	team_leave(&t);
}

static void ten_thousand_buffers_are_one_export_and_one_import(void)
{
	test_ranks(4, shares_many, NULL);
}

/* More allocations than a message of the broker has room for. */
static void shares_many_allocations(struct test_rank *me, void *arg)
{
	enum { N = 300 };
	struct ipcshare_buf bufs[N];
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (size_t i = 0; i < N; i++) {
		bufs[i] = (struct ipcshare_buf){ team_alloc(t.ctx, 10 + i), 10 + i };
		team_fill(bufs[i].ptr, bufs[i].len, t.rank, i);
	}
	set = team_share(&t, bufs, N, IPCSHARE_ALL_OR_NOTHING);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_EXPORT), N);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_IMPORT), N);
	for (size_t i = 0; i < N; i++)
		team_check(ipcshare_ptr(set, !t.rank, i), 10 + i, !t.rank, i);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void hundreds_of_allocations_are_imported_in_batches(void)
{
	test_ranks(2, shares_many_allocations, NULL);
}

/* ---- Again and again ---- */

static void shares_and_frees_for_long(struct test_rank *me, void *arg)
{
	struct test_resources before;
	struct ipcshare_buf buf;
	struct team t;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 100000), 100000 };
	for (int i = 0; i < CYCLES; i++) {
		if (i == CYCLES / 10) /* what the allocator keeps, it has by now */
			team_resources(me, &before);
		CHECK_STATUS(ipcshare_set_free(team_share(&t, &buf, 1, 0)), 0);
	}
	TEAM_NOTHING_LEAKED(me, &before);
	CHECK_RESIDENT(&before, RESIDENT_SLACK);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_EXPORT), 1);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_IMPORT), 1);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	team_leave(&t);
}

static void a_thousand_shares_leave_nothing(void)
{
	test_ranks(2, shares_and_frees_for_long, NULL);
}

static void allocates_and_frees_for_long(struct test_rank *me, void *arg)
{
	struct test_resources before;
	struct ipcshare_buf buf = { NULL, 100000 };
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (int i = 0; i < 100; i++) {
		if (i == 10)
			team_resources(me, &before);
		buf.ptr = team_alloc(t.ctx, buf.len);
		CHECK_STATUS(ipcshare_set_free(team_share(&t, &buf, 1, 0)), 0);
		CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	}
	TEAM_NOTHING_LEAKED(me, &before);
	CHECK_RESIDENT(&before, RESIDENT_SLACK);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_IMPORT), 100);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_CLOSE_IMPORT), 100);
	team_leave(&t);
}

static void a_hundred_allocations_shared_and_freed_leave_nothing(void)
{
	test_ranks(2, allocates_and_frees_for_long, NULL);
}

/* ---- Threads ---- */

#define ROUNDS 60

struct worker {
	struct team *t;
	struct ipcshare_group *group;
	struct ipcshare_buf common; /* in the allocation that both threads share */
	pthread_t thread;
};

static void *shares_in_its_group(void *arg)
{
	struct worker *w = arg;

	for (size_t i = 0; i < ROUNDS; i++) {
		struct ipcshare_buf bufs[2] = { w->common, { team_alloc(w->t->ctx, 5000), 5000 } };
		struct ipcshare_set *set;

		team_fill(bufs[1].ptr, 5000, w->t->rank, i);
		REQUIRE_OK(ipcshare_share(w->group, bufs, 2, IPCSHARE_ALL_OR_NOTHING, &set));
		for (int r = 0; r < w->t->nranks; r++) {
			team_check(ipcshare_ptr(set, r, 0), w->common.len, r, 99);
			team_check(ipcshare_ptr(set, r, 1), 5000, r, i);
		}
		CHECK_STATUS(ipcshare_set_free(set), 0);
		CHECK_STATUS(ipcshare_free(w->t->ctx, bufs[1].ptr), 0);
	}
	return NULL;
}

static void shares_in_two_threads(struct test_rank *me, void *arg)
{
	struct ipcshare_bootstrap lane1;
	struct worker w[2];
	struct team t;
	void *p;

	(void)arg;
	team_join(me, &t);
	p = team_alloc(t.ctx, 3000);
	team_fill(p, 3000, t.rank, 99);
	for (int i = 0; i < 2; i++)
		w[i] = (struct worker){ .t = &t, .group = t.group, .common = { p, 3000 } };
	lane1 = test_rank_bootstrap(me, 1, 0);
	REQUIRE_OK(ipcshare_group_create(t.ctx, &lane1, &w[1].group));
	for (int i = 0; i < 2; i++)
		REQUIRE_INT(pthread_create(&w[i].thread, NULL, shares_in_its_group, &w[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(w[i].thread, NULL);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_EXPORT), 1 + 2 * ROUNDS);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_IMPORT), (t.nranks - 1) * (1 + 2 * ROUNDS));
	CHECK_STATUS(ipcshare_group_free(w[1].group), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, p), 0);
	team_leave(&t);
}

static void two_threads_share_one_allocation_in_two_groups(void)
{
	test_ranks(2, shares_in_two_threads, NULL);
}

TEST_SUITE(share_cost, NULL, NULL,
	TEST(a_thousand_shares_leave_nothing),
	TEST(a_hundred_allocations_shared_and_freed_leave_nothing),
	TEST(ten_thousand_buffers_are_one_export_and_one_import),
	TEST(hundreds_of_allocations_are_imported_in_batches),
	TEST(two_threads_share_one_allocation_in_two_groups));
