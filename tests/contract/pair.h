/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two processes, each with an open backend: an owner of memory and a reader, on devices 0 and 1 where
 * there are devices. Both are children, so that each test has a runtime that nobody used before.
 */
#ifndef TEST_PAIR_H
#define TEST_PAIR_H

#include "backend/backend.h"
#include "support/test.h"

struct side {
	const struct ipcshare__backend_ops *ops;
	struct ipcshare__backend *be;
	struct ipcshare__broker *broker;
	struct ipcshare__config config;
	struct ipcshare__identity id;
	struct ipcshare__identity peer; /* the other side */
	int channel; /* to the other side */
};

typedef void side_fn(struct side *s);

struct pair {
	const char *backend; /* NULL: every backend that can be used here, one after the other */
	side_fn *owner, *reader; /* reader NULL: there is none */
	const char *set; /* a variable of the environment for both, NAME=value; or NULL */
	int reader_device;
	int devices; /* it takes so many; 0: as many as there are */
};

/* In a child of the runner: the emulator that TEST_EMU names, a job for it and all it forks. */
void runtime_prepare(void);
/*
 * Can it be used here? Asked in a child: the runtime must not be in the runner. Notes why not; with
 * TEST_NPU that is a failure.
 */
int backend_usable(const struct ipcshare__backend_ops *ops);

#define on_pair(...) pair_run(&(struct pair){ .reader_device = 1, __VA_ARGS__ })
void pair_run(const struct pair *pair);

/* One more backend in this process, on @device. */
void side_open(struct side *s, const char *backend, int device);
void side_close(struct side *s);

struct side_gift {
	char key[IPCSHARE__KEY_SIZE];
	uint64_t endpoint;
	uint64_t length;
	int device;
};

/* Export, allow the other side, and tell it; import what it told. */
void side_give(struct side *s, struct ipcshare__memory *mem, unsigned flags);
struct ipcshare__imported side_take(struct side *s);

/* Device or not: bytes to and from an array. */
void side_write(struct side *s, void *at, const void *bytes, size_t len);
void side_read(struct side *s, const void *at, void *bytes, size_t len);

/*
 * How often the emulator saw a call in this process since counts_reset(); -1: a real runtime, or none.
 * What a real one leaves out is said by test_skip(). TEST_NPU in the environment takes the emulator for
 * a real one.
 */
void counts_reset(const struct side *s);
long count_of(const struct side *s, const char *call);
/* Nothing to check where nobody counts. */
#define CHECK_COUNT(side, call, expected)                                                          \
	do {                                                                                       \
		if (count_of(side, call) >= 0)                                                     \
			CHECK_INT(count_of(side, call), expected);                                 \
	} while (0)

/* A function of the runtime; NULL without one. */
void *runtime_symbol(const struct side *s, const char *name);
/* Make calls fail, as "call:2=507899"; "" ends it. 0 where that can't be done. */
int runtime_fail(const struct side *s, const char *rules);

#endif
