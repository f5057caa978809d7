/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "base/config.h"
#include "base/log.h"
#include "support/test.h"

#define DIR63 "/tmp/0123456789012345678901234567890123456789012345678901234567"
_Static_assert(sizeof(DIR63) == 64, "the longest folder");
#define PATH127 DIR63 "/" DIR63
_Static_assert(sizeof(PATH127) == 128, "the longest path of a library");

/* What is accepted for each setting, how it is shown, and what is not. */
static const struct {
	const char *name, *fallback;
	const char *good[8];
	const char *bad[12];
} settings[] = {
	{ "IPCSHARE_BACKEND", "host", { "host", "ascend" },
	  { "", "Host", "ascend2", "host ", "hos", "Ascend" } },
	{ "IPCSHARE_TIMEOUT", "120", { "1", "86400", "30" },
	  { "", "0", "86401", "-1", "+5", " 5", "5 ", "5s", "0x10", "1e3",
	    "99999999999999999999999" } },
	{ "IPCSHARE_LOG", "none", { "none", "error", "warning", "info" },
	  { "", "ERROR", "1", "debug" } },
	{ "IPCSHARE_SOCKET_DIR", "", { "", "/tmp", DIR63 }, { DIR63 "8", "tmp", "./tmp" } },
	{ "IPCSHARE_IDENTITY", "auto", { "auto", "start" }, { "", "pidfd", "Start" } },
	{ "IPCSHARE_HARDEN", "0", { "0", "1" }, { "", "2", "on", "01" } },
	{ "IPCSHARE_CACHE_ENTRIES", "32768", { "0", "1", "4294967295" },
	  { "", "-1", "4294967296", "1k", " 1" } },
	{ "IPCSHARE_CACHE_MIB", "1048576", { "0", "1", "4294967295" },
	  { "", "-1", "4294967296", "1M", "0x1" } },
	{ "IPCSHARE_HUGE_PAGES", "1", { "0", "1" }, { "", "2", "off", "1 " } },
	{ "IPCSHARE_KEEP_MIB", "256", { "0", "1", "1048576" }, { "", "-1", "1048577", "1M" } },
	{ "IPCSHARE_CHECK", "0", { "0", "1" }, { "", "2", "yes", "01" } },
	{ "IPCSHARE_COLL_ROUND", "3072", { "0", "65536" }, { "", "-1", "65537", "3k" } },
	{ "IPCSHARE_CROWD_ROUND", "32768", { "0", "65536" }, { "", "-1", "65537", "3k" } },
	{ "IPCSHARE_COLL_DIRECT", "65536", { "1", "4294967295" }, { "", "0", "4294967296", "1M" } },
	{ "IPCSHARE_CROWD_DIRECT", "65536", { "1", "4294967295" }, { "", "0", "4294967296", "1M" } },
	{ "IPCSHARE_COLL_RELAY", "4194304", { "0", "4294967295" }, { "", "-1", "4294967296", "4M" } },
	{ "IPCSHARE_MPI", "1", { "0", "1" }, { "", "2", "no", "01" } },
	{ "IPCSHARE_ACROSS", "16777216", { "0", "4294967295" }, { "", "-1", "4294967296", "4M" } },
	{ "IPCSHARE_FAKE_NODES", "", { "", "2x4", "3+1" }, { DIR63 "8" } },
	{ "IPCSHARE_ACL_LIB", "", { "", "libascendcl.so", PATH127 }, { PATH127 "8" } },
	{ "IPCSHARE_ASCEND_ANY_SOC", "0", { "0", "1" }, { "", "2", "yes", "01" } },
	{ "IPCSHARE_ASCEND_STRICT", "0", { "0", "1" }, { "", "2", "no", " 1" } },
};
#define NSETTINGS (sizeof(settings) / sizeof(settings[0]))

static void clean_environment(void)
{
	for (size_t i = 0; i < NSETTINGS; i++)
		unsetenv(settings[i].name);
}

static const struct ipcshare__setting *setting(const char *name)
{
	const struct ipcshare__setting *all;
	size_t n;

	all = ipcshare__settings(&n);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(all[i].name, name))
			return &all[i];
	REQUIRE(0, "there is no setting %s", name);
	return NULL;
}

