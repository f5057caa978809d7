/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare-info --doctor, run as a user runs it, and what it calls. The Ascend runtime is the
 * emulator that TEST_EMU names; without it, only what needs no runtime is tested.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/ascend/acl.h"
#include "backend/ascend/doctor.h"
#include "base/error.h"
#include "support/test.h"
#include "support/tool.h"
#include "unit/forbid.h"

#define NO_RUNTIME "IPCSHARE_ACL_LIB=/nonexistent"

/*
 * The finding @name of the section that begins with @section: verdict, detail and remedy with
 * single blanks, "failed no Ascend runtime ... -> install CANN"; "" if there is none.
 */
static const char *finding(const char *section, const char *name)
{
	static char text[1024];
	const char *p = strstr(tool_output, section);
	char head[64];
	size_t used = 0;

	text[0] = '\0';
	snprintf(head, sizeof(head), "\n  %s ", name);
	p = p ? strstr(p, head) : NULL;
	if (!p)
		return text;
	p += strlen(head);
	do {	/* lines that go on begin far in */
		for (; *p && *p != '\n'; p++)
			if (used < sizeof(text) - 2 &&
			    (*p != ' ' || (used && text[used - 1] != ' ')))
				text[used++] = *p;
		text[used++] = ' ';
	} while (!strncmp(p, "\n          ", 11) && used < sizeof(text) - 2 && p++);
	text[used - 1] = '\0';
	return text;
}

#define ASCEND(name) finding("\nascend", name)
#define HOST(name) finding("\nhost", name)

/* ---- Without a runtime ---- */

static void a_machine_without_runtime_says_what_helps(void)
{
	CHECK_INT(tool_run(NO_RUNTIME, "--doctor"), 0); /* the chosen backend is host */
	CHECK_HAS(ASCEND("runtime library"), "failed no Ascend runtime: ");
	CHECK_HAS(ASCEND("runtime library"), "-> install CANN");
	CHECK_HAS(ASCEND("the rest"), "unknown not tried: there is no runtime (version, ");
	CHECK_HAS(ASCEND("the rest"), "address range)");
	CHECK_HAS(tool_output, "\n  ascend can't be used here: ");
	CHECK_HAS(tool_output, "\nhost (chosen)\n");
	CHECK_HAS(tool_output, "\n  host can be used here\n");
	CHECK_HAS(tool_output, "\n  ipcshare_open() works\n");
	CHECK(!strstr(tool_output, "Links between"), "links without devices: %s", tool_output);
	tool_check_columns();

	CHECK_INT(tool_run(NO_RUNTIME " IPCSHARE_BACKEND=ascend", "--doctor"), 1);
	CHECK_HAS(tool_output, "\nascend (chosen)\n");
	CHECK_HAS(tool_output, "\n  ipcshare_open() fails:\n");
	tool_check_columns();
}

static void json_has_the_doctor(void)
{
	CHECK_INT(tool_run(NO_RUNTIME, "--json"), 0);
	CHECK_HAS(tool_output, "\n  \"doctor\": {\n    \"process\": [\n");
	CHECK_HAS(tool_output, "\n    \"ascend\": [\n");
	CHECK_HAS(tool_output, "\"verdict\": \"failed\"");
	CHECK_HAS(tool_output, "\n    \"soc\": null,\n    \"devices\": [],\n    \"links\": []\n"
			  "  }\n}\n");
	CHECK_INT(tool_run(NO_RUNTIME " IPCSHARE_BACKEND=ascend", "--doctor --json"), 1);
	CHECK_HAS(tool_output, "\n  \"doctor\": {\n");
}

static void bad_settings_are_named(void)
{
	CHECK_INT(tool_run(NO_RUNTIME " IPCSHARE_TIMEOUT=0 IPCSHARE_TIMOUT=1", "--doctor"), 1);
	CHECK_HAS(tool_output, "error: IPCSHARE_TIMEOUT has the value \"0\"");
	CHECK_HAS(tool_output, "warning: IPCSHARE_TIMOUT is no setting");
	tool_check_columns();
}

