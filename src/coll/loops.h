/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loops behind the folds. Each loops*.c includes this once, with LOOPS_TARGET (the instruction
 * set, as an attribute) and LOOPS_TABLE (the name of its table). The inner loops have a constant
 * length: so compilers make vector code of them at -O2 too, and without a look at the trip count.
 */
#include "coll/fold.h"
#include "coll/half.h"

/* Elements have nothing to do with each other, also where dst is x or y. */
#if defined(__clang__)
#define LOOPS_APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define LOOPS_APART _Pragma("GCC ivdep")
#endif

/* clang-format off */
#define LOOP(name, T, result)                                                                      \
	LOOPS_TARGET static void name(void *dst, const void *xs, const void *ys, size_t count)     \
	{                                                                                          \
		T *to = dst;                                                                       \
		const T *a = xs, *b = ys;                                                          \
		enum { STEP = 128 / sizeof(T) };                                                   \
                                                                                                   \
		for (; count >= STEP; count -= STEP, a += STEP, b += STEP, to += STEP)             \
			LOOPS_APART for (int i = 0; i < STEP; i++) {                               \
				const T x = a[i], y = b[i];                                        \
				to[i] = (T)(result);                                               \
			}                                                                          \
		for (size_t i = 0; i < count; i++) {                                               \
			const T x = a[i], y = b[i];                                                \
			to[i] = (T)(result);                                                       \
		}                                                                                  \
	}

