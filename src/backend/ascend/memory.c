/* SPDX-License-Identifier: BSD-3-Clause */
/* Device memory, and the owner's side of its keys. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ascend/ascend.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"

struct ascend_memory {
	struct ascend_exported *exported; /* what covers it; maybe more memory than this */
	void *ours; /* to be given back to the runtime; NULL: the user's */
	bool has_key; /* it counts among the exports of @exported */
};

/* ---- Allocate ---- */

/*
 * Whole pages of the size that the runtime will choose, through the call that adds no 32 bytes: with
 * them, 2 MiB would take two huge pages.
 */
static size_t pages_of(size_t length)
{
	return ipcshare__round_up(length, length > ACL_HUGE_FROM ? ACL_HUGE_PAGE : ACL_PAGE);
}

static int memory_new(struct ascend_memory what, void *base, size_t length,
		      struct ipcshare__memory *out)
{
	struct ascend_memory *m = malloc(sizeof(*m));

	if (!m)
		return ipcshare__fail_errno(ENOMEM, "alloc", "one more allocation");
	*m = what;
	*out = (struct ipcshare__memory){
		.base = base,
		.length = length,
		.start = what.exported->start,
		.span = what.exported->spot.end - what.exported->spot.start,
		.priv = m,
	};
	return 0;
}

static int alloc_entered(struct ascend *a, size_t length, struct ipcshare__memory *out)
{
	const struct acl *acl = a->device.acl;
	struct ascend_memory m = { .exported = NULL };
	size_t size = pages_of(length);
	int code, err;

	code = acl->aclrtMallocAlign32(&m.ours, size, ACL_MEM_MALLOC_HUGE_FIRST);
	if (code)
		return ipcshare__acl_fail(acl, code, "alloc", "aclrtMallocAlign32",
					  "free device memory, or allocate less on each rank");
	code = acl->aclrtMemset(m.ours, size, 0, size);
	err = code ? ipcshare__acl_fail(acl, code, "alloc", "aclrtMemset", "")
		   : ipcshare__exported_hold(a->device.id, m.ours, size, length, &m.exported);
	if (!err) {
		err = memory_new(m, m.ours, length, out);
		if (err)
			ipcshare__exported_drop(m.exported);
	}
	if (err)
		acl->aclrtFree(m.ours);
	return err;
}

int ipcshare__ascend_alloc(struct ipcshare__backend *be, size_t length,
			   struct ipcshare__memory *out)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;
	int err;

	if (length > PTRDIFF_MAX - ACL_HUGE_PAGE)
		return ipcshare__fail(IPCSHARE_ERR_NO_MEMORY, "alloc", "allocate less",
				      "%zu bytes are more than the address space", length);
	err = ipcshare__ascend_enter(&a->device, "alloc", &entry);
	if (err)
		return err;
	err = alloc_entered(a, length, out);
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}

/* @acl NULL: without a call. */
static void key_drop(const struct acl *acl, struct ascend_memory *m)
{
	int code = ACL_OK;

	if (m->has_key)
		code = ipcshare__exported_close(acl, m->exported);
	m->has_key = false;
	if (code)
		ipcshare__log(IPCSHARE__LOG_WARN, "free: aclrtIpcMemClose returned %d (%s)", code,
			      ipcshare__acl_name(code));
}

void ipcshare__ascend_release(struct ipcshare__backend *be, struct ipcshare__memory *mem)
{
	struct ascend *a = ipcshare__ascend_of(be);
	const struct acl *acl = ipcshare__ascend_acl(a);
	struct ascend_memory *m = mem->priv;
	struct ascend_entry entry;
	int code;

	if (ipcshare__ascend_forked(&a->device)) {
		free(m); /* all else is the parent's */
		return;
	}
	key_drop(NULL, m); /* none is left but after an abandon */
	ipcshare__exported_drop(m->exported);
	if (m->ours && acl && !ipcshare__ascend_enter(&a->device, "free", &entry)) {
		code = acl->aclrtFree(m->ours);
		ipcshare__ascend_leave(&a->device, &entry);
		if (code)
			ipcshare__log(IPCSHARE__LOG_WARN, "free: aclrtFree returned %d (%s)", code,
				      ipcshare__acl_name(code));
	}
	free(m);
}

