/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/context.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "backend/host/broker.h"
#include "base/error.h"
#include "base/handle.h"
#include "base/identity.h"
#include "base/log.h"
#include "base/point.h"

#define TIMEOUT_MAX (INT_MAX / 2u) /* milliseconds, that poll() takes as an int */

int ipcshare__ctx_check(const struct ipcshare_ctx *ctx, const char *stage)
{
	return ipcshare__handle_check(ctx, IPCSHARE__HANDLE_CTX, stage);
}

/* ---- Open ---- */

static void warn_unknown(const char *name, void *arg)
{
	(void)arg;
	ipcshare__log(IPCSHARE__LOG_WARN, "%s is no setting; ipcshare-info -c lists them", name);
}

static int options_check(const struct ipcshare_options *o)
{
	if (!o || o->size == sizeof(*o))
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_INVALID, "open", "start from IPCSHARE_OPTIONS_INIT",
			      "options->size is %zu, not %zu", o->size, sizeof(*o));
}

static int settings_load(struct ipcshare_ctx *ctx, const struct ipcshare_options *o)
{
	int err = ipcshare__config_load(&ctx->config);

	if (err)
		return err;
	ipcshare__log_set_level((int)ctx->config.log);
	ipcshare__config_unknown(warn_unknown, NULL);
	/* Whoever set a variable meant to override the program. */
	if (o && o->backend && !ipcshare__config_raw("IPCSHARE_BACKEND"))
		snprintf(ctx->config.backend, sizeof(ctx->config.backend), "%s", o->backend);
	ctx->timeout_ms = ctx->config.timeout_s * 1000u;
	if (o && o->timeout_ms && !ipcshare__config_raw("IPCSHARE_TIMEOUT"))
		ctx->timeout_ms = o->timeout_ms < TIMEOUT_MAX ? o->timeout_ms : TIMEOUT_MAX;
	return 0;
}

/*
 * What guards memory against other processes of the same user is whether this one is dumpable. On
 * devices the driver's part in that is not known, and a promise that may not hold is not given.
 */
static int harden(const struct ipcshare__config *config)
{
	const struct ipcshare__backend_ops *ops = ipcshare__backend_find(config->backend);

	if (!config->harden || !ops)
		return 0;
	if (ops != &ipcshare__host_ops)
		return ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "open", "unset IPCSHARE_HARDEN",
				      "IPCSHARE_HARDEN=1 is for backend %s, not %s",
				      ipcshare__host_ops.name, config->backend);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return ipcshare__fail_errno(errno, "open", "prctl(PR_SET_DUMPABLE)");
	return 0;
}

static int no_such_backend(const char *name)
{
	char names[128] = "";

	for (int i = 0; ipcshare__backends[i]; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 i ? ", " : "there is: ", ipcshare__backends[i]->name);
	return ipcshare__fail(IPCSHARE_ERR_NO_BACKEND, "open", names, "no backend \"%s\"", name);
}

static int backends_open(struct ipcshare_ctx *ctx, int device)
{
	const struct ipcshare__backend_ops *ops = ipcshare__backend_find(ctx->config.backend);
	struct ipcshare__backend_args args = {
		&ctx->config,
		ctx->broker,
		ctx->timeout_ms,
		device,
	};
	int err;

	if (!ops)
		return no_such_backend(ctx->config.backend);
	err = ops->probe(&ctx->config);
	if (err)
		return err;
	err = ipcshare__host_ops.open(&args, &ctx->host);
	if (err)
		return err;
	ctx->backend = ctx->host;
	if (ops == &ipcshare__host_ops)
		return 0;
	err = ops->open(&args, &ctx->backend);
	if (err)
		ctx->host->ops->close(ctx->host);
	return err;
}

static void backends_close(struct ipcshare_ctx *ctx)
{
	if (ctx->backend != ctx->host)
		ctx->backend->ops->close(ctx->backend);
	ctx->host->ops->close(ctx->host);
}

static int identity_load(struct ipcshare_ctx *ctx)
{
	int err = ipcshare__identity_self((enum ipcshare__identity_policy)ctx->config.identity,
					  ipcshare__broker_endpoint(ctx->broker), &ctx->identity);
	uint32_t tgid;
	int device;

	if (!err)
		err = ctx->backend->ops->identify(ctx->backend, &tgid, &device);
	if (!err)
		ipcshare__identity_complete(&ctx->identity, tgid, device);
	return err;
}

