/* SPDX-License-Identifier: BSD-3-Clause */
/* What other processes of the same user can do to a process, with IPCSHARE_HARDEN and without. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "nobody.h"
#include "team.h"

#define SECRET "known to who is listed"

/* ---- Ways into another process ---- */

struct victim {
	pid_t pid;
	int fd; /* of its memory */
	char *memory; /* as it is mapped there */
};

/* 0, or the errno of a refusal. */
typedef int way_fn(const struct victim *v);

static int result(int failed)
{
	return failed ? errno : 0;
}

static int attaches(const struct victim *v)
{
	int err = result(ptrace(PTRACE_SEIZE, v->pid, 0, 0) < 0), status;

	if (err)
		return err;
	ptrace(PTRACE_INTERRUPT, v->pid, 0, 0);
	waitpid(v->pid, &status, __WALL);
	ptrace(PTRACE_DETACH, v->pid, 0, 0);
	return 0;
}

static int takes_the_descriptor(const struct victim *v)
{
	int pidfd = (int)syscall(SYS_pidfd_open, v->pid, 0), fd, err;

	REQUIRE(pidfd >= 0, "pidfd_open: errno %d", errno);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, v->fd, 0);
	err = result(fd < 0);
	if (fd >= 0)
		close(fd);
	close(pidfd);
	return err;
}

static int calls(long nr, const struct victim *v)
{
	char text[sizeof(SECRET)] = SECRET;
	struct iovec here = { text, sizeof(text) }, there = { v->memory, sizeof(text) };

	return result(syscall(nr, v->pid, &here, 1, &there, 1, 0) < 0);
}

static int reads_by_call(const struct victim *v)
{
	return calls(SYS_process_vm_readv, v);
}

static int writes_by_call(const struct victim *v)
{
	return calls(SYS_process_vm_writev, v);
}

static int opens(const struct victim *v, const char *file, int flags)
{
	char path[96];
	int fd, err;

	snprintf(path, sizeof(path), "/proc/%d/%s", v->pid, file);
	fd = open(path, flags | O_CLOEXEC);
	err = result(fd < 0);
	if (fd >= 0)
		close(fd);
	return err;
}

static int opens_its_memory(const struct victim *v)
{
	return opens(v, "mem", O_RDWR);
}

static int opens_its_descriptor(const struct victim *v)
{
	char file[32];

	snprintf(file, sizeof(file), "fd/%d", v->fd);
	return opens(v, file, O_RDWR);
}

static int lists_its_descriptors(const struct victim *v)
{
	return opens(v, "fd", O_RDONLY | O_DIRECTORY);
}

/* With CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE only. */
static int opens_its_mapping(const struct victim *v)
{
	char file[64];

	snprintf(file, sizeof(file), "map_files/%lx-%lx", (unsigned long)v->memory,
		 (unsigned long)v->memory + 4096);
	return opens(v, file, O_RDWR);
}

static int reads_its_map(const struct victim *v)
{
	return opens(v, "maps", O_RDONLY);
}

static const struct way {
	const char *name;
	way_fn *try;
} ways[] = {
	{ "ptrace", attaches },
	{ "pidfd_getfd", takes_the_descriptor },
	{ "process_vm_readv", reads_by_call },
	{ "process_vm_writev", writes_by_call },
	{ "/proc/PID/mem", opens_its_memory },
	{ "/proc/PID/fd", lists_its_descriptors },
	{ "/proc/PID/fd/N", opens_its_descriptor },
	{ "/proc/PID/map_files/ADDRESSES", opens_its_mapping },
	{ "/proc/PID/maps", reads_its_map },
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void tries_all(int channel, void *arg)
{
	int refused[WAYS];

	REQUIRE(!test_become_nobody(), "errno %d", errno);
	for (size_t i = 0; i < WAYS; i++)
		refused[i] = ways[i].try(arg);
	test_send(channel, refused, sizeof(refused));
}

/* ---- Processes with a secret ---- */

/* The descriptor of the memory at @p: the only one of a memfd in a fresh process. */
static int find_memfd(void)
{
	char path[64], name[64];
	ssize_t n;

	for (int fd = 3; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, name, sizeof(name) - 1);
		if (n > 0 && !strncmp(name, "/memfd:ipcshare", 15))
			return fd;
	}
	FAIL("no memfd");
	return -1;
}

/* Without the library: what this machine grants anyway. */
static void has_a_memfd(int channel, void *arg)
{
	struct victim v = { .pid = getpid() };

	(void)arg;
	REQUIRE(!test_become_nobody(), "errno %d", errno);
	v.fd = memfd_create("test", MFD_CLOEXEC);
	REQUIRE(v.fd >= 0 && !ftruncate(v.fd, 4096), "errno %d", errno);
	v.memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, v.fd, 0);
	REQUIRE(v.memory != MAP_FAILED, "errno %d", errno);
	test_send(channel, &v, sizeof(v));
	test_await(channel);
}

