/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/blob.h"

#include <errno.h>
#include <ipcshare.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "memory/region.h"

static size_t size_of(uint64_t ndescriptors, uint64_t nregions, uint64_t nindices)
{
	return ipcshare__round_up(sizeof(struct ipcshare__wire_blob) +
					  ndescriptors * sizeof(struct ipcshare__wire_descriptor) +
					  nregions * sizeof(struct ipcshare__wire_region) +
					  nindices * sizeof(uint32_t),
				  IPCSHARE__BLOB_ALIGN);
}

/* Over all bytes but the field itself. */
static uint64_t blob_sum(const unsigned char *bytes, size_t len)
{
	size_t before = offsetof(struct ipcshare__wire_blob, check);

	return ipcshare__checksum(ipcshare__checksum(0, bytes, before), bytes + before + 8,
				  len - before - 8);
}

/* ---- Write ---- */

static int no_room(size_t nbufs)
{
	return ipcshare__fail_errno(ENOMEM, "share", "%zu descriptors", nbufs);
}

int ipcshare__blob_begin(struct ipcshare__blob_writer *w, size_t nbufs)
{
	*w = (struct ipcshare__blob_writer){ .blob = NULL };
	if (nbufs <= IPCSHARE__BUFS_MAX)
		w->blob = malloc(size_of(nbufs, 0, 0));
	return w->blob ? 0 : no_room(nbufs);
}

static struct ipcshare__wire_descriptor *descriptors_of(struct ipcshare__blob_writer *w)
{
	return (struct ipcshare__wire_descriptor *)(w->blob + 1);
}

/*
 * The third buffer at one distance makes a run of the two before it: they become one descriptor and a
 * run. Words compare as wholes: generations are equal, so the difference is that of the offsets.
 */
void ipcshare__blob_add(struct ipcshare__blob_writer *w, struct ipcshare__wire_descriptor d)
{
	struct ipcshare__wire_descriptor *end = descriptors_of(w) + w->ndescriptors;
	uint64_t stride;

	w->nbufs++;
	if (w->next.what && d.what == w->next.what && d.where == w->next.where &&
	    ipcshare__descriptor_high(end[-1]) < IPCSHARE__LOW20) {
		end[-1].where += IPCSHARE__REACH; /* one more */
		w->next.where += ipcshare__descriptor_low(end[-1]);
		return;
	}
	w->next.what = 0;
	stride = w->ndescriptors < 2 ? 0 : d.where - end[-1].where;
	if (stride && stride < IPCSHARE__REACH && ipcshare__descriptor_length(d) &&
	    d.what == end[-1].what && d.what == end[-2].what &&
	    stride == end[-1].where - end[-2].where) {
		end[-1] = ipcshare__descriptor_special(IPCSHARE__RUN, 2, stride);
		w->next = (struct ipcshare__wire_descriptor){ d.what, d.where + stride };
		return;
	}
	*end = d;
	w->ndescriptors++;
}

int ipcshare__blob_finish(struct ipcshare__blob_writer *w, const struct ipcshare__blob_frame *f)
{
	uint32_t nindices = f->set ? w->nbufs : 0;
	size_t len = size_of(w->ndescriptors, f->nregions, nindices);
	size_t used = sizeof(*w->blob) + w->ndescriptors * sizeof(struct ipcshare__wire_descriptor);
	struct ipcshare__wire_blob *blob = realloc(w->blob, len);
	unsigned char *bytes = (unsigned char *)blob;

	if (!blob)
		return no_room(w->nbufs);
	w->blob = blob;
	if (f->nregions)
		memcpy(bytes + used, f->regions, f->nregions * sizeof(*f->regions));
	used += f->nregions * sizeof(*f->regions);
	for (uint32_t i = 0; i < nindices; i++, used += sizeof(uint32_t))
		memcpy(bytes + used, &(uint32_t){ (uint32_t)f->indices[i] }, sizeof(uint32_t));
	memset(bytes + used, 0, len - used);
	*blob = (struct ipcshare__wire_blob){
		.magic = IPCSHARE__MAGIC_BLOB,
		.layout = IPCSHARE__LAYOUT,
		.endpoint = f->endpoint,
		.bytes = len,
		.set = f->set,
		.nbufs = w->nbufs,
		.ndescriptors = w->ndescriptors,
		.nregions = f->nregions,
		.rank = f->rank,
		.access = f->access,
	};
	if (f->carried)
		blob->check = blob_sum(bytes, len);
	return 0;
}

