/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors of 16 bytes: made by the owner, understood by every rank of the set. */
#include <stdlib.h>

#include "base/descriptor.h"
#include "group/set.h"
#include "quiet.h"
#include "team.h"

#define N 2000

static void *const untouched = (void *)16;

/* Everybody's descriptors, over lane 1. */
static struct ipcshare_descriptor *gather(struct test_rank *me,
					  const struct ipcshare_descriptor *mine, size_t n)
{
	struct ipcshare_bootstrap lane = test_rank_bootstrap(me, 1, 0);
	struct ipcshare_descriptor *all = calloc((size_t)me->nranks * n, sizeof(*all));

	REQUIRE_INT(lane.allgather(lane.arg, NULL, mine, n * sizeof(*mine), all), 0);
	return all;
}

/* Pieces anywhere in two allocations of which only some buffers are in the set. */
static void passes_descriptors(struct test_rank *me, void *arg)
{
	struct ipcshare_descriptor *mine = calloc(N, sizeof(*mine)), *all;
	struct ipcshare_buf *pieces = calloc(N, sizeof(*pieces)), shared[2];
	struct ipcshare_set *set;
	void *ptrs[N];
	size_t lens[N];
	struct team t;

	team_join(me, &t);
	for (int i = 0; i < 2; i++)
		shared[i] = (struct ipcshare_buf){ team_alloc(t.ctx, N * 8), 1 };
	for (size_t i = 0; i < N; i++) {
		pieces[i] = (struct ipcshare_buf){ (char *)shared[i % 2].ptr + 8 * (i * 7 % N), i % 9 };
		team_fill(pieces[i].ptr, pieces[i].len, t.rank, i);
	}
	set = team_share(&t, shared, 2, arg ? IPCSHARE_LAZY : 0);
	REQUIRE_OK(ipcshare_describe(set, pieces, N, mine));
	all = gather(me, mine, N);
	for (int r = 0; r < t.nranks; r++) {
		REQUIRE_OK(ipcshare_resolve(set, r, all + (size_t)r * N, N, ptrs, r ? lens : NULL));
		for (size_t i = 0; i < N; i++) {
			if (r)
				CHECK_INT(lens[i], i % 9);
			CHECK_INT(!ptrs[i], i % 9 == 0);
			team_check(ptrs[i], i % 9, r, i);
		}
	}
	CHECK_INT(team_calls_of(t.ctx, IPCSHARE_CALL_IMPORT), 2 * (t.nranks - 1));
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	free(all);
	free(mine);
	free(pieces);
	team_leave(&t);
}

static void a_descriptor_of_one_rank_is_a_pointer_of_another(void)
{
	test_ranks(3, passes_descriptors, NULL);
	test_ranks(3, passes_descriptors, "to a lazy set");
}

/* ---- Without a lock ---- */

#define FEW 100

struct often {
	struct ipcshare_set *set;
	struct ipcshare_descriptor *theirs; /* of FEW buffers, which alternate between allocations */
	void *ptrs[FEW];
	int peer, wrong;
};

static void resolves_often(void *arg)
{
	struct often *o = arg;

	for (int i = 0; i < 100; i++) {
		o->wrong += ipcshare_resolve(o->set, o->peer, o->theirs, FEW, o->ptrs, NULL) != 0;
		for (size_t k = 0; k < FEW; k++)
			o->wrong += ipcshare_ptr_lazy(o->set, o->peer, k) != o->ptrs[k];
	}
}

