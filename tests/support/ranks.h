/* SPDX-License-Identifier: BSD-3-Clause */
/* What forked ranks and thread ranks have in common; not for tests. */
#ifndef TEST_RANKS_H
#define TEST_RANKS_H

#include <pthread.h>

#include "support/test.h"

struct test_lane;

/* Everyone's bytes (@len of mine) into @all, @total in number. */
typedef int test_exchange_fn(struct test_lane *lane, struct ipcshare_wait *wait,
			     enum test_exchange_kind kind, const void *mine, size_t len, void *all,
			     size_t total);

/* One rank's end of a lane: the arg of the callbacks. */
struct test_lane {
	struct test_rank *me;
	const struct test_ranks *options;
	int index;
	int broken; /* an exchange failed: its bytes may still be under way */
	uint64_t members;
	int nmembers, member; /* the caller among them */
	test_exchange_fn *exchange;
	int fd; /* forked ranks: to the hub */
	struct test_table *table; /* threads */
};

struct hub_head { /* of every message, either way */
	uint32_t kind;
	uint32_t pad;
	uint64_t members;
	uint64_t len; /* bytes that follow */
};

/* Threads: where they meet. */
struct test_table {
	pthread_mutex_t lock;
	int arrived[2]; /* in the two phases of a meeting */
	uint64_t meetings;
	void *bytes[TEST_RANKS_MAX]; /* copies, so that nobody reads a stack that is gone */
	size_t len[TEST_RANKS_MAX];
	enum test_exchange_kind kind[TEST_RANKS_MAX];
};

void test_lane_init(struct test_lane *lane, struct test_rank *me, const struct test_ranks *options,
		    int index, int fd, test_exchange_fn *exchange);

#endif
