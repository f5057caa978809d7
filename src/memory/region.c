/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/region.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/point.h"
#include "memory/anchor.h"
#include "memory/context.h"

#define NO_SLOT UINT32_MAX

/* ---- The table, locked ---- */

static int slot_take(struct ipcshare__regions *t, uint32_t *id)
{
	struct ipcshare__region_slot *slots;
	uint32_t capacity;

	if (t->nslots == 0)
		t->first_free = NO_SLOT;
	if (t->first_free != NO_SLOT) {
		*id = t->first_free;
		t->first_free = t->slots[*id].next_free;
		return 0;
	}
	if (t->nslots == IPCSHARE__REGION_MAX)
		return IPCSHARE_ERR_LIMIT;
	if (t->nslots == t->capacity) {
		capacity = t->capacity ? 2 * t->capacity : 16;
		slots = realloc(t->slots, capacity * sizeof(*slots));
		if (!slots)
			return IPCSHARE_ERR_NO_MEMORY;
		t->slots = slots;
		t->capacity = capacity;
	}
	*id = t->nslots++;
	t->slots[*id] = (struct ipcshare__region_slot){ .generation = 1 };
	return 0;
}

static void slot_give_back(struct ipcshare__regions *t, uint32_t id)
{
	t->slots[id].region = NULL;
	t->slots[id].generation++; /* what still names the old region is stale from now on */
	t->slots[id].next_free = t->first_free;
	t->first_free = id;
}

static int table_add(struct ipcshare__regions *t, struct ipcshare__region *r)
{
	int err = slot_take(t, &r->id);

	if (err)
		return err;
	err = ipcshare__index_add(&t->by_address, r->mem.base, r->mem.length, r);
	if (err) {
		slot_give_back(t, r->id);
		return err;
	}
	t->slots[r->id].region = r;
	r->generation = t->slots[r->id].generation;
	return 0;
}

static void table_remove(struct ipcshare__regions *t, struct ipcshare__region *r)
{
	if (!r->withdrawn)
		ipcshare__index_remove(&t->by_address, r->mem.base);
	slot_give_back(t, r->id);
}

void ipcshare__region_withdraw(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	ipcshare__index_remove(&ctx->regions.by_address, r->mem.base);
	r->withdrawn = true;
}

void ipcshare__region_take(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	while (r->busy)
		pthread_cond_wait(&ctx->changed, &ctx->lock);
	r->busy = true;
}

void ipcshare__region_let(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	r->busy = false;
	pthread_cond_broadcast(&ctx->changed);
}

static void region_forget(struct ipcshare__region *r)
{
	free(r->told);
	free(r);
}

/* ---- Allocate and register ---- */

static int not_ours(const struct ipcshare_ctx *ctx, const void *ptr, const char *stage)
{
	return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, stage,
			      "it was freed before, or came from malloc(): use ipcshare_alloc() or "
			      "ipcshare_register()",
			      "%p is not in memory of this context (backend %s)", ptr,
			      ctx->backend->ops->name);
}

static int region_add(struct ipcshare_ctx *ctx, struct ipcshare__memory *mem,
		      enum ipcshare__origin origin, struct ipcshare__region **out)
{
	struct ipcshare__region *r = calloc(1, sizeof(*r));
	int err = IPCSHARE_ERR_NO_MEMORY;

	if (r) {
		r->mem = *mem;
		r->origin = origin;
		pthread_mutex_lock(&ctx->lock);
		err = table_add(&ctx->regions, r);
		pthread_mutex_unlock(&ctx->lock);
	}
	if (!err) {
		ipcshare__count(&ctx->counters.allocations, 1);
		ipcshare__count(&ctx->counters.bytes_allocated, mem->length);
		ipcshare__count(&ctx->counters.bytes_huge, mem->huge ? mem->length : 0);
		ipcshare__count(&ctx->counters.huge_misses, mem->huge_missed);
		*out = r;
		return 0;
	}
	free(r);
	ctx->backend->ops->release(ctx->backend, mem);
	if (err == IPCSHARE_ERR_BUSY)
		return ipcshare__fail(err, "register", "deregister or free it first",
				      "the range overlaps memory that the context has already");
	return ipcshare__fail(err, "alloc", "free some, or cut buffers from fewer allocations",
			      "no room for one more allocation");
}

int ipcshare__region_alloc(struct ipcshare_ctx *ctx, size_t len, enum ipcshare__origin origin,
			   struct ipcshare__region **out)
{
	uint64_t start = ipcshare__now_ns();
	struct ipcshare__memory mem;
	int err = ctx->backend->ops->alloc(ctx->backend, len, &mem);

