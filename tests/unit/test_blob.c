/* SPDX-License-Identifier: BSD-3-Clause */
/* Blobs: written, read back, and refused when a byte is not what its owner wrote. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "group/blob.h"
#include "memory/region.h"
#include "support/test.h"

#define RANK 3
#define ENDPOINT 0x123456789abcdef0u

static const struct ipcshare__wire_descriptor descriptors[] = {
	{ .ref = 0, .offset_lo = 5, .length_lo = 10 },
	{ .ref = IPCSHARE__REF_EMPTY },
	{ .ref = 1, .offset_hi = 1, .offset_lo = 7, .length_hi = 2, .length_lo = 1 },
	{ .ref = IPCSHARE__REF_FAILED, .offset_lo = -IPCSHARE_ERR_RANGE },
	{ .ref = 0, .offset_lo = 0, .length_lo = 15 },
};
#define NBUFS (sizeof(descriptors) / sizeof(descriptors[0]))

static const struct ipcshare__wire_region regions[] = {
	{ .region = 7, .generation = 1, .length = 15, .access = IPCSHARE__READ_ONLY, .key = "k" },
	{ .region = IPCSHARE__REGION_MAX - 1, .generation = UINT32_MAX, .length = 4ull << 32,
	  .access = IPCSHARE__READ_WRITE, .key = "l" },
};

static struct ipcshare__wire_blob *make(const struct ipcshare__wire_descriptor *d, size_t n,
					const struct ipcshare__wire_region *r, uint32_t nregions)
{
	struct ipcshare__wire_blob *blob = ipcshare__blob_new(n);

	REQUIRE(blob, "no memory");
	if (n)
		memcpy(ipcshare__blob_descriptors(blob), d, n * sizeof(*d));
	blob = ipcshare__blob_finish(blob, n, r, nregions, RANK, ENDPOINT);
	REQUIRE(blob, "no memory");
	return blob;
}

static struct ipcshare__wire_blob *example(void)
{
	return make(descriptors, NBUFS, regions, 2);
}

static const struct ipcshare__blob nothing = { .nbufs = 99 };

static int check(const void *bytes, size_t len)
{
	struct ipcshare__blob out = nothing;
	int err = ipcshare__blob_check(bytes, len, RANK, ENDPOINT, &out);

	if (err)
		CHECK_INT(out.nbufs, nothing.nbufs);
	return err;
}

static void what_was_written_is_read(void)
{
	struct ipcshare__wire_blob *blob = example();
	struct ipcshare__wire_descriptor d;
	struct ipcshare__blob out;
	char *odd = malloc(blob->bytes + 1);

	CHECK_INT(blob->bytes % IPCSHARE__BLOB_ALIGN, 0);
	memcpy(odd + 1, blob, blob->bytes); /* no alignment is asked for */
	CHECK_STATUS(ipcshare__blob_check(odd + 1, blob->bytes, RANK, ENDPOINT, &out), 0);
	CHECK_INT(out.nbufs, NBUFS);
	CHECK_INT(out.nregions, 2);
	CHECK_MEM(out.descriptors, descriptors, sizeof(descriptors));
	CHECK_MEM(out.regions, regions, sizeof(regions));
	memcpy(&d, out.descriptors + 2 * sizeof(d), sizeof(d));
	CHECK_INT(ipcshare__descriptor_offset(&d), (1ull << 32) + 7);
	CHECK_INT(ipcshare__descriptor_length(&d), (2ull << 32) + 1);
	free(odd);
	free(blob);
}

static void sizes_from_nothing_to_thousands_are_read(void)
{
	static struct ipcshare__wire_descriptor many[5000];
	static struct ipcshare__wire_region one[300];

	for (size_t i = 0; i < 5000; i++)
		many[i] = (struct ipcshare__wire_descriptor){ .ref = IPCSHARE__REF_EMPTY };
	for (size_t i = 0; i < 300; i++)
		one[i] = regions[0];
	for (uint32_t n = 0; n < 300; n = 2 * n + 1) {
		struct ipcshare__wire_blob *blob = make(many, 16 * n, one, n);

		CHECK_STATUS(check(blob, blob->bytes), 0);
		free(blob);
	}
}

static void every_altered_byte_is_refused(void)
{
	struct ipcshare__wire_blob *blob = example();
	unsigned char *bytes = (unsigned char *)blob;
	size_t layout = offsetof(struct ipcshare__wire_blob, layout);

	for (size_t i = 0; i < blob->bytes; i++)
		for (int bit = 0; bit < 8; bit++) {
			size_t len = blob->bytes; /* itself a victim */
			int expected = i >= layout && i < layout + 4 ? IPCSHARE_ERR_VERSION
								     : IPCSHARE_ERR_PROTOCOL;

			bytes[i] ^= (unsigned char)(1 << bit);
			CHECK_FAILS(check(bytes, len), expected);
			bytes[i] ^= (unsigned char)(1 << bit);
		}
	CHECK_STATUS(check(bytes, blob->bytes), 0);
	free(blob);
}

/* With nothing readable behind its end. */
static void every_truncated_length_is_refused(void)
{
	struct ipcshare__wire_blob *blob = example();
	size_t page = (size_t)sysconf(_SC_PAGESIZE), len = blob->bytes;
	char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *end = two + page;

	REQUIRE(two != MAP_FAILED && !mprotect(end, page, PROT_NONE), "no guard page");
	for (size_t n = 0; n < len; n++) {
		memcpy(end - n, blob, n);
		CHECK_FAILS(check(end - n, n), IPCSHARE_ERR_PROTOCOL);
	}
	memcpy(end - len, blob, len);
	CHECK_STATUS(check(end - len, len), 0);
	munmap(two, 2 * page);
	free(blob);
}

