/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The context: what one ipcshare_open() gives, and the owner of everything else.
 *
 * Lock order: the handle table, then ctx->lock, then the broker's lock. Backend calls, system calls
 * that may wait, and talk with peers are made with none of them held; what is half-way is marked
 * busy or pending, and others wait for ctx->changed.
 */
#ifndef IPCSHARE_MEMORY_CONTEXT_H
#define IPCSHARE_MEMORY_CONTEXT_H

#include <pthread.h>

#include "backend/backend.h"
#include "base/blocks.h"
#include "base/counters.h"
#include "memory/mapping.h"
#include "memory/region.h"
#include "memory/retire.h"

/* A group, set, share or arena in its context's list, so that ipcshare_abandon() reaches it. */
struct ipcshare__owned {
	struct ipcshare__owned *next, **link;
	void (*abandon)(struct ipcshare__owned *owned); /* frees it, without locks or talk */
};

struct ipcshare_ctx {
	struct ipcshare__config config;
	unsigned timeout_ms;
	struct ipcshare__counters counters;
	struct ipcshare__broker *broker;
	struct ipcshare__backend *host; /* control pages, whatever users share */
	struct ipcshare__backend *backend; /* what users share; may be the same */
	struct ipcshare__identity identity;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct ipcshare__regions regions;
	struct ipcshare__imports imports;
	struct ipcshare__retire_lines retire;
	struct ipcshare__owned *owned;
	struct ipcshare__blocks blocks; /* for the tables of shares and sets */
};

int ipcshare__ctx_check(const struct ipcshare_ctx *ctx, const char *stage);

void ipcshare__owned_add(struct ipcshare_ctx *ctx, struct ipcshare__owned *owned,
			 void (*abandon)(struct ipcshare__owned *owned));
void ipcshare__owned_remove(struct ipcshare_ctx *ctx, struct ipcshare__owned *owned);

#endif
