/* SPDX-License-Identifier: BSD-3-Clause */
/* aclInit and its kin, versions, and the process's identity. */
#include <stdio.h>
#include <string.h>

#include "context.h"
#include "emu_control.h"
#include "table.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t references;

bool emu_initialised(void)
{
	bool yes;

	pthread_mutex_lock(&lock);
	yes = references;
	pthread_mutex_unlock(&lock);
	return yes;
}

aclError aclInit(const char *config)
{
	bool first;

	ENTER(aclInit);
	(void)config;
	NEED_MACHINE();
	pthread_mutex_lock(&lock);
	first = !references++;
	pthread_mutex_unlock(&lock);
	return first ? 0 : emu_fail(ACL_ERROR_REPEAT_INITIALIZE, "initialised before");
}

/* References left, or -1 when it is down already. */
static int64_t finalize(bool at_once)
{
	int64_t left = -1;

	pthread_mutex_lock(&lock);
	if (references) {
		references = at_once ? 0 : references - 1;
		left = (int64_t)references;
	}
	pthread_mutex_unlock(&lock);
	if (!left)
		emu_context_detach_all();
	return left;
}

aclError aclFinalize(void)
{
	ENTER(aclFinalize);
	return finalize(true) < 0 ? emu_fail(ACL_ERROR_REPEAT_FINALIZE, "not initialised") : 0;
}

aclError aclFinalizeReference(uint64_t *count)
{
	int64_t left;

	ENTER(aclFinalizeReference);
	left = finalize(false);
	if (left < 0)
		return emu_fail(ACL_ERROR_REPEAT_FINALIZE, "not initialised");
	if (count)
		*count = (uint64_t)left;
	return 0;
}

aclError aclrtGetVersion(int32_t *major, int32_t *minor, int32_t *patch)
{
	ENTER(aclrtGetVersion);
	if (!major || !minor || !patch)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	*major = 1;
	*minor = emu_settings()->release < EMU_9_0_0 ? 16 : 17;
	*patch = 0;
	return 0;
}

const char *ascendclEmuRelease(void)
{
	return emu_settings()->release_name;
}

/* The head of the sources that the contract was read from calls itself 9.1.0. */
static const char *version(void)
{
	return emu_settings()->release == EMU_HEAD ? "9.1.0" : emu_settings()->release_name;
}

aclError aclsysGetVersionStr(char *pkg, char *out)
{
	ENTER(aclsysGetVersionStr);
	if (!pkg || !out)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	snprintf(out, 128, "%s", version());	/* the real one's buffer: 128 bytes */
	return 0;
}

aclError aclsysGetVersionNum(char *pkg, int32_t *num)
{
	int major = 0, minor = 0, patch = 0;

	ENTER(aclsysGetVersionNum);
	if (!pkg || !num)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	sscanf(version(), "%d.%d.%d", &major, &minor, &patch);
	*num = major * 10000000 + minor * 100000 + patch * 1000;
	return 0;
}

/* Deprecated, but still what some programs ask. All packages are of one release here. */
aclError aclsysGetCANNVersion(aclCANNPackageName name, aclCANNPackageVersion *out)
{
	ENTER(aclsysGetCANNVersion);
	if (!out || (unsigned)name > ACL_PKG_NAME_DRIVER)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL, or package %d", (int)name);
	memset(out, 0, sizeof(*out));
	snprintf(out->version, sizeof(out->version), "%s", version());
	sscanf(version(), "%63[^.].%63[^.].%63[^-.]%*[-.]%63s", out->majorVersion,
	       out->minorVersion, out->releaseVersion, out->patchVersion);
	return 0;
}

/* A failed ioctl leaves -1 behind a success, as in the real runtime. */
aclError aclrtDeviceGetBareTgid(int32_t *pid)
{
	ENTER(aclrtDeviceGetBareTgid);
	if (!pid)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_MACHINE();
	*pid = emu_settings()->bare_tgid < 0 ? -1 : emu_bare_pid();
	return 0;
}
