/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives: wrong arguments, ranks that die or do something else, groups side by side. */
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "rounds.h"
#include "team.h"

#include <ipcshare_coll.h>

#define MS 1000000u

/* ---- Barriers ---- */

static void meets_again_and_again(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set;
	struct ipcshare_buf buf;
	struct team t;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, sizeof(int)), sizeof(int) };
	set = team_share(&t, &buf, 1, IPCSHARE_ALL_OR_NOTHING);
	for (int i = 1; i <= 300; i++) {
		__atomic_store_n((int *)buf.ptr, i, __ATOMIC_RELAXED);
		REQUIRE_OK(ipcshare_barrier(t.group));
		for (int r = 0; r < t.nranks; r++) {
			int seen = __atomic_load_n((int *)ipcshare_ptr(set, r, 0), __ATOMIC_RELAXED);

			CHECK(seen == i || seen == i + 1, "rank %d is at %d, we at %d", r, seen, i);
		}
	}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void no_rank_leaves_a_barrier_before_all_have_come(void)
{
	for (int n = 1; n <= 5; n++)
		test_ranks(n, meets_again_and_again, NULL);
}

/* ---- Wrong arguments: of rank 1 alone ---- */

struct wrong {
	const char *what;
	int (*call)(struct ipcshare_group *g, int wrong);
};

static char bytes[512];
static const size_t ones[4] = { 1, 1, 1, 1 }, far[4] = { 0, SIZE_MAX, 1, 2 };

#define INT8 IPCSHARE_INT8
#define BAD_TYPE(bad) (bad ? (enum ipcshare_type)IPCSHARE_TYPES : INT8)
#define BUF(bad, at) (bad ? NULL : bytes + (at))

static int bcast_null(struct ipcshare_group *g, int bad)
{
	return ipcshare_bcast(g, BUF(bad, 0), 3, INT8, 0);
}
static int bcast_type(struct ipcshare_group *g, int bad)
{
	return ipcshare_bcast(g, bytes, 3, BAD_TYPE(bad), 0);
}
static int bcast_root_high(struct ipcshare_group *g, int bad)
{
	return ipcshare_bcast(g, bytes, 3, INT8, bad ? 3 : 0);
}
static int bcast_root_low(struct ipcshare_group *g, int bad)
{
	return ipcshare_bcast(g, bytes, 3, INT8, bad ? -1 : 0);
}
static int bcast_in_place(struct ipcshare_group *g, int bad)
{
	return ipcshare_bcast(g, bad ? IPCSHARE_IN_PLACE : bytes, 3, INT8, 0);
}
static int bcast_huge(struct ipcshare_group *g, int bad)
{
	return ipcshare_bcast(g, bytes, bad ? SIZE_MAX / 2 : 3, bad ? IPCSHARE_INT64 : INT8, 0);
}
static int allgather_send(struct ipcshare_group *g, int bad)
{
	return ipcshare_allgather(g, BUF(bad, 0), bytes + 64, 3, INT8);
}
static int allgather_recv(struct ipcshare_group *g, int bad)
{
	return ipcshare_allgather(g, bytes, BUF(bad, 64), 3, INT8);
}
static int allgather_recv_in_place(struct ipcshare_group *g, int bad)
{
	return ipcshare_allgather(g, bytes, bad ? IPCSHARE_IN_PLACE : bytes + 64, 3, INT8);
}
static int allgather_huge(struct ipcshare_group *g, int bad)
{
	return ipcshare_allgather(g, bytes, bytes + 64, bad ? PTRDIFF_MAX / 2 : 3, INT8);
}
static int allgatherv_counts(struct ipcshare_group *g, int bad)
{
	return ipcshare_allgatherv(g, bytes, bytes + 64, bad ? NULL : ones, NULL, INT8);
}
static int allgatherv_displs(struct ipcshare_group *g, int bad)
{
	return ipcshare_allgatherv(g, bytes, bytes + 64, ones, bad ? far : NULL, INT8);
}
static int gather_recv(struct ipcshare_group *g, int bad)
{
	return ipcshare_gather(g, bytes, BUF(bad, 64), 3, INT8, 1);
}
static int gather_in_place(struct ipcshare_group *g, int bad)
{
	return ipcshare_gather(g, bad ? IPCSHARE_IN_PLACE : bytes, bytes + 64, 3, INT8, 0);
}
static int gatherv_counts(struct ipcshare_group *g, int bad)
{
	return ipcshare_gatherv(g, bytes, 1, bytes + 64, bad ? NULL : ones, NULL, INT8, 1);
}
static int scatter_send(struct ipcshare_group *g, int bad)
{
	return ipcshare_scatter(g, BUF(bad, 0), bytes + 64, 3, INT8, 1);
}
static int scatter_in_place(struct ipcshare_group *g, int bad)
{
	return ipcshare_scatter(g, bytes, bad ? IPCSHARE_IN_PLACE : bytes + 64, 3, INT8, 0);
}
static int scatterv_counts(struct ipcshare_group *g, int bad)
{
	return ipcshare_scatterv(g, bytes, bad ? NULL : ones, NULL, bytes + 64, 1, INT8, 1);
}
static int alltoall_send(struct ipcshare_group *g, int bad)
{
	return ipcshare_alltoall(g, BUF(bad, 0), bytes + 64, 3, INT8);
}
static int alltoall_recv(struct ipcshare_group *g, int bad)
{
	return ipcshare_alltoall(g, bytes, BUF(bad, 64), 3, INT8);
}
static int alltoallv_send_counts(struct ipcshare_group *g, int bad)
{
	return ipcshare_alltoallv(g, bytes, bad ? NULL : ones, NULL, bytes + 64, ones, NULL, INT8);
}
static int alltoallv_recv_counts(struct ipcshare_group *g, int bad)
{
	return ipcshare_alltoallv(g, bytes, ones, NULL, bytes + 64, bad ? NULL : ones, NULL, INT8);
}

