/* SPDX-License-Identifier: BSD-3-Clause */
/* Contract 2.7 (aclrtIpcMemClose) and 2.8 (revocation, free, death), row by row. */
#include "ranks.h"

#include <setjmp.h>
#include <signal.h>
#include <time.h>

static char key[KEY];

/* An access by the importing device, which faults once the mapping is revoked. */
static int device_read(void *import)
{
	static aclrtStream s;
	static void *local;

	if (!s) {
		OK(aclrtCreateStream(&s));
		local = alloc(4096);
	}
	OK(aclrtMemcpyAsync(local, 4096, import, 4096, ACL_MEMCPY_DEVICE_TO_DEVICE, s));
	return aclrtSynchronizeStream(s);
}

static void errors(struct rank *r)
{
	char unknown[KEY];
	void *p;

	(void)r;
	up(0);
	p = alloc(4096);
	OK(aclrtIpcMemGetExportKey(p, 4096, key, KEY, 0));
	/* row 2.7: NULL */
	CODE(100000, aclrtIpcMemClose(NULL));
	/* row 2.7: unknown key; a process that neither made nor imported it */
	memcpy(unknown, key, KEY);
	unknown[22] ^= 1;
	CODE(507899, aclrtIpcMemClose(unknown));
	/* row 2.7: second close by the exporter */
	OK(aclrtIpcMemClose(key));
	CODE(507899, aclrtIpcMemClose(key));
}

static void null_unknown_and_second_close(void)
{
	RANKS_OK(1, "", errors);
}

static void third(struct rank *r)
{
	void *p;

	up(0);
	if (r->id == 0) {
		export_granted(r, 1, alloc(4096), 4096, key);
		rank_send(r, 2, key, KEY);
		rank_barrier(r);
		OK(aclrtIpcMemClose(key));
		/* row 2.7: second close by the exporter */
		CODE(107017, aclrtIpcMemClose(key));	/* importers still hold it */
		rank_barrier(r);
	} else if (r->id == 1) {
		import_granted(r, 0, key, &p, 0);
		rank_barrier(r);
		rank_barrier(r);
		OK(aclrtIpcMemClose(key));
		CODE(507899, aclrtIpcMemClose(key));
	} else {
		/* row 2.7: unknown key; a process that neither made nor imported it */
		rank_recv(r, 0, key, KEY);
		CODE(507899, aclrtIpcMemClose(key));	/* neither made nor imported it */
		rank_barrier(r);
		rank_barrier(r);
	}
}

static void a_third_process_and_close_while_imported(void)
{
	RANKS_OK(3, "", third);
}

/* row 2.7: key imported twice, before HEAD: second Close */
static void double_import(struct rank *r)
{
	struct ascendcl_emu_holdings h;
	bool legacy = strcmp(ascendclEmuRelease(), "head");
	void *p;

	up(0);
	if (r->id == 0) {
		export_granted(r, 1, alloc(4096), 4096, key);
		rank_barrier(r);
		return;
	}
	import_granted(r, 0, key, &p, 0);
	OK(aclrtIpcMemImportByKey(&p, key, 0));
	OK(aclrtIpcMemClose(key));
	EXPECT(holds(p, 0xa5, 1));
	CODE(legacy ? 507899 : 0, aclrtIpcMemClose(key));
	OK(ascendclEmuHoldings(&h));
	EXPECT(h.imports == legacy);	/* before HEAD the mapping stays: a leak */
	EXPECT((ascendclEmuPeek(p, key, 1) == 0) == legacy);
	rank_barrier(r);
}

static void double_import_leaks_before_head(void)
{
	RANKS_OK(2, "ASCENDCL_EMU_RELEASE=9.1.0", double_import);
	RANKS_OK(2, "ASCENDCL_EMU_RELEASE=head", double_import);
}

/* row 2.8: exporter Close with live importers */
static void exporter_closes(struct rank *r)
{
	void *p;

	up(0);
	if (r->id == 0) {
		export_granted(r, 1, alloc(4096), 4096, key);
		rank_barrier(r);
		OK(aclrtIpcMemClose(key));
		EXPECT(counter("revoked") == 1);
		rank_barrier(r);
		rank_barrier(r);
	} else {
		import_granted(r, 0, key, &p, 0);
		OK(device_read(p));
		rank_barrier(r);
		rank_barrier(r);
		CODE(507013, device_read(p));
		OK(aclrtIpcMemClose(key));	/* the importer's own Close still returns 0 */
		CODE(507899, aclrtIpcMemClose(key));
		rank_barrier(r);
	}
}

