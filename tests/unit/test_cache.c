/* SPDX-License-Identifier: BSD-3-Clause */
/* Mappings kept for reuse: within their bounds, the oldest go first, those in use never. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "team.h"

#define REGIONS 8
#define BYTES 10000

/* A team whose ranks each have some allocations, and keep no more than they are told. */
struct holder {
	struct team t;
	char *memory[REGIONS];
};

static void holder_join(struct test_rank *me, const char *entries, const char *mib, struct holder *h)
{
	setenv("IPCSHARE_CACHE_ENTRIES", entries, 1);
	setenv("IPCSHARE_CACHE_MIB", mib, 1);
	team_join(me, &h->t);
	for (size_t i = 0; i < REGIONS; i++) {
		h->memory[i] = team_alloc(h->t.ctx, BYTES);
		team_fill(h->memory[i], BYTES, h->t.rank, i);
	}
}

static void holder_leave(struct holder *h)
{
	for (size_t i = 0; i < REGIONS; i++)
		CHECK_STATUS(ipcshare_free(h->t.ctx, h->memory[i]), 0);
	team_leave(&h->t);
}

/* Share allocation @i of every rank, and see that it carries its bytes. */
static struct ipcshare_set *holder_share(struct holder *h, size_t i)
{
	struct ipcshare_buf buf = { h->memory[i], BYTES };
	struct ipcshare_set *set = team_share(&h->t, &buf, 1, 0);

	for (int r = 0; r < h->t.nranks; r++)
		team_check(ipcshare_ptr(set, r, 0), BYTES, r, i);
	return set;
}

static void holder_touch(struct holder *h, size_t i)
{
	CHECK_STATUS(ipcshare_set_free(holder_share(h, i)), 0);
}

static uint64_t mapped(struct holder *h)
{
	struct ipcshare_peer peer = { .size = sizeof(peer) };

	CHECK_STATUS(ipcshare_group_peer(h->t.group, 1 - h->t.rank, &peer), 0);
	return peer.mappings;
}

/* ---- Bounds ---- */

static void keeps_two(struct test_rank *me, void *arg)
{
	struct ipcshare_counters c;
	struct holder h;

	(void)arg;
	holder_join(me, "2", "1000", &h);
	holder_touch(&h, 0);
	holder_touch(&h, 1);
	holder_touch(&h, 0); /* now 1 is the oldest */
	holder_touch(&h, 2);
	CHECK_INT(mapped(&h), 2);
	holder_touch(&h, 0);
	c = team_counters(h.t.ctx);
	CHECK_INT(c.cache_misses, 3);
	CHECK_INT(c.cache_hits, 2);
	CHECK_INT(c.cache_evictions, 1);
	CHECK_INT(c.calls[IPCSHARE_CALL_CLOSE_IMPORT], 1);
	CHECK_INT(c.bytes_mapped, 2 * BYTES);
	holder_touch(&h, 1);
	CHECK_INT(team_counters(h.t.ctx).cache_misses, 4);
	holder_leave(&h);
}

static void what_was_used_longest_ago_goes_first(void)
{
	test_ranks(2, keeps_two, NULL);
}

static void keeps_none(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set;
	struct holder h;

	holder_join(me, arg ? "100" : "0", arg ? "0" : "100", &h);
	set = holder_share(&h, 0);
	CHECK_INT(mapped(&h), 1); /* in use: no bound concerns it */
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_INT(mapped(&h), 0);
	CHECK_INT(team_counters(h.t.ctx).bytes_mapped, 0);
	CHECK_INT(team_counters(h.t.ctx).cache_evictions, 1);
	holder_leave(&h);
}

static void nothing_is_kept_where_none_may_be(void)
{
	test_ranks(2, keeps_none, NULL);
	test_ranks(2, keeps_none, "bytes");
}

