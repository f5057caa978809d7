/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups: how they come about, what breaks them, and that nobody waits for ever. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/wire.h"
#include "team.h"

#define MS 1000000u

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
	REQUIRE_INT(me->bootstrap.barrier(me->bootstrap.arg, NULL), 0);
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
	b.allgatherv = NULL;
	check_invalid(ctx, &b);
	b = team_alone;
	b.barrier = NULL;
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

/* ---- Bootstraps that lie ---- */

enum lie { LIE_RANK, LIE_MORE_RANKS };

static void is_lied_to(struct test_rank *me, void *arg)
{
	enum lie lie = *(enum lie *)arg;
	struct ipcshare_group *group = untouched;
	struct test_resources before;
	struct ipcshare_ctx *ctx;
	uint64_t start;

	test_resources(&before);
	ctx = team_open(10000);
	if (me->rank == 1 && lie == LIE_RANK)
		me->bootstrap.rank = 0;
	if (me->rank == 1 && lie == LIE_MORE_RANKS)
		me->bootstrap.nranks++;
	start = ipcshare__now_ns();
	CHECK_FAILS(ipcshare_group_create(ctx, &me->bootstrap, &group), IPCSHARE_ERR_BOOTSTRAP);
	CHECK(ipcshare__now_ns() - start < 5000 * (uint64_t)MS, "it waited for the deadline");
	CHECK_PTR(group, untouched);
	CHECK_INT(me->released, 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
	CHECK_NOTHING_LEAKED(&before);
}

static void a_bootstrap_that_lies_about_numbers_is_found_out(void)
{
	test_ranks(3, is_lied_to, &(enum lie){ LIE_RANK });
	test_ranks(3, is_lied_to, &(enum lie){ LIE_MORE_RANKS });
}

/* What rank 0 says of itself, with sums that are right. */
struct falsehood {
	const char *what;
	void (*tell)(struct ipcshare__wire_hello *h);
	int expected;
	int seen_by, of; /* the ranks in the detail */
};

static void from_another_node(struct ipcshare__wire_hello *h)
{
	h->identity.boot[3] ^= 1;
}

static void with_another_backend(struct ipcshare__wire_hello *h)
{
	h->backend++;
}

static void with_another_layout(struct ipcshare__wire_hello *h)
{
	h->layout++;
}

static void in_anothers_name(struct ipcshare__wire_hello *h)
{
	h->identity.proc++;
}

static void at_no_address(struct ipcshare__wire_hello *h)
{
	h->identity.endpoint++;
}

static const struct falsehood falsehoods[] = {
	{ "another node", from_another_node, IPCSHARE_ERR_OTHER_NODE, 1, 0 },
	{ "another backend", with_another_backend, IPCSHARE_ERR_MISMATCH, 1, 0 },
	{ "another layout", with_another_layout, IPCSHARE_ERR_VERSION, 1, 0 },
	/* Rank 1 lets somebody else in: rank 0 is the first to be hurt. */
	{ "another process", in_anothers_name, IPCSHARE_ERR_NOT_ALLOWED, 0, 1 },
	{ "another address", at_no_address, IPCSHARE_ERR_UNREACHABLE, 1, 0 },
};

/* Only rank 1 hears it; rank 2 and rank 0 itself hear the truth. */
static void tell_falsehood(const struct test_exchange *x, void *arg)
{
	const struct falsehood *f = arg;
	struct ipcshare__wire_hello h;

	if (x->lane || x->serial || x->from != 0 || x->to != 1)
		return;
	memcpy(&h, x->bytes, sizeof(h));
	f->tell(&h);
	h.identity.check = ipcshare__checksum32(&h.identity,
						offsetof(struct ipcshare__identity, check));
	h.check = ipcshare__checksum32(&h, offsetof(struct ipcshare__wire_hello, check));
	memcpy(x->bytes, &h, sizeof(h));
}

static void hears_a_falsehood(struct test_rank *me, void *arg)
{
	const struct falsehood *f = arg;
	struct ipcshare_group *group = untouched;
	struct test_resources before;
	struct ipcshare_ctx *ctx;

	test_resources(&before);
	ctx = team_open(0);
	CHECK_FAILS(ipcshare_group_create(ctx, &me->bootstrap, &group), f->expected);
	CHECK_INT(ipcshare_last_error()->rank, f->of);
	CHECK_HAS(ipcshare_last_error()->text, f->seen_by ? "seen by rank 1" : "seen by rank 0");
	CHECK_PTR(group, untouched);
	CHECK_STATUS(ipcshare_close(ctx), 0);
	CHECK_NOTHING_LEAKED(&before);
}

static void a_hello_that_is_well_formed_but_false_is_named(void)
{
	for (size_t i = 0; i < sizeof(falsehoods) / sizeof(falsehoods[0]); i++) {
		struct falsehood f = falsehoods[i];
		struct test_ranks o = {
			.nranks = 3, .fn = hears_a_falsehood, .arg = &f,
			.filter = tell_falsehood, .filter_arg = &f,
		};

		CHECK(test_ranks_with(&o) == 0, "%s", f.what);
	}
}

/* ---- Callbacks that fail ---- */

/* Everything a group does, until the first failure; the status of that. */
static int live(struct team *t, struct test_rank *me)
{
	struct ipcshare_buf buf = { team_alloc(t->ctx, 100), 100 };
	struct ipcshare_set *set = NULL;
	int err = ipcshare_group_create(t->ctx, &me->bootstrap, &t->group);

	if (!err)
		err = ipcshare_share(t->group, &buf, 1, 0, &set);
	if (!err)
		err = ipcshare_set_free(set);
	return err;
}

/* Uses 1 to 3 of a callback are in group_create, 4 to 6 in share, 7 is in set_free. */
#define USES 7

struct failing {
	int use, with;
};

static void lives_with_a_failing_callback(struct test_rank *me, void *arg)
{
	const struct failing *f = arg;
	struct team t = { .rank = me->rank };
	uint64_t start = ipcshare__now_ns();
	int err;

	test_resources(&t.before);
	t.ctx = team_open(f->use <= 3 ? 1000 : 10000);
	CHECK_FAILS(ipcshare_alloc(t.ctx, 0, NULL), IPCSHARE_ERR_INVALID); /* an older failure */
	test_rank_barrier(me, 1);
	err = live(&t, me);
	/* Before the ranks have met, those that wait can only see that the deadline passes. */
	if (me->rank == 1 || f->use > 3)
		CHECK_FAILS(err, IPCSHARE_ERR_BOOTSTRAP);
	else
		CHECK(err == IPCSHARE_ERR_BOOTSTRAP || err == IPCSHARE_ERR_TIMEOUT, "%s",
		      ipcshare_status_name(err));
	if (me->rank == 1)
		CHECK_HAS(ipcshare_last_error()->text, "bootstrap");
	else if (f->use > 3)
		CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK(ipcshare__now_ns() - start < 5000 * (uint64_t)MS, "it waited for the deadline");
	CHECK_INT(!!t.group, f->use > 3);
	if (t.group) {
		struct ipcshare_set *set;

		CHECK_FAILS(ipcshare_share(t.group, NULL, 0, 0, &set), IPCSHARE_ERR_BOOTSTRAP);
		CHECK_STATUS(ipcshare_group_free(t.group), 0);
		CHECK_INT(me->released, 1);
		CHECK(me->broken, "release() could wait for ever");
	}
	test_rank_barrier(me, 1); /* peers may still have had a set */
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void fail_at(int use, int with)
{
	struct failing f = { use, with };
	struct test_ranks o = {
		.nranks = 3, .fn = lives_with_a_failing_callback, .arg = &f,
		.fail_rank = 1, .fail_use = use, .fail_with = with,
	};

	test_ranks_with(&o);
}

static void a_callback_that_fails_once_fails_every_rank(void)
{
	for (int use = 1; use <= USES; use++)
		fail_at(use, 0);
}

/* Numbers that look like statuses of ours, one of them that of the last error. */
static void what_a_callback_returns_is_not_taken_for_a_status(void)
{
	fail_at(4, IPCSHARE_ERR_INVALID);
	fail_at(4, IPCSHARE_ERR_STALE);
	fail_at(5, -1000);
}

static void fails_at_the_end(struct test_rank *me, void *arg)
{
	struct team t;

	(void)arg;
	team_join_for(me, 10000, &t);
	team_leave(&t); /* 0 all the same */
	CHECK_INT(me->released, 1);
	CHECK(me->broken, "release() could wait for ever");
}

static void a_group_is_freed_although_its_last_exchange_fails(void)
{
	struct test_ranks o = {
		.nranks = 2, .fn = fails_at_the_end, .fail_rank = 1, .fail_use = 4,
	};

	test_ranks_with(&o);
}

/* ---- Bytes altered on the way ---- */

struct damage {
	enum test_exchange_kind kind;
	int serial; /* of the exchange */
	int to; /* from rank 0 */
	size_t at; /* the byte */
	unsigned char flip;
};

static void do_damage(const struct test_exchange *x, void *arg)
{
	const struct damage *d = arg;

	if (x->lane == 0 && x->serial == d->serial && x->from == 0 && x->to == d->to) {
		CHECK_INT(x->kind, d->kind);
		REQUIRE(d->at < x->len, "%zu bytes", x->len);
		x->bytes[d->at] ^= d->flip;
	}
}

static void lives_with_altered_bytes(struct test_rank *me, void *arg)
{
	const struct damage *d = arg;
	struct team t = { .rank = me->rank };
	int err;

	test_resources(&t.before);
	t.ctx = team_open(1000);
	err = live(&t, me);
	CHECK(err == IPCSHARE_ERR_PROTOCOL || err == IPCSHARE_ERR_VERSION,
	      "exchange %d, byte %zu: %s", d->serial, d->at, err ? ipcshare_explain() : "success");
	CHECK_INT(err, ipcshare_last_error()->status);
	CHECK_STATUS(ipcshare_group_free(t.group), 0);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void damage(enum test_exchange_kind kind, int serial, int to, size_t at)
{
	struct damage d = { kind, serial, to, at, (unsigned char)(1 << at % 8) };
	struct test_ranks o = {
		.nranks = 2, .fn = lives_with_altered_bytes, .arg = &d,
		.filter = do_damage, .filter_arg = &d,
	};

	test_ranks_with(&o);
}

static void an_altered_hello_fails_the_creation(void)
{
	for (size_t at = 0; at < offsetof(struct ipcshare__wire_hello, pad); at += 5)
		damage(TEST_ALLGATHER, 0, at / 5 % 2, at);
}

/* Also one that a rank sees in its own place: it must not act on it. */
static void an_altered_header_fails_the_share(void)
{
	for (size_t at = 0; at < offsetof(struct ipcshare__wire_header, pad); at += 3) {
		damage(TEST_ALLGATHER, 3, 0, at);
		damage(TEST_ALLGATHER, 3, 1, at);
	}
	damage(TEST_ALLGATHER, 2, 1, offsetof(struct ipcshare__wire_header, value));
	damage(TEST_ALLGATHER, 5, 1, offsetof(struct ipcshare__wire_header, value));
}

static void an_altered_blob_fails_the_share(void)
{
	size_t len = sizeof(struct ipcshare__wire_blob) + sizeof(struct ipcshare__wire_descriptor) +
		     sizeof(struct ipcshare__wire_region);

	for (size_t at = 0; at < len; at += 11)
		damage(TEST_ALLGATHERV, 4, at / 11 % 2, at);
}

/* ---- Ranks that don't do the same ---- */

static void calls_something_else(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = NULL, *other = NULL;
	struct team t;
	int err;

	(void)arg;
	team_join_for(me, 10000, &t);
	REQUIRE_OK(ipcshare_share(t.group, NULL, 0, 0, &set));
	err = me->rank == 1 ? ipcshare_set_free(set)
			    : ipcshare_share(t.group, NULL, 0, 0, &other);
	CHECK_FAILS(err, IPCSHARE_ERR_MISMATCH);
	CHECK_HAS(ipcshare_last_error()->text, "ipcshare_set_free");
	CHECK_HAS(ipcshare_last_error()->text, "ipcshare_share");
	CHECK_PTR(other, NULL);
	if (me->rank != 1)
		CHECK_FAILS(ipcshare_set_free(set), IPCSHARE_ERR_MISMATCH); /* it is freed */
	CHECK_INT(team_counters(t.ctx).sets, 0);
	team_leave(&t);
}

static void different_calls_are_a_mismatch_on_all(void)
{
	test_ranks(3, calls_something_else, NULL);
}

static void frees_in_another_order(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set[2];
	struct team t;

	(void)arg;
	team_join_for(me, 10000, &t);
	for (int i = 0; i < 2; i++)
		REQUIRE_OK(ipcshare_share(t.group, NULL, 0, 0, &set[i]));
	CHECK_FAILS(ipcshare_set_free(set[me->rank]), IPCSHARE_ERR_MISMATCH);
	CHECK_FAILS(ipcshare_set_free(set[!me->rank]), IPCSHARE_ERR_MISMATCH);
	CHECK_FAILS(ipcshare_set_free(set[0]), IPCSHARE_ERR_CLOSED);
	team_leave(&t);
}

static void sets_freed_in_another_order_are_a_mismatch(void)
{
	test_ranks(2, frees_in_another_order, NULL);
}

static void waits_for_one_that_never_calls(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = NULL;
	uint64_t start;
	struct team t;

	(void)arg;
	team_join_for(me, 300, &t);
	if (me->rank != 1) {
		start = ipcshare__now_ns();
		CHECK_FAILS(ipcshare_share(t.group, NULL, 0, 0, &set), IPCSHARE_ERR_TIMEOUT);
		CHECK(ipcshare__now_ns() - start >= 300 * (uint64_t)MS, "that was too early");
		CHECK_INT(ipcshare_last_error()->rank, 1);
		CHECK_PTR(set, NULL);
	}
	test_rank_barrier(me, 1);
	if (me->rank == 1) /* too late, and it hears so at once */
		CHECK_FAILS(ipcshare_share(t.group, NULL, 0, 0, &set), IPCSHARE_ERR_TIMEOUT);
	team_leave(&t);
}

static void a_rank_that_never_calls_is_named_at_the_deadline(void)
{
	test_ranks(3, waits_for_one_that_never_calls, NULL);
}

/* ---- Death, and bytes that come late ---- */

/* A bootstrap around another that does something more before or after one of its uses. */
struct around {
	struct ipcshare_bootstrap inner;
	struct test_rank *me;
	struct ipcshare_group *group;
	int use, special; /* number of the next use; of the one that is special, from 1 */
	int (*before)(struct around *a, struct ipcshare_wait *wait);
	int (*after)(struct around *a, struct ipcshare_wait *wait);
};

static int around_begin(struct around *a, struct ipcshare_wait *wait)
{
	return ++a->use == a->special && a->before ? a->before(a, wait) : 0;
}

static int around_end(struct around *a, struct ipcshare_wait *wait, int err)
{
	return !err && a->use == a->special && a->after ? a->after(a, wait) : err;
}

static int around_gather(void *arg, struct ipcshare_wait *wait, const void *mine, size_t len,
			 void *all)
{
	struct around *a = arg;
	int err = around_begin(a, wait);

	if (!err)
		err = a->inner.allgather(a->inner.arg, wait, mine, len, all);
	return around_end(a, wait, err);
}

static int around_gatherv(void *arg, struct ipcshare_wait *wait, const void *mine, void *all,
			  const size_t *lens)
{
	struct around *a = arg;
	int err = around_begin(a, wait);

	if (!err)
		err = a->inner.allgatherv(a->inner.arg, wait, mine, all, lens);
	return around_end(a, wait, err);
}

static int around_barrier(void *arg, struct ipcshare_wait *wait)
{
	struct around *a = arg;
	int err = around_begin(a, wait);

	if (!err)
		err = a->inner.barrier(a->inner.arg, wait);
	return around_end(a, wait, err);
}

/* Join with @a around the rank's bootstrap. */
static void join_around(struct test_rank *me, struct around *a, struct team *t)
{
	struct ipcshare_bootstrap b = me->bootstrap;

	a->inner = b;
	a->me = me;
	b.arg = a;
	b.allgather = around_gather;
	b.allgatherv = around_gatherv;
	b.barrier = around_barrier;
	b.release = NULL;
	*t = (struct team){ .rank = me->rank, .nranks = me->nranks };
	test_resources(&t->before);
	t->ctx = team_open(0);
	REQUIRE_OK(ipcshare_group_create(t->ctx, &b, &t->group));
	a->group = t->group;
}

static int dies(struct around *a, struct ipcshare_wait *wait)
{
	(void)a;
	(void)wait;
	return raise(SIGKILL);
}

static void check_death_is_named(struct team *t)
{
	struct ipcshare_peer peer = { .size = sizeof(peer) };
	struct ipcshare_set *set = NULL;
	uint64_t start = ipcshare__now_ns(), ms;

	CHECK_FAILS(ipcshare_share(t->group, NULL, 0, 0, &set), IPCSHARE_ERR_PEER_DEAD);
	ms = (ipcshare__now_ns() - start) / MS;
	CHECK(ms < 2000, "%ju ms", (uintmax_t)ms);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK_PTR(set, NULL);
	CHECK_STATUS(ipcshare_group_peer(t->group, 1, &peer), 0);
	CHECK_INT(peer.alive, 0);
}

/* All but rank 1, which is dead. */
static void survivors_meet(struct test_rank *me)
{
	test_rank_bootstrap(me, 2, ((1u << me->nranks) - 1) & ~2u);
	test_rank_barrier(me, 2);
}

static void outlives_another(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = NULL;
	struct ipcshare_buf buf;
	struct team t;

	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 4096), 4096 };
	if (arg)
		REQUIRE_OK(ipcshare_share(t.group, &buf, 1, 0, &set));
	if (me->rank == 1)
		raise(SIGKILL);
	check_death_is_named(&t);
	if (set) {
		memset(ipcshare_ptr(set, 1, 0), 1, 4096); /* what is mapped stays */
		CHECK_FAILS(ipcshare_group_free(t.group), IPCSHARE_ERR_BUSY);
		CHECK_FAILS(ipcshare_set_free(set), IPCSHARE_ERR_PEER_DEAD);
	}
	CHECK_STATUS(ipcshare_group_free(t.group), 0);
	CHECK(me->broken, "release() could wait for ever");
	survivors_meet(me);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0); /* the dead hold nothing */
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void a_killed_rank_is_named_within_two_seconds(void)
{
	struct test_ranks o = { .nranks = 3, .fn = outlives_another, .dies = 1u << 1 };

	test_ranks_with(&o);
	o.arg = "with a set that it holds";
	test_ranks_with(&o);
}

static void outlives_one_in_a_share(struct test_rank *me, void *arg)
{
	struct around a = { .special = me->rank == 1 ? 4 : 0, .before = dies };
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	join_around(me, &a, &t);
	if (me->rank == 1)
		ipcshare_share(t.group, NULL, 0, 0, &set);
	check_death_is_named(&t);
	team_leave(&t);
}

/* It has entered the exchange, so for a moment its bytes might be on their way. */
static void a_rank_killed_inside_a_share_is_named_too(void)
{
	struct test_ranks o = { .nranks = 3, .fn = outlives_one_in_a_share, .dies = 1u << 1 };

	test_ranks_with(&o);
}

/* A bootstrap that polls for long between two ticks. */
static int ticks_slowly(struct around *a, struct ipcshare_wait *wait)
{
	int err = 0;

	(void)a;
	for (int i = 0; i < 200 && !err; i++) {
		poll(NULL, 0, 50);
		err = ipcshare_wait_tick(wait);
	}
	return err;
}

static void outlives_another_slowly(struct test_rank *me, void *arg)
{
	struct around a = { .special = 4, .before = ticks_slowly };
	struct team t;

	(void)arg;
	join_around(me, &a, &t);
	if (me->rank == 1)
		raise(SIGKILL);
	check_death_is_named(&t);
	team_leave(&t);
}

static void a_callback_that_ticks_slowly_sees_a_death_as_soon(void)
{
	struct test_ranks o = { .nranks = 2, .fn = outlives_another_slowly, .dies = 1u << 1 };

	test_ranks_with(&o);
}

static void waits_for_the_dead(struct test_rank *me, void *arg)
{
	struct ipcshare_group *group = untouched;
	struct ipcshare_ctx *ctx;

	(void)arg;
	if (me->rank == 1)
		raise(SIGKILL);
	ctx = team_open(300);
	CHECK_FAILS(ipcshare_group_create(ctx, &me->bootstrap, &group), IPCSHARE_ERR_TIMEOUT);
	CHECK_PTR(group, untouched);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void a_rank_that_died_before_the_group_is_a_timeout(void)
{
	struct test_ranks o = { .nranks = 2, .fn = waits_for_the_dead, .dies = 1u << 1 };

	test_ranks_with(&o);
}

/* Our bytes are late: the library looks around more than once before we have them. */
static int look_around(struct ipcshare_wait *wait)
{
	uint64_t start = ipcshare__now_ns();
	int err = 0;

	while (!err && ipcshare__now_ns() - start < 50 * (uint64_t)MS)
		err = ipcshare_wait_tick(wait);
	return err;
}

static int is_late_until_the_peer_is_dead(struct around *a, struct ipcshare_wait *wait)
{
	struct ipcshare_peer peer = { .size = sizeof(peer), .alive = 1 };

	while (peer.alive)
		REQUIRE_OK(ipcshare_group_peer(a->group, 1, &peer));
	return look_around(wait);
}

static void has_the_last_bytes_of_the_dead(struct test_rank *me, void *arg)
{
	struct around a = {
		.special = me->rank ? 0 : 7, .after = is_late_until_the_peer_is_dead,
	};
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	join_around(me, &a, &t);
	REQUIRE_OK(ipcshare_share(t.group, NULL, 0, 0, &set));
	CHECK_STATUS(ipcshare_set_free(set), 0);
	if (me->rank == 1)
		raise(SIGKILL);
	CHECK_INT(a.use, 7);
	team_leave(&t);
}

/* It said 0 on rank 1, which went away happily: it must not say PEER_DEAD on rank 0. */
static void an_exchange_that_the_dead_completed_is_complete(void)
{
	struct test_ranks o = { .nranks = 2, .fn = has_the_last_bytes_of_the_dead, .dies = 1u << 1 };

	test_ranks_with(&o);
}

static int is_late_until_the_peer_gave_up(struct around *a, struct ipcshare_wait *wait)
{
	test_rank_barrier(a->me, 1);
	return look_around(wait);
}

static void has_the_last_bytes_of_a_quitter(struct test_rank *me, void *arg)
{
	struct around a = {
		.special = me->rank ? 0 : 7, .after = is_late_until_the_peer_gave_up,
	};
	struct ipcshare_set *set, *other;
	struct team t;

	(void)arg;
	join_around(me, &a, &t);
	REQUIRE_OK(ipcshare_share(t.group, NULL, 0, 0, &set));
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_FAILS(ipcshare_share(t.group, NULL, 0, 0, &other), IPCSHARE_ERR_BOOTSTRAP);
	if (me->rank == 1)
		test_rank_barrier(me, 1);
	team_leave(&t);
}

static void an_exchange_before_the_one_that_failed_is_complete(void)
{
	struct test_ranks o = {
		.nranks = 2, .fn = has_the_last_bytes_of_a_quitter, .fail_rank = 1, .fail_use = 8,
	};

	test_ranks_with(&o);
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
	TEST(ranks_may_be_known_by_different_kinds_of_identity),
	TEST(a_bootstrap_that_lies_about_numbers_is_found_out),
	TEST(a_hello_that_is_well_formed_but_false_is_named),
	TEST(a_callback_that_fails_once_fails_every_rank),
	TEST(what_a_callback_returns_is_not_taken_for_a_status),
	TEST(a_group_is_freed_although_its_last_exchange_fails),
	TEST(an_altered_hello_fails_the_creation),
	TEST(an_altered_header_fails_the_share),
	TEST(an_altered_blob_fails_the_share),
	TEST(different_calls_are_a_mismatch_on_all),
	TEST(sets_freed_in_another_order_are_a_mismatch),
	TEST(a_rank_that_never_calls_is_named_at_the_deadline),
	TEST(a_killed_rank_is_named_within_two_seconds),
	TEST(a_rank_killed_inside_a_share_is_named_too),
	TEST(a_callback_that_ticks_slowly_sees_a_death_as_soon),
	TEST(a_rank_that_died_before_the_group_is_a_timeout),
	TEST(an_exchange_that_the_dead_completed_is_complete),
	TEST(an_exchange_before_the_one_that_failed_is_complete));
