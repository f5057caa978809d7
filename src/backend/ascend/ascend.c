/* SPDX-License-Identifier: BSD-3-Clause */
/* The Ascend backend: memory, keys and whitelists of the NPU driver. */
#include <errno.h>
#include <stdlib.h>

#include "backend/ascend/ascend.h"
#include "base/error.h"

_Static_assert(ACL_KEY_SIZE == IPCSHARE__KEY_SIZE, "a key is a key");

static int ascend_probe(const struct ipcshare__config *config)
{
	const struct acl *acl = ipcshare__acl_load(config->acl_lib);
	const char *soc;

	if (!acl)
		return IPCSHARE_ERR_NO_BACKEND;
	soc = acl->aclrtGetSocName(); /* if it has no name yet, open sees when a device is set */
	return soc ? ipcshare__ascend_soc_check(soc, "probe", config->ascend_any_soc) : 0;
}

/* The runtime says success and -1 when its driver does not answer. */
static int tgid_load(struct ascend *a)
{
	int32_t pid = -1;
	int code = a->device.acl->aclrtDeviceGetBareTgid(&pid);

	if (code)
		return ipcshare__acl_fail(a->device.acl, code, "open", "aclrtDeviceGetBareTgid",
					  "");
	if (pid <= 0)
		return ipcshare__fail(IPCSHARE_ERR_SYSTEM, "open",
				      "is the driver's device node usable in this container?",
				      "aclrtDeviceGetBareTgid gave the process id %d", pid);
	a->tgid = (uint32_t)pid;
	return 0;
}

static int open_device(struct ascend *a, const struct acl *acl,
		       const struct ipcshare__backend_args *args)
{
	int err = ipcshare__ascend_device_open(acl, args->device, args->config->ascend_any_soc,
					       &a->device);

	if (err)
		return err;
	err = tgid_load(a);
	if (err)
		ipcshare__ascend_device_close(&a->device);
	return err;
}

static int ascend_open(const struct ipcshare__backend_args *args, struct ipcshare__backend **out)
{
	const struct acl *acl = ipcshare__acl_load(args->config->acl_lib);
	struct ascend *a;
	int err;

	if (!acl)
		return IPCSHARE_ERR_NO_BACKEND;
	a = calloc(1, sizeof(*a));
	if (!a)
		return ipcshare__fail_errno(ENOMEM, "open", "the ascend backend");
	err = open_device(a, acl, args);
	if (err) {
		free(a);
		return err;
	}
	a->be.ops = &ipcshare__ascend_ops;
	pthread_mutex_init(&a->copy_lock, NULL);
	a->strict = args->config->ascend_strict;
	*out = &a->be;
	return 0;
}

static void ascend_close(struct ipcshare__backend *be)
{
	struct ascend *a = ipcshare__ascend_of(be);
	struct ascend_entry entry;

	if (ipcshare__ascend_forked(&a->device)) {
		free(a); /* the lock may be held for ever; all else is the parent's */
		return;
	}
	if (!a->device.lost && !ipcshare__ascend_enter(&a->device, "close", &entry)) {
		ipcshare__ascend_copy_end(a);
		ipcshare__ascend_leave(&a->device, &entry);
	}
	ipcshare__ascend_device_close(&a->device);
	pthread_mutex_destroy(&a->copy_lock);
	free(a);
}

static void ascend_forget(struct ipcshare__backend *be)
{
	ipcshare__ascend_of(be)->device.lost = true;
}

static int ascend_identify(struct ipcshare__backend *be, uint32_t *tgid, int *device)
{
	const struct ascend *a = ipcshare__ascend_of(be);

	*tgid = a->tgid;
	*device = a->device.physical;
	return 0;
}

/* The driver knows no such state: closing the export makes a mapping that came late unusable. */
static void ascend_pause_export(struct ipcshare__backend *be, struct ipcshare__memory *mem,
				int paused)
{
	(void)be;
	(void)mem;
	(void)paused;
}

const struct ipcshare__backend_ops ipcshare__ascend_ops = {
	.name = "ascend",
	.text = "device memory of Ascend 910B and 910C",
	.id = IPCSHARE__BACKEND_ASCEND,
	.ids_per_allow = ACL_IPC_PIDS_PER_CALL,
	.probe = ascend_probe,
	.open = ascend_open,
	.close = ascend_close,
	.forget = ascend_forget,
	.identify = ascend_identify,
	.alloc = ipcshare__ascend_alloc,
	.adopt = ipcshare__ascend_adopt,
	.release = ipcshare__ascend_release,
	.export_key = ipcshare__ascend_export,
	.protect = ipcshare__ascend_protect,
	.allow = ipcshare__ascend_allow,
	.pause_export = ascend_pause_export,
	.close_export = ipcshare__ascend_close_export,
	.import_keys = ipcshare__ascend_import,
	.close_import = ipcshare__ascend_close_import,
	.copy = ipcshare__ascend_copy,
	.copy_pieces = ipcshare__ascend_copy_pieces,
	.plan_create = ipcshare__ascend_plan_create,
	.plan_run = ipcshare__ascend_plan_run,
	.plan_free = ipcshare__ascend_plan_free,
	.stream_create = ipcshare__ascend_stream_create,
	.stream_destroy = ipcshare__ascend_stream_destroy,
	.stream_synchronise = ipcshare__ascend_stream_synchronise,
	.stream_captured = ipcshare__ascend_stream_captured,
	.reduces = ipcshare__ascend_reduces,
	.reduce = ipcshare__ascend_reduce,
	.notify_create = ipcshare__ascend_notify_create,
	.notify_export = ipcshare__ascend_notify_export,
	.notify_allow = ipcshare__ascend_notify_allow,
	.notify_import = ipcshare__ascend_notify_import,
	.notify_record = ipcshare__ascend_notify_record,
	.notify_wait = ipcshare__ascend_notify_wait,
	.notify_destroy = ipcshare__ascend_notify_destroy,
};
