/* SPDX-License-Identifier: BSD-3-Clause */
/* Suites, checks and the watchdog. */
#include <CUnit/Basic.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/internal.h"
#include "topo/machine.h"

/* Made by the linker around the pointers of TEST_SUITE(). */
extern const struct test_suite *const __start_test_suites[]
	__attribute__((weak, visibility("hidden")));
extern const struct test_suite *const __stop_test_suites[]
	__attribute__((weak, visibility("hidden")));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* CUnit knows no threads */
static int report = -1; /* in a child: where failures go */
static int failures; /* in a child */
static int my_rank = -1; /* under mpirun */
static char running[256]; /* "suite.test" */
static volatile sig_atomic_t running_len;
static jmp_buf leave; /* out of a test */

/* ---- Checks ---- */

static int is_main_thread(void)
{
	return (pid_t)syscall(SYS_gettid) == getpid();
}

/* What failed where, for a reader who doesn't see CUnit's list. */
static void report_failure(int fd, struct test_at at, const char *text)
{
	char line[1400];
	int n = snprintf(line, sizeof(line), "%s:%d: %s\n", at.file, at.line, text);

	if (n >= (int)sizeof(line))
		n = sizeof(line) - 1;
	if (write(fd, line, (size_t)n) != n)
		failures++; /* counted at least */
}

int test_result(struct test_at at, int ok, const char *text)
{
	pthread_mutex_lock(&lock);
	if (report >= 0) {
		if (!ok) {
			failures++;
			report_failure(report, at, text);
		}
	} else {
		CU_assertImplementation(ok ? CU_TRUE : CU_FALSE, (unsigned)at.line, text, at.file,
					"", CU_FALSE);
		if (!ok && my_rank > 0) {
			fprintf(stderr, "rank %d: %s: ", my_rank, test_name());
			report_failure(STDERR_FILENO, at, text);
		}
	}
	pthread_mutex_unlock(&lock);
	if (ok || !at.fatal)
		return ok;
	if (!is_main_thread())
		pthread_exit(NULL);
	if (report >= 0)
		_exit(1);
	longjmp(leave, 1);
}

int test_check(struct test_at at, int ok, const char *format, ...)
{
	char seen[700], text[1024];
	va_list args;

	if (ok)
		return test_result(at, 1, at.what);
	va_start(args, format);
	vsnprintf(seen, sizeof(seen), format, args);
	va_end(args);
	snprintf(text, sizeof(text), "expected %s: %s", at.what, seen);
	return test_result(at, 0, text);
}

/* ok, or a text "what is A, expected B" */
static int verdict(struct test_at at, int ok, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static int verdict(struct test_at at, int ok, const char *format, ...)
{
	char text[1300];
	va_list args;
	int used;

	if (ok)
		return test_result(at, 1, at.what);
	used = snprintf(text, 300, "%s ", at.what);
	if (used >= 300)
		used = 299;
	va_start(args, format);
	vsnprintf(text + used, sizeof(text) - (size_t)used, format, args);
	va_end(args);
	return test_result(at, 0, text);
}

int test_check_int(struct test_at at, intmax_t actual, intmax_t expected)
{
	return verdict(at, actual == expected, "is %jd (0x%jx), expected %jd (0x%jx)", actual,
		       (uintmax_t)actual, expected, (uintmax_t)expected);
}

int test_check_str(struct test_at at, const char *actual, const char *expected)
{
	if (!actual || !expected)
		return verdict(at, actual == expected, "is %s, expected %s",
			       actual ? actual : "NULL", expected ? expected : "NULL");
	return verdict(at, !strcmp(actual, expected), "is \"%s\", expected \"%s\"", actual,
		       expected);
}

int test_check_has(struct test_at at, const char *text, const char *part)
{
	return verdict(at, text && strstr(text, part), "is \"%s\", expected \"%s\" in it",
		       text ? text : "(NULL)", part);
}

int test_check_ptr(struct test_at at, const void *actual, const void *expected)
{
	return verdict(at, actual == expected, "is %p, expected %p", actual, expected);
}

int test_check_mem(struct test_at at, const void *actual, const void *expected, size_t len)
{
	const unsigned char *a = actual, *e = expected;
	size_t i = 0;

	while (i < len && a[i] == e[i])
		i++;
	return i == len ? verdict(at, 1, "same")
			: verdict(at, 0, "has byte %zu of %zu 0x%02x, expected 0x%02x", i, len,
				  a[i], e[i]);
}

int test_check_bytes(struct test_at at, const void *actual, int value, size_t len)
{
	const unsigned char *a = actual;
	size_t i = 0;

	while (i < len && a[i] == (unsigned char)value)
		i++;
	return i == len ? verdict(at, 1, "same")
			: verdict(at, 0, "has byte %zu of %zu 0x%02x, expected 0x%02x", i, len,
				  a[i], (unsigned)(unsigned char)value);
}

int test_check_status(struct test_at at, int actual, int expected)
{
	return verdict(at, actual == expected, "gave %s %d, expected %s%s%s",
		       ipcshare_status_name(actual), actual, ipcshare_status_name(expected),
		       actual ? "; the last error says " : "", actual ? ipcshare_explain() : "");
}

int test_check_fails(struct test_at at, int actual, int expected)
{
	const struct ipcshare_error *e = ipcshare_last_error();

	if (!test_check_status(at, actual, expected))
		return 0;
	return verdict(at, e->status == expected && e->stage && e->stage[0] && e->text[0],
		       "gave %s, but the last error is %s, stage \"%s\", text \"%s\"",
		       ipcshare_status_name(expected), ipcshare_status_name(e->status),
		       e->stage ? e->stage : "NULL", e->text);
}

void test_note(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "\n    note: %s: %s\n", test_name(), text);
}