/* As in a container whose seccomp filter is strict. */
static void look_without_memfd_create(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	REQUIRE_INT(test_forbid(SYS_memfd_create, EPERM), 0);
	CHECK_INT(tool_run(NO_RUNTIME, "--doctor"), 1);
	CHECK_HAS(HOST("memfd_create"), "failed Operation not permitted; the host backend can't be "
					"used -> Linux 3.17 or newer; in a container, its seccomp");
	CHECK_HAS(HOST("F_SEAL_SHRINK, GROW"), "unknown not tried: memfd_create");
	CHECK_HAS(tool_output, "\n  host can't be used here: 1 failed\n");
	tool_check_columns();
}

static void what_the_host_backend_lacks_is_failed(void)
{
	test_child_join(test_child(look_without_memfd_create, NULL));
}

static void look_without_pidfd_open(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	REQUIRE_INT(test_forbid(SYS_pidfd_open, ENOSYS), 0);
	CHECK_INT(tool_run(NO_RUNTIME, "--doctor"), 0);
	CHECK_HAS(HOST("pidfd_open"), "limited Function not implemented; a peer that dies");
	CHECK_HAS(tool_output, "\n  host can be used here\n");
}

static void what_has_a_fallback_is_limited(void)
{
	test_child_join(test_child(look_without_pidfd_open, NULL));
}

static void options_and_help_know_it(void)
{
	CHECK_INT(tool_run(NO_RUNTIME, "--help"), 0);
	CHECK_HAS(tool_output, "--doctor");
	tool_check_columns();
	CHECK_INT(tool_run(NO_RUNTIME, "--doctor >/dev/full"), 3);
	CHECK_INT(tool_run(NO_RUNTIME, "--doctor=1"), 2);
}

static void look_with_an_error_before(int channel, void *arg)
{
	static struct ascend_report report;
	struct ipcshare__config config = { .acl_lib = "/nonexistent" };
	char soc[64] = "?";

	(void)channel;
	(void)arg;
	ipcshare__fail(IPCSHARE_ERR_BUSY, "test", "", "an error of the program");
	ipcshare__ascend_examine(&config, &report);
	CHECK_INT(report.findings[ASCEND_FINDING_LIBRARY].verdict, IPCSHARE__VERDICT_FAILED);
	ipcshare__ascend_examined(&report);
	ipcshare__ascend_soc_text(&config, soc, sizeof(soc));
	CHECK_STR(soc, "");
	CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_BUSY);
	CHECK_STR(ipcshare_last_error()->text, "an error of the program");
}

/* In a child: a runtime that was opened stays. */
static void the_last_error_stays_the_programs(void)
{
	test_child_join(test_child(look_with_an_error_before, NULL));
}

/* ---- Device nodes ---- */

static char dev[] = "/tmp/test-doctor-XXXXXX";

static void touch(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dev, name);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	REQUIRE(fd >= 0, "%s: %m", path);
	close(fd);
}

static void nodes_are_looked_for(void)
{
	static const char *const all[] = { "davinci0", "davinci1", "davinci_manager", "devmm_svm",
					   "hisi_hdc" };
	struct ipcshare__finding f = { .name = "" };
	char path[128];

	strcpy(dev + strlen(dev) - 6, "XXXXXX");
	REQUIRE(mkdtemp(dev) != NULL, "mkdtemp: %m");
	ipcshare__ascend_nodes(dev, &f);
	CHECK_INT(f.verdict, IPCSHARE__VERDICT_FAILED);
	CHECK_HAS(f.detail, "davinci0 and so on, davinci_manager, devmm_svm, hisi_hdc");
	CHECK_HAS(f.remedy, "install the NPU driver");

	for (size_t i = 0; i < 4; i++)
		touch(all[i]);
	ipcshare__ascend_nodes(dev, &f);
	CHECK_INT(f.verdict, IPCSHARE__VERDICT_FAILED);
	snprintf(path, sizeof(path), "not in %s: hisi_hdc", dev);
	CHECK_STR(f.detail, path);

	/* A node that is there and can't be opened; a loop, as root may open all others. */
	snprintf(path, sizeof(path), "%s/hisi_hdc", dev);
	REQUIRE_INT(symlink("hisi_hdc", path), 0);
	ipcshare__ascend_nodes(dev, &f);
	CHECK_INT(f.verdict, IPCSHARE__VERDICT_FAILED);
	CHECK_HAS(f.detail, "/hisi_hdc: Too many levels of symbolic links");
	CHECK_HAS(f.remedy, "read and write access");

	unlink(path);
	touch("hisi_hdc");
	ipcshare__ascend_nodes(dev, &f);
	CHECK_INT(f.verdict, IPCSHARE__VERDICT_OK);
	CHECK_STR(f.detail, "2 devices and the driver's three");
	CHECK_STR(f.remedy, "");

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dev, all[i]);
		unlink(path);
	}
	rmdir(dev);
}

