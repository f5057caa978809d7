/* SPDX-License-Identifier: BSD-3-Clause */
/* The program ipcshare-info, run as a user runs it. */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "backend/host/features.h"
#include "backend/host/limits.h"
#include "base/config.h"
#include "support/test.h"
#include "support/tool.h"
#include "unit/forbid.h"

#define NO_RUNTIME "IPCSHARE_ACL_LIB=/no/such/libascendcl.so" /* even if this machine has one */

/* The line of the output that begins with blanks and @word; "" if there is none. */
static const char *line_of(const char *word)
{
	static char line[512];

	line[0] = '\0';
	for (const char *p = tool_output; p; p = strchr(p, '\n')) {
		p += strspn(p, "\n ");
		if (!strncmp(p, word, strlen(word))) {
			snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\n"), p);
			break;
		}
	}
	return line;
}

/* ---- As text ---- */

static void it_shows_every_section(void)
{
	char version[64];

	CHECK_INT(tool_run("", ""), 0);
	snprintf(version, sizeof(version), "libipcshare %s on ", ipcshare_version());
	CHECK_HAS(tool_output, version);
	CHECK_HAS(tool_output, "\nBackends\n");
	CHECK_HAS(line_of("host"), " usable ");
	CHECK_HAS(line_of("host"), "(chosen)");
	CHECK_HAS(line_of("ascend"), " usable ");
	CHECK_HAS(tool_output, "\n  ipcshare_open() works\n");
	CHECK_HAS(tool_output, "\nKernel features ");
	CHECK_HAS(tool_output, "\nLimits\n");
	CHECK_HAS(tool_output, "\nSettings\n  all ");
	tool_check_columns();
	CHECK_INT(tool_run(NO_RUNTIME, ""), 0);
	CHECK_HAS(line_of("ascend"), " not usable ");
	CHECK_HAS(tool_output, "no Ascend runtime: ");
	tool_check_columns();
}

static void it_names_the_rdma_devices_or_says_that_there_is_none(void)
{
	glob_t found = { 0 };
	size_t n = glob("/sys/class/infiniband/*", 0, NULL, &found) ? 0 : found.gl_pathc;

	CHECK_INT(tool_run("", ""), 0);
	CHECK_HAS(tool_output, n ? "\n  RDMA devices: " : "\n  RDMA devices: none, ");
	for (size_t i = 0; i < n; i++)
		CHECK_HAS(line_of("RDMA devices: "), strrchr(found.gl_pathv[i], '/') + 1);
	globfree(&found);
	tool_check_columns();
}

static void it_shows_every_feature_and_limit(void)
{
	struct ipcshare__feature f;
	struct ipcshare__limit l;

	CHECK_INT(tool_run("", ""), 0);
	for (int i = 0; i < IPCSHARE__FEATURES; i++) {
		ipcshare__feature_probe((enum ipcshare__feature_id)i, &f);
		CHECK_HAS(line_of(f.name), ipcshare__found_name(f.found));
		if (f.found == IPCSHARE__FOUND_NO)
			CHECK_HAS(tool_output, "\n    without it: ");
	}
	for (int i = 0; i < IPCSHARE__LIMITS; i++) {
		ipcshare__limit_read((enum ipcshare__limit_id)i, &l);
		CHECK_HAS(line_of(l.name), l.bounds);
	}
}

static void settings_show_value_and_source(void)
{
	size_t count;
	const struct ipcshare__setting *settings = ipcshare__settings(&count);

	CHECK_INT(tool_run("IPCSHARE_TIMEOUT=7", "-c"), 0);
	for (size_t i = 0; i < count; i++) {
		int is_timeout = !strcmp(settings[i].name, "IPCSHARE_TIMEOUT");

		CHECK_HAS(line_of(settings[i].name), is_timeout ? " 7 " : settings[i].fallback);
		CHECK_HAS(line_of(settings[i].name), is_timeout ? "environment" : "default");
	}
	CHECK_HAS(tool_output, "accepted: 1 .. 86400\n");
	CHECK(!strstr(tool_output, "Backends"), "more than the settings: %s", tool_output);
	tool_check_columns();
}

static void the_long_option_is_the_same(void)
{
	char wanted[sizeof(tool_output)];

	CHECK_INT(tool_run("", "-c"), 0);
	strcpy(wanted, tool_output);
	CHECK_INT(tool_run("", "--config"), 0);
	CHECK_STR(tool_output, wanted);
}

