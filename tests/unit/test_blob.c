/* SPDX-License-Identifier: BSD-3-Clause */
/* Blobs: written, read back, and refused when a byte is not what its owner wrote. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "group/blob.h"
#include "group/reader.h"
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
	REQUIRE_OK(ipcshare__blob_finish(&w, &frame, &blob));
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

/* References are the regions' own numbers here, and regions lie at address 0. */
static int place(void *arg, uint32_t region, struct ipcshare__placed *out)
{
	(void)arg;
	*out = (struct ipcshare__placed){ region, NULL };
	return 0;
}

/* As a share takes it: its regions into @catalog, then the descriptors, @pieces at a time, into @out. */
static int take(const void *bytes, size_t pieces, struct ipcshare__catalog *catalog,
		struct ipcshare__cells *out)
{
	struct ipcshare__wire_blob head;
	struct ipcshare__reader reader;
	void *prefix;
	uint64_t at;
	int err;

	memcpy(&head, bytes, sizeof(head));
	at = ipcshare__blob_prefix(&head);
	prefix = memcpy(malloc(at), bytes, at); /* aligned */
	err = ipcshare__blob_learn(prefix, catalog);
	free(prefix);
	if (err)
		return err;
	REQUIRE_OK(ipcshare__cells_alloc(out, &blocks, head.nbufs, false, false));
	ipcshare__reader_begin(&reader, catalog, place, NULL, out);
	for (uint32_t done = 0; done < head.ndescriptors && !err; done += pieces) {
		if (pieces > head.ndescriptors - done)
			pieces = head.ndescriptors - done;
		err = ipcshare__reader_read(&reader, (const unsigned char *)bytes + at, pieces);
		at += pieces * sizeof(struct ipcshare__wire_descriptor);
	}
	return err ? err : ipcshare__reader_end(&reader);
}

/* All that is checked of a blob that a user carried. */
static int check(const void *bytes, size_t len)
{
	struct ipcshare__catalog catalog = { 0 };
	struct ipcshare__cells cells = { .n = 0 };
	struct ipcshare__wire_blob head = { 0 };
	int err;

	memcpy(&head, bytes, len < sizeof(head) ? len : sizeof(head));
	err = ipcshare__blob_check_form(&head, len);
	if (!err)
		err = ipcshare__blob_check_sum(bytes, len);
	if (!err)
		err = ipcshare__blob_check_owner(&head, RANK, ENDPOINT);
	if (!err)
		err = take(bytes, SIZE_MAX, &catalog, &cells);
	ipcshare__cells_free(&cells, &blocks);
	ipcshare__catalog_clear(&catalog);
	return err;
}

/* Descriptor @i of a blob of ours. */
static struct ipcshare__wire_descriptor descriptor_of(const struct ipcshare__wire_blob *b, uint32_t i)
{
	struct ipcshare__wire_descriptor d;

	memcpy(&d, (const char *)b + ipcshare__blob_prefix(b) + i * sizeof(d), sizeof(d));
	return d;
}

static void check_descriptor(const struct ipcshare__wire_blob *b, uint32_t i,
			     struct ipcshare__wire_descriptor expected)
{
	struct ipcshare__wire_descriptor d = descriptor_of(b, i);

	CHECK_MEM(&d, &expected, sizeof(d));
}