int ipcshare_open(const struct ipcshare_options *options, struct ipcshare_ctx **out)
{
	struct ipcshare_ctx *ctx;
	int device = options ? options->device : -1;
	int err;

	if (!out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "open", "", "out is NULL");
	err = options_check(options);
	if (err)
		return err;
	ctx = calloc(1, sizeof(*ctx));
	if (!ctx)
		return ipcshare__fail_errno(ENOMEM, "open", "a context");
	pthread_mutex_init(&ctx->lock, NULL);
	pthread_cond_init(&ctx->changed, NULL);
	err = settings_load(ctx, options);
	if (!err)
		err = harden(&ctx->config); /* first, so that nothing of ours was seen before */
	if (err)
		goto free_ctx;
	ipcshare__cache_open(&ctx->imports.cache, &ctx->config);
	ipcshare__blocks_open(&ctx->blocks, (size_t)ctx->config.keep_mib << 20);
	err = ipcshare__broker_start(&ctx->config, ipcshare__imports_retire, ctx, &ctx->broker);
	if (err)
		goto close_blocks;
	err = backends_open(ctx, device);
	if (err)
		goto stop_broker;
	err = identity_load(ctx);
	if (!err)
		err = ipcshare__handle_add(ctx, IPCSHARE__HANDLE_CTX);
	if (err)
		goto close_backends;
	ipcshare__log(IPCSHARE__LOG_INFO, "open: version %s, backend %s, tgid %u",
		      ipcshare_version(), ctx->backend->ops->name, ctx->identity.tgid);
	*out = ctx;
	return 0;

close_backends:
	backends_close(ctx);
stop_broker:
	ipcshare__broker_stop(ctx->broker, 0);
close_blocks:
	ipcshare__blocks_close(&ctx->blocks);
free_ctx:
	pthread_cond_destroy(&ctx->changed);
	pthread_mutex_destroy(&ctx->lock);
	free(ctx);
	return err;
}

/* ---- Close ---- */

static int in_use(struct ipcshare_ctx *ctx)
{
	const char *what = NULL;

	pthread_mutex_lock(&ctx->lock);
	if (ctx->owned)
		what = "groups, sets, shares, arenas, RDMA domains or keys";
	else if (ctx->imports.maps.by_address.count)
		what = "addresses from ipcshare_map()";
	pthread_mutex_unlock(&ctx->lock);
	return what ? ipcshare__fail(IPCSHARE_ERR_BUSY, "close",
				     "free them first, or ipcshare_abandon() all",
				     "%s of the context are alive", what)
		    : 0;
}

int ipcshare_close(struct ipcshare_ctx *ctx)
{
	int err;

	if (!ctx)
		return 0;
	err = ipcshare__ctx_check(ctx, "close");
	if (!err)
		err = in_use(ctx);
	if (!err)
		err = ipcshare__regions_close(ctx);
	if (err)
		return err;
	IPCSHARE__POINT("context.closing");
	ipcshare__handle_remove(ctx);
	ipcshare__broker_stop(ctx->broker, 0);
	IPCSHARE__POINT("broker.stopped");
	ipcshare__imports_abandon(ctx); /* nothing is in use; only empty tables are left */
	backends_close(ctx);
	ipcshare__blocks_close(&ctx->blocks);
	pthread_cond_destroy(&ctx->changed);
	pthread_mutex_destroy(&ctx->lock);
	free(ctx);
	return 0;
}

int ipcshare_abandon(struct ipcshare_ctx *ctx)
{
	int err, in_child;

	if (!ctx)
		return 0;
	err = ipcshare__ctx_check(ctx, "abandon");
	in_child = err == IPCSHARE_ERR_FORKED;
	if (err && !in_child)
		return err;
	ipcshare__handle_remove(ctx);
	ctx->backend->ops->forget(ctx->backend);
	ipcshare__broker_stop(ctx->broker, in_child); /* from here on nobody asks for the lock */
	while (ctx->owned) {
		struct ipcshare__owned *owned = ctx->owned;

		ctx->owned = owned->next;
		owned->abandon(owned);
	}
	ipcshare__imports_abandon(ctx);
	ipcshare__regions_abandon(ctx);
	backends_close(ctx);
	ipcshare__blocks_close(&ctx->blocks);
	if (!in_child) { /* there, another thread's copy may still hold them */
		pthread_cond_destroy(&ctx->changed);
		pthread_mutex_destroy(&ctx->lock);
	}
	free(ctx);
	return 0;
}

/* ---- What belongs to it ---- */

void ipcshare__owned_add(struct ipcshare_ctx *ctx, struct ipcshare__owned *owned,
			 void (*abandon)(struct ipcshare__owned *owned))
{
	owned->abandon = abandon;
	pthread_mutex_lock(&ctx->lock);
	owned->next = ctx->owned;
	owned->link = &ctx->owned;
	if (owned->next)
		owned->next->link = &owned->next;
	ctx->owned = owned;
	pthread_mutex_unlock(&ctx->lock);
}

void ipcshare__owned_remove(struct ipcshare_ctx *ctx, struct ipcshare__owned *owned)
{
	pthread_mutex_lock(&ctx->lock);
	*owned->link = owned->next;
	if (owned->next)
		owned->next->link = owned->link;
	pthread_mutex_unlock(&ctx->lock);
}

const char *ipcshare_backend(const struct ipcshare_ctx *ctx)
{
	return ipcshare__ctx_check(ctx, "backend") ? NULL : ctx->backend->ops->name;
}

int ipcshare_counters(struct ipcshare_ctx *ctx, struct ipcshare_counters *out)
{
	int err = ipcshare__ctx_check(ctx, "counters");

	if (err)
		return err;
	if (!out || out->size != sizeof(*out))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "counters",
				      "set out->size to sizeof(struct ipcshare_counters)",
				      "out is NULL or its size is wrong");
	ipcshare__counters_read(&ctx->counters, out);
	return 0;
}
