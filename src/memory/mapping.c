/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/mapping.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/handle.h"
#include "base/point.h"
#include "memory/anchor.h"
#include "memory/context.h"

/* ---- Giving up a mapping that nobody uses and nobody can find ---- */

static void unmap_all(struct ipcshare_ctx *ctx, struct ipcshare__mapping *list)
{
	for (struct ipcshare__mapping *m = list; m; m = m->next) {
		uint64_t start = ipcshare__now_ns();

		if (m->local)
			continue;
		ctx->backend->ops->close_import(ctx->backend, &m->at);
		ipcshare__count_calls(&ctx->counters, IPCSHARE_CALL_CLOSE_IMPORT, 1, start);
		ipcshare__uncount(&ctx->counters.bytes_mapped, m->length);
	}
}

static void free_all(struct ipcshare__mapping *list)
{
	while (list) {
		struct ipcshare__mapping *next = list->next;

		free(list);
		list = next;
	}
}

void ipcshare__mappings_close(struct ipcshare_ctx *ctx, struct ipcshare__mapping *list)
{
	if (!list)
		return;
	for (struct ipcshare__mapping *m = list; m; m = m->next)
		ipcshare__attached_end(ctx, &m->attached);
	unmap_all(ctx, list);
	ipcshare__closing_end(ctx, list);
	free_all(list);
}

/* Nobody can find it from now on. Locked. */
static void slot_remove(struct ipcshare__mapping *m)
{
	struct ipcshare__mapping **at = &m->peer->slots[m->region];

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
}

/* The same for one that was ready. */
static void mapping_unlink(struct ipcshare_ctx *ctx, struct ipcshare__mapping *m)
{
	slot_remove(m);
	ipcshare__cache_release(&ctx->imports.cache, m);
	ipcshare__closing_begin(&ctx->imports.closing, m);
	m->peer->mappings--;
	m->peer->bytes_mapped -= m->length;
}

/* Take the idle mappings of one region id off the peer's list; 1 if one is in use. Locked. */
static int slot_take_idle(struct ipcshare_ctx *ctx, struct ipcshare__peer *peer, uint32_t region,
			  uint32_t generation, struct ipcshare__mapping **taken)
{
	struct ipcshare__mapping *m = peer->slots[region], *next;
	int used = 0;

	for (; m; m = next) {
		bool wanted = generation == 0 || m->generation == generation;

		next = m->next;
		if (!wanted || m->users || m->state == IPCSHARE__MAPPING_PENDING) {
			used |= wanted;
			continue;
		}
		mapping_unlink(ctx, m);
		m->next = *taken;
		*taken = m;
	}
	return used;
}

int ipcshare__mappings_take(struct ipcshare_ctx *ctx, struct ipcshare__peer *peer, uint32_t region,
			    uint32_t generation, struct ipcshare__mapping **taken)
{
	int used = 0;

	if (region != IPCSHARE__REGION_ANY)
		return region < peer->nslots ? slot_take_idle(ctx, peer, region, generation, taken)
					     : 0;
	for (uint32_t i = 0; i < peer->nslots; i++)
		used |= slot_take_idle(ctx, peer, i, 0, taken);
	return used;
}

/* Off the cache and onto @taken: what is too much, or with @all everything. Locked. */
static size_t cache_take(struct ipcshare_ctx *ctx, bool all, struct ipcshare__mapping **taken)
{
	struct ipcshare__cache *cache = &ctx->imports.cache;
	struct ipcshare__mapping *m;
	size_t n = 0;

	while ((m = all ? cache->oldest : ipcshare__cache_excess(cache))) {
		mapping_unlink(ctx, m);
		m->next = *taken;
		*taken = m;
		n++;
	}
	return n;
}

