/* SPDX-License-Identifier: BSD-3-Clause */
/* Reducing on the device, in the order of a stream. */
#include <stdlib.h>
#include <unistd.h>

#include "pair.h"

#define N 1000

struct arrays {
	struct ipcshare__memory dst, src;
	struct ipcshare__stream *stream;
};

static struct arrays arrays_make(struct side *s, size_t len)
{
	struct arrays a;

	REQUIRE_OK(s->ops->alloc(s->be, len, &a.dst));
	REQUIRE_OK(s->ops->alloc(s->be, len, &a.src));
	REQUIRE_OK(s->ops->stream_create(s->be, &a.stream));
	return a;
}

static void arrays_end(struct side *s, struct arrays *a)
{
	s->ops->stream_destroy(s->be, a->stream);
	s->ops->release(s->be, &a->dst);
	s->ops->release(s->be, &a->src);
}

/* ---- What it has ---- */

static int has(const struct side *s, int type, int op)
{
	return s->ops->reduces(s->be, (enum ipcshare_type)type, (enum ipcshare_op_kind)op);
}

/* What it says is what it does; and what it does not, it names. */
static void reduces_as_it_says(struct side *s)
{
	struct arrays a = arrays_make(s, 4096);
	int yes = 0;

	for (int type = 0; type < IPCSHARE_TYPES; type++)
		for (int op = 0; op <= IPCSHARE_OPS; op++) {
			int status = s->ops->reduce(s->be, a.dst.base, a.src.base, 64,
						    (enum ipcshare_type)type,
						    (enum ipcshare_op_kind)op, a.stream);

			yes += has(s, type, op);
			CHECK(status == (has(s, type, op) ? 0 : IPCSHARE_ERR_UNSUPPORTED),
			      "type %d, op %d: %d", type, op, status);
		}
	CHECK_STATUS(s->ops->stream_synchronise(s->be, a.stream), 0);
	CHECK_INT(yes, s->ops->id == IPCSHARE__BACKEND_HOST ? 0 : 6 * 3);
	if (yes) {
		CHECK(has(s, IPCSHARE_BF16, IPCSHARE_OP_MIN), "no least bf16");
		CHECK(!has(s, IPCSHARE_INT64, IPCSHARE_OP_SUM), "there is a sum of int64");
	}
	arrays_end(s, &a);
}

static void it_reduces_what_it_says(void)
{
	on_pair(.owner = reduces_as_it_says);
}

/* ---- What it does ---- */

static int32_t wanted(int op, int32_t x, int32_t y)
{
	return op == IPCSHARE_OP_SUM ? x + y : (op == IPCSHARE_OP_MAX) == (x > y) ? x : y;
}

/* Each copy and each reduction sees what the one before it has left. */
static void reduces_in_order(struct side *s)
{
	struct arrays a = arrays_make(s, N * sizeof(int32_t));
	static const int ops[] = { IPCSHARE_OP_SUM, IPCSHARE_OP_MAX, IPCSHARE_OP_MIN };
	int32_t x[N], y[N];

	for (int k = 0; k < 3; k++) {
		struct ipcshare__piece copy = { a.src.base, a.dst.base, sizeof(x) };
		enum ipcshare_op_kind op = (enum ipcshare_op_kind)ops[k];

		for (int i = 0; i < N; i++) {
			x[i] = i * 37 % 101 - 50;
			y[i] = i * 53 % 103 - 50;
		}
		side_write(s, a.dst.base, x, sizeof(x));
		side_write(s, a.src.base, y, sizeof(y));
		CHECK_STATUS(s->ops->reduce(s->be, a.dst.base, a.src.base, sizeof(x),
					    IPCSHARE_INT32, op, a.stream), 0);
		CHECK_STATUS(s->ops->copy_pieces(s->be, &copy, 1, a.stream), 0);
		CHECK_STATUS(s->ops->reduce(s->be, a.dst.base, a.src.base, sizeof(x),
					    IPCSHARE_INT32, IPCSHARE_OP_SUM, a.stream), 0);
		CHECK_STATUS(s->ops->stream_synchronise(s->be, a.stream), 0);
		for (int i = 0; i < N; i++)
			x[i] = 2 * wanted(op, x[i], y[i]);
		side_read(s, a.dst.base, y, sizeof(y));
		CHECK_MEM(y, x, sizeof(x));
	}
	arrays_end(s, &a);
}

