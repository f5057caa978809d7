/* SPDX-License-Identifier: BSD-3-Clause */
/* Registered memory that goes away: nobody finds it any more, whoever has it keeps what it has. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory/context.h"
#include "quiet.h"
#include "team.h"

#define PAGE 4096
#define LEN (4 * PAGE)

/* ---- Memory of the user ---- */

struct own {
	int fd;
	char *p;
	size_t len;
};

static struct own own_new(size_t len)
{
	struct own o = { .fd = memfd_create("own", MFD_CLOEXEC | MFD_ALLOW_SEALING), .len = len };

	REQUIRE(o.fd >= 0 && !ftruncate(o.fd, (off_t)len), "errno %d", errno);
	o.p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, o.fd, 0);
	REQUIRE(o.p != MAP_FAILED, "errno %d", errno);
	return o;
}

/* Other memory at the same addresses. */
static void own_replace(struct own *o)
{
	int fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	REQUIRE(fd >= 0 && !ftruncate(fd, (off_t)o->len), "errno %d", errno);
	REQUIRE(mmap(o->p, o->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == o->p,
		"errno %d", errno);
	close(o->fd);
	o->fd = fd;
}

static void own_end(struct own *o)
{
	munmap(o->p, o->len);
	close(o->fd);
}

static struct ipcshare_ctx *ctx;
static struct own own;
static struct test_resources before;

static void start(void)
{
	test_resources(&before);
	ctx = team_open(0);
	own = own_new(LEN);
}

static void stop(void)
{
	CHECK_STATUS(ipcshare_close(ctx), 0);
	own_end(&own);
	CHECK_NOTHING_LEAKED(&before);
}

static int is_known(const char *at)
{
	return ipcshare_find(ctx, at, NULL, NULL) == 0;
}

/* ---- Ranges ---- */

/* A registration of the two pages in the middle, and a range beside, across or inside it. */
static void a_range_that_touches_ends_the_whole_registration(void)
{
	static const struct {
		ptrdiff_t from;
		size_t len;
		int touches;
	} ranges[] = {
		{ 0, PAGE, 0 }, { 3 * PAGE, PAGE, 0 }, { PAGE - 1, 1, 0 }, { 3 * PAGE, SIZE_MAX, 0 },
		{ PAGE, 0, 0 }, { 2 * PAGE, 0, 0 },
		{ PAGE, 2 * PAGE, 1 }, { PAGE, 1, 1 }, { 3 * PAGE - 1, 1, 1 }, { 2 * PAGE, 7, 1 },
		{ 0, PAGE + 1, 1 }, { 3 * PAGE - 1, PAGE, 1 }, { 0, LEN, 1 }, { 2 * PAGE, SIZE_MAX, 1 },
	};
	struct ipcshare_packed packed;

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		char *mine = own.p + PAGE;

		REQUIRE_OK(ipcshare_register(ctx, mine, 2 * PAGE, own.fd));
		CHECK_STATUS(ipcshare_pack(ctx, mine, 1, 0, &packed), 0); /* it is exported, too */
		CHECK_STATUS(ipcshare_invalidate(ctx, own.p + ranges[i].from, ranges[i].len), 0);
		CHECK_INT(is_known(mine), !ranges[i].touches);
		CHECK_INT(is_known(mine + 2 * PAGE - 1), !ranges[i].touches);
		CHECK_STATUS(ipcshare_pack(ctx, mine, 1, 0, &packed),
			     ranges[i].touches ? IPCSHARE_ERR_NOT_SHAREABLE : 0);
		CHECK_STATUS(ipcshare_deregister(ctx, mine),
			     ranges[i].touches ? IPCSHARE_ERR_NOT_SHAREABLE : 0);
		CHECK_INT(team_counters(ctx).allocations, 0);
		CHECK_INT(team_counters(ctx).bytes_allocated, 0);
		CHECK_INT(team_counters(ctx).calls[IPCSHARE_CALL_CLOSE_EXPORT], i + 1);
	}
}