static int reduce_root(struct ipcshare_group *g, int bad)
{
	return ipcshare_reduce(g, bytes, bytes + 64, 3, INT8, IPCSHARE_SUM, bad ? 3 : 0);
}
static int reduce_in_place(struct ipcshare_group *g, int bad)
{
	return ipcshare_reduce(g, bad ? IPCSHARE_IN_PLACE : bytes, bytes + 64, 3, INT8, IPCSHARE_SUM, 0);
}
static int reduce_recv(struct ipcshare_group *g, int bad)
{
	return ipcshare_reduce(g, bytes, BUF(bad, 64), 3, INT8, IPCSHARE_SUM, 1);
}
static int allreduce_send(struct ipcshare_group *g, int bad)
{
	return ipcshare_allreduce(g, BUF(bad, 0), bytes + 64, 3, INT8, IPCSHARE_SUM);
}
static int allreduce_recv(struct ipcshare_group *g, int bad)
{
	return ipcshare_allreduce(g, bytes, BUF(bad, 64), 3, INT8, IPCSHARE_SUM);
}
static int allreduce_op(struct ipcshare_group *g, int bad)
{
	return ipcshare_allreduce(g, bytes, bytes + 64, 3, INT8, bad ? IPCSHARE_MINLOC : IPCSHARE_SUM);
}
static int allreduce_no_op(struct ipcshare_group *g, int bad)
{
	return ipcshare_allreduce(g, bytes, bytes + 64, 3, INT8, bad ? NULL : IPCSHARE_SUM);
}
static int reduce_scatter_counts(struct ipcshare_group *g, int bad)
{
	return ipcshare_reduce_scatter(g, bytes, bytes + 64, bad ? NULL : ones, INT8, IPCSHARE_SUM);
}
static int reduce_scatter_block_send(struct ipcshare_group *g, int bad)
{
	return ipcshare_reduce_scatter_block(g, BUF(bad, 0), bytes + 64, 3, INT8, IPCSHARE_SUM);
}
static int scan_recv(struct ipcshare_group *g, int bad)
{
	return ipcshare_scan(g, bytes, BUF(bad, 64), 3, INT8, IPCSHARE_SUM);
}
static int exscan_op(struct ipcshare_group *g, int bad)
{
	static const struct ipcshare_op none = { sizeof(none), NULL, NULL };

	return ipcshare_exscan(g, bytes, bytes + 64, 3, INT8, bad ? &none : IPCSHARE_SUM);
}

