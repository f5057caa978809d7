/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One call of a collective. Arguments that are wrong on one rank must fail the call on all, so a
 * fault is noted, and told in the first round; only a group that is not alive ends it at once.
 */
#ifndef IPCSHARE_COLL_CALL_H
#define IPCSHARE_COLL_CALL_H

#include <ipcshare_coll.h>

#include "coll/fold.h"
#include "coll/layout.h"
#include "group/board.h"

struct ipcshare__call {
	struct ipcshare_group *group;
	enum ipcshare__collective which;
	enum ipcshare_type type;
	size_t size; /* of an element */
	int root; /* -1: there is none */
	struct ipcshare__fold fold; /* .op NULL: it reduces nothing */
	int status; /* the first fault of this rank's arguments, with its detail as the last error */
	bool offers; /* what follows the header is an offer (direct.h) */
	bool some_offer, all_offer; /* as heard: of those that have bytes */
	struct ipcshare__wire_header header; /* of this rank, once it was said */
};

/* 0, or the fault of the handle. */
int ipcshare__call_begin(struct ipcshare__call *call, struct ipcshare_group *group,
			 enum ipcshare__collective which, enum ipcshare_type type);

/* ---- Faults ---- */

void ipcshare__call_root(struct ipcshare__call *call, int root);
bool ipcshare__call_is_root(const struct ipcshare__call *call);
void ipcshare__call_op(struct ipcshare__call *call, const struct ipcshare_op *op);
/* A block at @ptr for all ranks, for rank @only, or for none. */
struct ipcshare__layout ipcshare__call_block(struct ipcshare__call *call, const void *ptr,
					     size_t count, int only);
/* A block of each rank; @displs may be NULL where the blocks follow each other. */
struct ipcshare__layout ipcshare__call_blocks(struct ipcshare__call *call, const void *ptr,
					      const size_t *counts, const size_t *displs);

/* A slot has no room for an element of each rank. */
int ipcshare__call_too_many(const struct ipcshare__call *call);

/* ---- The first round ---- */

/* Write the header into the next slot. @most: bytes of this rank's longest block. */
void ipcshare__call_say(struct ipcshare__call *call, uint64_t most);
/*
 * After the round: do all make the same call, with arguments that are right? @most is set to the
 * bytes of the longest block of all, so that all ranks do as many rounds.
 */
int ipcshare__call_hear(struct ipcshare__call *call, uint64_t *most);

/*
 * A round before it, with IPCSHARE_CHECK: do the arguments of all ranks fit together? All find the
 * same. @to_each: a block for each rank, else one for all.
 */
int ipcshare__call_check(struct ipcshare__call *call, bool to_each, const struct ipcshare__layout *out,
			 const struct ipcshare__layout *in);

/* ---- Reducing ---- */

/* @acc becomes what @len bytes at @at in the slots of the ranks from @first on, below @last, reduce to. */
void ipcshare__call_fold(const struct ipcshare__call *call, void *acc, size_t at, size_t len,
			 int first, int last);

#endif
