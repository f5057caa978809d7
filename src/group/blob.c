/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/blob.h"

#include <errno.h>
#include <ipcshare.h>

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

int ipcshare__blob_begin(struct ipcshare__blob_writer *w, struct ipcshare__blocks *blocks,
			 size_t nbufs)
{
	*w = (struct ipcshare__blob_writer){ .blocks = blocks };
	if (nbufs > IPCSHARE__BUFS_MAX ||
	    ipcshare__block_get(blocks, size_of(nbufs, 0, 0), &w->room))
		return no_room(nbufs);
	w->end = (struct ipcshare__wire_descriptor *)((char *)w->room.at +
						      sizeof(struct ipcshare__wire_blob));
	return 0;
}

/* Many regions may need more room than their buffers. */
static int room_grow(struct ipcshare__blob_writer *w, size_t used, size_t len)
{
	struct ipcshare__block more;

	if (len <= w->room.size)
		return 0;
	if (ipcshare__block_get(w->blocks, len, &more))
		return no_room(w->nbufs);
	memcpy(more.at, w->room.at, used);
	ipcshare__block_put(w->blocks, &w->room);
	w->room = more;
	return 0;
}

int ipcshare__blob_finish(struct ipcshare__blob_writer *w, const struct ipcshare__blob_frame *f)
{
	uint32_t nindices = f->set ? w->nbufs : 0;
	size_t len = size_of(w->ndescriptors, f->nregions, nindices);
	size_t used = sizeof(struct ipcshare__wire_blob) +
		      w->ndescriptors * sizeof(struct ipcshare__wire_descriptor);
	struct ipcshare__wire_blob *blob;
	unsigned char *bytes;
	int err = room_grow(w, used, len);

	if (err)
		return err;
	blob = w->room.at;
	bytes = w->room.at;
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

/* ---- Descriptors ---- */

/*
 * What descriptors of a region are held against. Looked up once for many: ids are small, so that those of
 * fewer than PLACES regions mostly have a place each.
 */
#define PLACES 64u
struct place {
	uint64_t what; /* region << 44; a region that belongs elsewhere: none yet */
	uint64_t where; /* low 20 bits of the generation << 44 */
	uint64_t length; /* of the region */
	uint32_t ref;
};

struct reader {
	const struct ipcshare__blob *blob;
	const struct ipcshare__catalog *catalog;
	ipcshare__place_fn *place;
	void *arg;
	uint32_t *refs;
	size_t n; /* buffers so far */
	struct place places[PLACES];
};

static int place_load(struct reader *rd, uint32_t region, uint32_t i, struct place *out)
{
	const struct ipcshare__known *known = ipcshare__catalog_find(rd->catalog, region);
	struct place p;
	int err;

	if (!known)
		return malformed("a region that nobody told of; descriptor", i);
	p = (struct place){
		.what = (uint64_t)region << 44,
		.where = (uint64_t)(known->generation & IPCSHARE__LOW20) << 44,
		.length = known->length,
	};
	err = rd->place(rd->arg, region, &p.ref);
	if (!err)
		*out = p;
	return err;
}

/* How much later its last buffer ends than the one before it: 20 bits times 44 don't overflow. */
static uint64_t run_reach(struct ipcshare__wire_descriptor run)
{
	return ipcshare__descriptor_high(run) * ipcshare__descriptor_low(run);
}

/* @rest: bytes of the region behind the buffer before it; 0 if that was none. */
static int run_read(struct reader *rd, struct ipcshare__wire_descriptor run, uint32_t ref,
		    uint64_t rest, uint32_t i)
{
	uint32_t more = ipcshare__descriptor_high(run);

	if (!run_reach(run))
		return malformed("a run of nothing; descriptor", i);
	if (run_reach(run) > rest)
		return malformed("a run past the end of its region; descriptor", i);
	if (more > rd->blob->nbufs - rd->n)
		return malformed("more buffers than it says; descriptor", i);
	for (uint32_t k = 0; k < more; k++)
		rd->refs[rd->n + k] = ref;
	rd->n += more;
	return 0;
}

static int nothing_read(struct reader *rd, struct ipcshare__wire_descriptor d, uint32_t i)
{
	uint32_t what = ipcshare__descriptor_what(d);

	if (what != IPCSHARE__EMPTY && what != IPCSHARE__FAILED)
		return malformed("a special descriptor of no kind; descriptor", i);
	if (what == IPCSHARE__EMPTY && d.where)
		return malformed("an empty buffer with an address; descriptor", i);
	if (what == IPCSHARE__FAILED && (d.where < 1 || d.where > -IPCSHARE_ERR_SYSTEM))
		return malformed("an unknown status; descriptor", i);
	if (rd->n == rd->blob->nbufs)
		return malformed("more buffers than it says; descriptor", i);
	rd->refs[rd->n++] = IPCSHARE__NO_REGION | (uint32_t)d.where;
	return 0;
}

static int descriptors_read(struct reader *rd)
{
	const struct ipcshare__blob *b = rd->blob;
	const struct place *p = NULL;
	uint64_t rest = 0, end;
	int err = 0;

	for (uint32_t i = 0; i < b->ndescriptors && !err; i++) {
		struct ipcshare__wire_descriptor d = ipcshare__blob_at(b, i);

		if (__builtin_expect(!ipcshare__descriptor_length(d), 0)) {
			err = ipcshare__descriptor_what(d) == IPCSHARE__RUN
				      ? run_read(rd, d, p ? p->ref : 0, rest, i)
				      : nothing_read(rd, d, i);
			rest = 0;
			continue;
		}
		p = &rd->places[ipcshare__descriptor_what(d) % PLACES];
		if (__builtin_expect((d.what ^ p->what) >> 44, 0)) {
			err = place_load(rd, ipcshare__descriptor_what(d), i,
					 &rd->places[ipcshare__descriptor_what(d) % PLACES]);
			if (err)
				return err;
		}
		if (__builtin_expect((d.where ^ p->where) >> 44, 0))
			return malformed("a region that is another now; descriptor", i);
		end = ipcshare__descriptor_low(d) + ipcshare__descriptor_length(d);
		if (__builtin_expect(end > p->length, 0))
			return malformed("a buffer outside its region; descriptor", i);
		if (__builtin_expect(rd->n == b->nbufs, 0))
			return malformed("more buffers than it says; descriptor", i);
		rest = p->length - end;
		rd->refs[rd->n++] = p->ref;
	}
	return err;
}

int ipcshare__blob_read(const struct ipcshare__blob *b, const struct ipcshare__catalog *catalog,
			ipcshare__place_fn *place, void *arg, uint32_t *refs)
{
	struct reader rd = {
		.blob = b, .catalog = catalog, .place = place, .arg = arg, .refs = refs,
	};
	int err;

	for (uint32_t i = 0; i < PLACES; i++)
		rd.places[i].what = (uint64_t)(i ^ 1) << 44;
	err = descriptors_read(&rd);
	if (!err && rd.n != b->nbufs)
		err = malformed("not as many buffers as it says, but", rd.n);
	return err;
}
