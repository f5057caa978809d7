/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An allreduce that crosses the border (topo/border.h) as seldom as it can. The ranks of the first part reduce what
 * they have, those of the next go on from there, and so on, so that the ranks are combined in their order as ever; what
 * the last part has goes once to each other part, and is passed on there. It goes in chunks, so that all parts work at
 * once, each on the chunk that the one before it has left.
 */
#ifndef IPCSHARE_COLL_CHAIN_H
#define IPCSHARE_COLL_CHAIN_H

#include "coll/call.h"

/*
 * Of a call that is relayed, the same on all ranks. Parts whose ranks are mixed would combine them in another order: they
 * can only where that comes to the same bits.
 */
bool ipcshare__chain_can(const struct ipcshare__call *call);
/* Map what this rank needs of others. */
bool ipcshare__chain_map(struct ipcshare__call *call);
/* A step, once all have; after the last one comes what is in call->otherwise. */
int ipcshare__chain(struct ipcshare__call *call);

#endif
