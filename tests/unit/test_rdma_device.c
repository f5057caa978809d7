/* SPDX-License-Identifier: BSD-3-Clause */
/* What RDMA devices and their drivers refuse, and what that is called. */
#include <errno.h>

#include "npu.h"
#include "rdma.h"

#define LEN 10000

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
	const struct ipcshare_rdma_region *r = RDMA_UNTOUCHED;
	struct ipcshare_rdma_domain *d;

	owner_open();
	d = rdma_domain(owner);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake.fails = 1;
		fake.error = cases[i].error;
		CHECK_FAILS(ipcshare_rdma_region(d, owned, RDMA_READ, &r), cases[i].status);
		CHECK_HAS(ipcshare_last_error()->hint, cases[i].hint);
		CHECK_INT(ipcshare_last_error()->code, cases[i].error ?: EIO);
	}
	CHECK_PTR(r, RDMA_UNTOUCHED);
	CHECK_INT(rdma_stats(d).active, 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
}

static void what_is_kept_makes_way_where_no_more_can_be_pinned(void)
{
	const struct ipcshare_rdma_region *r = RDMA_UNTOUCHED;
	struct ipcshare_rdma_domain *d;
	void *p;

	owner_open();
	p = team_alloc(owner, LEN);
	d = rdma_domain(owner);
	fake.fails = 2;
	fake.error = ENOMEM;
	CHECK_FAILS(ipcshare_rdma_region(d, p, RDMA_READ, &r), IPCSHARE_ERR_LIMIT);
	CHECK_HAS(ipcshare_last_error()->hint, "ulimit -l");
	CHECK_HAS(ipcshare_last_error()->text, "RLIMIT_MEMLOCK is ");
	CHECK_INT(fake.fails, 1); /* nothing was kept: no second try */
	fake.fails = 0;
	CHECK_STATUS(ipcshare_rdma_release(rdma_region_at(d, owned, RDMA_READ)), 0);
	fake.fails = 1;
	CHECK_STATUS(ipcshare_rdma_release(rdma_region_at(d, p, RDMA_READ)), 0);
	CHECK_INT(fake.ended, 1);
	CHECK_INT(rdma_stats(d).active_bytes, LEN);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	rdma_check_all_ended(2);
	CHECK_STATUS(ipcshare_free(owner, p), 0);
}

static void registers_read_only_memory(struct test_rank *me, void *arg)
{
	const struct ipcshare_rdma_region *r = RDMA_UNTOUCHED;
	struct ipcshare_rdma_domain *d;
	struct ipcshare_set *set;
	struct ipcshare_buf buf;
	int peer = !me->rank;
	struct team t;

	(void)arg;
	team_join(me, &t);
	d = rdma_domain(t.ctx);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, LEN), LEN };
	set = team_share(&t, &buf, 1, IPCSHARE_READ_ONLY);
	CHECK_FAILS(ipcshare_rdma_region_of(d, set, peer, 0, RDMA_WRITE_TOO, &r),
		    IPCSHARE_ERR_READ_ONLY);
	fake.fails = 1;
	fake.error = EFAULT;
	CHECK_FAILS(ipcshare_rdma_region_of(d, set, peer, 0, RDMA_READ, &r), IPCSHARE_ERR_READ_ONLY);
	CHECK_HAS(ipcshare_last_error()->hint, "Linux 6.1");
	CHECK_INT(fake.fails, 0);
	CHECK_PTR(r, RDMA_UNTOUCHED);
	REQUIRE_OK(ipcshare_rdma_region_of(d, set, me->rank, 0, RDMA_WRITE_TOO, &r)); /* the owner may */
	CHECK_STATUS(ipcshare_rdma_release(r), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	rdma_check_all_ended(1);
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
	d = rdma_domain(owner);
	CHECK_STATUS(ipcshare_rdma_release(rdma_region_at(d, p, RDMA_READ)), 0);
	fake.end_error = EBUSY;
	CHECK_STATUS(ipcshare_free(owner, p), 0);
	CHECK_INT(rdma_stats(d).stuck, 1);
	CHECK_INT(rdma_stats(d).active, 0);
	fake.end_error = EIO; /* a device that is lost has let go */
	CHECK_STATUS(ipcshare_rdma_release(rdma_region_at(d, owned, RDMA_READ)), 0);
	CHECK_STATUS(ipcshare_rdma_trim(d, NULL), 0);
	CHECK_INT(rdma_stats(d).stuck, 1);
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

TEST_SUITE(rdma_device, rdma_begin, owner_end,
	TEST(what_the_device_says_has_a_name_and_a_remedy),
	TEST(what_is_kept_makes_way_where_no_more_can_be_pinned),
	TEST(read_only_memory_can_not_be_written_by_a_nic),
	TEST(what_a_device_does_not_end_is_counted),
	TEST(a_device_is_opened_by_name_or_it_is_said_why_not),
	TEST(device_memory_needs_a_dma_buf_that_there_is_not));
