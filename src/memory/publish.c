/* SPDX-License-Identifier: BSD-3-Clause */
/* Making a region reachable: export, protect, whitelist; each of them once. */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/point.h"
#include "memory/context.h"
#include "memory/region.h"

static int publish_export(struct ipcshare_ctx *ctx, struct ipcshare__region *r, unsigned flags)
{
	bool open = flags & IPCSHARE_SHARE_OPEN;
	uint64_t start = ipcshare__now_ns();
	int err;

	if (r->exported && r->open && !open && !(flags & IPCSHARE__OPEN_OR_NOT))
		return ipcshare__fail(
			IPCSHARE_ERR_OPEN_EXPORT, "export",
			"pass IPCSHARE_SHARE_OPEN again, or use another allocation",
			"the allocation was exported without a whitelist before, which "
			"can't be undone");
	if (r->exported && !r->open && open)
		return ipcshare__fail(
			IPCSHARE_ERR_OPEN_EXPORT, "export",
			"pass IPCSHARE_SHARE_OPEN when it is first shared, or use another "
			"allocation",
			"the allocation was exported with a whitelist before, which can't "
			"be undone");
	if (r->exported)
		return 0;
	err = ctx->backend->ops->export_key(ctx->backend, &r->mem, open ? IPCSHARE__EXPORT_OPEN : 0,
					    r->key);
	if (err)
		return err;
	ipcshare__count_calls(&ctx->counters, IPCSHARE_CALL_EXPORT, 1, start);
	ipcshare__count(&ctx->counters.open_exports, open);
	r->exported = true;
	r->open = open;
	return 0;
}

static int publish_protect(struct ipcshare_ctx *ctx, struct ipcshare__region *r, unsigned flags)
{
	bool read_only = flags & IPCSHARE_READ_ONLY;
	int err;

	if (r->read_only && !read_only)
		return ipcshare__fail(IPCSHARE_ERR_READ_ONLY, "export",
				      "pass IPCSHARE_READ_ONLY again, or use another allocation",
				      "the allocation was shared read-only before, which can't be "
				      "undone");
	if (r->read_only || !read_only)
		return 0;
	err = ctx->backend->ops->protect(ctx->backend, &r->mem);
	if (!err)
		r->read_only = true;
	return err;
}

static bool is_told(const struct ipcshare__region *r, uint64_t endpoint,
		    enum ipcshare__access access)
{
	for (size_t i = 0; i < r->ntold; i++)
		if (r->told[i].endpoint == endpoint &&
		    (r->told[i].access == access || r->told[i].access == IPCSHARE__READ_WRITE))
			return true;
	return false;
}

static uint64_t allow_calls(const struct ipcshare_ctx *ctx, size_t n)
{
	size_t batch = ctx->backend->ops->ids_per_allow;

	return batch ? (n + batch - 1) / batch : 1;
}

static int publish_allow(struct ipcshare_ctx *ctx, struct ipcshare__region *r, unsigned flags,
			 const struct ipcshare__identity *ids, size_t n)
{
	enum ipcshare__access access = flags & IPCSHARE_READ_ONLY ? IPCSHARE__READ_ONLY
								  : IPCSHARE__READ_WRITE;
	struct ipcshare__identity *missing = malloc((n + 1) * sizeof(*missing));
	struct ipcshare__told *told = realloc(r->told, (r->ntold + n + 1) * sizeof(*told));
	uint64_t start = ipcshare__now_ns();
	size_t nmissing = 0;
	int err = 0;

	if (told)
		r->told = told;
	if (!told || !missing) {
		free(missing);
		return ipcshare__fail_errno(ENOMEM, "whitelist", "%zu more entries", n);
	}
	for (size_t i = 0; i < n; i++)
		if (!is_told(r, ids[i].endpoint, access))
			missing[nmissing++] = ids[i];
	if (nmissing && !r->open) {
		err = ctx->backend->ops->allow(ctx->backend, &r->mem, missing, nmissing, access);
		if (!err)
			ipcshare__count_calls(&ctx->counters, IPCSHARE_CALL_ALLOW,
					      allow_calls(ctx, nmissing), start);
	}
	for (size_t i = 0; i < nmissing && !err; i++)
		r->told[r->ntold++] = (struct ipcshare__told){ missing[i].endpoint, access };
	if (!err)
		ipcshare__retire_more(ctx, nmissing);
	free(missing);
	return err;
}

/* It may have been invalidated since it was found. */
static int take(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	bool withdrawn;

	pthread_mutex_lock(&ctx->lock);
	ipcshare__region_take(ctx, r);
	withdrawn = r->withdrawn;
	if (withdrawn)
		ipcshare__region_let(ctx, r);
	pthread_mutex_unlock(&ctx->lock);
	return withdrawn ? ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "export", "register it anew",
					  "the memory at %p was invalidated", r->mem.base)
			 : 0;
}

static void let(struct ipcshare_ctx *ctx, struct ipcshare__region *r)
{
	pthread_mutex_lock(&ctx->lock);
	ipcshare__region_let(ctx, r);
	pthread_mutex_unlock(&ctx->lock);
}

int ipcshare__region_protect(struct ipcshare_ctx *ctx, struct ipcshare__region *r, unsigned flags)
{
	int err = take(ctx, r);

	if (err)
		return err;
	err = publish_protect(ctx, r, flags);
	let(ctx, r);
	return err;
}

int ipcshare__region_publish(struct ipcshare_ctx *ctx, struct ipcshare__region *r, unsigned flags,
			     const struct ipcshare__identity *ids, size_t n)
{
	int err = take(ctx, r);

	if (err)
		return err;
	err = publish_export(ctx, r, flags);
	IPCSHARE__POINT("region.exported");
	if (!err)
		err = publish_protect(ctx, r, flags);
	if (!err && n)
		err = publish_allow(ctx, r, flags, ids, n);
	IPCSHARE__POINT("region.allowed");
	let(ctx, r);
	return err;
}
