/* SPDX-License-Identifier: BSD-3-Clause */
/* The doctor's checks of devices: contexts, links, and a page that is exported as a share would. */
#include <stdio.h>
#include <string.h>

#include "backend/ascend/examine.h"

static void try_whole(struct ascend_report *r)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_WHOLE];

	int64_t is_virtual = 0;

	say(f, OK, "", "no device is a virtual instance");
	for (int d = 0; d < r->ndevices; d++) {
		if (!r->acl->aclrtGetDeviceInfo ||
		    r->acl->aclrtGetDeviceInfo((uint32_t)d, ACL_DEV_ATTR_IS_VIRTUAL, &is_virtual)) {
			say(f, UNKNOWN, "", "the runtime does not say whether device %d is one", d);
			return;
		}
		if (is_virtual) {
			say(f, FAILED, "use whole devices",
			    "device %d is a virtual instance: those can't share memory", d);
			return;
		}
	}
}

/* ---- Contexts ---- */

struct caller {
	acl_handle context; /* NULL: the thread had none */
};

static struct caller caller_save(const struct acl *acl)
{
	struct caller caller = { NULL };

	if (acl->aclrtGetCurrentContext(&caller.context)) {
		caller.context = NULL;
		acl->aclGetRecentErrMsg(); /* expected: not the text of a later failure */
	}
	return caller;
}

static void caller_restore(const struct acl *acl, struct caller caller)
{
	if (caller.context)
		acl->aclrtSetCurrentContext(caller.context);
}

/* A context, made and given back as the backend does. The code and the call that failed. */
static int try_context(const struct acl *acl, int device, const char **call)
{
	acl_handle context;
	int code, reset;

	*call = "aclrtSetDevice";
	code = acl->aclrtSetDevice(device);
	if (code)
		return code;
	*call = "aclrtGetCurrentContext";
	code = acl->aclrtGetCurrentContext(&context);
	reset = acl->aclrtResetDevice(device);
	if (!code)
		*call = "aclrtResetDevice";
	return code ?: reset;
}

static void note_bad_device(struct ascend_report *r, int device, int code, const char *call,
			    int *nbad)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_CONTEXTS];
	char why[sizeof(f->detail)];

	if ((*nbad)++) { /* the first is described */
		append(f->detail, sizeof(f->detail), "; device %d too", device);
		return;
	}
	refused(r->acl, f, LIMITED, code, call,
		"is the device healthy and not taken by another container (npu-smi info)?");
	snprintf(why, sizeof(why), "%s", f->detail);
	snprintf(f->detail, sizeof(f->detail), "device %d: %.180s", device, why);
}

/* The first device that works; -1 if none does. */
static int try_contexts(struct ascend_report *r)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_CONTEXTS];
	struct caller caller = caller_save(r->acl);
	int nbad = 0, first = -1;
	const char *call;

	for (int d = 0; d < r->ndevices; d++) {
		int code = try_context(r->acl, d, &call);

		if (code)
			note_bad_device(r, d, code, call, &nbad);
		else if (first < 0)
			first = d;
	}
	caller_restore(r->acl, caller);
	if (!nbad)
		say(f, OK, "", "made on %s, and given back",
		    r->ndevices == 1 ? "the device" : "each device");
	else if (first < 0)
		f->verdict = IPCSHARE__VERDICT_FAILED;
	return first;
}

/* ---- Links ---- */

static bool same_chip(const struct acl *acl, const char *soc, int a, int b)
{
	int64_t chip_a = -1, chip_b = -2;

	return ipcshare__ascend_soc(soc) == ASCEND_SOC_910C && acl->aclrtGetDeviceInfo &&
	       !acl->aclrtGetDeviceInfo((uint32_t)a, ACL_DEV_ATTR_PHY_CHIP_ID, &chip_a) &&
	       !acl->aclrtGetDeviceInfo((uint32_t)b, ACL_DEV_ATTR_PHY_CHIP_ID, &chip_b) &&
	       chip_a == chip_b;
}

/* Between the dies of a chip CanAccessPeer may say no, and copies work all the same. */
static bool reaches(const struct ascend_report *r, int a, int b)
{
	return r->links[a][b].can == 1 || !strcmp(r->links[a][b].name, "SIO") ||
	       same_chip(r->acl, r->soc, a, b);
}

static void look_at_link(struct ascend_report *r, int a, int b)
{
	struct ascend_report_link *link = &r->links[a][b];
	int32_t can = 0;

	link->name = r->acl->aclrtGetDevicesTopo ? ipcshare__ascend_link(r->acl, a, b) : "?";
	link->can = r->acl->aclrtDeviceCanAccessPeer(&can, a, b) ? -1 : can != 0;
}

