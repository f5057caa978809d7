/* SPDX-License-Identifier: BSD-3-Clause */
/* Types, ops, and the loops that reduce, in every instruction set of this machine. */
#include <math.h>

#include "coll/fold.h"
#include "coll/half.h"
#include "elements.h"
#include "support/test.h"

static const enum ipcshare_type half_types[] = { IPCSHARE_FP16, IPCSHARE_BF16 };

static float half_to(enum ipcshare_type type, uint16_t h)
{
	return type == IPCSHARE_FP16 ? ipcshare__fp16_to_float(h) : ipcshare__bf16_to_float(h);
}

static uint16_t half_from(enum ipcshare_type type, float f)
{
	return type == IPCSHARE_FP16 ? ipcshare__fp16_from_float(f) : ipcshare__bf16_from_float(f);
}

static void every_half_is_the_float_that_it_says_and_back(void)
{
	for (int t = 0; t < 2; t++)
		for (unsigned h = 0; h < 0x10000; h++) {
			float f = half_to(half_types[t], (uint16_t)h);
			double expected = elements_half_value(half_types[t], (uint16_t)h);

			if (isnan(expected)) {
				CHECK(isnan(f), "0x%04x", h);
				CHECK(isnan(half_to(half_types[t], half_from(half_types[t], f))), "0x%04x", h);
				continue;
			}
			if (f != expected || !signbit(f) != !signbit(expected))
				FAIL("0x%04x is %a, not %a", h, f, expected);
			if (half_from(half_types[t], f) != h)
				FAIL("0x%04x comes back as 0x%04x", h, half_from(half_types[t], f));
		}
}

static void check_nearest(enum ipcshare_type type, float f)
{
	uint16_t h = half_from(type, f), expected = elements_half_nearest(type, f);

	if (h != expected)
		FAIL("%s of %a is 0x%04x, not 0x%04x", ipcshare_type_name(type), f, h, expected);
}

/* At the middle between two, and one step of a float beside it. */
static void floats_become_the_nearest_half_and_at_the_middle_the_even_one(void)
{
	for (int t = 0; t < 2; t++) {
		unsigned infinite = t ? 0x7f80 : 0x7c00;

		for (unsigned h = 0; h < infinite; h++) {
			double low = half_to(half_types[t], (uint16_t)h);
			double high = h + 1 < infinite ? half_to(half_types[t], (uint16_t)(h + 1))
						       : t ? 0x1p128 : 65536;
			float middle = (float)((low + high) / 2);
			uint32_t bits = ipcshare__float_to_bits(middle);

			for (int step = -1; step <= 1; step++) {
				float f = ipcshare__bits_to_float(bits + (uint32_t)step);

				check_nearest(half_types[t], isnan(f) ? 0 : f);
				check_nearest(half_types[t], isnan(f) ? 0 : -f);
			}
		}
		check_nearest(half_types[t], 1e30f);
		check_nearest(half_types[t], INFINITY);
		check_nearest(half_types[t], -INFINITY);
		check_nearest(half_types[t], 0x1p-149f);
	}
}

#define LENGTH_MOST 600

struct buffers {
	_Alignas(128) unsigned char x[LENGTH_MOST * 16 + 64], y[LENGTH_MOST * 16 + 64];
	_Alignas(128) unsigned char other[LENGTH_MOST * 16 + 64];
	unsigned char expected[LENGTH_MOST * 16 + 64];
};

enum { TO_X, TO_Y, TO_OTHER, PLACES };

/* @shift elements from the start of a line, so that vectors are not aligned; the result at one of @PLACES. */
static void check_loop(ipcshare__fold_fn *loop, int kind, enum ipcshare_type type, size_t count,
		       size_t shift, int place, int set)
{
	static struct buffers b;
	const struct ipcshare_op *op = elements_op(kind, NULL);
	size_t size = ipcshare_type_size(type), first = shift * size, at;
	unsigned char *to = (place == TO_X ? b.x : place == TO_Y ? b.y : b.other) + first;

	memset(&b, 0x5a, sizeof(b));
	elements_fill(type, b.x + first, count, count + shift);
	elements_fill(type, b.y + first, count, ~count);
	memcpy(b.expected, b.x, sizeof(b.x));
	elements_fold(op, type, b.expected + first, b.y + first, count);

	loop(to, b.x + first, b.y + first, count);

	at = elements_differ(type, to, b.expected + first, count);
	CHECK(at == count, "%s of %s, set %d, place %d: %zu of %zu differs", ipcshare_op_name(op),
	      ipcshare_type_name(type), set, place, at, count);
	CHECK_BYTES(to + count * size, 0x5a, 16);
}

static void every_loop_gives_what_a_plain_loop_gives(void)
{
	static const size_t counts[] = { 0, 1, 2, 7, 31, 63, 64, 65, 127, 128, 129, 255, LENGTH_MOST };
	ipcshare__fold_table *table;
	int set = 0, loops = 0;

	for (; (table = ipcshare__folds(set)); set++)
		for (int type = 0; type < IPCSHARE_TYPES; type++)
			for (int kind = 1; kind < IPCSHARE_OPS; kind++) {
				ipcshare__fold_fn *loop = (*table)[type][kind];

				CHECK_INT(loop != NULL, (*ipcshare__folds(0))[type][kind] != NULL);
				for (size_t i = 0; loop && i < sizeof(counts) / sizeof(counts[0]); i++)
					for (int place = 0; place < PLACES; place++)
						check_loop(loop, kind, type, counts[i], i % 3, place, set);
				loops += loop != NULL;
			}
	CHECK_INT(loops, set * (8 * 10 + 4 * 4 + 5 * 2));
	if (set < 3)
		test_skip("loops for %d more instruction sets, which this machine has not", 3 - set);
}

