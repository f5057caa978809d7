/* SPDX-License-Identifier: BSD-3-Clause */
/* Bootstraps that fail, and ranks that don't do the same: nobody waits for ever. */
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/identity.h"
#include "rounds.h"
#include "team.h"

#define MS 1000000u

/* ---- Callbacks that fail ---- */

static void lives_with_a_failing_callback(struct test_rank *me, void *arg)
{
	struct team t = { .rank = me->rank };
	uint64_t start;
	int err;

	(void)arg;
	test_resources(&t.before);
	t.ctx = team_open(1000);
	CHECK_FAILS(ipcshare_alloc(t.ctx, 0, NULL), IPCSHARE_ERR_INVALID); /* an older failure */
	test_rank_barrier(me, 1);
	start = ipcshare__now_ns();
	err = team_live(&t, me);
	/* Before the ranks have met, those that wait can only see that the deadline passes. */
	if (me->rank == 1)
		CHECK_FAILS(err, IPCSHARE_ERR_BOOTSTRAP);
	else
		CHECK(err == IPCSHARE_ERR_BOOTSTRAP || err == IPCSHARE_ERR_TIMEOUT, "%s",
		      ipcshare_status_name(err));
	if (me->rank == 1)
		CHECK_HAS(ipcshare_last_error()->text, "bootstrap");
	CHECK(ipcshare__now_ns() - start < 15000 * (uint64_t)MS, "it waited for the deadline");
	CHECK_PTR(t.group, NULL);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void fail_at(int use, int with)
{
	struct test_ranks o = {
		.nranks = 3, .fn = lives_with_a_failing_callback,
		.fail_rank = 1, .fail_use = use, .fail_with = with,
	};

	test_ranks_with(&o);
}

static void a_callback_that_fails_once_fails_every_rank(void)
{
	for (int use = 1; use <= TEAM_CREATE; use++)
		fail_at(use, 0);
}

/* Numbers that look like statuses of ours, one of them that of the last error. */
static void what_a_callback_returns_is_not_taken_for_a_status(void)
{
	fail_at(2, IPCSHARE_ERR_INVALID);
	fail_at(2, IPCSHARE_ERR_STALE);
	fail_at(3, -1000);
}

static void needs_no_callback_any_more(struct test_rank *me, void *arg)
{
	struct team t;

	(void)arg;
	team_join(me, &t);
	CHECK_INT(me->uses, TEAM_CREATE);
	CHECK_STATUS(ipcshare_set_free(team_share(&t, NULL, 0, 0)), 0);
	team_leave(&t);
	CHECK_INT(me->uses, TEAM_CREATE);
}

static void only_the_creation_of_a_group_uses_its_bootstrap(void)
{
	test_ranks(3, needs_no_callback_any_more, NULL);
}

/* ---- Ranks that give up ---- */

static void gives_up(struct ipcshare_group *g, void *arg)
{
	(void)arg;
	ipcshare__exchange_quit(g, ipcshare__fail(IPCSHARE_ERR_LIMIT, "test", "", "as the test wants"));
}

/* In its round @arg: without a post of its own then, as if there were no memory left. */
static void lives_with_a_quitter(struct test_rank *me, void *arg)
{
	int quits_in = *(int *)arg;
	struct rounds rounds = { .special = quits_in - 1, .after = gives_up };
	struct team t = { .rank = me->rank };
	struct ipcshare_set *set;
	uint64_t start;
	int err;

	test_resources(&t.before);
	t.ctx = team_open(20000);
	if (me->rank == 1)
		rounds_watch(&rounds);
	start = ipcshare__now_ns();
	err = team_live(&t, me);
	CHECK_FAILS(err, IPCSHARE_ERR_LIMIT);
	CHECK(ipcshare__now_ns() - start < 15000 * (uint64_t)MS, "it waited for the deadline");
	if (me->rank != 1)
		CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK_FAILS(ipcshare_share(t.group, NULL, 0, 0, &set), IPCSHARE_ERR_LIMIT);
	CHECK_STATUS(ipcshare_group_free(t.group), 0);
	CHECK_INT(me->released, 1);
	CHECK(me->broken, "release() could wait for ever");
	test_rank_barrier(me, 1); /* peers may still have had a set */
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void a_rank_that_gives_up_fails_every_rank(void)
{
	for (int round = 2; round <= TEAM_ROUNDS; round++)
		test_ranks(3, lives_with_a_quitter, &round);
}

static void gives_up_at_the_end(struct test_rank *me, void *arg)
{
	struct team t;

	(void)arg;
	team_join_for(me, 20000, &t);
	if (t.rank == 1)
		gives_up(t.group, NULL);
	team_leave(&t); /* 0 all the same */
	CHECK_INT(me->released, 1);
	CHECK(me->broken, "release() could wait for ever");
}

static void a_group_is_freed_although_its_last_exchange_fails(void)
{
	test_ranks(2, gives_up_at_the_end, NULL);
}

/* ---- Ranks that don't do the same ---- */

static void calls_something_else(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = NULL, *other = NULL;
	struct team t;
	int err;

	(void)arg;
	team_join_for(me, 20000, &t);
	REQUIRE_OK(ipcshare_share(t.group, NULL, 0, 0, &set));
	err = me->rank == 1 ? ipcshare_set_free(set)
			    : ipcshare_share(t.group, NULL, 0, 0, &other);
	CHECK_FAILS(err, IPCSHARE_ERR_MISMATCH);
	CHECK_HAS(ipcshare_last_error()->text, "ipcshare_set_free");
	CHECK_HAS(ipcshare_last_error()->text, "ipcshare_share");
	CHECK_PTR(other, NULL);
	if (me->rank != 1)
		CHECK_FAILS(ipcshare_set_free(set), IPCSHARE_ERR_MISMATCH); /* it is freed */
	CHECK_INT(team_counters(t.ctx).sets, 0);
	team_leave(&t);
}

static void different_calls_are_a_mismatch_on_all(void)
{
	test_ranks(3, calls_something_else, NULL);
}

static void frees_in_another_order(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set[2];
	struct team t;

	(void)arg;
	team_join_for(me, 20000, &t);
	for (int i = 0; i < 2; i++)
		REQUIRE_OK(ipcshare_share(t.group, NULL, 0, 0, &set[i]));
	CHECK_FAILS(ipcshare_set_free(set[me->rank]), IPCSHARE_ERR_MISMATCH);
	CHECK_FAILS(ipcshare_set_free(set[!me->rank]), IPCSHARE_ERR_MISMATCH);
	CHECK_FAILS(ipcshare_set_free(set[0]), IPCSHARE_ERR_CLOSED);
	team_leave(&t);
}

static void sets_freed_in_another_order_are_a_mismatch(void)
{
	test_ranks(2, frees_in_another_order, NULL);
}

static void waits_for_one_that_never_calls(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = NULL;
	uint64_t start;
	struct team t;

	(void)arg;
	team_join_for(me, 1000, &t);
	start = ipcshare__now_ns(); /* before any rank's wait begins, for they tell each other */
	test_rank_barrier(me, 1);
	if (me->rank != 1) {
		CHECK_FAILS(ipcshare_share(t.group, NULL, 0, 0, &set), IPCSHARE_ERR_TIMEOUT);
		CHECK(ipcshare__now_ns() - start >= 1000 * (uint64_t)MS, "that was too early");
		CHECK_INT(ipcshare_last_error()->rank, 1);
		CHECK_PTR(set, NULL);
	}
	test_rank_barrier(me, 1);
	if (me->rank == 1) /* too late, and it hears so at once */
		CHECK_FAILS(ipcshare_share(t.group, NULL, 0, 0, &set), IPCSHARE_ERR_TIMEOUT);
	team_leave(&t);
}

static void a_rank_that_never_calls_is_named_at_the_deadline(void)
{
	test_ranks(3, waits_for_one_that_never_calls, NULL);
}

/* Rank 0 does not come either, but rank 1 stands. */
static void waits_for_one_that_stands(struct test_rank *me, void *arg)
{
	int pids[3], pid = getpid();
	struct ipcshare_set *set = NULL;
	struct team t;

	team_join_for(me, 300, &t);
	test_rank_gatherv(me, 1, &pid, pids, (size_t[]){ sizeof(pid), sizeof(pid), sizeof(pid) });
	if (me->rank == 1)
		raise(SIGSTOP);
	if (me->rank == 2) {
		while (!ipcshare__identity_stopped(&t.group->members[1].identity))
			sched_yield();
		CHECK_FAILS(ipcshare_share(t.group, NULL, 0, 0, &set), IPCSHARE_ERR_TIMEOUT);
		CHECK_INT(ipcshare_last_error()->rank, 1);
		CHECK_HAS(ipcshare_last_error()->text, "is stopped");
		kill(pids[1], SIGCONT);
	}
	test_rank_barrier(me, 1);
	for (int late = *(int *)arg, i = 0; i < 2; i++, late = !late) { /* in either order */
		if (me->rank == late) {
			CHECK_FAILS(ipcshare_share(t.group, NULL, 0, 0, &set), IPCSHARE_ERR_TIMEOUT);
			CHECK_INT(ipcshare_last_error()->rank, 1); /* as all are told */
		}
		test_rank_barrier(me, 1);
	}
	team_leave(&t);
}

static void a_stopped_rank_is_named_before_those_that_are_only_late(void)
{
	test_ranks(3, waits_for_one_that_stands, &(int){ 0 });
	test_ranks(3, waits_for_one_that_stands, &(int){ 1 });
}

/* ---- One comes as the other gives up ---- */

enum moment {
	BEFORE_IT_DOUBTS,
	BEFORE_IT_DECIDES,
	AFTER_ITS_VERDICT
};

struct passing {
	enum moment moment; /* of rank 0, at which rank 1 posts the last round of a share */
	int status; /* that both have then */
	struct test_rank *me;
};

static void comes_when_told(struct ipcshare_group *g, void *arg)
{
	(void)g;
	test_rank_barrier(((struct passing *)arg)->me, 1);
}

/* It has its verdict before this rank goes on. */
static void tells_the_late_one(struct ipcshare_group *g, void *arg)
{
	comes_when_told(g, arg);
	comes_when_told(g, arg);
}

static void shares_in_time_or_too_late(struct test_rank *me, void *arg)
{
	struct passing p = *(struct passing *)arg;
	struct rounds rounds = { .special = 2, .arg = &p };
	struct ipcshare_set *set = NULL;
	struct team t;
	int err;

	p.me = me;
	team_join_for(me, me->rank ? 5000 : 300, &t);
	if (me->rank)
		rounds.before_post = comes_when_told;
	else if (p.moment == BEFORE_IT_DOUBTS)
		rounds.before_doubt = tells_the_late_one;
	else if (p.moment == BEFORE_IT_DECIDES)
		rounds.in_doubt = tells_the_late_one;
	rounds_watch(&rounds);
	err = ipcshare_share(t.group, NULL, 0, 0, &set);
	rounds_watch(NULL);
	CHECK_STATUS(err, p.status);
	if (err)
		CHECK_INT(ipcshare_last_error()->rank, 1);
	if (me->rank)
		test_rank_barrier(me, 1);
	else if (p.moment == AFTER_ITS_VERDICT)
		tells_the_late_one(NULL, &p);
	if (set)
		CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_group_free(t.group), 0);
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
}

static void whoever_comes_as_the_deadline_passes_has_the_verdict_of_the_others(void)
{
	struct passing in_time = { .moment = BEFORE_IT_DOUBTS };
	struct passing just_so = { .moment = BEFORE_IT_DECIDES };
	struct passing too_late = { .moment = AFTER_ITS_VERDICT, .status = IPCSHARE_ERR_TIMEOUT };

	test_ranks(2, shares_in_time_or_too_late, &in_time);
	test_ranks(2, shares_in_time_or_too_late, &just_so);
	test_ranks(2, shares_in_time_or_too_late, &too_late);
}

/* ---- A verdict that nobody gave ---- */

static void names_the_reader(struct ipcshare_group *g, void *arg)
{
	(void)arg;
	g->page->doubts = g->round + 1;
	g->page->verdict = (g->round + 1) << 16 | 2; /* rank 1, which has not doubted */
}

static void hears_of_a_failure_of_its_own(struct test_rank *me, void *arg)
{
	struct rounds rounds = { .special = 2, .before_post = names_the_reader };
	struct ipcshare_set *set = NULL;
	struct team t;

	(void)arg;
	team_join_for(me, 5000, &t);
	if (!me->rank)
		rounds_watch(&rounds);
	CHECK_STATUS(ipcshare_share(t.group, NULL, 0, 0, &set), me->rank ? IPCSHARE_ERR_PROTOCOL : 0);
	rounds_watch(NULL);
	CHECK(!me->rank == !!set, "rank %d has %s set", me->rank, set ? "a" : "no");
	if (set)
		CHECK_FAILS(ipcshare_set_free(set), IPCSHARE_ERR_PROTOCOL);
	CHECK_STATUS(ipcshare_group_free(t.group), 0);
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
}

static void a_verdict_that_names_its_reader_is_a_protocol_error(void)
{
	test_ranks(2, hears_of_a_failure_of_its_own, NULL);
}

TEST_SUITE(group_faults, NULL, NULL,
	TEST(a_callback_that_fails_once_fails_every_rank),
	TEST(what_a_callback_returns_is_not_taken_for_a_status),
	TEST(only_the_creation_of_a_group_uses_its_bootstrap),
	TEST(a_rank_that_gives_up_fails_every_rank),
	TEST(a_group_is_freed_although_its_last_exchange_fails),
	TEST(different_calls_are_a_mismatch_on_all),
	TEST(sets_freed_in_another_order_are_a_mismatch),
	TEST(a_rank_that_never_calls_is_named_at_the_deadline),
	TEST(a_stopped_rank_is_named_before_those_that_are_only_late),
	TEST(whoever_comes_as_the_deadline_passes_has_the_verdict_of_the_others),
	TEST(a_verdict_that_names_its_reader_is_a_protocol_error));
