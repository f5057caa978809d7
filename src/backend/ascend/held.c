/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/ascend/held.h"

#include <errno.h>
#include <ipcshare.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/index.h"

#define BUCKETS 1024

static pthread_mutex_t ipc_mutex = PTHREAD_MUTEX_INITIALIZER; /* over both tables, and the calls */
static struct ascend_exported *exports;
static bool no_open; /* an export without a whitelist was refused */
static struct ascend_imported *imports[BUCKETS];

static pthread_mutex_t spots_mutex = PTHREAD_MUTEX_INITIALIZER; /* leaf */
static struct ipcshare__index spots; /* to the spot of each record */

void ipcshare__ipc_lock(void)
{
	pthread_mutex_lock(&ipc_mutex);
}

void ipcshare__ipc_unlock(void)
{
	pthread_mutex_unlock(&ipc_mutex);
}

/* ---- Addresses ---- */

static int spot_add(struct ascend_spot *spot, const char *stage)
{
	void *start = (void *)spot->start;
	int err;

	pthread_mutex_lock(&spots_mutex);
	err = ipcshare__index_add(&spots, start, spot->end - spot->start, spot);
	pthread_mutex_unlock(&spots_mutex);
	if (!err)
		return 0;
	return ipcshare__fail(err, stage,
			      err == IPCSHARE_ERR_BUSY ? "deregister memory before it is freed"
						       : "",
			      err == IPCSHARE_ERR_BUSY ? "memory at %p is known already"
						       : "no room for one more range at %p",
			      start);
}

static void spot_remove(const struct ascend_spot *spot)
{
	pthread_mutex_lock(&spots_mutex);
	ipcshare__index_remove(&spots, (void *)spot->start);
	if (!spots.count)
		ipcshare__index_clear(&spots);
	pthread_mutex_unlock(&spots_mutex);
}

bool ipcshare__spot_find(const void *address, struct ascend_spot *out)
{
	struct ipcshare__range range;
	bool found;

	pthread_mutex_lock(&spots_mutex);
	found = ipcshare__index_find(&spots, address, &range);
	if (found)
		*out = *(const struct ascend_spot *)range.what;
	pthread_mutex_unlock(&spots_mutex);
	return found;
}

/* ---- Exports ---- */

/* The record that holds the range, or one that it overlaps; locked. */
static struct ascend_exported *exported_find(uintptr_t start, size_t size)
{
	struct ascend_exported *e = exports;

	while (e && ((uintptr_t)e->start >= start + size || start >= (uintptr_t)e->start + e->size))
		e = e->next;
	return e;
}

static int exported_new(int device, void *start, size_t size, size_t known,
			struct ascend_exported **out)
{
	struct ascend_exported *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return ipcshare__fail_errno(ENOMEM, "alloc", "one more allocation");
	e->start = start;
	e->size = size;
	e->users = 1;
	e->spot = (struct ascend_spot){ (uintptr_t)start, (uintptr_t)start + known, device, false };
	err = spot_add(&e->spot, "alloc");
	if (err) {
		free(e);
		return err;
	}
	e->next = exports;
	exports = e;
	*out = e;
	return 0;
}

static int exported_hold(int device, void *start, size_t size, size_t known,
			 struct ascend_exported **out)
{
	struct ascend_exported *e = exported_find((uintptr_t)start, size);

	if (!e)
		return exported_new(device, start, size, known, out);
	if ((uintptr_t)start < (uintptr_t)e->start ||
	    (uintptr_t)start + size > (uintptr_t)e->start + e->size)
		return ipcshare__fail(IPCSHARE_ERR_BUSY, "register",
				      "register whole allocations, from their first byte",
				      "pages at %p are part of what is registered at %p", start,
				      e->start);
	e->users++;
	*out = e;
	return 0;
}

int ipcshare__exported_hold(int device, void *start, size_t size, size_t known,
			    struct ascend_exported **out)
{
	int err;

	ipcshare__ipc_lock();
	err = exported_hold(device, start, size, known, out);
	ipcshare__ipc_unlock();
	return err;
}

void ipcshare__exported_drop(struct ascend_exported *e)
{
	struct ascend_exported **at = &exports;
	bool last;

	ipcshare__ipc_lock();
	last = --e->users == 0;
	while (last && *at != e)
		at = &(*at)->next;
	if (last)
		*at = e->next;
	ipcshare__ipc_unlock();
	if (!last)
		return;
	spot_remove(&e->spot);
	free(e);
}

/* Not tried again: the driver keeps what it had made of it until the process ends. */
static int no_open_fail(void)
{
	no_open = true;
	ipcshare__fail(
		IPCSHARE_ERR_UNSUPPORTED, "export",
		"causes that are left: a driver that knows no export without a whitelist, or a "
		"virtual NPU; share it with a whitelist",
		"aclrtIpcMemGetExportKey returned %d (%s) without a whitelist",
		ACL_FEATURE_NOT_SUPPORT, ipcshare__acl_name(ACL_FEATURE_NOT_SUPPORT));
	ipcshare__fail_code(ACL_FEATURE_NOT_SUPPORT);
	return IPCSHARE_ERR_UNSUPPORTED;
}

