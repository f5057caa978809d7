/* SPDX-License-Identifier: BSD-3-Clause */
/* Planning of many copies: against the plain list, byte by byte. */
#include <stdio.h>
#include <stdlib.h>

#include "backend/pieces.h"
#include "support/test.h"

#define ROOM 65536
#define MOST 2000

static const struct ipcshare__run_limits wide = { ROOM, ROOM }, none = { 0, 1 };

static unsigned char source[ROOM], expected[ROOM], actual[ROOM];
static struct ipcshare__piece pieces[MOST];
static size_t npieces;

static void nothing_yet(void)
{
	for (size_t i = 0; i < ROOM; i++)
		source[i] = (unsigned char)(1 + i % 251);
	memset(expected, 0, ROOM);
	memset(actual, 0, ROOM);
	npieces = 0;
}

static void piece(size_t to, size_t from, size_t len)
{
	memcpy(expected + to, source + from, len);
	pieces[npieces++] = (struct ipcshare__piece){ actual + to, source + from, len };
}

static void move_do(const struct ipcshare__move *m, struct ipcshare__run_limits limits)
{
	CHECK(m->width && m->height, "%zu x %zu", m->width, m->height);
	if (m->height > 1) {
		CHECK(m->dpitch >= m->width && m->spitch >= m->width, "pitches %zu and %zu of %zu",
		      m->dpitch, m->spitch, m->width);
		CHECK(m->width <= limits.width && m->height <= limits.height, "%zu x %zu", m->width,
		      m->height);
	}
	for (size_t row = 0; row < m->height; row++)
		memcpy(m->dst + row * m->dpitch, m->src + row * m->spitch, m->width);
}

/* Carry the pieces out; the number of moves it took. */
static size_t carry_out(struct ipcshare__run_limits limits)
{
	struct ipcshare__moves moves;

	REQUIRE_OK(ipcshare__moves_plan(pieces, npieces, limits, &moves));
	for (size_t i = 0; i < moves.n; i++)
		move_do(&moves.list[i], limits);
	free(moves.list);
	CHECK_MEM(actual, expected, ROOM);
	return moves.n;
}

static void shuffle(void)
{
	for (size_t i = npieces; i > 1; i--) {
		size_t other = (size_t)rand() % i;
		struct ipcshare__piece p = pieces[other];

		pieces[other] = pieces[i - 1];
		pieces[i - 1] = p;
	}
}

static void adjacent_pieces_are_one_move(void)
{
	for (size_t i = 0; i < 1000; i++)
		piece(100 + 32 * i, 7 + 32 * i, 32);
	CHECK_INT(carry_out(wide), 1);
	shuffle();
	CHECK_INT(carry_out(wide), 1);
	CHECK_INT(carry_out(none), 1);
}

static void pieces_that_meet_on_one_side_only_are_not_merged(void)
{
	piece(0, 0, 8);
	piece(8, 16, 24);
	CHECK_INT(carry_out(wide), 2);
	piece(64, 40, 24); /* the source goes on, the destination does not */
	CHECK_INT(carry_out(none), 3);
}

static void evenly_spaced_pieces_are_one_run(void)
{
	for (size_t i = 0; i < 1000; i++)
		piece(24 * i, 5 + 60 * i, 16);
	CHECK_INT(carry_out(wide), 1);
	shuffle();
	CHECK_INT(carry_out(wide), 1);
	CHECK_INT(carry_out(none), 1000);
}

static void rows_of_cells_are_merged_before_they_are_a_run(void)
{
	for (size_t row = 0; row < 50; row++)
		for (size_t cell = 0; cell < 8; cell++)
			piece(512 * row + 8 * cell, 300 * row + 8 * cell, 8);
	CHECK_INT(carry_out(wide), 1);
}

/* A pull of alternate cells from two peers: neighbours in the destination, not in the sources. */
static void cells_of_two_peers_are_two_runs(void)
{
	for (size_t i = 0; i < 500; i++) {
		piece(32 * i, 24 * i, 16);
		piece(32 * i + 16, 32768 + 24 * i, 16);
	}
	CHECK_INT(carry_out(wide), 2);
}

