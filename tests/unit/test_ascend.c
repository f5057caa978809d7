/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole library over the Ascend backend, on an emulator of the runtime: the library that TEST_EMU
 * names. Without it nothing is tested here.
 */
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend/ascend/acl.h"
#include "team.h"

#define BIG ((size_t)3 << 20) /* a huge page and a half */
#define SMALL ((size_t)5000)
#define INJECTED 507899
#define TALK 1 /* the lane on which the ranks of a test tell each other how they fare */

/* ---- The emulated machine ---- */

static const char *const settings[] = {
	"IPCSHARE_BACKEND", "IPCSHARE_ACL_LIB", "IPCSHARE_ASCEND_ANY_SOC", "ASCENDCL_EMU_JOB",
	"ASCENDCL_EMU_DEVICES", "ASCENDCL_EMU_SOC", "ASCENDCL_EMU_LINKS",
	"ASCENDCL_EMU_BARE_TGID", "ASCENDCL_EMU_FAIL", "ASCENDCL_EMU_TASK_DELAY_US",
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static char *before_test[SETTINGS];
static int ndevices;

static void remember_environment(void)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const char *value = getenv(settings[i]);

		before_test[i] = value ? strdup(value) : NULL;
		unsetenv(settings[i]);
	}
}

static void restore_environment(void)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		if (before_test[i])
			setenv(settings[i], before_test[i], 1);
		else
			unsetenv(settings[i]);
		free(before_test[i]);
	}
}

/* A machine with @devices devices that no other test or program shares; 0: there is no emulator. */
static int machine(int devices)
{
	static int serial, said;
	char text[64];

	if (!getenv("TEST_EMU")) {
		if (!said++)
			test_note("TEST_EMU names no emulator of the Ascend runtime: nothing of the "
				  "backend is tested");
		return 0;
	}
	setenv("IPCSHARE_BACKEND", "ascend", 1);
	setenv("IPCSHARE_ACL_LIB", getenv("TEST_EMU"), 1);
	snprintf(text, sizeof(text), "test-ascend-%d-%d", getpid(), serial++);
	setenv("ASCENDCL_EMU_JOB", text, 1);
	snprintf(text, sizeof(text), "%d", devices);
	setenv("ASCENDCL_EMU_DEVICES", text, 1);
	ndevices = devices;
	return 1;
}

struct holdings { /* as in the emulator's emu_control.h */
	uint64_t exports, imports, bytes, notifies, processes, grants;
};

/* What the tests call themselves. */
static struct {
	int (*counter)(const char *name, uint64_t *value);
	void (*reset_counters)(void);
	int (*fail)(const char *rules);
	int (*holdings)(struct holdings *out);
	int (*init)(const char *config);
	int (*finalize)(void);
	int (*set_device)(int32_t device);
	int (*get_device)(int32_t *device);
	int (*get_context)(void **context);
	int (*set_context)(void *context);
	int (*create_context)(void **context, int32_t device);
	int (*malloc)(void **ptr, size_t size, int32_t policy);
	int (*free)(void *ptr);
	int (*enable_peer)(int32_t peer, uint32_t flags);
} emu;

static void symbol(void *library, const char *name, void *slot)
{
	void *found = dlsym(library, name);

	REQUIRE(found, "%s has no %s", getenv("TEST_EMU"), name);
	memcpy(slot, &found, sizeof(found));
}

/* In a rank, for the runtime does not survive a fork. */
static void emu_load(void)
{
	void *library = dlopen(getenv("TEST_EMU"), RTLD_NOW | RTLD_LOCAL);

	REQUIRE(library, "%s", dlerror());
	symbol(library, "ascendclEmuCounter", &emu.counter);
	symbol(library, "ascendclEmuResetCounters", &emu.reset_counters);
	symbol(library, "ascendclEmuFail", &emu.fail);
	symbol(library, "ascendclEmuHoldings", &emu.holdings);
	symbol(library, "aclInit", &emu.init);
	symbol(library, "aclFinalize", &emu.finalize);
	symbol(library, "aclrtSetDevice", &emu.set_device);
	symbol(library, "aclrtGetDevice", &emu.get_device);
	symbol(library, "aclrtGetCurrentContext", &emu.get_context);
	symbol(library, "aclrtSetCurrentContext", &emu.set_context);
	symbol(library, "aclrtCreateContext", &emu.create_context);
	symbol(library, "aclrtMalloc", &emu.malloc);
	symbol(library, "aclrtFree", &emu.free);
	symbol(library, "aclrtDeviceEnablePeerAccess", &emu.enable_peer);
}

static uint64_t uses(const char *call)
{
	uint64_t n = 0;

	REQUIRE_INT(emu.counter(call, &n), 0);
	return n;
}

/* ---- Ranks ---- */

static struct ipcshare_options on_device(int device)
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;

	options.device = device;
	return options;
}

/* What is loaded and started once a process is no leak. */
static void warm_up(int device)
{
	struct ipcshare_options options = on_device(device);
	struct ipcshare_ctx *ctx = NULL;

	emu_load();
	REQUIRE_OK(ipcshare_open(&options, &ctx));
	REQUIRE_OK(ipcshare_close(ctx));
}

static void join(struct test_rank *me, struct team *t)
{
	struct ipcshare_options options = on_device(me->rank % ndevices);

	warm_up(options.device);
	*t = (struct team){ .rank = me->rank, .nranks = me->nranks };
	test_resources(&t->before);
	REQUIRE_OK(ipcshare_open(&options, &t->ctx));
	CHECK_STR(ipcshare_backend(t->ctx), "ascend");
	REQUIRE_OK(ipcshare_group_create(t->ctx, &me->bootstrap, &t->group));
}

