/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of a context: allocated or registered, freed once, and nothing left. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "team.h"

static struct test_resources before;
static struct ipcshare_ctx *ctx;
static void *const untouched = (void *)16;

static void start(void)
{
	test_resources(&before);
	ctx = team_open(0);
}

static void stop(void)
{
	CHECK_STATUS(ipcshare_close(ctx), 0);
	CHECK_NOTHING_LEAKED(&before);
}

static uint64_t calls(enum ipcshare_call call)
{
	return team_counters(ctx).calls[call];
}

/* ---- Allocate ---- */

static void memory_of_any_size_is_zeroed_aligned_and_counted(void)
{
	static const size_t sizes[] = { 1,    2,    63,     64,      4095,
					4096, 4097, 100000, 1 << 20, (4 << 20) + 1 };
	const size_t n = sizeof(sizes) / sizeof(sizes[0]);
	size_t page = (size_t)sysconf(_SC_PAGESIZE), total = 0;
	void *p[sizeof(sizes) / sizeof(sizes[0])];

	for (size_t i = 0; i < n; i++) {
		p[i] = team_alloc(ctx, sizes[i]);
		total += sizes[i];
		CHECK_INT((uintptr_t)p[i] % page, 0);
		CHECK_BYTES(p[i], 0, sizes[i]);
		team_fill(p[i], sizes[i], 0, i);
		CHECK_INT(team_counters(ctx).allocations, i + 1);
		CHECK_INT(team_counters(ctx).bytes_allocated, total);
	}
	for (size_t i = 0; i < n; i++)
		team_check(p[i], sizes[i], 0, i);
	for (size_t i = 0; i < n; i++)
		CHECK_STATUS(ipcshare_free(ctx, p[i]), 0);
	CHECK_INT(team_counters(ctx).allocations, 0);
	CHECK_INT(team_counters(ctx).bytes_allocated, 0);
	CHECK_INT(calls(IPCSHARE_CALL_ALLOC), n);
	CHECK_INT(calls(IPCSHARE_CALL_FREE), n);
	CHECK(team_counters(ctx).call_ns[IPCSHARE_CALL_ALLOC] > 0, "no time was spent");
	CHECK_INT(calls(IPCSHARE_CALL_EXPORT), 0); /* nobody has asked for it */
}

static void memory_that_comes_again_is_zeroed_again(void)
{
	for (int i = 0; i < 100; i++) {
		char *p = team_alloc(ctx, 9999);

		CHECK_BYTES(p, 0, 9999);
		memset(p, 0xff, 9999);
		CHECK_STATUS(ipcshare_free(ctx, p), 0);
	}
}

static void close_frees_what_is_still_there(void)
{
	for (size_t i = 1; i < 20; i++)
		team_alloc(ctx, i * 1000);
}

static void check_no_memory(size_t len, int status)
{
	void *p = untouched;

	CHECK_FAILS(ipcshare_alloc(ctx, len, &p), status);
	CHECK_PTR(p, untouched);
}