static void it_is_done_in_the_order_of_the_stream(void)
{
	on_pair(.backend = "ascend", .owner = reduces_in_order,
		.set = "ASCENDCL_EMU_TASK_DELAY_US=1000");
}

/* The engine takes 4 GiB of a sum in one call. Both operands are one, so that one memory is enough. */
static void doubles_more_than_one_call_takes(struct side *s)
{
	const size_t most = (size_t)4 << 30, len = most + 4096;
	const size_t at[] = { 0, most - sizeof(int32_t), most, len - sizeof(int32_t) };
	struct ipcshare__stream *stream;
	struct ipcshare__memory mem;
	int32_t x;

	REQUIRE_OK(s->ops->alloc(s->be, len, &mem));
	REQUIRE_OK(s->ops->stream_create(s->be, &stream));
	for (int i = 0; i < 4; i++) {
		x = i + 1;
		side_write(s, (char *)mem.base + at[i], &x, sizeof(x));
	}
	counts_reset(s);
	CHECK_STATUS(s->ops->reduce(s->be, mem.base, mem.base, len, IPCSHARE_INT32, IPCSHARE_OP_SUM,
				    stream), 0);
	CHECK_STATUS(s->ops->stream_synchronise(s->be, stream), 0);
	CHECK_COUNT(s, "aclrtReduceAsync", 2);
	for (int i = 0; i < 4; i++) {
		side_read(s, (char *)mem.base + at[i], &x, sizeof(x));
		CHECK_INT(x, 2 * (i + 1));
	}
	s->ops->stream_destroy(s->be, stream);
	s->ops->release(s->be, &mem);
}

static void a_sum_above_what_one_call_takes_goes_in_two(void)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (!test_setting("TEST_LONG", 0))
		test_skip("more than 4 GiB are summed only if TEST_LONG is 1, as in a soak");
	else if ((uint64_t)sysconf(_SC_AVPHYS_PAGES) * page >> 30 < 6)
		test_skip("6 GiB of memory are not free");
	else
		on_pair(.backend = "ascend", .owner = doubles_more_than_one_call_takes);
}

/* ---- What it refuses ---- */

static int sum(struct side *s, void *dst, const void *src, size_t len)
{
	return s->ops->reduce(s->be, dst, src, len, IPCSHARE_FP32, IPCSHARE_OP_SUM, NULL);
}

static void gives(struct side *s)
{
	struct ipcshare__memory mem;

	REQUIRE_OK(s->ops->alloc(s->be, 4096, &mem));
	side_give(s, &mem, 0);
	test_await(s->channel);
	s->ops->close_export(s->be, &mem);
	s->ops->release(s->be, &mem);
}

static void reduces_what_is_elsewhere(struct side *s)
{
	struct ipcshare__imported theirs = side_take(s);
	struct arrays a = arrays_make(s, 4096);
	float host[16] = { 0 };

	counts_reset(s);
	CHECK_FAILS(sum(s, a.dst.base, theirs.base, 64), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(sum(s, theirs.base, a.src.base, 64), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(sum(s, a.dst.base, host, 64), IPCSHARE_ERR_INVALID);
	CHECK_HAS(ipcshare_last_error()->text, "not on device 1");
	CHECK_FAILS(sum(s, (char *)a.dst.base + 4000, a.src.base, 100), IPCSHARE_ERR_RANGE);
	CHECK_COUNT(s, "aclrtReduceAsync", 0);
	if (runtime_fail(s, "aclrtReduceAsync=507000")) {
		CHECK_FAILS(sum(s, a.dst.base, a.src.base, 64), IPCSHARE_ERR_SYSTEM);
		CHECK_INT(ipcshare_last_error()->code, 507000);
		CHECK_HAS(ipcshare_last_error()->text, "aclrtReduceAsync");
		runtime_fail(s, "");
	}
	CHECK_STATUS(sum(s, a.dst.base, a.src.base, 64), 0);
	CHECK_STATUS(s->ops->stream_synchronise(s->be, NULL), 0);
	arrays_end(s, &a);
	s->ops->close_import(s->be, &theirs);
	test_signal(s->channel);
}

static void what_is_not_on_the_device_is_refused_by_name(void)
{
	on_pair(.backend = "ascend", .owner = gives, .reader = reduces_what_is_elsewhere);
}

TEST_SUITE(reduce, NULL, NULL,
	TEST(it_reduces_what_it_says),
	TEST(it_is_done_in_the_order_of_the_stream),
	TEST(a_sum_above_what_one_call_takes_goes_in_two),
	TEST(what_is_not_on_the_device_is_refused_by_name));
