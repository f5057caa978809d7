/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare_coll.h - collectives between the ranks of a group
 *
 * The conventions of <ipcshare.h> hold. So far here are the types and ops of reductions.
 */
#ifndef IPCSHARE_COLL_H
#define IPCSHARE_COLL_H

#include <ipcshare.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Types and ops ------------------------------------------------------------------------- */

/*
 * X(name, bytes). The pairs are what minloc and maxloc work on: struct { value; int32_t index; },
 * laid out as C does.
 */
#define IPCSHARE_TYPE_LIST(X)                                                                      \
	X(INT8, 1)                                                                                 \
	X(UINT8, 1)                                                                                \
	X(INT16, 2)                                                                                \
	X(UINT16, 2)                                                                               \
	X(INT32, 4)                                                                                \
	X(UINT32, 4)                                                                               \
	X(INT64, 8)                                                                                \
	X(UINT64, 8)                                                                               \
	X(FP16, 2)                                                                                 \
	X(BF16, 2)                                                                                 \
	X(FP32, 4)                                                                                 \
	X(FP64, 8)                                                                                 \
	X(INT16_INDEX, 8)                                                                          \
	X(INT32_INDEX, 8)                                                                          \
	X(INT64_INDEX, 16)                                                                         \
	X(FP32_INDEX, 8)                                                                           \
	X(FP64_INDEX, 16)

enum ipcshare_type {
#define IPCSHARE_TYPE_ENUM(name, bytes) IPCSHARE_##name,
	IPCSHARE_TYPE_LIST(IPCSHARE_TYPE_ENUM)
#undef IPCSHARE_TYPE_ENUM
	IPCSHARE_TYPES
};

/* Sums and products of integers wrap around; fp16 and bf16 are rounded to nearest at each step. */
#define IPCSHARE_OP_LIST(X)                                                                        \
	X(SUM) X(PROD) X(MIN) X(MAX)	/* numbers */                                              \
	X(BAND) X(BOR) X(BXOR)		/* integers, bit by bit */                                 \
	X(LAND) X(LOR) X(LXOR)		/* integers, 0 or not; gives 0 or 1 */                     \
	X(MINLOC) X(MAXLOC)		/* pairs: of equal values the lower index */

enum ipcshare_op_kind {
	IPCSHARE_OP_NONE,
#define IPCSHARE_OP_ENUM(name) IPCSHARE_OP_##name,
	IPCSHARE_OP_LIST(IPCSHARE_OP_ENUM)
#undef IPCSHARE_OP_ENUM
	IPCSHARE_OPS
};

/**
 * struct ipcshare_op - an op of the caller's own
 * @size: sizeof(struct ipcshare_op)
 * @fn: acc[i] = acc[i] op in[i] for @count elements. @acc is of lower ranks, so the op need not be
 *      commutative; it must be associative in the caller's eyes. Any type is allowed
 * @arg: passed to @fn
 *
 * Give its address where an op is wanted; it must live as long as the call. Calls that reduce must
 * give the same op on all ranks.
 */
struct ipcshare_op {
	size_t size;
	void (*fn)(void *acc, const void *in, size_t count, enum ipcshare_type type, void *arg);
	void *arg;
};

/* The ops that are there; no more than names for the library, don't look through them. */
#define IPCSHARE_SUM ((const struct ipcshare_op *)IPCSHARE_OP_SUM)
#define IPCSHARE_PROD ((const struct ipcshare_op *)IPCSHARE_OP_PROD)
#define IPCSHARE_MIN ((const struct ipcshare_op *)IPCSHARE_OP_MIN)
#define IPCSHARE_MAX ((const struct ipcshare_op *)IPCSHARE_OP_MAX)
#define IPCSHARE_BAND ((const struct ipcshare_op *)IPCSHARE_OP_BAND)
#define IPCSHARE_BOR ((const struct ipcshare_op *)IPCSHARE_OP_BOR)
#define IPCSHARE_BXOR ((const struct ipcshare_op *)IPCSHARE_OP_BXOR)
#define IPCSHARE_LAND ((const struct ipcshare_op *)IPCSHARE_OP_LAND)
#define IPCSHARE_LOR ((const struct ipcshare_op *)IPCSHARE_OP_LOR)
#define IPCSHARE_LXOR ((const struct ipcshare_op *)IPCSHARE_OP_LXOR)
#define IPCSHARE_MINLOC ((const struct ipcshare_op *)IPCSHARE_OP_MINLOC)
#define IPCSHARE_MAXLOC ((const struct ipcshare_op *)IPCSHARE_OP_MAXLOC)

/** ipcshare_type_size - bytes of an element; 0 if there is no such type */
IPCSHARE_API size_t ipcshare_type_size(enum ipcshare_type type);

/** ipcshare_type_name - "fp32" for IPCSHARE_FP32; never NULL */
IPCSHARE_API const char *ipcshare_type_name(enum ipcshare_type type);

/** ipcshare_op_name - "sum" for IPCSHARE_SUM, "user" for the caller's own; never NULL */
IPCSHARE_API const char *ipcshare_op_name(const struct ipcshare_op *op);

/** ipcshare_op_allows - can @op reduce elements of @type? 1, or 0 */
IPCSHARE_API int ipcshare_op_allows(const struct ipcshare_op *op, enum ipcshare_type type);

#ifdef __cplusplus
}
#endif
#endif
