/* SPDX-License-Identifier: BSD-3-Clause */
/* A rank that alters what it shows on the board: before the others read it, and while they do. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "group/board.h"
#include "memory/context.h"
#include "rounds.h"
#include "team.h"

#define RANKS 3
#define HOSTILE 1
#define CALLS 12 /* in one group, if none fails */
#define QUIET_MS 20000
#define WAIT_MS 100 /* of a rank, for a post that was altered away */

/* ---- What the hostile rank does ---- */

struct vandal {
	struct ipcshare__control *page;
	struct rounds rounds;
	uint64_t random; /* of the rank itself */
	uint64_t random_there; /* of its second thread */
	pthread_t thread;
	_Atomic bool ends;
};

static uint64_t draw(uint64_t *state, uint64_t n)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*state >> 33) % n;
}

static void alter(uint64_t *word, uint64_t *random)
{
	uint64_t value = __atomic_load_n(word, __ATOMIC_RELAXED);

	switch (draw(random, 4)) {
	case 0:
		value = draw(random, 1 << 20);
		break;
	case 1:
		value = ~value;
		break;
	default:
		value ^= UINT64_C(1) << draw(random, 64);
	}
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* Of what it is about to say: an offer, or a blob and its descriptors. */
static void alter_body(struct ipcshare_group *g, void *arg)
{
	struct vandal *v = arg;
	uint64_t *body = (uint64_t *)ipcshare__board_slot(g)->body;

	if (!draw(&v->random, 3))
		alter(body + draw(&v->random, draw(&v->random, 2) ? 11 : 60), &v->random);
}

/* Of what it has said: a header, or a detail. */
static void alter_front(struct ipcshare_group *g, void *arg)
{
	struct vandal *v = arg;
	struct ipcshare__slot *slot = ipcshare__board_slot_in(g->page, g->round);

	if (!draw(&v->random, 16))
		alter((uint64_t *)&slot->front + draw(&v->random, sizeof(slot->front) / 8), &v->random);
	v->rounds.special++; /* the next one too */
}

/* At any time any word, also a flag; mostly of those that the others copy and look at. */
static uint64_t *any_word(struct vandal *v)
{
	uint64_t *random = &v->random_there, kind = draw(random, 32);
	struct ipcshare__slot *slot = ipcshare__board_slot_in(v->page, draw(random, 2));

	if (kind < 14)
		return (uint64_t *)&slot->front + draw(random, sizeof(slot->front) / 8);
	if (kind < 29)
		return (uint64_t *)slot->body + draw(random, 60);
	if (kind < 31)
		return (uint64_t *)slot + draw(random, sizeof(*slot) / 8);
	return (uint64_t *)v->page + draw(random, sizeof(*v->page) / 8);
}

static void *alters(void *arg)
{
	struct vandal *v = arg;

	while (!atomic_load(&v->ends)) {
		alter(any_word(v), &v->random_there);
		for (uint64_t n = draw(&v->random_there, 20); n; n--)
			sched_yield();
	}
	return NULL;
}

static void vandal_start(struct vandal *v, struct ipcshare_group *group)
{
	v->page = group->page;
	v->rounds = (struct rounds){
		.special = 1, .before_post = alter_body, .before_wait = alter_front, .arg = v,
	};
	rounds_watch(&v->rounds);
	atomic_store(&v->ends, false);
	REQUIRE_INT(pthread_create(&v->thread, NULL, alters, v), 0);
}

static void vandal_stop(struct vandal *v)
{
	rounds_watch(NULL);
	atomic_store(&v->ends, true);
	pthread_join(v->thread, NULL);
}

/* ---- What all ranks call meanwhile ---- */

#define LONG ((size_t)320 << 10) /* goes directly, where it lies in shared memory */
#define GUARD 4096
#define ROOM (RANKS * LONG)

struct victim {
	struct team t;
	char *memory; /* guard, what is sent, guard, what is received, guard */
	int calls, failures;
	uint64_t slowest_ns;
};

static char *sent(const struct victim *v)
{
	return v->memory + GUARD;
}

static char *received(const struct victim *v)
{
	return v->memory + ROOM + 2 * GUARD;
}

/* What a set shows is there, from the first byte to the last. */
static void touch(const volatile char *p, size_t len)
{
	if (p) {
		(void)p[0];
		(void)p[len - 1];
	}
}

static int share_and_free(struct victim *v, unsigned flags)
{
	struct ipcshare_buf bufs[40];
	struct ipcshare_set *set;
	int err;

	for (size_t i = 0; i < 40; i++) /* runs, and what is none */
		bufs[i] = (struct ipcshare_buf){ sent(v) + i * (i < 20 ? 64 : 61), 40 };
	err = ipcshare_share(v->t.group, bufs, 40, flags, &set);
	if (err)
		return err;
	for (int r = 0; r < RANKS; r++)
		for (size_t i = 0; i < 40; i++)
			touch(ipcshare_ptr(set, r, i), ipcshare_len(set, r, i));
	return ipcshare_set_free(set);
}

static int call_one(struct victim *v, int which)
{
	struct ipcshare_group *g = v->t.group;
	size_t len = which % 3 == 0 ? 8 : which % 3 == 1 ? LONG / 4 : LONG;

	switch (which / 3) { /* a half of them shares */
	case 0:
		return ipcshare_allgather(g, sent(v), received(v), len, IPCSHARE_UINT8);
	case 1:
		return ipcshare_alltoall(g, sent(v), received(v), len, IPCSHARE_UINT8);
	case 2:
		return ipcshare_allreduce(g, sent(v), received(v), len, IPCSHARE_UINT8, IPCSHARE_SUM);
	case 3:
		return ipcshare_bcast(g, received(v), len, IPCSHARE_UINT8, which % RANKS);
	case 4:
		return ipcshare_gather(g, sent(v), received(v), len, IPCSHARE_UINT8, which % RANKS);
	case 5:
		return ipcshare_scan(g, sent(v), received(v), len, IPCSHARE_UINT8, IPCSHARE_SUM);
	default:
		return share_and_free(v, which % 3 == 0 ? IPCSHARE_LAZY : 0);
	}
}
#define KINDS 36

static void check_guards(const struct victim *v)
{
	for (int i = 0; i < 3; i++)
		CHECK_BYTES(v->memory + (size_t)i * (ROOM + GUARD), 0x5a, GUARD);
}

/* Whatever came, a failure has a name. */
static int check_one(struct victim *v, int which)
{
	uint64_t start = ipcshare__now_ns(), ns;
	int err = call_one(v, which);

	ns = ipcshare__now_ns() - start;
	v->slowest_ns = ns > v->slowest_ns ? ns : v->slowest_ns;
	v->calls++;
	v->failures += err != 0;
	if (err) {
		CHECK_INT(ipcshare_last_error()->status, err);
		CHECK(ipcshare_last_error()->text[0] && err >= IPCSHARE_ERR_SYSTEM && err < 0,
		      "%d has no name", err);
	}
	return err;
}

/* ---- One group after the other ---- */

static void live_once(struct test_rank *me, struct victim *v, struct vandal *vandal, uint64_t *random)
{
	struct ipcshare_bootstrap b = test_rank_bootstrap(me, 0, 0);
	struct ipcshare_set *set;

	v->t.ctx->timeout_ms = QUIET_MS;
	REQUIRE_OK(ipcshare_group_create(v->t.ctx, &b, &v->t.group));
	set = team_share(&v->t, &(struct ipcshare_buf){ v->memory, 2 * ROOM + 3 * GUARD }, 1, 0);
	test_rank_barrier(me, 1);
	v->t.ctx->timeout_ms = WAIT_MS;
	if (me->rank == HOSTILE)
		vandal_start(vandal, v->t.group);
	for (int i = 0, err = 0; i < CALLS; i++) {
		int which = (int)draw(random, KINDS);

		err = err ?: check_one(v, which);
	}
	test_rank_barrier(me, 1);
	if (me->rank == HOSTILE)
		vandal_stop(vandal);
	test_rank_barrier(me, 1);
	ipcshare_set_free(set); /* here, whatever the others are at */
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_group_free(v->t.group), 0);
	if (me->rank != HOSTILE) /* where its own bytes go is what it says */
		check_guards(v);
}

