/* SPDX-License-Identifier: BSD-3-Clause */
/* Registrations with a NIC, over a libibverbs that is none; tests/rdma has a device. */
#include <errno.h>
#include <ipcshare_rdma.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "importer.h"
#include "npu.h"
#include "team.h"
#include "verbs/fake.h"

#define READ IBV_ACCESS_REMOTE_READ
#define WRITE_TOO (READ | IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
#define LEN 10000

static const struct ipcshare_rdma_region *const untouched = (void *)16;

static struct ipcshare_rdma_domain *domain_of(struct ipcshare_ctx *ctx)
{
	struct ipcshare_rdma_domain *d = NULL;

	REQUIRE_OK(ipcshare_rdma_domain_create(ctx, &fake_pd, &d));
	return d;
}

static struct ipcshare_rdma_stats stats_of(struct ipcshare_rdma_domain *d)
{
	struct ipcshare_rdma_stats s = { .size = sizeof(s) };

	CHECK_STATUS(ipcshare_rdma_stats(d, &s), 0);
	return s;
}

static const struct ipcshare_rdma_region *region_at(struct ipcshare_rdma_domain *d, const void *ptr,
						    int access)
{
	const struct ipcshare_rdma_region *r = NULL;

	REQUIRE_OK(ipcshare_rdma_region(d, ptr, access, &r));
	CHECK(r->base <= ptr && (const char *)ptr < (char *)r->base + r->length, "it is elsewhere");
	return r;
}

/* All that was registered has ended, in time, and nothing is left. */
static void check_all_ended(int made)
{
	CHECK_INT(fake.made, made);
	CHECK_INT(fake.ended, made);
	CHECK_INT(fake.lost, 0);
}

static void begin(void)
{
	fake_reset();
	owner_begin();
}

/* ---- Once for a region ---- */

#define MANY 10000
static void ten_thousand_buffers_of_an_arena_are_one_registration(void)
{
	static const struct ipcshare_rdma_region *regions[MANY];
	static void *p[MANY];
	struct ipcshare_rdma_domain *d;
	struct ipcshare_arena *arena;

	owner_open();
	REQUIRE_OK(ipcshare_arena_create(owner, NULL, &arena));
	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 100, MANY, p));
	d = domain_of(owner);
	for (size_t i = 0; i < MANY; i++) {
		regions[i] = region_at(d, p[i], WRITE_TOO);
		CHECK_INT(regions[i]->lkey, regions[0]->lkey);
	}
	CHECK_INT(fake.made, 1);
	CHECK_INT(stats_of(d).registrations, 1);
	CHECK_INT(stats_of(d).hits, MANY - 1);
	CHECK_FAILS(ipcshare_arena_destroy(arena), IPCSHARE_ERR_BUSY);
	for (size_t i = 0; i < MANY; i++)
		CHECK_STATUS(ipcshare_rdma_release(regions[i]), 0);
	CHECK_INT(fake.ended, 0); /* it is kept */
	CHECK_INT(stats_of(d).idle, 1);
	CHECK_STATUS(ipcshare_arena_destroy(arena), 0);
	check_all_ended(1);
	CHECK_INT(stats_of(d).active, 0);
	CHECK_INT(stats_of(d).idle, 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
}

static void each_access_and_each_domain_registers_for_itself(void)
{
	const struct ipcshare_rdma_region *a, *b, *c;
	struct ipcshare_rdma_domain *d, *e;

	owner_open();
	d = domain_of(owner);
	e = domain_of(owner);
	a = region_at(d, owned, READ);
	b = region_at(d, owned, WRITE_TOO);
	c = region_at(e, owned, READ);
	CHECK(a->rkey != b->rkey && a->rkey != c->rkey, "keys are shared");
	CHECK_INT(stats_of(d).active_bytes, 2 * OWNED);
	CHECK_FAILS(ipcshare_rdma_domain_free(d), IPCSHARE_ERR_BUSY);
	ipcshare_rdma_release(a);
	ipcshare_rdma_release(b);
	ipcshare_rdma_release(c);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(e), 0);
	check_all_ended(3);
}

