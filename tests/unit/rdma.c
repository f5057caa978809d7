/* SPDX-License-Identifier: BSD-3-Clause */
#include "rdma.h"

struct ipcshare_rdma_domain *rdma_domain(struct ipcshare_ctx *ctx)
{
	struct ipcshare_rdma_domain *d = NULL;

	REQUIRE_OK(ipcshare_rdma_domain_create(ctx, &fake_pd, &d));
	return d;
}

struct ipcshare_rdma_stats rdma_stats(struct ipcshare_rdma_domain *d)
{
	struct ipcshare_rdma_stats s = { .size = sizeof(s) };

	CHECK_STATUS(ipcshare_rdma_stats(d, &s), 0);
	return s;
}

const struct ipcshare_rdma_region *rdma_region_at(struct ipcshare_rdma_domain *d, const void *ptr,
						  int access)
{
	const struct ipcshare_rdma_region *r = NULL;

	REQUIRE_OK(ipcshare_rdma_region(d, ptr, access, &r));
	CHECK(r->base <= ptr && (const char *)ptr < (char *)r->base + r->length, "it is elsewhere");
	return r;
}

void rdma_check_all_ended(int made)
{
	CHECK_INT(fake.made, made);
	CHECK_INT(fake.ended, made);
	CHECK_INT(fake.lost, 0);
}

void rdma_begin(void)
{
	fake_reset();
	owner_begin();
}
