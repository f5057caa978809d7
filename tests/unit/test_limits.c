/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/host/limits.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/test.h"

static struct ipcshare__limit read_limit(enum ipcshare__limit_id id)
{
	struct ipcshare__limit l;

	ipcshare__limit_read(id, &l);
	return l;
}

static void every_limit_says_what_it_bounds(void)
{
	for (int i = 0; i < IPCSHARE__LIMITS; i++) {
		struct ipcshare__limit l = read_limit((enum ipcshare__limit_id)i);

		CHECK(l.name && l.name[0] && l.unit && l.bounds && l.bounds[0] && l.text[0],
		      "limit %d has an empty text", i);
		if (l.kind == IPCSHARE__LIMIT_NONE)
			CHECK_STR(l.text, "unlimited");
		if (l.kind == IPCSHARE__LIMIT_UNKNOWN)
			CHECK_STR(l.text, "unknown");
	}
}

static void reading_leaves_nothing_behind(void)
{
	struct test_resources before;

	test_resources(&before);
	for (int round = 0; round < 50; round++)
		for (int i = 0; i < IPCSHARE__LIMITS; i++)
			read_limit((enum ipcshare__limit_id)i);
	CHECK_NOTHING_LEAKED(&before);
}

/* In a child, as a hard limit can't be raised again. */
static void set_limits_and_look(int channel, void *arg)
{
	struct rlimit files = { 100, 200 }, locked = { 4096, 4096 }, space;
	struct ipcshare__limit l;

	(void)channel;
	(void)arg;
	REQUIRE_INT(setrlimit(RLIMIT_NOFILE, &files), 0);
	l = read_limit(IPCSHARE__LIMIT_FILES);
	CHECK_INT(l.kind, IPCSHARE__LIMIT_VALUE);
	CHECK_INT(l.value, 100);
	CHECK_STR(l.text, "100, up to 200");

	REQUIRE_INT(setrlimit(RLIMIT_MEMLOCK, &locked), 0);
	l = read_limit(IPCSHARE__LIMIT_LOCKED);
	CHECK_INT(l.value, 4096);
	CHECK_STR(l.text, "4 KiB");

	REQUIRE_INT(getrlimit(RLIMIT_AS, &space), 0);
	l = read_limit(IPCSHARE__LIMIT_ADDRESS_SPACE);
	CHECK_INT(l.kind == IPCSHARE__LIMIT_NONE, space.rlim_cur == RLIM_INFINITY);
}

static void limits_of_the_process_are_its_own(void)
{
	test_child_join(test_child(set_limits_and_look, NULL));
}

static void free_memory_is_less_than_there_is(void)
{
	struct ipcshare__limit l = read_limit(IPCSHARE__LIMIT_FREE_MEMORY);
	uint64_t total = 0, kib;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	REQUIRE(f != NULL, "no /proc/meminfo");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "MemTotal: %ju", &kib) == 1 ||
		    sscanf(line, "SwapTotal: %ju", &kib) == 1)
			total += kib << 10;
	fclose(f);
	REQUIRE_INT(l.kind, IPCSHARE__LIMIT_VALUE);
	CHECK(l.value > 0 && l.value <= total, "%ju bytes free of %ju", l.value, total);
}

static void without_descriptors(int channel, void *arg)
{
	struct rlimit before, none;

	(void)channel;
	(void)arg;
	REQUIRE_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	REQUIRE_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
	CHECK_STR(read_limit(IPCSHARE__LIMIT_FREE_MEMORY).text, "unknown");
	CHECK_STR(read_limit(IPCSHARE__LIMIT_MAPPINGS).text, "unknown");
	CHECK_STR(read_limit(IPCSHARE__LIMIT_CGROUP_MEMORY).text, "unknown");
	CHECK_INT(read_limit(IPCSHARE__LIMIT_FILES).value, 0);
	REQUIRE_INT(setrlimit(RLIMIT_NOFILE, &before), 0); /* for a sanitizer, at the end */
}

static void what_cant_be_read_is_unknown(void)
{
	test_child_join(test_child(without_descriptors, NULL));
}

TEST_SUITE(limits, NULL, NULL,
	TEST(every_limit_says_what_it_bounds),
	TEST(reading_leaves_nothing_behind),
	TEST(limits_of_the_process_are_its_own),
	TEST(free_memory_is_less_than_there_is),
	TEST(what_cant_be_read_is_unknown));