static void another_ranks_or_groups_blob_is_a_mismatch(void)
{
	struct ipcshare__wire_blob *blob = example();
	struct ipcshare__blob out;

	CHECK_FAILS(ipcshare__blob_check(blob, blob->bytes, RANK + 1, ENDPOINT, &out),
		    IPCSHARE_ERR_MISMATCH);
	CHECK_FAILS(ipcshare__blob_check(blob, blob->bytes, RANK, ENDPOINT + 1, &out),
		    IPCSHARE_ERR_MISMATCH);
	free(blob);
}

/* ---- Lies: the checksum is right, what it covers is not ---- */

static void check_lie(struct ipcshare__wire_descriptor d, struct ipcshare__wire_region r)
{
	struct ipcshare__wire_blob *blob = make(&d, 1, &r, 1);

	CHECK_FAILS(check(blob, blob->bytes), IPCSHARE_ERR_PROTOCOL);
	free(blob);
}

static void lies_about_buffers_are_refused(void)
{
	struct ipcshare__wire_region r = regions[0];
	struct ipcshare__wire_descriptor d = { .ref = 0, .length_lo = 15 };
	struct ipcshare__wire_blob *blob = make(&d, 1, &r, 1);

	CHECK_STATUS(check(blob, blob->bytes), 0);
	free(blob);
	d.length_lo = 16; /* past the end */
	check_lie(d, r);
	d = (struct ipcshare__wire_descriptor){ .ref = 0, .length_lo = 1, .offset_lo = 15 };
	check_lie(d, r);
	d = (struct ipcshare__wire_descriptor){ .ref = 0, .length_lo = 1, .offset_hi = 0xffff };
	check_lie(d, r);
	d = (struct ipcshare__wire_descriptor){ .ref = 0, .length_hi = 0xffff, .offset_lo = 1 };
	check_lie(d, r);
	d = (struct ipcshare__wire_descriptor){ .ref = 0 }; /* empty, but not said so */
	check_lie(d, r);
	d = (struct ipcshare__wire_descriptor){ .ref = 1, .length_lo = 1 };
	check_lie(d, r);
	d = (struct ipcshare__wire_descriptor){ .ref = IPCSHARE__REF_EMPTY, .length_lo = 1 };
	check_lie(d, r);
	d = (struct ipcshare__wire_descriptor){ .ref = IPCSHARE__REF_FAILED }; /* of success */
	check_lie(d, r);
	d.offset_lo = -IPCSHARE_ERR_SYSTEM + 1;
	check_lie(d, r);
	d.offset_lo = 1;
	d.offset_hi = 1;
	check_lie(d, r);
}

static void lies_about_regions_are_refused(void)
{
	struct ipcshare__wire_descriptor d = { .ref = 0, .length_lo = 1 };
	struct ipcshare__wire_region r = regions[0];

	r.region = IPCSHARE__REGION_MAX;
	check_lie(d, r);
	r = regions[0];
	r.generation = 0;
	check_lie(d, r);
	r = regions[0];
	r.length = 0;
	check_lie(d, r);
	r.length = UINT64_MAX;
	check_lie(d, r);
	r = regions[0];
	r.access = 0;
	check_lie(d, r);
	r.access = 3;
	check_lie(d, r);
	r = regions[0];
	memset(r.key, 'x', sizeof(r.key));
	check_lie(d, r);
}

/* Counts for which lengths would overflow, signed as the owner would sign them. */
static void lies_about_counts_are_refused(void)
{
	static const uint64_t nbufs[] = { 0, 1, 6, 1u << 20, (uint64_t)1 << 40, (uint64_t)1 << 60,
					  UINT64_MAX, UINT64_MAX / 16, UINT64_MAX / 16 + 6 };
	struct ipcshare__wire_blob *blob = example();
	size_t len = blob->bytes, at = offsetof(struct ipcshare__wire_blob, check);

	for (size_t i = 0; i < sizeof(nbufs) / sizeof(nbufs[0]); i++)
		for (uint32_t nregions = 0; nregions < 8; nregions++) {
			blob->nbufs = nbufs[i];
			blob->nregions = nregions == 7 ? UINT32_MAX : nregions;
			blob->check = ipcshare__checksum(0, blob, at);
			blob->check = ipcshare__checksum(blob->check, (char *)blob + at + 8,
							 len - at - 8);
			CHECK_FAILS(check(blob, len), IPCSHARE_ERR_PROTOCOL);
		}
	free(blob);
	CHECK_PTR(ipcshare__blob_new(SIZE_MAX), NULL);
	CHECK_PTR(ipcshare__blob_new(SIZE_MAX / 16 + 1), NULL);
}

TEST_SUITE(blob, NULL, NULL,
	TEST(what_was_written_is_read),
	TEST(sizes_from_nothing_to_thousands_are_read),
	TEST(every_altered_byte_is_refused),
	TEST(every_truncated_length_is_refused),
	TEST(another_ranks_or_groups_blob_is_a_mismatch),
	TEST(lies_about_buffers_are_refused),
	TEST(lies_about_regions_are_refused),
	TEST(lies_about_counts_are_refused));