static void own_memory_that_is_mapped_too_is_one_region(void)
{
	const struct ipcshare_rdma_region *before, *after;
	struct ipcshare_rdma_domain *d;
	struct ipcshare_packed packed;
	void *p;

	owner_open();
	d = domain_of(owner);
	before = region_at(d, owned, READ);
	packed = owner_pack(owned, OWNED, 0);
	REQUIRE_OK(ipcshare_map(owner, &packed, &p));
	CHECK_PTR(p, owned);
	after = region_at(d, p, READ);
	CHECK_PTR(after, before);
	CHECK_STATUS(ipcshare_unmap(owner, p), 0);
	CHECK_STATUS(ipcshare_rdma_release(before), 0);
	CHECK_STATUS(ipcshare_rdma_release(after), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	check_all_ended(1);
}

/* ---- Before the memory goes ---- */

static void memory_is_busy_while_registered_and_ends_what_is_kept_of_it(void)
{
	const struct ipcshare_rdma_region *r;
	struct ipcshare_rdma_domain *d;
	size_t n = 7;
	void *p;

	owner_open();
	p = team_alloc(owner, LEN);
	d = domain_of(owner);
	r = region_at(d, p, READ);
	CHECK_FAILS(ipcshare_free(owner, p), IPCSHARE_ERR_BUSY);
	CHECK_STATUS(ipcshare_rdma_release(r), 0);
	CHECK_STATUS(ipcshare_free(owner, p), 0);
	check_all_ended(1);
	CHECK_STATUS(ipcshare_rdma_release(region_at(d, owned, READ)), 0);
	CHECK_STATUS(ipcshare_rdma_release(region_at(d, owned, READ)), 0); /* it is found */
	CHECK_INT(fake.made, 2);
	CHECK_STATUS(ipcshare_rdma_trim(d, &n), 0);
	CHECK_INT(n, 1);
	check_all_ended(2);
	CHECK_FAILS(ipcshare_close(owner), IPCSHARE_ERR_BUSY);
	CHECK_HAS(ipcshare_last_error()->text, "RDMA domains");
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
}

static void registers_its_peers_memory(struct test_rank *me, void *arg)
{
	const struct ipcshare_rdma_region *r[100], *other = untouched;
	struct ipcshare_buf bufs[100];
	unsigned flags = *(unsigned *)arg;
	int peer = !me->rank;
	struct ipcshare_rdma_domain *d;
	struct ipcshare_set *set;
	struct team t;
	char *p;

	team_join(me, &t);
	d = domain_of(t.ctx);
	p = team_alloc(t.ctx, 100 * 1000);
	for (size_t i = 0; i < 100; i++)
		bufs[i] = (struct ipcshare_buf){ p + 1000 * i, i == 99 ? 0 : 1000 };
	set = team_share(&t, bufs, 100, flags);
	for (size_t i = 0; i < 99; i++) {
		REQUIRE_OK(ipcshare_rdma_region_of(d, set, peer, i, READ, &r[i]));
		CHECK_PTR((char *)r[i]->base + 1000 * i, ipcshare_ptr(set, peer, i));
	}
	CHECK_INT(fake.made, 1);
	CHECK_INT(r[0]->length, 100 * 1000);
	CHECK_FAILS(ipcshare_rdma_region_of(d, set, peer, 99, READ, &other), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_region_of(d, set, 2, 0, READ, &other), IPCSHARE_ERR_INVALID);
	CHECK_PTR(other, untouched);
	REQUIRE_OK(ipcshare_rdma_region_of(d, set, me->rank, 0, READ, &other));
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
	check_all_ended(2);
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
	d = domain_of(t.ctx);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, LEN), LEN };
	in_process[me->rank].ctx = t.ctx;
	in_process[me->rank].ptr = buf.ptr;
	set = team_share(&t, &buf, 1, 0);
	REQUIRE_OK(ipcshare_rdma_region_of(d, set, !me->rank, 0, WRITE_TOO, &r));
	CHECK_PTR(r->base, ipcshare_ptr(set, !me->rank, 0));
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_FAILS(ipcshare_free(t.ctx, buf.ptr), IPCSHARE_ERR_BUSY);
	test_rank_barrier(me, 0);
	CHECK_STATUS(ipcshare_rdma_release(r), 0);
	CHECK_INT(stats_of(d).active, 0);
	test_rank_barrier(me, 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	team_leave_quietly(&t);
}