	if (err)
		return err;
	ipcshare__count_calls(&ctx->counters, IPCSHARE_CALL_ALLOC, 1, start);
	return region_add(ctx, &mem, origin, out);
}

int ipcshare_alloc(struct ipcshare_ctx *ctx, size_t len, void **out)
{
	struct ipcshare__region *r;
	int err = ipcshare__ctx_check(ctx, "alloc");

	if (err)
		return err;
	if (!out || !len || len > PTRDIFF_MAX)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "alloc", "",
				      "out is NULL, or %zu bytes are asked for", len);
	err = ipcshare__region_alloc(ctx, len, IPCSHARE__ALLOCATED, &r);
	if (err)
		return err;
	*out = r->mem.base;
	return 0;
}

int ipcshare_register(struct ipcshare_ctx *ctx, void *ptr, size_t len, int fd)
{
	struct ipcshare__memory mem;
	struct ipcshare__region *r;
	int err = ipcshare__ctx_check(ctx, "register");

	if (err)
		return err;
	if (!ptr || !len || len > PTRDIFF_MAX || (uintptr_t)ptr > UINTPTR_MAX - len)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "register", "",
				      "%p with %zu bytes is no range of addresses", ptr, len);
	err = ctx->backend->ops->adopt(ctx->backend, ptr, len, fd, &mem);
	return err ? err : region_add(ctx, &mem, IPCSHARE__REGISTERED, &r);
}

int ipcshare_find(struct ipcshare_ctx *ctx, const void *ptr, void **base, size_t *len)
{
	struct ipcshare__range range;
	int err = ipcshare__ctx_check(ctx, "find");

	if (err)
		return err;
	if (!ipcshare__index_find(&ctx->regions.by_address, ptr, &range))
		return not_ours(ctx, ptr, "find");
	if (base)
		*base = (void *)range.start;
	if (len)
		*len = range.end - range.start;
	return 0;
}

int ipcshare_copy(struct ipcshare_ctx *ctx, void *dst, const void *src, size_t len)
{
	int err = ipcshare__ctx_check(ctx, "copy");

	if (err)
		return err;
	if ((!dst || !src) && len)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "copy", "", "dst or src is NULL");
	return len ? ctx->backend->ops->copy(ctx->backend, dst, src, len) : 0;
}

/* ---- Free ---- */

static void region_pause(struct ipcshare_ctx *ctx, struct ipcshare__region *r, bool paused)
{
	if (r->exported)
		ctx->backend->ops->pause_export(ctx->backend, &r->mem, paused);
}

/*
 * If one still uses it, those that were asked before stay on the list: they are whitelisted, and may
 * map it again when it is resumed.
 */
int ipcshare__region_retire(struct ipcshare_ctx *ctx, struct ipcshare__region *r, bool gone)
{
	uint32_t what = gone ? r->id | IPCSHARE__REGION_GONE : r->id;
	struct ipcshare_error first;
	int err = 0;

	region_pause(ctx, r, true);
	IPCSHARE__POINT("region.paused");
	for (size_t i = 0; i < r->ntold && (gone || !err); i++) {
		int status = ipcshare__retire(ctx, r->told[i].endpoint, what, r->generation);

		if (status && !err)
			first = *ipcshare_last_error();
		err = err ?: status;
	}
	IPCSHARE__POINT("region.retired");
	if (err)
		ipcshare__error_restore(&first);
	if (err && !gone)
		region_pause(ctx, r, false);
	return err;
}

void ipcshare__region_close(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	const struct ipcshare__backend_ops *ops = ctx->backend->ops;
	uint64_t start;

	ipcshare__attached_end(ctx, &r->attached);
	if (r->exported) {
		start = ipcshare__now_ns();
		ops->close_export(ctx->backend, &r->mem);
		ipcshare__count_calls(&ctx->counters, IPCSHARE_CALL_CLOSE_EXPORT, 1, start);
	}
	IPCSHARE__POINT("region.unexported");
	start = ipcshare__now_ns();
	ops->release(ctx->backend, &r->mem);
	if (r->origin != IPCSHARE__REGISTERED)
		ipcshare__count_calls(&ctx->counters, IPCSHARE_CALL_FREE, 1, start);
	ipcshare__uncount(&ctx->counters.allocations, 1);
	ipcshare__uncount(&ctx->counters.bytes_allocated, r->mem.length);
	ipcshare__uncount(&ctx->counters.bytes_huge, r->mem.huge ? r->mem.length : 0);
	ipcshare__retire_fewer(ctx, r->ntold);
}