static void what_was_written_is_read(void)
{
	struct ipcshare__wire_blob *blob = example();
	struct ipcshare__wire_descriptor d[NBUFS];
	char *odd = malloc(blob->bytes + 1);

	example_descriptors(d);
	CHECK_INT(blob->bytes % IPCSHARE__BLOB_ALIGN, 0);
	CHECK_INT(blob->nbufs, NBUFS);
	CHECK_INT(blob->ndescriptors, NBUFS);
	CHECK_INT(blob->nregions, 2);
	CHECK_INT(blob->set, 9);
	CHECK_INT(blob->access, IPCSHARE__READ_ONLY);
	CHECK_MEM(ipcshare__blob_regions(blob), regions, sizeof(regions));
	for (uint32_t i = 0; i < NBUFS; i++)
		check_descriptor(blob, i, d[i]);
	CHECK_INT(ipcshare__blob_indices(blob)[0], 4);
	CHECK_INT(ipcshare__blob_indices(blob)[4], 99);
	CHECK_INT(ipcshare__descriptor_what(d[2]), IPCSHARE__REGION_MAX - 1);
	CHECK_INT(ipcshare__descriptor_high(d[2]), 0xfffff);
	CHECK_INT(ipcshare__descriptor_low(d[2]), (1ull << 32) + 7);
	CHECK_INT(ipcshare__descriptor_length(d[2]), (2ull << 32) + 1);
	CHECK_STATUS(check(blob, blob->bytes), 0);
	memcpy(odd + 1, blob, blob->bytes); /* no alignment is asked for */
	CHECK_STATUS(check(odd + 1, blob->bytes), 0);
	free(odd);
	free(blob);
}

