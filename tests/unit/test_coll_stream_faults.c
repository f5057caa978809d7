/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives on streams that can't be made: on all ranks alike, with the cause, and nothing is left. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "stream_rank.h"
#include "support/again.h"

#define N 300
#define SIZE ((size_t)64 << 10)

/* ---- Arrays that are summed ---- */

static int32_t *array(struct stream_rank *r, int i) /* of those that are shared */
{
	return (int32_t *)r->device.shared + i * N;
}

static int32_t number(int rank, int i)
{
	return (rank + 1) * 1000 + i;
}

static void numbers_put(struct stream_rank *r, int32_t *at)
{
	int32_t x[N];

	for (int i = 0; i < N; i++)
		x[i] = number(r->t.rank, i);
	REQUIRE_OK(ipcshare_copy(r->t.ctx, at, x, sizeof(x)));
}

static void sums_check(struct stream_rank *r, const int32_t *at)
{
	int32_t x[N];

	REQUIRE_OK(ipcshare_copy(r->t.ctx, x, at, sizeof(x)));
	for (int i = 0; i < N; i++) {
		int32_t sum = 0;

		for (int k = 0; k < r->t.nranks; k++)
			sum += number(k, i);
		if (!CHECK_INT(x[i], sum))
			return;
	}
}

static int sum(struct stream_rank *r, const void *send, void *recv)
{
	return ipcshare_allreduce_async(r->t.group, send, recv, N, IPCSHARE_INT32, IPCSHARE_SUM,
					r->device.stream);
}

/* What works must work all the same. */
static void sums(struct stream_rank *r)
{
	numbers_put(r, array(r, 0));
	CHECK_STATUS(sum(r, array(r, 0), array(r, 1)), 0);
	CHECK_INT(emu.synchronise(r->device.stream), 0);
	sums_check(r, array(r, 1));
}

/* All ranks are told the same, and that it is of rank @rank. Some may have queued their part. */
static void all_fail(struct test_rank *me, const struct stream_rank *r, int status, int expected, int rank)
{
	int all[8];

	CHECK_INT(status, expected);
	CHECK_INT(ipcshare_last_error()->status, expected);
	CHECK_INT(ipcshare_last_error()->rank, rank);
	again_everybodys(me, status, all);
	for (int k = 0; k < me->nranks; k++)
		CHECK_INT(all[k], expected);
	CHECK_INT(emu.synchronise(r->device.stream), 0);
}

/* ---- Arguments ---- */

static void gives_what_is_not_shared(struct test_rank *me, void *arg)
{
	struct ipcshare_set *lazy = NULL;
	struct stream_rank r;
	void *other;

	(void)arg;
	stream_rank_join(me, SIZE, &r);
	all_fail(me, &r, sum(&r, me->rank == 1 ? r.device.own : r.device.shared, array(&r, 2)),
		 IPCSHARE_ERR_INVALID, 1);
	CHECK_HAS(ipcshare_last_error()->text, "not in memory that the group shares");
	sums(&r);
	/* Where each is to map it himself, nobody would keep it; nor what was shared once. */
	other = team_alloc(r.t.ctx, 4096);
	REQUIRE_OK(ipcshare_share(r.t.group, &(struct ipcshare_buf){ other, 4096 }, 1,
				  me->rank ? 0 : IPCSHARE_LAZY, &lazy));
	all_fail(me, &r, sum(&r, other, array(&r, 2)), IPCSHARE_ERR_INVALID, 1);
	CHECK_HAS(ipcshare_last_error()->hint, "IPCSHARE_LAZY");
	CHECK_STATUS(ipcshare_set_free(lazy), 0);
	all_fail(me, &r, sum(&r, other, array(&r, 2)), IPCSHARE_ERR_INVALID, 0);
	CHECK_STATUS(ipcshare_free(r.t.ctx, other), 0); /* the failed calls hold nothing */
	sums(&r);
	stream_rank_leave(me, &r);
}

static void what_is_given_must_be_in_a_set(void)
{
	if (npu_machine(3))
		test_ranks(3, gives_what_is_not_shared, NULL);
}

static int device_has(int type, int op)
{
	static const unsigned types = 1u << IPCSHARE_INT8 | 1u << IPCSHARE_INT16 | 1u << IPCSHARE_INT32 |
				      1u << IPCSHARE_FP16 | 1u << IPCSHARE_BF16 | 1u << IPCSHARE_FP32;

	return types >> type & 1 && (op == IPCSHARE_OP_SUM || op == IPCSHARE_OP_MIN || op == IPCSHARE_OP_MAX);
}

