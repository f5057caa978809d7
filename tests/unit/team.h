/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of contexts, groups and shares begin and end with. */
#ifndef TEST_TEAM_H
#define TEST_TEAM_H

#include "support/test.h"

/* A context with the defaults, or with another deadline; NULL ends the test. */
struct ipcshare_ctx *team_open(unsigned timeout_ms);
void *team_alloc(struct ipcshare_ctx *ctx, size_t len);

struct ipcshare_counters team_counters(struct ipcshare_ctx *ctx);
/* Backend calls of one kind, and of all. */
uint64_t team_calls_of(struct ipcshare_ctx *ctx, enum ipcshare_call call);
uint64_t team_calls(struct ipcshare_ctx *ctx);

/* A rank with its context in a group of all ranks, and what it held before. */
struct team {
	struct test_resources before;
	struct ipcshare_ctx *ctx;
	struct ipcshare_group *group;
	int rank, nranks;
};

/* What has gone over the slowest border, of all ranks; all call it. */
uint64_t team_far_bytes(struct test_rank *me, const struct team *t);

void team_join(struct test_rank *me, struct team *t);
/* With a deadline of @timeout_ms for every wait. */
void team_join_for(struct test_rank *me, unsigned timeout_ms, struct team *t);
/* The group together, then the context; nothing may be left. */
void team_leave(struct team *t);
/* For ranks that are threads: others of the process still hold things. */
void team_leave_quietly(struct team *t);

/* Share what must work: on failure the rank ends. */
struct ipcshare_set *team_share(struct team *t, const struct ipcshare_buf *bufs, size_t n,
				unsigned flags);
/*
 * Everything a group does (create it, share, free the set), until the first failure: its status. The
 * bootstrap is used TEAM_CREATE times to create; then there are two rounds to share, and one to free.
 */
#define TEAM_CREATE 3
#define TEAM_ROUNDS 3
int team_live(struct team *t, struct test_rank *me);

/*
 * What a rank holds while its context is open: all ranks take part, and nobody goes on before all
 * have counted. Peers that have hung up are not counted.
 */
void team_resources(struct test_rank *me, struct test_resources *out);
#define TEAM_NOTHING_LEAKED(me, before)                                                            \
	team_check_leaks(TEST_AT_(0, "resources"), (me), (before))
void team_check_leaks(struct test_at at, struct test_rank *me, const struct test_resources *before);

/* A bootstrap for a group of one rank, without release(). */
extern const struct ipcshare_bootstrap team_alone;

/* Bytes that follow from (rank, index, offset), and their check: 1 if all are right. */
void team_fill(void *buf, size_t len, int rank, size_t index);
int team_check(const void *buf, size_t len, int rank, size_t index);

#endif
