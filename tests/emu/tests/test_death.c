/* SPDX-License-Identifier: BSD-3-Clause */
/* Deaths: a SIGKILL at any moment harms no other process, and nothing of the dead is left. */
#include "ranks.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

static char key[KEY];

/* Everything that a process can hold, taken and given back again and again. */
static void work_once(int device, bool peers)
{
	void *p, *q, *mine;
	aclrtNotify n;
	int other = (device + 1) % 8;

	mine = alloc(4096);
	OK(aclrtIpcMemGetExportKey(mine, 4096, key, KEY, 1));
	OK(aclrtCreateNotify(&n, 0));
	OK(aclrtIpcMemImportByKey(&q, key, 0));
	if (peers)
		OK(aclrtDeviceEnablePeerAccess(other, 0));
	OK(aclrtMalloc(&p, 3 * MIB, ACL_MEM_MALLOC_HUGE_FIRST));
	OK(aclrtMemset(p, 4096, 1, 4096));
	OK(aclrtMemcpy(q, 4096, p, 4096, ACL_MEMCPY_DEVICE_TO_DEVICE));
	EXPECT(holds(mine, 1, 4096));
	OK(aclrtFree(p));
	if (peers)
		OK(aclrtDeviceDisablePeerAccess(other));
	OK(aclrtIpcMemClose(key));
	OK(aclrtIpcMemClose(key));
	OK(aclrtDestroyNotify(n));
	OK(aclrtFree(mine));
}

static void victims(struct rank *r)
{
	struct timespec t = { 0, 0 };
	int status;

	srand(7);
	for (int i = 0; i < 120; i++) {
		pid_t child = fork();

		if (!child) {
			up(5);
			for (;;)
				work_once(5, true);
		}
		t.tv_nsec = rand() % 4000000;
		nanosleep(&t, NULL);	/* chaos, not synchronisation: any moment will do */
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	for (int i = 0; i < r->n - 1; i++)
		rank_send(r, i, "stop", 4);
}

static void survivors(struct rank *r)
{
	struct ascendcl_emu_holdings h;
	char stop[4];
	int rounds = 0;

	if (r->id == r->n - 1) {
		victims(r);
		rank_barrier(r);
		return;
	}
	up(r->id);
	fcntl(r->fd[r->n - 1], F_SETFL, O_NONBLOCK);
	while (read(r->fd[r->n - 1], stop, 4) != 4) {
		work_once(r->id, false);
		rounds++;
	}
	fcntl(r->fd[r->n - 1], F_SETFL, 0);
	EXPECT(rounds > 10);
	rank_barrier(r);
	if (r->id == 0) {
		OK(ascendclEmuHoldings(&h));
		EXPECT(h.processes == 1 || h.processes == 2);
		EXPECT(!h.exports && !h.imports && !h.notifies && !h.bytes && !h.grants);
		OK(ascendclEmuSound());
	}
}

static void sigkill_at_any_moment_harms_nobody_else(void)
{
	RANKS_OK(3, "", survivors);
}

/* Between two victims rank 0 finds nothing of the dead, and works on with a table that is whole. */
static void survivor_checks(struct rank *r)
{
	struct ascendcl_emu_holdings h;
	char more = 1;

	up(0);
	rank_barrier(r);
	for (;;) {
		rank_recv(r, 1, &more, 1);
		if (!more)
			return;
		OK(ascendclEmuSound());
		OK(ascendclEmuHoldings(&h));
		EXPECT(h.processes == 1 && !h.exports && !h.imports && !h.notifies);
		EXPECT(!h.bytes && !h.grants);
		work_once(0, false);
		rank_send(r, 1, &more, 1);
	}
}

static void survivor_ask(struct rank *r)
{
	char more = 1;

	rank_send(r, 0, &more, 1);
	rank_recv(r, 0, &more, 1);
}

static void survivor_release(struct rank *r)
{
	char more = 0;

	rank_send(r, 0, &more, 1);
}

/* A process that works until it dies; it stops, or dies, in its @nth critical section. */
static pid_t victim(int stop, int die)
{
	char nth[16];
	pid_t child = fork();

	if (child)
		return child;
	snprintf(nth, sizeof(nth), "%d", stop);
	setenv("ASCENDCL_EMU_STOP_IN_LOCK", nth, 1);
	snprintf(nth, sizeof(nth), "%d", die);
	setenv("ASCENDCL_EMU_DIE_IN_LOCK", nth, 1);
	if (stop)
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	up(5);
	for (;;)
		work_once(5, true);
}

#define SECTIONS 18	/* of joining and of a round of work */
#define POINTS 5	/* in each section, of each run; a step takes long */
#define LONG 4000	/* instructions: only joining, which starts a thread, takes more */

static void at_the_end(struct rank *r)
{
	int status;
	pid_t child;

	if (r->id == 0) {
		survivor_checks(r);
		return;
	}
	rank_barrier(r);
	for (int n = 1; n <= SECTIONS; n++) {
		child = victim(0, n);
		EXPECT(waitpid(child, &status, 0) == child);
		EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		survivor_ask(r);
	}
	survivor_release(r);
}

static void death_at_the_end_of_a_critical_section(void)
{
	RANKS_OK(2, "", at_the_end);
}

/* Lets a stopped victim run @max instructions: how many it ran before its own end. */
static int steps(pid_t child, int max)
{
	int n, status;

	for (n = 0; n < max; n++) {
		EXPECT(!ptrace(PTRACE_SINGLESTEP, child, NULL, NULL));
		EXPECT(waitpid(child, &status, 0) == child);
		if (WIFSIGNALED(status))
			break;
		EXPECT(WIFSTOPPED(status));
	}
	return n;
}

static pid_t stopped_victim(int section, int die)
{
	pid_t child = victim(section, die);
	int status;

	EXPECT(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
	EXPECT(WSTOPSIG(status) == SIGSTOP);
	return child;
}

/* Each critical section, killed after so many of its instructions; other points in each run. */
static void anywhere(struct rank *r)
{
	int status, length;
	pid_t child;

	if (r->id == 0) {
		survivor_checks(r);
		return;
	}
	srand((unsigned)getpid());
	rank_barrier(r);
	for (int section = 1; section <= SECTIONS; section++) {
		child = stopped_victim(section, section);
		length = steps(child, LONG);
		for (int i = 0; i < POINTS; i++) {
			kill(child, SIGKILL);
			waitpid(child, &status, 0);	/* unless it has ended by itself */
			survivor_ask(r);
			child = stopped_victim(section, 0);
			steps(child, (int)((i + rand() / (RAND_MAX + 1.0)) * length / POINTS));
		}
		kill(child, SIGKILL);
		EXPECT(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
		survivor_ask(r);
	}
	survivor_release(r);
}

static void death_between_any_two_instructions_of_a_critical_section(void)
{
	RANKS_OK(2, "ASCENDCL_EMU_POISON=0", anywhere);
}

int main(void)
{
	static const struct test tests[] = {
		TEST(sigkill_at_any_moment_harms_nobody_else),
		TEST(death_at_the_end_of_a_critical_section),
		TEST(death_between_any_two_instructions_of_a_critical_section), { NULL, NULL },
	};

	return tests_main("deaths", tests);
}