int ipcshare_trim(struct ipcshare_ctx *ctx, size_t *closed)
{
	struct ipcshare__mapping *taken = NULL;
	size_t n;
	int err = ipcshare__ctx_check(ctx, "trim");

	if (err)
		return err;
	pthread_mutex_lock(&ctx->lock);
	n = cache_take(ctx, true, &taken);
	pthread_mutex_unlock(&ctx->lock);
	ipcshare__mappings_close(ctx, taken);
	ipcshare__blocks_trim(&ctx->blocks);
	if (closed)
		*closed = n;
	return 0;
}

/* ---- Find, or import ---- */

static int slots_reach(struct ipcshare__peer *peer, uint32_t region)
{
	struct ipcshare__mapping **slots;
	uint32_t nslots = peer->nslots ? peer->nslots : 16;

	if (region >= IPCSHARE__REGION_MAX)
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "import", "",
				      "a peer sent region id %u, the largest is %u", region,
				      IPCSHARE__REGION_MAX - 1);
	if (region < peer->nslots)
		return 0;
	while (nslots <= region)
		nslots *= 2;
	slots = realloc(peer->slots, nslots * sizeof(struct ipcshare__mapping *));
	if (!slots)
		return ipcshare__fail_errno(ENOMEM, "import", "the table of mappings");
	memset(slots + peer->nslots, 0,
	       (nslots - peer->nslots) * sizeof(struct ipcshare__mapping *));
	peer->slots = slots;
	peer->nslots = nslots;
	return 0;
}

static struct ipcshare__mapping *mapping_find(const struct ipcshare__peer *peer,
					      const struct ipcshare__want *w)
{
	struct ipcshare__mapping *m = peer->slots[w->region];

	/* Another length is a lie, which its own import will show. */
	while (m && (m->generation != w->generation || m->access != w->access ||
		     m->length != w->length || m->gone))
		m = m->next;
	return m;
}

static int mapping_new(struct ipcshare__peer *peer, struct ipcshare__want *w)
{
	struct ipcshare__mapping *m = calloc(1, sizeof(*m));

	if (!m)
		return ipcshare__fail_errno(ENOMEM, "import", "one more mapping");
	*m = (struct ipcshare__mapping){
		.next = peer->slots[w->region],
		.peer = peer,
		.owner = peer->endpoint,
		.local = peer->same_process,
		.region = w->region,
		.generation = w->generation,
		.access = w->access,
		.users = 1,
		.length = w->length,
	};
	peer->slots[w->region] = m;
	w->mapping = m;
	return 0;
}

struct ipcshare__mapping *ipcshare__mapping_known(struct ipcshare__peer *peer,
						  struct ipcshare__want *w)
{
	struct ipcshare__mapping *m = NULL;

	/* There is one raw pointer, whatever access was asked for. */
	if (peer->same_process)
		w->access = IPCSHARE__READ_WRITE;
	if (w->region < peer->nslots)
		m = mapping_find(peer, w);
	return m && m->state == IPCSHARE__MAPPING_READY ? m : NULL;
}

/* One user more of a mapping that was found. Locked. */
static void mapping_use(struct ipcshare_ctx *ctx, struct ipcshare__mapping *m)
{
	if (m->users++ == 0)
		ipcshare__cache_release(&ctx->imports.cache, m);
	if (!m->local)
		ipcshare__count(&ctx->counters.cache_hits, 1);
}

void ipcshare__mapping_keep(struct ipcshare_ctx *ctx, struct ipcshare__mapping *m)
{
	mapping_use(ctx, m);
	m->peer->users++;
}

/*
 * Find or begin each mapping, and hold it. Those of entries with @mine set are for this call to
 * import. Locked.
 */
