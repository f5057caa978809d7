/* SPDX-License-Identifier: BSD-3-Clause */
/* Many pieces in few calls, and plans: between two processes, counted where somebody counts. */
#include <stdlib.h>

#include "pair.h"

#define CELLS 10000
#define CELL 64
#define ROOM ((size_t)4 << 20)

/* The owner's side: @ROOM bytes that repeat with a period no stride here has. */
static unsigned char byte_at(size_t i)
{
	return (unsigned char)(1 + i % 241);
}

static void give_pattern(struct side *s, struct ipcshare__memory *mem)
{
	unsigned char *bytes = malloc(ROOM);

	for (size_t i = 0; i < ROOM; i++)
		bytes[i] = byte_at(i);
	REQUIRE_OK(s->ops->alloc(s->be, ROOM, mem));
	side_write(s, mem->base, bytes, ROOM);
	free(bytes);
	side_give(s, mem, 0);
}

static void take_back(struct side *s, struct ipcshare__memory *mem)
{
	s->ops->close_export(s->be, mem);
	s->ops->release(s->be, mem);
}

static void owns_the_pattern(struct side *s)
{
	struct ipcshare__memory mem;

	give_pattern(s, &mem);
	test_await(s->channel);
	take_back(s, &mem);
}

/* The reader's side: what it copies to, and what should be there. */
struct view {
	struct ipcshare__imported from;
	struct ipcshare__memory to;
	unsigned char *expected, *actual;
	struct ipcshare__piece *pieces;
	size_t n;
};

static struct view view_open(struct side *s)
{
	struct view v = { .from = side_take(s), .expected = calloc(1, ROOM),
			  .actual = malloc(ROOM), .pieces = malloc(2 * CELLS * sizeof(*v.pieces)) };

	REQUIRE_OK(s->ops->alloc(s->be, ROOM, &v.to));
	return v;
}

static void view_piece(struct view *v, size_t to, size_t from, size_t len)
{
	v->pieces[v->n++] = (struct ipcshare__piece){ (char *)v->to.base + to,
						      (char *)v->from.base + from, len };
	for (size_t i = 0; i < len; i++)
		v->expected[to + i] = byte_at(from + i);
}

static void view_check(struct side *s, struct view *v)
{
	side_read(s, v->to.base, v->actual, ROOM);
	CHECK_MEM(v->actual, v->expected, ROOM);
}

static void view_close(struct side *s, struct view *v)
{
	s->ops->release(s->be, &v->to);
	s->ops->close_import(s->be, &v->from);
	test_signal(s->channel);
	free(v->pieces);
	free(v->actual);
	free(v->expected);
}

static long copies(const struct side *s)
{
	return count_of(s, "aclrtMemcpyAsync") + count_of(s, "aclrtMemcpy2dAsync");
}

/* ---- Pieces ---- */

static void pulls_adjacent(struct side *s)
{
	struct view v = view_open(s);

	for (size_t i = 0; i < CELLS; i++)
		view_piece(&v, 128 + CELL * i, 64 + CELL * i, CELL);
	counts_reset(s);
	CHECK_STATUS(s->ops->copy_pieces(s->be, v.pieces, v.n, NULL), 0);
	CHECK_COUNT(s, "aclrtMemcpyAsync", 1);
	CHECK_COUNT(s, "aclrtMemcpy2dAsync", 0);
	CHECK_COUNT(s, "aclrtSynchronizeStream", 1);
	CHECK_COUNT(s, "task", 1);
	view_check(s, &v);
	view_close(s, &v);
}

static void adjacent_cells_are_one_copy(void)
{
	on_pair(.owner = owns_the_pattern, .reader = pulls_adjacent);
}

static void pulls_strided(struct side *s)
{
	struct view v = view_open(s);

	for (size_t i = 0; i < CELLS; i++)
		view_piece(&v, 96 * i, 200 * i, CELL);
	counts_reset(s);
	CHECK_STATUS(s->ops->copy_pieces(s->be, v.pieces, v.n, NULL), 0);
	CHECK_COUNT(s, "aclrtMemcpy2dAsync", 1);
	if (runtime_symbol(s, "aclrtMemGetAddressRange")) { /* 8.5.0 has the call and refuses it */
		CHECK_COUNT(s, "aclrtMemcpyAsync", 0);
		CHECK_COUNT(s, "aclrtSynchronizeStream", 1);
		CHECK_COUNT(s, "row", CELLS);
	}
	view_check(s, &v);
	view_close(s, &v);
}