static void trims(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set;
	size_t closed = 77;
	struct holder h;

	(void)arg;
	holder_join(me, "100", "100", &h);
	set = holder_share(&h, 5);
	holder_touch(&h, 0);
	holder_touch(&h, 1);
	CHECK_INT(mapped(&h), 3);
	CHECK_STATUS(ipcshare_trim(h.t.ctx, &closed), 0);
	CHECK_INT(closed, 2);
	CHECK_INT(mapped(&h), 1);
	team_check(ipcshare_ptr(set, 1 - h.t.rank, 0), BYTES, 1 - h.t.rank, 5);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_trim(h.t.ctx, NULL), 0);
	CHECK_INT(mapped(&h), 0);
	CHECK_INT(team_counters(h.t.ctx).cache_evictions, 0); /* asked for, not to make room */
	closed = 77;
	CHECK_FAILS(ipcshare_trim(NULL, &closed), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_trim((void *)&h, &closed), IPCSHARE_ERR_CLOSED);
	CHECK_INT(closed, 77);
	holder_leave(&h);
}

static void trim_closes_what_is_idle_and_nothing_else(void)
{
	test_ranks(2, trims, NULL);
}

/* ---- Against a model ---- */

/* Everybody's allocations as everybody may map them: rank r's are all[REGIONS * r ..]. */
static void holder_pack(struct test_rank *me, struct holder *h, struct ipcshare_packed *all)
{
	struct ipcshare_bootstrap lane = test_rank_bootstrap(me, 1, 0);
	struct ipcshare_packed mine[REGIONS];
	struct ipcshare_identity ids[2], self;

	CHECK_STATUS(ipcshare_self(h->t.ctx, &self), 0);
	CHECK_INT(lane.allgather(lane.arg, NULL, &self, sizeof(self), ids), 0);
	for (size_t i = 0; i < REGIONS; i++) {
		CHECK_STATUS(ipcshare_pack(h->t.ctx, h->memory[i], BYTES, 0, &mine[i]), 0);
		CHECK_STATUS(ipcshare_allow(h->t.ctx, h->memory[i], &ids[1 - h->t.rank], 1, 0), 0);
	}
	CHECK_INT(lane.allgather(lane.arg, NULL, mine, sizeof(mine), all), 0);
}

#define SETS 4
#define KEPT 3
#define STEPS 2000
#ifdef __SANITIZE_THREAD__
#define MAP_STEPS 10000 /* there is but one thread; it is slow */
#else
#define MAP_STEPS 100000
#endif

struct model {
	int users[REGIONS];
	int kept[REGIONS + 1], nkept; /* region numbers, the oldest first */
	uint64_t hits, misses, evictions;
};

static void model_remove(struct model *m, int at)
{
	m->nkept--;
	for (; at < m->nkept; at++)
		m->kept[at] = m->kept[at + 1];
}

static void model_share(struct model *m, int region)
{
	int at = 0;

	while (at < m->nkept && m->kept[at] != region)
		at++;
	if (m->users[region] || at < m->nkept)
		m->hits++;
	else
		m->misses++;
	if (at < m->nkept)
		model_remove(m, at);
	m->users[region]++;
}

static void model_free(struct model *m, int region)
{
	if (--m->users[region])
		return;
	m->kept[m->nkept++] = region;
	if (m->nkept > KEPT) {
		model_remove(m, 0);
		m->evictions++;
	}
}

static void follows_the_model(struct test_rank *me, void *arg)
{
	struct ipcshare_set *sets[SETS] = { NULL };
	int region[SETS] = { 0 };
	struct model model = { .nkept = 0 };
	uint32_t state = 20260101;
	struct holder h;

	(void)arg;
	holder_join(me, "3", "1000", &h);
	for (int step = 0; step < STEPS; step++) {
		struct ipcshare_counters c;
		int s = (state = state * 1664525u + 1013904223u) >> 16 & (SETS - 1);

		if (sets[s]) {
			CHECK_STATUS(ipcshare_set_free(sets[s]), 0);
			sets[s] = NULL;
			model_free(&model, region[s]);
		} else {
			region[s] = state >> 20 & (REGIONS - 1);
			sets[s] = holder_share(&h, (size_t)region[s]);
			model_share(&model, region[s]);
		}
		c = team_counters(h.t.ctx);
		if (c.cache_hits != model.hits || c.cache_misses != model.misses ||
		    c.cache_evictions != model.evictions)
			REQUIRE(0, "step %d: %ju hits, %ju misses, %ju evictions", step,
				(uintmax_t)c.cache_hits, (uintmax_t)c.cache_misses,
				(uintmax_t)c.cache_evictions);
	}
	REQUIRE(model.evictions > STEPS / 20, "only %ju evictions", (uintmax_t)model.evictions);
	for (int s = 0; s < SETS; s++)
		if (sets[s])
			CHECK_STATUS(ipcshare_set_free(sets[s]), 0);
	holder_leave(&h);
}

