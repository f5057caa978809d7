/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives that are started and ended later: their order, their errors, and what they hold. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "coll_case.h"
#include "rounds.h"
#include "team.h"

#define MANY 40

static int is_sum(const int *sum, int n, int step)
{
	return *sum == n * (n - 1) / 2 + n * step;
}

static void starts_many(struct test_rank *me, void *arg)
{
	struct ipcshare_request *requests[MANY];
	int mine[MANY], sums[MANY];
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (int i = 0; i < MANY; i++) {
		mine[i] = t.rank + i;
		REQUIRE_OK(ipcshare_allreduce_start(t.group, &mine[i], &sums[i], 1, IPCSHARE_INT32,
						    IPCSHARE_SUM, &requests[i]));
	}
	/* In any order, and not the same on all ranks. */
	for (int k = 0; k < MANY; k++) {
		int i = (k * 7 + t.rank * 11) % MANY;

		CHECK_STATUS(ipcshare_request_wait(&requests[i]), 0);
		CHECK(!requests[i] && is_sum(&sums[i], t.nranks, i), "sum %d is %d", i, sums[i]);
		CHECK_STATUS(ipcshare_request_wait(&requests[i]), 0); /* there is nothing to wait for */
	}
	team_leave(&t);
}

static void many_may_be_started_and_ended_in_any_order(void)
{
	for (int n = 1; n <= 5; n++)
		test_ranks(n, starts_many, NULL);
}

/* What is started before a call of the other form is over when that is. */
static void mixes_forms(struct test_rank *me, void *arg)
{
	struct ipcshare_request *request[2];
	struct ipcshare_set *set;
	int mine, sum[2], done;
	struct ipcshare_buf buf;
	struct team t;

	(void)arg;
	team_join(me, &t);
	mine = t.rank;
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 64), 64 };
	REQUIRE_OK(ipcshare_allreduce_start(t.group, &mine, &sum[0], 1, IPCSHARE_INT32, IPCSHARE_SUM,
					    &request[0]));
	REQUIRE_OK(ipcshare_barrier(t.group));
	CHECK(is_sum(&sum[0], t.nranks, 0), "after a barrier");
	REQUIRE_OK(ipcshare_allreduce_start(t.group, &mine, &sum[1], 1, IPCSHARE_INT32, IPCSHARE_SUM,
					    &request[1]));
	set = team_share(&t, &buf, 1, 0);
	CHECK(is_sum(&sum[1], t.nranks, 0), "after a share");
	for (int i = 0; i < 2; i++) {
		CHECK_STATUS(ipcshare_request_test(&request[i], &done), 0);
		CHECK(done && !request[i], "request %d", i);
	}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void a_call_ends_what_was_started_before_it(void)
{
	for (int n = 1; n <= 4; n++)
		test_ranks(n, mixes_forms, NULL);
}

/* ---- Waiting for nobody ---- */

static void tests_alone(struct test_rank *me, void *arg)
{
	struct ipcshare_request *request;
	int done = 1;
	struct team t;

	(void)arg;
	team_join(me, &t);
	if (t.rank) {
		REQUIRE_OK(ipcshare_barrier_start(t.group, &request));
		test_rank_barrier(me, 1); /* rank 0 has done nothing yet */
		for (int i = 0; i < 1000; i++) {
			CHECK_STATUS(ipcshare_request_test(&request, &done), 0);
			CHECK(!done && request, "test %d", i);
		}
		test_rank_barrier(me, 2);
	} else {
		test_rank_barrier(me, 1);
		test_rank_barrier(me, 2);
		REQUIRE_OK(ipcshare_barrier_start(t.group, &request));
	}
	CHECK_STATUS(ipcshare_request_wait(&request), 0);
	team_leave(&t);
}

static void a_test_does_not_wait_for_a_rank_that_has_not_started(void)
{
	test_ranks(2, tests_alone, NULL);
}

static void waits_in_vain(struct test_rank *me, void *arg)
{
	struct ipcshare_request *request;
	struct team t;

	(void)arg;
	team_join_for(me, 1000, &t);
	if (t.rank) {
		REQUIRE_OK(ipcshare_barrier_start(t.group, &request));
		CHECK_FAILS(ipcshare_request_wait(&request), IPCSHARE_ERR_TIMEOUT);
		CHECK_INT(ipcshare_last_error()->rank, 0);
		CHECK(!request, "it is over");
	}
	test_rank_barrier(me, 1);
	if (!t.rank) { /* it hears of it */
		REQUIRE_OK(ipcshare_barrier_start(t.group, &request));
		CHECK_FAILS(ipcshare_request_wait(&request), IPCSHARE_ERR_TIMEOUT);
	}
	team_leave(&t);
}

