/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A share is one rank's part while it is on its way: buffers described, regions held, a blob to send.
 * A set is what comes of the blobs of all ranks.
 */
#ifndef IPCSHARE_GROUP_SHARE_H
#define IPCSHARE_GROUP_SHARE_H

#include "group/blob.h"
#include "group/group.h"

struct ipcshare_share {
	struct ipcshare__owned owned;
	struct ipcshare_group *group;
	struct ipcshare__wire_blob *blob;
	struct ipcshare__region **regions; /* held; in the order of the blob */
	uint32_t nregions;
	struct ipcshare_error bad; /* of the first buffer that failed here; status 0: none did */
};

/* Describe, export and whitelist. Buffers that fail are marked, in the blob and in @bad. */
int ipcshare__share_make(struct ipcshare_group *group, const struct ipcshare_buf *bufs, size_t n,
			 unsigned flags, struct ipcshare_share **out);
/* Let go of the regions and free it. */
void ipcshare__share_delete(struct ipcshare_share *share);

/*
 * The set that the blobs of all ranks make. On success it takes over the share's regions. @bad is
 * the first failure of a buffer that this rank has to report: its own, or one it could not import.
 */
int ipcshare__set_make(struct ipcshare_share *share, const void *const *blobs, const size_t *lens,
		       struct ipcshare_set **out, struct ipcshare_error *bad);
/* For the collective form: what all ranks counted; and that it is to be freed together. */
void ipcshare__set_agreed(struct ipcshare_set *set, uint64_t failures);
void ipcshare__set_delete(struct ipcshare_set *set);

#endif
