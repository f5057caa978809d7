/* SPDX-License-Identifier: BSD-3-Clause */
/* Contexts: opened, closed, abandoned in any state, inherited by fork. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "team.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RESIDENT_SLACK (128u << 20) /* freed memory is kept for a while, and shadows grow */
#else
#define RESIDENT_SLACK (1u << 20)
#endif

static struct test_resources before;
static struct ipcshare_ctx *const untouched = (struct ipcshare_ctx *)16;

static void start(void)
{
	test_resources(&before);
}

static void stop(void)
{
	CHECK_NOTHING_LEAKED(&before);
}

/* ---- Open ---- */

static void check_not_opened(const struct ipcshare_options *options, int status, const char *text)
{
	struct ipcshare_ctx *ctx = untouched;

	CHECK_FAILS(ipcshare_open(options, &ctx), status);
	CHECK_HAS(ipcshare_last_error()->text, text);
	CHECK_PTR(ctx, untouched);
}

static void bad_options_are_named(void)
{
	struct ipcshare_options o = IPCSHARE_OPTIONS_INIT;

	CHECK_FAILS(ipcshare_open(NULL, NULL), IPCSHARE_ERR_INVALID);
	o.size = 0;
	check_not_opened(&o, IPCSHARE_ERR_INVALID, "size");
	o.size = sizeof(o) + 8;
	check_not_opened(&o, IPCSHARE_ERR_INVALID, "size");
	o.size = sizeof(o);
	o.backend = "abacus";
	check_not_opened(&o, IPCSHARE_ERR_NO_BACKEND, "abacus");
	CHECK_HAS(ipcshare_last_error()->hint, "host");
	o.backend = "";
	check_not_opened(&o, IPCSHARE_ERR_NO_BACKEND, "");
	o.backend = "host-with-a-name-that-is-longer-than-any";
	check_not_opened(&o, IPCSHARE_ERR_NO_BACKEND, "host-with");
}

/* In children: the environment is the process's. */
static void has_bad_settings(int channel, void *arg)
{
	struct ipcshare_options o = IPCSHARE_OPTIONS_INIT;
	struct ipcshare_ctx *ctx = untouched;

	(void)channel;
	(void)arg;
	start();
	setenv("IPCSHARE_TIMEOUT", "soon", 1);
	check_not_opened(NULL, IPCSHARE_ERR_CONFIG, "IPCSHARE_TIMEOUT");
	setenv("IPCSHARE_TIMEOUT", "-1", 1);
	check_not_opened(NULL, IPCSHARE_ERR_CONFIG, "\"-1\"");
	setenv("IPCSHARE_TIMEOUT", "5", 1);
	setenv("IPCSHARE_SOCKET_DIR", "/no/such/folder", 1);
	CHECK(ipcshare_open(NULL, &ctx) < 0, "it listens in a folder that isn't there");
	CHECK_PTR(ctx, untouched);
	unsetenv("IPCSHARE_SOCKET_DIR");
	setenv("IPCSHARE_BACKEND", "abacus", 1);
	o.backend = "host";
	check_not_opened(&o, IPCSHARE_ERR_CONFIG, "IPCSHARE_BACKEND"); /* the environment wins */
	setenv("IPCSHARE_BACKEND", "host", 1);
	o.backend = "abacus";
	REQUIRE_OK(ipcshare_open(&o, &ctx));
	CHECK_STATUS(ipcshare_close(ctx), 0);
	stop();
}

static void bad_settings_are_named_and_good_ones_win(void)
{
	test_child_join(test_child(has_bad_settings, NULL));
}