/* Off the table already: nobody can find it. */
static void region_destroy(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	ipcshare__region_close(ctx, r);
	region_forget(r);
}

/* What was closed has lost its last user. Locked. */
static void region_bury(struct ipcshare__regions *t, struct ipcshare__region *r)
{
	slot_give_back(t, r->id);
	region_forget(r);
}

void ipcshare__region_user_less(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	if (--r->users == 0 && r->closed)
		region_bury(&ctx->regions, r);
}

size_t ipcshare__region_leave(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	size_t users;

	pthread_mutex_lock(&ctx->lock);
	ipcshare__region_let(ctx, r);
	r->closed = true;
	users = r->users;
	if (!users)
		region_bury(&ctx->regions, r);
	pthread_mutex_unlock(&ctx->lock);
	return users;
}

/* The region that holds @ptr, or NULL; locked. */
static struct ipcshare__region *region_at(struct ipcshare_ctx *ctx, const void *ptr)
{
	struct ipcshare__range range;

	return ipcshare__index_find(&ctx->regions.by_address, ptr, &range) ? range.what : NULL;
}

/* Marked busy and freeing, unless it is held here; locked. */
static int free_mark(struct ipcshare_ctx *ctx, struct ipcshare__region *r, const char *stage)
{
	if (r->users)
		return ipcshare__fail(IPCSHARE_ERR_BUSY, stage, "free the sets that hold it first",
				      "%p is still shared: %zu sets, shares or mappings of this "
				      "process hold it",
				      r->mem.base, r->users);
	r->freeing = true;
	ipcshare__region_take(ctx, r);
	return 0;
}

static void free_unmark(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	r->freeing = false;
	ipcshare__region_let(ctx, r);
}

/* Marked already. */
static int free_ask(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	int err = ipcshare__region_retire(ctx, r, false);

	if (!err)
		return 0;
	pthread_mutex_lock(&ctx->lock);
	free_unmark(ctx, r);
	pthread_mutex_unlock(&ctx->lock);
	return err;
}

int ipcshare__region_free_begin(struct ipcshare_ctx *ctx, struct ipcshare__region *r,
				const char *stage)
{
	int err;

	pthread_mutex_lock(&ctx->lock);
	err = free_mark(ctx, r, stage);
	pthread_mutex_unlock(&ctx->lock);
	return err ? err : free_ask(ctx, r);
}

void ipcshare__region_free_end(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	pthread_mutex_lock(&ctx->lock);
	free_unmark(ctx, r);
	table_remove(&ctx->regions, r);
	pthread_mutex_unlock(&ctx->lock);
	region_destroy(ctx, r);
}

void ipcshare__region_free_undo(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	region_pause(ctx, r, false);
	pthread_mutex_lock(&ctx->lock);
	free_unmark(ctx, r);
	pthread_mutex_unlock(&ctx->lock);
}

/* The region that starts at @ptr, and is to be given back in this way; locked. */
static int free_find(struct ipcshare_ctx *ctx, void *ptr, enum ipcshare__origin origin,
		     const char *stage, struct ipcshare__region **out)
{
	static const char *const was[] = { "allocated", "registered", "cut from an arena" };
	struct ipcshare__region *r = region_at(ctx, ptr);

	if (!r || r->freeing)
		return not_ours(ctx, ptr, stage);
	if (r->origin != origin && (r->mem.base == ptr || r->origin == IPCSHARE__ARENA))
		return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, stage,
				      "ipcshare_free() goes with ipcshare_alloc(), "
				      "ipcshare_deregister() with ipcshare_register(), "
				      "ipcshare_arena_free() with ipcshare_arena_alloc()",
				      "%p was %s", ptr, was[r->origin]);
	if (r->mem.base != ptr)
		return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, stage,
				      "pass the pointer that was allocated or registered",
				      "%p lies inside the allocation at %p", ptr, r->mem.base);
	*out = r;
	return free_mark(ctx, r, stage);
}

static int region_end(struct ipcshare_ctx *ctx, void *ptr, enum ipcshare__origin origin,
		      const char *stage)
{
	struct ipcshare__region *r = NULL;
	int err;

	if (!ptr)
		return 0;
	err = ipcshare__ctx_check(ctx, stage);
	if (err)
		return err;
	pthread_mutex_lock(&ctx->lock);
	err = free_find(ctx, ptr, origin, stage, &r);
	pthread_mutex_unlock(&ctx->lock);
	if (!err)
		err = free_ask(ctx, r);
	if (!err)
		ipcshare__region_free_end(ctx, r);
	return err;
}

