/* SPDX-License-Identifier: BSD-3-Clause */
/* Some thousand calls of all collectives, in groups of many sizes, against what must come. */
#include "coll_case.h"

#define CASES 200 /* of a group */

static void makes_many_calls(struct test_rank *me, void *arg)
{
	uint64_t seed = 20240229 + (uint64_t)me->nranks;
	struct team t;
	int wrong = 0;

	(void)arg;
	team_join(me, &t);
	for (int i = 0; i < CASES && wrong < 3; i++) {
		struct coll_case c = coll_case_draw(t.group, &seed);

		wrong += !coll_case_run(&c);
	}
	team_leave(&t);
}

static void every_call_brings_what_it_must_in_groups_of_1_to_5(void)
{
	for (int n = 1; n <= 5; n++)
		test_ranks(n, makes_many_calls, NULL);
}

static void every_call_brings_what_it_must_in_groups_of_6_to_9(void)
{
	for (int n = 6; n <= 9; n++)
		test_ranks(n, makes_many_calls, NULL);
}

static void larger_groups_do_the_same(void)
{
	test_ranks(13, makes_many_calls, NULL);
	test_ranks(16, makes_many_calls, NULL);
}

TEST_SUITE(coll_random, NULL, NULL,
	TEST(every_call_brings_what_it_must_in_groups_of_1_to_5),
	TEST(every_call_brings_what_it_must_in_groups_of_6_to_9),
	TEST(larger_groups_do_the_same));
