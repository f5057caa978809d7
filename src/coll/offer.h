/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the buffers of a call lie in regions that the group shares: each rank says it in the first round, in
 * its slot, and the others map what they need of it.
 */
#ifndef IPCSHARE_COLL_OFFER_H
#define IPCSHARE_COLL_OFFER_H

#include "coll/call.h"

/* Bytes that another rank has for us once all have met again (relay.h). */
struct ipcshare__hop {
	const char *from;
	char *to;
	size_t len;
};

/* Of one rank: what we read, and what we write. NULL where that is nothing. */
struct ipcshare__reach {
	struct ipcshare__mapping *out, *in; /* held */
	const char *from;
	char *to;
	struct ipcshare__hop hop;
};

struct ipcshare__offers {
	struct ipcshare__region *out, *in; /* that our own buffers lie in, held; NULL: they don't */
	struct ipcshare__reach ranks[];
};

/* An array of each rank, and not a block for each other, is reduced. */
static inline bool ipcshare__call_is_reduction(const struct ipcshare__call *call)
{
	return call->fold.op && !call->to_each;
}

/* Room for them in call->offered; false: there is no memory. */
bool ipcshare__offers_make(struct ipcshare__call *call);
void ipcshare__offers_drop(struct ipcshare_group *group, struct ipcshare__offers *offers);

/*
 * Hold what can be offered, and write that into the next slot. @gives: the rank has something that must be
 * among it; @takes: others may write what they have for it. False: there is no offer.
 */
bool ipcshare__offer(struct ipcshare__call *call, bool gives, bool takes);

/* After that round. Does @rank offer that others write there? */
bool ipcshare__offer_takes(const struct ipcshare__call *call, int rank);
/* Map what @rank has for us, and where it wants what we have for it: in call->offered. 0, or why not. */
int ipcshare__offer_from(struct ipcshare__call *call, int rank, size_t len);
int ipcshare__offer_to(struct ipcshare__call *call, int rank, size_t len);
/* Map where @rank takes the block of @source, @len bytes, to read it there: at *@out. @reach holds it. */
int ipcshare__offer_again(struct ipcshare__call *call, struct ipcshare__reach *reach, int source,
			  int rank, size_t len, const char **out);

#endif
