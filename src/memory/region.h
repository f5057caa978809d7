/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A region: one allocation of this process, exported when it is first shared, and once. Functions
 * that say "locked" want ctx->lock held; the others take it.
 */
#ifndef IPCSHARE_MEMORY_REGION_H
#define IPCSHARE_MEMORY_REGION_H

#include <ipcshare.h>
#include <stdbool.h>

#include "backend/backend.h"
#include "base/index.h"

#define IPCSHARE__REGION_MAX (1u << 20) /* ids are below it, here and in what peers send */

/* A process that has been told the key, and may have it mapped. */
struct ipcshare__told {
	uint64_t endpoint;
	enum ipcshare__access access;
};

enum ipcshare__origin { /* and so, what it is given back by */
	IPCSHARE__ALLOCATED, /* ipcshare_alloc() */
	IPCSHARE__REGISTERED, /* ipcshare_register() */
	IPCSHARE__ARENA, /* an arena, which cuts it into cells */
};

struct ipcshare__region {
	struct ipcshare__memory mem;
	uint32_t id, generation;
	enum ipcshare__origin origin;
	bool exported, open, read_only;
	bool busy; /* one thread exports, allows or frees it: others wait for ctx->changed */
	bool freeing;
	bool withdrawn; /* off the index: no address finds it */
	bool closed; /* and the backend has nothing of it: only its users keep it */
	size_t users; /* sets, shares and local mappings here that hold it */
	char key[IPCSHARE__KEY_SIZE];
	struct ipcshare__told *told;
	size_t ntold;
	struct ipcshare__attached *attached; /* ended before the memory is given back */
};

struct ipcshare__region_slot {
	struct ipcshare__region *region; /* NULL: free */
	uint32_t generation; /* of the region in it, or of the next one */
	uint32_t next_free;
};

struct ipcshare__regions {
	struct ipcshare__index by_address;
	struct ipcshare__region_slot *slots; /* by id */
	uint32_t nslots, capacity, first_free;
};

struct ipcshare_ctx;

/* A new one of @len bytes, 1 .. PTRDIFF_MAX. */
int ipcshare__region_alloc(struct ipcshare_ctx *ctx, size_t len, enum ipcshare__origin origin,
			   struct ipcshare__region **out);

/*
 * To free a region: begin, and then either end or undo. After begin() nobody here or elsewhere uses
 * it or can; IPCSHARE_ERR_BUSY: somebody does, and all is as before.
 */
int ipcshare__region_free_begin(struct ipcshare_ctx *ctx, struct ipcshare__region *region,
				const char *stage);
void ipcshare__region_free_end(struct ipcshare_ctx *ctx, struct ipcshare__region *region);
void ipcshare__region_free_undo(struct ipcshare_ctx *ctx, struct ipcshare__region *region);

/* The region that holds ptr .. ptr + len, held until ipcshare__region_drop(). */
int ipcshare__region_hold(struct ipcshare_ctx *ctx, const void *ptr, size_t len, const char *stage,
			  struct ipcshare__region **out);
void ipcshare__region_drop(struct ipcshare_ctx *ctx, struct ipcshare__region *region);
/* The same, locked. */
void ipcshare__region_user_less(struct ipcshare_ctx *ctx, struct ipcshare__region *region);

/* Beside the public flags: whether it was exported open is no matter here. */
#define IPCSHARE__OPEN_OR_NOT 0x80000000u

/*
 * Export it if it isn't, and whitelist @n processes; @flags are IPCSHARE_READ_ONLY and
 * IPCSHARE_SHARE_OPEN. Nothing is done twice. The caller holds the region.
 */
int ipcshare__region_publish(struct ipcshare_ctx *ctx, struct ipcshare__region *region,
			     unsigned flags, const struct ipcshare__identity *ids, size_t n);

/* Of that, only what IPCSHARE_READ_ONLY means: where there is nobody to export it to. */
int ipcshare__region_protect(struct ipcshare_ctx *ctx, struct ipcshare__region *region,
			     unsigned flags);

/*
 * One thread at a time exports, allows or frees a region, with no lock held meanwhile: others wait
 * in take() for its let(). Locked.
 */
void ipcshare__region_take(struct ipcshare_ctx *ctx, struct ipcshare__region *region);
void ipcshare__region_let(struct ipcshare_ctx *ctx, struct ipcshare__region *region);

/*
 * Ask everybody who was told its key to let go, and let nobody in meanwhile. @gone: it ends whatever
 * they say, so nobody there finds it again, and all are asked. The caller has taken it.
 */
int ipcshare__region_retire(struct ipcshare_ctx *ctx, struct ipcshare__region *region, bool gone);
/* The same for what the backend has of it: the export first. */
void ipcshare__region_close(struct ipcshare_ctx *ctx, struct ipcshare__region *region);
/* From now on no address finds it. Locked. */
void ipcshare__region_withdraw(struct ipcshare_ctx *ctx, struct ipcshare__region *region);
/* Let go of what was withdrawn, taken and closed. 0, or how many still hold it: the last frees it. */
size_t ipcshare__region_leave(struct ipcshare_ctx *ctx, struct ipcshare__region *region);

/* The same process on both ends: hold and drop a region of any context of this process. */
int ipcshare__region_hold_local(uint64_t endpoint, uint32_t id, uint32_t generation, void **base,
				size_t *length);
void ipcshare__region_drop_local(uint64_t endpoint, uint32_t id, uint32_t generation);

/* Give all regions back: first ask every peer (may fail: nothing is done then), or just drop. */
int ipcshare__regions_close(struct ipcshare_ctx *ctx);
void ipcshare__regions_abandon(struct ipcshare_ctx *ctx);

#endif
