/* SPDX-License-Identifier: BSD-3-Clause */
/* A NIC lets memory go before it is freed, unmapped or invalidated. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rdma.h"

#define LEN 10000

static void memory_is_busy_while_registered_and_ends_what_is_kept_of_it(void)
{
	const struct ipcshare_rdma_region *r;
	struct ipcshare_rdma_domain *d;
	size_t n = 7;
	void *p;

	owner_open();
	p = team_alloc(owner, LEN);
	d = rdma_domain(owner);
	r = rdma_region_at(d, p, RDMA_READ);
	CHECK_FAILS(ipcshare_free(owner, p), IPCSHARE_ERR_BUSY);
	CHECK_STATUS(ipcshare_rdma_release(r), 0);
	CHECK_STATUS(ipcshare_free(owner, p), 0);
	rdma_check_all_ended(1);
	CHECK_STATUS(ipcshare_rdma_release(rdma_region_at(d, owned, RDMA_READ)), 0);
	CHECK_STATUS(ipcshare_rdma_release(rdma_region_at(d, owned, RDMA_READ)), 0); /* it is found */
	CHECK_INT(fake.made, 2);
	CHECK_STATUS(ipcshare_rdma_trim(d, &n), 0);
	CHECK_INT(n, 1);
	rdma_check_all_ended(2);
	CHECK_FAILS(ipcshare_close(owner), IPCSHARE_ERR_BUSY);
	CHECK_HAS(ipcshare_last_error()->text, "RDMA domains");
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
}

static void registers_its_peers_memory(struct test_rank *me, void *arg)
{
	const struct ipcshare_rdma_region *r[100], *other = RDMA_UNTOUCHED;
	struct ipcshare_buf bufs[100];
	unsigned flags = *(unsigned *)arg;
	int peer = !me->rank;
	struct ipcshare_rdma_domain *d;
	struct ipcshare_set *set;
	struct team t;
	char *p;

	team_join(me, &t);
	d = rdma_domain(t.ctx);
	p = team_alloc(t.ctx, 100 * 1000);
	for (size_t i = 0; i < 100; i++)
		bufs[i] = (struct ipcshare_buf){ p + 1000 * i, i == 99 ? 0 : 1000 };
	set = team_share(&t, bufs, 100, flags);
	for (size_t i = 0; i < 99; i++) {
		REQUIRE_OK(ipcshare_rdma_region_of(d, set, peer, i, RDMA_READ, &r[i]));
		CHECK_PTR((char *)r[i]->base + 1000 * i, ipcshare_ptr(set, peer, i));
	}
	CHECK_INT(fake.made, 1);
	CHECK_INT(r[0]->length, 100 * 1000);
	CHECK_FAILS(ipcshare_rdma_region_of(d, set, peer, 99, RDMA_READ, &other), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_region_of(d, set, 2, 0, RDMA_READ, &other), IPCSHARE_ERR_INVALID);
	CHECK_PTR(other, RDMA_UNTOUCHED);
	REQUIRE_OK(ipcshare_rdma_region_of(d, set, me->rank, 0, RDMA_READ, &other));
	CHECK_PTR(other->base, p);
	CHECK_STATUS(ipcshare_rdma_release(other), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	/* The registration is the last user of the peer's mapping here. */
	CHECK_FAILS(ipcshare_free(t.ctx, p), IPCSHARE_ERR_BUSY);
	test_rank_barrier(me, 1);
	for (size_t i = 0; i < 99; i++)
		CHECK_STATUS(ipcshare_rdma_release(r[i]), 0);
	CHECK_INT(fake.ended, 0);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_free(t.ctx, p), 0); /* the peer's broker ends it, and only then unmaps */
	test_rank_barrier(me, 1);
	rdma_check_all_ended(2);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	team_leave(&t);
}

static void a_peers_region_is_called_back_by_its_owner(void)
{
	test_ranks(2, registers_its_peers_memory, (unsigned[]){ 0 });
}

static void a_lazy_set_maps_what_is_to_be_registered(void)
{
	test_ranks(2, registers_its_peers_memory, (unsigned[]){ IPCSHARE_LAZY });
}

static struct {
	struct ipcshare_ctx *ctx;
	void *ptr;
} in_process[2];

