/* SPDX-License-Identifier: BSD-3-Clause */
/* The bootstrap of test ranks: its callbacks, and how they fail on demand. */
#include "support/ranks.h"

void test_lane_init(struct test_lane *lane, struct test_rank *me, const struct test_ranks *options,
		    int index, int fd, test_exchange_fn *exchange)
{
	*lane = (struct test_lane){
		.me = me, .options = options, .index = index, .fd = fd, .exchange = exchange,
	};
}

/* Is this the use that the test wants to fail? */
static int use(struct test_lane *lane)
{
	const struct test_ranks *o = lane->options;

	if (lane->index)
		return 0;
	lane->me->uses++;
	if (!o->fail_use || o->fail_rank != lane->me->rank || o->fail_use != lane->me->uses)
		return 0;
	return o->fail_with ? o->fail_with : 1;
}

static int exchange(struct test_lane *lane, struct ipcshare_wait *wait,
		    enum test_exchange_kind kind, const void *mine, size_t len, void *all,
		    size_t total)
{
	int err = use(lane);

	if (!err && lane->broken)
		err = -1;
	if (!err)
		err = lane->exchange(lane, wait, kind, mine, len, all, total);
	lane->broken |= err != 0;
	return err;
}

static int lane_allgather(void *arg, struct ipcshare_wait *wait, const void *mine, size_t len,
			  void *all)
{
	struct test_lane *lane = arg;

	return exchange(lane, wait, TEST_ALLGATHER, mine, len, all, len * (size_t)lane->nmembers);
}

static void lane_release(void *arg, int broken)
{
	struct test_lane *lane = arg;

	if (lane->index)
		return;
	lane->me->released++;
	lane->me->broken = broken;
}

struct ipcshare_bootstrap test_rank_bootstrap(struct test_rank *me, int index, uint64_t members)
{
	struct test_lane *lane = &me->lanes[index];

	lane->members = members ? members : UINT64_MAX >> (64 - me->nranks);
	lane->nmembers = __builtin_popcountll(lane->members);
	lane->member = __builtin_popcountll(lane->members & ((UINT64_C(1) << me->rank) - 1));
	return (struct ipcshare_bootstrap){
		.size = sizeof(struct ipcshare_bootstrap),
		.arg = lane,
		.rank = lane->member,
		.nranks = lane->nmembers,
		.allgather = lane_allgather,
		.release = lane_release,
	};
}

static struct test_lane *lane_of(struct test_rank *me, int index)
{
	if (!me->lanes[index].members)
		test_rank_bootstrap(me, index, 0);
	return &me->lanes[index];
}

void test_rank_gatherv(struct test_rank *me, int index, const void *mine, void *all,
		       const size_t *lens)
{
	struct test_lane *lane = lane_of(me, index);
	size_t total = 0;

	for (int i = 0; i < lane->nmembers; i++)
		total += lens[i];
	REQUIRE_INT(lane->exchange(lane, NULL, TEST_ALLGATHERV, mine, lens[lane->member], all, total),
		    0);
}

void test_rank_barrier(struct test_rank *me, int index)
{
	struct test_lane *lane = lane_of(me, index);

	REQUIRE_INT(lane->exchange(lane, NULL, TEST_BARRIER, "", 0, (char[1]){ 0 }, 0), 0);
}
