/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a rank does in its life: each kind of call that needs its peers, in steps. It ends with the first
 * failure of a collective call, which is to come of a peer that was struck; then the rank lets go of what
 * it has, and goes on with the others.
 */
#ifndef TEST_LIFE_H
#define TEST_LIFE_H

#include <ipcshare_coll.h>

#include "support/test.h"

#define LIFE_RANKS 4
#define LIFE_REQUESTS 3

enum life_lane { /* of the ranks' bootstraps */
	LIFE_GROUP,
	LIFE_SMALLER,
	LIFE_SURVIVORS,
	LIFE_EVERYBODY,
};

enum life_memory { /* allocations of each rank */
	LIFE_POOL, /* its first bytes are shown, in the rest are operands of collectives */
	LIFE_SPARE,
	LIFE_LATE,
	LIFE_LAZY,
	LIFE_MEMORIES,
};
#define LIFE_SHOWN ((size_t)64 << 10) /* the bytes of each that never change */
#define LIFE_OPERAND ((size_t)512 << 10) /* two of them are behind those of the pool */

struct life {
	struct test_rank *me;
	struct test_resources before;
	int target; /* the step that this life is about: it leaves out what that can do without */
	unsigned deadline_ms; /* of every wait from that step on; 0: always the library's own */
	int on_device; /* memory is a device's, and each rank has its own; the CPU can't reach it */
	struct ipcshare_bootstrap bootstrap; /* the rank's, which we go around */

	struct ipcshare_ctx *ctx;
	struct ipcshare_group *group;
	char *memory[LIFE_MEMORIES]; /* NULL: freed, or not yet there */
	struct ipcshare_set *set, *lazy;
	int updated; /* the first one was; if that failed, it must be as before */
	struct ipcshare_view *view;
	struct ipcshare_request *requests[LIFE_REQUESTS];

	int step; /* that it is in, or ended in */
	uint64_t queued_ns; /* life_queued_ns() when the target began */
	int calls; /* collective ones that have succeeded */
	int missed; /* the first failure of a local call; the rank it named; and its text */
	int missed_rank;
	char missed_text[256];
};

struct deed;
struct life_step {
	const char *name;
	int needs; /* so many steps right before it; LIFE_ALWAYS: all others need it */
	/* A status, with its detail. What it made and did not end is in the life. */
	int (*run)(struct life *l, const struct deed *deed);
	const struct deed *deed;
};
#define LIFE_ALWAYS (-1)
extern const struct life_step life_steps[];
extern const int life_nsteps;
extern const int life_hello; /* who dies in it is not known */
extern const int life_leave; /* nobody is told of a failure in it, or later */

void life_begin(struct life *l, struct test_rank *me, int target, unsigned deadline_ms, int on_device);
/* 0, or the first failure of a collective call. */
int life_run(struct life *l);
/* A collective call gave @err. */
int life_all(struct life *l, int err);

/* What the sets show must be as its owners left it. Of rank @struck it may be missing; -1: of none. */
void life_check_sets(struct life *l, int struck);
/* A group of @members only shares, reduces, and parts. */
void life_meet_without(struct life *l, uint64_t members);
/* How long this rank has waited for a core of the machine in its life; 0 where that is not known. */
uint64_t life_queued_ns(void);
/* Meet outside of the library. @members 0: all. */
void life_barrier(struct life *l, enum life_lane lane, uint64_t members);
/* All but the context and the memory, one by one; or all at once. */
void life_let_go(struct life *l);
void life_abandon(struct life *l);
/* All ranks have let go: the rest, and nothing is left. Memory may be left to the context's end. */
void life_end(struct life *l, int free_memory);

/* Through the library, for not every backend's memory can be loaded and stored. */
void life_put(struct life *l, void *to, const void *bytes, size_t len);
void life_get(struct life *l, void *bytes, const void *from, size_t len);

#endif
