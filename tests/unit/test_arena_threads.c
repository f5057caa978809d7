/* SPDX-License-Identifier: BSD-3-Clause */
/* One arena, many threads: cells go from one to another, and come back when a thread ends. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "arena.h"

#define THREADS 4

static struct test_resources before;
static struct ipcshare_ctx *ctx;
static struct ipcshare_arena *arena;

static void start(void)
{
	test_resources(&before);
	ctx = team_open(0);
	arena = arena_with(ctx, 0, 0, 0);
}

static void stop(void)
{
	CHECK_STATUS(ipcshare_arena_destroy(arena), 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
	CHECK_NOTHING_LEAKED(&before);
}

static void run_threads(void *(*fn)(void *arg), void *args, size_t size)
{
	pthread_t thread[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		REQUIRE_INT(pthread_create(&thread[i], NULL, fn, (char *)args + i * size), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

/* ---- On their own ---- */

struct own {
	int index;
	unsigned random;
};

static void *works_alone(void *arg)
{
	struct own *me = arg;
	struct {
		char *p;
		size_t len, serial;
	} live[100] = { 0 };
	size_t serial = 0;

	for (int op = 0; op < 20000; op++) {
		int i = rand_r(&me->random) % 100;

		if (live[i].p) {
			if (!team_check(live[i].p, live[i].len, me->index, live[i].serial))
				break;
			if (!CHECK_STATUS(ipcshare_arena_free(arena, live[i].p), 0))
				break;
			live[i].p = NULL;
			continue;
		}
		live[i].len = 1 + (size_t)rand_r(&me->random) % 3000;
		live[i].serial = ++serial;
		live[i].p = arena_alloc(arena, live[i].len);
		team_fill(live[i].p, live[i].len, me->index, live[i].serial);
	}
	for (int i = 0; i < 100; i++)
		CHECK_STATUS(ipcshare_arena_free(arena, live[i].p), 0);
	return NULL;
}

/* Whoever has ended keeps nothing. */
static void check_all_is_back(void)
{
	struct ipcshare_arena_stats s = arena_stats(arena);

	CHECK_INT(s.used, 0);
	CHECK_STATUS(ipcshare_arena_trim(arena, NULL), 0);
	s = arena_stats(arena);
	CHECK_INT(s.kept_bytes, 0);
	CHECK_INT(s.slabs, 0);
	CHECK_INT(team_counters(ctx).allocations, 0);
}

static void threads_get_cells_of_their_own(void)
{
	struct own own[THREADS];

	for (int i = 0; i < THREADS; i++)
		own[i] = (struct own){ i, (unsigned)i + 1 };
	run_threads(works_alone, own, sizeof(own[0]));
	check_all_is_back();
}

static void *has_one(void *p)
{
	CHECK_STATUS(ipcshare_arena_alloc(arena, 100, p), 0);
	return NULL;
}

static void threads_take_from_slabs_of_their_own(void)
{
	char *mine = arena_alloc(arena, 100), *other = NULL;
	pthread_t thread;

	REQUIRE_INT(pthread_create(&thread, NULL, has_one, &other), 0);
	pthread_join(thread, NULL);
	CHECK(other - mine >= 2 << 20 || mine - other >= 2 << 20, "%p and %p", (void *)mine,
	      (void *)other);
	CHECK_INT(arena_stats(arena).slabs, 2);
	CHECK_STATUS(ipcshare_arena_free(arena, other), 0); /* to the slab it is from */
	CHECK_STATUS(ipcshare_arena_free(arena, mine), 0);
}

static void *frees_many(void *arg)
{
	CHECK_STATUS(ipcshare_arena_free_many(arena, arg, 5000), 0);
	return NULL;
}

