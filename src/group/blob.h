/* SPDX-License-Identifier: BSD-3-Clause */
/* A blob: what one rank shares, as bytes. Written by its owner, distrusted by everybody else. */
#ifndef IPCSHARE_GROUP_BLOB_H
#define IPCSHARE_GROUP_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "base/wire.h"

/* Views into a blob that was checked as a whole; the bytes may be unaligned. */
struct ipcshare__blob {
	const unsigned char *descriptors;
	const unsigned char *regions;
	size_t nbufs;
	uint32_t nregions;
};

/* Room for a head and @nbufs descriptors, for ipcshare__blob_finish() to complete. NULL: no memory. */
struct ipcshare__wire_blob *ipcshare__blob_new(size_t nbufs);
struct ipcshare__wire_descriptor *ipcshare__blob_descriptors(struct ipcshare__wire_blob *blob);
/* Append the regions, pad, fill in the head. @blob may move; NULL: no memory, and it is as it was. */
struct ipcshare__wire_blob *ipcshare__blob_finish(struct ipcshare__wire_blob *blob, size_t nbufs,
						  const struct ipcshare__wire_region *regions,
						  uint32_t nregions, uint32_t rank,
						  uint64_t endpoint);

/* All bytes of @rank's blob: 0, or IPCSHARE_ERR_PROTOCOL, _VERSION or _MISMATCH with detail. */
int ipcshare__blob_check(const void *bytes, size_t len, uint32_t rank, uint64_t endpoint,
			 struct ipcshare__blob *out);

static inline uint64_t ipcshare__descriptor_offset(const struct ipcshare__wire_descriptor *d)
{
	return (uint64_t)d->offset_hi << 32 | d->offset_lo;
}

static inline uint64_t ipcshare__descriptor_length(const struct ipcshare__wire_descriptor *d)
{
	return (uint64_t)d->length_hi << 32 | d->length_lo;
}

#endif
