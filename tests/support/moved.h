/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks on a machine that is made up: places are what the hellos say, so all believe it, also who is moved. */
#ifndef TEST_MOVED_H
#define TEST_MOVED_H

#include "base/wire.h"
#include "support/test.h"

/* A filter of test_ranks_with(): rank r runs at the r-th of @places, struct ipcshare__wire_place. */
void test_moved(const struct test_exchange *x, void *places);

#endif