/* ---- Check ---- */

static int malformed(const char *what, uint64_t where)
{
	return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "share", "pass blobs on unchanged",
			      "a blob is malformed: %s (%ju)", what, (uintmax_t)where);
}

static int head_check(const struct ipcshare__wire_blob *head, const unsigned char *bytes, size_t len,
		      uint32_t rank, uint64_t endpoint, bool carried)
{
	if (len < sizeof(*head) || head->magic != IPCSHARE__MAGIC_BLOB)
		return malformed("it has no head; its length is", len);
	if (head->layout != IPCSHARE__LAYOUT)
		return ipcshare__fail(IPCSHARE_ERR_VERSION, "share",
				      "link all ranks to one version of the library",
				      "the blob has layout %u, we have %u", head->layout,
				      IPCSHARE__LAYOUT);
	if (head->nbufs > IPCSHARE__BUFS_MAX || head->nregions > IPCSHARE__REGION_MAX ||
	    head->bytes != len ||
	    size_of(head->ndescriptors, head->nregions, head->set ? head->nbufs : 0) != len)
		return malformed("its length does not fit its head", len);
	if (carried && head->check != blob_sum(bytes, len))
		return malformed("a byte was altered; length", len);
	if (head->access != IPCSHARE__READ_ONLY && head->access != IPCSHARE__READ_WRITE)
		return malformed("access", head->access);
	if (head->rank != rank || head->endpoint != endpoint)
		return ipcshare__fail(IPCSHARE_ERR_MISMATCH, "share",
				      "pass the blobs of this group in rank order",
				      "in place of rank %u's blob stands one of rank %u of %s group",
				      rank, head->rank,
				      head->endpoint == endpoint ? "this" : "another");
	return 0;
}

static int region_check(const struct ipcshare__wire_region *r, uint32_t i)
{
	if (r->region >= IPCSHARE__REGION_MAX || !r->generation || !r->length ||
	    r->length > PTRDIFF_MAX)
		return malformed("a region's id, generation or length; region", i);
	if (!memchr(r->key, '\0', sizeof(r->key)))
		return malformed("a key without end; region", i);
	return 0;
}

static int special_check(struct ipcshare__wire_descriptor d, struct ipcshare__wire_descriptor before,
			 uint32_t i)
{
	switch (ipcshare__descriptor_what(d)) {
	case IPCSHARE__EMPTY:
		return d.where ? malformed("an empty buffer with an address; descriptor", i) : 0;
	case IPCSHARE__FAILED:
		return d.where < 1 || d.where > -IPCSHARE_ERR_SYSTEM
			       ? malformed("an unknown status; descriptor", i)
			       : 0;
	case IPCSHARE__RUN:
		return !ipcshare__descriptor_length(before) || !ipcshare__descriptor_high(d) ||
				       !ipcshare__descriptor_low(d)
			       ? malformed("a run of nothing; descriptor", i)
			       : 0;
	default:
		return malformed("a special descriptor of no kind; descriptor", i);
	}
}

