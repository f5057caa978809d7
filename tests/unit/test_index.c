/* SPDX-License-Identifier: BSD-3-Clause */
/* The ordered index of address ranges, beside a model that is too simple to be wrong. */
#include "base/index.h"
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
	CHECK_PTR(index_.ranges, NULL);
}

static uint32_t next(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void check_find(size_t at)
{
	const struct ipcshare__range *r = ipcshare__index_find(&index_, BASE + at);

	CHECK_PTR(r ? r->what : NULL, owner[at]);
	if (r)
		CHECK((char *)r->start <= BASE + at && BASE + at < (char *)r->end,
		      "%zx is not in %zx-%zx", (size_t)(BASE + at), r->start, r->end);
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
	const struct ipcshare__range *r = ipcshare__index_find(&index_, BASE + at);
	void *what = owner[at];

	if (!what || !r)
		return;
	ipcshare__index_remove(&index_, (void *)r->start);
	for (size_t i = 0; i < SPACE; i++)
		if (owner[i] == what)
			owner[i] = NULL;
}

static void it_agrees_with_a_simple_model(void)
{
	uint32_t state = 4711;

	for (size_t step = 1; step < 20000; step++) {
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
	for (size_t i = 1; i < index_.count; i++)
		CHECK(index_.ranges[i - 1].end <= index_.ranges[i].start, "out of order at %zu", i);
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
	CHECK_PTR(ipcshare__index_find(&index_, BASE + 150), NULL);
	add(99, 101, "x"); /* half of it is free: refused, and nothing changes */
	add(100, 200, "d");
	check_find(100);
	check_find(199);
}

static void an_empty_index_finds_nothing(void)
{
	CHECK_PTR(ipcshare__index_find(&index_, BASE), NULL);
	CHECK_PTR(ipcshare__index_find(&index_, NULL), NULL);
	CHECK_PTR(ipcshare__index_find(&index_, (void *)UINTPTR_MAX), NULL);
}

TEST_SUITE(index, start, stop,
	TEST(it_agrees_with_a_simple_model),
	TEST(neighbours_touch_and_overlaps_are_refused),
	TEST(an_empty_index_finds_nothing));
