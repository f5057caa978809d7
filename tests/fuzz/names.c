/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feeds: packed buffers, handles and 16-byte descriptors of another process, altered, with sums that are
 * right again or not: to ipcshare_map(), _map_handle(), _lookup() and _resolve().
 * Must hold: a named status and outputs untouched, or a pointer that can be read from the first byte named to
 * the last; unmapped, nothing is held.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/descriptor.h"
#include "member.h"

#define MAGIC ((void *)16)

enum way { MAP, MAP_HANDLE, LOOKUP, RESOLVE, WAYS };

static void handle_mend(struct ipcshare__wire_handle *h)
{
	uint64_t sum = ipcshare__checksum(0, h, offsetof(struct ipcshare__wire_handle, check));

	sum = ipcshare__checksum(sum, &h->region, sizeof(*h) - offsetof(struct ipcshare__wire_handle, region));
	h->check = (uint32_t)(sum ^ sum >> 32);
}

static void packed_mend(struct ipcshare__wire_packed *p)
{
	handle_mend(&p->handle);
	p->check = ipcshare__checksum32(p, offsetof(struct ipcshare__wire_packed, check));
}

static size_t length(const struct ipcshare__wire_packed *p)
{
	return (size_t)p->length_hi << 32 | p->length_lo;
}

static void map(enum way way, const struct fuzz_edits *edits, int mend)
{
	struct ipcshare_ctx *ctx = fuzz_member_ctx();
	struct ipcshare_packed packed;
	struct ipcshare_handle handle;
	struct ipcshare__wire_packed p;
	void *truly = NULL, *ptr = MAGIC;
	size_t len = 77;
	int err;

	fuzz_member_packed(&packed, &handle);
	if (way == LOOKUP) /* what it may find */
		FUZZ_REQUIRE(!ipcshare_map(ctx, &packed, &truly));
	memcpy(&p, &packed, sizeof(p));
	if (way == MAP_HANDLE)
		memcpy(&p.handle, &handle, sizeof(p.handle));
	fuzz_alter(edits, 0, 0, &p, sizeof(p));
	if (mend)
		packed_mend(&p);
	memcpy(&packed, &p, sizeof(p));
	memcpy(&handle, &p.handle, sizeof(handle));
	err = fuzz_status(way == MAP_HANDLE ? ipcshare_map_handle(ctx, &handle, &ptr, &len)
			  : way == LOOKUP   ? ipcshare_lookup(ctx, &packed, &ptr)
					    : ipcshare_map(ctx, &packed, &ptr), 1);
	if (err)
		FUZZ_REQUIRE(ptr == MAGIC && len == 77);
	else
		fuzz_member_read(ptr, way == MAP_HANDLE ? len : length(&p));
	if (!err && way != LOOKUP)
		FUZZ_REQUIRE(!ipcshare_unmap(ctx, ptr));
	if (truly)
		FUZZ_REQUIRE(!ipcshare_unmap(ctx, truly));
}

/* The set is a true one; the descriptors came over some transport. */
static void resolve(const struct fuzz_edits *edits, int rank)
{
	static const struct fuzz_edits none;
	struct ipcshare_group *g = fuzz_member_group(0);
	struct ipcshare_buf buf = { fuzz_member_ours(), 1000 };
	struct ipcshare_descriptor d[3];
	struct ipcshare_set *set;
	void *ptrs[3] = { MAGIC, MAGIC, MAGIC };
	size_t len, lens[3];
	unsigned char *blob = fuzz_member_blob(g, 0, &len);

	fuzz_member_begin(g, &none, blob, len);
	FUZZ_REQUIRE(!ipcshare_share(g, &buf, 1, 0, &set));
	for (int i = 0; i < 3; i++)
		FUZZ_REQUIRE(!ipcshare_describe(set, &buf, 1, &d[i]));
	fuzz_alter(edits, 0, 0, d, sizeof(d));
	if (fuzz_status(ipcshare_resolve(set, rank, d, 3, ptrs, lens), 1)) {
		FUZZ_REQUIRE(ptrs[0] == MAGIC && ptrs[1] == MAGIC && ptrs[2] == MAGIC);
		FUZZ_REQUIRE(ipcshare_last_error()->index >= 0 && ipcshare_last_error()->index < 3);
	} else {
		for (int i = 0; i < 3; i++)
			fuzz_member_read(ptrs[i], lens[i]);
	}
	FUZZ_REQUIRE(!ipcshare_set_free(set));
	fuzz_member_end(g);
	free(blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input in = { bytes, len };
	unsigned way = (unsigned)fuzz_take(&in, 1), how = (unsigned)fuzz_take(&in, 1);
	struct fuzz_edits edits;

	fuzz_edits(&in, &edits);
	fuzz_member_group(0);
	if (way % WAYS == RESOLVE)
		resolve(&edits, how & 1);
	else
		map((enum way)(way % WAYS), &edits, how & 1);
	return 0;
}
