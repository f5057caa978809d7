/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream_rank.h"

void stream_rank_join(struct test_rank *me, size_t size, struct stream_rank *r)
{
	npu_join(me, &r->t);
	r->device = (struct coll_device){ .ctx = r->t.ctx, .size = size };
	r->device.synchronise = emu.synchronise;
	r->device.shared = team_alloc(r->t.ctx, size);
	r->device.own = team_alloc(r->t.ctx, size);
	REQUIRE_INT(emu.create_stream(&r->device.stream), 0);
	r->set = npu_share(&r->t, &(struct ipcshare_buf){ r->device.shared, size }, 1);
}

static void leave(struct test_rank *me, struct stream_rank *r, int status)
{
	CHECK_INT(emu.destroy_stream(r->device.stream), 0);
	CHECK_STATUS(ipcshare_set_free(r->set), status);
	test_rank_barrier(me, NPU_TALK);
	CHECK_STATUS(ipcshare_free(r->t.ctx, r->device.own), 0);
	if (!status)
		CHECK_STATUS(ipcshare_free(r->t.ctx, r->device.shared), 0);
	npu_leave(me, &r->t);
}

void stream_rank_leave(struct test_rank *me, struct stream_rank *r)
{
	leave(me, r, 0);
}

void stream_rank_leave_broken(struct test_rank *me, struct stream_rank *r, int status)
{
	leave(me, r, status);
}