static void hold_begin(struct ipcshare_ctx *ctx, struct ipcshare__peer *peer,
		       struct ipcshare__want *wants, size_t n, bool *mine)
{
	for (size_t i = 0; i < n; i++) {
		struct ipcshare__want *w = &wants[i];

		/* There is one raw pointer, whatever access was asked for. */
		if (peer->same_process)
			w->access = IPCSHARE__READ_WRITE;
		w->mapping = NULL;
		w->status = slots_reach(peer, w->region);
		if (w->status)
			continue;
		w->mapping = mapping_find(peer, w);
		mine[i] = !w->mapping;
		if (!mine[i]) {
			mapping_use(ctx, w->mapping);
			continue;
		}
		w->status = mapping_new(peer, w);
		if (!peer->same_process && !w->status)
			ipcshare__count(&ctx->counters.cache_misses, 1);
	}
}

struct ipcshare__mapping *ipcshare__mapping_hold_ready(struct ipcshare_ctx *ctx,
						       struct ipcshare__peer *peer,
						       const struct ipcshare__want *want)
{
	struct ipcshare__want w = *want;
	struct ipcshare__mapping *m;

	pthread_mutex_lock(&ctx->lock);
	m = ipcshare__mapping_known(peer, &w);
	if (m)
		ipcshare__mapping_keep(ctx, m);
	pthread_mutex_unlock(&ctx->lock);
	return m;
}

static void import_local(struct ipcshare__peer *peer, struct ipcshare__import *im,
			 const struct ipcshare__want *w)
{
	im->status = ipcshare__region_hold_local(peer->endpoint, w->region, w->generation,
						 &im->out.base, &im->out.mapped);
	if (im->status || im->out.mapped == w->length)
		return;
	ipcshare__region_drop_local(peer->endpoint, w->region, w->generation);
	im->status = ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "import", "",
				    "the region has %zu bytes, its descriptor says %ju",
				    im->out.mapped, (uintmax_t)w->length);
}

/* Whatever the backend makes of an owner that has ended, it is that. */
static void owner_look(const struct ipcshare__peer *peer, struct ipcshare__import *imports,
		       size_t n, struct ipcshare_error *first)
{
	if (!ipcshare__pidfd_ended(peer->owner.pidfd))
		return;
	ipcshare__fail(IPCSHARE_ERR_PEER_DEAD, "import", "",
		       "process %d, which owns the memory, has ended", peer->owner.pid);
	*first = *ipcshare_last_error();
	for (size_t i = 0; i < n; i++)
		if (imports[i].status)
			imports[i].status = IPCSHARE_ERR_PEER_DEAD;
}

/* Import what is ours to import, with no lock held. */
static void hold_import(struct ipcshare_ctx *ctx, struct ipcshare__peer *peer,
			struct ipcshare__want *wants, const size_t *todo,
			struct ipcshare__import *imports, size_t n, struct ipcshare_error *first)
{
	uint64_t start = ipcshare__now_ns(), done = 0;
	int err = 0;

	for (size_t i = 0; i < n; i++) {
		const struct ipcshare__want *w = &wants[todo[i]];

		memcpy(imports[i].key, w->key, IPCSHARE__KEY_SIZE);
		imports[i].length = w->length;
		imports[i].access = w->access;
		imports[i].device = peer->device;
		if (peer->same_process)
			import_local(peer, &imports[i], w);
		if (peer->same_process && imports[i].status && !first->status)
			*first = *ipcshare_last_error();
	}
	if (!peer->same_process && n)
		err = ctx->backend->ops->import_keys(ctx->backend, peer->endpoint, imports, n);
	if (err) {
		*first = *ipcshare_last_error();
		owner_look(peer, imports, n, first);
	}
	for (size_t i = 0; i < n && !peer->same_process; i++)
		done += imports[i].status == 0;
	if (done)
		ipcshare__count_calls(&ctx->counters, IPCSHARE_CALL_IMPORT, done, start);
}

/* Off the peer's list, so that the next one tries anew; waiters still hold it. Locked. */
static void mapping_fail(struct ipcshare__mapping *m, int status)
{
	slot_remove(m);
	m->state = IPCSHARE__MAPPING_FAILED;
	m->status = status;
}

