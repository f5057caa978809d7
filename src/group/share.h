/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A share is one rank's part while it is on its way: buffers described, regions held, a blob to send.
 */
#ifndef IPCSHARE_GROUP_SHARE_H
#define IPCSHARE_GROUP_SHARE_H

#include "group/blob.h"
#include "group/describe.h"

#define IPCSHARE__BUFFER_FLAGS (IPCSHARE_READ_ONLY | IPCSHARE_SHARE_OPEN)

struct ipcshare_share {
	struct ipcshare__owned owned;
	struct ipcshare_group *group;
	struct ipcshare__describer describer; /* holds the regions */
	struct ipcshare__block room; /* of the blob */
	struct ipcshare__wire_blob *blob;
	bool collective; /* its peers remember regions: only new ones are in the blob */
	bool lazy;
	struct ipcshare_error bad; /* of the first buffer that failed here; status 0: none did */
};

struct ipcshare__share_args {
	const struct ipcshare_buf *bufs;
	size_t n;
	unsigned flags;
	bool collective;
	uint64_t set; /* an update: serial of the set, and which of its buffers these are to be */
	const size_t *indices;
};

/* IPCSHARE_ERR_INVALID for what can't be passed; @known are the flags that can. */
int ipcshare__share_check(const struct ipcshare__share_args *args, unsigned known);
/* Describe, export and whitelist. Buffers that fail are marked, in the blob and in @bad. */
int ipcshare__share_make(struct ipcshare_group *group, const struct ipcshare__share_args *args,
			 struct ipcshare_share **out);
/* Let go of the regions and free it. NULL does nothing; leaves the last error as it is. */
void ipcshare__share_delete(struct ipcshare_share *share);

/* ---- The collective form: share or update ---- */

struct ipcshare__part;

struct ipcshare__meeting {
	uint64_t *values, *lens; /* one of each rank */
	uint32_t flags; /* of the caller; of all ranks, or-ed, once they have met */
};

int ipcshare__meeting_init(struct ipcshare__meeting *m, int nranks, unsigned flags);
void ipcshare__meeting_free(struct ipcshare__meeting *m);
/*
 * Begin collective @which with @status of ours; if nobody has failed, everybody's blob into @parts. What is
 * wrong with a blob is a matter of its part.
 */
int ipcshare__meeting_hold(struct ipcshare__meeting *m, struct ipcshare_group *group,
			   enum ipcshare__collective which, int status,
			   const struct ipcshare_share *share, struct ipcshare__part *parts);
/*
 * Are all ranks content? @bad is what they hold against it if one of them wants all or nothing. Regions
 * that were sent are known then. *@failures: this rank's, then the sum. *@flags are or-ed.
 */
int ipcshare__meeting_end(struct ipcshare__meeting *m, const struct ipcshare_share *share,
			  int status, const struct ipcshare_error *bad, uint64_t *failures,
			  uint32_t *flags);

#endif
