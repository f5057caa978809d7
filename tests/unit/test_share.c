/* SPDX-License-Identifier: BSD-3-Clause */
/* Shares and sets, by forked ranks: who sees what, and what is left when they end. */
#include "team.h"

/* ---- Content ---- */

/* Rank r shares 3 * r buffers; the lengths come from both numbers, every fifth is 0. */
static size_t how_many(int rank)
{
	return 3 * (size_t)rank;
}

static size_t how_long(int rank, size_t i)
{
	return i % 5 == 4 ? 0 : 1 + (size_t)(rank + 1) * 517 * (i + 1) % 9001;
}

/* Cut from two allocations in turn. */
static void cut(struct team *t, void *memory[2], struct ipcshare_buf *bufs)
{
	size_t used[2] = { 0, 0 };

	for (size_t i = 0; i < how_many(t->rank); i++) {
		size_t len = how_long(t->rank, i);

		bufs[i] = (struct ipcshare_buf){ (char *)memory[i % 2] + used[i % 2], len };
		used[i % 2] += len;
		team_fill(bufs[i].ptr, len, t->rank, i);
	}
}

static void check_contents(struct team *t, const struct ipcshare_set *set, int writer)
{
	for (int r = 0; r < t->nranks; r++) {
		REQUIRE_INT(ipcshare_count(set, r), how_many(r));
		for (size_t i = 0; i < how_many(r); i++) {
			void *p = ipcshare_ptr(set, r, i);

			CHECK_INT(ipcshare_len(set, r, i), how_long(r, i));
			CHECK_STATUS(ipcshare_set_status(set, r, i), 0);
			REQUIRE(!p == !how_long(r, i), "buffer %zu of rank %d is at %p", i, r, p);
			team_check(p, how_long(r, i), writer < 0 ? r : writer, i);
		}
	}
}

static void reads_and_writes_everything(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[3 * 8];
	struct ipcshare_set *set;
	void *memory[2];
	struct team t;

	(void)arg;
	team_join(me, &t);
	memory[0] = team_alloc(t.ctx, 200000);
	memory[1] = team_alloc(t.ctx, 200000);
	cut(&t, memory, bufs);
	set = team_share(&t, bufs, how_many(t.rank), 0);
	CHECK_INT(set->nranks, t.nranks);
	CHECK_INT(set->rank, t.rank);
	CHECK_INT(ipcshare_set_failures(set), 0);
	for (size_t i = 0; i < how_many(t.rank); i++)
		if (bufs[i].len)
			CHECK_PTR(ipcshare_ptr(set, t.rank, i), bufs[i].ptr);
	check_contents(&t, set, -1);
	/* The last rank writes into all buffers, everybody looks. */
	test_rank_barrier(me, 1);
	for (int r = 0; r < t.nranks && t.rank == t.nranks - 1; r++)
		for (size_t i = 0; i < how_many(r); i++)
			team_fill(ipcshare_ptr(set, r, i), how_long(r, i), 77, i);
	test_rank_barrier(me, 1);
	check_contents(&t, set, 77);
	for (size_t i = 0; i < how_many(t.rank); i++)
		team_check(bufs[i].ptr, bufs[i].len, 77, i);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, memory[0]), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, memory[1]), 0);
	if (!arg)
		team_leave(&t);
	else
		team_leave_quietly(&t);
}

static void every_rank_reads_and_writes_every_buffer_in_place(void)
{
	for (int n = 1; n <= 8; n *= 2)
		test_ranks(n, reads_and_writes_everything, NULL);
}

static void threads_share_like_processes(void)
{
	struct test_resources before;

	test_resources(&before);
	test_thread_ranks(3, reads_and_writes_everything, "threads");
	CHECK_NOTHING_LEAKED(&before);
}

static void looks_out_of_range(struct test_rank *me, void *arg)
{
	struct ipcshare_buf buf;
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 100), 100 };
	set = team_share(&t, &buf, 1, 0);
	CHECK_PTR(ipcshare_ptr(set, -1, 0), NULL);
	CHECK_PTR(ipcshare_ptr(set, 2, 0), NULL);
	CHECK_PTR(ipcshare_ptr(set, 0, 1), NULL);
	CHECK_PTR(ipcshare_ptr(set, 0, SIZE_MAX), NULL);
	CHECK_INT(ipcshare_len(set, -1, 0), 0);
	CHECK_INT(ipcshare_len(set, 2, 0), 0);
	CHECK_INT(ipcshare_len(set, 0, 1), 0);
	CHECK_INT(ipcshare_count(set, -1), 0);
	CHECK_INT(ipcshare_count(set, 2), 0);
	CHECK_FAILS(ipcshare_set_status(set, -1, 0), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_set_status(set, 2, 0), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_set_status(set, 1, 1), IPCSHARE_ERR_INVALID);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void what_is_out_of_range_is_nothing(void)
{
	test_ranks(2, looks_out_of_range, NULL);
}

