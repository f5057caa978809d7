/* SPDX-License-Identifier: BSD-3-Clause */
/* Updates of sets: what changes, what stays, what is let go, and that it is all or nothing. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "group/set.h"
#include "rounds.h"
#include "team.h"

#define N 10

/* N buffers of one allocation, filled with what rank and number say. */
static char *make_bufs(struct team *t, struct ipcshare_buf *bufs, size_t index)
{
	char *p = team_alloc(t->ctx, N * 100);

	for (size_t i = 0; i < N; i++) {
		bufs[i] = (struct ipcshare_buf){ p + 100 * i, 90 + i };
		team_fill(bufs[i].ptr, bufs[i].len, t->rank, index + i);
	}
	return p;
}

/* Every buffer is as it was made, but those in @changed come from the second allocation. */
static void check_set(const struct ipcshare_set *set, const int *changed)
{
	for (int r = 0; r < set->nranks; r++)
		for (size_t i = 0; i < N; i++) {
			CHECK_INT(ipcshare_len(set, r, i), 90 + i);
			CHECK_STATUS(ipcshare_set_status(set, r, i), 0);
			team_check(ipcshare_ptr(set, r, i), 90 + i, r, i + 100 * changed[i]);
		}
}

static void exchanges_some(struct test_rank *me, void *arg)
{
	const size_t index[] = { 7, 2, 9 };
	int changed[N] = { 0 };
	struct ipcshare_buf old[N], fresh[N], to[3];
	const struct ipcshare_row *table;
	struct ipcshare_set *set;
	void *const *device;
	void *stays;
	struct team t;
	char *first, *second;

	(void)arg;
	team_join(me, &t);
	first = make_bufs(&t, old, 0);
	second = make_bufs(&t, fresh, 100);
	set = team_share(&t, old, N, 0);
	table = ipcshare_table(set, !t.rank);
	CHECK_PTR(ipcshare_table(set, -1), NULL);
	CHECK_PTR(ipcshare_table(set, t.nranks), NULL);
	CHECK_INT(table->count, N);
	REQUIRE_OK(ipcshare_table_device(set, !t.rank, &device));
	stays = ipcshare_ptr(set, !t.rank, 0);
	check_set(set, changed);
	for (size_t k = 0; k < 3; k++) {
		to[k] = fresh[index[k]];
		changed[index[k]] = 1;
	}
	/* Rank 0 first in two steps, the others at once: k differs. */
	if (!t.rank) {
		REQUIRE_OK(ipcshare_set_update(set, index, to, 2, 0));
		REQUIRE_OK(ipcshare_set_update(set, index + 2, to + 2, 1, 0));
	} else {
		REQUIRE_OK(ipcshare_set_update(set, NULL, NULL, 0, 0));
		REQUIRE_OK(ipcshare_set_update(set, index, to, 3, IPCSHARE_ALL_OR_NOTHING));
	}
	check_set(set, changed);
	CHECK_PTR(ipcshare_ptr(set, !t.rank, 0), stays);
	CHECK_PTR(ipcshare_table(set, !t.rank), table);
	for (size_t i = 0; i < N; i++)
		CHECK_PTR(device[i], ipcshare_ptr(set, !t.rank, i));
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_IMPORT), 2 * (t.nranks - 1));
	CHECK_FAILS(ipcshare_free(t.ctx, first), IPCSHARE_ERR_BUSY); /* seven are still in it */
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, first), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, second), 0);
	team_leave(&t);
}

static void k_buffers_change_and_all_others_stay(void)
{
	test_ranks(3, exchanges_some, NULL);
}

