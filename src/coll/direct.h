/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Long blocks that lie in regions which the group shares: the others copy from there, once, instead of
 * through the slots. In the first round each rank says where its blocks are; in the second whether
 * it could map those of the others; in the last that it has read them.
 */
#ifndef IPCSHARE_COLL_DIRECT_H
#define IPCSHARE_COLL_DIRECT_H

#include "coll/transfer.h"

/* Bytes of the longest block from which on the rounds cost less than another copy. */
#define IPCSHARE__DIRECT_LEAST ((size_t)256 << 10)

struct ipcshare__direct {
	const struct ipcshare__transfer *transfer;
	struct ipcshare__region *region; /* that our blocks lie in, held; NULL: they don't, or are short */
	struct ipcshare__mapping **mappings; /* by rank: where we read from, held */
};

/* Hold what can be offered; @most: bytes of our longest block. True: offer it, instead of bytes. */
bool ipcshare__direct_offer(struct ipcshare__direct *direct, const struct ipcshare__transfer *transfer,
			    uint64_t most);
/*
 * After the first round. *@done: the blocks are in place. Else some rank could not, and they must go
 * through the slots from the start.
 */
int ipcshare__direct_run(struct ipcshare__direct *direct, bool *done);
void ipcshare__direct_end(struct ipcshare__direct *direct);

#endif