/* ---- Adopt ---- */

struct extent {
	uintptr_t start;
	size_t size;
	size_t page;
};

/* Bytes of a page at @p, 0 if the runtime doesn't say. It may say that it's no device memory. */
static size_t page_at(const struct acl *acl, const void *p, bool *is_other)
{
	struct acl_ptr_attributes at = { 0 };

	*is_other = false;
	if (!acl->aclrtPointerGetAttributes)
		return 0;
	if (acl->aclrtPointerGetAttributes(p, &at)) {
		acl->aclGetRecentErrMsg(); /* no failure: nobody is to read of it later */
		return 0;
	}
	*is_other = at.location_type != ACL_LOCATION_DEVICE &&
		    at.location_type != ACL_LOCATION_MANAGED;
	return at.page_size & (at.page_size - 1) || at.page_size < ACL_PAGE ? 0 : at.page_size;
}

static int range_fail(const struct acl *acl, int code)
{
	int status = ipcshare__acl_fail(acl, code, "register", "aclrtMemGetAddressRange",
					"is it memory of aclrtMalloc() on this device?");

	if (status == IPCSHARE_ERR_INVALID || code == ACL_DRV_INTERNAL)
		status = ipcshare__fail_as(IPCSHARE_ERR_NOT_SHAREABLE);
	return status;
}

/*
 * What has to be exported so that the user's memory is: its whole allocation where the runtime can
 * tell (9.0), so that other buffers in it need no other key; else the pages that hold it.
 */
static int extent_find(const struct acl *acl, void *base, size_t length, struct extent *out)
{
	bool is_other;
	size_t page = page_at(acl, base, &is_other), size = length;
	void *start = base;
	uintptr_t end;
	int code;

	if (acl->aclrtMemGetAddressRange) {
		code = acl->aclrtMemGetAddressRange(base, &start, &size);
		if (code)
			return range_fail(acl, code);
	} else if (is_other) {
		return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "register",
				      "is it memory of aclrtMalloc() on this device?",
				      "%p is no device memory", base);
	}
	if ((uintptr_t)start > (uintptr_t)base || (uintptr_t)base - (uintptr_t)start > size ||
	    length > size - ((uintptr_t)base - (uintptr_t)start))
		return ipcshare__fail(
			IPCSHARE_ERR_RANGE, "register", "",
			"%zu bytes at %p run past the end of an allocation of %zu bytes", length,
			base, size);
	if (!page && (uintptr_t)start % ACL_PAGE)
		return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "register",
				      "register what aclrtMalloc() returned, from its first byte",
				      "%p does not begin a page", start);
	end = (uintptr_t)start + size;
	if (page) { /* the driver wants the first byte of a page, and maps whole ones anyway */
		out->start = (uintptr_t)start & ~(page - 1);
		out->size = end - out->start;
		if (!acl->aclrtMemGetAddressRange)
			out->size = ipcshare__round_up(out->size, page);
	} else {
		out->start = (uintptr_t)start;
		out->size = size;
	}
	out->page = page ? page : pages_of(size) > ACL_HUGE_FROM ? ACL_HUGE_PAGE : ACL_PAGE;
	return 0;
}

static int exposure_check(const struct ascend *a, const struct extent *x, const void *base,
			  size_t length)
{
	size_t exposed = ipcshare__round_up(x->size, x->page) - length;

	if (exposed && a->strict)
		return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "register",
				      "register whole pages, or unset IPCSHARE_ASCEND_STRICT",
				      "%zu bytes beside the range would be visible to peers",
				      exposed);
	if (exposed)
		ipcshare__log(IPCSHARE__LOG_WARN,
			      "register: %zu bytes beside %p are visible to peers", exposed, base);
	return 0;
}

