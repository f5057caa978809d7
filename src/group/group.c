/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/handle.h"
#include "base/identity.h"
#include "base/known.h"
#include "base/log.h"
#include "base/point.h"
#include "group/board.h"
#include "group/mesh.h"
#include "group/wait.h"
#include "topo/place.h"

/* Its context is alive as long as it is. */
int ipcshare__group_check(const struct ipcshare_group *g, const char *stage)
{
	return ipcshare__handle_check(g, IPCSHARE__HANDLE_GROUP, stage);
}

const struct ipcshare_bootstrap *ipcshare__group_bootstrap(const struct ipcshare_group *g)
{
	return &g->bootstrap;
}

/* ---- Hello: the one allgather of creation ---- */

static uint32_t hello_sum(const struct ipcshare__wire_hello *h)
{
	return ipcshare__checksum32(h, offsetof(struct ipcshare__wire_hello, check));
}

static void hello_fill(struct ipcshare_group *g, int status, const char *key,
		       struct ipcshare__wire_hello *h)
{
	*h = (struct ipcshare__wire_hello){
		.magic = IPCSHARE__MAGIC_HELLO,
		.layout = IPCSHARE__LAYOUT,
		.status = status,
		.rank = (uint32_t)g->rank,
		.nranks = (uint32_t)g->size,
		.backend = (uint32_t)g->ctx->backend->ops->id,
		.identity = g->ctx->identity,
	};
	memcpy(h->control_key, key, sizeof(h->control_key));
	ipcshare__place_here(h->identity.device, &h->place);
	snprintf(h->version, sizeof(h->version), "%s", ipcshare_version());
	h->check = hello_sum(h);
}

static int hello_check(const struct ipcshare_group *g, const struct ipcshare__wire_hello *h,
		       int rank)
{
	const struct ipcshare_ctx *ctx = g->ctx;

	if (h->magic != IPCSHARE__MAGIC_HELLO)
		return ipcshare__fail(
			IPCSHARE_ERR_PROTOCOL, "group",
			"does the bootstrap's allgather put every rank's bytes in place?",
			"the rank sent no hello");
	if (h->layout != IPCSHARE__LAYOUT)
		return ipcshare__fail(IPCSHARE_ERR_VERSION, "group",
				      "link all ranks to one version of the library",
				      "the rank has layout %u, we have %u", h->layout,
				      IPCSHARE__LAYOUT);
	if (h->check != hello_sum(h))
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "group", "",
				      "the rank's hello was altered on its way");
	if (h->rank != (uint32_t)rank || h->nranks != (uint32_t)g->size)
		return ipcshare__fail(IPCSHARE_ERR_BOOTSTRAP, "group",
				      "give every rank its own number and the same count",
				      "at place %d of %d is a rank that calls itself %u of %u",
				      rank, g->size, h->rank, h->nranks);
	if (h->backend != (uint32_t)ctx->backend->ops->id)
		return ipcshare__fail(IPCSHARE_ERR_MISMATCH, "group",
				      "set IPCSHARE_BACKEND to the same for all ranks",
				      "the rank uses backend %u, we use %u (%s)", h->backend,
				      ctx->backend->ops->id, ctx->backend->ops->name);
	if (memcmp(h->identity.boot, ctx->identity.boot, sizeof(h->identity.boot)))
		return ipcshare__fail(IPCSHARE_ERR_OTHER_NODE, "group",
				      "a group holds the ranks of one node; "
				      "ipcshare_mpi_group_create() finds them",
				      "the rank runs on another machine");
	if (!ipcshare__place_is_sound(&h->place))
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "group", "",
				      "the rank says that it runs in a place that there can't be");
	return ipcshare__identity_check(&h->identity, "group");
}

/* What all ranks said; not 0 if one of them can't go on, or it doesn't fit together. */
static int hellos_take(struct ipcshare_group *g, const struct ipcshare__wire_hello *all)
{
	int err;

	for (int r = 0; r < g->size; r++) {
		err = hello_check(g, &all[r], r);
		if (err) {
			ipcshare__fail_at(r, -1);
			return err;
		}
		g->members[r].identity = all[r].identity;
		g->places[r] = all[r].place;
		if (ipcshare__identity_same(&all[r].identity, &g->ctx->identity))
			continue;
		g->others[g->nothers++] = all[r].identity;
		g->members[r].pidfd = ipcshare__identity_watch(&all[r].identity,
							       &g->members[r].ended);
	}
	err = ipcshare__levels_make(g->places, g->size, &g->levels);
	return err ? err : ipcshare__border_make(&g->levels, &g->border);
}

