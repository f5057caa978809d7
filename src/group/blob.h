/* SPDX-License-Identifier: BSD-3-Clause */
/* A blob: what one rank shares, as bytes. Written by its owner, distrusted by everybody else. */
#ifndef IPCSHARE_GROUP_BLOB_H
#define IPCSHARE_GROUP_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blocks.h"
#include "base/descriptor.h"
#include "group/catalog.h"

/* ---- Writing: begin, add every buffer, finish ---- */

struct ipcshare__blob_writer {
	struct ipcshare__blocks *blocks;
	struct ipcshare__block room; /* the blob is in it; the caller's to give back */
	struct ipcshare__wire_descriptor *first, *end; /* the descriptors */
	uint32_t nbufs, ndescriptors;
	struct ipcshare__wire_descriptor next; /* would go on with the run that was added last */
};

/* Room for @nbufs descriptors: 0, or IPCSHARE_ERR_NO_MEMORY with detail. */
int ipcshare__blob_begin(struct ipcshare__blob_writer *w, struct ipcshare__blocks *blocks,
			 size_t nbufs);

/*
 * At most the number of ipcshare__blob_begin(). The third buffer at one distance makes a run of the two
 * before it: they become one descriptor and a run. Words compare as wholes: generations are equal, so the
 * difference is that of the offsets.
 */
static inline void ipcshare__blob_add(struct ipcshare__blob_writer *w,
				      struct ipcshare__wire_descriptor d)
{
	struct ipcshare__wire_descriptor *end = w->end;
	uint64_t stride;

	w->nbufs++;
	if (w->next.what && d.what == w->next.what && d.where == w->next.where &&
	    ipcshare__descriptor_high(end[-1]) < IPCSHARE__LOW20) {
		end[-1].where += IPCSHARE__REACH; /* one more */
		w->next.where += ipcshare__descriptor_low(end[-1]);
		return;
	}
	w->next.what = 0;
	if (w->ndescriptors >= 2 && d.what == end[-1].what && d.what == end[-2].what) {
		stride = d.where - end[-1].where;
		if (stride && stride < IPCSHARE__REACH && ipcshare__descriptor_length(d) &&
		    stride == end[-1].where - end[-2].where) {
			end[-1] = ipcshare__descriptor_special(IPCSHARE__RUN, 2, stride);
			w->next = (struct ipcshare__wire_descriptor){ d.what, d.where + stride };
			return;
		}
	}
	*w->end++ = d;
	w->ndescriptors++;
}

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
int ipcshare__blob_finish(struct ipcshare__blob_writer *w, const struct ipcshare__blob_frame *frame,
			  struct ipcshare__wire_blob **out);

/* ---- Reading: the head, then what goes before the descriptors; see reader.h for these ---- */

/* The most bytes that a blob can have. */
#define IPCSHARE__BLOB_MAX                                                                         \
	((uint64_t)IPCSHARE__BUFS_MAX * (sizeof(struct ipcshare__wire_descriptor) + 4) +           \
	 (uint64_t)IPCSHARE__REGION_MAX * sizeof(struct ipcshare__wire_region) + 256)

/*
 * The head of a blob of @len bytes: 0, or with detail IPCSHARE_ERR_PROTOCOL or _VERSION; and
 * IPCSHARE_ERR_MISMATCH if it isn't @rank's of the group. Allocates nothing.
 */
int ipcshare__blob_check_form(const struct ipcshare__wire_blob *head, uint64_t len);
int ipcshare__blob_check_owner(const struct ipcshare__wire_blob *head, uint32_t rank,
			       uint64_t endpoint);
/* Of one that the user has carried, all of whose bytes are here and whose form was checked. */
int ipcshare__blob_check_sum(const void *bytes, size_t len);

/* Where its descriptors begin: a multiple of 16. */
uint64_t ipcshare__blob_prefix(const struct ipcshare__wire_blob *head);
/* The regions in a prefix into the catalog of its rank. */
int ipcshare__blob_learn(const struct ipcshare__wire_blob *prefix, struct ipcshare__catalog *catalog);

static inline const struct ipcshare__wire_region *
ipcshare__blob_regions(const struct ipcshare__wire_blob *prefix)
{
	return (const struct ipcshare__wire_region *)(prefix + 1);
}

/* Which buffers of the set an update is about. */
static inline const uint32_t *ipcshare__blob_indices(const struct ipcshare__wire_blob *prefix)
{
	return (const uint32_t *)(ipcshare__blob_regions(prefix) + prefix->nregions);
}

/* IPCSHARE_ERR_PROTOCOL, with @what is wrong, and @where, as its detail. */
int ipcshare__blob_malformed(const char *what, uint64_t where);

#endif
