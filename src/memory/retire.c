/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/retire.h"

#include <ipcshare.h>
#include <poll.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/error.h"
#include "memory/context.h"

/* Take a line out of those that are kept: one thread at a time speaks on it. */
static bool kept_take(struct ipcshare_ctx *ctx, uint64_t endpoint, struct ipcshare__line *out)
{
	struct ipcshare__retire_lines *lines = &ctx->retire;
	bool found = false;

	pthread_mutex_lock(&ctx->lock);
	for (size_t i = 0; i < lines->n && !found; i++) {
		found = lines->kept[i].endpoint == endpoint;
		if (found) {
			*out = lines->kept[i].line;
			lines->kept[i] = lines->kept[--lines->n];
		}
	}
	pthread_mutex_unlock(&ctx->lock);
	return found;
}

static void keep(struct ipcshare_ctx *ctx, uint64_t endpoint, struct ipcshare__line *line)
{
	struct ipcshare__retire_lines *lines = &ctx->retire;
	bool kept;

	pthread_mutex_lock(&ctx->lock);
	kept = lines->n < IPCSHARE__RETIRE_LINES;
	for (size_t i = 0; i < lines->n && kept; i++) /* another thread's may be there already */
		kept = lines->kept[i].endpoint != endpoint;
	if (kept)
		lines->kept[lines->n++] = (struct ipcshare__retire_line){ endpoint, *line };
	pthread_mutex_unlock(&ctx->lock);
	if (!kept)
		ipcshare__line_close(line);
}

/* A kept line, unless its other end has hung up, as it does after some silence; or a new one. */
static int line_to(struct ipcshare_ctx *ctx, uint64_t endpoint, struct ipcshare__line *out)
{
	if (kept_take(ctx, endpoint, out)) {
		if (ipcshare__line_idle(out, ctx->timeout_ms))
			return 0;
		ipcshare__line_close(out);
	}
	return ipcshare__line_open(ctx->config.socket_dir, endpoint, ctx->timeout_ms, "free", out);
}

static bool is_gone(int err)
{
	return err == IPCSHARE_ERR_UNREACHABLE || err == IPCSHARE_ERR_PEER_DEAD;
}

/* One question. *@hung_up: the line was cut before the answer, which says nothing of the memory. */
static int ask(struct ipcshare_ctx *ctx, uint64_t endpoint,
	       const struct ipcshare__broker_retire *question, bool *hung_up)
{
	struct ipcshare__line line;
	int err = line_to(ctx, endpoint, &line);

	*hung_up = false;
	if (err)
		return err;
	err = ipcshare__line_retire(&line, question);
	*hung_up = err == IPCSHARE_ERR_UNREACHABLE;
	if (!err || err == IPCSHARE_ERR_BUSY)
		keep(ctx, endpoint, &line);
	else
		ipcshare__line_close(&line);
	return err;
}

/*
 * Whoever ended, or closed its context, has nothing mapped any more: nobody listens there. One who
 * hangs up without an answer may have had no place for us, so ask again.
 */
int ipcshare__retire(struct ipcshare_ctx *ctx, uint64_t endpoint, uint32_t region,
		     uint32_t generation)
{
	struct ipcshare__broker_retire question = {
		.owner = ctx->identity.endpoint,
		.region = region,
		.generation = generation,
	};
	uint64_t deadline = ipcshare__now_ns() + ctx->timeout_ms * (uint64_t)1000000u;
	struct ipcshare_error before = *ipcshare_last_error();
	bool hung_up;
	int err;

	while ((err = ask(ctx, endpoint, &question, &hung_up)), hung_up) {
		if (ipcshare__now_ns() >= deadline)
			return ipcshare__fail(IPCSHARE_ERR_TIMEOUT, "free", "",
					      "a peer's broker hangs up again and again");
		poll(NULL, 0, 1);
	}
	if (!is_gone(err))
		return err;
	ipcshare__error_restore(&before); /* no failure of this call */
	return 0;
}

static void lines_close(struct ipcshare__retire_lines *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		ipcshare__line_close(&lines->kept[i].line);
	lines->n = 0;
}

void ipcshare__retire_more(struct ipcshare_ctx *ctx, size_t n)
{
	pthread_mutex_lock(&ctx->lock);
	ctx->retire.told += n;
	pthread_mutex_unlock(&ctx->lock);
}

void ipcshare__retire_fewer(struct ipcshare_ctx *ctx, size_t n)
{
	pthread_mutex_lock(&ctx->lock);
	ctx->retire.told -= n;
	if (!ctx->retire.told)
		lines_close(&ctx->retire);
	pthread_mutex_unlock(&ctx->lock);
}

void ipcshare__retire_abandon(struct ipcshare_ctx *ctx)
{
	lines_close(&ctx->retire);
}
