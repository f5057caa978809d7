/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One call of a collective: what it was called with, and how far it is. It goes from round to round of
 * the group's board, so that it can be left between two rounds and taken up again. Arguments that are
 * wrong on one rank must fail the call on all, so a fault is noted, and told in the first round; only a
 * group that is not alive ends it at once.
 */
#ifndef IPCSHARE_COLL_CALL_H
#define IPCSHARE_COLL_CALL_H

#include <ipcshare_coll.h>

#include "coll/fold.h"
#include "coll/layout.h"
#include "group/board.h"

struct ipcshare__call;

/*
 * What is to be done between two rounds: read the slots of the one that is over, write our own for the
 * next. Negative: the call has failed. Else the call's next is what comes after the next round; NULL: it is
 * over.
 */
typedef int ipcshare__step(struct ipcshare__call *call);

/* May be moved while it has no step. */
struct ipcshare__call {
	/* What it was called with */
	struct ipcshare_group *group;
	enum ipcshare__collective which;
	enum ipcshare_type type;
	size_t size; /* of an element */
	int root; /* -1: there is none */
	struct ipcshare__fold fold; /* .op NULL: it reduces nothing */
	int last; /* the ranks below it are those whose blocks are reduced */
	bool to_each; /* a block for each rank; else one for all that want it */
	bool own; /* this rank's own block is to go from out to in; else it is there */
	bool shows; /* blocks in shared memory are mapped, and not moved to in (view.c) */
	struct ipcshare__layout out, in; /* what this rank gives, and what it wants of each */
	/* that it is queued on (stream.h); NULL: it is made by the CPU */
	struct ipcshare__stream *stream;
	int status; /* the first fault of these, with its detail as the last error */

	/* How far it is */
	ipcshare__step *moves; /* the first step that moves bytes */
	ipcshare__step *next;
	uint64_t most; /* bytes of the longest block of all ranks */
	/* of these, the bytes that are where they belong, or on their way in a slot */
	uint64_t done;
	size_t lane; /* bytes that a slot has for one rank, once there are more than a few */
	bool is_long; /* some rank does not take the short way; on streams, some rank writes over what others
		       * read, and in the end: some rank could not keep the order */
	bool relays; /* some rank finds it worth a round to spare the border (relay.h) */
	bool chains; /* and it is reduced part by part (chain.h) */
	/* as said, and as heard of those that have bytes (offer.h) */
	bool offers, some_offer, all_offer;
	struct ipcshare__offers *offered; /* offer.h; NULL: nothing is held */
	ipcshare__step *otherwise; /* if not all can go that way */
	bool shown; /* they are mapped */
};

/* ---- Its arguments ---- */

/* 0, or the fault of the handle. */
int ipcshare__call_begin(struct ipcshare__call *call, struct ipcshare_group *group,
			 enum ipcshare__collective which, enum ipcshare_type type);
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

/* ---- Making it ---- */

/* To its end; or all but ipcshare__call_end(). */
int ipcshare__call_run(struct ipcshare__call *call);
int ipcshare__call_make(struct ipcshare__call *call);
/* The step that begins it: with IPCSHARE_CHECK another round comes first (check.c). */
int ipcshare__call_first(struct ipcshare__call *call);
int ipcshare__call_check(struct ipcshare__call *call);
/* Whatever became of it. */
void ipcshare__call_end(struct ipcshare__call *call);

/* Write the header into the next slot. @most: bytes of this rank's longest block. */
void ipcshare__call_say(struct ipcshare__call *call, uint64_t most);
/*
 * After that round: do all make the same call, with arguments that are right? 0, and *@most is what the one
 * with the most said; 1 some rank's are wrong, and the step must end with that, for the next round tells
 * why; or the fault.
 */
int ipcshare__call_hear(struct ipcshare__call *call, uint64_t *most);

/* ---- Reducing ---- */

/* What is given is written over by what comes. */
static inline bool ipcshare__call_is_in_place(const struct ipcshare__call *call)
{
	return call->out.base == call->in.base;
}

/*
 * @acc becomes what @len bytes of the ranks below call->last reduce to: at @at in the slots
 * of the others, and @own of this one; in place, that must be in its slot as well.
 */
void ipcshare__call_fold(const struct ipcshare__call *call, void *acc, size_t at, const void *own,
			 size_t len);

#endif