static void an_empty_slab_of_others_is_taken_over(void)
{
	static void *p[5000];
	char *other = NULL;
	pthread_t thread;

	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 100, 5000, p)); /* this thread keeps none */
	REQUIRE_INT(pthread_create(&thread, NULL, frees_many, p), 0);
	pthread_join(thread, NULL); /* all went back to this thread's slab */
	CHECK_INT(arena_stats(arena).kept_bytes, 0);
	REQUIRE_INT(pthread_create(&thread, NULL, has_one, &other), 0);
	pthread_join(thread, NULL);
	CHECK_PTR(other, p[0]);
	CHECK_INT(arena_stats(arena).slabs, 1);
	arena_alloc(arena, 100); /* it is the other's now, and not empty */
	CHECK_INT(arena_stats(arena).slabs, 2);
}

/* ---- To others ---- */

#define BELT 64

/* Every thread takes a buffer off the belt at its place, frees it, and lays down one of its own. */
struct belt {
	_Atomic(char *) place[BELT];
};
static struct belt belt;

static void *passes_on(void *arg)
{
	struct own *me = arg;

	for (int op = 0; op < 20000; op++) {
		size_t len = 8 + (size_t)rand_r(&me->random) % 600;
		char *mine = arena_alloc(arena, len), *other;

		memset(mine, (int)len % 251, len);
		memcpy(mine, &len, sizeof(len));
		other = atomic_exchange(&belt.place[rand_r(&me->random) % BELT], mine);
		if (!other)
			continue;
		memcpy(&len, other, sizeof(len));
		if (len > 608 || !CHECK_BYTES(other + 8, (int)len % 251, len - 8))
			FAIL("a buffer was written by another");
		CHECK_STATUS(ipcshare_arena_free(arena, other), 0);
	}
	return NULL;
}

static void threads_free_each_others_buffers(void)
{
	struct own own[THREADS];

	for (int i = 0; i < THREADS; i++)
		own[i] = (struct own){ i, (unsigned)i + 1 };
	run_threads(passes_on, own, sizeof(own[0]));
	for (int i = 0; i < BELT; i++)
		CHECK_STATUS(ipcshare_arena_free(arena, atomic_exchange(&belt.place[i], NULL)), 0);
	check_all_is_back();
}

struct race {
	char *p;
	_Atomic int ready;
	_Atomic int freed;
};

static void *frees(void *arg)
{
	struct race *race = *(struct race **)arg;
	int status;

	atomic_fetch_add(&race->ready, 1);
	while (atomic_load(&race->ready) < THREADS)
		sched_yield();
	status = ipcshare_arena_free(arena, race->p);
	CHECK(!status || status == IPCSHARE_ERR_NOT_SHAREABLE, "%s", ipcshare_status_name(status));
	atomic_fetch_add(&race->freed, !status);
	return NULL;
}

static void a_buffer_is_freed_once_however_many_try(void)
{
	static const size_t lengths[] = { 100, 20000, 1 << 20 }; /* kept, not kept, its own */

	for (int round = 0; round < 90; round++) {
		struct race race = { .p = arena_alloc(arena, lengths[round % 3]) };
		struct race *args[THREADS] = { &race, &race, &race, &race };

		run_threads(frees, args, sizeof(args[0]));
		CHECK_INT(race.freed, 1);
		CHECK_INT(arena_stats(arena).used, 0);
		CHECK_INT(arena_stats(arena).own, 0);
	}
}

/* ---- The end of a thread, and of an arena ---- */

/* A failure does not end the thread, for another one may wait for it. */
static void *leaves_cells(void *arg)
{
	struct ipcshare_arena *a = *(struct ipcshare_arena **)arg;
	void *p[500] = { NULL };

	for (int i = 0; i < 500; i++)
		CHECK_STATUS(ipcshare_arena_alloc(a, (size_t)100 << 2 * (i % 3), &p[i]), 0);
	for (int i = 0; i < 500; i++)
		CHECK_STATUS(ipcshare_arena_free(a, p[i]), 0);
	CHECK(arena_stats(a).kept_bytes > 0, "none are kept");
	return NULL;
}

static void the_end_of_a_thread_brings_its_cells_back(void)
{
	struct ipcshare_arena *args[THREADS] = { arena, arena, arena, arena };

	for (int round = 0; round < 20; round++) {
		run_threads(leaves_cells, args, sizeof(args[0]));
		CHECK_INT(arena_stats(arena).kept_bytes, 0);
	}
	check_all_is_back();
}