/* All ranks have closed all: the runtime holds nothing for any of them. */
static void check_holdings(struct test_rank *me, const char *after)
{
	struct holdings h = { 0 };

	test_rank_barrier(me, TALK);
	REQUIRE_INT(emu.holdings(&h), 0);
	CHECK(!h.exports && !h.imports && !h.grants && !h.bytes,
	      "%s: the runtime holds %ju exports, %ju imports, %ju grants, %ju bytes", after,
	      (uintmax_t)h.exports, (uintmax_t)h.imports, (uintmax_t)h.grants,
	      (uintmax_t)h.bytes);
	test_rank_barrier(me, TALK);
}

static void leave(struct test_rank *me, struct team *t)
{
	CHECK_STATUS(ipcshare_group_free(t->group), 0);
	test_rank_barrier(me, TALK);
	CHECK_STATUS(ipcshare_close(t->ctx), 0);
	check_holdings(me, "all is closed");
	CHECK_NOTHING_LEAKED(&t->before);
}

/* Everybody's number, in rank order. */
static void everybodys(struct test_rank *me, int mine, int *all)
{
	struct ipcshare_bootstrap b = test_rank_bootstrap(me, TALK, 0);

	REQUIRE_INT(b.allgather(b.arg, NULL, &mine, sizeof(mine), all), 0);
}

/* ---- Bytes: through the host, as loads and stores can't reach them ---- */

static void put(struct ipcshare_ctx *ctx, void *to, size_t len, int who, size_t index)
{
	char *bytes = malloc(len);

	team_fill(bytes, len, who, index);
	CHECK_STATUS(ipcshare_copy(ctx, to, bytes, len), 0);
	free(bytes);
}

static void check(struct ipcshare_ctx *ctx, const void *at, size_t len, int who, size_t index)
{
	char *bytes = calloc(1, len);

	if (CHECK_STATUS(ipcshare_copy(ctx, bytes, at, len), 0))
		team_check(bytes, len, who, index);
	free(bytes);
}

#define BUFS 3

/* Two allocations, three buffers; one starts at an odd address inside. */
static void make_buffers(struct team *t, void *memory[2], struct ipcshare_buf bufs[BUFS])
{
	memory[0] = team_alloc(t->ctx, BIG);
	memory[1] = team_alloc(t->ctx, SMALL);
	bufs[0] = (struct ipcshare_buf){ memory[0], 4096 };
	bufs[1] = (struct ipcshare_buf){ (char *)memory[0] + BIG - 9001, 9001 };
	bufs[2] = (struct ipcshare_buf){ memory[1], SMALL };
	for (size_t i = 0; i < BUFS; i++)
		put(t->ctx, bufs[i].ptr, bufs[i].len, t->rank, i);
}

static void free_buffers(struct team *t, void *memory[2])
{
	CHECK_STATUS(ipcshare_free(t->ctx, memory[0]), 0);
	CHECK_STATUS(ipcshare_free(t->ctx, memory[1]), 0);
}

static struct ipcshare_set *share(struct team *t, const struct ipcshare_buf *bufs, size_t n)
{
	struct ipcshare_set *set = NULL;

	REQUIRE_OK(ipcshare_share(t->group, bufs, n, 0, &set));
	return set;
}

/* ---- Content and counts ---- */

/* Everybody reads all, then writes its own numbers into the buffers of the next rank. */
static void read_and_write(struct test_rank *me, struct team *t, struct ipcshare_set *set)
{
	int next = (t->rank + 1) % t->nranks, last = (t->rank + t->nranks - 1) % t->nranks;

	for (int r = 0; r < t->nranks; r++)
		for (size_t i = 0; i < BUFS; i++)
			check(t->ctx, ipcshare_ptr(set, r, i), ipcshare_len(set, r, i), r, i);
	test_rank_barrier(me, TALK);
	for (size_t i = 0; i < BUFS; i++)
		put(t->ctx, ipcshare_ptr(set, next, i), ipcshare_len(set, next, i), 100 + t->rank, i);
	test_rank_barrier(me, TALK);
	for (size_t i = 0; i < BUFS; i++)
		check(t->ctx, ipcshare_ptr(set, t->rank, i), ipcshare_len(set, t->rank, i),
		      100 + last, i);
	test_rank_barrier(me, TALK);
}

static void check_counts(struct team *t, uint64_t allocations)
{
	struct ipcshare_counters c = team_counters(t->ctx);
	uint64_t others = (uint64_t)t->nranks - 1;
	uint64_t allows = allocations * ((others + 30) / 31), imports = allocations * others;

	CHECK_INT(c.calls[IPCSHARE_CALL_EXPORT], allocations);
	CHECK_INT(c.calls[IPCSHARE_CALL_ALLOW], allows);
	CHECK_INT(c.calls[IPCSHARE_CALL_IMPORT], imports);
	CHECK_INT(uses("aclrtIpcMemGetExportKey"), allocations);
	CHECK_INT(uses("aclrtIpcMemSetImportPid"), allows);
	CHECK_INT(uses("aclrtIpcMemImportByKey"), imports);
	CHECK_INT(uses("violation_ipc_race"), 0);
	CHECK_INT(uses("violation_reexport"), 0);
}

