/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives on streams, on the emulator, whose streams show a missing order as wrong data. */
#include <stdio.h>
#include <stdlib.h>

#include "stream_rank.h"

#define SIZE ((size_t)1 << 20)
#define LONG_SIZE ((size_t)16 << 20)

static int reduces(enum coll_which which)
{
	return which >= COLL_REDUCE;
}

/* ---- Every call, against what it must give ---- */

static const enum ipcshare_type types[] = { IPCSHARE_INT32, IPCSHARE_FP32, IPCSHARE_BF16 };
static const struct ipcshare_op *const ops[] = { IPCSHARE_SUM, IPCSHARE_MIN, IPCSHARE_MAX };

/* Nothing, one element, a part for each rank, and more than the scratch holds at once. */
static const size_t counts[] = { 0, 1, 1000, 20003 };

static void makes_every_call(struct test_rank *me, void *arg)
{
	struct stream_rank r;
	int n = 0;

	(void)arg;
	stream_rank_join(me, SIZE, &r);
	for (int which = 0; which < COLL_WHICH; which++)
		for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++)
			for (int in_place = 0; in_place < 2; in_place++, n++) {
				struct coll_case c = {
					.group = r.t.group, .rank = r.t.rank, .nranks = r.t.nranks,
					.which = (enum coll_which)which, .type = types[n % 3],
					.op = ops[n / 3 % 3], .count = counts[k], .root = n % r.t.nranks,
					.in_place = in_place, .device = &r.device, .seed = (uint64_t)n,
				};

				if (!reduces(c.which) || which == COLL_REDUCE_SCATTER ||
				    which == COLL_REDUCE_SCATTER_BLOCK)
					c.count /= (size_t)r.t.nranks;
				coll_case_run(&c);
			}
	stream_rank_leave(me, &r);
}

static void every_call_gives_what_it_must(void)
{
	for (int n = 1; n <= 8; n *= 2)
		if (npu_machine(n))
			test_ranks(n, makes_every_call, NULL);
}

static void two_ranks_may_have_one_device(void)
{
	if (npu_machine(2))
		test_ranks(4, makes_every_call, NULL);
}

/* In place, so long that the scratch is used several times. */
static void makes_long_calls(struct test_rank *me, void *arg)
{
	static const enum coll_which in_pieces[] = {
		COLL_ALLTOALL, COLL_ALLREDUCE, COLL_REDUCE_SCATTER_BLOCK, COLL_SCAN,
	};
	struct stream_rank r;

	(void)arg;
	stream_rank_join(me, LONG_SIZE, &r);
	for (size_t i = 0; i < sizeof(in_pieces) / sizeof(in_pieces[0]); i++) {
		struct coll_case c = {
			.group = r.t.group, .rank = r.t.rank, .nranks = r.t.nranks, .which = in_pieces[i],
			.type = IPCSHARE_INT16, .op = IPCSHARE_SUM, .count = 1100001, .root = 1,
			.in_place = 1, .device = &r.device, .seed = i,
		};

		coll_case_run(&c);
	}
	stream_rank_leave(me, &r);
}

static void what_is_longer_than_the_scratch_goes_in_pieces(void)
{
	if (npu_machine(3))
		test_ranks(3, makes_long_calls, NULL);
}

/* ---- Queued, one behind the other ---- */

#define N 18000 /* elements of a rank: enough to be reduced in parts; a multiple of the ranks */
#define STEPS 24

struct arrays { /* of one rank: on the device, or what they must be */
	uint32_t *x, *y;
};

static uint32_t begins_as(int rank, size_t i)
{
	return (uint32_t)(rank + 1) * 1000003u + (uint32_t)i * 7919u;
}

/* What step @k makes of the arrays of all ranks. */
static void simulate(int k, int n, struct arrays *all)
{
	size_t block = N / (size_t)n;

	for (int r = 0; r < n; r++)
		for (size_t i = 0; i < N; i++) {
			uint32_t v = 0;

			if (k % 4 == 0) { /* allreduce from x to y */
				for (int s = 0; s < n; s++)
					v += all[s].x[i];
			} else if (k % 4 == 1) { /* alltoall from y to x */
				v = all[i / block].y[(size_t)r * block + i % block];
			} else if (k % 4 == 2) { /* scan from x to y */
				for (int s = 0; s <= r; s++)
					v += all[s].x[i];
			} else { /* bcast of x */
				v = all[k % n].x[i];
			}
			(k % 4 == 1 || k % 4 == 3 ? all[n + r].x : all[n + r].y)[i] = v;
		}
	for (int r = 0; r < n; r++)
		if (k % 4 == 1 || k % 4 == 3)
			memcpy(all[r].x, all[n + r].x, N * sizeof(uint32_t));
		else
			memcpy(all[r].y, all[n + r].y, N * sizeof(uint32_t));
}

