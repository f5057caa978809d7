/* SPDX-License-Identifier: BSD-3-Clause */
/* Whoever holds a map finds its address again, without a lock. */
#include <pthread.h>
#include <string.h>

#include "memory/context.h"
#include "quiet.h"
#include "team.h"

#define BYTES 10000
#define PARTS 3

static char *const untouched = (char *)16;

static const size_t offsets[PARTS] = { 0, 17, 4096 };

/* Two ranks with an allocation each, which both may map. */
struct half {
	struct team t;
	struct test_rank *me;
	char *memory;
	struct ipcshare_packed theirs[PARTS]; /* of the other's */
};

/* Packed with @flags; what the other has packed. */
static void half_exchange(struct half *h, unsigned flags)
{
	struct ipcshare_bootstrap lane = test_rank_bootstrap(h->me, 1, 0);
	struct ipcshare_packed mine[PARTS], all[2][PARTS];

	for (size_t i = 0; i < PARTS; i++)
		REQUIRE_OK(ipcshare_pack(h->t.ctx, h->memory + offsets[i], 100, flags, &mine[i]));
	REQUIRE_INT(lane.allgather(lane.arg, NULL, mine, sizeof(mine), all), 0);
	memcpy(h->theirs, all[1 - h->t.rank], sizeof(h->theirs));
}

static void half_allow(struct half *h, unsigned flags)
{
	struct ipcshare_bootstrap lane = test_rank_bootstrap(h->me, 1, 0);
	struct ipcshare_identity self, ids[2];

	REQUIRE_OK(ipcshare_self(h->t.ctx, &self));
	REQUIRE_INT(lane.allgather(lane.arg, NULL, &self, sizeof(self), ids), 0);
	REQUIRE_OK(ipcshare_allow(h->t.ctx, h->memory, &ids[1 - h->t.rank], 1, flags));
	test_rank_barrier(h->me, 1);
}

static void half_join(struct test_rank *me, struct half *h)
{
	h->me = me;
	team_join(me, &h->t);
	h->memory = team_alloc(h->t.ctx, BYTES);
	team_fill(h->memory, BYTES, h->t.rank, 0);
	half_exchange(h, 0);
	half_allow(h, 0);
}

static void half_leave(struct half *h)
{
	test_rank_barrier(h->me, 1);
	CHECK_STATUS(ipcshare_free(h->t.ctx, h->memory), 0);
	team_leave(&h->t);
}

/* All parts are at @base, or none is anywhere. */
static void check_found(struct ipcshare_ctx *ctx, const struct ipcshare_packed parts[PARTS],
			char *base)
{
	for (size_t i = 0; i < PARTS; i++) {
		void *p = untouched;

		if (base)
			CHECK_STATUS(ipcshare_lookup(ctx, &parts[i], &p), 0);
		else
			CHECK_FAILS(ipcshare_lookup(ctx, &parts[i], &p), IPCSHARE_ERR_NOT_SHAREABLE);
		CHECK_PTR(p, base ? base + offsets[i] : untouched);
	}
}

static void maps_and_looks_up(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set;
	struct ipcshare_buf buf;
	struct half h;
	void *p, *q;

	(void)arg;
	half_join(me, &h);
	buf = (struct ipcshare_buf){ h.memory, BYTES };
	check_found(h.t.ctx, h.theirs, NULL);
	set = team_share(&h.t, &buf, 1, 0);
	check_found(h.t.ctx, h.theirs, NULL); /* a set is no map */
	REQUIRE_OK(ipcshare_map(h.t.ctx, &h.theirs[1], &p));
	check_found(h.t.ctx, h.theirs, (char *)p - offsets[1]);
	CHECK_PTR(ipcshare_ptr(set, 1 - h.t.rank, 0), (char *)p - offsets[1]);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	REQUIRE_OK(ipcshare_map(h.t.ctx, &h.theirs[2], &q));
	CHECK_STATUS(ipcshare_trim(h.t.ctx, NULL), 0);
	CHECK_STATUS(ipcshare_unmap(h.t.ctx, p), 0);
	check_found(h.t.ctx, h.theirs, (char *)q - offsets[2]);
	team_check((char *)q - offsets[2], BYTES, 1 - h.t.rank, 0);
	CHECK_STATUS(ipcshare_unmap(h.t.ctx, q), 0);
	check_found(h.t.ctx, h.theirs, NULL); /* kept for reuse, but not for the user */
	CHECK_INT(team_counters(h.t.ctx).calls[IPCSHARE_CALL_IMPORT], 1);
	half_leave(&h);
}

static void a_map_is_found_by_every_descriptor_of_its_allocation(void)
{
	test_ranks(2, maps_and_looks_up, NULL);
}

