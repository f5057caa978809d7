/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests with processes: fork n ranks, each with its own view of the emulator, connected by socket
 * pairs. A rank reports by its exit status; one that dies or fails ends the others' waits at once.
 */
#ifndef TESTS_RANKS_H
#define TESTS_RANKS_H

#include <CUnit/Basic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acl_abi.h"
#include "emu_control.h"

#define MAX_RANKS 48
#define KEY 65
#define MIB ((size_t)1 << 20)

struct rank {
	int id, n;
	int fd[MAX_RANKS];	/* to each other rank */
};

typedef void (*rank_fn)(struct rank *r);

/*
 * Runs @fn in @n processes of a job of their own, with the settings in @env ("NAME=value NAME=..")
 * Return: 0 when every rank returned from @fn, except those in @killed, which must end by SIGKILL.
 */
int ranks_run(int n, const char *env, unsigned long killed, rank_fn fn);
#define RANKS_OK(n, env, fn) CU_ASSERT_EQUAL(ranks_run(n, env, 0, fn), 0)

void rank_send(struct rank *r, int to, const void *data, size_t len);
void rank_recv(struct rank *r, int from, void *data, size_t len);
void rank_barrier(struct rank *r);
void rank_wait_gone(struct rank *r, int peer);	/* until the kernel closed its last descriptor */
void rank_die(void) __attribute__((noreturn));	/* SIGKILL */

/* What nearly every rank starts with: aclInit and its device; returns the bare pid. */
int32_t up(int device);
void *alloc(size_t len);		/* HUGE_FIRST through aclrtMallocAlign32 */
void put(void *dev, int byte, size_t len);		/* past the copy rules */
bool holds(const void *dev, int byte, size_t len);
uint64_t counter(const char *name);
void import_granted(struct rank *r, int from, char *key, void **p, uint64_t flags);
void export_granted(struct rank *r, int to, void *p, size_t len, char *key);

void expect_failed(const char *file, int line, const char *what, long long got)
	__attribute__((noreturn));
#define EXPECT(cond) \
	do { \
		if (!(cond)) \
			expect_failed(__FILE__, __LINE__, #cond, 0); \
	} while (0)
#define CODE(want, call) \
	do { \
		long long got_ = (call); \
		if (got_ != (want)) \
			expect_failed(__FILE__, __LINE__, #want " from " #call, got_); \
	} while (0)
#define OK(call) CODE(0, call)

/* One program's tests: pairs of a function and its name; the result is main()'s. */
struct test {
	const char *name;
	void (*fn)(void);
};
#define TEST(fn) { #fn, fn }
int tests_main(const char *suite, const struct test *tests);

#endif
