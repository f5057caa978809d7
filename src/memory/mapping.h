/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is mapped of peers. A mapping is made once per region and access, counted, and kept when
 * nobody uses it, until the owner retires the region or the peer is let go.
 */
#ifndef IPCSHARE_MEMORY_MAPPING_H
#define IPCSHARE_MEMORY_MAPPING_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/backend.h"
#include "base/wire.h"
#include "memory/cache.h"
#include "memory/closing.h"
#include "memory/maps.h"
#include "memory/peer.h"

enum ipcshare__mapping_state {
	IPCSHARE__MAPPING_PENDING, /* a thread is importing it */
	IPCSHARE__MAPPING_READY,
	IPCSHARE__MAPPING_FAILED, /* off the peer's list; the last waiter frees it */
};

struct ipcshare__mapping {
	struct ipcshare__mapping *next; /* of the same region id */
	struct ipcshare__peer *peer;
	uint64_t owner; /* its endpoint, when the peer may be gone */
	uint32_t region, generation;
	enum ipcshare__access access;
	enum ipcshare__mapping_state state;
	int status; /* why it failed */
	bool local; /* the owner is this process: base is its own pointer */
	size_t users; /* sets and one-sided maps; 0: kept for reuse */
	bool gone; /* its owner has ended it: nobody finds it, its users keep it */
	bool kept; /* in the cache, between these two */
	struct ipcshare__mapping *older, *newer; /* there, or among those that are being closed */
	size_t maps; /* of these, what ipcshare_map() gave out: in imports.maps while not 0 */
	struct ipcshare__imported at;
	size_t length; /* of the region */
	struct ipcshare__attached *attached; /* ended before it is unmapped */
};

struct ipcshare__imports {
	struct ipcshare__peer *peers;
	struct ipcshare__maps maps;
	struct ipcshare__cache cache; /* mappings that nobody uses */
	struct ipcshare__closing closing;
};

struct ipcshare__want {
	/* in */
	uint32_t region, generation;
	enum ipcshare__access access;
	const char *key; /* 65 bytes */
	uint64_t length;
	/* out */
	int status;
	struct ipcshare__mapping *mapping; /* held, if status is 0 */
};

/*
 * Mappings of @n regions of a peer, importing those that aren't there in one backend call. The
 * result is the first failure, with its detail as the last error; each entry has its own.
 */
int ipcshare__mappings_hold(struct ipcshare_ctx *ctx, struct ipcshare__peer *peer,
			    struct ipcshare__want *wants, size_t n);
/* One that is mapped, held; NULL if it isn't, or is on the way. */
struct ipcshare__mapping *ipcshare__mapping_hold_ready(struct ipcshare_ctx *ctx,
						       struct ipcshare__peer *peer,
						       const struct ipcshare__want *want);
void ipcshare__mapping_drop(struct ipcshare_ctx *ctx, struct ipcshare__mapping *mapping);

/* The mapping that is ready, in use or kept, or NULL; and one user more of it. Locked. */
struct ipcshare__mapping *ipcshare__mapping_known(struct ipcshare__peer *peer,
						  struct ipcshare__want *want);
void ipcshare__mapping_keep(struct ipcshare_ctx *ctx, struct ipcshare__mapping *mapping);

/*
 * Take the idle mappings of one region id, or of all (IPCSHARE__REGION_ANY), off the peer's list and
 * onto @taken, for mappings_close(); 1 if one is in use. Locked: ctx->lock is held.
 */
int ipcshare__mappings_take(struct ipcshare_ctx *ctx, struct ipcshare__peer *peer, uint32_t region,
			    uint32_t generation, struct ipcshare__mapping **taken);
/* Unmap what nobody uses and nobody can find. No lock is held. */
void ipcshare__mappings_close(struct ipcshare_ctx *ctx, struct ipcshare__mapping *list);

/* A region of this process has ended: in none of its contexts is it found by its descriptors. */
void ipcshare__mappings_end_local(uint64_t endpoint, uint32_t region, uint32_t generation);

/* The broker's question: an owner wants its region back. See ipcshare__retire_fn. */
int ipcshare__imports_retire(void *ctx, const struct ipcshare__caller *caller, uint64_t owner,
			     uint32_t region, uint32_t generation);

void ipcshare__imports_abandon(struct ipcshare_ctx *ctx);

#endif
