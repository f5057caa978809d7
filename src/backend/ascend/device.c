/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/ascend/device.h"

#include <ctype.h>
#include <ipcshare.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

enum ascend_soc ipcshare__ascend_soc(const char *name)
{
	if (!name)
		return ASCEND_SOC_UNKNOWN;
	/* A bare Ascend910B is an old 910A. */
	if (!strncmp(name, "Ascend910B", 10) && isdigit((unsigned char)name[10]))
		return ASCEND_SOC_910B;
	if (!strncmp(name, "Ascend910_93", 12) && isdigit((unsigned char)name[12]))
		return ASCEND_SOC_910C;
	return ASCEND_SOC_UNKNOWN;
}

/* ---- Numbers of devices ---- */

static int physical_of(const struct acl *acl, int device, int *out)
{
	const char *call = "aclrtGetPhyDevIdByUserDevId";
	int32_t physical = device;
	int code = ACL_OK;

	/* The second one translates the user's id too, despite its name. */
	if (acl->aclrtGetPhyDevIdByUserDevId) {
		code = acl->aclrtGetPhyDevIdByUserDevId(device, &physical);
	} else if (acl->aclrtGetPhyDevIdByLogicDevId) {
		call = "aclrtGetPhyDevIdByLogicDevId";
		code = acl->aclrtGetPhyDevIdByLogicDevId(device, &physical);
	}
	if (code) /* a guess would name another device to the peers */
		return ipcshare__acl_fail(acl, code, "open", call, "");
	*out = physical;
	return 0;
}

/* -1 if the device isn't visible to this process. */
static int device_of(const struct acl *acl, int physical)
{
	int32_t device = -1;
	int code = ACL_OK;

	if (acl->aclrtGetUserDevIdByPhyDevId)
		code = acl->aclrtGetUserDevIdByPhyDevId(physical, &device);
	else if (acl->aclrtGetLogicDevIdByPhyDevId)
		code = acl->aclrtGetLogicDevIdByPhyDevId(physical, &device);
	else
		device = physical;
	return code == ACL_OK ? device : -1;
}

/* ---- Open ---- */

static int soc_check(const struct acl *acl, bool any_soc)
{
	const char *name = acl->aclrtGetSocName();

	if (any_soc || ipcshare__ascend_soc(name) != ASCEND_SOC_UNKNOWN)
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_NO_BACKEND, "open",
			      "IPCSHARE_ASCEND_ANY_SOC=1 tries it all the same",
			      "the device is %s, known are Ascend910B1 to B4 and Ascend910_93xx",
			      name ? name : "unknown");
}

static int device_check(const struct acl *acl, int device)
{
	uint32_t count = 0;
	int code = acl->aclrtGetDeviceCount(&count);

	if (code)
		return ipcshare__acl_fail(acl, code, "open", "aclrtGetDeviceCount",
					  "is the driver loaded, and are /dev/davinci* visible here?");
	if (device >= 0 && (uint32_t)device < count && device < ASCEND_DEVICES)
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_NO_BACKEND, "open",
			      "ASCEND_RT_VISIBLE_DEVICES limits what a process sees",
			      "device %d is asked for, there are %u", device, count);
}

/*
 * What several contexts of this process share: the runtime is initialised once and a device set once,
 * and undone when the last user goes, for either would take the memory of all others along.
 */