static void shares_and_counts(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[BUFS];
	struct ipcshare_set *set, *again;
	void *memory[2];
	uint64_t calls;
	struct team t;

	(void)arg;
	join(me, &t);
	emu.reset_counters();
	make_buffers(&t, memory, bufs);
	set = share(&t, bufs, BUFS);
	CHECK_INT(ipcshare_set_failures(set), 0);
	check_counts(&t, 2);
	calls = team_calls(t.ctx);
	again = share(&t, bufs, BUFS);
	CHECK_INT(ipcshare_set_failures(again), 0);
	CHECK_INT(team_calls(t.ctx), calls);
	check_counts(&t, 2);
	read_and_write(me, &t, again);
	CHECK_STATUS(ipcshare_set_free(again), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	free_buffers(&t, memory);
	test_rank_barrier(me, TALK); /* the owners have asked for all to be closed */
	CHECK_INT(uses("aclrtIpcMemClose"), 2 * t.nranks);
	leave(me, &t);
}

static void four_ranks_on_four_devices_read_and_write_each_other(void)
{
	if (machine(4))
		test_ranks(4, shares_and_counts, NULL);
}

static void eight_ranks_on_eight_devices_do(void)
{
	if (machine(8))
		test_ranks(8, shares_and_counts, NULL);
}

static void several_ranks_on_a_device_do(void)
{
	if (machine(2))
		test_ranks(5, shares_and_counts, NULL);
}

static void whitelists_many(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set;
	struct ipcshare_buf buf = { .len = SMALL };
	struct team t;

	(void)arg;
	join(me, &t);
	emu.reset_counters();
	buf.ptr = team_alloc(t.ctx, SMALL);
	put(t.ctx, buf.ptr, SMALL, t.rank, 0);
	set = share(&t, &buf, 1);
	CHECK_INT(ipcshare_set_failures(set), 0);
	check_counts(&t, 1);
	CHECK_INT(uses("aclrtIpcMemSetImportPid"), 2);
	for (int r = 0; r < t.nranks; r++)
		check(t.ctx, ipcshare_ptr(set, r, 0), SMALL, r, 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	leave(me, &t);
}

static void the_whitelist_of_forty_ranks_takes_two_calls(void)
{
	if (machine(8))
		test_ranks(40, whitelists_many, NULL);
}

/* ---- Failures, one at a time ---- */

#define VICTIM 2
#define PARTS 3
#define CYCLES 3 /* until the second use of every call that is made at all */

enum answer {
	NAMED, /* the step that makes the call fails, once */
	TOLERATED, /* all succeeds, also the share */
	DROPPED, /* the same, and the runtime keeps what it refused to give back */
	UNUSED, /* not called here */
};

/* Every other call's failure must be named by the step that makes it. */
static const struct exemption {
	const char *call;
	int use; /* 0: any */
	enum answer answer;
	const char *why;
} exemptions[] = {
	{ "aclrtSetCurrentContext", 1, TOLERATED, "it puts the caller's context back" },
	{ "aclFinalizeReference", 0, TOLERATED, "the last step of a close, which can't be undone" },
	{ "aclrtResetDevice", 0, TOLERATED, "the same" },
	{ "aclrtDestroyStream", 0, TOLERATED, "the same; the reset of the device takes it" },
	{ "aclrtFree", 0, DROPPED, "the memory is forgotten by then" },
	{ "aclrtIpcMemClose", 0, DROPPED, "the import or export is forgotten by then" },
	{ "aclrtGetDevicesTopo", 0, TOLERATED, "for messages, and to know two dies of a chip" },
	{ "aclrtGetDeviceInfo", 0, TOLERATED, "to know two dies of a chip" },
	{ "aclrtDevicePeerAccessStatus", 0, TOLERATED, "asked so as to need no import flag" },
	{ "aclrtPointerGetAttributes", 0, TOLERATED, "what it does not know is host memory" },
	{ "aclrtGetUserDevIdByPhyDevId", 0, TOLERATED, "when a peer is allowed: imports ask again" },
	{ "aclrtDeviceCanAccessPeer", 0, TOLERATED, "the same" },
	{ "aclrtDeviceEnablePeerAccess", 0, TOLERATED, "the same" },
	{ "aclFinalize", 0, UNUSED, "only where aclFinalizeReference is missing" },
	{ "aclrtGetPhyDevIdByLogicDevId", 0, UNUSED, "only where the user's ids are missing" },
	{ "aclrtGetLogicDevIdByPhyDevId", 0, UNUSED, "only where the user's ids are missing" },
	{ "aclrtGetVersion", 0, UNUSED, "for ipcshare-info" },
	{ "aclrtMemGetAddressRange", 0, UNUSED, "for ipcshare_register()" },
	{ "aclrtMemcpy2dAsync", 0, UNUSED, "for many pieces" },
	{ "aclmdlRICaptureBegin", 0, UNUSED, "for plans" },
	{ "aclmdlRICaptureEnd", 0, UNUSED, "for plans" },
	{ "aclmdlRIExecuteAsync", 0, UNUSED, "for plans" },
	{ "aclmdlRIDestroy", 0, UNUSED, "for plans" },
	{ "aclrtCreateNotify", 0, UNUSED, "for notifies" },
	{ "aclrtDestroyNotify", 0, UNUSED, "for notifies" },
	{ "aclrtRecordNotify", 0, UNUSED, "for notifies" },
	{ "aclrtWaitAndResetNotify", 0, UNUSED, "for notifies" },
	{ "aclrtNotifyGetExportKey", 0, UNUSED, "for notifies" },
	{ "aclrtNotifySetImportPid", 0, UNUSED, "for notifies" },
	{ "aclrtNotifyImportByKey", 0, UNUSED, "for notifies" },
};

static const struct exemption *exemption_of(const char *call, int use)
{
	for (size_t i = 0; i < sizeof(exemptions) / sizeof(exemptions[0]); i++)
		if (!strcmp(exemptions[i].call, call) &&
		    (!exemptions[i].use || exemptions[i].use == use))
			return &exemptions[i];
	return NULL;
}

static enum answer answer_to(const char *call, int use)
{
	const struct exemption *x = exemption_of(call, use);

	return x ? x->answer : NAMED;
}

/* Made only on behalf of a program that has a context of its own. */
static int for_guests(const char *call)
{
	return !strcmp(call, "aclrtSetCurrentContext") || !strcmp(call, "aclrtGetDevice");
}

static const char *const acl_calls[] = {
#define CALL_NAME(needed, name, arguments) #name,
	ACL_CALLS(CALL_NAME)
#undef CALL_NAME
};
#define NCALLS ((int)(sizeof(acl_calls) / sizeof(acl_calls[0])))

struct sweep {
	struct test_rank *me;
	const char *call; /* that fails in VICTIM */
	int use;
	int failures; /* that this rank was told of */
	struct ipcshare_ctx *ctx;
	struct ipcshare_group *group;
	struct ipcshare_set *set;
	void *memory[2];
};

/* 1: the step failed as it may, and is to be made again. */
static int told(struct sweep *s, const char *step, int again, int status)
{
	if (!status)
		return 0;
	if (!CHECK(!again, "%s use %d: %s fails again: %s", s->call, s->use, step,
		   ipcshare_explain()))
		exit(1);
	CHECK(ipcshare_last_error()->status == status, "%s: %s gives %d, its detail %d", s->call,
	      step, status, ipcshare_last_error()->status);
	CHECK(ipcshare_last_error()->code == INJECTED, "%s: %s has code %jd", s->call, step,
	      (intmax_t)ipcshare_last_error()->code);
	CHECK(status == IPCSHARE_ERR_SYSTEM, "%s: %s gives %d", s->call, step, status);
	CHECK_HAS(ipcshare_last_error()->text, s->call);
	s->failures++;
	return 1;
}

/* Of the victim alone. */
static int told_alone(struct sweep *s, const char *step, int again, int status)
{
	CHECK(!status || s->me->rank == VICTIM, "%s: %s fails in rank %d: %s", s->call, step,
	      s->me->rank, ipcshare_explain());
	return told(s, step, again, status);
}

/* Of all ranks alike. */
static int told_all(struct sweep *s, const char *step, int again, int status)
{
	struct ipcshare_error mine = *ipcshare_last_error();
	int all[4];

	everybodys(s->me, status, all);
	for (int r = 0; r < s->me->nranks; r++)
		CHECK(all[r] == status, "%s: %s gives %d here, %d in rank %d", s->call, step, status,
		      all[r], r);
	CHECK(!status || mine.rank == VICTIM || mine.index >= 0,
	      "%s: %s names rank %d, buffer %jd", s->call, step, mine.rank, (intmax_t)mine.index);
	return told(s, step, again, status);
}

#define ALONE(step) for (int again = 0; told_alone(s, #step, again, step); again = 1)
#define ALL(step) for (int again = 0; told_all(s, #step, again, step); again = 1)

static void copies(struct sweep *s, size_t i)
{
	int n = s->me->nranks, next = (s->me->rank + 1) % n, last = (s->me->rank + n - 1) % n;
	char mine[256], seen[256] = "";

	team_fill(mine, sizeof(mine), s->me->rank, i);
	ALONE(ipcshare_copy(s->ctx, s->memory[i], mine, sizeof(mine)));
	test_rank_barrier(s->me, TALK);
	ALONE(ipcshare_copy(s->ctx, seen, ipcshare_ptr(s->set, next, i), sizeof(seen)));
	team_check(seen, sizeof(seen), next, i);
	/* On the device, from there to our own, and back to the host. */
	ALONE(ipcshare_copy(s->ctx, (char *)s->memory[i] + 512, ipcshare_ptr(s->set, last, i),
			    sizeof(seen)));
	ALONE(ipcshare_copy(s->ctx, seen, (char *)s->memory[i] + 512, sizeof(seen)));
	team_check(seen, sizeof(seen), last, i);
	test_rank_barrier(s->me, TALK);
}

static void cycle(struct sweep *s)
{
	struct ipcshare_options options = on_device(s->me->rank);

	ALONE(ipcshare_open(&options, &s->ctx));
	ALONE(ipcshare_alloc(s->ctx, BIG, &s->memory[0]));
	ALONE(ipcshare_alloc(s->ctx, SMALL, &s->memory[1]));
	ALL(ipcshare_group_create(s->ctx, &s->me->bootstrap, &s->group));
	ALL(ipcshare_share(s->group,
			   (struct ipcshare_buf[]){ { s->memory[0], 1024 }, { s->memory[1], 1024 } },
			   2, IPCSHARE_ALL_OR_NOTHING, &s->set));
	CHECK_INT(ipcshare_set_failures(s->set), 0);
	copies(s, 0);
	copies(s, 1);
	ALL(ipcshare_set_free(s->set));
	ALONE(ipcshare_free(s->ctx, s->memory[0]));
	ALL(ipcshare_group_free(s->group));
	ALONE(ipcshare_free(s->ctx, s->memory[1]));
	ALONE(ipcshare_alloc(s->ctx, SMALL, &s->memory[1]));
	test_rank_barrier(s->me, TALK);
	ALONE(ipcshare_close(s->ctx)); /* with an allocation that it has to free */
}

/*
 * Whatever this process made it has undone by its own call, and not left to the reset of the device:
 * as many of either, but for the one that failed.
 */
static void check_balance(const char *failed)
{
	static const struct {
		const char *made[2], *undone;
	} pairs[] = {
		{ { "aclrtMallocAlign32" }, "aclrtFree" },
		{ { "aclrtCreateStream" }, "aclrtDestroyStream" },
		{ { "aclrtSetDevice" }, "aclrtResetDevice" },
		{ { "aclrtIpcMemGetExportKey", "aclrtIpcMemImportByKey" }, "aclrtIpcMemClose" },
		{ { "aclInit" }, "aclFinalizeReference" },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		uint64_t made = 0;

		if (!strcmp(pairs[i].made[0], "aclInit") && for_guests(failed))
			continue; /* it was the program that initialised the runtime */
		for (int k = 0; k < 2 && pairs[i].made[k]; k++)
			made += uses(pairs[i].made[k]) - !strcmp(pairs[i].made[k], failed);
		CHECK(made == uses(pairs[i].undone), "%s fails: %ju of %s, %ju of %s", failed,
		      (uintmax_t)made, pairs[i].made[0], (uintmax_t)uses(pairs[i].undone),
		      pairs[i].undone);
	}
}

/* Cycles with one failure, until it has come; then everything is as before. */
static void sweep_one(struct test_rank *me, const char *call, int use,
		      const struct test_resources *before)
{
	enum answer answer = answer_to(call, use);
	struct sweep s = { .me = me, .call = call, .use = use };
	int came[4] = { 0 }, failed[4];
	void *context;
	char rule[96];

	if (for_guests(call)) { /* the program has another device than the library */
		REQUIRE_INT(emu.init(NULL), 0);
		REQUIRE_INT(emu.create_context(&context, (me->rank + 1) % me->nranks), 0);
	}
	snprintf(rule, sizeof(rule), "%s:%d=%d", call, use, INJECTED);
	if (me->rank == VICTIM) {
		emu.reset_counters();
		REQUIRE_INT(emu.fail(rule), 0);
	}
	for (int i = 0; i < CYCLES && !came[VICTIM]; i++) {
		cycle(&s);
		everybodys(me, me->rank == VICTIM && uses(call) >= (uint64_t)use, came);
	}
	emu.fail(NULL);
	if (me->rank == VICTIM)
		check_balance(call);
	everybodys(me, s.failures, failed);
	CHECK(came[VICTIM], "%s was not called %d times", call, use);
	CHECK(!failed[VICTIM] == (answer != NAMED), "%s, use %d: %s", call, use,
	      answer == NAMED ? "no step failed" : "it is to be tolerated, and a step failed");
	emu.finalize(); /* where the end of a close was refused, the next open starts anew */
	CHECK_NOTHING_LEAKED(before);
	if (answer != DROPPED)
		check_holdings(me, call);
}

static void unused_is_unused(void)
{
	for (int i = 0; i < NCALLS; i++)
		if (answer_to(acl_calls[i], 1) == UNUSED)
			CHECK(!uses(acl_calls[i]), "%s was called", acl_calls[i]);
}

/* *arg: which of the PARTS, as ranks have a deadline. */
static void meets_failures(struct test_rank *me, void *arg)
{
	const int *part = arg;
	struct test_resources before;

	warm_up(me->rank);
	cycle(&(struct sweep){ .me = me, .call = "none" });
	unused_is_unused();
	emu.finalize();
	test_rank_barrier(me, TALK);
	test_resources(&before);
	for (int dropped = 0; dropped < 2; dropped++) /* these last, for they leave something */
		for (int i = 0; i < 2 * NCALLS; i++) {
			enum answer answer = answer_to(acl_calls[i / 2], 1 + i % 2);

			if (i / 2 % PARTS == *part && (answer == DROPPED) == dropped &&
			    answer != UNUSED)
				sweep_one(me, acl_calls[i / 2], 1 + i % 2, &before);
		}
}

static void a_failure_of_any_call_is_named_and_passes(void)
{
	for (int part = 0; part < PARTS && machine(4); part++)
		test_ranks(4, meets_failures, &part);
}


/* ---- Failures that spare the rest of a share ---- */

static void check_all(struct team *t, const struct ipcshare_set *set)
{
	CHECK_INT(ipcshare_set_failures(set), 0);
	for (int r = 0; r < t->nranks; r++)
		for (size_t i = 0; i < BUFS; i++)
			check(t->ctx, ipcshare_ptr(set, r, i), ipcshare_len(set, r, i), r, i);
}

/* *arg: a rule by which calls of VICTIM fail, from then on until it is taken back. */
static void shares_with_a_failing_rank(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[BUFS];
	struct ipcshare_set *set = NULL;
	int status, all[4], failures;
	void *memory[2];
	struct team t;

	join(me, &t);
	make_buffers(&t, memory, bufs);
	if (me->rank == VICTIM)
		REQUIRE_INT(emu.fail(arg), 0);
	/* All or nothing. */
	status = ipcshare_share(t.group, bufs, BUFS, IPCSHARE_ALL_OR_NOTHING, &set);
	everybodys(me, status, all);
	for (int r = 0; r < 4; r++)
		CHECK(status < 0 && all[r] == status, "%s: %d here, %d in rank %d",
		      (char *)arg, status, all[r], r);
	CHECK(!set, "there is a set");
	CHECK(ipcshare_last_error()->text[0] && ipcshare_last_error()->index >= 0, "%s: %s",
	      (char *)arg, ipcshare_explain());
	/* What can be shared. */
	set = share(&t, bufs, BUFS);
	failures = (int)ipcshare_set_failures(set);
	everybodys(me, failures, all);
	for (int r = 0; r < 4; r++)
		CHECK(failures > 0 && all[r] == failures, "%s: %d failures here, %d in rank %d",
		      (char *)arg, failures, all[r], r);
	for (int r = 0; r < 4; r++)
		for (size_t i = 0; i < BUFS; i++) {
			void *p = ipcshare_ptr(set, r, i);

			CHECK_INT(!p, ipcshare_set_status(set, r, i) != 0);
			CHECK(p || r == VICTIM || me->rank == VICTIM, "%s: buffer %zu of rank %d",
			      (char *)arg, i, r);
			if (p)
				check(t.ctx, p, bufs[i].len, r, i);
		}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	emu.fail(NULL);
	set = share(&t, bufs, BUFS);
	check_all(&t, set);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	free_buffers(&t, memory);
	leave(me, &t);
}

static void what_one_rank_cannot_do_the_others_share_without(void)
{
	static const char *const rules[] = {
		"aclrtIpcMemGetExportKey=507899", "aclrtIpcMemSetImportPid=507899",
		"aclrtIpcMemImportByKey=507899", "aclrtDeviceEnablePeerAccess=507899",
		"aclrtDeviceCanAccessPeer=507899", "aclrtGetUserDevIdByPhyDevId=507899",
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && machine(4); i++)
		test_ranks(4, shares_with_a_failing_rank, (void *)rules[i]);
}

/* ---- Chips and links ---- */

static void shares_across_dies(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[BUFS];
	struct ipcshare_set *set;
	void *memory[2];
	struct team t;

	(void)arg;
	join(me, &t);
	if (me->rank < 2)
		CHECK(emu.enable_peer(me->rank ^ 1, 0), "dies of a chip enable each other here");
	make_buffers(&t, memory, bufs);
	set = share(&t, bufs, BUFS);
	check_all(&t, set);
	read_and_write(me, &t, set);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	free_buffers(&t, memory);
	leave(me, &t);
}

static void two_dies_of_a_chip_share(void)
{
	if (!machine(2))
		return;
	setenv("ASCENDCL_EMU_SOC", "Ascend910_9391", 1);
	test_ranks(2, shares_across_dies, NULL);
	machine(4);
	test_ranks(4, shares_across_dies, NULL);
}

static int unlinked(int a, int b)
{
	return a + b == 1; /* ranks 0 and 1 */
}

static void shares_but_for_one_pair(struct test_rank *me, void *arg)
{
	struct ipcshare_buf bufs[BUFS];
	struct ipcshare_set *set = NULL;
	void *memory[2];
	struct team t;

	(void)arg;
	join(me, &t);
	make_buffers(&t, memory, bufs);
	set = share(&t, bufs, BUFS);
	CHECK_INT(ipcshare_set_failures(set), 2 * BUFS);
	for (int r = 0; r < t.nranks; r++)
		for (size_t i = 0; i < BUFS; i++) {
			int bad = unlinked(r, me->rank);

			CHECK_INT(ipcshare_set_status(set, r, i),
				  bad ? IPCSHARE_ERR_UNREACHABLE : 0);
			CHECK_INT(!ipcshare_ptr(set, r, i), bad);
			if (!bad)
				check(t.ctx, ipcshare_ptr(set, r, i), bufs[i].len, r, i);
		}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	set = NULL;
	CHECK_FAILS(ipcshare_share(t.group, bufs, BUFS, IPCSHARE_ALL_OR_NOTHING, &set),
		    IPCSHARE_ERR_UNREACHABLE);
	CHECK(!set, "there is a set");
	CHECK_HAS(ipcshare_last_error()->text, "can't reach device");
	CHECK_INT(ipcshare_last_error()->index, 0);
	free_buffers(&t, memory);
	leave(me, &t);
}

static void a_pair_without_a_link_is_unreachable_and_the_others_work(void)
{
	if (!machine(4))
		return;
	setenv("ASCENDCL_EMU_SOC", "Ascend910B2C", 1);
	setenv("ASCENDCL_EMU_LINKS", "0-1=none,0-2=pix,1-2=phb,2-3=pib", 1);
	test_ranks(4, shares_but_for_one_pair, NULL);
}

/* ---- A namespace of its own ---- */

static void shares_on_any_backend(struct test_rank *me, int inside)
{
	struct ipcshare_options options = on_device(me->rank % ndevices);
	struct ipcshare_peer peer = { .size = sizeof(peer) };
	struct ipcshare_buf bufs[BUFS];
	struct ipcshare_set *set;
	void *memory[2];
	struct team t = { .rank = me->rank, .nranks = me->nranks };

	REQUIRE_OK(ipcshare_open(&options, &t.ctx));
	CHECK_STR(ipcshare_backend(t.ctx), getenv("IPCSHARE_BACKEND"));
	REQUIRE_OK(ipcshare_group_create(t.ctx, &me->bootstrap, &t.group));
	REQUIRE_OK(ipcshare_group_peer(t.group, me->rank, &peer));
	CHECK_INT(peer.tgid == getpid(), !inside);
	make_buffers(&t, memory, bufs);
	set = share(&t, bufs, BUFS);
	check_all(&t, set);
	read_and_write(me, &t, set);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	free_buffers(&t, memory);
	CHECK_STATUS(ipcshare_group_free(t.group), 0);
	test_rank_barrier(me, TALK);
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
}

/* Rank 1 is a child of its process, and process 1 of a namespace. */
static void shares_from_inside(struct test_rank *me, void *arg)
{
	pid_t pid;
	int status = -1;

	(void)arg;
	if (me->rank != 1) {
		shares_on_any_backend(me, 0);
		return;
	}
	test_no_leak_check(); /* its helper process would be the first of the namespace */
	REQUIRE(!unshare(CLONE_NEWPID), "errno %d", errno);
	pid = fork();
	if (!pid) {
		CHECK_INT(getpid(), 1);
		shares_on_any_backend(me, 1);
		_exit(42);
	}
	REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid, "errno %d", errno);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42, "it ended with status 0x%x", status);
}

