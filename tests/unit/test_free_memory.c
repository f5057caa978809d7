/* SPDX-License-Identifier: BSD-3-Clause */
/* What cgroups leave a process: read from recorded files, and from a real one where it can be made. */
#include "backend/host/free_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/test.h"
#include "team.h"

#define MIB (UINT64_C(1) << 20)

/* ---- Recorded ---- */

static char root[64];

static void root_make(void)
{
	strcpy(root, "/tmp/ipcshare-test-XXXXXX");
	REQUIRE(mkdtemp(root), "errno %d", errno);
}

static void root_remove(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	CHECK_INT(system(command), 0);
}

/* @text into the file @name below the root, whose folders are made. */
static void record(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(path, 0700);
	}
	f = fopen(path, "we");
	REQUIRE(f && fputs(text, f) >= 0 && !fclose(f), "%s: errno %d", path, errno);
}

static struct ipcshare__cgroup_memory look(void)
{
	struct ipcshare__cgroup_memory c;
	char list[128];

	snprintf(list, sizeof(list), "%s/list", root);
	CHECK_INT(ipcshare__cgroup_memory(list, root, &c), 0);
	return c;
}

static void version_2_is_read_up_the_hierarchy(void)
{
	record("list", "0::/job/step\n");
	record("job/memory.max", "104857600\n"); /* 100 MiB for all steps */
	record("job/memory.current", "94371840\n");
	record("job/memory.stat", "anon 83886080\ninactive_file 4194304\nactive_file 1048576\n");
	record("job/memory.swap.max", "0\n");
	record("job/memory.swap.current", "0\n");
	record("job/step/memory.max", "max\n");
	record("job/step/memory.current", "73400320\n");
	CHECK_INT(look().limit, 100 * MIB);
	CHECK_INT(look().available, 15 * MIB); /* 10, and 5 of page cache */
	record("job/step/memory.max", "73400320\n");
	record("job/step/memory.swap.max", "0\n");
	CHECK_INT(look().limit, 70 * MIB);
	CHECK_INT(look().available, 0);
	record("job/step/memory.max", "1048576\n"); /* lowered below what is used */
	CHECK_INT(look().available, 0);
}

static void version_1_is_read_up_the_hierarchy(void)
{
	record("list", "4:memory:/job/step\n2:cpu:/other\n0::/\n");
	record("memory/memory.limit_in_bytes", "9223372036854771712\n"); /* none */
	record("memory/memory.usage_in_bytes", "1073741824\n");
	record("memory/job/memory.limit_in_bytes", "67108864\n");
	record("memory/job/memory.usage_in_bytes", "50331648\n");
	record("memory/job/memory.memsw.limit_in_bytes", "67108864\n"); /* no swap */
	record("memory/job/memory.memsw.usage_in_bytes", "50331648\n");
	record("memory/job/memory.stat",
	       "inactive_file 99\ntotal_inactive_file 2097152\ntotal_active_file 1048576\n");
	record("memory/job/step/memory.limit_in_bytes", "9223372036854771712\n");
	CHECK_INT(look().limit, 64 * MIB);
	CHECK_INT(look().available, 19 * MIB);
}

/* As containers see it: the path in the list is that of the machine, the files are at the root. */
static void a_path_that_is_not_there_ends_at_the_root(void)
{
	record("list", "4:memory:/docker/0123456789abcdef\n");
	record("memory/memory.limit_in_bytes", "67108864\n");
	record("memory/memory.usage_in_bytes", "67108864\n");
	record("memory/memory.memsw.limit_in_bytes", "67108864\n");
	record("memory/memory.memsw.usage_in_bytes", "67108864\n");
	CHECK_INT(look().limit, 64 * MIB);
	CHECK_INT(look().available, 0);
}

static void no_limit_is_none(void)
{
	struct ipcshare__cgroup_memory c;

	record("list", "0::/\nnonsense\n1:name=systemd:/\n");
	CHECK(look().limit == UINT64_MAX, "%ju", (uintmax_t)look().limit);
	CHECK(look().available == UINT64_MAX, "%ju", (uintmax_t)look().available);
	CHECK_INT(ipcshare__cgroup_memory("/no/such/file", root, &c), -1);
}

/* ---- A real one ---- */

static char cgroup[512]; /* "" none can be made here */