static void exporter_close_with_live_importers(void)
{
	RANKS_OK(2, "", exporter_closes);
}

/* row 2.8: aclrtFree of exported memory */
static void exporter_frees(struct rank *r)
{
	struct ascendcl_emu_holdings h;
	int32_t pid = 0;
	void *p;

	up(0);
	if (r->id == 0) {
		p = alloc(4096);
		export_granted(r, 1, p, 4096, key);
		rank_barrier(r);
		OK(aclrtFree(p));	/* not refused */
		rank_barrier(r);
		OK(ascendclEmuHoldings(&h));
		EXPECT(h.exports == 1);	/* the record stays */
		pid = 4242424;
		OK(aclrtIpcMemSetImportPid(key, &pid, 1));
		rank_barrier(r);
		/* row 2.8: exporter Close after aclrtFree */
		OK(aclrtIpcMemClose(key));
		OK(ascendclEmuHoldings(&h));
		EXPECT(h.exports == 0);
	} else {
		import_granted(r, 0, key, &p, 0);
		OK(device_read(p));
		rank_barrier(r);
		rank_barrier(r);
		CODE(507013, device_read(p));
		OK(aclrtIpcMemClose(key));
		CODE(507899, aclrtIpcMemImportByKey(&p, key, 0));	/* new imports fail */
		rank_barrier(r);
	}
}

static void free_of_exported_memory(void)
{
	RANKS_OK(2, "", exporter_frees);
}

/* row 2.8: exporter dies or resets the device */
static void exporter_dies(struct rank *r)
{
	struct ascendcl_emu_holdings h;
	void *p;

	up(0);
	if (r->id == 0) {
		export_granted(r, 1, alloc(4096), 4096, key);
		rank_barrier(r);
		rank_die();
	}
	import_granted(r, 0, key, &p, 0);
	OK(device_read(p));
	rank_barrier(r);
	rank_wait_gone(r, 0);
	CODE(507013, device_read(p));
	OK(aclrtIpcMemClose(key));
	OK(ascendclEmuHoldings(&h));
	EXPECT(h.exports == 0 && h.imports == 0 && h.processes == 1);
	EXPECT(h.bytes == 4096);	/* device_read()'s own */
}

static void exporter_process_dies(void)
{
	CU_ASSERT_EQUAL(ranks_run(2, "", 1 << 0, exporter_dies), 0);
}

/* row 2.8: exporter dies or resets the device */
static void exporter_resets(struct rank *r)
{
	void *p;

	up(0);
	if (r->id == 0) {
		export_granted(r, 1, alloc(4096), 4096, key);
		rank_barrier(r);
		OK(aclrtResetDeviceForce(0));
		rank_barrier(r);
		OK(aclrtSetDevice(0));
		CODE(107017, aclrtIpcMemClose(key));	/* destroyed by the reset, still imported */
		rank_barrier(r);
	} else {
		import_granted(r, 0, key, &p, 0);
		OK(device_read(p));
		rank_barrier(r);
		rank_barrier(r);
		CODE(507013, device_read(p));
		rank_barrier(r);
		OK(aclrtIpcMemClose(key));
	}
}

static void exporter_resets_its_device(void)
{
	RANKS_OK(2, "", exporter_resets);
}

/* row 2.8: importer dies */
static void importer_dies(struct rank *r)
{
	struct ascendcl_emu_holdings h;
	void *p;

	up(0);
	if (r->id == 0) {
		p = alloc(4096);
		put(p, 9, 4096);
		export_granted(r, 1, p, 4096, key);
		rank_wait_gone(r, 1);
		OK(ascendclEmuHoldings(&h));
		EXPECT(h.exports == 1 && h.imports == 0);	/* its open is dropped */
		EXPECT(holds(p, 9, 4096));			/* the exporter is unaffected */
		OK(aclrtIpcMemClose(key));
		CODE(507899, aclrtIpcMemClose(key));
	} else {
		import_granted(r, 0, key, &p, 0);
		rank_die();
	}
}

static void importer_process_dies(void)
{
	CU_ASSERT_EQUAL(ranks_run(2, "", 1 << 1, importer_dies), 0);
}

