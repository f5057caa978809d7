/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every check is one function that fills one finding, in the order of ASCEND_FINDINGS; where one
 * makes the next ones pointless, those stay "not tried" and say why. Calls that the backend itself
 * does not make are looked up here.
 */
#include "backend/ascend/doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/ascend/examine.h"
#include "base/error.h"

void ipcshare__ascend_refused(const struct acl *acl, struct ipcshare__finding *f,
			      enum ipcshare__verdict verdict, int code, const char *call,
			      const char *remedy)
{
	ipcshare__acl_fail(acl, code, "doctor", call, remedy);
	ipcshare__finding_set(f, verdict, remedy, "%s", ipcshare_last_error()->text);
}

void ipcshare__ascend_skip_rest(struct ascend_report *r, int after, const char *why)
{
	for (int i = after + 1; i < ASCEND_FINDING_COUNT; i++) {
		say(&r->findings[i], UNKNOWN, "", "not tried: %s", why);
		r->findings[i].skipped = 1;
	}
}

/* ---- Device nodes ---- */

/* "davinci0", not "davinci_manager" */
static bool is_device_node(const char *name)
{
	return !strncmp(name, "davinci", 7) && isdigit((unsigned char)name[7]);
}

struct nodes {
	char path[300]; /* of the last that was looked at */
	int devices; /* usable /dev/davinciN */
	int denied; /* errno of the first node that is there and can't be used */
	char which[64]; /* its name */
	char missing[96]; /* names */
};

static bool node_is_usable(struct nodes *n, const char *dev, const char *name)
{
	snprintf(n->path, sizeof(n->path), "%s/%s", dev, name);
	if (access(n->path, R_OK | W_OK) == 0)
		return true;
	if (errno != ENOENT && !n->denied) {
		n->denied = errno;
		snprintf(n->which, sizeof(n->which), "%s", name);
	} else if (errno == ENOENT) {
		append(n->missing, sizeof(n->missing), "%s%s", n->missing[0] ? ", " : "", name);
	}
	return false;
}

static void nodes_of_devices(struct nodes *n, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (is_device_node(entry->d_name))
			n->devices += node_is_usable(n, path, entry->d_name);
	if (dir)
		closedir(dir);
}

/* The driver's own nodes; a container is given each one by name. */
void ipcshare__ascend_nodes(const char *dev, struct ipcshare__finding *out)
{
	struct nodes n = { .devices = 0 };

	nodes_of_devices(&n, dev);
	if (!n.devices && !n.denied)
		snprintf(n.missing, sizeof(n.missing), "davinci0 and so on");
	node_is_usable(&n, dev, "davinci_manager");
	node_is_usable(&n, dev, "devmm_svm");
	node_is_usable(&n, dev, "hisi_hdc");
	if (n.denied)
		say(out, FAILED,
		    "give the user read and write access to it: join the group that owns it "
		    "(HwHiAiUser)",
		    "%s/%s: %s", dev, n.which, strerrordesc_np(n.denied) ?: "?");
	else if (n.missing[0])
		say(out, FAILED,
		    "install the NPU driver; start the container with --device=FILE for each, or "
		    "with Ascend Docker Runtime",
		    "not in %s: %s", dev, n.missing);
	else
		say(out, OK, "", "%d device%s and the driver's three", n.devices,
		    n.devices == 1 ? "" : "s");
}

/* ---- The library ---- */

/* A function that acl.h may not have; NULL if the runtime lacks it too. */
static void *find(const struct acl *acl, const char *name)
{
	return dlsym(acl->library, name);
}

static void look_for_emulator(struct ascend_report *r)
{
	const char *release = ipcshare__acl_emulator(r->acl);

	if (!release)
		return;
	snprintf(r->runtime, sizeof(r->runtime), "emulator %s", release);
	say(&r->findings[ASCEND_FINDING_NODES], OK, "", "none needed: the runtime is an emulator");
}