static int cgroup_write(const char *name, const char *text)
{
	char path[600];
	int fd, ok;

	snprintf(path, sizeof(path), "%s/%s", cgroup, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* 48 MiB without swap, below the root of whichever version is there. */
static int cgroup_make(void)
{
	snprintf(cgroup, sizeof(cgroup), "/sys/fs/cgroup/memory/ipcshare-test-%d", getpid());
	if (!mkdir(cgroup, 0755))
		return cgroup_write("memory.limit_in_bytes", "50331648") &&
		       (cgroup_write("memory.memsw.limit_in_bytes", "50331648") || 1);
	snprintf(cgroup, sizeof(cgroup), "/sys/fs/cgroup/ipcshare-test-%d", getpid());
	if (!mkdir(cgroup, 0755))
		return cgroup_write("memory.max", "50331648") &&
		       (cgroup_write("memory.swap.max", "0") || 1);
	cgroup[0] = '\0';
	return 0;
}

static void takes_what_there_is(int channel, void *arg)
{
	void *small[200], *p = (void *)16;
	struct ipcshare_ctx *ctx;
	int n = 0;

	(void)arg;
	test_await(channel);
	setenv("IPCSHARE_HUGE_PAGES", "0", 1); /* those are outside of the cgroup's memory */
	ctx = team_open(0);
	CHECK_FAILS(ipcshare_alloc(ctx, 64 * MIB, &p), IPCSHARE_ERR_NO_MEMORY);
	CHECK_HAS(ipcshare_last_error()->text, "cgroup");
	CHECK_PTR(p, (void *)16);
	while (n < 200 && !ipcshare_alloc(ctx, MIB / 2, &small[n])) { /* each too small to look */
		memset(small[n], 1, MIB / 2);
		n++;
	}
	CHECK(n > 20 && n < 96, "%d times half a MiB in 48 MiB", n);
	CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_NO_MEMORY);
	while (n-- > 0)
		CHECK_STATUS(ipcshare_free(ctx, small[n]), 0);
	CHECK_STATUS(ipcshare_alloc(ctx, 16 * MIB, &p), 0); /* what was given back is there again */
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

/* Without the look, the OOM killer ends the child. */
static void a_full_cgroup_is_an_error(void)
{
	struct test_child *child;
	char pid[16];
	int ready;

#ifdef __SANITIZE_THREAD__
	test_skip("ThreadSanitizer's own memory counts, and is more than what a test takes");
	return;
#endif
	ready = cgroup_make();
	child = test_child(takes_what_there_is, NULL);
	snprintf(pid, sizeof(pid), "%d", child->pid);
	if (ready && cgroup_write("cgroup.procs", pid)) {
		test_signal(child->channel);
		test_child_join(child);
	} else {
		test_note("no memory cgroup can be made here: only recorded ones were read");
		test_child_kill(child);
	}
	if (cgroup[0])
		CHECK(!rmdir(cgroup), "%s stays: errno %d", cgroup, errno);
}

/* Rank 1 is in the cgroup, and has pointers to more than may be in it. */
static void uses_a_peers_memory(struct test_rank *me, void *arg)
{
	const size_t len = me->rank ? 4096 : 64 * MIB;
	struct ipcshare_buf buf;
	struct ipcshare_set *set;
	char pid[16];
	struct team t;

	(void)arg;
	snprintf(pid, sizeof(pid), "%d", getpid());
	REQUIRE(!me->rank || cgroup_write("cgroup.procs", pid), "errno %d", errno);
	setenv("IPCSHARE_HUGE_PAGES", "0", 1);
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, len), len };
	set = team_share(&t, &buf, 1, 0);
	if (me->rank) {
		CHECK_BYTES(ipcshare_ptr(set, 0, 0), 0, 64 * MIB);
		memset(ipcshare_ptr(set, 0, 0), 7, 64 * MIB);
	}
	CHECK_STATUS(ipcshare_set_free(set), 0);
	if (!me->rank)
		CHECK_BYTES(buf.ptr, 7, len);
	team_leave(&t);
}

/* Pages are the owner's, who reserved them. Were they not, both ranks would get SIGBUS. */
static void a_peers_memory_is_not_taken_from_ones_own_cgroup(void)
{
#ifdef __SANITIZE_THREAD__
	test_skip("ThreadSanitizer's own memory counts, and is more than what a test takes");
	return;
#endif
	if (cgroup_make())
		test_ranks(2, uses_a_peers_memory, NULL);
	else
		test_skip("no memory cgroup can be made here");
	if (cgroup[0])
		CHECK(!rmdir(cgroup), "%s stays: errno %d", cgroup, errno);
}

TEST_SUITE(free_memory, root_make, root_remove,
	TEST(version_2_is_read_up_the_hierarchy),
	TEST(version_1_is_read_up_the_hierarchy),
	TEST(a_path_that_is_not_there_ends_at_the_root),
	TEST(no_limit_is_none),
	TEST(a_full_cgroup_is_an_error),
	TEST(a_peers_memory_is_not_taken_from_ones_own_cgroup));
