/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups: how they come about, live side by side, and end. */
#include <stdlib.h>
#include <unistd.h>

#include "team.h"

static struct ipcshare_group *const untouched = (struct ipcshare_group *)16;

/* ---- Groups that work ---- */

static void check_peers(struct team *t, const int *pids)
{
	for (int r = 0; r < t->nranks; r++) {
		struct ipcshare_peer peer = { .size = sizeof(peer) };

		CHECK_STATUS(ipcshare_group_peer(t->group, r, &peer), 0);
		CHECK_INT(peer.tgid, pids[r]);
		CHECK_INT(peer.device, -1);
		CHECK_INT(peer.same_process, r == t->rank);
		CHECK_INT(peer.alive, 1);
		CHECK_INT(peer.bytes_mapped, 0);
		CHECK_INT(peer.mappings, 0);
	}
}

static void meets_all(struct test_rank *me, void *arg)
{
	struct ipcshare_bootstrap lane = test_rank_bootstrap(me, 1, 0);
	int pids[TEST_RANKS_MAX], mine = getpid();
	struct team t;

	(void)arg;
	REQUIRE_INT(lane.allgather(lane.arg, NULL, &mine, sizeof(mine), pids), 0);
	team_join(me, &t);
	CHECK_INT(ipcshare_group_rank(t.group), me->rank);
	CHECK_INT(ipcshare_group_size(t.group), me->nranks);
	CHECK_INT(team_counters(t.ctx).groups, 1);
	check_peers(&t, pids);
	CHECK_INT(me->released, 0);
	team_leave(&t);
	CHECK_INT(me->released, 1);
	CHECK_INT(me->broken, 0);
}

static void groups_of_1_to_8_ranks_form(void)
{
	struct test_resources before;

	test_resources(&before);
	for (int n = 1; n <= 8; n++)
		test_ranks(n, meets_all, NULL);
	CHECK_NOTHING_LEAKED(&before);
}

static void looks_at_peers(struct test_rank *me, void *arg)
{
	struct ipcshare_peer peer = { .size = sizeof(peer) }, same = peer;
	struct ipcshare_buf bufs[2];
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	bufs[0] = (struct ipcshare_buf){ team_alloc(t.ctx, 3000), 10 };
	bufs[1] = (struct ipcshare_buf){ team_alloc(t.ctx, 500), 10 };
	REQUIRE_OK(ipcshare_share(t.group, bufs, 2, 0, &set));
	CHECK_STATUS(ipcshare_group_peer(t.group, !t.rank, &peer), 0);
	CHECK_INT(peer.mappings, 2);
	CHECK_INT(peer.bytes_mapped, 3500);
	CHECK_INT(team_counters(t.ctx).bytes_mapped, 3500);
	CHECK_FAILS(ipcshare_group_peer(t.group, -1, &same), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_group_peer(t.group, 2, &same), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_group_peer(t.group, 0, NULL), IPCSHARE_ERR_INVALID);
	same.size--;
	CHECK_FAILS(ipcshare_group_peer(t.group, 0, &same), IPCSHARE_ERR_INVALID);
	CHECK_INT(same.tgid, 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_free(t.ctx, bufs[0].ptr), 0);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_group_peer(t.group, !t.rank, &peer), 0);
	CHECK_INT(peer.mappings, 1);
	CHECK_INT(peer.bytes_mapped, 500);
	team_leave(&t);
}

static void peers_show_what_is_mapped_of_them(void)
{
	test_ranks(2, looks_at_peers, NULL);
}