static void tries_unshare(int channel, void *arg)
{
	(void)arg;
	test_no_leak_check();
	if (!unshare(CLONE_NEWPID))
		test_send(channel, "y", 1);
	else
		test_send(channel, "n", 1);
}

static void a_rank_in_its_own_pid_namespace_shares_with_the_others(void)
{
	struct test_child *child = test_child(tries_unshare, NULL);
	char may = 'n';

	test_recv(child->channel, &may, 1);
	test_child_join(child);
	if (may != 'y') {
		test_note("no right to make a pid namespace: not tested");
		return;
	}
	if (machine(4))
		test_ranks(3, shares_from_inside, NULL);
	setenv("IPCSHARE_BACKEND", "host", 1);
	ndevices = 1;
	test_ranks(3, shares_from_inside, NULL);
}

/* ---- An owner that ends ---- */

#define DEAD 3

static void await_death(struct team *t, int rank)
{
	time_t end = time(NULL) + TEST_CHILD_PATIENCE_S;
	struct ipcshare_peer peer = { .size = sizeof(peer) };

	do {
		REQUIRE_OK(ipcshare_group_peer(t->group, rank, &peer));
		sched_yield();
	} while (peer.alive && time(NULL) < end);
	CHECK_INT(peer.alive, 0);
}

