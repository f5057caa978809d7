/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening the Ascend backend: what is missing is named. */
#include <stdlib.h>

#include "npu.h"

/* ---- Open ---- */

struct refusal {
	const char *name, *value; /* in the environment */
	int device;
	int status;
	const char *text, *hint; /* parts of them */
};

static void is_refused(struct test_rank *me, void *arg)
{
	const struct refusal *r = arg;
	struct ipcshare_options options = npu_options(r->device);
	struct ipcshare_ctx *ctx = NULL;
	struct test_resources before;

	(void)me;
	/* What is loaded at the first call stays. */
	CHECK_FAILS(ipcshare_open(&options, &ctx), r->status);
	test_resources(&before);
	for (int i = 0; i < 3; i++) {
		CHECK_FAILS(ipcshare_open(&options, &ctx), r->status);
		CHECK_HAS(ipcshare_last_error()->text, r->text);
		CHECK_HAS(ipcshare_last_error()->hint, r->hint);
		CHECK(!ctx, "there is a context");
	}
	CHECK_NOTHING_LEAKED(&before);
}

static void opens_all_the_same(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[NPU_BUFS];
	struct ipcshare_set *set;
	void *memory[2];
	struct team t;

	(void)arg;
	npu_join(me, &t);
	npu_buffers(&t, memory, bufs);
	set = npu_share(&t, bufs, NPU_BUFS);
	npu_check_all(&t, set);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	npu_buffers_free(&t, memory);
	npu_leave(me, &t);
}

static void what_is_missing_is_named_by_open(void)
{
	static const struct refusal refusals[] = {
		{ "ASCENDCL_EMU_BARE_TGID", "-1", 0, IPCSHARE_ERR_SYSTEM, "process id -1",
		  "container" },
		{ "ASCENDCL_EMU_SOC", "Ascend310P3", 0, IPCSHARE_ERR_NO_BACKEND, "Ascend310P3",
		  "IPCSHARE_ASCEND_ANY_SOC=1" },
		{ "ASCENDCL_EMU_SOC", "Ascend910B", 1, IPCSHARE_ERR_NO_BACKEND, "Ascend910B,",
		  "IPCSHARE_ASCEND_ANY_SOC=1" },
		{ "ASCENDCL_EMU_SOC", "", 0, IPCSHARE_ERR_NO_BACKEND, "can't name the device",
		  "npu-smi info" },
		{ "ASCENDCL_EMU_DEVICES", "2", 2, IPCSHARE_ERR_NO_BACKEND, "device 2",
		  "ASCEND_RT_VISIBLE_DEVICES" },
		{ "ASCENDCL_EMU_DEVICES", "2", 1000, IPCSHARE_ERR_NO_BACKEND, "device 1000",
		  "ASCEND_RT_VISIBLE_DEVICES" },
		{ "IPCSHARE_ACL_LIB", "/nowhere/libascendcl.so", 0, IPCSHARE_ERR_NO_BACKEND,
		  "/nowhere/libascendcl.so", "IPCSHARE_ACL_LIB" },
		{ "IPCSHARE_ACL_LIB", "libc.so.6", 0, IPCSHARE_ERR_NO_BACKEND, "lacks acl",
		  "CANN" },
	};

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (!npu_machine(2))
			return;
		setenv(refusals[i].name, refusals[i].value, 1);
		test_ranks(1, is_refused, (void *)&refusals[i]);
		unsetenv(refusals[i].name);
	}
}

static void another_soc_is_used_if_told_so(void)
{
	if (!npu_machine(2))
		return;
	setenv("ASCENDCL_EMU_SOC", "Ascend310P3", 1);
	setenv("IPCSHARE_ASCEND_ANY_SOC", "1", 1);
	test_ranks(2, opens_all_the_same, NULL);
}

TEST_SUITE(ascend_open, npu_remember, npu_restore,
	TEST(what_is_missing_is_named_by_open),
	TEST(another_soc_is_used_if_told_so));
