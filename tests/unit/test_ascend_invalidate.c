/* SPDX-License-Identifier: BSD-3-Clause */
/* Registered device memory that the program frees: its key must be closed before that. */
#include "npu.h"

#define LEN (2u << 20)
#define WHO 0 /* whose memory goes away */

/* As a hook before aclrtFree() would; then other memory, most likely at the same address. */
static void replace(struct team *t, void **memory, int status)
{
	CHECK_STATUS(ipcshare_invalidate(t->ctx, *memory, LEN), status);
	CHECK_INT(npu_uses("aclrtIpcMemClose"), 1);
	CHECK_INT(emu.free(*memory), 0);
	REQUIRE_INT(emu.malloc(memory, LEN, 0), 0);
	REQUIRE_OK(ipcshare_register(t->ctx, *memory, LEN, -1));
	npu_put(t->ctx, *memory, LEN, t->rank, 2);
}

static void loses_memory(struct test_rank *me, void *arg)
{
	int in_use = arg != NULL, peer = 1 - me->rank, status;
	struct ipcshare_set *old, *new;
	struct ipcshare_buf buf = { .len = LEN };
	char bytes[64];
	struct team t;

	npu_join(me, &t);
	REQUIRE_INT(emu.malloc(&buf.ptr, LEN, 0), 0);
	REQUIRE_OK(ipcshare_register(t.ctx, buf.ptr, LEN, -1));
	npu_put(t.ctx, buf.ptr, LEN, me->rank, 1);
	old = npu_share(&t, &buf, 1);
	npu_check(t.ctx, ipcshare_ptr(old, peer, 0), LEN, peer, 1);
	if (!in_use)
		CHECK_STATUS(ipcshare_set_free(old), 0);
	test_rank_barrier(me, NPU_TALK);
	emu.reset_counters();
	test_rank_barrier(me, NPU_TALK);
	if (me->rank == WHO)
		replace(&t, &buf.ptr, in_use ? IPCSHARE_ERR_BUSY : 0);
	test_rank_barrier(me, NPU_TALK);
	if (in_use && me->rank != WHO) { /* the driver has taken it away */
		status = ipcshare_copy(t.ctx, bytes, ipcshare_ptr(old, WHO, 0), sizeof(bytes));
		CHECK(status == IPCSHARE_ERR_SYSTEM || status == IPCSHARE_ERR_STALE,
		      "reading gives %d: %s", status, ipcshare_explain());
	}
	new = npu_share(&t, &buf, 1);
	CHECK_INT(ipcshare_set_failures(new), 0);
	npu_check(t.ctx, ipcshare_ptr(new, WHO, 0), LEN, WHO, 2);
	npu_check(t.ctx, ipcshare_ptr(new, 1 - WHO, 0), LEN, 1 - WHO, 1);
	if (in_use)
		CHECK_STATUS(ipcshare_set_free(old), 0);
	npu_check(t.ctx, ipcshare_ptr(new, WHO, 0), LEN, WHO, 2);
	CHECK_STATUS(ipcshare_set_free(new), 0);
	CHECK_STATUS(ipcshare_deregister(t.ctx, buf.ptr), 0);
	CHECK_INT(emu.free(buf.ptr), 0);
	npu_leave(me, &t);
}

static void memory_that_was_freed_and_came_again_is_shared_anew(void)
{
	if (npu_machine(2))
		test_ranks(2, loses_memory, NULL);
}

static void a_peer_in_the_middle_loses_the_old_and_gets_the_new(void)
{
	if (npu_machine(2))
		test_ranks(2, loses_memory, "in use");
}

TEST_SUITE(ascend_invalidate, npu_remember, npu_restore,
	TEST(memory_that_was_freed_and_came_again_is_shared_anew),
	TEST(a_peer_in_the_middle_loses_the_old_and_gets_the_new));