static int try_library(struct ascend_report *r, const char *path)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_LIBRARY];
	const struct ipcshare_error *error = ipcshare_last_error();
	Dl_info where = { 0 };
	void *symbol;

	r->acl = ipcshare__acl_load(path);
	if (!r->acl) {
		say(f, FAILED, error->hint, "%s", error->text);
		return -1;
	}
	symbol = find(r->acl, "aclInit");
	if (!symbol || !dladdr(symbol, &where))
		where.dli_fname = "found";
	look_for_emulator(r);
	say(f, OK, "", "%s%s", where.dli_fname,
	    r->runtime[0] ? " (an emulator, no NPU is behind it)" : "");
	return 0;
}

#define CANN_VERSION 128 /* bytes, as the vendor's header has it */

/* The vendor's struct begins with the whole version; all of it is strings. */
static void cann_version(const struct acl *acl, char *text)
{
	enum {
		NAME_CANN,
		ALL = CANN_VERSION + 4 * 64 + CANN_VERSION
	};
	void *by_name = find(acl, "aclsysGetVersionStr");
	void *by_number = find(acl, "aclsysGetCANNVersion");
	int (*get_str)(char *package, char *version);
	int (*get_version)(int package, void *version);
	char package[] = "runtime", all[ALL] = "";
	int code = -1;

	memcpy(&get_str, &by_name, sizeof(get_str));
	memcpy(&get_version, &by_number, sizeof(get_version));
	if (by_name)
		code = get_str(package, all);
	if (code && by_number)
		code = get_version(NAME_CANN, all);
	snprintf(text, CANN_VERSION, "%.*s", CANN_VERSION - 1, code ? "" : all);
}

static void try_version(struct ascend_report *r)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_VERSION];
	int32_t major, minor, patch;
	char cann[CANN_VERSION], acl[64] = "";

	cann_version(r->acl, cann);
	if (r->acl->aclrtGetVersion && !r->acl->aclrtGetVersion(&major, &minor, &patch))
		snprintf(acl, sizeof(acl), "ACL %d.%d.%d", major, minor, patch);
	if (!cann[0] && !acl[0])
		say(f, UNKNOWN, "", "the runtime does not say");
	else
		say(f, OK, "", "%s%s%s%s", cann[0] ? "CANN " : "", cann,
		    cann[0] && acl[0] ? ", " : "", acl);
}

/* ---- Symbols that older releases lack ---- */

static void try_ids(struct ascend_report *r)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_IDS];
	const struct acl *acl = r->acl;

	if (find(acl, "aclrtGetPhyDevIdByUserDevId") && find(acl, "aclrtGetUserDevIdByPhyDevId"))
		say(f, OK, "", "translated by the calls of CANN 9.1");
	else if (find(acl, "aclrtGetPhyDevIdByLogicDevId") &&
		 find(acl, "aclrtGetLogicDevIdByPhyDevId"))
		say(f, OK, "", "before CANN 9.1: by the older calls, which do the same");
	else
		say(f, LIMITED, "update CANN, or give all ranks the same ASCEND_RT_VISIBLE_DEVICES",
		    "no call translates them: ranks must number devices alike");
}

static void try_topo(struct ascend_report *r)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_TOPO];

	if (find(r->acl, "aclrtGetDevicesTopo"))
		say(f, OK, "", "links between devices can be asked for");
	else
		say(f, LIMITED, "update CANN",
		    "kinds of links are unknown; what can be reached is found by trying");
}

static void try_copies(struct ascend_report *r)
{
	static const char *const names[] = { "aclmdlRICaptureBegin", "aclmdlRICaptureEnd",
					     "aclmdlRIExecuteAsync", "aclmdlRIDestroy" };
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_COPY_2D];
	const char *missing = NULL;

	if (find(r->acl, "aclrtMemcpy2dAsync"))
		say(f, OK, "", "pieces at equal strides go as one copy");
	else
		say(f, LIMITED, "update CANN", "aclrtMemcpy2dAsync is missing: one copy a piece");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!find(r->acl, names[i]))
			missing = names[i];
	f = &r->findings[ASCEND_FINDING_CAPTURE];
	if (missing)
		say(f, LIMITED, "update CANN",
		    "%s is missing: repeated copies are issued one by one", missing);
	else
		say(f, OK, "", "repeated copies can be recorded");
}

/* ---- Process and devices ---- */

