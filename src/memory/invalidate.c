/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registered memory that goes away under us, for hooks of allocators. Such a hook can't refuse, so the
 * region ends at once, whoever uses it: its export is closed before the memory is anything else. What
 * stays is an entry without an address, so that its id means nothing else until the last set lets go.
 */
#include "base/error.h"
#include "memory/context.h"

/* Does anything known reach into it? Without a lock. */
static bool is_touched(struct ipcshare_ctx *ctx, uintptr_t from, uintptr_t end)
{
	struct ipcshare__range range;

	return ipcshare__index_next(&ctx->regions.by_address, (void *)from, &range) &&
	       range.start < end;
}

/* Wait for who exports or frees it, and take it; false: it was freed meanwhile. Locked. */
static bool take(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	uint32_t id = r->id, generation = r->generation;

	for (;;) {
		const struct ipcshare__region_slot *slot = &ctx->regions.slots[id];

		if (slot->region != r || slot->generation != generation)
			return false;
		if (!r->busy)
			break;
		pthread_cond_wait(&ctx->changed, &ctx->lock);
	}
	ipcshare__region_take(ctx, r);
	return true;
}

/* The next registration that reaches into the range, off the index and taken; NULL: none is left. */
static struct ipcshare__region *withdraw_next(struct ipcshare_ctx *ctx, uintptr_t *from,
					      uintptr_t end)
{
	struct ipcshare__region *found = NULL;
	struct ipcshare__range range;

	pthread_mutex_lock(&ctx->lock);
	while (!found && ipcshare__index_next(&ctx->regions.by_address, (void *)*from, &range) &&
	       range.start < end) {
		struct ipcshare__region *r = range.what;

		*from = range.end; /* what is registered behind our back from now on is new */
		if (r->origin != IPCSHARE__REGISTERED)
			continue;
		ipcshare__region_withdraw(ctx, r);
		if (take(ctx, r))
			found = r;
	}
	pthread_mutex_unlock(&ctx->lock);
	return found;
}

static int region_end(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	int err = ipcshare__region_retire(ctx, r, true);
	uint32_t id = r->id, generation = r->generation;
	const void *base = r->mem.base;
	size_t users;

	ipcshare__region_close(ctx, r);
	users = ipcshare__region_leave(ctx, r);
	if (users)
		ipcshare__mappings_end_local(ctx->identity.endpoint, id, generation);
	if (err || !users)
		return err;
	return ipcshare__fail(IPCSHARE_ERR_BUSY, "invalidate",
			      "where freeing can wait, ask ipcshare_deregister() before",
			      "%p was still shared: %zu sets, shares or mappings of this process "
			      "hold it",
			      base, users);
}

int ipcshare_invalidate(struct ipcshare_ctx *ctx, const void *ptr, size_t len)
{
	uintptr_t from = (uintptr_t)ptr, end = len < UINTPTR_MAX - from ? from + len : UINTPTR_MAX;
	struct ipcshare_error first;
	struct ipcshare__region *r;
	int err = ipcshare__ctx_check(ctx, "invalidate");

	if (err || !len || !is_touched(ctx, from, end))
		return err;
	while ((r = withdraw_next(ctx, &from, end))) {
		int status = region_end(ctx, r);

		if (status && !err)
			first = *ipcshare_last_error();
		err = err ?: status;
	}
	if (err)
		ipcshare__error_restore(&first);
	return err;
}
