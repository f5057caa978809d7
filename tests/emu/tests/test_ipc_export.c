/* SPDX-License-Identifier: BSD-3-Clause */
/* Contract 2.2 (keys) and 2.3 (aclrtIpcMemGetExportKey): a test per row that a caller can meet. */
#include "ranks.h"

#include <ctype.h>

static char key[KEY];

/* 2.2: creator, counter, device, vf and sdid in hex, padded with '0'; 65 bytes are written */
static void key_layout(struct rank *r)
{
	char wide[KEY + 2], tgid[9], other[KEY];
	int32_t pid = up(3);
	void *p = alloc(4096);

	(void)r;
	memset(wide, '#', sizeof(wide));
	OK(aclrtIpcMemGetExportKey(p, 4096, wide, sizeof(wide), 0));
	EXPECT(strlen(wide) == 64 && wide[65] == '#' && wide[66] == '#');
	for (int i = 0; i < 64; i++)
		EXPECT(isxdigit((unsigned char)wide[i]));
	snprintf(tgid, sizeof(tgid), "%08x", pid);
	EXPECT(!strncmp(wide, tgid, 8) && !strncmp(wide + 24, "0300", 4));
	/* row 2.3: ok */
	OK(aclrtIpcMemGetExportKey(p, 4096, other, KEY, 0));
	EXPECT(strcmp(wide, other));	/* exported again, another key */
}

static void key_layout_on_910b_and_910c(void)
{
	RANKS_OK(1, "", key_layout);
	RANKS_OK(1, "ASCENDCL_EMU_SOC=Ascend910_9391", key_layout);
}

static void no_pod(struct rank *r)
{
	(void)r;
	up(0);
	OK(aclrtIpcMemGetExportKey(alloc(1), 1, key, KEY, 0));
	EXPECT(!strcmp(key + 28, "000000000000000000000000000000000000"));
}

static void pod(struct rank *r)
{
	int64_t sdid;
	char text[9];

	(void)r;
	up(1);
	OK(aclrtGetDeviceInfo(1, ACL_DEV_ATTR_SUPER_POD_DEVICE_ID, &sdid));
	OK(aclrtIpcMemGetExportKey(alloc(1), 1, key, KEY, 0));
	snprintf(text, sizeof(text), "%08x", (unsigned)sdid);
	EXPECT(!strncmp(key + 28, text, 8) && !strcmp(key + 36, "0000000000000000000000000000"));
}

static void key_has_the_sdid_on_910c_only(void)
{
	RANKS_OK(1, "", no_pod);
	RANKS_OK(1, "ASCENDCL_EMU_SOC=Ascend910_9391", pod);
}

static void arguments(struct rank *r)
{
	void *p;

	(void)r;
	up(0);
	p = alloc(4096);
	/* row 2.3: devPtr or key NULL */
	CODE(100000, aclrtIpcMemGetExportKey(NULL, 4096, key, KEY, 0));
	CODE(100000, aclrtIpcMemGetExportKey(p, 4096, NULL, KEY, 0));
	/* row 2.3: size 0, len 0, flags > 1 */
	CODE(107000, aclrtIpcMemGetExportKey(p, 0, key, KEY, 0));
	CODE(107000, aclrtIpcMemGetExportKey(p, 4096, key, 0, 0));
	CODE(107000, aclrtIpcMemGetExportKey(p, 4096, key, KEY, 2));
	/* row 2.3: len < 65 */
	CODE(107000, aclrtIpcMemGetExportKey(p, 4096, key, 64, 0));
	OK(aclrtIpcMemGetExportKey(p, 4096, key, KEY, 1));
}

static void null_zero_flags_and_short_len(void)
{
	RANKS_OK(1, "", arguments);
}

/* row 2.3: not device memory of this process, not mapped, not aligned to its page size,
 * read-only, imported, VMM-shared */
static void bad_pointers(struct rank *r)
{
	void *small, *huge, *ro = NULL, *import, *host;
	char stack, k2[KEY];

	up(0);
	if (r->id == 0) {
		small = alloc(3 * 4096);
		CODE(507899, aclrtIpcMemGetExportKey(&stack, 1, key, KEY, 0));	/* not device */
		CODE(507899, aclrtIpcMemGetExportKey((char *)small + 64, 1, key, KEY, 0));
		OK(aclrtIpcMemGetExportKey((char *)small + 4096, 1, key, KEY, 0)); /* page aligned */
		huge = alloc(4 * MIB);
		CODE(507899, aclrtIpcMemGetExportKey((char *)huge + 4096, 1, key, KEY, 0));
		OK(aclrtIpcMemGetExportKey((char *)huge + 2 * MIB, 1, key, KEY, 0));
		OK(aclrtMalloc(&ro, 4096, ACL_MEM_MALLOC_NORMAL_ONLY |
			       ACL_MEM_ACCESS_USER_SPACE_READONLY));
		CODE(507899, aclrtIpcMemGetExportKey(ro, 4096, key, KEY, 0));	/* read-only */
		OK(aclrtMallocHost(&host, 4096));
		CODE(507899, aclrtIpcMemGetExportKey(host, 4096, key, KEY, 0));
		/* row 2.3: range runs past the mapped pages */
		OK(aclrtIpcMemGetExportKey(small, 3 * 4096, key, KEY, 0));
		CODE(507899, aclrtIpcMemGetExportKey(small, 3 * 4096 + 1, key, KEY, 0));
		OK(aclrtFree(small));
		CODE(507899, aclrtIpcMemGetExportKey(small, 1, key, KEY, 0));	/* not mapped */
		export_granted(r, 1, huge, 4 * MIB, key);
	} else {
		import_granted(r, 0, key, &import, 0);
		CODE(507899, aclrtIpcMemGetExportKey(import, 4096, k2, KEY, 0)); /* imported */
	}
	rank_barrier(r);
}

