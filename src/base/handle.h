/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The live handles of this process, so that a stale pointer, or one inherited by fork, is an error
 * and not a crash. Looked at once a call: a handle that is alive is found without a lock.
 */
#ifndef IPCSHARE_BASE_HANDLE_H
#define IPCSHARE_BASE_HANDLE_H

enum ipcshare__handle_kind {
	IPCSHARE__HANDLE_CTX = 1,
	IPCSHARE__HANDLE_GROUP,
	IPCSHARE__HANDLE_SET,
	IPCSHARE__HANDLE_SHARE,
	IPCSHARE__HANDLE_PLAN,
	IPCSHARE__HANDLE_ARENA,
	IPCSHARE__HANDLE_VIEW,
	IPCSHARE__HANDLE_RDMA_DOMAIN,
	IPCSHARE__HANDLE_RDMA_REGION,
	IPCSHARE__HANDLE_RDMA_KEYS,
};

int ipcshare__handle_add(const void *handle, enum ipcshare__handle_kind kind);
void ipcshare__handle_remove(const void *handle);

/*
 * 0; IPCSHARE_ERR_INVALID for NULL; IPCSHARE_ERR_FORKED; IPCSHARE_ERR_CLOSED. @stage is the public
 * function, for the detail.
 */
int ipcshare__handle_check(const void *handle, enum ipcshare__handle_kind kind, const char *stage);

/* Call @visit for every live handle of @kind until it returns non-zero; the lock is held. */
int ipcshare__handle_each(enum ipcshare__handle_kind kind, int (*visit)(void *handle, void *arg),
			  void *arg);

#endif