/* A new group of those that are left. */
static void share_without_the_dead(struct test_rank *me)
{
	struct ipcshare_bootstrap b = test_rank_bootstrap(me, 2, (1u << DEAD) - 1);
	struct ipcshare_options options = on_device(me->rank);
	struct ipcshare_buf bufs[BUFS];
	struct ipcshare_set *set;
	void *memory[2];
	struct team t = { .rank = me->rank, .nranks = DEAD };

	REQUIRE_OK(ipcshare_open(&options, &t.ctx));
	REQUIRE_OK(ipcshare_group_create(t.ctx, &b, &t.group));
	make_buffers(&t, memory, bufs);
	set = share(&t, bufs, BUFS);
	check_all(&t, set);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	free_buffers(&t, memory);
	CHECK_STATUS(ipcshare_group_free(t.group), 0);
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
}

static void outlives_the_owner(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set, *none = NULL;
	struct ipcshare_buf bufs[BUFS];
	char bytes[64];
	void *memory[2];
	struct team t;
	int status;

	(void)arg;
	join(me, &t);
	make_buffers(&t, memory, bufs);
	set = share(&t, bufs, BUFS);
	check_all(&t, set);
	test_rank_barrier(me, TALK);
	if (me->rank == DEAD)
		raise(SIGKILL);
	await_death(&t, DEAD);
	status = ipcshare_copy(t.ctx, bytes, ipcshare_ptr(set, DEAD, 0), sizeof(bytes));
	CHECK(status == IPCSHARE_ERR_SYSTEM || status == IPCSHARE_ERR_STALE, "reading gives %d: %s",
	      status, ipcshare_explain());
	CHECK_HAS(ipcshare_last_error()->hint, "ended");
	status = ipcshare_copy(t.ctx, ipcshare_ptr(set, DEAD, 2), bytes, sizeof(bytes));
	CHECK(status == IPCSHARE_ERR_SYSTEM || status == IPCSHARE_ERR_STALE, "writing gives %d: %s",
	      status, ipcshare_explain());
	/* What does not concern it goes on. */
	check(t.ctx, ipcshare_ptr(set, (me->rank + 1) % DEAD, 1), bufs[1].len,
	      (me->rank + 1) % DEAD, 1);
	CHECK_FAILS(ipcshare_share(t.group, bufs, BUFS, 0, &none), IPCSHARE_ERR_PEER_DEAD);
	CHECK_INT(ipcshare_last_error()->rank, DEAD);
	CHECK(!none, "there is a set");
	test_rank_bootstrap(me, 2, (1u << DEAD) - 1);
	if (me->rank == 0) {
		CHECK_STATUS(ipcshare_abandon(t.ctx), 0);
		test_rank_barrier(me, 2);
	} else {
		CHECK_FAILS(ipcshare_set_free(set), IPCSHARE_ERR_PEER_DEAD);
		CHECK_STATUS(ipcshare_group_free(t.group), 0);
		test_rank_barrier(me, 2); /* set_free could not meet: now nobody uses our memory */
		CHECK_STATUS(ipcshare_close(t.ctx), 0);
		CHECK_NOTHING_LEAKED(&t.before);
	}
	share_without_the_dead(me);
}

