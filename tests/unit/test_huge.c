/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Huge pages that the machine has set apart. Where it has none, that is what is tested: other pages do, and
 * the counters say so. To see the rest, as root: echo 64 >/proc/sys/vm/nr_hugepages
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena.h"
#include "backend/host/memfd.h"

#define HUGE ((size_t)2 << 20)
#define NEEDED 16 /* pages */

static struct test_resources before;

static long free_pages(void)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	long n = 0;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = 0;
	if (f)
		fclose(f);
	return n;
}

/* 1, 0, or -1: so few that it can't be told what an allocation gets. */
static int are_there(void)
{
	long n = free_pages();

	if (n && n < NEEDED)
		test_note("%ld huge pages are free: none, or %d of them, are needed", n, NEEDED);
	return n >= NEEDED ? 1 : n ? -1 : 0;
}

static void start(void)
{
	test_resources(&before);
}

static void stop(void)
{
	CHECK_NOTHING_LEAKED(&before);
}

static void a_memfd_of_huge_pages_is_as_others_or_not_made(void)
{
	long pages = free_pages();
	struct ipcshare__memfd m = { .fd = -7 };
	struct stat st;
	int err;

	err = ipcshare__memfd_make_huge(((size_t)pages + 1) * HUGE, &m);
	CHECK(err > 0, "more huge pages than there are");
	CHECK_INT(m.fd, -7);
	CHECK_NOTHING_LEAKED(&before);
	CHECK_INT(free_pages(), pages);
	if (pages < NEEDED)
		return;
	REQUIRE_INT(ipcshare__memfd_make_huge(3 * HUGE, &m), 0);
	CHECK_INT(free_pages(), pages - 3);
	CHECK_INT((uintptr_t)m.map % HUGE, 0);
	CHECK_BYTES(m.map, 0, 3 * HUGE);
	memset(m.map, 0xa5, 3 * HUGE);
	REQUIRE_INT(fstat(m.fd, &st), 0);
	CHECK_INT(st.st_size, 3 * HUGE);
	CHECK_INT(st.st_ino, m.inode);
	CHECK_INT(fcntl(m.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	CHECK(ftruncate(m.fd, 0) && errno == EPERM, "it can be shrunk");
	CHECK(ftruncate(m.fd, 4 * HUGE) && errno == EPERM, "it can grow");
	ipcshare__memfd_drop(&m);
	CHECK_INT(free_pages(), pages);
}

static void a_peer_maps_whole_huge_pages_and_gives_them_back(void)
{
	struct ipcshare__memfd m;
	size_t mapped;
	void *base;

	if (free_pages() < NEEDED)
		return;
	REQUIRE_INT(ipcshare__memfd_make_huge(2 * HUGE, &m), 0);
	strcpy(m.map, "from the owner");
	REQUIRE_OK(ipcshare__memfd_map(m.fd, m.inode, 0, HUGE + 5, IPCSHARE__READ_WRITE, &base,
				       &mapped));
	CHECK_INT(mapped, 2 * HUGE);
	CHECK_STR((char *)base, "from the owner");
	CHECK_INT(munmap(base, mapped), 0);
	CHECK_STATUS(ipcshare__memfd_protect(&m), 0);
	CHECK_FAILS(ipcshare__memfd_map(m.fd, m.inode, 0, HUGE, IPCSHARE__READ_WRITE, &base, &mapped),
		    IPCSHARE_ERR_READ_ONLY);
	REQUIRE_OK(ipcshare__memfd_map(m.fd, m.inode, 0, 100, IPCSHARE__READ_ONLY, &base, &mapped));
	CHECK_STR((char *)base, "from the owner");
	CHECK_INT(munmap(base, mapped), 0);
	ipcshare__memfd_drop(&m);
}

/* One allocation of @len: the counters say what it got. */
static void check_alloc(size_t len, uint64_t huge, uint64_t misses)
{
	struct ipcshare_ctx *ctx = team_open(0);
	void *p = team_alloc(ctx, len);

	CHECK_BYTES(p, 0, len);
	memset(p, 1, len);
	CHECK_INT(team_counters(ctx).bytes_huge, huge);
	CHECK_INT(team_counters(ctx).huge_misses, misses);
	CHECK_STATUS(ipcshare_free(ctx, p), 0);
	CHECK_INT(team_counters(ctx).bytes_huge, 0);
	CHECK_INT(team_counters(ctx).huge_misses, misses);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void whole_huge_pages_are_taken_where_they_are_free(void)
{
	int there = are_there();

	if (there < 0)
		return;
	check_alloc(2 * HUGE, there ? 2 * HUGE : 0, !there);
	check_alloc(2 * HUGE - 1, 0, 0);
	check_alloc(2 * HUGE + 4096, 0, 0);
	check_alloc(4096, 0, 0);
	check_alloc(((size_t)free_pages() + 1) * HUGE, 0, 1); /* more than there are */
}

static void wants_none(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	setenv("IPCSHARE_HUGE_PAGES", "0", 1);
	check_alloc(2 * HUGE, 0, 0);
}

static void none_are_taken_where_that_is_set(void)
{
	test_child_join(test_child(wants_none, NULL));
}

static void shares_slabs(struct test_rank *me, void *arg)
{
	uint64_t there = *(int *)arg;
	static struct ipcshare_buf bufs[1000];
	static void *p[1000];
	struct ipcshare_arena *arena;
	struct ipcshare_set *set;
	struct team t;

	team_join(me, &t);
	arena = arena_with(t.ctx, 0, 0, 0);
	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 4000, 1000, p)); /* 4 MiB */
	CHECK_INT(arena_stats(arena).huge_bytes, there * 4 * (1 << 20));
	CHECK_INT(arena_stats(arena).huge_misses, !there);
	CHECK_INT(team_counters(t.ctx).bytes_huge, there * 4 * (1 << 20));
	for (size_t i = 0; i < 1000; i++) {
		bufs[i] = (struct ipcshare_buf){ p[i], 4000 };
		team_fill(p[i], 4000, t.rank, i);
	}
	set = team_share(&t, bufs, 1000, 0);
	CHECK_INT(ipcshare_set_failures(set), 0);
	for (size_t i = 0; i < 1000; i++)
		team_check(ipcshare_ptr(set, 1 - t.rank, i), 4000, 1 - t.rank, i);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_arena_free_many(arena, p, 1000), 0);
	CHECK_STATUS(ipcshare_arena_trim(arena, NULL), 0);
	CHECK_INT(arena_stats(arena).huge_bytes, 0);
	CHECK_STATUS(ipcshare_arena_destroy(arena), 0);
	team_leave(&t);
}

static void slabs_are_shared_on_them(void)
{
	long pages = free_pages();
	int there = are_there();

	if (there < 0)
		return;
	test_ranks(2, shares_slabs, &there);
	CHECK_INT(free_pages(), pages);
}

TEST_SUITE(huge, start, stop,
	TEST(a_memfd_of_huge_pages_is_as_others_or_not_made),
	TEST(a_peer_maps_whole_huge_pages_and_gives_them_back),
	TEST(whole_huge_pages_are_taken_where_they_are_free),
	TEST(none_are_taken_where_that_is_set),
	TEST(slabs_are_shared_on_them));
