/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/ascend/device.h"

#include <ctype.h>
#include <ipcshare.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

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

/* ---- Open ---- */

int ipcshare__ascend_soc_check(const char *name, const char *stage, bool any_soc)
{
	if (any_soc || ipcshare__ascend_soc(name) != ASCEND_SOC_UNKNOWN)
		return 0;
	if (!name)
		return ipcshare__fail(IPCSHARE_ERR_NO_BACKEND, stage,
				      "is the driver loaded (npu-smi info)?",
				      "the runtime can't name the device");
	return ipcshare__fail(IPCSHARE_ERR_NO_BACKEND, stage,
			      "IPCSHARE_ASCEND_ANY_SOC=1 tries it all the same",
			      "the device is %s, known are Ascend910B1 to B4 and Ascend910_93xx",
			      name);
}

static int device_check(const struct acl *acl, int device)
{
	uint32_t count = 0;
	int code = acl->aclrtGetDeviceCount(&count);

	if (code)
		return ipcshare__acl_fail(
			acl, code, "open", "aclrtGetDeviceCount",
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
	bool did_init; /* it was us who initialised it, and it is up still */
	struct {
		unsigned users;
		acl_handle context;
	} device[ASCEND_DEVICES]; /* that we have set, by this process's number */
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* One reference to the runtime for all our contexts; the program may have taken others. */
static int runtime_init(struct ascend_device *d)
{
	int code = shared.users ? ACL_OK : d->acl->aclInit(NULL);

	if (code == ACL_REPEAT_INITIALIZE) /* which counts all the same */
		d->acl->aclGetRecentErrMsg();
	else if (code)
		return ipcshare__acl_fail(d->acl, code, "open", "aclInit",
					  "see ipcshare-info for what this machine offers");
	else if (!shared.users)
		shared.did_init = true;
	shared.users++;
	d->did_init = true;
	return 0;
}

/*
 * Without the call that gives up one reference there is only the end of everything, for everybody:
 * that is for a close, and where the runtime was not up before us.
 */
static void runtime_finish(const struct ascend_device *d, bool closing)
{
	uint64_t left;

	if (!d->did_init || --shared.users || d->lost)
		return;
	if (d->acl->aclFinalizeReference)
		d->acl->aclFinalizeReference(&left);
	else if (closing && shared.did_init)
		d->acl->aclFinalize();
	else
		return;
	shared.did_init = false;
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

static void undo(struct ascend_device *d, bool closing)
{
	if (d->stream && !d->lost)
		d->acl->aclrtDestroyStream(d->stream);
	device_unset(d);
	runtime_finish(d, closing);
}

/* The program must not go on in another context than it believes to be in. */
static int context_back(const struct acl *acl, acl_handle before)
{
	int code = before ? acl->aclrtSetCurrentContext(before) : ACL_OK;

	return code ? ipcshare__acl_fail(acl, code, "open", "aclrtSetCurrentContext",
					 "was the program's context destroyed meanwhile?")
		    : 0;
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
		err = ipcshare__ascend_soc_check(d->acl->aclrtGetSocName(), "open", any_soc);
	if (!err)
		err = physical_of(d->acl, d->id, &d->physical);
	if (!err)
		err = stream_new(d);
	if (!err)
		err = context_back(d->acl, before);
	if (!err)
		return 0;
	undo(d, false);
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
	struct ascend_entry entry = { .mode = -1 };

	if (ipcshare__ascend_forked(d))
		return;
	/* A context that is gone took all with it that would be undone. */
	if (!d->lost && ipcshare__ascend_enter(d, "close", &entry))
		d->lost = true;
	pthread_mutex_lock(&shared.lock);
	undo(d, true);
	pthread_mutex_unlock(&shared.lock);
	if (!d->lost)
		ipcshare__ascend_leave(d, &entry);
}

/* The mode it had; -1 if this can't be changed: then copies inside a capture fail, and say why. */
static int32_t mode_relax(const struct acl *acl)
{
	int32_t mode = ACL_CAPTURE_RELAXED;

	if (!acl->aclmdlRICaptureThreadExchangeMode)
		return -1;
	if (!acl->aclmdlRICaptureThreadExchangeMode(&mode))
		return mode;
	acl->aclGetRecentErrMsg();
	return -1;
}

int ipcshare__ascend_enter(const struct ascend_device *d, const char *stage,
			   struct ascend_entry *entry)
{
	int code = ACL_OK, err;

	entry->mode = -1;
	err = context_now(d->acl, stage, &entry->before);
	if (err)
		return err;
	if (entry->before != d->context)
		code = d->acl->aclrtSetCurrentContext(d->context);
	if (code)
		return ipcshare__acl_fail(d->acl, code, stage, "aclrtSetCurrentContext",
					  "was the device reset, or the context destroyed?");
	entry->mode = mode_relax(d->acl);
	return 0;
}

/* What was to be done is done by now, so a thread that can't be put back is only told of. */
static void left(const struct acl *acl, int code, const char *call)
{
	if (!code)
		return;
	acl->aclGetRecentErrMsg();
	ipcshare__log(IPCSHARE__LOG_WARN, "the thread stays as it is: %s returned %d (%s)", call,
		      code, ipcshare__acl_name(code));
}

void ipcshare__ascend_leave(const struct ascend_device *d, const struct ascend_entry *entry)
{
	int32_t mode = entry->mode;

	if (mode >= 0)
		left(d->acl, d->acl->aclmdlRICaptureThreadExchangeMode(&mode),
		     "aclmdlRICaptureThreadExchangeMode");
	if (entry->before && entry->before != d->context)
		left(d->acl, d->acl->aclrtSetCurrentContext(entry->before),
		     "aclrtSetCurrentContext");
}
