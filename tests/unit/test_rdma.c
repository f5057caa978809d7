/* SPDX-License-Identifier: BSD-3-Clause */
/* Registrations with a NIC: one for a region, whoever asks. */
#include <pthread.h>
#include <stdlib.h>

#include "rdma.h"

#define LEN 10000

/* ---- Once for a region ---- */

#define MANY 10000
static void ten_thousand_buffers_of_an_arena_are_one_registration(void)
{
	static const struct ipcshare_rdma_region *regions[MANY];
	static void *p[MANY];
	struct ipcshare_rdma_domain *d;
	struct ipcshare_arena *arena;

	owner_open();
	REQUIRE_OK(ipcshare_arena_create(owner, NULL, &arena));
	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 100, MANY, p));
	d = rdma_domain(owner);
	for (size_t i = 0; i < MANY; i++) {
		regions[i] = rdma_region_at(d, p[i], RDMA_WRITE_TOO);
		CHECK_INT(regions[i]->lkey, regions[0]->lkey);
	}
	CHECK_INT(fake.made, 1);
	CHECK_INT(rdma_stats(d).registrations, 1);
	CHECK_INT(rdma_stats(d).hits, MANY - 1);
	CHECK_FAILS(ipcshare_arena_destroy(arena), IPCSHARE_ERR_BUSY);
	for (size_t i = 0; i < MANY; i++)
		CHECK_STATUS(ipcshare_rdma_release(regions[i]), 0);
	CHECK_INT(fake.ended, 0); /* it is kept */
	CHECK_INT(rdma_stats(d).idle, 1);
	CHECK_STATUS(ipcshare_arena_destroy(arena), 0);
	rdma_check_all_ended(1);
	CHECK_INT(rdma_stats(d).active, 0);
	CHECK_INT(rdma_stats(d).idle, 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
}

static void each_access_and_each_domain_registers_for_itself(void)
{
	const struct ipcshare_rdma_region *a, *b, *c;
	struct ipcshare_rdma_domain *d, *e;

	owner_open();
	d = rdma_domain(owner);
	e = rdma_domain(owner);
	a = rdma_region_at(d, owned, RDMA_READ);
	b = rdma_region_at(d, owned, RDMA_WRITE_TOO);
	c = rdma_region_at(e, owned, RDMA_READ);
	CHECK(a->rkey != b->rkey && a->rkey != c->rkey, "keys are shared");
	CHECK_INT(rdma_stats(d).active_bytes, 2 * OWNED);
	CHECK_FAILS(ipcshare_rdma_domain_free(d), IPCSHARE_ERR_BUSY);
	ipcshare_rdma_release(a);
	ipcshare_rdma_release(b);
	ipcshare_rdma_release(c);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(e), 0);
	rdma_check_all_ended(3);
}

