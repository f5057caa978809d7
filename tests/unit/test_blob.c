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

static const struct ipcshare__wire_region regions[] = {
	{ .region = 7, .generation = 1, .length = 15, .key = "k" },
	{ .region = IPCSHARE__REGION_MAX - 1, .generation = UINT32_MAX, .length = 4ull << 32, .key = "l" },
};

static const struct ipcshare__wire_region one = { .region = 5, .generation = 2, .length = 1000 };

/* The descriptors of the example; no three of them make a run. */
#define NBUFS 5
static void example_descriptors(struct ipcshare__wire_descriptor d[NBUFS])
{
	d[0] = ipcshare__descriptor(7, 1, 5, 10);
	d[1] = ipcshare__descriptor_special(IPCSHARE__EMPTY, 0, 0);
	d[2] = ipcshare__descriptor(IPCSHARE__REGION_MAX - 1, UINT32_MAX, (1ull << 32) + 7,
				    (2ull << 32) + 1);
	d[3] = ipcshare__descriptor_special(IPCSHARE__FAILED, 0, -IPCSHARE_ERR_RANGE);
	d[4] = ipcshare__descriptor(7, 1, 0, 15);
}

static struct ipcshare__blocks blocks = { .lock = PTHREAD_MUTEX_INITIALIZER }; /* keeps nothing */

static struct ipcshare__wire_blob *write_all(const struct ipcshare__wire_descriptor *d, size_t n,
					     const struct ipcshare__wire_region *r,
					     uint32_t nregions, const size_t *indices)
{
	struct ipcshare__blob_frame frame = {
		.rank = RANK, .endpoint = ENDPOINT, .access = IPCSHARE__READ_ONLY,
		.regions = r, .nregions = nregions, .set = indices ? 9 : 0, .indices = indices,
		.carried = true,
	};
	struct ipcshare__wire_blob *blob;
	struct ipcshare__blob_writer w;

	REQUIRE_OK(ipcshare__blob_begin(&w, &blocks, n));
	for (size_t i = 0; i < n; i++)
		ipcshare__blob_add(&w, d[i]);
	REQUIRE_OK(ipcshare__blob_finish(&w, &frame));
	blob = w.room.at;
	blob = memcpy(malloc(blob->bytes), blob, blob->bytes); /* of a length that tools can watch */
	ipcshare__block_put(&blocks, &w.room);
	return blob;
}

static struct ipcshare__wire_blob *example(void)
{
	static const size_t indices[NBUFS] = { 4, 3, 2, 1, 99 };
	struct ipcshare__wire_descriptor d[NBUFS];

	example_descriptors(d);
	return write_all(d, NBUFS, regions, 2, indices);
}

static const struct ipcshare__blob nothing = { .nbufs = 99 };

static int place(void *arg, uint32_t region, uint32_t *ref)
{
	(void)arg;
	*ref = region;
	return 0;
}

/* References are the regions' own numbers here; a tool would see a write behind the last. */
static int read_descriptors(const struct ipcshare__blob *b, const struct ipcshare__catalog *catalog)
{
	uint32_t *refs = malloc(b->nbufs * sizeof(*refs) + !b->nbufs);
	int err = ipcshare__blob_read(b, catalog, place, NULL, refs);

	free(refs);
	return err;
}

/* As a share takes it: the form, its regions, and the descriptors. */
static int check(const void *bytes, size_t len)
{
	struct ipcshare__catalog catalog = { 0 };
	struct ipcshare__blob out = nothing;
	int err = ipcshare__blob_check(bytes, len, RANK, ENDPOINT, true, &out);

	if (err) {
		CHECK_INT(out.nbufs, nothing.nbufs);
		return err;
	}
	REQUIRE_OK(ipcshare__blob_learn(&out, &catalog));
	err = read_descriptors(&out, &catalog);
	ipcshare__catalog_clear(&catalog);
	return err;
}

