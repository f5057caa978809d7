/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test.h - what the tests are written with: CUnit, plus checks that say what they saw, children,
 * ranks and leak counting
 *
 * A test is a static void function whose name is a sentence; a file of tests ends with its suite:
 *
 *	static void a_freed_handle_is_closed(void)
 *	{
 *		CHECK_STATUS(ipcshare_close(ctx), 0);
 *		CHECK_FAILS(ipcshare_close(ctx), IPCSHARE_ERR_CLOSED);
 *	}
 *
 *	TEST_SUITE(context, open_it, close_it,		// before and after each test, or NULL
 *		TEST(a_freed_handle_is_closed),
 *		TEST(...));
 *
 * There is no list of suites to keep: all that are linked in are run, in the order of their files.
 * Every folder has a main.c that calls test_main(). Names on the command line choose what runs:
 * "run-unit broker", "run-unit context.a_freed"; "-broker" leaves out; --list shows them all.
 *
 * CHECK_* go on after a failure and give 0 then, 1 if all is well. REQUIRE_* end the test (in a
 * child or a thread: end that). All of them also work in children, ranks and threads: a failure
 * there fails the test that started it. A test that takes longer than TEST_PATIENCE_S is named and
 * the program ends; children end with it. Nothing here sleeps to synchronise.
 */
#ifndef TEST_H
#define TEST_H

#include <ipcshare.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* Sanitizers are slow, and so is a machine whose cores others use. */
#define TEST_PATIENCE_S test_patience(60)
/* How long a child or a message may take; less, so that the test names what did not come. */
#define TEST_CHILD_PATIENCE_S test_patience(30)
/* So many seconds, times TEST_PATIENCE of the environment, for machines that are slow to set up. */
int test_patience(int seconds);
/* A test of many parts has come through one: its patience begins anew. */
void test_goes_on(void);
/* A number of the environment, for random tests: TEST_CASES, TEST_SEED. */
uint64_t test_setting(const char *name, uint64_t otherwise);

/* ---- Suites ------------------------------------------------------------------------------ */

struct test_case {
	const char *name;
	void (*run)(void);
};

struct test_suite {
	const char *name;
	void (*setup)(void);
	void (*teardown)(void);
	const struct test_case *tests; /* ends with a NULL name */
};

#define TEST(function) { #function, function }

/* The linker collects the pointers of all files into one array: no constructor, no list. */
#define TEST_SUITE(suite, setup, teardown, ...)                                                    \
	static const struct test_suite suite##_suite = {                                           \
		#suite, setup, teardown, (const struct test_case[]){ __VA_ARGS__, { NULL, NULL } } \
	};                                                                                         \
	static const struct test_suite *const suite##_suite_entry                                  \
		__attribute__((section("test_suites"), used)) = &suite##_suite

/*
 * Run what argv names, all of it if it names nothing. Return: the program's exit code.
 * @rank: of this process among those that run the same program under mpirun, or -1. Ranks above 0
 *        print nothing but their failures.
 */
int test_main(int argc, char **argv, int rank);

/* "suite.test" that is running now */
const char *test_name(void);
/* Is there a test of that name in this program? */
int test_exists(const char *name);

/* ---- Checks ------------------------------------------------------------------------------ */