#define WRONG(call) { #call, call }
static const struct wrong wrongs[] = {
	WRONG(bcast_null), WRONG(bcast_type), WRONG(bcast_root_high), WRONG(bcast_root_low),
	WRONG(bcast_in_place), WRONG(bcast_huge), WRONG(allgather_send), WRONG(allgather_recv),
	WRONG(allgather_recv_in_place), WRONG(allgather_huge), WRONG(allgatherv_counts),
	WRONG(allgatherv_displs), WRONG(gather_recv), WRONG(gather_in_place),
	WRONG(gatherv_counts), WRONG(scatter_send), WRONG(scatter_in_place),
	WRONG(scatterv_counts), WRONG(alltoall_send), WRONG(alltoall_recv),
	WRONG(alltoallv_send_counts), WRONG(alltoallv_recv_counts), WRONG(reduce_root),
	WRONG(reduce_in_place), WRONG(reduce_recv), WRONG(allreduce_send), WRONG(allreduce_recv),
	WRONG(allreduce_op), WRONG(allreduce_no_op), WRONG(reduce_scatter_counts),
	WRONG(reduce_scatter_block_send), WRONG(scan_recv), WRONG(exscan_op),
};

static void is_wrong_in_everything(struct test_rank *me, void *arg)
{
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		int ok = CHECK_FAILS(wrongs[i].call(t.group, t.rank == 1), IPCSHARE_ERR_INVALID);

		ok &= CHECK_INT(ipcshare_last_error()->rank, 1);
		ok &= CHECK_STR(ipcshare_last_error()->stage, "collective");
		if (!ok)
			FAIL("%s", wrongs[i].what);
		if (!CHECK_STATUS(wrongs[i].call(t.group, 0), 0)) /* the group goes on */
			FAIL("%s", wrongs[i].what);
	}
	team_leave(&t);
}

static void one_ranks_wrong_argument_is_named_on_all_and_the_group_goes_on(void)
{
	test_ranks(3, is_wrong_in_everything, NULL);
}

static void asks_for_nothing(struct test_rank *me, void *arg)
{
	struct team t;

	(void)arg;
	team_join(me, &t);
	CHECK_STATUS(ipcshare_bcast(t.group, NULL, 0, INT8, 2), 0);
	CHECK_STATUS(ipcshare_allgather(t.group, NULL, NULL, 0, INT8), 0);
	CHECK_STATUS(ipcshare_gather(t.group, NULL, NULL, 0, INT8, 0), 0);
	CHECK_STATUS(ipcshare_scatter(t.group, NULL, NULL, 0, INT8, 0), 0);
	CHECK_STATUS(ipcshare_alltoall(t.group, NULL, NULL, 0, INT8), 0);
	CHECK_STATUS(ipcshare_reduce(t.group, NULL, NULL, 0, INT8, IPCSHARE_SUM, 0), 0);
	CHECK_STATUS(ipcshare_allreduce(t.group, NULL, NULL, 0, INT8, IPCSHARE_SUM), 0);
	CHECK_STATUS(ipcshare_reduce_scatter_block(t.group, NULL, NULL, 0, INT8, IPCSHARE_SUM), 0);
	CHECK_STATUS(ipcshare_scan(t.group, NULL, NULL, 0, INT8, IPCSHARE_SUM), 0);
	CHECK_STATUS(ipcshare_exscan(t.group, NULL, NULL, 0, INT8, IPCSHARE_SUM), 0);
	team_leave(&t);
}