/* 1u: small integers would be multiplied as int, and overflow. */
#define BITS_LOOPS(T)                                                                              \
	LOOP(sum_##T, T, x + y)                                                                    \
	LOOP(prod_##T, T, 1u * x * y)                                                              \
	LOOP(band_##T, T, x & y)                                                                   \
	LOOP(bor_##T, T, x | y)                                                                    \
	LOOP(bxor_##T, T, x ^ y)                                                                   \
	LOOP(land_##T, T, (x != 0) & (y != 0))                                                     \
	LOOP(lor_##T, T, (x != 0) | (y != 0))                                                      \
	LOOP(lxor_##T, T, (x != 0) ^ (y != 0))

#define ORDER_LOOPS(T)                                                                             \
	LOOP(min_##T, T, y < x ? y : x)                                                            \
	LOOP(max_##T, T, y > x ? y : x)

#define FLOAT_LOOPS(T)                                                                             \
	LOOP(sum_##T, T, x + y)                                                                    \
	LOOP(prod_##T, T, x * y)                                                                   \
	ORDER_LOOPS(T)

/* ipcshare__fp16_to_float() and so on. */
#define HALF_LOOPS(T)                                                                              \
	LOOP(sum_##T, uint16_t, FROM(T)(TO(T)(x) + TO(T)(y)))                                      \
	LOOP(prod_##T, uint16_t, FROM(T)(TO(T)(x) * TO(T)(y)))                                     \
	LOOP(min_##T, uint16_t, TO(T)(y) < TO(T)(x) ? y : x)                                       \
	LOOP(max_##T, uint16_t, TO(T)(y) > TO(T)(x) ? y : x)
#define TO(T) ipcshare__##T##_to_float
#define FROM(T) ipcshare__##T##_from_float

#define LOC_LOOP(name, T, before)                                                                  \
	LOOPS_TARGET static void name(void *dst, const void *xs, const void *ys, size_t count)     \
	{                                                                                          \
		T *to = dst;                                                                       \
		const T *a = xs, *b = ys;                                                          \
                                                                                                   \
		for (size_t i = 0; i < count; i++)                                                 \
			to[i] = b[i].value before a[i].value ||                                    \
				(b[i].value == a[i].value && b[i].index < a[i].index) ? b[i] : a[i]; \
	}

#define PAIR_LOOPS(T)                                                                              \
	struct pair_##T {                                                                          \
		T value;                                                                           \
		int32_t index;                                                                     \
	};                                                                                         \
	LOC_LOOP(minloc_##T, struct pair_##T, <)                                                   \
	LOC_LOOP(maxloc_##T, struct pair_##T, >)
/* clang-format on */

BITS_LOOPS(uint8_t)
BITS_LOOPS(uint16_t)
BITS_LOOPS(uint32_t)
BITS_LOOPS(uint64_t)
ORDER_LOOPS(int8_t)
ORDER_LOOPS(uint8_t)
ORDER_LOOPS(int16_t)
ORDER_LOOPS(uint16_t)
ORDER_LOOPS(int32_t)
ORDER_LOOPS(uint32_t)
ORDER_LOOPS(int64_t)
ORDER_LOOPS(uint64_t)
HALF_LOOPS(fp16)
HALF_LOOPS(bf16)
FLOAT_LOOPS(float)
FLOAT_LOOPS(double)
PAIR_LOOPS(int16_t)
PAIR_LOOPS(int32_t)
PAIR_LOOPS(int64_t)
PAIR_LOOPS(float)
PAIR_LOOPS(double)

/* clang-format off */
#define BITS_ROW(T)                                                                                \
	[IPCSHARE_OP_SUM] = sum_##T, [IPCSHARE_OP_PROD] = prod_##T,                                \
	[IPCSHARE_OP_BAND] = band_##T, [IPCSHARE_OP_BOR] = bor_##T,                                \
	[IPCSHARE_OP_BXOR] = bxor_##T, [IPCSHARE_OP_LAND] = land_##T,                              \
	[IPCSHARE_OP_LOR] = lor_##T, [IPCSHARE_OP_LXOR] = lxor_##T
#define ORDER_ROW(T) [IPCSHARE_OP_MIN] = min_##T, [IPCSHARE_OP_MAX] = max_##T
#define FLOAT_ROW(T) [IPCSHARE_OP_SUM] = sum_##T, [IPCSHARE_OP_PROD] = prod_##T, ORDER_ROW(T)
#define PAIR_ROW(T) [IPCSHARE_OP_MINLOC] = minloc_##T, [IPCSHARE_OP_MAXLOC] = maxloc_##T
/* clang-format on */

/* Sums and bits of signed integers are those of unsigned ones. */
ipcshare__fold_table LOOPS_TABLE = {
	[IPCSHARE_INT8] = { BITS_ROW(uint8_t), ORDER_ROW(int8_t) },
	[IPCSHARE_UINT8] = { BITS_ROW(uint8_t), ORDER_ROW(uint8_t) },
	[IPCSHARE_INT16] = { BITS_ROW(uint16_t), ORDER_ROW(int16_t) },
	[IPCSHARE_UINT16] = { BITS_ROW(uint16_t), ORDER_ROW(uint16_t) },
	[IPCSHARE_INT32] = { BITS_ROW(uint32_t), ORDER_ROW(int32_t) },
	[IPCSHARE_UINT32] = { BITS_ROW(uint32_t), ORDER_ROW(uint32_t) },
	[IPCSHARE_INT64] = { BITS_ROW(uint64_t), ORDER_ROW(int64_t) },
	[IPCSHARE_UINT64] = { BITS_ROW(uint64_t), ORDER_ROW(uint64_t) },
	[IPCSHARE_FP16] = { FLOAT_ROW(fp16) },
	[IPCSHARE_BF16] = { FLOAT_ROW(bf16) },
	[IPCSHARE_FP32] = { FLOAT_ROW(float) },
	[IPCSHARE_FP64] = { FLOAT_ROW(double) },
	[IPCSHARE_INT16_INDEX] = { PAIR_ROW(int16_t) },
	[IPCSHARE_INT32_INDEX] = { PAIR_ROW(int32_t) },
	[IPCSHARE_INT64_INDEX] = { PAIR_ROW(int64_t) },
	[IPCSHARE_FP32_INDEX] = { PAIR_ROW(float) },
	[IPCSHARE_FP64_INDEX] = { PAIR_ROW(double) },
};