static void a_wait_has_a_deadline(void)
{
	test_ranks(2, waits_in_vain, NULL);
}

static void tests_until_it_hears(struct test_rank *me, void *arg)
{
	struct ipcshare_request *request;
	int done = 0, err = 0;
	struct team t;

	(void)arg;
	team_join(me, &t);
	test_rank_barrier(me, 1);
	if (t.rank == 1)
		raise(SIGKILL);
	REQUIRE_OK(ipcshare_barrier_start(t.group, &request));
	while (!err && !done)
		err = ipcshare_request_test(&request, &done);
	CHECK_FAILS(err, IPCSHARE_ERR_PEER_DEAD);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK(done && !request, "it is over");
	team_leave(&t);
}

static void a_test_notices_a_peer_that_died(void)
{
	struct test_ranks o = { .nranks = 3, .fn = tests_until_it_hears, .dies = 1u << 1 };

	test_ranks_with(&o);
}

/* ---- Faults ---- */

static void passes_nothing(struct test_rank *me, void *arg)
{
	struct ipcshare_request *request = NULL, *behind;
	int mine = 1, sum, done, bad;
	struct team t;

	(void)arg;
	CHECK_FAILS(ipcshare_request_wait(NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_request_test(NULL, &done), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_request_test(&request, NULL), IPCSHARE_ERR_INVALID);
	CHECK_STATUS(ipcshare_request_test(&request, &done), 0);
	CHECK(done, "there is nothing to wait for");
	team_join(me, &t);
	bad = t.rank == 1;
	/* Wrong arguments of one rank end the call on all; the one behind it is not touched. */
	REQUIRE_OK(ipcshare_allreduce_start(t.group, bad ? NULL : &mine, &sum, 1, IPCSHARE_INT32,
					    IPCSHARE_SUM, &request));
	REQUIRE_OK(ipcshare_allreduce_start(t.group, &mine, &sum, 1, IPCSHARE_INT32, IPCSHARE_SUM, &behind));
	CHECK_FAILS(ipcshare_request_wait(&request), IPCSHARE_ERR_INVALID);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK_HAS(ipcshare_last_error()->text, "a buffer is NULL");
	CHECK_STATUS(ipcshare_request_wait(&behind), 0);
	CHECK_INT(sum, t.nranks);
	/* No place for the request, on one rank: all are told. */
	done = ipcshare_barrier_start(t.group, bad ? NULL : &request);
	if (bad)
		CHECK_FAILS(done, IPCSHARE_ERR_INVALID);
	else
		CHECK_FAILS(ipcshare_request_wait(&request), IPCSHARE_ERR_INVALID);
	CHECK_HAS(ipcshare_last_error()->text, "nowhere to put the request");
	team_leave(&t);
}

static void wrong_arguments_come_with_the_end_on_all_ranks(void)
{
	test_ranks(3, passes_nothing, NULL);
}

static void frees_too_early(struct test_rank *me, void *arg)
{
	struct ipcshare_request *request;
	struct team t;

	(void)arg;
	team_join(me, &t);
	REQUIRE_OK(ipcshare_barrier_start(t.group, &request));
	CHECK_FAILS(ipcshare_group_free(t.group), IPCSHARE_ERR_BUSY);
	CHECK_HAS(ipcshare_last_error()->text, "request");
	CHECK_STATUS(ipcshare_request_wait(&request), 0);
	team_leave(&t);
}

static void a_group_with_a_request_is_busy(void)
{
	test_ranks(2, frees_too_early, NULL);
}

static void abandons(struct test_rank *me, void *arg)
{
	struct ipcshare_request *request;
	struct team t;
	int done;

	(void)arg;
	team_join(me, &t);
	REQUIRE_OK(ipcshare_barrier_start(t.group, &request));
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_abandon(t.ctx), 0);
	if (t.rank)
		CHECK_FAILS(ipcshare_request_wait(&request), IPCSHARE_ERR_CLOSED);
	else
		CHECK_FAILS(ipcshare_request_test(&request, &done), IPCSHARE_ERR_CLOSED);
	CHECK(!request, "it is given back");
	test_rank_barrier(me, 2);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void a_request_of_an_abandoned_group_is_closed(void)
{
	test_ranks(2, abandons, NULL);
}

TEST_SUITE(coll_request, NULL, NULL,
	TEST(many_may_be_started_and_ended_in_any_order),
	TEST(a_call_ends_what_was_started_before_it),
	TEST(a_test_does_not_wait_for_a_rank_that_has_not_started),
	TEST(a_wait_has_a_deadline),
	TEST(a_test_notices_a_peer_that_died),
	TEST(wrong_arguments_come_with_the_end_on_all_ranks),
	TEST(a_group_with_a_request_is_busy),
	TEST(a_request_of_an_abandoned_group_is_closed));
