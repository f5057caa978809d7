/* SPDX-License-Identifier: BSD-3-Clause */
/* Lazy sets: nothing is mapped before it is asked for, and what is asked for is mapped once. */
#include <pthread.h>

#include "team.h"

#define ALLOCS 6
#define EACH 3 /* buffers of an allocation */
#define N (ALLOCS * EACH)

/* Buffer i lies in allocation i % ALLOCS. */
static void make_bufs(struct team *t, struct ipcshare_buf bufs[N])
{
	for (size_t a = 0; a < ALLOCS; a++) {
		char *p = team_alloc(t->ctx, EACH * 100);

		for (size_t i = a; i < N; i += ALLOCS) {
			bufs[i] = (struct ipcshare_buf){ p + i / ALLOCS * 100, 100 };
			team_fill(bufs[i].ptr, 100, t->rank, i);
		}
	}
}

static uint64_t imports(struct team *t)
{
	return team_calls_of(t->ctx, IPCSHARE_CALL_IMPORT);
}

static void shares_lazily(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[N];
	struct ipcshare_set *set;
	struct team t;
	int peer;

	(void)arg;
	team_join(me, &t);
	peer = (t.rank + 1) % t.nranks;
	make_bufs(&t, bufs);
	set = team_share(&t, bufs, N, IPCSHARE_LAZY);
	CHECK_INT(imports(&t), 0);
	CHECK_INT(team_counters(t.ctx).bytes_mapped, 0);
	for (size_t i = 0; i < N; i++) {
		CHECK_PTR(ipcshare_ptr(set, t.rank, i), bufs[i].ptr); /* ours is there */
		CHECK_PTR(ipcshare_ptr(set, peer, i), NULL);
		CHECK_INT(ipcshare_len(set, peer, i), 100);
		CHECK_STATUS(ipcshare_set_status(set, peer, i), 0);
	}
	CHECK_INT(ipcshare_set_failures(set), 0);
	team_check(ipcshare_ptr_lazy(set, peer, 1), 100, peer, 1);
	CHECK_INT(imports(&t), 1);
	CHECK_PTR(ipcshare_ptr(set, peer, 1), ipcshare_ptr_lazy(set, peer, 1));
	CHECK_PTR(ipcshare_ptr(set, peer, 1 + ALLOCS), NULL); /* nobody asked */
	for (size_t i = 1; i < N; i += ALLOCS)
		team_check(ipcshare_ptr_lazy(set, peer, i), 100, peer, i);
	CHECK_INT(imports(&t), 1);
	for (size_t i = 0; i < N; i++)
		team_check(ipcshare_ptr_lazy(set, peer, i), 100, peer, i);
	CHECK_INT(imports(&t), ALLOCS);
	CHECK_INT(team_counters(t.ctx).bytes_mapped, ALLOCS * EACH * 100);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	for (size_t a = 0; a < ALLOCS; a++) /* all were let go */
		CHECK_STATUS(ipcshare_free(t.ctx, bufs[a].ptr), 0);
	test_rank_barrier(me, 1);
	CHECK_INT(team_counters(t.ctx).bytes_mapped, 0);
	team_leave(&t);
}

static void only_what_is_asked_for_is_mapped(void)
{
	test_ranks(3, shares_lazily, NULL);
}