static int queue_step(struct stream_rank *r, int k, void *stream)
{
	int n = r->t.nranks;
	char *x = r->device.shared, *y = x + N * sizeof(uint32_t);

	switch (k % 4) {
	case 0:
		return ipcshare_allreduce_async(r->t.group, x, y, N, IPCSHARE_INT32, IPCSHARE_SUM, stream);
	case 1:
		return ipcshare_alltoall_async(r->t.group, y, x, N / (size_t)n, IPCSHARE_INT32, stream);
	case 2:
		return ipcshare_scan_async(r->t.group, x, y, N, IPCSHARE_INT32, IPCSHARE_SUM, stream);
	default:
		return ipcshare_bcast_async(r->t.group, x, N, IPCSHARE_INT32, k % n, stream);
	}
}

static void arrays_check(struct stream_rank *r)
{
	struct arrays all[2 * TEST_RANKS_MAX];
	int n = r->t.nranks;
	uint32_t *seen = calloc(2 * N, sizeof(*seen));

	for (int i = 0; i < 2 * n; i++) {
		all[i].x = calloc(2 * N, sizeof(*all[i].x));
		all[i].y = all[i].x + N;
		for (size_t k = 0; k < N; k++)
			all[i].x[k] = begins_as(i, k);
	}
	for (int k = 0; k < STEPS; k++)
		simulate(k, n, all);
	REQUIRE_OK(ipcshare_copy(r->t.ctx, seen, r->device.shared, 2 * N * sizeof(*seen)));
	CHECK_MEM(seen, all[r->t.rank].x, 2 * N * sizeof(*seen));
	for (int i = 0; i < 2 * n; i++)
		free(all[i].x);
	free(seen);
}

/* *arg: how many streams. One rank is slow. */
static void queues_many(struct test_rank *me, void *arg)
{
	int nstreams = *(int *)arg;
	void *streams[3];
	uint32_t x[N];
	struct stream_rank r;

	if (me->rank == 1)
		setenv("ASCENDCL_EMU_TASK_DELAY_US", "1000", 1);
	stream_rank_join(me, SIZE, &r);
	for (int i = 0; i < nstreams; i++)
		REQUIRE_INT(emu.create_stream(&streams[i]), 0);
	for (size_t i = 0; i < N; i++)
		x[i] = begins_as(me->rank, i);
	REQUIRE_OK(ipcshare_copy(r.t.ctx, r.device.shared, x, sizeof(x)));
	for (int k = 0; k < STEPS; k++)
		CHECK_STATUS(queue_step(&r, k, streams[k % nstreams]), 0);
	for (int i = 0; i < nstreams; i++) {
		CHECK_INT(emu.synchronise(streams[i]), 0);
		CHECK_INT(emu.destroy_stream(streams[i]), 0);
	}
	arrays_check(&r);
	stream_rank_leave(me, &r);
}

static void calls_that_are_queued_see_what_those_before_them_did(void)
{
	for (int n = 2; n <= 8; n *= 2)
		if (npu_machine(n))
			test_ranks(n, queues_many, &(int){ 1 });
}

static void calls_on_different_streams_follow_each_other(void)
{
	for (int n = 2; n <= 4; n++)
		if (npu_machine(n))
			test_ranks(n, queues_many, &(int){ n == 3 ? 3 : 2 });
}

/* Without a stream of the caller. */
static void makes_it_at_once(struct test_rank *me, void *arg)
{
	uint32_t x[N];
	struct stream_rank r;

	(void)arg;
	stream_rank_join(me, SIZE, &r);
	for (size_t i = 0; i < N; i++)
		x[i] = begins_as(me->rank, i);
	REQUIRE_OK(ipcshare_copy(r.t.ctx, r.device.shared, x, sizeof(x)));
	for (int k = 0; k < STEPS; k++)
		CHECK_STATUS(queue_step(&r, k, NULL), 0);
	arrays_check(&r);
	stream_rank_leave(me, &r);
}

static void without_a_stream_it_is_over_on_return(void)
{
	if (npu_machine(3))
		test_ranks(3, makes_it_at_once, NULL);
}

