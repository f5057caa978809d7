/* SPDX-License-Identifier: BSD-3-Clause */
/* Shares and sets, by forked ranks: who sees what, who is told what, and what is left afterwards. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "team.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RESIDENT_SLACK (128u << 20) /* freed memory is kept for a while, and shadows grow */
#define CYCLES 200
#else
#define RESIDENT_SLACK (1u << 20)
#define CYCLES 1000
#endif

static struct ipcshare_set *const untouched = (struct ipcshare_set *)16;

static struct ipcshare_set *share(struct team *t, const struct ipcshare_buf *bufs, size_t n,
				  unsigned flags)
{
	struct ipcshare_set *set = untouched;

	REQUIRE_OK(ipcshare_share(t->group, bufs, n, flags, &set));
	return set;
}

static uint64_t calls(struct team *t, enum ipcshare_call call)
{
	return team_counters(t->ctx).calls[call];
}

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
	set = share(&t, bufs, how_many(t.rank), 0);
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
	set = share(&t, &buf, 1, 0);
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
	one = share(&t, bufs, 3, 0);
	two = share(&t, bufs, 2, 0);
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

/* ---- Bad buffers ---- */

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
	set = share(&t, bufs, 4, 0);
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
	CHECK_STATUS(ipcshare_set_free(share(&t, bufs, 1, 0)), 0); /* what is kept is there now */
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
	set = share(&t, bufs, 1, IPCSHARE_ALL_OR_NOTHING); /* the good one */
	CHECK_INT(ipcshare_set_failures(set), 0);
	team_check(ipcshare_ptr(set, BAD_RANK, 0), 1000, BAD_RANK, 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, bufs[0].ptr), 0); /* nothing holds it */
	team_leave(&t);
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
	set = share(&t, &buf, !poor, 0);
	CHECK_INT(ipcshare_set_failures(set), 2);
	for (int r = 0; r < 2; r++) {
		CHECK_STATUS(ipcshare_set_status(set, r, 0), poor ? IPCSHARE_ERR_LIMIT : 0);
		CHECK_INT(!ipcshare_ptr(set, r, 0), poor);
	}
	setrlimit(RLIMIT_NOFILE, &all);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	set = share(&t, &buf, !poor, IPCSHARE_ALL_OR_NOTHING);
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
	CHECK_STATUS(ipcshare_set_free(share(&t, &buf, 1, 0)), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	team_leave(&t);
}

static void one_ranks_bad_arguments_are_the_verdict_of_all(void)
{
	test_ranks(3, passes_bad_arguments, NULL);
}