/* Are the descriptors such, and as many buffers as the head says? */
static int descriptors_check(const struct ipcshare__blob *b)
{
	struct ipcshare__wire_descriptor before = { 0, 0 };
	uint64_t nbufs = 0;

	for (uint32_t i = 0; i < b->ndescriptors; i++) {
		struct ipcshare__wire_descriptor d = ipcshare__blob_at(b, i);
		int err = ipcshare__descriptor_length(d) ? 0 : special_check(d, before, i);

		if (err)
			return err;
		nbufs += d.what == (uint64_t)IPCSHARE__RUN << 44 ? ipcshare__descriptor_high(d) : 1;
		before = d;
	}
	return nbufs == b->nbufs ? 0 : malformed("not as many buffers as it says, but", nbufs);
}

struct ipcshare__blob ipcshare__blob_view(const void *bytes)
{
	struct ipcshare__wire_blob head;
	struct ipcshare__blob b;

	memcpy(&head, bytes, sizeof(head));
	b = (struct ipcshare__blob){
		.descriptors = (const unsigned char *)bytes + sizeof(head),
		.set = head.set,
		.nbufs = head.nbufs,
		.ndescriptors = head.ndescriptors,
		.nregions = head.nregions,
		.access = (enum ipcshare__access)head.access,
	};
	b.regions = b.descriptors + b.ndescriptors * sizeof(struct ipcshare__wire_descriptor);
	if (b.set)
		b.indices = b.regions + b.nregions * sizeof(struct ipcshare__wire_region);
	return b;
}

int ipcshare__blob_check(const void *bytes, size_t len, uint32_t rank, uint64_t endpoint,
			 bool carried, struct ipcshare__blob *out)
{
	struct ipcshare__wire_blob head = { 0 };
	struct ipcshare__blob b;
	int err;

	memcpy(&head, bytes, len < sizeof(head) ? len : sizeof(head));
	err = head_check(&head, bytes, len, rank, endpoint, carried);
	if (err)
		return err;
	b = ipcshare__blob_view(bytes);
	for (uint32_t i = 0; i < b.nregions && !err; i++) {
		struct ipcshare__wire_region r = ipcshare__blob_region(&b, i);

		err = region_check(&r, i);
	}
	if (!err)
		err = descriptors_check(&b);
	if (!err)
		*out = b;
	return err;
}

int ipcshare__blob_learn(const struct ipcshare__blob *b, struct ipcshare__catalog *catalog)
{
	int err = 0;

	for (uint32_t i = 0; i < b->nregions && !err; i++) {
		struct ipcshare__wire_region r = ipcshare__blob_region(b, i);

		err = ipcshare__catalog_add(catalog, &r);
	}
	return err;
}

/* ---- Bounds ---- */

/* How much later its last buffer ends than the one before it: 20 bits times 44 don't overflow. */
static uint64_t run_reach(struct ipcshare__wire_descriptor run)
{
	return ipcshare__descriptor_high(run) * ipcshare__descriptor_low(run);
}

int ipcshare__blob_check_bounds(const struct ipcshare__blob *b,
				const struct ipcshare__catalog *catalog)
{
	uint32_t region = UINT32_MAX, generation = 0;
	uint64_t length = 0, end = 0;

	for (uint32_t i = 0; i < b->ndescriptors; i++) {
		struct ipcshare__wire_descriptor d = ipcshare__blob_at(b, i);
		uint32_t what = ipcshare__descriptor_what(d);

		if (!ipcshare__descriptor_length(d)) {
			if (what == IPCSHARE__RUN && run_reach(d) > length - end)
				return malformed("a run past the end of its region; descriptor", i);
			continue;
		}
		if (what != region) { /* mostly it is that of the one before */
			const struct ipcshare__known *known = ipcshare__catalog_find(catalog, what);

			if (!known)
				return malformed("a region that nobody told of; descriptor", i);
			region = what;
			length = known->length;
			generation = known->generation & IPCSHARE__LOW20;
		}
		if (ipcshare__descriptor_high(d) != generation)
			return malformed("a region that is another now; descriptor", i);
		end = ipcshare__descriptor_low(d) + ipcshare__descriptor_length(d);
		if (end > length)
			return malformed("a buffer outside its region; descriptor", i);
	}
	return 0;
}
