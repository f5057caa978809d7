/* SPDX-License-Identifier: BSD-3-Clause */
/* For every machine that the compiler's flags allow. */
#define LOOPS_TARGET
#define LOOPS_TABLE ipcshare__folds_base
#include "coll/loops.h"
