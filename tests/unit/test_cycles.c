/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Again and again: what a process holds does not grow. TEST_CYCLES says how often; a soak says a hundred
 * thousand times.
 */
#include <ipcshare_coll.h>

#include "coll_case.h"
#include "support/internal.h"
#include "team.h"
#include "workout.h"

#if defined(TEST_TSAN) || defined(TEST_ASAN)
#define CYCLES 200
#define RESIDENT_SLACK ((uint64_t)128 << 20) /* freed memory is kept for a while, and shadows grow */
#else
#define CYCLES 2000
#define RESIDENT_SLACK ((uint64_t)1 << 20)
#endif
#define CALLS_IN_CYCLE 100
#define LEN 20000

static uint64_t cycles(void)
{
	return test_setting("TEST_CYCLES", CYCLES);
}

/* In the middle of it: lines that owners keep to each other stay. Nobody goes on before all have counted. */
static void look_around(struct test_rank *me, struct test_resources *out)
{
	test_rank_barrier(me, 1);
	test_resources(out);
	test_rank_barrier(me, 1);
}

/* Nothing more than @before; the figures of rank 0. */
static void check_flat(struct test_rank *me, const struct test_resources *before, uint64_t n,
		       const char *what)
{
	struct test_resources now;

	test_rank_barrier(me, 1);
	CHECK_NOTHING_LEAKED(before);
	CHECK_RESIDENT(before, RESIDENT_SLACK);
	look_around(me, &now);
	if (!me->rank)
		test_figure("%ju %s; resident memory %+jd KiB, descriptors %+d, mappings %+d, threads %+d",
			    (uintmax_t)n, what, (intmax_t)(now.resident - before->resident) / 1024,
			    now.fds - before->fds, now.maps - before->maps, now.threads - before->threads);
}

/* ---- Shares ---- */

/* Of memory that all know, and of memory that comes and goes. */
static void shares_again(struct test_rank *me, void *arg)
{
	struct test_resources before;
	struct ipcshare_set *set;
	struct team t;
	char *known;

	(void)arg;
	team_join(me, &t);
	known = team_alloc(t.ctx, LEN);
	team_fill(known, LEN, t.rank, 0);
	for (uint64_t i = 0; i < cycles(); i++) {
		struct ipcshare_buf bufs[2] = { { known, LEN }, { team_alloc(t.ctx, 100), 100 } };

		if (i == cycles() / 10) /* what the allocator keeps, it has by now */
			look_around(me, &before);
		team_fill(bufs[1].ptr, 100, t.rank, i);
		set = team_share(&t, bufs, 2, IPCSHARE_ALL_OR_NOTHING);
		REQUIRE(team_check(ipcshare_ptr(set, !t.rank, 1), 100, !t.rank, i), "cycle %ju", (uintmax_t)i);
		REQUIRE(team_check(ipcshare_ptr(set, !t.rank, 0), 100, !t.rank, 0), "cycle %ju", (uintmax_t)i);
		REQUIRE_OK(ipcshare_set_free(set));
		REQUIRE_OK(ipcshare_free(t.ctx, bufs[1].ptr));
	}
	check_flat(me, &before, cycles(), "cycles");
	REQUIRE_OK(ipcshare_free(t.ctx, known));
	team_leave(&t);
}

static void shares_come_and_go(void)
{
	test_ranks(2, shares_again, NULL);
}

/* ---- Groups ---- */

static void makes_groups_again(struct test_rank *me, void *arg)
{
	struct ipcshare_bootstrap lane = test_rank_bootstrap(me, 2, 0);
	struct ipcshare_group *group;
	struct test_resources before;
	struct team t;

	(void)arg;
	team_join(me, &t); /* else the peers would come and go too, which team_leave() looks at */
	for (uint64_t i = 0; i < cycles(); i++) {
		int64_t sum = t.rank;

		if (i == cycles() / 10)
			look_around(me, &before);
		REQUIRE_OK(ipcshare_group_create(t.ctx, &lane, &group));
		REQUIRE_OK(ipcshare_allreduce(group, IPCSHARE_IN_PLACE, &sum, 1, IPCSHARE_INT64,
					      IPCSHARE_SUM));
		REQUIRE_INT(sum, 1);
		REQUIRE_OK(ipcshare_group_free(group));
	}
	check_flat(me, &before, cycles(), "cycles");
	team_leave(&t);
}

static void groups_come_and_go(void)
{
	test_ranks(2, makes_groups_again, NULL);
}

/* ---- Maps ---- */