/* ---- Read-only and open ---- */

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
	set = share(&t, &buf, 1, IPCSHARE_READ_ONLY);
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
	writable = share(&t, &buf, 1, 0);
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
	set = share(&t, &buf, 1, t.rank ? 0 : IPCSHARE_READ_ONLY);
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
	writable = share(&t, &buf, 1, 0);
	set = share(&t, &buf, 1, IPCSHARE_READ_ONLY);
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
	set = share(&t, &open, 1, IPCSHARE_SHARE_OPEN);
	CHECK_INT(ipcshare_set_failures(set), 0);
	CHECK_INT(team_counters(t.ctx).open_exports, 1);
	CHECK_INT(calls(&t, IPCSHARE_CALL_ALLOW), 0);
	team_check(ipcshare_ptr(set, !t.rank, 0), 100, 0, 3);
	try_as_stranger(&t, &open, IPCSHARE_SHARE_OPEN);
	/* What everybody may have can't become private again. */
	after = share(&t, &open, 1, 0);
	CHECK_INT(ipcshare_set_failures(after), 4);
	CHECK_STATUS(ipcshare_set_status(after, !t.rank, 0), IPCSHARE_ERR_OPEN_EXPORT);
	CHECK_STATUS(ipcshare_set_free(after), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	set = share(&t, &listed, 1, 0);
	CHECK_INT(ipcshare_set_failures(set), 0);
	CHECK_INT(team_counters(t.ctx).open_exports, 1);
	CHECK_INT(calls(&t, IPCSHARE_CALL_ALLOW), 1);
	try_as_stranger(&t, &listed, 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void an_open_share_is_counted_and_stays_open(void)
{
	test_ranks(2, shares_open, NULL);
}

/* ---- Lifetime ---- */

static void frees_twice(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	set = share(&t, NULL, 0, 0); /* nothing at all, on every rank */
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
	set = share(&t, &buf, 1, 0);
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
	TEAM_NOTHING_LEAKED(me, &before); /* also what was mapped of the peers, who have freed theirs */
	CHECK_INT(team_counters(t.ctx).bytes_mapped, 0);
	CHECK_INT(calls(&t, IPCSHARE_CALL_CLOSE_IMPORT), t.nranks - 1);
	CHECK_INT(calls(&t, IPCSHARE_CALL_CLOSE_EXPORT), 1);
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
		set = share(&t, &buf, 1, IPCSHARE_ALL_OR_NOTHING);
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

static void shares_and_frees_for_long(struct test_rank *me, void *arg)
{
	struct test_resources before;
	struct ipcshare_buf buf;
	struct team t;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 100000), 100000 };
	for (int i = 0; i < CYCLES; i++) {
		if (i == CYCLES / 10) /* what the allocator keeps, it has by now */
			team_resources(me, &before);
		CHECK_STATUS(ipcshare_set_free(share(&t, &buf, 1, 0)), 0);
	}
	TEAM_NOTHING_LEAKED(me, &before);
	CHECK_RESIDENT(&before, RESIDENT_SLACK);
	CHECK_INT(calls(&t, IPCSHARE_CALL_EXPORT), 1);
	CHECK_INT(calls(&t, IPCSHARE_CALL_IMPORT), 1);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	team_leave(&t);
}

static void a_thousand_shares_leave_nothing(void)
{
	test_ranks(2, shares_and_frees_for_long, NULL);
}

static void allocates_and_frees_for_long(struct test_rank *me, void *arg)
{
	struct test_resources before;
	struct ipcshare_buf buf = { NULL, 100000 };
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (int i = 0; i < 100; i++) {
		if (i == 10)
			team_resources(me, &before);
		buf.ptr = team_alloc(t.ctx, buf.len);
		CHECK_STATUS(ipcshare_set_free(share(&t, &buf, 1, 0)), 0);
		CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	}
	TEAM_NOTHING_LEAKED(me, &before);
	CHECK_RESIDENT(&before, RESIDENT_SLACK);
	CHECK_INT(calls(&t, IPCSHARE_CALL_IMPORT), 100);
	CHECK_INT(calls(&t, IPCSHARE_CALL_CLOSE_IMPORT), 100);
	team_leave(&t);
}

static void a_hundred_allocations_shared_and_freed_leave_nothing(void)
{
	test_ranks(2, allocates_and_frees_for_long, NULL);
}

/* ---- What it costs ---- */

#define MANY 10000

static void shares_many(struct test_rank *me, void *arg)
{
	struct ipcshare_buf *bufs = malloc(MANY * sizeof(*bufs));
	struct ipcshare_set *set;
	uint64_t before;
	struct team t;
	char *p;

	(void)arg;
	team_join(me, &t);
	p = team_alloc(t.ctx, MANY * 64);
	for (size_t i = 0; i < MANY; i++) {
		bufs[i] = (struct ipcshare_buf){ p + 64 * i, 64 };
		team_fill(bufs[i].ptr, 64, t.rank, i);
	}
	set = share(&t, bufs, MANY, 0);
	CHECK_INT(calls(&t, IPCSHARE_CALL_EXPORT), 1);
	CHECK_INT(calls(&t, IPCSHARE_CALL_ALLOW), 1);
	CHECK_INT(calls(&t, IPCSHARE_CALL_IMPORT), t.nranks - 1);
	CHECK_INT(team_counters(t.ctx).cache_misses, t.nranks - 1);
	CHECK_INT(team_counters(t.ctx).cache_hits, 0);
	for (int r = 0; r < t.nranks; r++)
		for (size_t i = 0; i < MANY; i++)
			team_check(ipcshare_ptr(set, r, i), 64, r, i);
	/* Again: nothing to do. After the first set is gone: still nothing. */
	before = team_calls(t.ctx);
	CHECK_STATUS(ipcshare_set_free(share(&t, bufs, MANY, 0)), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_set_free(share(&t, bufs, MANY / 2, 0)), 0);
	CHECK_INT(team_calls(t.ctx), before);
	CHECK_INT(team_counters(t.ctx).cache_misses, t.nranks - 1);
	CHECK_INT(team_counters(t.ctx).cache_hits, 2 * (t.nranks - 1));
	free(bufs);
	team_leave(&t);
}

static void ten_thousand_buffers_are_one_export_and_one_import(void)
{
	test_ranks(4, shares_many, NULL);
}

/* More allocations than a message of the broker has room for. */
static void shares_many_allocations(struct test_rank *me, void *arg)
{
	enum { N = 300 };
	struct ipcshare_buf bufs[N];
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (size_t i = 0; i < N; i++) {
		bufs[i] = (struct ipcshare_buf){ team_alloc(t.ctx, 10 + i), 10 + i };
		team_fill(bufs[i].ptr, bufs[i].len, t.rank, i);
	}
	set = share(&t, bufs, N, IPCSHARE_ALL_OR_NOTHING);
	CHECK_INT(calls(&t, IPCSHARE_CALL_EXPORT), N);
	CHECK_INT(calls(&t, IPCSHARE_CALL_IMPORT), N);
	for (size_t i = 0; i < N; i++)
		team_check(ipcshare_ptr(set, !t.rank, i), 10 + i, !t.rank, i);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void hundreds_of_allocations_are_imported_in_batches(void)
{
	test_ranks(2, shares_many_allocations, NULL);
}

/* ---- The split form ---- */

struct blobs {
	size_t len[TEST_RANKS_MAX];
	void *bytes[TEST_RANKS_MAX]; /* into memory; at odd addresses */
	const void *const *list;
	char *memory;
};

/* Everybody's blob, over lane 1. */
static void blobs_gather(struct test_rank *me, const void *mine, size_t len, struct blobs *b)
{
	struct ipcshare_bootstrap lane = test_rank_bootstrap(me, 1, 0);
	size_t total = 0, at = 1;

	CHECK_INT(len % 64, 0);
	REQUIRE_INT(lane.allgather(lane.arg, NULL, &len, sizeof(len), b->len), 0);
	for (int r = 0; r < me->nranks; r++)
		total += b->len[r];
	b->memory = malloc(total + 1);
	REQUIRE_INT(lane.allgatherv(lane.arg, NULL, mine, b->memory + 1, b->len), 0);
	for (int r = 0; r < me->nranks; at += b->len[r++])
		b->bytes[r] = b->memory + at;
	b->list = (const void *const *)b->bytes;
}

static void moves_the_bytes_itself(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = untouched;
	struct ipcshare_buf bufs[3];
	struct ipcshare_share *s;
	struct blobs b;
	const void *blob;
	size_t len;
	struct team t;
	char *p;

	(void)arg;
	team_join(me, &t);
	p = team_alloc(t.ctx, 3000);
	for (size_t i = 0; i < 3; i++) {
		bufs[i] = (struct ipcshare_buf){ p + 1000 * i, 1000 };
		team_fill(bufs[i].ptr, 1000, t.rank, i);
	}
	bufs[1].ptr = &t; /* a bad one */
	REQUIRE_OK(ipcshare_share_begin(t.group, bufs, 3, 0, &s, &blob, &len));
	CHECK_FAILS(ipcshare_free(t.ctx, p), IPCSHARE_ERR_BUSY);
	blobs_gather(me, blob, len, &b);
	REQUIRE_OK(ipcshare_share_complete(s, b.list, b.len, &set));
	CHECK_FAILS(ipcshare_share_cancel(s), IPCSHARE_ERR_CLOSED);
	CHECK_INT(ipcshare_set_failures(set), t.nranks); /* one of each, seen here */
	for (int r = 0; r < t.nranks; r++) {
		CHECK_STATUS(ipcshare_set_status(set, r, 1), IPCSHARE_ERR_NOT_SHAREABLE);
		CHECK_PTR(ipcshare_ptr(set, r, 1), NULL);
		team_check(ipcshare_ptr(set, r, 0), 1000, r, 0);
		team_check(ipcshare_ptr(set, r, 2), 1000, r, 2);
	}
	/* Local: rank 1 lets go while rank 0 still reads. */
	if (t.rank == 1)
		CHECK_STATUS(ipcshare_set_free(set), 0);
	test_rank_barrier(me, 1);
	if (t.rank == 1) {
		CHECK_FAILS(ipcshare_free(t.ctx, p), IPCSHARE_ERR_BUSY);
		CHECK_INT(team_counters(t.ctx).allocations, 1);
	}
	test_rank_barrier(me, 1);
	if (t.rank != 1) {
		team_check(ipcshare_ptr(set, 1, 0), 1000, 1, 0);
		CHECK_STATUS(ipcshare_set_free(set), 0);
	}
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_free(t.ctx, p), 0);
	free(b.memory);
	team_leave(&t);
}

static void the_split_form_gives_the_same_set(void)
{
	test_ranks(3, moves_the_bytes_itself, NULL);
}

static void completes_with_bad_blobs(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = untouched;
	struct ipcshare_share *s = NULL, *older = NULL;
	const void *blob, *list[2], *swapped[2], *older_blob;
	int peer = !me->rank;
	struct ipcshare_buf buf, small;
	struct blobs b, ob;
	size_t len, older_len, lens[2];
	struct team t;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 1000), 1000 };
	small = (struct ipcshare_buf){ team_alloc(t.ctx, 10), 10 };
	team_fill(buf.ptr, 1000, t.rank, 0);
	REQUIRE_OK(ipcshare_share_begin(t.group, &small, 1, 0, &older, &older_blob, &older_len));
	REQUIRE_OK(ipcshare_share_begin(t.group, &buf, 1, 0, &s, &blob, &len));
	blobs_gather(me, older_blob, older_len, &ob);
	blobs_gather(me, blob, len, &b);
	memcpy(list, b.bytes, sizeof(list));
	memcpy(lens, b.len, sizeof(lens));
	swapped[0] = list[1];
	swapped[1] = list[0];
	CHECK_FAILS(ipcshare_share_complete(s, swapped, lens, &set), IPCSHARE_ERR_MISMATCH);
	list[peer] = NULL;
	CHECK_FAILS(ipcshare_share_complete(s, list, lens, &set), IPCSHARE_ERR_INVALID);
	list[peer] = b.bytes[peer];
	for (size_t n = 0; n < lens[peer]; n += 7) { /* cut off */
		lens[peer] = n;
		CHECK_FAILS(ipcshare_share_complete(s, list, lens, &set), IPCSHARE_ERR_PROTOCOL);
		lens[peer] = b.len[peer];
	}
	((char *)b.bytes[peer])[70] ^= 1; /* altered */
	CHECK_FAILS(ipcshare_share_complete(s, list, lens, &set), IPCSHARE_ERR_PROTOCOL);
	CHECK_INT(ipcshare_last_error()->rank, peer);
	((char *)b.bytes[peer])[70] ^= 1;
	/* Our own blob of another share: its offsets don't fit this one's regions. */
	list[t.rank] = ob.bytes[t.rank];
	lens[t.rank] = ob.len[t.rank];
	CHECK_FAILS(ipcshare_share_complete(s, list, lens, &set), IPCSHARE_ERR_MISMATCH);
	list[t.rank] = b.bytes[t.rank];
	lens[t.rank] = b.len[t.rank];
	CHECK_FAILS(ipcshare_share_complete(s, NULL, lens, &set), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_complete(s, list, NULL, &set), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_complete(s, list, lens, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_complete(NULL, list, lens, &set), IPCSHARE_ERR_INVALID);
	CHECK_PTR(set, untouched);
	CHECK_INT(team_counters(t.ctx).sets, 0);
	REQUIRE_OK(ipcshare_share_complete(s, list, lens, &set)); /* it is still good */
	team_check(ipcshare_ptr(set, peer, 0), 1000, peer, 0);
	CHECK_FAILS(ipcshare_share_complete(s, list, lens, &set), IPCSHARE_ERR_CLOSED);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_share_cancel(older), 0);
	CHECK_FAILS(ipcshare_share_cancel(older), IPCSHARE_ERR_CLOSED);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0); /* no failed try holds it here or there */
	CHECK_STATUS(ipcshare_free(t.ctx, small.ptr), 0);
	free(b.memory);
	free(ob.memory);
	team_leave(&t);
}