static void every_setting_is_tested_here_and_described_there(void)
{
	const struct ipcshare__setting *all;
	size_t n, known = 0;

	all = ipcshare__settings(&n);
	CHECK_INT(n, NSETTINGS);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < NSETTINGS; k++)
			known += !strcmp(all[i].name, settings[k].name);
		CHECK(all[i].text[0] && all[i].range[0], "%s has no text", all[i].name);
	}
	CHECK_INT(known, NSETTINGS);
}

static void without_variables_the_defaults_hold(void)
{
	struct ipcshare__config config;
	char text[128];
	int from_environment = 9;

	CHECK_STATUS(ipcshare__config_load(&config), 0);

	CHECK_STR(config.backend, "host");
	CHECK_INT(config.timeout_s, 120);
	CHECK_INT(config.log, IPCSHARE__LOG_NONE);
	CHECK_STR(config.socket_dir, "");
	CHECK_INT(config.identity, IPCSHARE__IDENTITY_AUTO);
	CHECK_INT(config.harden, 0);
	CHECK_INT(config.huge_pages, 1);
	CHECK_STR(config.acl_lib, "");
	CHECK_INT(config.check, 0);
	CHECK_INT(config.ascend_any_soc, 0);
	CHECK_INT(config.ascend_strict, 0);
	for (size_t i = 0; i < NSETTINGS; i++) {
		ipcshare__config_value(&config, setting(settings[i].name), text, sizeof(text),
				       &from_environment);
		CHECK_STR(text, settings[i].fallback);
		CHECK_STR(setting(settings[i].name)->fallback, settings[i].fallback);
		CHECK_INT(from_environment, 0);
	}
}

static void good_values_are_taken_and_shown_as_they_were_written(void)
{
	struct ipcshare__config config;
	char text[128];
	int from_environment = 0;

	for (size_t i = 0; i < NSETTINGS; i++) {
		for (size_t k = 0; settings[i].good[k]; k++) {
			setenv(settings[i].name, settings[i].good[k], 1);
			CHECK_STATUS(ipcshare__config_load(&config), 0);
			ipcshare__config_value(&config, setting(settings[i].name), text,
					       sizeof(text), &from_environment);
			CHECK_STR(text, settings[i].good[k]);
			CHECK_INT(from_environment, 1);
		}
		unsetenv(settings[i].name);
	}
}

static void values_reach_the_field_they_belong_to(void)
{
	struct ipcshare__config config;

	setenv("IPCSHARE_TIMEOUT", "86400", 1);
	setenv("IPCSHARE_LOG", "warning", 1);
	setenv("IPCSHARE_SOCKET_DIR", DIR63, 1);
	setenv("IPCSHARE_IDENTITY", "start", 1);
	setenv("IPCSHARE_BACKEND", "ascend", 1);
	setenv("IPCSHARE_ACL_LIB", PATH127, 1);

	CHECK_STATUS(ipcshare__config_load(&config), 0);

	CHECK_INT(config.timeout_s, 86400);
	CHECK_INT(config.log, IPCSHARE__LOG_WARN);
	CHECK_STR(config.socket_dir, DIR63);
	CHECK_INT(config.identity, IPCSHARE__IDENTITY_START);
	CHECK_STR(config.backend, "ascend");
	CHECK_STR(config.acl_lib, PATH127);

	/* One at a time: they look alike. */
	setenv("IPCSHARE_HUGE_PAGES", "0", 1);
	CHECK_STATUS(ipcshare__config_load(&config), 0);
	CHECK_INT(config.huge_pages, 0);
	setenv("IPCSHARE_HARDEN", "1", 1);
	CHECK_STATUS(ipcshare__config_load(&config), 0);
	CHECK_INT(config.harden, 1);
	CHECK_INT(config.huge_pages, 0);
	CHECK_INT(config.check, 0);
	setenv("IPCSHARE_CHECK", "1", 1);
	CHECK_STATUS(ipcshare__config_load(&config), 0);
	CHECK_INT(config.check, 1);
	CHECK_INT(config.ascend_any_soc, 0);
	CHECK_INT(config.ascend_strict, 0);
	setenv("IPCSHARE_ASCEND_ANY_SOC", "1", 1);
	CHECK_STATUS(ipcshare__config_load(&config), 0);
	CHECK_INT(config.ascend_any_soc, 1);
	CHECK_INT(config.ascend_strict, 0);
	setenv("IPCSHARE_ASCEND_ANY_SOC", "0", 1);
	setenv("IPCSHARE_ASCEND_STRICT", "1", 1);
	CHECK_STATUS(ipcshare__config_load(&config), 0);
	CHECK_INT(config.ascend_any_soc, 0);
	CHECK_INT(config.ascend_strict, 1);
}

