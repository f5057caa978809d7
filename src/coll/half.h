/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fp16 and bf16 as bits, to fp32 and back, rounded to nearest even. Plain C without branches, so that
 * loops over them become vector code with any compiler; exact, so the same bits on every machine.
 */
#ifndef IPCSHARE_COLL_HALF_H
#define IPCSHARE_COLL_HALF_H

#include <stdint.h>
#include <string.h>

#define IPCSHARE__HALF static inline __attribute__((always_inline))

IPCSHARE__HALF float ipcshare__bits_to_float(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

IPCSHARE__HALF uint32_t ipcshare__float_to_bits(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

IPCSHARE__HALF float ipcshare__fp16_to_float(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, em = h & 0x7fffu;
	uint32_t normal = (em << 13) + (112u << 23); /* another bias of the exponent */
	uint32_t tiny = ipcshare__float_to_bits((float)(int32_t)em * 0x1p-24f); /* subnormal */

	normal += em >= 0x7c00 ? 112u << 23 : 0; /* infinite, or no number */
	return ipcshare__bits_to_float(sign | (em < 0x400 ? tiny : normal));
}

IPCSHARE__HALF uint16_t ipcshare__fp16_from_float(float f)
{
	uint32_t bits = ipcshare__float_to_bits(f), em = bits & 0x7fffffff;
	uint32_t normal = (em + 0xfff + (em >> 13 & 1) - (112u << 23)) >> 13;
	/* One bit of 0.5 is the least that fp16 has: the sum is rounded where fp16 is. */
	uint32_t tiny = ipcshare__float_to_bits(ipcshare__bits_to_float(em) + 0.5f) - 0x3f000000;
	uint32_t huge = em > 0x7f800000 ? 0x7e00 | (em >> 13 & 0x3ff) : 0x7c00;
	uint32_t h = em < 0x38800000 ? tiny : em >= 0x47800000 ? huge : normal;

	return (uint16_t)(h | (bits >> 16 & 0x8000));
}

IPCSHARE__HALF float ipcshare__bf16_to_float(uint16_t b)
{
	return ipcshare__bits_to_float((uint32_t)b << 16);
}

IPCSHARE__HALF uint16_t ipcshare__bf16_from_float(float f)
{
	uint32_t bits = ipcshare__float_to_bits(f);
	uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
	uint32_t quiet = bits >> 16 | 0x40; /* no number stays none */

	return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

#endif