static void pointers_the_driver_refuses(void)
{
	RANKS_OK(2, "", bad_pointers);
}

static void unaligned_base(struct rank *r)
{
	void *p;

	(void)r;
	up(0);
	p = alloc(4096);
	EXPECT((uintptr_t)p % 64 == 0 && (uintptr_t)p % 4096);
	CODE(507899, aclrtIpcMemGetExportKey(p, 4096, key, KEY, 0));
}

static void base_that_is_only_64_byte_aligned(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_BASE_OFFSET=64", unaligned_base);
}

/* row 2.3: more than 480000 exports + imports in the process */
static void limit(struct rank *r)
{
	void *p;

	(void)r;
	up(0);
	p = alloc(4096);
	for (int i = 0; i < 5; i++)
		OK(aclrtIpcMemGetExportKey(p, 4096, key, KEY, 0));
	CODE(107017, aclrtIpcMemGetExportKey(p, 4096, key, KEY, 0));
	OK(aclrtIpcMemClose(key));
	OK(aclrtIpcMemGetExportKey(p, 4096, key, KEY, 0));
	EXPECT(counter("violation_reexport") == 5);
}

static void more_exports_than_a_process_may_hold(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_MAX_KEYS=5", limit);
}

/* row 2.3: virtual instance */
static void on_virtual(struct rank *r)
{
	(void)r;
	up(0);
	CODE(207000, aclrtIpcMemGetExportKey(alloc(4096), 4096, key, KEY, 0));
}

static void virtual_instance(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_VIRTUAL=1", on_virtual);
}

static void old_driver(struct rank *r)
{
	struct ascendcl_emu_holdings h;

	(void)r;
	up(0);
	CODE(207000, aclrtIpcMemGetExportKey(alloc(4096), 4096, key, KEY, 1));
	OK(ascendclEmuHoldings(&h));
	EXPECT(h.exports == 1);		/* 1.8: the node leaks */
	OK(aclrtIpcMemGetExportKey(alloc(4096), 4096, key, KEY, 0));
}

static void flag_on_an_old_driver_leaks_the_node(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_NO_FLAGS=1", old_driver);
}

static void no_context(struct rank *r)
{
	int32_t pid = 1;
	void *p;

	(void)r;
	memset(key, '0', 64);
	OK(aclInit(NULL));
	OK(aclrtDeviceGetBareTgid(&pid));	/* the one call that needs none */
	p = &pid;
	CODE(107002, aclrtIpcMemGetExportKey(p, 4096, key, KEY, 0));
	CODE(107002, aclrtIpcMemSetImportPid(key, &pid, 1));
	CODE(107002, aclrtIpcMemImportByKey(&p, key, 0));
	CODE(107002, aclrtIpcMemClose(key));
	CODE(107002, aclrtIpcMemSetAttr(key, ACL_RT_IPC_MEM_ATTR_ACCESS_LINK, 0));
}

static void ipc_calls_need_a_context(void)
{
	RANKS_OK(1, "", no_context);
}

/* 2.3: whole pages are exposed, the imported address is exactly devPtr */
static void exposure(struct rank *r)
{
	char *p;
	void *import;

	up(0);
	if (r->id == 0) {
		p = alloc(3 * 4096);
		put(p, 1, 4096);
		put(p + 4096, 2, 4096);
		put(p + 8192, 3, 4096);
		export_granted(r, 1, p + 4096, 10, key);
	} else {
		import_granted(r, 0, key, &import, 0);
		EXPECT(holds(import, 2, 4096));
		EXPECT(ascendclEmuPeek((char *)import + 4096, key, 1) == -1);
	}
	rank_barrier(r);
}

static void whole_pages_are_exposed(void)
{
	RANKS_OK(2, "", exposure);
}

int main(void)
{
	static const struct test tests[] = {
		TEST(key_layout_on_910b_and_910c), TEST(key_has_the_sdid_on_910c_only),
		TEST(null_zero_flags_and_short_len), TEST(pointers_the_driver_refuses),
		TEST(base_that_is_only_64_byte_aligned),
		TEST(more_exports_than_a_process_may_hold), TEST(virtual_instance),
		TEST(flag_on_an_old_driver_leaks_the_node), TEST(ipc_calls_need_a_context),
		TEST(whole_pages_are_exposed), { NULL, NULL },
	};

	return tests_main("2.3 aclrtIpcMemGetExportKey", tests);
}