static void bad_values_are_refused_by_name_and_change_nothing(void)
{
	struct ipcshare__config config, before;
	char quoted[160];

	memset(&before, 0x5a, sizeof(before));
	config = before;
	for (size_t i = 0; i < NSETTINGS; i++) {
		for (size_t k = 0; settings[i].bad[k]; k++) {
			setenv(settings[i].name, settings[i].bad[k], 1);
			if (!CHECK_FAILS(ipcshare__config_load(&config), IPCSHARE_ERR_CONFIG))
				FAIL("%s=\"%s\"", settings[i].name, settings[i].bad[k]);
			CHECK_MEM(&config, &before, sizeof(config));
			snprintf(quoted, sizeof(quoted), "\"%s\"", settings[i].bad[k]);
			CHECK_HAS(ipcshare_last_error()->text, settings[i].name);
			CHECK_HAS(ipcshare_last_error()->text, quoted);
			CHECK_HAS(ipcshare_last_error()->hint, setting(settings[i].name)->range);
		}
		unsetenv(settings[i].name);
	}
}

struct seen {
	int n;
	char names[4][200];
};

static void see(const char *name, void *arg)
{
	struct seen *seen = arg;

	if (seen->n < 4)
		snprintf(seen->names[seen->n], sizeof(seen->names[0]), "%s", name);
	seen->n++;
}

static void unknown_variables_are_found(void)
{
	struct seen seen = { 0 };
	char name[300] = "IPCSHARE_";

	memset(name + 9, 'X', sizeof(name) - 10);
	setenv("IPCSHARE_TIMEOUT", "3", 1); /* known */
	setenv("IPCSHAREX", "1", 1); /* not ours */
	ipcshare__config_unknown(see, &seen);
	CHECK_INT(seen.n, 0);

	setenv("IPCSHARE_TIMEOUTS", "3", 1);
	ipcshare__config_unknown(see, &seen);
	CHECK_INT(seen.n, 1);
	CHECK_STR(seen.names[0], "IPCSHARE_TIMEOUTS");
	unsetenv("IPCSHARE_TIMEOUTS");

	seen.n = 0;
	setenv("IPCSHARE_TIME", "", 1);
	ipcshare__config_unknown(see, &seen);
	CHECK_INT(seen.n, 1);
	CHECK_STR(seen.names[0], "IPCSHARE_TIME");
	unsetenv("IPCSHARE_TIME");

	seen.n = 0;
	setenv(name, "1", 1);
	ipcshare__config_unknown(see, &seen);
	CHECK_INT(seen.n, 1);
	CHECK(!strncmp(seen.names[0], name, 100), "%s", seen.names[0]);
	unsetenv(name);
	unsetenv("IPCSHAREX");
}

static void unknown_variables_do_not_fail_the_load(void)
{
	struct ipcshare__config config;

	setenv("IPCSHARE_NONSENSE", "1", 1);
	CHECK_STATUS(ipcshare__config_load(&config), 0);
	unsetenv("IPCSHARE_NONSENSE");
}

TEST_SUITE(config, clean_environment, clean_environment,
	TEST(every_setting_is_tested_here_and_described_there),
	TEST(without_variables_the_defaults_hold),
	TEST(good_values_are_taken_and_shown_as_they_were_written),
	TEST(values_reach_the_field_they_belong_to),
	TEST(bad_values_are_refused_by_name_and_change_nothing),
	TEST(unknown_variables_are_found),
	TEST(unknown_variables_do_not_fail_the_load));