static void a_strided_run_is_one_call(void)
{
	on_pair(.owner = owns_the_pattern, .reader = pulls_strided);
}

/* No two gaps alike, so that nothing can be merged. */
static void pieces_irregular(struct view *v, size_t n)
{
	size_t to = 0, from = 0;

	for (size_t i = 0; i < n; i++) {
		size_t len = 8 + (i * 7) % 61;

		view_piece(v, to, from, len);
		to += len + 1 + i % 5;
		from += len + 2 + i % 7;
	}
}

static void pulls_irregular(struct side *s)
{
	struct view v = view_open(s);

	pieces_irregular(&v, CELLS);
	counts_reset(s);
	CHECK_STATUS(s->ops->copy_pieces(s->be, v.pieces, v.n, NULL), 0);
	CHECK_COUNT(s, "aclrtMemcpyAsync", CELLS);
	/* 10,000 tasks on 4 streams, which wait for every 1,500: once on the way, once at the end */
	CHECK_COUNT(s, "aclrtSynchronizeStream", 8);
	view_check(s, &v);
	view_close(s, &v);
}

static void irregular_pieces_are_a_copy_each_on_few_streams(void)
{
	on_pair(.owner = owns_the_pattern, .reader = pulls_irregular);
}

static void pushes(struct side *s)
{
	struct view v = view_open(s);
	unsigned char *bytes = malloc(ROOM);

	memset(bytes, 0x5a, ROOM);
	side_write(s, v.to.base, bytes, ROOM);
	for (size_t i = 0; i < 1000; i++) /* every second cell of the owner's memory */
		v.pieces[v.n++] = (struct ipcshare__piece){ (char *)v.from.base + 2 * CELL * i,
							    (char *)v.to.base + CELL * i, CELL };
	CHECK_STATUS(s->ops->copy_pieces(s->be, v.pieces, v.n, NULL), 0);
	side_read(s, v.from.base, bytes, ROOM);
	for (size_t i = 0; i < 1000; i++)
		CHECK_BYTES(bytes + 2 * CELL * i, 0x5a, CELL);
	CHECK_INT(bytes[CELL], byte_at(CELL));
	free(bytes);
	view_close(s, &v);
}

static void pieces_are_pushed_too(void)
{
	on_pair(.owner = owns_the_pattern, .reader = pushes);
}

/* Each third piece ends on the host, or comes from there. */
static void pulls_to_the_host(struct side *s)
{
	struct view v = view_open(s);
	unsigned char *host = calloc(1, 4096);

	for (size_t i = 0; i < 30; i++) {
		view_piece(&v, 100 * i, 77 * i, 32);
		v.pieces[v.n++] = (struct ipcshare__piece){ host + 32 * i,
							    (char *)v.from.base + 500 * i, 32 };
	}
	memset(host + 2048, 7, 64);
	memset(v.expected + 8192, 7, 64);
	v.pieces[v.n++] = (struct ipcshare__piece){ (char *)v.to.base + 8192, host + 2048, 64 };
	v.pieces[v.n++] = (struct ipcshare__piece){ host + 2112, host + 2048, 64 };
	CHECK_STATUS(s->ops->copy_pieces(s->be, v.pieces, v.n, NULL), 0);
	view_check(s, &v);
	for (size_t i = 0; i < 30 * 32; i++)
		CHECK_INT(host[i], byte_at(500 * (i / 32) + i % 32));
	CHECK_BYTES(host + 2112, 7, 64);
	free(host);
	view_close(s, &v);
}

static void pieces_may_lie_on_the_host(void)
{
	on_pair(.owner = owns_the_pattern, .reader = pulls_to_the_host);
}

