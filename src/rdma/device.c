/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening a device by its name, and why that fails. */
#include <errno.h>
#include <infiniband/verbs.h>
#include <ipcshare_rdma.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"

static struct ibv_device *find(struct ibv_device **list, const char *name)
{
	for (; *list; list++)
		if (!name || !strcmp(ibv_get_device_name(*list), name))
			return *list;
	return NULL;
}

static int fail_none(const char *name, bool others)
{
	if (others)
		return ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "device",
				      "ibv_devices, or ipcshare-info, lists those that are there",
				      "there is no RDMA device %s", name);
	return ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "device",
			      "load the driver of the NIC and ib_uverbs, and install its provider "
			      "(ibverbs-providers, rdma-core); a container wants /dev/infiniband",
			      "this machine has no RDMA device");
}

static int open_device(struct ibv_device *device, struct ibv_context **out)
{
	const char *name = ibv_get_device_name(device);
	int error;

	errno = 0;
	*out = ibv_open_device(device);
	if (*out)
		return 0;
	error = errno ? errno : EIO;
	if (error != EACCES && error != EPERM)
		return ipcshare__fail_errno(error, "device", "opening the RDMA device %s", name);
	ipcshare__fail(IPCSHARE_ERR_NOT_ALLOWED, "device",
		       "this user needs read and write access to /dev/infiniband/uverbs*, and in a "
		       "container its device cgroup",
		       "the RDMA device %s can't be opened", name);
	ipcshare__fail_code(error);
	return IPCSHARE_ERR_NOT_ALLOWED;
}

int ipcshare_rdma_open_device(const char *name, struct ibv_context **out)
{
	struct ibv_device **list, *device;
	struct ibv_context *opened;
	int err;

	if (!out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "device", "", "out is NULL");
	list = ibv_get_device_list(NULL); /* NULL also where the kernel has no such subsystem */
	device = list ? find(list, name) : NULL;
	err = device ? open_device(device, &opened) : fail_none(name, list && *list);
	if (list)
		ibv_free_device_list(list);
	if (err)
		return err;
	*out = opened;
	return 0;
}