/* Writable descriptors first, then those that ask for less. */
static void maps_both_ways(struct test_rank *me, void *arg)
{
	struct ipcshare_packed writable[PARTS];
	struct half h;
	void *p, *q;

	(void)arg;
	half_join(me, &h);
	memcpy(writable, h.theirs, sizeof(writable));
	REQUIRE_OK(ipcshare_map(h.t.ctx, &writable[0], &p));
	test_rank_barrier(me, 1); /* from now on nobody else can */
	half_exchange(&h, IPCSHARE_READ_ONLY);
	check_found(h.t.ctx, writable, p);
	check_found(h.t.ctx, h.theirs, NULL);
	REQUIRE_OK(ipcshare_map(h.t.ctx, &h.theirs[0], &q));
	CHECK(p != q, "it is writable");
	check_found(h.t.ctx, writable, p);
	check_found(h.t.ctx, h.theirs, q);
	CHECK_STATUS(ipcshare_unmap(h.t.ctx, p), 0);
	check_found(h.t.ctx, writable, NULL);
	check_found(h.t.ctx, h.theirs, q);
	CHECK_STATUS(ipcshare_unmap(h.t.ctx, q), 0);
	half_leave(&h);
}

static void each_access_has_its_own_map(void)
{
	test_ranks(2, maps_both_ways, NULL);
}

/* In the owner's process there is one address for both. */
static void the_owners_process_finds_its_own_address(void)
{
	struct ipcshare_packed writable[PARTS], read_only[PARTS];
	struct ipcshare_ctx *owner = team_open(0), *other = team_open(0);
	char *memory = team_alloc(owner, BYTES);
	void *p;

	for (size_t i = 0; i < PARTS; i++)
		REQUIRE_OK(ipcshare_pack(owner, memory + offsets[i], 100, 0, &writable[i]));
	for (size_t i = 0; i < PARTS; i++)
		REQUIRE_OK(ipcshare_pack(owner, memory + offsets[i], 100, IPCSHARE_READ_ONLY,
					 &read_only[i]));
	REQUIRE_OK(ipcshare_map(other, &read_only[0], &p));
	check_found(other, writable, memory);
	check_found(other, read_only, memory);
	check_found(owner, writable, NULL); /* that one has no map */
	CHECK_STATUS(ipcshare_unmap(other, p), 0);
	check_found(other, writable, NULL);
	check_found(other, read_only, NULL);
	CHECK_STATUS(ipcshare_close(other), 0);
	CHECK_STATUS(ipcshare_close(owner), 0);
}

struct often {
	struct half *h;
	void *expected;
	int wrong;
};

static void looks_up_often(void *arg)
{
	struct often *o = arg;

	for (int i = 0; i < 1000; i++) {
		void *p = NULL;

		o->wrong += ipcshare_lookup(o->h->t.ctx, &o->h->theirs[0], &p) != 0;
		o->wrong += p != o->expected;
	}
}

static void looks_up_quietly(struct test_rank *me, void *arg)
{
	struct often o = { .wrong = 0 };
	struct ipcshare_ctx copy;
	struct half h;

	(void)arg;
	half_join(me, &h);
	o.h = &h;
	REQUIRE_OK(ipcshare_map(h.t.ctx, &h.theirs[0], &o.expected));
	test_rank_barrier(me, 1); /* no broker has anything to do */
	pthread_mutex_lock(&h.t.ctx->lock);
	memcpy(&copy, h.t.ctx, sizeof(copy));
	CHECK(test_quietly(looks_up_often, &o), "it made a system call");
	CHECK(!memcmp(&copy, h.t.ctx, sizeof(copy)), "it has written to the context");
	pthread_mutex_unlock(&h.t.ctx->lock);
	CHECK_INT(o.wrong, 0);
	CHECK_STATUS(ipcshare_unmap(h.t.ctx, o.expected), 0);
	half_leave(&h);
}

static void it_is_found_without_lock_system_call_or_write(void)
{
	test_ranks(2, looks_up_quietly, NULL);
}

struct forked {
	struct ipcshare_ctx *ctx;
	struct ipcshare_packed *packed;
};

static void in_a_child(int channel, void *arg)
{
	struct forked *f = arg;
	void *p = untouched;

	(void)channel;
	CHECK_FAILS(ipcshare_lookup(f->ctx, f->packed, &p), IPCSHARE_ERR_FORKED);
	CHECK_PTR(p, untouched);
}

static void bad_arguments_are_named(void)
{
	struct ipcshare_ctx *owner = team_open(0);
	char *memory = team_alloc(owner, BYTES);
	struct ipcshare_packed packed, bad;
	struct forked f = { owner, &packed };
	void *p, *q = untouched;

	REQUIRE_OK(ipcshare_pack(owner, memory, 100, 0, &packed));
	REQUIRE_OK(ipcshare_map(owner, &packed, &p));
	bad = packed;
	bad.bytes[70]++;
	CHECK_FAILS(ipcshare_lookup(NULL, &packed, &q), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_lookup(owner, NULL, &q), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_lookup(owner, &packed, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_lookup(owner, &bad, &q), IPCSHARE_ERR_PROTOCOL);
	test_child_join(test_child(in_a_child, &f));
	CHECK_STATUS(ipcshare_unmap(owner, p), 0);
	CHECK_STATUS(ipcshare_close(owner), 0);
	CHECK_FAILS(ipcshare_lookup(owner, &packed, &q), IPCSHARE_ERR_CLOSED);
	CHECK_PTR(q, untouched);
}

TEST_SUITE(maps, NULL, NULL,
	TEST(a_map_is_found_by_every_descriptor_of_its_allocation),
	TEST(each_access_has_its_own_map),
	TEST(the_owners_process_finds_its_own_address),
	TEST(it_is_found_without_lock_system_call_or_write),
	TEST(bad_arguments_are_named));
