/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys of a set on all ranks; tests/rdma has another node that uses them. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "group/group.h"
#include "rdma_side.h"

#define RANKS 3

/* ---- Whose keys they are ---- */

struct truth { /* of one rank */
	uint64_t base[2];
	uint32_t rkey[2];
	int access;
};

static struct truth truth_of(struct side *s, int access)
{
	struct truth t = { .access = access };

	for (int k = 0; k < 2; k++) {
		const struct ipcshare_rdma_region *r = rdma_region_at(s->d, s->p[k], access);

		t.base[k] = (uintptr_t)s->p[k];
		t.rkey[k] = r->rkey;
		CHECK_STATUS(ipcshare_rdma_release(r), 0);
	}
	return t;
}

/* Buffer @i of @rank, which it has told the truth of. */
static void check_key(const struct ipcshare_rdma_keys *keys, int rank, size_t i, const struct truth *t)
{
	struct ipcshare_rdma_remote at = { .rkey = 0 }, region = { .rkey = 0 };
	struct ipcshare_rdma_record record;
	uint64_t offset = 1;

	CHECK_STATUS(ipcshare_rdma_keys_at(keys, rank, i, &at), 0);
	CHECK_INT(at.base, t->base[i % 2] + 1000 * i);
	CHECK_INT(at.length, 100 + i);
	CHECK_INT(at.rkey, t->rkey[i % 2]);
	CHECK_INT(at.access, t->access);
	CHECK_STATUS(ipcshare_rdma_keys_record(keys, rank, i, &record, &offset), 0);
	CHECK_STATUS(ipcshare_rdma_unpack(&record, &region), 0);
	CHECK_INT(region.base + offset, at.base);
	CHECK_INT(region.length, SIDE_LEN);
	CHECK_INT(region.rkey, at.rkey);
}

static void has_the_keys_of_all(struct test_rank *me, void *arg)
{
	struct ipcshare_rdma_remote out = { .rkey = 7 };
	int access = me->rank ? RDMA_WRITE_TOO : RDMA_READ;
	struct ipcshare_rdma_keys *keys = SIDE_UNTOUCHED;
	struct truth mine, all[RANKS];
	struct side s;

	/* Rank 1 has nothing in the set, and needs no NIC. */
	side_begin(&s, me, me->rank == 1 ? 0 : SIDE_BUFS, *(unsigned *)arg);
	REQUIRE_OK(ipcshare_rdma_share(me->rank == 1 ? NULL : s.d, s.set, access, &keys));
	CHECK_INT(fake.made, me->rank == 1 ? 0 : 2);
	mine = truth_of(&s, access);
	REQUIRE_INT(me->bootstrap.allgather(me->bootstrap.arg, NULL, &mine, sizeof(mine), all), 0);
	for (int r = 0; r < RANKS; r += 2)
		for (size_t i = 0; i < SIDE_BUFS; i++)
			if (i != SIDE_EMPTY)
				check_key(keys, r, i, &all[r]);
	CHECK_FAILS(ipcshare_rdma_keys_at(keys, 1, 0, &out), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_keys_at(keys, 2, SIDE_EMPTY, &out), IPCSHARE_ERR_INVALID);
	CHECK_INT(ipcshare_last_error()->rank, 2);
	CHECK_INT(ipcshare_last_error()->index, SIDE_EMPTY);
	CHECK_FAILS(ipcshare_rdma_keys_at(keys, 2, SIDE_BUFS, &out), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_keys_at(keys, RANKS, 0, &out), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_keys_at(keys, -1, 0, &out), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_keys_at(keys, 2, 0, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_keys_record(keys, 2, 0, NULL, NULL), IPCSHARE_ERR_INVALID);
	CHECK_INT(out.rkey, 7);
	CHECK_STATUS(ipcshare_rdma_keys_free(keys), 0);
	side_end(&s);
}

static void every_rank_has_the_keys_of_all_buffers(void)
{
	test_ranks(RANKS, has_the_keys_of_all, (unsigned[]){ 0 });
	test_ranks(RANKS, has_the_keys_of_all, (unsigned[]){ IPCSHARE_LAZY });
}

static void shares_keys_in_one_process(struct test_rank *me, void *arg)
{
	struct ipcshare_rdma_keys *keys = NULL;
	struct ipcshare_rdma_remote mine, theirs;
	struct ipcshare_rdma_domain *d;
	struct ipcshare_set *set;
	struct ipcshare_buf buf;
	struct team t;

	(void)arg;
	team_join(me, &t);
	d = rdma_domain(t.ctx);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, SIDE_LEN), SIDE_LEN };
	set = team_share(&t, &buf, 1, 0);
	REQUIRE_OK(ipcshare_rdma_share(d, set, RDMA_READ, &keys));
	CHECK_STATUS(ipcshare_rdma_keys_at(keys, me->rank, 0, &mine), 0);
	CHECK_STATUS(ipcshare_rdma_keys_at(keys, !me->rank, 0, &theirs), 0);
	CHECK_PTR(mine.base, buf.ptr);
	CHECK_PTR(theirs.base, ipcshare_ptr(set, !me->rank, 0)); /* it is not mapped twice */
	CHECK(mine.rkey != theirs.rkey, "both have key %u", mine.rkey);
	CHECK_STATUS(ipcshare_rdma_keys_free(keys), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	team_leave_quietly(&t);
}