static void hold_publish(struct ipcshare_ctx *ctx, struct ipcshare__want *w,
			 const struct ipcshare__import *im)
{
	struct ipcshare__mapping *m = w->mapping;

	w->status = im->status;
	if (im->status) {
		mapping_fail(m, im->status);
		return;
	}
	m->state = IPCSHARE__MAPPING_READY;
	m->at = im->out;
	m->peer->mappings++;
	m->peer->bytes_mapped += m->length;
	if (!m->peer->same_process)
		ipcshare__count(&ctx->counters.bytes_mapped, m->length);
}

/* Wait for what other threads import, and let go of what failed. Locked. */
static int hold_settle(struct ipcshare_ctx *ctx, struct ipcshare__want *w)
{
	struct ipcshare__mapping *m = w->mapping;

	if (!m)
		return w->status;
	while (m->state == IPCSHARE__MAPPING_PENDING)
		pthread_cond_wait(&ctx->changed, &ctx->lock);
	if (m->state == IPCSHARE__MAPPING_READY) {
		m->peer->users++;
		return 0;
	}
	if (!w->status)
		w->status = ipcshare__fail(m->status, "import", "",
					   "another thread could not import the same memory: %s",
					   ipcshare_strerror(m->status));
	if (--m->users == 0)
		free(m);
	w->mapping = NULL;
	return w->status;
}

int ipcshare__mappings_hold(struct ipcshare_ctx *ctx, struct ipcshare__peer *peer,
			    struct ipcshare__want *wants, size_t n)
{
	struct ipcshare__import *imports = calloc(n + 1, sizeof(*imports));
	size_t *todo = calloc(n + 1, sizeof(*todo)), ntodo = 0;
	bool *mine = calloc(n + 1, sizeof(*mine));
	struct ipcshare_error first = { .status = 0 };
	int err = 0;

	if (!imports || !todo || !mine) {
		err = ipcshare__fail_errno(ENOMEM, "import", "%zu mappings", n);
		for (size_t i = 0; i < n; i++)
			wants[i].status = err;
		goto out;
	}
	pthread_mutex_lock(&ctx->lock);
	hold_begin(ctx, peer, wants, n, mine);
	pthread_mutex_unlock(&ctx->lock);
	for (size_t i = 0; i < n; i++)
		if (mine[i] && wants[i].mapping)
			todo[ntodo++] = i;
	hold_import(ctx, peer, wants, todo, imports, ntodo, &first);
	IPCSHARE__POINT("mappings.imported");
	pthread_mutex_lock(&ctx->lock);
	for (size_t i = 0; i < ntodo; i++)
		hold_publish(ctx, &wants[todo[i]], &imports[i]);
	if (ntodo)
		pthread_cond_broadcast(&ctx->changed);
	for (size_t i = 0; i < n; i++) {
		int status = hold_settle(ctx, &wants[i]);

		if (status && !first.status)
			first = *ipcshare_last_error();
		if (status && !err)
			err = status;
	}
	pthread_mutex_unlock(&ctx->lock);
	if (err)
		ipcshare__error_restore(&first);
out:
	free(mine);
	free(todo);
	free(imports);
	return err;
}

void ipcshare__mapping_drop(struct ipcshare_ctx *ctx, struct ipcshare__mapping *m)
{
	struct ipcshare__peer *peer = m->peer;
	struct ipcshare__mapping *gone = NULL;
	uint32_t region = m->region, generation = m->generation;
	bool last;

	pthread_mutex_lock(&ctx->lock);
	if (--m->users == 0) {
		ipcshare__cache_keep(&ctx->imports.cache, m);
		/* A local one would keep its region from being freed, and costs nothing to find again. */
		if (peer->same_process || m->gone)
			slot_take_idle(ctx, peer, region, generation, &gone);
		else
			ipcshare__count(&ctx->counters.cache_evictions,
					cache_take(ctx, false, &gone));
	}
	pthread_mutex_unlock(&ctx->lock);
	last = gone;
	ipcshare__mappings_close(ctx, gone);
	if (last && peer->same_process) /* what was attached to it has ended */
		ipcshare__region_drop_local(peer->endpoint, region, generation);
	ipcshare__peer_drop(ctx, peer);
}