static void user_op(void *acc, const void *in, size_t count, enum ipcshare_type type, void *arg)
{
	(void)acc;
	(void)in;
	(void)count;
	(void)type;
	(void)arg;
}

static void reduces_with_every_op(struct test_rank *me, void *arg)
{
	static const struct ipcshare_op user = { sizeof(user), user_op, NULL };
	struct stream_rank r;
	uint64_t tasks;

	(void)arg;
	stream_rank_join(me, SIZE, &r);
	sums(&r);
	for (int type = 0; type < IPCSHARE_TYPES; type++)
		for (int kind = IPCSHARE_OP_SUM; kind <= IPCSHARE_OPS; kind++) {
			const struct ipcshare_op *op =
				kind == IPCSHARE_OPS ? &user : (const struct ipcshare_op *)(uintptr_t)kind;
			int status, expected = device_has(type, kind) ? 0 : IPCSHARE_ERR_UNSUPPORTED;

			if (!ipcshare_op_allows(op, (enum ipcshare_type)type))
				expected = IPCSHARE_ERR_INVALID;
			tasks = npu_uses("task");
			status = ipcshare_scan_async(r.t.group, array(&r, 0), array(&r, 4), 10,
						     (enum ipcshare_type)type, op, r.device.stream);
			CHECK(status == expected, "%s of %s: %d", ipcshare_op_name(op),
			      ipcshare_type_name((enum ipcshare_type)type), status);
			if (expected != IPCSHARE_ERR_UNSUPPORTED)
				continue;
			CHECK_HAS(ipcshare_last_error()->text, ipcshare_op_name(op));
			CHECK_HAS(ipcshare_last_error()->text, ipcshare_type_name((enum ipcshare_type)type));
			CHECK_INT(npu_uses("task"), tasks); /* nothing is queued */
		}
	CHECK_INT(emu.synchronise(r.device.stream), 0);
	sums(&r);
	stream_rank_leave(me, &r);
}

static void what_the_device_does_not_reduce_is_named(void)
{
	if (npu_machine(2))
		test_ranks(2, reduces_with_every_op, NULL);
}

static void passes_bad_arguments(struct test_rank *me, void *arg)
{
	int bad = me->rank == 1;
	struct stream_rank r;
	void *stream;

	(void)arg;
	stream_rank_join(me, SIZE, &r);
	all_fail(me, &r, ipcshare_bcast_async(r.t.group, array(&r, 0), N, IPCSHARE_INT32, bad ? 3 : 0,
					  r.device.stream), IPCSHARE_ERR_INVALID, 1);
	all_fail(me, &r, sum(&r, bad ? NULL : array(&r, 0), array(&r, 1)), IPCSHARE_ERR_INVALID, 1);
	all_fail(me, &r, sum(&r, array(&r, 0), bad ? NULL : array(&r, 1)), IPCSHARE_ERR_INVALID, 1);
	sums(&r);
	/* A stream that has ended: nobody's stream waits for it. */
	REQUIRE_INT(emu.create_stream(&stream), 0);
	REQUIRE_INT(emu.destroy_stream(stream), 0);
	all_fail(me, &r, ipcshare_barrier_async(r.t.group, bad ? stream : r.device.stream),
		 IPCSHARE_ERR_INVALID, 1);
	CHECK_HAS(ipcshare_last_error()->text, "aclrtWaitAndResetNotify");
	sums(&r);
	CHECK_FAILS(ipcshare_barrier_async(NULL, NULL), IPCSHARE_ERR_INVALID);
	stream_rank_leave(me, &r);
}

static void a_bad_argument_fails_the_call_on_all_ranks(void)
{
	if (npu_machine(3))
		test_ranks(3, passes_bad_arguments, NULL);
}

/* *arg: streams were used before. */
static void makes_different_calls(struct test_rank *me, void *arg)
{
	struct stream_rank r;

	stream_rank_join(me, SIZE, &r);
	if (arg)
		sums(&r);
	CHECK_FAILS(me->rank ? ipcshare_barrier_async(r.t.group, r.device.stream)
			     : ipcshare_barrier(r.t.group), IPCSHARE_ERR_MISMATCH);
	CHECK_HAS(ipcshare_last_error()->text, "stream");
	test_rank_barrier(me, NPU_TALK);
	stream_rank_leave_broken(me, &r, IPCSHARE_ERR_MISMATCH);
}