/* A lazy set, of which everything was asked for once. */
static void resolves_quietly(struct test_rank *me, void *arg)
{
	struct ipcshare_descriptor mine[FEW], *all;
	struct often o = { .peer = 1 - me->rank };
	struct ipcshare_buf bufs[FEW];
	struct ipcshare__set set_before;
	struct ipcshare_ctx ctx_before;
	struct ipcshare__set *set;
	struct team t;
	char *memory[2];

	(void)arg;
	team_join(me, &t);
	for (int i = 0; i < 2; i++)
		memory[i] = team_alloc(t.ctx, FEW * 8);
	for (size_t i = 0; i < FEW; i++)
		bufs[i] = (struct ipcshare_buf){ memory[i % 2] + 8 * i, 8 };
	o.set = team_share(&t, bufs, FEW, IPCSHARE_LAZY);
	set = ipcshare__set_of(o.set);
	REQUIRE_OK(ipcshare_describe(o.set, bufs, FEW, mine));
	all = gather(me, mine, FEW);
	o.theirs = all + (size_t)o.peer * FEW;
	resolves_often(&o);
	test_rank_barrier(me, 1);
	pthread_mutex_lock(&t.group->catalog_lock);
	pthread_mutex_lock(&set->lock);
	pthread_mutex_lock(&t.ctx->lock);
	memcpy(&ctx_before, t.ctx, sizeof(ctx_before));
	memcpy(&set_before, set, sizeof(set_before));
	CHECK(test_quietly(resolves_often, &o), "it made a system call");
	CHECK(!memcmp(&ctx_before, t.ctx, sizeof(ctx_before)), "it has written to the context");
	CHECK(!memcmp(&set_before, set, sizeof(set_before)), "it has written to the set");
	pthread_mutex_unlock(&t.ctx->lock);
	pthread_mutex_unlock(&set->lock);
	pthread_mutex_unlock(&t.group->catalog_lock);
	CHECK_INT(o.wrong, 0);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_set_free(o.set), 0);
	free(all);
	team_leave(&t);
}

static void what_is_mapped_resolves_without_lock_system_call_or_write(void)
{
	test_ranks(2, resolves_quietly, NULL);
}

/* ---- What is no good ---- */

