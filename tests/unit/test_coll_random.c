/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ten thousand calls of all collectives, in groups of 1 to 64, against what must come; TEST_CASES of
 * the environment says another number, TEST_SEED other cases. The ranks are in 1 to 4 packages, and few
 * bytes are enough for some of them to relay what crosses the border.
 */
#include <stdlib.h>

#include "coll_case.h"
#include "support/moved.h"

#define SEED 20240229
#define ARENA_ALL ((size_t)64 << 20)
#define ARENA_MOST ((size_t)8 << 20)

struct run {
	uint64_t seed;
	int cases;
	struct ipcshare__wire_place places[TEST_RANKS_MAX];
};

static void draw_places(struct run *run)
{
	uint64_t seed = run->seed, packages = elements_random(&seed) % 4 + 1;

	for (int r = 0; r < TEST_RANKS_MAX; r++)
		run->places[r] = (struct ipcshare__wire_place){
			.package = (int32_t)(elements_random(&seed) % packages), .device_numa = -1,
		};
}

/* Ranks need not be of one mind. */
static void draw_setting(const struct run *run, int rank)
{
	uint64_t seed = run->seed + (uint64_t)rank;

	setenv("IPCSHARE_COLL_RELAY", elements_random(&seed) % 3 ? "0" : "4294967295", 1);
}

static struct coll_arena arena_share(struct team *t, struct ipcshare_set **set)
{
	size_t size = ARENA_ALL / (size_t)t->nranks;
	struct coll_arena arena = { .size = size < ARENA_MOST ? size : ARENA_MOST };

	arena.base = team_alloc(t->ctx, arena.size);
	*set = team_share(t, &(struct ipcshare_buf){ arena.base, arena.size }, 1, IPCSHARE_LAZY);
	return arena;
}

static void makes_many_calls(struct test_rank *me, void *arg)
{
	const struct run *run = arg;
	uint64_t seed = run->seed;
	struct coll_arena arena;
	struct ipcshare_set *set;
	struct team t;
	int wrong = 0;

	draw_setting(run, me->rank);
	team_join(me, &t);
	arena = arena_share(&t, &set);
	for (int i = 0; i < run->cases && wrong < 3; i++) {
		struct coll_case c = coll_case_draw(t.group, &arena, &seed);

		wrong += !CHECK(coll_case_run(&c), "case %d is wrong", i);
	}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, arena.base), 0);
	team_leave(&t);
}

/* Cases of a group, which then ends: ranks have a deadline, and to make a large group takes a while. */
static uint64_t run_most(int nranks)
{
	uint64_t most = 1000 / (uint64_t)nranks;

	return most > 200 ? 200 : most < 50 ? 50 : most;
}

/* @percent of all cases, for groups of @nranks. */
static void run_group(int nranks, uint64_t percent)
{
	uint64_t seed = test_setting("TEST_SEED", SEED), left = test_setting("TEST_CASES", COLL_CASES) * percent / 100;
	struct run run = { .seed = seed * 64 + (uint64_t)nranks };

	for (; left; left -= (uint64_t)run.cases) {
		run.cases = (int)(left < run_most(nranks) ? left : run_most(nranks));
		draw_places(&run);
		if (test_ranks_with((&(struct test_ranks){ .nranks = nranks, .fn = makes_many_calls, .arg = &run,
							   .filter = test_moved, .filter_arg = run.places }))) {
			FAIL("groups of %d with TEST_SEED=%ju", nranks, (uintmax_t)seed);
			return;
		}
		elements_random(&run.seed);
		test_goes_on();
	}
}

static void every_call_brings_what_it_must_in_groups_of_1_to_5(void)
{
	run_group(1, 2);
	for (int n = 2; n <= 5; n++)
		run_group(n, 12);
}

static void every_call_brings_what_it_must_in_groups_of_6_to_9(void)
{
	for (int n = 6; n <= 9; n++)
		run_group(n, 9);
}

static void larger_groups_do_the_same(void)
{
	run_group(13, 5);
	run_group(16, 5);
	run_group(17, 2);
	if (coll_case_may_have(33)) {
		run_group(33, 1);
		run_group(64, 1);
	}
}

TEST_SUITE(coll_random, NULL, NULL,
	TEST(every_call_brings_what_it_must_in_groups_of_1_to_5),
	TEST(every_call_brings_what_it_must_in_groups_of_6_to_9),
	TEST(larger_groups_do_the_same));