/* More streams than are told apart. */
static void uses_many_streams(struct test_rank *me, void *arg)
{
	void *streams[40];
	uint32_t x[N];
	struct stream_rank r;

	(void)arg;
	stream_rank_join(me, SIZE, &r);
	for (size_t i = 0; i < N; i++)
		x[i] = begins_as(me->rank, i);
	REQUIRE_OK(ipcshare_copy(r.t.ctx, r.device.shared, x, sizeof(x)));
	for (int k = 0; k < 40; k++) {
		REQUIRE_INT(emu.create_stream(&streams[k]), 0);
		CHECK_STATUS(k < STEPS ? queue_step(&r, k, streams[k])
				       : ipcshare_barrier_async(r.t.group, streams[k]), 0);
	}
	for (int k = 0; k < 40; k++) {
		CHECK_INT(emu.synchronise(streams[k]), 0);
		CHECK_INT(emu.destroy_stream(streams[k]), 0);
	}
	CHECK(npu_uses("aclrtCreateNotify") < 40, "a notify for each stream");
	arrays_check(&r);
	stream_rank_leave(me, &r);
}

static void there_may_be_any_number_of_streams(void)
{
	if (npu_machine(2))
		test_ranks(2, uses_many_streams, NULL);
}

/* ---- Captured ---- */

/* *arg: streams were used before. What is captured is not done, but each time that it is replayed. */
static void captures(struct test_rank *me, void *arg)
{
	uint32_t x[N], y[N];
	struct stream_rank r;
	void *model, *other;

	stream_rank_join(me, SIZE, &r);
	if (arg)
		CHECK_STATUS(ipcshare_barrier_async(r.t.group, r.device.stream), 0);
	CHECK_INT(emu.synchronise(r.device.stream), 0);
	REQUIRE_INT(emu.create_stream(&other), 0);
	REQUIRE_INT(emu.capture_begin(r.device.stream, 1), 0);
	CHECK_STATUS(queue_step(&r, 0, r.device.stream), 0);
	CHECK_STATUS(queue_step(&r, 1, r.device.stream), 0);
	REQUIRE_INT(emu.capture_end(r.device.stream, &model), 0);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < N; i++)
			x[i] = begins_as(me->rank + round, i);
		CHECK_STATUS(ipcshare_copy(r.t.ctx, r.device.shared, x, sizeof(x)), 0);
		CHECK_STATUS(ipcshare_barrier_async(r.t.group, other), 0); /* between them all is as usual */
		CHECK_INT(emu.synchronise(other), 0);
		CHECK_INT(emu.execute(model, other), 0);
		CHECK_INT(emu.synchronise(other), 0);
		/* An allreduce, and then an alltoall of what all have. */
		CHECK_STATUS(ipcshare_copy(r.t.ctx, y, r.device.shared, sizeof(y)), 0);
		for (size_t i = 0; i < N; i++) {
			size_t block = N / (size_t)r.t.nranks, at = (size_t)me->rank * block + i % block;
			uint32_t sum = 0;

			for (int k = 0; k < r.t.nranks; k++)
				sum += begins_as(k + round, at);
			if (!CHECK_INT(y[i], sum))
				break;
		}
		test_rank_barrier(me, NPU_TALK);
	}
	CHECK_INT(emu.destroy_model(model), 0);
	CHECK_INT(emu.destroy_stream(other), 0);
	stream_rank_leave(me, &r);
}

static void a_captured_call_is_made_at_each_replay(void)
{
	if (!npu_machine(3))
		return;
	test_ranks(3, captures, NULL);
	test_ranks(3, captures, "before");
}

/* ---- Who can't ---- */

static void is_a_thread(struct test_rank *me, void *arg)
{
	struct ipcshare_options options = npu_options(0);
	struct ipcshare_group *group = NULL;
	struct ipcshare_ctx *ctx = NULL;

	(void)arg;
	REQUIRE_OK(ipcshare_open(&options, &ctx));
	REQUIRE_OK(ipcshare_group_create(ctx, &me->bootstrap, &group));
	CHECK_FAILS(ipcshare_barrier_async(group, NULL), IPCSHARE_ERR_UNSUPPORTED);
	CHECK_HAS(ipcshare_last_error()->hint, "process");
	CHECK_STATUS(ipcshare_barrier(group), 0);
	CHECK_STATUS(ipcshare_group_free(group), 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void are_threads(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	test_thread_ranks(2, is_a_thread, NULL);
}

static void ranks_of_one_process_have_no_streams_together(void)
{
	if (npu_machine(1)) /* the runtime must not be in the runner */
		test_child_join(test_child(are_threads, NULL));
}

TEST_SUITE(coll_stream, npu_remember, npu_restore,
	TEST(every_call_gives_what_it_must),
	TEST(two_ranks_may_have_one_device),
	TEST(what_is_longer_than_the_scratch_goes_in_pieces),
	TEST(calls_that_are_queued_see_what_those_before_them_did),
	TEST(calls_on_different_streams_follow_each_other),
	TEST(without_a_stream_it_is_over_on_return),
	TEST(there_may_be_any_number_of_streams),
	TEST(a_captured_call_is_made_at_each_replay),
	TEST(ranks_of_one_process_have_no_streams_together));