static void it_agrees_with_a_simple_model(void)
{
	test_ranks(2, follows_the_model, NULL);
}

/* The same of one-sided maps, which need no other rank: so each goes its own way, and far. */
struct maps {
	struct holder h;
	struct ipcshare_packed all[2 * REGIONS];
	struct model model;
	char *at[REGIONS]; /* where it is mapped, while it has users */
	uint32_t state;
};

static uint32_t draw(struct maps *m, uint32_t below)
{
	m->state = m->state * 1664525u + 1013904223u;
	return (m->state >> 8) % below;
}

static const struct ipcshare_packed *packed_of(struct maps *m, uint32_t region)
{
	return &m->all[REGIONS * (uint32_t)(1 - m->h.t.rank) + region];
}

static void step_map(struct maps *m, uint32_t region)
{
	void *p = NULL;

	REQUIRE_OK(ipcshare_map(m->h.t.ctx, packed_of(m, region), &p));
	if (m->model.users[region])
		CHECK_PTR(p, m->at[region]);
	m->at[region] = p;
	model_share(&m->model, (int)region);
}

static void step_unmap(struct maps *m, uint32_t region)
{
	REQUIRE_OK(ipcshare_unmap(m->h.t.ctx, m->at[region] + draw(m, BYTES)));
	model_free(&m->model, (int)region);
}

static void step_trim(struct maps *m)
{
	size_t closed = 77;

	CHECK_STATUS(ipcshare_trim(m->h.t.ctx, &closed), 0);
	CHECK_INT(closed, m->model.nkept);
	m->model.nkept = 0;
}