/* ---- With the emulator ---- */

static const char *emulator(void)
{
	const char *path = getenv("TEST_EMU");

	if (path && *path)
		return path;
	test_note("%s: TEST_EMU names no emulator, nothing was tried", test_name());
	return NULL;
}

/* @release "" the newest, "8.5.0" an older one beside it. Each run is a machine of its own. */
static int run_emulated(const char *release, const char *variables, const char *arguments)
{
	static int serial;
	const char *path = emulator();
	char all[2048];

	snprintf(all, sizeof(all),
		 "IPCSHARE_BACKEND=ascend IPCSHARE_ACL_LIB='%.*s%s%s.so' "
		 "ASCENDCL_EMU_JOB=doctor.%d.%d %s",
		 (int)strlen(path) - 3, path, release[0] ? "-" : "", release, getpid(), serial++,
		 variables);
	return tool_run(all, arguments);
}

/* A path that is longer than a line is broken, as any long word is. */
static const char *without_spaces(const char *text)
{
	static char out[1024];
	size_t n = 0;

	for (; *text && n + 1 < sizeof(out); text++)
		if (*text != ' ')
			out[n++] = *text;
	out[n] = '\0';
	return out;
}

static void all_is_well_on_the_emulator(void)
{
	static const char *const names[] = {
#define NAME(id, name) name,
		ASCEND_FINDINGS(NAME)
#undef NAME
	};

	if (!emulator())
		return;
	CHECK_INT(run_emulated("", "", "--doctor"), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK(!strncmp(ASCEND(names[i]), "ok ", 3), "%s: %s", names[i], ASCEND(names[i]));
	CHECK_HAS(without_spaces(ASCEND("runtime library")), emulator());
	CHECK_HAS(ASCEND("runtime library"), "an emulator");
	CHECK_HAS(ASCEND("version"), "CANN ");
	CHECK_HAS(ASCEND("version"), "ACL 1.");
	CHECK_HAS(ASCEND("bare process id"), "as getpid() says");
	CHECK_HAS(ASCEND("devices"), "8; physical ids: 0 1 2 3 4 5 6 7");
	CHECK_HAS(tool_output, "\n  ascend can be used here\n");
	CHECK_HAS(tool_output, "\n     7  HCCS  HCCS  HCCS  HCCS  HCCS  HCCS  HCCS     -\n");
	CHECK_HAS(tool_output, "ipcshare-bench pairs");
	tool_check_columns();
	CHECK_INT(run_emulated("", "ASCENDCL_EMU_DEVICES=2", "--json"), 0);
	CHECK_HAS(tool_output, "\"soc\": \"Ascend910B3\"");
	CHECK_HAS(tool_output, "\"link\": \"HCCS\",\n        \"can_access\": true");
	CHECK(!strstr(tool_output, "\"verdict\": \"failed\""), "failed: %s", tool_output);
}

static void the_soc_is_recognised(void)
{
	static const struct {
		const char *variables, *device;
		int status;
		const char *finding;
	} socs[] = {
		{ "ASCENDCL_EMU_SOC=Ascend910B4-1", "Ascend910B4-1 (910B)", 0, "ok " },
		{ "ASCENDCL_EMU_SOC=Ascend910B2C", "Ascend910B2C (910B)", 0, "ok " },
		{ "ASCENDCL_EMU_SOC=Ascend910_9392", "Ascend910_9392 (910C)", 0, "ok " },
		{ "ASCENDCL_EMU_SOC=Ascend910B",
		  "not usable           device memory of Ascend 910B and 910C (chosen)\n"
		  "            probe: the device is Ascend910B, known are Ascend910B1 to B4 and\n"
		  "            Ascend910_93xx (IPCSHARE_ASCEND_ANY_SOC=1 tries it all the same)", 1,
		  "failed Ascend910B, neither 910B nor 910C -> only 910B and 910C are known to "
		  "work; IPCSHARE_ASCEND_ANY_SOC=1" },
		{ "ASCENDCL_EMU_SOC=Ascend310P3 IPCSHARE_ASCEND_ANY_SOC=1",
		  "Ascend310P3 (neither 910B nor 910C)", 0,
		  "limited Ascend310P3, neither 910B nor 910C: tried" },
		{ "ASCENDCL_EMU_SOC=", NULL, 1, "failed the runtime can't name it -> " },
	};

	if (!emulator())
		return;
	for (size_t i = 0; i < sizeof(socs) / sizeof(socs[0]); i++) {
		CHECK_INT(run_emulated("", socs[i].variables, "--doctor"), socs[i].status);
		CHECK_HAS(ASCEND("SoC"), socs[i].finding);
		tool_check_columns();
		run_emulated("", socs[i].variables, "");
		if (socs[i].device)
			CHECK_HAS(tool_output, socs[i].device);
	}
}

static void the_bare_id_tells_of_containers(void)
{
	if (!emulator())
		return;
	CHECK_INT(run_emulated("", "ASCENDCL_EMU_BARE_TGID=-1", "--doctor"), 1);
	CHECK_HAS(ASCEND("bare process id"),
		  "failed the driver gave -1: whitelists can't name this process -> give the "
		  "container /dev/davinci_manager");
	/* No process of this machine has that id. */
	CHECK_INT(run_emulated("", "ASCENDCL_EMU_BARE_TGID=5000000", "--doctor"), 0);
	CHECK_HAS(ASCEND("bare process id"), "ok 5000000; getpid() says ");
	CHECK_HAS(ASCEND("bare process id"), "a container with pids of its own");
	CHECK_INT(run_emulated("", "ASCENDCL_EMU_BARE_TGID=1", "--doctor"), 0);
	CHECK_HAS(ASCEND("whitelist"), "ok "); /* its first process is ourselves */
}

static void older_releases_fall_back(void)
{
	static const struct {
		const char *release, *name, *finding;
	} rows[] = {
		{ "9.0.0", "physical ids", "ok before CANN 9.1" },
		{ "9.0.0", "address range", "ok " },
		{ "8.5.0", "address range", "limited before CANN 9.0" },
		{ "8.5.0", "topology", "ok " },
		{ "8.2", "topology", "limited kinds of links are unknown" },
		{ "8.2", "without whitelist", "limited aclrtIpcMemGetExportKey returned 207000" },
		{ "8.2", "export", "ok " },
	};

	if (!emulator())
		return;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_INT(run_emulated(rows[i].release, "", "--doctor"), 0);
		CHECK_HAS(ASCEND(rows[i].name), rows[i].finding);
		tool_check_columns();
	}
	CHECK_HAS(tool_output, "\n     1     ?     -"); /* 8.2 can't tell links */
}

