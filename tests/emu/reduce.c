/* SPDX-License-Identifier: BSD-3-Clause */
/* aclrtReduceAsync: count is bytes; both operands on the stream's own device (contract 1.2). */
#include <string.h>

#include "copy.h"

#define SUM_MAX (UINT64_C(4) << 30)

static float from_bf16(uint16_t v)
{
	uint32_t bits = (uint32_t)v << 16;
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static uint16_t to_bf16(float f)	/* to nearest, ties to even */
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	if ((bits & 0x7fffffff) > 0x7f800000)
		return (uint16_t)(bits >> 16 | 0x40);
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float from_fp16(uint16_t v)
{
	uint32_t sign = (uint32_t)(v & 0x8000) << 16, exp = v >> 10 & 0x1f, man = v & 0x3ff, bits;
	float f;

	if (!exp) {
		f = (float)man / (1 << 24);
		return sign ? -f : f;
	}
	bits = sign | (exp == 31 ? 0xffu << 23 : (exp + 112) << 23) | man << 13;
	memcpy(&f, &bits, sizeof(f));
	return f;
}

static uint16_t to_fp16(float f)	/* to nearest, ties to even */
{
	uint32_t bits, man, rest, half;
	uint16_t sign;
	int exp, shift;

	memcpy(&bits, &f, sizeof(bits));
	sign = (uint16_t)(bits >> 16 & 0x8000);
	exp = (int)(bits >> 23 & 0xff) - 112;
	man = (bits & 0x7fffff) | 0x800000;
	if ((bits & 0x7fffffff) > 0x7f800000)
		return sign | 0x7e00;
	if (exp >= 31)
		return sign | 0x7c00;
	if (exp < -10)
		return sign;
	shift = exp > 0 ? 13 : 14 - exp;
	rest = man & ((1u << shift) - 1);
	half = 1u << (shift - 1);
	man >>= shift;
	man += rest > half || (rest == half && (man & 1));
	return (uint16_t)(sign | (exp > 0 ? ((uint32_t)(exp - 1) << 10) + man : man));
}

#define CHOOSE(kind, a, b) \
	((kind) == ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM ? (a) + (b) : \
	 (kind) == ACL_RT_MEMCPY_SDMA_AUTOMATIC_MAX ? ((a) > (b) ? (a) : (b)) : \
	 ((a) < (b) ? (a) : (b)))

#define LOOP(type, unsigned_type) \
	for (size_t i = 0; i < n / sizeof(type); i++) { \
		type a = ((type *)dst)[i], b = ((const type *)src)[i]; \
		((type *)dst)[i] = kind == ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM ? \
			(type)((unsigned_type)a + (unsigned_type)b) : CHOOSE(kind, a, b); \
	}

static void reduce(void *dst, const void *src, size_t n, aclrtReduceKind kind, aclDataType type)
{
	uint16_t *d = dst;
	const uint16_t *s = src;

	switch (type) {
	case ACL_INT8:
		LOOP(int8_t, uint8_t);
		break;
	case ACL_INT16:
		LOOP(int16_t, uint16_t);
		break;
	case ACL_INT32:
		LOOP(int32_t, uint32_t);
		break;
	case ACL_FLOAT:
		LOOP(float, float);
		break;
	case ACL_FLOAT16:
		for (size_t i = 0; i < n / 2; i++)
			d[i] = to_fp16(CHOOSE(kind, from_fp16(d[i]), from_fp16(s[i])));
		break;
	default:
		for (size_t i = 0; i < n / 2; i++)
			d[i] = to_bf16(CHOOSE(kind, from_bf16(d[i]), from_bf16(s[i])));
	}
}

static size_t size_of(aclDataType type)
{
	switch (type) {
	case ACL_INT8:
		return 1;
	case ACL_INT16:
	case ACL_FLOAT16:
	case ACL_BF16:
		return 2;
	case ACL_INT32:
	case ACL_FLOAT:
		return 4;
	default:
		return 0;
	}
}

static int reduce_run(struct emu_task *t, const struct emu_run *where)
{
	struct emu_region *from, *to;
	char *in, *out;
	int err;

	err = emu_engine_borrow(t->u.reduce.src, t->u.reduce.n, where->device, false, &from, &in);
	if (err)
		return err;
	err = emu_engine_borrow(t->u.reduce.dst, t->u.reduce.n, where->device, true, &to, &out);
	if (!err) {
		reduce(out, in, t->u.reduce.n, t->u.reduce.kind, t->u.reduce.type);
		emu_region_put(to);
	}
	emu_region_put(from);
	return err;
}

static int check(const void *dst, const void *src, uint64_t n, aclrtReduceKind kind,
		 aclDataType type, int device)
{
	struct emu_operands o;
	size_t size = size_of(type);

	if (kind < ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM || kind > ACL_RT_MEMCPY_SDMA_AUTOMATIC_MIN ||
	    !size)
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "reduce kind %d of type %d",
				(int)kind, (int)type);
	if (!n || n % size || (uintptr_t)dst % size || (uintptr_t)src % size)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "%llu bytes, or alignment",
				(unsigned long long)n);
	if (kind == ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM && n > SUM_MAX)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "a sum above 4 GiB");
	emu_operands_of(&o, dst, n, src, n, 1);
	if (o.dst < EMU_PLACE_DEVICE || o.src < EMU_PLACE_DEVICE || o.dst > EMU_PLACE_LOCAL ||
	    o.src > EMU_PLACE_LOCAL || o.dst_device != device || o.src_device != device)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID,
				"an operand is not on the stream's device");
	return 0;
}

aclError aclrtReduceAsync(void *dst, const void *src, uint64_t count, aclrtReduceKind kind,
			  aclDataType type, aclrtStream handle, void *reserve)
{
	struct emu_task t = { .run = reduce_run, .u.reduce = { dst, src, count, kind, type } };
	struct emu_context *c;
	struct emu_stream *s;
	int err;

	ENTER(aclrtReduceAsync);
	if (!dst || !src)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	if (reserve)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "reserve is not NULL");
	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	if (!s)
		return err;
	err = check(dst, src, count, kind, type, c->device);
	return err ? err : emu_stream_submit(s, &t);
}
