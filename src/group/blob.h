/* SPDX-License-Identifier: BSD-3-Clause */
/* A blob: what one rank shares, as bytes. Written by its owner, distrusted by everybody else. */
#ifndef IPCSHARE_GROUP_BLOB_H
#define IPCSHARE_GROUP_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/blocks.h"
#include "base/descriptor.h"
#include "group/catalog.h"

/* ---- Writing: new, add every buffer, finish ---- */

struct ipcshare__blob_writer {
	struct ipcshare__blocks *blocks;
	struct ipcshare__block room; /* the blob in it is the caller's to give back */
	struct ipcshare__wire_descriptor *end; /* behind the last descriptor */
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
/* The blob is at w->room.at then. */
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
 * The head and the regions of @rank's blob: 0, or IPCSHARE_ERR_PROTOCOL, _VERSION or _MISMATCH with detail.
 * Allocates nothing.
 */
int ipcshare__blob_check(const void *bytes, size_t len, uint32_t rank, uint64_t endpoint,
			 bool carried, struct ipcshare__blob *out);
/* Its regions into the catalog of its rank. */
int ipcshare__blob_learn(const struct ipcshare__blob *blob, struct ipcshare__catalog *catalog);

/* In place of a reference: no region. With it the status of a failed buffer, negated; 0: empty. */
#define IPCSHARE__NO_REGION 0x80000000u

/* The reference by which the reader knows @region; asked at least once for each. */
typedef int ipcshare__place_fn(void *arg, uint32_t region, uint32_t *ref);

/*
 * The descriptors: are they well-formed, as many buffers as the head says, and does each lie inside a
 * region that the catalog has? IPCSHARE_ERR_PROTOCOL if not, or what @place returns. refs[i] is set for
 * every buffer.
 */
int ipcshare__blob_read(const struct ipcshare__blob *blob, const struct ipcshare__catalog *catalog,
			ipcshare__place_fn *place, void *arg, uint32_t *refs);

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