static void importers_outlive_an_owner_that_is_killed(void)
{
	struct test_ranks o = { .nranks = 4, .fn = outlives_the_owner, .dies = 1u << DEAD };

	if (machine(4))
		test_ranks_with(&o);
}

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
	struct ipcshare_options options = on_device(r->device);
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
	struct ipcshare_buf bufs[BUFS];
	struct ipcshare_set *set;
	void *memory[2];
	struct team t;

	(void)arg;
	join(me, &t);
	make_buffers(&t, memory, bufs);
	set = share(&t, bufs, BUFS);
	check_all(&t, set);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	free_buffers(&t, memory);
	leave(me, &t);
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
		if (!machine(2))
			return;
		setenv(refusals[i].name, refusals[i].value, 1);
		test_ranks(1, is_refused, (void *)&refusals[i]);
		unsetenv(refusals[i].name);
	}
}

static void another_soc_is_used_if_told_so(void)
{
	if (!machine(2))
		return;
	setenv("ASCENDCL_EMU_SOC", "Ascend310P3", 1);
	setenv("IPCSHARE_ASCEND_ANY_SOC", "1", 1);
	test_ranks(2, opens_all_the_same, NULL);
}

/* ---- The caller's context ---- */

struct guest {
	void *context;
	int device;
};

