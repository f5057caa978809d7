/* SPDX-License-Identifier: BSD-3-Clause */
#if defined(__x86_64__)
/* Compilers take half of a register unless told otherwise, each in its own words. */
#if defined(__clang__)
#define LOOPS_WIDTH __attribute__((min_vector_width(512)))
#else
#define LOOPS_WIDTH __attribute__((target("prefer-vector-width=512")))
#endif
#define LOOPS_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) LOOPS_WIDTH
#define LOOPS_TABLE ipcshare__folds_avx512
#include "coll/loops.h"
#endif