static void check_lookup(struct maps *m, uint32_t region)
{
	int used = m->model.users[region] > 0;
	void *p = NULL;

	CHECK_STATUS(ipcshare_lookup(m->h.t.ctx, packed_of(m, region), &p),
		     used ? 0 : IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_PTR(p, used ? m->at[region] : NULL);
	if (used)
		team_check(p, 8, 1 - m->h.t.rank, region);
}

static void check_counters(struct maps *m, int step)
{
	struct ipcshare_counters c = team_counters(m->h.t.ctx);
	uint64_t n = (uint64_t)m->model.nkept;

	for (size_t i = 0; i < REGIONS; i++)
		n += m->model.users[i] > 0;
	if (c.cache_hits != m->model.hits || c.cache_misses != m->model.misses ||
	    c.cache_evictions != m->model.evictions || c.bytes_mapped != n * BYTES)
		REQUIRE(0, "step %d: %ju hits, %ju misses, %ju evictions, %ju bytes", step,
			(uintmax_t)c.cache_hits, (uintmax_t)c.cache_misses,
			(uintmax_t)c.cache_evictions, (uintmax_t)c.bytes_mapped);
}

static void maps_follow_the_model(struct test_rank *me, void *arg)
{
	struct maps m = { .state = 20260202u + (uint32_t)me->rank };

	(void)arg;
	holder_join(me, "3", "1000", &m.h);
	holder_pack(me, &m.h, m.all);
	for (int step = 0; step < MAP_STEPS; step++) {
		uint32_t region = draw(&m, REGIONS), kind = draw(&m, 100);

		if (kind == 0)
			step_trim(&m);
		else if (m.model.users[region] && draw(&m, 3))
			step_unmap(&m, region);
		else
			step_map(&m, region);
		check_lookup(&m, region);
		check_lookup(&m, draw(&m, REGIONS));
		check_counters(&m, step);
	}
	REQUIRE(m.model.evictions > MAP_STEPS / 100, "only %ju evictions",
		(uintmax_t)m.model.evictions);
	for (uint32_t i = 0; i < REGIONS; i++)
		while (m.model.users[i])
			step_unmap(&m, i);
	test_rank_barrier(me, 1);
	holder_leave(&m.h);
}

static void maps_agree_with_a_simple_model(void)
{
	test_ranks(2, maps_follow_the_model, NULL);
}

/* ---- Beside other threads ---- */

#define MAPS 3000

struct mapper {
	struct ipcshare_ctx *ctx;
	const struct ipcshare_packed *packed;
	uint32_t seed;
	int owner, wrong;
	_Atomic int *running;
	void *held; /* region 0, that another thread maps and unmaps too */
};

/* Maps what others evict at the same time, and reads it. */
static void *map_often(void *arg)
{
	struct mapper *m = arg;
	uint32_t state = m->seed;

	for (int i = 0; i < MAPS; i++) {
		size_t region = (state = state * 1664525u + 1013904223u) >> 20 & (REGIONS - 1);
		void *ptr;

		if (ipcshare_map(m->ctx, &m->packed[region], &ptr)) {
			m->wrong++;
			continue;
		}
		m->wrong += !team_check(ptr, BYTES, m->owner, region);
		m->wrong += ipcshare_unmap(m->ctx, ptr) != 0;
	}
	atomic_fetch_sub(m->running, 1);
	return NULL;
}

static void *trim_often(void *arg)
{
	struct mapper *m = arg;

	while (atomic_load(m->running))
		m->wrong += ipcshare_trim(m->ctx, NULL) != 0;
	return NULL;
}

/* What is held is always found, and there; what isn't may be found or not. */
static void *look_up_often(void *arg)
{
	struct mapper *m = arg;

	while (atomic_load(m->running)) {
		void *p = NULL;
		int status;

		m->wrong += ipcshare_lookup(m->ctx, &m->packed[0], &p) || p != m->held ||
			    !team_check(p, 16, m->owner, 0);
		status = ipcshare_lookup(m->ctx, &m->packed[1], &p);
		m->wrong += status && status != IPCSHARE_ERR_NOT_SHAREABLE;
	}
	return NULL;
}

static void maps_in_threads(struct test_rank *me, void *arg)
{
	static void *(*const jobs[])(void *) = { map_often, map_often, trim_often, look_up_often };
	struct ipcshare_packed all[2 * REGIONS];
	_Atomic int running = 2;
	pthread_t threads[4];
	struct mapper m[4];
	struct holder h;
	void *held;

	(void)arg;
	holder_join(me, "2", "1000", &h);
	holder_pack(me, &h, all);
	REQUIRE_OK(ipcshare_map(h.t.ctx, &all[REGIONS * (1 - h.t.rank)], &held));
	for (uint32_t i = 0; i < 4; i++) {
		m[i] = (struct mapper){ h.t.ctx, &all[REGIONS * (1 - h.t.rank)], 17 + i,
					1 - h.t.rank, 0, &running, held };
		REQUIRE(!pthread_create(&threads[i], NULL, jobs[i], &m[i]), "no thread");
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		CHECK_INT(m[i].wrong, 0);
	}
	CHECK_STATUS(ipcshare_unmap(h.t.ctx, held), 0);
	CHECK(team_counters(h.t.ctx).calls[IPCSHARE_CALL_IMPORT] > 2 * REGIONS, "nothing was evicted");
	test_rank_barrier(me, 1);
	holder_leave(&h);
}

static void threads_map_while_others_evict(void)
{
	test_ranks(2, maps_in_threads, NULL);
}

TEST_SUITE(cache, NULL, NULL,
	TEST(what_was_used_longest_ago_goes_first),
	TEST(nothing_is_kept_where_none_may_be),
	TEST(trim_closes_what_is_idle_and_nothing_else),
	TEST(it_agrees_with_a_simple_model),
	TEST(maps_agree_with_a_simple_model),
	TEST(threads_map_while_others_evict));