static void many_registrations_end_and_allocations_stay(void)
{
	char *allocated = team_alloc(ctx, 3 * PAGE);

	for (size_t i = 0; i < 4; i++)
		REQUIRE_OK(ipcshare_register(ctx, own.p + i * PAGE, PAGE, own.fd));
	CHECK_STATUS(ipcshare_invalidate(ctx, own.p + PAGE + 5, 2 * PAGE - 5), 0);
	CHECK(is_known(own.p) && is_known(own.p + 3 * PAGE), "neighbours are gone");
	CHECK(!is_known(own.p + PAGE) && !is_known(own.p + 2 * PAGE), "they are there");
	CHECK_STATUS(ipcshare_invalidate(ctx, allocated, 3 * PAGE), 0);
	CHECK_STATUS(ipcshare_invalidate(ctx, NULL, SIZE_MAX), 0); /* all there are */
	CHECK(!is_known(own.p) && !is_known(own.p + 3 * PAGE), "they are there");
	CHECK(is_known(allocated), "the allocation is gone");
	CHECK_INT(team_counters(ctx).allocations, 1);
	memset(allocated, 1, 3 * PAGE);
	CHECK_STATUS(ipcshare_free(ctx, allocated), 0);
}

static void in_a_child(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	CHECK_FAILS(ipcshare_invalidate(ctx, own.p, LEN), IPCSHARE_ERR_FORKED);
}

static void bad_contexts_are_named(void)
{
	struct ipcshare_ctx *other = team_open(0);

	REQUIRE_OK(ipcshare_register(ctx, own.p, LEN, own.fd));
	CHECK_FAILS(ipcshare_invalidate(NULL, own.p, LEN), IPCSHARE_ERR_INVALID);
	CHECK_STATUS(ipcshare_close(other), 0);
	CHECK_FAILS(ipcshare_invalidate(other, own.p, LEN), IPCSHARE_ERR_CLOSED);
	test_child_join(test_child(in_a_child, NULL));
	CHECK(is_known(own.p), "it is gone");
}

static void invalidates_elsewhere(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		*(int *)arg += ipcshare_invalidate(ctx, own.p, PAGE) != 0;
		*(int *)arg += ipcshare_invalidate(ctx, own.p + 2 * PAGE, 2 * PAGE) != 0;
	}
}

/* As it must, for it may be called from anywhere: also by what we do with the lock held. */
static void where_nothing_is_known_it_takes_no_lock_and_makes_no_call(void)
{
	int wrong = 0;

	REQUIRE_OK(ipcshare_register(ctx, own.p + PAGE, PAGE, own.fd));
	pthread_mutex_lock(&ctx->lock);
	CHECK(test_quietly(invalidates_elsewhere, &wrong), "it made a system call");
	pthread_mutex_unlock(&ctx->lock);
	CHECK_INT(wrong, 0);
	CHECK(is_known(own.p + PAGE), "it is gone");
}

/* ---- In use here ---- */

