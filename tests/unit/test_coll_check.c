/* SPDX-License-Identifier: BSD-3-Clause */
/* IPCSHARE_CHECK=1: what ranks pass is compared, and who differs is named. */
#include <stdlib.h>

#include "coll_case.h"

static char bytes[512];
static const size_t ones[4] = { 1, 1, 1, 1 }, other[4] = { 1, 2, 1, 1 }, two[4] = { 2, 1, 1, 1 };

#define INT8 IPCSHARE_INT8

/* @odd: the rank that passes something else. */
static int bcast_count(struct ipcshare_group *g, int odd)
{
	return ipcshare_bcast(g, bytes, odd ? 5 : 4, INT8, 0);
}
static int bcast_type(struct ipcshare_group *g, int odd)
{
	return ipcshare_bcast(g, bytes, 4, odd ? IPCSHARE_UINT8 : INT8, 0);
}
static int bcast_root(struct ipcshare_group *g, int odd)
{
	return ipcshare_bcast(g, bytes, 4, INT8, odd ? 1 : 2);
}
static int allgather_count(struct ipcshare_group *g, int odd)
{
	return ipcshare_allgather(g, bytes, bytes + 64, odd ? 3 : 4, INT8);
}
static int allgatherv_count(struct ipcshare_group *g, int odd)
{
	return ipcshare_allgatherv(g, bytes, bytes + 64, odd ? other : ones, NULL, INT8);
}
static int gatherv_count(struct ipcshare_group *g, int odd)
{
	return ipcshare_gatherv(g, bytes, odd ? 2 : 1, bytes + 64, ones, NULL, INT8, 0);
}
static int scatter_count(struct ipcshare_group *g, int odd)
{
	return ipcshare_scatter(g, bytes, bytes + 64, odd ? 3 : 4, INT8, 0);
}
static int alltoallv_count(struct ipcshare_group *g, int odd)
{
	return ipcshare_alltoallv(g, bytes, odd ? two : ones, NULL, bytes + 64, ones, NULL, INT8);
}
static int allreduce_count(struct ipcshare_group *g, int odd)
{
	return ipcshare_allreduce(g, bytes, bytes + 64, odd ? 3 : 4, INT8, IPCSHARE_SUM);
}
static int allreduce_op(struct ipcshare_group *g, int odd)
{
	return ipcshare_allreduce(g, bytes, bytes + 64, 4, INT8, odd ? IPCSHARE_MAX : IPCSHARE_SUM);
}
static int allreduce_own_op(struct ipcshare_group *g, int odd)
{
	static const struct ipcshare_op own = { sizeof(own), elements_user, NULL };

	return ipcshare_allreduce(g, bytes, bytes + 64, 4, INT8, odd ? &own : IPCSHARE_SUM);
}
static int reduce_root(struct ipcshare_group *g, int odd)
{
	return ipcshare_reduce(g, bytes, bytes + 64, 4, INT8, IPCSHARE_SUM, odd ? 1 : 0);
}
static int reduce_scatter_counts(struct ipcshare_group *g, int odd)
{
	return ipcshare_reduce_scatter(g, bytes, bytes + 64, odd ? other : ones, INT8, IPCSHARE_SUM);
}
static int scan_count(struct ipcshare_group *g, int odd)
{
	return ipcshare_scan(g, bytes, bytes + 64, odd ? 3 : 4, INT8, IPCSHARE_SUM);
}

/* @rank: who is named; if not the odd one, then who gives what that one doesn't want. */
static const struct {
	int (*call)(struct ipcshare_group *g, int odd);
	int rank;
	const char *text;
} odds[] = {
	{ bcast_count, 0, "it has 4 bytes for rank 2, which wants 5" },
	{ bcast_type, 2, "the type is uint8, on rank 0 it is int8" },
	{ bcast_root, 2, "the root is 1, on rank 0 it is 2" },
	{ allgather_count, 0, "it has 4 bytes for rank 2, which wants 3" },
	{ allgatherv_count, 1, "it has 1 bytes for rank 2, which wants 2" },
	{ gatherv_count, 2, "it has 2 bytes for rank 0, which wants 1" },
	{ scatter_count, 0, "it has 4 bytes for rank 2, which wants 3" },
	{ alltoallv_count, 2, "it has 2 bytes for rank 0, which wants 1" },
	{ allreduce_count, 2, "3 bytes are to be reduced, on rank 0 4" },
	{ allreduce_op, 2, "the op is max, on rank 0 it is sum" },
	{ allreduce_own_op, 2, "the op is user, on rank 0 it is sum" },
	{ reduce_root, 2, "the root is 1, on rank 0 it is 0" },
	{ reduce_scatter_counts, 2, "2 bytes are to be reduced, on rank 0 1" },
	{ scan_count, 2, "3 bytes are to be reduced, on rank 0 4" },
};

static void is_odd_in_everything(struct test_rank *me, void *arg)
{
	struct team t;

	(void)arg;
	setenv("IPCSHARE_CHECK", "1", 1);
	team_join(me, &t);
	for (size_t i = 0; i < sizeof(odds) / sizeof(odds[0]); i++) {
		CHECK_FAILS(odds[i].call(t.group, t.rank == 2), IPCSHARE_ERR_MISMATCH);
		CHECK_STR(ipcshare_last_error()->text, odds[i].text);
		CHECK_INT(ipcshare_last_error()->rank, odds[i].rank);
		CHECK_STATUS(odds[i].call(t.group, 0), 0); /* the group goes on */
	}
	team_leave(&t);
}

static void arguments_that_differ_are_named_on_all_ranks_and_the_group_goes_on(void)
{
	test_ranks(4, is_odd_in_everything, NULL);
}

static void is_right_in_everything(struct test_rank *me, void *arg)
{
	uint64_t seed = 7;
	struct team t;

	(void)arg;
	setenv("IPCSHARE_CHECK", "1", 1);
	team_join(me, &t);
	for (int i = 0; i < 200; i++) {
		struct coll_case c = coll_case_draw(t.group, NULL, &seed);

		c.count %= 100;
		coll_case_run(&c);
	}
	team_leave(&t);
}

static void arguments_that_fit_pass_the_check(void)
{
	test_ranks(1, is_right_in_everything, NULL);
	test_ranks(3, is_right_in_everything, NULL);
}

static void checks_alone(struct test_rank *me, void *arg)
{
	struct team t;

	(void)arg;
	if (me->rank == 1)
		setenv("IPCSHARE_CHECK", "1", 1);
	team_join(me, &t);
	CHECK_FAILS(ipcshare_barrier(t.group), IPCSHARE_ERR_MISMATCH);
	CHECK_INT(ipcshare_last_error()->rank, me->rank ? 0 : 1);
	CHECK_HAS(ipcshare_last_error()->text, "IPCSHARE_CHECK");
	team_leave(&t);
}

static void a_rank_that_checks_alone_is_found_out(void)
{
	test_ranks(2, checks_alone, NULL);
}

TEST_SUITE(coll_check, NULL, NULL,
	TEST(arguments_that_differ_are_named_on_all_ranks_and_the_group_goes_on),
	TEST(arguments_that_fit_pass_the_check),
	TEST(a_rank_that_checks_alone_is_found_out));
