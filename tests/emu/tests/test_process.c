/* SPDX-License-Identifier: BSD-3-Clause */
/* Contract 1.1, 2.1 and 2.11: init, contexts, identity; the emulator's switches and injections. */
#include "ranks.h"
#include "calls.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static void init_rows(struct rank *r)
{
	uint64_t left = 9;
	int32_t major, minor, patch;
	aclCANNPackageVersion cann;
	aclrtRunMode mode;
	char version[128];

	(void)r;
	CODE(100001, aclrtSetDevice(0));
	CODE(100037, aclFinalize());
	OK(aclInit(NULL));
	CODE(100002, aclInit(NULL));		/* harmless, and counts a reference */
	OK(aclFinalizeReference(&left));
	EXPECT(left == 1);
	OK(aclFinalizeReference(&left));
	EXPECT(left == 0);
	CODE(100037, aclFinalizeReference(&left));
	OK(aclInit(NULL));
	OK(aclFinalize());
	CODE(100037, aclFinalize());
	OK(aclrtGetVersion(&major, &minor, &patch));
	EXPECT(major == 1 && minor == 17);
	OK(aclsysGetVersionStr("runtime", version));
	EXPECT(!strcmp(version, "9.1.0"));
	OK(aclsysGetVersionNum("runtime", &patch));
	EXPECT(patch == 90100000);
	OK(aclsysGetCANNVersion(ACL_PKG_NAME_CANN, &cann));
	EXPECT(!strcmp(cann.version, "9.1.0") && !strcmp(cann.majorVersion, "9"));
	EXPECT(!strcmp(cann.minorVersion, "1") && !strcmp(cann.releaseVersion, "0"));
	CODE(100000, aclsysGetCANNVersion(8, &cann));
	CODE(100000, aclsysGetCANNVersion(ACL_PKG_NAME_CANN, NULL));
	OK(aclrtGetRunMode(&mode));
	EXPECT(mode == ACL_HOST);
	EXPECT(!strcmp(aclrtGetSocName(), "Ascend910B3"));
	CODE(100000, aclrtGetDeviceCount(NULL));
	EXPECT(strstr(aclGetRecentErrMsg(), "NULL"));
	EXPECT(!aclGetRecentErrMsg());		/* reads and clears */
}

static void init_finalize_versions_and_the_error_message(void)
{
	RANKS_OK(1, "", init_rows);
}

static void *bare_thread(void *arg)
{
	void *p;

	CODE(107002, aclrtMalloc(&p, 64, ACL_MEM_MALLOC_HUGE_FIRST));
	OK(aclrtSetCurrentContext(arg));
	OK(aclrtMalloc(&p, 64, ACL_MEM_MALLOC_HUGE_FIRST));
	return NULL;
}

static void contexts(struct rank *r)
{
	aclrtContext a, b, seen;
	aclrtStream s, late;
	int32_t device;
	pthread_t t;
	void *p;

	(void)r;
	OK(aclInit(NULL));
	CODE(107002, aclrtGetDevice(&device));
	OK(aclrtSetDevice(0));
	OK(aclrtGetCurrentContext(&a));
	OK(aclrtCreateStream(&s));
	pthread_create(&t, NULL, bare_thread, a);
	pthread_join(t, NULL);
	OK(aclrtCreateContext(&b, 2));			/* becomes current */
	OK(aclrtGetDevice(&device));
	EXPECT(device == 2);
	CODE(107003, aclrtSynchronizeStream(s));	/* a stream of another context */
	OK(aclrtCreateStream(&late));
	OK(aclrtDestroyContext(b));
	CODE(107002, aclrtGetCurrentContext(&seen));
	CODE(107002, aclrtSetCurrentContext(b));
	OK(aclrtSetCurrentContext(a));
	CODE(107000, aclrtSynchronizeStream(late));	/* went with its context */
	OK(aclrtSetDevice(0));				/* counted */
	p = alloc(64);
	OK(aclrtResetDevice(0));
	EXPECT(holds(p, 0xa5, 64));
	OK(aclrtResetDevice(0));
	CODE(107002, aclrtGetDevice(&device));
	EXPECT(ascendclEmuPeek(p, &device, 1) == -1);	/* memory went with the device */
	CODE(107002, aclrtResetDevice(0));
}

static void a_context_belongs_to_a_thread(void)
{
	RANKS_OK(1, "", contexts);
}

static void bare_minus_one(struct rank *r)
{
	int32_t pid = 5;

	(void)r;
	OK(aclrtDeviceGetBareTgid(&pid));
	EXPECT(pid == -1);
}

static void bare_given(struct rank *r)
{
	int32_t pid = 5;

	(void)r;
	OK(aclrtDeviceGetBareTgid(&pid));
	EXPECT(pid == 123456);
}

static void bare_plain(struct rank *r)
{
	int32_t pid = 5;

	(void)r;
	OK(aclrtDeviceGetBareTgid(&pid));
	EXPECT(pid == getpid());
}

