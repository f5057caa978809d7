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
	uint32_t nbufs;
	struct ipcshare__wire_descriptor before; /* the buffer that was added last */
	uint64_t stride; /* from the one before it, if they could begin a run; else 0 */
	bool run; /* the last descriptor is one */
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
	struct ipcshare__wire_descriptor *last = w->end - 1;
	uint64_t stride = d.where - w->before.where;

	w->nbufs++;
	if (__builtin_expect(d.what == w->before.what && stride == w->stride, 0) &&
	    stride - 1 < IPCSHARE__REACH - 1 && ipcshare__descriptor_length(d)) {
		if (w->run && ipcshare__descriptor_high(*last) < IPCSHARE__LOW20) {
			last->where += IPCSHARE__REACH; /* one more */
			w->before = d;
			return;
		}
		if (!w->run) {
			*last = ipcshare__descriptor_special(IPCSHARE__RUN, 2, stride);
			w->run = true;
			w->before = d;
			return;
		}
	}
	w->stride = d.what == w->before.what && !w->run ? stride : 0;
	w->run = false;
	w->before = d;
	*w->end++ = d;
}

/* The buffer that was added last is one of a run: how many more at its distance the run can take. */
static inline uint64_t ipcshare__blob_run_room(const struct ipcshare__blob_writer *w)
{
	return w->run ? IPCSHARE__LOW20 - ipcshare__descriptor_high(w->end[-1]) : 0;
}

/* @n of these. */
static inline void ipcshare__blob_run_add(struct ipcshare__blob_writer *w, uint64_t n)
{
	w->end[-1].where += n * IPCSHARE__REACH;
	w->before.where += n * w->stride;
	w->nbufs += (uint32_t)n;
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
int ipcshare__blob_learn(const struct ipcshare__wire_blob *prefix,
			 struct ipcshare__catalog *catalog);

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