/* Its owner can't free what the device has not let go. */
static void try_to_free(void *addr)
{
	for (int r = 0; r < 2; r++)
		if (in_process[r].ptr == addr)
			CHECK_FAILS(ipcshare_free(in_process[r].ctx, addr), IPCSHARE_ERR_BUSY);
}

/* With contexts of their own in one process: what is fake is then the same for both. */
static void registers_what_is_in_this_process(struct test_rank *me, void *arg)
{
	const struct ipcshare_rdma_region *r;
	struct ipcshare_rdma_domain *d;
	struct ipcshare_set *set;
	struct ipcshare_buf buf;
	struct team t;

	(void)arg;
	team_join(me, &t);
	d = rdma_domain(t.ctx);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, LEN), LEN };
	in_process[me->rank].ctx = t.ctx;
	in_process[me->rank].ptr = buf.ptr;
	set = team_share(&t, &buf, 1, 0);
	REQUIRE_OK(ipcshare_rdma_region_of(d, set, !me->rank, 0, RDMA_WRITE_TOO, &r));
	CHECK_PTR(r->base, ipcshare_ptr(set, !me->rank, 0));
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_FAILS(ipcshare_free(t.ctx, buf.ptr), IPCSHARE_ERR_BUSY);
	test_rank_barrier(me, 0);
	CHECK_STATUS(ipcshare_rdma_release(r), 0);
	CHECK_INT(rdma_stats(d).active, 0);
	test_rank_barrier(me, 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	team_leave_quietly(&t);
}

static void a_rank_in_the_same_process_is_registered_too(void)
{
	fake.ending = try_to_free;
	test_thread_ranks(2, registers_what_is_in_this_process, NULL);
	rdma_check_all_ended(2);
}