static void maps_again(struct test_rank *me, void *arg)
{
	struct ipcshare_bootstrap lane = test_rank_bootstrap(me, 2, 0);
	struct ipcshare_packed packed, all[2];
	struct ipcshare_identity self, ids[2];
	struct test_resources before;
	struct team t;
	char *mine;

	(void)arg;
	team_join(me, &t);
	mine = team_alloc(t.ctx, LEN);
	team_fill(mine, LEN, t.rank, 0);
	REQUIRE_OK(ipcshare_self(t.ctx, &self));
	REQUIRE_INT(lane.allgather(lane.arg, NULL, &self, sizeof(self), ids), 0);
	REQUIRE_OK(ipcshare_allow(t.ctx, mine, ids, 2, 0));
	REQUIRE_OK(ipcshare_pack(t.ctx, mine, LEN, 0, &packed));
	REQUIRE_INT(lane.allgather(lane.arg, NULL, &packed, sizeof(packed), all), 0);
	for (uint64_t i = 0; i < cycles(); i++) {
		void *p;

		if (i == cycles() / 10)
			look_around(me, &before);
		REQUIRE_OK(ipcshare_map(t.ctx, &all[!t.rank], &p));
		REQUIRE(team_check(p, 100, !t.rank, 0), "cycle %ju", (uintmax_t)i);
		REQUIRE_OK(ipcshare_unmap(t.ctx, p));
		REQUIRE_OK(ipcshare_trim(t.ctx, NULL)); /* so that the next one is an import */
	}
	check_flat(me, &before, cycles(), "cycles");
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_IMPORT), cycles());
	test_rank_barrier(me, 1);
	REQUIRE_OK(ipcshare_free(t.ctx, mine));
	team_leave(&t);
}

static void mappings_come_and_go(void)
{
	test_ranks(2, maps_again, NULL);
}

/* ---- Contexts ---- */

/* Two at a time, and the one maps what the other has. */
static void contexts_come_and_go(void)
{
	struct test_resources before;
	uint64_t n = cycles() / 2;

	for (uint64_t i = 0; i < n; i++) {
		struct ipcshare_ctx *owner = team_open(0), *other = team_open(0);
		struct ipcshare_packed packed;
		char *memory = team_alloc(owner, LEN);
		void *p;

		REQUIRE_OK(ipcshare_pack(owner, memory, LEN, 0, &packed));
		REQUIRE_OK(ipcshare_map(other, &packed, &p));
		REQUIRE_OK(ipcshare_unmap(other, p));
		REQUIRE_OK(ipcshare_close(i % 2 ? owner : other));
		REQUIRE_OK(ipcshare_close(i % 2 ? other : owner));
		if (i == n / 10)
			test_resources(&before);
		if (i % 1000 == 0)
			test_goes_on();
	}
	CHECK_NOTHING_LEAKED(&before);
	CHECK_RESIDENT(&before, RESIDENT_SLACK);
}

/* ---- Calls ---- */

/* What a call brings follows from its number: each is looked at. */
static int call_is_right(struct team *t, uint64_t i)
{
	int64_t mine = (int64_t)i * (t->rank + 1), n = t->nranks, got = -1;
	int root = (int)(i % (uint64_t)t->nranks);

	switch (i % 3) {
	case 0:
		return !ipcshare_allreduce(t->group, &mine, &got, 1, IPCSHARE_INT64, IPCSHARE_SUM) &&
		       got == (int64_t)i * (n * (n + 1) / 2);
	case 1:
		got = mine;
		return !ipcshare_bcast(t->group, &got, 1, IPCSHARE_INT64, root) &&
		       got == (int64_t)i * (root + 1);
	default:
		return !ipcshare_exscan(t->group, &mine, &got, 1, IPCSHARE_INT64, IPCSHARE_SUM) &&
		       got == (t->rank ? (int64_t)i * (t->rank * (t->rank + 1) / 2) : -1);
	}
}

static void calls_again(struct test_rank *me, void *arg)
{
	uint64_t n = cycles() * CALLS_IN_CYCLE;
	struct test_resources before;
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (uint64_t i = 0; i < n; i++) {
		if (i == n / 10)
			look_around(me, &before);
		REQUIRE(call_is_right(&t, i), "call %ju", (uintmax_t)i);
	}
	check_flat(me, &before, n, "calls");
	team_leave(&t);
}

static void small_collectives_go_on_and_on(void)
{
	test_ranks(2, calls_again, NULL);
}

/* ---- Many ranks ---- */

static void works_in_a_crowd(struct test_rank *me, void *arg)
{
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (uint64_t seed = 1; seed <= 2; seed++)
		workout(t.ctx, t.group, seed);
	team_leave(&t);
}

static void sixty_four_ranks_do_all_that_there_is(void)
{
	if (coll_case_may_have(64))
		test_ranks(64, works_in_a_crowd, NULL);
}

TEST_SUITE(cycles, NULL, NULL,
	TEST(shares_come_and_go),
	TEST(groups_come_and_go),
	TEST(mappings_come_and_go),
	TEST(contexts_come_and_go),
	TEST(small_collectives_go_on_and_on),
	TEST(sixty_four_ranks_do_all_that_there_is));
