/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/ascend/acl.h"

#include <dlfcn.h>
#include <ipcshare.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

/* ---- Load ---- */

static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;
static struct acl loaded;

static const char *const usual_names[] = { "libascendcl.so", "libacl_rt.so", NULL };

static void *open_library(const char *path, char *why, size_t len)
{
	void *library = NULL;

	if (path[0])
		library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	for (int i = 0; !path[0] && usual_names[i] && !library; i++)
		library = dlopen(usual_names[i], RTLD_NOW | RTLD_LOCAL);
	if (!library)
		snprintf(why, len, "%s", dlerror());
	return library;
}

/* dlsym() gives an object pointer; POSIX has it converted through memory. */
static int resolve(void *library, const char *name, void *slot)
{
	void *symbol = dlsym(library, name);

	memcpy(slot, &symbol, sizeof(symbol));
	return symbol != NULL;
}

/* The name of a symbol that is needed and missing; NULL if all are there. */
static const char *resolve_all(void *library, struct acl *acl)
{
	const char *missing = NULL;

	acl->library = library;
	if (!resolve(library, "aclGetRecentErrMsg", &acl->aclGetRecentErrMsg))
		missing = "aclGetRecentErrMsg";
	if (!resolve(library, "aclrtGetSocName", &acl->aclrtGetSocName))
		missing = "aclrtGetSocName";
#define RESOLVE(needed, name, arguments)                                                           \
	if (!resolve(library, #name, &acl->name) && needed)                                        \
		missing = #name;
	ACL_CALLS(RESOLVE)
#undef RESOLVE
	return missing;
}

static int load(const char *path)
{
	char why[160] = "";
	struct acl acl = { 0 };
	void *library = open_library(path, why, sizeof(why));
	const char *missing;

	if (!library)
		return ipcshare__fail(
			IPCSHARE_ERR_NO_BACKEND, "probe",
			"install CANN and source its set_env.sh, or name the library in "
			"IPCSHARE_ACL_LIB",
			"no Ascend runtime: %s", why);
	missing = resolve_all(library, &acl);
	if (missing) {
		dlclose(library);
		return ipcshare__fail(IPCSHARE_ERR_NO_BACKEND, "probe",
				      "it needs CANN 8.5 or newer", "the Ascend runtime lacks %s",
				      missing);
	}
	loaded = acl;
	return 0;
}

const struct acl *ipcshare__acl_load(const char *path)
{
	int err = 0;

	pthread_mutex_lock(&load_lock);
	if (!loaded.library)
		err = load(path);
	pthread_mutex_unlock(&load_lock);
	return err ? NULL : &loaded;
}

const char *ipcshare__acl_emulator(const struct acl *acl)
{
	const char *(*release)(void);

	return resolve(acl->library, "ascendclEmuRelease", &release) ? release() : NULL;
}

/* ---- Codes ---- */

struct code {
	int code;
	int status;
	const char *name;
};

static const struct code codes[] = {
	{ 100000, IPCSHARE_ERR_INVALID, "INVALID_PARAM" },
	{ 100001, IPCSHARE_ERR_NO_BACKEND, "UNINITIALIZE" },
	{ 100002, IPCSHARE_ERR_SYSTEM, "REPEAT_INITIALIZE" },
	{ 100037, IPCSHARE_ERR_SYSTEM, "REPEAT_FINALIZE" },
	{ 107000, IPCSHARE_ERR_INVALID, "RT_PARAM_INVALID" },
	{ 107001, IPCSHARE_ERR_INVALID, "RT_INVALID_DEVICEID" },
	{ 107002, IPCSHARE_ERR_NO_BACKEND, "RT_CONTEXT_NULL" },
	{ 107003, IPCSHARE_ERR_INVALID, "RT_STREAM_CONTEXT" },
	{ 107008, IPCSHARE_ERR_INVALID, "RT_ADDR_UNALIGNED" },
	{ 107016, IPCSHARE_ERR_INVALID, "RT_INVALID_MEMORY_TYPE" },
	{ 107017, IPCSHARE_ERR_STALE, "RT_INVALID_HANDLE" },
	{ 107019, IPCSHARE_ERR_TIMEOUT, "RT_WAIT_TIMEOUT" },
	{ 107020, IPCSHARE_ERR_TIMEOUT, "RT_TASK_TIMEOUT" },
	{ 107022, IPCSHARE_ERR_SYSTEM, "RT_STREAM_ABORT" },
	{ 107023, IPCSHARE_ERR_SYSTEM, "RT_DEVICE_ABORT" },
	{ 107024, IPCSHARE_ERR_BUSY, "RT_CAPTURE_DEPENDENCY" },
	{ 107025, IPCSHARE_ERR_BUSY, "RT_STREAM_UNJOINED" },
	{ 107026, IPCSHARE_ERR_BUSY, "RT_MODEL_CAPTURED" },
	{ 107027, IPCSHARE_ERR_BUSY, "RT_STREAM_CAPTURED" },
	{ 107028, IPCSHARE_ERR_BUSY, "RT_EVENT_CAPTURED" },
	{ 107029, IPCSHARE_ERR_INVALID, "RT_STREAM_NOT_CAPTURED" },
	{ 107030, IPCSHARE_ERR_BUSY, "RT_CAPTURE_MODE" },
	{ 107031, IPCSHARE_ERR_BUSY, "RT_CAPTURE_IMPLICIT" },
	{ 107036, IPCSHARE_ERR_BUSY, "RT_CAPTURE_UNMATCHED" },
	{ 107037, IPCSHARE_ERR_BUSY, "RT_MODEL_RUNNING" },
	{ 107038, IPCSHARE_ERR_BUSY, "RT_CAPTURE_WRONG_THREAD" },
	{ 107041, IPCSHARE_ERR_BUSY, "RT_CAPTURE_MODE_BLOCK_ASYNC" },
	{ 200000, IPCSHARE_ERR_NO_MEMORY, "BAD_ALLOC" },
	{ 200006, IPCSHARE_ERR_UNSUPPORTED, "FEATURE_UNSUPPORTED" },
	{ 207000, IPCSHARE_ERR_UNSUPPORTED, "RT_FEATURE_NOT_SUPPORT" },
	{ 207001, IPCSHARE_ERR_NO_MEMORY, "RT_MEMORY_ALLOCATION" },
	{ 207004, IPCSHARE_ERR_NO_BACKEND, "RT_NO_DEVICE" },
	{ 207005, IPCSHARE_ERR_LIMIT, "RT_RESOURCE_ALLOC_FAIL" },
	{ 207006, IPCSHARE_ERR_NOT_ALLOWED, "RT_NO_PERMISSION" },
	{ 207007, IPCSHARE_ERR_LIMIT, "RT_NO_EVENT_RESOURCE" },
	{ 207008, IPCSHARE_ERR_LIMIT, "RT_NO_STREAM_RESOURCE" },
	{ 207009, IPCSHARE_ERR_LIMIT, "RT_NO_NOTIFY_RESOURCE" },
	{ 207012, IPCSHARE_ERR_LIMIT, "RT_OVER_LIMIT" },
	{ 207018, IPCSHARE_ERR_NO_MEMORY, "RT_DEVICE_OOM" },
	{ 207020, IPCSHARE_ERR_TIMEOUT, "RT_TIMEOUT" },
	{ 207021, IPCSHARE_ERR_UNSUPPORTED, "RT_LINK_TYPE_NOT_SUPPORTED" },
	{ 500000, IPCSHARE_ERR_SYSTEM, "INTERNAL_ERROR" },
	{ 507000, IPCSHARE_ERR_SYSTEM, "RT_INTERNAL_ERROR" },
	{ 507001, IPCSHARE_ERR_SYSTEM, "RT_TS_ERROR" },
	{ 507002, IPCSHARE_ERR_LIMIT, "RT_STREAM_TASK_FULL" },
	{ 507009, IPCSHARE_ERR_UNSUPPORTED, "RT_TASK_TYPE_NOT_SUPPORT" },
	{ 507010, IPCSHARE_ERR_NO_BACKEND, "RT_LOST_HEARTBEAT" },
	{ 507011, IPCSHARE_ERR_SYSTEM, "RT_MODEL_EXECUTE" },
	{ 507013, IPCSHARE_ERR_SYSTEM, "RT_SYS_DMA" },
	{ 507015, IPCSHARE_ERR_SYSTEM, "RT_AICORE_EXCEPTION" },
	{ 507022, IPCSHARE_ERR_SYSTEM, "RT_IPC_ERROR" },
	{ 507033, IPCSHARE_ERR_NO_BACKEND, "RT_DEV_SETUP_ERROR" },
	{ 507035, IPCSHARE_ERR_SYSTEM, "RT_VECTOR_CORE_EXCEPTION" },
	{ 507046, IPCSHARE_ERR_TIMEOUT, "RT_STREAM_SYNC_TIMEOUT" },
	{ 507047, IPCSHARE_ERR_TIMEOUT, "RT_EVENT_SYNC_TIMEOUT" },
	{ 507053, IPCSHARE_ERR_SYSTEM, "RT_DEVICE_MEM_ERROR" },
	{ 507056, IPCSHARE_ERR_SYSTEM, "RT_LINK_ERROR" },
	{ 507057, IPCSHARE_ERR_SYSTEM, "RT_SUSPECT_REMOTE_ERROR" },
	{ 507899, IPCSHARE_ERR_SYSTEM, "RT_DRV_INTERNAL_ERROR" },
	{ 507901, IPCSHARE_ERR_SYSTEM, "RT_SOCKET_CLOSE" },
	{ 507903, IPCSHARE_ERR_BUSY, "RT_STREAM_CAPTURE_INVALIDATED" },
};

static const struct code *code_find(int code)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].code == code)
			return &codes[i];
	return NULL;
}

const char *ipcshare__acl_name(int code)
{
	const struct code *c = code_find(code);

	return c ? c->name : "unknown code";
}

int ipcshare__acl_fail(const struct acl *acl, int code, const char *stage, const char *call,
		       const char *hint)
{
	const struct code *c = code_find(code);
	const char *message = acl->aclGetRecentErrMsg(); /* of this thread; NULL if there is none */
	int status = c ? c->status : IPCSHARE_ERR_SYSTEM;

	ipcshare__fail(status, stage, hint, "%s returned %d (%s)%s%.120s", call, code,
		       ipcshare__acl_name(code), message ? ": " : "", message ? message : "");
	ipcshare__fail_code(code);
	return status;
}