/* Only rank 0 is lazy; and what it has of another set is there at once. */
static void one_is_lazy(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set, *again;
	struct ipcshare_buf bufs[N];
	struct team t;

	(void)arg;
	team_join(me, &t);
	make_bufs(&t, bufs);
	set = team_share(&t, bufs, N, t.rank ? 0 : IPCSHARE_LAZY);
	CHECK_INT(imports(&t), t.rank ? ALLOCS : 0);
	again = team_share(&t, bufs, 1, IPCSHARE_ALL_OR_NOTHING);
	CHECK_INT(imports(&t), t.rank ? ALLOCS : 1);
	team_check(ipcshare_ptr_lazy(set, !t.rank, 0), 100, !t.rank, 0);
	CHECK_PTR(ipcshare_ptr(again, !t.rank, 0), ipcshare_ptr(set, !t.rank, 0));
	CHECK_INT(imports(&t), t.rank ? ALLOCS : 1);
	CHECK_STATUS(ipcshare_set_free(again), 0);
	team_check(ipcshare_ptr(set, !t.rank, 0), 100, !t.rank, 0);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void lazy_concerns_the_caller_alone(void)
{
	test_ranks(2, one_is_lazy, NULL);
}

static void asks_in_vain(struct test_rank *me, void *arg)
{
	char foreign[10];
	struct ipcshare_buf bufs[3] = { { NULL, 0 }, { foreign, 10 }, { NULL, 100 } };
	struct ipcshare_share *s;
	struct ipcshare_set *set;
	const void *blob;
	struct team t;
	size_t len;

	(void)arg;
	team_join(me, &t);
	bufs[2].ptr = team_alloc(t.ctx, 100);
	set = team_share(&t, bufs, 3, arg ? IPCSHARE_LAZY : 0);
	for (int r = 0; r < t.nranks; r++) {
		CHECK_PTR(ipcshare_ptr_lazy(set, r, 0), NULL);
		CHECK_PTR(ipcshare_ptr_lazy(set, r, 1), NULL);
		CHECK_FAILS(ipcshare_last_error()->status, IPCSHARE_ERR_NOT_SHAREABLE);
		CHECK_INT(ipcshare_last_error()->rank, r);
		CHECK_INT(ipcshare_last_error()->index, 1);
		CHECK(ipcshare_ptr_lazy(set, r, 2), "%s", ipcshare_explain());
		CHECK_PTR(ipcshare_ptr_lazy(set, r, 3), NULL);
		CHECK_FAILS(ipcshare_last_error()->status, IPCSHARE_ERR_INVALID);
	}
	CHECK_PTR(ipcshare_ptr_lazy(set, -1, 0), NULL);
	CHECK_PTR(ipcshare_ptr_lazy(set, t.nranks, 0), NULL);
	CHECK_PTR(ipcshare_ptr_lazy(NULL, 0, 0), NULL);
	CHECK_FAILS(ipcshare_last_error()->status, IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_begin(t.group, bufs, 3, IPCSHARE_LAZY, &s, &blob, &len),
		    IPCSHARE_ERR_INVALID);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void what_cannot_be_mapped_says_why(void)
{
	test_ranks(2, asks_in_vain, NULL);
	test_ranks(2, asks_in_vain, "lazily");
}

/* A pull or push maps what its items need, and no more. */
static void pulls_lazily(struct test_rank *me, void *arg)
{
	unsigned char got[3][100];
	struct ipcshare_item items[3];
	struct ipcshare_buf bufs[N];
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	make_bufs(&t, bufs);
	set = team_share(&t, bufs, N, IPCSHARE_LAZY);
	/* Buffers of two allocations. */
	for (size_t i = 0; i < 3; i++)
		items[i] = (struct ipcshare_item){ !t.rank, i < 2 ? i : ALLOCS, 0, 100, got[i] };
	CHECK_STATUS(ipcshare_pull(set, items, 3), 0);
	CHECK_INT(imports(&t), 2);
	for (size_t i = 0; i < 3; i++)
		team_check(got[i], 100, !t.rank, items[i].index);
	items[0].index = 3; /* the same bytes to another buffer of the peer */
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_push(set, items, 1), 0);
	CHECK_INT(imports(&t), 3);
	test_rank_barrier(me, 1);
	team_check(bufs[3].ptr, 100, t.rank, 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void a_pull_maps_what_it_needs(void)
{
	test_ranks(2, pulls_lazily, NULL);
}

/* ---- Threads ---- */

#define THREADS 4
#define ROUNDS 20

struct asker {
	pthread_t thread;
	struct ipcshare_set *set;
	int first, peer;
};

static void *asks_for_all(void *arg)
{
	struct asker *a = arg;

	for (size_t k = 0; k < N; k++) {
		size_t i = (k + (size_t)a->first) % N;
		void *p = ipcshare_ptr(a->set, a->peer, i), *lazy;
		unsigned char got[100];
		struct ipcshare_item item = { a->peer, i, 0, sizeof(got), got };

		if (a->first % 2) { /* some by pulls */
			CHECK_STATUS(ipcshare_pull(a->set, &item, 1), 0);
			team_check(got, sizeof(got), a->peer, i);
		}
		lazy = ipcshare_ptr_lazy(a->set, a->peer, i);
		CHECK(!p || p == lazy, "%p and %p", p, lazy);
		team_check(lazy, 100, a->peer, i);
	}
	return NULL;
}

/* Rank 0 only changes its own buffer; its peer's askers look at all others meanwhile. */
static void asks_with_threads(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[N], spare[2];
	struct team t;

	(void)arg;
	team_join(me, &t);
	make_bufs(&t, bufs);
	for (int i = 0; i < 2; i++)
		spare[i] = (struct ipcshare_buf){ team_alloc(t.ctx, 50), 50 };
	for (int round = 0; round < ROUNDS; round++) {
		struct ipcshare_set *set;
		struct asker a[THREADS];
		struct ipcshare_buf all[N + 1];

		memcpy(all, bufs, sizeof(bufs));
		all[N] = spare[0];
		set = team_share(&t, all, N + 1, IPCSHARE_LAZY);
		for (int i = 0; i < THREADS; i++) {
			a[i] = (struct asker){ .set = set, .first = i * 5, .peer = !t.rank };
			REQUIRE_INT(pthread_create(&a[i].thread, NULL, asks_for_all, &a[i]), 0);
		}
		REQUIRE_OK(ipcshare_set_update(set, (size_t[]){ N }, &spare[1], 1, 0));
		for (int i = 0; i < THREADS; i++)
			pthread_join(a[i].thread, NULL);
		test_rank_barrier(me, 1);
		CHECK_STATUS(ipcshare_set_free(set), 0);
	}
	CHECK_INT(imports(&t), ALLOCS); /* each once, whoever asked first */
	for (size_t i = 0; i < ALLOCS; i++)
		CHECK_STATUS(ipcshare_free(t.ctx, bufs[i].ptr), 0);
	team_leave(&t);
}

static void threads_ask_at_once_while_others_are_exchanged(void)
{
	test_ranks(2, asks_with_threads, NULL);
}

TEST_SUITE(lazy, NULL, NULL,
	TEST(only_what_is_asked_for_is_mapped),
	TEST(lazy_concerns_the_caller_alone),
	TEST(what_cannot_be_mapped_says_why),
	TEST(a_pull_maps_what_it_needs),
	TEST(threads_ask_at_once_while_others_are_exchanged));