static void bare_tgid_success_with_minus_one(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_BARE_TGID=-1", bare_minus_one);
	RANKS_OK(1, "ASCENDCL_EMU_BARE_TGID=123456", bare_given);
	RANKS_OK(1, "", bare_plain);
}

static void forked(struct rank *r)
{
	int status, device;
	pid_t child;

	(void)r;
	up(0);
	child = fork();
	if (!child)
		_exit(aclrtGetDevice(&device) == 507000 ? 0 : 1);
	waitpid(child, &status, 0);
	EXPECT(!status);
	OK(aclrtGetDevice(&device));
}

static void fork_after_init_is_not_supported(void)
{
	RANKS_OK(1, "", forked);
}

static void wrong_setting(struct rank *r)
{
	(void)r;
	CODE(100000, aclInit(NULL));
}

static void settings_are_checked(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_DEVCIES=4", wrong_setting);
	RANKS_OK(1, "ASCENDCL_EMU_DEVICES=65", wrong_setting);
	RANKS_OK(1, "ASCENDCL_EMU_RELEASE=7", wrong_setting);
	RANKS_OK(1, "ASCENDCL_EMU_FAIL=aclrtNoSuchCall:1=5", wrong_setting);
}

static void fail_env(struct rank *r)
{
	void *p;

	up(0);
	OK(aclrtMalloc(&p, 64, 0));
	CODE(r->id == 1 ? 207001 : 0, aclrtMalloc(&p, 64, 0));
	OK(aclrtMalloc(&p, 64, 0));
	CODE(107000, aclrtFree(p));
	CODE(107000, aclrtFree(p));
	OK(ascendclEmuFail(""));
	OK(aclrtFree(p));
	OK(ascendclEmuFail("aclrtFree:2+=1,run=507899"));
	OK(aclrtMalloc(&p, 64, 0));
	OK(aclrtFree(p));
	CODE(1, aclrtFree(p));
	OK(aclrtMemsetAsync(alloc(64), 64, 0, 64, NULL));
	CODE(507899, aclrtSynchronizeStream(NULL));	/* a task that fails on the device */
	EXPECT(ascendclEmuFail("aclrtFree") == -1);
}

static void fail_rank(struct rank *r)
{
	setenv("OMPI_COMM_WORLD_RANK", r->id ? "1" : "0", 1);
	fail_env(r);
}

static void failures_at_the_kth_use_and_in_one_rank(void)
{
	RANKS_OK(2, "ASCENDCL_EMU_FAIL=aclrtMalloc:2=207001@1,aclrtFree:*=107000", fail_rank);
}

