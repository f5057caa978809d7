/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the driver holds for this process, whichever of its contexts asked: memory that is exported,
 * each byte at most once, for a second key of the same pages spoils the bookkeeping of the first;
 * and imported keys, each at most once, for older runtimes can't close a key that came twice. So both
 * are counted here. It also knows of every address whether it is device memory.
 */
#ifndef IPCSHARE_BACKEND_ASCEND_HELD_H
#define IPCSHARE_BACKEND_ASCEND_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/ascend/acl.h"

/* A range of device memory. */
struct ascend_spot {
	uintptr_t start, end;
	int device; /* by this process's number: whose context made or imported it */
	bool imported;
};

struct ascend_exported {
	struct ascend_exported *next;
	struct ascend_spot spot;
	void *start; /* whole pages of one allocation */
	size_t size;
	size_t users; /* registrations that lie in it */
	size_t exports; /* of them exported; 0: there is no key */
	bool open; /* without a whitelist */
	char key[ACL_KEY_SIZE];
};

struct ascend_imported {
	struct ascend_imported *next; /* of the same bucket */
	struct ascend_spot spot;
	void *base;
	size_t users;
	char key[ACL_KEY_SIZE];
};

/*
 * All calls of the process that concern keys go through one mutex: runtimes up to 9.2.0-beta.1 race
 * inside aclrtIpcMemClose. The functions below take it themselves.
 */
void ipcshare__ipc_lock(void);
void ipcshare__ipc_unlock(void);

/*
 * The record for @size bytes at @start; one that holds all of them, if there is one. Of them @known
 * bytes are the user's. IPCSHARE_ERR_BUSY some of them are another's.
 */
int ipcshare__exported_hold(int device, void *start, size_t size, size_t known,
			    struct ascend_exported **out);
void ipcshare__exported_drop(struct ascend_exported *e);
/* The context is entered; @acl NULL: forget it without a call. */
int ipcshare__exported_open(const struct acl *acl, struct ascend_exported *e, bool open);
int ipcshare__exported_close(const struct acl *acl, struct ascend_exported *e);
/* One call of the driver; its code. */
int ipcshare__exported_allow(const struct acl *acl, struct ascend_exported *e, int32_t *pids,
			     size_t n);

/* @code is the driver's if the result is not 0 and came from there, else 0 and there is a detail. */
int ipcshare__imported_hold(const struct acl *acl, int device, const char *key, size_t length,
			    uint64_t flags, int *code, struct ascend_imported **out);
/* The driver's code, 0 if others use it still; @acl NULL: forget it. */
int ipcshare__imported_drop(const struct acl *acl, struct ascend_imported *im);

/* false: it is no device memory that we know. */
bool ipcshare__spot_find(const void *address, struct ascend_spot *out);

#endif
