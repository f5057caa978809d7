/* SPDX-License-Identifier: BSD-3-Clause */
/* Long blocks in memory that the group shares: read where they are, if all of them lie so. */
#include "coll/direct.h"
#include "coll_case.h"
#include "rounds.h"

#define ARENA ((size_t)24 << 20)
#define COUNT (((size_t)256 << 10) + 4096)

static const enum coll_which direct[] = {
	COLL_BCAST, COLL_ALLGATHER, COLL_GATHER, COLL_SCATTER, COLL_ALLTOALL,
};
static const enum coll_which counted[] = {
	COLL_ALLGATHERV, COLL_GATHERV, COLL_SCATTERV, COLL_ALLTOALLV,
};

static const enum coll_which reduced[] = {
	COLL_ALLREDUCE, COLL_REDUCE, COLL_REDUCE_SCATTER, COLL_REDUCE_SCATTER_BLOCK, COLL_SCAN, COLL_EXSCAN,
};

enum { DIRECT_ROUNDS = 2, REDUCED_ROUNDS = 3 };

static struct coll_case long_case(struct team *t, enum coll_which which, struct coll_arena *arena)
{
	return (struct coll_case){
		.group = t->group, .rank = t->rank, .nranks = t->nranks, .which = which,
		.type = IPCSHARE_INT8, .op = IPCSHARE_SUM, .count = COUNT, .root = t->nranks - 1,
		.arena = arena, .seed = (uint64_t)which + 1,
	};
}

static int rounds_of(const struct coll_case *c)
{
	struct rounds rounds = { .special = -1 };

	rounds_watch(&rounds);
	coll_case_run(c);
	rounds_watch(NULL);
	return rounds.posted;
}

/* No rank holds a mapping of another's memory, so it can be freed. */
static void end(struct team *t, struct ipcshare_set *set, void *memory)
{
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_barrier(t->group), 0);
	CHECK_STATUS(ipcshare_free(t->ctx, memory), 0);
	team_leave(t);
}

static void moves_long_blocks(struct test_rank *me, void *arg)
{
	unsigned flags = arg ? IPCSHARE_READ_ONLY : 0;
	struct coll_arena arena = { .size = ARENA };
	struct ipcshare_set *set;
	struct team t;

	team_join(me, &t);
	arena.base = team_alloc(t.ctx, ARENA);
	/* Before it is shared, it is like any memory. */
	for (size_t i = 0; i < sizeof(direct) / sizeof(direct[0]); i++) {
		struct coll_case c = long_case(&t, direct[i], &arena);

		CHECK(rounds_of(&c) > DIRECT_ROUNDS, "collective %d", direct[i]);
	}
	set = team_share(&t, &(struct ipcshare_buf){ arena.base, ARENA }, 1, flags | IPCSHARE_LAZY);
	for (size_t i = 0; i < sizeof(direct) / sizeof(direct[0]); i++) {
		struct coll_case c = long_case(&t, direct[i], &arena);

		CHECK_INT(rounds_of(&c), DIRECT_ROUNDS);
		c.in_place = 1;
		CHECK(direct[i] == COLL_ALLTOALL || rounds_of(&c) == DIRECT_ROUNDS, "in place");
	}
	for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++)
		for (int k = 0; k < 6; k++) {
			struct coll_case c = long_case(&t, counted[i], k % 3 == 2 && t.rank == 1 ? NULL : &arena);

			c.seed += (uint64_t)k * 100;
			c.count *= 2;
			c.in_place = k & 1;
			rounds_of(&c);
		}
	end(&t, set, arena.base);
}

static void long_blocks_in_shared_memory_take_two_rounds(void)
{
	for (int n = 2; n <= 4; n++)
		test_ranks(n, moves_long_blocks, NULL);
	test_ranks(3, moves_long_blocks, "read-only");
}

