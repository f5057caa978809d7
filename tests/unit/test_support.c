/* SPDX-License-Identifier: BSD-3-Clause */
/* The tests' own tools: a check that can't fail, or a hang that is not seen, would hide bugs. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"

static void says_what_it_got(int channel, void *arg)
{
	int number;

	test_recv(channel, &number, sizeof(number));
	CHECK_INT(number, *(int *)arg);
	test_send(channel, &number, sizeof(number));
}

static void a_child_hears_and_answers(void)
{
	struct test_resources before;
	int number = 42;
	struct test_child *c;

	test_resources(&before);
	c = test_child(says_what_it_got, &number);
	test_send(c->channel, &number, sizeof(number));
	number = 0;
	test_recv(c->channel, &number, sizeof(number));
	CHECK_INT(number, 42);
	test_child_join(c);
	CHECK_NOTHING_LEAKED(&before);
}

static void ends_with_a_failure(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	CHECK_INT(1, 2);
}

static void requires_too_much(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	REQUIRE_OK(IPCSHARE_ERR_STALE);
	_exit(0);
}

static void dies(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	raise(SIGKILL);
}

/* Runs in a child of its own, so that the failures it wants stay out of this test's result. */
static void has_children_that_fail(int channel, void *arg)
{
	int results[3] = {
		test_child_join(test_child(ends_with_a_failure, NULL)),
		test_child_join(test_child(requires_too_much, NULL)),
		test_child_join(test_child(dies, NULL)),
	};

	(void)arg;
	test_send(channel, results, sizeof(results));
}

static void a_child_that_fails_or_dies_fails_its_parent(void)
{
	struct test_child *c = test_child(has_children_that_fail, NULL);
	int results[3] = { 9, 9, 9 }, status;
	char text[4096] = "";

	test_recv(c->channel, results, sizeof(results));
	REQUIRE(read(c->report, text, sizeof(text) - 1) > 0, "it reported nothing");
	status = test_child_wait(c);
	CHECK_INT(results[0], 0);
	CHECK_INT(results[1], 0);
	CHECK_INT(results[2], 0);
	CHECK_INT(WEXITSTATUS(status), 1);
	CHECK_HAS(text, "1 is 1 (0x1), expected 2 (0x2)");
	CHECK_HAS(text, "IPCSHARE_ERR_STALE");
	CHECK_HAS(text, "ended by signal 9");
}

static void leaks_one_of_each(int channel, void *arg)
{
	struct test_resources before;
	int fd, results[3];

	(void)arg;
	test_resources(&before);
	results[0] = CHECK_NOTHING_LEAKED(&before);
	fd = memfd_create("ipcshare", 0);
	results[1] = CHECK_NOTHING_LEAKED(&before);
	ftruncate(fd, 4096);
	mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	results[2] = CHECK_NOTHING_LEAKED(&before);
	test_send(channel, results, sizeof(results));
}

static void a_leaked_descriptor_and_a_leaked_mapping_are_seen(void)
{
	struct test_child *c = test_child(leaks_one_of_each, NULL);
	int results[3] = { 9, 9, 9 };
	char text[4096] = "";

	test_recv(c->channel, results, sizeof(results));
	REQUIRE(read(c->report, text, sizeof(text) - 1) > 0, "it reported nothing");
	test_child_wait(c);
	CHECK_INT(results[0], 1);
	CHECK_INT(results[1], 0);
	CHECK_INT(results[2], 0);
	CHECK_HAS(text, "/memfd:ipcshare");
}

/* ---- Bootstraps ---- */

static void all_gather(struct test_rank *me, void *arg)
{
	const struct ipcshare_bootstrap *b = &me->bootstrap;
	int mine = 100 + me->rank, all[TEST_RANKS_MAX];
	size_t lens[TEST_RANKS_MAX], total = 0, at = 0;
	static unsigned char big[200000], all_big[TEST_RANKS_MAX * 100000];

	(void)arg;
	CHECK_INT(b->rank, me->rank);
	CHECK_INT(b->nranks, me->nranks);
	REQUIRE_INT(b->allgather(b->arg, NULL, &mine, sizeof(mine), all), 0);
	for (int r = 0; r < me->nranks; r++)
		CHECK_INT(all[r], 100 + r);
	for (int r = 0; r < me->nranks; r++) {
		lens[r] = 64 * (size_t)(r * r); /* rank 0 brings nothing */
		if (r == 1)
			lens[r] = 65536; /* more than a socket takes at once */
		total += lens[r];
	}
	memset(big, me->rank, lens[me->rank]);
	test_rank_gatherv(me, 0, big, all_big, lens);
	for (int r = 0; r < me->nranks; at += lens[r++])
		CHECK_BYTES(all_big + at, r, lens[r]);
	CHECK_INT(at, total);
	CHECK_INT(me->uses, 1);
	test_rank_barrier(me, 1);
	b->release(b->arg, 7);
	CHECK_INT(me->released, 1);
	CHECK_INT(me->broken, 7);
}

