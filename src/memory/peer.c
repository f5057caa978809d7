/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/peer.h"

#include <errno.h>
#include <stdlib.h>

#include "backend/host/line.h"
#include "base/error.h"
#include "memory/context.h"

struct ipcshare__peer *ipcshare__peer_find(struct ipcshare_ctx *ctx, uint64_t endpoint)
{
	struct ipcshare__peer *p = ctx->imports.peers;

	while (p && p->endpoint != endpoint)
		p = p->next;
	return p;
}

static int peer_expect(const struct ipcshare__caller *owner, const struct ipcshare__identity *id,
		       const char *stage)
{
	if (!id || ipcshare__caller_is(owner, id))
		return 0;
	return ipcshare__fail(
		IPCSHARE_ERR_UNREACHABLE, stage,
		"without SO_PEERPIDFD (Linux 6.9) all ranks need one pid namespace, and to see "
		"each other in /proc: with IPCSHARE_HARDEN=1 not where it has hidepid=",
		"process %u is not who answers at its broker's address", id->tgid);
}

/* Connect to the peer's broker: who is it, in the kernel's words? */
static int peer_meet(struct ipcshare_ctx *ctx, uint64_t endpoint,
		     const struct ipcshare__identity *id, const char *stage,
		     struct ipcshare__peer *peer)
{
	struct ipcshare__line line;
	int err;

	err = ipcshare__line_open(ctx->config.socket_dir, endpoint, ctx->timeout_ms, stage, &line);
	if (err)
		return err;
	peer->endpoint = endpoint;
	peer->same_process = ipcshare__caller_is(&line.owner, &ctx->identity);
	err = peer_expect(&line.owner, id, stage);
	if (err) {
		ipcshare__line_close(&line);
		return err;
	}
	peer->device = id ? id->device : -1;
	peer->owner = line.owner;
	line.owner.pidfd = -1; /* the peer has it now */
	ipcshare__line_close(&line);
	return 0;
}

/* A peer that is known already, held. */
static int peer_keep(struct ipcshare_ctx *ctx, struct ipcshare__peer *peer,
		     const struct ipcshare__identity *id, const char *stage,
		     struct ipcshare__peer **out)
{
	int err = peer_expect(&peer->owner, id, stage);

	if (err)
		ipcshare__peer_drop(ctx, peer);
	else
		*out = peer;
	return err;
}

int ipcshare__peer_hold(struct ipcshare_ctx *ctx, uint64_t endpoint,
			const struct ipcshare__identity *id, const char *stage,
			struct ipcshare__peer **out)
{
	struct ipcshare__peer *peer, *fresh;
	int err;

	pthread_mutex_lock(&ctx->lock);
	peer = ipcshare__peer_find(ctx, endpoint);
	if (peer)
		peer->users++;
	pthread_mutex_unlock(&ctx->lock);
	if (peer)
		return peer_keep(ctx, peer, id, stage, out);
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return ipcshare__fail_errno(ENOMEM, stage, "one more peer");
	err = peer_meet(ctx, endpoint, id, stage, fresh);
	if (err) {
		free(fresh);
		return err;
	}
	pthread_mutex_lock(&ctx->lock);
	peer = ipcshare__peer_find(ctx, endpoint); /* another thread may have been faster */
	if (!peer) {
		peer = fresh;
		peer->next = ctx->imports.peers;
		ctx->imports.peers = peer;
	}
	peer->users++;
	pthread_mutex_unlock(&ctx->lock);
	if (peer != fresh)
		ipcshare__peer_delete(fresh);
	*out = peer;
	return 0;
}

void ipcshare__peer_delete(struct ipcshare__peer *peer)
{
	ipcshare__caller_close(&peer->owner);
	free(peer->slots);
	free(peer);
}

/* One user less; the last one takes the peer and its idle mappings with it. */
void ipcshare__peer_drop(struct ipcshare_ctx *ctx, struct ipcshare__peer *peer)
{
	struct ipcshare__mapping *idle = NULL;
	struct ipcshare__peer **at;
	bool last;

	pthread_mutex_lock(&ctx->lock);
	last = --peer->users == 0;
	if (last) {
		ipcshare__mappings_take(ctx, peer, IPCSHARE__REGION_ANY, 0, &idle);
		for (at = &ctx->imports.peers; *at != peer; at = &(*at)->next)
			;
		*at = peer->next;
	}
	pthread_mutex_unlock(&ctx->lock);
	if (!last)
		return;
	ipcshare__mappings_close(ctx, idle);
	ipcshare__peer_delete(peer);
}