static void links_show_what_the_driver_says(void)
{
	if (!emulator())
		return;
	CHECK_INT(run_emulated("", "ASCENDCL_EMU_SOC=Ascend910_9392 ASCENDCL_EMU_DEVICES=16",
			       "--doctor"), 0);
	CHECK_HAS(ASCEND("links"), "ok ");
	CHECK_HAS(tool_output, "\n     1  SIO*     -  HCCS");
	CHECK_HAS(tool_output, "\n  * CanAccessPeer says no");
	tool_check_columns();

	CHECK_INT(run_emulated("", "ASCENDCL_EMU_DEVICES=3 ASCENDCL_EMU_LINKS=0-1=none,1-2=pix",
			       "--doctor"), 0);
	CHECK_HAS(ASCEND("links"), "limited 1 pair of devices can't reach each other: 0-1 -> put");
	CHECK_HAS(tool_output, "\n     0     - none*  HCCS\n     1 none*     -  PCIe\n");
	tool_check_columns();
}

static void visible_devices_are_explained(void)
{
	if (!emulator())
		return;
	CHECK_INT(run_emulated("", "ASCEND_RT_VISIBLE_DEVICES=4,6", "--doctor"), 0);
	CHECK_HAS(ASCEND("devices"), "ok 2; physical ids: 4 6");
	CHECK_HAS(ASCEND("visible devices"), "ok ASCEND_RT_VISIBLE_DEVICES=4,6");
	CHECK_INT(run_emulated("", "ASCEND_RT_VISIBLE_DEVICES=2,3,9,4", "--doctor"), 0);
	CHECK_HAS(ASCEND("visible devices"),
		  "limited ASCEND_RT_VISIBLE_DEVICES=2,3,9,4: 2 of these 4 can be seen -> name");
	CHECK_INT(run_emulated("", "ASCEND_RT_VISIBLE_DEVICES=5,4", "--doctor"), 0);
	CHECK_HAS(ASCEND("visible devices"), "1 of these 2 can be seen -> name devices that exist, "
		  "in ascending order");
	CHECK_INT(run_emulated("", "ASCEND_RT_VISIBLE_DEVICES=3", "--doctor"), 0);
	CHECK_HAS(ASCEND("visible devices"),
		  "ranks on other devices can't be reached -> let each rank");
	CHECK_INT(run_emulated("", "ASCEND_RT_VISIBLE_DEVICES=", "--doctor"), 1);
	CHECK_HAS(ASCEND("visible devices"), "failed ");
	CHECK_HAS(ASCEND("the rest"), "not tried: no device (whole devices, ");
}