/* Descriptor @i of a blob, which is unaligned. */
static void check_descriptor(const struct ipcshare__blob *b, uint32_t i,
			     struct ipcshare__wire_descriptor expected)
{
	struct ipcshare__wire_descriptor d = ipcshare__blob_at(b, i);

	CHECK_MEM(&d, &expected, sizeof(d));
}

static void what_was_written_is_read(void)
{
	struct ipcshare__wire_blob *blob = example();
	struct ipcshare__wire_descriptor d[NBUFS];
	struct ipcshare__blob out;
	char *odd = malloc(blob->bytes + 1);

	example_descriptors(d);
	CHECK_INT(blob->bytes % IPCSHARE__BLOB_ALIGN, 0);
	memcpy(odd + 1, blob, blob->bytes); /* no alignment is asked for */
	CHECK_STATUS(ipcshare__blob_check(odd + 1, blob->bytes, RANK, ENDPOINT, true, &out), 0);
	CHECK_INT(out.nbufs, NBUFS);
	CHECK_INT(out.ndescriptors, NBUFS);
	CHECK_INT(out.nregions, 2);
	CHECK_INT(out.set, 9);
	CHECK_INT(out.access, IPCSHARE__READ_ONLY);
	CHECK_MEM(out.regions, regions, sizeof(regions));
	for (uint32_t i = 0; i < NBUFS; i++)
		check_descriptor(&out, i, d[i]);
	CHECK_INT(ipcshare__blob_index(&out, 0), 4);
	CHECK_INT(ipcshare__blob_index(&out, 4), 99);
	CHECK_INT(ipcshare__descriptor_what(d[2]), IPCSHARE__REGION_MAX - 1);
	CHECK_INT(ipcshare__descriptor_high(d[2]), 0xfffff);
	CHECK_INT(ipcshare__descriptor_low(d[2]), (1ull << 32) + 7);
	CHECK_INT(ipcshare__descriptor_length(d[2]), (2ull << 32) + 1);
	CHECK_STATUS(check(blob, blob->bytes), 0);
	free(odd);
	free(blob);
}

static void sizes_from_nothing_to_thousands_are_read(void)
{
	static struct ipcshare__wire_descriptor many[5000];
	static struct ipcshare__wire_region same[300];

	for (size_t i = 0; i < 5000; i++)
		many[i] = ipcshare__descriptor_special(IPCSHARE__EMPTY, 0, 0);
	for (size_t i = 0; i < 300; i++)
		same[i] = regions[0];
	for (uint32_t n = 0; n < 300; n = 2 * n + 1) {
		struct ipcshare__wire_blob *blob = write_all(many, 16 * n, same, n, NULL);

		CHECK_STATUS(check(blob, blob->bytes), 0);
		free(blob);
	}
}

/* ---- Runs ---- */

/* @n buffers of 4 bytes in region one, @stride apart. */
static struct ipcshare__wire_blob *evenly(uint32_t n, uint64_t stride)
{
	struct ipcshare__wire_descriptor *d = malloc(n * sizeof(*d));
	struct ipcshare__wire_blob *blob;

	for (uint32_t i = 0; i < n; i++)
		d[i] = ipcshare__descriptor(5, 2, 10 + i * stride, 4);
	blob = write_all(d, n, &one, 1, NULL);
	free(d);
	return blob;
}

static void three_buffers_at_one_distance_are_a_run(void)
{
	for (uint32_t n = 1; n < 200; n++) {
		struct ipcshare__wire_blob *blob = evenly(n, 4);
		struct ipcshare__blob out = ipcshare__blob_view(blob);

		CHECK_STATUS(check(blob, blob->bytes), 0);
		CHECK_INT(out.nbufs, n);
		CHECK_INT(out.ndescriptors, n < 3 ? n : 2);
		check_descriptor(&out, 0, ipcshare__descriptor(5, 2, 10, 4));
		if (n > 2)
			check_descriptor(&out, 1,
					 ipcshare__descriptor_special(IPCSHARE__RUN, n - 1, 4));
		free(blob);
	}
}

