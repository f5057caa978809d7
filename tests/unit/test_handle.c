/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/handle.h"
#include "quiet.h"

#define CTX IPCSHARE__HANDLE_CTX
#define SET IPCSHARE__HANDLE_SET

static char things[2000] __attribute__((aligned(16))); /* their addresses are handles; 16 bytes apart as malloc's are */

static void *thing(int i)
{
	return &things[16 * i];
}

static int check(void *handle, enum ipcshare__handle_kind kind)
{
	return ipcshare__handle_check(handle, kind, "the test");
}

static void a_handle_lives_from_add_to_remove(void)
{
	CHECK_FAILS(check(thing(0), CTX), IPCSHARE_ERR_CLOSED);
	CHECK_STATUS(ipcshare__handle_add(thing(0), CTX), 0);
	CHECK_STATUS(check(thing(0), CTX), 0);
	ipcshare__handle_remove(thing(0));
	CHECK_FAILS(check(thing(0), CTX), IPCSHARE_ERR_CLOSED);
	CHECK_STR(ipcshare_last_error()->stage, "the test");
	CHECK(ipcshare_last_error()->hint[0], "no hint");
}

static void null_is_invalid_and_named(void)
{
	CHECK_FAILS(check(NULL, CTX), IPCSHARE_ERR_INVALID);
	CHECK_HAS(ipcshare_last_error()->text, "context");
	CHECK_FAILS(check(NULL, SET), IPCSHARE_ERR_INVALID);
	CHECK_HAS(ipcshare_last_error()->text, "set");
}

static void a_handle_of_another_kind_is_closed(void)
{
	CHECK_STATUS(ipcshare__handle_add(thing(0), CTX), 0);
	CHECK_FAILS(check(thing(0), SET), IPCSHARE_ERR_CLOSED);
	ipcshare__handle_remove(thing(0));
}

static void removing_what_is_not_there_does_nothing(void)
{
	ipcshare__handle_remove(thing(0));
	CHECK_STATUS(ipcshare__handle_add(thing(1), CTX), 0);
	ipcshare__handle_remove(thing(0));
	CHECK_STATUS(check(thing(1), CTX), 0);
	ipcshare__handle_remove(thing(1));
}

#define MANY 5000

static void many_handles_are_told_apart_whatever_is_removed(void)
{
	char *memory = malloc(16 * MANY);
	unsigned char alive[MANY] = { 0 };
	unsigned random = 1;

	for (int round = 0; round < 20000; round++) {
		int i = (int)((random = random * 1103515245u + 12345u) >> 8) % MANY;

		if (alive[i])
			ipcshare__handle_remove(memory + 16 * i);
		else
			REQUIRE_OK(ipcshare__handle_add(memory + 16 * i, CTX));
		alive[i] = !alive[i];
		if (round % 1000)
			continue;
		for (int k = 0; k < MANY; k++)
			if (!CHECK_STATUS(check(memory + 16 * k, CTX),
					  alive[k] ? 0 : IPCSHARE_ERR_CLOSED))
				goto clean_up;
	}
clean_up:
	for (int i = 0; i < MANY; i++)
		ipcshare__handle_remove(memory + 16 * i);
	free(memory);
}

struct visits {
	int n;
	int stop_at;
	void *last;
};

static int visit(void *handle, void *arg)
{
	struct visits *v = arg;

	v->last = handle;
	return ++v->n == v->stop_at ? 77 : 0;
}

static void each_visits_the_handles_of_one_kind(void)
{
	struct visits v = { 0 };

	for (int i = 0; i < 5; i++)
		REQUIRE_OK(ipcshare__handle_add(thing(i), CTX));
	REQUIRE_OK(ipcshare__handle_add(thing(9), SET));

	CHECK_INT(ipcshare__handle_each(CTX, visit, &v), 0);
	CHECK_INT(v.n, 5);
	v.n = 0;
	CHECK_INT(ipcshare__handle_each(SET, visit, &v), 0);
	CHECK_INT(v.n, 1);
	CHECK_PTR(v.last, thing(9));
	v = (struct visits){ .stop_at = 2 };
	CHECK_INT(ipcshare__handle_each(CTX, visit, &v), 77);
	CHECK_INT(v.n, 2);

	for (int i = 0; i < 10; i++)
		ipcshare__handle_remove(thing(i));
	v = (struct visits){ 0 };
	CHECK_INT(ipcshare__handle_each(CTX, visit, &v), 0);
	CHECK_INT(v.n, 0);
}

