/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "support/test.h"

static void every_status_has_a_name_and_a_text(void)
{
#define TRY(name, number, text)                                                                    \
	CHECK_STR(ipcshare_status_name(number), "IPCSHARE_" #name);                                \
	CHECK_STR(ipcshare_strerror(number), text);                                                \
	CHECK_INT(IPCSHARE_##name, number);
	IPCSHARE_STATUS_LIST(TRY)
#undef TRY
}

static void unknown_numbers_have_texts_too(void)
{
	static const int numbers[] = { 1, -25, 4711, INT32_MIN, INT32_MAX };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		CHECK_STR(ipcshare_strerror(numbers[i]), "unknown status");
		CHECK_STR(ipcshare_status_name(numbers[i]), "unknown status");
		CHECK_STR(ipcshare_call_name(numbers[i] == 1 ? -1 : numbers[i]), "unknown call");
	}
}

static void every_call_has_a_name(void)
{
#define TRY(name, text) CHECK_STR(ipcshare_call_name(IPCSHARE_CALL_##name), text);
	IPCSHARE_CALL_LIST(TRY)
#undef TRY
	CHECK_STR(ipcshare_call_name(IPCSHARE_CALLS), "unknown call");
}

static void the_version_is_that_of_the_header(void)
{
	char version[32];

	snprintf(version, sizeof(version), "%d.%d.%d", IPCSHARE_VERSION_MAJOR,
		 IPCSHARE_VERSION_MINOR, IPCSHARE_VERSION_PATCH);
	CHECK_STR(ipcshare_version(), version);
}

static void *look_at_a_fresh_thread(void *arg)
{
	const struct ipcshare_error *e = ipcshare_last_error();

	(void)arg;
	CHECK_INT(e->status, 0);
	CHECK_INT(e->rank, -1);
	CHECK_INT(e->index, -1);
	CHECK_INT(e->code, 0);
	CHECK_STR(e->stage, "");
	CHECK_STR(e->text, "");
	CHECK_STR(e->hint, "");
	CHECK_STR(ipcshare_explain(), "no failure");
	ipcshare__fail(IPCSHARE_ERR_BUSY, "elsewhere", "", "another thread");
	return NULL;
}

static void each_thread_has_its_own_last_error(void)
{
	pthread_t thread;

	ipcshare__fail(IPCSHARE_ERR_RANGE, "here", "", "this thread");
	pthread_create(&thread, NULL, look_at_a_fresh_thread, NULL);
	pthread_join(thread, NULL);
	CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_RANGE);
	CHECK_STR(ipcshare_explain(), "here: this thread");
}

static void a_failure_keeps_its_detail(void)
{
	const struct ipcshare_error *e = ipcshare_last_error();

	CHECK_INT(ipcshare__fail(IPCSHARE_ERR_STALE, "import", "share it anew", "gone: %d", 17),
		  IPCSHARE_ERR_STALE);

	CHECK_INT(e->status, IPCSHARE_ERR_STALE);
	CHECK_INT(e->rank, -1);
	CHECK_INT(e->index, -1);
	CHECK_INT(e->code, 0);
	CHECK_STR(e->stage, "import");
	CHECK_STR(e->text, "gone: 17");
	CHECK_STR(e->hint, "share it anew");
}

static void the_next_failure_forgets_the_place_of_the_last(void)
{
	ipcshare__fail_errno(ENOMEM, "alloc", "x");
	ipcshare__fail_at(3, 4);

	ipcshare__fail(IPCSHARE_ERR_INVALID, "share", "", "y");

	CHECK_INT(ipcshare_last_error()->rank, -1);
	CHECK_INT(ipcshare_last_error()->index, -1);
	CHECK_INT(ipcshare_last_error()->code, 0);
	CHECK_STR(ipcshare_last_error()->hint, "");
}

static void explain_names_stage_place_cause_and_hint(void)
{
	ipcshare__fail(IPCSHARE_ERR_STALE, "import", "share it anew", "gone");
	CHECK_STR(ipcshare_explain(), "import: gone (share it anew)");
	ipcshare__fail_at(2, -1);
	CHECK_STR(ipcshare_explain(), "import: rank 2: gone (share it anew)");
	ipcshare__fail_at(-1, 17);
	CHECK_STR(ipcshare_explain(), "import: rank 2, buffer 17: gone (share it anew)");
	ipcshare__fail(IPCSHARE_ERR_STALE, "import", "", "gone");
	ipcshare__fail_at(-1, INT64_MAX);
	CHECK_STR(ipcshare_explain(), "import: buffer 9223372036854775807: gone");
	ipcshare__fail_at(INT32_MAX, -1);
	CHECK_STR(ipcshare_explain(),
		  "import: rank 2147483647, buffer 9223372036854775807: gone");
}

static void an_explanation_outlives_the_next_failure(void)
{
	const char *first;

	ipcshare__fail(IPCSHARE_ERR_STALE, "import", "", "the first");
	first = ipcshare_explain();

	ipcshare__fail(IPCSHARE_ERR_BUSY, "close", "", "the second");

	CHECK_STR(first, "import: the first");
}

