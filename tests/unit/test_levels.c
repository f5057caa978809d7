/* SPDX-License-Identifier: BSD-3-Clause */
/* Who shares what, orders and trees: from the places of ranks on recorded machines. */
#include <stdio.h>
#include <stdlib.h>

#include "recorded.h"
#include "support/test.h"
#include "topo/levels.h"
#include "topo/place.h"

#define MOST 64

/* How ranks are bound: rank r to @width cores from core @step * r on, modulo @cores, and @shift more a lap. */
struct binding {
	const char *name;
	int nranks, width, step, cores, shift;
};

static const struct shape {
	const char *machine;
	struct binding how;
	int parts[IPCSHARE_LEVELS];
	/* borders crossed by ranks in a row, by number; and by the tree in which rank r is below r & (r - 1) */
	int in_a_row[IPCSHARE_LEVELS], binomial[IPCSHARE_LEVELS];
} shapes[] = {
	{ "2-packages-8-npus.xml", { "a core each, in a row", 32, 1, 1, 32, 0 },
	  { 1, 2, 4, 8 }, { 0, 1, 3, 7 }, { 0, 1, 3, 7 } },
	{ "2-packages-8-npus.xml", { "round the packages", 32, 1, 16, 32, 1 },
	  { 1, 2, 4, 8 }, { 0, 31, 31, 31 }, { 0, 16, 17, 19 } },
	{ "2-packages-8-npus.xml", { "round the NUMA nodes", 32, 1, 8, 32, 1 },
	  { 1, 2, 4, 8 }, { 0, 15, 31, 31 }, { 0, 8, 24, 25 } },
	{ "2-packages-8-npus.xml", { "a NUMA node for each NPU's rank", 8, 8, 8, 32, 0 },
	  { 1, 2, 4, 4 }, { 0, 3, 7, 7 }, { 0, 2, 6, 6 } },
	{ "2-packages-8-npus.xml", { "a package each", 4, 16, 16, 32, 0 },
	  { 1, 2, 2, 2 }, { 0, 3, 3, 3 }, { 0, 2, 2, 2 } },
	{ "2-packages-8-npus.xml", { "not bound", 8, 32, 0, 32, 0 },
	  { 1, 1, 1, 1 }, { 0, 0, 0, 0 }, { 0, 0, 0, 0 } },
	{ "2-packages-threads.xml", { "a thread each", 16, 1, 1, 16, 0 },
	  { 1, 2, 2, 4 }, { 0, 3, 3, 7 }, { 0, 2, 2, 6 } },
	{ "[numa] package:2 l3:1 core:4 pu:1", { "one NUMA node", 8, 1, 4, 8, 1 },
	  { 1, 2, 2, 2 }, { 0, 7, 7, 7 }, { 0, 4, 4, 4 } },
	{ "package:2 l3:1 group:2 [numa] core:2 pu:1", { "two nodes in a cache", 8, 1, 2, 8, 1 },
	  { 1, 2, 4, 4 }, { 0, 3, 7, 7 }, { 0, 2, 6, 6 } },
	{ "pu:3", { "a single one", 1, 1, 0, 3, 0 },
	  { 1, 1, 1, 1 }, { 0, 0, 0, 0 }, { 0, 0, 0, 0 } },
};

static void bind_rank(const struct ipcshare__machine *m, const struct binding *how, int rank,
		      struct ipcshare__wire_place *out)
{
	int from = how->step * rank % how->cores +
		   how->step * rank / how->cores * how->shift % how->cores;
	uint64_t cores = 0;

	for (int i = 0; i < how->width; i++)
		cores |= (uint64_t)1 << ((from + i) % how->cores);
	ipcshare__place_of(m, &cores, 1, -1, out);
}

/* Rank 0 first; each once. */
static void check_order(const struct ipcshare__levels *l)
{
	int seen[MOST] = { 0 };

	CHECK_INT(l->order[0], 0);
	for (int i = 0; i < l->nranks; i++)
		CHECK(l->order[i] >= 0 && l->order[i] < l->nranks && !seen[l->order[i]]++,
		      "rank %d stands at %d", l->order[i], i);
}

/* Leaders lead: they are their own, the lowest, and parts lie in one part of the level before. */
static void check_leaders(const struct ipcshare__levels *l)
{
	for (int level = 0; level < IPCSHARE_LEVELS; level++)
		for (int r = 0; r < l->nranks; r++) {
			int leader = l->leaders[level][r];

			CHECK(leader >= 0 && leader <= r && l->leaders[level][leader] == leader,
			      "level %d: rank %d is led by %d", level, r, leader);
			CHECK(!level || l->leaders[level - 1][leader] == l->leaders[level - 1][r],
			      "level %d: rank %d and its leader are not in one part outside", level,
			      r);
		}
}

/* Every rank reaches @root, in no more steps than there are levels. */
static void check_tree(const struct ipcshare__levels *l, int root, const int *parents)
{
	for (int r = 0; r < l->nranks; r++) {
		int at = r, steps = 0;

		while (at >= 0 && at != root && steps++ < IPCSHARE_LEVELS)
			at = parents[at];
		CHECK(at == root, "root %d: rank %d ends at %d", root, r, at);
	}
	CHECK_INT(parents[root], -1);
}