static void bad_values_are_marked_and_explained(void)
{
	static const char variables[] = "IPCSHARE_TIMEOUT=0 IPCSHARE_LOG=info IPCSHARE_IDENTITY=";

	CHECK_INT(tool_run(variables, "-c"), 1);
	CHECK_HAS(line_of("IPCSHARE_TIMEOUT"), "environment  NOT ACCEPTED");
	CHECK_HAS(line_of("IPCSHARE_IDENTITY"), "environment  NOT ACCEPTED");
	CHECK_HAS(line_of("IPCSHARE_IDENTITY"), "(empty)");
	CHECK_HAS(line_of("IPCSHARE_LOG"), " info ");
	CHECK(!strstr(line_of("IPCSHARE_LOG"), "NOT"), "a good value is marked: %s", tool_output);
	CHECK_HAS(tool_output,
		  "error: IPCSHARE_TIMEOUT has the value \"0\" (accepted: 1 .. 86400)\n");
	CHECK_HAS(tool_output, "error: IPCSHARE_IDENTITY has the value \"\" (accepted: ");
	tool_check_columns();

	CHECK_INT(tool_run(variables, ""), 1);
	CHECK_HAS(tool_output, "ipcshare_open() fails:\n");
	CHECK_HAS(tool_output, "\nSettings\n  3 of ");
	CHECK_HAS(tool_output, "error: IPCSHARE_TIMEOUT has the value \"0\"");
	tool_check_columns();
}

static void unknown_variables_draw_a_suggestion(void)
{
	static const char variables[] = "IPCSHARE_TIMOUT=1 IPCSHARE_LOG_LEVEL=1 "
					"IPCSHARE_bakend=1 IPCSHARE_QUUX=1";

	for (int config = 0; config < 2; config++) {
		CHECK_INT(tool_run(variables, config ? "-c" : ""), 0);
		CHECK_HAS(tool_output, "warning: IPCSHARE_TIMOUT is no setting; do you mean "
				  "IPCSHARE_TIMEOUT?\n");
		CHECK_HAS(tool_output, "warning: IPCSHARE_LOG_LEVEL is no setting; do you mean "
				  "IPCSHARE_LOG?\n");
		CHECK_HAS(tool_output, "warning: IPCSHARE_bakend is no setting; do you mean "
				  "IPCSHARE_BACKEND?\n");
		CHECK_HAS(tool_output, "warning: IPCSHARE_QUUX is no setting\n");
		tool_check_columns();
	}
}

