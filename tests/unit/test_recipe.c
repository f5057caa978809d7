/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Long lists of few runs that are shared again and again: their tables are kept, and must never be had when
 * anything has changed, on whichever rank.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "group/set.h"
#include "team.h"

#define SEED 20261127u
#define RANKS 3
#define SLOTS 2 /* allocations of a rank */
#define UNIT 64u
#define UNITS 8000u /* of an allocation */
#define LISTS 4
#define RUNS 3
#define MOST (RUNS * UNITS / 2)
#define STEPS 300

struct run {
	int slot;
	uint32_t first, stride, count, len; /* the first three in units */
};

struct list {
	struct run runs[RUNS];
	size_t n; /* buffers */
};

struct cell {
	int slot;
	uint32_t unit, len;
};

struct model {
	struct team t;
	struct test_rank *me;
	uint32_t state;
	uint64_t serial[RANKS][SLOTS], next_serial;
	char *memory[SLOTS]; /* of the caller */
	struct list lists[RANKS][LISTS];
	struct cell cells[RANKS][MOST]; /* of the set */
	size_t n[RANKS];
};

static uint32_t draw(struct model *m, uint32_t below)
{
	m->state = m->state * 1664525u + 1013904223u;
	return (m->state >> 8) % below;
}

static uint64_t word_of(int rank, uint64_t serial, uint32_t unit)
{
	return (uint64_t)rank << 56 | serial << 32 | unit;
}

static void slot_alloc(struct model *m, int rank, int slot)
{
	m->serial[rank][slot] = m->next_serial++;
	if (rank != m->t.rank)
		return;
	m->memory[slot] = team_alloc(m->t.ctx, UNITS * UNIT);
	for (uint32_t u = 0; u < UNITS; u++)
		*(uint64_t *)(m->memory[slot] + u * UNIT) = word_of(rank, m->serial[rank][slot], u);
}

/* ---- Lists ---- */

static void draw_list(struct model *m, struct list *list)
{
	list->n = 0;
	for (int k = 0; k < RUNS; k++) {
		struct run *r = &list->runs[k];

		r->slot = (int)draw(m, SLOTS);
		r->stride = 1 + draw(m, 2);
		r->count = UNITS / 2 - draw(m, 200);
		r->first = draw(m, UNITS - r->stride * (r->count - 1));
		r->len = 8 + draw(m, UNIT - 8);
		list->n += r->count;
	}
}

static void list_unroll(const struct list *list, struct cell *cells)
{
	for (int k = 0; k < RUNS; k++) {
		const struct run *r = &list->runs[k];

		for (uint32_t i = 0; i < r->count; i++)
			*cells++ = (struct cell){ r->slot, r->first + i * r->stride, r->len };
	}
}

/* ---- A set of what all ranks chose, and what the model says of it ---- */

static void check_set(const struct model *m, const struct ipcshare_set *set)
{
	for (int r = 0; r < m->t.nranks; r++) {
		size_t wrong = 0;

		REQUIRE_INT(ipcshare_count(set, r), m->n[r]);
		for (size_t i = 0; i < m->n[r]; i++) {
			const struct cell *c = &m->cells[r][i];
			const uint64_t *p = ipcshare_ptr(set, r, i);

			REQUIRE(p, "buffer %zu of rank %d is not there: status %d", i, r,
				ipcshare_set_status(set, r, i));
			wrong += *p != word_of(r, m->serial[r][c->slot], c->unit) ||
				 ipcshare_len(set, r, i) != c->len;
		}
		CHECK_INT(wrong, 0);
	}
	CHECK_INT(ipcshare_set_failures(set), 0);
}

static struct ipcshare_set *share_lists(struct model *m)
{
	static struct ipcshare_buf bufs[MOST];

	for (int r = 0; r < m->t.nranks; r++) {
		const struct list *list = &m->lists[r][draw(m, LISTS)];

		list_unroll(list, m->cells[r]);
		m->n[r] = list->n;
		if (!draw(m, 4)) /* one buffer is another */
			m->cells[r][draw(m, (uint32_t)list->n)].unit = draw(m, UNITS);
	}
	for (size_t i = 0; i < m->n[m->t.rank]; i++) {
		const struct cell *c = &m->cells[m->t.rank][i];

		bufs[i] = (struct ipcshare_buf){ m->memory[c->slot] + c->unit * UNIT, c->len };
	}
	return team_share(&m->t, bufs, m->n[m->t.rank], 0);
}

static void update_one(struct model *m, struct ipcshare_set *set)
{
	for (int r = 0; r < m->t.nranks; r++) {
		size_t i = draw(m, (uint32_t)m->n[r]);
		struct cell *c = &m->cells[r][i];
		struct ipcshare_buf buf;

		*c = (struct cell){ (int)draw(m, SLOTS), draw(m, UNITS), 8 };
		buf = (struct ipcshare_buf){ m->memory[c->slot] + c->unit * UNIT, c->len };
		REQUIRE_OK(ipcshare_set_update(set, &i, &buf, r == m->t.rank, 0));
	}
}

