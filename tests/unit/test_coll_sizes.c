/* SPDX-License-Identifier: BSD-3-Clause */
/* Every collective in small and in large groups, and with more bytes than an int counts. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "coll_case.h"

/* ---- Groups ---- */

static void calls_each_once(struct test_rank *me, void *arg)
{
	static const struct ipcshare_op user = { sizeof(user), elements_user, NULL };
	static const size_t counts[] = { 1, 750 }; /* the second takes all of them several rounds, or parts */
	struct team t;

	(void)arg;
	team_join(me, &t);
	for (int i = 0; i < 2 * COLL_WHICH; i++) {
		struct coll_case c = {
			.group = t.group, .rank = t.rank, .nranks = t.nranks,
			.which = (enum coll_which)(i / 2), .type = IPCSHARE_INT32,
			.op = i % 2 ? IPCSHARE_SUM : &user, .count = counts[i % 2],
			.root = t.nranks / 2, .in_place = i % 2, .seed = (uint64_t)i,
		};

		coll_case_run(&c);
	}
	team_leave(&t);
}

static void every_collective_works_in_groups_of_3_to_64(void)
{
	static const int sizes[] = { 3, 5, 17, 33, 64 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && coll_case_may_have(sizes[i]); i++) {
		test_ranks(sizes[i], calls_each_once, NULL);
		test_goes_on();
	}
}

/* ---- Thresholds ---- */

static void reduces_in_parts(struct test_rank *me, void *arg)
{
	static const size_t counts[] = { 1, 20, 21, 32 }; /* what a header has room for, and more */
	struct team t;

	/* Before a context is opened: for all ranks, or for one, and it is long for all the same. */
	if (!arg || me->rank == 1) {
		setenv("IPCSHARE_COLL_ROUND", "0", 1);
		setenv("IPCSHARE_CROWD_ROUND", "0", 1);
	}
	team_join(me, &t);
	for (int i = 0; i < 8; i++) {
		struct coll_case c = {
			.group = t.group, .rank = t.rank, .nranks = t.nranks,
			.which = i % 2 ? COLL_ALLREDUCE : COLL_REDUCE, .type = IPCSHARE_INT32,
			.op = IPCSHARE_SUM, .count = counts[i / 2], .seed = (uint64_t)i,
		};

		coll_case_run(&c);
	}
	team_leave(&t);
}

static void the_shortest_arrays_are_reduced_however_short_a_round_is_said_to_be(void)
{
	test_ranks(3, reduces_in_parts, NULL);
	test_ranks(3, reduces_in_parts, "one rank");
}

/* ---- Messages ---- */

#define GIB ((size_t)1 << 30)

/* As much address space; a page is there when it is touched. */
static char *space(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	REQUIRE(p != MAP_FAILED, "%zu bytes: %m", len);
	madvise(p, len, MADV_HUGEPAGE); /* else to touch it takes longer than all the rest */
	return p;
}

static void is_far_apart(struct test_rank *me, void *arg)
{
	static const size_t counts[] = { 3, 3 }, far[] = { 4 * GIB + 5, 1 }, near[] = { 0, 3 };
	const char six[] = "abcdef";
	char *apart = space(4 * GIB + 4096);
	struct team t;

	(void)arg;
	team_join(me, &t);
	CHECK_STATUS(ipcshare_allgatherv(t.group, six + 3 * t.rank, apart, counts, far, IPCSHARE_INT8), 0);
	CHECK_MEM(apart + far[0], six, 3);
	CHECK_MEM(apart + far[1], six + 3, 3);
	memset(apart + far[1], 0, 3);
	CHECK_STATUS(ipcshare_alltoallv(t.group, six, counts, near, apart, counts, far, IPCSHARE_INT8), 0);
	CHECK_MEM(apart + far[0], six + 3 * t.rank, 3);
	CHECK_MEM(apart + far[1], six + 3 * t.rank, 3);
	munmap(apart, 4 * GIB + 4096);
	team_leave(&t);
}

