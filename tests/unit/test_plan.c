/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans: run again and again, and what becomes of them when something else ends first. */
#include <stdlib.h>

#include "team.h"

#define CELLS 1000
#define CELL ((size_t)48)

/* Every rank shares CELLS cells that lie side by side. */
static struct ipcshare_set *share_cells(struct team *t, unsigned char **memory, unsigned flags)
{
	struct ipcshare_buf *bufs = malloc(CELLS * sizeof(*bufs));
	struct ipcshare_set *set;

	*memory = team_alloc(t->ctx, CELLS * CELL);
	team_fill(*memory, CELLS * CELL, t->rank, 0);
	for (size_t i = 0; i < CELLS; i++)
		bufs[i] = (struct ipcshare_buf){ *memory + i * CELL, CELL };
	set = team_share(t, bufs, CELLS, flags);
	free(bufs);
	return set;
}

static void end(struct team *t, struct ipcshare_set *set, void *memory)
{
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t->ctx, memory), 0);
	team_leave(t);
}

/* ---- Runs ---- */

enum order {
	FORWARDS, /* merges into one copy */
	BACKWARDS, /* so does it, after sorting */
	SCATTERED, /* nothing merges */
	ORDERS
};

static void items_of(struct ipcshare_item *items, unsigned char *local, enum order order)
{
	for (size_t i = 0; i < CELLS; i++) {
		size_t cell = order == BACKWARDS ? CELLS - 1 - i : i;
		size_t to = order == SCATTERED ? i * 7 % CELLS : cell;

		items[i] = (struct ipcshare_item){ 1, cell, 0, CELL, local + to * CELL };
	}
}

/* Both ends of every item are alike. */
static void check_items(const struct ipcshare_item *items, const unsigned char *theirs)
{
	for (size_t i = 0; i < CELLS; i++)
		if (!CHECK_MEM(items[i].local, theirs + items[i].index * CELL, CELL))
			return;
}

static void runs_again(struct test_rank *me, void *arg)
{
	unsigned char *memory, *local = malloc(CELLS * CELL), *theirs;
	struct ipcshare_item items[CELLS];
	struct ipcshare_plan *pull, *push;
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	set = share_cells(&t, &memory, 0);
	theirs = ipcshare_ptr(set, 1, 0);
	for (int order = 0; order < ORDERS && t.rank == 0; order++) {
		items_of(items, local, order);
		REQUIRE_OK(ipcshare_plan_create(set, IPCSHARE_PULL, items, CELLS, &pull));
		REQUIRE_OK(ipcshare_plan_create(set, IPCSHARE_PUSH, items, CELLS, &push));
		for (int run = 0; run < 3; run++) {
			team_fill(theirs, CELLS * CELL, run, (size_t)order);
			memset(local, 0, CELLS * CELL);
			CHECK_STATUS(ipcshare_plan_run(pull), 0);
			check_items(items, theirs);
			team_fill(local, CELLS * CELL, run, 100);
			CHECK_STATUS(ipcshare_plan_run_on(push, NULL), 0);
			check_items(items, theirs);
		}
		CHECK_FAILS(ipcshare_plan_run_on(pull, &t), IPCSHARE_ERR_INVALID);
		CHECK_STATUS(ipcshare_plan_free(pull), 0);
		CHECK_STATUS(ipcshare_plan_free(push), 0);
	}
	free(local);
	end(&t, set, memory);
}

static void a_plan_reads_the_bytes_at_each_run(void)
{
	test_ranks(2, runs_again, NULL);
}

/* ---- What is refused ---- */

static void refuse(struct ipcshare_set *set, enum ipcshare_direction direction,
		   const struct ipcshare_item *items, size_t n, int status)
{
	struct ipcshare_plan *const before = (void *)16, *plan = before;

	CHECK_FAILS(ipcshare_plan_create(set, direction, items, n, &plan), status);
	CHECK_PTR(plan, before);
}

static void asks_for_bad_plans(struct test_rank *me, void *arg)
{
	char here[CELL];
	struct ipcshare_item items[] = { { 1, 0, 0, 8, here }, { 1, 1, 0, CELL + 1, here + 8 } };
	struct ipcshare_plan *plan;
	struct ipcshare_set *set;
	unsigned char *memory;
	struct team t;

	(void)arg;
	team_join(me, &t);
	set = share_cells(&t, &memory, t.rank ? IPCSHARE_READ_ONLY : 0);
	refuse(NULL, IPCSHARE_PULL, items, 1, IPCSHARE_ERR_INVALID);
	refuse(set, IPCSHARE_PULL, NULL, 1, IPCSHARE_ERR_INVALID);
	refuse(set, (enum ipcshare_direction)7, items, 1, IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_plan_create(set, IPCSHARE_PULL, items, 1, NULL),
		    IPCSHARE_ERR_INVALID);
	refuse(set, IPCSHARE_PULL, items, 2, IPCSHARE_ERR_RANGE);
	CHECK_INT(ipcshare_last_error()->index, 1);
	items[1].rank = 2;
	refuse(set, IPCSHARE_PULL, items, 2, IPCSHARE_ERR_INVALID);
	if (t.rank == 0) {
		refuse(set, IPCSHARE_PUSH, items, 1, IPCSHARE_ERR_READ_ONLY);
		CHECK_INT(ipcshare_last_error()->index, 0);
	}
	REQUIRE_OK(ipcshare_plan_create(set, IPCSHARE_PULL, NULL, 0, &plan)); /* of nothing */
	CHECK_STATUS(ipcshare_plan_run(plan), 0);
	CHECK_STATUS(ipcshare_plan_free(plan), 0);
	CHECK_FAILS(ipcshare_plan_run(plan), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_plan_run_on(plan, NULL), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_plan_free(plan), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_plan_run(NULL), IPCSHARE_ERR_INVALID);
	CHECK_STATUS(ipcshare_plan_free(NULL), 0);
	end(&t, set, memory);
	refuse(set, IPCSHARE_PULL, items, 1, IPCSHARE_ERR_CLOSED);
}