static void ranks_in_one_process_have_them_too(void)
{
	test_thread_ranks(2, shares_keys_in_one_process, NULL);
	rdma_check_all_ended(2);
}

/* ---- One for a region ---- */

#define MANY 10000
static void shares_many_buffers(struct test_rank *me, void *arg)
{
	static struct ipcshare_buf bufs[MANY];
	static void *p[MANY];
	struct ipcshare_rdma_record first, record;
	struct ipcshare_rdma_keys *keys = NULL;
	struct ipcshare_rdma_domain *d;
	struct ipcshare_arena *arena;
	struct ipcshare_set *set;
	struct team t;
	uint64_t round, offset = 0;

	(void)arg;
	team_join(me, &t);
	d = rdma_domain(t.ctx);
	REQUIRE_OK(ipcshare_arena_create(t.ctx, NULL, &arena));
	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 100, MANY, p));
	for (size_t i = 0; i < MANY; i++)
		bufs[i] = (struct ipcshare_buf){ p[i], 100 };
	set = team_share(&t, bufs, MANY, 0);
	round = t.group->round;
	REQUIRE_OK(ipcshare_rdma_share(d, set, RDMA_READ, &keys));
	CHECK_INT(t.group->round - round, 2); /* 64 KiB each: a record of each buffer would take 7 */
	CHECK_INT(fake.made, 1);
	CHECK_INT(rdma_stats(d).hits, 0);
	REQUIRE_OK(ipcshare_rdma_keys_record(keys, !me->rank, 0, &first, &offset));
	for (size_t i = 0; i < MANY; i++) {
		struct ipcshare_rdma_remote at;
		uint64_t here;

		REQUIRE_OK(ipcshare_rdma_keys_record(keys, !me->rank, i, &record, &here));
		REQUIRE_OK(ipcshare_rdma_keys_at(keys, !me->rank, i, &at));
		if (!CHECK_MEM(&record, &first, sizeof(first)) ||
		    !CHECK_INT(here - offset, (char *)ipcshare_ptr(set, !me->rank, i) -
					      (char *)ipcshare_ptr(set, !me->rank, 0)))
			break;
	}
	CHECK_STATUS(ipcshare_rdma_keys_free(keys), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_arena_destroy(arena), 0);
	rdma_check_all_ended(1);
	team_leave(&t);
}

static void ten_thousand_buffers_of_a_region_are_one_record(void)
{
	test_ranks(2, shares_many_buffers, NULL);
}

