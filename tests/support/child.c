/* SPDX-License-Identifier: BSD-3-Clause */
/* Child processes and messages to them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/internal.h"

#define CHILDREN (2 * TEST_RANKS_MAX)
#define LOOK_MS 10 /* how often to look for an end where no pidfd tells it */

static struct test_child children[CHILDREN]; /* pid 0: free */

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
void __gcov_dump(void) __attribute__((weak));

static int no_leak_check; /* also if the parent had threads: LSan would miss them here and warn */

void test_no_leak_check(void)
{
	no_leak_check = 1;
}

/* _exit() keeps CUnit's and stdio's business in the parent, but also LSan's and gcov's: so ask here. */
static void end_child(void)
{
	if (!no_leak_check && __lsan_do_recoverable_leak_check &&
	    __lsan_do_recoverable_leak_check())
		FAIL("LeakSanitizer found leaks in the child, see standard error");
	if (__gcov_dump)
		__gcov_dump();
	_exit(test_child_verdict());
}

/*
 * TSan ends a child whose thread has the pthread_t of one that its parent still runs, and glibc
 * gives it that with the stack, which is free in the child. So ask for larger stacks than the old.
 */
static void avoid_old_stacks(void)
{
#ifdef TEST_TSAN
	pthread_attr_t attr;
	size_t size;

	pthread_getattr_default_np(&attr);
	pthread_attr_getstacksize(&attr, &size);
	pthread_attr_setstacksize(&attr, size + (1 << 20));
	pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
#endif
}

static void forget(struct test_child *c)
{
	close(c->channel);
	close(c->report);
	if (c->pidfd >= 0)
		close(c->pidfd);
	c->pid = 0;
}

static void run_child(struct test_child *c, int channel, int report, pid_t parent,
		      void (*fn)(int channel, void *arg), void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	close(c->channel);
	close(c->report);
	avoid_old_stacks();
	for (int i = 0; i < CHILDREN; i++) /* they are the parent's */
		if (children[i].pid)
			forget(&children[i]);
	test_become_child(report);
	fn(channel, arg);
	end_child();
}

/* fork(), or with @pid != 0 a fork whose pid is that: EPERM without the right, EEXIST. */
static pid_t fork_as(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1,
	};

	return pid ? (pid_t)syscall(SYS_clone3, &args, sizeof(args)) : fork();
}

static struct test_child *start(pid_t pid, void (*fn)(int channel, void *arg), void *arg)
{
	struct test_child *c = children;
	int channel[2], report[2], threads;
	pid_t parent = getpid();

	while (c < children + CHILDREN && c->pid)
		c++;
	REQUIRE(c < children + CHILDREN, "more than %d children", CHILDREN);
	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), "errno %d", errno);
	REQUIRE(!pipe2(report, O_CLOEXEC), "errno %d", errno);
	*c = (struct test_child){ .channel = channel[0], .report = report[0] };
	threads = __lsan_do_recoverable_leak_check ? test_threads() : 1;
	c->pid = fork_as(pid);
	if (!c->pid) {
		no_leak_check |= threads > 1;
		run_child(c, channel[1], report[1], parent, fn, arg);
	}
	close(channel[1]);
	close(report[1]);
	if (c->pid < 0) {
		close(c->channel);
		close(c->report);
		c->pid = 0;
		return NULL;
	}
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	REQUIRE(c->pidfd >= 0 || errno == ENOSYS, "pidfd_open: errno %d", errno);
	return c;
}

struct test_child *test_child(void (*fn)(int channel, void *arg), void *arg)
{
	struct test_child *c = start(0, fn, arg);

	REQUIRE(c, "fork: errno %d", errno);
	return c;
}

struct test_child *test_child_as(pid_t pid, void (*fn)(int channel, void *arg), void *arg)
{
	return start(pid, fn, arg);
}

/* The lines the child's checks wrote, each as a failure of this process. */
static void relay(struct test_at at, char *text)
{
	char *line, *save = NULL, said[1500];

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		snprintf(said, sizeof(said), "in %s: %s", at.what, line);
		test_result(at, 0, said);
	}
}

int test_child_wait_at(struct test_at at, struct test_child *c)
{
	char text[16384];
	size_t used = 0;
	int patience = TEST_CHILD_PATIENCE_S * 1000, pause = c->pidfd >= 0 ? patience : LOOK_MS;
	int status = 0, ended = 0, open = 1;
	struct test_at checked = at;

	checked.fatal = 0;
	while (!ended || open) {
		struct pollfd p[2] = {
			{ .fd = open ? c->report : -1, .events = POLLIN },
			{ .fd = ended ? -1 : c->pidfd, .events = POLLIN },
		};
		int n = poll(p, 2, ended ? 0 : pause);
		ssize_t got;

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 && ended)
			break; /* a grandchild still holds the pipe */
		if (n <= 0)
			patience -= n ? patience : pause;
		if (patience <= 0) {
			test_check(checked, 0, "it did not end within %d s: killed",
				   TEST_CHILD_PATIENCE_S);
			kill(c->pid, SIGKILL);
		}
		if (p[0].revents) {
			got = read(c->report, text + used, sizeof(text) - 1 - used);
			open = got > 0;
			used += got > 0 ? (size_t)got : 0;
			if (used == sizeof(text) - 1)
				open = 0;
		}
		if (!ended)
			ended = waitpid(c->pid, &status, patience > 0 ? WNOHANG : 0) == c->pid;
	}
	forget(c);
	text[used] = '\0';
	relay(checked, text);
	return status;
}

int test_child_join_at(struct test_at at, struct test_child *c)
{
	int status = test_child_wait_at(at, c);

	if (WIFSIGNALED(status))
		return test_check(at, 0, "it ended by signal %d", WTERMSIG(status));
	return test_check(at, status == 0, "it ended with exit code %d", WEXITSTATUS(status));
}

void test_child_kill(struct test_child *c)
{
	kill(c->pid, SIGKILL);
	test_child_wait(c);
}

void test_child_stop(struct test_child *c)
{
	int status;

	kill(c->pid, SIGSTOP);
	REQUIRE(waitpid(c->pid, &status, WUNTRACED) == c->pid && WIFSTOPPED(status),
		"the child did not stop, its status is 0x%x", status);
}

void test_child_continue(struct test_child *c)
{
	kill(c->pid, SIGCONT);
}

void test_reap_children(void)
{
	for (int i = 0; i < CHILDREN; i++)
		if (children[i].pid)
			test_child_kill(&children[i]);
}

/* ---- Messages ---- */

int test_poll(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do
		n = poll(&p, 1, TEST_CHILD_PATIENCE_S * 1000);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

void test_send_at(struct test_at at, int channel, const void *bytes, size_t len)
{
	ssize_t n = send(channel, bytes, len, MSG_NOSIGNAL);

	test_check(at, n == (ssize_t)len, "the other side is gone: %zd bytes sent, errno %d", n,
		   errno);
}

void test_recv_at(struct test_at at, int channel, void *bytes, size_t len)
{
	ssize_t n;

	if (!test_poll(channel, POLLIN)) {
		test_check(at, 0, "no message came within %d s", TEST_CHILD_PATIENCE_S);
		return;
	}
	n = recv(channel, bytes, len, MSG_TRUNC);
	test_check(at, n == (ssize_t)len, n ? "%zd bytes came instead of %zu" :
		   "the other side is gone (%zd bytes of %zu)", n, len);
}
