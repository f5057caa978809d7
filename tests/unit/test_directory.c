/* SPDX-License-Identifier: BSD-3-Clause */
/* The directory of names, beside a model that is too simple to be wrong. */
#include "base/directory.h"

#include <pthread.h>
#include <stdatomic.h>

#include "support/test.h"

static struct ipcshare__directory dir;

static void start(void)
{
	dir = (struct ipcshare__directory){ 0 };
}

static void stop(void)
{
	ipcshare__directory_clear(&dir);
	CHECK_INT(dir.count, 0);
}

static uint32_t next(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Names that differ in one half or the other; no two numbers have the same. */
static struct ipcshare__name name_of(uint64_t i)
{
	return (struct ipcshare__name){ 16 * (1 + i % 50), i / 50 };
}

static int put(uint64_t i, uint64_t what)
{
	return ipcshare__directory_put(&dir, name_of(i), (struct ipcshare__behind){ what, ~what });
}

/* What stands behind name @i; 0: it isn't there. */
static uint64_t found(uint64_t i)
{
	struct ipcshare__behind what = { 0, 0 };

	if (!ipcshare__directory_find(&dir, name_of(i), &what))
		return 0;
	CHECK_INT(what.b, ~what.a);
	return what.a;
}

static void an_empty_directory_finds_nothing(void)
{
	size_t at = 0;

	CHECK_INT(found(1), 0);
	ipcshare__directory_remove(&dir, name_of(1));
	CHECK_INT(dir.count, 0);
	CHECK(!ipcshare__directory_next(&dir, &at, &(struct ipcshare__name){ 0 },
					&(struct ipcshare__behind){ 0 }), "something is there");
}

static void the_last_put_counts(void)
{
	CHECK_STATUS(put(1, 10), 0);
	CHECK_STATUS(put(1, 11), 0);
	CHECK_INT(found(1), 11);
	CHECK_INT(dir.count, 1);
	ipcshare__directory_remove(&dir, name_of(1));
	CHECK_INT(found(1), 0);
	CHECK_INT(dir.count, 0);
}

#define NAMES 3000
#define STEPS 200000

static uint64_t model[NAMES];

static void check_walk(void)
{
	struct ipcshare__behind what;
	struct ipcshare__name name;
	size_t at = 0, n = 0, expected = 0;

	while (ipcshare__directory_next(&dir, &at, &name, &what)) {
		uint64_t i = name.b * 50 + name.a / 16 - 1;

		CHECK_INT(what.a, model[i]);
		n++;
	}
	for (size_t i = 0; i < NAMES; i++)
		expected += model[i] != 0;
	CHECK_INT(n, expected);
	CHECK_INT(dir.count, expected);
}

/* Fuller and emptier in turn, so that tables grow, and what was taken out is cleared away. */
static void it_agrees_with_a_simple_model(void)
{
	uint32_t state = 4711;

	memset(model, 0, sizeof(model));
	for (uint64_t step = 1; step <= STEPS; step++) {
		uint64_t i = next(&state) % NAMES, look = next(&state) % NAMES;
		uint32_t puts = step / 20000 % 2 ? 1 : 3; /* of four */

		if (next(&state) % 4 < puts) {
			CHECK_STATUS(put(i, step), 0);
			model[i] = step;
		} else {
			ipcshare__directory_remove(&dir, name_of(i));
			model[i] = 0;
		}
		if (found(i) != model[i] || found(look) != model[look])
			REQUIRE(0, "step %ju", (uintmax_t)step);
		REQUIRE(dir.filled >= dir.count, "%zu of %zu", dir.filled, dir.count);
		if (step % 20000 == 0)
			check_walk();
	}
	for (size_t i = 0; i < NAMES; i++) {
		CHECK_INT(found(i), model[i]);
		ipcshare__directory_remove(&dir, name_of(i));
	}
	CHECK_INT(dir.count, 0);
}

/* One name that comes and goes for ever takes no more room than once. */
static void coming_and_going_takes_no_room(void)
{
	for (uint64_t step = 1; step <= 10000; step++) {
		CHECK_STATUS(put(step, step), 0);
		ipcshare__directory_remove(&dir, name_of(step));
	}
	CHECK_INT(dir.filled, 0);
	CHECK_PTR(dir.spare, NULL);
}

/* ---- Readers beside a writer ---- */

#define STABLE 500 /* even numbers below 2 * STABLE stay; odd ones come and go */
#ifdef __SANITIZE_THREAD__
#define ROUNDS 20 /* it is told of every atomic access */
#else
#define ROUNDS 400
#endif

static _Atomic bool writer_done;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct reader {
	pthread_t thread;
	size_t wrong, missed, looks;
};

/* What stays is found, at the second look at the latest; nothing is found that never stood there. */
static void *read_on(void *arg)
{
	struct reader *r = arg;
	uint32_t state = 99;

	while (!atomic_load(&writer_done)) {
		uint64_t i = next(&state) % (2 * STABLE);
		struct ipcshare__behind what;
		bool there = ipcshare__directory_find(&dir, name_of(i), &what);

		r->looks++;
		if (!there && i % 2 == 0) {
			r->missed++;
			pthread_mutex_lock(&lock);
			r->wrong += !ipcshare__directory_find(&dir, name_of(i), &what);
			pthread_mutex_unlock(&lock);
		}
		if (there && (what.a % (2 * STABLE) != i || what.b != ~what.a))
			r->wrong++;
	}
	return NULL;
}

static void change(uint64_t i, uint64_t what)
{
	pthread_mutex_lock(&lock);
	if (what)
		CHECK_STATUS(put(i, what), 0);
	else
		ipcshare__directory_remove(&dir, name_of(i));
	pthread_mutex_unlock(&lock);
}

static void readers_find_whole_entries_beside_a_writer(void)
{
	struct reader readers[3] = { { .wrong = 0 } };

	for (uint64_t i = 0; i < 2 * STABLE; i += 2)
		change(i, 2 * STABLE + i);
	atomic_store(&writer_done, false);
	for (int t = 0; t < 3; t++)
		REQUIRE(!pthread_create(&readers[t].thread, NULL, read_on, &readers[t]), "no thread");
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		for (uint64_t i = 1; i < 2 * STABLE; i += 2)
			change(i, 2 * STABLE * round + i);
		for (uint64_t i = 0; i < 2 * STABLE; i += 2) /* another value, as good */
			change(i, 2 * STABLE * round + i);
		for (uint64_t i = 2 * STABLE; i-- > 0;)
			if (i % 2)
				change(i, 0);
	}
	atomic_store(&writer_done, true);
	for (int t = 0; t < 3; t++) {
		pthread_join(readers[t].thread, NULL);
		CHECK_INT(readers[t].wrong, 0);
		CHECK(readers[t].missed < readers[t].looks / 10 + 10, "%zu of %zu looks found nothing",
		      readers[t].missed, readers[t].looks);
	}
}