/* A thread that outlives an arena, and uses others meanwhile and afterwards. */
struct outlives {
	struct ipcshare_arena *first, *second;
	pthread_barrier_t meet;
};

static void *outlives(void *arg)
{
	struct outlives *o = arg;
	void *p;

	leaves_cells(&o->first);
	leaves_cells(&arena);
	pthread_barrier_wait(&o->meet); /* the first is destroyed */
	pthread_barrier_wait(&o->meet); /* the second is there, maybe at the same place */
	CHECK_FAILS(ipcshare_arena_alloc((void *)&p, 100, &p), IPCSHARE_ERR_CLOSED);
	if (o->second != o->first)
		CHECK_FAILS(ipcshare_arena_alloc(o->first, 100, &p), IPCSHARE_ERR_CLOSED);
	leaves_cells(&o->second);
	leaves_cells(&arena);
	return NULL;
}

static void threads_and_arenas_end_in_any_order(void)
{
	for (int round = 0; round < 50; round++) {
		struct outlives o = { .first = arena_with(ctx, 0, 0, 0) };
		pthread_t thread;

		pthread_barrier_init(&o.meet, NULL, 2);
		leaves_cells(&o.first);
		REQUIRE_INT(pthread_create(&thread, NULL, outlives, &o), 0);
		pthread_barrier_wait(&o.meet);
		CHECK_STATUS(ipcshare_arena_destroy(o.first), 0);
		o.second = arena_with(ctx, 16, 0, 0);
		pthread_barrier_wait(&o.meet);
		if (round % 2)
			pthread_join(thread, NULL);
		else
			sched_yield();
		if (round % 2)
			CHECK_INT(arena_stats(o.second).kept_bytes, 0);
		else
			pthread_join(thread, NULL);
		CHECK_STATUS(ipcshare_arena_destroy(o.second), 0);
		pthread_barrier_destroy(&o.meet);
	}
}

struct ends {
	struct ipcshare_arena *arena;
	pthread_barrier_t meet;
};

/* It ends while the arena does. */
static void *ends_too(void *arg)
{
	struct ends *e = arg;

	leaves_cells(&e->arena);
	pthread_barrier_wait(&e->meet);
	return NULL;
}

static void a_thread_may_end_while_an_arena_does(void)
{
	for (int round = 0; round < 100; round++) {
		struct ends e = { .arena = arena_with(ctx, 0, 0, 0) };
		pthread_t thread;

		pthread_barrier_init(&e.meet, NULL, 2);
		REQUIRE_INT(pthread_create(&thread, NULL, ends_too, &e), 0);
		pthread_barrier_wait(&e.meet);
		CHECK_STATUS(ipcshare_arena_destroy(e.arena), 0);
		pthread_join(thread, NULL);
		pthread_barrier_destroy(&e.meet);
	}
	CHECK_INT(team_counters(ctx).allocations, 0);
}

/* Another library's destructor that runs when ours has. */
static pthread_key_t late;

static void frees_late(void *p)
{
	CHECK_STATUS(ipcshare_arena_free(arena, p), 0);
}

static void *has_a_late_destructor(void *unused)
{
	void *p = arena_alloc(arena, 100); /* our key comes first */

	(void)unused;
	pthread_setspecific(late, p);
	return NULL;
}

static void what_is_freed_by_a_late_destructor_comes_back_too(void)
{
	pthread_t thread;

	arena_alloc(arena, 100);
	REQUIRE_INT(pthread_key_create(&late, frees_late), 0);
	REQUIRE_INT(pthread_create(&thread, NULL, has_a_late_destructor, NULL), 0);
	pthread_join(thread, NULL);
	pthread_key_delete(late);
	CHECK_STATUS(ipcshare_arena_trim(arena, NULL), 0);
	CHECK_INT(arena_stats(arena).kept_bytes, 0);
	CHECK_INT(arena_stats(arena).used, 1);
}

