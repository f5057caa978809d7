/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the ranks of a group run, as each of them is told. */
#include <sched.h>
#include <stdio.h>

#include "support/moved.h"
#include "team.h"

static struct ipcshare_place place_of(const struct team *t, int rank)
{
	struct ipcshare_place p = { .size = sizeof(p) };

	CHECK_STATUS(ipcshare_group_place(t->group, rank, &p), 0);
	return p;
}

/* ---- Bound and not ---- */

static void binds_itself(struct test_rank *me, void *arg)
{
	struct team t;
	cpu_set_t set;

	(void)arg;
	if (me->rank < 2) {
		CPU_ZERO(&set);
		CPU_SET(me->rank, &set);
		REQUIRE(!sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity: %m");
	}
	team_join(me, &t);
	for (int r = 0; r < 2; r++) {
		struct ipcshare_place p = place_of(&t, r);

		CHECK_INT(p.cores, 1);
		CHECK_INT(p.first_core, r);
		CHECK_INT(p.device_numa, -1);
		CHECK_STR(p.device_address, "");
	}
	CHECK(place_of(&t, 2).cores >= 2, "rank 2 may use %d cores", place_of(&t, 2).cores);
	team_leave(&t);
}

static void every_rank_is_told_where_all_run(void)
{
	cpu_set_t cores;

	CHECK_INT(sched_getaffinity(0, sizeof(cores), &cores), 0);
	if (!CPU_ISSET(0, &cores) || !CPU_ISSET(1, &cores)) {
		test_skip("ranks bound to cores 0 and 1: this process may not use them");
		return;
	}
	test_ranks(3, binds_itself, NULL);
}

/* ---- On a machine that is made up on the way: ranks 0, 3 on package 1, the others on package 0 ---- */

static const struct ipcshare__wire_place made_up[] = {
	{ 1, 3, 12, 12, 1, 3, "0000:a1:00.0" },
	{ 0, 0, 0, 0, 1, 0, "" },
	{ 0, 1, 4, 4, 2, -1, "" },
	{ 1, 3, 12, 13, 1, -1, "" },
	{ 0, 0, 0, 1, 1, -1, "" },
};

static void check_ints(const char *what, const int *are, const int *expected)
{
	CHECK(!memcmp(are, expected, 5 * sizeof(*are)), "%s: %d %d %d %d %d", what, are[0], are[1],
	      are[2], are[3], are[4]);
}

static void is_moved(struct test_rank *me, void *arg)
{
	int are[5], untouched[5] = { 9, 9, 9, 9, 9 };
	struct ipcshare_place p;
	struct team t;

	(void)arg;
	team_join(me, &t);
	p = place_of(&t, 0);
	CHECK(p.package == 1 && p.numa == 3 && p.cache == 12 && p.cores == 1 && p.first_core == 12 &&
		      p.device_numa == 3,
	      "rank 0 runs in package %d, NUMA node %d, cache %d, on %d cores from %d, device at %d",
	      p.package, p.numa, p.cache, p.cores, p.first_core, p.device_numa);
	CHECK_STR(p.device_address, "0000:a1:00.0");
	CHECK_STATUS(ipcshare_group_leaders(t.group, IPCSHARE_LEVEL_NODE, are), 0);
	check_ints("node", are, (int[]){ 0, 0, 0, 0, 0 });
	CHECK_STATUS(ipcshare_group_leaders(t.group, IPCSHARE_LEVEL_PACKAGE, are), 0);
	check_ints("package", are, (int[]){ 0, 1, 1, 0, 1 });
	CHECK_STATUS(ipcshare_group_leaders(t.group, IPCSHARE_LEVEL_CACHE, are), 0);
	check_ints("cache", are, (int[]){ 0, 1, 2, 0, 1 });
	CHECK_STATUS(ipcshare_group_order(t.group, are), 0);
	check_ints("order", are, (int[]){ 0, 3, 1, 4, 2 });
	CHECK_STATUS(ipcshare_group_tree(t.group, 4, are), 0);
	check_ints("tree", are, (int[]){ 4, 4, 4, 0, -1 });

	p.size = 1;
	CHECK_FAILS(ipcshare_group_place(t.group, 0, &p), IPCSHARE_ERR_INVALID);
	p.size = sizeof(p);
	CHECK_FAILS(ipcshare_group_place(t.group, 5, &p), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_group_place(t.group, -1, &p), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_group_place(t.group, 0, NULL), IPCSHARE_ERR_INVALID);
	memcpy(are, untouched, sizeof(are));
	CHECK_FAILS(ipcshare_group_leaders(t.group, IPCSHARE_LEVELS, are), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_group_leaders(t.group, IPCSHARE_LEVEL_NUMA, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_group_order(t.group, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_group_tree(t.group, 5, are), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_group_tree(t.group, -1, are), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_group_tree(t.group, 0, NULL), IPCSHARE_ERR_INVALID);
	check_ints("untouched", are, untouched);
	team_leave(&t);
	CHECK_FAILS(ipcshare_group_order(t.group, are), IPCSHARE_ERR_CLOSED);
}

static void levels_follow_from_the_places_that_all_were_told(void)
{
	test_ranks_with((&(struct test_ranks){ .nranks = 5, .fn = is_moved, .filter = test_moved,
					     .filter_arg = (void *)made_up }));
}

TEST_SUITE(where, NULL, NULL,
	TEST(every_rank_is_told_where_all_run),
	TEST(levels_follow_from_the_places_that_all_were_told));
