/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ranks of a job as ipcshare-info --topo shows them: where each runs, which NPU it has and how that is
 * linked, as a group finds it (ranks.c), and how fast each reads each other one (matrix.c).
 */
#ifndef IPCSHARE_TOOLS_RANKS_H
#define IPCSHARE_TOOLS_RANKS_H

#include <stdbool.h>
#include <stdio.h>

#include "tools/job.h"
#include "topo/place.h"

#define RANKS_CPUS 8192
#define RANKS_LINK 8
#define RANKS_WHY 640

struct rank {
	uint64_t cores[RANKS_CPUS / 64]; /* that it may use */
	struct ipcshare_place place;
	int device; /* the machine's number of its NPU; -1 none */
};

/* What a rank has found out about another. */
struct rank_pair {
	int status; /* 0: has its memory mapped and reads the right bytes; RANKS_WRONG, or why not */
	double rate; /* bytes a second of reading it */
};
#define RANKS_WRONG 1 /* other bytes than the owner wrote */

struct ranks {
	int n;
	char backend[16];
	bool emulated; /* the NPUs are */
	struct rank *rank;
	int *order; /* in which neighbours are near each other */
	char (*links)[RANKS_LINK]; /* of the row's NPU to the column's: "HCCS"; NULL without NPUs */
	struct rank_pair *pairs; /* the row reads the column; NULL: not measured */
	char (*whys)[RANKS_WHY]; /* by rank, its first pair that fails */
};

#define RANKS_COPY ((size_t)1 << 20) /* bytes that each read of a pair has */

/*
 * Collective over the job, which has met. 0, and on each rank the same; a status, to be explained; or
 * RANKS_SAID: somebody failed, and rank 0 has said who. ranks_free() in any case.
 */
int ranks_look(struct job *job, bool matrix, struct ranks *out);
void ranks_free(struct ranks *ranks);

/* Has anybody failed? Rank 0 says who and why. 0, RANKS_SAID, or a status of the exchange. */
int ranks_agree(struct job *job, int err);
#define RANKS_SAID 1

/* Every pair, one at a time, into @pairs and @whys; otherwise as ranks_look(). */
int matrix_measure(struct job *job, struct ipcshare_ctx *ctx, struct ipcshare_group *group,
		   struct ranks *ranks);

/* The part of the machine that is as small as holds all its cores; 0 if these are not known. */
int ranks_home(const struct ipcshare__machine *machine, const struct rank *rank);
/* The part that is its NPU; -1 it has none, or that is not seen. */
int ranks_npu(const struct ipcshare__machine *machine, const struct rank *rank);
/* The row's of @ranks about the column's. */
static inline const struct rank_pair *ranks_pair(const struct ranks *r, int row, int column)
{
	return &r->pairs[(size_t)row * (size_t)r->n + (size_t)column];
}
static inline const char *ranks_link(const struct ranks *r, int row, int column)
{
	return r->links[(size_t)row * (size_t)r->n + (size_t)column];
}

/* As text (ranks_text.c). */
void ranks_text(const struct ranks *ranks, const struct ipcshare__machine *machine, FILE *out);

#endif