/* ---- The owner calls back ---- */

/* Nobody finds it from now on, and what is in use is closed by its last user. Locked. */
static void mappings_hide(struct ipcshare_ctx *ctx, struct ipcshare__peer *peer, uint32_t region,
			  uint32_t generation)
{
	struct ipcshare__mapping *m = region < peer->nslots ? peer->slots[region] : NULL;

	for (; m; m = m->next) {
		if (m->generation != generation)
			continue;
		if (m->maps && !m->gone)
			ipcshare__maps_hide(&ctx->imports.maps, m);
		m->gone = true;
	}
}

struct ended {
	uint64_t endpoint;
	uint32_t region, generation;
};

static int hide_in(void *handle, void *arg)
{
	struct ipcshare_ctx *ctx = handle;
	const struct ended *e = arg;
	struct ipcshare__peer *peer;

	pthread_mutex_lock(&ctx->lock);
	peer = ipcshare__peer_find(ctx, e->endpoint);
	if (peer)
		mappings_hide(ctx, peer, e->region, e->generation);
	pthread_mutex_unlock(&ctx->lock);
	return 0;
}

void ipcshare__mappings_end_local(uint64_t endpoint, uint32_t region, uint32_t generation)
{
	struct ended e = { endpoint, region, generation };

	ipcshare__handle_each(IPCSHARE__HANDLE_CTX, hide_in, &e);
}

int ipcshare__imports_retire(void *arg, const struct ipcshare__caller *caller, uint64_t owner,
			     uint32_t region, uint32_t generation)
{
	struct ipcshare_ctx *ctx = arg;
	bool gone = region != IPCSHARE__REGION_ANY && region & IPCSHARE__REGION_GONE;
	uint32_t id = gone ? region & ~IPCSHARE__REGION_GONE : region;
	struct ipcshare__mapping *idle = NULL;
	struct ipcshare__peer *peer;
	int status = 0;

	pthread_mutex_lock(&ctx->lock);
	peer = ipcshare__peer_find(ctx, owner);
	if (peer && (peer->owner.pid != caller->pid || peer->owner.inode != caller->inode)) {
		status = IPCSHARE_ERR_NOT_ALLOWED;
	} else if (peer) {
		if (gone)
			mappings_hide(ctx, peer, id, generation);
		if (ipcshare__mappings_take(ctx, peer, id, generation, &idle))
			status = IPCSHARE_ERR_BUSY;
	}
	pthread_mutex_unlock(&ctx->lock);
	ipcshare__mappings_close(ctx, idle);
	/* Another thread may have taken it before, and not unmapped it yet. */
	pthread_mutex_lock(&ctx->lock);
	ipcshare__closing_await(ctx, owner, id, generation);
	pthread_mutex_unlock(&ctx->lock);
	IPCSHARE__POINT("mappings.retired");
	return status;
}

void ipcshare__imports_abandon(struct ipcshare_ctx *ctx)
{
	struct ipcshare__imports *im = &ctx->imports;

	while (im->peers) {
		struct ipcshare__peer *peer = im->peers;

		im->peers = peer->next;
		for (uint32_t i = 0; i < peer->nslots; i++) {
			for (struct ipcshare__mapping *m = peer->slots[i]; m; m = m->next)
				if (m->local && m->users)
					ipcshare__region_drop_local(peer->endpoint, m->region,
								    m->generation);
			unmap_all(ctx, peer->slots[i]);
			free_all(peer->slots[i]);
		}
		ipcshare__peer_delete(peer);
	}
	ipcshare__maps_clear(&im->maps);
	im->cache = (struct ipcshare__cache){ 0 };
}
