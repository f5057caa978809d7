/* SPDX-License-Identifier: BSD-3-Clause */
/* One round of all that a group does, with every byte checked; for tests of what happens meanwhile. */
#ifndef TEST_WORKOUT_H
#define TEST_WORKOUT_H

#include "support/test.h"

/*
 * Shares, updates, lazy sets, pulls, pushes, views, collectives, and the frees of all that: what all ranks
 * do with @seed. On a failure the thread or rank ends.
 */
void workout(struct ipcshare_ctx *ctx, struct ipcshare_group *group, uint64_t seed);

#endif