static int try_init(struct ascend_report *r)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_INIT];
	int code = r->acl->aclInit(NULL);

	if (code && code != ACL_REPEAT_INITIALIZE) {
		refused(r->acl, f, FAILED, code, "aclInit",
			"do driver and CANN fit together (npu-smi info)? Was set_env.sh sourced?");
		return -1;
	}
	r->did_init = !code;
	r->holds = true;
	say(f, OK, "", "aclInit%s", code ? ", which the program had done before" : "");
	return 0;
}

/* The runtime says success and -1 when its driver does not answer. */
static void try_tgid(struct ascend_report *r)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_TGID];
	int32_t pid = -1;
	int code = r->acl->aclrtDeviceGetBareTgid(&pid);

	r->tgid = !code && pid > 0 ? pid : 0;
	if (code)
		refused(r->acl, f, FAILED, code, "aclrtDeviceGetBareTgid",
			"update driver and CANN");
	else if (pid <= 0)
		say(f, FAILED, "give the container /dev/davinci_manager, or update the driver",
		    "the driver gave %d: whitelists can't name this process", pid);
	else if (pid == getpid())
		say(f, OK, "", "%d, as getpid() says: no pid namespace in between", pid);
	else
		say(f, OK, "",
		    "%d; getpid() says %d: a container with pids of its own, whitelists take the "
		    "first",
		    pid, getpid());
}

static const char *family(const char *soc)
{
	static const char *const names[] = {
		[ASCEND_SOC_UNKNOWN] = "neither 910B nor 910C",
		[ASCEND_SOC_910B] = "910B",
		[ASCEND_SOC_910C] = "910C",
	};

	return names[ipcshare__ascend_soc(soc)];
}

static void try_soc(struct ascend_report *r, bool any)
{
	static const char other[] = "only 910B and 910C are known to work; "
				    "IPCSHARE_ASCEND_ANY_SOC=1 tries it all the same";
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_SOC];
	const char *name = r->acl->aclrtGetSocName();

	snprintf(r->soc, sizeof(r->soc), "%s", name ?: "");
	if (ipcshare__ascend_soc(name) != ASCEND_SOC_UNKNOWN)
		say(f, OK, "", "%s (%s)", name, family(name));
	else if (any)
		say(f, LIMITED, "", "%s, %s: tried, as IPCSHARE_ASCEND_ANY_SOC=1 asks for",
		    name ?: "no name", family(name));
	else if (name)
		say(f, FAILED, other, "%s, %s", name, family(name));
	else
		say(f, FAILED, "is the driver loaded (npu-smi info)?", "the runtime can't name it");
}

static int physical_id(const struct acl *acl, int device)
{
	int32_t physical = -1;
	int code = -1;

	if (acl->aclrtGetPhyDevIdByUserDevId)
		code = acl->aclrtGetPhyDevIdByUserDevId(device, &physical);
	else if (acl->aclrtGetPhyDevIdByLogicDevId) /* takes the user's id, despite its name */
		code = acl->aclrtGetPhyDevIdByLogicDevId(device, &physical);
	return code ? device : physical;
}

static void try_devices(struct ascend_report *r)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_DEVICES];
	uint32_t count = 0;
	int code = r->acl->aclrtGetDeviceCount(&count);

	if (code || !count) {
		static const char remedy[] = "is the driver loaded, are /dev/davinci* here, does "
					     "ASCEND_RT_VISIBLE_DEVICES name devices that exist?";

		if (code)
			refused(r->acl, f, FAILED, code, "aclrtGetDeviceCount", remedy);
		else
			say(f, FAILED, remedy, "none is visible");
		return;
	}
	r->ndevices = count < ASCEND_DOCTOR_DEVICES ? (int)count : ASCEND_DOCTOR_DEVICES;
	say(f, OK, "", "%u; physical ids:", count);
	for (int d = 0; d < r->ndevices; d++) {
		r->physical[d] = physical_id(r->acl, d);
		append(f->detail, sizeof(f->detail), " %d", r->physical[d]);
	}
}

