/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feeds: what another rank says in all rounds of a share, a lazy share or an update, or the blob that a user
 * carries into ipcshare_share_complete(): headers, blobs, verdicts and details, all altered.
 * Must hold: a named status and no set, or a set whose every pointer can be read from its first byte to its
 * last; the set can be freed whatever the other says then; no leak.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "group/blob.h"
#include "member.h"

#define OURS 5
#define REPEAT_MOST 10000 /* descriptors that the input adds to the other's blob */

enum way { SHARE, LAZY, UPDATE, COMPLETE, WAYS };

static const size_t indices[OURS] = { 4, 0, 2, 1, 3 };

static void ours_fill(struct ipcshare_buf *bufs)
{
	for (size_t i = 0; i < OURS; i++)
		bufs[i] = (struct ipcshare_buf){ fuzz_member_ours() + 4096 * i * i, 64 * i + 1 };
}

static void set_read(struct ipcshare_set *set, int lazy)
{
	for (int r = 0; r < 2; r++)
		for (size_t i = 0; i < set->rows[r].count; i += 1 + i / 64) {
			size_t len = ipcshare_len(set, r, i);
			void *ptr = lazy ? ipcshare_ptr_lazy(set, r, i) : ipcshare_ptr(set, r, i);

			fuzz_member_read(ptr, len);
			fuzz_status(ipcshare_set_status(set, r, i), 0);
			FUZZ_REQUIRE(!ptr || !ipcshare_set_status(set, r, i));
		}
}

/* The other's blob: with the last descriptor @more times again, and altered. */
static unsigned char *blob_make(struct ipcshare_group *g, size_t more, const struct fuzz_edits *edits,
				uint64_t serial, size_t *out)
{
	size_t len, room = 4096 + more * sizeof(struct ipcshare__wire_descriptor), end;
	unsigned char *blob = fuzz_member_blob(g, room + 4096, &len);
	struct ipcshare__wire_blob head;

	memcpy(&head, blob, sizeof(head));
	end = ipcshare__blob_prefix(&head) + head.ndescriptors * sizeof(struct ipcshare__wire_descriptor);
	if (serial) { /* which buffers it is about stands before the descriptors */
		size_t at = ipcshare__blob_prefix(&head), n = OURS * sizeof(uint32_t), to;

		head.set = serial;
		head.nbufs = OURS;
		head.ndescriptors = OURS - 1; /* one is a run of two */
		to = ipcshare__blob_prefix(&head);
		memmove(blob + to, blob + at, head.ndescriptors * sizeof(struct ipcshare__wire_descriptor));
		memset(blob + at, 0, to - at);
		for (uint32_t i = 0; i < n / sizeof(i); i++)
			memcpy(blob + at + i * sizeof(i), &i, sizeof(i));
		end = to + head.ndescriptors * sizeof(struct ipcshare__wire_descriptor);
	}
	for (size_t i = 0; i < more; i++, end += sizeof(struct ipcshare__wire_descriptor))
		memcpy(blob + end, blob + end - sizeof(struct ipcshare__wire_descriptor),
		       sizeof(struct ipcshare__wire_descriptor));
	head.nbufs += (uint32_t)more;
	head.ndescriptors += (uint32_t)more;
	head.bytes = ipcshare__round_up(end, IPCSHARE__BLOB_ALIGN);
	memcpy(blob, &head, sizeof(head));
	fuzz_alter(edits, 0, MEMBER_BLOB, blob, head.bytes); /* anywhere */
	fuzz_alter(edits, 1, MEMBER_BLOB, blob, sizeof(head)); /* in the head */
	*out = head.bytes;
	return blob;
}

static void blob_mend(unsigned char *blob, size_t len)
{
	size_t at = offsetof(struct ipcshare__wire_blob, check);
	uint64_t sum = ipcshare__checksum(ipcshare__checksum(0, blob, at), blob + at + 8, len - at - 8);

	memcpy(blob + at, &sum, sizeof(sum));
}

