/* SPDX-License-Identifier: BSD-3-Clause */
/* What the library calls against the lists of inject_calls.h. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "inject_calls.h"
#include "support/test.h"

/* The library's objects as this program links them: their calls are redirected already. */
#define ARCHIVE "fault/libipcshare.a"
#define REDIRECTED "inject_"

static const struct known {
	const char *name;
	const char *why; /* it is not failed */
} never[] = {
#define NEVER(name, why) { #name, why },
	INJECT_NEVER(NEVER)
#undef NEVER
};

/* Its own names, and what compilers and sanitizers put into every object. */
static int is_no_call(const char *name)
{
	static const char *const begins[] = {
		REDIRECTED, "ipcshare_", "_GLOBAL_OFFSET_TABLE_", "__tls_get_addr", "__errno_location",
		"__cpu_", "__popcount", "__stack_chk_", "__assert_fail", "__ctype_b_loc",
		"__sched_cpucount", "__aarch64_", "__asan_", "__ubsan_", "__tsan_", "__lsan_",
		"__sanitizer_", "__gcov", "__odr_asan",
	};

	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		if (!strncmp(name, begins[i], strlen(begins[i])))
			return 1;
	return 0;
}

/* Newer C libraries have sscanf() under names of each C standard. */
static const char *plain(const char *name)
{
	return strncmp(name, "__isoc", 6) ? name : name + strcspn(name + 2, "_") + 3;
}

static int is_never(const char *name)
{
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (!strcmp(never[i].name, name))
			return 1;
	return 0;
}

static void every_call_of_the_library_is_failed_or_known_not_to(void)
{
	char program[2048], command[4096], name[256];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	int calls = 0, injected = 0;
	FILE *f;

	REQUIRE(n > 0, "readlink: %m");
	program[n] = '\0';
	*strrchr(program, '/') = '\0';
	snprintf(command, sizeof(command), "nm -u '%s/" ARCHIVE "' | awk 'NF == 2 { print $2 }' | sort -u",
		 program);
	f = popen(command, "re");
	REQUIRE(f != NULL, "popen: %m");
	while (fscanf(f, "%255s", name) == 1) {
		calls++;
		injected += !strncmp(name, REDIRECTED, strlen(REDIRECTED));
		CHECK(is_no_call(name) || is_never(plain(name)),
		      "the library calls %s(): put it into INJECT_CALLS or INJECT_NEVER of "
		      "inject_calls.h", name);
	}
	CHECK_INT(pclose(f), 0);
	CHECK(calls > 100 && injected > 40, "nm names %d calls, %d of them injected", calls, injected);
}

TEST_SUITE(inject_calls, NULL, NULL,
	TEST(every_call_of_the_library_is_failed_or_known_not_to));