static void try_links(struct ascend_report *r)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_LINKS];
	char bad[128] = "";
	int nbad = 0;

	for (int a = 0; a < r->ndevices; a++)
		for (int b = 0; b < r->ndevices; b++)
			if (a != b)
				look_at_link(r, a, b);
	for (int a = 0; a < r->ndevices; a++)
		for (int b = a + 1; b < r->ndevices; b++)
			if (!reaches(r, a, b) || !reaches(r, b, a))
				append(bad, sizeof(bad), "%s%d-%d", nbad++ ? ", " : "", a, b);
	r->acl->aclGetRecentErrMsg();
	if (r->ndevices == 1)
		say(f, OK, "", "one device: none is needed");
	else if (!nbad)
		say(f, OK, "", "every device reaches every other");
	else
		say(f, LIMITED, "put ranks that share on devices that are linked",
		    "%d pair%s of devices can't reach each other: %.100s%s", nbad,
		    nbad == 1 ? "" : "s", bad, strlen(bad) > 100 ? " ..." : "");
}

/* ---- A small share ---- */

/*
 * Somebody other than ourselves has to be named, for our own id is skipped; the first process of
 * the machine always exists. It can't learn the key, and the page is empty and gone at once.
 */
static void try_whitelist(struct ascend_report *r, const char *key)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_WHITELIST];
	int32_t pid = r->tgid == 1 ? 2 : 1;
	int code = r->acl->aclrtIpcMemSetImportPid(key, &pid, 1);

	if (code)
		refused(r->acl, f, FAILED, code, "aclrtIpcMemSetImportPid",
			"update driver and CANN");
	else
		say(f, OK, "", "taken; up to %d processes go in one call", ACL_IPC_PIDS_PER_CALL);
}

static void try_export(struct ascend_report *r, void *page)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_EXPORT];
	char key[ACL_KEY_SIZE];
	int code = r->acl->aclrtIpcMemGetExportKey(page, ACL_PAGE, key, sizeof(key), 0);

	if (code) {
		refused(r->acl, f, FAILED, code, "aclrtIpcMemGetExportKey",
			"update driver and CANN; virtual instances can't share");
		return;
	}
	say(f, OK, "", "a page of device memory gets a key");
	try_whitelist(r, key);
	f = &r->findings[ASCEND_FINDING_CLOSE];
	code = r->acl->aclrtIpcMemClose(key);
	if (code)
		refused(r->acl, f, FAILED, code, "aclrtIpcMemClose", "update driver and CANN");
	else
		say(f, OK, "", "the key is closed");
}

/* Old drivers lack what the flag needs, and keep the key then until the process ends. */
static void try_open_export(struct ascend_report *r, void *page)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_OPEN];
	char key[ACL_KEY_SIZE];
	int code = r->acl->aclrtIpcMemGetExportKey(page, ACL_PAGE, key, sizeof(key),
						   ACL_IPC_EXPORT_NO_WHITELIST);

	if (code) {
		refused(r->acl, f, LIMITED, code, "aclrtIpcMemGetExportKey",
			"update the driver; only IPCSHARE_SHARE_OPEN needs it");
		return;
	}
	r->acl->aclrtIpcMemClose(key);
	say(f, OK, "", "IPCSHARE_SHARE_OPEN works");
}

static void try_range(struct ascend_report *r, char *page)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_RANGE];
	void *base = NULL;
	size_t size = 0;
	int code;

	if (!r->acl->aclrtMemGetAddressRange) {
		say(f, LIMITED, "update to CANN 9.0, or register from the first byte",
		    "before CANN 9.0: ipcshare_register() can't find where an allocation begins");
		return;
	}
	code = r->acl->aclrtMemGetAddressRange(page + 64, &base, &size);
	if (code)
		refused(r->acl, f, LIMITED, code, "aclrtMemGetAddressRange",
			"register memory from its first byte; ipcshare_alloc() is not concerned");
	else if (base != page || size < ACL_PAGE)
		say(f, LIMITED, "register memory from its first byte",
		    "a page at %p is said to be %zu bytes at %p", (void *)page, size, base);
	else
		say(f, OK, "", "any part of an allocation can be registered");
}

static void try_share(struct ascend_report *r, int device)
{
	const struct acl *acl = r->acl;
	struct caller caller = caller_save(acl);
	void *page = NULL;
	int code;

	ipcshare__ascend_skip_rest(r, ASCEND_FINDING_CONTEXTS, "the step before failed");
	if (acl->aclrtSetDevice(device))
		return;
	code = acl->aclrtMallocAlign32(&page, ACL_PAGE, ACL_MEM_MALLOC_HUGE_FIRST);
	if (!code) {
		acl->aclrtMemset(page, ACL_PAGE, 0, ACL_PAGE);
		try_export(r, page);
		if (r->findings[ASCEND_FINDING_EXPORT].verdict == IPCSHARE__VERDICT_OK)
			try_open_export(r, page);
		try_range(r, page);
		acl->aclrtFree(page);
	} else {
		refused(acl, &r->findings[ASCEND_FINDING_EXPORT], FAILED, code,
			"aclrtMallocAlign32", "free memory of the device");
	}
	acl->aclrtResetDevice(device);
	caller_restore(acl, caller);
}

/* ---- All of it ---- */

void ipcshare__ascend_examine_devices(struct ascend_report *r)
{
	int device;

	try_whole(r);
	try_links(r);
	ipcshare__ascend_skip_rest(r, ASCEND_FINDING_CONTEXTS, "no context");
	device = try_contexts(r);
	if (device >= 0)
		try_share(r, device);
}