static void a_long_value_has_its_own_line(void)
{
	char dir[64], huge[300], variables[400];

	memset(dir, 'd', 63);
	dir[0] = '/';
	dir[63] = '\0';
	snprintf(variables, sizeof(variables), "IPCSHARE_SOCKET_DIR=%s", dir);
	CHECK_INT(tool_run(variables, "-c"), 0);
	CHECK_STR(line_of("/ddd"), dir);
	tool_check_columns();

	memset(huge, 'h', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	snprintf(variables, sizeof(variables), "IPCSHARE_BACKEND=%s", huge);
	CHECK_INT(tool_run(variables, "-c"), 1);
	CHECK_HAS(line_of("hhh"), "...");
	CHECK_HAS(tool_output, "NOT ACCEPTED");
	tool_check_columns();
}

static void a_value_does_not_move_the_cursor(void)
{
	CHECK_INT(tool_run("IPCSHARE_TIMEOUT=\"$(printf '\\033[31mred')\"", "-c"), 1);
	CHECK(!strchr(tool_output, '\033'), "an escape sequence came through");
	CHECK_HAS(line_of("IPCSHARE_TIMEOUT"), "?[31mred");
}

/* As in a container whose seccomp filter is strict. */
static void look_without_memfd_create(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	REQUIRE_INT(test_forbid(SYS_memfd_create, EPERM), 0);
	CHECK_INT(tool_run("", ""), 1);
	CHECK_HAS(line_of("host"), "not usable");
	CHECK_HAS(tool_output, "memfd_create: Operation not permitted (a seccomp filter may");
	CHECK_HAS(tool_output, "ipcshare_open() fails:\n");
	CHECK_HAS(line_of("memfd_create"), " no ");
	CHECK_HAS(tool_output, "without it: the host backend can't be used\n");
	tool_check_columns();
	CHECK_INT(tool_run("", "--json"), 1);
	CHECK_HAS(tool_output, "\"usable\": false");
	CHECK_HAS(tool_output, "\"works\": false");
	CHECK_INT(tool_run("", "-c"), 0);
}

static void a_backend_that_is_not_usable_says_why(void)
{
	test_child_join(test_child(look_without_memfd_create, NULL));
}

/*
 * ---- As JSON: a checker of RFC 8259, and no more ----
 * Each function takes one thing and returns what is behind it, or NULL if it isn't there.
 */

static const char *json_value(const char *p, int depth);

static const char *json_blank(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static const char *json_hex4(const char *p)
{
	return strspn(p, "0123456789abcdefABCDEF") >= 4 ? p + 4 : NULL;
}

/* A character beyond ASCII in UTF-8, as RFC 3629 has it: no form that is too long, no surrogate. */
static const char *json_utf8(const char *p)
{
	unsigned char first = (unsigned char)p[0], second = (unsigned char)p[1];
	int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;

	if (first < 0xc2 || first > 0xf4 || (first == 0xe0 && second < 0xa0) ||
	    (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
	    (first == 0xf4 && second > 0x8f))
		return NULL;
	for (p++; more; more--, p++)
		if ((*p & 0xc0) != 0x80)
			return NULL;
	return p;
}

static const char *json_string(const char *p)
{
	if (*p++ != '"')
		return NULL;
	while (p && *p != '"') {
		if ((unsigned char)*p < ' ')
			return NULL;
		if (*p == '\\')
			p = p[1] == 'u' ? json_hex4(p + 2) :
			    p[1] && strchr("\"\\/bfnrt", p[1]) ? p + 2 : NULL;
		else
			p = (unsigned char)*p < 0x80 ? p + 1 : json_utf8(p);
	}
	return p ? p + 1 : NULL;
}

static const char *json_number(const char *p)
{
	char *end;

	p += *p == '-';
	if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return NULL;
	strtod(p, &end);
	return end;
}

/* An object, or an array: @close is its bracket. */
static const char *json_members(const char *p, int depth, char close)
{
	p = json_blank(p + 1);
	if (*p == close)
		return p + 1;
	for (;;) {
		if (close == '}') {
			p = json_string(p);
			p = p ? json_blank(p) : NULL;
			if (!p || *p++ != ':')
				return NULL;
		}
		p = json_value(p, depth + 1);
		if (!p || (*p != ',' && *p != close))
			return NULL;
		if (*p++ == close)
			return p;
		p = json_blank(p);
	}
}

static const char *json_value(const char *p, int depth)
{
	static const char *const words[] = { "true", "false", "null" };

	p = json_blank(p);
	if (depth > 16)
		return NULL;
	if (*p == '{' || *p == '[')
		p = json_members(p, depth, *p == '{' ? '}' : ']');
	else if (*p == '"')
		p = json_string(p);
	else if (*p == '-' || (*p >= '0' && *p <= '9'))
		p = json_number(p);
	else
		for (int i = 0; i < 3; i++) {
			if (!strncmp(p, words[i], strlen(words[i]))) {
				p += strlen(words[i]);
				break;
			}
			if (i == 2)
				return NULL;
		}
	return p ? json_blank(p) : NULL;
}

static int is_json(const char *text)
{
	const char *end = json_value(text, 0);

	return *json_blank(text) == '{' && end && !*end;
}

static void the_json_checker_refuses_what_is_no_json(void)
{
	static const char *const good[] = {
		"{}", "{ \"a\" : [ ] }", "{\"a\":[1,-2.5e3,true,null,\"\\u00e4\\\"\xc3\xa4\"]}\n",
	};
	static const char *const bad[] = {
		"", "[]", "{", "{}}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":[1,]}",
		"{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xe0\x80\x80\"}", "{\"a\":\"\xc3\"}",
		"{\"a\":01}", "{\"a\":\"\\x\"}", "{\"a\":\"\n\"}", "{\"a\":\"\xff\"}",
		"{\"a\":\"\\u12\"}", "{a:1}", "{\"a\":nul}", "{\"a\":\"b}", "{\"a\":1 \"b\":2}",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(is_json(good[i]), "refused: %s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!is_json(bad[i]), "taken: %s", bad[i]);
}

static void check_has_quoted(const char *member, const char *value)
{
	char text[512];

	snprintf(text, sizeof(text), "\"%s\": \"%s\"", member, value);
	CHECK_HAS(tool_output, text);
}

static void json_has_everything(void)
{
	static const char *const members[] = { "kernel", "backends", "open", "rdma", "features", "limits",
					       "settings", "unknown" };
	size_t count;
	const struct ipcshare__setting *settings = ipcshare__settings(&count);
	char text[64];

	CHECK_INT(tool_run(NO_RUNTIME " IPCSHARE_TIMEOUT=9 IPCSHARE_TIMOUT=1", "--json"), 0);
	CHECK(is_json(tool_output), "no JSON: %s", tool_output);
	check_has_quoted("version", ipcshare_version());
	check_has_quoted("name", "host");
	check_has_quoted("name", "ascend");
	CHECK_HAS(tool_output, "\"problem\": \"probe: no Ascend runtime: ");
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		snprintf(text, sizeof(text), "\n  \"%s\": ", members[i]);
		CHECK_HAS(tool_output, text);
	}
	for (int i = 0; i < IPCSHARE__FEATURES; i++) {
		struct ipcshare__feature f;

		ipcshare__feature_probe((enum ipcshare__feature_id)i, &f);
		check_has_quoted("name", f.name);
	}
	for (int i = 0; i < IPCSHARE__LIMITS; i++) {
		struct ipcshare__limit l;

		ipcshare__limit_read((enum ipcshare__limit_id)i, &l);
		check_has_quoted("name", l.name);
	}
	for (size_t i = 0; i < count; i++)
		check_has_quoted("name", settings[i].name);
	check_has_quoted("value", "9");
	check_has_quoted("from", "environment");
	check_has_quoted("name", "IPCSHARE_TIMOUT");
	check_has_quoted("nearest", "IPCSHARE_TIMEOUT");
}

static void json_escapes_what_the_environment_holds(void)
{
	static const struct {
		const char *octal, *json;
	} parts[] = {
		{ "a\\042b\\134\\134c", "a\\\"b\\\\\\\\c" },
		{ "\\012\\001\\177", "\\u000a\\u0001\\u007f" },
		{ "\\303\\251\\342\\202\\254\\360\\237\\230\\200", /* of 2, 3 and 4 bytes */
		  "\303\251\342\202\254\360\237\230\200" },
		{ "\\377x", "\\ufffdx" }, /* no such byte in UTF-8 */
		{ "\\300\\200x", "\\ufffd\\ufffdx" }, /* too long a form, of 2 bytes */
		{ "\\340\\200\\200x", "\\ufffd\\ufffd\\ufffdx" }, /* and of 3 */
		{ "\\355\\240\\200x", "\\ufffd\\ufffd\\ufffdx" }, /* a surrogate */
		{ "\\364\\220\\200\\200x", "\\ufffd\\ufffd\\ufffd\\ufffdx" }, /* beyond the last */
		{ "\\342\\202", "\\ufffd\\ufffd" }, /* cut short */
	};
	char variables[256];

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		snprintf(variables, sizeof(variables), "IPCSHARE_BACKEND=\"$(printf '%s')\"",
			 parts[i].octal);
		CHECK_INT(tool_run(variables, "--json"), 1);
		CHECK(is_json(tool_output), "no JSON: %s", tool_output);
		check_has_quoted("value", parts[i].json);
		CHECK_HAS(tool_output, "\"works\": false");
	}
}

static void json_wins_over_c(void)
{
	CHECK_INT(tool_run("", "-c --json"), 0);
	CHECK(is_json(tool_output), "no JSON: %s", tool_output);
	CHECK_INT(tool_run("", "--json -c"), 0);
	CHECK(is_json(tool_output), "no JSON: %s", tool_output);
}

/* ---- Options and exit statuses ---- */

static void version_and_help_are_short(void)
{
	char version[64];

	CHECK_INT(tool_run("", "--version"), 0);
	snprintf(version, sizeof(version), "ipcshare-info %s\n", ipcshare_version());
	CHECK_STR(tool_output, version);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(tool_run("", i ? "-h" : "--help"), 0);
		CHECK_HAS(tool_output, "Usage: ipcshare-info ");
		CHECK_HAS(tool_output, "--json");
		tool_check_columns();
	}
	CHECK_INT(tool_run("IPCSHARE_TIMEOUT=0", "--version"), 0);
}

static void bad_usage_gives_2_and_a_hint(void)
{
	static const char *const wrong[] = { "--jason", "-x", "extra", "-c extra", "--json=1" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CHECK_INT(tool_run("", wrong[i]), 2);
		CHECK_HAS(tool_output, "'ipcshare-info --help' lists the options\n");
		CHECK(!strstr(tool_output, "Backends"), "%s: it went on", wrong[i]);
	}
}

static void a_full_disk_gives_3(void)
{
	CHECK_INT(tool_run("", ">/dev/full"), 3);
	CHECK_HAS(tool_output, "writing the output: No space left on device");
	CHECK_INT(tool_run("", "--json >/dev/full"), 3);
	CHECK_INT(tool_run("", "--help >/dev/full"), 3);
}

TEST_SUITE(info, NULL, NULL,
	TEST(it_shows_every_section),
	TEST(it_names_the_rdma_devices_or_says_that_there_is_none),
	TEST(it_shows_every_feature_and_limit),
	TEST(settings_show_value_and_source),
	TEST(the_long_option_is_the_same),
	TEST(bad_values_are_marked_and_explained),
	TEST(unknown_variables_draw_a_suggestion),
	TEST(a_long_value_has_its_own_line),
	TEST(a_value_does_not_move_the_cursor),
	TEST(a_backend_that_is_not_usable_says_why),
	TEST(the_json_checker_refuses_what_is_no_json),
	TEST(json_has_everything),
	TEST(json_escapes_what_the_environment_holds),
	TEST(json_wins_over_c),
	TEST(version_and_help_are_short),
	TEST(bad_usage_gives_2_and_a_hint),
	TEST(a_full_disk_gives_3));
