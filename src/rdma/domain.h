/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A domain: the registrations of a context's regions with one ibv_pd. All that changes is guarded by
 * ctx->lock; the device is called with no lock held, and a registration is busy meanwhile.
 */
#ifndef IPCSHARE_RDMA_DOMAIN_H
#define IPCSHARE_RDMA_DOMAIN_H

#include <ipcshare_rdma.h>

#include "memory/anchor.h"
#include "memory/context.h"

struct ibv_mr;

struct ipcshare__registration {
	struct ipcshare_rdma_region open; /* first: what users see */
	struct ipcshare_rdma_domain *domain;
	struct ipcshare__registration *next, **link; /* of the domain */
	struct ipcshare__attached attached; /* to the anchor, unless it was revoked */
	struct ipcshare__anchor anchor; /* held while there are users */
	struct ibv_mr *mr; /* NULL: none yet, or revoked */
	size_t users;
};

struct ipcshare_rdma_domain {
	struct ipcshare__owned owned;
	struct ipcshare_ctx *ctx;
	struct ibv_pd *pd;
	struct ipcshare__registration *all;
	struct ipcshare_rdma_stats stats;
};

int ipcshare__rdma_domain_check(const struct ipcshare_rdma_domain *domain, const char *stage);

/* It is in use, and was not revoked. */
int ipcshare__rdma_region_check(const struct ipcshare_rdma_region *region, const char *stage);

/* ---- Registrations (registration.c) ---- */

/*
 * The registration of the region that @anchor is for, made if there is none. The hold on the anchor
 * goes over to it, or is dropped; also on failure.
 */
int ipcshare__registration_use(struct ipcshare_rdma_domain *domain, struct ipcshare__anchor *anchor,
			       int access, struct ipcshare__registration **out);
/* One user less; it may be no more then. IPCSHARE_ERR_CLOSED it had none. */
int ipcshare__registration_release(struct ipcshare__registration *registration);
/* End those that nobody uses, and wait for those that others end. Return: how many it has ended */
size_t ipcshare__registrations_trim(struct ipcshare_rdma_domain *domain);
/* Without the device. */
void ipcshare__registrations_abandon(struct ipcshare_rdma_domain *domain);

#endif