static void all_gather_in_a_thread(struct test_rank *me, void *arg)
{
	const struct ipcshare_bootstrap *b = &me->bootstrap;
	int mine = 100 + me->rank, all[TEST_RANKS_MAX];

	(void)arg;
	for (int i = 0; i < 20; i++, mine += 1000) {
		REQUIRE_INT(b->allgather(b->arg, NULL, &mine, sizeof(mine), all), 0);
		for (int r = 0; r < me->nranks; r++)
			CHECK_INT(all[r], 1000 * i + 100 + r);
		test_rank_barrier(me, 0);
	}
}

static void forked_ranks_reach_each_other(void)
{
	struct test_resources before;

	test_resources(&before);
	for (int n = 1; n <= 8; n *= 2)
		CHECK_INT(test_ranks(n, all_gather, NULL), 0);
	CHECK_NOTHING_LEAKED(&before);
}

static void thread_ranks_reach_each_other(void)
{
	struct test_resources before;

	test_resources(&before);
	CHECK_INT(test_thread_ranks(1, all_gather_in_a_thread, NULL), 0);
	CHECK_INT(test_thread_ranks(5, all_gather_in_a_thread, NULL), 0);
	CHECK_NOTHING_LEAKED(&before);
}

static void halves_meet(struct test_rank *me, void *arg)
{
	uint64_t odd = 0xaaaa & ((1u << me->nranks) - 1), even = 0x5555 & ((1u << me->nranks) - 1);
	struct ipcshare_bootstrap b =
		test_rank_bootstrap(me, 2, me->rank & 1 ? odd : even);
	int all[TEST_RANKS_MAX];

	(void)arg;
	CHECK_INT(b.rank, me->rank / 2);
	REQUIRE_INT(b.allgather(b.arg, NULL, &me->rank, sizeof(int), all), 0);
	for (int i = 0; i < b.nranks; i++)
		CHECK_INT(all[i], 2 * i + (me->rank & 1));
}

static void a_bootstrap_can_hold_some_of_the_ranks(void)
{
	CHECK_INT(test_ranks(5, halves_meet, NULL), 0);
}

static void alter(const struct test_exchange *x, void *arg)
{
	*(int *)arg += 1;
	if (x->kind == TEST_ALLGATHER && x->serial == 1 && x->from == 0 && x->to == 1)
		x->bytes[0] ^= 1;
}

static void sees_faults(struct test_rank *me, void *arg)
{
	const struct ipcshare_bootstrap *b = &me->bootstrap;
	int mine = 8, all[2];

	(void)arg;
	test_rank_barrier(me, 0); /* no use of the bootstrap */
	CHECK_INT(b->allgather(b->arg, NULL, &mine, sizeof(mine), all), 0);
	CHECK_INT(all[0], me->rank == 1 ? 9 : 8);
	CHECK_INT(all[1], 8);
	if (me->rank == 0) {
		CHECK_INT(b->allgather(b->arg, NULL, &mine, sizeof(mine), all), -77);
		CHECK(b->allgather(b->arg, NULL, &mine, sizeof(mine), all) != 0, "a broken bootstrap works again");
		return;
	}
	raise(SIGKILL);
}

static void a_bootstrap_fails_and_lies_on_demand(void)
{
	int calls = 0;
	struct test_ranks o = {
		.nranks = 2, .fn = sees_faults, .fail_rank = 0, .fail_use = 2, .fail_with = -77,
		.filter = alter, .filter_arg = &calls, .dies = 1u << 1,
	};

	CHECK_INT(test_ranks_with(&o), 0);
	CHECK_INT(calls, 2 * 4);
}

TEST_SUITE(support, NULL, NULL,
	TEST(a_child_hears_and_answers),
	TEST(a_child_that_fails_or_dies_fails_its_parent),
	TEST(a_leaked_descriptor_and_a_leaked_mapping_are_seen),
	TEST(forked_ranks_reach_each_other),
	TEST(thread_ranks_reach_each_other),
	TEST(a_bootstrap_can_hold_some_of_the_ranks),
	TEST(a_bootstrap_fails_and_lies_on_demand));