/* All ranks on lane 0, odd and even ones on lane 1, pairs on lane 2. */
static void shares_in_many_groups(struct test_rank *me, void *arg)
{
	uint64_t parity = me->rank & 1 ? 0xaa : 0x55, pair = 3u << (me->rank & ~1);
	uint64_t all = (1u << me->nranks) - 1;
	struct ipcshare_bootstrap lane[2];
	struct ipcshare_group *group[3];
	struct ipcshare_set *set[3];
	struct ipcshare_buf buf;
	struct team t;

	(void)arg;
	team_join(me, &t);
	lane[0] = test_rank_bootstrap(me, 2, parity & all);
	lane[1] = test_rank_bootstrap(me, 3, pair & all);
	group[0] = t.group;
	REQUIRE_OK(ipcshare_group_create(t.ctx, &lane[0], &group[1]));
	REQUIRE_OK(ipcshare_group_create(t.ctx, &lane[1], &group[2]));
	CHECK_INT(ipcshare_group_rank(group[1]), me->rank / 2);
	CHECK_INT(ipcshare_group_rank(group[2]), me->rank % 2);
	CHECK_INT(team_counters(t.ctx).groups, 3);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 777), 777 };
	team_fill(buf.ptr, 777, me->rank, 0);
	for (int g = 0; g < 3; g++)
		REQUIRE_OK(ipcshare_share(group[g], &buf, 1, IPCSHARE_ALL_OR_NOTHING, &set[g]));
	for (int r = 0; r < me->nranks; r++) {
		team_check(ipcshare_ptr(set[0], r, 0), 777, r, 0);
		if ((r & 1) == (me->rank & 1))
			CHECK_PTR(ipcshare_ptr(set[1], r / 2, 0), ipcshare_ptr(set[0], r, 0));
		if (r / 2 == me->rank / 2)
			CHECK_PTR(ipcshare_ptr(set[2], r % 2, 0), ipcshare_ptr(set[0], r, 0));
	}
	/* One export and import, whatever the groups; each group ends on its own. */
	CHECK_INT(team_counters(t.ctx).calls[IPCSHARE_CALL_EXPORT], 1);
	CHECK_INT(team_counters(t.ctx).calls[IPCSHARE_CALL_IMPORT], me->nranks - 1);
	for (int g = 2; g > 0; g--) {
		CHECK_STATUS(ipcshare_set_free(set[g]), 0);
		CHECK_STATUS(ipcshare_group_free(group[g]), 0);
		team_check(ipcshare_ptr(set[0], me->nranks - 1, 0), 777, me->nranks - 1, 0);
	}
	CHECK_STATUS(ipcshare_set_free(set[0]), 0);
	team_leave(&t);
}

static void many_groups_live_side_by_side(void)
{
	test_ranks(4, shares_in_many_groups, NULL);
}

static void shares_as_a_thread(struct test_rank *me, void *arg)
{
	struct ipcshare_peer peer = { .size = sizeof(peer) };
	void **pointers = arg;
	struct ipcshare_buf buf;
	struct ipcshare_set *set;
	struct team t;

	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 100), 100 };
	pointers[me->rank] = buf.ptr;
	REQUIRE_OK(ipcshare_share(t.group, &buf, 1, 0, &set));
	for (int r = 0; r < me->nranks; r++) {
		CHECK_PTR(ipcshare_ptr(set, r, 0), pointers[r]);
		CHECK_STATUS(ipcshare_group_peer(t.group, r, &peer), 0);
		CHECK_INT(peer.same_process, 1);
		CHECK_INT(peer.tgid, getpid());
		CHECK_INT(peer.alive, 1);
	}
	CHECK_INT(team_counters(t.ctx).calls[IPCSHARE_CALL_EXPORT], 0);
	CHECK_INT(team_counters(t.ctx).calls[IPCSHARE_CALL_IMPORT], 0);
	CHECK_INT(team_counters(t.ctx).bytes_mapped, 0);
	test_rank_barrier(me, 0);
	CHECK_FAILS(ipcshare_free(t.ctx, buf.ptr), IPCSHARE_ERR_BUSY);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	team_leave_quietly(&t);
}

static void ranks_in_one_process_get_the_raw_pointers(void)
{
	struct test_resources before;
	void *pointers[4];

	test_resources(&before);
	test_thread_ranks(4, shares_as_a_thread, pointers);
	CHECK_NOTHING_LEAKED(&before);
}

/* ---- Freeing ---- */

static void frees_too_early(struct test_rank *me, void *arg)
{
	struct ipcshare_share *s;
	const void *blob;
	struct team t;
	size_t len;

	(void)arg;
	team_join(me, &t);
	if (t.rank == 1) /* something is alive on one rank only */
		REQUIRE_OK(ipcshare_share_begin(t.group, NULL, 0, 0, &s, &blob, &len));
	CHECK_FAILS(ipcshare_group_free(t.group), IPCSHARE_ERR_BUSY);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK_INT(me->released, 0);
	CHECK_FAILS(ipcshare_close(t.ctx), IPCSHARE_ERR_BUSY);
	if (t.rank == 1)
		CHECK_STATUS(ipcshare_share_cancel(s), 0);
	CHECK_STATUS(ipcshare_group_free(NULL), 0);
	CHECK_STATUS(ipcshare_group_free(t.group), 0);
	CHECK_FAILS(ipcshare_group_free(t.group), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_group_rank(t.group), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_group_size(t.group), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_share(t.group, NULL, 0, 0, (void *)&s), IPCSHARE_ERR_CLOSED);
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void a_group_with_a_share_on_one_rank_is_busy_on_all(void)
{
	test_ranks(3, frees_too_early, NULL);
}

static void abandons_and_forms_again(struct test_rank *me, void *arg)
{
	struct ipcshare_bootstrap lane = test_rank_bootstrap(me, 2, 0);
	struct ipcshare_buf buf;
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 100), 100 };
	REQUIRE_OK(ipcshare_share(t.group, &buf, 1, 0, &set));
	CHECK_STATUS(ipcshare_abandon(t.ctx), 0);
	CHECK_INT(me->released, 1);
	CHECK(me->broken, "release() could wait for ever");
	CHECK_FAILS(ipcshare_set_free(set), IPCSHARE_ERR_CLOSED);
	CHECK_NOTHING_LEAKED(&t.before);
	t.ctx = team_open(0);
	REQUIRE_OK(ipcshare_group_create(t.ctx, &lane, &t.group));
	team_leave(&t);
}

