/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffers and arguments that are no good: who is told what, and that the rest goes on. */
#include <sys/resource.h>

#include "team.h"

static struct ipcshare_set *const untouched = (struct ipcshare_set *)16;

#define BAD_RANK 1

/* Four good buffers; on BAD_RANK number 1 to 3 are bad, each in its own way. */
static void make_bufs(struct team *t, char *memory, struct ipcshare_buf bufs[4])
{
	static char foreign[64];

	for (size_t i = 0; i < 4; i++) {
		bufs[i] = (struct ipcshare_buf){ memory + 1000 * i, 1000 };
		team_fill(bufs[i].ptr, bufs[i].len, t->rank, i);
	}
	if (t->rank != BAD_RANK)
		return;
	bufs[1].ptr = foreign;
	bufs[2].len = 1u << 20; /* past the end */
	bufs[3].ptr = NULL;
}

static void some_are_bad(struct test_rank *me, void *arg)
{
	static const int expected[4] = { 0, IPCSHARE_ERR_NOT_SHAREABLE, IPCSHARE_ERR_RANGE,
					 IPCSHARE_ERR_NOT_SHAREABLE };
	struct ipcshare_buf bufs[4];
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	make_bufs(&t, team_alloc(t.ctx, 4000), bufs);
	set = team_share(&t, bufs, 4, 0);
	CHECK_INT(ipcshare_set_failures(set), 3 * t.nranks);
	for (int r = 0; r < t.nranks; r++)
		for (size_t i = 0; i < 4; i++) {
			int status = r == BAD_RANK ? expected[i] : 0;

			CHECK_STATUS(ipcshare_set_status(set, r, i), status);
			CHECK_INT(!ipcshare_ptr(set, r, i), status != 0);
			if (!status)
				team_check(ipcshare_ptr(set, r, i), 1000, r, i);
		}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void a_bad_buffer_does_not_stop_the_others(void)
{
	test_ranks(3, some_are_bad, NULL);
}

static void wants_all_or_nothing(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = untouched;
	struct ipcshare_buf bufs[4];
	struct test_resources before;
	struct team t;

	(void)arg;
	team_join(me, &t);
	make_bufs(&t, team_alloc(t.ctx, 4000), bufs);
	CHECK_STATUS(ipcshare_set_free(team_share(&t, bufs, 1, 0)), 0); /* what stays is there */
	team_resources(me, &before);
	for (int i = 0; i < 20; i++) /* any rank may ask for it */
		CHECK_FAILS(ipcshare_share(t.group, bufs, 4,
					   t.rank == i % t.nranks ? IPCSHARE_ALL_OR_NOTHING : 0,
					   &set), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_PTR(set, untouched);
	CHECK_INT(ipcshare_last_error()->rank, BAD_RANK);
	CHECK_INT(ipcshare_last_error()->index, 1);
	CHECK_INT(team_counters(t.ctx).sets, 0);
	TEAM_NOTHING_LEAKED(me, &before);
	set = team_share(&t, bufs, 1, IPCSHARE_ALL_OR_NOTHING); /* the good one */
	CHECK_INT(ipcshare_set_failures(set), 0);
	team_check(ipcshare_ptr(set, BAD_RANK, 0), 1000, BAD_RANK, 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, bufs[0].ptr), 0); /* nothing holds it */
	team_leave(&t);
}

/* No rank returns before all have let go of what they had imported for nothing. */
static void wants_all_and_frees(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = untouched;
	struct ipcshare_buf bufs[4];
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (int i = 0; i < 50; i++) {
		char *memory = team_alloc(t.ctx, 4000);

		make_bufs(&t, memory, bufs);
		CHECK_FAILS(ipcshare_share(t.group, bufs, 4, IPCSHARE_ALL_OR_NOTHING, &set),
			    IPCSHARE_ERR_NOT_SHAREABLE);
		CHECK_STATUS(ipcshare_free(t.ctx, memory), 0);
	}
	team_leave(&t);
}

static void memory_can_be_freed_as_soon_as_all_or_nothing_failed(void)
{
	test_ranks(3, wants_all_and_frees, NULL);
}

static void all_or_nothing_fails_everywhere_and_leaves_nothing(void)
{
	test_ranks(3, wants_all_or_nothing, NULL);
}

/* Descriptors are gone on one rank, which therefore can't import. It shares nothing itself. */
static void one_cannot_import(struct test_rank *me, void *arg)
{
	struct rlimit all, few;
	struct ipcshare_set *set = untouched;
	struct ipcshare_buf buf;
	int poor;
	struct team t;

	(void)arg;
	team_join(me, &t);
	poor = t.rank == 2;
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 5000), 5000 };
	team_fill(buf.ptr, buf.len, t.rank, 0);
	getrlimit(RLIMIT_NOFILE, &all);
	few = all;
	few.rlim_cur = 3;
	if (poor)
		setrlimit(RLIMIT_NOFILE, &few);
	CHECK_FAILS(ipcshare_share(t.group, &buf, !poor, poor ? 0 : IPCSHARE_ALL_OR_NOTHING, &set),
		    IPCSHARE_ERR_LIMIT);
	CHECK_HAS(ipcshare_last_error()->text, poor ? "" : "seen by rank 2");
	CHECK_INT(ipcshare_last_error()->rank, 0); /* whose buffer it is */
	CHECK_INT(ipcshare_last_error()->index, 0);
	CHECK_PTR(set, untouched);
	set = team_share(&t, &buf, !poor, 0);
	CHECK_INT(ipcshare_set_failures(set), 2);
	for (int r = 0; r < 2; r++) {
		CHECK_STATUS(ipcshare_set_status(set, r, 0), poor ? IPCSHARE_ERR_LIMIT : 0);
		CHECK_INT(!ipcshare_ptr(set, r, 0), poor);
	}
	setrlimit(RLIMIT_NOFILE, &all);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	set = team_share(&t, &buf, !poor, IPCSHARE_ALL_OR_NOTHING);
	for (int r = 0; r < 2; r++)
		team_check(ipcshare_ptr(set, r, 0), 5000, r, 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void a_rank_that_cannot_import_tells_all_and_can_later(void)
{
	test_ranks(3, one_cannot_import, NULL);
}

static void passes_bad_arguments(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = untouched;
	struct ipcshare_buf buf;
	struct team t;
	int bad;

	(void)arg;
	team_join(me, &t);
	bad = t.rank == BAD_RANK;
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 10), 10 };
	CHECK_FAILS(ipcshare_share(t.group, bad ? NULL : &buf, 1, 0, &set), IPCSHARE_ERR_INVALID);
	CHECK_INT(ipcshare_last_error()->rank, BAD_RANK);
	CHECK_FAILS(ipcshare_share(t.group, &buf, 1, 0, bad ? NULL : &set), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share(t.group, &buf, 1, bad ? 0x80u : 0, &set), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share(t.group, &buf, 1, bad ? 0x80000000u : 0, &set),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share(t.group, &buf, bad ? SIZE_MAX : 1, 0, &set),
		    IPCSHARE_ERR_NO_MEMORY);
	CHECK_FAILS(ipcshare_share(t.group, &buf, bad ? SIZE_MAX / 16 + 2 : 1, 0, &set),
		    IPCSHARE_ERR_NO_MEMORY);
	CHECK_PTR(set, untouched);
	CHECK_FAILS(ipcshare_share(NULL, &buf, 1, 0, &set), IPCSHARE_ERR_INVALID);
	CHECK_STATUS(ipcshare_set_free(team_share(&t, &buf, 1, 0)), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	team_leave(&t);
}

static void one_ranks_bad_arguments_are_the_verdict_of_all(void)
{
	test_ranks(3, passes_bad_arguments, NULL);
}

TEST_SUITE(share_bad, NULL, NULL,
	TEST(a_bad_buffer_does_not_stop_the_others),
	TEST(memory_can_be_freed_as_soon_as_all_or_nothing_failed),
	TEST(all_or_nothing_fails_everywhere_and_leaves_nothing),
	TEST(a_rank_that_cannot_import_tells_all_and_can_later),
	TEST(one_ranks_bad_arguments_are_the_verdict_of_all));