static void is_in_bad_company(struct test_rank *me, void *arg)
{
	uint64_t seed = test_setting("TEST_SEED", 1), random = seed;
	struct vandal vandal = { .random = seed + 1, .random_there = seed + 2 };
	struct victim v = { .t = { .rank = me->rank, .nranks = RANKS } };

	test_resources(&v.t.before);
	v.t.ctx = team_open(QUIET_MS);
	v.memory = team_alloc(v.t.ctx, 2 * ROOM + 3 * GUARD);
	memset(v.memory, 0x5a, 2 * ROOM + 3 * GUARD);
	for (int i = 0; i < *(int *)arg; i++)
		live_once(me, &v, &vandal, &random);
	test_rank_barrier(me, 1); /* nobody has it mapped any more */
	CHECK_STATUS(ipcshare_free(v.t.ctx, v.memory), 0);
	CHECK_STATUS(ipcshare_close(v.t.ctx), 0);
	CHECK_NOTHING_LEAKED(&v.t.before);
	test_figure("%srank: %d of %d calls failed, the slowest took %ju ms",
		    me->rank == HOSTILE ? "hostile " : "", v.failures, v.calls,
		    (uintmax_t)(v.slowest_ns / 1000000));
	CHECK(v.failures && v.failures < v.calls, "%d of %d calls failed", v.failures, v.calls);
}

static void a_rank_that_alters_its_words_at_any_time_breaks_nobody(void)
{
	int groups = (int)test_setting("TEST_CASES", 60);

	test_ranks(RANKS, is_in_bad_company, &groups);
}

TEST_SUITE(group_hostile, NULL, NULL,
	TEST(a_rank_that_alters_its_words_at_any_time_breaks_nobody));
