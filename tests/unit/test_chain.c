/* SPDX-License-Identifier: BSD-3-Clause */
/* A long allreduce goes from package to package, in the order of the ranks, and comes back once to each. */
#include <stdlib.h>

#include "coll_case.h"
#include "rounds.h"
#include "support/moved.h"

#define ARENA ((size_t)80 << 20)
#define MOST 8
#define LEAST_PIECE (16 << 10)

enum { ROUNDS = 3, RELAYED_ROUNDS = 4, BEFORE = 2 }; /* before the first chunk */

#define AT(package_) { .package = (package_), .numa = (package_), .cache = -1, .first = -1, .device_numa = -1 }

/* How often the array crosses the border to be reduced: of floats, and of integers. */
static const struct shape {
	const char *name;
	int nranks, parts, most;
	struct ipcshare__wire_place places[MOST];
	int floats, integers;
	int is_ordered;
} shapes[] = {
	{ "2 packages in order", 4, 2, 2, { AT(0), AT(0), AT(1), AT(1) }, 2, 2, 1 },
	{ "2 packages in turn", 4, 2, 2, { AT(0), AT(1), AT(0), AT(1) }, 3, 2, 0 },
	{ "3 packages in order", 6, 3, 2, { AT(2), AT(2), AT(0), AT(0), AT(1), AT(1) }, 4, 4, 1 },
	{ "3 packages in turn", 6, 3, 2, { AT(0), AT(1), AT(2), AT(0), AT(1), AT(2) }, 6, 4, 0 },
	{ "4 ranks and 2", 6, 2, 4, { AT(0), AT(0), AT(0), AT(0), AT(1), AT(1) }, 2, 2, 1 },
	{ "one alone before", 4, 2, 3, { AT(0), AT(1), AT(1), AT(1) }, 2, 2, 1 },
	{ "one alone behind", 4, 2, 3, { AT(0), AT(0), AT(0), AT(1) }, 2, 2, 1 },
	{ "one alone between", 5, 2, 4, { AT(0), AT(0), AT(1), AT(0), AT(0) }, 0, 2, 0 },
};

static int chain_rounds(const struct shape *s, size_t len)
{
	size_t chunk = (len / 8 + 127) / 128 * 128, least = (size_t)s->most * LEAST_PIECE, most = 32 * least;

	chunk = chunk > most ? most : chunk > least ? chunk : least;
	return BEFORE + (int)((len + chunk - 1) / chunk) + s->parts + 1;
}

/* All @len bytes come, in the right order and to the last bit, with so few of them over the border. */
static void reduces(struct test_rank *me, struct team *t, struct coll_arena *arena, const struct shape *s,
		    enum ipcshare_type type, size_t len, int in_place)
{
	struct coll_case c = {
		.group = t->group, .rank = t->rank, .nranks = t->nranks, .which = COLL_ALLREDUCE, .type = type,
		.op = IPCSHARE_SUM, .count = len / ipcshare_type_size(type), .in_place = in_place, .arena = arena,
		.seed = len + (uint64_t)type,
	};
	int is_exact = type < IPCSHARE_FP16, chains = is_exact || s->is_ordered;
	int crossed = is_exact ? s->integers : s->floats;
	uint64_t before = team_far_bytes(me, t), more;
	struct rounds rounds = { .special = -1 };

	len = c.count * ipcshare_type_size(type);
	rounds_watch(&rounds);
	coll_case_run(&c);
	rounds_watch(NULL);
	more = team_far_bytes(me, t) - before;
	CHECK(rounds.posted == (chains ? chain_rounds(s, len) : RELAYED_ROUNDS), "%s, %s, %zu bytes: %d rounds",
	      s->name, ipcshare_type_name(type), len, rounds.posted);
	CHECK(!crossed || more == (uint64_t)crossed * len, "%s, %s: %g times %zu bytes crossed", s->name,
	      ipcshare_type_name(type), (double)more / (double)len, len);
}