static struct {
	pthread_mutex_t lock;
	unsigned users;
	bool did_init; /* it was us who initialised it */
	struct {
		unsigned users;
		acl_handle context;
	} device[ASCEND_DEVICES]; /* that we have set, by this process's number */
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int runtime_init(struct ascend_device *d)
{
	int code = shared.users ? ACL_OK : d->acl->aclInit(NULL);

	if (code && code != ACL_REPEAT_INITIALIZE)
		return ipcshare__acl_fail(d->acl, code, "open", "aclInit",
					  "see ipcshare-info for what this machine offers");
	if (!shared.users++)
		shared.did_init = code == ACL_OK;
	d->did_init = true;
	return 0;
}

static void runtime_finish(const struct ascend_device *d)
{
	uint64_t left;

	if (!d->did_init || --shared.users || !shared.did_init || d->lost)
		return;
	/* The program may have initialised it after us: give up no more than our own reference. */
	if (d->acl->aclFinalizeReference)
		d->acl->aclFinalizeReference(&left);
	else
		d->acl->aclFinalize();
}

static int device_set(struct ascend_device *d)
{
	const struct acl *acl = d->acl;
	int code;

	if (shared.device[d->id].users) {
		d->context = shared.device[d->id].context;
		code = acl->aclrtSetCurrentContext(d->context);
		if (code)
			return ipcshare__acl_fail(acl, code, "open", "aclrtSetCurrentContext",
						  "was the device reset?");
	} else {
		code = acl->aclrtSetDevice(d->id);
		if (code)
			return ipcshare__acl_fail(acl, code, "open", "aclrtSetDevice",
						  "is the device free and healthy (npu-smi info)?");
		code = acl->aclrtGetCurrentContext(&d->context);
		if (code) {
			acl->aclrtResetDevice(d->id);
			return ipcshare__acl_fail(acl, code, "open", "aclrtGetCurrentContext", "");
		}
		shared.device[d->id].context = d->context;
	}
	shared.device[d->id].users++;
	d->did_set = true;
	return 0;
}

static void device_unset(const struct ascend_device *d)
{
	if (d->did_set && !--shared.device[d->id].users && !d->lost)
		d->acl->aclrtResetDevice(d->id);
}

/* The program may have chosen a device before; then its context serves us too. */
static int context_take(struct ascend_device *d, int wanted, acl_handle before)
{
	const struct acl *acl = d->acl;
	int32_t current = -1;
	int code = before ? acl->aclrtGetDevice(&current) : ACL_OK, err;

	if (code)
		return ipcshare__acl_fail(acl, code, "open", "aclrtGetDevice", "");
	d->id = wanted >= 0 ? wanted : current >= 0 ? current : 0;
	err = device_check(acl, d->id);
	if (err)
		return err;
	/* A context that we have set ourselves must not end while this one uses it. */
	if (!before || current != d->id ||
	    (shared.device[d->id].users && before == shared.device[d->id].context))
		return device_set(d);
	d->context = before;
	return 0;
}

/* The thread's context, NULL if it has none. */
static int context_now(const struct acl *acl, const char *stage, acl_handle *out)
{
	int code;

	*out = NULL;
	code = acl->aclrtGetCurrentContext(out);
	if (code == ACL_OK)
		return 0;
	*out = NULL;
	if (code == ACL_CONTEXT_NULL) {
		acl->aclGetRecentErrMsg(); /* no failure: nobody is to read of it later */
		return 0;
	}
	return ipcshare__acl_fail(acl, code, stage, "aclrtGetCurrentContext", "");
}

static int stream_new(struct ascend_device *d)
{
	int code = d->acl->aclrtCreateStream(&d->stream);

	if (!code)
		return 0;
	d->stream = NULL;
	return ipcshare__acl_fail(d->acl, code, "open", "aclrtCreateStream",
				  "a device has 1984 streams for all of its processes");
}

static void undo(struct ascend_device *d)
{
	if (d->stream && !d->lost)
		d->acl->aclrtDestroyStream(d->stream);
	device_unset(d);
	runtime_finish(d);
}

static int open_locked(struct ascend_device *d, int device, bool any_soc)
{
	acl_handle before = NULL;
	int err = runtime_init(d);

	if (!err)
		err = context_now(d->acl, "open", &before);
	if (!err)
		err = context_take(d, device, before);
	if (!err)
		err = soc_check(d->acl, any_soc);
	if (!err)
		err = physical_of(d->acl, d->id, &d->physical);
	if (!err)
		err = stream_new(d);
	if (err)
		undo(d);
	if (before)
		d->acl->aclrtSetCurrentContext(before);
	return err;
}

int ipcshare__ascend_device_open(const struct acl *acl, int device, bool any_soc,
				 struct ascend_device *out)
{
	int err;

	*out = (struct ascend_device){ .acl = acl, .pid = getpid() };
	pthread_mutex_lock(&shared.lock);
	err = open_locked(out, device, any_soc);
	pthread_mutex_unlock(&shared.lock);
	return err;
}

bool ipcshare__ascend_forked(const struct ascend_device *d)
{
	return d->pid != getpid();
}

void ipcshare__ascend_device_close(struct ascend_device *d)
{
	struct ascend_entry entry = { NULL };

	if (ipcshare__ascend_forked(d))
		return;
	/* A context that is gone took all with it that would be undone. */
	if (!d->lost && ipcshare__ascend_enter(d, "close", &entry))
		d->lost = true;
	pthread_mutex_lock(&shared.lock);
	undo(d);
	pthread_mutex_unlock(&shared.lock);
	if (!d->lost)
		ipcshare__ascend_leave(d, &entry);
}

int ipcshare__ascend_enter(const struct ascend_device *d, const char *stage,
			   struct ascend_entry *entry)
{
	int code, err;

