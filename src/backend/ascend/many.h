/* SPDX-License-Identifier: BSD-3-Clause */
/* Between many.c, which issues copies, and plan.c, which records them; entered, with the copy_lock. */
#ifndef IPCSHARE_BACKEND_ASCEND_MANY_H
#define IPCSHARE_BACKEND_ASCEND_MANY_H

#include "backend/ascend/work.h"

/* All of it, on streams of ours, done on return. */
int ipcshare__work_do(struct ascend *a, const struct ascend_work *w);
/* The pieces with memory of the host at one end, done on return. */
int ipcshare__work_rest(struct ascend *a, const struct ascend_work *w);

/*
 * The same on a stream of the caller. What is in the stream before it comes first, so the host's bytes
 * wait for that; moves are only queued.
 */
int ipcshare__work_rest_on(struct ascend *a, const struct ascend_work *w, acl_handle stream);
int ipcshare__work_issue_on(struct ascend *a, const struct ascend_work *w, acl_handle stream);

/* Where moves are put, and how many tasks each stream may still have before it. */
struct ascend_lanes {
	acl_handle stream[ASCEND_STREAMS];
	size_t queued[ASCEND_STREAMS];
	size_t n;
	bool counted; /* wait when a queue is nearly full; not while recording */
};

/* Make the stream unless it is there. */
int ipcshare__lane_make(struct ascend *a, acl_handle *out);
int ipcshare__lane_wait(struct ascend *a, struct ascend_lanes *l, size_t lane);
/* Queue the moves. */
int ipcshare__work_issue(struct ascend *a, struct ascend_lanes *l, const struct ascend_work *w);

#endif