static void reduces_long_blocks(struct test_rank *me, void *arg)
{
	unsigned flags = arg ? IPCSHARE_READ_ONLY : 0;
	struct coll_arena arena = { .size = ARENA };
	struct ipcshare_set *set;
	struct team t;

	team_join(me, &t);
	arena.base = team_alloc(t.ctx, ARENA);
	set = team_share(&t, &(struct ipcshare_buf){ arena.base, ARENA }, 1, flags);
	for (size_t i = 0; i < sizeof(reduced) / sizeof(reduced[0]); i++) {
		struct coll_case c = long_case(&t, reduced[i], &arena);
		bool scatters = reduced[i] == COLL_REDUCE_SCATTER || reduced[i] == COLL_REDUCE_SCATTER_BLOCK;

		c.count = (size_t)t.nranks * 128 * 2800 + 1; /* bytes: whole lines for each, and one more */
		/* Where nobody may write, a result can't be left. */
		CHECK((rounds_of(&c) == REDUCED_ROUNDS) == (scatters || !flags), "collective %d", reduced[i]);
		c.in_place = 1;
		CHECK((rounds_of(&c) == REDUCED_ROUNDS) == (!scatters && !flags), "in place, %d", reduced[i]);
	}
	end(&t, set, arena.base);
}

static void long_arrays_in_shared_memory_are_reduced_there(void)
{
	for (int n = 2; n <= 4; n++)
		test_ranks(n, reduces_long_blocks, NULL);
	test_ranks(3, reduces_long_blocks, "read-only");
}

static void one_has_other_memory(struct test_rank *me, void *arg)
{
	struct coll_arena arena = { .size = ARENA };
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	arena.base = team_alloc(t.ctx, ARENA);
	set = team_share(&t, &(struct ipcshare_buf){ arena.base, ARENA }, 1, 0);
	for (size_t i = 1; i < sizeof(direct) / sizeof(direct[0]); i++) {
		struct coll_case c = long_case(&t, direct[i], t.rank == 1 ? NULL : &arena);

		if (direct[i] == COLL_SCATTER)
			c.root = 1;
		CHECK(rounds_of(&c) > DIRECT_ROUNDS, "collective %d", direct[i]);
	}
	for (size_t i = 0; i < sizeof(reduced) / sizeof(reduced[0]); i++) {
		struct coll_case c = long_case(&t, reduced[i], t.rank == 1 ? NULL : &arena);

		CHECK(rounds_of(&c) > REDUCED_ROUNDS, "collective %d", reduced[i]);
	}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void one_rank_with_other_memory_sends_all_through_the_slots(void)
{
	test_ranks(3, one_has_other_memory, NULL);
}

/* An offer that points past its region, or into none. */
static void lie(struct ipcshare_group *g, void *arg)
{
	ipcshare__board_slot(g)->body[*(size_t *)arg] ^= 0x40;
}

static void is_offered_what_is_not_there(struct test_rank *me, void *arg)
{
	static const size_t lies[] = { 4, 7, 8 + 4, 8 + 7, 40 + 5 };
	struct coll_arena arena = { .size = ARENA };
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	arena.base = team_alloc(t.ctx, ARENA);
	set = team_share(&t, &(struct ipcshare_buf){ arena.base, ARENA }, 1, 0);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		size_t at = lies[i] >= 40 ? lies[i] + 16 * (size_t)!t.rank : lies[i];
		struct rounds rounds = { .special = 1, .before_post = lie, .arg = &at };
		struct coll_case c = long_case(&t, COLL_ALLGATHER, &arena);

		rounds_watch(t.rank ? NULL : &rounds);
		coll_case_run(&c);
		rounds_watch(NULL);
		CHECK(t.rank || rounds.posted > DIRECT_ROUNDS, "byte %zu: it was believed", lies[i]);
	}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void an_offer_of_what_is_not_there_is_not_believed(void)
{
	test_ranks(2, is_offered_what_is_not_there, NULL);
}

TEST_SUITE(coll_direct, NULL, NULL,
	TEST(long_blocks_in_shared_memory_take_two_rounds),
	TEST(long_arrays_in_shared_memory_are_reduced_there),
	TEST(one_rank_with_other_memory_sends_all_through_the_slots),
	TEST(an_offer_of_what_is_not_there_is_not_believed));
