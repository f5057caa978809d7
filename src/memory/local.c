/* SPDX-License-Identifier: BSD-3-Clause */
/* The same process on both ends: a region of any of its contexts is held as it is. */
#include "base/error.h"
#include "base/handle.h"
#include "memory/context.h"
#include "memory/region.h"

struct local {
	uint64_t endpoint;
	uint32_t id, generation;
	bool hold; /* else drop */
	bool found;
	struct ipcshare__memory mem; /* of what is held */
};

static int local_visit(void *handle, void *arg)
{
	struct ipcshare_ctx *ctx = handle;
	struct ipcshare__region *r = NULL;
	struct local *l = arg;

	if (ctx->identity.endpoint != l->endpoint)
		return 0;
	pthread_mutex_lock(&ctx->lock);
	if (l->id < ctx->regions.nslots)
		r = ctx->regions.slots[l->id].region;
	if (r && r->generation == l->generation && !l->hold) {
		ipcshare__region_user_less(ctx, r);
	} else if (r && r->generation == l->generation && !r->freeing && !r->withdrawn) {
		r->users++;
		l->found = true;
		l->mem = r->mem;
	}
	pthread_mutex_unlock(&ctx->lock);
	return 1;
}

int ipcshare__region_hold_local(uint64_t endpoint, uint32_t id, uint32_t generation, void **base,
				size_t *length)
{
	struct local l = { .endpoint = endpoint, .id = id, .generation = generation, .hold = true };

	ipcshare__handle_each(IPCSHARE__HANDLE_CTX, local_visit, &l);
	if (!l.found)
		return ipcshare__fail(IPCSHARE_ERR_STALE, "import", "share it anew",
				      "the memory was freed in this process");
	*base = l.mem.start;
	*length = l.mem.span;
	return 0;
}

void ipcshare__region_drop_local(uint64_t endpoint, uint32_t id, uint32_t generation)
{
	struct local l = { .endpoint = endpoint, .id = id, .generation = generation };

	ipcshare__handle_each(IPCSHARE__HANDLE_CTX, local_visit, &l);
}