static void a_set_of_ours_keeps_what_it_has(void)
{
	struct ipcshare_buf bufs[2] = { { own.p, 100 }, { own.p + 2 * PAGE, 100 } };
	struct ipcshare_descriptor d;
	struct ipcshare_group *group;
	struct ipcshare_set *old, *new;

	REQUIRE_OK(ipcshare_register(ctx, own.p, 2 * PAGE, own.fd));
	REQUIRE_OK(ipcshare_register(ctx, own.p + 2 * PAGE, 2 * PAGE, own.fd));
	REQUIRE_OK(ipcshare_group_create(ctx, &team_alone, &group));
	REQUIRE_OK(ipcshare_share(group, bufs, 2, 0, &old));
	REQUIRE(CHECK_FAILS(ipcshare_invalidate(ctx, own.p, PAGE), IPCSHARE_ERR_BUSY), "not busy");
	CHECK_HAS(ipcshare_last_error()->text, "1 sets");
	CHECK_STATUS(ipcshare_invalidate(ctx, own.p, PAGE), 0); /* nothing is known there now */
	CHECK(!is_known(own.p) && is_known(own.p + 2 * PAGE), "the wrong one has ended");
	CHECK_INT(team_counters(ctx).allocations, 1);
	CHECK_PTR(ipcshare_ptr(old, 0, 0), own.p);
	CHECK_FAILS(ipcshare_describe(old, bufs, 1, &d), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_STATUS(ipcshare_describe(old, bufs + 1, 1, &d), 0);
	REQUIRE_OK(ipcshare_register(ctx, own.p, 2 * PAGE, own.fd)); /* while the old one is held */
	CHECK_FAILS(ipcshare_describe(old, bufs, 1, &d), IPCSHARE_ERR_NOT_SHAREABLE);
	REQUIRE_OK(ipcshare_share(group, bufs, 2, 0, &new));
	CHECK_STATUS(ipcshare_describe(new, bufs, 2, (struct ipcshare_descriptor[2]){ 0 }), 0);
	CHECK_STATUS(ipcshare_set_update(old, &(size_t){ 0 }, bufs, 1, 0), 0); /* the last user */
	CHECK_STATUS(ipcshare_describe(old, bufs, 1, &d), 0);
	CHECK_STATUS(ipcshare_set_free(old), 0);
	CHECK_STATUS(ipcshare_set_free(new), 0);
	CHECK_STATUS(ipcshare_deregister(ctx, own.p), 0);
	CHECK_STATUS(ipcshare_group_free(group), 0);
	CHECK_INT(team_counters(ctx).allocations, 1);
}

/* Another context of this process has the raw pointer. */
static void a_map_in_this_process_keeps_what_it_has(void)
{
	struct ipcshare_ctx *other = team_open(0);
	struct ipcshare_packed packed;
	void *p, *q = own.p;

	REQUIRE_OK(ipcshare_register(ctx, own.p, LEN, own.fd));
	REQUIRE_OK(ipcshare_pack(ctx, own.p, LEN, 0, &packed));
	REQUIRE_OK(ipcshare_map(other, &packed, &p));
	CHECK_FAILS(ipcshare_invalidate(ctx, own.p, LEN), IPCSHARE_ERR_BUSY);
	REQUIRE_OK(ipcshare_register(ctx, own.p, LEN, own.fd));
	CHECK_FAILS(ipcshare_map(other, &packed, &q), IPCSHARE_ERR_STALE);
	CHECK_FAILS(ipcshare_lookup(other, &packed, &q), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_map(ctx, &packed, &q), IPCSHARE_ERR_STALE);
	CHECK_FAILS(ipcshare_close(ctx), IPCSHARE_ERR_BUSY);
	CHECK_STATUS(ipcshare_unmap(other, p), 0);
	CHECK_FAILS(ipcshare_map(other, &packed, &q), IPCSHARE_ERR_STALE);
	CHECK_PTR(q, own.p);
	CHECK_STATUS(ipcshare_close(other), 0);
}

/* Whoever found it just before, and is about to export it. */
static void what_was_found_before_is_not_exported_after(void)
{
	struct ipcshare__region *r;

	REQUIRE_OK(ipcshare_register(ctx, own.p, LEN, own.fd));
	REQUIRE_OK(ipcshare__region_hold(ctx, own.p, 1, "the test", &r));
	CHECK_FAILS(ipcshare_invalidate(ctx, own.p, LEN), IPCSHARE_ERR_BUSY);
	CHECK_FAILS(ipcshare__region_publish(ctx, r, 0, NULL, 0), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare__region_protect(ctx, r, IPCSHARE_READ_ONLY),
		    IPCSHARE_ERR_NOT_SHAREABLE);
	ipcshare__region_drop(ctx, r);
	CHECK_PTR(ctx->regions.slots[0].region, NULL);
	CHECK_INT(team_calls_of(ctx, IPCSHARE_CALL_EXPORT), 0);
}

static void abandon_leaves_what_was_invalidated(void)
{
	struct ipcshare_buf buf = { own.p, LEN };
	struct ipcshare_group *group;
	struct ipcshare_set *set;

	REQUIRE_OK(ipcshare_register(ctx, own.p, LEN, own.fd));
	REQUIRE_OK(ipcshare_group_create(ctx, &team_alone, &group));
	REQUIRE_OK(ipcshare_share(group, &buf, 1, 0, &set));
	CHECK_FAILS(ipcshare_invalidate(ctx, own.p, LEN), IPCSHARE_ERR_BUSY);
	CHECK_STATUS(ipcshare_abandon(ctx), 0);
	memset(own.p, 1, LEN);
	ctx = team_open(0);
}

/* ---- Between ranks ---- */

#define WHO 0 /* the rank whose memory goes away; the others look on */

struct member {
	struct team t;
	struct test_rank *me;
	struct own own; /* registered */
};

static void member_register(struct member *m, size_t index)
{
	team_fill(m->own.p, LEN, m->t.rank, index);
	REQUIRE_OK(ipcshare_register(m->t.ctx, m->own.p, LEN, m->own.fd));
}

static void member_join(struct test_rank *me, struct member *m)
{
	m->me = me;
	team_join(me, &m->t);
	m->own = own_new(LEN);
	member_register(m, 1);
}

static void member_leave(struct member *m)
{
	test_rank_barrier(m->me, 1);
	CHECK_STATUS(ipcshare_deregister(m->t.ctx, m->own.p), 0);
	own_end(&m->own);
	team_leave(&m->t);
}

static struct ipcshare_set *member_share(struct member *m, unsigned flags)
{
	struct ipcshare_buf buf = { m->own.p, LEN };

	return team_share(&m->t, &buf, 1, flags);
}

/* Rank WHO's memory goes away and comes back as other memory, registered anew. */
static void member_invalidate(struct member *m, int status)
{
	test_rank_barrier(m->me, 1);
	if (m->t.rank == WHO) {
		CHECK_STATUS(ipcshare_invalidate(m->t.ctx, m->own.p, LEN), status);
		own_replace(&m->own);
		member_register(m, 2);
	}
	test_rank_barrier(m->me, 1);
}

static uint64_t mappings(struct member *m)
{
	struct ipcshare_peer peer = { .size = sizeof(peer) };

	CHECK_STATUS(ipcshare_group_peer(m->t.group, WHO, &peer), 0);
	return peer.mappings;
}

static void keeps_it_for_reuse(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set;
	struct member m;

	(void)arg;
	member_join(me, &m);
	set = member_share(&m, 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_INT(mappings(&m), m.t.rank != WHO);
	member_invalidate(&m, 0);
	CHECK_INT(mappings(&m), 0);
	set = member_share(&m, 0);
	team_check(ipcshare_ptr(set, WHO, 0), LEN, WHO, 2);
	team_check(ipcshare_ptr(set, m.t.nranks - 1, 0), LEN, m.t.nranks - 1, 1);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	member_leave(&m);
}

static void what_peers_keep_for_reuse_is_closed(void)
{
	test_ranks(3, keeps_it_for_reuse, NULL);
}

static void has_it_in_a_set(struct test_rank *me, void *arg)
{
	struct ipcshare_set *old, *new;
	struct member m;

	(void)arg;
	member_join(me, &m);
	old = member_share(&m, 0);
	member_invalidate(&m, IPCSHARE_ERR_BUSY);
	if (m.t.rank != WHO)
		team_check(ipcshare_ptr(old, WHO, 0), LEN, WHO, 1); /* the old pages */
	new = member_share(&m, 0);
	team_check(ipcshare_ptr(new, WHO, 0), LEN, WHO, 2);
	CHECK_INT(mappings(&m), 2 * (m.t.rank != WHO));
	CHECK_STATUS(ipcshare_set_free(old), 0);
	CHECK_INT(mappings(&m), m.t.rank != WHO); /* nothing of it is kept */
	team_check(ipcshare_ptr(new, WHO, 0), LEN, WHO, 2);
	CHECK_STATUS(ipcshare_set_free(new), 0);
	member_leave(&m);
}

static void a_peers_set_keeps_the_old_pages_and_a_new_one_has_the_new(void)
{
	test_ranks(3, has_it_in_a_set, NULL);
}

/* WHO's set is freed before: the last user there is a peer. */
static void has_it_mapped(struct test_rank *me, void *arg)
{
	struct ipcshare_packed packed, all[2];
	struct ipcshare_identity self, ids[2];
	struct ipcshare_bootstrap lane = test_rank_bootstrap(me, 1, 0);
	void *p = NULL, *q = NULL;
	struct member m;

	(void)arg;
	member_join(me, &m);
	CHECK_STATUS(ipcshare_self(m.t.ctx, &self), 0);
	CHECK_INT(lane.allgather(lane.arg, NULL, &self, sizeof(self), ids), 0);
	CHECK_STATUS(ipcshare_pack(m.t.ctx, m.own.p, LEN, 0, &packed), 0);
	CHECK_STATUS(ipcshare_allow(m.t.ctx, m.own.p, ids, 2, 0), 0);
	CHECK_INT(lane.allgather(lane.arg, NULL, &packed, sizeof(packed), all), 0);
	if (m.t.rank != WHO) {
		REQUIRE_OK(ipcshare_map(m.t.ctx, &all[WHO], &p));
		CHECK_STATUS(ipcshare_lookup(m.t.ctx, &all[WHO], &q), 0);
		CHECK_PTR(q, p);
		q = NULL;
	}
	member_invalidate(&m, IPCSHARE_ERR_BUSY);
	if (m.t.rank != WHO) {
		CHECK_FAILS(ipcshare_map(m.t.ctx, &all[WHO], &q), IPCSHARE_ERR_STALE);
		CHECK_FAILS(ipcshare_lookup(m.t.ctx, &all[WHO], &q), IPCSHARE_ERR_NOT_SHAREABLE);
		CHECK_PTR(q, NULL);
		team_check(p, LEN, WHO, 1);
		CHECK_STATUS(ipcshare_unmap(m.t.ctx, p), 0);
		CHECK_INT(mappings(&m), 0);
		CHECK_FAILS(ipcshare_map(m.t.ctx, &all[WHO], &q), IPCSHARE_ERR_STALE);
	}
	member_leave(&m);
}

static void an_old_descriptor_is_stale_also_where_it_is_mapped(void)
{
	test_ranks(2, has_it_mapped, NULL);
}

static void is_lazy(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set;
	struct member m;

	(void)arg;
	member_join(me, &m);
	set = member_share(&m, IPCSHARE_LAZY);
	member_invalidate(&m, m.t.rank == WHO ? IPCSHARE_ERR_BUSY : 0); /* WHO's own set */
	if (m.t.rank != WHO) {
		CHECK_PTR(ipcshare_ptr_lazy(set, WHO, 0), NULL);
		CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_STALE);
	}
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	member_leave(&m);
}

static void a_lazy_set_maps_no_memory_that_is_gone(void)
{
	test_ranks(2, is_lazy, NULL);
}

static void hangs(int channel, void *arg)
{
	struct ipcshare_identity me;
	struct ipcshare_ctx *mine;

	(void)arg;
	mine = team_open(0);
	REQUIRE_OK(ipcshare_self(mine, &me));
	test_send(channel, &me, sizeof(me));
	test_await(channel);
	CHECK_STATUS(ipcshare_close(mine), 0);
}

/* The first of two registrations is known to a child, which hangs. */
static struct test_child *child_that_hangs(unsigned timeout_ms)
{
	struct ipcshare_packed packed;
	struct ipcshare_identity peer;
	struct test_child *child;

	CHECK_STATUS(ipcshare_close(ctx), 0);
	child = test_child(hangs, NULL); /* before, so that it inherits nothing */
	ctx = team_open(timeout_ms);
	test_recv(child->channel, &peer, sizeof(peer));
	REQUIRE_OK(ipcshare_register(ctx, own.p, PAGE, own.fd));
	REQUIRE_OK(ipcshare_register(ctx, own.p + PAGE, PAGE, own.fd));
	REQUIRE_OK(ipcshare_pack(ctx, own.p, PAGE, 0, &packed));
	REQUIRE_OK(ipcshare_allow(ctx, own.p, &peer, 1, 0));
	test_child_stop(child);
	return child;
}

static void a_peer_that_hangs_is_a_timeout_and_stops_nothing(void)
{
	struct test_child *child = child_that_hangs(300);

	CHECK_FAILS(ipcshare_invalidate(ctx, own.p, LEN), IPCSHARE_ERR_TIMEOUT);
	CHECK(!is_known(own.p) && !is_known(own.p + PAGE), "they are there");
	CHECK_INT(team_counters(ctx).allocations, 0);
	test_child_continue(child);
	test_signal(child->channel);
	test_child_join(child);
}

static void *deregisters(void *arg)
{
	*(int *)arg = ipcshare_deregister(ctx, own.p);
	return NULL;
}

static void *invalidates(void *arg)
{
	*(int *)arg = ipcshare_invalidate(ctx, own.p, LEN);
	return NULL;
}

/* As long as another thread frees it. */
static void await_busy(void)
{
	bool busy = false;

	while (!busy) {
		pthread_mutex_lock(&ctx->lock);
		busy = ctx->regions.slots[0].region->busy;
		pthread_mutex_unlock(&ctx->lock);
		sched_yield();
	}
}

/* It waits for the other, and has nothing left to do. */
static void it_comes_while_another_thread_deregisters(void)
{
	struct test_child *child = child_that_hangs(0);
	int deregistered = 77, invalidated = 77;
	pthread_t threads[2];

	REQUIRE(!pthread_create(&threads[0], NULL, deregisters, &deregistered), "no thread");
	await_busy();
	REQUIRE(!pthread_create(&threads[1], NULL, invalidates, &invalidated), "no thread");
	while (is_known(own.p))
		sched_yield();
	test_child_continue(child);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CHECK_STATUS(deregistered, 0);
	CHECK_STATUS(invalidated, 0);
	CHECK(!is_known(own.p + PAGE), "the other one is there");
	CHECK_INT(team_counters(ctx).allocations, 0);
	CHECK_INT(team_calls_of(ctx, IPCSHARE_CALL_CLOSE_EXPORT), 1);
	test_signal(child->channel);
	test_child_join(child);
}

/* ---- Against a model ---- */

#define PAGES 48
#ifdef __SANITIZE_THREAD__
#define STEPS 10000 /* there is but one thread; it is slow */
#else
#define STEPS 100000
#endif

struct model {
	uint32_t state;
	int first[PAGES]; /* page of the registration that holds it, or of the allocation; -1: none */
	int npages[PAGES]; /* of the registration that begins there; 0: none does */
};

static uint32_t draw(struct model *m, uint32_t below)
{
	m->state = m->state * 1664525u + 1013904223u;
	return (m->state >> 8) % below;
}

static void model_end(struct model *m, int at)
{
	for (int i = 0; i < m->npages[at]; i++)
		m->first[at + i] = -1;
	m->npages[at] = 0;
}

static void step_register(struct model *m, int at, int n)
{
	int status = 0;

	for (int i = at; i < at + n; i++)
		if (m->first[i] >= 0)
			status = IPCSHARE_ERR_BUSY;
	CHECK_STATUS(ipcshare_register(ctx, own.p + at * PAGE, (size_t)n * PAGE, own.fd), status);
	if (status)
		return;
	m->npages[at] = n;
	for (int i = at; i < at + n; i++)
		m->first[i] = at;
}

static void step_invalidate(struct model *m)
{
	size_t from = draw(m, PAGES * PAGE), len = draw(m, 6 * PAGE);

	CHECK_STATUS(ipcshare_invalidate(ctx, own.p + from, len), 0);
	for (size_t i = from / PAGE; len && i < PAGES && i * PAGE < from + len; i++)
		if (m->first[i] >= 0)
			model_end(m, m->first[i]);
}

static void step_deregister(struct model *m, int at)
{
	CHECK_STATUS(ipcshare_deregister(ctx, own.p + at * PAGE),
		     m->npages[at] ? 0 : IPCSHARE_ERR_NOT_SHAREABLE);
	model_end(m, at);
}

static void check_find(struct model *m)
{
	size_t at = draw(m, PAGES * PAGE), len = 0;
	int first = m->first[at / PAGE];
	void *base = NULL;

	CHECK_STATUS(ipcshare_find(ctx, own.p + at, &base, &len),
		     first < 0 ? IPCSHARE_ERR_NOT_SHAREABLE : 0);
	CHECK_PTR(base, first < 0 ? NULL : own.p + first * PAGE);
	CHECK_INT(len, first < 0 ? 0 : m->npages[first] * PAGE);
}

static void it_agrees_with_a_simple_model(void)
{
	struct model m = { .state = 20250911 };
	struct ipcshare_packed packed;
	size_t n = 0;

	own_end(&own);
	own = own_new(PAGES * PAGE);
	for (int i = 0; i < PAGES; i++)
		m.first[i] = -1;
	for (int step = 0; step < STEPS; step++) {
		int at = (int)draw(&m, PAGES - 4), kind = (int)draw(&m, 8);

		if (kind < 3)
			step_register(&m, at, 1 + (int)draw(&m, 4));
		else if (kind < 5)
			step_invalidate(&m);
		else if (kind == 5)
			step_deregister(&m, at);
		else if (m.first[at] >= 0) /* some are exported */
			CHECK_STATUS(ipcshare_pack(ctx, own.p + at * PAGE, 1, 0, &packed), 0);
		check_find(&m);
	}
	for (int i = 0; i < PAGES; i++)
		n += m.npages[i] != 0;
	CHECK_INT(team_counters(ctx).allocations, n);
	CHECK_STATUS(ipcshare_invalidate(ctx, own.p, own.len), 0);
	CHECK_INT(team_counters(ctx).allocations, 0);
	CHECK_INT(team_calls_of(ctx, IPCSHARE_CALL_EXPORT),
		  team_calls_of(ctx, IPCSHARE_CALL_CLOSE_EXPORT));
}

/* ---- Threads ---- */

#ifdef __SANITIZE_THREAD__
#define TURNS 300
#else
#define TURNS 3000
#endif

static struct ipcshare_group *shared_by;
static pthread_mutex_t collective = PTHREAD_MUTEX_INITIALIZER;

/* 0, not registered just now, or one thing more. */
static void expect(int status, int or_status)
{
	if (status && status != IPCSHARE_ERR_NOT_SHAREABLE)
		CHECK_STATUS(status, or_status);
}

static void turn_register(char *at)
{
	expect(ipcshare_register(ctx, at, PAGE, own.fd), IPCSHARE_ERR_BUSY);
}

static void turn_invalidate(char *at)
{
	expect(ipcshare_invalidate(ctx, at, PAGE + 1), IPCSHARE_ERR_BUSY);
}

static void turn_deregister(char *at)
{
	expect(ipcshare_deregister(ctx, at), IPCSHARE_ERR_BUSY);
}

static void turn_pack(char *at)
{
	int status;
	struct ipcshare_packed packed;
	void *p;

	status = ipcshare_pack(ctx, at, PAGE, 0, &packed);
	expect(status, 0);
	if (status)
		return;
	status = ipcshare_map(ctx, &packed, &p);
	if (status != IPCSHARE_ERR_BUSY) /* another thread has what was there before */
		expect(status, IPCSHARE_ERR_STALE);
	if (!status)
		expect(ipcshare_unmap(ctx, p), 0);
}

static void turn_share(char *at)
{
	struct ipcshare_buf bufs[2] = { { at, PAGE }, { own.p, PAGE } };
	struct ipcshare_set *set;

	pthread_mutex_lock(&collective);
	expect(ipcshare_share(shared_by, bufs, 2, 0, &set), 0);
	expect(ipcshare_set_free(set), 0);
	pthread_mutex_unlock(&collective);
}

static void *take_turns(void *arg)
{
	static void (*const turns[])(char *) = { turn_register, turn_register, turn_invalidate,
						 turn_deregister, turn_pack, turn_share };
	uint32_t state = (uint32_t)(uintptr_t)arg;

	for (int i = 0; i < TURNS; i++) {
		state = state * 1664525u + 1013904223u;
		turns[(state >> 8) % 6](own.p + (state >> 16) % 4 * PAGE);
	}
	return NULL;
}

static void threads_register_share_and_invalidate_the_same_pages(void)
{
	pthread_t threads[4];

	REQUIRE_OK(ipcshare_group_create(ctx, &team_alone, &shared_by));
	for (uintptr_t i = 0; i < 4; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, take_turns, (void *)(i + 1)), "no thread");
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	CHECK_STATUS(ipcshare_group_free(shared_by), 0);
	CHECK_STATUS(ipcshare_invalidate(ctx, own.p, LEN), 0);
	CHECK_INT(team_counters(ctx).allocations, 0);
	for (uint32_t i = 0; i < ctx->regions.nslots; i++) /* every entry was given back */
		CHECK_PTR(ctx->regions.slots[i].region, NULL);
}

TEST_SUITE(invalidate, start, stop,
	TEST(a_range_that_touches_ends_the_whole_registration),
	TEST(many_registrations_end_and_allocations_stay),
	TEST(bad_contexts_are_named),
	TEST(where_nothing_is_known_it_takes_no_lock_and_makes_no_call),
	TEST(a_set_of_ours_keeps_what_it_has),
	TEST(a_map_in_this_process_keeps_what_it_has),
	TEST(what_was_found_before_is_not_exported_after),
	TEST(abandon_leaves_what_was_invalidated),
	TEST(a_peer_that_hangs_is_a_timeout_and_stops_nothing),
	TEST(it_comes_while_another_thread_deregisters),
	TEST(it_agrees_with_a_simple_model),
	TEST(threads_register_share_and_invalidate_the_same_pages));

/* Ranks want a process without a context. */
TEST_SUITE(invalidate_ranks, NULL, NULL,
	TEST(what_peers_keep_for_reuse_is_closed),
	TEST(a_peers_set_keeps_the_old_pages_and_a_new_one_has_the_new),
	TEST(an_old_descriptor_is_stale_also_where_it_is_mapped),
	TEST(a_lazy_set_maps_no_memory_that_is_gone));