static void a_share_survives_bad_blobs(void)
{
	test_ranks(2, completes_with_bad_blobs, NULL);
}

static void begins_badly(struct test_rank *me, void *arg)
{
	struct ipcshare_share *const no_share = (void *)16, *s = no_share;
	const void *const no_blob = "", *blob = no_blob;
	struct ipcshare_buf buf;
	size_t len = 5;
	struct team t;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 1000), 1000 };
	CHECK_FAILS(ipcshare_share_begin(NULL, &buf, 1, 0, &s, &blob, &len), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_begin(t.group, NULL, 1, 0, &s, &blob, &len),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_begin(t.group, &buf, 1, IPCSHARE_ALL_OR_NOTHING, &s, &blob, &len),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_begin(t.group, &buf, 1, 0, NULL, &blob, &len),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_begin(t.group, &buf, 1, 0, &s, NULL, &len),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_begin(t.group, &buf, 1, 0, &s, &blob, NULL),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_begin(t.group, &buf, SIZE_MAX / 8, 0, &s, &blob, &len),
		    IPCSHARE_ERR_NO_MEMORY);
	CHECK_PTR(s, no_share);
	CHECK_PTR(blob, no_blob);
	CHECK_INT(len, 5);
	CHECK_STATUS(ipcshare_share_cancel(NULL), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	team_leave(&t);
}

