/* SPDX-License-Identifier: BSD-3-Clause */
/* Arenas in one thread: cells, slabs, errors. */
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "arena.h"

static struct test_resources before;
static struct ipcshare_ctx *ctx;
static struct ipcshare_arena *arena;
static void *const untouched = (void *)16;

static void start(void)
{
	test_resources(&before);
	ctx = team_open(0);
	arena = arena_with(ctx, 0, 0, 0);
}

static void stop(void)
{
	CHECK_STATUS(ipcshare_arena_destroy(arena), 0);
	CHECK_INT(team_counters(ctx).allocations, 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
	CHECK_NOTHING_LEAKED(&before);
}


/* ---- Cells ---- */

static const size_t lengths[] = { 1,    15,   16,   17,    63,    64,     65,     128,    129,
				  255,  256,  1000, 1024,  1025,  4096,   5000,   16384,  16385,
				  40000, 65537, 300000, 524288, 524289, 2000000, 5 << 20 };
#define NLENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static void check_lengths(struct ipcshare_arena *a, size_t align)
{
	void *p[3 * NLENGTHS];
	size_t usable;

	for (size_t i = 0; i < 3 * NLENGTHS; i++) {
		size_t len = lengths[i % NLENGTHS], whole = (len + align - 1) / align * align;

		p[i] = arena_alloc(a, len);
		CHECK_INT((uintptr_t)p[i] % align, 0);
		REQUIRE_OK(ipcshare_arena_usable(a, p[i], &usable));
		CHECK(usable >= whole && usable < whole + whole / 4 + (whole % 4 != 0) &&
			      usable % align == 0,
		      "%zu bytes got %zu", len, usable);
		CHECK_BYTES(p[i], 0, usable); /* fresh */
		team_fill(p[i], usable, 0, i);
	}
	for (size_t i = 0; i < 3 * NLENGTHS; i++) {
		REQUIRE_OK(ipcshare_arena_usable(a, p[i], &usable));
		team_check(p[i], usable, 0, i);
	}
	for (size_t i = 0; i < 3 * NLENGTHS; i++)
		CHECK_STATUS(ipcshare_arena_free(a, p[i]), 0);
}

static void buffers_of_any_length_are_aligned_apart_and_little_larger(void)
{
	check_lengths(arena, 128);
	for (size_t align = 16; align <= 4096; align *= 2) {
		struct ipcshare_arena *other = arena_with(ctx, align, 0, 0);

		check_lengths(other, align);
		CHECK_STATUS(ipcshare_arena_destroy(other), 0);
	}
}

static void cells_of_a_fresh_slab_ascend_side_by_side(void)
{
	char *first = arena_alloc(arena, 200);

	for (int i = 1; i < 8192; i++)
		if (!CHECK_PTR(arena_alloc(arena, 200), first + 256 * i))
			break;
	CHECK_INT(team_counters(ctx).allocations, 1);
}

static void ten_thousand_buffers_are_a_handful_of_allocations(void)
{
	for (int i = 0; i < 10000; i++)
		arena_alloc(arena, 4096);
	CHECK(team_counters(ctx).allocations <= 6, "%ju", (uintmax_t)team_counters(ctx).allocations);
	CHECK(arena_stats(arena).slab_bytes <= (size_t)2 * 10000 * 4096, "%ju bytes",
	      (uintmax_t)arena_stats(arena).slab_bytes);
}

static void reuse_makes_no_call_of_the_backend(void)
{
	enum { N = 5000 };
	static void *p[N];
	uint64_t calls;

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < N; i++)
			p[i] = arena_alloc(arena, 700);
		if (!round)
			calls = team_calls(ctx);
		for (int i = 0; i < N; i++)
			CHECK_STATUS(ipcshare_arena_free(arena, p[(i * 7919) % N]), 0);
	}
	CHECK_INT(team_calls(ctx), calls);
}

