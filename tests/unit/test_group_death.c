/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks that die, and bytes that come late. */
#include <poll.h>
#include <signal.h>

#include "base/clock.h"
#include "base/error.h"
#include "rounds.h"
#include "team.h"

#define MS 1000000u

static struct ipcshare_group *const untouched = (struct ipcshare_group *)16;

static void dies(struct ipcshare_group *g, void *arg)
{
	(void)g;
	(void)arg;
	raise(SIGKILL);
}

static void check_death_is_named(struct team *t)
{
	struct ipcshare_peer peer = { .size = sizeof(peer) };
	struct ipcshare_set *set = NULL;
	uint64_t start = ipcshare__now_ns(), ms;

	CHECK_FAILS(ipcshare_share(t->group, NULL, 0, 0, &set), IPCSHARE_ERR_PEER_DEAD);
	ms = (ipcshare__now_ns() - start) / MS;
	CHECK(ms < 2000, "%ju ms", (uintmax_t)ms);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK_PTR(set, NULL);
	CHECK_STATUS(ipcshare_group_peer(t->group, 1, &peer), 0);
	CHECK_INT(peer.alive, 0);
}

/* All but rank 1, which is dead. */
static void survivors_meet(struct test_rank *me)
{
	test_rank_bootstrap(me, 2, ((1u << me->nranks) - 1) & ~2u);
	test_rank_barrier(me, 2);
}

static void outlives_another(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = NULL;
	struct ipcshare_buf buf;
	struct team t;

	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 4096), 4096 };
	if (arg)
		REQUIRE_OK(ipcshare_share(t.group, &buf, 1, 0, &set));
	if (me->rank == 1)
		raise(SIGKILL);
	check_death_is_named(&t);
	if (set) {
		memset(ipcshare_ptr(set, 1, 0), 1, 4096); /* what is mapped stays */
		CHECK_FAILS(ipcshare_group_free(t.group), IPCSHARE_ERR_BUSY);
		CHECK_FAILS(ipcshare_set_free(set), IPCSHARE_ERR_PEER_DEAD);
	}
	CHECK_STATUS(ipcshare_group_free(t.group), 0);
	CHECK(me->broken, "release() could wait for ever");
	survivors_meet(me);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0); /* the dead hold nothing */
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void a_killed_rank_is_named_within_two_seconds(void)
{
	struct test_ranks o = { .nranks = 3, .fn = outlives_another, .dies = 1u << 1 };

	test_ranks_with(&o);
	o.arg = "with a set that it holds";
	test_ranks_with(&o);
}

static void outlives_one_in_a_share(struct test_rank *me, void *arg)
{
	struct rounds rounds = { .special = 1 };
	struct ipcshare_set *set;
	struct team t;

	if (arg)
		rounds.before_post = dies;
	else
		rounds.after = dies;
	team_join(me, &t);
	if (me->rank == 1) {
		rounds_watch(&rounds);
		ipcshare_share(t.group, NULL, 0, 0, &set);
	}
	check_death_is_named(&t);
	team_leave(&t);
}

static void a_rank_killed_inside_a_share_is_named_too(void)
{
	struct test_ranks o = { .nranks = 3, .fn = outlives_one_in_a_share, .dies = 1u << 1 };

	test_ranks_with(&o);
	o.arg = "before it said anything";
	test_ranks_with(&o);
}

#define REFUSED_ROUNDS 4 /* of a share that is refused: in the last one all have let go */

static void outlives_one_behind_a_verdict(struct test_rank *me, void *arg)
{
	struct rounds rounds = { .special = REFUSED_ROUNDS, .before_post = dies };
	struct ipcshare_buf bad = { &rounds, 1 };
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	rounds_watch(me->rank == 1 ? &rounds : NULL);
	CHECK_FAILS(ipcshare_share(t.group, &bad, 1, IPCSHARE_ALL_OR_NOTHING, &set),
		    IPCSHARE_ERR_NOT_SHAREABLE);
	check_death_is_named(&t);
	team_leave(&t);
}

/* The share had its verdict, and the round that came to nothing could not be its result. */
static void a_death_that_a_call_could_not_tell_is_named_by_the_next(void)
{
	struct test_ranks o = {
		.nranks = 3, .fn = outlives_one_behind_a_verdict, .dies = 1u << 1,
	};

	test_ranks_with(&o);
}

/* ---- In the creation of a group, over the bootstrap ---- */

/* One around another that does something more before one of its uses. */
struct around {
	struct ipcshare_bootstrap inner;
	int use, special;
	int (*before)(struct ipcshare_wait *wait);
};

static int around_gather(void *arg, struct ipcshare_wait *wait, const void *mine, size_t len,
			 void *all)
{
	struct around *a = arg;
	int err = ++a->use == a->special ? a->before(wait) : 0;

	return err ? err : a->inner.allgather(a->inner.arg, wait, mine, len, all);
}

static int killed(struct ipcshare_wait *wait)
{
	(void)wait;
	return raise(SIGKILL);
}

/* It polls for long between two ticks. */
static int ticks_slowly(struct ipcshare_wait *wait)
{
	int err = 0;

	for (int i = 0; i < 200 && !err; i++) {
		poll(NULL, 0, 50);
		err = ipcshare_wait_tick(wait);
	}
	return err;
}