/* The program works on: on its device, in its context. */
static void check_guest(const struct guest *g, const char *after)
{
	void *context = NULL;
	int32_t device = -1;

	CHECK_INT(emu.get_context(&context), 0);
	CHECK(context == g->context, "%s leaves context %p, it was %p", after, context, g->context);
	CHECK_INT(emu.get_device(&device), 0);
	CHECK(device == g->device, "%s leaves device %d, it was %d", after, device, g->device);
}

#define KEEPS(call)                                                                                \
	do {                                                                                       \
		CHECK_STATUS(call, 0);                                                             \
		check_guest(&g, #call);                                                            \
	} while (0)
#define KEEPS_AT_FAILURE(call, status)                                                             \
	do {                                                                                       \
		CHECK_STATUS(call, status);                                                        \
		check_guest(&g, #call);                                                            \
	} while (0)

enum program {
	OTHER_DEVICE, /* than the library's */
	SAME_DEVICE, /* its default context */
	OWN_CONTEXT, /* on the same device, made by itself */
};

static struct guest settle_in(struct test_rank *me, enum program program)
{
	struct guest g = { NULL, me->rank };

	if (program == OTHER_DEVICE)
		g.device = (me->rank + 1) % me->nranks;
	REQUIRE_INT(emu.init(NULL), 0);
	REQUIRE_INT(emu.set_device(g.device), 0);
	if (program == OWN_CONTEXT)
		REQUIRE_INT(emu.create_context(&g.context, g.device), 0);
	else
		REQUIRE_INT(emu.get_context(&g.context), 0);
	return g;
}

static void is_a_guest(struct test_rank *me, void *arg)
{
	struct ipcshare_options options = on_device(me->rank);
	struct guest g;
	struct ipcshare_buf buf = { .len = SMALL };
	struct ipcshare_packed packed;
	struct ipcshare_ctx *ctx = NULL;
	struct ipcshare_group *group;
	struct ipcshare_set *set = NULL;
	char bytes[SMALL] = "";
	void *theirs = NULL, *unlinked_memory = NULL, *own = NULL;
	int next = (me->rank + 1) % me->nranks;

	emu_load();
	g = settle_in(me, *(enum program *)arg);
	REQUIRE_INT(emu.malloc(&theirs, 4096, 0), 0);
	for (int i = 0; i < 2; i++) {
		KEEPS(ipcshare_open(&options, &ctx));
		KEEPS(ipcshare_group_create(ctx, &me->bootstrap, &group));
		KEEPS(ipcshare_alloc(ctx, SMALL, &buf.ptr));
		KEEPS(ipcshare_alloc(ctx, BIG, &own));
		KEEPS(ipcshare_copy(ctx, buf.ptr, bytes, SMALL));
		KEEPS(ipcshare_pack(ctx, own, 100, 0, &packed));
		KEEPS(ipcshare_share(group, &buf, 1, 0, &set));
		CHECK_INT(ipcshare_set_failures(set), 0);
		KEEPS(ipcshare_copy(ctx, bytes, ipcshare_ptr(set, next, 0), SMALL));
		KEEPS(ipcshare_copy(ctx, own, ipcshare_ptr(set, next, 0), SMALL));
		KEEPS_AT_FAILURE(ipcshare_copy(ctx, own, bytes, BIG + 1), IPCSHARE_ERR_RANGE);
		REQUIRE_INT(emu.fail("aclrtMallocAlign32:1=207001"), 0);
		KEEPS_AT_FAILURE(ipcshare_alloc(ctx, BIG, &unlinked_memory), IPCSHARE_ERR_NO_MEMORY);
		emu.fail(NULL);
		test_rank_barrier(me, TALK);
		KEEPS(ipcshare_set_free(set));
		KEEPS(ipcshare_free(ctx, buf.ptr));
		KEEPS(ipcshare_group_free(group));
		test_rank_barrier(me, TALK);
		KEEPS(ipcshare_close(ctx));
	}
	/* The runtime and the device are still the program's. */
	CHECK_INT(emu.free(theirs), 0);
	CHECK_INT(emu.malloc(&theirs, 4096, 0), 0);
	CHECK_INT(emu.free(theirs), 0);
	REQUIRE_INT(emu.fail("aclrtCreateStream:1=207008"), 0);
	KEEPS_AT_FAILURE(ipcshare_open(&options, &ctx), IPCSHARE_ERR_LIMIT);
	emu.fail(NULL);
	check_holdings(me, "the program's own memory is freed too");
}

static void the_callers_context_and_device_are_put_back(void)
{
	static const enum program programs[] = { OTHER_DEVICE, SAME_DEVICE, OWN_CONTEXT };

	for (int i = 0; i < 3 && machine(2); i++)
		test_ranks(2, is_a_guest, (void *)&programs[i]);
}

TEST_SUITE(ascend, remember_environment, restore_environment,
	TEST(four_ranks_on_four_devices_read_and_write_each_other),
	TEST(eight_ranks_on_eight_devices_do),
	TEST(several_ranks_on_a_device_do),
	TEST(the_whitelist_of_forty_ranks_takes_two_calls),
	TEST(a_failure_of_any_call_is_named_and_passes),
	TEST(what_one_rank_cannot_do_the_others_share_without),
	TEST(two_dies_of_a_chip_share),
	TEST(a_pair_without_a_link_is_unreachable_and_the_others_work),
	TEST(a_rank_in_its_own_pid_namespace_shares_with_the_others),
	TEST(importers_outlive_an_owner_that_is_killed),
	TEST(what_is_missing_is_named_by_open),
	TEST(another_soc_is_used_if_told_so),
	TEST(the_callers_context_and_device_are_put_back));
