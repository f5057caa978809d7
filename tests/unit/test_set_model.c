/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shares, updates, lazy sets and frees in random order, against a model that every rank keeps of all
 * ranks: they draw the same numbers, so each knows what the others do. TEST_SEED of the environment says
 * which.
 */
#include "team.h"

#define SEED 20240607u
#define RANKS 3 /* at most */
#define SLOTS 5 /* allocations of a rank */
#define SETS 3
#define MOST 24 /* buffers of a rank in a set */
#define ALLOC 5000

struct cell { /* of the model */
	int slot; /* -1: empty, -2: bad */
	size_t offset, len;
};

struct model_set {
	struct ipcshare_set *set; /* NULL: none now */
	size_t n[RANKS];
	struct cell cells[RANKS][MOST];
	int lazy[RANKS];
};

struct model {
	struct team t;
	struct test_rank *me;
	uint32_t state;
	size_t serial[RANKS][SLOTS]; /* tells an allocation from the ones before it */
	size_t next_serial;
	char *memory[SLOTS]; /* of the caller */
	struct model_set sets[SETS];
};

static uint32_t draw(struct model *m, uint32_t below)
{
	m->state = m->state * 1664525u + 1013904223u;
	return (m->state >> 8) % below;
}

static unsigned char byte_of(int rank, size_t serial, size_t offset)
{
	return (unsigned char)((rank * 71 + serial * 13 + offset) * 0x9e3779b97f4a7c15u >> 56);
}

static void slot_alloc(struct model *m, int rank, int slot)
{
	m->serial[rank][slot] = m->next_serial++;
	if (rank != m->t.rank)
		return;
	m->memory[slot] = team_alloc(m->t.ctx, ALLOC);
	for (size_t i = 0; i < ALLOC; i++)
		m->memory[slot][i] = (char)byte_of(rank, m->serial[rank][slot], i);
}

static struct cell draw_cell(struct model *m)
{
	uint32_t kind = draw(m, 12);
	struct cell c = { kind == 0 ? -1 : kind == 1 ? -2 : (int)draw(m, SLOTS), 0, 0 };

	c.len = c.slot == -1 ? 0 : 1 + draw(m, 60);
	c.offset = 64 * draw(m, ALLOC / 64);
	return c;
}

/* Some cells follow each other evenly, as runs do. */
static void draw_cells(struct model *m, struct cell *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		c[i] = draw_cell(m);
		if (i && draw(m, 3) && c[i - 1].offset + 64 + 60 < ALLOC) {
			c[i] = c[i - 1];
			c[i].offset += 64;
		}
	}
}

static struct ipcshare_buf buf_of(const struct model *m, struct cell c)
{
	static char foreign[64];

	if (c.slot < 0)
		return (struct ipcshare_buf){ foreign, c.len };
	return (struct ipcshare_buf){ m->memory[c.slot] + c.offset, c.len };
}

/* ---- What the model says of each ---- */

static void check_cell(const struct model *m, const struct model_set *s, int r, size_t i)
{
	struct cell c = s->cells[r][i];
	const unsigned char *p = ipcshare_ptr(s->set, r, i), *lazy;

	CHECK_INT(ipcshare_len(s->set, r, i), c.slot == -2 ? 0 : c.len);
	CHECK_STATUS(ipcshare_set_status(s->set, r, i),
		     c.slot == -2 ? IPCSHARE_ERR_NOT_SHAREABLE : 0);
	if (c.slot < 0) {
		CHECK_PTR(p, NULL);
		CHECK_PTR(ipcshare_ptr_lazy(s->set, r, i), NULL);
		return;
	}
	if (!s->lazy[m->t.rank])
		REQUIRE(p, "buffer %zu of rank %d is not there", i, r);
	lazy = ipcshare_ptr_lazy(s->set, r, i);
	REQUIRE(lazy, "buffer %zu of rank %d: %s", i, r, ipcshare_explain());
	CHECK(!p || p == lazy, "%p and %p", (const void *)p, (const void *)lazy);
	CHECK_PTR(ipcshare_ptr(s->set, r, i), lazy);
	for (size_t k = 0; k < c.len; k++)
		if (lazy[k] != byte_of(r, m->serial[r][c.slot], c.offset + k)) {
			FAIL("byte %zu of buffer %zu of rank %d is wrong", k, i, r);
			return;
		}
}

static void check_set(struct model *m, const struct model_set *s)
{
	uint64_t bad = 0;

	for (int r = 0; r < m->t.nranks; r++) {
		REQUIRE_INT(ipcshare_count(s->set, r), s->n[r]);
		for (size_t i = 0; i < s->n[r]; i++) {
			if (draw(m, 2)) /* so that lazy sets stay so in part */
				check_cell(m, s, r, i);
			bad += s->cells[r][i].slot == -2;
		}
	}
	CHECK_INT(ipcshare_set_failures(s->set), bad * (uint64_t)m->t.nranks);
}

