/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/blob.h"

#include <ipcshare.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "memory/region.h"

/* Far more than memory for descriptors, and far from overflow in sums of lengths. */
#define MAX_BUFS ((uint64_t)1 << 40)

static size_t size_of(size_t nbufs, uint32_t nregions)
{
	return ipcshare__round_up(sizeof(struct ipcshare__wire_blob) +
					  nbufs * sizeof(struct ipcshare__wire_descriptor) +
					  nregions * sizeof(struct ipcshare__wire_region),
				  IPCSHARE__BLOB_ALIGN);
}

struct ipcshare__wire_blob *ipcshare__blob_new(size_t nbufs)
{
	return nbufs > MAX_BUFS ? NULL : malloc(size_of(nbufs, 0));
}

struct ipcshare__wire_descriptor *ipcshare__blob_descriptors(struct ipcshare__wire_blob *blob)
{
	return (struct ipcshare__wire_descriptor *)(blob + 1);
}

/* Over all bytes but the field itself. */
static uint64_t blob_sum(const unsigned char *bytes, size_t len)
{
	size_t before = offsetof(struct ipcshare__wire_blob, check);

	return ipcshare__checksum(ipcshare__checksum(0, bytes, before), bytes + before + 8,
				  len - before - 8);
}

struct ipcshare__wire_blob *ipcshare__blob_finish(struct ipcshare__wire_blob *blob, size_t nbufs,
						  const struct ipcshare__wire_region *regions,
						  uint32_t nregions, uint32_t rank,
						  uint64_t endpoint)
{
	size_t len = size_of(nbufs, nregions), used;
	unsigned char *bytes;

	blob = realloc(blob, len);
	if (!blob)
		return NULL;
	bytes = (unsigned char *)blob;
	used = sizeof(*blob) + nbufs * sizeof(struct ipcshare__wire_descriptor);
	memset(bytes + used, 0, len - used);
	if (nregions)
		memcpy(bytes + used, regions, nregions * sizeof(*regions));
	*blob = (struct ipcshare__wire_blob){
		.magic = IPCSHARE__MAGIC_BLOB,
		.layout = IPCSHARE__LAYOUT,
		.endpoint = endpoint,
		.bytes = len,
		.nbufs = nbufs,
		.nregions = nregions,
		.rank = rank,
	};
	blob->check = blob_sum(bytes, len);
	return blob;
}

/* ---- Check ---- */

static int malformed(const char *what, uint64_t where)
{
	return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "share", "pass blobs on unchanged",
			      "a blob is malformed: %s (%ju)", what, (uintmax_t)where);
}

static int head_check(const struct ipcshare__wire_blob *head, const unsigned char *bytes, size_t len,
		      uint32_t rank, uint64_t endpoint)
{
	if (len < sizeof(*head) || head->magic != IPCSHARE__MAGIC_BLOB)
		return malformed("it has no head; its length is", len);
	if (head->layout != IPCSHARE__LAYOUT)
		return ipcshare__fail(IPCSHARE_ERR_VERSION, "share",
				      "link all ranks to one version of the library",
				      "the blob has layout %u, we have %u", head->layout,
				      IPCSHARE__LAYOUT);
	if (head->nbufs > MAX_BUFS || head->nregions > IPCSHARE__REGION_MAX ||
	    head->bytes != len || size_of(head->nbufs, head->nregions) != len)
		return malformed("its length does not fit its head", len);
	if (head->check != blob_sum(bytes, len))
		return malformed("a byte was altered; length", len);
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
	if (r->access != IPCSHARE__READ_ONLY && r->access != IPCSHARE__READ_WRITE)
		return malformed("a region's access; region", i);
	if (!memchr(r->key, '\0', sizeof(r->key)))
		return malformed("a key without end; region", i);
	return 0;
}

static int descriptor_check(const struct ipcshare__wire_descriptor *d, const struct ipcshare__blob *b,
			    size_t i)
{
	uint64_t offset = ipcshare__descriptor_offset(d), length = ipcshare__descriptor_length(d);
	struct ipcshare__wire_region r;

	if (d->ref == IPCSHARE__REF_EMPTY)
		return length ? malformed("an empty buffer with a length; buffer", i) : 0;
	if (d->ref == IPCSHARE__REF_FAILED)
		return offset < 1 || offset > -IPCSHARE_ERR_SYSTEM
			       ? malformed("an unknown status; buffer", i)
			       : 0;
	if (d->ref >= b->nregions)
		return malformed("a region that isn't there; buffer", i);
	memcpy(&r, b->regions + d->ref * sizeof(r), sizeof(r));
	if (!length || offset > r.length || length > r.length - offset)
		return malformed("a buffer outside its region; buffer", i);
	return 0;
}

int ipcshare__blob_check(const void *bytes, size_t len, uint32_t rank, uint64_t endpoint,
			 struct ipcshare__blob *out)
{
	struct ipcshare__wire_blob head = { 0 };
	struct ipcshare__blob b;
	int err;

	memcpy(&head, bytes, len < sizeof(head) ? len : sizeof(head));
	err = head_check(&head, bytes, len, rank, endpoint);
	if (err)
		return err;
	b.descriptors = (const unsigned char *)bytes + sizeof(head);
	b.nbufs = head.nbufs;
	b.regions = b.descriptors + b.nbufs * sizeof(struct ipcshare__wire_descriptor);
	b.nregions = head.nregions;
	for (uint32_t i = 0; i < b.nregions; i++) {
		struct ipcshare__wire_region r;

		memcpy(&r, b.regions + i * sizeof(r), sizeof(r));
		err = region_check(&r, i);
		if (err)
			return err;
	}
	for (size_t i = 0; i < b.nbufs; i++) {
		struct ipcshare__wire_descriptor d;

		memcpy(&d, b.descriptors + i * sizeof(d), sizeof(d));
		err = descriptor_check(&d, &b, i);
		if (err)
			return err;
	}
	*out = b;
	return 0;
}
