/* SPDX-License-Identifier: BSD-3-Clause */
#include "npu.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- The emulated machine ---- */

static const char *const settings[] = {
	"IPCSHARE_BACKEND", "IPCSHARE_ACL_LIB", "IPCSHARE_ASCEND_ANY_SOC", "ASCENDCL_EMU_JOB",
	"ASCENDCL_EMU_DEVICES", "ASCENDCL_EMU_SOC", "ASCENDCL_EMU_LINKS",
	"ASCENDCL_EMU_BARE_TGID", "ASCENDCL_EMU_FAIL", "ASCENDCL_EMU_TASK_DELAY_US",
	"ASCENDCL_EMU_MAX_KEYS",
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static char *before_test[SETTINGS];
int npu_ndevices;
struct emu emu;

void npu_remember(void)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const char *value = getenv(settings[i]);

		before_test[i] = value ? strdup(value) : NULL;
		unsetenv(settings[i]);
	}
}

void npu_restore(void)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		if (before_test[i])
			setenv(settings[i], before_test[i], 1);
		else
			unsetenv(settings[i]);
		free(before_test[i]);
	}
}

int npu_machine(int devices)
{
	const char *emulator = getenv("TEST_EMU");
	static int serial, said;
	char text[64];

	if (!emulator || !*emulator) {
		if (!said++)
			test_note("TEST_EMU names no emulator of the Ascend runtime: nothing of the "
				  "backend is tested");
		return 0;
	}
	setenv("IPCSHARE_BACKEND", "ascend", 1);
	setenv("IPCSHARE_ACL_LIB", emulator, 1);
	snprintf(text, sizeof(text), "test-ascend-%d-%d", getpid(), serial++);
	setenv("ASCENDCL_EMU_JOB", text, 1);
	snprintf(text, sizeof(text), "%d", devices);
	setenv("ASCENDCL_EMU_DEVICES", text, 1);
	npu_ndevices = devices;
	return 1;
}

void npu_release(const char *release)
{
	const char *emulator = getenv("TEST_EMU");
	char path[4096];

	snprintf(path, sizeof(path), "%.*s/libascendcl-%s.so",
		 (int)(strrchr(emulator, '/') - emulator), emulator, release);
	setenv("IPCSHARE_ACL_LIB", path, 1);
}

static void symbol(void *library, const char *name, void *slot)
{
	void *found = dlsym(library, name);

	REQUIRE(found, "%s has no %s", getenv("TEST_EMU"), name);
	memcpy(slot, &found, sizeof(found));
}

void npu_load(void)
{
	void *library = dlopen(getenv("IPCSHARE_ACL_LIB"), RTLD_NOW | RTLD_LOCAL);

	REQUIRE(library, "%s", dlerror());
	symbol(library, "ascendclEmuCounter", &emu.counter);
	symbol(library, "ascendclEmuResetCounters", &emu.reset_counters);
	symbol(library, "ascendclEmuFail", &emu.fail);
	symbol(library, "ascendclEmuHoldings", &emu.holdings);
	symbol(library, "aclInit", &emu.init);
	symbol(library, "aclFinalize", &emu.finalize);
	symbol(library, "aclFinalizeReference", &emu.finalize_reference);
	symbol(library, "aclrtSetDevice", &emu.set_device);
	symbol(library, "aclrtGetDevice", &emu.get_device);
	symbol(library, "aclrtGetCurrentContext", &emu.get_context);
	symbol(library, "aclrtSetCurrentContext", &emu.set_context);
	symbol(library, "aclrtCreateContext", &emu.create_context);
	symbol(library, "aclrtMalloc", &emu.malloc);
	symbol(library, "aclrtFree", &emu.free);
	symbol(library, "aclrtDeviceEnablePeerAccess", &emu.enable_peer);
	symbol(library, "aclrtCreateStream", &emu.create_stream);
	symbol(library, "aclrtDestroyStream", &emu.destroy_stream);
	symbol(library, "aclrtSynchronizeStream", &emu.synchronise);
	symbol(library, "aclmdlRICaptureBegin", &emu.capture_begin);
	symbol(library, "aclmdlRICaptureEnd", &emu.capture_end);
	symbol(library, "aclmdlRICaptureThreadExchangeMode", &emu.capture_mode);
	symbol(library, "aclmdlRIExecuteAsync", &emu.execute);
	symbol(library, "aclmdlRIDestroy", &emu.destroy_model);
}

uint64_t npu_uses(const char *call)
{
	uint64_t n = 0;

	REQUIRE_INT(emu.counter(call, &n), 0);
	return n;
}

/* ---- Ranks ---- */

struct ipcshare_options npu_options(int device)
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;

	options.device = device;
	return options;
}

void npu_warm_up(int device)
{
	struct ipcshare_options options = npu_options(device);
	struct ipcshare_ctx *ctx = NULL;

	npu_load();
	REQUIRE_OK(ipcshare_open(&options, &ctx));
	REQUIRE_OK(ipcshare_close(ctx));
}