static int export_fail(const struct acl *acl, int code)
{
	if (code == ACL_INVALID_HANDLE) {
		ipcshare__acl_fail(
			acl, code, "export", "aclrtIpcMemGetExportKey",
			"a process can have 480000 exports and imports: share fewer, larger "
			"allocations");
		return ipcshare__fail_as(IPCSHARE_ERR_LIMIT);
	}
	return ipcshare__acl_fail(
		acl, code, "export", "aclrtIpcMemGetExportKey",
		"causes that are left: pages of 2 MiB that the memory does not begin, "
		"memory of VMM calls or of another device, read-only, or a virtual NPU");
}

static int exported_open(const struct acl *acl, struct ascend_exported *e, bool open)
{
	int code;

	if (e->exports && e->open != open)
		return ipcshare__fail(
			IPCSHARE_ERR_OPEN_EXPORT, "export",
			"share all of an allocation with a whitelist, or none of it",
			"another buffer of this allocation was exported %s a whitelist",
			e->open ? "without" : "with");
	if (!e->exports && open && no_open)
		return no_open_fail();
	if (e->exports++)
		return 0;
	code = acl->aclrtIpcMemGetExportKey(e->start, e->size, e->key, sizeof(e->key),
					    open ? ACL_IPC_EXPORT_NO_WHITELIST : 0);
	if (!code) {
		e->open = open;
		return 0;
	}
	e->exports = 0;
	if (open && code == ACL_FEATURE_NOT_SUPPORT) {
		acl->aclGetRecentErrMsg();
		return no_open_fail();
	}
	return export_fail(acl, code);
}

int ipcshare__exported_open(const struct acl *acl, struct ascend_exported *e, bool open)
{
	int err;

	ipcshare__ipc_lock();
	err = exported_open(acl, e, open);
	ipcshare__ipc_unlock();
	return err;
}

int ipcshare__exported_close(const struct acl *acl, struct ascend_exported *e)
{
	int code = ACL_OK;

	ipcshare__ipc_lock();
	if (--e->exports == 0 && acl)
		code = acl->aclrtIpcMemClose(e->key);
	ipcshare__ipc_unlock();
	return code;
}

int ipcshare__exported_allow(const struct acl *acl, struct ascend_exported *e, int32_t *pids,
			     size_t n)
{
	int code;

	ipcshare__ipc_lock();
	code = acl->aclrtIpcMemSetImportPid(e->key, pids, n);
	ipcshare__ipc_unlock();
	return code;
}

/* ---- Imports ---- */

static struct ascend_imported **bucket_of(const char *key)
{
	return &imports[ipcshare__checksum32(key, ACL_KEY_SIZE) % BUCKETS];
}

static int imported_new(const struct acl *acl, int device, const char *key, size_t length,
			uint64_t flags, int *code, struct ascend_imported **out)
{
	struct ascend_imported *im = calloc(1, sizeof(*im));
	int err;

	if (!im)
		return ipcshare__fail_errno(ENOMEM, "import", "one more import");
	memcpy(im->key, key, ACL_KEY_SIZE);
	im->users = 1;
	*code = acl->aclrtIpcMemImportByKey(&im->base, im->key, flags);
	if (*code) {
		free(im);
		return IPCSHARE_ERR_SYSTEM;
	}
	im->spot = (struct ascend_spot){ (uintptr_t)im->base, (uintptr_t)im->base + length, device,
					 true };
	err = spot_add(&im->spot, "import");
	if (err) {
		acl->aclrtIpcMemClose(im->key);
		free(im);
		return err;
	}
	im->next = *bucket_of(key);
	*bucket_of(key) = im;
	*out = im;
	return 0;
}

static int imported_hold(const struct acl *acl, int device, const char *key, size_t length,
			 uint64_t flags, int *code, struct ascend_imported **out)
{
	struct ascend_imported *im = *bucket_of(key);

	while (im && memcmp(im->key, key, ACL_KEY_SIZE))
		im = im->next;
	if (!im)
		return imported_new(acl, device, key, length, flags, code, out);
	if (im->spot.device != device)
		return ipcshare__fail(
			IPCSHARE_ERR_UNSUPPORTED, "import",
			"use one device for all contexts of a process",
			"the driver maps a key on one device of a process: it is on %d, "
			"this context on %d",
			im->spot.device, device);
	if (im->spot.end - im->spot.start != length)
		return ipcshare__fail(
			IPCSHARE_ERR_PROTOCOL, "import", "",
			"the region is mapped with %zu bytes, its descriptor says %zu",
			(size_t)(im->spot.end - im->spot.start), length);
	im->users++;
	*out = im;
	return 0;
}

int ipcshare__imported_hold(const struct acl *acl, int device, const char *key, size_t length,
			    uint64_t flags, int *code, struct ascend_imported **out)
{
	int err;

	*code = ACL_OK;
	ipcshare__ipc_lock();
	err = imported_hold(acl, device, key, length, flags, code, out);
	ipcshare__ipc_unlock();
	return err;
}

/* Under the lock until the driver has closed it: the next import of the key must come after that. */
int ipcshare__imported_drop(const struct acl *acl, struct ascend_imported *im)
{
	struct ascend_imported **at;
	int code = ACL_OK;
	bool last;

	ipcshare__ipc_lock();
	last = --im->users == 0;
	if (last) {
		for (at = bucket_of(im->key); *at != im; at = &(*at)->next)
			;
		*at = im->next;
		spot_remove(&im->spot);
		if (acl)
			code = acl->aclrtIpcMemClose(im->key);
	}
	ipcshare__ipc_unlock();
	if (last)
		free(im);
	return code;
}