/* row 2.8: importer resets its device */
static void importer_resets(struct rank *r)
{
	struct ascendcl_emu_holdings h;
	void *p;

	up(0);
	if (r->id == 0) {
		export_granted(r, 1, alloc(4096), 4096, key);
		rank_barrier(r);
		OK(ascendclEmuHoldings(&h));
		EXPECT(h.imports == 0);
	} else {
		import_granted(r, 0, key, &p, 0);
		OK(aclrtResetDevice(0));
		OK(aclrtSetDevice(0));
		CODE(507899, aclrtIpcMemClose(key));	/* the runtime's own map kept the key */
		rank_barrier(r);
	}
	rank_barrier(r);
}

static void importer_resets_its_device(void)
{
	RANKS_OK(2, "", importer_resets);
}

/* row 2.8: key value after destruction */
static void values(struct rank *r)
{
	char seen[1000][KEY];
	void *p;

	(void)r;
	up(0);
	p = alloc(4096);
	for (int i = 0; i < 1000; i++) {
		OK(aclrtIpcMemGetExportKey(p, 4096, seen[i], KEY, 0));
		OK(aclrtIpcMemClose(seen[i]));
		for (int k = 0; k < i; k++)
			EXPECT(strcmp(seen[i], seen[k]));
	}
}

static void key_values_are_never_reused(void)
{
	RANKS_OK(1, "", values);
}

static sigjmp_buf fault;

static void on_fault(int sig)
{
	siglongjmp(fault, sig);
}

/* 1: the host can read it; 0: it faults. The emulator may take the page away at any moment. */
__attribute__((no_sanitize("thread"))) static int host_reads(const void *p)
{
	if (sigsetjmp(fault, 1))
		return 0;
	(void)*(volatile const char *)p;
	return 1;
}

static void catch_faults(void)
{
	struct sigaction a = { .sa_handler = on_fault };

	sigaction(SIGSEGV, &a, NULL);
	sigaction(SIGBUS, &a, NULL);
}

static void host_strict(struct rank *r)
{
	void *p;

	catch_faults();
	up(0);
	if (r->id == 0) {
		p = alloc(4096);
		EXPECT(!host_reads(p));
		export_granted(r, 1, p, 4096, key);
	} else {
		import_granted(r, 0, key, &p, 0);
		EXPECT(!host_reads(p));
	}
	rank_barrier(r);
}

static void host_access_faults(void)
{
	RANKS_OK(2, "", host_strict);
}

/* Rank 0 closes, rank 1 dies: rank 2 must lose both. */
static void relaxed_exporter(struct rank *r)
{
	char token;
	void *p;

	up(0);
	p = alloc(4096);
	memset(p, 3, 4096);
	export_granted(r, 2, p, 4096, key);
	rank_barrier(r);
	if (r->id == 1)
		rank_die();
	rank_recv(r, 2, &token, 1);
	OK(aclrtIpcMemClose(key));	/* returns after the importer lost it */
	rank_send(r, 2, "c", 1);
}

static void host_relaxed(struct rank *r)
{
	struct timespec start, now;
	char closing[KEY];
	void *p, *q;

	if (r->id < 2) {
		relaxed_exporter(r);
		return;
	}
	catch_faults();
	up(0);
	import_granted(r, 0, closing, &p, 0);
	import_granted(r, 1, key, &q, 0);
	EXPECT(host_reads(p) && host_reads(q) && ((char *)p)[4095] == 3);
	rank_barrier(r);
	rank_wait_gone(r, 1);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do	/* a death is noticed within a tick of the helper */
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (host_reads(q) && now.tv_sec - start.tv_sec < 10);
	EXPECT(!host_reads(q) && host_reads(p));
	rank_send(r, 0, "g", 1);
	rank_recv(r, 0, key, 1);
	EXPECT(!host_reads(p));
	OK(aclrtIpcMemClose(closing));
}

static void host_access_switch_and_revocation(void)
{
	CU_ASSERT_EQUAL(ranks_run(3, "ASCENDCL_EMU_HOST_ACCESS=1", 1 << 1, host_relaxed), 0);
}

int main(void)
{
	static const struct test tests[] = {
		TEST(null_unknown_and_second_close), TEST(a_third_process_and_close_while_imported),
		TEST(double_import_leaks_before_head), TEST(exporter_close_with_live_importers),
		TEST(free_of_exported_memory), TEST(exporter_process_dies),
		TEST(exporter_resets_its_device), TEST(importer_process_dies),
		TEST(importer_resets_its_device), TEST(key_values_are_never_reused),
		TEST(host_access_faults), TEST(host_access_switch_and_revocation),
		{ NULL, NULL },
	};

	return tests_main("2.7 and 2.8 Close and revocation", tests);
}