int ipcshare_free(struct ipcshare_ctx *ctx, void *ptr)
{
	return region_end(ctx, ptr, IPCSHARE__ALLOCATED, "free");
}

int ipcshare_deregister(struct ipcshare_ctx *ctx, void *ptr)
{
	return region_end(ctx, ptr, IPCSHARE__REGISTERED, "deregister");
}

static void table_clear(struct ipcshare__regions *t)
{
	ipcshare__index_clear(&t->by_address);
	free(t->slots);
	*t = (struct ipcshare__regions){ 0 };
}

/* Another context of this process may hold a region, and find it until it is marked. */
static int close_begin(struct ipcshare_ctx *ctx)
{
	const struct ipcshare__regions *t = &ctx->regions;
	const struct ipcshare__region *held = NULL;

	pthread_mutex_lock(&ctx->lock);
	for (uint32_t i = 0; i < t->nslots && !held; i++)
		if (t->slots[i].region && (t->slots[i].region->users || t->slots[i].region->busy))
			held = t->slots[i].region;
	for (uint32_t i = 0; i < t->nslots && !held; i++)
		if (t->slots[i].region)
			t->slots[i].region->freeing = true;
	pthread_mutex_unlock(&ctx->lock);
	return held ? ipcshare__fail(IPCSHARE_ERR_BUSY, "close", "free or unmap it there first",
				     "another context of this process uses the memory at %p",
				     held->mem.base)
		    : 0;
}

static void close_undo(struct ipcshare_ctx *ctx)
{
	const struct ipcshare__regions *t = &ctx->regions;

	for (uint32_t i = 0; i < t->nslots; i++)
		if (t->slots[i].region)
			region_pause(ctx, t->slots[i].region, false);
	pthread_mutex_lock(&ctx->lock);
	for (uint32_t i = 0; i < t->nslots; i++)
		if (t->slots[i].region)
			t->slots[i].region->freeing = false;
	pthread_mutex_unlock(&ctx->lock);
}

int ipcshare__regions_close(struct ipcshare_ctx *ctx)
{
	struct ipcshare__regions *t = &ctx->regions;
	int err = close_begin(ctx);

	if (err)
		return err;
	for (uint32_t i = 0; i < t->nslots && !err; i++)
		if (t->slots[i].region)
			err = ipcshare__region_retire(ctx, t->slots[i].region, false);
	if (err) {
		close_undo(ctx);
		return err;
	}
	for (uint32_t i = 0; i < t->nslots; i++)
		if (t->slots[i].region)
			region_destroy(ctx, t->slots[i].region);
	table_clear(t);
	return 0;
}

void ipcshare__regions_abandon(struct ipcshare_ctx *ctx)
{
	struct ipcshare__regions *t = &ctx->regions;

	for (uint32_t i = 0; i < t->nslots; i++) {
		struct ipcshare__region *r = t->slots[i].region;

		if (!r)
			continue;
		if (!r->closed)
			ctx->backend->ops->release(ctx->backend, &r->mem);
		region_forget(r);
	}
	ipcshare__retire_abandon(ctx);
	table_clear(t);
}

/* ---- Find and hold ---- */

/* The region that holds all of the buffer, or the status and detail why not; locked. */
static int region_of(struct ipcshare_ctx *ctx, const void *ptr, size_t len, const char *stage,
		     struct ipcshare__region **out)
{
	struct ipcshare__region *r = region_at(ctx, ptr);
	size_t offset;

	if (!r || r->freeing)
		return not_ours(ctx, ptr, stage);
	offset = (size_t)((const char *)ptr - (const char *)r->mem.base);
	if (len > r->mem.length - offset)
		return ipcshare__fail(IPCSHARE_ERR_RANGE, stage, "",
				      "%zu bytes at offset %zu of an allocation of %zu bytes", len,
				      offset, r->mem.length);
	*out = r;
	return 0;
}

int ipcshare__region_hold(struct ipcshare_ctx *ctx, const void *ptr, size_t len, const char *stage,
			  struct ipcshare__region **out)
{
	int err;

	pthread_mutex_lock(&ctx->lock);
	err = region_of(ctx, ptr, len, stage, out);
	if (!err)
		(*out)->users++;
	pthread_mutex_unlock(&ctx->lock);
	return err;
}

void ipcshare__region_drop(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	pthread_mutex_lock(&ctx->lock);
	ipcshare__region_user_less(ctx, r);
	pthread_mutex_unlock(&ctx->lock);
}
