/* SPDX-License-Identifier: BSD-3-Clause */
/* Processes over the Ascend backend: in a namespace of their own, and killed. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "npu.h"

/* ---- A namespace of its own ---- */

static void shares_on_any_backend(struct test_rank *me, int inside)
{
	struct ipcshare_options options = npu_options(me->rank % npu_ndevices);
	struct ipcshare_peer peer = { .size = sizeof(peer) };
	struct ipcshare_buf bufs[NPU_BUFS];
	struct ipcshare_set *set;
	void *memory[2];
	struct team t = { .rank = me->rank, .nranks = me->nranks };

	REQUIRE_OK(ipcshare_open(&options, &t.ctx));
	CHECK_STR(ipcshare_backend(t.ctx), getenv("IPCSHARE_BACKEND"));
	REQUIRE_OK(ipcshare_group_create(t.ctx, &me->bootstrap, &t.group));
	REQUIRE_OK(ipcshare_group_peer(t.group, me->rank, &peer));
	CHECK_INT(peer.tgid == getpid(), !inside);
	npu_buffers(&t, memory, bufs);
	set = npu_share(&t, bufs, NPU_BUFS);
	npu_check_all(&t, set);
	npu_read_and_write(me, &t, set);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	npu_buffers_free(&t, memory);
	CHECK_STATUS(ipcshare_group_free(t.group), 0);
	test_rank_barrier(me, NPU_TALK);
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
	if (npu_machine(4))
		test_ranks(3, shares_from_inside, NULL);
	setenv("IPCSHARE_BACKEND", "host", 1);
	npu_ndevices = 1;
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
	struct ipcshare_options options = npu_options(me->rank);
	struct ipcshare_buf bufs[NPU_BUFS];
	struct ipcshare_set *set;
	void *memory[2];
	struct team t = { .rank = me->rank, .nranks = DEAD };

	REQUIRE_OK(ipcshare_open(&options, &t.ctx));
	REQUIRE_OK(ipcshare_group_create(t.ctx, &b, &t.group));
	npu_buffers(&t, memory, bufs);
	set = npu_share(&t, bufs, NPU_BUFS);
	npu_check_all(&t, set);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	npu_buffers_free(&t, memory);
	CHECK_STATUS(ipcshare_group_free(t.group), 0);
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
}

static void outlives_the_owner(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set, *none = NULL;
	struct ipcshare_buf bufs[NPU_BUFS];
	char bytes[64];
	void *memory[2];
	struct team t;
	int status;

	(void)arg;
	npu_join(me, &t);
	npu_buffers(&t, memory, bufs);
	set = npu_share(&t, bufs, NPU_BUFS);
	npu_check_all(&t, set);
	test_rank_barrier(me, NPU_TALK);
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
	npu_check(t.ctx, ipcshare_ptr(set, (me->rank + 1) % DEAD, 1), bufs[1].len,
	      (me->rank + 1) % DEAD, 1);
	CHECK_FAILS(ipcshare_share(t.group, bufs, NPU_BUFS, 0, &none), IPCSHARE_ERR_PEER_DEAD);
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

	if (npu_machine(4))
		test_ranks_with(&o);
}

TEST_SUITE(ascend_life, npu_remember, npu_restore,
	TEST(a_rank_in_its_own_pid_namespace_shares_with_the_others),
	TEST(importers_outlive_an_owner_that_is_killed));