static void has_a_context(int channel, void *arg)
{
	struct victim v = { .pid = getpid() };
	struct ipcshare_ctx *ctx;

	REQUIRE(!test_become_nobody(), "errno %d", errno);
	setenv("IPCSHARE_HARDEN", arg, 1);
	ctx = team_open(0);
	v.memory = team_alloc(ctx, 4096);
	strcpy(v.memory, SECRET);
	v.fd = find_memfd();
	test_send(channel, &v, sizeof(v));
	test_await(channel);
	CHECK_STR(v.memory, SECRET);
	CHECK_STATUS(ipcshare_close(ctx), 0);
	CHECK_INT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), ((char *)arg)[0] == '0');
}

/* What a sibling of the victim is refused. */
static void try_all(void (*fn)(int channel, void *arg), void *arg, int refused[WAYS])
{
	struct test_child *c = test_child(fn, arg), *intruder;
	struct victim v;

	test_recv(c->channel, &v, sizeof(v));
	intruder = test_child(tries_all, &v);
	test_recv(intruder->channel, refused, WAYS * sizeof(int));
	test_child_join(intruder);
	test_signal(c->channel);
	test_child_join(c);
}

/* By default: no more and no less than without us. */
static void by_default_the_same_user_gets_in_where_the_machine_lets_it(void)
{
	int without[WAYS], with[WAYS];

	try_all(has_a_memfd, NULL, without);
	try_all(has_a_context, "0", with);
	for (size_t i = 0; i < WAYS; i++)
		CHECK(with[i] == without[i], "%s: errno %d with a context, %d without",
		      ways[i].name, with[i], without[i]);
}

static void a_hardened_process_lets_nobody_of_the_same_user_in(void)
{
	int without[WAYS], hardened[WAYS];

	try_all(has_a_memfd, NULL, without);
	try_all(has_a_context, "1", hardened);
	for (size_t i = 0; i < WAYS; i++) {
		CHECK(hardened[i] == EPERM || hardened[i] == EACCES, "%s: errno %d", ways[i].name,
		      hardened[i]);
		if (without[i])
			test_note("%s is refused here anyway: errno %d", ways[i].name, without[i]);
	}
}

/* ---- Ranks ---- */

static void shares_hardened(struct test_rank *me, void *arg)
{
	struct ipcshare_buf buf;
	struct ipcshare_set *set;
	int peer = !me->rank;
	struct team t;

	REQUIRE(!test_become_nobody(), "errno %d", errno);
	setenv("IPCSHARE_HARDEN", me->rank || !arg ? "1" : "0", 1);
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 8192), 8192 };
	team_fill(buf.ptr, 8192, t.rank, 1);
	set = team_share(&t, &buf, 1, 0);
	team_check(ipcshare_ptr(set, peer, 0), 8192, peer, 1);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0); /* the peer is asked, and asks who asks */
	team_leave(&t);
}

static void hardened_ranks_share(void)
{
	static const char *const identities[] = { "auto", "start" };

	for (int i = 0; i < 2; i++) {
		setenv("IPCSHARE_IDENTITY", identities[i], 1);
		test_ranks(2, shares_hardened, NULL);
		test_ranks(2, shares_hardened, "one only");
	}
	unsetenv("IPCSHARE_IDENTITY");
}

static void one_dies(struct test_rank *me, void *arg)
{
	struct ipcshare_buf buf;
	struct ipcshare_set *set = NULL;
	struct team t;

	(void)arg;
	REQUIRE(!test_become_nobody(), "errno %d", errno);
	setenv("IPCSHARE_HARDEN", "1", 1);
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 100), 100 };
	if (me->rank)
		raise(SIGKILL);
	CHECK_FAILS(ipcshare_share(t.group, &buf, 1, 0, &set), IPCSHARE_ERR_PEER_DEAD);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK_STATUS(ipcshare_abandon(t.ctx), 0);
}

static void the_death_of_a_hardened_rank_is_seen(void)
{
	test_ranks_with((&(struct test_ranks){ .nranks = 2, .fn = one_dies, .dies = 1 << 1 }));
}

/* ---- Devices ---- */

static void on_other_backends_it_is_refused(void)
{
	struct ipcshare_ctx *ctx = (void *)16;

	setenv("IPCSHARE_HARDEN", "1", 1);
	setenv("IPCSHARE_BACKEND", "ascend", 1);
	CHECK_FAILS(ipcshare_open(NULL, &ctx), IPCSHARE_ERR_UNSUPPORTED);
	CHECK_HAS(ipcshare_last_error()->text, "IPCSHARE_HARDEN");
	CHECK_HAS(ipcshare_last_error()->hint, "IPCSHARE_HARDEN");
	CHECK_PTR(ctx, (void *)16);
	CHECK_INT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
	unsetenv("IPCSHARE_BACKEND");
	unsetenv("IPCSHARE_HARDEN");
}

TEST_SUITE(harden, NULL, NULL,
	TEST(by_default_the_same_user_gets_in_where_the_machine_lets_it),
	TEST(a_hardened_process_lets_nobody_of_the_same_user_in),
	TEST(hardened_ranks_share),
	TEST(the_death_of_a_hardened_rank_is_seen),
	TEST(on_other_backends_it_is_refused));
