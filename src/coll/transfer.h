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
/* This rank's own block to its place, if it isn't there. */
void ipcshare__transfer_own(const struct ipcshare__call *call);

#endif