/* ---- Peers ---- */

/* All have met, or will not: from now on it is by its peer that we see a process end. */
static void watch_end(struct ipcshare_group *g)
{
	for (int r = 0; r < g->size; r++) {
		if (g->members[r].pidfd >= 0)
			close(g->members[r].pidfd);
		g->members[r].pidfd = -1;
	}
}

/* Importing its control page proves that we reach the rank, and that it lets us in. */
static int peer_meet(struct ipcshare_group *g, int rank, const char *key)
{
	struct ipcshare__member *m = &g->members[rank];
	int err = ipcshare__peer_hold(g->ctx, m->identity.endpoint, &m->identity, "group",
				      &m->peer);

	return err ? err : ipcshare__board_meet(g, rank, key);
}

static int peers_meet(struct ipcshare_group *g, const struct ipcshare__wire_hello *all)
{
	for (int r = 0; r < g->size; r++) {
		int err = r == g->rank ? 0 : peer_meet(g, r, all[r].control_key);

		if (err) {
			g->unmet = r;
			ipcshare__fail_at(r, -1);
			return err;
		}
	}
	return 0;
}

static void peers_leave(struct ipcshare_group *g)
{
	for (int r = 0; r < g->size; r++) {
		ipcshare__board_leave(g, r);
		if (g->members[r].peer)
			ipcshare__peer_drop(g->ctx, g->members[r].peer);
	}
}

/* ---- Create ---- */

static int bootstrap_check(const struct ipcshare_bootstrap *b)
{
	if (!b || b->size != sizeof(*b))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "group",
				      "set size to sizeof(struct ipcshare_bootstrap)",
				      "the bootstrap is NULL or its size is wrong");
	if (!b->allgather)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "group", "only release may be NULL",
				      "the callback allgather is NULL");
	if (b->nranks < 1 || b->rank < 0 || b->rank >= b->nranks || b->nranks > 1 << 16)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "group", "",
				      "rank %d of %d ranks is out of range", b->rank, b->nranks);
	return 0;
}

/* What only the creation needs. */
static void early_delete(struct ipcshare_group *g)
{
	free(g->hellos);
	free(g->details);
	g->hellos = NULL;
	g->details = NULL;
}

static void group_delete(struct ipcshare_group *g)
{
	for (int r = 0; g->members && r < g->size; r++)
		ipcshare__catalog_clear(&g->members[r].catalog);
	ipcshare__idmap_clear(&g->told);
	pthread_mutex_destroy(&g->catalog_lock);
	early_delete(g);
	free(g->serials);
	free(g->headers);
	free(g->spare);
	ipcshare__border_clear(&g->border);
	ipcshare__levels_clear(&g->levels);
	free(g->places);
	free(g->others);
	free(g->members);
	free(g);
}

static void group_begin(struct ipcshare_group *g, struct ipcshare_ctx *ctx,
			const struct ipcshare_bootstrap *b)
{
	for (int r = 0; r < b->nranks; r++)
		g->members[r].pidfd = -1;
	g->unmet = -1;
	g->ctx = ctx;
	g->bootstrap = *b;
	g->rank = b->rank;
	g->size = b->nranks;
	g->page = &g->unshared;
	g->crowded = true; /* until the ranks have met */
}

static struct ipcshare_group *group_new(struct ipcshare_ctx *ctx,
					const struct ipcshare_bootstrap *b)
{
	struct ipcshare_group *g = calloc(1, sizeof(*g));
	size_t n = (size_t)b->nranks;

	if (!g)
		return NULL;
	pthread_mutex_init(&g->catalog_lock, NULL);
	g->members = calloc(n, sizeof(*g->members));
	g->others = calloc(n, sizeof(*g->others));
	g->places = calloc(n, sizeof(*g->places));
	g->headers = calloc(n, sizeof(*g->headers));
	g->serials = calloc(n, sizeof(*g->serials));
	g->hellos = calloc(n, sizeof(*g->hellos));
	g->details = calloc(n, sizeof(*g->details));
	if (!g->members || !g->others || !g->places || !g->headers || !g->serials || !g->hellos ||
	    !g->details) {
		group_delete(g);
		return NULL;
	}
	group_begin(g, ctx, b);
	return g;
}