static void replace_one(struct model *m)
{
	for (int r = 0; r < m->t.nranks; r++) {
		int slot = (int)draw(m, SLOTS);

		if (r == m->t.rank)
			REQUIRE_OK(ipcshare_free(m->t.ctx, m->memory[slot]));
		slot_alloc(m, r, slot);
	}
}

static void step(struct model *m)
{
	struct ipcshare_set *set = share_lists(m);

	check_set(m, set);
	if (!draw(m, 4)) {
		update_one(m, set);
		check_set(m, set);
	}
	test_rank_barrier(m->me, 1); /* all have looked */
	REQUIRE_OK(ipcshare_set_free(set));
	if (!draw(m, 6))
		replace_one(m);
	if (!draw(m, 8))
		REQUIRE_OK(ipcshare_trim(m->t.ctx, NULL));
}

static void shares_again_and_again(struct test_rank *me, void *arg)
{
	static struct model m;

	(void)arg;
	m = (struct model){ .me = me, .state = SEED, .next_serial = 1 };
	team_join(me, &m.t);
	for (int r = 0; r < m.t.nranks; r++) {
		for (int slot = 0; slot < SLOTS; slot++)
			slot_alloc(&m, r, slot);
		for (int k = 0; k < LISTS; k++)
			draw_list(&m, &m.lists[r][k]);
	}
	for (int i = 0; i < STEPS; i++)
		step(&m);
	for (int slot = 0; slot < SLOTS; slot++)
		CHECK_STATUS(ipcshare_free(m.t.ctx, m.memory[slot]), 0);
	team_leave(&m.t);
}

static void a_list_shared_again_is_what_it_is_now(void)
{
	test_ranks(RANKS, shares_again_and_again, NULL);
}

/* ---- They are kept ---- */

/* Where the tables of all ranks are. */
static void tables(const struct ipcshare_set *set, const void **out)
{
	for (int r = 0; r < set->nranks; r++)
		out[r] = ipcshare_table(set, r)->ptr;
}

static struct ipcshare_set *share_units(struct team *t, char *memory, uint32_t len)
{
	static struct ipcshare_buf bufs[UNITS];

	for (uint32_t u = 0; u < UNITS; u++)
		bufs[u] = (struct ipcshare_buf){ memory + u * UNIT, len };
	return team_share(t, bufs, UNITS, 0);
}

/* Blocks that are kept come back in turns, unless they are found by what is in them. */
static void finds_its_tables(struct test_rank *me, void *arg)
{
	const void *before[RANKS], *after[RANKS];
	struct ipcshare_set *set;
	struct team t;
	char *memory;

	(void)arg;
	team_join(me, &t);
	memory = team_alloc(t.ctx, UNITS * UNIT);
	set = share_units(&t, memory, 8);
	tables(set, before);
	REQUIRE_OK(ipcshare_set_free(set));
	for (int again = 0; again < 3; again++) {
		set = share_units(&t, memory, 8);
		tables(set, after);
		CHECK_MEM(after, before, sizeof(after));
		REQUIRE_OK(ipcshare_set_free(set));
	}
	set = share_units(&t, memory, 9);
	for (int r = 0; r < RANKS; r++)
		CHECK_INT(ipcshare_len(set, r, UNITS - 1), 9);
	REQUIRE_OK(ipcshare_set_free(set));
	REQUIRE_OK(ipcshare_free(t.ctx, memory));
	team_leave(&t);
}

static void a_list_shared_again_has_the_tables_it_had(void)
{
	test_ranks(RANKS, finds_its_tables, NULL);
}

/* Blocks that small are not kept, so what they were made from is no matter. */
static void shares_a_short_list(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[1000];
	struct ipcshare_set *set;
	struct team t;
	char *memory;

	(void)arg;
	team_join(me, &t);
	memory = team_alloc(t.ctx, 1000 * UNIT);
	for (int i = 0; i < 1000; i++)
		bufs[i] = (struct ipcshare_buf){ memory + i * (int)UNIT, 8 };
	set = team_share(&t, bufs, 1000, 0);
	for (int r = 0; r < t.nranks; r++)
		CHECK_PTR(ipcshare__set_of(set)->rows[r].cells.recipe, NULL);
	REQUIRE_OK(ipcshare_set_free(set));
	REQUIRE_OK(ipcshare_free(t.ctx, memory));
	team_leave(&t);
}

static void a_short_list_has_no_recipe(void)
{
	test_ranks(2, shares_a_short_list, NULL);
}

