/* SPDX-License-Identifier: BSD-3-Clause */
/* Does a function go without system calls? The kernel ends the thread at the first one. */
#ifndef TEST_QUIET_H
#define TEST_QUIET_H

#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/test.h"

/* Sanitizers make system calls of their own, and need threads to end as usual. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define TEST_QUIET_HELD 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define TEST_QUIET_HELD 0
#endif
#endif
#ifndef TEST_QUIET_HELD
#define TEST_QUIET_HELD 1
#endif

struct test_quiet {
	void (*fn)(void *arg);
	void *arg;
	volatile int done;
};

static inline void *test_quiet_main(void *arg)
{
	struct test_quiet *q = arg;
	int held = TEST_QUIET_HELD && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);

	q->fn(q->arg);
	q->done = 1;
	if (held)
		syscall(SYS_exit, 0);
	return NULL;
}

/* Run @fn in a thread. 1: it came to its end, and made no system call where that can be held. */
static inline int test_quietly(void (*fn)(void *arg), void *arg)
{
	struct test_quiet q = { fn, arg, 0 };
	pthread_t thread;

	REQUIRE(!pthread_create(&thread, NULL, test_quiet_main, &q), "no thread");
	pthread_join(thread, NULL);
	return q.done;
}

#endif
