/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>

#define PSN 77
#define REMOTE (IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

int nic_is_there(void)
{
	struct ibv_context *device;

	if (!ipcshare_rdma_open_device(NULL, &device))
		return !ibv_close_device(device);
	if (getenv("TEST_VM")) /* of the virtual machine, which has one */
		FAIL("%s", ipcshare_explain());
	else
		test_skip("%s", ipcshare_explain());
	return 0;
}

/* The RoCE v2 GID of an IPv4 address, else the first. */
static void gid_find(struct nic *nic, union ibv_gid *out)
{
	struct ibv_gid_entry entries[64];
	ssize_t n = ibv_query_gid_table(nic->device, entries, 64, 0);
	ssize_t best = 0;

	REQUIRE(n > 0, "the device has no GID: has its interface an address?");
	for (ssize_t i = n - 1; i >= 0; i--)
		if (entries[i].gid_type == IBV_GID_TYPE_ROCE_V2 && !entries[i].gid.global.subnet_prefix)
			best = i;
	nic->gid_index = (int)entries[best].gid_index;
	*out = entries[best].gid;
}

void nic_open(struct nic *nic, struct ipcshare_ctx *ctx, struct nic_address *out)
{
	struct ibv_qp_init_attr attr = {
		.qp_type = IBV_QPT_RC,
		.cap = { .max_send_wr = 8, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1 },
	};
	struct ibv_port_attr port;

	REQUIRE_OK(ipcshare_rdma_open_device(NULL, &nic->device));
	REQUIRE_INT(ibv_query_port(nic->device, 1, &port), 0);
	nic->mtu = port.active_mtu;
	nic->pd = ibv_alloc_pd(nic->device);
	nic->cq = ibv_create_cq(nic->device, 16, NULL, NULL, 0);
	REQUIRE(nic->pd && nic->cq, "%m");
	attr.send_cq = attr.recv_cq = nic->cq;
	nic->qp = ibv_create_qp(nic->pd, &attr);
	REQUIRE(nic->qp != NULL, "%m");
	memset(out, 0, sizeof(*out));
	gid_find(nic, &out->gid);
	out->qpn = nic->qp->qp_num;
	out->mtu = nic->mtu;
	REQUIRE_OK(ipcshare_rdma_domain_create(ctx, nic->pd, &nic->domain));
}

void nic_connect(struct nic *nic, const struct nic_address *peer)
{
	struct ibv_qp_attr init = {
		.qp_state = IBV_QPS_INIT, .port_num = 1, .qp_access_flags = REMOTE,
	};
	struct ibv_qp_attr receive = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = nic->mtu < peer->mtu ? nic->mtu : peer->mtu,
		.dest_qp_num = peer->qpn,
		.rq_psn = PSN,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 12,
		.ah_attr = { .is_global = 1, .port_num = 1, .grh = {
			.dgid = peer->gid, .sgid_index = (uint8_t)nic->gid_index, .hop_limit = 64 } },
	};
	struct ibv_qp_attr send = {
		.qp_state = IBV_QPS_RTS, .timeout = 14, .retry_cnt = 7, .rnr_retry = 7,
		.sq_psn = PSN, .max_rd_atomic = 1,
	};

	REQUIRE_INT(ibv_modify_qp(nic->qp, &init, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
							  IBV_QP_ACCESS_FLAGS), 0);
	REQUIRE_INT(ibv_modify_qp(nic->qp, &receive,
				  IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
					  IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
					  IBV_QP_MIN_RNR_TIMER), 0);
	REQUIRE_INT(ibv_modify_qp(nic->qp, &send,
				  IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
					  IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC), 0);
}

void nic_close(struct nic *nic)
{
	CHECK_STATUS(ipcshare_rdma_domain_free(nic->domain), 0);
	CHECK_INT(ibv_destroy_qp(nic->qp), 0);
	CHECK_INT(ibv_destroy_cq(nic->cq), 0);
	CHECK_INT(ibv_dealloc_pd(nic->pd), 0); /* EBUSY if a registration were left */
	CHECK_INT(ibv_close_device(nic->device), 0);
}

enum ibv_wc_status nic_move(struct nic *nic, enum ibv_wr_opcode op, void *local, uint32_t lkey,
			    uint64_t remote, uint32_t rkey, size_t len)
{
	struct ibv_sge piece = { (uintptr_t)local, (uint32_t)len, lkey };
	struct ibv_send_wr request = {
		.sg_list = &piece, .num_sge = 1, .opcode = op, .send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { remote, rkey },
	}, *bad;
	time_t end = time(NULL) + TEST_CHILD_PATIENCE_S;
	struct ibv_wc done;
	int n;

	REQUIRE_INT(ibv_post_send(nic->qp, &request, &bad), 0);
	while (!(n = ibv_poll_cq(nic->cq, 1, &done))) {
		REQUIRE(time(NULL) < end, "no completion");
		poll(NULL, 0, 0); /* others want the core */
	}
	REQUIRE_INT(n, 1);
	return done.status;
}
