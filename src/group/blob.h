/* SPDX-License-Identifier: BSD-3-Clause */
/* A blob: what one rank shares, as bytes. Written by its owner, distrusted by everybody else. */
#ifndef IPCSHARE_GROUP_BLOB_H
#define IPCSHARE_GROUP_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/descriptor.h"
#include "group/catalog.h"

/* ---- Writing: new, add every buffer, finish ---- */

struct ipcshare__blob_writer {
	struct ipcshare__wire_blob *blob; /* the caller frees it; descriptors follow the head */
	uint32_t nbufs, ndescriptors;
	struct ipcshare__wire_descriptor next; /* would go on with the run that was added last */
};

/* Room for @nbufs descriptors: 0, or IPCSHARE_ERR_NO_MEMORY with detail. */
int ipcshare__blob_begin(struct ipcshare__blob_writer *w, size_t nbufs);
/* At most the number of ipcshare__blob_begin(). */
void ipcshare__blob_add(struct ipcshare__blob_writer *w, struct ipcshare__wire_descriptor d);

/* What is said of the blob as a whole. */
struct ipcshare__blob_frame {
	uint32_t rank;
	uint64_t endpoint;
	enum ipcshare__access access;
	const struct ipcshare__wire_region *regions;
	uint32_t nregions;
	uint64_t set; /* an update: serial of the set, and which buffers */
	const size_t *indices; /* one for each buffer that was added */
	bool carried; /* by the user, who may alter it: it gets a sum */
};
int ipcshare__blob_finish(struct ipcshare__blob_writer *w, const struct ipcshare__blob_frame *frame);

/* ---- Reading ---- */

/* Views into a blob whose form was checked; the bytes may be unaligned. */
struct ipcshare__blob {
	const unsigned char *descriptors;
	const unsigned char *regions;
	const unsigned char *indices; /* NULL if it is no update */
	uint64_t set;
	size_t nbufs;
	uint32_t ndescriptors, nregions;
	enum ipcshare__access access;
};

/* One of ours, or one whose head was checked. */
struct ipcshare__blob ipcshare__blob_view(const void *bytes);
/*
 * The bytes of @rank's blob, all but what the descriptors say of regions: 0, or
 * IPCSHARE_ERR_PROTOCOL, _VERSION or _MISMATCH with detail. Allocates nothing.
 */
int ipcshare__blob_check(const void *bytes, size_t len, uint32_t rank, uint64_t endpoint,
			 bool carried, struct ipcshare__blob *out);
/* Its regions into the catalog of its rank. */
int ipcshare__blob_learn(const struct ipcshare__blob *blob, struct ipcshare__catalog *catalog);
/* Does every buffer lie inside a region that the catalog has? IPCSHARE_ERR_PROTOCOL if not. */
int ipcshare__blob_check_bounds(const struct ipcshare__blob *blob,
				const struct ipcshare__catalog *catalog);

static inline struct ipcshare__wire_descriptor ipcshare__blob_at(const struct ipcshare__blob *blob,
								  uint32_t i)
{
	struct ipcshare__wire_descriptor d;

	memcpy(&d, blob->descriptors + i * sizeof(d), sizeof(d));
	return d;
}

static inline struct ipcshare__wire_region
ipcshare__blob_region(const struct ipcshare__blob *blob, uint32_t i)
{
	struct ipcshare__wire_region r;

	memcpy(&r, blob->regions + i * sizeof(r), sizeof(r));
	return r;
}

static inline uint32_t ipcshare__blob_index(const struct ipcshare__blob *blob, size_t i)
{
	uint32_t index;

	memcpy(&index, blob->indices + i * sizeof(index), sizeof(index));
	return index;
}

#endif
