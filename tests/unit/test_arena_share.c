/* SPDX-License-Identifier: BSD-3-Clause */
/* Cells of an arena in sets: what peers have of its slabs, on host and on emulated devices. */
#include "arena.h"
#include "npu.h"

#define COUNT 1000

static void fill_in(struct team *t, struct ipcshare_arena *arena, size_t len, void **p,
		    struct ipcshare_buf *bufs)
{
	REQUIRE_OK(ipcshare_arena_alloc_many(arena, len, COUNT, p));
	for (size_t i = 0; i < COUNT; i++) {
		bufs[i] = (struct ipcshare_buf){ p[i], len };
		npu_put(t->ctx, p[i], len, t->rank, i);
	}
}

static void check_set(struct team *t, struct ipcshare_set *set, size_t len)
{
	CHECK_INT(ipcshare_set_failures(set), 0);
	for (int r = 0; r < t->nranks; r++)
		for (size_t i = 0; i < COUNT; i += 37)
			npu_check(t->ctx, ipcshare_ptr(set, r, i), len, r, i);
}

static uint64_t mapped(struct team *t)
{
	return team_counters(t->ctx).bytes_mapped;
}

/* One export and import for all of them. They stay for the next share, and go with a trim. */
static void shares_and_trims(struct test_rank *me, struct team *t)
{
	struct ipcshare_arena *arena = arena_with(t->ctx, 0, 0, 0);
	static struct ipcshare_buf bufs[COUNT];
	static void *p[COUNT];
	uint64_t others = (uint64_t)t->nranks - 1, calls;
	struct ipcshare_set *set;
	size_t released = 7;

	fill_in(t, arena, 1000, p, bufs);
	set = team_share(t, bufs, COUNT, 0);
	check_set(t, set, 1000);
	CHECK_INT(team_calls_of(t->ctx, IPCSHARE_CALL_EXPORT), 1);
	CHECK_INT(team_calls_of(t->ctx, IPCSHARE_CALL_IMPORT), others);
	CHECK_FAILS(ipcshare_arena_destroy(arena), IPCSHARE_ERR_BUSY);
	CHECK_INT(arena_stats(arena).used, COUNT);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_arena_free_many(arena, p, COUNT), 0);

	calls = team_calls(t->ctx);
	fill_in(t, arena, 900, p, bufs); /* the same cells */
	set = team_share(t, bufs, COUNT, 0);
	check_set(t, set, 900);
	CHECK_INT(team_calls(t->ctx), calls);
	CHECK_STATUS(ipcshare_arena_free_many(arena, p, COUNT), 0); /* too early, but so it is */
	CHECK_STATUS(ipcshare_arena_trim(arena, &released), 0);
	CHECK_INT(released, 0); /* this rank's set holds it */
	CHECK_INT(arena_stats(arena).slabs, 1);
	CHECK_STATUS(ipcshare_set_free(set), 0);

	CHECK(mapped(t) == others * (2 << 20), "%ju bytes mapped", (uintmax_t)mapped(t));
	test_rank_barrier(me, NPU_TALK);
	CHECK_STATUS(ipcshare_arena_trim(arena, &released), 0);
	CHECK_INT(released, 2 << 20);
	test_rank_barrier(me, NPU_TALK);
	CHECK_INT(mapped(t), 0); /* all have closed what they had of others */
	CHECK_INT(team_calls_of(t->ctx, IPCSHARE_CALL_CLOSE_IMPORT), others);
	CHECK_INT(team_calls_of(t->ctx, IPCSHARE_CALL_CLOSE_EXPORT), 1);
	arena_alloc(arena, 1000);
	CHECK_STATUS(ipcshare_arena_destroy(arena), 0);
}

static void on_host(struct test_rank *me, void *arg)
{
	struct team t;

	(void)arg;
	team_join(me, &t);
	shares_and_trims(me, &t);
	team_leave(&t);
}

static void a_slab_is_shared_once_and_closed_before_it_goes(void)
{
	test_ranks(2, on_host, NULL);
	test_ranks(4, on_host, NULL);
}

static void on_ascend(struct test_rank *me, void *arg)
{
	struct team t;

	(void)arg;
	npu_join(me, &t);
	shares_and_trims(me, &t);
	npu_leave(me, &t);
}

static void so_are_slabs_of_device_memory(void)
{
	if (npu_machine(4))
		test_ranks(4, on_ascend, NULL);
}

/* ---- A peer that still has it ---- */

