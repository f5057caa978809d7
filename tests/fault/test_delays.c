/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The protocols between ranks with delays at every point of theirs, short and long and another for each
 * thread: whoever is early or late, every byte is as it must be. TEST_SEED of the environment says which.
 */
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "point.h"
#include "unit/coll_case.h"
#include "unit/team.h"
#include "unit/workout.h"

#define SEED 20240901
#define ARENA ((size_t)4 << 20)
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define CALLS 60
#else
#define CALLS 250
#endif
#define WORKOUTS 8
#define GROUPS 3 /* one after the other */

static uint64_t seed;
static _Atomic uint64_t delays; /* of this process */

/* Most are none or a yield; some let others pass by; a few are longer than anybody waits awake. */
static void dawdle(void)
{
	static _Thread_local uint64_t state;
	uint64_t kind, more;
	struct timespec t = { 0 };

	if (!state)
		state = seed * 1000003 + (uint64_t)syscall(SYS_gettid);
	kind = elements_random(&state) % 1000;
	more = elements_random(&state) % 1000;
	if (kind >= 400)
		return;
	delays++;
	t.tv_nsec = kind < 2 ? 12000000 : (long)more * (kind < 20 ? 500 : 50);
	if (kind < 60)
		nanosleep(&t, NULL);
	else if (kind < 200)
		sched_yield();
	else
		for (volatile uint64_t i = 0; i < more; i++)
			;
}

static void makes_calls(struct team *t, uint64_t *calls)
{
	struct coll_arena arena = { .base = team_alloc(t->ctx, ARENA), .size = ARENA };
	struct ipcshare_set *set;

	set = team_share(t, &(struct ipcshare_buf){ arena.base, arena.size }, 1, 0);
	for (int i = 0; i < CALLS / GROUPS; i++) {
		struct coll_case c = coll_case_draw(t->group, &arena, calls);

		REQUIRE(coll_case_run(&c), "case %d is wrong", i);
	}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t->ctx, arena.base), 0);
}

static void dawdles(struct test_rank *me, void *arg)
{
	uint64_t calls = seed * 64 + (uint64_t)me->nranks;
	struct team t;

	(void)arg;
	point_delay(dawdle);
	for (int i = 0; i < GROUPS; i++) {
		team_join(me, &t);
		for (uint64_t k = 0; k < WORKOUTS / GROUPS; k++)
			workout(t.ctx, t.group, seed + k);
		makes_calls(&t, &calls);
		team_leave(&t);
	}
	CHECK(delays > 0, "it was never late");
}

static void whoever_is_late_all_is_right_in_groups_of_1_to_8(void)
{
	seed = test_setting("TEST_SEED", SEED);
	for (int n = 1; n <= 8; n++) {
		if (test_ranks(n, dawdles, NULL))
			FAIL("groups of %d with TEST_SEED=%ju", n, (uintmax_t)seed);
		test_goes_on();
	}
}

TEST_SUITE(delays, NULL, NULL,
	TEST(whoever_is_late_all_is_right_in_groups_of_1_to_8));