static void shares_one_buffer_often(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[3];
	struct ipcshare_set *one, *two;
	int peer = !me->rank;
	struct team t;
	char *p;

	(void)arg;
	team_join(me, &t);
	p = team_alloc(t.ctx, 10000);
	bufs[0] = bufs[2] = (struct ipcshare_buf){ p + 100, 1000 };
	bufs[1] = (struct ipcshare_buf){ p, 10000 }; /* overlaps */
	team_fill(p, 10000, t.rank, 0);
	one = team_share(&t, bufs, 3, 0);
	two = team_share(&t, bufs, 2, 0);
	CHECK_PTR(ipcshare_ptr(one, peer, 0), ipcshare_ptr(one, peer, 2));
	CHECK_PTR(ipcshare_ptr(one, peer, 0), (char *)ipcshare_ptr(one, peer, 1) + 100);
	CHECK_PTR(ipcshare_ptr(one, peer, 0), ipcshare_ptr(two, peer, 0));
	CHECK_INT(team_counters(t.ctx).sets, 2);
	CHECK_STATUS(ipcshare_set_free(one), 0);
	team_check(ipcshare_ptr(two, peer, 1), 10000, peer, 0); /* the other set still has it */
	CHECK_FAILS(ipcshare_free(t.ctx, p), IPCSHARE_ERR_BUSY);
	CHECK_STATUS(ipcshare_set_free(two), 0);
	CHECK_INT(team_counters(t.ctx).sets, 0);
	CHECK_STATUS(ipcshare_free(t.ctx, p), 0);
	team_leave(&t);
}

static void a_buffer_may_appear_twice_and_in_many_sets(void)
{
	test_ranks(2, shares_one_buffer_often, NULL);
}

/* ---- Lifetime ---- */

static void frees_twice(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	set = team_share(&t, NULL, 0, 0); /* nothing at all, on every rank */
	CHECK_INT(ipcshare_count(set, 0), 0);
	CHECK_STATUS(ipcshare_set_free(NULL), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_FAILS(ipcshare_set_free(set), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_set_status(set, 0, 0), IPCSHARE_ERR_CLOSED);
	CHECK_INT(ipcshare_set_failures(set), 0);
	CHECK_FAILS(ipcshare_last_error()->status, IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_set_status(NULL, 0, 0), IPCSHARE_ERR_INVALID);
	team_leave(&t);
}

static void a_freed_set_is_closed(void)
{
	test_ranks(2, frees_twice, NULL);
}

static void frees_what_is_shared(struct test_rank *me, void *arg)
{
	struct test_resources before, now;
	struct ipcshare_buf buf;
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	team_resources(me, &before);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 1 << 20), 1 << 20 };
	set = team_share(&t, &buf, 1, 0);
	test_resources(&now);
	CHECK_INT(now.memfd_maps, before.memfd_maps + t.nranks);
	CHECK_INT(team_counters(t.ctx).bytes_mapped, (t.nranks - 1) << 20);
	CHECK_FAILS(ipcshare_free(t.ctx, buf.ptr), IPCSHARE_ERR_BUSY);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	test_resources(&now);
	CHECK_INT(now.memfd_maps, before.memfd_maps + t.nranks); /* kept for the next share */
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	CHECK_FAILS(ipcshare_free(t.ctx, buf.ptr), IPCSHARE_ERR_NOT_SHAREABLE);
	/* Also what was mapped of the peers is gone, for they have freed theirs. */
	TEAM_NOTHING_LEAKED(me, &before);
	CHECK_INT(team_counters(t.ctx).bytes_mapped, 0);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_CLOSE_IMPORT), t.nranks - 1);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_CLOSE_EXPORT), 1);
	team_leave(&t);
}

static void freed_memory_is_mapped_nowhere(void)
{
	test_ranks(3, frees_what_is_shared, NULL);
}

/* A new allocation gets the old one's place in every table: nobody may see the old bytes. */
static void frees_and_allocates_again(struct test_rank *me, void *arg)
{
	struct ipcshare_buf buf = { NULL, 4096 };
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (size_t i = 0; i < 5; i++) {
		buf.ptr = team_alloc(t.ctx, 4096);
		team_fill(buf.ptr, buf.len, t.rank, i);
		set = team_share(&t, &buf, 1, IPCSHARE_ALL_OR_NOTHING);
		team_check(ipcshare_ptr(set, !t.rank, 0), 4096, !t.rank, i);
		CHECK_STATUS(ipcshare_set_free(set), 0);
		CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	}
	team_leave(&t);
}

static void a_new_allocation_is_never_taken_for_the_old_one(void)
{
	test_ranks(2, frees_and_allocates_again, NULL);
}

TEST_SUITE(share, NULL, NULL,
	TEST(every_rank_reads_and_writes_every_buffer_in_place),
	TEST(threads_share_like_processes),
	TEST(what_is_out_of_range_is_nothing),
	TEST(a_buffer_may_appear_twice_and_in_many_sets),
	TEST(a_freed_set_is_closed),
	TEST(freed_memory_is_mapped_nowhere),
	TEST(a_new_allocation_is_never_taken_for_the_old_one));
