/* SPDX-License-Identifier: BSD-3-Clause */
/* What the man pages and tables say against what the code and the tests have. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "support/test.h"

#define OVERVIEW "docs/man/ipcshare.7"
#define SECURITY "docs/security.md"
#define RELIABILITY "docs/reliability.md"
#define INFO "docs/man/ipcshare-info.1"

static char page[65536];

/* Tests run at the top of the tree. */
static void load(const char *path)
{
	FILE *f = fopen(path, "re");
	size_t n;

	REQUIRE(f != NULL, "%s: %m", path);
	n = fread(page, 1, sizeof(page) - 1, f);
	page[n] = '\0';
	fclose(f);
	REQUIRE(n > 0 && n < sizeof(page) - 1, "%s has %zu bytes", path, n);
}

/* The line after ".B @name", without its end; NULL if there is no such line. */
static const char *entry(const char *name)
{
	static char line[512];
	char head[128];
	const char *at;

	snprintf(head, sizeof(head), "\n.TP\n.B %s\n", name);
	at = strstr(page, head);
	if (!at)
		return NULL;
	at += strlen(head);
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
	return line;
}

static int count_entries(const char *section, const char *prefix)
{
	const char *at = strstr(page, section), *end;
	char head[64];
	int n = 0;

	REQUIRE(at != NULL, "no section %s", section);
	end = strstr(at + 1, "\n.SH ") ?: at + strlen(at);
	snprintf(head, sizeof(head), "\n.B %s", prefix);
	while ((at = strstr(at, head)) && at < end) {
		at++;
		n++;
	}
	return n;
}

static void the_page_has_every_setting_as_it_is(void)
{
	size_t count;
	const struct ipcshare__setting *settings = ipcshare__settings(&count);
	char wanted[512];

	load(OVERVIEW);
	for (size_t i = 0; i < count; i++) {
		const struct ipcshare__setting *s = &settings[i];
		const char *line = entry(s->name);

		snprintf(wanted, sizeof(wanted), "Default: %s. Accepted: %s.",
			 s->fallback[0] ? s->fallback : "empty", s->range);
		if (CHECK(line != NULL, "%s is missing", s->name))
			CHECK_STR(line, wanted);
	}
	/* ".B ipcshare-info" stands in that section too, in small letters. */
	CHECK_INT(count_entries("\n.SH SETTINGS\n", "IPCSHARE_"), count);
}

static void the_page_has_every_status_as_it_is(void)
{
	static const struct {
		const char *name, *text;
	} statuses[] = {
#define STATUS(name, number, text) { "IPCSHARE_" #name, text },
		IPCSHARE_STATUS_LIST(STATUS)
#undef STATUS
	};
	const size_t count = sizeof(statuses) / sizeof(statuses[0]);

	load(OVERVIEW);
	for (size_t i = 0; i < count; i++) {
		const char *line = entry(statuses[i].name);

		if (CHECK(line != NULL, "%s is missing", statuses[i].name))
			CHECK_STR(line, statuses[i].text);
	}
	CHECK_INT(count_entries("\n.SH ERRORS\n", "IPCSHARE_"), count);
}

static void the_page_has_every_kind_of_call(void)
{
	char list[256] = "";

	for (int i = 0; i < IPCSHARE_CALLS; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
			 i == 0 ? ": " : i + 1 < IPCSHARE_CALLS ? ", " : " and ",
			 ipcshare_call_name(i));
	strcat(list, ".");
	load(OVERVIEW);
	for (char *p = page; (p = strchr(p, '\n'));) /* the list goes over two lines */
		*p = ' ';
	CHECK_HAS(page, list);
}

static void both_pages_name_this_version(void)
{
	char version[64];

	snprintf(version, sizeof(version), "\"libipcshare %s\"", ipcshare_version());
	load(OVERVIEW);
	CHECK_HAS(page, version);
	load(INFO);
	CHECK_HAS(page, version);
}

static void the_page_of_ipcshare_info_has_its_options_and_statuses(void)
{
	static const char *const texts[] = {
		"\\-\\-config\n", "\\-\\-json\n", "\\-\\-version\n", "\\-\\-help\n",
		"\n.B \\-\\-matrix\n", "\n.BI \\-\\-svg ",
		"\n.SH EXIT STATUS\n", "\n.B 0\n", "\n.B 1\n", "\n.B 2\n", "\n.B 3\n",
	};

	load(INFO);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		CHECK_HAS(page, texts[i]);
	CHECK_INT(count_entries("\n.SH EXIT STATUS\n", ""), 5); /* the four, and "\.B \-c" */
}

/* ---- Tables of promises ---- */

/* A test of this program, of another folder's, which its source has, or a script. */
static int is_there(const char *test)
{
	static const char *const folders[] = { "fault", "mpi" };
	const char *dot = strchr(test, '.');
	char path[256], wanted[256];
	int found = strncmp(test, "tests/", 6) ? test_exists(test) : !access(test, X_OK);

	for (size_t i = 0; dot && !found && i < sizeof(folders) / sizeof(folders[0]); i++) {
		static char source[65536];
		FILE *f;

		snprintf(path, sizeof(path), "tests/%s/test_%.*s.c", folders[i], (int)(dot - test), test);
		snprintf(wanted, sizeof(wanted), "TEST(%s)", dot + 1);
		f = fopen(path, "re");
		if (!f)
			continue;
		source[fread(source, 1, sizeof(source) - 1, f)] = '\0';
		found = strstr(source, wanted) != NULL;
		fclose(f);
	}
	return found;
}

/* The names between backquotes in the third column of the row at @row. */
static void check_tests_of(const char *file, const char *row)
{
	char *cell = strndup(row, strcspn(row, "\n")), *rest = cell, *name;
	int names = 0;

	for (int column = 0; column < 4; column++) /* the first is what stands before the first bar */
		name = strsep(&rest, "|");
	for (strsep(&name, "`"); name; strsep(&name, "`"), names++) {
		const char *test = strsep(&name, "`");

		CHECK(is_there(test), "%s: there is no test %s", file, test);
	}
	CHECK(names > 0, "%s: a promise without a test: %.60s", file, row);
	free(cell);
}

/* There may be more than one table. */
static void check_tables_of(const char *file, int least)
{
	static const char head[] = "| promise | mechanism | test | figure |\n|---|---|---|---|\n";
	const char *row = page;
	int rows = 0;

	load(file);
	while ((row = strstr(row, head)))
		for (row += strlen(head); *row == '|'; row += strcspn(row, "\n") + 1, rows++)
			check_tests_of(file, row);
	CHECK(rows >= least, "%s: %d promises", file, rows);
}

static void every_test_that_a_table_names_is_there(void)
{
	check_tables_of(SECURITY, 20);
	check_tables_of(RELIABILITY, 15);
}

TEST_SUITE(docs, NULL, NULL,
	TEST(the_page_has_every_setting_as_it_is),
	TEST(the_page_has_every_status_as_it_is),
	TEST(the_page_has_every_kind_of_call),
	TEST(both_pages_name_this_version),
	TEST(the_page_of_ipcshare_info_has_its_options_and_statuses),
	TEST(every_test_that_a_table_names_is_there));
