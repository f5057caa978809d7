/* SPDX-License-Identifier: BSD-3-Clause */
/* What all ranks want goes over the border between packages, or NUMA nodes, once for each of them. */
#include <stdlib.h>

#include "coll_case.h"
#include "rounds.h"
#include "support/moved.h"

#define ARENA ((size_t)24 << 20)
#define MOST 6

enum { ROUNDS = 2, REDUCED_ROUNDS = 3 }; /* without relays; with them one more */

#define AT(package_, numa_) { .package = (package_), .numa = (numa_), .cache = -1, .first = -1, .device_numa = -1 }

/* Where the ranks are, which of both divides them, and how often bytes cross that. */
static const struct shape {
	const char *name;
	int nranks;
	struct ipcshare__wire_place places[MOST];
	/*
	 * blocks, by rank 0 to all; by each to all; arrays read and written to reduce: relayed, and not. 0: in order,
	 * and so reduced otherwise (test_chain.c)
	 */
	int bcast[2], allgather[2], allreduce[2];
} shapes[] = {
	{ "2 packages in turn", 4, { AT(0, 0), AT(1, 1), AT(0, 0), AT(1, 1) },
	  { 1, 2 }, { 4, 8 }, { 3, 4 } },
	{ "2 packages, 2 NUMA nodes each", 4, { AT(0, 0), AT(0, 1), AT(1, 2), AT(1, 3) },
	  { 1, 2 }, { 4, 8 }, { 0, 4 } },
	{ "2 NUMA nodes", 4, { AT(0, 1), AT(0, 0), AT(0, 0), AT(0, 1) },
	  { 1, 2 }, { 4, 8 }, { 3, 4 } },
	{ "3 packages", 6, { AT(0, 0), AT(1, 1), AT(2, 2), AT(0, 0), AT(1, 1), AT(2, 2) },
	  { 2, 4 }, { 12, 24 }, { 6, 8 } },
	{ "one alone", 5, { AT(7, 7), AT(1, 1), AT(1, 1), AT(1, 1), AT(1, 1) },
	  { 1, 4 }, { 5, 8 }, { 0, 0 } },
	{ "one behind it", 3, { AT(1, 1), AT(1, 1), AT(0, 0) },
	  { 1, 1 }, { 3, 4 }, { 0, 0 } },
	{ "not bound", 3, { AT(-1, -1), AT(-1, -1), AT(-1, -1) },
	  { 0, 0 }, { 0, 0 }, { 0, 0 } },
};

static int is_divided(const struct shape *s)
{
	return s->bcast[1] > 0;
}

struct run {
	struct test_rank *me;
	struct team *t;
	struct coll_arena *arena;
	const struct shape *shape;
	int relayed;
};

/* @crossed: how often @count bytes went over the border; 0 is not looked at. */
static void makes_call(const struct run *run, enum coll_which which, size_t count, int in_place, int crossed)
{
	struct coll_case c = {
		.group = run->t->group, .rank = run->t->rank, .nranks = run->t->nranks, .which = which,
		.type = IPCSHARE_FP32, .op = IPCSHARE_SUM, .count = count, .in_place = in_place,
		.arena = run->arena, .seed = count + (uint64_t)which,
	};
	int expected = (which == COLL_ALLREDUCE ? REDUCED_ROUNDS : ROUNDS) +
		       (run->relayed && is_divided(run->shape));
	uint64_t before = team_far_bytes(run->me, run->t), more;
	struct rounds rounds = { .special = -1 };

	rounds_watch(&rounds);
	coll_case_run(&c);
	rounds_watch(NULL);
	more = team_far_bytes(run->me, run->t) - before;
	CHECK(rounds.posted == expected, "%s, collective %d: %d rounds", run->shape->name, which, rounds.posted);
	count *= sizeof(float);
	CHECK(!crossed || more == (uint64_t)crossed * count, "%s, collective %d: %g times %zu bytes crossed",
	      run->shape->name, which, (double)more / (double)count, count);
	CHECK(is_divided(run->shape) || !more, "%s: %llu bytes crossed", run->shape->name,
	      (unsigned long long)more);
}

static void is_relayed(struct test_rank *me, void *arg)
{
	static const size_t counts[] = { 64 << 10, (75 << 10) + 13 };
	const struct shape *s = arg;
	struct coll_arena arena = { .size = ARENA };
	struct ipcshare_set *set;
	struct run run;
	struct team t;

	for (int relayed = 0; relayed < 2; relayed++) {
		setenv("IPCSHARE_COLL_RELAY", relayed ? "0" : "4294967295", 1);
		team_join(me, &t);
		arena.base = team_alloc(t.ctx, ARENA);
		set = team_share(&t, &(struct ipcshare_buf){ arena.base, ARENA }, 1, 0);
		run = (struct run){ me, &t, &arena, s, relayed };
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
			for (int in_place = 0; in_place < 2; in_place++) {
				makes_call(&run, COLL_BCAST, counts[i], in_place, s->bcast[!relayed]);
				makes_call(&run, COLL_ALLGATHER, counts[i], in_place, s->allgather[!relayed]);
				if (!relayed || s->allreduce[0] || !is_divided(s))
					makes_call(&run, COLL_ALLREDUCE, counts[i], in_place, s->allreduce[!relayed]);
			}
		CHECK_STATUS(ipcshare_set_free(set), 0);
		CHECK_STATUS(ipcshare_barrier(t.group), 0);
		CHECK_STATUS(ipcshare_free(t.ctx, arena.base), 0);
		team_leave(&t);
	}
}