static void one_rank_that_does_not_queue_it_is_a_mismatch(void)
{
	if (!npu_machine(3))
		return;
	test_ranks(3, makes_different_calls, NULL);
	test_ranks(3, makes_different_calls, "before");
}

/* With IPCSHARE_CHECK what does not fit is found before it is queued. */
static void is_checked(struct test_rank *me, void *arg)
{
	struct stream_rank r;

	(void)arg;
	setenv("IPCSHARE_CHECK", "1", 1);
	stream_rank_join(me, SIZE, &r);
	sums(&r);
	CHECK_FAILS(ipcshare_allreduce_async(r.t.group, array(&r, 0), array(&r, 1), me->rank == 1 ? N : N - 1,
					     IPCSHARE_INT32, IPCSHARE_SUM, r.device.stream),
		    IPCSHARE_ERR_MISMATCH);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	sums(&r);
	stream_rank_leave(me, &r);
}

static void arguments_that_do_not_fit_are_found_if_asked_for(void)
{
	if (npu_machine(3))
		test_ranks(3, is_checked, NULL);
}

/* ---- Where it can't be ---- */

static void runs_on_host(struct test_rank *me, void *arg)
{
	int32_t x[N], y[N];
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (int i = 0; i < N; i++)
		x[i] = number(t.rank, i);
	CHECK_STATUS(ipcshare_allreduce_async(t.group, x, y, N, IPCSHARE_INT32, IPCSHARE_SUM, NULL), 0);
	for (int i = 0; i < N; i++)
		CHECK_INT(y[i], number(0, i) + number(1, i));
	CHECK_FAILS(ipcshare_allreduce_async(t.group, x, y, N, IPCSHARE_INT32, IPCSHARE_SUM,
					     me->rank ? &t : NULL), IPCSHARE_ERR_INVALID);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK_STATUS(ipcshare_barrier_async(t.group, NULL), 0);
	team_leave(&t);
}

static void on_host_there_is_no_stream_but_null(void)
{
	test_ranks(2, runs_on_host, NULL);
}

/* ---- Calls of the runtime that fail ---- */

#define VICTIM 1
#define INJECTED 507899

struct fault {
	const char *call;
	int use;
	int closes; /* the streams are out of step then */
};

static void fault_put(struct test_rank *me, const struct fault *f)
{
	char rule[64];

	snprintf(rule, sizeof(rule), "%s:%d=%d", f->call, f->use, INJECTED);
	if (me->rank == VICTIM) {
		emu.reset_counters();
		REQUIRE_INT(emu.fail(rule), 0);
	}
}

/* 1: it has failed, on all ranks, for that reason. */
static int fails(struct test_rank *me, const struct fault *f, int status)
{
	int all[8];

	again_everybodys(me, status, all);
	for (int k = 0; k < me->nranks; k++)
		CHECK(all[k] == status, "%s, use %d: %d here, %d in rank %d", f->call, f->use, status, all[k], k);
	if (!status)
		return 0;
	CHECK(status == IPCSHARE_ERR_SYSTEM && ipcshare_last_error()->code == INJECTED, "%s, use %d: %s",
	      f->call, f->use, ipcshare_explain());
	CHECK_HAS(ipcshare_last_error()->text, f->call);
	return 1;
}

/* Two calls meet the fault, or a third; *arg: which. */
static void meets_a_fault(struct test_rank *me, void *arg)
{
	const struct fault *f = arg;
	int came = 0, uses[8];
	struct stream_rank r;

	stream_rank_join(me, SIZE, &r);
	fault_put(me, f);
	numbers_put(&r, array(&r, 0));
	for (int i = 0; i < 3 && !(came && f->closes); i++) {
		int status = sum(&r, array(&r, 0), array(&r, 1));

		came += fails(me, f, status);
		CHECK(came <= 1, "%s, use %d fails again", f->call, f->use);
		status = emu.synchronise(r.device.stream) != 0;
		CHECK(!status || (came && f->closes), "%s, use %d: the stream failed", f->call, f->use);
		if (!came || i == 2)
			sums_check(&r, array(&r, 1));
		test_rank_barrier(me, NPU_TALK);
	}
	again_everybodys(me, me->rank == VICTIM && npu_uses(f->call) >= (uint64_t)f->use, uses);
	CHECK(came && uses[VICTIM], "%s was not used %d times, or none failed", f->call, f->use);
	emu.fail(NULL);
	if (f->closes) {
		CHECK_FAILS(sum(&r, array(&r, 0), array(&r, 1)), IPCSHARE_ERR_CLOSED);
		CHECK_HAS(ipcshare_last_error()->hint, "free the group");
		CHECK_STATUS(ipcshare_barrier(r.t.group), 0); /* all else goes on */
	}
	stream_rank_leave(me, &r);
}

