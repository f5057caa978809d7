/* SPDX-License-Identifier: BSD-3-Clause */
/* Contract 2.11: bare pids of processes in pid namespaces of their own, as in containers. */
#include "ranks.h"

#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char key[KEY];

enum kind { OLD_PROC, OWN_PROC, BLIND };	/* BLIND: own /proc and no privilege to look beneath */

static void privilege_drop(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	EXPECT(!syscall(SYS_capset, &h, none));
}

/* Goes on in a child that is process 1 of a new pid namespace; the rank ends as the child does. */
static void contain(struct rank *r, enum kind kind)
{
	int status;
	pid_t child;

	EXPECT(!unshare(CLONE_NEWPID | (kind == OLD_PROC ? 0 : CLONE_NEWNS)));
	child = fork();
	if (child) {
		for (int i = 0; i < r->n; i++)
			if (i != r->id)
				close(r->fd[i]);
		waitpid(child, &status, 0);
		_exit(status ? 1 : 0);
	}
	EXPECT(getpid() == 1);
	if (kind != OLD_PROC) {
		EXPECT(!mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
		EXPECT(!mount("proc", "/proc", "proc", 0, NULL));
	}
	if (kind == BLIND)
		privilege_drop();
}

/* Rank 0 shares with rank 1, and the other way round. */
static void share_both_ways(struct rank *r)
{
	void *mine = alloc(4096), *other;

	put(mine, r->id + 1, 4096);
	for (int exporter = 0; exporter < 2; exporter++) {
		if (r->id == exporter) {
			export_granted(r, !exporter, mine, 4096, key);
			continue;
		}
		import_granted(r, exporter, key, &other, 0);
		EXPECT(holds(other, exporter + 1, 4096));
	}
	rank_barrier(r);
}

static enum kind kind;
static bool outside_first;

/* Rank 1 is contained; its pid is the one that rank 0, outside, can name. */
static void outside_and_inside(struct rank *r)
{
	int32_t bare;
	char token = 0;

	if (r->id == 0 && outside_first) {
		up(0);
		rank_send(r, 1, &token, 1);
	}
	if (r->id == 1) {
		contain(r, kind);
		if (outside_first)
			rank_recv(r, 0, &token, 1);
		bare = up(0);
		rank_send(r, 0, &bare, 4);
	} else {
		rank_recv(r, 1, &bare, 4);
		if (!outside_first)
			up(0);
		if (kind != BLIND || outside_first)
			EXPECT(bare > 1 && bare != getpid() && !kill(bare, 0));
	}
	share_both_ways(r);
}

/* Nobody can tell them more than their own pid, which is 1 in both. */
static void siblings(struct rank *r)
{
	int32_t bare, other;

	contain(r, BLIND);
	bare = up(0);
	rank_send(r, !r->id, &bare, 4);
	rank_recv(r, !r->id, &other, 4);
	EXPECT(bare > 0 && other > 0 && bare != other);
	EXPECT(bare == 1 || bare >= 1 << 22);		/* a number that no process has */
	share_both_ways(r);
}

static bool root(void)
{
	if (!geteuid())
		return true;
	fprintf(stderr, "    (needs root: skipped) ");
	return false;
}

static void a_rank_in_its_own_pid_namespace(void)
{
	for (int i = 0; root() && i < 2; i++) {
		outside_first = i;
		for (kind = OLD_PROC; kind <= BLIND; kind++)
			RANKS_OK(2, "", outside_and_inside);
	}
}

static void ranks_that_see_nothing_outside_their_namespaces(void)
{
	if (root())
		RANKS_OK(2, "", siblings);
}

/* Looking beneath /proc must not be felt by the process, whose /proc stays its own. */
static void mounts(struct rank *r)
{
	char self[32] = "";

	contain(r, OWN_PROC);
	up(0);
	EXPECT(readlink("/proc/self", self, sizeof(self) - 1) > 0);
	EXPECT(!strcmp(self, "1"));
}

static void its_own_proc_stays_mounted(void)
{
	if (root())
		RANKS_OK(1, "", mounts);
}

int main(void)
{
	static const struct test tests[] = {
		TEST(a_rank_in_its_own_pid_namespace),
		TEST(ranks_that_see_nothing_outside_their_namespaces),
		TEST(its_own_proc_stays_mounted), { NULL, NULL },
	};

	return tests_main("2.11 bare pids and containers", tests);
}