/* ---- Without the lock ---- */

static void checks_often(void *arg)
{
	int *wrong = arg;

	for (int i = 0; i < 1000; i++)
		*wrong += check(thing(0), CTX) != 0;
}

static int check_while_the_lock_is_held(void *handle, void *arg)
{
	(void)handle;
	CHECK(test_quietly(checks_often, arg), "it made a system call");
	return 0;
}

/* A visit holds the lock. */
static void a_live_handle_is_found_without_lock_or_system_call(void)
{
	int wrong = 0;

	REQUIRE_OK(ipcshare__handle_add(thing(0), CTX));
	CHECK_INT(ipcshare__handle_each(CTX, check_while_the_lock_is_held, &wrong), 0);
	CHECK_INT(wrong, 0);
	ipcshare__handle_remove(thing(0));
}

#define CROWD 400 /* the tables grow, and are cleared of what was removed */
#ifdef __SANITIZE_THREAD__
#define CROWD_ROUNDS 20
#else
#define CROWD_ROUNDS 500
#endif

static char crowd[3][16 * CROWD] __attribute__((aligned(16)));
static _Atomic int crowding;

/* A crowd of this thread's comes and goes. */
static void *come_and_go(void *arg)
{
	char *mine = arg;

	for (int round = 0; round < CROWD_ROUNDS; round++) {
		for (int i = 0; i < CROWD; i++)
			CHECK_STATUS(ipcshare__handle_add(mine + 16 * i, SET), 0);
		for (int i = 0; i < CROWD; i += 7)
			CHECK_STATUS(check(mine + 16 * i, SET), 0);
		for (int i = 0; i < CROWD; i++)
			ipcshare__handle_remove(mine + 16 * i);
		for (int i = 0; i < CROWD; i += 50)
			CHECK_STATUS(check(mine + 16 * i, SET), IPCSHARE_ERR_CLOSED);
	}
	atomic_fetch_sub(&crowding, 1);
	return NULL;
}

/* Those that stay are alive, whatever happens beside them. */
static void threads_check_while_others_add_and_remove(void)
{
	pthread_t threads[3];

	for (int i = 0; i < 50; i++)
		REQUIRE_OK(ipcshare__handle_add(thing(i), CTX));
	atomic_store(&crowding, 3);
	for (int t = 0; t < 3; t++)
		REQUIRE(!pthread_create(&threads[t], NULL, come_and_go, crowd[t]), "no thread");
	while (atomic_load(&crowding))
		for (int i = 0; i < 50; i++)
			CHECK_STATUS(check(thing(i), CTX), 0);
	for (int t = 0; t < 3; t++)
		pthread_join(threads[t], NULL);
	for (int i = 0; i < 50; i++)
		ipcshare__handle_remove(thing(i));
}

/* ---- Fork ---- */

static void inherited_handles_are_dead(int channel, void *arg)
{
	struct visits v = { 0 };
	int depth = *(int *)arg - 1;

	(void)channel;
	CHECK_FAILS(check(thing(0), CTX), IPCSHARE_ERR_FORKED);
	CHECK_INT(ipcshare__handle_each(CTX, visit, &v), 0);
	CHECK_INT(v.n, 0);
	CHECK_STATUS(ipcshare__handle_add(thing(1), CTX), 0); /* a new one */
	CHECK_STATUS(check(thing(1), CTX), 0);
	CHECK_STATUS(ipcshare__handle_add(thing(2), SET), 0); /* an inherited address again */
	CHECK_STATUS(check(thing(2), SET), 0);
	if (depth)
		test_child_join(test_child(inherited_handles_are_dead, &depth));
	CHECK_STATUS(check(thing(1), CTX), 0);
	ipcshare__handle_remove(thing(0));
	CHECK_FAILS(check(thing(0), CTX), IPCSHARE_ERR_CLOSED);
}

static void a_forked_child_finds_its_parents_handles_dead(void)
{
	int depth = 1;

	REQUIRE_OK(ipcshare__handle_add(thing(0), CTX));
	REQUIRE_OK(ipcshare__handle_add(thing(2), CTX));

	test_child_join(test_child(inherited_handles_are_dead, &depth));

	CHECK_STATUS(check(thing(0), CTX), 0); /* the parent's live on */
	CHECK_FAILS(check(thing(1), CTX), IPCSHARE_ERR_CLOSED);
	ipcshare__handle_remove(thing(0));
	ipcshare__handle_remove(thing(2));
}

