/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Streams, and notifies that order them across processes. What makes, shows and ends a notify goes
 * through the mutex of the IPC calls; record and wait only put a task into a stream, and may have to
 * wait there for a peer, whom a lock of ours must not stop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ascend/ascend.h"
#include "base/error.h"
#include "base/log.h"

/* ---- Streams ---- */

int ipcshare__ascend_stream_create(struct ipcshare__backend *be, struct ipcshare__stream **out)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;
	acl_handle stream = NULL;
	int code, err = ipcshare__ascend_enter(&a->device, "stream", &entry);

	if (err)
		return err;
	code = a->device.acl->aclrtCreateStream(&stream);
	if (code)
		err = ipcshare__acl_fail(a->device.acl, code, "stream", "aclrtCreateStream",
					 "a device has 1984 streams for all of its processes");
	else
		*out = stream;
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}

void ipcshare__ascend_stream_destroy(struct ipcshare__backend *be, struct ipcshare__stream *stream)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;

	if (!stream || a->device.lost || ipcshare__ascend_enter(&a->device, "stream", &entry))
		return;
	a->device.acl->aclrtDestroyStream(stream);
	ipcshare__ascend_leave(&a->device, &entry);
}

int ipcshare__ascend_stream_synchronise(struct ipcshare__backend *be,
					struct ipcshare__stream *stream)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;
	int code, err = ipcshare__ascend_enter(&a->device, "stream", &entry);

	if (err)
		return err;
	code = a->device.acl->aclrtSynchronizeStream(ipcshare__ascend_stream(a, stream));
	if (code)
		err = ipcshare__acl_fail(a->device.acl, code, "stream", "aclrtSynchronizeStream",
					 "a peer may have ended, freed its memory, or recorded no "
					 "notify in time");
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}

/* Nothing runs in a stream that the program captures, and to wait for it would spoil the capture. */
bool ipcshare__ascend_captures(const struct acl *acl, acl_handle stream)
{
	int32_t status = ACL_CAPTURE_NONE;

	if (acl->aclmdlRICaptureGetInfo &&
	    acl->aclmdlRICaptureGetInfo(stream, &status, &(acl_handle){ NULL })) {
		acl->aclGetRecentErrMsg(); /* if the stream is none, the copies will say so */
		return false;
	}
	return status != ACL_CAPTURE_NONE;
}

bool ipcshare__ascend_stream_captured(struct ipcshare__backend *be, struct ipcshare__stream *stream)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;
	bool captured;

	if (!stream || ipcshare__ascend_enter(&a->device, "stream", &entry))
		return false;
	captured = ipcshare__ascend_captures(a->device.acl, (acl_handle)stream);
	ipcshare__ascend_leave(&a->device, &entry);
	return captured;
}

/* ---- Notifies ---- */

struct notify {
	acl_handle handle;
	bool creator;
	char key[ACL_KEY_SIZE]; /* of the creator; "" until exported */
	uint32_t peers[IPCSHARE__NOTIFY_PEERS]; /* that are allowed */
	size_t npeers;
};

/* Optional as one: releases have all of them or none. */
static int notify_can(const struct acl *acl)
{
	if (acl->aclrtCreateNotify && acl->aclrtDestroyNotify && acl->aclrtRecordNotify &&
	    acl->aclrtWaitAndResetNotify && acl->aclrtNotifyGetExportKey &&
	    acl->aclrtNotifySetImportPid && acl->aclrtNotifyImportByKey)
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "notify", "it needs CANN 8.5 or newer",
			      "the Ascend runtime lacks calls for notifies");
}

static int creator_only(const struct notify *n, const char *what)
{
	if (n->creator)
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_NOT_ALLOWED, "notify",
			      "give each direction a notify of its own, made by who waits",
			      "only its creator can %s a notify", what);
}

static int notify_enter(struct ascend *a, struct ascend_entry *entry)
{
	int err = notify_can(a->device.acl);

	return err ? err : ipcshare__ascend_enter(&a->device, "notify", entry);
}

static int fail(const struct ascend *a, int code, const char *call, const char *hint)
{
	return code ? ipcshare__acl_fail(a->device.acl, code, "notify", call, hint) : 0;
}

