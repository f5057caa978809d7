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

#define SETS 4
#define KEPT 3
#define STEPS 2000

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

/* ---- Beside other threads ---- */

#define MAPS 3000

struct mapper {
	struct ipcshare_ctx *ctx;
	const struct ipcshare_packed *packed;
	uint32_t seed;
	int owner, wrong;
	_Atomic int *running;
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

static void maps_in_threads(struct test_rank *me, void *arg)
{
	struct ipcshare_packed mine[REGIONS], all[2 * REGIONS];
	struct ipcshare_identity ids[2], self;
	struct ipcshare_bootstrap lane = test_rank_bootstrap(me, 1, 0);
	_Atomic int running = 2;
	struct mapper m[3];
	pthread_t threads[3];
	struct holder h;

	(void)arg;
	holder_join(me, "2", "1000", &h);
	CHECK_STATUS(ipcshare_self(h.t.ctx, &self), 0);
	CHECK_INT(lane.allgather(lane.arg, NULL, &self, sizeof(self), ids), 0);
	for (size_t i = 0; i < REGIONS; i++) {
		CHECK_STATUS(ipcshare_pack(h.t.ctx, h.memory[i], BYTES, 0, &mine[i]), 0);
		CHECK_STATUS(ipcshare_allow(h.t.ctx, h.memory[i], &ids[1 - h.t.rank], 1, 0), 0);
	}
	CHECK_INT(lane.allgather(lane.arg, NULL, mine, sizeof(mine), all), 0);
	for (uint32_t i = 0; i < 3; i++) {
		m[i] = (struct mapper){ h.t.ctx, &all[REGIONS * (1 - h.t.rank)], 17 + i,
					1 - h.t.rank, 0, &running };
		REQUIRE(!pthread_create(&threads[i], NULL, i < 2 ? map_often : trim_often, &m[i]),
			"no thread");
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		CHECK_INT(m[i].wrong, 0);
	}
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
	TEST(threads_map_while_others_evict));
