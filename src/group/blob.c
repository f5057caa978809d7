/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/blob.h"

#include <errno.h>
#include <ipcshare.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "memory/region.h"

static uint64_t prefix_size(uint64_t nregions, uint64_t nindices)
{
	return ipcshare__round_up(sizeof(struct ipcshare__wire_blob) +
					  nregions * sizeof(struct ipcshare__wire_region) +
					  nindices * sizeof(uint32_t),
				  sizeof(struct ipcshare__wire_descriptor));
}

static uint64_t blob_size(uint64_t prefix, uint64_t ndescriptors)
{
	return ipcshare__round_up(prefix + ndescriptors * sizeof(struct ipcshare__wire_descriptor),
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

/*
 * Descriptors come first into the room, and what goes before them when it is known: mostly regions that all
 * ranks were told of, so little. Wherever the blob begins then, its last 64 bytes have room too.
 */
#define PREFIX_ROOM 4096

static int no_room(size_t nbufs)
{
	return ipcshare__fail_errno(ENOMEM, "share", "%zu descriptors", nbufs);
}

int ipcshare__blob_begin(struct ipcshare__blob_writer *w, struct ipcshare__blocks *blocks,
			 size_t nbufs)
{
	*w = (struct ipcshare__blob_writer){ .blocks = blocks };
	if (nbufs > IPCSHARE__BUFS_MAX ||
	    ipcshare__block_get(blocks, blob_size(PREFIX_ROOM, nbufs) + IPCSHARE__BLOB_ALIGN,
				&w->room))
		return no_room(nbufs);
	w->first = w->end = (struct ipcshare__wire_descriptor *)((char *)w->room.at + PREFIX_ROOM);
	return 0;
}

static uint32_t written(const struct ipcshare__blob_writer *w)
{
	return (uint32_t)(w->end - w->first);
}

/* The descriptors into another room, with more before them. */
static int room_grow(struct ipcshare__blob_writer *w, uint64_t prefix)
{
	const uint32_t n = written(w);
	struct ipcshare__wire_descriptor *first;
	struct ipcshare__block more;

	if (ipcshare__block_get(w->blocks, blob_size(prefix, n), &more))
		return no_room(w->nbufs);
	first = (struct ipcshare__wire_descriptor *)((char *)more.at + prefix);
	memcpy(first, w->first, n * sizeof(*first));
	ipcshare__block_put(w->blocks, &w->room);
	w->room = more;
	w->first = first;
	w->end = first + n;
	return 0;
}

static void prefix_write(const struct ipcshare__blob_frame *f, uint32_t nindices,
			 struct ipcshare__wire_blob *blob, uint64_t len)
{
	unsigned char *at = (unsigned char *)(blob + 1), *end = (unsigned char *)blob + len;

	if (f->nregions)
		memcpy(at, f->regions, f->nregions * sizeof(*f->regions));
	at += f->nregions * sizeof(*f->regions);
	for (uint32_t i = 0; i < nindices; i++, at += sizeof(uint32_t)) {
		uint32_t index = (uint32_t)f->indices[i];

		memcpy(at, &index, sizeof(index));
	}
	memset(at, 0, (size_t)(end - at));
}

int ipcshare__blob_finish(struct ipcshare__blob_writer *w, const struct ipcshare__blob_frame *f,
			  struct ipcshare__wire_blob **out)
{
	uint32_t nindices = f->set ? w->nbufs : 0;
	uint64_t prefix = prefix_size(f->nregions, nindices);
	uint64_t len = blob_size(prefix, written(w));
	struct ipcshare__wire_blob *blob;
	int err = prefix > PREFIX_ROOM ? room_grow(w, prefix) : 0;

	if (err)
		return err;
	blob = (struct ipcshare__wire_blob *)((char *)w->first - prefix);
	*blob = (struct ipcshare__wire_blob){
		.magic = IPCSHARE__MAGIC_BLOB,
		.layout = IPCSHARE__LAYOUT,
		.endpoint = f->endpoint,
		.bytes = len,
		.set = f->set,
		.nbufs = w->nbufs,
		.ndescriptors = written(w),
		.nregions = f->nregions,
		.rank = f->rank,
		.access = f->access,
	};
	prefix_write(f, nindices, blob, prefix);
	memset(w->end, 0, (size_t)((unsigned char *)blob + len - (unsigned char *)w->end));
	if (f->carried)
		blob->check = blob_sum((unsigned char *)blob, len);
	*out = blob;
	return 0;
}

/* ---- Read ---- */

int ipcshare__blob_malformed(const char *what, uint64_t where)
{
	return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "share", "pass blobs on unchanged",
			      "a blob is malformed: %s (%ju)", what, (uintmax_t)where);
}

uint64_t ipcshare__blob_prefix(const struct ipcshare__wire_blob *head)
{
	return prefix_size(head->nregions, head->set ? head->nbufs : 0);
}

int ipcshare__blob_check_form(const struct ipcshare__wire_blob *head, uint64_t len)
{
	if (len < sizeof(*head) || head->magic != IPCSHARE__MAGIC_BLOB)
		return ipcshare__blob_malformed("it has no head; its length is", len);
	if (head->layout != IPCSHARE__LAYOUT)
		return ipcshare__fail(IPCSHARE_ERR_VERSION, "share",
				      "link all ranks to one version of the library",
				      "the blob has layout %u, we have %u", head->layout,
				      IPCSHARE__LAYOUT);
	/* Room is made for as many buffers as it says, so it must at least be able to name them. */
	if (head->nbufs > IPCSHARE__BUFS_MAX || head->nregions > IPCSHARE__REGION_MAX ||
	    head->nbufs > (uint64_t)head->ndescriptors << 20 || head->bytes != len ||
	    blob_size(ipcshare__blob_prefix(head), head->ndescriptors) != len)
		return ipcshare__blob_malformed("its length does not fit its head", len);
	return 0;
}

int ipcshare__blob_check_sum(const void *bytes, size_t len)
{
	uint64_t check;

	memcpy(&check, (const char *)bytes + offsetof(struct ipcshare__wire_blob, check), 8);
	return check == blob_sum(bytes, len)
		       ? 0
		       : ipcshare__blob_malformed("a byte was altered; length", len);
}

int ipcshare__blob_check_owner(const struct ipcshare__wire_blob *head, uint32_t rank,
			       uint64_t endpoint)
{
	if (head->access != IPCSHARE__READ_ONLY && head->access != IPCSHARE__READ_WRITE)
		return ipcshare__blob_malformed("access", head->access);
	if (head->rank != rank || head->endpoint != endpoint)
		return ipcshare__fail(
			IPCSHARE_ERR_MISMATCH, "share",
			"pass the blobs of this group in rank order",
			"in place of rank %u's blob stands one of rank %u of %s group", rank,
			head->rank, head->endpoint == endpoint ? "this" : "another");
	return 0;
}

static int region_check(const struct ipcshare__wire_region *r, uint32_t i)
{
	if (r->region >= IPCSHARE__REGION_MAX || !r->generation || !r->length ||
	    r->length > PTRDIFF_MAX)
		return ipcshare__blob_malformed("a region's id, generation or length; region", i);
	if (!memchr(r->key, '\0', sizeof(r->key)))
		return ipcshare__blob_malformed("a key without end; region", i);
	return 0;
}

int ipcshare__blob_learn(const struct ipcshare__wire_blob *prefix,
			 struct ipcshare__catalog *catalog)
{
	const struct ipcshare__wire_region *r = ipcshare__blob_regions(prefix);
	int err = 0;

	for (uint32_t i = 0; i < prefix->nregions && !err; i++)
		err = region_check(&r[i], i);
	for (uint32_t i = 0; i < prefix->nregions && !err; i++)
		err = ipcshare__catalog_add(catalog, &r[i]);
	return err;
}