/* CHECK(n < 3, "n is %d", n): the text says what was seen. */
#define CHECK(condition, ...) TEST_CHECK_(0, condition, __VA_ARGS__)
/* Integers of any type. */
#define CHECK_INT(actual, expected) TEST_CHECK_INT_(0, actual, expected)
#define CHECK_STR(actual, expected)                                                                \
	test_check_str(TEST_AT_(0, #actual), (actual), (expected))
/* @part occurs in @text. */
#define CHECK_HAS(text, part) test_check_has(TEST_AT_(0, #text), (text), (part))
#define CHECK_PTR(actual, expected)                                                                \
	test_check_ptr(TEST_AT_(0, #actual), (const void *)(actual), (const void *)(expected))
#define CHECK_MEM(actual, expected, len)                                                           \
	test_check_mem(TEST_AT_(0, #actual), (actual), (expected), (len))
/* All @len bytes are @value. */
#define CHECK_BYTES(actual, value, len)                                                            \
	test_check_bytes(TEST_AT_(0, #actual), (actual), (value), (len))
/* A status; shows names and ipcshare_explain(). */
#define CHECK_STATUS(call, expected) test_check_status(TEST_AT_(0, #call), (call), (expected))
/* The same for a failure, which must have left its detail: status, stage and text. */
#define CHECK_FAILS(call, expected) test_check_fails(TEST_AT_(0, #call), (call), (expected))
/* Fail here, with a text. */
#define FAIL(...) CHECK(0, __VA_ARGS__)

#define REQUIRE(condition, ...) TEST_CHECK_(1, condition, __VA_ARGS__)
#define REQUIRE_INT(actual, expected) TEST_CHECK_INT_(1, actual, expected)
#define REQUIRE_OK(call) test_check_status(TEST_AT_(1, #call), (call), 0)

struct test_at {
	const char *file;
	int line;
	int fatal;
	const char *what;
};
#define TEST_AT_(fatal, what) ((struct test_at){ __FILE__, __LINE__, fatal, what })
#define TEST_CHECK_(fatal, condition, ...)                                                         \
	test_check(TEST_AT_(fatal, #condition), !!(condition), __VA_ARGS__)
#define TEST_CHECK_INT_(fatal, actual, expected)                                                   \
	test_check_int(TEST_AT_(fatal, #actual), (intmax_t)(actual), (intmax_t)(expected))

int test_check(struct test_at at, int ok, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int test_check_int(struct test_at at, intmax_t actual, intmax_t expected);
int test_check_str(struct test_at at, const char *actual, const char *expected);
int test_check_has(struct test_at at, const char *text, const char *part);
int test_check_ptr(struct test_at at, const void *actual, const void *expected);
int test_check_mem(struct test_at at, const void *actual, const void *expected, size_t len);
int test_check_bytes(struct test_at at, const void *actual, int value, size_t len);
int test_check_status(struct test_at at, int actual, int expected);
int test_check_fails(struct test_at at, int actual, int expected);

/* Say on standard error what a test could not do here and what it did instead. */
void test_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The same for what this test, or a part of it, leaves out: what and why. Scripts count these lines;
 * where many checks are left out for one reason, it is said once.
 */
void test_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What a test has measured, on standard error: scripts collect these lines. */
void test_figure(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- Leaks ------------------------------------------------------------------------------- */

/* What this process holds. */
struct test_resources {
	int fds;
	int threads;
	int memfd_maps; /* mappings of the library's memfds */
	uint64_t memfd_bytes; /* their address space */
	int maps; /* all mappings */
	uint64_t resident; /* bytes */
	uint8_t fd_open[1024 / 8]; /* which, to name the ones that are new */
};

void test_resources(struct test_resources *out);

/*
 * Descriptors, threads, mappings of memfds and their bytes are no more than in @before, or soon will
 * be, for a broker's thread lags behind; in a process of one thread they are precisely as many. All
 * mappings together may be a few more, as malloc and threads keep some: repeat the act to see a leak
 * there.
 */
#define CHECK_NOTHING_LEAKED(before) test_check_leaks(TEST_AT_(0, "resources"), (before))
/* The resident set has grown by less than @slack bytes; for many repetitions of one thing. */
#define CHECK_RESIDENT(before, slack)                                                              \
	test_check_resident(TEST_AT_(0, "resident memory"), (before), (slack))

int test_check_leaks(struct test_at at, const struct test_resources *before);
int test_check_resident(struct test_at at, const struct test_resources *before, uint64_t slack);

/* ---- Children ---------------------------------------------------------------------------- */

struct test_child {
	pid_t pid;
	int pidfd;
	int channel; /* a socket to the child: test_send(), test_recv(), test_signal(), ... */
	int report; /* what its checks say */
};

/*
 * Fork, and run @fn there with the other end of the channel. The child ends when @fn returns, with
 * 0 if no check failed. Every child that a test leaves is killed after it.
 */
struct test_child *test_child(void (*fn)(int channel, void *arg), void *arg);
/* The same with a pid that was another's and is free now; NULL where that is not permitted. */
struct test_child *test_child_as(pid_t pid, void (*fn)(int channel, void *arg), void *arg);
/* Wait for its end: 0 expected, in time. Its failed checks become this process's. */
#define test_child_join(child) test_child_join_at(TEST_AT_(0, "the child"), (child))
/* Wait for its end, whatever it is: the status of waitpid(). */
#define test_child_wait(child) test_child_wait_at(TEST_AT_(0, "the child"), (child))
/* SIGKILL, wait, and forget it: @child is no more. */
void test_child_kill(struct test_child *child);
/* SIGSTOP, and wait until it stands; SIGCONT. */
void test_child_stop(struct test_child *child);
void test_child_continue(struct test_child *child);

int test_child_join_at(struct test_at at, struct test_child *child);
int test_child_wait_at(struct test_at at, struct test_child *child);

/* For a child that lowers its limits for good: LeakSanitizer needs descriptors and a thread. */
void test_no_leak_check(void);

/* Messages over a channel. They end the test if the other side is gone or silent. */
#define test_send(channel, bytes, len)                                                             \
	test_send_at(TEST_AT_(1, "send"), (channel), (bytes), (len))
#define test_recv(channel, bytes, len)                                                             \
	test_recv_at(TEST_AT_(1, "receive"), (channel), (bytes), (len))
/* An empty message: test_signal() here lets test_await() go on there. */
#define test_signal(channel) test_send_at(TEST_AT_(1, "signal"), (channel), "", 1)
#define test_await(channel) test_recv_at(TEST_AT_(1, "await"), (channel), (char[1]){ 0 }, 1)

void test_send_at(struct test_at at, int channel, const void *bytes, size_t len);
void test_recv_at(struct test_at at, int channel, void *bytes, size_t len);

/* Wait until poll() sees one of @events at @fd; 0 after TEST_CHILD_PATIENCE_S. */
int test_poll(int fd, short events);

/* ---- Ranks ------------------------------------------------------------------------------- */

#define TEST_RANKS_MAX 64
#define TEST_LANES 4 /* bootstraps that don't disturb each other, for groups at the same time */

struct test_rank {
	int rank;
	int nranks;
	/*
	 * Ready for ipcshare_group_create(): lane 0, all ranks. A test may change its rank and
	 * nranks, which the callbacks themselves don't look at, to see a bootstrap that lies.
	 */
	struct ipcshare_bootstrap bootstrap;
	/* What the callbacks of lane 0 saw */
	int uses; /* calls */
	int released; /* calls of release() */
	int broken; /* its argument, last time */
	/* the implementation's */
	struct test_lane *lanes;
};

typedef void test_rank_fn(struct test_rank *me, void *arg);

/*
 * A bootstrap over lane 0 .. TEST_LANES - 1 for the ranks in @members (bit r: rank r), which must
 * hold the caller; group ranks follow in order. 0: all. Of threads only 0.
 */
struct ipcshare_bootstrap test_rank_bootstrap(struct test_rank *me, int lane, uint64_t members);

enum test_exchange_kind {
	TEST_ALLGATHER = 1,
	TEST_ALLGATHERV,
	TEST_BARRIER,
};

/* Bytes on their way from one rank to another (also from a rank to itself). */
struct test_exchange {
	enum test_exchange_kind kind;
	int lane;
	int serial; /* of the exchange on this lane, from 0 */
	int from, to; /* members, counted from 0 */
	unsigned char *bytes; /* may be altered; a truncation is zeroes at the end */
	size_t len;
};

struct test_ranks {
	int nranks;
	test_rank_fn *fn;
	void *arg;
	/* Rank @fail_rank's use number @fail_use (from 1) of its callbacks returns @fail_with. */
	int fail_rank;
	int fail_use; /* 0: none fails */
	int fail_with; /* 0 stands for 1 */
	/* Called in the parent for the bytes of every pair of ranks. */
	void (*filter)(const struct test_exchange *x, void *arg);
	void *filter_arg;
	uint64_t dies; /* bit r: rank r is to end by a signal, and must */
};

/*
 * Fork @nranks ranks and run fn(me, arg) in each, with a bootstrap whose hub is this process.
 * Returns when all have ended; their failed checks are this process's. No context may be open here,
 * for it would be dead in them. Return: the number of ranks that failed.
 */
#define test_ranks(nranks_, fn_, arg_)                                                             \
	test_ranks_at(TEST_AT_(0, #fn_),                                                           \
		      &(struct test_ranks){ .nranks = (nranks_), .fn = (fn_), .arg = (arg_) })
#define test_ranks_with(options) test_ranks_at(TEST_AT_(0, "ranks"), (options))
int test_ranks_at(struct test_at at, const struct test_ranks *options);

/* The same with threads of this process: @dies and @filter are not for them. */
#define test_thread_ranks(nranks_, fn_, arg_)                                                      \
	test_thread_ranks_at(TEST_AT_(0, #fn_),                                                    \
			     &(struct test_ranks){                                                 \
				     .nranks = (nranks_), .fn = (fn_), .arg = (arg_) })
int test_thread_ranks_at(struct test_at at, const struct test_ranks *options);

/* lens[r] bytes of every rank of lane @lane, in rank order, into @all; fails the test if one does not come. */
void test_rank_gatherv(struct test_rank *me, int lane, const void *mine, void *all,
		       const size_t *lens);

/* All ranks of lane @lane are here; fails the test if one does not come. */
void test_rank_barrier(struct test_rank *me, int lane);

#endif
