/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happens in the rounds of a group's board, as a test wants it: the program is linked so that each
 * post, each wait and each doubt comes here first (--wrap, in the Makefile).
 */
#ifndef TEST_ROUNDS_H
#define TEST_ROUNDS_H

#include "group/board.h"

struct rounds {
	int special; /* number of the round that is, from 1, counted from rounds_watch() on */
	/* Before it is posted: the slot can still be changed. */
	void (*before_post)(struct ipcshare_group *group, void *arg);
	/* It is posted, and not waited for yet. */
	void (*before_wait)(struct ipcshare_group *group, void *arg);
	/* It was waited for in vain, and nobody knows yet. */
	void (*before_doubt)(struct ipcshare_group *group, void *arg);
	/* The others can know; this rank has looked once more whether all have posted, and decides nothing yet. */
	void (*in_doubt)(struct ipcshare_group *group, void *arg);
	/* All have posted. */
	void (*after)(struct ipcshare_group *group, void *arg);
	void *arg;
	int posted; /* so far */
};

/* From now on in this process; NULL: no more. */
void rounds_watch(struct rounds *rounds);

#endif
