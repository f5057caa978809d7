/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of the test support know of each other; not for tests. */
#ifndef TEST_INTERNAL_H
#define TEST_INTERNAL_H

#include "support/test.h"

/* What this was compiled with; gcc and clang say it differently. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define TEST_TSAN 1
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define TEST_ASAN 1
#endif

/* runner.c: a failure of any thread or process, with its text ready */
int test_result(struct test_at at, int ok, const char *text);
/* In a new child: its failures go to @report from now on. Its end: 0 if there were none. */
void test_become_child(int report);
int test_child_verdict(void);

/* resources.c: how many this process has */
int test_threads(void);

/* child.c: kill and reap what the test has left */
void test_reap_children(void);

#endif
