/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Peers and what is mapped of them. A mapping is made once per region and access, counted, and kept
 * when nobody uses it, until the owner retires the region or the peer is let go.
 */
#ifndef IPCSHARE_MEMORY_IMPORT_H
#define IPCSHARE_MEMORY_IMPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/backend.h"
#include "base/identity.h"
#include "base/wire.h"
#include "base/index.h"

struct ipcshare_ctx;

enum ipcshare__mapping_state {
	IPCSHARE__MAPPING_PENDING, /* a thread is importing it */
	IPCSHARE__MAPPING_READY,
	IPCSHARE__MAPPING_FAILED, /* off the peer's list; the last waiter frees it */
};

struct ipcshare__mapping {
	struct ipcshare__mapping *next; /* of the same region id */
	struct ipcshare__peer *peer;
	uint32_t region, generation;
	enum ipcshare__access access;
	enum ipcshare__mapping_state state;
	int status; /* why it failed */
	bool local; /* the owner is this process: base is its own pointer */
	size_t users; /* sets and one-sided maps; 0: kept for reuse */
	size_t maps; /* of these, one-sided maps: it is in imports.maps while not 0 */
	struct ipcshare__imported at;
	size_t length; /* of the region */
};

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

struct ipcshare__imports {
	struct ipcshare__peer *peers;
	struct ipcshare__index maps; /* addresses given out by one-sided maps */
};

/*
 * The peer behind @endpoint, held until ipcshare__peer_drop(). Connects to its broker once, and so
 * proves that it can be reached. @id, if not NULL, is who it must be.
 */
int ipcshare__peer_hold(struct ipcshare_ctx *ctx, uint64_t endpoint,
			const struct ipcshare__identity *id, const char *stage,
			struct ipcshare__peer **out);
void ipcshare__peer_drop(struct ipcshare_ctx *ctx, struct ipcshare__peer *peer);

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
void ipcshare__mapping_drop(struct ipcshare_ctx *ctx, struct ipcshare__mapping *mapping);

/* One-sided maps: note that the user has @mapping's addresses, and find it again by one of them. */
int ipcshare__maps_add(struct ipcshare_ctx *ctx, struct ipcshare__mapping *mapping);
struct ipcshare__mapping *ipcshare__maps_remove(struct ipcshare_ctx *ctx, const void *address);

/* The broker's question: an owner wants its region back. See ipcshare__retire_fn. */
int ipcshare__imports_retire(void *ctx, const struct ipcshare__caller *caller, uint64_t owner,
			     uint32_t region, uint32_t generation);

void ipcshare__imports_abandon(struct ipcshare_ctx *ctx);

#endif
