/* SPDX-License-Identifier: BSD-3-Clause */
/* Who carries what over the slowest border. */
#include "support/test.h"
#include "topo/border.h"

#define MOST 12
#define ON(package_, numa_) { .package = (package_), .numa = (numa_), .cache = -1, .device_numa = -1 }

static const struct shape {
	int nranks;
	struct ipcshare__wire_place places[MOST];
	enum ipcshare_level level;
	int most;
} shapes[] = {
	{ 1, { ON(0, 0) }, IPCSHARE_LEVEL_NODE, 1 },
	{ 3, { ON(-1, -1), ON(-1, -1), ON(-1, -1) }, IPCSHARE_LEVEL_NODE, 3 },
	{ 6, { ON(0, 0), ON(1, 2), ON(0, 1), ON(1, 2), ON(0, 0), ON(1, 3) }, IPCSHARE_LEVEL_PACKAGE, 3 },
	{ 5, { ON(2, 4), ON(2, 5), ON(2, 4), ON(2, 5), ON(2, 5) }, IPCSHARE_LEVEL_NUMA, 3 },
	{ 12, { ON(3, 0), ON(2, 0), ON(1, 0), ON(0, 0), ON(3, 0), ON(2, 0), ON(1, 0), ON(0, 0), ON(0, 0), ON(0, 0),
		ON(0, 0), ON(1, 0) }, IPCSHARE_LEVEL_PACKAGE, 5 },
};

/* A part numbers its ranks, each once, and knows them by their numbers. */
static void check_mates(const struct ipcshare__border *b, int n, int rank)
{
	int mates = 0;

	for (int r = 0; r < n; r++)
		mates += !ipcshare__border_divides(b, rank, r);
	CHECK_INT(b->mates[rank], mates);
	CHECK_INT(ipcshare__border_mate(b, rank, ipcshare__border_number(b, rank)), rank);
	for (int k = 0; k < mates; k++) {
		int mate = ipcshare__border_mate(b, rank, k);

		CHECK(mate >= 0 && mate < n && !ipcshare__border_divides(b, rank, mate) &&
		      ipcshare__border_number(b, mate) == k, "mate %d of rank %d is %d", k, rank, mate);
	}
}

/* What the ranks of one part give is carried into another part by as many of its ranks as can share it. */
static void check_carriers(const struct ipcshare__border *b, int n, int from, int to)
{
	int carries[MOST] = { 0 }, most = (b->mates[from] + b->mates[to] - 1) / b->mates[to];

	for (int s = 0; s < n; s++)
		if (!ipcshare__border_divides(b, from, s))
			carries[ipcshare__border_carrier(b, s, to)]++;
	for (int r = 0; r < n; r++)
		CHECK(carries[r] <= (ipcshare__border_divides(b, to, r) ? 0 : most), "rank %d carries %d", r,
		      carries[r]);
}

static void what_comes_from_behind_it_is_carried_evenly(void)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *s = &shapes[i];
		struct ipcshare__border b;
		struct ipcshare__levels l;

		REQUIRE_OK(ipcshare__levels_make(s->places, s->nranks, &l));
		REQUIRE_OK(ipcshare__border_make(&l, &b));
		CHECK_INT(b.level, s->level);
		CHECK_INT(b.most, s->most);
		for (int r = 0; r < s->nranks; r++) {
			check_mates(&b, s->nranks, r);
			for (int other = 0; other < s->nranks; other++)
				check_carriers(&b, s->nranks, other, r);
		}
		ipcshare__border_clear(&b);
		ipcshare__levels_clear(&l);
	}
}

static void parts_are_numbered_by_their_first_ranks(void)
{
	static const int parts[] = { 1, 1, 2, 2, 4 }, in_order[] = { 1, 1, 0, 0, 0 };

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *s = &shapes[i];
		struct ipcshare__border b;
		struct ipcshare__levels l;
		int next = 0;

		REQUIRE_OK(ipcshare__levels_make(s->places, s->nranks, &l));
		REQUIRE_OK(ipcshare__border_make(&l, &b));
		CHECK_INT(b.parts, parts[i]);
		CHECK_INT(ipcshare__border_in_order(&b), in_order[i]);
		for (int r = 0; r < s->nranks; r++) {
			int part = ipcshare__border_part(&b, r), leader = ipcshare__border_leader(&b, part);

			CHECK(part <= next && leader <= r && !ipcshare__border_divides(&b, r, leader), "rank %d: part %d of %d",
			      r, part, leader);
			next += part == next && leader == r;
		}
		CHECK_INT(next, b.parts);
		ipcshare__border_clear(&b);
		ipcshare__levels_clear(&l);
	}
}

static void a_rank_that_comes_back_breaks_the_order(void)
{
	static const struct ipcshare__wire_place in_order[] = { ON(4, 0), ON(4, 1), ON(2, 2), ON(2, 2), ON(3, 0) },
						 back[] = { ON(4, 0), ON(2, 1), ON(2, 2), ON(4, 2), ON(3, 0) };
	struct ipcshare__border b;
	struct ipcshare__levels l;

	for (int i = 0; i < 2; i++) {
		REQUIRE_OK(ipcshare__levels_make(i ? back : in_order, 5, &l));
		REQUIRE_OK(ipcshare__border_make(&l, &b));
		CHECK_INT(ipcshare__border_in_order(&b), !i);
		ipcshare__border_clear(&b);
		ipcshare__levels_clear(&l);
	}
}

TEST_SUITE(border, NULL, NULL,
	TEST(what_comes_from_behind_it_is_carried_evenly),
	TEST(parts_are_numbered_by_their_first_ranks),
	TEST(a_rank_that_comes_back_breaks_the_order));
