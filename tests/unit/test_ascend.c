/* SPDX-License-Identifier: BSD-3-Clause */
/* The whole library over the Ascend backend: content, and counts of calls. */
#include <stdlib.h>

#include "npu.h"

/* ---- Content and counts ---- */

static void check_counts(struct team *t, uint64_t allocations)
{
	struct ipcshare_counters c = team_counters(t->ctx);
	uint64_t others = (uint64_t)t->nranks - 1;
	uint64_t allows = allocations * ((others + 30) / 31), imports = allocations * others;

	CHECK_INT(c.calls[IPCSHARE_CALL_EXPORT], allocations);
	CHECK_INT(c.calls[IPCSHARE_CALL_ALLOW], allows);
	CHECK_INT(c.calls[IPCSHARE_CALL_IMPORT], imports);
	CHECK_INT(npu_uses("aclrtIpcMemGetExportKey"), allocations);
	CHECK_INT(npu_uses("aclrtIpcMemSetImportPid"), allows);
	CHECK_INT(npu_uses("aclrtIpcMemImportByKey"), imports);
	CHECK_INT(npu_uses("violation_ipc_race"), 0);
	CHECK_INT(npu_uses("violation_reexport"), 0);
}

static void shares_and_counts(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[NPU_BUFS];
	struct ipcshare_set *set, *again;
	void *memory[2];
	uint64_t calls;
	struct team t;

	(void)arg;
	npu_join(me, &t);
	emu.reset_counters();
	npu_buffers(&t, memory, bufs);
	set = npu_share(&t, bufs, NPU_BUFS);
	CHECK_INT(ipcshare_set_failures(set), 0);
	check_counts(&t, 2);
	calls = team_calls(t.ctx);
	again = npu_share(&t, bufs, NPU_BUFS);
	CHECK_INT(ipcshare_set_failures(again), 0);
	CHECK_INT(team_calls(t.ctx), calls);
	check_counts(&t, 2);
	npu_read_and_write(me, &t, again);
	CHECK_STATUS(ipcshare_set_free(again), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	npu_buffers_free(&t, memory);
	test_rank_barrier(me, NPU_TALK); /* the owners have asked for all to be closed */
	CHECK_INT(npu_uses("aclrtIpcMemClose"), 2 * t.nranks);
	npu_leave(me, &t);
}

static void four_ranks_on_four_devices_read_and_write_each_other(void)
{
	if (npu_machine(4))
		test_ranks(4, shares_and_counts, NULL);
}

static void eight_ranks_on_eight_devices_do(void)
{
	if (npu_machine(8))
		test_ranks(8, shares_and_counts, NULL);
}

static void several_ranks_on_a_device_do(void)
{
	if (npu_machine(2))
		test_ranks(5, shares_and_counts, NULL);
}

static void whitelists_many(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set;
	struct ipcshare_buf buf = { .len = NPU_SMALL };
	struct team t;

	(void)arg;
	npu_join(me, &t);
	emu.reset_counters();
	buf.ptr = team_alloc(t.ctx, NPU_SMALL);
	npu_put(t.ctx, buf.ptr, NPU_SMALL, t.rank, 0);
	set = npu_share(&t, &buf, 1);
	CHECK_INT(ipcshare_set_failures(set), 0);
	check_counts(&t, 1);
	CHECK_INT(npu_uses("aclrtIpcMemSetImportPid"), 2);
	for (int r = 0; r < t.nranks; r++)
		npu_check(t.ctx, ipcshare_ptr(set, r, 0), NPU_SMALL, r, 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	npu_leave(me, &t);
}

static void the_whitelist_of_forty_ranks_takes_two_calls(void)
{
	if (npu_machine(8))
		test_ranks(40, whitelists_many, NULL);
}

/* ---- Chips and links ---- */

static void shares_across_dies(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[NPU_BUFS];
	struct ipcshare_set *set;
	void *memory[2];
	struct team t;

	(void)arg;
	npu_join(me, &t);
	if (me->rank < 2)
		CHECK(emu.enable_peer(me->rank ^ 1, 0), "dies of a chip enable each other here");
	npu_buffers(&t, memory, bufs);
	set = npu_share(&t, bufs, NPU_BUFS);
	npu_check_all(&t, set);
	npu_read_and_write(me, &t, set);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	npu_buffers_free(&t, memory);
	npu_leave(me, &t);
}

static void two_dies_of_a_chip_share(void)
{
	if (!npu_machine(2))
		return;
	setenv("ASCENDCL_EMU_SOC", "Ascend910_9391", 1);
	test_ranks(2, shares_across_dies, NULL);
	npu_machine(4);
	test_ranks(4, shares_across_dies, NULL);
}

static int unlinked(int a, int b)
{
	return a + b == 1; /* ranks 0 and 1 */
}

static void shares_but_for_one_pair(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[NPU_BUFS];
	struct ipcshare_set *set = NULL;
	void *memory[2];
	struct team t;

	(void)arg;
	npu_join(me, &t);
	npu_buffers(&t, memory, bufs);
	set = npu_share(&t, bufs, NPU_BUFS);
	CHECK_INT(ipcshare_set_failures(set), 2 * NPU_BUFS);
	for (int r = 0; r < t.nranks; r++)
		for (size_t i = 0; i < NPU_BUFS; i++) {
			int bad = unlinked(r, me->rank);

			CHECK_INT(ipcshare_set_status(set, r, i),
				  bad ? IPCSHARE_ERR_UNREACHABLE : 0);
			CHECK_INT(!ipcshare_ptr(set, r, i), bad);
			if (!bad)
				npu_check(t.ctx, ipcshare_ptr(set, r, i), bufs[i].len, r, i);
		}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	set = NULL;
	CHECK_FAILS(ipcshare_share(t.group, bufs, NPU_BUFS, IPCSHARE_ALL_OR_NOTHING, &set),
		    IPCSHARE_ERR_UNREACHABLE);
	CHECK(!set, "there is a set");
	CHECK_HAS(ipcshare_last_error()->text, "can't reach device");
	CHECK_HAS(ipcshare_last_error()->text, "link none");
	CHECK_INT(ipcshare_last_error()->index, 0);
	npu_buffers_free(&t, memory);
	npu_leave(me, &t);
}

static void a_pair_without_a_link_is_unreachable_and_the_others_work(void)
{
	if (!npu_machine(4))
		return;
	setenv("ASCENDCL_EMU_SOC", "Ascend910B2C", 1);
	setenv("ASCENDCL_EMU_LINKS", "0-1=none,0-2=pix,1-2=phb,2-3=pib", 1);
	test_ranks(4, shares_but_for_one_pair, NULL);
}

/* ---- Exports that the driver refuses ---- */

static void exports_openly(struct test_rank *me, void *arg)
{
	struct ipcshare_options options = npu_options(0);
	struct ipcshare_ctx *ctx = NULL;
	struct ipcshare_packed packed;
	void *memory;

	(void)me;
	(void)arg;
	npu_load();
	emu.reset_counters();
	for (int i = 0; i < 3; i++) {
		REQUIRE_OK(ipcshare_open(&options, &ctx));
		memory = team_alloc(ctx, NPU_SMALL);
		CHECK_FAILS(ipcshare_pack(ctx, memory, 16, IPCSHARE_SHARE_OPEN, &packed),
			    IPCSHARE_ERR_UNSUPPORTED);
		CHECK_INT(ipcshare_last_error()->code, 207000);
		CHECK_HAS(ipcshare_last_error()->hint, "with a whitelist");
		CHECK_INT(npu_uses("aclrtIpcMemGetExportKey"), 1 + i);
		CHECK_STATUS(ipcshare_pack(ctx, memory, 16, 0, &packed), 0);
		CHECK_INT(npu_uses("aclrtIpcMemGetExportKey"), 2 + i);
		CHECK_STATUS(ipcshare_close(ctx), 0);
	}
}

static void an_export_without_whitelist_is_tried_once(void)
{
	if (!npu_machine(1))
		return;
	npu_release("8.2");
	test_ranks(1, exports_openly, NULL);
}

static void exports_two(struct test_rank *me, void *arg)
{
	struct ipcshare_options options = npu_options(0);
	struct ipcshare_ctx *ctx = NULL;
	struct ipcshare_packed packed;
	void *a, *b;

	(void)me;
	(void)arg;
	npu_load();
	REQUIRE_OK(ipcshare_open(&options, &ctx));
	a = team_alloc(ctx, NPU_SMALL);
	b = team_alloc(ctx, NPU_SMALL);
	CHECK_STATUS(ipcshare_pack(ctx, a, 16, 0, &packed), 0);
	CHECK_FAILS(ipcshare_pack(ctx, b, 16, 0, &packed), IPCSHARE_ERR_LIMIT);
	CHECK_INT(ipcshare_last_error()->code, 107017);
	CHECK_STATUS(ipcshare_free(ctx, a), 0);
	CHECK_STATUS(ipcshare_pack(ctx, b, 16, 0, &packed), 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void more_exports_than_a_process_can_have_are_a_limit(void)
{
	if (!npu_machine(1))
		return;
	setenv("ASCENDCL_EMU_MAX_KEYS", "1", 1);
	test_ranks(1, exports_two, NULL);
	unsetenv("ASCENDCL_EMU_MAX_KEYS");
}

TEST_SUITE(ascend, npu_remember, npu_restore,
	TEST(four_ranks_on_four_devices_read_and_write_each_other),
	TEST(eight_ranks_on_eight_devices_do),
	TEST(several_ranks_on_a_device_do),
	TEST(the_whitelist_of_forty_ranks_takes_two_calls),
	TEST(two_dies_of_a_chip_share),
	TEST(a_pair_without_a_link_is_unreachable_and_the_others_work),
	TEST(an_export_without_whitelist_is_tried_once),
	TEST(more_exports_than_a_process_can_have_are_a_limit));
