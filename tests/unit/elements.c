/* SPDX-License-Identifier: BSD-3-Clause */
#include "elements.h"

#include <math.h>
#include <string.h>

uint64_t elements_random(uint64_t *seed)
{
	uint64_t x = *seed += 0x9e3779b97f4a7c15u; /* splitmix64 */

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

const struct ipcshare_op *elements_op(int kind, const struct ipcshare_op *user)
{
	return kind < IPCSHARE_OPS ? (const struct ipcshare_op *)(uintptr_t)kind : user;
}

/* ---- fp16 and bf16, by arithmetic instead of bits ---- */

static int mantissa(enum ipcshare_type type)
{
	return type == IPCSHARE_FP16 ? 10 : 7;
}

static int bias(enum ipcshare_type type)
{
	return type == IPCSHARE_FP16 ? 15 : 127;
}

double elements_half_value(enum ipcshare_type type, uint16_t half)
{
	int m = mantissa(type), b = bias(type), e = half >> m & (2 * b + 1);
	double f = half & ((1 << m) - 1), sign = half & 0x8000 ? -1 : 1;

	if (e == 2 * b + 1)
		return f ? NAN : sign * INFINITY;
	return sign * (e ? ldexp(f + (1 << m), e - b - m) : ldexp(f, 1 - b - m));
}

uint16_t elements_half_nearest(enum ipcshare_type type, double value)
{
	int m = mantissa(type), b = bias(type), e;
	uint16_t sign = signbit(value) ? 0x8000 : 0;
	double steps;

	if (isnan(value))
		return (uint16_t)((2 * b + 1) << m | 1 << (m - 1));
	value = value < 0 ? -value : value;
	if (value == 0)
		return sign;
	if (isinf(value))
		return (uint16_t)(sign | (2 * b + 1) << m);
	frexp(value, &e);
	e = e - 1 < 1 - b ? 1 - b : e - 1;
	steps = ldexp(value, m - e) + 0x1p52 - 0x1p52; /* to nearest, even at half */
	if (e > b || (e == b && steps >= 2 << m))
		return (uint16_t)(sign | (2 * b + 1) << m);
	return (uint16_t)(sign | (unsigned)(steps + (e + b - 1) * (double)(1 << m)));
}

static float half_sum(float x, float y) { return x + y; }
static float half_prod(float x, float y) { return x * y; }

static uint16_t half_op(enum ipcshare_op_kind kind, enum ipcshare_type type, uint16_t a, uint16_t b)
{
	float x = (float)elements_half_value(type, a), y = (float)elements_half_value(type, b);

	switch (kind) {
	case IPCSHARE_OP_SUM: return elements_half_nearest(type, half_sum(x, y));
	case IPCSHARE_OP_PROD: return elements_half_nearest(type, half_prod(x, y));
	case IPCSHARE_OP_MIN: return y < x ? b : a;
	default: return y > x ? b : a;
	}
}

/* ---- The others ---- */

#define NUMBER(T)                                                                                  \
	case IPCSHARE_OP_MIN: *(T *)a = *(const T *)b < *(T *)a ? *(const T *)b : *(T *)a; break;  \
	case IPCSHARE_OP_MAX: *(T *)a = *(const T *)b > *(T *)a ? *(const T *)b : *(T *)a; break

#define INTEGER(T)                                                                                 \
	switch (kind) {                                                                            \
	NUMBER(T);                                                                                 \
	case IPCSHARE_OP_SUM: *(T *)a = (T)((uint64_t)*(T *)a + (uint64_t)*(const T *)b); break;   \
	case IPCSHARE_OP_PROD: *(T *)a = (T)((uint64_t)*(T *)a * (uint64_t)*(const T *)b); break;  \
	case IPCSHARE_OP_BAND: *(T *)a &= *(const T *)b; break;                                    \
	case IPCSHARE_OP_BOR: *(T *)a |= *(const T *)b; break;                                     \
	case IPCSHARE_OP_BXOR: *(T *)a ^= *(const T *)b; break;                                    \
	case IPCSHARE_OP_LAND: *(T *)a = *(T *)a && *(const T *)b; break;                          \
	case IPCSHARE_OP_LOR: *(T *)a = *(T *)a || *(const T *)b; break;                           \
	case IPCSHARE_OP_LXOR: *(T *)a = !*(T *)a != !*(const T *)b; break;                        \
	default: break;                                                                            \
	}                                                                                          \
	break

#define FLOAT(T)                                                                                   \
	switch (kind) {                                                                            \
	NUMBER(T);                                                                                 \
	case IPCSHARE_OP_SUM: *(T *)a += *(const T *)b; break;                                     \
	case IPCSHARE_OP_PROD: *(T *)a *= *(const T *)b; break;                                    \
	default: break;                                                                            \
	}                                                                                          \
	break

#define PAIR(T)                                                                                    \
	{                                                                                          \
		struct { T value; int32_t index; } x, y;                                           \
		memcpy(&x, a, sizeof(x));                                                          \
		memcpy(&y, b, sizeof(y));                                                          \
		if ((kind == IPCSHARE_OP_MINLOC ? y.value < x.value : y.value > x.value) ||        \
		    (y.value == x.value && y.index < x.index))                                     \
			memcpy(a, b, sizeof(x));                                                   \
		break;                                                                             \
	}

static void fold_one(enum ipcshare_op_kind kind, enum ipcshare_type type, void *a, const void *b)
{
	switch (type) {
	case IPCSHARE_INT8: INTEGER(int8_t);
	case IPCSHARE_UINT8: INTEGER(uint8_t);
	case IPCSHARE_INT16: INTEGER(int16_t);
	case IPCSHARE_UINT16: INTEGER(uint16_t);
	case IPCSHARE_INT32: INTEGER(int32_t);
	case IPCSHARE_UINT32: INTEGER(uint32_t);
	case IPCSHARE_INT64: INTEGER(int64_t);
	case IPCSHARE_UINT64: INTEGER(uint64_t);
	case IPCSHARE_FP16:
	case IPCSHARE_BF16:
		*(uint16_t *)a = half_op(kind, type, *(uint16_t *)a, *(const uint16_t *)b);
		break;
	case IPCSHARE_FP32: FLOAT(float);
	case IPCSHARE_FP64: FLOAT(double);
	case IPCSHARE_INT16_INDEX: PAIR(int16_t)
	case IPCSHARE_INT32_INDEX: PAIR(int32_t)
	case IPCSHARE_INT64_INDEX: PAIR(int64_t)
	case IPCSHARE_FP32_INDEX: PAIR(float)
	case IPCSHARE_FP64_INDEX: PAIR(double)
	default: break;
	}
}

/* Each byte is a function x -> (high * x + low) mod 16: the second after the first. */
void elements_user(void *acc, const void *in, size_t count, enum ipcshare_type type, void *arg)
{
	const unsigned char *b = in;
	unsigned char *a = acc;

	for (size_t i = 0; i < count * ipcshare_type_size(type); i++) {
		unsigned high = (a[i] >> 4) * (b[i] >> 4), low = (a[i] & 15) * (b[i] >> 4) + b[i];

		a[i] = (unsigned char)((high & 15) << 4 | (low & 15));
	}
	if (arg)
		++*(int *)arg;
}

void elements_fold(const struct ipcshare_op *op, enum ipcshare_type type, void *acc,
		   const void *in, size_t count)
{
	size_t size = ipcshare_type_size(type);

	if ((uintptr_t)op >= IPCSHARE_OPS) {
		elements_user(acc, in, count, type, NULL);
		return;
	}
	for (size_t i = 0; i < count; i++)
		fold_one((enum ipcshare_op_kind)(uintptr_t)op, type, (char *)acc + i * size,
			 (const char *)in + i * size);
}

/* ---- Made and compared ---- */

/* Any mantissa and sign, and an exponent near that of 1. */
static uint16_t half_small(enum ipcshare_type type, uint64_t x)
{
	unsigned m = (unsigned)mantissa(type), e = (unsigned)bias(type) - 4 + (x & 7);

	return (uint16_t)((x >> 16 & ((1u << m) - 1)) | e << m | (x >> 32 & 0x8000));
}

static void fill_one(enum ipcshare_type type, void *p, uint64_t x)
{
	static const float scales[] = { 1 / 16.f, 1 / 8.f, 1 / 4.f, 1 / 2.f, 1, 2, 4, 8 };
	int small = (int)(x >> 32 & 0x7ff) - 1024;
	float scale = scales[x & 7];

	switch (type) {
	case IPCSHARE_FP16:
	case IPCSHARE_BF16: *(uint16_t *)p = half_small(type, x); break;
	case IPCSHARE_FP32: *(float *)p = (float)small / 3 * scale; break;
	case IPCSHARE_FP64: *(double *)p = (double)small / 3 * scale; break;
	/* Few values, so that indices decide. */
	case IPCSHARE_INT16_INDEX: *(int16_t *)p = (int16_t)(small % 4); break;
	case IPCSHARE_INT32_INDEX: *(int32_t *)p = small % 4; break;
	case IPCSHARE_INT64_INDEX: *(int64_t *)p = small % 4; break;
	case IPCSHARE_FP32_INDEX: *(float *)p = (float)(small % 4) / 2; break;
	case IPCSHARE_FP64_INDEX: *(double *)p = (double)(small % 4) / 2; break;
	default: break;
	}
}

/* Integers of any size: eight bytes at a time, and zeroes among them, for the logical ops. */
static void fill_words(char *p, size_t len, uint64_t seed)
{
	while (len) {
		uint64_t x = elements_random(&seed);
		size_t n = len < sizeof(x) ? len : sizeof(x);

		if (x >> 60 < 4)
			x = 0;
		memcpy(p, &x, n);
		p += n;
		len -= n;
	}
}

static size_t index_at(enum ipcshare_type type)
{
	switch (type) {
	case IPCSHARE_INT16_INDEX:
	case IPCSHARE_INT32_INDEX:
	case IPCSHARE_FP32_INDEX: return 4;
	case IPCSHARE_INT64_INDEX:
	case IPCSHARE_FP64_INDEX: return 8;
	default: return 0;
	}
}

void elements_fill(enum ipcshare_type type, void *p, size_t count, uint64_t seed)
{
	size_t size = ipcshare_type_size(type), at = index_at(type);

	if (type <= IPCSHARE_UINT64) {
		fill_words(p, count * size, seed);
		return;
	}
	if (at) /* for the padding */
		memset(p, 0, count * size);
	for (size_t i = 0; i < count; i++) {
		uint64_t x = elements_random(&seed);
		int32_t index = (int32_t)(x >> 48);

		fill_one(type, (char *)p + i * size, x);
		if (at)
			memcpy((char *)p + i * size + at, &index, sizeof(index));
	}
}

static int is_nan(enum ipcshare_type type, const void *p)
{
	float f;
	double d;

	switch (type) {
	case IPCSHARE_FP16:
	case IPCSHARE_BF16: return isnan(elements_half_value(type, *(const uint16_t *)p));
	case IPCSHARE_FP32: memcpy(&f, p, sizeof(f)); return isnan(f);
	case IPCSHARE_FP64: memcpy(&d, p, sizeof(d)); return isnan(d);
	default: return 0;
	}
}

size_t elements_differ(enum ipcshare_type type, const void *a, const void *b, size_t count)
{
	size_t size = ipcshare_type_size(type), at = index_at(type);
	size_t value = type == IPCSHARE_INT16_INDEX ? 2 : at ? at : size;

	for (size_t i = 0; i < count; i++) {
		const char *x = (const char *)a + i * size, *y = (const char *)b + i * size;

		if (memcmp(x, y, value) || (at && memcmp(x + at, y + at, 4)))
			if (!is_nan(type, x) || !is_nan(type, y))
				return i;
	}
	return count;
}
