/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The blocks of all ranks on their way through the slots of the board, a piece of each in a round.
 * While the ranks that were fast take what is in the slots, nobody waits: two slots alternate.
 */
#ifndef IPCSHARE_COLL_TRANSFER_H
#define IPCSHARE_COLL_TRANSFER_H

#include "coll/call.h"

struct ipcshare__transfer {
	struct ipcshare__call *call;
	bool to_each; /* a block for each rank; else one for all that want it */
	struct ipcshare__layout out, in; /* what this rank gives, and what it wants of each */
	bool own; /* its own block is to go from out to in; else it is there */
	/* If the call reduces: the block at in.base becomes that of these ranks, reduced. */
	int first, last;
};

/* Bytes of a slot that the pieces for one rank have. */
size_t ipcshare__transfer_lane(const struct ipcshare__transfer *transfer);

/* Collective; also when the call has a fault, so that all ranks are told. */
int ipcshare__transfer(const struct ipcshare__transfer *transfer);

#endif
