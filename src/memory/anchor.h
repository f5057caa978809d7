/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What something can be attached to that is made of addresses: a region, or a mapping. A registration
 * with a NIC is such a thing. Whoever uses it holds the anchor. When nobody does it may stay, as an idle
 * mapping stays; but it is ended before its addresses are.
 */
#ifndef IPCSHARE_MEMORY_ANCHOR_H
#define IPCSHARE_MEMORY_ANCHOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/wire.h"

struct ipcshare_ctx;
struct ipcshare__mapping;
struct ipcshare__region;

struct ipcshare__anchor { /* one of both */
	struct ipcshare__region *region;
	struct ipcshare__mapping *mapping;
};

struct ipcshare__attached {
	struct ipcshare__attached *next, **link;
	/* Its addresses go: end it, and ipcshare__detach() it. No lock is held. */
	void (*end)(struct ipcshare__attached *attached);
	bool busy; /* one thread makes or ends it: others wait for ctx->changed */
};

struct ipcshare__span {
	void *base;
	size_t length;
	enum ipcshare__access access;
};

/* The one that holds @ptr, ours or of ipcshare_map(): held until ipcshare__anchor_drop(). */
int ipcshare__anchor_hold(struct ipcshare_ctx *ctx, const void *ptr, const char *stage,
			  struct ipcshare__anchor *out);
void ipcshare__anchor_drop(struct ipcshare_ctx *ctx, const struct ipcshare__anchor *anchor);
/* Hold one that somebody holds. Locked. */
void ipcshare__anchor_keep(const struct ipcshare__anchor *anchor);

struct ipcshare__span ipcshare__anchor_span(const struct ipcshare__anchor *anchor);

/* What is attached to it; NULL: its owner has ended it, and nothing may be attached. Locked. */
struct ipcshare__attached **ipcshare__anchor_list(const struct ipcshare__anchor *anchor);
/* Both locked; who waits for it is woken. */
void ipcshare__attach(struct ipcshare__attached **list, struct ipcshare__attached *attached);
void ipcshare__detach(struct ipcshare_ctx *ctx, struct ipcshare__attached *attached);
/* End all of them; those that other threads are at are waited for. No lock is held. */
void ipcshare__attached_end(struct ipcshare_ctx *ctx, struct ipcshare__attached **list);

#endif