static void blocks_may_lie_4_gib_apart(void)
{
	test_ranks(2, is_far_apart, NULL);
}

#define LONG (2 * GIB + 4096 + 3)
#define LONG_MEMORY (6 * GIB) /* of two ranks, and some to spare */

static size_t memory_left(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	size_t kib = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "MemAvailable: %zu", &kib) != 1)
		;
	if (f)
		fclose(f);
	return kib << 10;
}

/* Only where hours are spent on tests, and memory is there. */
static int can_be_long(void)
{
	const char *cases = getenv("TEST_CASES");

	if (!cases || strtoull(cases, NULL, 0) <= COLL_CASES)
		test_skip("more than 2 GiB are moved only if TEST_CASES is more than %d, as in a soak", COLL_CASES);
	else if (memory_left() < LONG_MEMORY)
		test_skip("6 GiB of memory are not free");
	else
		return 1;
	return 0;
}

static uint32_t word(size_t i)
{
	return (uint32_t)(i * 0x9e3779b97f4a7c15u >> 32);
}

static void fill(char *p)
{
	for (size_t i = 0; i < LONG / 4; i++)
		memcpy(p + 4 * i, &(uint32_t){ word(i) }, 4);
	memcpy(p + LONG / 4 * 4, "end", LONG % 4);
}

static void check(const char *p, uint32_t times)
{
	uint32_t x;

	for (size_t i = 0; i < LONG / 4; i++) {
		memcpy(&x, p + 4 * i, 4);
		if (x != word(i) * times) {
			FAIL("word %zu of %zu is 0x%x", i, LONG / 4, x);
			return;
		}
	}
}

static void hears_much(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = NULL;
	struct team t;
	char *p;

	team_join(me, &t);
	p = arg ? team_alloc(t.ctx, LONG) : space(LONG);
	if (arg)
		set = team_share(&t, &(struct ipcshare_buf){ p, LONG }, 1, IPCSHARE_LAZY);
	if (t.rank)
		fill(p);
	CHECK_STATUS(ipcshare_bcast(t.group, p, LONG, IPCSHARE_UINT8, 1), 0);
	check(p, 1);
	CHECK_MEM(p + LONG / 4 * 4, "end", LONG % 4);
	if (arg) {
		CHECK_STATUS(ipcshare_set_free(set), 0);
		CHECK_STATUS(ipcshare_free(t.ctx, p), 0);
	} else {
		munmap(p, LONG);
	}
	team_leave(&t);
}

static void more_than_2_gib_are_broadcast(void)
{
	if (can_be_long())
		test_ranks(2, hears_much, NULL);
}

static void more_than_2_gib_are_broadcast_from_shared_memory(void)
{
	if (can_be_long())
		test_ranks(2, hears_much, "shared");
}

static void adds_much(struct test_rank *me, void *arg)
{
	char *p = space(LONG);
	struct team t;

	(void)arg;
	team_join(me, &t);
	fill(p);
	CHECK_STATUS(ipcshare_allreduce(t.group, IPCSHARE_IN_PLACE, p, LONG / 4, IPCSHARE_UINT32,
					IPCSHARE_SUM), 0);
	check(p, 2);
	munmap(p, LONG);
	team_leave(&t);
}

static void more_than_2_gib_are_reduced(void)
{
	if (can_be_long())
		test_ranks(2, adds_much, NULL);
}

TEST_SUITE(coll_sizes, NULL, NULL,
	TEST(every_collective_works_in_groups_of_3_to_64),
	TEST(the_shortest_arrays_are_reduced_however_short_a_round_is_said_to_be),
	TEST(blocks_may_lie_4_gib_apart),
	TEST(more_than_2_gib_are_broadcast),
	TEST(more_than_2_gib_are_broadcast_from_shared_memory),
	TEST(more_than_2_gib_are_reduced));