/* Called with zeros throughout: each call must survive that, and fail when it is told to. */
static void every_call(struct rank *r)
{
	static const char *const names[] = {
#define X(name) #name,
		EMU_CALLS(X)
#undef X
	};
	char rule[96];

	(void)r;
	up(0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int (*fn)(long, long, long, long, long, long, long, long, long, long);
		uint64_t value;

		*(void **)&fn = dlsym(RTLD_DEFAULT, names[i]);
		EXPECT(fn);
		if (!strcmp(names[i], "aclGetRecentErrMsg") || !strcmp(names[i], "aclrtGetSocName"))
			continue;
		snprintf(rule, sizeof(rule), "%s:2=424242", names[i]);
		OK(ascendclEmuFail(rule));
		EXPECT(fn(0, 0, 0, 0, 0, 0, 0, 0, 0, 0) != 424242);
		CODE(424242, fn(0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
		OK(ascendclEmuCounter(names[i], &value));
		EXPECT(value >= 2);
	}
}

static void every_call_survives_zeros_and_can_fail(void)
{
	RANKS_OK(1, "", every_call);
}

static void delayed(struct rank *r)
{
	struct timespec a, b;
	void *p;

	(void)r;
	up(0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	OK(aclrtMalloc(&p, 64, 0));
	clock_gettime(CLOCK_MONOTONIC, &b);
	EXPECT((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 >= 30);
}

static void a_call_can_be_delayed(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_DELAY=aclrtMalloc=30000", delayed);
}

/* The variants: what is missing, what they say they are, and what that changes. */
static void variant(const char *file, const char *release, const char *const *missing)
{
	int (*version)(int32_t *, int32_t *, int32_t *);
	const char *(*name)(void);
	char path[4096] = "", *slash;
	void *lib;

	EXPECT(readlink("/proc/self/exe", path, sizeof(path) - 64) > 0);
	slash = strrchr(path, '/');
	strcpy(slash + 1, file);
	lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		fprintf(stderr, "%s\n", dlerror());
	EXPECT(lib);
	*(void **)&version = dlsym(lib, "aclrtGetVersion");
	*(void **)&name = dlsym(lib, "ascendclEmuRelease");
	EXPECT(version && name && !strcmp(name(), release));
	EXPECT(dlsym(lib, "aclrtIpcMemImportByKey"));
	for (; *missing; missing++)
		EXPECT(!dlsym(lib, *missing));
}

static void variants(struct rank *r)
{
	static const char *const v8_2[] = { "aclrtIpcMemSetAttr", "aclrtIpcGetEventHandle",
		"aclrtMemcpyBatchAsync", "aclrtMemGetAddressRange", NULL };
	static const char *const v8_5[] = { "aclrtMemGetAddressRange", "aclrtMemcpyBatchV2",
		"aclrtGetPhyDevIdByUserDevId", "aclrtGetUserDevIdByPhyDevId", NULL };
	static const char *const v9_0[] = { "aclrtMemcpyBatchAsyncV2",
		"aclrtGetPhyDevIdByUserDevId", NULL };
	static const char *const none[] = { NULL };

	(void)r;
	variant("libascendcl-8.2.so", "8.2", v8_2);
	variant("libascendcl-8.5.0.so", "8.5.0", v8_5);
	variant("libascendcl-9.0.0.so", "9.0.0", v9_0);
	variant("libascendcl-9.1.0.so", "9.1.0", none);
	variant("libacl_rt.so", "head", none);
}

static void older_releases_lack_symbols(void)
{
	RANKS_OK(1, "", variants);
}

static bool stopped(int32_t pid)
{
	char path[64], line[512] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	EXPECT(f && fgets(line, sizeof(line), f));
	fclose(f);
	return strstr(line, ") T ");
}

static void *closer(void *key)
{
	OK(aclrtSetDevice(0));
	OK(aclrtIpcMemClose(key));
	return NULL;
}

static void *opener(void *arg)
{
	void *p;

	OK(aclrtSetDevice(0));
	CODE(507899, aclrtIpcMemImportByKey(&p, arg, 0));
	return NULL;
}

/* A Close that has to ring a stopped importer takes seconds: a second call overlaps it. */
static void race(struct rank *r)
{
	bool head = !strcmp(ascendclEmuRelease(), "head");
	static char key[KEY], wrong[KEY];
	pthread_t t;
	void *p;
	int32_t pid;

	pid = up(0);
	if (r->id == 1) {
		import_granted(r, 0, key, &p, 0);
		rank_send(r, 0, &pid, 4);
		kill(getpid(), SIGSTOP);
		OK(aclrtIpcMemClose(key));
		return;
	}
	export_granted(r, 1, alloc(64), 64, key);
	rank_recv(r, 1, &pid, 4);
	memset(wrong, '0', 64);
	while (!stopped(pid))
		;
	pthread_create(&t, NULL, opener, wrong);
	pthread_join(t, NULL);
	EXPECT(!counter("violation_ipc_race"));
	pthread_create(&t, NULL, closer, key);
	while (!counter("ioctl_close") || !counter("revoked"))
		;
	CODE(507899, aclrtIpcMemClose(wrong));
	EXPECT(counter("violation_ipc_race") == !head);
	kill(pid, SIGCONT);
	pthread_join(t, NULL);
}

static void overlapping_ipc_calls_are_counted(void)
{
	RANKS_OK(2, "ASCENDCL_EMU_RELEASE=9.1.0", race);
	RANKS_OK(2, "ASCENDCL_EMU_RELEASE=head", race);
}

static void attr(struct rank *r)
{
	bool pod = !strncmp(aclrtGetSocName(), "Ascend910_93", 12);
	char key[KEY];

	(void)r;
	up(0);
	OK(aclrtIpcMemGetExportKey(alloc(64), 64, key, KEY, 0));
	CODE(107000, aclrtIpcMemSetAttr(NULL, 0, 0));
	CODE(pod ? 0 : 207000, aclrtIpcMemSetAttr(key, 0, 1));
	CODE(pod ? 207021 : 207000, aclrtIpcMemSetAttr(key, 0, 2));
	CODE(107000, aclrtIpcMemSetAttr(key, 0, 4));
	OK(aclrtIpcMemClose(key));
}

static void set_attr_on_910c_only(void)
{
	RANKS_OK(1, "", attr);
	RANKS_OK(1, "ASCENDCL_EMU_SOC=Ascend910_9391", attr);
}

int main(void)
{
	static const struct test tests[] = {
		TEST(init_finalize_versions_and_the_error_message),
		TEST(a_context_belongs_to_a_thread), TEST(bare_tgid_success_with_minus_one),
		TEST(fork_after_init_is_not_supported), TEST(settings_are_checked),
		TEST(failures_at_the_kth_use_and_in_one_rank),
		TEST(every_call_survives_zeros_and_can_fail), TEST(a_call_can_be_delayed),
		TEST(older_releases_lack_symbols), TEST(overlapping_ipc_calls_are_counted),
		TEST(set_attr_on_910c_only), { NULL, NULL },
	};

	return tests_main("1.1 process, and the emulator's switches", tests);
}
