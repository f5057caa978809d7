/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks: present when they are given out, kept within a bound, and used again. */
#include <sys/mman.h>
#include <unistd.h>

#include "base/blocks.h"
#include "support/test.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define BEHIND 64 /* in whole pages there is room for what the library notes of a kept block */

static struct ipcshare__blocks blocks;
static struct test_resources before;

static void open_blocks(void)
{
	test_resources(&before);
	ipcshare__blocks_open(&blocks, 8 * MIB);
}

static void close_blocks(void)
{
	ipcshare__blocks_close(&blocks);
	CHECK_NOTHING_LEAKED(&before);
}

static struct ipcshare__block get(size_t len)
{
	struct ipcshare__block b = { .at = NULL };

	REQUIRE_OK(ipcshare__block_get(&blocks, len, &b));
	REQUIRE(b.size >= len, "%zu bytes for %zu", b.size, len);
	CHECK(b.size < 128 * KIB || b.size % (size_t)sysconf(_SC_PAGESIZE) == 0, "%zu are no whole pages",
	      b.size);
	memset(b.at, 7, b.size);
	return b;
}

static void any_length_is_given(void)
{
	static const size_t lens[] = { 0, 1, 128 * KIB - 1, 128 * KIB, 128 * KIB + 1, 2 * MIB - 1,
				       2 * MIB, 2 * MIB + 1, 5 * MIB + 4097 };

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct ipcshare__block b = get(lens[i]);

		ipcshare__block_put(&blocks, &b);
		CHECK_PTR(b.at, NULL);
		ipcshare__block_put(&blocks, &b); /* none: nothing happens */
	}
}

static void every_page_is_there_at_once(void)
{
	const size_t len = 3 * MIB, page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char there[3 * MIB / 4096];
	struct ipcshare__block b;
	size_t missing = 0;

	if (madvise(NULL, 0, MADV_POPULATE_WRITE)) {
		test_skip("Linux populates pages on request from 5.14 on");
		return;
	}
	REQUIRE_OK(ipcshare__block_get(&blocks, len, &b));
	REQUIRE_INT(mincore(b.at, len, there), 0);
	for (size_t i = 0; i < len / page; i++)
		missing += !(there[i] & 1);
	CHECK_INT(missing, 0);
	ipcshare__block_put(&blocks, &b);
}

static void one_that_is_given_back_is_used_again(void)
{
	struct ipcshare__block a = get(MIB - BEHIND), b;
	void *at = a.at;

	ipcshare__block_put(&blocks, &a);
	CHECK_INT(blocks.bytes, MIB);
	b = get(MIB - MIB / 16); /* a little smaller */
	CHECK_PTR(b.at, at);
	CHECK_INT(b.size, MIB);
	CHECK_INT(blocks.bytes, 0);
	ipcshare__block_put(&blocks, &b);
	b = get(MIB / 2); /* it would waste too much */
	CHECK(b.at != at, "an eighth is the most that is wasted");
	a = get(2 * MIB);
	CHECK(a.at != at, "it is too small");
	ipcshare__block_put(&blocks, &a);
	ipcshare__block_put(&blocks, &b);
}

static void no_more_is_kept_than_the_bound(void)
{
	struct ipcshare__block b[5], large = get(9 * MIB);

	for (size_t i = 0; i < 5; i++)
		b[i] = get(2 * MIB - BEHIND);
	for (size_t i = 0; i < 5; i++)
		ipcshare__block_put(&blocks, &b[i]);
	CHECK_INT(blocks.bytes, 8 * MIB);
	ipcshare__block_put(&blocks, &large); /* does not fit, nor what is older then */
	CHECK_INT(blocks.bytes, 0);
	CHECK_NOTHING_LEAKED(&before);
}

static void trimming_gives_all_of_it_back(void)
{
	struct ipcshare__block a = get(MIB), b = get(2 * MIB);

	ipcshare__block_put(&blocks, &a);
	ipcshare__block_put(&blocks, &b);
	ipcshare__blocks_trim(&blocks);
	CHECK_INT(blocks.bytes, 0);
	CHECK_NOTHING_LEAKED(&before);
}

static void what_is_in_one_is_found_by_its_tag(void)
{
	struct ipcshare__block a = get(MIB - BEHIND), b, small = get(KIB);
	void *at = a.at;

	memset(a.at, 3, MIB - BEHIND);
	a.tag = 77;
	small.tag = 78;
	ipcshare__block_put(&blocks, &small);
	b = get(MIB - BEHIND);
	ipcshare__block_put(&blocks, &a);
	ipcshare__block_put(&blocks, &b); /* a newer one, without */
	CHECK(!ipcshare__block_find(&blocks, 78, &a), "small ones are not kept");
	REQUIRE(ipcshare__block_find(&blocks, 77, &a), "it is kept");
	CHECK_PTR(a.at, at);
	CHECK_BYTES(a.at, 3, MIB - BEHIND);
	CHECK_INT(blocks.bytes, MIB);
	CHECK(!ipcshare__block_find(&blocks, 77, &b), "there was one");
	ipcshare__block_put(&blocks, &a);
	ipcshare__blocks_trim(&blocks);
	CHECK(!ipcshare__block_find(&blocks, 77, &b), "it was given back");
}

static void a_block_that_is_used_for_something_else_has_no_tag(void)
{
	struct ipcshare__block a = get(MIB - BEHIND), b;

	a.tag = 77;
	ipcshare__block_put(&blocks, &a);
	a = get(MIB - BEHIND);
	CHECK_INT(a.tag, 0);
	ipcshare__block_put(&blocks, &a);
	CHECK(!ipcshare__block_find(&blocks, 77, &b), "it is something else now");
}

static void more_than_there_is_is_refused(void)
{
	struct ipcshare__block b = { .at = (void *)16, .size = 3 };

	CHECK_INT(ipcshare__block_get(&blocks, PTRDIFF_MAX, &b), IPCSHARE_ERR_NO_MEMORY);
	CHECK_INT(ipcshare__block_get(&blocks, (size_t)1 << 47, &b), IPCSHARE_ERR_NO_MEMORY);
	CHECK_PTR(b.at, 16);
}

TEST_SUITE(blocks, open_blocks, close_blocks,
	TEST(any_length_is_given),
	TEST(every_page_is_there_at_once),
	TEST(one_that_is_given_back_is_used_again),
	TEST(no_more_is_kept_than_the_bound),
	TEST(trimming_gives_all_of_it_back),
	TEST(what_is_in_one_is_found_by_its_tag),
	TEST(a_block_that_is_used_for_something_else_has_no_tag),
	TEST(more_than_there_is_is_refused));