static int adopt_entered(struct ascend *a, void *base, size_t length, struct ipcshare__memory *out)
{
	struct ascend_memory m = { .exported = NULL };
	struct ascend_spot spot;
	struct extent x = { 0 };
	int err;

	if (ipcshare__spot_find(base, &spot) && spot.imported)
		return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "register",
				      "let its owner share it with the others",
				      "%p is memory of another process", base);
	err = extent_find(a->device.acl, base, length, &x);
	if (!err)
		err = exposure_check(a, &x, base, length);
	if (!err)
		err = ipcshare__exported_hold(a->device.id, (void *)x.start, x.size, x.size,
					      &m.exported);
	if (err)
		return err;
	err = memory_new(m, base, length, out);
	if (err)
		ipcshare__exported_drop(m.exported);
	return err;
}

int ipcshare__ascend_adopt(struct ipcshare__backend *be, void *base, size_t length, int fd,
			   struct ipcshare__memory *out)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;
	int err;

	if (fd != -1)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "register", "pass -1",
				      "device memory has no descriptor, %d was given", fd);
	err = ipcshare__ascend_enter(&a->device, "register", &entry);
	if (err)
		return err;
	err = adopt_entered(a, base, length, out);
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}

/* ---- Keys ---- */

int ipcshare__ascend_export(struct ipcshare__backend *be, struct ipcshare__memory *mem,
			    unsigned flags, char key[IPCSHARE__KEY_SIZE])
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_memory *m = mem->priv;
	struct ascend_entry entry;
	int err;

	err = ipcshare__ascend_enter(&a->device, "export", &entry);
	if (err)
		return err;
	err = ipcshare__exported_open(a->device.acl, m->exported, flags & IPCSHARE__EXPORT_OPEN);
	ipcshare__ascend_leave(&a->device, &entry);
	if (err)
		return err;
	m->has_key = true;
	memcpy(key, m->exported->key, IPCSHARE__KEY_SIZE);
	return 0;
}

int ipcshare__ascend_protect(struct ipcshare__backend *be, struct ipcshare__memory *mem)
{
	(void)be;
	(void)mem;
	return ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "export", "share it read-write",
			      "the driver can't share device memory read-only");
}

/* The driver skips the creator's own id, and fails if nobody else is in a call. */
static int allow_entered(struct ascend *a, const struct ascend_memory *m,
			 const struct ipcshare__identity *ids, size_t n)
{
	int32_t pids[ACL_IPC_PIDS_PER_CALL];
	int code = ACL_OK;
	size_t now = 0;

	for (size_t i = 0; i < n && !code; i++) {
		if (ids[i].tgid != a->tgid) {
			ipcshare__ascend_welcome(&a->device, ids[i].device);
			pids[now++] = (int32_t)ids[i].tgid;
		}
		if (now == ACL_IPC_PIDS_PER_CALL || (now && i + 1 == n)) {
			code = ipcshare__exported_allow(a->device.acl, m->exported, pids, now);
			now = 0;
		}
	}
	return code ? ipcshare__acl_fail(
			      a->device.acl, code, "whitelist", "aclrtIpcMemSetImportPid",
			      "causes that are left: more than 32768 entries, or the memory "
			      "was freed behind our back")
		    : 0;
}

int ipcshare__ascend_allow(struct ipcshare__backend *be, struct ipcshare__memory *mem,
			   const struct ipcshare__identity *ids, size_t n,
			   enum ipcshare__access access)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;
	int err = ipcshare__ascend_enter(&a->device, "whitelist", &entry);

	(void)access; /* protect refused read-only before */
	if (err)
		return err;
	err = allow_entered(a, mem->priv, ids, n);
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}

void ipcshare__ascend_close_export(struct ipcshare__backend *be, struct ipcshare__memory *mem)
{
	struct ascend *a = ipcshare__ascend_of(be);
	const struct acl *acl = ipcshare__ascend_acl(a);
	struct ascend_entry entry = { .mode = -1 };

	if (ipcshare__ascend_forked(&a->device))
		return;
	if (acl && ipcshare__ascend_enter(&a->device, "free", &entry))
		acl = NULL; /* the context is gone, and its exports with it */
	key_drop(acl, mem->priv);
	if (acl)
		ipcshare__ascend_leave(&a->device, &entry);
}