static void a_call_that_fails_is_named(void)
{
	static const struct {
		const char *call, *name, *verdict;
	} rows[] = {
		{ "aclInit", "initialisation", "failed" },
		{ "aclrtDeviceGetBareTgid", "bare process id", "failed" },
		{ "aclrtGetDeviceCount", "devices", "failed" },
		{ "aclrtSetDevice", "contexts", "failed device 0: " },
		{ "aclrtSetDevice:1", "contexts", "limited device 0: " },
		{ "aclrtMallocAlign32", "export", "failed" },
		{ "aclrtIpcMemGetExportKey:1", "export", "failed" },
		{ "aclrtIpcMemGetExportKey:2", "without whitelist", "limited" },
		{ "aclrtIpcMemSetImportPid", "whitelist", "failed" },
		{ "aclrtIpcMemClose:1", "close", "failed" },
		{ "aclrtMemGetAddressRange", "address range", "limited" },
	};
	char variables[128], wanted[64];

	if (!emulator())
		return;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int is_fatal = !strncmp(rows[i].verdict, "failed", 6);

		snprintf(variables, sizeof(variables),
			 "ASCENDCL_EMU_FAIL=%s=507899 ASCENDCL_EMU_DEVICES=2", rows[i].call);
		CHECK_INT(run_emulated("", variables, "--doctor"), is_fatal);
		CHECK_HAS(ASCEND(rows[i].name), rows[i].verdict);
		snprintf(wanted, sizeof(wanted), "%.*s returned 507899 (RT_DRV_INTERNAL_ERROR)",
			 (int)strcspn(rows[i].call, ":"), rows[i].call);
		CHECK_HAS(ASCEND(rows[i].name), wanted);
		CHECK(is_fatal == !!strstr(tool_output, "ascend can't be used here"), "%s: %s",
		      rows[i].call, tool_output);
		tool_check_columns();
	}
	CHECK_INT(run_emulated("", "ASCENDCL_EMU_VIRTUAL=1", "--doctor"), 1);
	CHECK_HAS(ASCEND("whole devices"), "failed device 0 is a virtual instance");
}