static void opens_with_few_descriptors(int channel, void *arg)
{
	struct rlimit all, few;

	(void)channel;
	(void)arg;
	start();
	getrlimit(RLIMIT_NOFILE, &all);
	for (rlim_t n = 3; n < 64; n++) { /* whatever it is that can't be had any more */
		struct ipcshare_ctx *ctx = untouched;
		int status;

		few = (struct rlimit){ n, all.rlim_max };
		setrlimit(RLIMIT_NOFILE, &few);
		status = ipcshare_open(NULL, &ctx);
		setrlimit(RLIMIT_NOFILE, &all);
		if (!status) {
			CHECK_STATUS(ipcshare_close(ctx), 0);
			CHECK(n > 3, "no descriptor was needed");
			return;
		}
		CHECK(status == IPCSHARE_ERR_LIMIT, "with %d: %s", (int)n, ipcshare_explain());
		CHECK_PTR(ctx, untouched);
		stop();
	}
	FAIL("it can't be opened with 64 descriptors");
}

static void too_few_descriptors_are_a_limit(void)
{
	test_child_join(test_child(opens_with_few_descriptors, NULL));
}

static void two_contexts_do_not_disturb_each_other(void)
{
	struct ipcshare_ctx *one = team_open(0), *two = team_open(UINT32_MAX);
	void *p = team_alloc(one, 100);

	CHECK(one != two, "they are one");
	CHECK_STR(ipcshare_backend(one), "host");
	CHECK_INT(team_counters(one).allocations, 1);
	CHECK_INT(team_counters(two).allocations, 0);
	CHECK_STATUS(ipcshare_close(two), 0);
	CHECK_STATUS(ipcshare_free(one, p), 0);
	CHECK_STATUS(ipcshare_close(one), 0);
}

/* ---- Every function on a context, group, set and share that is no more ---- */

struct objects {
	struct ipcshare_ctx *ctx;
	void *p, *mapped;
	struct ipcshare_packed packed;
	struct ipcshare_handle handle;
	struct ipcshare_identity me;
	struct ipcshare_group *group;
	struct ipcshare_set *set;
	struct ipcshare_share *share;
	const void *blob;
	size_t blob_len;
	int released;
};

static void count_release(void *arg, int broken)
{
	struct objects *o = arg;

	o->released++;
	CHECK(broken, "release() could wait for ever");
}

/* A context that has everything alive. */
static void objects_make(struct objects *o)
{
	struct ipcshare_bootstrap b = team_alone;
	struct ipcshare_buf buf;

	*o = (struct objects){ .ctx = team_open(0) };
	b.arg = o;
	b.release = count_release;
	o->p = team_alloc(o->ctx, 1000);
	buf = (struct ipcshare_buf){ o->p, 1000 };
	REQUIRE_OK(ipcshare_self(o->ctx, &o->me));
	REQUIRE_OK(ipcshare_pack(o->ctx, o->p, 10, 0, &o->packed));
	REQUIRE_OK(ipcshare_pack_handle(o->ctx, o->p, 0, &o->handle, NULL));
	REQUIRE_OK(ipcshare_allow(o->ctx, o->p, &o->me, 1, 0));
	REQUIRE_OK(ipcshare_map(o->ctx, &o->packed, &o->mapped));
	REQUIRE_OK(ipcshare_group_create(o->ctx, &b, &o->group));
	REQUIRE_OK(ipcshare_share(o->group, &buf, 1, 0, &o->set));
	REQUIRE_OK(ipcshare_share_begin(o->group, &buf, 1, 0, &o->share, &o->blob, &o->blob_len));
}

