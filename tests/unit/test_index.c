/* SPDX-License-Identifier: BSD-3-Clause */
/* The ordered index of address ranges, beside a model that is too simple to be wrong. */
#include "base/index.h"
#include <pthread.h>
#include <stdatomic.h>

#include "support/test.h"

#define SPACE 4096 /* addresses of the model, from BASE */
#define BASE ((char *)0x10000)

static struct ipcshare__index index_;
static void *owner[SPACE]; /* the model: whose is each address? */

static void start(void)
{
	index_ = (struct ipcshare__index){ 0 };
	memset(owner, 0, sizeof(owner));
}

static void stop(void)
{
	ipcshare__index_clear(&index_);
	CHECK_INT(index_.count, 0);
	CHECK(!ipcshare__index_next(&index_, NULL, &(struct ipcshare__range){ 0 }), "not empty");
}

static uint32_t next(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void check_find(size_t at)
{
	struct ipcshare__range r = { 0, 0, NULL };

	if (ipcshare__index_find(&index_, BASE + at, &r))
		CHECK((char *)r.start <= BASE + at && BASE + at < (char *)r.end,
		      "%zx is not in %zx-%zx", (size_t)(BASE + at), r.start, r.end);
	CHECK_PTR(r.what, owner[at]);
}

static int is_free(size_t from, size_t to)
{
	while (from < to && !owner[from])
		from++;
	return from == to;
}

/* Add @what where there is room, else see it refused. */
static void add(size_t from, size_t to, void *what)
{
	int status = ipcshare__index_add(&index_, BASE + from, to - from, what);

	if (!is_free(from, to)) {
		CHECK_STATUS(status, IPCSHARE_ERR_BUSY);
		return;
	}
	CHECK_STATUS(status, 0);
	for (size_t i = from; i < to; i++)
		owner[i] = what;
}

static void remove_at(size_t at)
{
	struct ipcshare__range r;
	void *what = owner[at];

	if (!ipcshare__index_find(&index_, BASE + at, &r) || !what)
		return;
	ipcshare__index_remove(&index_, (void *)r.start);
	for (size_t i = 0; i < SPACE; i++)
		if (owner[i] == what)
			owner[i] = NULL;
}

/* Walk from range to range: they are in order, and as many as there should be. */
static void check_order(void)
{
	struct ipcshare__range r = { 0, 0, NULL };
	uintptr_t end = 0;
	size_t count = 0;

	while (ipcshare__index_next(&index_, (void *)end, &r)) {
		CHECK(end <= r.start && r.start < r.end, "out of order at %zu", count);
		end = r.end;
		count++;
	}
	CHECK_INT(count, index_.count);
}

static void it_agrees_with_a_simple_model(void)
{
	uint32_t state = 4711;

	for (size_t step = 1; step < 100000; step++) {
		size_t from = next(&state) % (SPACE - 64), to = from + 1 + next(&state) % 63;

		if (next(&state) % 3)
			add(from, to, (void *)step);
		else
			remove_at(from);
		check_find(from);
		check_find(to);
		check_find(next(&state) % SPACE);
	}
	for (size_t i = 0; i < SPACE; i++)
		check_find(i);
	check_order();
	for (size_t i = 0; i < SPACE; i++)
		remove_at(i);
	CHECK_INT(index_.count, 0);
}

static void neighbours_touch_and_overlaps_are_refused(void)
{
	add(100, 200, "b");
	add(0, 100, "a");
	add(200, 300, "c");
	CHECK_INT(index_.count, 3);
	for (size_t from = 50; from < 260; from += 30)
		add(from, from + 20, "x");
	add(99, 100, "x");
	add(0, 300, "x");
	add(0, 4000, "x");
	CHECK_INT(index_.count, 3);
	for (size_t i = 0; i < 400; i++)
		check_find(i);
	remove_at(150);
	check_find(150);
	add(99, 101, "x"); /* half of it is free: refused, and nothing changes */
	add(100, 200, "d");
	check_find(100);
	check_find(199);
}

static void an_empty_index_finds_nothing(void)
{
	struct ipcshare__range r;

	CHECK(!ipcshare__index_find(&index_, BASE, &r), "found something");
	CHECK(!ipcshare__index_find(&index_, NULL, &r), "found something");
	CHECK(!ipcshare__index_find(&index_, (void *)UINTPTR_MAX, &r), "found something");
	CHECK(!ipcshare__index_next(&index_, NULL, &r), "found something");
}

/* ---- Many ranges, and readers beside a writer ---- */

#define MANY 100000
#define LENGTH 4096

static void *many_at(size_t i)
{
	return BASE + 2 * LENGTH * i;
}

/* Every range exact at both ends, in any order of coming and going. */
static void many_ranges_are_exact_at_their_ends(void)
{
	struct ipcshare__range r;
	size_t step = 61799; /* no factor in common with MANY */

	for (size_t i = 0; i < MANY; i++)
		CHECK_STATUS(ipcshare__index_add(&index_, many_at(i * step % MANY), LENGTH,
						 (void *)(i * step % MANY + 1)), 0);
	check_order();
	for (size_t i = 0; i < MANY; i++) {
		char *at = many_at(i);
		bool all = ipcshare__index_find(&index_, at, &r) && r.what == (void *)(i + 1) &&
			   ipcshare__index_find(&index_, at + LENGTH - 1, &r) &&
			   r.what == (void *)(i + 1) &&
			   !ipcshare__index_find(&index_, at + LENGTH, &r) &&
			   !ipcshare__index_find(&index_, at - 1, &r);

		if (!all)
			CHECK(all, "range %zu", i);
	}
	for (size_t i = 0; i < MANY; i++)
		ipcshare__index_remove(&index_, many_at(i * step % MANY));
	CHECK_INT(index_.count, 0);
}

#define STABLE 500 /* ranges that stay; between them others come and go */
#ifdef __SANITIZE_THREAD__
#define ROUNDS 10 /* it is told of every atomic access */
#else
#define ROUNDS 100
#endif

static _Atomic bool writer_done;

/* Those that stay are always found, and those that come and go are found whole or not at all. */
static void *read_on(void *arg)
{
	size_t *wrong = arg;
	uint32_t state = 99;

	while (!atomic_load(&writer_done)) {
		size_t i = next(&state) % (2 * STABLE), inside = next(&state) % LENGTH;
		char *at = (char *)many_at(i) + inside;
		struct ipcshare__range r = { 0, 0, NULL };
		bool found = ipcshare__index_find(&index_, at, &r);

		if (found ? r.what != (void *)(i + 1) || r.start != (uintptr_t)many_at(i) ||
				    r.end - r.start != LENGTH
			  : i % 2 == 0)
			++*wrong;
	}
	return NULL;
}

static void readers_see_no_half_change(void)
{
	size_t wrong[3] = { 0 };
	pthread_t readers[3];

	for (size_t i = 0; i < 2 * STABLE; i += 2)
		CHECK_STATUS(ipcshare__index_add(&index_, many_at(i), LENGTH, (void *)(i + 1)), 0);
	atomic_store(&writer_done, false);
	for (int t = 0; t < 3; t++)
		REQUIRE(!pthread_create(&readers[t], NULL, read_on, &wrong[t]), "no thread");
	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 1; i < 2 * STABLE; i += 2)
			CHECK_STATUS(ipcshare__index_add(&index_, many_at(i), LENGTH,
							 (void *)(i + 1)), 0);
		for (size_t i = 1; i < 2 * STABLE; i += 2)
			ipcshare__index_remove(&index_, many_at(round % 2 ? i : 2 * STABLE - i));
	}
	atomic_store(&writer_done, true);
	for (int t = 0; t < 3; t++) {
		pthread_join(readers[t], NULL);
		CHECK_INT(wrong[t], 0);
	}
}

TEST_SUITE(index, start, stop,
	TEST(it_agrees_with_a_simple_model),
	TEST(neighbours_touch_and_overlaps_are_refused),
	TEST(an_empty_index_finds_nothing),
	TEST(many_ranges_are_exact_at_their_ends),
	TEST(readers_see_no_half_change));