static void describes_badly(struct test_rank *me, void *arg)
{
	struct ipcshare_descriptor out[2], as_before[2];
	struct ipcshare_buf in, outside, bufs[2];
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	in = (struct ipcshare_buf){ team_alloc(t.ctx, 100), 100 };
	outside = (struct ipcshare_buf){ team_alloc(t.ctx, 100), 100 };
	CHECK_STATUS(ipcshare_set_free(team_share(&t, &outside, 1, 0)), 0);
	set = team_share(&t, &in, 1, 0);
	memset(out, 0x77, sizeof(out));
	memcpy(as_before, out, sizeof(out));
	bufs[0] = in;
	bufs[1] = outside; /* shared, but not in this set */
	CHECK_FAILS(ipcshare_describe(set, bufs, 2, out), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_INT(ipcshare_last_error()->index, 1);
	bufs[1].ptr = &t;
	CHECK_FAILS(ipcshare_describe(set, bufs, 2, out), IPCSHARE_ERR_NOT_SHAREABLE);
	bufs[1] = (struct ipcshare_buf){ (char *)in.ptr + 50, 51 };
	CHECK_FAILS(ipcshare_describe(set, bufs, 2, out), IPCSHARE_ERR_RANGE);
	CHECK_INT(ipcshare_last_error()->index, 1);
	CHECK_FAILS(ipcshare_describe(set, NULL, 1, out), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_describe(set, bufs, 1, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_describe(NULL, bufs, 1, out), IPCSHARE_ERR_INVALID);
	CHECK_MEM(out, as_before, sizeof(out));
	CHECK_STATUS(ipcshare_describe(set, NULL, 0, NULL), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_FAILS(ipcshare_describe(set, bufs, 1, out), IPCSHARE_ERR_CLOSED);
	team_leave(&t);
}

static void only_memory_of_the_set_is_described(void)
{
	test_ranks(2, describes_badly, NULL);
}

static int resolve_one(struct ipcshare_set *set, struct ipcshare__wire_descriptor bad)
{
	struct ipcshare_descriptor d[2] = { { { 0 } } };
	void *ptrs[2] = { untouched, untouched };
	size_t lens[2] = { 5, 5 };
	int err;

	memcpy(&d[1], &bad, sizeof(bad));
	err = ipcshare_resolve(set, 0, d, 2, ptrs, lens);
	if (!err) {
		CHECK_PTR(ptrs[0], NULL);
		CHECK_INT(lens[0], 0);
		return 0;
	}
	CHECK_INT(ipcshare_last_error()->rank, 0);
	CHECK_INT(ipcshare_last_error()->index, 1);
	for (int i = 0; i < 2; i++) {
		CHECK_PTR(ptrs[i], untouched);
		CHECK_INT(lens[i], 5);
	}
	return err;
}

static void resolves_badly(struct test_rank *me, void *arg)
{
	struct ipcshare__wire_descriptor d;
	struct ipcshare_descriptor mine, *all;
	struct ipcshare_set *set;
	struct ipcshare_buf buf;
	uint32_t id, generation;
	void *ptr = untouched;
	struct team t;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 100), 100 };
	set = team_share(&t, &buf, 1, 0);
	REQUIRE_OK(ipcshare_describe(set, &buf, 1, &mine));
	all = gather(me, &mine, 1);
	memcpy(&d, &all[0], sizeof(d));
	id = ipcshare__descriptor_what(d);
	generation = ipcshare__descriptor_high(d);
	CHECK_STATUS(resolve_one(set, d), 0);
	CHECK_FAILS(resolve_one(set, ipcshare__descriptor(id, generation, 1, 100)),
		    IPCSHARE_ERR_RANGE);
	CHECK_FAILS(resolve_one(set, ipcshare__descriptor(id, generation, IPCSHARE__REACH - 1, 1)),
		    IPCSHARE_ERR_RANGE);
	CHECK_FAILS(resolve_one(set, ipcshare__descriptor(id, generation + 1, 0, 1)),
		    IPCSHARE_ERR_STALE);
	CHECK_FAILS(resolve_one(set, ipcshare__descriptor(id + 1, generation, 0, 1)),
		    IPCSHARE_ERR_STALE);
	CHECK_FAILS(resolve_one(set, ipcshare__descriptor(IPCSHARE__LOW20, generation, 0, 1)),
		    IPCSHARE_ERR_STALE);
	for (uint32_t what = 0; what < 4; what++)
		CHECK_FAILS(resolve_one(set, ipcshare__descriptor_special(
						     (enum ipcshare__special)what, 1, 1)),
			    IPCSHARE_ERR_PROTOCOL);
	CHECK_FAILS(ipcshare_resolve(set, -1, all, 1, &ptr, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_resolve(set, t.nranks, all, 1, &ptr, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_resolve(set, 0, NULL, 1, &ptr, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_resolve(set, 0, all, 1, NULL, NULL), IPCSHARE_ERR_INVALID);
	CHECK_STATUS(ipcshare_resolve(set, 0, NULL, 0, NULL, NULL), 0);
	CHECK_FAILS(ipcshare_resolve(NULL, 0, all, 1, &ptr, NULL), IPCSHARE_ERR_INVALID);
	CHECK_PTR(ptr, untouched);
	/* The allocation leaves the set, and its place is taken by another. */
	buf.ptr = team_alloc(t.ctx, 100);
	REQUIRE_OK(ipcshare_set_update(set, (size_t[]){ 0 }, &buf, 1, 0));
	CHECK_FAILS(resolve_one(set, d), IPCSHARE_ERR_STALE);
	CHECK_FAILS(ipcshare_describe(set, &(struct ipcshare_buf){ (char *)buf.ptr + 99, 2 }, 1,
				      &mine), IPCSHARE_ERR_RANGE);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_FAILS(ipcshare_resolve(set, 0, all, 1, &ptr, NULL), IPCSHARE_ERR_CLOSED);
	free(all);
	team_leave(&t);
}

static void altered_and_stale_descriptors_are_named(void)
{
	test_ranks(2, resolves_badly, NULL);
}

TEST_SUITE(resolve, NULL, NULL,
	TEST(a_descriptor_of_one_rank_is_a_pointer_of_another),
	TEST(what_is_mapped_resolves_without_lock_system_call_or_write),
	TEST(only_memory_of_the_set_is_described),
	TEST(altered_and_stale_descriptors_are_named));
