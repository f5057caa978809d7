/* SPDX-License-Identifier: BSD-3-Clause */
#include "sweep.h"

#include <stdio.h>
#include <stdlib.h>

#include "backend/ascend/acl.h"

#define INJECTED 507899
#define CYCLES 3 /* until the second use of every call that is made at all */

enum answer {
	NAMED, /* the step that makes the call fails, once */
	UNREACHABLE, /* the same, and the cause is known: there is no way to a device */
	NOT_SHAREABLE, /* or that it is no device memory */
	TOLERATED, /* all succeeds */
	DROPPED, /* the same, and the runtime keeps what it refused to give back */
};

static const int statuses[] = {
	[NAMED] = IPCSHARE_ERR_SYSTEM,
	[UNREACHABLE] = IPCSHARE_ERR_UNREACHABLE,
	[NOT_SHAREABLE] = IPCSHARE_ERR_NOT_SHAREABLE,
	[TOLERATED] = 0,
	[DROPPED] = 0,
};

#define ANY 0 /* use */
#define EVERYWHERE (SWEEP_SHARE | SWEEP_PIECES | SWEEP_OLD)

/*
 * Every other call's failure must be named by the step that makes it. Tolerated is what the step can
 * do without, or what comes after its work is done and can't be undone any more.
 */
static const struct exemption {
	const char *call;
	int use;
	unsigned of; /* enum sweep_of */
	enum answer answer;
	const char *why;
} exemptions[] = {
	/* It can do without. */
	{ "aclmdlRICaptureThreadExchangeMode", 1, EVERYWHERE, TOLERATED,
	  "needed only while the program captures; then the copy is refused, and says so" },
	{ "aclrtGetDevicesTopo", ANY, EVERYWHERE, TOLERATED,
	  "for messages, and to know two dies of a chip; CanAccessPeer is asked in its place" },
	{ "aclrtGetDeviceInfo", ANY, EVERYWHERE, TOLERATED, "the same" },
	{ "aclrtDevicePeerAccessStatus", ANY, EVERYWHERE, TOLERATED,
	  "asked so as to need no import flag; the import is made with it then" },
	{ "aclrtGetUserDevIdByPhyDevId", ANY, SWEEP_SHARE, TOLERATED,
	  "a peer is allowed, who will import; our own import asks again, and names it" },
	{ "aclrtGetLogicDevIdByPhyDevId", ANY, SWEEP_OLD, TOLERATED, "the same" },
	{ "aclrtDeviceCanAccessPeer", ANY, SWEEP_SHARE, TOLERATED, "the same" },
	{ "aclrtDeviceEnablePeerAccess", ANY, SWEEP_SHARE, TOLERATED, "the same" },
	{ "aclrtGetUserDevIdByPhyDevId", 1, SWEEP_PIECES, TOLERATED, "the same" },
	{ "aclrtDeviceCanAccessPeer", 1, SWEEP_PIECES, TOLERATED, "the same" },
	{ "aclrtDeviceEnablePeerAccess", 1, SWEEP_PIECES, TOLERATED, "the same" },
	{ "aclrtGetUserDevIdByPhyDevId", 2, SWEEP_PIECES, UNREACHABLE, "here it is the import's" },
	{ "aclrtMemGetAddressRange", ANY, SWEEP_PIECES, NOT_SHAREABLE,
	  "this code is how it refuses memory that is none of a device" },
	{ "aclrtPointerGetAttributes", 1, SWEEP_PIECES, TOLERATED,
	  "of memory to be registered it says the page size; the driver checks the export anyway" },
	{ "aclmdlRICaptureBegin", ANY, SWEEP_PIECES, TOLERATED,
	  "a plan that can't be recorded issues its copies one by one" },
	{ "aclmdlRICaptureEnd", ANY, SWEEP_PIECES, TOLERATED, "the same" },
	{ "aclmdlRIExecuteAsync", ANY, SWEEP_PIECES, TOLERATED,
	  "the same: other models may hold all queues" },
	{ "aclmdlRICaptureGetInfo", ANY, SWEEP_PIECES, TOLERATED,
	  "a stream that is none is named by the copies put into it" },
	/* The work is done. */
	{ "aclmdlRICaptureThreadExchangeMode", 2, EVERYWHERE, TOLERATED,
	  "it puts the thread's mode back after a step that has succeeded; logged" },
	{ "aclFinalizeReference", ANY, EVERYWHERE, TOLERATED,
	  "the last step of a close, which can't be undone" },
	{ "aclrtResetDevice", ANY, EVERYWHERE, TOLERATED, "the same" },
	{ "aclrtDestroyStream", ANY, EVERYWHERE, TOLERATED,
	  "the same; the reset of the device takes it" },
	{ "aclrtFree", ANY, EVERYWHERE, DROPPED, "the memory is forgotten by then; logged" },
	{ "aclrtIpcMemClose", ANY, EVERYWHERE, DROPPED, "the key is forgotten by then; logged" },
	{ "aclrtDestroyNotify", ANY, SWEEP_PIECES, DROPPED, "it is forgotten by then; logged" },
	{ "aclmdlRIDestroy", ANY, SWEEP_PIECES, DROPPED, "the plan is forgotten by then; logged" },
};