static void what_breaks_a_run_ends_it(void)
{
	const struct ipcshare__wire_descriptor d[] = {
		ipcshare__descriptor(5, 2, 0, 4), ipcshare__descriptor(5, 2, 8, 4),
		ipcshare__descriptor(5, 2, 16, 4), ipcshare__descriptor(5, 2, 25, 4),
		ipcshare__descriptor(5, 2, 33, 5), ipcshare__descriptor(5, 2, 41, 5),
		ipcshare__descriptor(5, 2, 33, 5), ipcshare__descriptor(5, 2, 25, 5), /* back */
		ipcshare__descriptor(5, 2, 25, 5), ipcshare__descriptor(5, 2, 25, 5), /* again */
		ipcshare__descriptor_special(IPCSHARE__FAILED, 0, 1),
		ipcshare__descriptor_special(IPCSHARE__FAILED, 0, 2),
		ipcshare__descriptor_special(IPCSHARE__FAILED, 0, 3),
		ipcshare__descriptor(6, 2, 1, 1), ipcshare__descriptor(5, 2, 2, 1),
		ipcshare__descriptor(6, 2, 3, 1),
	};
	const uint32_t n = sizeof(d) / sizeof(d[0]);
	struct ipcshare__wire_blob *blob = write_all(d, n, &one, 1, NULL);
	struct ipcshare__blob out = ipcshare__blob_view(blob);

	CHECK_INT(out.nbufs, n);
	REQUIRE_INT(out.ndescriptors, n - 1);
	check_descriptor(&out, 0, d[0]);
	check_descriptor(&out, 1, ipcshare__descriptor_special(IPCSHARE__RUN, 2, 8));
	for (uint32_t i = 3; i < n; i++)
		check_descriptor(&out, i - 1, d[i]);
	free(blob);
}

/* A run counts to 2^20 - 1 more; then the next begins. */
static void a_million_even_buffers_are_a_few_descriptors(void)
{
	const uint32_t n = 3 << 20;
	struct ipcshare__wire_blob *blob = evenly(n, 16);
	struct ipcshare__blob out = ipcshare__blob_view(blob);
	uint64_t sum = 0;

	CHECK_INT(out.nbufs, n);
	CHECK(out.ndescriptors < 10, "%u descriptors", out.ndescriptors);
	for (uint32_t i = 0; i < out.ndescriptors; i++) {
		struct ipcshare__wire_descriptor d = ipcshare__blob_at(&out, i);

		if (!ipcshare__descriptor_length(d))
			sum += ipcshare__descriptor_high(d);
		else /* each begins where the one before has ended */
			CHECK_INT(ipcshare__descriptor_low(d), 10 + 16 * sum);
		sum += ipcshare__descriptor_length(d) != 0;
	}
	CHECK_INT(sum, n);
	free(blob);
}

/* ---- Altered bytes ---- */

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

	CHECK_FAILS(ipcshare__blob_check(blob, blob->bytes, RANK + 1, ENDPOINT, true, &out),
		    IPCSHARE_ERR_MISMATCH);
	CHECK_FAILS(ipcshare__blob_check(blob, blob->bytes, RANK, ENDPOINT + 1, true, &out),
		    IPCSHARE_ERR_MISMATCH);
	free(blob);
}

/* ---- Lies: the checksum is right, what it covers is not ---- */

/* What the owner's own code would not write: the bytes as they are told, and signed. */
struct lie {
	struct ipcshare__wire_blob head;
	struct ipcshare__wire_descriptor d[3];
	struct ipcshare__wire_region r;
	char pad[64];
};

static void sign(struct ipcshare__wire_blob *blob, size_t len)
{
	size_t at = offsetof(struct ipcshare__wire_blob, check);

	blob->check = ipcshare__checksum(0, blob, at);
	blob->check = ipcshare__checksum(blob->check, (char *)blob + at + 8, len - at - 8);
}

