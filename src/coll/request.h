/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Collectives that were started, in the order in which that was: the first of them is on the board, the
 * others wait for it, as the ranks agree on the order and on nothing else.
 */
#ifndef IPCSHARE_COLL_REQUEST_H
#define IPCSHARE_COLL_REQUEST_H

#include "coll/call.h"

/* The call is copied. If that can't be, it is made to its end at once: the peers count on it. */
int ipcshare__request_start(struct ipcshare__call *call, struct ipcshare_request **out);

#endif