static void check_context_gone(struct objects *o, int status)
{
	struct ipcshare_counters counters = { .size = sizeof(counters) };
	struct ipcshare_group *group;
	struct ipcshare_handle handle;
	struct ipcshare_packed packed;
	struct ipcshare_identity id;
	void *p;

	CHECK_PTR(ipcshare_backend(o->ctx), NULL);
	CHECK_FAILS(ipcshare_close(o->ctx), status);
	CHECK_FAILS(ipcshare_counters(o->ctx, &counters), status);
	CHECK_FAILS(ipcshare_alloc(o->ctx, 1, &p), status);
	CHECK_FAILS(ipcshare_free(o->ctx, o->p), status);
	CHECK_FAILS(ipcshare_register(o->ctx, o, 1, 0), status);
	CHECK_FAILS(ipcshare_deregister(o->ctx, o), status);
	CHECK_FAILS(ipcshare_self(o->ctx, &id), status);
	CHECK_FAILS(ipcshare_pack(o->ctx, o->p, 1, 0, &packed), status);
	CHECK_FAILS(ipcshare_pack_handle(o->ctx, o->p, 0, &handle, NULL), status);
	CHECK_FAILS(ipcshare_allow(o->ctx, o->p, &o->me, 1, 0), status);
	CHECK_FAILS(ipcshare_map(o->ctx, &o->packed, &p), status);
	CHECK_FAILS(ipcshare_map_handle(o->ctx, &o->handle, &p, NULL), status);
	CHECK_FAILS(ipcshare_unmap(o->ctx, o->mapped), status);
	CHECK_FAILS(ipcshare_group_create(o->ctx, &team_alone, &group), status);
}

static void check_rest_gone(struct objects *o, int status)
{
	struct ipcshare_peer peer = { .size = sizeof(peer) };
	struct ipcshare_share *share;
	struct ipcshare_set *set;
	const void *blob;
	size_t len;

	CHECK_FAILS(ipcshare_group_rank(o->group), status);
	CHECK_FAILS(ipcshare_group_size(o->group), status);
	CHECK_FAILS(ipcshare_group_peer(o->group, 0, &peer), status);
	CHECK_FAILS(ipcshare_share(o->group, NULL, 0, 0, &set), status);
	CHECK_FAILS(ipcshare_share_begin(o->group, NULL, 0, 0, &share, &blob, &len), status);
	CHECK_FAILS(ipcshare_share_complete(o->share, &o->blob, &o->blob_len, &set), status);
	CHECK_FAILS(ipcshare_share_cancel(o->share), status);
	CHECK_FAILS(ipcshare_set_status(o->set, 0, 0), status);
	CHECK_FAILS(ipcshare_set_free(o->set), status);
	CHECK_FAILS(ipcshare_group_free(o->group), status);
	CHECK_INT(ipcshare_set_failures(o->set), 0);
}

static void a_busy_context_is_not_closed(void)
{
	struct objects o;

	objects_make(&o);
	CHECK_FAILS(ipcshare_close(o.ctx), IPCSHARE_ERR_BUSY);
	CHECK_STATUS(ipcshare_share_cancel(o.share), 0);
	CHECK_FAILS(ipcshare_close(o.ctx), IPCSHARE_ERR_BUSY); /* a set */
	CHECK_STATUS(ipcshare_set_free(o.set), 0);
	CHECK_FAILS(ipcshare_close(o.ctx), IPCSHARE_ERR_BUSY); /* a group */
	CHECK_STATUS(ipcshare_abandon(NULL), 0);
	CHECK_STATUS(ipcshare_close(NULL), 0);
	CHECK_INT(ipcshare_group_size(o.group), 1); /* it lives on */
	CHECK_STATUS(ipcshare_abandon(o.ctx), 0);
}