/* Mappings end with the set, and then something else is where they were. */
static void finds_another_place_taken(struct test_rank *me, void *arg)
{
	char *memory, *was[RANKS];
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	setenv("IPCSHARE_CACHE_ENTRIES", "0", 1);
	team_join(me, &t);
	memory = team_alloc(t.ctx, UNITS * UNIT);
	memset(memory, me->rank, UNITS * UNIT);
	set = share_units(&t, memory, 8);
	for (int r = 0; r < RANKS; r++)
		was[r] = ipcshare_ptr(set, r, 0);
	REQUIRE_OK(ipcshare_set_free(set));
	for (int r = 0; r < RANKS; r++)
		if (r != me->rank)
			REQUIRE(mmap(was[r], UNITS * UNIT, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
				     MAP_FIXED_NOREPLACE, -1, 0) == was[r], "it is still mapped");
	set = share_units(&t, memory, 8);
	for (int r = 0; r < RANKS; r++)
		for (uint32_t u = 0; u < UNITS; u += UNITS / 4)
			CHECK_BYTES(ipcshare_ptr(set, r, u), r, 8);
	REQUIRE_OK(ipcshare_set_free(set));
	for (int r = 0; r < RANKS; r++)
		if (r != me->rank)
			munmap(was[r], UNITS * UNIT);
	REQUIRE_OK(ipcshare_free(t.ctx, memory));
	team_leave(&t);
}

static void tables_are_made_anew_for_memory_that_is_mapped_elsewhere(void)
{
	test_ranks(RANKS, finds_another_place_taken, NULL);
}

/* ---- Runs ---- */

/* Two allocations, one right behind the other; the lower one first. */
static void side_by_side(struct team *t, char **out)
{
	const size_t len = UNITS * UNIT - UNITS * UNIT % 65536;
	char *all[64];
	int n = 0, found = 0;

	while (!found && n < 64) {
		all[n++] = team_alloc(t->ctx, len);
		for (int i = 0; i < n - 1 && !found; i++) {
			found = all[i] + len == all[n - 1] || all[n - 1] + len == all[i];
			out[0] = all[i] < all[n - 1] ? all[i] : all[n - 1];
			out[1] = all[i] < all[n - 1] ? all[n - 1] : all[i];
		}
	}
	for (int i = 0; i < n; i++)
		if (!found || (all[i] != out[0] && all[i] != out[1]))
			REQUIRE_OK(ipcshare_free(t->ctx, all[i]));
	REQUIRE(found, "no two of %d allocations are neighbours", n);
}

static void shares_over_a_border(struct test_rank *me, void *arg)
{
	static struct ipcshare_buf bufs[100];
	struct ipcshare_set *set;
	struct team t;
	char *memory[2] = { NULL, NULL };

	(void)arg;
	team_join(me, &t);
	side_by_side(&t, memory);
	for (int i = 0; i < 100; i++) {
		bufs[i] = (struct ipcshare_buf){ memory[1] + (i - 50) * (int)UNIT, UNIT };
		memset(bufs[i].ptr, i + me->rank, UNIT);
	}
	set = team_share(&t, bufs, 100, 0);
	for (int r = 0; r < t.nranks; r++)
		for (size_t i = 0; i < 100; i++)
			CHECK_BYTES(ipcshare_ptr(set, r, i), (int)i + r, UNIT);
	test_rank_barrier(me, 1);
	REQUIRE_OK(ipcshare_set_free(set));
	REQUIRE_OK(ipcshare_free(t.ctx, memory[0]));
	REQUIRE_OK(ipcshare_free(t.ctx, memory[1]));
	team_leave(&t);
}

static void a_run_ends_with_its_allocation(void)
{
	test_ranks(2, shares_over_a_border, NULL);
}

/* A hash of what peers send: two of one tag are told apart. */
static void two_recipes_of_one_tag_are_not_the_same(void)
{
	struct ipcshare__wire_blob head = { .endpoint = 5, .nbufs = 7000, .ndescriptors = 2 };
	struct ipcshare__wire_descriptor d[2] = { { 1, 2 }, { 3, 4 } };
	struct ipcshare__recipe a, b;

	ipcshare__recipe_begin(&a, &head, (unsigned char *)d);
	b = a;
	CHECK(!ipcshare__recipe_same(&a, &b), "nothing was made of it");
	a.nregions = 1;
	CHECK(ipcshare__recipe_same(&a, &b), "they are");
	CHECK_INT(ipcshare__recipe_tag(&a), ipcshare__recipe_tag(&b));
	b.descriptors[1].where = 5;
	CHECK(!ipcshare__recipe_same(&a, &b), "another offset");
	b = a;
	b.endpoint = 6;
	CHECK(!ipcshare__recipe_same(&a, &b), "another rank's");
	b = a;
	b.access = IPCSHARE__READ_ONLY;
	CHECK(!ipcshare__recipe_same(&a, &b), "another access");
	b = a;
	b.nbufs--;
	CHECK(!ipcshare__recipe_same(&a, &b), "fewer buffers");
}

TEST_SUITE(recipe, NULL, NULL,
	TEST(a_list_shared_again_is_what_it_is_now),
	TEST(a_list_shared_again_has_the_tables_it_had),
	TEST(a_short_list_has_no_recipe),
	TEST(tables_are_made_anew_for_memory_that_is_mapped_elsewhere),
	TEST(a_run_ends_with_its_allocation),
	TEST(two_recipes_of_one_tag_are_not_the_same));