/*
 * From hello to the verdict. A rank that fails takes part to the end, so that nobody waits for it:
 * only if an exchange itself fails there is no way to go on.
 */
static int group_meet(struct ipcshare_group *g, int status, const char *key)
{
	struct ipcshare__wire_hello mine, *all = g->hellos;
	int err;

	hello_fill(g, status, key, &mine);
	err = ipcshare__exchange(g, &mine, sizeof(mine), all);
	if (err)
		return err;
	for (int r = 0; r < g->size; r++)
		if (all[r].magic == IPCSHARE__MAGIC_HELLO && all[r].check == hello_sum(&all[r]) &&
		    all[r].status)
			return ipcshare__agree_on_failure(g, status);
	err = hellos_take(g, all);
	IPCSHARE__POINT("hellos.taken");
	if (err == IPCSHARE_ERR_BOOTSTRAP) /* every rank sees it, and no exchange can work */
		return ipcshare__exchange_quit(g, err);
	if (!err)
		err = ipcshare__board_allow(g);
	IPCSHARE__POINT("board.allowed");
	/* Every whitelist is in place; or one isn't, and nobody is to stumble over that. */
	err = ipcshare__agree(g, IPCSHARE__COLL_GROUP_CREATE, err, NULL, 0, NULL);
	if (err)
		return err;
	err = peers_meet(g, all);
	IPCSHARE__POINT("peers.met");
	err = ipcshare__agree(g, IPCSHARE__COLL_GROUP_CREATE, err, NULL, 0, NULL);
	IPCSHARE__POINT("group.met");
	g->met = !err; /* now all have mapped what all others show */
	g->crowded = err || ipcshare__board_crowded(g);
	return err;
}

/*
 * There is no memory for a group. The others wait for this rank all the same, so it takes part from its
 * stack to say so. Of more ranks than that has room for, the others wait for their deadline.
 */
#define REFUSED 64
static int group_refuse(struct ipcshare_ctx *ctx, const struct ipcshare_bootstrap *b)
{
	struct ipcshare__member members[REFUSED] = { 0 };
	struct ipcshare__identity others[REFUSED];
	struct ipcshare__wire_header headers[REFUSED];
	struct ipcshare__wire_hello hellos[REFUSED];
	struct ipcshare__wire_detail details[REFUSED];
	struct ipcshare_group g = {
		.members = members,
		.others = others,
		.headers = headers,
		.hellos = hellos,
		.details = details,
	};
	int err = ipcshare__fail_errno(ENOMEM, "group", "a group of %d ranks", b->nranks);

	if (b->nranks > REFUSED)
		return err;
	group_begin(&g, ctx, b);
	return group_meet(&g, err, (char[IPCSHARE__KEY_SIZE]){ "" });
}

static void group_abandon(struct ipcshare__owned *owned)
{
	struct ipcshare_group *g = (struct ipcshare_group *)owned;

	ipcshare__handle_remove(g);
	ipcshare__mesh_drop(g);
	for (int r = 0; r < g->size; r++)
		ipcshare__board_leave(g, r);
	g->ctx->host->ops->release(g->ctx->host, &g->control);
	if (g->bootstrap.release)
		g->bootstrap.release(g->bootstrap.arg, 1);
	group_delete(g);
}

int ipcshare_group_create(struct ipcshare_ctx *ctx, const struct ipcshare_bootstrap *bootstrap,
			  struct ipcshare_group **out)
{
	char key[IPCSHARE__KEY_SIZE] = "";
	struct ipcshare_group *g;
	int err = ipcshare__ctx_check(ctx, "group");

