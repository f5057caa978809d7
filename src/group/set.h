/* SPDX-License-Identifier: BSD-3-Clause */
/* A set: what comes of the blobs of all ranks. */
#ifndef IPCSHARE_GROUP_SET_H
#define IPCSHARE_GROUP_SET_H

#include "group/part.h"
#include "group/plan.h"
#include "memory/anchor.h"

struct ipcshare__set {
	struct ipcshare_set open; /* first: what users see */
	struct ipcshare__owned owned;
	struct ipcshare_group *group;
	struct ipcshare__row *rows; /* by rank */
	struct ipcshare_row *open_rows;
	bool lazy; /* peers' rows are */
	uint64_t failures;
	uint64_t serial; /* of the group's collective sets; 0: not collective */
	struct ipcshare__plans plans; /* made of its buffers */
	/*
	 * What ipcshare_ptr_lazy() maps while other cells are updated, and the tables on devices. Taken
	 * before ctx->lock, and held by no backend call but copies of the latter.
	 */
	pthread_mutex_t lock;
};

static inline struct ipcshare__set *ipcshare__set_of(const struct ipcshare_set *open)
{
	return (struct ipcshare__set *)open;
}

/* The set and its group are alive. */
int ipcshare__set_check(const struct ipcshare_set *set, const char *stage);
static inline struct ipcshare_group *ipcshare__set_group(const struct ipcshare_set *set)
{
	return ipcshare__set_of(set)->group;
}
/* May bytes be written to buffer @i of @rank, which must exist? Under the lock. */
static inline bool ipcshare__set_writable(const struct ipcshare_set *set, int rank, size_t i)
{
	const struct ipcshare__row *row = &ipcshare__set_of(set)->rows[rank];
	uint32_t ref = row->cells.ref[i];

	return rank == set->rank || ref & IPCSHARE__NO_REGION ||
	       row->used[ref].access == IPCSHARE__READ_WRITE;
}

/* An empty one for what @share brings, and the parts of all ranks for it: 0, or NO_MEMORY with detail. */
int ipcshare__set_begin(struct ipcshare_share *share, struct ipcshare__set **out,
			struct ipcshare__part **parts);
/* It comes to nothing. NULL does nothing. */
void ipcshare__set_cancel(struct ipcshare__set *set);
/*
 * All parts were taken; or all but our own, which has begun and which @own is then, so that the share keeps its regions
 * if another fails. @bad is the first failure of a buffer that this rank has to report: its own, or one it could
 * not import.
 */
int ipcshare__set_end(struct ipcshare__set *set, struct ipcshare__part *parts, const void *own,
		      size_t len, struct ipcshare_error *bad);
/*
 * Where buffer @i of @rank lies, held; in a lazy set it is mapped first. IPCSHARE_ERR_INVALID there is no such
 * buffer, or it is empty; or why it can't be used here.
 */
int ipcshare__set_anchor(struct ipcshare_set *set, int rank, size_t i,
			 struct ipcshare__anchor *out);
/* For the collective form: what all ranks counted; and that it is to be freed together. */
void ipcshare__set_agreed(struct ipcshare_set *set, uint64_t failures);
void ipcshare__set_delete(struct ipcshare_set *set);

/* ---- Tables on the device (table.c) ---- */

/* Copy a row's pointers to its table, if there is one. */
int ipcshare__table_refresh(struct ipcshare__set *set, int rank);
void ipcshare__table_free(struct ipcshare__set *set, int rank);

#endif
