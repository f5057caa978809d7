/* SPDX-License-Identifier: BSD-3-Clause */
/* Folds: dst[i] = x[i] op y[i], a loop for each type and op, in code for this machine. */
#ifndef IPCSHARE_COLL_FOLD_H
#define IPCSHARE_COLL_FOLD_H

#include <ipcshare_coll.h>

typedef void ipcshare__fold_fn(void *dst, const void *x, const void *y, size_t count);
typedef ipcshare__fold_fn *const ipcshare__fold_table[IPCSHARE_TYPES][IPCSHARE_OPS];

/* The same loops, compiled for several instruction sets (loops.h). NULL: no such op for the type. */
extern ipcshare__fold_table ipcshare__folds_base;
#if defined(__x86_64__)
extern ipcshare__fold_table ipcshare__folds_avx2;
extern ipcshare__fold_table ipcshare__folds_avx512;
#endif

/* One of them, by number, from the plainest on; NULL: there are no more, or not on this machine. */
ipcshare__fold_table *ipcshare__folds(int which);

/* The ops that are there are numbers instead of addresses; IPCSHARE_OPS is the user's. */
static inline enum ipcshare_op_kind ipcshare__op_kind(const struct ipcshare_op *op)
{
	return (uintptr_t)op < IPCSHARE_OPS ? (enum ipcshare_op_kind)(uintptr_t)op : IPCSHARE_OPS;
}

/* An op with a type: what a reduction does. */
struct ipcshare__fold {
	ipcshare__fold_fn *loop; /* NULL: the user's function */
	const struct ipcshare_op *op;
	enum ipcshare_type type;
};

/* 0, or IPCSHARE_ERR_INVALID with its detail. */
int ipcshare__fold_find(const struct ipcshare_op *op, enum ipcshare_type type,
			struct ipcshare__fold *out);
/*
 * At most IPCSHARE__FOLD_STEP bytes: so much stays in the first cache until it is where it belongs. @dst may be
 * @x or @y.
 */
#define IPCSHARE__FOLD_STEP 8192
void ipcshare__fold(const struct ipcshare__fold *fold, void *dst, const void *x, const void *y,
		    size_t count);

#endif
