/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * team.h - the ranks of the job: a group on each node, and one voice for all
 *
 * Rank 0 does the talking. Whether something failed is always settled between all ranks, so that
 * all of them go on or all of them stop.
 */
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

#include <ipcshare.h>
#include <ipcshare_mpi.h>

#define TEAM_TEXT 512	/* what a rank may say about a failure, with the NUL */

struct team {
	struct ipcshare_ctx *ctx;
	struct ipcshare_group *group;
	int rank, size;		/* in the job */
	int nodes;
	int peer, npeers;	/* rank and size of this node's group */
	int most_peers;		/* size of the largest group */
	int *names;		/* of each group rank: its rank in the job */
	const char *backend;
	int device;		/* as ipcshare_open() was told; on host it is no matter */
	int direct;		/* the CPU can touch the memory */
};

/** team_rank - the caller's rank in the job; works before team_open() */
int team_rank(void);

/** team_open - a context and a group on every rank. 0, or -1 on every rank, and why is printed */
int team_open(struct team *team);

/**
 * team_close - end the group and the context
 * @failed: drop them without the peers, which may be in any state
 *
 * Return: 0; -1 on every rank if something was left behind, and that is printed
 */
int team_close(struct team *team, int failed);

/**
 * team_wait - a barrier over the job that sleeps: ranks that work have the cores to themselves
 *
 * Calls progress_wait() now and then.
 */
void team_wait(void);

/**
 * team_verdict - did any rank fail? Collective over the job
 * @why: this rank's failure, NULL if there is none
 *
 * Return: 0 none; -1 at least one, on every rank; rank 0 has printed them, each text once with the
 *         ranks that said it
 */
int team_verdict(const char *why);

/** team_explain - "WHAT: ..." in the library's words, which may name it, into TEAM_TEXT bytes */
const char *team_explain(const char *what, char *out);

/** team_is_emulated - is the runtime of the devices a stand-in, whose speed says nothing? */
int team_is_emulated(const struct team *team);

/** team_print_emulated - a line that says so, if it is; for rank 0 */
void team_print_emulated(const struct team *team);

#endif