/* Which cycles make a call that shares do not; 0: none does. */
static const struct place {
	const char *call;
	unsigned of;
} places[] = {
	{ "aclFinalize", 0 }, /* only where aclFinalizeReference is missing */
	{ "aclrtGetVersion", 0 }, /* for ipcshare-info */
	{ "aclrtGetPhyDevIdByLogicDevId", SWEEP_OLD },
	{ "aclrtGetLogicDevIdByPhyDevId", SWEEP_OLD },
	{ "aclrtGetUserDevIdByPhyDevId", SWEEP_SHARE | SWEEP_PIECES },
	{ "aclrtDeviceCanAccessPeer", SWEEP_SHARE | SWEEP_PIECES },
	{ "aclrtDeviceEnablePeerAccess", SWEEP_SHARE | SWEEP_PIECES },
	{ "aclrtPointerGetAttributes", SWEEP_SHARE | SWEEP_PIECES },
	{ "aclrtMemGetAddressRange", SWEEP_PIECES },
	{ "aclrtMemcpy2dAsync", SWEEP_PIECES },
	{ "aclmdlRICaptureBegin", SWEEP_PIECES },
	{ "aclmdlRICaptureEnd", SWEEP_PIECES },
	{ "aclmdlRICaptureGetInfo", SWEEP_PIECES },
	{ "aclmdlRIExecuteAsync", SWEEP_PIECES },
	{ "aclmdlRIDestroy", SWEEP_PIECES },
	{ "aclrtReduceAsync", SWEEP_PIECES },
	{ "aclrtCreateNotify", SWEEP_PIECES },
	{ "aclrtDestroyNotify", SWEEP_PIECES },
	{ "aclrtRecordNotify", SWEEP_PIECES },
	{ "aclrtWaitAndResetNotify", SWEEP_PIECES },
	{ "aclrtNotifyGetExportKey", SWEEP_PIECES },
	{ "aclrtNotifySetImportPid", SWEEP_PIECES },
	{ "aclrtNotifyImportByKey", SWEEP_PIECES },
};

static int is_swept(const char *call, enum sweep_of of)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (!strcmp(places[i].call, call))
			return (places[i].of & of) != 0;
	return of == SWEEP_SHARE;
}

static enum answer answer_to(const char *call, int use, enum sweep_of of)
{
	for (size_t i = 0; i < sizeof(exemptions) / sizeof(exemptions[0]); i++) {
		const struct exemption *x = &exemptions[i];

		if (!strcmp(x->call, call) && (x->use == ANY || x->use == use) && x->of & of)
			return x->answer;
	}
	return NAMED;
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

static void check_told(struct again *a, const char *step, int status)
{
	const struct sweep *s = (struct sweep *)((char *)a - offsetof(struct sweep, again));

	CHECK(ipcshare_last_error()->code == INJECTED, "%s: %s has code %jd", s->call, step,
	      (intmax_t)ipcshare_last_error()->code);
	CHECK_INT(status, statuses[answer_to(s->call, s->use, s->of)]);
	CHECK_HAS(ipcshare_last_error()->text, s->call);
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
		{ { "aclrtMallocAlign32", "aclrtMalloc" }, "aclrtFree" }, /* that one is the test's */
		{ { "aclrtCreateStream" }, "aclrtDestroyStream" },
		{ { "aclrtSetDevice" }, "aclrtResetDevice" },
		{ { "aclrtIpcMemGetExportKey", "aclrtIpcMemImportByKey" }, "aclrtIpcMemClose" },
		{ { "aclInit" }, "aclFinalizeReference" },
		{ { "aclrtCreateNotify", "aclrtNotifyImportByKey" }, "aclrtDestroyNotify" },
		{ { "aclmdlRICaptureEnd" }, "aclmdlRIDestroy" },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		uint64_t made = 0;

		for (int k = 0; k < 2 && pairs[i].made[k]; k++)
			made += npu_uses(pairs[i].made[k]) - !strcmp(pairs[i].made[k], failed);
		CHECK(made == npu_uses(pairs[i].undone), "%s fails: %ju of %s, %ju of %s", failed,
		      (uintmax_t)made, pairs[i].made[0], (uintmax_t)npu_uses(pairs[i].undone),
		      pairs[i].undone);
	}
}