static void goes_along_packages(struct test_rank *me, void *arg)
{
	static const enum ipcshare_type types[] = { IPCSHARE_UINT8, IPCSHARE_INT64, IPCSHARE_BF16, IPCSHARE_FP64 };
	static const size_t lens[] = { 64 << 10, (300 << 10) + 40, (1 << 20) - 8 };
	struct coll_arena arena = { .size = ARENA };
	const struct shape *s = arg;
	struct ipcshare_set *set;
	struct team t;

	setenv("IPCSHARE_COLL_RELAY", "0", 1);
	team_join(me, &t);
	arena.base = team_alloc(t.ctx, ARENA);
	set = team_share(&t, &(struct ipcshare_buf){ arena.base, ARENA }, 1, 0);
	for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++)
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
			for (int in_place = 0; in_place < 2; in_place++)
				reduces(me, &t, &arena, s, types[k], lens[i], in_place);
	if (s == shapes) /* the longest chunks there are */
		reduces(me, &t, &arena, s, IPCSHARE_INT64, 9 << 20, 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_barrier(t.group), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, arena.base), 0);
	team_leave(&t);
}

static void an_allreduce_goes_along_the_packages_and_comes_back_once_to_each(void)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		test_ranks_with((&(struct test_ranks){
			.nranks = shapes[i].nranks, .fn = goes_along_packages, .arg = (void *)&shapes[i],
			.filter = test_moved, .filter_arg = (void *)shapes[i].places }));
}

/* ---- An op for which the order counts ---- */

#define N ((size_t)64 << 10)

static void times_31_and(void *acc, const void *in, size_t count, enum ipcshare_type type, void *arg)
{
	const uint32_t *y = in;
	uint32_t *x = acc;

	(void)type;
	(void)arg;
	for (size_t i = 0; i < count; i++)
		x[i] = x[i] * 31 + y[i];
}

static uint32_t given(int rank, size_t i)
{
	return (uint32_t)(i * 7 + (size_t)rank * 1009);
}

static void reduces_by_its_own(struct test_rank *me, void *arg)
{
	static const struct ipcshare_op op = { sizeof(op), times_31_and, NULL };
	struct rounds rounds = { .special = -1 };
	const struct shape *s = arg;
	struct ipcshare_set *set;
	size_t wrong = 0;
	uint32_t *mine;
	struct team t;

	setenv("IPCSHARE_COLL_RELAY", "0", 1);
	team_join(me, &t);
	mine = team_alloc(t.ctx, 2 * N * sizeof(*mine));
	set = team_share(&t, &(struct ipcshare_buf){ mine, 2 * N * sizeof(*mine) }, 1, 0);
	for (size_t i = 0; i < N; i++)
		mine[i] = given(t.rank, i);
	rounds_watch(&rounds);
	CHECK_STATUS(ipcshare_allreduce(t.group, mine, mine + N, N, IPCSHARE_UINT32, &op), 0);
	rounds_watch(NULL);
	for (size_t i = 0; i < N; i++) {
		uint32_t sum = given(0, i);

		for (int r = 1; r < t.nranks; r++)
			sum = sum * 31 + given(r, i);
		wrong += mine[N + i] != sum;
	}
	CHECK_INT(wrong, 0);
	CHECK_INT(rounds.posted, s->is_ordered ? chain_rounds(s, N * sizeof(*mine)) : RELAYED_ROUNDS);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void an_op_of_the_program_has_the_ranks_in_their_order(void)
{
	for (size_t i = 0; i < 4; i++)
		test_ranks_with((&(struct test_ranks){
			.nranks = shapes[i].nranks, .fn = reduces_by_its_own, .arg = (void *)&shapes[i],
			.filter = test_moved, .filter_arg = (void *)shapes[i].places }));
}

TEST_SUITE(chain, NULL, NULL,
	TEST(an_allreduce_goes_along_the_packages_and_comes_back_once_to_each),
	TEST(an_op_of_the_program_has_the_ranks_in_their_order));
