/* SPDX-License-Identifier: BSD-3-Clause */
/* Elements of each type: made from a seed, reduced one by one the plain way, and compared. */
#ifndef TEST_ELEMENTS_H
#define TEST_ELEMENTS_H

#include <ipcshare_coll.h>

/* Numbers that follow from the seed; it is changed. */
uint64_t elements_random(uint64_t *seed);

/* Small enough that sums of integers and floats are worth comparing; no NaN. */
void elements_fill(enum ipcshare_type type, void *p, size_t count, uint64_t seed);

/* acc = acc op in, written without any of the library's loops; the op of elements_user() too. */
void elements_fold(const struct ipcshare_op *op, enum ipcshare_type type, void *acc,
		   const void *in, size_t count);

/* The same bits, but for the payload of NaNs and for padding; the first that differs, or @count. */
size_t elements_differ(enum ipcshare_type type, const void *a, const void *b, size_t count);

/* An op that is associative and not commutative; counts its calls in *arg, if that is not NULL. */
void elements_user(void *acc, const void *in, size_t count, enum ipcshare_type type, void *arg);

/* Every op that is there, and behind them @user. */
const struct ipcshare_op *elements_op(int kind, const struct ipcshare_op *user);

/* The value of an fp16 or bf16, and the nearest to a value. */
double elements_half_value(enum ipcshare_type type, uint16_t half);
uint16_t elements_half_nearest(enum ipcshare_type type, double value);

#endif