static void check_crossings(const struct shape *s, const struct ipcshare__levels *l)
{
	int row[MOST], binomial[MOST], parents[MOST];

	for (int r = 0; r < l->nranks; r++) {
		row[r] = r;
		binomial[r] = r ? r & (r - 1) : -1;
	}
	for (int level = 0; level < IPCSHARE_LEVELS; level++) {
		/* All that is connected crosses between k parts k - 1 times at least. */
		int parts = s->parts[level];

		CHECK(ipcshare__levels_parts(l, level) == parts, "level %d has %d parts", level,
		      ipcshare__levels_parts(l, level));
		CHECK(ipcshare__levels_crossed(l, level, l->order) == parts - 1,
		      "level %d: the order crosses %d times between %d parts", level,
		      ipcshare__levels_crossed(l, level, l->order), parts);
		CHECK(ipcshare__levels_crossed(l, level, row) == s->in_a_row[level],
		      "level %d: ranks in a row cross %d times", level,
		      ipcshare__levels_crossed(l, level, row));
		CHECK(ipcshare__levels_crossed_up(l, level, binomial) == s->binomial[level],
		      "level %d: a binomial tree crosses %d times", level,
		      ipcshare__levels_crossed_up(l, level, binomial));
		for (int root = 0; root < l->nranks; root++) {
			ipcshare__levels_tree(l, root, parents);
			CHECK(ipcshare__levels_crossed_up(l, level, parents) == parts - 1,
			      "level %d, root %d: the tree crosses %d times between %d parts", level,
			      root, ipcshare__levels_crossed_up(l, level, parents), parts);
			if (!level)
				check_tree(l, root, parents);
		}
	}
	test_figure("%s, %d ranks %s: packages crossed %d times, ranks in a row %d, binomial tree %d; "
		    "NUMA nodes %d, %d, %d; caches %d, %d, %d",
		    s->machine, l->nranks, s->how.name, s->parts[1] - 1, s->in_a_row[1],
		    s->binomial[1], s->parts[2] - 1, s->in_a_row[2], s->binomial[2], s->parts[3] - 1,
		    s->in_a_row[3], s->binomial[3]);
}

static void orders_and_trees_cross_each_border_least(void)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *s = &shapes[i];
		struct ipcshare__machine *m = recorded_machine(s->machine);
		struct ipcshare__wire_place places[MOST];
		struct ipcshare__levels l;

		if (!m)
			return;
		for (int r = 0; r < s->how.nranks; r++)
			bind_rank(m, &s->how, r, &places[r]);
		REQUIRE_OK(ipcshare__levels_make(places, s->how.nranks, &l));
		check_order(&l);
		check_leaders(&l);
		check_crossings(s, &l);
		ipcshare__levels_clear(&l);
		ipcshare__machine_free(m);
	}
}

/* ---- Few places, written out ---- */

#define ON(package, numa, cache) { package, numa, cache, 0, 1, -1, "" }

static void check_ints(const char *what, const int *are, const int *expected, int n)
{
	char text[256] = "";

	for (int i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %d", are[i]);
	CHECK(!memcmp(are, expected, (size_t)n * sizeof(*are)), "%s:%s", what, text);
}

static void ranks_that_are_not_bound_make_up_a_part(void)
{
	/* 1 and 4 may go anywhere, 2 anywhere in package 0; caches of two packages have one number */
	const struct ipcshare__wire_place places[] = {
		ON(1, 3, 12), ON(-1, -1, -1), ON(0, -1, -1), ON(1, 2, 8),
		ON(-1, -1, -1), ON(0, 0, 0), ON(1, 3, 12), ON(0, 0, 4),
	};
	struct ipcshare__levels l;
	int parents[8];

	REQUIRE_OK(ipcshare__levels_make(places, 8, &l));
	check_ints("node", l.leaders[0], (int[]){ 0, 0, 0, 0, 0, 0, 0, 0 }, 8);
	check_ints("package", l.leaders[1], (int[]){ 0, 1, 2, 0, 1, 2, 0, 2 }, 8);
	check_ints("NUMA node", l.leaders[2], (int[]){ 0, 1, 2, 3, 1, 5, 0, 5 }, 8);
	check_ints("cache", l.leaders[3], (int[]){ 0, 1, 2, 3, 1, 5, 0, 7 }, 8);
	check_ints("order", l.order, (int[]){ 0, 6, 3, 1, 4, 2, 5, 7 }, 8);
	ipcshare__levels_tree(&l, 0, parents);
	check_ints("tree of 0", parents, (int[]){ -1, 0, 0, 0, 1, 2, 0, 5 }, 8);
	ipcshare__levels_tree(&l, 7, parents);
	check_ints("tree of 7", parents, (int[]){ 7, 7, 7, 0, 1, 7, 0, -1 }, 8);
	ipcshare__levels_clear(&l);
}

/* Two caches that share a number, and two NUMA nodes, in different packages. */
static void a_part_lies_in_one_part_outside_it(void)
{
	const struct ipcshare__wire_place places[] = { ON(0, 5, 9), ON(1, 5, 9), ON(0, 5, 9) };
	struct ipcshare__levels l;

	REQUIRE_OK(ipcshare__levels_make(places, 3, &l));
	check_ints("NUMA node", l.leaders[2], (int[]){ 0, 1, 0 }, 3);
	check_ints("cache", l.leaders[3], (int[]){ 0, 1, 0 }, 3);
	check_ints("order", l.order, (int[]){ 0, 2, 1 }, 3);
	ipcshare__levels_clear(&l);
}

TEST_SUITE(levels, NULL, NULL,
	TEST(orders_and_trees_cross_each_border_least),
	TEST(ranks_that_are_not_bound_make_up_a_part),
	TEST(a_part_lies_in_one_part_outside_it));