static void a_large_request_has_an_allocation_of_its_own(void)
{
	char *small = arena_alloc(arena, 512 << 10), *large = arena_alloc(arena, (512 << 10) + 1);
	struct ipcshare_arena_stats s = arena_stats(arena);
	size_t usable, len;
	void *base;

	CHECK_INT(s.own, 1);
	CHECK_INT(s.own_bytes, (512 << 10) + 128);
	CHECK_INT(s.used, 1);
	CHECK_STATUS(ipcshare_arena_usable(arena, large, &usable), 0);
	CHECK_INT(usable, (512 << 10) + 128);
	CHECK_STATUS(ipcshare_find(ctx, large + 1000, &base, &len), 0);
	CHECK_PTR(base, large);
	CHECK_FAILS(ipcshare_arena_free(arena, large + 128), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_STATUS(ipcshare_arena_free(arena, large), 0);
	CHECK_INT(team_counters(ctx).allocations, 1);
	CHECK_INT(arena_stats(arena).own, 0);
	CHECK_FAILS(ipcshare_arena_free(arena, large), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_STATUS(ipcshare_arena_free(arena, small), 0);
}

/* ---- Many ---- */

static void check_run(void *const *p, size_t n, size_t step)
{
	for (size_t i = 1; i < n; i++)
		if (!CHECK_PTR(p[i], (char *)p[0] + i * step))
			break;
}

static void many_are_one_run(void)
{
	enum { N = 20000 };
	static void *p[N];

	arena_alloc(arena, 1000); /* the run has to go beside it */
	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 1000, N, p));
	check_run(p, N, 1024);
	CHECK_INT(team_counters(ctx).allocations, 2);
	CHECK_INT(arena_stats(arena).used, N + 1);
	for (size_t i = 0; i < N; i++)
		team_fill(p[i], 1000, 0, i);
	for (size_t i = 0; i < N; i++)
		team_check(p[i], 1000, 0, i);
	CHECK_STATUS(ipcshare_arena_free_many(arena, p, N), 0);
	CHECK_INT(arena_stats(arena).used, 1);
	CHECK_STATUS(ipcshare_arena_alloc_many(arena, 1000, 0, NULL), 0);
}

static void a_run_goes_into_a_hole_that_is_long_enough(void)
{
	void *all[1024], *run[100];

	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 2048, 1024, all)); /* a slab is full */
	CHECK_INT(team_counters(ctx).allocations, 1);
	for (int i = 0; i < 1024; i += 2) /* every other one, as far as 500 */
		if (i < 500)
			CHECK_STATUS(ipcshare_arena_free(arena, all[i]), 0);
	CHECK_STATUS(ipcshare_arena_free_many(arena, &all[700], 101), 0);
	CHECK_STATUS(ipcshare_arena_trim(arena, NULL), 0); /* this thread keeps none */
	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 2048, 100, run));
	check_run(run, 100, 2048);
	CHECK_PTR(run[0], all[700]);
	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 2048, 2, run)); /* no hole: a slab more */
	check_run(run, 2, 2048);
	CHECK_INT(team_counters(ctx).allocations, 2);
}

static void more_than_the_largest_slab_are_few_runs(void)
{
	struct ipcshare_arena *small = arena_with(ctx, 0, 2 << 20, 2 << 20);
	static void *p[300];
	int breaks = 0;

	REQUIRE_OK(ipcshare_arena_alloc_many(small, 32768, 300, p)); /* 64 to a slab */
	for (int i = 1; i < 300; i++)
		breaks += (char *)p[i] != (char *)p[i - 1] + 32768;
	CHECK_INT(breaks, 4);
	CHECK_STATUS(ipcshare_arena_free_many(small, p, 300), 0);
	CHECK_STATUS(ipcshare_arena_destroy(small), 0);
}

static void many_large_ones_are_all_or_none(void)
{
	void *p[3] = { untouched, untouched, untouched };

	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 1 << 20, 3, p));
	CHECK_INT(arena_stats(arena).own, 3);
	CHECK_STATUS(ipcshare_arena_free_many(arena, p, 3), 0);
	CHECK_FAILS(ipcshare_arena_alloc_many(arena, (size_t)1 << 44, 3, p), IPCSHARE_ERR_NO_MEMORY);
	CHECK_FAILS(ipcshare_arena_alloc_many(arena, PTRDIFF_MAX, 3, p), IPCSHARE_ERR_NO_MEMORY);
	CHECK_INT(arena_stats(arena).own, 0);
	CHECK_INT(team_counters(ctx).allocations, 0);
}