static void a_rank_in_the_same_process_is_registered_too(void)
{
	fake.ending = try_to_free;
	test_thread_ranks(2, registers_what_is_in_this_process, NULL);
	check_all_ended(2);
}

static void registers_what_it_maps(int channel, void *arg)
{
	const struct ipcshare_rdma_region *a, *b;
	struct ipcshare_ctx *ctx = team_open(0);
	struct ipcshare_rdma_domain *d = domain_of(ctx);
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
	a = region_at(d, p, READ);
	b = region_at(d, (char *)p + 1, READ);
	CHECK_PTR(a, b);
	CHECK_STATUS(ipcshare_unmap(ctx, p), 0);
	CHECK_STATUS(ipcshare_rdma_release(a), 0);
	CHECK_STATUS(ipcshare_trim(ctx, &closed), 0); /* not what is registered */
	CHECK_INT(closed, 0);
	CHECK_STATUS(ipcshare_rdma_release(b), 0);
	CHECK_INT(fake.ended, 0);
	CHECK_STATUS(ipcshare_trim(ctx, &closed), 0);
	CHECK_INT(closed, 1);
	check_all_ended(1);
	a = region_at(d, other, READ);
	CHECK_STATUS(ipcshare_unmap(ctx, other), 0);
	CHECK_STATUS(ipcshare_rdma_release(a), 0); /* the last of that peer: nothing is kept of it */
	check_all_ended(2);
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
	d = domain_of(owner);
	used = region_at(d, p, READ);
	idle = region_at(d, p, WRITE_TOO);
	CHECK_STATUS(ipcshare_rdma_release(idle), 0);
	CHECK_STATUS(ipcshare_rdma_pack(used, &record), 0);
	CHECK_FAILS(ipcshare_invalidate(owner, p, 1), IPCSHARE_ERR_BUSY);
	check_all_ended(2); /* before anybody could unmap it */
	CHECK_INT(stats_of(d).revoked, 1);
	CHECK_FAILS(ipcshare_rdma_pack(used, &record), IPCSHARE_ERR_STALE);
	again = untouched;
	CHECK_FAILS(ipcshare_rdma_region(d, p, READ, &again), IPCSHARE_ERR_NOT_SHAREABLE);
	REQUIRE_OK(ipcshare_register(owner, p, 8192, fd));
	again = region_at(d, p, READ);
	CHECK(again != used, "the old one came back");
	CHECK_STATUS(ipcshare_rdma_release(used), 0);
	CHECK_STATUS(ipcshare_rdma_release(again), 0);
	CHECK_STATUS(ipcshare_deregister(owner, p), 0);
	check_all_ended(3);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	munmap(p, 8192);
	close(fd);
}

static void a_set_of_invalidated_memory_registers_nothing(void)
{
	const struct ipcshare_rdma_region *r = untouched;
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
	d = domain_of(owner);
	CHECK_FAILS(ipcshare_invalidate(owner, buf.ptr, 1), IPCSHARE_ERR_BUSY);
	CHECK_FAILS(ipcshare_rdma_region_of(d, set, 0, 0, READ, &r), IPCSHARE_ERR_STALE);
	CHECK_PTR(r, untouched);
	check_all_ended(0);
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
	d = domain_of(owner);
	r = region_at(d, owned, READ);
	CHECK_STATUS(ipcshare_rdma_release(region_at(d, owned, WRITE_TOO)), 0);
	CHECK_STATUS(ipcshare_abandon(owner), 0);
	owner = NULL;
	CHECK_INT(fake.ended, 0);
	CHECK_FAILS(ipcshare_rdma_release(r), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_rdma_domain_free(d), IPCSHARE_ERR_CLOSED);
}

/* ---- Errors ---- */