static void a_bad_plan_is_refused(void)
{
	test_ranks(2, asks_for_bad_plans, NULL);
}

/* ---- Ends ---- */

static struct ipcshare_plan *plan_of(struct ipcshare_set *set, void *local)
{
	struct ipcshare_item item = { 1, 0, 0, 8, local };
	struct ipcshare_plan *plan = NULL;

	REQUIRE_OK(ipcshare_plan_create(set, IPCSHARE_PULL, &item, 1, &plan));
	return plan;
}

/* Of several plans one is freed before the set, one after it, one after the context. */
static void frees_the_set_first(struct test_rank *me, void *arg)
{
	struct ipcshare_plan *plans[3];
	struct ipcshare_set *set;
	unsigned char *memory, here[8] = { 0 };
	struct team t;

	(void)arg;
	team_join(me, &t);
	set = share_cells(&t, &memory, 0);
	for (int i = 0; i < 3; i++)
		plans[i] = plan_of(set, here);
	CHECK_STATUS(ipcshare_plan_free(plans[1]), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_FAILS(ipcshare_plan_run(plans[0]), IPCSHARE_ERR_CLOSED);
	CHECK_HAS(ipcshare_last_error()->text, "set was freed");
	CHECK_BYTES(here, 0, sizeof(here));
	CHECK_STATUS(ipcshare_plan_free(plans[0]), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, memory), 0);
	team_leave(&t);
	CHECK_FAILS(ipcshare_plan_run(plans[2]), IPCSHARE_ERR_CLOSED);
	CHECK_STATUS(ipcshare_plan_free(plans[2]), 0);
	CHECK_FAILS(ipcshare_plan_free(plans[2]), IPCSHARE_ERR_CLOSED);
}

static void a_plan_whose_set_was_freed_is_closed(void)
{
	test_ranks(2, frees_the_set_first, NULL);
}

static void outlives_an_update(struct test_rank *me, void *arg)
{
	struct ipcshare_plan *old, *new;
	struct ipcshare_set *set;
	unsigned char *memory, here[8];
	struct team t;

	(void)arg;
	team_join(me, &t);
	set = share_cells(&t, &memory, 0);
	old = plan_of(set, here);
	REQUIRE_OK(ipcshare_set_update(set, NULL, NULL, 0, 0));
	CHECK_FAILS(ipcshare_plan_run(old), IPCSHARE_ERR_STALE);
	new = plan_of(set, here);
	CHECK_STATUS(ipcshare_plan_run(new), 0);
	CHECK_STATUS(ipcshare_plan_free(old), 0);
	CHECK_STATUS(ipcshare_plan_free(new), 0);
	end(&t, set, memory);
}

static void a_plan_of_a_set_that_was_updated_is_stale(void)
{
	test_ranks(2, outlives_an_update, NULL);
}

static void uses_an_inherited_plan(int channel, void *arg)
{
	struct ipcshare_plan *plan = arg;

	(void)channel;
	CHECK_FAILS(ipcshare_plan_run(plan), IPCSHARE_ERR_FORKED);
	CHECK_FAILS(ipcshare_plan_free(plan), IPCSHARE_ERR_FORKED);
}

static void abandons(struct test_rank *me, void *arg)
{
	struct ipcshare_plan *plan;
	struct ipcshare_set *set;
	unsigned char *memory, here[8];
	struct team t;

	(void)arg;
	team_join(me, &t);
	set = share_cells(&t, &memory, 0);
	plan = plan_of(set, here);
	test_child_join(test_child(uses_an_inherited_plan, plan));
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_abandon(t.ctx), 0);
	CHECK_FAILS(ipcshare_plan_run(plan), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_plan_free(plan), IPCSHARE_ERR_CLOSED);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void plans_are_abandoned_with_their_set_and_dead_in_a_child(void)
{
	test_ranks(2, abandons, NULL);
}

TEST_SUITE(plan, NULL, NULL,
	TEST(a_plan_reads_the_bytes_at_each_run),
	TEST(a_bad_plan_is_refused),
	TEST(a_plan_whose_set_was_freed_is_closed),
	TEST(a_plan_of_a_set_that_was_updated_is_stale),
	TEST(plans_are_abandoned_with_their_set_and_dead_in_a_child));
