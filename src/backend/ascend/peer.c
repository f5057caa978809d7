/* SPDX-License-Identifier: BSD-3-Clause */
/* The way to other devices: how they are linked, and peer access, which has two directions. */
#include <ipcshare.h>

#include "backend/ascend/device.h"
#include "base/error.h"

static uint64_t topo_of(const struct acl *acl, int device, int other)
{
	uint64_t bits = 0;

	if (acl->aclrtGetDevicesTopo &&
	    acl->aclrtGetDevicesTopo((uint32_t)device, (uint32_t)other, &bits)) {
		acl->aclGetRecentErrMsg(); /* nobody is to read of it later */
		return 0;
	}
	return bits;
}

const char *ipcshare__ascend_link(const struct acl *acl, int device, int other)
{
	uint64_t bits = topo_of(acl, device, other);

	if (bits & ACL_TOPO_SIO)
		return "SIO";
	if (bits & (ACL_TOPO_HCCS | ACL_TOPO_HCCS_SW))
		return "HCCS";
	return bits & (ACL_TOPO_PIX | ACL_TOPO_PIB | ACL_TOPO_PHB) ? "PCIe" : "none";
}

/* Two dies of one chip reach each other without being asked to; the driver refuses to be. */
static bool same_chip(const struct acl *acl, int device, int other)
{
	int64_t a = -1, b = -2;

	if (topo_of(acl, device, other) & ACL_TOPO_SIO)
		return true;
	if (!acl->aclrtGetDeviceInfo)
		return false;
	if (acl->aclrtGetDeviceInfo((uint32_t)device, ACL_DEV_ATTR_PHY_CHIP_ID, &a) ||
	    acl->aclrtGetDeviceInfo((uint32_t)other, ACL_DEV_ATTR_PHY_CHIP_ID, &b)) {
		acl->aclGetRecentErrMsg();
		return false;
	}
	return a == b && ipcshare__ascend_soc(acl->aclrtGetSocName()) == ASCEND_SOC_910C;
}

/* The number that this process has for a device; a code of @call if it has none. */
static int device_of(const struct acl *acl, int physical, int *out, const char **call)
{
	int32_t device = physical;
	int code = ACL_OK;

	if (acl->aclrtGetUserDevIdByPhyDevId) {
		*call = "aclrtGetUserDevIdByPhyDevId";
		code = acl->aclrtGetUserDevIdByPhyDevId(physical, &device);
	} else if (acl->aclrtGetLogicDevIdByPhyDevId) {
		*call = "aclrtGetLogicDevIdByPhyDevId";
		code = acl->aclrtGetLogicDevIdByPhyDevId(physical, &device);
	}
	*out = device;
	return code;
}

const char *ipcshare__ascend_link_to(const struct ascend_device *d, int physical)
{
	const char *call, *link = "?";
	struct ascend_entry entry;
	int other;

	if (physical == d->physical)
		return "";
	if (!d->acl->aclrtGetDevicesTopo || ipcshare__ascend_enter(d, "topology", &entry))
		return link;
	if (device_of(d->acl, physical, &other, &call))
		d->acl->aclGetRecentErrMsg();
	else
		link = ipcshare__ascend_link(d->acl, d->id, other);
	ipcshare__ascend_leave(d, &entry);
	return link;
}

int ipcshare__ascend_invisible(const struct acl *acl, int code, const char *stage, const char *call)
{
	ipcshare__acl_fail(acl, code, stage, call,
			   "the peer's device is not visible to this process: add it to "
			   "ASCEND_RT_VISIBLE_DEVICES, or to the container");
	return ipcshare__fail_as(IPCSHARE_ERR_UNREACHABLE);
}

static int unreachable(const struct ascend_device *d, int other)
{
	return ipcshare__fail(IPCSHARE_ERR_UNREACHABLE, "import",
			      "use devices that are linked (npu-smi info -t topo)",
			      "device %d can't reach device %d: CanAccessPeer says no, link %s",
			      d->id, other, ipcshare__ascend_link(d->acl, d->id, other));
}