/* @n descriptors, the region one behind them. */
static int tell(const struct ipcshare__wire_descriptor *d, uint32_t n, uint32_t nbufs,
		struct ipcshare__wire_region r)
{
	struct lie lie = { .head = {
		.magic = IPCSHARE__MAGIC_BLOB, .layout = IPCSHARE__LAYOUT, .endpoint = ENDPOINT,
		.bytes = ipcshare__round_up(sizeof(lie.head) + n * sizeof(*d) + sizeof(r), 64),
		.nbufs = nbufs, .ndescriptors = n, .nregions = 1, .rank = RANK,
		.access = IPCSHARE__READ_WRITE,
	} };

	memcpy(lie.d, d, n * sizeof(*d));
	memcpy(&lie.d[n], &r, sizeof(r));
	sign(&lie.head, lie.head.bytes);
	return check(&lie, lie.head.bytes);
}

#define BUFFER(region, generation, offset, length)                                                 \
	ipcshare__descriptor(region, generation, offset, length)
#define SPECIAL(what, high, low)                                                                   \
	ipcshare__descriptor_special((enum ipcshare__special)(what), high, low)

static void check_lie(struct ipcshare__wire_descriptor d)
{
	CHECK_FAILS(tell(&d, 1, 1, one), IPCSHARE_ERR_PROTOCOL);
}

static void lies_about_buffers_are_refused(void)
{
	struct ipcshare__wire_descriptor d = BUFFER(5, 2, 0, 1000);

	CHECK_STATUS(tell(&d, 1, 1, one), 0);
	check_lie(BUFFER(5, 2, 0, 1001)); /* past the end */
	check_lie(BUFFER(5, 2, 1000, 1));
	check_lie(BUFFER(5, 2, IPCSHARE__REACH - 1, 1));
	check_lie(BUFFER(5, 2, 1, IPCSHARE__REACH - 1));
	check_lie(BUFFER(5, 2, IPCSHARE__REACH - 1, IPCSHARE__REACH - 1));
	check_lie(BUFFER(5, 3, 0, 1)); /* another generation */
	check_lie(BUFFER(5, 0, 0, 1));
	check_lie(BUFFER(4, 2, 0, 1)); /* nobody told of it */
	check_lie(BUFFER(IPCSHARE__REGION_MAX - 1, 2, 0, 1));
	check_lie(SPECIAL(IPCSHARE__EMPTY, 0, 1));
	check_lie(SPECIAL(IPCSHARE__EMPTY, 1, 0));
	check_lie(SPECIAL(IPCSHARE__FAILED, 0, 0)); /* of success */
	check_lie(SPECIAL(IPCSHARE__FAILED, 0, -IPCSHARE_ERR_SYSTEM + 1));
	check_lie(SPECIAL(IPCSHARE__FAILED, 1, 1));
	check_lie(SPECIAL(IPCSHARE__RUN + 1, 0, 0));
	check_lie(SPECIAL(IPCSHARE__REGION_MAX - 1, 1, 1));
}

static int tell_run(struct ipcshare__wire_descriptor first, struct ipcshare__wire_descriptor run,
		    uint32_t nbufs)
{
	struct ipcshare__wire_descriptor d[2] = { first, run };

	return tell(d, 2, nbufs, one);
}

