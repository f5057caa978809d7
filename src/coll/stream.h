/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls that are queued on a stream of the caller, where the backend has streams. */
#ifndef IPCSHARE_COLL_STREAM_H
#define IPCSHARE_COLL_STREAM_H

#include "coll/call.h"

/* The call has what it was called with. @stream NULL: to its end. */
int ipcshare__stream_run(struct ipcshare__call *call, void *stream);

#endif