	err = context_now(d->acl, stage, &entry->before);
	if (err || entry->before == d->context)
		return err;
	code = d->acl->aclrtSetCurrentContext(d->context);
	return code ? ipcshare__acl_fail(d->acl, code, stage, "aclrtSetCurrentContext",
					 "was the device reset, or the context destroyed?")
		    : 0;
}

void ipcshare__ascend_leave(const struct ascend_device *d, const struct ascend_entry *entry)
{
	if (entry->before && entry->before != d->context)
		d->acl->aclrtSetCurrentContext(entry->before);
}

/* ---- Other devices ---- */

static uint64_t topo_of(const struct acl *acl, int device, int other)
{
	uint64_t bits = 0;

	if (acl->aclrtGetDevicesTopo)
		acl->aclrtGetDevicesTopo((uint32_t)device, (uint32_t)other, &bits);
	return bits;
}

const char *ipcshare__ascend_link(const struct acl *acl, int device, int other)
{
	uint64_t bits = topo_of(acl, device, other);

	if (bits & ACL_TOPO_SIO)
		return "SIO";
	if (bits & (ACL_TOPO_HCCS | ACL_TOPO_HCCS_SW))
		return "HCCS";
	return bits ? "PCIe" : "none";
}

/* Two dies of one chip reach each other without being asked to; the driver refuses to be. */
static bool same_chip(const struct acl *acl, int device, int other)
{
	int64_t a = -1, b = -2;

	if (topo_of(acl, device, other) & ACL_TOPO_SIO)
		return true;
	if (!acl->aclrtGetDeviceInfo ||
	    acl->aclrtGetDeviceInfo((uint32_t)device, ACL_DEV_ATTR_PHY_CHIP_ID, &a) ||
	    acl->aclrtGetDeviceInfo((uint32_t)other, ACL_DEV_ATTR_PHY_CHIP_ID, &b))
		return false;
	return a == b && ipcshare__ascend_soc(acl->aclrtGetSocName()) == ASCEND_SOC_910C;
}

static int unreachable(const struct ascend_device *d, int other)
{
	return ipcshare__fail(IPCSHARE_ERR_UNREACHABLE, "import",
			      "use devices that are linked (npu-smi info -t topo)",
			      "device %d can't reach device %d: link %s", d->id, other,
			      ipcshare__ascend_link(d->acl, d->id, other));
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
	if (code != ACL_MEMORY_ALLOCATION)
		return ipcshare__acl_fail(d->acl, code, "import", call,
					  "is the peer's device visible here, and healthy?");
	ipcshare__acl_fail(d->acl, code, "import", call,
			   "at most 32 processes may use one ordered pair of devices");
	return ipcshare__fail_as(IPCSHARE_ERR_LIMIT);
}

/* Our direction is enabled. What about the other one? Where nobody can tell, believe in the peer. */
static enum ascend_peer progress(const struct ascend_device *d, int other)
{
	int32_t status = 0;

	if (same_chip(d->acl, d->id, other) || !d->acl->aclrtDevicePeerAccessStatus)
		return ASCEND_PEER_BOTH;
	if (d->acl->aclrtDevicePeerAccessStatus(d->id, other, &status)) {
		d->acl->aclGetRecentErrMsg();
		return ASCEND_PEER_BOTH;
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
	other = device_of(d->acl, physical);
	if (other < 0)
		return ipcshare__fail(IPCSHARE_ERR_UNREACHABLE, "import",
				      "add the peer's device to ASCEND_RT_VISIBLE_DEVICES, or to the "
				      "container",
				      "physical device %d is not visible to this process", physical);
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
	other = device_of(d->acl, physical);
	if (other < 0 || enable(d, other, &can, &call))
		d->acl->aclGetRecentErrMsg();
	else if (can)
		d->peers[physical] = ASCEND_PEER_OURS;
}

void ipcshare__ascend_completed(struct ascend_device *d, int physical)
{
	if (in_table(d, physical))
		d->peers[physical] = ASCEND_PEER_BOTH;
}
