/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks that die, and bytes that come late. */
#include <poll.h>
#include <signal.h>

#include "base/clock.h"
#include "team.h"

#define MS 1000000u

static struct ipcshare_group *const untouched = (struct ipcshare_group *)16;

/* A bootstrap around another that does something more before or after one of its uses. */
struct around {
	struct ipcshare_bootstrap inner;
	struct test_rank *me;
	struct ipcshare_group *group;
	int use, special; /* number of the next use; of the one that is special, from 1 */
	int (*before)(struct around *a, struct ipcshare_wait *wait);
	int (*after)(struct around *a, struct ipcshare_wait *wait);
};

static int around_begin(struct around *a, struct ipcshare_wait *wait)
{
	return ++a->use == a->special && a->before ? a->before(a, wait) : 0;
}

static int around_end(struct around *a, struct ipcshare_wait *wait, int err)
{
	return !err && a->use == a->special && a->after ? a->after(a, wait) : err;
}

static int around_gather(void *arg, struct ipcshare_wait *wait, const void *mine, size_t len,
			 void *all)
{
	struct around *a = arg;
	int err = around_begin(a, wait);

	if (!err)
		err = a->inner.allgather(a->inner.arg, wait, mine, len, all);
	return around_end(a, wait, err);
}

static int around_gatherv(void *arg, struct ipcshare_wait *wait, const void *mine, void *all,
			  const size_t *lens)
{
	struct around *a = arg;
	int err = around_begin(a, wait);

	if (!err)
		err = a->inner.allgatherv(a->inner.arg, wait, mine, all, lens);
	return around_end(a, wait, err);
}

static int around_barrier(void *arg, struct ipcshare_wait *wait)
{
	struct around *a = arg;
	int err = around_begin(a, wait);

	if (!err)
		err = a->inner.barrier(a->inner.arg, wait);
	return around_end(a, wait, err);
}

/* Join with @a around the rank's bootstrap. */
static void join_around(struct test_rank *me, struct around *a, struct team *t)
{
	struct ipcshare_bootstrap b = me->bootstrap;

	a->inner = b;
	a->me = me;
	b.arg = a;
	b.allgather = around_gather;
	b.allgatherv = around_gatherv;
	b.barrier = around_barrier;
	b.release = NULL;
	*t = (struct team){ .rank = me->rank, .nranks = me->nranks };
	test_resources(&t->before);
	t->ctx = team_open(0);
	REQUIRE_OK(ipcshare_group_create(t->ctx, &b, &t->group));
	a->group = t->group;
}

static int dies(struct around *a, struct ipcshare_wait *wait)
{
	(void)a;
	(void)wait;
	return raise(SIGKILL);
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
	struct around a = { .special = me->rank == 1 ? 4 : 0, .before = dies };
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	join_around(me, &a, &t);
	if (me->rank == 1)
		ipcshare_share(t.group, NULL, 0, 0, &set);
	check_death_is_named(&t);
	team_leave(&t);
}

/* It has entered the exchange, so for a moment its bytes might be on their way. */
static void a_rank_killed_inside_a_share_is_named_too(void)
{
	struct test_ranks o = { .nranks = 3, .fn = outlives_one_in_a_share, .dies = 1u << 1 };

	test_ranks_with(&o);
}

/* A bootstrap that polls for long between two ticks. */
static int ticks_slowly(struct around *a, struct ipcshare_wait *wait)
{
	int err = 0;

	(void)a;
	for (int i = 0; i < 200 && !err; i++) {
		poll(NULL, 0, 50);
		err = ipcshare_wait_tick(wait);
	}
	return err;
}

static void outlives_another_slowly(struct test_rank *me, void *arg)
{
	struct around a = { .special = 4, .before = ticks_slowly };
	struct team t;

	(void)arg;
	join_around(me, &a, &t);
	if (me->rank == 1)
		raise(SIGKILL);
	check_death_is_named(&t);
	team_leave(&t);
}

static void a_callback_that_ticks_slowly_sees_a_death_as_soon(void)
{
	struct test_ranks o = { .nranks = 2, .fn = outlives_another_slowly, .dies = 1u << 1 };

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

/* Our bytes are late: the library looks around more than once before we have them. */
static int look_around(struct ipcshare_wait *wait)
{
	uint64_t start = ipcshare__now_ns();
	int err = 0;

	while (!err && ipcshare__now_ns() - start < 50 * (uint64_t)MS)
		err = ipcshare_wait_tick(wait);
	return err;
}

static int is_late_until_the_peer_is_dead(struct around *a, struct ipcshare_wait *wait)
{
	struct ipcshare_peer peer = { .size = sizeof(peer), .alive = 1 };

	while (peer.alive)
		REQUIRE_OK(ipcshare_group_peer(a->group, 1, &peer));
	return look_around(wait);
}

static void has_the_last_bytes_of_the_dead(struct test_rank *me, void *arg)
{
	struct around a = {
		.special = me->rank ? 0 : 7, .after = is_late_until_the_peer_is_dead,
	};
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	join_around(me, &a, &t);
	REQUIRE_OK(ipcshare_share(t.group, NULL, 0, 0, &set));
	CHECK_STATUS(ipcshare_set_free(set), 0);
	if (me->rank == 1)
		raise(SIGKILL);
	CHECK_INT(a.use, 7);
	team_leave(&t);
}

/* It said 0 on rank 1, which went away happily: it must not say PEER_DEAD on rank 0. */
static void an_exchange_that_the_dead_completed_is_complete(void)
{
	struct test_ranks o = { .nranks = 2, .fn = has_the_last_bytes_of_the_dead, .dies = 1u << 1 };

	test_ranks_with(&o);
}

static int is_late_until_the_peer_gave_up(struct around *a, struct ipcshare_wait *wait)
{
	test_rank_barrier(a->me, 1);
	return look_around(wait);
}

static void has_the_last_bytes_of_a_quitter(struct test_rank *me, void *arg)
{
	struct around a = {
		.special = me->rank ? 0 : 7, .after = is_late_until_the_peer_gave_up,
	};
	struct ipcshare_set *set, *other;
	struct team t;

	(void)arg;
	join_around(me, &a, &t);
	REQUIRE_OK(ipcshare_share(t.group, NULL, 0, 0, &set));
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_FAILS(ipcshare_share(t.group, NULL, 0, 0, &other), IPCSHARE_ERR_BOOTSTRAP);
	if (me->rank == 1)
		test_rank_barrier(me, 1);
	team_leave(&t);
}

static void an_exchange_before_the_one_that_failed_is_complete(void)
{
	struct test_ranks o = {
		.nranks = 2, .fn = has_the_last_bytes_of_a_quitter, .fail_rank = 1, .fail_use = 8,
	};

	test_ranks_with(&o);
}

TEST_SUITE(group_death, NULL, NULL,
	TEST(a_killed_rank_is_named_within_two_seconds),
	TEST(a_rank_killed_inside_a_share_is_named_too),
	TEST(a_callback_that_ticks_slowly_sees_a_death_as_soon),
	TEST(a_rank_that_died_before_the_group_is_a_timeout),
	TEST(an_exchange_that_the_dead_completed_is_complete),
	TEST(an_exchange_before_the_one_that_failed_is_complete));