static void a_mapping_keeps_its_context_open(void)
{
	struct ipcshare_ctx *ctx = team_open(0);
	void *p = team_alloc(ctx, 100), *q;
	struct ipcshare_packed packed;

	REQUIRE_OK(ipcshare_pack(ctx, p, 100, 0, &packed));
	REQUIRE_OK(ipcshare_map(ctx, &packed, &q));
	CHECK_FAILS(ipcshare_close(ctx), IPCSHARE_ERR_BUSY);
	CHECK_STATUS(ipcshare_unmap(ctx, q), 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void a_closed_context_is_closed_for_all(void)
{
	struct objects o = { .ctx = team_open(0), .p = &o, .mapped = &o };

	CHECK_STATUS(ipcshare_close(o.ctx), 0);
	check_context_gone(&o, IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_abandon(o.ctx), IPCSHARE_ERR_CLOSED);
	o.ctx = NULL; /* what was never open */
	CHECK_FAILS(ipcshare_alloc(o.ctx, 1, &o.p), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_free((struct ipcshare_ctx *)&o, o.p), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_group_free((struct ipcshare_group *)&o), IPCSHARE_ERR_CLOSED);
}

static void abandon_takes_everything_along(void)
{
	struct objects o;

	for (int i = 0; i < 20; i++) {
		objects_make(&o);
		CHECK_STATUS(ipcshare_abandon(o.ctx), 0);
		CHECK_INT(o.released, 1);
		CHECK_NOTHING_LEAKED(&before);
	}
	check_context_gone(&o, IPCSHARE_ERR_CLOSED);
	check_rest_gone(&o, IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_abandon(o.ctx), IPCSHARE_ERR_CLOSED);
}

/* With and without each of the things that can be alive. */
static void a_context_can_be_abandoned_in_every_state(void)
{
	for (unsigned without = 0; without < 8; without++) {
		struct objects o;

		objects_make(&o);
		if (without & 1)
			CHECK_STATUS(ipcshare_unmap(o.ctx, o.mapped), 0);
		if (without & 2)
			CHECK_STATUS(ipcshare_set_free(o.set), 0);
		if (without & 4)
			CHECK_STATUS(ipcshare_share_cancel(o.share), 0);
		CHECK_STATUS(ipcshare_abandon(o.ctx), 0);
		CHECK_NOTHING_LEAKED(&before);
	}
}

/* The sets of others in this process lose their pointers, but not their heads. */
static void abandon_of_an_owner_leaves_the_importer_in_order(void)
{
	struct ipcshare_ctx *owner = team_open(0), *user = team_open(0);
	void *p = team_alloc(owner, 100), *q;
	struct ipcshare_packed packed;

	REQUIRE_OK(ipcshare_pack(owner, p, 100, 0, &packed));
	REQUIRE_OK(ipcshare_map(user, &packed, &q));
	CHECK_STATUS(ipcshare_abandon(owner), 0);
	CHECK_STATUS(ipcshare_unmap(user, q), 0);
	CHECK_STATUS(ipcshare_close(user), 0);
	/* And the other way round: nothing holds the memory any more. */
	owner = team_open(0);
	user = team_open(0);
	p = team_alloc(owner, 100);
	REQUIRE_OK(ipcshare_pack(owner, p, 100, 0, &packed));
	REQUIRE_OK(ipcshare_map(user, &packed, &q));
	CHECK_FAILS(ipcshare_free(owner, p), IPCSHARE_ERR_BUSY);
	CHECK_STATUS(ipcshare_abandon(user), 0);
	CHECK_STATUS(ipcshare_free(owner, p), 0);
	CHECK_STATUS(ipcshare_close(owner), 0);
}

/* ---- Fork ---- */

static void is_a_fork(int channel, void *arg)
{
	struct objects *o = arg, mine;
	struct test_resources inside;

	(void)channel;
	check_context_gone(o, IPCSHARE_ERR_FORKED);
	check_rest_gone(o, IPCSHARE_ERR_FORKED);
	CHECK_INT(o->released, 0);
	objects_make(&mine); /* one of its own, beside the dead one */
	team_fill(mine.p, 1000, 1, 1);
	team_check(ipcshare_ptr(mine.set, 0, 0), 1000, 1, 1);
	check_context_gone(o, IPCSHARE_ERR_FORKED);
	CHECK_STATUS(ipcshare_abandon(mine.ctx), 0);
	CHECK_STATUS(ipcshare_abandon(o->ctx), 0);
	CHECK_INT(o->released, 1);
	test_resources(&inside); /* as before there was any context */
	CHECK_INT(inside.memfd_maps, before.memfd_maps);
	check_context_gone(o, IPCSHARE_ERR_CLOSED);
	check_rest_gone(o, IPCSHARE_ERR_CLOSED);
	objects_make(&mine);
	CHECK_STATUS(ipcshare_abandon(mine.ctx), 0);
	CHECK_NOTHING_LEAKED(&inside);
}

static void a_fork_knows_that_its_contexts_are_dead(void)
{
	struct objects o;

	objects_make(&o);
	team_fill(o.p, 1000, 2, 2);
	for (int i = 0; i < 3; i++)
		test_child_join(test_child(is_a_fork, &o));
	/* The parent's is as it was. */
	CHECK_INT(o.released, 0);
	team_check(o.p, 1000, 2, 2);
	CHECK_STATUS(ipcshare_share_cancel(o.share), 0);
	CHECK_STATUS(ipcshare_set_free(o.set), 0);
	CHECK_STATUS(ipcshare_unmap(o.ctx, o.mapped), 0);
	CHECK_STATUS(ipcshare_free(o.ctx, o.p), 0);
	CHECK_STATUS(ipcshare_abandon(o.ctx), 0);
}

static void counts_descriptors_as_a_fork(int channel, void *arg)
{
	struct objects *o = arg;
	struct test_resources inside, after;
	struct ipcshare_counters c = { .size = sizeof(c) };

	(void)channel;
	test_resources(&inside);
	CHECK_FAILS(ipcshare_counters(o->ctx, &c), IPCSHARE_ERR_FORKED);
	CHECK_STATUS(ipcshare_abandon(o->ctx), 0);
	test_resources(&after);
	/* Listener, eventfd, one memfd of memory and one of the group's page, two pidfds at most. */
	CHECK(after.fds <= inside.fds - 4, "%d descriptors before, %d after", inside.fds, after.fds);
	CHECK_INT(after.memfd_maps, before.memfd_maps);
}

static void abandon_in_a_fork_gives_back_what_was_inherited(void)
{
	struct objects o;

	objects_make(&o);
	test_child_join(test_child(counts_descriptors_as_a_fork, &o));
	CHECK_STATUS(ipcshare_abandon(o.ctx), 0);
}

/* ---- Often, and by many threads ---- */

static void two_hundred_contexts_leave_nothing(void)
{
	struct test_resources warm;

	for (int i = 0; i < 220; i++) {
		struct ipcshare_ctx *ctx;

		if (i == 20)
			test_resources(&warm);
		ctx = team_open(0);
		team_alloc(ctx, 10000);
		CHECK_STATUS(i % 2 ? ipcshare_close(ctx) : ipcshare_abandon(ctx), 0);
	}
	CHECK_NOTHING_LEAKED(&warm);
	CHECK_RESIDENT(&warm, RESIDENT_SLACK);
}

static void *opens_and_closes(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++) {
		struct ipcshare_ctx *ctx = team_open(0);

		CHECK_STATUS(ipcshare_free(ctx, team_alloc(ctx, 100)), 0);
		CHECK_STATUS(ipcshare_close(ctx), 0);
		CHECK_FAILS(ipcshare_free(NULL, &ctx), IPCSHARE_ERR_INVALID);
	}
	return NULL;
}

static void threads_open_and_close_at_once(void)
{
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		REQUIRE_INT(pthread_create(&thread[i], NULL, opens_and_closes, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
}

TEST_SUITE(context, start, stop,
	TEST(bad_options_are_named),
	TEST(bad_settings_are_named_and_good_ones_win),
	TEST(too_few_descriptors_are_a_limit),
	TEST(two_contexts_do_not_disturb_each_other),
	TEST(a_busy_context_is_not_closed),
	TEST(a_mapping_keeps_its_context_open),
	TEST(a_closed_context_is_closed_for_all),
	TEST(abandon_takes_everything_along),
	TEST(a_context_can_be_abandoned_in_every_state),
	TEST(abandon_of_an_owner_leaves_the_importer_in_order),
	TEST(a_fork_knows_that_its_contexts_are_dead),
	TEST(abandon_in_a_fork_gives_back_what_was_inherited),
	TEST(two_hundred_contexts_leave_nothing),
	TEST(threads_open_and_close_at_once));
