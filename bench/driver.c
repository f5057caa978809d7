/* SPDX-License-Identifier: BSD-3-Clause */
#include "driver.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *driver_symbol(const char *name)
{
	const char *named = getenv("IPCSHARE_ACL_LIB");
	const char *const usual[] = { "libascendcl.so", "libacl_rt.so" };
	void *symbol = NULL;

	for (int i = 0; i < 2 && !symbol; i++) {
		void *library = dlopen(named && *named ? named : usual[i], RTLD_LAZY | RTLD_NOLOAD);

		symbol = library ? dlsym(library, name) : NULL;
		if (library)
			dlclose(library);
	}
	return symbol;
}

int driver_is_emulated(void)
{
	return !!driver_symbol("ascendclEmuRelease");
}

typedef int counter_fn(const char *name, uint64_t *value);

static long sum(counter_fn *counter, const char *const *names, size_t n)
{
	uint64_t all = 0, value;

	for (size_t i = 0; i < n; i++)
		if (!counter(names[i], &value))
			all += value;
	return (long)all;
}

struct driver_calls driver_calls_now(void)
{
	static const char *const copies[] = {
		"aclrtMemcpy", "aclrtMemcpyAsync", "aclrtMemcpy2d", "aclrtMemcpy2dAsync",
		"aclrtMemcpyBatch", "aclrtMemcpyBatchV2", "aclrtMemcpyBatchAsync",
		"aclrtMemcpyBatchAsyncV2", "aclrtMemcpyAsyncWithDesc", "aclmdlRIExecute",
		"aclmdlRIExecuteAsync",
	}, *const others[] = {
		"aclrtSynchronizeStream", "aclrtSynchronizeStreamWithTimeout",
		"aclrtSynchronizeDevice", "aclrtStreamQuery", "aclrtCreateStream",
		"aclrtCreateStreamWithConfig", "aclrtDestroyStream", "aclrtRecordEvent",
		"aclrtSynchronizeEvent", "aclrtStreamWaitEvent", "aclrtPointerGetAttributes",
		"aclrtMemGetAddressRange", "aclrtGetCurrentContext", "aclrtSetCurrentContext",
		"aclrtSetDevice", "aclrtGetDevice", "aclrtMalloc", "aclrtMallocAlign32",
		"aclrtFree", "aclrtMallocHost", "aclrtFreeHost", "aclrtSetMemcpyDesc",
		"aclmdlRICaptureBegin", "aclmdlRICaptureEnd", "aclmdlRICaptureGetInfo",
		"aclmdlRICaptureThreadExchangeMode",
	};
	void *symbol = driver_symbol("ascendclEmuCounter");
	struct driver_calls calls = { 0, 0 };
	counter_fn *counter;

	if (!symbol)
		return calls;
	memcpy(&counter, &symbol, sizeof(counter));
	calls.copies = sum(counter, copies, sizeof(copies) / sizeof(copies[0]));
	calls.all = calls.copies + sum(counter, others, sizeof(others) / sizeof(others[0]));
	return calls;
}

/* A thread that never used the runtime has no device until it names one. */
int driver_alloc(int device, size_t len, void **out)
{
	int (*set_device)(int device), (*allocate)(void **out, size_t len, int policy);
	void *symbols[] = { driver_symbol("aclrtSetDevice"), driver_symbol("aclrtMalloc") };

	if (!symbols[0] || !symbols[1])
		return -1;
	memcpy(&set_device, &symbols[0], sizeof(set_device));
	memcpy(&allocate, &symbols[1], sizeof(allocate));
	return set_device(device) || allocate(out, len, 0) ? -1 : 0;
}

int driver_free(void *p)
{
	int (*release)(void *p);
	void *symbol = driver_symbol("aclrtFree");

	if (!symbol)
		return -1;
	memcpy(&release, &symbol, sizeof(release));
	return release(p) ? -1 : 0;
}
