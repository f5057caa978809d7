/* SPDX-License-Identifier: BSD-3-Clause */
/* Shares that are read-only, and shares that are open to everybody. */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "team.h"

static void writes_to(int channel, void *arg)
{
	(void)channel;
	signal(SIGSEGV, SIG_DFL); /* sanitizers catch it */
	*(volatile char *)arg = 1;
}

static void check_write_faults(void *p)
{
	int status = test_child_wait(test_child(writes_to, p));

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "status 0x%x", status);
}

static void shares_read_only(struct test_rank *me, void *arg)
{
	struct ipcshare_buf buf;
	struct ipcshare_set *set, *writable;
	int peer = !me->rank;
	struct team t;
	char *p, *q;

	(void)arg;
	team_join(me, &t);
	p = team_alloc(t.ctx, 8192);
	buf = (struct ipcshare_buf){ p + 4096, 100 };
	set = team_share(&t, &buf, 1, IPCSHARE_READ_ONLY);
	q = ipcshare_ptr(set, peer, 0);
	REQUIRE(q, "status %d", ipcshare_set_status(set, peer, 0));
	CHECK_INT(mprotect(q, 4096, PROT_READ | PROT_WRITE), -1);
	CHECK_INT(errno, EACCES);
	check_write_faults(q);
	check_write_faults(q - 4096); /* all of the allocation */
	team_fill(p, 8192, t.rank, 5); /* the owner writes, the peer sees it */
	test_rank_barrier(me, 1);
	team_check(q - 4096, 8192, peer, 5);
	/* Never writable again, for anybody. */
	writable = team_share(&t, &buf, 1, 0);
	CHECK_INT(ipcshare_set_failures(writable), 4);
	CHECK_STATUS(ipcshare_set_status(writable, peer, 0), IPCSHARE_ERR_READ_ONLY);
	CHECK_STATUS(ipcshare_set_status(writable, t.rank, 0), IPCSHARE_ERR_READ_ONLY);
	CHECK_STATUS(ipcshare_set_free(writable), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, p), 0);
	team_leave(&t);
}

static void the_kernel_holds_read_only_shares(void)
{
	test_ranks(2, shares_read_only, NULL);
}

/* Only rank 0 says so: its peer may write to it no more, it may write to its peer's. */
static void one_shares_read_only(struct test_rank *me, void *arg)
{
	struct ipcshare_buf buf;
	struct ipcshare_set *set;
	int peer = !me->rank;
	struct team t;
	char *q;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 100), 100 };
	set = team_share(&t, &buf, 1, t.rank ? 0 : IPCSHARE_READ_ONLY);
	q = ipcshare_ptr(set, peer, 0);
	REQUIRE(q, "status %d", ipcshare_set_status(set, peer, 0));
	if (t.rank)
		check_write_faults(q);
	else
		team_fill(q, 100, 9, 9);
	test_rank_barrier(me, 1);
	if (t.rank)
		team_check(buf.ptr, 100, 9, 9);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void read_only_concerns_the_callers_buffers_only(void)
{
	test_ranks(2, one_shares_read_only, NULL);
}

/* A writable share first: the mapping that is there stays, and what comes later is read-only. */
static void tightens(struct test_rank *me, void *arg)
{
	struct ipcshare_set *writable, *set;
	struct ipcshare_buf buf;
	int peer = !me->rank;
	struct team t;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 100), 100 };
	writable = team_share(&t, &buf, 1, 0);
	set = team_share(&t, &buf, 1, IPCSHARE_READ_ONLY);
	CHECK_INT(ipcshare_set_failures(set), 0);
	check_write_faults(ipcshare_ptr(set, peer, 0));
	team_fill(ipcshare_ptr(writable, peer, 0), 100, t.rank, 1);
	test_rank_barrier(me, 1);
	team_check(buf.ptr, 100, peer, 1);
	CHECK_STATUS(ipcshare_set_free(writable), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	team_leave(&t);
}

static void read_only_may_follow_a_writable_share(void)
{
	test_ranks(2, tightens, NULL);
}

/* Memory that nobody could write to so far is kept so, whoever it is shared with next. */
static void check_stays_read_only(struct ipcshare_ctx *ctx, const struct ipcshare_buf *buf)
{
	struct ipcshare_packed packed;

	CHECK_FAILS(ipcshare_pack(ctx, buf->ptr, buf->len, 0, &packed), IPCSHARE_ERR_READ_ONLY);
	CHECK_STATUS(ipcshare_pack(ctx, buf->ptr, buf->len, IPCSHARE_READ_ONLY, &packed), 0);
}