static void texts_that_are_too_long_are_cut(void)
{
	const struct ipcshare_error *e = ipcshare_last_error();
	char text[2000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';

	ipcshare__fail(IPCSHARE_ERR_STALE, "import", text, "%s", text);
	CHECK_INT(strlen(e->text), sizeof(e->text) - 1);
	CHECK_INT(strlen(e->hint), sizeof(e->hint) - 1);
	CHECK_INT(strlen(ipcshare_explain()),
		  strlen("import: ") + strlen(e->text) + strlen(" ()") + strlen(e->hint));

	ipcshare__fail_errno(EMFILE, "import", "%s", text);
	CHECK_INT(strlen(e->text), sizeof(e->text) - 1);
}

static void system_errors_have_a_status_that_fits(void)
{
	static const struct {
		int err, status;
		const char *hint;
	} known[] = {
		{ ENOMEM, IPCSHARE_ERR_NO_MEMORY, "free memory" },
		{ ENOSPC, IPCSHARE_ERR_NO_MEMORY, "free memory" },
		{ EMFILE, IPCSHARE_ERR_LIMIT, "ulimit -n" },
		{ ENFILE, IPCSHARE_ERR_LIMIT, "fs.file-max" },
		{ ETOOMANYREFS, IPCSHARE_ERR_LIMIT, "ulimit -n" },
		{ EAGAIN, IPCSHARE_ERR_LIMIT, "ulimit -u" },
		{ ENOSYS, IPCSHARE_ERR_UNSUPPORTED, "seccomp" },
		{ EPERM, IPCSHARE_ERR_SYSTEM, "seccomp" },
		{ EACCES, IPCSHARE_ERR_SYSTEM, "seccomp" },
		{ EIO, IPCSHARE_ERR_SYSTEM, "" },
	};
	const struct ipcshare_error *e = ipcshare_last_error();

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		CHECK_INT(ipcshare__fail_errno(known[i].err, "alloc", "call %d", 9),
			  known[i].status);
		CHECK_INT(e->status, known[i].status);
		CHECK_INT(e->code, known[i].err);
		CHECK_HAS(e->text, "call 9: ");
		CHECK_HAS(e->text, strerrordesc_np(known[i].err));
		CHECK_HAS(e->hint, known[i].hint);
	}
	CHECK_INT(ipcshare__fail_errno(99999, "alloc", "call"), IPCSHARE_ERR_SYSTEM);
}

static void a_saved_error_comes_back_whole(void)
{
	struct ipcshare_error saved;

	ipcshare__fail_errno(EMFILE, "import", "first");
	ipcshare__fail_at(1, 2);
	saved = *ipcshare_last_error();
	ipcshare__fail(IPCSHARE_ERR_BUSY, "clean-up", "", "second");

	ipcshare__error_restore(&saved);

	CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_LIMIT);
	CHECK_INT(ipcshare_last_error()->code, EMFILE);
	CHECK_HAS(ipcshare_explain(), "import: rank 1, buffer 2: first: ");
}

/* ---- Log ---- */

struct logged {
	char text[4096];
};

static void fail_at_level(int channel, void *arg)
{
	char text[2000];

	dup2(channel, STDERR_FILENO);
	ipcshare__log_set_level(*(int *)arg);
	ipcshare__fail(IPCSHARE_ERR_BUSY, "close", "wait", "a cause");
	ipcshare__log(IPCSHARE__LOG_INFO, "by the way");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ipcshare__log(IPCSHARE__LOG_WARN, "%s", text);
}

/* What a child prints, one message a line. */
static struct logged log_of(int level)
{
	struct test_child *c = test_child(fail_at_level, &level);
	struct logged l = { "" };
	size_t used = 0;
	ssize_t n;

	do {
		REQUIRE(test_poll(c->channel, POLLIN), "it neither prints nor ends");
		n = read(c->channel, l.text + used, sizeof(l.text) - used - 1);
		used += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	l.text[used] = '\0';
	test_child_join(c);
	return l;
}

static void nothing_is_printed_unless_asked(void)
{
	CHECK_STR(log_of(IPCSHARE__LOG_NONE).text, "");
}

static void errors_are_logged_when_asked(void)
{
	struct logged l = log_of(IPCSHARE__LOG_ERROR);

	CHECK_HAS(l.text, "ipcshare[");
	CHECK_HAS(l.text, "] error: close: a cause (wait)\n");
	CHECK(!strstr(l.text, "by the way"), "%s", l.text);
	CHECK(!strstr(l.text, "xxx"), "%s", l.text);
}

static void long_lines_are_cut_and_still_end(void)
{
	struct logged l = log_of(IPCSHARE__LOG_INFO);

	CHECK_HAS(l.text, "] info: by the way\n");
	CHECK_HAS(l.text, "] warning: xxx");
	CHECK_HAS(l.text, "xxx\n");
	CHECK(strlen(l.text) < 1000, "%zu bytes", strlen(l.text));
}

TEST_SUITE(error, NULL, NULL,
	TEST(every_status_has_a_name_and_a_text),
	TEST(unknown_numbers_have_texts_too),
	TEST(every_call_has_a_name),
	TEST(the_version_is_that_of_the_header),
	TEST(each_thread_has_its_own_last_error),
	TEST(a_failure_keeps_its_detail),
	TEST(the_next_failure_forgets_the_place_of_the_last),
	TEST(explain_names_stage_place_cause_and_hint),
	TEST(an_explanation_outlives_the_next_failure),
	TEST(texts_that_are_too_long_are_cut),
	TEST(system_errors_have_a_status_that_fits),
	TEST(a_saved_error_comes_back_whole),
	TEST(nothing_is_printed_unless_asked),
	TEST(errors_are_logged_when_asked),
	TEST(long_lines_are_cut_and_still_end));