/* Rank 1 maps what rank 0 packed, until it is told to let go. */
static void one_maps(struct test_rank *me, void *arg)
{
	struct ipcshare_packed packed[2] = { 0 }, all[4];
	struct ipcshare_arena *arena;
	struct ipcshare_identity self, ids[2];
	void *cell = NULL, *own = NULL, *p[2];
	size_t released = 7;
	struct team t;

	(void)arg;
	team_join(me, &t);
	arena = arena_with(t.ctx, 0, 0, 0);
	REQUIRE_OK(ipcshare_self(t.ctx, &self));
	REQUIRE_INT(me->bootstrap.allgather(me->bootstrap.arg, NULL, &self, sizeof(self), ids), 0);
	if (me->rank == 0) {
		cell = arena_alloc(arena, 100);
		own = arena_alloc(arena, 1 << 20);
		REQUIRE_OK(ipcshare_pack(t.ctx, cell, 100, 0, &packed[0]));
		REQUIRE_OK(ipcshare_allow(t.ctx, cell, &ids[1], 1, 0));
		REQUIRE_OK(ipcshare_pack(t.ctx, own, 1 << 20, 0, &packed[1]));
		REQUIRE_OK(ipcshare_allow(t.ctx, own, &ids[1], 1, 0));
		team_fill(cell, 100, 0, 0);
		team_fill(own, 1 << 20, 0, 1);
	}
	REQUIRE_INT(me->bootstrap.allgather(me->bootstrap.arg, NULL, packed, sizeof(packed), all),
		    0);
	if (me->rank == 1) {
		REQUIRE_OK(ipcshare_map(t.ctx, &all[0], &p[0]));
		REQUIRE_OK(ipcshare_map(t.ctx, &all[1], &p[1]));
		team_check(p[0], 100, 0, 0);
		team_check(p[1], 1 << 20, 0, 1);
	}
	test_rank_barrier(me, NPU_TALK);
	if (me->rank == 0) {
		CHECK_FAILS(ipcshare_arena_free(arena, own), IPCSHARE_ERR_BUSY);
		CHECK_INT(arena_stats(arena).own, 1);
		CHECK_STATUS(ipcshare_arena_free(arena, cell), 0);
		CHECK_STATUS(ipcshare_arena_trim(arena, &released), 0);
		CHECK_INT(released, 0);
		CHECK_FAILS(ipcshare_arena_destroy(arena), IPCSHARE_ERR_BUSY);
		CHECK_PTR(arena_alloc(arena, 100), cell); /* all is as it was */
		team_check(own, 1 << 20, 0, 1);
	}
	test_rank_barrier(me, NPU_TALK);
	if (me->rank == 1) {
		CHECK_STATUS(ipcshare_unmap(t.ctx, p[0]), 0);
		CHECK_STATUS(ipcshare_unmap(t.ctx, p[1]), 0);
	}
	test_rank_barrier(me, NPU_TALK);
	if (me->rank == 0) {
		CHECK_STATUS(ipcshare_arena_free(arena, own), 0);
		CHECK_STATUS(ipcshare_arena_free(arena, cell), 0);
		CHECK_STATUS(ipcshare_arena_trim(arena, &released), 0);
		CHECK_INT(released, 2 << 20);
	}
	CHECK_STATUS(ipcshare_arena_destroy(arena), 0);
	team_leave(&t);
}

static void what_a_peer_has_mapped_stays(void)
{
	test_ranks(2, one_maps, NULL);
}

/* Of several slabs one is mapped by a peer: none goes. */
static void keeps_all_or_none(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[3];
	struct ipcshare_arena *arena;
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	arena = arena_with(t.ctx, 0, 0, 0);
	for (size_t i = 0; i < 3; i++)
		bufs[i] = (struct ipcshare_buf){ arena_alloc(arena, 1000 << i), 1000 };
	set = team_share(&t, bufs, 3, 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	set = team_share(&t, &bufs[1], 1, 0);
	CHECK_FAILS(ipcshare_arena_destroy(arena), IPCSHARE_ERR_BUSY);
	CHECK_INT(arena_stats(arena).slabs, 3);
	CHECK_INT(team_counters(t.ctx).allocations, 3);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	set = team_share(&t, bufs, 3, 0); /* also those that were let go can be mapped again */
	CHECK_INT(ipcshare_set_failures(set), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	test_rank_barrier(me, NPU_TALK);
	CHECK_STATUS(ipcshare_arena_destroy(arena), 0);
	team_leave(&t);
}

static void an_arena_goes_as_a_whole_or_not_at_all(void)
{
	test_ranks(2, keeps_all_or_none, NULL);
}

TEST_SUITE(arena_share, npu_remember, npu_restore,
	TEST(a_slab_is_shared_once_and_closed_before_it_goes),
	TEST(so_are_slabs_of_device_memory),
	TEST(what_a_peer_has_mapped_stays),
	TEST(an_arena_goes_as_a_whole_or_not_at_all));