/* ---- As a guest in a program that uses the runtime itself ---- */

struct holdings { /* of the emulator's ascendclEmuHoldings() */
	uint64_t exports, imports, bytes, notifies, processes, grants;
};

static void look_as_a_guest(int channel, void *arg)
{
	static struct ascend_report report;
	struct ipcshare__config config = { .backend = "ascend" };
	struct holdings before = { 0 }, after = { 0 };
	int (*holdings)(struct holdings *);
	acl_handle mine = NULL, now = NULL;
	const struct acl *acl;
	int (*finalize)(uint64_t *);
	uint64_t references = 99;
	int32_t device = -1;
	void *symbol;

	(void)channel;
	(void)arg;
	REQUIRE((size_t)snprintf(config.acl_lib, sizeof(config.acl_lib), "%s", emulator()) <
			sizeof(config.acl_lib), "TEST_EMU is too long");
	setenv("ASCENDCL_EMU_JOB", "doctor.guest", 1);
	acl = ipcshare__acl_load(config.acl_lib);
	REQUIRE(acl != NULL, "%s", ipcshare_explain());
	REQUIRE_INT(acl->aclInit(NULL), 0);
	REQUIRE_INT(acl->aclrtSetDevice(1), 0); /* the last one is current, and tried first */
	REQUIRE_INT(acl->aclrtSetDevice(0), 0);
	REQUIRE_INT(acl->aclrtGetCurrentContext(&mine), 0);
	symbol = dlsym(acl->library, "ascendclEmuHoldings");
	memcpy(&holdings, &symbol, sizeof(holdings));
	REQUIRE_INT(holdings(&before), 0);

	ipcshare__ascend_examine(&config, &report);
	for (int i = 0; i < ASCEND_FINDING_COUNT; i++)
		CHECK(report.findings[i].verdict == IPCSHARE__VERDICT_OK, "%s: %s",
		      report.findings[i].name, report.findings[i].detail);
	CHECK_HAS(report.findings[ASCEND_FINDING_INIT].detail, "the program had done");
	ipcshare__ascend_examined(&report);

	CHECK_INT(acl->aclrtGetCurrentContext(&now), 0); /* still initialised, too */
	CHECK_PTR(now, mine);
	CHECK_INT(acl->aclrtGetDevice(&device), 0);
	CHECK_INT(device, 0);
	CHECK_INT(holdings(&after), 0);
	CHECK_MEM(&after, &before, sizeof(before));
	CHECK_INT(acl->aclrtResetDevice(0), 0);
	CHECK_INT(acl->aclrtResetDevice(1), 0);
	for (int d = 0; d < report.ndevices; d++) /* no device is held any more */
		CHECK(acl->aclrtResetDevice(d) != 0, "device %d was not given back", d);
	symbol = dlsym(acl->library, "aclFinalizeReference");
	memcpy(&finalize, &symbol, sizeof(finalize));
	CHECK_INT(finalize(&references), 0);
	CHECK_INT(references, 0);
}

static void the_callers_state_is_left_as_it_is(void)
{
	if (emulator())
		test_child_join(test_child(look_as_a_guest, NULL));
}

TEST_SUITE(doctor, NULL, NULL,
	TEST(a_machine_without_runtime_says_what_helps),
	TEST(json_has_the_doctor),
	TEST(bad_settings_are_named),
	TEST(what_the_host_backend_lacks_is_failed),
	TEST(what_has_a_fallback_is_limited),
	TEST(options_and_help_know_it),
	TEST(the_last_error_stays_the_programs),
	TEST(nodes_are_looked_for),
	TEST(all_is_well_on_the_emulator),
	TEST(the_soc_is_recognised),
	TEST(the_bare_id_tells_of_containers),
	TEST(older_releases_fall_back),
	TEST(links_show_what_the_driver_says),
	TEST(visible_devices_are_explained),
	TEST(a_call_that_fails_is_named),
	TEST(the_callers_state_is_left_as_it_is));
