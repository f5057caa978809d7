/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue pair on the first RDMA device of the machine, and moves over it. */
#ifndef TEST_NIC_H
#define TEST_NIC_H

#include <infiniband/verbs.h>
#include <ipcshare_rdma.h>

#include "support/test.h"

struct nic {
	struct ibv_context *device;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	int gid_index;
	enum ibv_mtu mtu;
	struct ipcshare_rdma_domain *domain;
};

/* What the other end has to know. */
struct nic_address {
	union ibv_gid gid;
	uint32_t qpn, mtu;
};

/* Is there a device? If not the test is skipped, or failed where there must be one. */
int nic_is_there(void);

/* A domain of @ctx, and a queue pair that is not connected; what fails ends the test. */
void nic_open(struct nic *nic, struct ipcshare_ctx *ctx, struct nic_address *out);
void nic_connect(struct nic *nic, const struct nic_address *peer);
void nic_close(struct nic *nic);

/* One RDMA write or read, to its completion: its status. */
enum ibv_wc_status nic_move(struct nic *nic, enum ibv_wr_opcode op, void *local, uint32_t lkey,
			    uint64_t remote, uint32_t rkey, size_t len);

#endif