/* As soon as the last buffer of an allocation has left the set, its owner may free it. */
static void moves_on(struct test_rank *me, void *arg)
{
	size_t index[N];
	struct ipcshare_buf bufs[N];
	struct test_resources before;
	struct ipcshare_set *set;
	struct team t;
	char *last;

	(void)arg;
	team_join(me, &t);
	for (size_t i = 0; i < N; i++)
		index[i] = i;
	last = make_bufs(&t, bufs, 0);
	set = team_share(&t, bufs, N, arg ? IPCSHARE_LAZY : 0);
	for (size_t step = 1; step < 60; step++) {
		char *next = make_bufs(&t, bufs, step);

		if (step == 10)
			team_resources(me, &before);
		REQUIRE_OK(ipcshare_set_update(set, index, bufs, N - 1, 0));
		CHECK_FAILS(ipcshare_free(t.ctx, last), IPCSHARE_ERR_BUSY); /* the last is in it */
		REQUIRE_OK(ipcshare_set_update(set, index + N - 1, bufs + N - 1, 1, 0));
		CHECK_STATUS(ipcshare_free(t.ctx, last), 0);
		for (size_t i = 0; i < N; i++)
			team_check(ipcshare_ptr_lazy(set, !t.rank, i), 90 + i, !t.rank, i + step);
		last = next;
		test_rank_barrier(me, 1);
	}
	TEAM_NOTHING_LEAKED(me, &before);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void what_leaves_the_set_can_be_freed_at_once(void)
{
	test_ranks(2, moves_on, NULL);
	test_ranks(2, moves_on, "lazily");
}

/* ---- All or nothing ---- */

#define BAD_RANK 1

static void fails_to_exchange(struct test_rank *me, void *arg)
{
	static const int unchanged[N] = { 0 };
	const size_t index[] = { 3, 4, 5 }, twice[] = { 3, 4, 3 }, high[] = { 3, N, 5 },
		     max[] = { 3, SIZE_MAX, 5 };
	struct ipcshare_set *set, *other;
	struct ipcshare_buf old[N], fresh[N];
	struct team t;
	char *second;
	int bad;

	(void)arg;
	team_join(me, &t);
	bad = t.rank == BAD_RANK;
	make_bufs(&t, old, 0);
	second = make_bufs(&t, fresh, 100);
	set = team_share(&t, old, N, 0);
	other = team_share(&t, old, N, 0);
	CHECK_FAILS(ipcshare_set_update(set, bad ? twice : index, fresh, 3, 0), IPCSHARE_ERR_INVALID);
	CHECK_INT(ipcshare_last_error()->rank, BAD_RANK);
	CHECK_INT(ipcshare_last_error()->index, 2);
	CHECK_FAILS(ipcshare_set_update(set, bad ? high : index, fresh, 3, 0), IPCSHARE_ERR_INVALID);
	CHECK_INT(ipcshare_last_error()->index, 1);
	CHECK_FAILS(ipcshare_set_update(set, bad ? max : index, fresh, 3, 0), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_set_update(set, bad ? NULL : index, fresh, 3, 0), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_set_update(set, index, bad ? NULL : fresh, 3, 0), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_set_update(set, index, fresh, 3, bad ? IPCSHARE_LAZY : 0),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_set_update(bad ? other : set, index, fresh, 3, 0),
		    IPCSHARE_ERR_MISMATCH);
	CHECK_FAILS(ipcshare_set_update(NULL, index, fresh, 3, 0), IPCSHARE_ERR_INVALID);
	if (bad)
		fresh[1].ptr = &t;
	CHECK_FAILS(ipcshare_set_update(set, index, fresh, 3, IPCSHARE_ALL_OR_NOTHING),
		    IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_INT(ipcshare_last_error()->rank, BAD_RANK);
	CHECK_INT(ipcshare_last_error()->index, 1);
	check_set(set, unchanged);
	check_set(other, unchanged);
	CHECK_INT(ipcshare_set_failures(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, second), 0); /* nobody kept it */
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_set_free(other), 0);
	CHECK_FAILS(ipcshare_set_update(set, index, fresh, 3, 0), IPCSHARE_ERR_CLOSED);
	team_leave(&t);
}

static void a_failed_update_leaves_the_set_as_it_was(void)
{
	test_ranks(3, fails_to_exchange, NULL);
}

static void exchanges_bad_ones(struct test_rank *me, void *arg)
{
	const size_t index[] = { 0, 1 };
	struct ipcshare_buf bufs[N], to[2] = { { NULL, 0 }, { &to, 5 } };
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	make_bufs(&t, bufs, 0);
	set = team_share(&t, bufs, N, 0);
	REQUIRE_OK(ipcshare_set_update(set, index, to, 2, 0));
	CHECK_INT(ipcshare_set_failures(set), t.nranks * t.nranks);
	for (int r = 0; r < t.nranks; r++) {
		CHECK_PTR(ipcshare_ptr(set, r, 0), NULL);
		CHECK_STATUS(ipcshare_set_status(set, r, 0), 0);
		CHECK_PTR(ipcshare_ptr(set, r, 1), NULL);
		CHECK_STATUS(ipcshare_set_status(set, r, 1), IPCSHARE_ERR_NOT_SHAREABLE);
		team_check(ipcshare_ptr(set, r, 2), 92, r, 2);
	}
	REQUIRE_OK(ipcshare_set_update(set, index, bufs, 2, 0)); /* and back */
	CHECK_INT(ipcshare_set_failures(set), 0);
	for (int r = 0; r < t.nranks; r++)
		for (size_t i = 0; i < N; i++)
			team_check(ipcshare_ptr(set, r, i), 90 + i, r, i);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void a_buffer_that_fails_does_not_stop_an_update(void)
{
	test_ranks(3, exchanges_bad_ones, NULL);
}

/* Rank 2 has no descriptors left: its peers hear it, and the set is whole. */
static void one_cannot_import(struct test_rank *me, void *arg)
{
	static const int unchanged[N] = { 0 };
	const size_t index[] = { 3 };
	struct ipcshare_buf old[N], fresh[N];
	struct rlimit all, few;
	struct ipcshare_set *set;
	struct team t;
	char *second;
	int poor;

	(void)arg;
	team_join(me, &t);
	poor = t.rank == 2;
	make_bufs(&t, old, 0);
	second = make_bufs(&t, fresh, 100);
	set = team_share(&t, old, N, 0);
	getrlimit(RLIMIT_NOFILE, &all);
	few = all;
	few.rlim_cur = 3;
	if (poor)
		setrlimit(RLIMIT_NOFILE, &few);
	CHECK_FAILS(ipcshare_set_update(set, index, fresh, !poor, IPCSHARE_ALL_OR_NOTHING),
		    IPCSHARE_ERR_LIMIT);
	CHECK_INT(ipcshare_last_error()->rank, 0); /* whose buffer it is */
	check_set(set, unchanged);
	REQUIRE_OK(ipcshare_set_update(set, index, fresh, !poor, 0));
	setrlimit(RLIMIT_NOFILE, &all);
	CHECK_INT(ipcshare_set_failures(set), 2);
	CHECK_STATUS(ipcshare_set_status(set, 0, 3), poor ? IPCSHARE_ERR_LIMIT : 0);
	/* What lies in it fails as long as it is in the set. */
	CHECK_FAILS(ipcshare_set_update(set, (size_t[]){ 4 }, fresh, !poor, IPCSHARE_ALL_OR_NOTHING),
		    IPCSHARE_ERR_LIMIT);
	CHECK_INT(ipcshare_set_failures(set), 2);
	REQUIRE_OK(ipcshare_set_update(set, index, old + 3, !poor, IPCSHARE_ALL_OR_NOTHING));
	CHECK_INT(ipcshare_set_failures(set), 0);
	check_set(set, unchanged);
	CHECK_STATUS(ipcshare_free(t.ctx, second), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void a_rank_that_cannot_import_undoes_it_for_all(void)
{
	test_ranks(3, one_cannot_import, NULL);
}

/* ---- Sets of the split form, and ranks that die ---- */

static void updates_a_local_set(void)
{
	struct ipcshare_ctx *ctx = team_open(0);
	struct ipcshare_group *group;
	struct ipcshare_share *s;
	struct ipcshare_set *set;
	const void *blob;
	size_t len;

	REQUIRE_OK(ipcshare_group_create(ctx, &team_alone, &group));
	REQUIRE_OK(ipcshare_share_begin(group, NULL, 0, 0, &s, &blob, &len));
	REQUIRE_OK(ipcshare_share_complete(s, &blob, &len, &set));
	CHECK_FAILS(ipcshare_set_update(set, NULL, NULL, 0, 0), IPCSHARE_ERR_INVALID);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_group_free(group), 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void outlives_an_updater(struct test_rank *me, void *arg)
{
	static const int unchanged[N] = { 0 };
	struct ipcshare_buf old[N], fresh[N];
	const size_t index[] = { 1 };
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	make_bufs(&t, old, 0);
	make_bufs(&t, fresh, 100);
	set = team_share(&t, old, N, 0);
	if (t.rank != 1)
		test_rank_bootstrap(me, 1, 1u << 0 | 1u << 2);
	if (t.rank == 1)
		raise(SIGKILL);
	CHECK_FAILS(ipcshare_set_update(set, index, fresh, 1, 0), IPCSHARE_ERR_PEER_DEAD);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	check_set(set, unchanged);
	CHECK_FAILS(ipcshare_set_update(set, index, fresh, 1, 0), IPCSHARE_ERR_PEER_DEAD);
	CHECK_FAILS(ipcshare_set_free(set), IPCSHARE_ERR_PEER_DEAD);
	test_rank_barrier(me, 1); /* nobody has the other's memory mapped */
	team_leave(&t);
}

static void a_dead_rank_is_named_and_the_set_is_as_it_was(void)
{
	struct test_ranks o = { .nranks = 3, .fn = outlives_an_updater, .dies = 1u << 1 };

	test_ranks_with(&o);
}

/* ---- Beside pushes into buffers that stay ---- */

#define GROWN 40 /* allocations that come into the set one by one */

struct pusher {
	struct ipcshare_set *set;
	int peer;
	_Atomic int done;
};

static void *pushes_on(void *arg)
{
	struct pusher *p = arg;
	unsigned char byte = 7;
	struct ipcshare_item item = { p->peer, 0, 0, 1, &byte };

	while (!atomic_load(&p->done))
		CHECK_STATUS(ipcshare_push(p->set, &item, 1), 0);
	return NULL;
}

static void pushes_meanwhile(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[2];
	struct pusher p = { .done = 0 };
	pthread_t thread;
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (int i = 0; i < 2; i++)
		bufs[i] = (struct ipcshare_buf){ team_alloc(t.ctx, 64), 64 };
	p.set = team_share(&t, bufs, 2, 0);
	p.peer = !t.rank;
	REQUIRE_INT(pthread_create(&thread, NULL, pushes_on, &p), 0);
	for (int i = 0; i < GROWN; i++) {
		bufs[1].ptr = team_alloc(t.ctx, 64);
		REQUIRE_OK(ipcshare_set_update(p.set, (size_t[]){ 1 }, &bufs[1], 1, 0));
	}
	atomic_store(&p.done, 1);
	pthread_join(thread, NULL);
	test_rank_barrier(me, 1);
	CHECK_BYTES(bufs[0].ptr, 7, 1);
	CHECK_STATUS(ipcshare_set_free(p.set), 0);
	team_leave(&t);
}

static void others_are_pushed_to_meanwhile(void)
{
	test_ranks(2, pushes_meanwhile, NULL);
}

static void a_set_of_the_split_form_cannot_be_updated(void)
{
	updates_a_local_set();
}

/* ---- Peers that lie ---- */

/* The blob of an update that tells of a buffer the set has not, or of one twice, is refused. */
struct tampering {
	uint32_t indices[2];
};

static void tampers(struct ipcshare_group *g, void *arg)
{
	unsigned char *bytes = ipcshare__board_slot(g)->body;
	const struct tampering *d = arg;
	struct ipcshare__wire_blob head;

	memcpy(&head, bytes, sizeof(head));
	memcpy(bytes + sizeof(head) + head.nregions * sizeof(struct ipcshare__wire_region),
	       d->indices, sizeof(d->indices));
}

static void hears_lies(struct test_rank *me, void *arg)
{
	struct rounds rounds = { .special = 1, .before_post = tampers, .arg = arg };
	static const int unchanged[N] = { 0 };
	const size_t index[] = { 1, 2 };
	struct ipcshare_buf bufs[N];
	struct ipcshare_set *set;
	struct team t;

	team_join(me, &t);
	make_bufs(&t, bufs, 0);
	set = team_share(&t, bufs, N, 0);
	rounds_watch(t.rank == 0 ? &rounds : NULL);
	CHECK_FAILS(ipcshare_set_update(set, index, bufs + 1, 2, 0), IPCSHARE_ERR_PROTOCOL);
	CHECK_INT(ipcshare_last_error()->rank, 0);
	check_set(set, unchanged);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void false_numbers_of_buffers_are_refused(void)
{
	static const struct tampering lies[] = { { { 1, 1 } }, { { 1, N } }, { { UINT32_MAX, 1 } } };

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct tampering lie = lies[i];

		test_ranks(2, hears_lies, &lie);
	}
}

TEST_SUITE(update, NULL, NULL,
	TEST(k_buffers_change_and_all_others_stay),
	TEST(what_leaves_the_set_can_be_freed_at_once),
	TEST(a_failed_update_leaves_the_set_as_it_was),
	TEST(a_buffer_that_fails_does_not_stop_an_update),
	TEST(a_rank_that_cannot_import_undoes_it_for_all),
	TEST(others_are_pushed_to_meanwhile),
	TEST(a_set_of_the_split_form_cannot_be_updated),
	TEST(a_dead_rank_is_named_and_the_set_is_as_it_was),
	TEST(false_numbers_of_buffers_are_refused));
