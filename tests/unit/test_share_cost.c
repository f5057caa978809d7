/* SPDX-License-Identifier: BSD-3-Clause */
/* What shares cost: backend calls, and what is held after many of them. */
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "group/share.h"
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

/* What a collective share of @bufs would send now: regions, descriptors and bytes. */
static struct ipcshare__wire_blob blob_of(struct team *t, const struct ipcshare_buf *bufs, size_t n,
					  bool collective)
{
	struct ipcshare__share_args args = { .bufs = bufs, .n = n, .collective = collective };
	struct ipcshare__wire_blob head;
	struct ipcshare_share *s;

	REQUIRE_OK(ipcshare__share_make(t->group, &args, &s));
	head = *s->blob;
	ipcshare__share_delete(s);
	return head;
}

static void tells_of_regions(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[30], bad[2], after;
	struct ipcshare__wire_blob b;
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (size_t i = 0; i < 30; i++) /* ten in each of three, evenly */
		bufs[i] = (struct ipcshare_buf){
			i % 10 ? (char *)bufs[i - 1].ptr + 64 : team_alloc(t.ctx, 640), 60,
		};
	b = blob_of(&t, bufs, 20, true);
	CHECK_INT(b.nregions, 2);
	CHECK_INT(b.ndescriptors, 4); /* two runs */
	CHECK_INT(blob_of(&t, bufs, 20, true).nregions, 2); /* nobody has heard it yet */
	/* A share that fails tells nobody either. */
	bad[0] = bufs[0];
	bad[1] = (struct ipcshare_buf){ &t, 1 };
	CHECK_FAILS(ipcshare_share(t.group, bad, 2, IPCSHARE_ALL_OR_NOTHING, &set),
		    IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_INT(blob_of(&t, bufs, 20, true).nregions, 2);
	CHECK_STATUS(ipcshare_set_free(team_share(&t, bufs, 20, 0)), 0);
	b = blob_of(&t, bufs, 20, true);
	CHECK_INT(b.nregions, 0);
	CHECK_INT(b.bytes, 64 + 2 * 32); /* the head, and 32 bytes for each run */
	CHECK_INT(blob_of(&t, bufs, 30, true).nregions, 1); /* the third is new */
	b = blob_of(&t, bufs, 30, false); /* what the user carries stands for itself */
	CHECK_INT(b.nregions, 3);
	/* The next allocation gets the id of one that was freed: that has to be told. */
	CHECK_STATUS(ipcshare_free(t.ctx, bufs[0].ptr), 0);
	after = (struct ipcshare_buf){ team_alloc(t.ctx, 640), 640 };
	team_fill(after.ptr, after.len, t.rank, 7);
	CHECK_INT(blob_of(&t, &after, 1, true).nregions, 1);
	set = team_share(&t, &after, 1, IPCSHARE_ALL_OR_NOTHING);
	team_check(ipcshare_ptr(set, !t.rank, 0), after.len, !t.rank, 7);
	CHECK_INT(blob_of(&t, &after, 1, true).nregions, 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void a_group_is_told_of_a_region_once(void)
{
	test_ranks(2, tells_of_regions, NULL);
}

/* ---- What a set holds ---- */

#define HELD 100000

static void weighs_sets(struct test_rank *me, void *arg)
{
	const unsigned flags[] = { 0, IPCSHARE_LAZY };
	struct ipcshare_buf *bufs = malloc(HELD * sizeof(*bufs));
	struct team t;
	char *p;

	(void)arg;
	team_join(me, &t);
	p = team_alloc(t.ctx, HELD * 16);
	for (size_t i = 0; i < HELD; i++) /* no runs: every other one the other way round */
		bufs[i] = (struct ipcshare_buf){ p + 16 * (i % 2 ? i : HELD - 2 - i), 16 };
	CHECK_STATUS(ipcshare_set_free(team_share(&t, bufs, HELD, 0)), 0);
	for (int i = 0; i < 2; i++) {
		struct mallinfo2 before = mallinfo2(), after;
		struct ipcshare_set *set = team_share(&t, bufs, HELD, flags[i]);
		size_t held;

		after = mallinfo2();
		held = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
		CHECK(held <= (size_t)HELD * (24 * (size_t)t.nranks + 64), "%zu bytes a buffer",
		      held / HELD);
		CHECK_INT(ipcshare_count(set, !t.rank), HELD);
		CHECK_STATUS(ipcshare_set_free(set), 0);
	}
	free(bufs);
	team_leave(&t);
}

static void a_buffer_costs_24_bytes_a_rank_and_64(void)
{
	test_ranks(4, weighs_sets, NULL);
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
	TEST(a_group_is_told_of_a_region_once),
	TEST(a_buffer_costs_24_bytes_a_rank_and_64),
	TEST(hundreds_of_allocations_are_imported_in_batches),
	TEST(two_threads_share_one_allocation_in_two_groups));
