/* SPDX-License-Identifier: BSD-3-Clause */
/* Is there a core for each rank? */
#include <sched.h>

#include "group/crowd.h"
#include "group/group.h"
#include "support/test.h"
#include "team.h"

#define MOST 8

static const struct hall {
	const char *what;
	int nranks;
	uint64_t cores[MOST];
	bool crowd;
} halls[] = {
	{ "one rank, one core", 1, { 1 }, false },
	{ "one rank, no core", 1, { 0 }, true },
	{ "a core each", 4, { 1, 2, 4, 8 }, false },
	{ "all may use all", 4, { 15, 15, 15, 15 }, false },
	{ "one too many", 5, { 15, 15, 15, 15, 15 }, true },
	{ "two bound to one core, others idle", 3, { 1, 1, 0xfffe }, true },
	{ "three on two of eight cores", 4, { 3, 3, 3, 0xff }, true },
	{ "rank 0 must make room twice", 3, { 7, 1, 3 }, false },
	{ "a chain of moves", 5, { 3, 6, 12, 24, 1 }, false },
	{ "the chain is a core too short", 6, { 3, 6, 12, 24, 1, 16 }, true },
	{ "high cores", 2, { (uint64_t)1 << 63, (uint64_t)3 << 62 }, false },
};

static void ranks_are_a_crowd_if_not_each_can_have_a_core(void)
{
	for (size_t i = 0; i < sizeof(halls) / sizeof(halls[0]); i++) {
		const struct hall *h = &halls[i];
		uint64_t masks[MOST][IPCSHARE__CORE_WORDS] = { { 0 } };
		const uint64_t *cores[MOST];

		/* The first word and the last, and in another order of ranks */
		for (size_t w = 0; w < 2; w++)
			for (int turn = 0; turn < h->nranks; turn++) {
				memset(masks, 0, sizeof(masks));
				for (int r = 0; r < h->nranks; r++) {
					cores[r] = masks[r];
					masks[r][w * (IPCSHARE__CORE_WORDS - 1)] =
						h->cores[(r + turn) % h->nranks];
				}
				CHECK(ipcshare__is_crowd(cores, h->nranks) == h->crowd,
				      "%s, word %zu, turn %d", h->what, w, turn);
			}
	}
}

/* Any number of random masks against Hall's condition, over all subsets of ranks. */
static void it_is_what_halls_theorem_says(void)
{
	uint64_t seed = test_setting("TEST_SEED", 1), ncases = test_setting("TEST_CASES", 20000);
	int crowds = 0;

	for (uint64_t c = 0; c < ncases; c++) {
		uint64_t masks[MOST][IPCSHARE__CORE_WORDS] = { { 0 } };
		const uint64_t *cores[MOST];
		int n = 1 + (int)(c % MOST);
		bool crowd = false;

		for (int r = 0; r < n; r++) {
			cores[r] = masks[r];
			for (int bits = 0; bits < 3; bits++) {
				seed = seed * 6364136223846793005u + 1442695040888963407u;
				masks[r][0] |= (uint64_t)1 << (seed >> 33) % (unsigned)(n + 2);
			}
		}
		for (unsigned some = 1; some < 1u << n; some++) {
			uint64_t all = 0;

			for (int r = 0; r < n; r++)
				all |= some >> r & 1 ? masks[r][0] : 0;
			crowd |= __builtin_popcount(some) > __builtin_popcountll(all);
		}
		crowds += crowd;
		if (!CHECK(ipcshare__is_crowd(cores, n) == crowd, "case %ju", (uintmax_t)c))
			return;
	}
	CHECK(crowds > 0 && (uint64_t)crowds < ncases, "%d are crowds", crowds);
}

static void more_ranks_than_cores_can_be_told_apart_are_a_crowd(void)
{
	static const uint64_t all[IPCSHARE__CORE_WORDS] = { [0 ... IPCSHARE__CORE_WORDS - 1] = UINT64_MAX };
	const uint64_t *cores[IPCSHARE__CORES_MOST + 1];

	for (int r = 0; r <= IPCSHARE__CORES_MOST; r++)
		cores[r] = all;
	CHECK(!ipcshare__is_crowd(cores, IPCSHARE__CORES_MOST), "there is a core for each");
	CHECK(ipcshare__is_crowd(cores, IPCSHARE__CORES_MOST + 1), "there is not");
}

/* ---- A group's ---- */

static void is_bound(struct test_rank *me, void *arg)
{
	const struct hall *h = arg;
	struct team t;
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int c = 0; c < 64; c++)
		if (h->cores[me->rank] >> c & 1)
			CPU_SET(c, &set);
	REQUIRE(!sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity: %m");
	team_join(me, &t);
	CHECK(t.group->crowded == h->crowd, "rank %d: crowded is %d", me->rank, t.group->crowded);
	team_leave(&t);
}

static void a_group_is_crowded_if_its_ranks_are_bound_to_one_core(void)
{
	static const struct hall groups[] = {
		{ "a core each", 2, { 1, 2 }, false },
		{ "both on one", 2, { 1, 1 }, true },
		{ "either", 2, { 3, 3 }, false },
		{ "one too many", 3, { 3, 3, 3 }, true },
	};
	cpu_set_t cores;

	CHECK_INT(sched_getaffinity(0, sizeof(cores), &cores), 0);
	if (!CPU_ISSET(0, &cores) || !CPU_ISSET(1, &cores)) {
		test_skip("ranks bound to cores 0 and 1: this process may not use them");
		return;
	}
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		test_ranks(groups[i].nranks, is_bound, (void *)&groups[i]);
}

TEST_SUITE(crowd, NULL, NULL,
	TEST(ranks_are_a_crowd_if_not_each_can_have_a_core),
	TEST(it_is_what_halls_theorem_says),
	TEST(more_ranks_than_cores_can_be_told_apart_are_a_crowd),
	TEST(a_group_is_crowded_if_its_ranks_are_bound_to_one_core));