static void a_share_that_cannot_begin_leaves_nothing(void)
{
	test_ranks(1, begins_badly, NULL);
}

/* ---- Threads ---- */

#define ROUNDS 60

struct worker {
	struct team *t;
	struct ipcshare_group *group;
	struct ipcshare_buf common; /* in the allocation that both threads share */
	int index;
	pthread_t thread;
};

static void *shares_in_its_group(void *arg)
{
	struct worker *w = arg;

	for (size_t i = 0; i < ROUNDS; i++) {
		struct ipcshare_buf bufs[2] = { w->common, { team_alloc(w->t->ctx, 5000), 5000 } };
		struct ipcshare_set *set;

		team_fill(bufs[1].ptr, 5000, w->t->rank, i);
		REQUIRE_OK(ipcshare_share(w->group, bufs, 2, IPCSHARE_ALL_OR_NOTHING, &set));
		for (int r = 0; r < w->t->nranks; r++) {
			team_check(ipcshare_ptr(set, r, 0), w->common.len, r, 99);
			team_check(ipcshare_ptr(set, r, 1), 5000, r, i);
		}
		CHECK_STATUS(ipcshare_set_free(set), 0);
		CHECK_STATUS(ipcshare_free(w->t->ctx, bufs[1].ptr), 0);
	}
	return NULL;
}