/* A push: neighbours in the source. */
static void cells_for_two_peers_are_two_runs(void)
{
	for (size_t i = 0; i < 500; i++) {
		piece(24 * i, 32 * i, 16);
		piece(32768 + 24 * i, 32 * i + 16, 16);
	}
	CHECK_INT(carry_out(wide), 2);
}

static void a_run_of_another_length_or_stride_is_another_one(void)
{
	for (size_t i = 0; i < 100; i++)
		piece(24 * i, 48 * i, 16);
	for (size_t i = 0; i < 100; i++) /* another width */
		piece(10000 + 24 * i, 10000 + 48 * i, 8);
	for (size_t i = 0; i < 100; i++) /* another stride of the source */
		piece(20000 + 24 * i, 20000 + 50 * i, 8);
	CHECK_INT(carry_out(wide), 3);
}

static void one_source_for_many_destinations_is_no_run(void)
{
	for (size_t i = 0; i < 100; i++)
		piece(24 * i, 40, 16);
	CHECK_INT(carry_out(wide), 100); /* the pitch would be 0 */
}

static void runs_stay_below_the_limits(void)
{
	struct ipcshare__run_limits few = { 16, 30 }, narrow = { 15, 1000 };

	for (size_t i = 0; i < 100; i++)
		piece(24 * i, 48 * i, 16);
	CHECK_INT(carry_out(few), 4); /* 30 + 30 + 30 + 10 */
	CHECK_INT(carry_out(narrow), 100);
}

static void empty_pieces_are_nothing(void)
{
	CHECK_INT(carry_out(wide), 0);
	for (size_t i = 0; i < 10; i++)
		piece(i, i, 0);
	CHECK_INT(carry_out(wide), 0);
	piece(0, 0, 8);
	piece(100, 200, 0);
	piece(8, 8, 8);
	CHECK_INT(carry_out(wide), 1);
}

/* Destinations one after the other with gaps that are often 0 or the same as before. */
static void random_pieces(void)
{
	size_t to = 0, from = 0, len = 8, gap = 0, skip = 0;

	while (npieces < MOST) {
		if (rand() % 4 == 0)
			len = (size_t)rand() % 40;
		if (rand() % 4 == 0)
			gap = (size_t)(rand() % 3) * 8;
		if (rand() % 4 == 0)
			skip = (size_t)(rand() % 3) * 8;
		if (rand() % 20 == 0)
			from = (size_t)rand() % (ROOM / 2);
		if (to + len > ROOM || from + len > ROOM)
			break;
		piece(to, from, len);
		to += len + gap;
		from += len + skip;
	}
}

static void random_pieces_move_the_same_bytes_in_no_more_moves(void)
{
	for (unsigned seed = 1; seed <= 300; seed++) {
		size_t n = 0, moves;

		srand(seed);
		nothing_yet();
		random_pieces();
		if (seed % 2)
			shuffle();
		for (size_t i = 0; i < npieces; i++)
			n += pieces[i].len != 0;
		moves = carry_out(seed % 3 ? wide : none);
		CHECK(moves <= n, "seed %u: %zu moves for %zu pieces", seed, moves, n);
	}
}

TEST_SUITE(pieces, nothing_yet, NULL,
	TEST(adjacent_pieces_are_one_move),
	TEST(pieces_that_meet_on_one_side_only_are_not_merged),
	TEST(evenly_spaced_pieces_are_one_run),
	TEST(rows_of_cells_are_merged_before_they_are_a_run),
	TEST(cells_of_two_peers_are_two_runs),
	TEST(cells_for_two_peers_are_two_runs),
	TEST(a_run_of_another_length_or_stride_is_another_one),
	TEST(one_source_for_many_destinations_is_no_run),
	TEST(runs_stay_below_the_limits),
	TEST(empty_pieces_are_nothing),
	TEST(random_pieces_move_the_same_bytes_in_no_more_moves));