static void lies_about_runs_are_refused(void)
{
	const struct ipcshare__wire_descriptor first = BUFFER(5, 2, 0, 10);
	const uint32_t most = IPCSHARE__LOW20;
	struct ipcshare__wire_region huge = one;
	struct ipcshare__wire_descriptor d[3];

	CHECK_STATUS(tell_run(first, SPECIAL(IPCSHARE__RUN, 99, 10), 100), 0);
	CHECK_FAILS(tell_run(first, SPECIAL(IPCSHARE__RUN, 100, 10), 101), IPCSHARE_ERR_PROTOCOL);
	CHECK_FAILS(tell_run(first, SPECIAL(IPCSHARE__RUN, 90, 12), 91), IPCSHARE_ERR_PROTOCOL);
	CHECK_FAILS(tell_run(first, SPECIAL(IPCSHARE__RUN, most, IPCSHARE__REACH - 1), most + 1),
		    IPCSHARE_ERR_PROTOCOL); /* 2^64, less a little */
	CHECK_FAILS(tell_run(first, SPECIAL(IPCSHARE__RUN, 1 << 19, 1ull << 43), (1 << 19) + 1),
		    IPCSHARE_ERR_PROTOCOL);
	CHECK_FAILS(tell_run(first, SPECIAL(IPCSHARE__RUN, 0, 10), 1), IPCSHARE_ERR_PROTOCOL);
	CHECK_FAILS(tell_run(first, SPECIAL(IPCSHARE__RUN, 10, 0), 11), IPCSHARE_ERR_PROTOCOL);
	/* Not as many as the head says. */
	CHECK_FAILS(tell_run(first, SPECIAL(IPCSHARE__RUN, 98, 10), 100), IPCSHARE_ERR_PROTOCOL);
	CHECK_FAILS(tell_run(first, SPECIAL(IPCSHARE__RUN, 98, 10), 98), IPCSHARE_ERR_PROTOCOL);
	CHECK_FAILS(tell_run(first, SPECIAL(IPCSHARE__RUN, 9, 10), IPCSHARE__BUFS_MAX),
		    IPCSHARE_ERR_PROTOCOL);
	CHECK_FAILS(tell_run(first, SPECIAL(IPCSHARE__RUN, 9, 10), UINT32_MAX),
		    IPCSHARE_ERR_PROTOCOL);
	/* Of nothing, of something that failed, of another run. */
	d[0] = SPECIAL(IPCSHARE__RUN, 9, 10);
	CHECK_FAILS(tell(d, 1, 9, one), IPCSHARE_ERR_PROTOCOL);
	CHECK_FAILS(tell_run(SPECIAL(IPCSHARE__EMPTY, 0, 0), d[0], 10), IPCSHARE_ERR_PROTOCOL);
	CHECK_FAILS(tell_run(SPECIAL(IPCSHARE__FAILED, 0, 1), d[0], 10), IPCSHARE_ERR_PROTOCOL);
	d[0] = first;
	d[1] = d[2] = SPECIAL(IPCSHARE__RUN, 9, 10);
	CHECK_FAILS(tell(d, 3, 19, one), IPCSHARE_ERR_PROTOCOL);
	/* More of them than there can be, in a region that is said to be as large as that. */
	huge.length = IPCSHARE__REACH;
	d[0] = BUFFER(5, 2, 0, 1);
	d[1] = SPECIAL(IPCSHARE__RUN, most, 1);
	CHECK_STATUS(tell(d, 2, most + 1, huge), 0);
	d[0] = BUFFER(5, 2, IPCSHARE__REACH - most, 1); /* one byte too far */
	CHECK_FAILS(tell(d, 2, most + 1, huge), IPCSHARE_ERR_PROTOCOL);
}

static void check_lie_of(struct ipcshare__wire_region r)
{
	struct ipcshare__wire_descriptor d = BUFFER(5, 2, 0, 1);

	CHECK_FAILS(tell(&d, 1, 1, r), IPCSHARE_ERR_PROTOCOL);
}

static void lies_about_regions_are_refused(void)
{
	struct ipcshare__wire_region r = one;

	r.region = IPCSHARE__REGION_MAX;
	check_lie_of(r);
	r = one;
	r.generation = 0;
	check_lie_of(r);
	r = one;
	r.length = 0;
	check_lie_of(r);
	r.length = UINT64_MAX;
	check_lie_of(r);
	r = one;
	memset(r.key, 'x', sizeof(r.key));
	check_lie_of(r);
}