void test_skip(const char *format, ...)
{
	static char last[600];
	char text[256], line[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(line, sizeof(line), "\nskipped: %s: %s\n", test_name(), text);
	if (my_rank > 0 || !strcmp(line, last))
		return;
	strcpy(last, line);
	fputs(line, stderr);
}

void test_figure(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "\nfigure: %s: %s\n", test_name(), text);
}

int test_patience(int seconds)
{
	const char *factor = getenv("TEST_PATIENCE");

	return factor && atoi(factor) > 0 ? seconds * atoi(factor) : seconds;
}

uint64_t test_setting(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value && *value ? strtoull(value, NULL, 0) : otherwise;
}

void test_goes_on(void)
{
	alarm((unsigned)TEST_PATIENCE_S);
}

void test_become_child(int fd)
{
	pthread_mutex_init(&lock, NULL); /* another thread may have held it */
	report = fd;
	failures = 0;
	alarm(0); /* the parent watches */
}

int test_child_verdict(void)
{
	return failures ? 1 : 0;
}

/* ---- Running ---- */

const char *test_name(void)
{
	return running[0] ? running : "no test";
}

/* Only what may be called in a signal handler. */
static void on_alarm(int signal_number)
{
	static const char before[] = "\n\nHANGS: ", after[] = " did not end in time\n";
	ssize_t n = write(STDERR_FILENO, before, sizeof(before) - 1);

	n = write(STDERR_FILENO, running, (size_t)running_len);
	n = write(STDERR_FILENO, after, sizeof(after) - 1);
	(void)signal_number;
	(void)n;
	_exit(3); /* the children die with their parent */
}

static const struct test_suite *suite_of(const char *name)
{
	const struct test_suite *const *s = __start_test_suites;

	while (strcmp((*s)->name, name))
		s++;
	return *s;
}

static const struct test_case *case_of(const struct test_suite *suite, const char *name)
{
	const struct test_case *t = suite->tests;

	while (strcmp(t->name, name))
		t++;
	return t;
}

/* 1 if it came to its end, 0 if a REQUIRE failed. */
static int run_step(void (*step)(void))
{
	if (setjmp(leave))
		return 0;
	if (step)
		step();
	return 1;
}

/* What CUnit calls for every test. Whatever failed, the teardown comes. */
static void run_current(void)
{
	const struct test_suite *suite = suite_of(CU_get_current_suite()->pName);
	const struct test_case *test = case_of(suite, CU_get_current_test()->pName);

	snprintf(running, sizeof(running), "%s.%s", suite->name, test->name);
	running_len = (sig_atomic_t)strlen(running);
	test_goes_on();
	if (run_step(suite->setup))
		run_step(test->run);
	test_reap_children();
	run_step(suite->teardown);
	test_reap_children();
	alarm(0);
}

/*
 * Does a word of the command line name this test? "suite", "suite.test" and parts of both do; with a
 * minus in front they leave it out.
 */
static int wanted(int argc, char **argv, const char *suite, const char *test)
{
	int named = 0, any = 0;
	char name[256];

	snprintf(name, sizeof(name), "%s.%s", suite, test);
	for (int i = 1; i < argc; i++) {
		int out = argv[i][0] == '-';

		any |= !out;
		if (!strstr(name, argv[i] + out))
			continue;
		if (out)
			return 0;
		named = 1;
	}
	return named || !any;
}

static int add_suite(const struct test_suite *s, int argc, char **argv)
{
	CU_pSuite suite = NULL;
	int added = 0;

	for (const struct test_case *t = s->tests; t->name; t++) {
		if (!wanted(argc, argv, s->name, t->name))
			continue;
		if (!suite)
			suite = CU_add_suite(s->name, NULL, NULL);
		if (!suite || !CU_add_test(suite, t->name, run_current)) {
			fprintf(stderr, "CUnit: %s.%s: %s\n", s->name, t->name, CU_get_error_msg());
			exit(2);
		}
		added++;
	}
	return added;
}

static int list(void)
{
	for (size_t i = 0; __start_test_suites + i < __stop_test_suites; i++)
		for (const struct test_case *t = __start_test_suites[i]->tests; t->name; t++)
			printf("%s.%s\n", __start_test_suites[i]->name, t->name);
	return 0;
}

int test_exists(const char *name)
{
	size_t len = strcspn(name, ".");

	for (size_t i = 0; __start_test_suites + i < __stop_test_suites; i++) {
		const struct test_suite *s = __start_test_suites[i];

		if (strlen(s->name) != len || strncmp(s->name, name, len) || !name[len])
			continue;
		for (const struct test_case *t = s->tests; t->name; t++)
			if (!strcmp(t->name, name + len + 1))
				return 1;
	}
	return 0;
}

int test_main(int argc, char **argv, int rank)
{
	int tests = 0, failed;

	if (argc == 2 && !strcmp(argv[1], "--list"))
		return list();
	my_rank = rank;
	if (rank > 0 && !freopen("/dev/null", "w", stdout))
		return 2;
	setvbuf(stdout, NULL, _IONBF, 0); /* so that no child prints it again */
	signal(SIGALRM, on_alarm);
	signal(SIGPIPE, SIG_IGN);
	/* Children and ranks inherit what is found: it takes longer than most tests. */
	ipcshare__machine(false);
	ipcshare__machine(true);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	for (size_t i = 0; __start_test_suites + i < __stop_test_suites; i++)
		tests += add_suite(__start_test_suites[i], argc, argv);
	if (!tests) {
		fprintf(stderr, "no test has that name; --list shows them\n");
		return 2;
	}
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures() || CU_get_number_of_tests_failed() ||
		 CU_get_number_of_suites_failed();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