/* What became of it: a code of @call, or 0 with *@can 0 if there is no link. */
static int enable(const struct ascend_device *d, int other, int32_t *can, const char **call)
{
	int code;

	if (same_chip(d->acl, d->id, other)) {
		if (d->acl->aclrtDeviceEnablePeerAccess(other, 0)) /* refused, or not: no matter */
			d->acl->aclGetRecentErrMsg();
		*can = 1;
		return ACL_OK;
	}
	*call = "aclrtDeviceCanAccessPeer";
	code = d->acl->aclrtDeviceCanAccessPeer(can, d->id, other);
	if (code || !*can)
		return code;
	*call = "aclrtDeviceEnablePeerAccess";
	return d->acl->aclrtDeviceEnablePeerAccess(other, 0);
}

static int enable_fail(const struct ascend_device *d, int code, const char *call)
{
	if (code == ACL_INVALID_DEVICEID)
		return ipcshare__ascend_invisible(d->acl, code, "import", call);
	if (code != ACL_MEMORY_ALLOCATION)
		return ipcshare__acl_fail(d->acl, code, "import", call,
					  "is the peer's device visible here, and healthy?");
	ipcshare__acl_fail(d->acl, code, "import", call,
			   "at most 32 processes may use one ordered pair of devices");
	return ipcshare__fail_as(IPCSHARE_ERR_LIMIT);
}

/*
 * Our direction is enabled. What about the other one? A runtime that has no call to ask: believe in
 * the peer. One that fails to answer: let the import enable both.
 */
static enum ascend_peer progress(const struct ascend_device *d, int other)
{
	int32_t status = 0;

	if (same_chip(d->acl, d->id, other) || !d->acl->aclrtDevicePeerAccessStatus)
		return ASCEND_PEER_BOTH;
	if (d->acl->aclrtDevicePeerAccessStatus(d->id, other, &status)) {
		d->acl->aclGetRecentErrMsg();
		return ASCEND_PEER_OURS;
	}
	return status ? ASCEND_PEER_BOTH : ASCEND_PEER_OURS;
}

static bool in_table(const struct ascend_device *d, int physical)
{
	return physical != d->physical && physical >= 0 && physical < ASCEND_DEVICES;
}

int ipcshare__ascend_reach(struct ascend_device *d, int physical, bool *complete)
{
	const char *call = "";
	int32_t can = 0;
	int other, code;

	*complete = physical >= 0;
	if (!in_table(d, physical) || d->peers[physical] == ASCEND_PEER_BOTH)
		return 0;
	code = device_of(d->acl, physical, &other, &call);
	if (code)
		return ipcshare__ascend_invisible(d->acl, code, "import", call);
	if (d->peers[physical] == ASCEND_PEER_UNKNOWN) {
		code = enable(d, other, &can, &call);
		if (code)
			return enable_fail(d, code, call);
		if (!can)
			return unreachable(d, other);
	}
	d->peers[physical] = progress(d, other);
	*complete = d->peers[physical] == ASCEND_PEER_BOTH;
	return 0;
}

void ipcshare__ascend_welcome(struct ascend_device *d, int physical)
{
	const char *call = "";
	int32_t can = 0;
	int other;

	if (!in_table(d, physical) || d->peers[physical] != ASCEND_PEER_UNKNOWN)
		return;
	if (device_of(d->acl, physical, &other, &call) || enable(d, other, &can, &call))
		d->acl->aclGetRecentErrMsg();
	else if (can)
		d->peers[physical] = ASCEND_PEER_OURS;
}

void ipcshare__ascend_completed(struct ascend_device *d, int physical)
{
	if (in_table(d, physical))
		d->peers[physical] = ASCEND_PEER_BOTH;
}
