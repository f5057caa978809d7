/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures of the Ascend runtime while ranks share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

/* ---- One at a time ---- */

struct cycle {
	struct ipcshare_group *group;
	struct ipcshare_set *set;
	void *memory[2];
};

static void copies(struct sweep *s, const struct cycle *c, size_t i)
{
	int n = s->me->nranks, next = (s->me->rank + 1) % n, last = (s->me->rank + n - 1) % n;
	char mine[256], seen[256] = "";

	team_fill(mine, sizeof(mine), s->me->rank, i);
	ALONE(ipcshare_copy(s->ctx, c->memory[i], mine, sizeof(mine)));
	test_rank_barrier(s->me, NPU_TALK);
	ALONE(ipcshare_copy(s->ctx, seen, ipcshare_ptr(c->set, next, i), sizeof(seen)));
	team_check(seen, sizeof(seen), next, i);
	/* On the device, from there to our own, and back to the host. */
	ALONE(ipcshare_copy(s->ctx, (char *)c->memory[i] + 512, ipcshare_ptr(c->set, last, i),
			    sizeof(seen)));
	ALONE(ipcshare_copy(s->ctx, seen, (char *)c->memory[i] + 512, sizeof(seen)));
	team_check(seen, sizeof(seen), last, i);
	test_rank_barrier(s->me, NPU_TALK);
}

static void shares(struct sweep *s)
{
	struct ipcshare_options options = npu_options(s->me->rank);
	struct cycle cycle = { .group = NULL }, *c = &cycle;

	ALONE(ipcshare_open(&options, &s->ctx));
	ALONE(ipcshare_alloc(s->ctx, NPU_BIG, &c->memory[0]));
	ALONE(ipcshare_alloc(s->ctx, NPU_SMALL, &c->memory[1]));
	ALL(ipcshare_group_create(s->ctx, &s->me->bootstrap, &c->group));
	ALL(ipcshare_share(c->group,
			   (struct ipcshare_buf[]){ { c->memory[0], 1024 }, { c->memory[1], 1024 } },
			   2, IPCSHARE_ALL_OR_NOTHING, &c->set));
	CHECK_INT(ipcshare_set_failures(c->set), 0);
	copies(s, c, 0);
	copies(s, c, 1);
	ALL(ipcshare_set_free(c->set));
	ALONE(ipcshare_free(s->ctx, c->memory[0]));
	ALL(ipcshare_group_free(c->group));
	ALONE(ipcshare_free(s->ctx, c->memory[1]));
	ALONE(ipcshare_alloc(s->ctx, NPU_SMALL, &c->memory[1]));
	test_rank_barrier(s->me, NPU_TALK);
	ALONE(ipcshare_close(s->ctx)); /* with an allocation that it has to free */
}

static void a_failure_of_any_call_is_named_and_passes(void)
{
	if (npu_machine(4))
		sweep_run(SWEEP_SHARE, shares);
}

static void a_failure_of_an_older_call_is_named_and_passes(void)
{
	if (!npu_machine(4))
		return;
	npu_release("9.0.0");
	sweep_run(SWEEP_OLD, shares);
}

/* ---- Until they are taken back ---- */

struct rule {
	const char *call;
	int code;
	int status; /* that all ranks are told */
};

/* *arg: by which calls of SWEEP_VICTIM fail, from then on until it is taken back. */
static void shares_with_a_failing_rank(struct test_rank *me, void *arg)
{
	const struct rule *rule = arg;
	struct ipcshare_buf bufs[NPU_BUFS];
	struct ipcshare_set *set = NULL;
	int all[4], failures;
	void *memory[2];
	struct team t;
	char text[96];

	npu_join(me, &t);
	npu_buffers(&t, memory, bufs);
	snprintf(text, sizeof(text), "%s=%d", rule->call, rule->code);
	if (me->rank == SWEEP_VICTIM)
		REQUIRE_INT(emu.fail(text), 0);
	/* All or nothing. */
	CHECK_FAILS(ipcshare_share(t.group, bufs, NPU_BUFS, IPCSHARE_ALL_OR_NOTHING, &set),
		    rule->status);
	CHECK(!set, "there is a set");
	CHECK(ipcshare_last_error()->index >= 0, "%s: %s", text, ipcshare_explain());
	snprintf(text, sizeof(text), "%s returned %d (", rule->call, rule->code);
	CHECK_HAS(ipcshare_last_error()->text, text);
	CHECK_INT(ipcshare_last_error()->code, rule->code);
	/* What can be shared. */
	set = npu_share(&t, bufs, NPU_BUFS);
	failures = (int)ipcshare_set_failures(set);
	again_everybodys(me, failures, all);
	for (int r = 0; r < 4; r++)
		CHECK(failures > 0 && all[r] == failures, "%s: %d failures here, %d in rank %d",
		      rule->call, failures, all[r], r);
	for (int r = 0; r < 4; r++)
		for (size_t i = 0; i < NPU_BUFS; i++) {
			void *p = ipcshare_ptr(set, r, i);

			CHECK_INT(!p, ipcshare_set_status(set, r, i) != 0);
			CHECK(p || r == SWEEP_VICTIM || me->rank == SWEEP_VICTIM,
			      "%s: buffer %zu of rank %d", rule->call, i, r);
			if (p)
				npu_check(t.ctx, p, bufs[i].len, r, i);
		}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	emu.fail(NULL);
	set = npu_share(&t, bufs, NPU_BUFS);
	npu_check_all(&t, set);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	npu_buffers_free(&t, memory);
	npu_leave(me, &t);
}

static void what_one_rank_cannot_do_the_others_share_without(void)
{
	static const struct rule rules[] = {
		{ "aclrtIpcMemGetExportKey", 507899, IPCSHARE_ERR_SYSTEM },
		{ "aclrtIpcMemSetImportPid", 507899, IPCSHARE_ERR_SYSTEM },
		{ "aclrtIpcMemImportByKey", 507899, IPCSHARE_ERR_SYSTEM },
		{ "aclrtIpcMemImportByKey", 107001, IPCSHARE_ERR_UNREACHABLE },
		{ "aclrtIpcMemImportByKey", 107000, IPCSHARE_ERR_PROTOCOL },
		{ "aclrtDeviceEnablePeerAccess", 507899, IPCSHARE_ERR_SYSTEM },
		{ "aclrtDeviceEnablePeerAccess", 207001, IPCSHARE_ERR_LIMIT },
		{ "aclrtDeviceCanAccessPeer", 107001, IPCSHARE_ERR_UNREACHABLE },
		{ "aclrtGetUserDevIdByPhyDevId", 107001, IPCSHARE_ERR_UNREACHABLE },
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && npu_machine(4); i++)
		test_ranks(4, shares_with_a_failing_rank, (void *)&rules[i]);
}

TEST_SUITE(ascend_faults, npu_remember, npu_restore,
	TEST(a_failure_of_any_call_is_named_and_passes),
	TEST(a_failure_of_an_older_call_is_named_and_passes),
	TEST(what_one_rank_cannot_do_the_others_share_without));