static void impossible_sizes_are_refused(void)
{
	struct test_resources now;

	test_resources(&now);
	check_no_memory(0, IPCSHARE_ERR_INVALID);
	check_no_memory((size_t)PTRDIFF_MAX + 1, IPCSHARE_ERR_INVALID);
	check_no_memory(SIZE_MAX, IPCSHARE_ERR_INVALID);
	check_no_memory(PTRDIFF_MAX, IPCSHARE_ERR_NO_MEMORY);
	check_no_memory(PTRDIFF_MAX / 2, IPCSHARE_ERR_NO_MEMORY);
	check_no_memory((size_t)1 << 45, IPCSHARE_ERR_NO_MEMORY); /* address space, but no memory */
	CHECK_FAILS(ipcshare_alloc(ctx, 1, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_alloc(NULL, 1, (void **)&ctx), IPCSHARE_ERR_INVALID);
	CHECK_INT(team_counters(ctx).allocations, 0);
	CHECK_INT(calls(IPCSHARE_CALL_ALLOC), 0);
	CHECK_NOTHING_LEAKED(&now);
}

/* In children, for a limit that was lowered may not be raised again. */
static void has_few_descriptors(int channel, void *arg)
{
	struct rlimit all, few;
	void *p = untouched;
	char *good;

	(void)channel;
	(void)arg;
	start();
	good = team_alloc(ctx, 100);
	getrlimit(RLIMIT_NOFILE, &all);
	few = (struct rlimit){ 3, all.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	for (int i = 0; i < 20; i++)
		CHECK_FAILS(ipcshare_alloc(ctx, 1000, &p), IPCSHARE_ERR_LIMIT);
	CHECK_HAS(ipcshare_last_error()->hint, "ulimit -n");
	CHECK_PTR(p, untouched);
	setrlimit(RLIMIT_NOFILE, &all);
	CHECK_STATUS(ipcshare_free(ctx, team_alloc(ctx, 1000)), 0);
	CHECK_STATUS(ipcshare_free(ctx, good), 0);
	stop();
}

static void no_descriptor_left_is_a_limit(void)
{
	test_child_join(test_child(has_few_descriptors, NULL));
}

static void has_little_address_space(int channel, void *arg)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;
	struct rlimit all, few;
	void *p = untouched;

	(void)channel;
	(void)arg;
	REQUIRE(f && fscanf(f, "%lu", &pages) == 1, "no /proc/self/statm");
	fclose(f);
	start();
	getrlimit(RLIMIT_AS, &all); /* sanitizers, and the broker's stack, need a little more */
	few = (struct rlimit){ pages * (size_t)sysconf(_SC_PAGESIZE) + (32u << 20), all.rlim_max };
	setrlimit(RLIMIT_AS, &few);
	for (int i = 0; i < 20; i++)
		CHECK_FAILS(ipcshare_alloc(ctx, 64 << 20, &p), IPCSHARE_ERR_NO_MEMORY);
	CHECK_HAS(ipcshare_last_error()->hint, "ulimit -v");
	CHECK_PTR(p, untouched);
	setrlimit(RLIMIT_AS, &all);
	CHECK_STATUS(ipcshare_free(ctx, team_alloc(ctx, 1 << 20)), 0);
	stop();
}

static void no_address_space_left_is_no_memory(void)
{
	test_child_join(test_child(has_little_address_space, NULL));
}

/* ---- Free ---- */

static void what_is_not_ours_cannot_be_freed(void)
{
	char *p = team_alloc(ctx, 10000), *heap = malloc(100), stack;
	struct ipcshare_ctx *other = team_open(0);

	CHECK_FAILS(ipcshare_free(ctx, heap), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_HAS(ipcshare_last_error()->hint, "ipcshare_alloc");
	CHECK_FAILS(ipcshare_free(ctx, &stack), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_free(ctx, p + 1), IPCSHARE_ERR_NOT_SHAREABLE); /* interior */
	CHECK_FAILS(ipcshare_free(ctx, p + 4096), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_free(ctx, p + 10000), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_free(ctx, p - 1), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_free(other, p), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_deregister(ctx, p), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_free(NULL, p), IPCSHARE_ERR_INVALID);
	memset(p, 1, 10000); /* it has survived all that */
	CHECK_STATUS(ipcshare_free(ctx, p), 0);
	CHECK_FAILS(ipcshare_free(ctx, p), IPCSHARE_ERR_NOT_SHAREABLE); /* again */
	CHECK_STATUS(ipcshare_free(ctx, NULL), 0);
	CHECK_STATUS(ipcshare_free(NULL, NULL), 0);
	CHECK_STATUS(ipcshare_deregister(ctx, NULL), 0);
	CHECK_STATUS(ipcshare_close(other), 0);
	free(heap);
}

/* ---- Register ---- */

struct own {
	int fd;
	char *p;
	size_t len;
};

static struct own own_memfd(size_t len)
{
	struct own o = { .fd = memfd_create("own", MFD_CLOEXEC | MFD_ALLOW_SEALING), .len = len };

	REQUIRE(o.fd >= 0 && !ftruncate(o.fd, (off_t)len), "errno %d", errno);
	o.p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, o.fd, 0);
	REQUIRE(o.p != MAP_FAILED, "errno %d", errno);
	return o;
}

static void own_end(struct own *o)
{
	munmap(o->p, o->len);
	close(o->fd);
}

static void maps_registered_memory(int channel, void *arg)
{
	struct ipcshare_packed packed;
	struct ipcshare_identity me;
	struct ipcshare_ctx *mine;
	void *p;

	(void)arg;
	mine = team_open(0);
	REQUIRE_OK(ipcshare_self(mine, &me));
	test_send(channel, &me, sizeof(me));
	test_recv(channel, &packed, sizeof(packed));
	REQUIRE_OK(ipcshare_map(mine, &packed, &p));
	team_check(p, 100, 1, 1);
	team_fill(p, 100, 2, 2);
	CHECK_STATUS(ipcshare_unmap(mine, p), 0);
	CHECK_STATUS(ipcshare_close(mine), 0);
}

static void registered_memory_is_shared_in_place(void)
{
	struct test_child *c = test_child(maps_registered_memory, NULL);
	struct own o = own_memfd(16384);
	struct ipcshare_identity peer;
	struct ipcshare_packed packed;

	REQUIRE_OK(ipcshare_register(ctx, o.p + 4096, 8192, o.fd)); /* a part of it */
	CHECK_INT(team_counters(ctx).allocations, 1);
	CHECK_INT(team_counters(ctx).bytes_allocated, 8192);
	team_fill(o.p + 5000, 100, 1, 1);
	test_recv(c->channel, &peer, sizeof(peer));
	CHECK_FAILS(ipcshare_pack(ctx, o.p, 100, 0, &packed), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_pack(ctx, o.p + 5000, 8192, 0, &packed), IPCSHARE_ERR_RANGE);
	REQUIRE_OK(ipcshare_pack(ctx, o.p + 5000, 100, 0, &packed));
	REQUIRE_OK(ipcshare_allow(ctx, o.p + 5000, &peer, 1, 0));
	test_send(c->channel, &packed, sizeof(packed));
	test_child_join(c);
	team_check(o.p + 5000, 100, 2, 2);
	CHECK_FAILS(ipcshare_free(ctx, o.p + 4096), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_deregister(ctx, o.p), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_STATUS(ipcshare_deregister(ctx, o.p + 4096), 0);
	CHECK_FAILS(ipcshare_deregister(ctx, o.p + 4096), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_INT(team_counters(ctx).allocations, 0);
	CHECK_INT(team_counters(ctx).bytes_allocated, 0);
	CHECK_INT(calls(IPCSHARE_CALL_FREE), 0);
	team_check(o.p + 5000, 100, 2, 2); /* it is the user's */
	own_end(&o);
}

static void what_cannot_be_registered_is_named(void)
{
	struct own o = own_memfd(16384);
	char *heap = aligned_alloc(4096, 8192), *p = team_alloc(ctx, 8192);
	struct test_resources now;
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);

	REQUIRE_OK(ipcshare_register(ctx, o.p + 4096, 4096, o.fd));
	test_resources(&now);
	CHECK_FAILS(ipcshare_register(ctx, NULL, 4096, o.fd), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_register(ctx, o.p, 0, o.fd), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_register(ctx, o.p, SIZE_MAX, o.fd), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_register(ctx, o.p + 1, 100, o.fd), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_register(NULL, o.p, 4096, o.fd), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_register(ctx, o.p, 4096, -1), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_register(ctx, o.p, 4096, zero), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_register(ctx, heap, 4096, o.fd), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_register(ctx, o.p, PTRDIFF_MAX, o.fd), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_register(ctx, o.p, 1 << 20, o.fd), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_register(ctx, o.p + 4096, 4096, o.fd), IPCSHARE_ERR_BUSY); /* again */
	CHECK_FAILS(ipcshare_register(ctx, o.p, 8192, o.fd), IPCSHARE_ERR_BUSY); /* overlaps */
	CHECK_FAILS(ipcshare_register(ctx, o.p, 16384, o.fd), IPCSHARE_ERR_BUSY);
	CHECK_INT(team_counters(ctx).allocations, 2);
	CHECK_NOTHING_LEAKED(&now);
	CHECK_STATUS(ipcshare_register(ctx, o.p, 4096, o.fd), 0); /* the neighbours */
	CHECK_STATUS(ipcshare_register(ctx, o.p + 8192, 8192, o.fd), 0);
	CHECK_STATUS(ipcshare_free(ctx, p), 0);
	CHECK_STATUS(ipcshare_deregister(ctx, o.p), 0);
	CHECK_STATUS(ipcshare_deregister(ctx, o.p + 4096), 0);
	CHECK_STATUS(ipcshare_deregister(ctx, o.p + 8192), 0);
	own_end(&o);
	close(zero);
	free(heap);
}

static void close_leaves_registered_memory_to_its_user(void)
{
	struct own o = own_memfd(8192);
	struct ipcshare_ctx *other = team_open(0);

	REQUIRE_OK(ipcshare_register(ctx, o.p, 8192, o.fd));
	REQUIRE_OK(ipcshare_register(other, o.p, 8192, o.fd)); /* each context has its own tables */
	CHECK_STATUS(ipcshare_close(other), 0);
	memset(o.p, 3, 8192);
	CHECK_STATUS(ipcshare_deregister(ctx, o.p), 0);
	CHECK_BYTES(o.p, 3, 8192);
	own_end(&o);
}

/* ---- Counters and threads ---- */

static void counters_are_read_with_their_size(void)
{
	struct ipcshare_counters c = { .size = sizeof(c), .sets = 7 };

	CHECK_FAILS(ipcshare_counters(ctx, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_counters(NULL, &c), IPCSHARE_ERR_INVALID);
	c.size--;
	CHECK_FAILS(ipcshare_counters(ctx, &c), IPCSHARE_ERR_INVALID);
	c.size += 2;
	CHECK_FAILS(ipcshare_counters(ctx, &c), IPCSHARE_ERR_INVALID);
	CHECK_INT(c.sets, 7);
	c.size--;
	CHECK_STATUS(ipcshare_counters(ctx, &c), 0);
	CHECK_INT(c.sets, 0);
	CHECK_INT(c.size, sizeof(c));
	CHECK_STR(ipcshare_call_name(IPCSHARE_CALL_IMPORT), "import");
	CHECK_STR(ipcshare_call_name(IPCSHARE_CALL_ALLOW), "whitelist");
	CHECK(ipcshare_call_name(-1) && ipcshare_call_name(IPCSHARE_CALLS), "NULL");
}

static void *allocates_and_frees(void *arg)
{
	size_t index = *(size_t *)arg;
	void *p[10];

	for (int round = 0; round < 30; round++) {
		for (size_t i = 0; i < 10; i++) {
			p[i] = team_alloc(ctx, 1000 + i);
			team_fill(p[i], 1000 + i, (int)index, i);
		}
		for (size_t i = 0; i < 10; i++) {
			struct ipcshare_packed packed;

			team_check(p[i], 1000 + i, (int)index, i);
			CHECK_STATUS(ipcshare_pack(ctx, p[i], 10, 0, &packed), 0);
			CHECK_STATUS(ipcshare_free(ctx, p[i]), 0);
		}
	}
	return NULL;
}

static void threads_allocate_and_free_at_once(void)
{
	pthread_t thread[4];
	size_t index[4];

	for (size_t i = 0; i < 4; i++) {
		index[i] = i;
		REQUIRE_INT(pthread_create(&thread[i], NULL, allocates_and_frees, &index[i]), 0);
	}
	for (size_t i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	CHECK_INT(team_counters(ctx).allocations, 0);
	CHECK_INT(team_counters(ctx).bytes_allocated, 0);
	CHECK_INT(calls(IPCSHARE_CALL_ALLOC), 4 * 30 * 10);
	CHECK_INT(calls(IPCSHARE_CALL_EXPORT), 4 * 30 * 10);
}

struct try {
	void *p;
	int status;
	pthread_t thread;
};

static void *frees(void *arg)
{
	struct try *t = arg;

	t->status = ipcshare_free(ctx, t->p);
	return NULL;
}

/* Two threads free the same: one does, the other is told. */
static void memory_is_freed_once_however_many_try(void)
{
	for (int round = 0; round < 50; round++) {
		void *p = team_alloc(ctx, 100);
		struct try try[2] = { { .p = p }, { .p = p } };

		for (int i = 0; i < 2; i++)
			REQUIRE_INT(pthread_create(&try[i].thread, NULL, frees, &try[i]), 0);
		for (int i = 0; i < 2; i++)
			pthread_join(try[i].thread, NULL);
		CHECK(try[0].status + try[1].status == IPCSHARE_ERR_NOT_SHAREABLE &&
			      try[0].status * try[1].status == 0,
		      "%d and %d", try[0].status, try[1].status);
	}
}

/* ---- Find ---- */

static void an_address_leads_to_its_allocation(void)
{
	char *a = team_alloc(ctx, 10000), *b = team_alloc(ctx, 4096);
	void *const before_base = (void *)16, *base = before_base;
	size_t len = 7;

	CHECK_STATUS(ipcshare_find(ctx, a, &base, &len), 0);
	CHECK_PTR(base, a);
	CHECK_INT(len, 10000);
	CHECK_STATUS(ipcshare_find(ctx, a + 9999, &base, NULL), 0);
	CHECK_PTR(base, a);
	CHECK_STATUS(ipcshare_find(ctx, b + 4095, NULL, &len), 0);
	CHECK_INT(len, 4096);
	base = before_base;
	CHECK_FAILS(ipcshare_find(ctx, a + 10000, &base, &len), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_find(ctx, &len, &base, &len), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_STATUS(ipcshare_free(ctx, a), 0);
	CHECK_FAILS(ipcshare_find(ctx, a, &base, &len), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_find(NULL, b, &base, &len), IPCSHARE_ERR_INVALID);
	CHECK_PTR(base, before_base);
	CHECK_INT(len, 4096);
	CHECK_STATUS(ipcshare_free(ctx, b), 0);
	CHECK_FAILS(ipcshare_find((void *)&len, b, &base, &len), IPCSHARE_ERR_CLOSED);
}

TEST_SUITE(memory, start, stop,
	TEST(memory_of_any_size_is_zeroed_aligned_and_counted),
	TEST(memory_that_comes_again_is_zeroed_again),
	TEST(close_frees_what_is_still_there),
	TEST(impossible_sizes_are_refused),
	TEST(no_descriptor_left_is_a_limit),
	TEST(no_address_space_left_is_no_memory),
	TEST(what_is_not_ours_cannot_be_freed),
	TEST(registered_memory_is_shared_in_place),
	TEST(what_cannot_be_registered_is_named),
	TEST(close_leaves_registered_memory_to_its_user),
	TEST(counters_are_read_with_their_size),
	TEST(threads_allocate_and_free_at_once),
	TEST(memory_is_freed_once_however_many_try),
	TEST(an_address_leads_to_its_allocation));