static void what_the_device_says_has_a_name_and_a_remedy(void)
{
	static const struct {
		int error, status;
		const char *hint;
	} cases[] = {
		{ EFAULT, IPCSHARE_ERR_UNSUPPORTED, "ordinary memory" },
		{ EINVAL, IPCSHARE_ERR_UNSUPPORTED, "ask for less" },
		{ EOPNOTSUPP, IPCSHARE_ERR_UNSUPPORTED, "ask for less" },
		{ EIO, IPCSHARE_ERR_UNREACHABLE, "IBV_EVENT_DEVICE_FATAL" },
		{ ENODEV, IPCSHARE_ERR_UNREACHABLE, "IBV_EVENT_DEVICE_FATAL" },
		{ 0, IPCSHARE_ERR_UNREACHABLE, "IBV_EVENT_DEVICE_FATAL" },
		{ EPERM, IPCSHARE_ERR_SYSTEM, "sandbox" },
	};
	const struct ipcshare_rdma_region *r = untouched;
	struct ipcshare_rdma_domain *d;

	owner_open();
	d = domain_of(owner);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake.fails = 1;
		fake.error = cases[i].error;
		CHECK_FAILS(ipcshare_rdma_region(d, owned, READ, &r), cases[i].status);
		CHECK_HAS(ipcshare_last_error()->hint, cases[i].hint);
		CHECK_INT(ipcshare_last_error()->code, cases[i].error ?: EIO);
	}
	CHECK_PTR(r, untouched);
	CHECK_INT(stats_of(d).active, 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
}

static void what_is_kept_makes_way_where_no_more_can_be_pinned(void)
{
	const struct ipcshare_rdma_region *r = untouched;
	struct ipcshare_rdma_domain *d;
	void *p;

	owner_open();
	p = team_alloc(owner, LEN);
	d = domain_of(owner);
	fake.fails = 2;
	fake.error = ENOMEM;
	CHECK_FAILS(ipcshare_rdma_region(d, p, READ, &r), IPCSHARE_ERR_LIMIT);
	CHECK_HAS(ipcshare_last_error()->hint, "ulimit -l");
	CHECK_HAS(ipcshare_last_error()->text, "RLIMIT_MEMLOCK is ");
	CHECK_INT(fake.fails, 1); /* nothing was kept: no second try */
	fake.fails = 0;
	CHECK_STATUS(ipcshare_rdma_release(region_at(d, owned, READ)), 0);
	fake.fails = 1;
	CHECK_STATUS(ipcshare_rdma_release(region_at(d, p, READ)), 0);
	CHECK_INT(fake.ended, 1);
	CHECK_INT(stats_of(d).active_bytes, LEN);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	check_all_ended(2);
	CHECK_STATUS(ipcshare_free(owner, p), 0);
}

static void registers_read_only_memory(struct test_rank *me, void *arg)
{
	const struct ipcshare_rdma_region *r = untouched;
	struct ipcshare_rdma_domain *d;
	struct ipcshare_set *set;
	struct ipcshare_buf buf;
	int peer = !me->rank;
	struct team t;

	(void)arg;
	team_join(me, &t);
	d = domain_of(t.ctx);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, LEN), LEN };
	set = team_share(&t, &buf, 1, IPCSHARE_READ_ONLY);
	CHECK_FAILS(ipcshare_rdma_region_of(d, set, peer, 0, WRITE_TOO, &r),
		    IPCSHARE_ERR_READ_ONLY);
	fake.fails = 1;
	fake.error = EFAULT;
	CHECK_FAILS(ipcshare_rdma_region_of(d, set, peer, 0, READ, &r), IPCSHARE_ERR_READ_ONLY);
	CHECK_HAS(ipcshare_last_error()->hint, "Linux 6.1");
	CHECK_INT(fake.fails, 0);
	CHECK_PTR(r, untouched);
	REQUIRE_OK(ipcshare_rdma_region_of(d, set, me->rank, 0, WRITE_TOO, &r)); /* the owner may */
	CHECK_STATUS(ipcshare_rdma_release(r), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	check_all_ended(1);
	team_leave(&t);
}

static void read_only_memory_can_not_be_written_by_a_nic(void)
{
	test_ranks(2, registers_read_only_memory, NULL);
}

