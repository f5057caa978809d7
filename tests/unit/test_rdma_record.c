/* SPDX-License-Identifier: BSD-3-Clause */
/* A registered region as bytes, for another node. */
#include "rdma.h"

static void a_record_is_what_was_registered_and_every_bit_counts(void)
{
	struct ipcshare_rdma_remote remote = { .rkey = 7 };
	const struct ipcshare_rdma_region *r;
	struct ipcshare_rdma_record record;
	struct ipcshare_rdma_domain *d;

	owner_open();
	d = rdma_domain(owner);
	r = rdma_region_at(d, owned, RDMA_WRITE_TOO);
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
	CHECK_INT(remote.access, RDMA_WRITE_TOO);
	CHECK_STATUS(ipcshare_rdma_release(r), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
}

TEST_SUITE(rdma_record, rdma_begin, owner_end,
	TEST(a_record_is_what_was_registered_and_every_bit_counts));