/* Counts for which lengths would overflow, signed as the owner would sign them. */
static void lies_about_counts_are_refused(void)
{
	static const uint32_t counts[] = { 0, 1, 4, 6, 7, 1u << 20, 1u << 28, (1u << 28) + 1,
					   1u << 30, 1u << 31, UINT32_MAX - 4, UINT32_MAX };
	const uint32_t n = sizeof(counts) / sizeof(counts[0]);
	struct ipcshare__wire_blob *blob = example();
	struct ipcshare__wire_blob head = *blob;
	size_t len = blob->bytes;

	for (uint32_t i = 0; i < n * n * n; i++) {
		*blob = head;
		blob->nbufs = counts[i % n];
		blob->ndescriptors = counts[i / n % n];
		blob->nregions = counts[i / n / n];
		sign(blob, len);
		CHECK_FAILS(check(blob, len), IPCSHARE_ERR_PROTOCOL);
	}
	*blob = head;
	blob->access = 0;
	sign(blob, len);
	CHECK_FAILS(check(blob, len), IPCSHARE_ERR_PROTOCOL);
	blob->access = 3;
	sign(blob, len);
	CHECK_FAILS(check(blob, len), IPCSHARE_ERR_PROTOCOL);
	free(blob);
}

static void more_buffers_than_there_can_be_are_no_blob(void)
{
	static const size_t many[] = { IPCSHARE__BUFS_MAX + (size_t)1, SIZE_MAX / 16 + 1, SIZE_MAX };
	struct ipcshare__blob_writer w;

	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
		CHECK_FAILS(ipcshare__blob_begin(&w, &blocks, many[i]), IPCSHARE_ERR_NO_MEMORY);
		CHECK_PTR(w.room.at, NULL);
	}
}

/* What one blob told is good for later ones, and replaced when the id has a new generation. */
static void a_region_is_told_once(void)
{
	struct ipcshare__wire_descriptor d = BUFFER(5, 2, 0, 1000);
	struct ipcshare__catalog catalog = { 0 };
	struct ipcshare__wire_region next = one;
	struct ipcshare__wire_blob *first = write_all(&d, 1, &one, 1, NULL);
	struct ipcshare__wire_blob *later = write_all(&d, 1, NULL, 0, NULL), *freed;
	struct ipcshare__blob b = ipcshare__blob_view(later);

	CHECK_FAILS(read_descriptors(&b, &catalog), IPCSHARE_ERR_PROTOCOL);
	b = ipcshare__blob_view(first);
	CHECK_STATUS(ipcshare__blob_learn(&b, &catalog), 0);
	b = ipcshare__blob_view(later);
	CHECK_STATUS(read_descriptors(&b, &catalog), 0);
	next.generation = 3;
	freed = write_all(&d, 0, &next, 1, NULL);
	b = ipcshare__blob_view(freed);
	CHECK_STATUS(ipcshare__blob_learn(&b, &catalog), 0);
	b = ipcshare__blob_view(later);
	CHECK_FAILS(read_descriptors(&b, &catalog), IPCSHARE_ERR_PROTOCOL);
	CHECK_INT(catalog.count, 1);
	ipcshare__catalog_clear(&catalog);
	free(first);
	free(later);
	free(freed);
}

TEST_SUITE(blob, NULL, NULL,
	TEST(what_was_written_is_read),
	TEST(sizes_from_nothing_to_thousands_are_read),
	TEST(three_buffers_at_one_distance_are_a_run),
	TEST(what_breaks_a_run_ends_it),
	TEST(a_million_even_buffers_are_a_few_descriptors),
	TEST(every_altered_byte_is_refused),
	TEST(every_truncated_length_is_refused),
	TEST(another_ranks_or_groups_blob_is_a_mismatch),
	TEST(lies_about_buffers_are_refused),
	TEST(lies_about_runs_are_refused),
	TEST(lies_about_regions_are_refused),
	TEST(lies_about_counts_are_refused),
	TEST(more_buffers_than_there_can_be_are_no_blob),
	TEST(a_region_is_told_once));