static void shares_in_two_threads(struct test_rank *me, void *arg)
{
	struct ipcshare_bootstrap lane1;
	struct worker w[2];
	struct team t;
	void *p;

	(void)arg;
	team_join(me, &t);
	p = team_alloc(t.ctx, 3000);
	team_fill(p, 3000, t.rank, 99);
	for (int i = 0; i < 2; i++)
		w[i] = (struct worker){ .t = &t, .group = t.group, .common = { p, 3000 }, .index = i };
	lane1 = test_rank_bootstrap(me, 1, 0);
	REQUIRE_OK(ipcshare_group_create(t.ctx, &lane1, &w[1].group));
	for (int i = 0; i < 2; i++)
		REQUIRE_INT(pthread_create(&w[i].thread, NULL, shares_in_its_group, &w[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(w[i].thread, NULL);
	CHECK_INT(calls(&t, IPCSHARE_CALL_EXPORT), 1 + 2 * ROUNDS);
	CHECK_INT(calls(&t, IPCSHARE_CALL_IMPORT), (t.nranks - 1) * (1 + 2 * ROUNDS));
	CHECK_STATUS(ipcshare_group_free(w[1].group), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, p), 0);
	team_leave(&t);
}

static void two_threads_share_one_allocation_in_two_groups(void)
{
	test_ranks(2, shares_in_two_threads, NULL);
}

TEST_SUITE(share, NULL, NULL,
	TEST(every_rank_reads_and_writes_every_buffer_in_place),
	TEST(threads_share_like_processes),
	TEST(what_is_out_of_range_is_nothing),
	TEST(a_buffer_may_appear_twice_and_in_many_sets),
	TEST(a_bad_buffer_does_not_stop_the_others),
	TEST(all_or_nothing_fails_everywhere_and_leaves_nothing),
	TEST(a_rank_that_cannot_import_tells_all_and_can_later),
	TEST(one_ranks_bad_arguments_are_the_verdict_of_all),
	TEST(the_kernel_holds_read_only_shares),
	TEST(read_only_concerns_the_callers_buffers_only),
	TEST(read_only_may_follow_a_writable_share),
	TEST(an_open_share_is_counted_and_stays_open),
	TEST(a_freed_set_is_closed),
	TEST(freed_memory_is_mapped_nowhere),
	TEST(a_new_allocation_is_never_taken_for_the_old_one),
	TEST(a_thousand_shares_leave_nothing),
	TEST(a_hundred_allocations_shared_and_freed_leave_nothing),
	TEST(ten_thousand_buffers_are_one_export_and_one_import),
	TEST(hundreds_of_allocations_are_imported_in_batches),
	TEST(the_split_form_gives_the_same_set),
	TEST(a_share_survives_bad_blobs),
	TEST(a_share_that_cannot_begin_leaves_nothing),
	TEST(two_threads_share_one_allocation_in_two_groups));
