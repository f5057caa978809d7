/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flags.h - a word of each rank, in a line of its own, that all ranks of the node see
 *
 * Nothing can be quicker than each storing its word and loading all others': it is what ranks are
 * brought together with before something is timed, and what a barrier is compared with.
 */
#ifndef BENCH_FLAGS_H
#define BENCH_FLAGS_H

#include <stdatomic.h>
#include <stdint.h>

#include "team.h"

/* Its rank writes, all others look. Two lines of 64 bytes: some prefetchers fetch them in pairs. */
struct flags_line {
	_Alignas(128) _Atomic uint64_t met;
	_Alignas(128) _Atomic uint64_t came;
};

struct flags {
	int me, n;
	int cores;		/* that the ranks have together */
	int apart;		/* no two ranks have one in common */
	unsigned patience;	/* looks before the core is given to somebody else */
	uint64_t meetings, comings;
	struct flags_line *mine;
	struct flags_line **of;	/* of each rank */
	struct ipcshare_set *set;
};

/** flags_open - share them between the ranks of a node; 0, or -1 on every rank and it is printed */
int flags_open(struct flags *f, const struct team *team);

/**
 * flags_close - also after flags_open() has failed; 0, or -1 on every rank and it is printed
 * @failed: leave what is shared to ipcshare_abandon()
 */
int flags_close(struct flags *f, const struct team *team, int failed);

/** flags_meet - wait until all ranks are here; @n times */
void flags_meet(struct flags *f, unsigned n);

/** flags_come - say that this rank has come once more */
void flags_come(struct flags *f);

/** flags_missing - a rank that has not come as often as this one, -1: none */
int flags_missing(const struct flags *f);

#endif