static void share(struct ipcshare_group *g, const struct fuzz_edits *edits, const unsigned char *blob,
		  size_t len, unsigned flags)
{
	struct ipcshare_set *set = (struct ipcshare_set *)16;
	struct ipcshare_buf bufs[OURS];
	int err;

	ours_fill(bufs);
	fuzz_member_begin(g, edits, blob, len);
	err = fuzz_status(ipcshare_share(g, bufs, OURS, flags, &set), 1);
	FUZZ_REQUIRE(!err == (set != (struct ipcshare_set *)16));
	if (!err) {
		set_read(set, flags & IPCSHARE_LAZY);
		fuzz_status(ipcshare_set_free(set), 1);
	}
	fuzz_member_end(g);
}

/* A good set, and a bad update. */
static void update(struct ipcshare_group *g, const struct fuzz_edits *edits, size_t more, unsigned flags)
{
	static const struct fuzz_edits none;
	struct ipcshare_buf bufs[OURS];
	struct ipcshare_set *set;
	unsigned char *blob;
	size_t len;

	ours_fill(bufs);
	blob = blob_make(g, 0, &none, 0, &len);
	fuzz_member_begin(g, &none, blob, len);
	FUZZ_REQUIRE(!ipcshare_share(g, bufs, OURS, flags & IPCSHARE_LAZY, &set));
	free(blob);
	blob = blob_make(g, more, edits, g->sets_made, &len);
	fuzz_member_begin(g, edits, blob, len);
	fuzz_status(ipcshare_set_update(set, indices, bufs, OURS, flags & ~(unsigned)IPCSHARE_LAZY), 1);
	set_read(set, flags & IPCSHARE_LAZY);
	fuzz_status(ipcshare_set_free(set), 1);
	fuzz_member_end(g);
	free(blob);
}

/* The bytes come through the user, in memory of just their length. */
static void complete(struct ipcshare_group *g, const unsigned char *altered, size_t len)
{
	struct ipcshare_set *set = (struct ipcshare_set *)16;
	struct ipcshare_buf bufs[OURS];
	struct ipcshare_share *s;
	const void *blobs[2];
	unsigned char *blob = malloc(len + !len);
	size_t lens[2];
	int err;

	ours_fill(bufs);
	memcpy(blob, altered, len);
	FUZZ_REQUIRE(!ipcshare_share_begin(g, bufs, OURS, 0, &s, &blobs[g->rank], &lens[g->rank]));
	blobs[!g->rank] = blob;
	lens[!g->rank] = len;
	err = fuzz_status(ipcshare_share_complete(s, blobs, lens, &set), 1);
	FUZZ_REQUIRE(!err == (set != (struct ipcshare_set *)16));
	if (!err) {
		set_read(set, 0);
		FUZZ_REQUIRE(!ipcshare_set_free(set));
	} else {
		FUZZ_REQUIRE(!ipcshare_share_cancel(s));
	}
	fuzz_member_end(g);
	free(blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input in = { bytes, len };
	enum way way = (enum way)fuzz_below(&in, WAYS);
	struct ipcshare_group *g = fuzz_member_group((unsigned)fuzz_take(&in, 1));
	unsigned flags = fuzz_take(&in, 1) & 1 ? IPCSHARE_ALL_OR_NOTHING : 0;
	size_t more = fuzz_below(&in, REPEAT_MOST), cut = (size_t)fuzz_take(&in, 1), n;
	struct fuzz_edits edits;
	unsigned char *blob;

	fuzz_edits(&in, &edits);
	flags |= way == LAZY ? IPCSHARE_LAZY : 0;
	if (way == UPDATE) {
		update(g, &edits, more, flags | (cut & 1 ? IPCSHARE_LAZY : 0));
		return 0;
	}
	blob = blob_make(g, more, &edits, 0, &n);
	if (way == COMPLETE) {
		if (cut < 128) /* else as if it were altered on its way */
			blob_mend(blob, n);
		complete(g, blob, cut & 1 ? n - (cut & 126) : n);
	} else {
		share(g, &edits, blob, n, flags);
	}
	free(blob);
	return 0;
}