static void pulls_on_a_stream(struct side *s)
{
	struct view v = view_open(s);
	struct ipcshare__stream *stream;

	pieces_irregular(&v, 1000);
	REQUIRE_OK(s->ops->stream_create(s->be, &stream));
	counts_reset(s);
	CHECK_STATUS(s->ops->copy_pieces(s->be, v.pieces, v.n, stream), 0);
	CHECK_COUNT(s, "aclrtSynchronizeStream", 0);
	CHECK_STATUS(s->ops->stream_synchronise(s->be, stream), 0);
	view_check(s, &v);
	s->ops->stream_destroy(s->be, stream);
	view_close(s, &v);
}

static void a_stream_of_the_caller_is_not_waited_for(void)
{
	on_pair(.owner = owns_the_pattern, .reader = pulls_on_a_stream);
}

static void pulls_from_another_release(struct side *s)
{
	struct view v = view_open(s);

	for (size_t i = 0; i < 100; i++)
		view_piece(&v, 96 * i, 200 * i, CELL);
	counts_reset(s);
	CHECK_STATUS(s->ops->copy_pieces(s->be, v.pieces, v.n, NULL), 0);
	CHECK_COUNT(s, "aclrtMemcpy2dAsync", 1);
	CHECK_COUNT(s, "aclrtMemcpyAsync", 100);
	CHECK_STATUS(s->ops->copy_pieces(s->be, v.pieces, v.n, NULL), 0);
	CHECK_COUNT(s, "aclrtMemcpy2dAsync", 1); /* it is not tried again */
	view_check(s, &v);
	view_close(s, &v);
}

static void a_release_without_planes_gets_single_copies(void)
{
	on_pair(.backend = "ascend", .owner = owns_the_pattern, .reader = pulls_from_another_release,
		.set = "ASCENDCL_EMU_LEGACY_2D=2");
}

static void pulls_too_much(struct side *s)
{
	struct view v = view_open(s);

	view_piece(&v, 0, 0, 64);
	v.expected[0] = 0;
	memset(v.expected, 0, 64);
	v.pieces[v.n++] = (struct ipcshare__piece){ v.to.base, (char *)v.from.base + ROOM - 8, 9 };
	CHECK_FAILS(s->ops->copy_pieces(s->be, v.pieces, v.n, NULL), IPCSHARE_ERR_RANGE);
	CHECK_INT(ipcshare_last_error()->index, 1);
	view_check(s, &v); /* not even the first one */
	view_close(s, &v);
}

static void a_piece_beyond_the_end_is_named_and_nothing_moves(void)
{
	on_pair(.backend = "ascend", .owner = owns_the_pattern, .reader = pulls_too_much);
}

static void pulls_with_a_failure(struct side *s)
{
	struct view v = view_open(s);

	pieces_irregular(&v, 500);
	if (runtime_fail(s, "aclrtMemcpyAsync:300=507899")) {
		counts_reset(s);
		CHECK_FAILS(s->ops->copy_pieces(s->be, v.pieces, v.n, NULL), IPCSHARE_ERR_SYSTEM);
		CHECK_INT(ipcshare_last_error()->code, 507899);
		CHECK_HAS(ipcshare_last_error()->text, "aclrtMemcpyAsync");
		CHECK_INT(count_of(s, "aclrtSynchronizeStream"), 4); /* nothing is under way */
		runtime_fail(s, "");
		runtime_fail(s, "run:3=507013"); /* a task on the device */
		CHECK_FAILS(s->ops->copy_pieces(s->be, v.pieces, v.n, NULL), IPCSHARE_ERR_SYSTEM);
		CHECK_INT(ipcshare_last_error()->code, 507013);
		runtime_fail(s, "");
	}
	CHECK_STATUS(s->ops->copy_pieces(s->be, v.pieces, v.n, NULL), 0);
	view_check(s, &v);
	view_close(s, &v);
}

static void a_failed_copy_is_named_and_leaves_nothing_under_way(void)
{
	on_pair(.backend = "ascend", .owner = owns_the_pattern, .reader = pulls_with_a_failure);
}

/* Two allocations of the owner, that may well lie side by side where they are imported. */
static void owns_two(struct side *s)
{
	struct ipcshare__memory one, two;

	give_pattern(s, &one);
	give_pattern(s, &two);
	test_await(s->channel);
	take_back(s, &one);
	take_back(s, &two);
}