/* ---- Trim ---- */

struct idle {
	pthread_barrier_t meet;
};

static void *keeps_then_frees(void *arg)
{
	struct idle *idle = arg;
	void *p = NULL, *q = NULL;

	CHECK_STATUS(ipcshare_arena_alloc(arena, 500, &p), 0);
	CHECK_STATUS(ipcshare_arena_alloc(arena, 500, &q), 0);
	CHECK_STATUS(ipcshare_arena_free(arena, p), 0);
	pthread_barrier_wait(&idle->meet); /* trimmed, in vain */
	pthread_barrier_wait(&idle->meet);
	CHECK_STATUS(ipcshare_arena_free(arena, q), 0); /* brings back what it kept */
	CHECK_INT(arena_stats(arena).kept_bytes, 512);
	pthread_barrier_wait(&idle->meet);
	return NULL;
}

static void a_thread_brings_back_what_it_keeps_after_a_trim(void)
{
	struct idle idle;
	pthread_t thread;
	size_t released = 7;

	pthread_barrier_init(&idle.meet, NULL, 2);
	REQUIRE_INT(pthread_create(&thread, NULL, keeps_then_frees, &idle), 0);
	pthread_barrier_wait(&idle.meet);
	CHECK(arena_stats(arena).kept_bytes > 512, "none are kept");
	CHECK_STATUS(ipcshare_arena_trim(arena, &released), 0);
	CHECK_INT(released, 0);
	pthread_barrier_wait(&idle.meet);
	pthread_barrier_wait(&idle.meet);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&idle.meet);
	check_all_is_back();
}

static _Atomic int working;

static void *allocates_and_frees(void *arg)
{
	struct own *me = arg;
	char spare[64];
	void *p[200];

	for (int round = 0; round < 100; round++) {
		size_t len = (size_t)128 << 3 * (rand_r(&me->random) % 3); /* to 8192 */

		for (int i = 0; i < 200; i++) {
			if (!CHECK_STATUS(ipcshare_arena_alloc(arena, len, &p[i]), 0))
				p[i] = spare;
			memset(p[i], me->index, 64);
		}
		for (int i = 0; i < 200; i++) {
			CHECK_BYTES(p[i], me->index, 64);
			if (p[i] != spare)
				CHECK_STATUS(ipcshare_arena_free(arena, p[i]), 0);
		}
	}
	atomic_fetch_sub(&working, 1);
	return NULL;
}

static void trims_do_not_disturb_those_who_work(void)
{
	struct own own[THREADS];
	pthread_t thread[THREADS];
	void *many[300];

	atomic_store(&working, THREADS);
	for (int i = 0; i < THREADS; i++) {
		own[i] = (struct own){ i + 1, (unsigned)i + 1 };
		REQUIRE_INT(pthread_create(&thread[i], NULL, allocates_and_frees, &own[i]), 0);
	}
	while (atomic_load(&working)) {
		CHECK_STATUS(ipcshare_arena_alloc_many(arena, 1000, 300, many), 0);
		memset(many[299], 0, 1024);
		arena_stats(arena);
		CHECK_STATUS(ipcshare_arena_free_many(arena, many, 300), 0);
		CHECK_STATUS(ipcshare_arena_trim(arena, NULL), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	check_all_is_back();
}

TEST_SUITE(arena_threads, start, stop,
	TEST(threads_get_cells_of_their_own),
	TEST(threads_take_from_slabs_of_their_own),
	TEST(an_empty_slab_of_others_is_taken_over),
	TEST(threads_free_each_others_buffers),
	TEST(a_buffer_is_freed_once_however_many_try),
	TEST(the_end_of_a_thread_brings_its_cells_back),
	TEST(threads_and_arenas_end_in_any_order),
	TEST(a_thread_may_end_while_an_arena_does),
	TEST(what_is_freed_by_a_late_destructor_comes_back_too),
	TEST(a_thread_brings_back_what_it_keeps_after_a_trim),
	TEST(trims_do_not_disturb_those_who_work));