/* Looks for nothing but names that are written just then, or whose place is another's just then. */
static void *read_what_changes(void *arg)
{
	struct reader *r = arg;
	uint32_t state = 7;

	while (!atomic_load(&writer_done)) {
		uint64_t i = next(&state) % 40;
		struct ipcshare__behind what;
		bool there = ipcshare__directory_find(&dir, name_of(i), &what);

		r->looks += there;
		r->wrong += there && (what.a % 40 != i || what.b != ~what.a);
	}
	return NULL;
}

static void no_half_written_entry_is_found(void)
{
	struct reader readers[2] = { { .wrong = 0 } };
	uint32_t state = 5;

	atomic_store(&writer_done, false);
	for (int t = 0; t < 2; t++)
		REQUIRE(!pthread_create(&readers[t].thread, NULL, read_what_changes, &readers[t]),
			"no thread");
	for (uint64_t step = 1; step <= 6000 * ROUNDS; step++) {
		uint64_t i = next(&state) % 40;

		if (dir.count < 25) /* it stays small, so that places are used again and again */
			CHECK_STATUS(put(i, 40 * step + i), 0);
		else
			ipcshare__directory_remove(&dir, name_of(i));
	}
	atomic_store(&writer_done, true);
	for (int t = 0; t < 2; t++) {
		pthread_join(readers[t].thread, NULL);
		CHECK_INT(readers[t].wrong, 0);
		CHECK(readers[t].looks > 0, "nothing was ever found");
	}
}

TEST_SUITE(directory, start, stop,
	TEST(an_empty_directory_finds_nothing),
	TEST(the_last_put_counts),
	TEST(it_agrees_with_a_simple_model),
	TEST(coming_and_going_takes_no_room),
	TEST(readers_find_whole_entries_beside_a_writer),
	TEST(no_half_written_entry_is_found));