static int create_entered(struct ascend *a, struct ipcshare__notify **out)
{
	struct notify *n = calloc(1, sizeof(*n));
	int err;

	if (!n)
		return ipcshare__fail_errno(ENOMEM, "notify", "a notify");
	ipcshare__ipc_lock();
	err = fail(a, a->device.acl->aclrtCreateNotify(&n->handle, 0), "aclrtCreateNotify",
		   "a device has 8192 notifies, a virtual one none");
	ipcshare__ipc_unlock();
	n->creator = true;
	if (err)
		free(n);
	else
		*out = (struct ipcshare__notify *)n;
	return err;
}

int ipcshare__ascend_notify_create(struct ipcshare__backend *be, struct ipcshare__notify **out)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;
	int err = notify_enter(a, &entry);

	if (err)
		return err;
	err = create_entered(a, out);
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}

int ipcshare__ascend_notify_export(struct ipcshare__backend *be, struct ipcshare__notify *notify,
				   char key[IPCSHARE__KEY_SIZE])
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct notify *n = (struct notify *)notify;
	struct ascend_entry entry;
	int code = ACL_OK, err = creator_only(n, "export");

	if (!err)
		err = notify_enter(a, &entry);
	if (err)
		return err;
	ipcshare__ipc_lock();
	if (!n->key[0])
		code = a->device.acl->aclrtNotifyGetExportKey(n->handle, n->key, sizeof(n->key), 0);
	if (code)
		n->key[0] = '\0';
	ipcshare__ipc_unlock();
	err = fail(a, code, "aclrtNotifyGetExportKey", "a virtual device can't export notifies");
	ipcshare__ascend_leave(&a->device, &entry);
	if (!err)
		memcpy(key, n->key, sizeof(n->key));
	return err;
}

static bool is_allowed(const struct notify *n, uint32_t tgid)
{
	for (size_t i = 0; i < n->npeers; i++)
		if (n->peers[i] == tgid)
			return true;
	return false;
}

/* Those of @ids that are new, without us: to n->peers from @*from on. */
static int peers_add(const struct ascend *a, struct notify *n, const struct ipcshare__identity *ids,
		     size_t nids)
{
	size_t before = n->npeers;

	for (size_t i = 0; i < nids; i++) {
		if (ids[i].tgid == a->tgid || is_allowed(n, ids[i].tgid))
			continue;
		if (n->npeers == IPCSHARE__NOTIFY_PEERS) {
			n->npeers = before;
			return ipcshare__fail(IPCSHARE_ERR_LIMIT, "notify",
					      "make one notify for each group of 16 peers",
					      "a notify can be imported by %d processes",
					      IPCSHARE__NOTIFY_PEERS);
		}
		n->peers[n->npeers++] = ids[i].tgid;
	}
	return 0;
}

/* The driver takes exactly one id a call; those up to the failed one stay allowed. */
static int allow_entered(struct ascend *a, struct notify *n, size_t from)
{
	int code = ACL_OK;

	ipcshare__ipc_lock();
	for (size_t i = from; i < n->npeers && !code; i++) {
		int32_t pid = (int32_t)n->peers[i];

		code = a->device.acl->aclrtNotifySetImportPid(n->handle, &pid, 1);
		if (code)
			n->npeers = i;
	}
	ipcshare__ipc_unlock();
	return fail(a, code, "aclrtNotifySetImportPid",
		    "causes that are left: 16 processes hold it already, or it was destroyed");
}

int ipcshare__ascend_notify_allow(struct ipcshare__backend *be, struct ipcshare__notify *notify,
				  const struct ipcshare__identity *ids, size_t nids)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct notify *n = (struct notify *)notify;
	struct ascend_entry entry;
	size_t from = n->npeers;
	int err = creator_only(n, "allow others");

	if (!err)
		err = peers_add(a, n, ids, nids);
	if (!err)
		err = notify_enter(a, &entry);
	if (err)
		return err;
	for (size_t i = 0; i < nids; i++)
		ipcshare__ascend_welcome(&a->device, ids[i].device);
	err = allow_entered(a, n, from);
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}