/* Two rows at the distance of the allocations; then the end of one and the beginning of the next. */
static void pulls_from_two(struct side *s)
{
	struct ipcshare__imported other = side_take(s), one, two;
	struct view v = view_open(s);

	one = (char *)other.base < (char *)v.from.base ? other : v.from;
	two = one.base == other.base ? v.from : other;
	v.pieces[v.n++] = (struct ipcshare__piece){ v.to.base, one.base, CELL };
	v.pieces[v.n++] = (struct ipcshare__piece){ (char *)v.to.base + 128, two.base, CELL };
	for (size_t i = 0; i < CELL; i++)
		v.expected[i] = v.expected[128 + i] = byte_at(i);
	CHECK_STATUS(s->ops->copy_pieces(s->be, v.pieces, v.n, NULL), 0);
	view_check(s, &v);

	v.n = 0;
	for (size_t i = 0; i < 2 * CELLS; i++) {
		const struct ipcshare__imported *from = i < CELLS ? &one : &two;
		size_t at = i < CELLS ? ROOM - (CELLS - i) * CELL : (i - CELLS) * CELL;

		v.pieces[v.n++] = (struct ipcshare__piece){ (char *)v.to.base + i * CELL,
							    (char *)from->base + at, CELL };
		for (size_t k = 0; k < CELL; k++)
			v.expected[i * CELL + k] = byte_at(at + k);
	}
	counts_reset(s);
	CHECK_STATUS(s->ops->copy_pieces(s->be, v.pieces, v.n, NULL), 0);
	CHECK_COUNT(s, "aclrtMemcpyAsync", 2);
	view_check(s, &v);
	s->ops->close_import(s->be, &other);
	view_close(s, &v);
}

static void no_copy_crosses_from_one_allocation_to_another(void)
{
	on_pair(.owner = owns_two, .reader = pulls_from_two);
}

/* ---- Plans ---- */

/* Between the runs it alters what is read. */
static void owns_and_alters(struct side *s)
{
	struct ipcshare__memory mem;
	unsigned char other[4096];

	give_pattern(s, &mem);
	test_await(s->channel);
	memset(other, 0xee, sizeof(other));
	side_write(s, mem.base, other, sizeof(other));
	test_signal(s->channel);
	test_await(s->channel);
	take_back(s, &mem);
}

/* What lay in the first 4096 bytes is 0xee now. */
static void view_altered(struct view *v)
{
	for (size_t i = 0; i < v->n; i++) {
		size_t from = (size_t)((const char *)v->pieces[i].src - (char *)v->from.base);
		size_t to = (size_t)((char *)v->pieces[i].dst - (char *)v->to.base);

		for (size_t k = 0; k < v->pieces[i].len && from + k < 4096; k++)
			v->expected[to + k] = 0xee;
	}
}

static void runs_twice(struct side *s, struct view *v, struct ipcshare__plan *plan)
{
	CHECK_STATUS(s->ops->plan_run(s->be, plan, NULL), 0);
	view_check(s, v);
	test_signal(s->channel);
	test_await(s->channel);
	view_altered(v);
	counts_reset(s);
	CHECK_STATUS(s->ops->plan_run(s->be, plan, NULL), 0);
}

static void repeats_a_plan(struct side *s)
{
	struct view v = view_open(s);
	struct ipcshare__plan *plan;

	pieces_irregular(&v, 3000); /* more than a queue holds */
	REQUIRE_OK(s->ops->plan_create(s->be, v.pieces, v.n, &plan));
	runs_twice(s, &v, plan);
	CHECK_COUNT(s, "aclmdlRIExecuteAsync", 1);
	CHECK_COUNT(s, "aclrtSynchronizeStream", 1);
	if (count_of(s, "aclrtMemcpyAsync") >= 0)
		CHECK_INT(copies(s), 0);
	view_check(s, &v);
	s->ops->plan_free(s->be, plan);
	s->ops->plan_free(s->be, NULL);
	CHECK_COUNT(s, "aclmdlRIDestroy", 1);
	view_close(s, &v);
}

static void a_plan_repeats_its_copies_in_one_call(void)
{
	on_pair(.owner = owns_and_alters, .reader = repeats_a_plan);
}