/* ---- A lack of memory ---- */

static void has_little_memory(int channel, void *arg)
{
	static void *many[100000];
	struct rlimit all, few = { 0 };
	struct test_resources now;
	void *p = untouched;
	int err = 0;

	(void)channel;
	(void)arg;
	start();
	CHECK_STATUS(ipcshare_arena_free(arena, arena_alloc(arena, 65536)), 0);
	test_resources(&now);
	getrlimit(RLIMIT_FSIZE, &all); /* it holds for memfds, and for nothing else here */
	few.rlim_max = all.rlim_max;
	few.rlim_cur = (1 << 20);
	setrlimit(RLIMIT_FSIZE, &few);
	while (!err) /* what the first slab has */
		err = ipcshare_arena_alloc(arena, 65536, &p);
	CHECK_INT(err, IPCSHARE_ERR_LIMIT);
	CHECK_INT(arena_stats(arena).used, 32);
	p = untouched;
	for (int i = 0; i < 3; i++)
		CHECK_FAILS(ipcshare_arena_alloc(arena, 100, &p), IPCSHARE_ERR_LIMIT);
	CHECK_FAILS(ipcshare_arena_alloc(arena, 10 << 20, &p), IPCSHARE_ERR_LIMIT);
	CHECK_FAILS(ipcshare_arena_alloc_many(arena, 65536, 100000, many), IPCSHARE_ERR_LIMIT);
	CHECK_PTR(p, untouched);
	CHECK_INT(arena_stats(arena).used, 32);
	CHECK_INT(team_counters(ctx).allocations, 1);
	CHECK_NOTHING_LEAKED(&now);
	setrlimit(RLIMIT_FSIZE, &all);
	CHECK_STATUS(ipcshare_arena_free(arena, arena_alloc(arena, 100)), 0);
	stop();
}

static void without_memory_nothing_changes(void)
{
	test_child_join(test_child(has_little_memory, NULL));
}

/* The second slab would be larger than the address space that is left, its least size is not. */
static void has_little_address_space(int channel, void *arg)
{
	struct rlimit all, few;
	static void *p[32];
	unsigned long pages = 0;
	FILE *f;

	(void)channel;
	(void)arg;
	start();
	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 1 << 19, 32, p)); /* 16 MiB */
	f = fopen("/proc/self/statm", "re");
	REQUIRE(f && fscanf(f, "%lu", &pages) == 1, "no /proc/self/statm");
	fclose(f);
	getrlimit(RLIMIT_AS, &all);
	few = (struct rlimit){ pages * (size_t)sysconf(_SC_PAGESIZE) + (10u << 20), all.rlim_max };
	setrlimit(RLIMIT_AS, &few);
	for (int i = 0; i < 3; i++) {
		void *one = arena_alloc(arena, 1 << 19);

		memset(one, 1, 1 << 19);
	}
	CHECK(arena_stats(arena).slab_bytes < (32 << 20), "%ju bytes",
	      (uintmax_t)arena_stats(arena).slab_bytes);
	setrlimit(RLIMIT_AS, &all);
	stop();
}

static void a_smaller_slab_does_where_there_is_no_room_for_a_large_one(void)
{
	test_child_join(test_child(has_little_address_space, NULL));
}

/* Cells enough, but not side by side, and no memory for more. */
static void has_only_holes(int channel, void *arg)
{
	struct rlimit all, few = { 0 };
	void *all_cells[32], *p[17];

	(void)channel;
	(void)arg;
	start();
	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 65536, 32, all_cells));
	for (int i = 0; i < 32; i += 2)
		CHECK_STATUS(ipcshare_arena_free(arena, all_cells[i]), 0);
	getrlimit(RLIMIT_FSIZE, &all);
	few.rlim_max = all.rlim_max;
	setrlimit(RLIMIT_FSIZE, &few);
	CHECK_FAILS(ipcshare_arena_alloc_many(arena, 65536, 17, p), IPCSHARE_ERR_LIMIT);
	CHECK_INT(arena_stats(arena).used, 16);
	CHECK_STATUS(ipcshare_arena_alloc_many(arena, 65536, 16, p), 0);
	for (int i = 0; i < 16; i++)
		CHECK_PTR(p[i], all_cells[2 * i]);
	setrlimit(RLIMIT_FSIZE, &all);
	stop();
}

