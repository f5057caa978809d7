/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What orders the streams of a group's ranks: notifies from each rank to each other. Where two ranks
 * meet, each tells the other that its stream has come so far, and waits for it. There are two notifies
 * each way, used in turn: who comes to a meeting has waited at the one before, so the one before that
 * is over on both sides, and its bit is free. Each call has an even number of meetings, so all calls begin
 * with the same one, also when they are recorded and replayed.
 */
#ifndef IPCSHARE_GROUP_MESH_H
#define IPCSHARE_GROUP_MESH_H

#include "group/group.h"

#define IPCSHARE__LINKED 2

struct ipcshare__link { /* with one rank, for even and odd meetings */
	struct ipcshare__notify *ours[IPCSHARE__LINKED]; /* that it records, and we wait for */
	struct ipcshare__notify *theirs[IPCSHARE__LINKED]; /* that we record */
};

#define IPCSHARE__CALLERS 16 /* streams that can be told apart, until all are through */

struct ipcshare__mesh {
	/*
	 * The turn goes from one call of this rank to the next over a stream of our own, for nobody knows
	 * whose stream is next: it waits for the last call, and lets one in. A notify gives up its bit to
	 * whoever waits first, so each stream has one that it alone waits for.
	 */
	struct ipcshare__stream *stream;
	struct ipcshare__notify *over; /* of the last call */
	struct ipcshare__caller_stream {
		struct ipcshare__stream *stream;
		struct ipcshare__notify *enter;
	} callers[IPCSHARE__CALLERS];
	size_t ncallers;
	/* on the device, for the call whose turn it is; .base may be NULL */
	struct ipcshare__memory scratch;
	unsigned timeout_s; /* of each wait on a stream */
	bool lost; /* a call has left the ranks' streams out of step: there is no other */
	struct ipcshare__link links[]; /* by rank; our own is empty */
};

#define IPCSHARE__SCRATCH ((size_t)6 << 20)

/* Make group->mesh, if it isn't there yet; collective, and the same on all ranks. */
int ipcshare__mesh_make(struct ipcshare_group *group);
/* End it; collective. What was queued is over by then. */
void ipcshare__mesh_end(struct ipcshare_group *group);
/* The same on the way out of a group that is broken or abandoned: the others may still have theirs. */
void ipcshare__mesh_drop(struct ipcshare_group *group);

/* Local: the scratch is there. */
int ipcshare__mesh_scratch(struct ipcshare_group *group);

/* ---- What is queued; negative: it isn't ---- */

/*
 * The calls of this rank follow each other, also on different streams. But what is captured is put in order by
 * who replays it.
 */
int ipcshare__mesh_take_turn(struct ipcshare_group *group, struct ipcshare__stream *stream);
int ipcshare__mesh_pass_turn(struct ipcshare_group *group, struct ipcshare__stream *stream);
/* Both halves of a meeting with @rank, the @nth of the call: first tell all ranks, then wait for all. */
int ipcshare__mesh_tell(struct ipcshare_group *group, int rank, int nth,
			struct ipcshare__stream *stream);
int ipcshare__mesh_wait(struct ipcshare_group *group, int rank, int nth,
			struct ipcshare__stream *stream);

#endif
