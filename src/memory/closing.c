/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/closing.h"

#include "memory/context.h"

void ipcshare__closing_begin(struct ipcshare__closing *closing, struct ipcshare__mapping *m)
{
	m->newer = NULL;
	m->older = closing->newest;
	if (m->older)
		m->older->newer = m;
	closing->newest = m;
}

static void remove_one(struct ipcshare__closing *closing, struct ipcshare__mapping *m)
{
	*(m->newer ? &m->newer->older : &closing->newest) = m->older;
	if (m->older)
		m->older->newer = m->newer;
}

void ipcshare__closing_end(struct ipcshare_ctx *ctx, struct ipcshare__mapping *list)
{
	pthread_mutex_lock(&ctx->lock);
	for (; list; list = list->next)
		remove_one(&ctx->imports.closing, list);
	pthread_cond_broadcast(&ctx->changed);
	pthread_mutex_unlock(&ctx->lock);
}

static bool is_closing(const struct ipcshare_ctx *ctx, uint64_t owner, uint32_t region,
		       uint32_t generation)
{
	const struct ipcshare__mapping *m = ctx->imports.closing.newest;

	while (m && (m->owner != owner || (region != IPCSHARE__REGION_ANY &&
					   (m->region != region || m->generation != generation))))
		m = m->older;
	return m;
}

void ipcshare__closing_await(struct ipcshare_ctx *ctx, uint64_t owner, uint32_t region,
			     uint32_t generation)
{
	while (is_closing(ctx, owner, region, generation))
		pthread_cond_wait(&ctx->changed, &ctx->lock);
}
