/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The blocks of all ranks on their way through the slots of the board, a piece of each in a round.
 * While the ranks that were fast take what is in the slots, nobody waits: two slots alternate.
 */
#ifndef IPCSHARE_COLL_TRANSFER_H
#define IPCSHARE_COLL_TRANSFER_H

#include "coll/call.h"

/* The first step. */
int ipcshare__transfer(struct ipcshare__call *call);
/* All that is of other ranks is in its place: end the call. */
int ipcshare__transfer_end(struct ipcshare__call *call);

#endif