/* Cycles with one failure, until it has come; then everything is as before. */
static void sweep_one(struct sweep s, sweep_cycle *cycle, const struct test_resources *before)
{
	enum answer answer = answer_to(s.call, s.use, s.of);
	int tolerated = answer == TOLERATED || answer == DROPPED;
	int came[4] = { 0 }, failed[4], is_victim = s.me->rank == SWEEP_VICTIM;
	void *context;
	char rule[96];

	if (for_guests(s.call)) { /* the program has another device than the library */
		REQUIRE_INT(emu.init(NULL), 0);
		REQUIRE_INT(emu.create_context(&context, (s.me->rank + 1) % s.me->nranks), 0);
	}
	s.again = (struct again){ .me = s.me, .victim = SWEEP_VICTIM, .told = check_told };
	snprintf(s.again.what, sizeof(s.again.what), "%s use %d", s.call, s.use);
	snprintf(rule, sizeof(rule), "%s:%d=%d", s.call, s.use, INJECTED);
	if (is_victim) {
		emu.reset_counters();
		REQUIRE_INT(emu.fail(rule), 0);
	}
	for (int i = 0; i < CYCLES && !came[SWEEP_VICTIM]; i++) {
		cycle(&s);
		again_everybodys(s.me, is_victim && npu_uses(s.call) >= (uint64_t)s.use, came);
	}
	emu.fail(NULL);
	if (is_victim)
		check_balance(s.call);
	again_everybodys(s.me, s.again.failures, failed);
	CHECK(came[SWEEP_VICTIM], "%s was not called %d times", s.call, s.use);
	CHECK((failed[SWEEP_VICTIM] == 0) == tolerated, "%s, use %d: %s", s.call, s.use,
	      tolerated ? "it is to be tolerated, and a step failed" : "no step failed");
	emu.finalize(); /* where the end of a close was refused, the next open starts anew */
	CHECK_NOTHING_LEAKED(before);
	if (answer != DROPPED)
		npu_holds_nothing(s.me, s.call);
}

static void unused_is_unused(void)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (!places[i].of)
			CHECK(!npu_uses(places[i].call), "%s was called", places[i].call);
}

struct task {
	enum sweep_of of;
	sweep_cycle *cycle;
	int part;
};

static void meets_failures(struct test_rank *me, void *arg)
{
	const struct task *task = arg;
	struct sweep s = {
		.me = me, .of = task->of, .call = "none",
		.again = { .me = me, .victim = SWEEP_VICTIM, .what = "no call", .told = check_told },
	};
	struct test_resources before;

	npu_warm_up(me->rank);
	task->cycle(&s);
	unused_is_unused();
	emu.finalize();
	test_rank_barrier(me, NPU_TALK);
	test_resources(&before);
	for (int dropped = 0; dropped < 2; dropped++) /* these last, for they leave something */
		for (int i = 0; i < 2 * NCALLS; i++) {
			s.call = acl_calls[i / 2];
			s.use = 1 + i % 2;
			if (i / 2 % SWEEP_PARTS == task->part && is_swept(s.call, s.of) &&
			    (answer_to(s.call, s.use, s.of) == DROPPED) == dropped)
				sweep_one(s, task->cycle, &before);
		}
}

void sweep_run(enum sweep_of of, sweep_cycle *cycle)
{
	for (int part = 0; part < SWEEP_PARTS; part++) {
		struct task task = { of, cycle, part };

		test_ranks(4, meets_failures, &task);
	}
}
