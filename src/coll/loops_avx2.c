/* SPDX-License-Identifier: BSD-3-Clause */
#if defined(__x86_64__)
#define LOOPS_TARGET __attribute__((target("avx2")))
#define LOOPS_TABLE ipcshare__folds_avx2
#include "coll/loops.h"
#endif
