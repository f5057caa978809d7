/* SPDX-License-Identifier: BSD-3-Clause */
/* Counting what a process holds. */
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "support/internal.h"

#define SETTLE_S test_patience(2)

/*
 * More mappings than this, after an act that should leave none, are a leak. Sanitizers map memory
 * of their own as they go, and TSan starts a thread with the first that a process starts. Valgrind
 * does so too, with the same program: TEST_MAPS_SLACK of the environment says it then.
 */
#ifdef TEST_TSAN
#define MAPS_SLACK 1000
#define THREADS_SLACK 1
#elif defined(TEST_ASAN)
#define MAPS_SLACK 1000
#define THREADS_SLACK 0
#else
#define MAPS_SLACK 24
#define THREADS_SLACK 0
#endif

static void count_fds(struct test_resources *r)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] == '.' || fd == dirfd(dir))
			continue;
		r->fds++;
		if ((size_t)fd < 8 * sizeof(r->fd_open))
			r->fd_open[fd / 8] |= (uint8_t)(1 << fd % 8);
	}
	if (dir)
		closedir(dir);
}

int test_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int n = 0;

	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

static void count_maps(struct test_resources *r)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (strchr(line, '\n'))
			r->maps++;
		if (!strstr(line, "/memfd:ipcshare") || sscanf(line, "%lx-%lx", &from, &to) != 2)
			continue;
		r->memfd_maps++;
		r->memfd_bytes += to - from;
	}
	if (f)
		fclose(f);
}

static uint64_t resident(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (f && fscanf(f, "%*u %lu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void test_resources(struct test_resources *out)
{
	struct test_resources r = { .threads = test_threads(), .resident = resident() };

	count_fds(&r);
	count_maps(&r);
	*out = r;
}

static int is_more(const struct test_resources *now, const struct test_resources *before)
{
	int maps_slack = (int)test_setting("TEST_MAPS_SLACK", MAPS_SLACK);

	return now->fds > before->fds || now->threads > before->threads + THREADS_SLACK ||
	       now->memfd_maps > before->memfd_maps || now->memfd_bytes > before->memfd_bytes ||
	       now->maps > before->maps + maps_slack;
}

/*
 * A thread that was joined is in /proc for a moment longer, and a broker closes its end of a line
 * when it gets to it: give them that moment.
 */
static void settle(struct test_resources *now, const struct test_resources *before)
{
	time_t end = time(NULL) + SETTLE_S;

	test_resources(now);
	while (is_more(now, before) && time(NULL) < end) {
		sched_yield();
		test_resources(now);
	}
}

/* Where nothing happens by itself, less than before is one closed too many. */
static int is_less(const struct test_resources *now, const struct test_resources *before)
{
	return now->threads == 1 && before->threads == 1 &&
	       (now->fds < before->fds || now->memfd_maps < before->memfd_maps ||
		now->memfd_bytes < before->memfd_bytes);
}

static void name_new_fds(const struct test_resources *before, const struct test_resources *now,
			 char *text, size_t len)
{
	char path[64], target[128];
	size_t used = 0;

	text[0] = '\0';
	for (int fd = 0; fd < (int)(8 * sizeof(now->fd_open)) && used < len; fd++) {
		int is = now->fd_open[fd / 8] >> fd % 8 & 1;
		int was = before->fd_open[fd / 8] >> fd % 8 & 1;
		ssize_t n;

		if (!is || was)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		used += (size_t)snprintf(text + used, len - used, " %d->%s", fd, target);
	}
}

int test_check_leaks(struct test_at at, const struct test_resources *before)
{
	struct test_resources now;
	char new_fds[400];

	settle(&now, before);
	name_new_fds(before, &now, new_fds, sizeof(new_fds));
	return test_check(at, !is_more(&now, before) && !is_less(&now, before),
			  "before and now: descriptors %d, %d%s%s; threads %d, %d; "
			  "mapped memfds %d, %d; their bytes %ju, %ju; all mappings %d, %d",
			  before->fds, now.fds, new_fds[0] ? ", new" : "", new_fds, before->threads,
			  now.threads, before->memfd_maps, now.memfd_maps,
			  (uintmax_t)before->memfd_bytes, (uintmax_t)now.memfd_bytes, before->maps,
			  now.maps);
}

int test_check_resident(struct test_at at, const struct test_resources *before, uint64_t slack)
{
	uint64_t now = resident();

	return test_check(at, now < before->resident + slack,
			  "%ju bytes before, %ju now, more than %ju of growth",
			  (uintmax_t)before->resident, (uintmax_t)now, (uintmax_t)slack);
}