static void what_a_device_does_not_end_is_counted(void)
{
	struct ipcshare_rdma_domain *d;
	void *p;

	owner_open();
	p = team_alloc(owner, LEN);
	d = domain_of(owner);
	CHECK_STATUS(ipcshare_rdma_release(region_at(d, p, READ)), 0);
	fake.end_error = EBUSY;
	CHECK_STATUS(ipcshare_free(owner, p), 0);
	CHECK_INT(stats_of(d).stuck, 1);
	CHECK_INT(stats_of(d).active, 0);
	fake.end_error = EIO; /* a device that is lost has let go */
	CHECK_STATUS(ipcshare_rdma_release(region_at(d, owned, READ)), 0);
	CHECK_STATUS(ipcshare_rdma_trim(d, NULL), 0);
	CHECK_INT(stats_of(d).stuck, 1);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	CHECK_INT(fake.lost, 0);
}

static void a_device_is_opened_by_name_or_it_is_said_why_not(void)
{
	struct ibv_context *const none = (struct ibv_context *)16;
	struct ibv_context *c = none;

	CHECK_FAILS(ipcshare_rdma_open_device(NULL, NULL), IPCSHARE_ERR_INVALID);
	fake.no_list = 1;
	CHECK_FAILS(ipcshare_rdma_open_device(NULL, &c), IPCSHARE_ERR_UNSUPPORTED);
	CHECK_HAS(ipcshare_last_error()->text, "no RDMA device");
	fake.no_list = 0;
	fake.devices = 0;
	CHECK_FAILS(ipcshare_rdma_open_device("fake1", &c), IPCSHARE_ERR_UNSUPPORTED);
	CHECK_HAS(ipcshare_last_error()->hint, "ib_uverbs");
	fake.devices = 2;
	CHECK_FAILS(ipcshare_rdma_open_device("fake2", &c), IPCSHARE_ERR_UNSUPPORTED);
	CHECK_HAS(ipcshare_last_error()->text, "fake2");
	fake.open_error = EACCES;
	CHECK_FAILS(ipcshare_rdma_open_device("fake1", &c), IPCSHARE_ERR_NOT_ALLOWED);
	CHECK_HAS(ipcshare_last_error()->hint, "/dev/infiniband");
	fake.open_error = ENOMEM;
	CHECK_FAILS(ipcshare_rdma_open_device(NULL, &c), IPCSHARE_ERR_NO_MEMORY);
	CHECK_PTR(c, none);
	fake.open_error = 0;
	REQUIRE_OK(ipcshare_rdma_open_device("fake1", &c));
	CHECK_STR(ibv_get_device_name(c->device), "fake1");
}

static void uses_the_parents(int channel, void *arg)
{
	const struct ipcshare_rdma_region *r = arg, *out = untouched;
	struct ipcshare_rdma_record record;

	(void)channel;
	CHECK_FAILS(ipcshare_rdma_release(r), IPCSHARE_ERR_FORKED);
	CHECK_FAILS(ipcshare_rdma_pack(r, &record), IPCSHARE_ERR_FORKED);
	CHECK_FAILS(ipcshare_rdma_region(*(struct ipcshare_rdma_domain **)r->base, owned, READ, &out),
		    IPCSHARE_ERR_FORKED);
	CHECK_STATUS(ipcshare_abandon(owner), 0);
	owner = NULL;
	CHECK_INT(fake.ended, 0); /* that would end it for the parent */
}