static void shares_read_only_alone_first(struct test_rank *me, void *arg)
{
	struct ipcshare_group *alone;
	struct ipcshare_set *set;
	struct ipcshare_buf buf;
	int peer = !me->rank;
	struct team t;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 100), 100 };
	REQUIRE_OK(ipcshare_group_create(t.ctx, &team_alone, &alone));
	REQUIRE_OK(ipcshare_share(alone, &buf, 1, IPCSHARE_READ_ONLY, &set));
	CHECK_INT(ipcshare_set_failures(set), 0);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_EXPORT), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	REQUIRE_OK(ipcshare_share(alone, &buf, 1, 0, &set));
	CHECK_STATUS(ipcshare_set_status(set, 0, 0), IPCSHARE_ERR_READ_ONLY);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_group_free(alone), 0);
	set = team_share(&t, &buf, 1, 0);
	CHECK_INT(ipcshare_set_failures(set), 4);
	CHECK_STATUS(ipcshare_set_status(set, peer, 0), IPCSHARE_ERR_READ_ONLY);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	set = team_share(&t, &buf, 1, IPCSHARE_READ_ONLY);
	REQUIRE(ipcshare_ptr(set, peer, 0), "status %d", ipcshare_set_status(set, peer, 0));
	check_write_faults(ipcshare_ptr(set, peer, 0));
	CHECK_STATUS(ipcshare_set_free(set), 0);
	check_stays_read_only(t.ctx, &buf);
	team_leave(&t);
}

static void read_only_holds_for_memory_that_was_alone(void)
{
	test_ranks(2, shares_read_only_alone_first, NULL);
}

static void shares_read_only_in_threads(struct test_rank *me, void *arg)
{
	struct ipcshare_buf buf;
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 100), 100 };
	set = team_share(&t, &buf, 1, IPCSHARE_READ_ONLY);
	CHECK_INT(ipcshare_set_failures(set), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	check_stays_read_only(t.ctx, &buf);
	team_leave_quietly(&t);
}

static void read_only_holds_for_memory_of_threads(void)
{
	test_thread_ranks(2, shares_read_only_in_threads, NULL);
}

static void is_a_stranger(int channel, void *arg)
{
	struct ipcshare_packed packed;
	struct ipcshare_ctx *ctx = team_open(0);
	void *p;

	test_recv(channel, &packed, sizeof(packed));
	if (arg) {
		CHECK_STATUS(ipcshare_map(ctx, &packed, &p), 0);
		team_check(p, 100, 0, 3);
		CHECK_STATUS(ipcshare_unmap(ctx, p), 0);
	} else {
		CHECK_FAILS(ipcshare_map(ctx, &packed, &p), IPCSHARE_ERR_NOT_ALLOWED);
	}
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void try_as_stranger(struct team *t, const struct ipcshare_buf *buf, unsigned flags)
{
	struct test_child *c = test_child(is_a_stranger, flags ? "may" : NULL);
	struct ipcshare_packed packed;

	REQUIRE_OK(ipcshare_pack(t->ctx, buf->ptr, buf->len, flags, &packed));
	test_send(c->channel, &packed, sizeof(packed));
	test_child_join(c);
}

static void shares_open(struct test_rank *me, void *arg)
{
	struct ipcshare_buf open, listed;
	struct ipcshare_set *set, *after;
	struct team t;

	(void)arg;
	team_join(me, &t);
	open = (struct ipcshare_buf){ team_alloc(t.ctx, 100), 100 };
	listed = (struct ipcshare_buf){ team_alloc(t.ctx, 100), 100 };
	team_fill(open.ptr, 100, 0, 3);
	set = team_share(&t, &open, 1, IPCSHARE_SHARE_OPEN);
	CHECK_INT(ipcshare_set_failures(set), 0);
	CHECK_INT(team_counters(t.ctx).open_exports, 1);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_ALLOW), 0);
	team_check(ipcshare_ptr(set, !t.rank, 0), 100, 0, 3);
	try_as_stranger(&t, &open, IPCSHARE_SHARE_OPEN);
	/* What everybody may have can't become private again. */
	after = team_share(&t, &open, 1, 0);
	CHECK_INT(ipcshare_set_failures(after), 4);
	CHECK_STATUS(ipcshare_set_status(after, !t.rank, 0), IPCSHARE_ERR_OPEN_EXPORT);
	CHECK_STATUS(ipcshare_set_free(after), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	set = team_share(&t, &listed, 1, 0);
	CHECK_INT(ipcshare_set_failures(set), 0);
	CHECK_INT(team_counters(t.ctx).open_exports, 1);
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_ALLOW), 1);
	try_as_stranger(&t, &listed, 0);
	after = team_share(&t, &listed, 1, IPCSHARE_SHARE_OPEN); /* nor the reverse */
	CHECK_STATUS(ipcshare_set_status(after, t.rank, 0), IPCSHARE_ERR_OPEN_EXPORT);
	CHECK_STATUS(ipcshare_set_status(after, !t.rank, 0), IPCSHARE_ERR_OPEN_EXPORT);
	CHECK_STATUS(ipcshare_set_free(after), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void an_open_share_is_counted_and_stays_open(void)
{
	test_ranks(2, shares_open, NULL);
}

TEST_SUITE(share_access, NULL, NULL,
	TEST(the_kernel_holds_read_only_shares),
	TEST(read_only_concerns_the_callers_buffers_only),
	TEST(read_only_may_follow_a_writable_share),
	TEST(read_only_holds_for_memory_that_was_alone),
	TEST(read_only_holds_for_memory_of_threads),
	TEST(an_open_share_is_counted_and_stays_open));
