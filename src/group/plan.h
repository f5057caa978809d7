/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans as their set sees them. */
#ifndef IPCSHARE_GROUP_PLAN_H
#define IPCSHARE_GROUP_PLAN_H

#include "memory/context.h"

/* Of one set; under the lock of its context. */
struct ipcshare__plans {
	struct ipcshare_plan *first;
};

/*
 * From now on their runs fail with @status: IPCSHARE_ERR_CLOSED for a set that ends,
 * IPCSHARE_ERR_STALE for one whose pointers change. Before any memory of the set is let go, as a
 * runtime may have its addresses in what it recorded. The plans stay, until they are freed.
 */
void ipcshare__plans_end(struct ipcshare_ctx *ctx, struct ipcshare__plans *plans, int status);

/* The set is abandoned, and they are freed with it: no lock, no driver. */
void ipcshare__plans_abandon(struct ipcshare__plans *plans);

#endif