static void ops_are_for_the_types_that_they_mean_something_for(void)
{
	static const struct ipcshare_op mine = { sizeof(mine), elements_user, NULL };
	static const struct ipcshare_op sizeless = { 0, elements_user, NULL };
	static const struct ipcshare_op empty = { sizeof(empty), NULL, NULL };
	const enum ipcshare_type none = (enum ipcshare_type)IPCSHARE_TYPES;
	struct ipcshare__fold fold;

	CHECK_INT(ipcshare_op_allows(IPCSHARE_SUM, IPCSHARE_FP16), 1);
	CHECK_INT(ipcshare_op_allows(IPCSHARE_LXOR, IPCSHARE_UINT64), 1);
	CHECK_INT(ipcshare_op_allows(IPCSHARE_MINLOC, IPCSHARE_FP64_INDEX), 1);
	CHECK_INT(ipcshare_op_allows(IPCSHARE_BAND, IPCSHARE_FP32), 0);
	CHECK_INT(ipcshare_op_allows(IPCSHARE_SUM, IPCSHARE_INT32_INDEX), 0);
	CHECK_INT(ipcshare_op_allows(IPCSHARE_MAXLOC, IPCSHARE_INT32), 0);
	CHECK_INT(ipcshare_op_allows(IPCSHARE_SUM, none), 0);
	CHECK_INT(ipcshare_op_allows(NULL, IPCSHARE_INT32), 0);
	CHECK_INT(ipcshare_op_allows(&mine, IPCSHARE_FP64_INDEX), 1);
	CHECK_INT(ipcshare_op_allows(&mine, none), 0);
	CHECK_INT(ipcshare_op_allows(&sizeless, IPCSHARE_INT8), 0);
	CHECK_INT(ipcshare_op_allows(&empty, IPCSHARE_INT8), 0);
	CHECK_FAILS(ipcshare__fold_find(IPCSHARE_BOR, IPCSHARE_FP32, &fold), IPCSHARE_ERR_INVALID);
	CHECK_HAS(ipcshare_last_error()->text, "\"bor\" for elements of \"fp32\"");
}

static void types_and_ops_have_sizes_and_names(void)
{
	static const struct ipcshare_op mine = { sizeof(mine), elements_user, NULL };

	CHECK_INT(ipcshare_type_size(IPCSHARE_BF16), 2);
	CHECK_INT(ipcshare_type_size(IPCSHARE_INT16_INDEX), sizeof(struct { int16_t v; int32_t i; }));
	CHECK_INT(ipcshare_type_size(IPCSHARE_INT64_INDEX), sizeof(struct { int64_t v; int32_t i; }));
	CHECK_INT(ipcshare_type_size((enum ipcshare_type)-1), 0);
	CHECK_STR(ipcshare_type_name(IPCSHARE_FP64_INDEX), "fp64 with index");
	CHECK_STR(ipcshare_type_name(IPCSHARE_UINT16), "uint16");
	CHECK_STR(ipcshare_type_name((enum ipcshare_type)99), "no type");
	CHECK_STR(ipcshare_op_name(IPCSHARE_MAXLOC), "maxloc");
	CHECK_STR(ipcshare_op_name(IPCSHARE_SUM), "sum");
	CHECK_STR(ipcshare_op_name(&mine), "user");
	CHECK_STR(ipcshare_op_name(NULL), "no op");
}

static void an_op_of_the_users_gets_its_argument(void)
{
	int calls = 0;
	struct ipcshare_op mine = { sizeof(mine), elements_user, &calls };
	uint32_t b[PLACES][3], expected[3];
	struct ipcshare__fold fold;

	REQUIRE_OK(ipcshare__fold_find(&mine, IPCSHARE_UINT32, &fold));
	for (int place = 0; place < PLACES; place++) {
		elements_fill(IPCSHARE_UINT32, b[TO_X], 3, 1);
		elements_fill(IPCSHARE_UINT32, b[TO_Y], 3, 2);
		memcpy(expected, b[TO_X], sizeof(expected));
		elements_user(expected, b[TO_Y], 3, IPCSHARE_UINT32, NULL);
		ipcshare__fold(&fold, b[place], b[TO_X], b[TO_Y], 3);
		CHECK_MEM(b[place], expected, sizeof(expected));
		CHECK_INT(calls, place + 1);
	}
}

TEST_SUITE(fold, NULL, NULL,
	TEST(every_half_is_the_float_that_it_says_and_back),
	TEST(floats_become_the_nearest_half_and_at_the_middle_the_even_one),
	TEST(every_loop_gives_what_a_plain_loop_gives),
	TEST(ops_are_for_the_types_that_they_mean_something_for),
	TEST(types_and_ops_have_sizes_and_names),
	TEST(an_op_of_the_users_gets_its_argument));
