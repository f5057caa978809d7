/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/fold.h"

#include <string.h>

#include "base/error.h"

/* ---- Types and ops by name ---- */

size_t ipcshare_type_size(enum ipcshare_type type)
{
	static const unsigned char size[] = {
#define SIZE(name, bytes) bytes,
		IPCSHARE_TYPE_LIST(SIZE)
#undef SIZE
	};

	return (unsigned)type < IPCSHARE_TYPES ? size[type] : 0;
}

const char *ipcshare_type_name(enum ipcshare_type type)
{
	static const char *const name[] = {
		/* clang-format off */
		"int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "fp16",
		"bf16", "fp32", "fp64", "int16 with index", "int32 with index", "int64 with index",
		"fp32 with index", "fp64 with index",
		/* clang-format on */
	};

	_Static_assert(sizeof(name) / sizeof(name[0]) == IPCSHARE_TYPES, "every type has a name");
	return (unsigned)type < IPCSHARE_TYPES ? name[type] : "no type";
}

const char *ipcshare_op_name(const struct ipcshare_op *op)
{
	static const char *const name[] = {
		/* clang-format off */
		"no op", "sum", "prod", "min", "max", "band", "bor", "bxor", "land", "lor", "lxor",
		"minloc", "maxloc", "user",
		/* clang-format on */
	};

	_Static_assert(sizeof(name) / sizeof(name[0]) == IPCSHARE_OPS + 1, "every op has a name");
	return name[ipcshare__op_kind(op)];
}

int ipcshare_op_allows(const struct ipcshare_op *op, enum ipcshare_type type)
{
	if ((unsigned)type >= IPCSHARE_TYPES)
		return 0;
	if (ipcshare__op_kind(op) < IPCSHARE_OPS)
		return ipcshare__folds_base[type][ipcshare__op_kind(op)] != NULL;
	return op->size == sizeof(*op) && op->fn;
}

/* ---- Folds ---- */

ipcshare__fold_table *ipcshare__folds(int which)
{
#if defined(__x86_64__)
	if (which == 1)
		return __builtin_cpu_supports("avx2") ? &ipcshare__folds_avx2 : NULL;
	if (which == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
		return &ipcshare__folds_avx512;
#endif
	return which == 0 ? &ipcshare__folds_base : NULL;
}

int ipcshare__fold_find(const struct ipcshare_op *op, enum ipcshare_type type,
			struct ipcshare__fold *out)
{
	ipcshare__fold_table *best = &ipcshare__folds_base, *next;

	if (!ipcshare_op_allows(op, type))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "collective",
				      "ipcshare_op_allows() tells; an own op needs its size and fn",
				      "there is no op \"%s\" for elements of \"%s\"",
				      ipcshare_op_name(op), ipcshare_type_name(type));
	for (int i = 1; (next = ipcshare__folds(i)); i++)
		best = next;
	*out = (struct ipcshare__fold){ NULL, op, type };
	if (ipcshare__op_kind(op) < IPCSHARE_OPS)
		out->loop = (*best)[type][ipcshare__op_kind(op)];
	return 0;
}

/* The caller's op has two operands, of which it writes over the first. */
static void fold_by_caller(const struct ipcshare__fold *fold, void *dst, const void *x,
			   const void *y, size_t count)
{
	size_t len = count * ipcshare_type_size(fold->type);
	_Alignas(64) char copy[IPCSHARE__FOLD_STEP];

	if (dst == y)
		y = memcpy(copy, y, len);
	if (dst != x)
		memcpy(dst, x, len);
	fold->op->fn(dst, y, count, fold->type, fold->op->arg);
}

void ipcshare__fold(const struct ipcshare__fold *fold, void *dst, const void *x, const void *y,
		    size_t count)
{
	if (fold->loop)
		fold->loop(dst, x, y, count);
	else
		fold_by_caller(fold, dst, x, y, count);
}
