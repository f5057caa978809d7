/* SPDX-License-Identifier: BSD-3-Clause */
/* What a rank puts into a stream for one call. */
#ifndef IPCSHARE_COLL_FLOW_H
#define IPCSHARE_COLL_FLOW_H

#include "coll/call.h"
#include "group/mesh.h"

struct ipcshare__flow {
	const struct ipcshare__call *call;
	struct ipcshare__stream *stream;
	int nth; /* meeting */
	/*
	 * The first failure, with its detail. From then on there are only meetings, where the streams of the
	 * peers wait. If one of these fails, they do so in vain, and nobody knows any more which notify is due.
	 */
	int err;
	struct ipcshare_error why;
	bool lost;
};

/* The call's turn, and the end of it. */
void ipcshare__flow_begin(struct ipcshare__flow *f);
void ipcshare__flow_end(struct ipcshare__flow *f);

void ipcshare__flow_fail(struct ipcshare__flow *f, int err);
/*
 * All ranks that have to do with each other come to the same meetings: with all that they have queued before
 * done, they are there together.
 */
void ipcshare__flow_meet(struct ipcshare__flow *f);
void ipcshare__flow_copy(struct ipcshare__flow *f, void *dst, const void *src, size_t len);
/* dst = dst op src, with the call's op */
void ipcshare__flow_reduce(struct ipcshare__flow *f, void *dst, const void *src, size_t len);

#endif
