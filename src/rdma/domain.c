/* SPDX-License-Identifier: BSD-3-Clause */
#include "rdma/domain.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/handle.h"
#include "group/group.h"
#include "group/set.h"
#include "rdma/verbs.h"

int ipcshare__rdma_domain_check(const struct ipcshare_rdma_domain *d, const char *stage)
{
	int err = ipcshare__handle_check(d, IPCSHARE__HANDLE_RDMA_DOMAIN, stage);

	return err ? err : ipcshare__ctx_check(d->ctx, stage);
}

/* A region is the first member of its registration. */
static struct ipcshare__registration *registration_of(const struct ipcshare_rdma_region *region)
{
	return (struct ipcshare__registration *)region;
}

/* ---- Make and free ---- */

static void domain_abandon(struct ipcshare__owned *owned)
{
	struct ipcshare_rdma_domain *d = (struct ipcshare_rdma_domain *)owned;

	ipcshare__handle_remove(d);
	ipcshare__registrations_abandon(d);
	free(d);
}

static int create_check(const struct ipcshare_ctx *ctx, const struct ibv_pd *pd,
			struct ipcshare_rdma_domain *const *out)
{
	int err = ipcshare__ctx_check(ctx, "domain");

	if (err)
		return err;
	if (!pd || !out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "domain",
				      "ipcshare_rdma_open_device() says what is missing if there "
				      "is no device",
				      "pd or out is NULL");
	if (ctx->backend->ops->direct)
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "domain",
			      "ipcshare_copy() it into memory of a context with backend host, and "
			      "register that",
			      "a NIC reaches device memory by a dma-buf, which backend %s can't "
			      "export",
			      ctx->backend->ops->name);
}

int ipcshare_rdma_domain_create(struct ipcshare_ctx *ctx, struct ibv_pd *pd,
				struct ipcshare_rdma_domain **out)
{
	struct ipcshare_rdma_domain *d;
	int err = create_check(ctx, pd, out);

	if (err)
		return err;
	d = calloc(1, sizeof(*d));
	if (!d)
		return ipcshare__fail_errno(ENOMEM, "domain", "an RDMA domain");
	d->ctx = ctx;
	d->pd = pd;
	d->stats.size = sizeof(d->stats);
	err = ipcshare__handle_add(d, IPCSHARE__HANDLE_RDMA_DOMAIN);
	if (err) {
		free(d);
		return err;
	}
	ipcshare__owned_add(ctx, &d->owned, domain_abandon);
	*out = d;
	return 0;
}

static size_t count_used(struct ipcshare_rdma_domain *d)
{
	size_t n = 0;

	pthread_mutex_lock(&d->ctx->lock);
	for (const struct ipcshare__registration *r = d->all; r; r = r->next)
		n += r->users != 0;
	pthread_mutex_unlock(&d->ctx->lock);
	return n;
}

int ipcshare_rdma_domain_free(struct ipcshare_rdma_domain *d)
{
	size_t used;
	int err;

	if (!d)
		return 0;
	err = ipcshare__rdma_domain_check(d, "domain");
	if (err)
		return err;
	used = count_used(d);
	if (used)
		return ipcshare__fail(IPCSHARE_ERR_BUSY, "domain",
				      "ipcshare_rdma_release() them, and ipcshare_rdma_keys_free()",
				      "%zu regions of the domain are in use", used);
	ipcshare__handle_remove(d);
	ipcshare__registrations_trim(d);
	ipcshare__owned_remove(d->ctx, &d->owned);
	free(d);
	return 0;
}

/* ---- Regions ---- */

/* The hold on the anchor is given away, whatever comes of it. */
static int region_use(struct ipcshare_rdma_domain *d, struct ipcshare__anchor *anchor, int access,
		      const struct ipcshare_rdma_region **out)
{
	struct ipcshare__registration *r;
	int err = ipcshare__mr_check(access, ipcshare__anchor_span(anchor).access);

	if (err) {
		ipcshare__anchor_drop(d->ctx, anchor);
		return err;
	}
	err = ipcshare__registration_use(d, anchor, access, &r);
	if (!err)
		*out = &r->open;
	return err;
}

int ipcshare_rdma_region(struct ipcshare_rdma_domain *d, const void *ptr, int access,
			 const struct ipcshare_rdma_region **out)
{
	struct ipcshare__anchor anchor;
	int err = ipcshare__rdma_domain_check(d, "register");

	if (err)
		return err;
	if (!ptr || !out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "register", "", "ptr or out is NULL");
	err = ipcshare__anchor_hold(d->ctx, ptr, "register", &anchor);
	return err ? err : region_use(d, &anchor, access, out);
}

int ipcshare_rdma_region_of(struct ipcshare_rdma_domain *d, struct ipcshare_set *set, int rank,
			    size_t i, int access, const struct ipcshare_rdma_region **out)
{
	struct ipcshare__anchor anchor;
	int err = ipcshare__rdma_domain_check(d, "register");

	if (!err)
		err = ipcshare__set_check(set, "register");
	if (err)
		return err;
	if (!out || ipcshare__set_group(set)->ctx != d->ctx)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "register", "",
				      "out is NULL, or the set is of another context");
	err = ipcshare__set_anchor(set, rank, i, &anchor);
	return err ? err : region_use(d, &anchor, access, out);
}

static int alive_check(const struct ipcshare_rdma_region *region, const char *stage)
{
	int err = ipcshare__handle_check(region, IPCSHARE__HANDLE_RDMA_REGION, stage);

	return err ? err : ipcshare__rdma_domain_check(registration_of(region)->domain, stage);
}

int ipcshare__rdma_region_check(const struct ipcshare_rdma_region *region, const char *stage)
{
	struct ipcshare__registration *r = registration_of(region);
	bool used, revoked;
	int err = alive_check(region, stage);

	if (err)
		return err;
	pthread_mutex_lock(&r->domain->ctx->lock);
	used = r->users;
	revoked = !r->mr;
	pthread_mutex_unlock(&r->domain->ctx->lock);
	if (!used)
		return ipcshare__fail(IPCSHARE_ERR_CLOSED, stage, "ask for it anew",
				      "the region %p was released", (const void *)region);
	if (revoked)
		return ipcshare__fail(IPCSHARE_ERR_STALE, stage, "release it",
				      "its memory was invalidated: the keys are dead");
	return 0;
}

int ipcshare_rdma_release(const struct ipcshare_rdma_region *region)
{
	int err;

	if (!region)
		return 0;
	err = alive_check(region, "release");
	return err ? err : ipcshare__registration_release(registration_of(region));
}

/* ---- Look after it ---- */

int ipcshare_rdma_trim(struct ipcshare_rdma_domain *d, size_t *ended)
{
	int err = ipcshare__rdma_domain_check(d, "trim");
	size_t n;

	if (err)
		return err;
	n = ipcshare__registrations_trim(d);
	if (ended)
		*ended = n;
	return 0;
}

int ipcshare_rdma_stats(struct ipcshare_rdma_domain *d, struct ipcshare_rdma_stats *out)
{
	int err = ipcshare__rdma_domain_check(d, "stats");

	if (err)
		return err;
	if (!out || out->size != sizeof(*out))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "stats",
				      "set out->size to sizeof(struct ipcshare_rdma_stats)",
				      "out is NULL or its size is wrong");
	pthread_mutex_lock(&d->ctx->lock);
	*out = d->stats;
	pthread_mutex_unlock(&d->ctx->lock);
	return 0;
}