static void registers_what_it_maps(int channel, void *arg)
{
	const struct ipcshare_rdma_region *a, *b;
	struct ipcshare_ctx *ctx = team_open(0);
	struct ipcshare_rdma_domain *d = rdma_domain(ctx);
	struct ipcshare_identity self;
	struct ipcshare_packed packed[2];
	size_t closed = 0;
	void *p, *other;

	(void)arg;
	REQUIRE_OK(ipcshare_self(ctx, &self));
	test_send(channel, &self, sizeof(self));
	test_recv(channel, packed, sizeof(packed));
	REQUIRE_OK(ipcshare_map(ctx, &packed[0], &p));
	REQUIRE_OK(ipcshare_map(ctx, &packed[1], &other));
	a = rdma_region_at(d, p, RDMA_READ);
	b = rdma_region_at(d, (char *)p + 1, RDMA_READ);
	CHECK_PTR(a, b);
	CHECK_STATUS(ipcshare_unmap(ctx, p), 0);
	CHECK_STATUS(ipcshare_rdma_release(a), 0);
	CHECK_STATUS(ipcshare_trim(ctx, &closed), 0); /* not what is registered */
	CHECK_INT(closed, 0);
	CHECK_STATUS(ipcshare_rdma_release(b), 0);
	CHECK_INT(fake.ended, 0);
	CHECK_STATUS(ipcshare_trim(ctx, &closed), 0);
	CHECK_INT(closed, 1);
	rdma_check_all_ended(1);
	a = rdma_region_at(d, other, RDMA_READ);
	CHECK_STATUS(ipcshare_unmap(ctx, other), 0);
	CHECK_STATUS(ipcshare_rdma_release(a), 0); /* the last of that peer: nothing is kept of it */
	rdma_check_all_ended(2);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void what_is_mapped_one_sided_ends_with_its_mapping(void)
{
	struct test_child *child = test_child(registers_what_it_maps, NULL);
	struct ipcshare_packed packed[2];
	struct ipcshare_identity id;

	owner_open();
	test_recv(child->channel, &id, sizeof(id));
	for (int i = 0; i < 2; i++) {
		void *p = team_alloc(owner, LEN);

		packed[i] = owner_pack(p, LEN, 0);
		CHECK_STATUS(ipcshare_allow(owner, p, &id, 1, 0), 0);
	}
	test_send(child->channel, packed, sizeof(packed));
	test_child_join(child);
}

static void invalidate_ends_what_is_in_use(void)
{
	const struct ipcshare_rdma_region *used, *again, *idle;
	struct ipcshare_rdma_record record;
	struct ipcshare_rdma_domain *d;
	int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *p;

	owner_open();
	REQUIRE(!ftruncate(fd, 8192), "%m");
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE_OK(ipcshare_register(owner, p, 8192, fd));
	d = rdma_domain(owner);
	used = rdma_region_at(d, p, RDMA_READ);
	idle = rdma_region_at(d, p, RDMA_WRITE_TOO);
	CHECK_STATUS(ipcshare_rdma_release(idle), 0);
	CHECK_STATUS(ipcshare_rdma_pack(used, &record), 0);
	CHECK_FAILS(ipcshare_invalidate(owner, p, 1), IPCSHARE_ERR_BUSY);
	rdma_check_all_ended(2); /* before anybody could unmap it */
	CHECK_INT(rdma_stats(d).revoked, 1);
	CHECK_FAILS(ipcshare_rdma_pack(used, &record), IPCSHARE_ERR_STALE);
	again = RDMA_UNTOUCHED;
	CHECK_FAILS(ipcshare_rdma_region(d, p, RDMA_READ, &again), IPCSHARE_ERR_NOT_SHAREABLE);
	REQUIRE_OK(ipcshare_register(owner, p, 8192, fd));
	again = rdma_region_at(d, p, RDMA_READ);
	CHECK(again != used, "the old one came back");
	CHECK_STATUS(ipcshare_rdma_release(used), 0);
	CHECK_STATUS(ipcshare_rdma_release(again), 0);
	CHECK_STATUS(ipcshare_deregister(owner, p), 0);
	rdma_check_all_ended(3);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	munmap(p, 8192);
	close(fd);
}

static void a_set_of_invalidated_memory_registers_nothing(void)
{
	const struct ipcshare_rdma_region *r = RDMA_UNTOUCHED;
	int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct ipcshare_buf buf = { .len = 4096 };
	struct ipcshare_rdma_domain *d;
	struct ipcshare_group *group;
	struct ipcshare_set *set;

	owner_open();
	REQUIRE(!ftruncate(fd, 4096), "%m");
	buf.ptr = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE_OK(ipcshare_register(owner, buf.ptr, 4096, fd));
	REQUIRE_OK(ipcshare_group_create(owner, &team_alone, &group));
	REQUIRE_OK(ipcshare_share(group, &buf, 1, 0, &set));
	d = rdma_domain(owner);
	CHECK_FAILS(ipcshare_invalidate(owner, buf.ptr, 1), IPCSHARE_ERR_BUSY);
	CHECK_FAILS(ipcshare_rdma_region_of(d, set, 0, 0, RDMA_READ, &r), IPCSHARE_ERR_STALE);
	CHECK_PTR(r, RDMA_UNTOUCHED);
	rdma_check_all_ended(0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_group_free(group), 0);
	munmap(buf.ptr, 4096);
	close(fd);
}

static void abandon_calls_no_driver(void)
{
	struct ipcshare_rdma_domain *d;
	const struct ipcshare_rdma_region *r;

	owner_open();
	d = rdma_domain(owner);
	r = rdma_region_at(d, owned, RDMA_READ);
	CHECK_STATUS(ipcshare_rdma_release(rdma_region_at(d, owned, RDMA_WRITE_TOO)), 0);
	CHECK_STATUS(ipcshare_abandon(owner), 0);
	owner = NULL;
	CHECK_INT(fake.ended, 0);
	CHECK_FAILS(ipcshare_rdma_release(r), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_rdma_domain_free(d), IPCSHARE_ERR_CLOSED);
}

TEST_SUITE(rdma_revoke, rdma_begin, owner_end,
	TEST(memory_is_busy_while_registered_and_ends_what_is_kept_of_it),
	TEST(a_peers_region_is_called_back_by_its_owner),
	TEST(a_lazy_set_maps_what_is_to_be_registered),
	TEST(a_rank_in_the_same_process_is_registered_too),
	TEST(what_is_mapped_one_sided_ends_with_its_mapping),
	TEST(invalidate_ends_what_is_in_use),
	TEST(a_set_of_invalidated_memory_registers_nothing),
	TEST(abandon_calls_no_driver));