static void after_abandon_a_new_group_forms(void)
{
	test_ranks(2, abandons_and_forms_again, NULL);
}

/* ---- Bad arguments ---- */

static void check_invalid(struct ipcshare_ctx *ctx, const struct ipcshare_bootstrap *b)
{
	struct ipcshare_group *group = untouched;

	CHECK_FAILS(ipcshare_group_create(ctx, b, &group), IPCSHARE_ERR_INVALID);
	CHECK_PTR(group, untouched);
}

static void a_bad_bootstrap_is_invalid(void)
{
	struct ipcshare_group *group = untouched;
	struct ipcshare_bootstrap b = team_alone;
	struct test_resources before;
	struct ipcshare_ctx *ctx;

	test_resources(&before);
	ctx = team_open(0);
	check_invalid(ctx, NULL);
	check_invalid(NULL, &team_alone);
	b.size--;
	check_invalid(ctx, &b);
	b = team_alone;
	b.allgather = NULL;
	check_invalid(ctx, &b);
	b = team_alone;
	b.rank = 1;
	check_invalid(ctx, &b);
	b.rank = -1;
	check_invalid(ctx, &b);
	b.rank = 0;
	b.nranks = 0;
	check_invalid(ctx, &b);
	b.nranks = INT32_MAX;
	check_invalid(ctx, &b);
	CHECK_FAILS(ipcshare_group_create(ctx, &team_alone, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_group_rank(NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_wait_tick(NULL), IPCSHARE_ERR_INVALID);
	REQUIRE_OK(ipcshare_group_create(ctx, &team_alone, &group)); /* without a release() */
	CHECK_STATUS(ipcshare_group_free(group), 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
	CHECK_FAILS(ipcshare_group_create(ctx, &team_alone, &group), IPCSHARE_ERR_CLOSED);
	CHECK_NOTHING_LEAKED(&before);
}

static void has_no_place_for_the_group(struct test_rank *me, void *arg)
{
	struct ipcshare_group *group = untouched;
	struct ipcshare_ctx *ctx = team_open(0);

	(void)arg;
	CHECK_FAILS(ipcshare_group_create(ctx, &me->bootstrap, me->rank == 1 ? NULL : &group),
		    IPCSHARE_ERR_INVALID);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK_PTR(group, untouched);
	CHECK_INT(me->released, 0);
	REQUIRE_OK(ipcshare_group_create(ctx, &me->bootstrap, &group)); /* another try */
	CHECK_STATUS(ipcshare_group_free(group), 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void one_ranks_bad_argument_fails_the_creation_on_all(void)
{
	test_ranks(3, has_no_place_for_the_group, NULL);
}

static void is_known_in_its_own_way(struct test_rank *me, void *arg)
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;
	struct ipcshare_group *group = untouched;
	struct ipcshare_ctx *ctx;

	(void)arg;
	if (me->rank)
		setenv("IPCSHARE_IDENTITY", "start", 1);
	REQUIRE_OK(ipcshare_open(&options, &ctx));
	REQUIRE_OK(ipcshare_group_create(ctx, &me->bootstrap, &group));
	CHECK_STATUS(ipcshare_group_free(group), 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void ranks_may_be_known_by_different_kinds_of_identity(void)
{
	test_ranks(2, is_known_in_its_own_way, NULL);
}

TEST_SUITE(group, NULL, NULL,
	TEST(groups_of_1_to_8_ranks_form),
	TEST(peers_show_what_is_mapped_of_them),
	TEST(many_groups_live_side_by_side),
	TEST(ranks_in_one_process_get_the_raw_pointers),
	TEST(a_group_with_a_share_on_one_rank_is_busy_on_all),
	TEST(after_abandon_a_new_group_forms),
	TEST(a_bad_bootstrap_is_invalid),
	TEST(one_ranks_bad_argument_fails_the_creation_on_all),
	TEST(ranks_may_be_known_by_different_kinds_of_identity));
