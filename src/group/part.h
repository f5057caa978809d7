/* SPDX-License-Identifier: BSD-3-Clause */
/* A part: what the blob of one rank brings into a set. It is taken piece by piece, as it comes. */
#ifndef IPCSHARE_GROUP_PART_H
#define IPCSHARE_GROUP_PART_H

#include "group/blob.h"
#include "group/reader.h"
#include "group/row.h"
#include "group/share.h"

struct ipcshare__set;

struct ipcshare__part {
	struct ipcshare__set *set;
	struct ipcshare_share *share; /* this rank's own */
	int rank; /* whose part it is */
	int status; /* of the first failure: what comes after it is ignored */
	struct ipcshare_error why;
	uint64_t serial; /* of the set that it must be for; 0: a new one */
	struct ipcshare__wire_blob head; /* as it was when it was checked */
	uint64_t taken; /* bytes of the blob so far */
	struct ipcshare__block prefix; /* head, regions, indices; at NULL: nothing was taken yet */
	uint64_t prefix_len;
	struct ipcshare__catalog carried; /* what a blob tells that the user carried */
	struct ipcshare__row_source source;
	struct ipcshare__reader reader;
	struct ipcshare__cells cells;
};

/* One for each rank: NULL, with IPCSHARE_ERR_NO_MEMORY as the last error. */
struct ipcshare__part *ipcshare__parts_new(struct ipcshare__set *set, struct ipcshare_share *share,
					   uint64_t serial);
/* Give back what they hold; regions of the rows are their own, and may be gone. NULL does nothing. */
void ipcshare__parts_free(struct ipcshare__part *parts, struct ipcshare_group *group);

/*
 * Its blob has @len bytes, of which the first @n stand at @bytes: all that the user carried, or at least the
 * head. Only that is looked at, and nothing allocated.
 */
void ipcshare__part_begin(struct ipcshare__part *part, const void *bytes, size_t n, uint64_t len);
/*
 * All have begun. A few bytes can name very many buffers, and all ranks will make room for them at the same
 * time: if there is not that much memory, the part that wants most has failed.
 */
void ipcshare__parts_look_for_room(struct ipcshare__part *parts, int nranks);
/* The blob, from its first byte on, in order. Pieces are whole 64 bytes. */
void ipcshare__part_take(struct ipcshare__part *part, const void *bytes, size_t n);

/*
 * All of it was taken: import what is new to the row. The status of the first failure, which is the last
 * error; 0 also if regions could not be mapped: @bad is the first such failure, unless there is one.
 */
int ipcshare__part_end(struct ipcshare__part *part, struct ipcshare_error *bad);

static inline const struct ipcshare__wire_blob *
ipcshare__part_prefix(const struct ipcshare__part *part)
{
	return part->prefix.at;
}

#endif
