/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A sweep of failures: each call of the runtime fails in one rank of four, at its first and at its
 * second use. The step that makes it must name it, once, on all ranks that take part; nothing may
 * hang or be left; and the same step, made again, must succeed.
 */
#ifndef TEST_SWEEP_H
#define TEST_SWEEP_H

#include "npu.h"
#include "support/again.h"

/* What a rank does over and over; each call of the runtime is met by one of these. */
enum sweep_of {
	SWEEP_SHARE = 1, /* groups and shares */
	SWEEP_PIECES = 2, /* registered memory, one-sided maps, planes, plans, reducing, notifies */
	SWEEP_OLD = 4, /* shares, on a runtime that lacks newer calls */
};

struct sweep {
	struct test_rank *me;
	enum sweep_of of;
	const char *call; /* that fails in SWEEP_VICTIM */
	int use;
	struct again again;
	struct ipcshare_ctx *ctx;
};
#define SWEEP_VICTIM 2

typedef void sweep_cycle(struct sweep *s);

/* Everything in SWEEP_PARTS pieces, for ranks have a deadline. */
#define SWEEP_PARTS 3
void sweep_run(enum sweep_of of, sweep_cycle *cycle);

/* One step of a cycle: see again.h. */
#define ALONE(step) AGAIN_ALONE(&s->again, step)
#define ALL(step) AGAIN_ALL(&s->again, step)

#endif