static void blocks_for_all_cross_the_border_once_for_each_part(void)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		test_ranks_with((&(struct test_ranks){
			.nranks = shapes[i].nranks, .fn = is_relayed, .arg = (void *)&shapes[i],
			.filter = test_moved, .filter_arg = (void *)shapes[i].places }));
}

/* ---- Ranks of two minds ---- */

static int rounds_of(struct team *t, struct coll_arena *arena, enum coll_which which)
{
	struct rounds rounds = { .special = -1 };
	struct coll_case c = {
		.group = t->group, .rank = t->rank, .nranks = t->nranks, .which = which, .type = IPCSHARE_FP32,
		.op = IPCSHARE_MAX, .count = 64 << 10, .arena = arena, .seed = (uint64_t)which,
	};

	rounds_watch(&rounds);
	coll_case_run(&c);
	rounds_watch(NULL);
	return rounds.posted;
}

static void one_is_set_otherwise(struct test_rank *me, void *arg)
{
	struct coll_arena arena = { .size = ARENA };
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	setenv("IPCSHARE_COLL_RELAY", me->rank == 1 ? "4294967295" : "0", 1);
	team_join(me, &t);
	arena.base = team_alloc(t.ctx, ARENA);
	set = team_share(&t, &(struct ipcshare_buf){ arena.base, ARENA }, 1, 0);
	CHECK_INT(rounds_of(&t, &arena, COLL_BCAST), ROUNDS + 1);
	CHECK_INT(rounds_of(&t, &arena, COLL_ALLREDUCE), REDUCED_ROUNDS + 1);
	CHECK_INT(rounds_of(&t, &arena, COLL_ALLGATHER), ROUNDS);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

/* It takes part where others may reach its buffer in any case, and else all go the other way. */
static void a_rank_that_would_not_relay_does_what_it_can(void)
{
	test_ranks_with((&(struct test_ranks){
		.nranks = shapes[0].nranks, .fn = one_is_set_otherwise,
		.filter = test_moved, .filter_arg = (void *)shapes[0].places }));
}

/* ---- Rank 0 offers what is not there ---- */

static void lie(struct ipcshare_group *g, void *arg)
{
	ipcshare__board_slot(g)->body[*(size_t *)arg] ^= 0x40;
}

/* Bytes of where others may take what it took over the border, and of the offset of rank 1's block there. */
static void is_offered_more(struct test_rank *me, void *arg)
{
	static const size_t lies[] = { 16 + 4, 16 + 7, 16 + 8 + 4, 16 + 8 + 7, 40 + 16 + 8 + 5 };
	struct coll_arena arena = { .size = ARENA };
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	setenv("IPCSHARE_COLL_RELAY", "0", 1);
	team_join(me, &t);
	arena.base = team_alloc(t.ctx, ARENA);
	set = team_share(&t, &(struct ipcshare_buf){ arena.base, ARENA }, 1, 0);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		size_t at = lies[i];
		struct rounds rounds = { .special = t.rank ? -1 : 1, .before_post = lie, .arg = &at };
		struct coll_case c = {
			.group = t.group, .rank = t.rank, .nranks = t.nranks, .which = COLL_ALLGATHER,
			.type = IPCSHARE_UINT8, .count = 256 << 10, .arena = &arena, .seed = i,
		};

		rounds_watch(&rounds);
		coll_case_run(&c);
		rounds_watch(NULL);
		CHECK(rounds.posted > ROUNDS + 1, "byte %zu: it was believed", lies[i]);
	}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void an_offer_to_pass_on_what_is_not_there_is_not_believed(void)
{
	test_ranks_with((&(struct test_ranks){
		.nranks = shapes[0].nranks, .fn = is_offered_more,
		.filter = test_moved, .filter_arg = (void *)shapes[0].places }));
}

/* ---- Rank 0 wants a relay of what is for one rank alone ---- */

static void want_relays(struct ipcshare_group *g, void *arg)
{
	(void)arg;
	g->front.header.flags |= IPCSHARE__CALL_RELAYS;
}

static void one_wants_what_makes_no_sense(struct test_rank *me, void *arg)
{
	static const enum coll_which calls[] = { COLL_SCAN, COLL_EXSCAN, COLL_REDUCE, COLL_GATHER, COLL_ALLTOALL };
	struct coll_arena arena = { .size = ARENA };
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	arena.base = team_alloc(t.ctx, ARENA);
	set = team_share(&t, &(struct ipcshare_buf){ arena.base, ARENA }, 1, 0);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct rounds rounds = { .special = t.rank ? -1 : 1, .before_post = want_relays };
		struct coll_case c = {
			.group = t.group, .rank = t.rank, .nranks = t.nranks, .which = calls[i],
			.type = IPCSHARE_UINT8, .op = IPCSHARE_SUM, .count = 256 << 10, .arena = &arena, .seed = i,
		};

		rounds_watch(&rounds);
		coll_case_run(&c);
		rounds_watch(NULL);
	}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	team_leave(&t);
}

static void what_is_for_one_rank_is_never_relayed(void)
{
	test_ranks_with((&(struct test_ranks){
		.nranks = shapes[0].nranks, .fn = one_wants_what_makes_no_sense,
		.filter = test_moved, .filter_arg = (void *)shapes[0].places }));
}

TEST_SUITE(relay, NULL, NULL,
	TEST(blocks_for_all_cross_the_border_once_for_each_part),
	TEST(a_rank_that_would_not_relay_does_what_it_can),
	TEST(an_offer_to_pass_on_what_is_not_there_is_not_believed),
	TEST(what_is_for_one_rank_is_never_relayed));
