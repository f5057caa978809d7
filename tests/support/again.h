/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steps of a cycle in which one call fails: a step that failed, as it may, is made again, and must
 * succeed then. What a step may fail with is for its user to say.
 */
#ifndef TEST_AGAIN_H
#define TEST_AGAIN_H

#include "support/test.h"

#define AGAIN_TALK 1 /* the lane on which the ranks tell each other how they fare */

struct again {
	struct test_rank *me;
	int victim; /* the rank in which the call fails */
	int anyone; /* not 0: any rank may be the one that a failure reaches */
	char what[96]; /* fails, for messages */
	int failures; /* that this rank was told of */
	/* The step failed for the first time: check its detail. */
	void (*told)(struct again *a, const char *step, int status);
};

/*
 * A call that gives a status. ALONE: it may fail in the victim only. ALL: it is collective, and all
 * ranks must be told the same. @a is a struct again *.
 */
#define AGAIN_ALONE(a, step) for (int again = 0; again_alone(a, #step, again, step); again = 1)
#define AGAIN_ALL(a, step) for (int again = 0; again_all(a, #step, again, step); again = 1)
int again_alone(struct again *a, const char *step, int again, int status);
int again_all(struct again *a, const char *step, int again, int status);

/* Everybody's number, in rank order. */
void again_everybodys(struct test_rank *me, int mine, int *all);

#endif