static void a_grandchild_too(void)
{
	int depth = 2;

	REQUIRE_OK(ipcshare__handle_add(thing(0), CTX));
	REQUIRE_OK(ipcshare__handle_add(thing(2), CTX));

	test_child_join(test_child(inherited_handles_are_dead, &depth));

	ipcshare__handle_remove(thing(0));
	ipcshare__handle_remove(thing(2));
}

static void visits_nothing_first(int channel, void *arg)
{
	struct visits v = { 0 };

	(void)channel;
	(void)arg;
	CHECK_INT(ipcshare__handle_each(CTX, visit, &v), 0);
	CHECK_INT(v.n, 0);
}

static void each_in_a_child_visits_nothing_inherited(void)
{
	REQUIRE_OK(ipcshare__handle_add(thing(0), CTX));
	test_child_join(test_child(visits_nothing_first, NULL));
	ipcshare__handle_remove(thing(0));
}

static _Atomic int stop;

static void *add_and_remove(void *arg)
{
	int i = (int)(intptr_t)arg;

	while (!atomic_load(&stop)) {
		CHECK_STATUS(ipcshare__handle_add(thing(i), SET), 0);
		CHECK_STATUS(check(thing(i), SET), 0);
		ipcshare__handle_remove(thing(i));
		CHECK_STATUS(check(thing(i), SET), IPCSHARE_ERR_CLOSED);
	}
	return NULL;
}

static void removes_first(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	ipcshare__handle_remove(thing(0)); /* hangs if the lock of a thread that is gone is held */
	CHECK_FAILS(check(thing(0), CTX), IPCSHARE_ERR_CLOSED);
}

static void asks_first(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	CHECK_FAILS(check(thing(0), CTX), IPCSHARE_ERR_FORKED);
}

static void a_child_does_not_wait_for_threads_it_has_not(void)
{
	pthread_t threads[2];

	atomic_store(&stop, 0);
	REQUIRE_OK(ipcshare__handle_add(thing(0), CTX));
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, add_and_remove, (void *)(intptr_t)(i + 1));
	for (int i = 0; i < 40; i++)
		test_child_join(test_child(i % 2 ? removes_first : asks_first, NULL));
	atomic_store(&stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	ipcshare__handle_remove(thing(0));
}

#define CHILD_THREADS 4

static void *asks_in_a_thread(void *arg)
{
	pthread_barrier_wait(arg);
	for (int i = 0; i < 100; i++)
		CHECK_STATUS(check(thing(0), CTX), IPCSHARE_ERR_FORKED);
	return NULL;
}

static void asks_in_many_threads(int channel, void *arg)
{
	pthread_t threads[CHILD_THREADS];
	pthread_barrier_t barrier;

	(void)channel;
	(void)arg;
	pthread_barrier_init(&barrier, NULL, CHILD_THREADS);
	for (int i = 0; i < CHILD_THREADS; i++)
		pthread_create(&threads[i], NULL, asks_in_a_thread, &barrier);
	for (int i = 0; i < CHILD_THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);
}

static void a_childs_threads_may_all_come_first(void)
{
	REQUIRE_OK(ipcshare__handle_add(thing(0), CTX));
	for (int i = 0; i < 10; i++)
		test_child_join(test_child(asks_in_many_threads, NULL));
	ipcshare__handle_remove(thing(0));
}

TEST_SUITE(handle, NULL, NULL,
	TEST(a_handle_lives_from_add_to_remove),
	TEST(null_is_invalid_and_named),
	TEST(a_handle_of_another_kind_is_closed),
	TEST(removing_what_is_not_there_does_nothing),
	TEST(many_handles_are_told_apart_whatever_is_removed),
	TEST(each_visits_the_handles_of_one_kind),
	TEST(a_live_handle_is_found_without_lock_or_system_call),
	TEST(threads_check_while_others_add_and_remove),
	TEST(a_forked_child_finds_its_parents_handles_dead),
	TEST(a_grandchild_too),
	TEST(each_in_a_child_visits_nothing_inherited),
	TEST(a_child_does_not_wait_for_threads_it_has_not),
	TEST(a_childs_threads_may_all_come_first));