static void own_memory_that_is_mapped_too_is_one_region(void)
{
	const struct ipcshare_rdma_region *before, *after;
	struct ipcshare_rdma_domain *d;
	struct ipcshare_packed packed;
	void *p;

	owner_open();
	d = rdma_domain(owner);
	before = rdma_region_at(d, owned, RDMA_READ);
	packed = owner_pack(owned, OWNED, 0);
	REQUIRE_OK(ipcshare_map(owner, &packed, &p));
	CHECK_PTR(p, owned);
	after = rdma_region_at(d, p, RDMA_READ);
	CHECK_PTR(after, before);
	CHECK_STATUS(ipcshare_unmap(owner, p), 0);
	CHECK_STATUS(ipcshare_rdma_release(before), 0);
	CHECK_STATUS(ipcshare_rdma_release(after), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	rdma_check_all_ended(1);
}

/* ---- Arguments ---- */

static void uses_the_parents(int channel, void *arg)
{
	const struct ipcshare_rdma_region *r = arg, *out = RDMA_UNTOUCHED;
	struct ipcshare_rdma_record record;

	(void)channel;
	CHECK_FAILS(ipcshare_rdma_release(r), IPCSHARE_ERR_FORKED);
	CHECK_FAILS(ipcshare_rdma_pack(r, &record), IPCSHARE_ERR_FORKED);
	CHECK_FAILS(ipcshare_rdma_region(*(struct ipcshare_rdma_domain **)r->base, owned, RDMA_READ, &out),
		    IPCSHARE_ERR_FORKED);
	CHECK_STATUS(ipcshare_abandon(owner), 0);
	owner = NULL;
	CHECK_INT(fake.ended, 0); /* that would end it for the parent */
}

static void bad_arguments_and_dead_handles_are_refused(void)
{
	const struct ipcshare_rdma_region *r = RDMA_UNTOUCHED;
	struct ipcshare_rdma_domain *d = NULL, *const none = NULL;
	struct ipcshare_rdma_stats s = { .size = 1 };
	char on_stack = 0;

	owner_open();
	CHECK_FAILS(ipcshare_rdma_domain_create(owner, NULL, &d), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_domain_create(owner, &fake_pd, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_domain_create(NULL, &fake_pd, &d), IPCSHARE_ERR_INVALID);
	CHECK_PTR(d, NULL);
	d = rdma_domain(owner);
	CHECK_FAILS(ipcshare_rdma_region(none, owned, RDMA_READ, &r), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_region(d, NULL, RDMA_READ, &r), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_region(d, owned, RDMA_READ, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_region(d, owned, -1, &r), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_region(d, owned, IBV_ACCESS_REMOTE_WRITE, &r),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_region(d, &on_stack, RDMA_READ, &r), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_rdma_region_of(d, NULL, 0, 0, RDMA_READ, &r), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_stats(d, &s), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_stats(d, NULL), IPCSHARE_ERR_INVALID);
	CHECK_PTR(r, RDMA_UNTOUCHED);
	r = rdma_region_at(d, owned, RDMA_READ);
	*(struct ipcshare_rdma_domain **)owned = d;
	test_child_join(test_child(uses_the_parents, (void *)(uintptr_t)r));
	CHECK_STATUS(ipcshare_rdma_release(r), 0);
	CHECK_FAILS(ipcshare_rdma_release(r), IPCSHARE_ERR_CLOSED); /* it is kept, but not theirs */
	CHECK_FAILS(ipcshare_rdma_pack(r, NULL), IPCSHARE_ERR_CLOSED);
	CHECK_STATUS(ipcshare_rdma_release(NULL), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	CHECK_FAILS(ipcshare_rdma_release(r), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_rdma_domain_free(d), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_rdma_trim(d, NULL), IPCSHARE_ERR_CLOSED);
	CHECK_STATUS(ipcshare_rdma_domain_free(NULL), 0);
}

/* ---- Threads ---- */

#define THREADS 4
static pthread_barrier_t together;
static struct ipcshare_rdma_domain *shared_domain;

/* All threads are in the call, or soon will be, before the device answers the first. */
static void wait_for_the_others(void)
{
	pthread_barrier_wait(&together);
}

static void *registers_at_once(void *arg)
{
	if (arg) /* the first is at the device by now */
		pthread_barrier_wait(&together);
	return (void *)(uintptr_t)rdma_region_at(shared_domain, owned, RDMA_READ);
}

static void threads_that_want_one_region_wait_for_its_one_registration(void)
{
	pthread_t threads[THREADS];
	void *got[THREADS];

	owner_open();
	shared_domain = rdma_domain(owner);
	pthread_barrier_init(&together, NULL, THREADS);
	fake.making = wait_for_the_others;
	for (int i = 0; i < THREADS; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, registers_at_once, i ? &together : NULL), "%m");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], &got[i]);
	for (int i = 0; i < THREADS; i++) {
		CHECK_PTR(got[i], got[0]);
		CHECK_STATUS(ipcshare_rdma_release(got[i]), 0);
	}
	CHECK_STATUS(ipcshare_rdma_domain_free(shared_domain), 0);
	rdma_check_all_ended(1);
	pthread_barrier_destroy(&together);
}

static void *registers_and_trims(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	char *mine = NULL;

	for (int i = 0; i < 2000; i++) {
		const struct ipcshare_rdma_region *r;
		int access = i % 3 ? RDMA_READ : RDMA_WRITE_TOO;

		switch (rand_r(&seed) % 4) {
		case 0:
			CHECK_STATUS(ipcshare_rdma_trim(shared_domain, NULL), 0);
			break;
		case 1: /* memory of its own, freed with what is kept of it */
			mine = team_alloc(owner, LEN);
			r = rdma_region_at(shared_domain, mine, access);
			CHECK_STATUS(ipcshare_rdma_release(r), 0);
			CHECK_STATUS(ipcshare_free(owner, mine), 0);
			break;
		default:
			r = rdma_region_at(shared_domain, owned, access);
			CHECK_STATUS(ipcshare_rdma_release(r), 0);
		}
	}
	return NULL;
}

static void threads_register_release_trim_and_free(void)
{
	pthread_t threads[THREADS];
	struct ipcshare_rdma_stats s;

	owner_open();
	shared_domain = rdma_domain(owner);
	for (int i = 0; i < THREADS; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, registers_and_trims, (void *)(intptr_t)i), "%m");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	s = rdma_stats(shared_domain);
	CHECK_INT(s.idle, s.active);
	CHECK_INT(s.active, fake.made - fake.ended);
	CHECK_INT(s.registrations, fake.made);
	CHECK_STATUS(ipcshare_rdma_domain_free(shared_domain), 0);
	rdma_check_all_ended(fake.made);
}

TEST_SUITE(rdma, rdma_begin, owner_end,
	TEST(ten_thousand_buffers_of_an_arena_are_one_registration),
	TEST(each_access_and_each_domain_registers_for_itself),
	TEST(own_memory_that_is_mapped_too_is_one_region),
	TEST(bad_arguments_and_dead_handles_are_refused),
	TEST(threads_that_want_one_region_wait_for_its_one_registration),
	TEST(threads_register_release_trim_and_free));
