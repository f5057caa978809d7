/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Long blocks that lie in regions which the group shares go from there to where they belong, once,
 * instead of through the slots. In the first round each rank says where its buffers are; in the second that
 * it has done its part, or could not map those of the others. What is reduced takes a round between
 * these.
 */
#ifndef IPCSHARE_COLL_DIRECT_H
#define IPCSHARE_COLL_DIRECT_H

#include "coll/call.h"

/*
 * Hold what can be offered. @gives, @takes: bytes of our longest block, and of the longest for us. True: it is
 * in the next slot, where bytes would be.
 */
bool ipcshare__direct_offer(struct ipcshare__call *call, uint64_t gives, uint64_t takes);
/* A step, after all have offered. If some rank can't map what it needs, @otherwise is the next. */
int ipcshare__direct(struct ipcshare__call *call, ipcshare__step *otherwise);

#endif