#define REGIONS 1800u /* more than go with the first round */
static void shares_many_regions(struct test_rank *me, void *arg)
{
	static struct ipcshare_buf bufs[REGIONS];
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct ipcshare_rdma_keys *keys = NULL;
	struct ipcshare_rdma_domain *d;
	struct ipcshare_set *set;
	size_t n = me->rank ? REGIONS : 3;
	struct team t;
	char *p;
	int fd;

	(void)arg;
	team_join(me, &t);
	d = rdma_domain(t.ctx);
	fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	REQUIRE(!ftruncate(fd, (off_t)(REGIONS * page)), "%m");
	p = mmap(NULL, REGIONS * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (size_t i = 0; i < n; i++) {
		bufs[i] = (struct ipcshare_buf){ p + i * page, page };
		REQUIRE_OK(ipcshare_register(t.ctx, bufs[i].ptr, page, fd));
	}
	set = team_share(&t, bufs, n, IPCSHARE_LAZY);
	REQUIRE_OK(ipcshare_rdma_share(d, set, RDMA_READ, &keys));
	CHECK_INT(fake.made, n);
	for (size_t i = 1; i < REGIONS; i++) {
		struct ipcshare_rdma_remote at, before;

		REQUIRE_OK(ipcshare_rdma_keys_at(keys, 1, i - 1, &before));
		REQUIRE_OK(ipcshare_rdma_keys_at(keys, 1, i, &at));
		if (!CHECK_INT(at.base - before.base, page) || !CHECK_INT(at.rkey - before.rkey, 256))
			break;
	}
	CHECK_STATUS(ipcshare_rdma_keys_free(keys), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	for (size_t i = 0; i < n; i++)
		CHECK_STATUS(ipcshare_deregister(t.ctx, bufs[i].ptr), 0);
	munmap(p, REGIONS * page);
	close(fd);
	team_leave(&t);
}

static void keys_of_many_regions_take_several_rounds(void)
{
	test_ranks(2, shares_many_regions, NULL);
}

/* ---- How long they are good ---- */

static void uses_keys_of_its_parent(int channel, void *arg)
{
	struct ipcshare_rdma_remote at;

	(void)channel;
	CHECK_FAILS(ipcshare_rdma_keys_at(arg, 0, 0, &at), IPCSHARE_ERR_FORKED);
	CHECK_FAILS(ipcshare_rdma_keys_free(arg), IPCSHARE_ERR_FORKED);
	CHECK_INT(fake.ended, 0);
}

static void holds_and_lets_go(struct test_rank *me, void *arg)
{
	struct ipcshare_rdma_remote at = { .rkey = 0 };
	struct ipcshare_rdma_keys *keys, *more;
	struct ipcshare_set *others[16];
	struct side s;

	(void)arg;
	side_begin(&s, me, SIDE_BUFS, 0);
	keys = side_share(&s, RDMA_READ);
	more = side_share(&s, RDMA_READ);
	CHECK_INT(fake.made, 2); /* the second time they are found */
	CHECK_STATUS(ipcshare_rdma_keys_free(more), 0);
	test_child_join(test_child(uses_keys_of_its_parent, keys));
	for (int i = 0; i < 16; i++) /* so that the allocator is not short of such memory */
		others[i] = team_share(&s.t, s.bufs, SIDE_BUFS, 0);
	for (int i = 0; i < 16; i++)
		CHECK_STATUS(ipcshare_set_free(others[i]), 0);
	CHECK_STATUS(ipcshare_set_free(s.set), 0);
	CHECK_FAILS(ipcshare_rdma_keys_at(keys, 0, 0, &at), IPCSHARE_ERR_CLOSED);
	for (int i = 0; i < 16; i++) { /* with glibc one of them is where the set was */
		others[i] = team_share(&s.t, s.bufs, SIDE_BUFS, 0);
		CHECK_FAILS(ipcshare_rdma_keys_at(keys, 0, 0, &at), IPCSHARE_ERR_CLOSED);
	}
	for (int i = 0; i < 16; i++)
		CHECK_STATUS(ipcshare_set_free(others[i]), 0);
	CHECK_FAILS(ipcshare_free(s.t.ctx, s.p[0]), IPCSHARE_ERR_BUSY);
	CHECK_FAILS(ipcshare_rdma_domain_free(s.d), IPCSHARE_ERR_BUSY);
	CHECK_HAS(ipcshare_last_error()->hint, "ipcshare_rdma_keys_free");
	CHECK_FAILS(ipcshare_group_free(s.t.group), IPCSHARE_ERR_BUSY);
	CHECK_FAILS(ipcshare_close(s.t.ctx), IPCSHARE_ERR_BUSY);
	CHECK_INT(fake.ended, 0);
	CHECK_STATUS(ipcshare_rdma_keys_free(keys), 0);
	CHECK_FAILS(ipcshare_rdma_keys_free(keys), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_rdma_keys_at(keys, 0, 0, &at), IPCSHARE_ERR_CLOSED);
	CHECK_STATUS(ipcshare_rdma_keys_free(NULL), 0);
	CHECK_INT(at.rkey, 0);
	s.set = NULL;
	side_end(&s);
}

static void keys_hold_their_ranks_regions_and_nothing_else(void)
{
	test_ranks(2, holds_and_lets_go, NULL);
}

static void is_updated(struct test_rank *me, void *arg)
{
	const size_t index[] = { 0, 1 };
	struct ipcshare_rdma_keys *keys, *anew;
	struct ipcshare_rdma_remote at[2];
	struct ipcshare_buf bufs[2];
	struct truth mine, all[2];
	int peer = !me->rank;
	struct side s;
	void *fresh;

	(void)arg;
	side_begin(&s, me, SIDE_BUFS, 0);
	keys = side_share(&s, RDMA_READ);
	mine = truth_of(&s, RDMA_READ);
	REQUIRE_INT(me->bootstrap.allgather(me->bootstrap.arg, NULL, &mine, sizeof(mine), all), 0);
	fresh = team_alloc(s.t.ctx, SIDE_LEN);
	bufs[0] = (struct ipcshare_buf){ s.p[1] + 7, 20 }; /* known, and new to the set */
	bufs[1] = (struct ipcshare_buf){ fresh, 30 };
	REQUIRE_OK(ipcshare_set_update(s.set, index, bufs, 2, 0));
	CHECK_STATUS(ipcshare_rdma_keys_at(keys, peer, 0, &at[0]), 0);
	CHECK_INT(at[0].base, all[peer].base[1] + 7);
	CHECK_INT(at[0].length, 20);
	CHECK_INT(at[0].rkey, all[peer].rkey[1]);
	CHECK_FAILS(ipcshare_rdma_keys_at(keys, peer, 1, &at[1]), IPCSHARE_ERR_STALE);
	CHECK_FAILS(ipcshare_rdma_keys_at(keys, me->rank, 1, &at[1]), IPCSHARE_ERR_STALE);
	anew = side_share(&s, RDMA_READ);
	CHECK_STATUS(ipcshare_rdma_keys_at(anew, peer, 1, &at[1]), 0);
	CHECK_INT(at[1].length, 30);
	CHECK(at[1].rkey != at[0].rkey, "two regions, one key");
	CHECK_STATUS(ipcshare_rdma_keys_free(keys), 0);
	CHECK_STATUS(ipcshare_rdma_keys_free(anew), 0);
	CHECK_STATUS(ipcshare_set_free(s.set), 0);
	CHECK_STATUS(ipcshare_free(s.t.ctx, fresh), 0);
	s.set = NULL;
	side_end(&s);
}

static void after_an_update_they_are_where_the_new_buffers_lie_or_stale(void)
{
	test_ranks(2, is_updated, NULL);
}

static void shares_a_region_twice(struct test_rank *me, void *arg)
{
	struct ipcshare_rdma_remote writable, read_only;
	struct ipcshare_rdma_keys *keys;
	struct side s;

	(void)arg;
	side_begin(&s, me, SIDE_BUFS, 0);
	REQUIRE_OK(ipcshare_set_update(s.set, (const size_t[]){ 2 }, &s.bufs[2], 1, IPCSHARE_READ_ONLY));
	keys = side_share(&s, RDMA_READ);
	CHECK_INT(fake.made, 2);
	CHECK_INT(rdma_stats(s.d).hits, 0);
	for (int r = 0; r < 2; r++) {
		CHECK_STATUS(ipcshare_rdma_keys_at(keys, r, 0, &writable), 0);
		CHECK_STATUS(ipcshare_rdma_keys_at(keys, r, 2, &read_only), 0);
		CHECK_INT(read_only.rkey, writable.rkey);
		CHECK_INT(read_only.base - writable.base, 2000);
	}
	CHECK_STATUS(ipcshare_rdma_keys_free(keys), 0);
	side_end(&s);
}

static void a_region_that_is_shared_writable_and_read_only_has_one_key(void)
{
	test_ranks(2, shares_a_region_twice, NULL);
}

/* Rank 1 exchanges its region for another one, which gets the same id. */
static void has_a_key_of_what_was_freed(struct test_rank *me, void *arg)
{
	struct ipcshare_rdma_keys *keys, *anew;
	struct ipcshare_rdma_remote at[2] = { { .rkey = 0 } };
	const size_t one[] = { 1 };
	struct side s;

	(void)arg;
	side_begin(&s, me, 2, 0);
	keys = side_share(&s, RDMA_READ);
	CHECK_STATUS(ipcshare_rdma_keys_at(keys, 1, 1, &at[0]), 0);
	if (me->rank == 1)
		CHECK_STATUS(ipcshare_rdma_keys_free(keys), 0);
	REQUIRE_OK(ipcshare_set_update(s.set, one, &(struct ipcshare_buf){ NULL, 0 }, me->rank, 0));
	if (me->rank == 1) {
		CHECK_STATUS(ipcshare_free(s.t.ctx, s.p[1]), 0);
		s.p[1] = team_alloc(s.t.ctx, SIDE_LEN);
		s.bufs[1].ptr = s.p[1];
	}
	REQUIRE_OK(ipcshare_set_update(s.set, one, &s.bufs[1], me->rank, 0));
	if (me->rank == 0) {
		CHECK_FAILS(ipcshare_rdma_keys_at(keys, 1, 1, &at[1]), IPCSHARE_ERR_STALE);
		CHECK_STATUS(ipcshare_rdma_keys_at(keys, 1, 0, &at[1]), 0);
	}
	anew = side_share(&s, RDMA_READ);
	CHECK_STATUS(ipcshare_rdma_keys_at(anew, 1, 1, &at[1]), 0);
	CHECK(at[1].rkey != at[0].rkey, "the key is still %u", at[0].rkey);
	CHECK_STATUS(ipcshare_rdma_keys_free(anew), 0);
	if (me->rank == 0)
		CHECK_STATUS(ipcshare_rdma_keys_free(keys), 0);
	side_end(&s);
}

static void a_key_of_freed_memory_is_not_given_for_what_took_its_place(void)
{
	test_ranks(2, has_a_key_of_what_was_freed, NULL);
}

static void abandons_its_keys(struct test_rank *me, void *arg)
{
	struct ipcshare_rdma_keys *keys;
	struct side s;

	(void)arg;
	side_begin(&s, me, SIDE_BUFS, 0);
	keys = side_share(&s, RDMA_READ);
	CHECK_STATUS(ipcshare_abandon(s.t.ctx), 0);
	CHECK_FAILS(ipcshare_rdma_keys_free(keys), IPCSHARE_ERR_CLOSED);
	CHECK_INT(fake.ended, 0);
	CHECK_NOTHING_LEAKED(&s.t.before);
}

static void abandoned_keys_are_closed(void)
{
	test_ranks(2, abandons_its_keys, NULL);
}

TEST_SUITE(rdma_keys, rdma_begin, owner_end,
	TEST(every_rank_has_the_keys_of_all_buffers),
	TEST(ranks_in_one_process_have_them_too),
	TEST(ten_thousand_buffers_of_a_region_are_one_record),
	TEST(keys_of_many_regions_take_several_rounds),
	TEST(keys_hold_their_ranks_regions_and_nothing_else),
	TEST(after_an_update_they_are_where_the_new_buffers_lie_or_stale),
	TEST(a_region_that_is_shared_writable_and_read_only_has_one_key),
	TEST(a_key_of_freed_memory_is_not_given_for_what_took_its_place),
	TEST(abandoned_keys_are_closed));
