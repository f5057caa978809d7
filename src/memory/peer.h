/* SPDX-License-Identifier: BSD-3-Clause */
/* Peers: contexts whose memory is mapped here, or may be. */
#ifndef IPCSHARE_MEMORY_PEER_H
#define IPCSHARE_MEMORY_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/identity.h"

struct ipcshare_ctx;
struct ipcshare__mapping;

/* A context of another process (or of this one) that we import from. */
struct ipcshare__peer {
	struct ipcshare__peer *next;
	uint64_t endpoint;
	struct ipcshare__caller owner; /* its process */
	bool same_process;
	int device; /* physical device of its context, -1 unknown or none */
	size_t users; /* groups, and mappings in use */
	struct ipcshare__mapping **slots; /* by region id: a list */
	uint32_t nslots;
	uint64_t bytes_mapped, mappings;
};

/*
 * The peer behind @endpoint, held until ipcshare__peer_drop(). Connects to its broker once, and so
 * proves that it can be reached. @id, if not NULL, is who it must be.
 */
int ipcshare__peer_hold(struct ipcshare_ctx *ctx, uint64_t endpoint,
			const struct ipcshare__identity *id, const char *stage,
			struct ipcshare__peer **out);
void ipcshare__peer_drop(struct ipcshare_ctx *ctx, struct ipcshare__peer *peer);

/* The peer that is known already, or NULL; not held. Locked: ctx->lock is held. */
struct ipcshare__peer *ipcshare__peer_find(struct ipcshare_ctx *ctx, uint64_t endpoint);
/* Off the context's list already, and without mappings. */
void ipcshare__peer_delete(struct ipcshare__peer *peer);

#endif