static void outlives_another_slowly(struct test_rank *me, void *arg)
{
	struct around a = { me->bootstrap, 0, *(int *)arg, me->rank ? killed : ticks_slowly };
	struct ipcshare_bootstrap b = me->bootstrap;
	struct ipcshare_group *group = untouched;
	struct ipcshare_ctx *ctx = team_open(0);
	uint64_t start = ipcshare__now_ns();

	b.arg = &a;
	b.allgather = around_gather;
	b.release = NULL;
	CHECK_FAILS(ipcshare_group_create(ctx, &b, &group), IPCSHARE_ERR_PEER_DEAD);
	CHECK(ipcshare__now_ns() - start < 2000 * (uint64_t)MS, "that took too long");
	CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK_PTR(group, untouched);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

/* From its hello on the process is known. */
static void a_callback_that_ticks_slowly_sees_a_death_as_soon(void)
{
	int use = 2;
	struct test_ranks o = {
		.nranks = 2, .fn = outlives_another_slowly, .arg = &use, .dies = 1u << 1,
	};

	for (; use <= TEAM_CREATE; use++)
		test_ranks_with(&o);
}

static void waits_for_the_dead(struct test_rank *me, void *arg)
{
	struct ipcshare_group *group = untouched;
	struct ipcshare_ctx *ctx;

	(void)arg;
	if (me->rank == 1)
		raise(SIGKILL);
	ctx = team_open(300);
	CHECK_FAILS(ipcshare_group_create(ctx, &me->bootstrap, &group), IPCSHARE_ERR_TIMEOUT);
	CHECK_PTR(group, untouched);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void a_rank_that_died_before_the_group_is_a_timeout(void)
{
	struct test_ranks o = { .nranks = 2, .fn = waits_for_the_dead, .dies = 1u << 1 };

	test_ranks_with(&o);
}

/* ---- What was said before ---- */

static void waits_until_the_peer_is_dead(struct ipcshare_group *g, void *arg)
{
	struct ipcshare_peer peer = { .size = sizeof(peer), .alive = 1 };

	(void)arg;
	while (peer.alive)
		REQUIRE_OK(ipcshare_group_peer(g, 1, &peer));
}

static void maps_lazily_of_the_dead(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = NULL;
	struct ipcshare_buf buf;
	struct team t;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 4096), 4096 };
	REQUIRE_OK(ipcshare_share(t.group, &buf, 1, IPCSHARE_LAZY, &set));
	if (me->rank == 1)
		raise(SIGKILL);
	waits_until_the_peer_is_dead(t.group, NULL);
	CHECK_PTR(ipcshare_ptr_lazy(set, 1, 0), NULL);
	CHECK_STATUS(ipcshare_last_error()->status, IPCSHARE_ERR_PEER_DEAD);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK_FAILS(ipcshare_set_free(set), IPCSHARE_ERR_PEER_DEAD);
	team_leave(&t);
}

/* Its broker is not there, and its keys may be unknown to the driver; but that is why. */
static void memory_of_the_dead_can_not_be_mapped_for_its_owner_is_dead(void)
{
	struct test_ranks o = { .nranks = 2, .fn = maps_lazily_of_the_dead, .dies = 1u << 1 };

	test_ranks_with(&o);
}

static void hears_the_last_words_of_the_dead(struct test_rank *me, void *arg)
{
	struct rounds rounds = {
		.special = TEAM_ROUNDS, .before_wait = waits_until_the_peer_is_dead,
	};
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	rounds_watch(me->rank ? NULL : &rounds);
	REQUIRE_OK(ipcshare_share(t.group, NULL, 0, 0, &set));
	CHECK_STATUS(ipcshare_set_free(set), 0);
	if (me->rank == 1)
		raise(SIGKILL);
	CHECK_INT(rounds.posted, TEAM_ROUNDS);
	team_leave(&t);
}

/* It said 0 on rank 1, which went away happily: it must not say PEER_DEAD on rank 0. */
static void an_exchange_that_the_dead_completed_is_complete(void)
{
	struct test_ranks o = {
		.nranks = 2, .fn = hears_the_last_words_of_the_dead, .dies = 1u << 1,
	};

	test_ranks_with(&o);
}

static void waits_until_the_peer_gave_up(struct ipcshare_group *g, void *arg)
{
	(void)g;
	test_rank_barrier(arg, 1);
}

static void hears_the_last_words_of_a_quitter(struct test_rank *me, void *arg)
{
	struct rounds rounds = {
		.special = TEAM_ROUNDS, .before_wait = waits_until_the_peer_gave_up, .arg = me,
	};
	struct ipcshare_set *set, *other;
	struct team t;

	(void)arg;
	team_join(me, &t);
	rounds_watch(me->rank ? NULL : &rounds);
	REQUIRE_OK(ipcshare_share(t.group, NULL, 0, 0, &set));
	CHECK_STATUS(ipcshare_set_free(set), 0);
	if (me->rank == 1) {
		ipcshare__exchange_quit(t.group, ipcshare__fail(IPCSHARE_ERR_LIMIT, "test", "", "-"));
		test_rank_barrier(me, 1);
	}
	CHECK_FAILS(ipcshare_share(t.group, NULL, 0, 0, &other), IPCSHARE_ERR_LIMIT);
	team_leave(&t);
}

static void an_exchange_before_the_one_that_failed_is_complete(void)
{
	test_ranks(2, hears_the_last_words_of_a_quitter, NULL);
}

TEST_SUITE(group_death, NULL, NULL,
	TEST(a_killed_rank_is_named_within_two_seconds),
	TEST(a_rank_killed_inside_a_share_is_named_too),
	TEST(a_death_that_a_call_could_not_tell_is_named_by_the_next),
	TEST(a_callback_that_ticks_slowly_sees_a_death_as_soon),
	TEST(a_rank_that_died_before_the_group_is_a_timeout),
	TEST(memory_of_the_dead_can_not_be_mapped_for_its_owner_is_dead),
	TEST(an_exchange_that_the_dead_completed_is_complete),
	TEST(an_exchange_before_the_one_that_failed_is_complete));
