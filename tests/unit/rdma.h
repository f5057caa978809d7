/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of registrations begin and end with, over a libibverbs that is none; tests/rdma has a device. */
#ifndef TEST_RDMA_H
#define TEST_RDMA_H

#include <ipcshare_rdma.h>

#include "importer.h"
#include "verbs/fake.h"

#define RDMA_READ IBV_ACCESS_REMOTE_READ
#define RDMA_WRITE_TOO (RDMA_READ | IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)

/* An output before a call. */
#define RDMA_UNTOUCHED ((const struct ipcshare_rdma_region *)16)

/* Setup of a suite; owner_end() is its teardown. */
void rdma_begin(void);

struct ipcshare_rdma_domain *rdma_domain(struct ipcshare_ctx *ctx);
struct ipcshare_rdma_stats rdma_stats(struct ipcshare_rdma_domain *d);
const struct ipcshare_rdma_region *rdma_region_at(struct ipcshare_rdma_domain *d, const void *ptr,
						  int access);
/* All that was registered has ended, in time, and nothing is left. */
void rdma_check_all_ended(int made);

#endif