static void bad_arguments_and_dead_handles_are_refused(void)
{
	const struct ipcshare_rdma_region *r = untouched;
	struct ipcshare_rdma_domain *d = NULL, *const none = NULL;
	struct ipcshare_rdma_stats s = { .size = 1 };
	char on_stack = 0;

	owner_open();
	CHECK_FAILS(ipcshare_rdma_domain_create(owner, NULL, &d), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_domain_create(owner, &fake_pd, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_domain_create(NULL, &fake_pd, &d), IPCSHARE_ERR_INVALID);
	CHECK_PTR(d, NULL);
	d = domain_of(owner);
	CHECK_FAILS(ipcshare_rdma_region(none, owned, READ, &r), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_region(d, NULL, READ, &r), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_region(d, owned, READ, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_region(d, owned, -1, &r), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_region(d, owned, IBV_ACCESS_REMOTE_WRITE, &r),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_region(d, &on_stack, READ, &r), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(ipcshare_rdma_region_of(d, NULL, 0, 0, READ, &r), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_stats(d, &s), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_stats(d, NULL), IPCSHARE_ERR_INVALID);
	CHECK_PTR(r, untouched);
	r = region_at(d, owned, READ);
	*(struct ipcshare_rdma_domain **)owned = d;
	test_child_join(test_child(uses_the_parents, (void *)(uintptr_t)r));
	CHECK_STATUS(ipcshare_rdma_release(r), 0);
	CHECK_FAILS(ipcshare_rdma_release(r), IPCSHARE_ERR_CLOSED); /* it is kept, but not theirs */
	CHECK_FAILS(ipcshare_rdma_pack(r, NULL), IPCSHARE_ERR_CLOSED);
	CHECK_STATUS(ipcshare_rdma_release(NULL), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	CHECK_FAILS(ipcshare_rdma_release(r), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_rdma_domain_free(d), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_rdma_trim(d, NULL), IPCSHARE_ERR_CLOSED);
	CHECK_STATUS(ipcshare_rdma_domain_free(NULL), 0);
}

static void makes_a_domain_of_an_npu(struct test_rank *me, void *arg)
{
	struct ipcshare_options options = npu_options(0);
	struct ipcshare_rdma_domain *d = NULL;
	struct ipcshare_ctx *ctx;

	(void)me, (void)arg;
	npu_load();
	REQUIRE_OK(ipcshare_open(&options, &ctx));
	CHECK_FAILS(ipcshare_rdma_domain_create(ctx, &fake_pd, &d), IPCSHARE_ERR_UNSUPPORTED);
	CHECK_HAS(ipcshare_last_error()->text, "dma-buf");
	CHECK_PTR(d, NULL);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void device_memory_needs_a_dma_buf_that_there_is_not(void)
{
	npu_remember();
	if (npu_machine(1))
		test_ranks(1, makes_a_domain_of_an_npu, NULL);
	npu_restore();
}

/* ---- The record ---- */

static void a_record_is_what_was_registered_and_every_bit_counts(void)
{
	struct ipcshare_rdma_remote remote = { .rkey = 7 };
	const struct ipcshare_rdma_region *r;
	struct ipcshare_rdma_record record;
	struct ipcshare_rdma_domain *d;

	owner_open();
	d = domain_of(owner);
	r = region_at(d, owned, WRITE_TOO);
	CHECK_FAILS(ipcshare_rdma_pack(r, NULL), IPCSHARE_ERR_INVALID);
	REQUIRE_OK(ipcshare_rdma_pack(r, &record));
	CHECK_FAILS(ipcshare_rdma_unpack(NULL, &remote), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_unpack(&record, NULL), IPCSHARE_ERR_INVALID);
	for (size_t i = 0; i < 8 * sizeof(record); i++) {
		int status;

		record.bytes[i / 8] ^= (unsigned char)(1 << i % 8);
		status = i / 8 == 2 || i / 8 == 3 ? IPCSHARE_ERR_VERSION : IPCSHARE_ERR_PROTOCOL;
		CHECK_FAILS(ipcshare_rdma_unpack(&record, &remote), status);
		record.bytes[i / 8] ^= (unsigned char)(1 << i % 8);
	}
	CHECK_INT(remote.rkey, 7);
	CHECK_STATUS(ipcshare_rdma_unpack(&record, &remote), 0);
	CHECK_INT(remote.base, (uintptr_t)owned);
	CHECK_INT(remote.length, OWNED);
	CHECK_INT(remote.rkey, r->rkey);
	CHECK_INT(remote.access, WRITE_TOO);
	CHECK_STATUS(ipcshare_rdma_release(r), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
}

/* ---- Threads ---- */

#define THREADS 4
static pthread_barrier_t together;
static struct ipcshare_rdma_domain *shared_domain;

/* All threads are in the call, or soon will be, before the device answers the first. */
static void wait_for_the_others(void)
{
	pthread_barrier_wait(&together);
}

static void *registers_at_once(void *arg)
{
	if (arg) /* the first is at the device by now */
		pthread_barrier_wait(&together);
	return (void *)(uintptr_t)region_at(shared_domain, owned, READ);
}

static void threads_that_want_one_region_wait_for_its_one_registration(void)
{
	pthread_t threads[THREADS];
	void *got[THREADS];

	owner_open();
	shared_domain = domain_of(owner);
	pthread_barrier_init(&together, NULL, THREADS);
	fake.making = wait_for_the_others;
	for (int i = 0; i < THREADS; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, registers_at_once, i ? &together : NULL), "%m");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], &got[i]);
	for (int i = 0; i < THREADS; i++) {
		CHECK_PTR(got[i], got[0]);
		CHECK_STATUS(ipcshare_rdma_release(got[i]), 0);
	}
	CHECK_STATUS(ipcshare_rdma_domain_free(shared_domain), 0);
	check_all_ended(1);
	pthread_barrier_destroy(&together);
}

static void *registers_and_trims(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	char *mine = NULL;

	for (int i = 0; i < 2000; i++) {
		const struct ipcshare_rdma_region *r;
		int access = i % 3 ? READ : WRITE_TOO;

		switch (rand_r(&seed) % 4) {
		case 0:
			CHECK_STATUS(ipcshare_rdma_trim(shared_domain, NULL), 0);
			break;
		case 1: /* memory of its own, freed with what is kept of it */
			mine = team_alloc(owner, LEN);
			r = region_at(shared_domain, mine, access);
			CHECK_STATUS(ipcshare_rdma_release(r), 0);
			CHECK_STATUS(ipcshare_free(owner, mine), 0);
			break;
		default:
			r = region_at(shared_domain, owned, access);
			CHECK_STATUS(ipcshare_rdma_release(r), 0);
		}
	}
	return NULL;
}

static void threads_register_release_trim_and_free(void)
{
	pthread_t threads[THREADS];
	struct ipcshare_rdma_stats s;

	owner_open();
	shared_domain = domain_of(owner);
	for (int i = 0; i < THREADS; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, registers_and_trims, (void *)(intptr_t)i), "%m");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	s = stats_of(shared_domain);
	CHECK_INT(s.idle, s.active);
	CHECK_INT(s.active, fake.made - fake.ended);
	CHECK_INT(s.registrations, fake.made);
	CHECK_STATUS(ipcshare_rdma_domain_free(shared_domain), 0);
	check_all_ended(fake.made);
}

TEST_SUITE(rdma, begin, owner_end,
	TEST(ten_thousand_buffers_of_an_arena_are_one_registration),
	TEST(each_access_and_each_domain_registers_for_itself),
	TEST(own_memory_that_is_mapped_too_is_one_region),
	TEST(memory_is_busy_while_registered_and_ends_what_is_kept_of_it),
	TEST(a_peers_region_is_called_back_by_its_owner),
	TEST(a_lazy_set_maps_what_is_to_be_registered),
	TEST(a_rank_in_the_same_process_is_registered_too),
	TEST(what_is_mapped_one_sided_ends_with_its_mapping),
	TEST(invalidate_ends_what_is_in_use),
	TEST(a_set_of_invalidated_memory_registers_nothing),
	TEST(abandon_calls_no_driver),
	TEST(what_the_device_says_has_a_name_and_a_remedy),
	TEST(what_is_kept_makes_way_where_no_more_can_be_pinned),
	TEST(read_only_memory_can_not_be_written_by_a_nic),
	TEST(what_a_device_does_not_end_is_counted),
	TEST(a_device_is_opened_by_name_or_it_is_said_why_not),
	TEST(bad_arguments_and_dead_handles_are_refused),
	TEST(device_memory_needs_a_dma_buf_that_there_is_not),
	TEST(a_record_is_what_was_registered_and_every_bit_counts),
	TEST(threads_that_want_one_region_wait_for_its_one_registration),
	TEST(threads_register_release_trim_and_free));