/* The same order as for memory: see import_key() in import.c. */
static int import_handle(struct ascend *a, const char *key, int device, acl_handle *out)
{
	const struct acl *acl = a->device.acl;
	uint64_t flags;
	bool complete;
	int code, err = ipcshare__ascend_reach(&a->device, device, &complete);

	if (err)
		return err;
	flags = complete ? 0 : ACL_NOTIFY_IMPORT_PEER_ACCESS;
	ipcshare__ipc_lock();
	code = acl->aclrtNotifyImportByKey(out, key, flags);
	if (!code && flags)
		ipcshare__ascend_completed(&a->device, device);
	if (flags && (code == ACL_FEATURE_NOT_SUPPORT || (code == ACL_DRV_INTERNAL && device < 0)))
		code = acl->aclrtNotifyImportByKey(out, key, 0);
	ipcshare__ipc_unlock();
	if (code == ACL_INVALID_DEVICEID)
		return ipcshare__ascend_invisible(acl, code, "notify", "aclrtNotifyImportByKey");
	return fail(
		a, code, "aclrtNotifyImportByKey",
		"causes that are left: its creator has destroyed it or ended, this process was not "
		"allowed or before it started, or 16 others hold it");
}

static int import_entered(struct ascend *a, const char *key, int device,
			  struct ipcshare__notify **out)
{
	struct notify *n = calloc(1, sizeof(*n));
	int err;

	if (!n)
		return ipcshare__fail_errno(ENOMEM, "notify", "a notify");
	err = import_handle(a, key, device, &n->handle);
	if (err)
		free(n);
	else
		*out = (struct ipcshare__notify *)n;
	return err;
}

int ipcshare__ascend_notify_import(struct ipcshare__backend *be, const char key[IPCSHARE__KEY_SIZE],
				   int device, struct ipcshare__notify **out)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;
	int err;

	if (!memchr(key, '\0', IPCSHARE__KEY_SIZE))
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "notify",
				      "send all its bytes unchanged", "a key is malformed");
	err = notify_enter(a, &entry);
	if (err)
		return err;
	err = import_entered(a, key, device, out);
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}

int ipcshare__ascend_notify_record(struct ipcshare__backend *be, struct ipcshare__notify *notify,
				   struct ipcshare__stream *stream)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct notify *n = (struct notify *)notify;
	struct ascend_entry entry;
	int err = notify_enter(a, &entry);

	if (err)
		return err;
	err = fail(a,
		   a->device.acl->aclrtRecordNotify(n->handle, ipcshare__ascend_stream(a, stream)),
		   "aclrtRecordNotify", "is the stream one of this context?");
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}

int ipcshare__ascend_notify_wait(struct ipcshare__backend *be, struct ipcshare__notify *notify,
				 struct ipcshare__stream *stream, unsigned timeout_s)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct notify *n = (struct notify *)notify;
	struct ascend_entry entry;
	int err = creator_only(n, "wait for");

	if (!err && !timeout_s)
		err = ipcshare__fail(IPCSHARE_ERR_INVALID, "notify", "pass 1 second or more",
				     "a wait without a limit is not made");
	if (!err)
		err = notify_enter(a, &entry);
	if (err)
		return err;
	err = fail(a,
		   a->device.acl->aclrtWaitAndResetNotify(n->handle,
							  ipcshare__ascend_stream(a, stream),
							  timeout_s),
		   "aclrtWaitAndResetNotify", "is the stream one of this context?");
	ipcshare__ascend_leave(&a->device, &entry);
	return err;
}

void ipcshare__ascend_notify_destroy(struct ipcshare__backend *be, struct ipcshare__notify *notify)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct notify *n = (struct notify *)notify;
	struct ascend_entry entry;
	int code;

	if (!n)
		return;
	if (!a->device.lost && !ipcshare__ascend_enter(&a->device, "notify", &entry)) {
		ipcshare__ipc_lock();
		code = a->device.acl->aclrtDestroyNotify(n->handle);
		ipcshare__ipc_unlock();
		ipcshare__ascend_leave(&a->device, &entry);
		if (code)
			ipcshare__log(IPCSHARE__LOG_WARN,
				      "notify: aclrtDestroyNotify returned %d (%s)", code,
				      ipcshare__acl_name(code));
	}
	free(n);
}