static void a_count_of_0_needs_no_buffers(void)
{
	test_ranks(3, asks_for_nothing, NULL);
}

static void forks_and_frees(struct test_rank *me, void *arg)
{
	struct team t;

	(void)arg;
	CHECK_FAILS(ipcshare_barrier(NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_bcast(NULL, bytes, 1, INT8, 0), IPCSHARE_ERR_INVALID);
	team_join(me, &t);
	CHECK_STATUS(ipcshare_group_free(t.group), 0);
	CHECK_FAILS(ipcshare_barrier(t.group), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_alltoall(t.group, bytes, bytes + 64, 1, INT8), IPCSHARE_ERR_CLOSED);
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void a_group_that_is_not_alive_is_the_callers_fault_alone(void)
{
	test_ranks(2, forks_and_frees, NULL);
}

/* ---- Ranks that do something else, or die ---- */

static void goes_its_own_way(struct test_rank *me, void *arg)
{
	int share = arg != NULL;
	struct ipcshare_set *set;
	struct team t;
	int err;

	team_join(me, &t);
	if (t.rank == 1)
		err = share ? ipcshare_share(t.group, NULL, 0, 0, &set)
			    : ipcshare_bcast(t.group, bytes, 100, INT8, 0);
	else
		err = ipcshare_alltoall(t.group, bytes, bytes + 256, 1, INT8);
	CHECK_FAILS(err, IPCSHARE_ERR_MISMATCH);
	CHECK_INT(ipcshare_last_error()->rank, t.rank == 1 ? 0 : 1);
	CHECK_HAS(ipcshare_last_error()->text, "ipcshare_alltoall(v)");
	CHECK_HAS(ipcshare_last_error()->text, share ? "ipcshare_share" : "ipcshare_bcast");
	CHECK_FAILS(ipcshare_barrier(t.group), IPCSHARE_ERR_MISMATCH); /* it is of no more use */
	team_leave(&t);
}

static void ranks_in_different_collectives_are_told_which(void)
{
	test_ranks(3, goes_its_own_way, NULL);
	test_ranks(3, goes_its_own_way, "with a share among them");
}

static uint64_t *died_ns; /* the same for all ranks */

static void dies(struct ipcshare_group *g, void *arg)
{
	(void)g;
	(void)arg;
	*died_ns = ipcshare__now_ns();
	raise(SIGKILL);
}

static char long_bytes[1 << 20];

/* Rank 1 dies in the third round of a long broadcast, before or after it says something. */
static void outlives_one_in_the_middle(struct test_rank *me, void *arg)
{
	struct rounds rounds = { .special = 3 };
	struct team t;

	if (arg)
		rounds.before_post = dies;
	else
		rounds.after = dies;
	team_join(me, &t);
	rounds_watch(me->rank == 1 ? &rounds : NULL);
	CHECK_FAILS(ipcshare_bcast(t.group, long_bytes, sizeof(long_bytes), INT8, 0),
		    IPCSHARE_ERR_PEER_DEAD);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK(ipcshare__now_ns() - *died_ns < 2000 * (uint64_t)MS, "that took too long");
	CHECK_FAILS(ipcshare_barrier(t.group), IPCSHARE_ERR_PEER_DEAD);
	team_leave(&t);
}

static void a_rank_killed_in_a_long_collective_is_named_within_two_seconds(void)
{
	struct test_ranks o = { .nranks = 4, .fn = outlives_one_in_the_middle, .dies = 1u << 1 };

	died_ns = mmap(NULL, sizeof(*died_ns), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(died_ns != MAP_FAILED, "%m");
	test_ranks_with(&o);
	o.arg = "before it posts";
	test_ranks_with(&o);
	munmap(died_ns, sizeof(*died_ns));
}

static void waits_for_one_that_does_not_come(struct test_rank *me, void *arg)
{
	struct team t;

	(void)arg;
	team_join_for(me, 500, &t); /* that is also for joining */
	if (t.rank != 2) {
		CHECK_FAILS(ipcshare_barrier(t.group), IPCSHARE_ERR_TIMEOUT);
		CHECK_INT(ipcshare_last_error()->rank, 2);
	}
	test_rank_barrier(me, 1);
	if (t.rank == 2)
		CHECK_FAILS(ipcshare_barrier(t.group), IPCSHARE_ERR_TIMEOUT);
	team_leave(&t);
}

static void a_rank_that_does_not_come_is_named_after_the_deadline(void)
{
	test_ranks(3, waits_for_one_that_does_not_come, NULL);
}

/* ---- Side by side ---- */

static void is_in_three_groups(struct test_rank *me, void *arg)
{
	uint64_t parity = me->rank & 1 ? 0xa : 0x5, pair = 3u << (me->rank & ~1);
	struct ipcshare_bootstrap lane[2];
	struct ipcshare_group *group[3];
	int64_t all[4];
	struct team t;

	(void)arg;
	team_join(me, &t);
	lane[0] = test_rank_bootstrap(me, 2, parity);
	lane[1] = test_rank_bootstrap(me, 3, pair);
	group[0] = t.group;
	REQUIRE_OK(ipcshare_group_create(t.ctx, &lane[0], &group[1]));
	REQUIRE_OK(ipcshare_group_create(t.ctx, &lane[1], &group[2]));
	for (int i = 0; i < 200; i++) {
		struct ipcshare_group *g = group[i % 3];
		int64_t mine = me->rank * 1000 + i;

		REQUIRE_OK(ipcshare_allgather(g, &mine, all, 1, IPCSHARE_INT64));
		for (int r = 0; r < ipcshare_group_size(g); r++) {
			int world = i % 3 == 0 ? r : i % 3 == 1 ? 2 * r + me->rank % 2
								: (me->rank & ~1) + r;

			CHECK_INT(all[r], world * 1000 + i);
		}
	}
	CHECK_STATUS(ipcshare_group_free(group[2]), 0);
	CHECK_STATUS(ipcshare_group_free(group[1]), 0);
	team_leave(&t);
}

static void groups_side_by_side_do_not_disturb_each_other(void)
{
	test_ranks(4, is_in_three_groups, NULL);
}

static void gathers_as_a_thread(struct test_rank *me, void *arg)
{
	int mine = me->rank, all[4] = { -1, -1, -1, -1 };
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (int i = 0; i < 100; i++) {
		mine = me->rank + i;
		REQUIRE_OK(ipcshare_allgather(t.group, &mine, all, 1, IPCSHARE_INT32));
		for (int r = 0; r < me->nranks; r++)
			CHECK_INT(all[r], r + i);
	}
	team_leave_quietly(&t);
}

static void ranks_may_be_threads_of_one_process(void)
{
	struct test_resources before;

	test_resources(&before);
	test_thread_ranks(4, gathers_as_a_thread, NULL);
	CHECK_NOTHING_LEAKED(&before);
}

TEST_SUITE(coll, NULL, NULL,
	TEST(no_rank_leaves_a_barrier_before_all_have_come),
	TEST(one_ranks_wrong_argument_is_named_on_all_and_the_group_goes_on),
	TEST(a_count_of_0_needs_no_buffers),
	TEST(a_group_that_is_not_alive_is_the_callers_fault_alone),
	TEST(ranks_in_different_collectives_are_told_which),
	TEST(a_rank_killed_in_a_long_collective_is_named_within_two_seconds),
	TEST(a_rank_that_does_not_come_is_named_after_the_deadline),
	TEST(groups_side_by_side_do_not_disturb_each_other),
	TEST(ranks_may_be_threads_of_one_process));
