/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who this process is. The driver knows every process's pid in the initial pid namespace. Here four
 * sources come near to that, best first: the initial namespace itself; NSpid in a /proc of an outer
 * namespace, also one that a newer /proc was mounted over; the kernel's answer to a process of the
 * job that is outside; and where nothing outside can be seen, the plain pid, kept unique in the job.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "emu.h"
#include "identity.h"
#include "table.h"

#define PID_ABOVE_ALL (1 << 22)	/* the kernel's PID_MAX_LIMIT: no process has such a pid */

/* Field 22 of /proc/self/stat, in clock ticks since boot; what stands before has a ')' last. */
uint64_t emu_identity_start(void)
{
	FILE *f = fopen("/proc/self/stat", "r");
	unsigned long long ticks = 0;
	char line[1024] = "", *p;

	if (f) {
		if (!fgets(line, sizeof(line), f))
			line[0] = 0;
		fclose(f);
	}
	p = strrchr(line, ')');
	if (p)
		sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
		       "%*d %*d %*d %llu", &ticks);
	return ticks * (UINT64_C(1000000000) / sysconf(_SC_CLK_TCK));
}

/* The first number of "NSpid:", the pid where this /proc belongs; 0 unless it is an outer one. */
static int32_t proc_pid(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	int32_t first = 0, more = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "NSpid:", 6) && sscanf(line + 6, "%d %d", &first, &more) < 1)
			first = 0;
	if (f)
		fclose(f);
	return more || first != getpid() ? first : 0;
}

/*
 * `unshare --pid --mount-proc` mounts a /proc over the outer one. A thread with a mount namespace
 * of its own may look beneath, where the process is privileged; nobody else notices.
 */
static void *proc_beneath(void *outermost)
{
	int32_t pid;

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return NULL;
	while (!umount2("/proc", MNT_DETACH)) {
		pid = proc_pid();
		if (pid)
			*(int32_t *)outermost = pid;
	}
	return NULL;
}

static int32_t proc_outermost(void)
{
	int32_t pid = proc_pid();
	sigset_t all, old;
	pthread_t t;

	if (pid)
		return pid;
	sigfillset(&all);	/* the application's signals are not for that thread */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (!pthread_create(&t, NULL, proc_beneath, &pid))
		pthread_join(t, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid;
}

bool emu_identity_initial(void)
{
	char link[64] = "";

	return readlink("/proc/self/ns/pid", link, sizeof(link) - 1) > 0 &&
	       !strcmp(link, "pid:[4026531836]");	/* PROC_PID_INIT_INO of the kernel */
}

/* Who sees this process without being seen is in an outer namespace; others know no more than it. */
void emu_view_add(struct emu_view *v, int conn, const struct emu_welcome *w)
{
	struct ucred other = { 0 };
	socklen_t len = sizeof(other);

	if (!w->seen_pid || getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &other, &len) ||
	    (other.pid && !w->initial))
		return;
	v->pid = w->seen_pid;
	v->outermost = w->initial;
}

int32_t emu_identity_pid(const struct emu_view *seen)
{
	int32_t pid = 0;

	if (!emu_identity_initial())
		pid = seen->outermost ? seen->pid : proc_outermost();
	if (!pid)
		pid = seen->pid ? seen->pid : getpid();
	return pid;
}

static bool taken(int32_t pid)
{
	for (uint32_t i = 0; i < emu_table->slots_top; i++)
		if (emu_table->slots[i].used && emu_table->slots[i].pid == pid)
			return true;
	return false;
}

int32_t emu_identity_unique(int32_t pid)
{
	for (int32_t other = PID_ABOVE_ALL; taken(pid); other++)
		pid = other;
	return pid;
}