/* The list ends at the first id that doesn't exist; in 9.x also at one out of ascending order. */
static void try_visible(struct ascend_report *r)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_VISIBLE];
	const char *list = ipcshare__config_raw("ASCEND_RT_VISIBLE_DEVICES");
	int named = 1;

	for (const char *p = list; p && *p; p++)
		named += *p == ',';
	if (!list)
		say(f, OK, "", "all: ASCEND_RT_VISIBLE_DEVICES is not set");
	else if (!r->ndevices)
		say(f, FAILED, "unset it, or begin with a device that exists",
		    "ASCEND_RT_VISIBLE_DEVICES=\"%.60s\": no device can be seen", list);
	else if (named > r->ndevices)
		say(f, LIMITED,
		    "name devices that exist, in ascending order; any other hides what follows",
		    "ASCEND_RT_VISIBLE_DEVICES=%.60s: %d of these %d can be seen", list,
		    r->ndevices, named);
	else if (named == 1)
		say(f, LIMITED, "let each rank see all devices, and choose with aclrtSetDevice()",
		    "ASCEND_RT_VISIBLE_DEVICES=%.60s: ranks on other devices can't be reached",
		    list);
	else
		say(f, OK, "", "ASCEND_RT_VISIBLE_DEVICES=%.60s", list);
}

/* ---- All of it ---- */

/* Drivers to come may have other nodes: a context is the better witness. */
static void excuse_nodes(struct ascend_report *r)
{
	struct ipcshare__finding *f = &r->findings[ASCEND_FINDING_NODES];

	if (f->verdict != IPCSHARE__VERDICT_FAILED ||
	    r->findings[ASCEND_FINDING_CONTEXTS].verdict != IPCSHARE__VERDICT_OK)
		return;
	f->verdict = IPCSHARE__VERDICT_LIMITED;
	append(f->detail, sizeof(f->detail), "; the runtime works without");
}

static void examine(const struct ipcshare__config *config, struct ascend_report *r)
{
	ipcshare__ascend_nodes("/dev", &r->findings[ASCEND_FINDING_NODES]);
	ipcshare__ascend_skip_rest(r, ASCEND_FINDING_LIBRARY, "there is no runtime");
	if (try_library(r, config->acl_lib))
		return;
	try_version(r);
	try_ids(r);
	try_topo(r);
	try_copies(r);
	ipcshare__ascend_skip_rest(r, ASCEND_FINDING_INIT, "the runtime does not start");
	if (try_init(r))
		return;
	try_tgid(r);
	try_soc(r, config->ascend_any_soc);
	try_devices(r);
	try_visible(r);
	ipcshare__ascend_skip_rest(r, ASCEND_FINDING_VISIBLE, "no device");
	if (r->ndevices)
		ipcshare__ascend_examine_devices(r);
	excuse_nodes(r);
}

void ipcshare__ascend_examine(const struct ipcshare__config *config, struct ascend_report *out)
{
	static const char *const names[] = {
#define ASCEND_FINDING_NAME(id, name) name,
		ASCEND_FINDINGS(ASCEND_FINDING_NAME)
#undef ASCEND_FINDING_NAME
	};
	struct ipcshare_error before = *ipcshare_last_error();

	memset(out, 0, sizeof(*out));
	for (int i = 0; i < ASCEND_FINDING_COUNT; i++)
		out->findings[i].name = names[i];
	examine(config, out);
	ipcshare__error_restore(&before);
}

void ipcshare__ascend_examined(struct ascend_report *report)
{
	int (*give_back)(uint64_t * left);
	uint64_t left;
	void *symbol;

	if (!report->holds)
		return;
	report->holds = false;
	symbol = find(report->acl, "aclFinalizeReference");
	memcpy(&give_back, &symbol, sizeof(give_back));
	if (symbol)
		give_back(&left);
	else if (report->did_init) /* it ends everything, for everybody */
		report->acl->aclFinalize();
}

void ipcshare__ascend_soc_text(const struct ipcshare__config *config, char *text, size_t len)
{
	struct ipcshare_error before = *ipcshare_last_error();
	const struct acl *acl = ipcshare__acl_load(config->acl_lib);
	const char *soc = acl ? acl->aclrtGetSocName() : NULL;

	snprintf(text, len, "%s%s%s%s", soc ?: "", soc ? " (" : "", soc ? family(soc) : "",
		 soc ? ")" : "");
	ipcshare__error_restore(&before);
}