static void plans_without_a_model(struct side *s, const char *rules)
{
	struct view v = view_open(s);
	struct ipcshare_error before = *ipcshare_last_error();
	struct ipcshare__plan *plan;

	pieces_irregular(&v, 200);
	runtime_fail(s, rules);
	REQUIRE_OK(s->ops->plan_create(s->be, v.pieces, v.n, &plan));
	CHECK_MEM(ipcshare_last_error(), &before, sizeof(before));
	runs_twice(s, &v, plan);
	CHECK_COUNT(s, "aclrtMemcpyAsync", 200);
	runtime_fail(s, "");
	view_check(s, &v);
	s->ops->plan_free(s->be, plan);
	view_close(s, &v);
}

#define WITHOUT(what, rules)                                                                       \
	static void what##_fails(struct side *s)                                                   \
	{                                                                                          \
		plans_without_a_model(s, rules);                                                   \
	}                                                                                          \
	static void a_plan_goes_on_if_##what##_fails(void)                                         \
	{                                                                                          \
		on_pair(.backend = "ascend", .owner = owns_and_alters, .reader = what##_fails);    \
	}

WITHOUT(capture_begin, "aclmdlRICaptureBegin=207000")
WITHOUT(capture_end, "aclmdlRICaptureEnd=507903")
WITHOUT(a_recorded_copy, "aclrtMemcpyAsync:7=507899")
WITHOUT(replay, "aclmdlRIExecuteAsync=207005")

static void plans_on_another_release(struct side *s)
{
	struct view v = view_open(s);
	struct ipcshare__plan *plan;

	for (size_t i = 0; i < 100; i++)
		view_piece(&v, 96 * i, 200 * i, CELL);
	REQUIRE_OK(s->ops->plan_create(s->be, v.pieces, v.n, &plan));
	runs_twice(s, &v, plan);
	CHECK_COUNT(s, "aclmdlRIExecuteAsync", 1);
	if (count_of(s, "aclrtMemcpyAsync") >= 0)
		CHECK_INT(copies(s), 0);
	view_check(s, &v);
	s->ops->plan_free(s->be, plan);
	view_close(s, &v);
}

static void a_plan_is_recorded_without_planes_too(void)
{
	on_pair(.backend = "ascend", .owner = owns_and_alters, .reader = plans_on_another_release,
		.set = "ASCENDCL_EMU_LEGACY_2D=2");
}

static void plans_with_the_host(struct side *s)
{
	struct view v = view_open(s);
	struct ipcshare__plan *plan;
	unsigned char host[64] = { 0 };

	for (size_t i = 0; i < 100; i++)
		view_piece(&v, 96 * i, 200 * i, CELL);
	v.pieces[v.n] = (struct ipcshare__piece){ host, v.from.base, sizeof(host) };
	REQUIRE_OK(s->ops->plan_create(s->be, v.pieces, v.n + 1, &plan));
	runs_twice(s, &v, plan);
	CHECK_BYTES(host, 0xee, sizeof(host));
	view_check(s, &v);
	s->ops->plan_free(s->be, plan);
	view_close(s, &v);
}

static void a_plan_may_have_pieces_on_the_host(void)
{
	on_pair(.owner = owns_and_alters, .reader = plans_with_the_host);
}

/* Twice, with what the owner alters in between; nothing is waited for but the stream, at the end. */
static void plan_on_a_stream(struct side *s, const char *rules, long replays, long single)
{
	struct view v = view_open(s);
	struct ipcshare__stream *stream;
	struct ipcshare__plan *plan;

	pieces_irregular(&v, 200);
	REQUIRE_OK(s->ops->stream_create(s->be, &stream));
	REQUIRE_OK(s->ops->plan_create(s->be, v.pieces, v.n, &plan));
	runtime_fail(s, rules);
	for (int run = 0; run < 2; run++) {
		counts_reset(s);
		CHECK_STATUS(s->ops->plan_run(s->be, plan, stream), 0);
		CHECK_COUNT(s, "aclmdlRIExecuteAsync", replays);
		CHECK_COUNT(s, "aclrtMemcpyAsync", single);
		CHECK_COUNT(s, "aclrtSynchronizeStream", 0);
		CHECK_STATUS(s->ops->stream_synchronise(s->be, stream), 0);
		view_check(s, &v);
		if (run)
			break;
		test_signal(s->channel);
		test_await(s->channel);
		view_altered(&v);
	}
	runtime_fail(s, "");
	s->ops->plan_free(s->be, plan);
	s->ops->stream_destroy(s->be, stream);
	view_close(s, &v);
}

static void replays_on_a_stream(struct side *s)
{
	plan_on_a_stream(s, "", 1, 0);
}

static void a_plan_runs_on_a_stream_of_the_caller(void)
{
	on_pair(.owner = owns_and_alters, .reader = replays_on_a_stream);
}

static void copies_on_a_stream(struct side *s)
{
	plan_on_a_stream(s, "aclmdlRIExecuteAsync=207005", 1, 200);
}

static void a_plan_runs_on_a_stream_if_replay_fails(void)
{
	on_pair(.backend = "ascend", .owner = owns_and_alters, .reader = copies_on_a_stream);
}

/* What comes from the host is read by the time of the return, behind all that was in the stream. */
static void plan_with_the_host_on_a_stream(struct side *s)
{
	struct view v = view_open(s);
	struct ipcshare__stream *stream;
	struct ipcshare__plan *plan;
	unsigned char host[64];

	view_piece(&v, 0, 500, 64);
	memset(host, 0x77, sizeof(host));
	v.pieces[v.n++] = (struct ipcshare__piece){ (char *)v.to.base + 96, host, sizeof(host) };
	memset(v.expected + 96, 0x77, sizeof(host));
	REQUIRE_OK(s->ops->stream_create(s->be, &stream));
	REQUIRE_OK(s->ops->plan_create(s->be, v.pieces, v.n, &plan));
	/* Copied in the stream before, and overwritten by the plan. */
	CHECK_STATUS(s->ops->copy_pieces(s->be,
					 &(struct ipcshare__piece){ (char *)v.to.base + 96,
								    v.from.base, 64 },
					 1, stream), 0);
	counts_reset(s);
	CHECK_STATUS(s->ops->plan_run(s->be, plan, stream), 0);
	CHECK_COUNT(s, "aclrtSynchronizeStream", 1);
	memset(host, 0, sizeof(host));
	CHECK_STATUS(s->ops->stream_synchronise(s->be, stream), 0);
	view_check(s, &v);
	s->ops->plan_free(s->be, plan);
	s->ops->stream_destroy(s->be, stream);
	view_close(s, &v);
}

static void a_plan_on_a_stream_waits_for_bytes_of_the_host(void)
{
	on_pair(.owner = owns_the_pattern, .reader = plan_with_the_host_on_a_stream,
		.set = "ASCENDCL_EMU_TASK_DELAY_US=2000");
}

TEST_SUITE(copies, NULL, NULL,
	TEST(adjacent_cells_are_one_copy),
	TEST(a_strided_run_is_one_call),
	TEST(irregular_pieces_are_a_copy_each_on_few_streams),
	TEST(pieces_are_pushed_too),
	TEST(pieces_may_lie_on_the_host),
	TEST(a_stream_of_the_caller_is_not_waited_for),
	TEST(a_release_without_planes_gets_single_copies),
	TEST(a_piece_beyond_the_end_is_named_and_nothing_moves),
	TEST(no_copy_crosses_from_one_allocation_to_another),
	TEST(a_failed_copy_is_named_and_leaves_nothing_under_way),
	TEST(a_plan_repeats_its_copies_in_one_call),
	TEST(a_plan_goes_on_if_capture_begin_fails),
	TEST(a_plan_goes_on_if_capture_end_fails),
	TEST(a_plan_goes_on_if_a_recorded_copy_fails),
	TEST(a_plan_goes_on_if_replay_fails),
	TEST(a_plan_is_recorded_without_planes_too),
	TEST(a_plan_may_have_pieces_on_the_host),
	TEST(a_plan_runs_on_a_stream_of_the_caller),
	TEST(a_plan_runs_on_a_stream_if_replay_fails),
	TEST(a_plan_on_a_stream_waits_for_bytes_of_the_host));