	if (!err)
		err = bootstrap_check(bootstrap);
	if (err)
		return err;
	g = group_new(ctx, bootstrap);
	if (!g)
		return group_refuse(ctx, bootstrap);
	err = out ? 0 : ipcshare__fail(IPCSHARE_ERR_INVALID, "group", "", "out is NULL");
	if (!err)
		err = ipcshare__board_make(g, key);
	if (!err)
		err = ipcshare__handle_add(g, IPCSHARE__HANDLE_GROUP);
	IPCSHARE__POINT("group.made");
	err = group_meet(g, err, key);
	watch_end(g);
	early_delete(g);
	if (err) {
		struct ipcshare_error why = *ipcshare_last_error();

		ipcshare__handle_remove(g);
		peers_leave(g);
		ipcshare__board_end(g);
		group_delete(g);
		ipcshare__error_restore(&why);
		return err;
	}
	ipcshare__owned_add(ctx, &g->owned, group_abandon);
	ipcshare__count(&ctx->counters.groups, 1);
	ipcshare__log(IPCSHARE__LOG_INFO, "group: rank %d of %d", g->rank, g->size);
	ipcshare__known(out);
	*out = g;
	return 0;
}

/* ---- Free ---- */

static int children_alive(struct ipcshare_group *g)
{
	return ipcshare__fail(
		IPCSHARE_ERR_BUSY, "group", "free them, or wait for them, first",
		"%zu sets, shares, requests, views or RDMA keys of the group are alive",
		atomic_load(&g->children));
}

static void group_end(struct ipcshare_group *g, bool broken)
{
	struct ipcshare_ctx *ctx = g->ctx;

	ipcshare__handle_remove(g);
	ipcshare__owned_remove(ctx, &g->owned);
	peers_leave(g);
	IPCSHARE__POINT("group.left");
	ipcshare__board_end(g);
	if (g->bootstrap.release)
		g->bootstrap.release(g->bootstrap.arg, broken);
	ipcshare__uncount(&ctx->counters.groups, 1);
	group_delete(g);
}

void ipcshare__group_end(struct ipcshare_group *g)
{
	if (!g)
		return;
	ipcshare__mesh_drop(g);
	group_end(g, true);
}

int ipcshare_group_free(struct ipcshare_group *g)
{
	int err, broken;

	if (!g)
		return 0;
	err = ipcshare__group_check(g, "group");
	if (err)
		return err;
	if (atomic_load(&g->children))
		err = children_alive(g);
	if (!g->broken)
		err = ipcshare__agree(g, IPCSHARE__COLL_GROUP_FREE, err, NULL, 0, NULL);
	if (err && !g->broken)
		return err;
	IPCSHARE__POINT("group.ending");
	broken = g->broken;
	if (atomic_load(&g->children)) /* whatever became of the exchange */
		return children_alive(g);
	ipcshare__mesh_end(g);
	group_end(g, broken != 0);
	return 0;
}

/* ---- Look ---- */

int ipcshare_group_rank(const struct ipcshare_group *g)
{
	int err = ipcshare__group_check(g, "group");

	return err ? err : g->rank;
}

int ipcshare_group_size(const struct ipcshare_group *g)
{
	int err = ipcshare__group_check(g, "group");

	return err ? err : g->size;
}

int ipcshare_group_peer(struct ipcshare_group *g, int rank, struct ipcshare_peer *out)
{
	struct ipcshare_peer peer = { .size = sizeof(peer), .alive = 1 };
	const struct ipcshare__member *m;
	int err = ipcshare__group_check(g, "group");

	if (err)
		return err;
	if (rank < 0 || rank >= g->size || !out || out->size != sizeof(*out))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "group",
				      "set out->size to sizeof(struct ipcshare_peer)",
				      "rank %d is out of range, or out is NULL or its size wrong",
				      rank);
	m = &g->members[rank];
	peer.tgid = (int)m->identity.tgid;
	peer.device = m->identity.device;
	peer.same_process = ipcshare__identity_same(&m->identity, &g->ctx->identity);
	if (m->peer) {
		pthread_mutex_lock(&g->ctx->lock);
		peer.bytes_mapped = m->peer->bytes_mapped;
		peer.mappings = m->peer->mappings;
		pthread_mutex_unlock(&g->ctx->lock);
		peer.alive = !ipcshare__pidfd_ended(m->peer->owner.pidfd);
	}
	*out = peer;
	return 0;
}
