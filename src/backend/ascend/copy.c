/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocking copies. On imported memory of another device only asynchronous copies between devices,
 * with their kind named, are supported by the runtime; the way to the host goes over scratch memory.
 */
#include <string.h>

#include "backend/ascend/place.h"
#include "base/error.h"

#define SCRATCH ((size_t)4 << 20)

/* ---- Where it is ---- */

/*
 * Memory that nobody registered: the program's own, on a device or not. To refuse the address is a way
 * to say that it's the host's; but if the call fails otherwise nobody may guess that, for the host
 * can't touch memory of a device.
 */
static int place_ask(const struct ascend *a, const void *p, struct ascend_place *place)
{
	const struct acl *acl = a->device.acl;
	struct acl_ptr_attributes at = { 0 };
	size_t page = ACL_PAGE;
	int code;

	*place = (struct ascend_place){ .kind = ASCEND_HOST };
	if (!acl->aclrtPointerGetAttributes)
		return 0;
	code = acl->aclrtPointerGetAttributes(p, &at);
	if (code == ACL_INVALID_PARAM || code == ACL_PARAM_INVALID) {
		acl->aclGetRecentErrMsg(); /* no failure: nobody is to read of it later */
		return 0;
	}
	if (code)
		return ipcshare__acl_fail(acl, code, "copy", "aclrtPointerGetAttributes",
					  "is the device healthy (npu-smi info)?");
	if (at.location_type == ACL_LOCATION_DEVICE)
		place->kind = (int)at.location_id == a->device.id ? ASCEND_OWN : ASCEND_FOREIGN;
	else if (at.location_type == ACL_LOCATION_MANAGED)
		place->kind = ASCEND_FOREIGN; /* as imported memory is called in some releases */
	else
		return 0;
	if (at.page_size > page && !(at.page_size & (at.page_size - 1)))
		page = at.page_size;
	place->start = (uintptr_t)p & ~(page - 1);
	place->end = place->start + page;
	return 0;
}

int ipcshare__ascend_place(const struct ascend *a, const void *p, size_t n,
			   struct ascend_place *place)
{
	struct ascend_spot spot;
	int err = 0;

	if ((uintptr_t)p < place->start || (uintptr_t)p >= place->end) {
		if (!ipcshare__spot_find(p, &spot))
			err = place_ask(a, p, place);
		else
			*place = (struct ascend_place){
				.kind = spot.imported || spot.device != a->device.id
						? ASCEND_FOREIGN
						: ASCEND_OWN,
				.exact = true,
				.start = spot.start,
				.end = spot.end,
			};
	}
	if (err)
		return err;
	if (place->exact && n > place->end - (uintptr_t)p)
		return ipcshare__fail(IPCSHARE_ERR_RANGE, "copy", "",
				      "%zu bytes at %p run past the end of the memory", n, p);
	return 0;
}

/* ---- One copy ---- */

static int sync_copy(struct ascend *a, void *dst, const void *src, size_t n, int kind)
{
	int code = a->device.acl->aclrtMemcpy(dst, n, src, n, kind);

	return code ? ipcshare__acl_fail(a->device.acl, code, "copy", "aclrtMemcpy",
					 code == ACL_CAPTURE_MODE
						 ? "end the capture of this context first"
						 : "")
		    : 0;
}

static int device_copy(struct ascend *a, void *dst, const void *src, size_t n)
{
	const struct acl *acl = a->device.acl;
	int code = acl->aclrtMemcpyAsync(dst, n, src, n, ACL_MEMCPY_DEVICE_TO_DEVICE,
					 a->device.stream);

	if (code)
		return ipcshare__acl_fail(acl, code, "copy", "aclrtMemcpyAsync",
					  "do both ranks have peer access?");
	code = acl->aclrtSynchronizeStream(a->device.stream);
	return code ? ipcshare__acl_fail(acl, code, "copy", "aclrtSynchronizeStream",
					 "has the owner freed the memory, or ended?")
		    : 0;
}

static int scratch_ready(struct ascend *a)
{
	int code;

	if (a->scratch)
		return 0;
	code = a->device.acl->aclrtMallocAlign32(&a->scratch, SCRATCH, ACL_MEM_MALLOC_HUGE_FIRST);
	if (!code)
		return 0;
	a->scratch = NULL;
	return ipcshare__acl_fail(a->device.acl, code, "copy", "aclrtMallocAlign32",
				  "4 MiB of device memory are needed between a peer and the host");
}

static int bounce_copy(struct ascend *a, char *dst, const char *src, size_t n, bool to_host)
{
	int err = scratch_ready(a);

	for (size_t now; n && !err; dst += now, src += now, n -= now) {
		now = n < SCRATCH ? n : SCRATCH;
		if (to_host) {
			err = device_copy(a, a->scratch, src, now);
			if (!err)
				err = sync_copy(a, dst, a->scratch, now, ACL_MEMCPY_DEVICE_TO_HOST);
		} else {
			err = sync_copy(a, a->scratch, src, now, ACL_MEMCPY_HOST_TO_DEVICE);
			if (!err)
				err = device_copy(a, dst, a->scratch, now);
		}
	}
	return err;
}

int ipcshare__ascend_copy_placed(struct ascend *a, void *dst, enum ascend_kind to, const void *src,
				 enum ascend_kind from, size_t n)
{
	if (to == ASCEND_HOST && from == ASCEND_HOST) {
		memcpy(dst, src, n);
		return 0;
	}
	if (to != ASCEND_HOST && from != ASCEND_HOST)
		return device_copy(a, dst, src, n);
	if (to == ASCEND_FOREIGN || from == ASCEND_FOREIGN)
		return bounce_copy(a, dst, src, n, to == ASCEND_HOST);
	return sync_copy(a, dst, src, n,
			 to == ASCEND_HOST ? ACL_MEMCPY_DEVICE_TO_HOST : ACL_MEMCPY_HOST_TO_DEVICE);
}

int ipcshare__ascend_copy(struct ipcshare__backend *be, void *dst, const void *src, size_t n)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_place to = { 0 }, from = { 0 };
	struct ascend_entry entry;
	int err = ipcshare__ascend_enter(&a->device, "copy", &entry);

	if (err)
		return err;
	err = ipcshare__ascend_place(a, dst, n, &to);
	if (!err)
		err = ipcshare__ascend_place(a, src, n, &from);
	if (!err) {
		pthread_mutex_lock(&a->copy_lock);
		err = ipcshare__ascend_copy_placed(a, dst, to.kind, src, from.kind, n);
		pthread_mutex_unlock(&a->copy_lock);
	}
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}

void ipcshare__ascend_copy_end(struct ascend *a)
{
	for (int i = 1; i < ASCEND_STREAMS; i++) /* the first one is the device's */
		if (a->streams[i])
			a->device.acl->aclrtDestroyStream(a->streams[i]);
	if (a->scratch)
		a->device.acl->aclrtFree(a->scratch);
}