void npu_join(struct test_rank *me, struct team *t)
{
	struct ipcshare_options options = npu_options(me->rank % npu_ndevices);

	npu_warm_up(options.device);
	*t = (struct team){ .rank = me->rank, .nranks = me->nranks };
	test_resources(&t->before);
	REQUIRE_OK(ipcshare_open(&options, &t->ctx));
	CHECK_STR(ipcshare_backend(t->ctx), "ascend");
	REQUIRE_OK(ipcshare_group_create(t->ctx, &me->bootstrap, &t->group));
}

void npu_holds_nothing(struct test_rank *me, const char *after)
{
	struct emu_holdings h = { 0 };

	test_rank_barrier(me, NPU_TALK);
	REQUIRE_INT(emu.holdings(&h), 0);
	CHECK(!h.exports && !h.imports && !h.grants && !h.bytes && !h.notifies,
	      "%s: the runtime holds %ju exports, %ju imports, %ju grants, %ju bytes, %ju notifies",
	      after, (uintmax_t)h.exports, (uintmax_t)h.imports, (uintmax_t)h.grants,
	      (uintmax_t)h.bytes, (uintmax_t)h.notifies);
	test_rank_barrier(me, NPU_TALK);
}

void npu_leave(struct test_rank *me, struct team *t)
{
	CHECK_STATUS(ipcshare_group_free(t->group), 0);
	test_rank_barrier(me, NPU_TALK);
	CHECK_STATUS(ipcshare_close(t->ctx), 0);
	npu_holds_nothing(me, "all is closed");
	CHECK_NOTHING_LEAKED(&t->before);
}

/* ---- Bytes: through the host, as loads and stores can't reach them ---- */

void npu_put(struct ipcshare_ctx *ctx, void *to, size_t len, int who, size_t index)
{
	char *bytes = malloc(len);

	team_fill(bytes, len, who, index);
	CHECK_STATUS(ipcshare_copy(ctx, to, bytes, len), 0);
	free(bytes);
}

void npu_check(struct ipcshare_ctx *ctx, const void *at, size_t len, int who, size_t index)
{
	char *bytes = calloc(1, len);

	if (CHECK_STATUS(ipcshare_copy(ctx, bytes, at, len), 0))
		team_check(bytes, len, who, index);
	free(bytes);
}

void npu_buffers(struct team *t, void *memory[2], struct ipcshare_buf bufs[NPU_BUFS])
{
	memory[0] = team_alloc(t->ctx, NPU_BIG);
	memory[1] = team_alloc(t->ctx, NPU_SMALL);
	bufs[0] = (struct ipcshare_buf){ memory[0], 4096 };
	bufs[1] = (struct ipcshare_buf){ (char *)memory[0] + NPU_BIG - 9001, 9001 };
	bufs[2] = (struct ipcshare_buf){ memory[1], NPU_SMALL };
	for (size_t i = 0; i < NPU_BUFS; i++)
		npu_put(t->ctx, bufs[i].ptr, bufs[i].len, t->rank, i);
}

void npu_buffers_free(struct team *t, void *memory[2])
{
	CHECK_STATUS(ipcshare_free(t->ctx, memory[0]), 0);
	CHECK_STATUS(ipcshare_free(t->ctx, memory[1]), 0);
}

struct ipcshare_set *npu_share(struct team *t, const struct ipcshare_buf *bufs, size_t n)
{
	struct ipcshare_set *set = NULL;

	REQUIRE_OK(ipcshare_share(t->group, bufs, n, 0, &set));
	return set;
}

void npu_check_all(struct team *t, const struct ipcshare_set *set)
{
	CHECK_INT(ipcshare_set_failures(set), 0);
	for (int r = 0; r < t->nranks; r++)
		for (size_t i = 0; i < NPU_BUFS; i++)
			npu_check(t->ctx, ipcshare_ptr(set, r, i), ipcshare_len(set, r, i), r, i);
}

void npu_read_and_write(struct test_rank *me, struct team *t, struct ipcshare_set *set)
{
	int next = (t->rank + 1) % t->nranks, last = (t->rank + t->nranks - 1) % t->nranks;

	for (int r = 0; r < t->nranks; r++)
		for (size_t i = 0; i < NPU_BUFS; i++)
			npu_check(t->ctx, ipcshare_ptr(set, r, i), ipcshare_len(set, r, i), r, i);
	test_rank_barrier(me, NPU_TALK);
	for (size_t i = 0; i < NPU_BUFS; i++)
		npu_put(t->ctx, ipcshare_ptr(set, next, i), ipcshare_len(set, next, i),
			100 + t->rank, i);
	test_rank_barrier(me, NPU_TALK);
	for (size_t i = 0; i < NPU_BUFS; i++)
		npu_check(t->ctx, ipcshare_ptr(set, t->rank, i), ipcshare_len(set, t->rank, i),
		      100 + last, i);
	test_rank_barrier(me, NPU_TALK);
}