/* Buffers in random places, runs and nothing; regions that fall on each other's place. */
static void pieces_of_any_size_give_the_same_cells(void)
{
	enum { N = 1000, REGIONS = 70 };
	struct ipcshare__wire_descriptor d[N];
	struct ipcshare__wire_region told[REGIONS];
	struct ipcshare__catalog catalog = { 0 };
	struct ipcshare__wire_blob *blob;
	uint32_t state = 1;

	for (uint32_t i = 0; i < REGIONS; i++)
		told[i] = (struct ipcshare__wire_region){
			.region = 3 * i, .generation = i + 1, .length = 1 << 20, .key = "k",
		};
	for (size_t i = 0; i < N; i++) {
		uint32_t r;

		state = state * 1664525u + 1013904223u;
		r = (state >> 8) % REGIONS;
		d[i] = ipcshare__descriptor(3 * r, r + 1, state >> 13, 1 + (state >> 20) % 100);
		if (i % 7 > 2 && ipcshare__descriptor_length(d[i - 1])) /* goes on from the one before */
			d[i] = (struct ipcshare__wire_descriptor){ d[i - 1].what, d[i - 1].where + 128 };
		if (i % 100 == 99)
			d[i] = ipcshare__descriptor_special(IPCSHARE__EMPTY, 0, 0);
		if (i % 100 == 50)
			d[i] = ipcshare__descriptor_special(IPCSHARE__FAILED, 0, 9);
	}
	blob = write_all(d, N, told, REGIONS, NULL);
	CHECK(blob->ndescriptors < N, "no runs");
	for (size_t pieces = 1; pieces < 2 * N; pieces = pieces * 3 / 2 + 1) {
		struct ipcshare__cells cells;

		REQUIRE_OK(take(blob, pieces, &catalog, &cells));
		for (size_t i = 0; i < N; i++) {
			uint64_t len = ipcshare__descriptor_length(d[i]);
			uint64_t offset = len ? ipcshare__descriptor_low(d[i]) : 0;
			uint32_t ref = len ? ipcshare__descriptor_what(d[i])
					   : IPCSHARE__NO_REGION | (uint32_t)d[i].where;

			if (cells.len[i] != len || (uintptr_t)cells.ptr[i] != offset ||
			    cells.ref[i] != ref) {
				FAIL("cell %zu in pieces of %zu", i, pieces);
				break;
			}
		}
		ipcshare__cells_free(&cells, &blocks);
	}
	ipcshare__catalog_clear(&catalog);
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

		CHECK_STATUS(check(blob, blob->bytes), 0);
		CHECK_INT(blob->nbufs, n);
		CHECK_INT(blob->ndescriptors, n < 3 ? n : 2);
		check_descriptor(blob, 0, ipcshare__descriptor(5, 2, 10, 4));
		if (n > 2)
			check_descriptor(blob, 1,
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

	CHECK_INT(blob->nbufs, n);
	REQUIRE_INT(blob->ndescriptors, n - 1);
	check_descriptor(blob, 0, d[0]);
	check_descriptor(blob, 1, ipcshare__descriptor_special(IPCSHARE__RUN, 2, 8));
	for (uint32_t i = 3; i < n; i++)
		check_descriptor(blob, i - 1, d[i]);
	free(blob);
}

/* A run counts to 2^20 - 1 more; then the next begins. */
static void a_million_even_buffers_are_a_few_descriptors(void)
{
	const uint32_t n = 3 << 20;
	struct ipcshare__wire_blob *blob = evenly(n, 16);
	uint64_t sum = 0;

	CHECK_INT(blob->nbufs, n);
	CHECK(blob->ndescriptors < 10, "%u descriptors", blob->ndescriptors);
	for (uint32_t i = 0; i < blob->ndescriptors; i++) {
		struct ipcshare__wire_descriptor d = descriptor_of(blob, i);

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

	CHECK_STATUS(ipcshare__blob_check_owner(blob, RANK, ENDPOINT), 0);
	CHECK_FAILS(ipcshare__blob_check_owner(blob, RANK + 1, ENDPOINT), IPCSHARE_ERR_MISMATCH);
	CHECK_FAILS(ipcshare__blob_check_owner(blob, RANK, ENDPOINT + 1), IPCSHARE_ERR_MISMATCH);
	free(blob);
}

/* ---- Lies: the checksum is right, what it covers is not ---- */

/* What the owner's own code would not write: the bytes as they are told, and signed. */
struct lie {
	struct ipcshare__wire_blob head;
	struct ipcshare__wire_region r;
	char pad[8]; /* to whole 16 bytes */
	struct ipcshare__wire_descriptor d[3];
	char more[64];
};

static void sign(struct ipcshare__wire_blob *blob, size_t len)
{
	size_t at = offsetof(struct ipcshare__wire_blob, check);

	blob->check = ipcshare__checksum(0, blob, at);
	blob->check = ipcshare__checksum(blob->check, (char *)blob + at + 8, len - at - 8);
}

/* The region, and @n descriptors. */
static int tell(const struct ipcshare__wire_descriptor *d, uint32_t n, uint32_t nbufs,
		struct ipcshare__wire_region r)
{
	struct lie lie = { .head = {
		.magic = IPCSHARE__MAGIC_BLOB, .layout = IPCSHARE__LAYOUT, .endpoint = ENDPOINT,
		.bytes = ipcshare__round_up(offsetof(struct lie, d) + n * sizeof(*d), 64),
		.nbufs = nbufs, .ndescriptors = n, .nregions = 1, .rank = RANK,
		.access = IPCSHARE__READ_WRITE,
	} };

	memcpy(lie.d, d, n * sizeof(*d));
	lie.r = r;
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

static int take_once(const struct ipcshare__wire_blob *blob, struct ipcshare__catalog *catalog)
{
	struct ipcshare__cells cells = { .n = 0 };
	int err = take(blob, SIZE_MAX, catalog, &cells);

	ipcshare__cells_free(&cells, &blocks);
	return err;
}

/* What one blob told is good for later ones, and replaced when the id has a new generation. */
static void a_region_is_told_once(void)
{
	struct ipcshare__wire_descriptor d = BUFFER(5, 2, 0, 1000);
	struct ipcshare__catalog catalog = { 0 };
	struct ipcshare__wire_region next = one;
	struct ipcshare__wire_blob *first = write_all(&d, 1, &one, 1, NULL);
	struct ipcshare__wire_blob *later = write_all(&d, 1, NULL, 0, NULL), *freed;

	CHECK_FAILS(take_once(later, &catalog), IPCSHARE_ERR_PROTOCOL);
	CHECK_STATUS(take_once(first, &catalog), 0);
	CHECK_STATUS(take_once(later, &catalog), 0);
	next.generation = 3;
	freed = write_all(&d, 0, &next, 1, NULL);
	CHECK_STATUS(take_once(freed, &catalog), 0);
	CHECK_FAILS(take_once(later, &catalog), IPCSHARE_ERR_PROTOCOL);
	CHECK_INT(catalog.count, 1);
	ipcshare__catalog_clear(&catalog);
	free(first);
	free(later);
	free(freed);
}

TEST_SUITE(blob, NULL, NULL,
	TEST(what_was_written_is_read),
	TEST(pieces_of_any_size_give_the_same_cells),
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