static void holes_do_where_there_is_no_memory_for_a_run(void)
{
	test_child_join(test_child(has_only_holes, NULL));
}

/* ---- Misuse ---- */

static void impossible_requests_are_refused(void)
{
	void *p = untouched;

	CHECK_FAILS(ipcshare_arena_alloc(arena, 0, &p), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_arena_alloc(arena, (size_t)PTRDIFF_MAX + 1, &p), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_arena_alloc(arena, SIZE_MAX, &p), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_arena_alloc(arena, PTRDIFF_MAX, &p), IPCSHARE_ERR_NO_MEMORY);
	CHECK_FAILS(ipcshare_arena_alloc(arena, 100, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_arena_alloc(NULL, 100, &p), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_arena_alloc((void *)&p, 100, &p), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_arena_alloc_many(arena, 0, 5, &p), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_arena_alloc_many(arena, 100, 5, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_arena_alloc_many(NULL, 100, 1, &p), IPCSHARE_ERR_INVALID);
	CHECK_PTR(p, untouched);
	arena_alloc(arena, 100); /* from here on there is a stash: the same again */
	CHECK_FAILS(ipcshare_arena_alloc(arena, 0, &p), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_arena_alloc(arena, SIZE_MAX, &p), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_arena_alloc(arena, 100, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_arena_alloc(NULL, 100, &p), IPCSHARE_ERR_INVALID);
	CHECK_PTR(p, untouched);
}

static void check_not_freed(struct ipcshare_arena *a, void *ptr)
{
	size_t len = 7;

	CHECK_FAILS(ipcshare_arena_free(a, ptr), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_HAS(ipcshare_last_error()->hint, "ipcshare_arena_alloc");
	CHECK_FAILS(ipcshare_arena_usable(a, ptr, &len), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_INT(len, 7);
}

static void what_is_no_buffer_of_the_arena_cannot_be_freed(void)
{
	struct ipcshare_arena *other = arena_with(ctx, 0, 0, 0);
	char *p = arena_alloc(arena, 300), *q = arena_alloc(other, 300), *heap = malloc(300);
	char *plain = team_alloc(ctx, 300), *mid = arena_alloc(arena, 100000);

	check_not_freed(arena, heap);
	check_not_freed(arena, &heap);
	check_not_freed(arena, plain);
	check_not_freed(arena, q);
	check_not_freed(other, p);
	check_not_freed(arena, p + 1);
	check_not_freed(arena, p + 128);
	check_not_freed(arena, p + 384); /* the next cell, that was never handed out */
	check_not_freed(arena, p + ((2 << 20) - 384)); /* what is left at the end of a slab */
	check_not_freed(arena, mid + 64);
	CHECK_FAILS(ipcshare_free(ctx, p), IPCSHARE_ERR_NOT_SHAREABLE); /* begins the slab */
	CHECK_HAS(ipcshare_last_error()->hint, "ipcshare_arena_free");
	CHECK_FAILS(ipcshare_free(ctx, p + 384), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_deregister(ctx, p), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_arena_free(NULL, p), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_arena_usable(arena, p, NULL), IPCSHARE_ERR_INVALID);
	CHECK_STATUS(ipcshare_arena_free(arena, NULL), 0);
	CHECK_STATUS(ipcshare_arena_free(NULL, NULL), 0);
	memset(p, 1, 384);
	CHECK_STATUS(ipcshare_arena_free(arena, p), 0);
	check_not_freed(arena, p);
	CHECK_STATUS(ipcshare_arena_free(arena, mid), 0);
	check_not_freed(arena, mid);
	CHECK_STATUS(ipcshare_arena_destroy(other), 0);
	CHECK_STATUS(ipcshare_free(ctx, plain), 0);
	free(heap);
}

/* Wherever the cell is by then: with the thread, in its slab, or gone with it. */
static void a_buffer_is_freed_once(void)
{
	static void *p[1000];

	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 128, 1000, p));
	for (int i = 0; i < 1000; i++)
		CHECK_STATUS(ipcshare_arena_free(arena, p[i]), 0);
	for (int i = 0; i < 1000; i++)
		check_not_freed(arena, p[i]);
	CHECK_INT(arena_stats(arena).used, 0);
	CHECK_STATUS(ipcshare_arena_trim(arena, NULL), 0);
	check_not_freed(arena, p[0]);
	for (int i = 0; i < 1000; i++) { /* all are there, each once */
		char *q = arena_alloc(arena, 128);

		CHECK_INT(*q, 0);
		*q = 1;
	}
}

static void many_are_freed_but_the_bad_one(void)
{
	void *p[5];

	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 1000, 5, p));
	CHECK_STATUS(ipcshare_arena_free(arena, p[3]), 0);
	CHECK_FAILS(ipcshare_arena_free_many(arena, p, 5), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_INT(ipcshare_last_error()->index, 3);
	CHECK_INT(arena_stats(arena).used, 0);
	CHECK_FAILS(ipcshare_arena_free_many(arena, NULL, 1), IPCSHARE_ERR_INVALID);
	CHECK_STATUS(ipcshare_arena_free_many(arena, NULL, 0), 0);
	p[0] = NULL;
	CHECK_STATUS(ipcshare_arena_free_many(arena, p, 1), 0);
}

static void check_options(struct ipcshare_arena_options o, const char *text)
{
	struct ipcshare_arena *a = untouched;

	CHECK_FAILS(ipcshare_arena_create(ctx, &o, &a), IPCSHARE_ERR_INVALID);
	CHECK_HAS(ipcshare_last_error()->text, text);
	CHECK_PTR(a, untouched);
}

static void bad_options_are_named(void)
{
	struct ipcshare_arena_options good = IPCSHARE_ARENA_OPTIONS_INIT, o = good;
	struct ipcshare_arena *a = untouched;

	o.size--;
	check_options(o, "size");
	o = good;
	o.align = 8;
	check_options(o, "align");
	o.align = 8192;
	check_options(o, "align");
	o.align = 96;
	check_options(o, "align");
	o = good;
	o.slab = ((size_t)1 << 30) + 1;
	check_options(o, "slab");
	o.slab = SIZE_MAX;
	check_options(o, "slab");
	o = good;
	o.slab = 8 << 20;
	o.slab_max = 4 << 20;
	check_options(o, "slab_max");
	CHECK_FAILS(ipcshare_arena_create(ctx, NULL, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_arena_create(NULL, NULL, &a), IPCSHARE_ERR_INVALID);
	CHECK_PTR(a, untouched);
}

static void slabs_have_the_sizes_that_were_asked_for(void)
{
	struct ipcshare_arena *a = arena_with(ctx, 4096, 5 << 20, 13 << 20); /* 6 and 14 MiB */

	arena_alloc(a, 1);
	CHECK_INT(team_counters(ctx).bytes_allocated, 6 << 20);
	for (int i = 0; i < 6 * 256; i++)
		arena_alloc(a, 1);
	CHECK_INT(team_counters(ctx).bytes_allocated, 12 << 20);
	for (int i = 0; i < 6 * 256; i++)
		arena_alloc(a, 1);
	CHECK_INT(team_counters(ctx).bytes_allocated, 24 << 20);
	for (int i = 0; i < 12 * 256; i++)
		arena_alloc(a, 1);
	CHECK_INT(team_counters(ctx).bytes_allocated, 38 << 20);
	CHECK_STATUS(ipcshare_arena_destroy(a), 0);
	a = arena_with(ctx, 0, 1, 1); /* the least */
	arena_alloc(a, 1);
	CHECK_INT(team_counters(ctx).bytes_allocated, 2 << 20);
	CHECK_STATUS(ipcshare_arena_destroy(a), 0);
}

/* ---- Trim, stats, end ---- */

static void trim_gives_back_empty_slabs_and_no_others(void)
{
	static void *p[16384];
	char *kept;
	size_t released = 7;

	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 128, 16384, p)); /* a slab, full */
	kept = arena_alloc(arena, 2000);
	strcpy(kept, "kept");
	arena_alloc(arena, 128);
	CHECK_INT(team_counters(ctx).allocations, 3);
	CHECK_STATUS(ipcshare_arena_trim(arena, &released), 0);
	CHECK_INT(released, 0);
	CHECK_STATUS(ipcshare_arena_free_many(arena, p, 16384), 0);
	CHECK_STATUS(ipcshare_arena_trim(arena, &released), 0);
	CHECK_INT(released, 2 << 20);
	CHECK_INT(team_counters(ctx).allocations, 2);
	CHECK_INT(arena_stats(arena).kept_bytes, 0);
	CHECK_STR(kept, "kept");
	CHECK_STATUS(ipcshare_arena_free(arena, kept), 0);
	CHECK_STATUS(ipcshare_arena_trim(arena, NULL), 0);
	CHECK_INT(team_counters(ctx).allocations, 1);
	for (int i = 0; i < 20000; i++) /* and it goes on */
		arena_alloc(arena, 128);
	CHECK_FAILS(ipcshare_arena_trim(NULL, &released), IPCSHARE_ERR_INVALID);
}

static void stats_add_up(void)
{
	struct ipcshare_arena_stats s = { .size = sizeof(s), .slabs = 7 };

	CHECK_FAILS(ipcshare_arena_stats(arena, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_arena_stats(NULL, &s), IPCSHARE_ERR_INVALID);
	s.size++;
	CHECK_FAILS(ipcshare_arena_stats(arena, &s), IPCSHARE_ERR_INVALID);
	CHECK_INT(s.slabs, 7);
	for (int i = 0; i < 100; i++)
		arena_alloc(arena, 384); /* 5461 to a slab, and 128 bytes left */
	CHECK_STATUS(ipcshare_arena_free(arena, arena_alloc(arena, 20000)), 0); /* 102, and 8192 */
	s = arena_stats(arena);
	CHECK_INT(s.slabs, 2);
	CHECK_INT(s.slab_bytes, 4 << 20);
	CHECK_INT(s.used, 100);
	CHECK_INT(s.used_bytes, 100 * 384);
	CHECK_INT(s.kept_bytes + s.free_bytes, (4 << 20) - 128 - 8192 - 100 * 384);
	CHECK(s.kept_bytes > 0 && s.kept_bytes <= 128 * 384, "%ju kept", (uintmax_t)s.kept_bytes);
}

static void destroy_frees_what_is_still_there(void)
{
	struct ipcshare_arena *a = arena_with(ctx, 16, 0, 0);

	for (size_t i = 0; i < NLENGTHS; i++)
		arena_alloc(a, lengths[i]);
	CHECK_STATUS(ipcshare_arena_destroy(a), 0);
	CHECK_INT(team_counters(ctx).allocations, 0);
	CHECK_STATUS(ipcshare_arena_destroy(NULL), 0);
}

/* Every function on an arena that is no more. */
static void check_gone(struct ipcshare_arena *a, void *ptr, int status)
{
	struct ipcshare_arena_stats s = { .size = sizeof(s) };
	void *p = untouched;
	size_t len = 7;

	CHECK_FAILS(ipcshare_arena_alloc(a, 100, &p), status);
	CHECK_FAILS(ipcshare_arena_alloc_many(a, 100, 1, &p), status);
	CHECK_FAILS(ipcshare_arena_free(a, ptr), status);
	CHECK_FAILS(ipcshare_arena_free_many(a, &ptr, 1), status);
	CHECK_FAILS(ipcshare_arena_usable(a, ptr, &len), status);
	CHECK_FAILS(ipcshare_arena_trim(a, &len), status);
	CHECK_FAILS(ipcshare_arena_stats(a, &s), status);
	CHECK_FAILS(ipcshare_arena_destroy(a), status);
	CHECK_PTR(p, untouched);
	CHECK_INT(len, 7);
}

static void an_arena_that_ended_is_closed(void)
{
	struct ipcshare_arena *a = arena_with(ctx, 0, 0, 0);
	void *p = arena_alloc(a, 100);

	CHECK_FAILS(ipcshare_close(ctx), IPCSHARE_ERR_BUSY);
	CHECK_HAS(ipcshare_last_error()->text, "arenas");
	CHECK_STATUS(ipcshare_arena_destroy(a), 0);
	check_gone(a, p, IPCSHARE_ERR_CLOSED);
}

static void abandon_takes_the_arena_along(void)
{
	struct test_resources now;

	test_resources(&now);
	for (int i = 0; i < 50; i++) {
		struct ipcshare_ctx *c = team_open(0);
		struct ipcshare_arena *a = arena_with(c, 0, 0, 0);
		void *p = arena_alloc(a, 100);

		arena_alloc(a, 1 << 20);
		CHECK_STATUS(ipcshare_abandon(c), 0);
		check_gone(a, p, IPCSHARE_ERR_CLOSED);
	}
	CHECK_NOTHING_LEAKED(&now);
}

static void finds_it_dead(int channel, void *arg)
{
	void *p = arg;
	struct ipcshare_arena *a;
	struct ipcshare_ctx *own;

	(void)channel;
	check_gone(arena, p, IPCSHARE_ERR_FORKED);
	own = team_open(0);
	a = arena_with(own, 0, 0, 0);
	CHECK_STATUS(ipcshare_arena_free(a, arena_alloc(a, 100)), 0);
	check_gone(arena, p, IPCSHARE_ERR_FORKED);
	CHECK_STATUS(ipcshare_abandon(ctx), 0);
	check_gone(arena, p, IPCSHARE_ERR_CLOSED);
	arena_alloc(a, 100);
	CHECK_STATUS(ipcshare_arena_destroy(a), 0);
	CHECK_STATUS(ipcshare_close(own), 0);
}

static void a_forked_child_finds_it_dead(void)
{
	char *p = arena_alloc(arena, 100);

	for (int i = 0; i < 10; i++) /* more in the stash, and room */
		CHECK_STATUS(ipcshare_arena_free(arena, arena_alloc(arena, 100)), 0);
	strcpy(p, "the parent's");
	test_child_join(test_child(finds_it_dead, p));
	CHECK_STR(p, "the parent's");
	CHECK_STATUS(ipcshare_arena_free(arena, p), 0);
}

static void a_thousand_arenas_leave_nothing(void)
{
	for (int i = 0; i < 1000; i++) {
		struct ipcshare_arena *a = arena_with(ctx, 0, 0, 0);

		if (i % 50 == 0)
			arena_alloc(a, 100);
		CHECK_STATUS(ipcshare_arena_destroy(a), 0);
	}
}

/* ---- Against a model ---- */

#define MODEL_OPS 100000
#define MODEL_LIVE 3000

struct model {
	struct buffer {
		char *ptr;
		size_t len;
		uint32_t serial;
	} live[MODEL_LIVE];
	size_t n;
	uint64_t random;
	uint32_t serial;
};

static size_t draw(struct model *m, size_t below)
{
	m->random = m->random * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(m->random >> 33) % below;
}

/* Mostly small: 2^k for k from 0 to 12, rarely to 20, and anything between. */
static size_t draw_length(struct model *m)
{
	size_t top = (size_t)1 << draw(m, draw(m, 200) ? 13 : 21);

	return 1 + draw(m, top);
}

/* Both ends, so that a neighbour that reaches into it is seen. */
static size_t mark_len(const struct buffer *b)
{
	return b->len < 2 ? 1 : b->len < 8 ? b->len / 2 : 4;
}

static void mark(const struct buffer *b)
{
	memcpy(b->ptr, &b->serial, mark_len(b));
	memcpy(b->ptr + b->len - mark_len(b), &b->serial, mark_len(b));
}

static void check_mark(const struct buffer *b)
{
	size_t n = mark_len(b);

	if (memcmp(b->ptr, &b->serial, n) || memcmp(b->ptr + b->len - n, &b->serial, n))
		FAIL("buffer %u of %zu bytes at %p was written by another", b->serial, b->len,
		     (void *)b->ptr);
}

static void model_add(struct model *m, void *ptr, size_t len)
{
	struct buffer *b = &m->live[m->n++];

	*b = (struct buffer){ ptr, len, ++m->serial };
	mark(b);
}

static void model_free(struct model *m)
{
	size_t i = draw(m, m->n);
	struct buffer b = m->live[i];

	check_mark(&b);
	CHECK_STATUS(ipcshare_arena_free(arena, b.ptr), 0);
	m->live[i] = m->live[--m->n];
	if (draw(m, 20) == 0)
		CHECK_FAILS(ipcshare_arena_free(arena, b.ptr), IPCSHARE_ERR_NOT_SHAREABLE);
}

static void model_many(struct model *m)
{
	void *p[64];
	size_t n = 1 + draw(m, 64), len = draw_length(m);

	if (m->n + n > MODEL_LIVE || len > 100000)
		return;
	REQUIRE_OK(ipcshare_arena_alloc_many(arena, len, n, p));
	for (size_t i = 0; i < n; i++)
		model_add(m, p[i], len);
}

static void model_look(struct model *m)
{
	struct buffer *b = &m->live[draw(m, m->n)];
	struct ipcshare_arena_stats s = arena_stats(arena);
	size_t usable = 0;

	CHECK_INT(s.used + s.own, m->n);
	REQUIRE_OK(ipcshare_arena_usable(arena, b->ptr, &usable));
	CHECK(usable >= b->len, "%zu of %zu", usable, b->len);
	check_mark(b);
}

static void a_hundred_thousand_operations_go_as_in_a_model(void)
{
	static struct model m;

	m = (struct model){ .random = 20260101 };
	for (int op = 0; op < MODEL_OPS; op++) {
		size_t kind = draw(&m, 1000), len = draw_length(&m);
		/* It grows, and shrinks, in turns of 10,000. */
		int grows = op / 10000 % 2 == 0;

		if (kind < 5 && m.n)
			model_look(&m);
		else if (kind < 7)
			CHECK_STATUS(ipcshare_arena_trim(arena, NULL), 0);
		else if (kind < 20)
			model_many(&m);
		else if (m.n < MODEL_LIVE && (!m.n || draw(&m, 100) < (grows ? 65u : 40u)))
			model_add(&m, arena_alloc(arena, len), len);
		else
			model_free(&m);
	}
	while (m.n)
		model_free(&m);
	CHECK_STATUS(ipcshare_arena_trim(arena, NULL), 0);
	CHECK_INT(team_counters(ctx).allocations, 0);
}

TEST_SUITE(arena, start, stop,
	TEST(buffers_of_any_length_are_aligned_apart_and_little_larger),
	TEST(cells_of_a_fresh_slab_ascend_side_by_side),
	TEST(ten_thousand_buffers_are_a_handful_of_allocations),
	TEST(reuse_makes_no_call_of_the_backend),
	TEST(a_large_request_has_an_allocation_of_its_own),
	TEST(many_are_one_run),
	TEST(a_run_goes_into_a_hole_that_is_long_enough),
	TEST(more_than_the_largest_slab_are_few_runs),
	TEST(many_large_ones_are_all_or_none),
	TEST(without_memory_nothing_changes),
	TEST(a_smaller_slab_does_where_there_is_no_room_for_a_large_one),
	TEST(holes_do_where_there_is_no_memory_for_a_run),
	TEST(impossible_requests_are_refused),
	TEST(what_is_no_buffer_of_the_arena_cannot_be_freed),
	TEST(a_buffer_is_freed_once),
	TEST(many_are_freed_but_the_bad_one),
	TEST(bad_options_are_named),
	TEST(slabs_have_the_sizes_that_were_asked_for),
	TEST(trim_gives_back_empty_slabs_and_no_others),
	TEST(stats_add_up),
	TEST(destroy_frees_what_is_still_there),
	TEST(an_arena_that_ended_is_closed),
	TEST(abandon_takes_the_arena_along),
	TEST(a_forked_child_finds_it_dead),
	TEST(a_thousand_arenas_leave_nothing),
	TEST(a_hundred_thousand_operations_go_as_in_a_model));
