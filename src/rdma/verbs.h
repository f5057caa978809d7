/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls of libibverbs, with what their failures mean. */
#ifndef IPCSHARE_RDMA_VERBS_H
#define IPCSHARE_RDMA_VERBS_H

#include "memory/anchor.h"

struct ibv_mr;
struct ibv_pd;

/* Can @access be asked for, of such memory? 0, or a status with detail; the device is not asked. */
int ipcshare__mr_check(int access, enum ipcshare__access allowed);

/* The same, of what another node is to use. */
int ipcshare__mr_check_remote(int access, enum ipcshare__access allowed);

/* 0 or an errno, to be explained by ipcshare__mr_fail(). */
int ipcshare__mr_make(struct ibv_pd *pd, const struct ipcshare__span *span, int access,
		      struct ibv_mr **out);
int ipcshare__mr_fail(int error, const struct ipcshare__span *span, int access);

void ipcshare__mr_keys(const struct ibv_mr *mr, uint32_t *lkey, uint32_t *rkey);
/* false: the device refuses, and keeps the pages. */
bool ipcshare__mr_end(struct ibv_mr *mr);

#endif