static int is_held(const struct model *m, int rank, int slot)
{
	for (int k = 0; k < SETS; k++)
		for (size_t i = 0; m->sets[k].set && i < m->sets[k].n[rank]; i++)
			if (m->sets[k].cells[rank][i].slot == slot)
				return 1;
	return 0;
}

/* ---- Steps: each rank does its part, and notes everybody's ---- */

static void step_share(struct model *m, struct model_set *s)
{
	struct ipcshare_buf bufs[MOST];

	for (int r = 0; r < m->t.nranks; r++) {
		s->n[r] = draw(m, MOST + 1);
		s->lazy[r] = !draw(m, 3);
		draw_cells(m, s->cells[r], s->n[r]);
	}
	for (size_t i = 0; i < s->n[m->t.rank]; i++)
		bufs[i] = buf_of(m, s->cells[m->t.rank][i]);
	s->set = team_share(&m->t, bufs, s->n[m->t.rank], s->lazy[m->t.rank] ? IPCSHARE_LAZY : 0);
}

static void step_update(struct model *m, struct model_set *s)
{
	int strict = !draw(m, 4), fails = 0;
	struct ipcshare_buf bufs[MOST];
	struct model_set after = *s;
	size_t index[MOST], k = 0;

	for (int r = 0; r < m->t.nranks; r++) {
		struct cell fresh[MOST];
		uint32_t one_in = 1 + draw(m, 5);

		draw_cells(m, fresh, s->n[r]);
		for (size_t i = s->n[r]; i--;) { /* backwards: any order will do */
			if (draw(m, one_in))
				continue;
			after.cells[r][i] = fresh[i];
			fails |= strict && fresh[i].slot == -2;
			if (r == m->t.rank) {
				index[k] = i;
				bufs[k++] = buf_of(m, fresh[i]);
			}
		}
	}
	if (fails) {
		CHECK_FAILS(ipcshare_set_update(s->set, index, bufs, k, IPCSHARE_ALL_OR_NOTHING),
			    IPCSHARE_ERR_NOT_SHAREABLE);
		return;
	}
	REQUIRE_OK(ipcshare_set_update(s->set, index, bufs, k,
				       strict ? IPCSHARE_ALL_OR_NOTHING : 0));
	*s = after;
}

/* A free is refused as long as a set has it, and must work as soon as none has. */
static void step_replace(struct model *m)
{
	for (int r = 0; r < m->t.nranks; r++) {
		int slot = (int)draw(m, SLOTS), held = is_held(m, r, slot);

		if (r == m->t.rank)
			CHECK_STATUS(ipcshare_free(m->t.ctx, m->memory[slot]),
				     held ? IPCSHARE_ERR_BUSY : 0);
		if (!held)
			slot_alloc(m, r, slot);
	}
}

static void step(struct model *m)
{
	struct model_set *s = &m->sets[draw(m, SETS)];
	uint32_t kind = draw(m, 8);

	if (kind < 2)
		step_replace(m);
	else if (!s->set)
		step_share(m, s);
	else if (kind == 2) {
		if (m->t.nranks > 1)
			test_rank_barrier(m->me, 1); /* all have looked */
		REQUIRE_OK(ipcshare_set_free(s->set));
		s->set = NULL;
	} else
		step_update(m, s);
	if (s->set)
		check_set(m, s);
}

static void lives_at_random(struct test_rank *me, void *arg)
{
	struct model m = { .me = me, .state = (uint32_t)test_setting("TEST_SEED", SEED), .next_serial = 1 };

	if (me->nranks == 1)
		me->bootstrap = team_alone;
	team_join(me, &m.t);
	for (int r = 0; r < m.t.nranks; r++)
		for (int slot = 0; slot < SLOTS; slot++)
			slot_alloc(&m, r, slot);
	for (int i = 0; i < *(int *)arg; i++)
		step(&m);
	test_rank_barrier(me, 1);
	for (int k = 0; k < SETS; k++)
		CHECK_STATUS(ipcshare_set_free(m.sets[k].set), 0);
	for (int slot = 0; slot < SLOTS; slot++)
		CHECK_STATUS(ipcshare_free(m.t.ctx, m.memory[slot]), 0);
	team_leave_quietly(&m.t);
}

#ifdef __SANITIZE_THREAD__
#define ALONE 10000 /* there is but one thread; it is slow */
#else
#define ALONE 100000
#endif

/* Without anybody to wait for, and so far more of them. */
static void a_rank_alone_agrees_with_the_model(void)
{
	test_ranks(1, lives_at_random, &(int){ ALONE });
}

static void processes_agree_with_the_model(void)
{
	test_ranks(RANKS, lives_at_random, &(int){ 4000 });
}

static void threads_agree_with_the_model(void)
{
	test_thread_ranks(RANKS, lives_at_random, &(int){ 300 });
}

TEST_SUITE(set_model, NULL, NULL,
	TEST(a_rank_alone_agrees_with_the_model),
	TEST(processes_agree_with_the_model),
	TEST(threads_agree_with_the_model));