static void a_call_that_fails_is_named_by_all_and_passes(void)
{
	static const struct fault faults[] = {
		{ "aclrtCreateStream", 1, 0 }, { "aclrtCreateNotify", 1, 0 }, { "aclrtCreateNotify", 4, 0 },
		{ "aclrtNotifyGetExportKey", 2, 0 }, { "aclrtNotifySetImportPid", 3, 0 },
		{ "aclrtNotifyImportByKey", 1, 0 }, { "aclrtNotifyImportByKey", 4, 0 },
		{ "aclrtCreateNotify", 6, 0 }, /* of the caller's stream */
		{ "aclrtMallocAlign32", 1, 0 }, /* the scratch */
		{ "aclrtRecordNotify", 1, 0 }, { "aclrtWaitAndResetNotify", 1, 0 }, /* the turn */
		{ "aclrtMemcpyAsync", 4, 0 }, { "aclrtReduceAsync", 1, 0 }, { "aclrtReduceAsync", 3, 0 },
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (npu_machine(3))
			test_ranks(3, meets_a_fault, (void *)&faults[i]);
}

/* What the peers' streams wait for does not come: they do so until the deadline. */
static void what_can_not_be_ordered_any_more_is_closed(void)
{
	static const struct fault faults[] = {
		{ "aclrtRecordNotify", 3, 1 }, { "aclrtWaitAndResetNotify", 2, 1 },
	};

	setenv("IPCSHARE_TIMEOUT", "3", 1);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (npu_machine(3))
			test_ranks(3, meets_a_fault, (void *)&faults[i]);
	unsetenv("IPCSHARE_TIMEOUT");
}

/* ---- Death ---- */

static void loses_a_peer(struct test_rank *me, void *arg)
{
	struct stream_rank r;

	(void)arg;
	setenv("IPCSHARE_TIMEOUT", "3", 1);
	if (me->rank == 1)
		setenv("ASCENDCL_EMU_TASK_DELAY_US", "100000", 1);
	stream_rank_join(me, SIZE, &r);
	CHECK_STATUS(ipcshare_barrier_async(r.t.group, r.device.stream), 0);
	if (me->rank == 1)
		kill(getpid(), SIGKILL); /* its stream has not come so far */
	CHECK(emu.synchronise(r.device.stream), "the stream has met a rank that was dead");
	CHECK_FAILS(ipcshare_barrier_async(r.t.group, r.device.stream), IPCSHARE_ERR_PEER_DEAD);
	CHECK_INT(emu.destroy_stream(r.device.stream), 0);
	CHECK(ipcshare_set_free(r.set), "the set is freed together");
	CHECK_STATUS(ipcshare_group_free(r.t.group), 0);
	CHECK_STATUS(ipcshare_free(r.t.ctx, r.device.own), 0);
	CHECK_STATUS(ipcshare_close(r.t.ctx), 0);
	CHECK_NOTHING_LEAKED(&r.t.before);
}

static void a_stream_does_not_wait_for_the_dead_for_ever(void)
{
	struct test_ranks options = { .nranks = 2, .fn = loses_a_peer, .dies = 2 };

	if (npu_machine(2))
		test_ranks_with(&options);
}

TEST_SUITE(coll_stream_faults, npu_remember, npu_restore,
	TEST(what_is_given_must_be_in_a_set),
	TEST(what_the_device_does_not_reduce_is_named),
	TEST(a_bad_argument_fails_the_call_on_all_ranks),
	TEST(one_rank_that_does_not_queue_it_is_a_mismatch),
	TEST(arguments_that_do_not_fit_are_found_if_asked_for),
	TEST(on_host_there_is_no_stream_but_null),
	TEST(a_call_that_fails_is_named_by_all_and_passes),
	TEST(what_can_not_be_ordered_any_more_is_closed),
	TEST(a_stream_does_not_wait_for_the_dead_for_ever));
