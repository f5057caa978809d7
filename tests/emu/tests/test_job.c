/* SPDX-License-Identifier: BSD-3-Clause */
/* Processes of one job: finding each other, dying at any moment, and leaving nothing behind. */
#include "ranks.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static char key[KEY];

static void crowd(struct rank *r)
{
	struct ascendcl_emu_holdings h;

	rank_barrier(r);	/* all at once: who is first is open */
	up(r->id % 8);
	rank_barrier(r);
	OK(ascendclEmuHoldings(&h));
	EXPECT((int)h.processes == r->n);
	rank_barrier(r);
}

static void many_first_processes_make_one_job(void)
{
	for (int i = 0; i < 5; i++)
		RANKS_OK(24, "", crowd);
}

static void succession(struct rank *r)
{
	struct ascendcl_emu_holdings h;
	int32_t pid;
	void *p;

	if (r->id == 0) {
		up(0);
		alloc(4096);
		rank_send(r, 1, "x", 1);
		rank_recv(r, 1, key, 1);
		rank_die();		/* the one that made the table */
	} else if (r->id == 1) {
		rank_recv(r, 0, key, 1);
		up(0);
		rank_send(r, 0, "x", 1);
		rank_wait_gone(r, 0);
		p = alloc(4096);
		put(p, 6, 4096);
		export_granted(r, 2, p, 4096, key);
		rank_recv(r, 2, key, 1);
		OK(ascendclEmuHoldings(&h));
		EXPECT(h.processes == 2 && h.bytes == 4096);
		rank_send(r, 2, "x", 1);
	} else {
		rank_wait_gone(r, 0);
		pid = up(0);
		import_granted(r, 1, key, &p, 0);
		EXPECT(holds(p, 6, 4096) && pid > 0);
		rank_send(r, 1, "x", 1);
		rank_recv(r, 1, key, 1);	/* it is counted while it lives */
	}
}

static void the_job_outlives_the_process_that_began_it(void)
{
	CU_ASSERT_EQUAL(ranks_run(3, "", 1, succession), 0);
}

/* Entries of @dir that are named like @what, or lead to it. */
static int named(const char *dir, const char *what)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[512], link[512];
	int n = 0;

	while (d && (e = readdir(d))) {
		ssize_t len;

		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		len = readlink(path, link, sizeof(link) - 1);
		link[len < 0 ? 0 : len] = 0;
		n += strstr(e->d_name, what) || strstr(link, what);
	}
	if (d)
		closedir(d);
	return n;
}

/* Descriptors of any process that lead to the memfd @what. */
static int holders(const char *what)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	char path[300];
	int n = 0;

	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%s/fd", e->d_name);
		if (e->d_name[0] >= '0' && e->d_name[0] <= '9')
			n += named(path, what);
	}
	if (d)
		closedir(d);
	return n;
}

static int sockets(const char *what)
{
	FILE *f = fopen("/proc/net/unix", "r");
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, what) != NULL;
	if (f)
		fclose(f);
	return n;
}

static void job_names(char *memfd, char *socket, size_t len)
{
	char job[64];

	snprintf(job, sizeof(job), "%s", getenv("ASCENDCL_EMU_JOB"));
	snprintf(memfd, len, "memfd:ascendcl-emu.%s", job);
	snprintf(socket, len, "@ascendcl-emu.%u.%s.", (unsigned)getuid(), job);
}

static void all_die(struct rank *r)
{
	int shm = named("/proc/self/fd", "/dev/shm/"), tmp = named("/proc/self/fd", "/tmp/");
	char memfd[128], socket[128];
	void *p;

	up(r->id);
	p = alloc(64 * MIB);
	put(p, 1, 64 * MIB);
	OK(aclrtIpcMemGetExportKey(p, 4096, key, KEY, 1));
	EXPECT(named("/proc/self/fd", "/dev/shm/") == shm);	/* it works without any file */
	EXPECT(named("/proc/self/fd", "/tmp/") == tmp);
	rank_barrier(r);
	job_names(memfd, socket, sizeof(memfd));
	EXPECT(holders(memfd) == r->n && sockets(socket) == r->n);	/* the names are right */
	rank_barrier(r);
	rank_die();
}

static void nothing_is_left_after_the_last_process(void)
{
	char memfd[128], socket[128];

	CU_ASSERT_EQUAL(ranks_run(4, "", 0xf, all_die), 0);
	job_names(memfd, socket, sizeof(memfd));
	CU_ASSERT_EQUAL(named("/dev/shm", "ascendcl"), 0);
	CU_ASSERT_EQUAL(named("/tmp", "ascendcl"), 0);
	CU_ASSERT_EQUAL(sockets(socket), 0);
	CU_ASSERT_EQUAL(holders(memfd), 0);
}

static void other_machine(struct rank *r)
{
	if (r->id == 1)
		setenv("ASCENDCL_EMU_DEVICES", "4", 1);
	if (r->id == 0)
		up(0);
	rank_barrier(r);
	if (r->id == 1)
		CODE(500000, aclInit(NULL));
	rank_barrier(r);
}

static void a_process_with_another_machine_is_refused(void)
{
	RANKS_OK(2, "", other_machine);
}

int main(void)
{
	static const struct test tests[] = {
		TEST(many_first_processes_make_one_job),
		TEST(the_job_outlives_the_process_that_began_it),
		TEST(nothing_is_left_after_the_last_process),
		TEST(a_process_with_another_machine_is_refused), { NULL, NULL },
	};

	return tests_main("a job's processes", tests);
}
