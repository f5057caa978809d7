/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies and fills: contract 1.2, the rules of 2.9 on imported memory, reduce, and 1.9.4. */
#include "ranks.h"

static char key[KEY];
static aclrtStream stream;

static void ready(int device)
{
	up(device);
	OK(aclrtCreateStream(&stream));
}

static int d2d(void *dst, const void *src, size_t n)
{
	int err = aclrtMemcpyAsync(dst, n, src, n, ACL_MEMCPY_DEVICE_TO_DEVICE, stream);

	return err ? err : aclrtSynchronizeStream(stream);
}

static void sync_rows(struct rank *r)
{
	char host[4096], other[4096];
	void *p, *q;

	(void)r;
	ready(0);
	p = alloc(4096);
	q = alloc(4096);
	memset(host, 1, sizeof(host));
	CODE(100000, aclrtMemcpy(NULL, 1, host, 1, ACL_MEMCPY_HOST_TO_DEVICE));
	CODE(100000, aclrtMemcpy(p, 1, NULL, 1, ACL_MEMCPY_HOST_TO_DEVICE));
	CODE(100000, aclrtMemcpy(p, 1, q, 1, ACL_MEMCPY_INNER_DEVICE_TO_DEVICE));
	CODE(100000, aclrtMemcpy(p, 1, q, 1, ACL_MEMCPY_INTER_DEVICE_TO_DEVICE));
	CODE(107000, aclrtMemcpy(p, 10, host, 11, ACL_MEMCPY_HOST_TO_DEVICE));
	CODE(107000, aclrtMemcpy(p, 8192, host, 4097, ACL_MEMCPY_HOST_TO_DEVICE));
	OK(aclrtMemcpy(p, 0, host, 0, ACL_MEMCPY_HOST_TO_DEVICE));
	OK(aclrtMemcpy(p, 1, p, 1, ACL_MEMCPY_DEVICE_TO_DEVICE));
	OK(aclrtMemcpy(p, 4096, host, 4096, ACL_MEMCPY_DEVICE_TO_HOST));	/* kind: a hint */
	OK(aclrtMemcpy(q, 4096, p, 4096, ACL_MEMCPY_DEFAULT));
	OK(aclrtMemcpy(other, 4096, q, 4096, ACL_MEMCPY_DEVICE_TO_HOST));
	EXPECT(!memcmp(host, other, 4096));
	OK(aclrtMemset(p, 4096, 7, 100));
	EXPECT(holds(p, 7, 100) && holds((char *)p + 100, 1, 3996));
	CODE(107000, aclrtMemset(p, 10, 7, 11));
}

static void the_sync_copy(void)
{
	RANKS_OK(1, "", sync_rows);
}

static void async_rows(struct rank *r)
{
	char host[64];
	void *p, *q, *pinned;

	(void)r;
	ready(0);
	p = alloc(4096);
	q = alloc(4096);
	OK(aclrtMallocHost(&pinned, 64));
	CODE(100000, aclrtMemcpyAsync(p, 1, q, 1, ACL_MEMCPY_INNER_DEVICE_TO_DEVICE, stream));
	CODE(100000, aclrtMemcpyAsync(p, 1, q, 1, ACL_MEMCPY_INTER_DEVICE_TO_DEVICE, stream));
	CODE(107000, aclrtMemcpyAsync(p, 1, q, 2, ACL_MEMCPY_DEVICE_TO_DEVICE, stream));
	CODE(207000, aclrtMemcpyAsync(host, 8, pinned, 8, ACL_MEMCPY_HOST_TO_HOST, stream));
	CODE(207000, aclrtMemcpyAsync(host, 8, pinned, 8, ACL_MEMCPY_DEFAULT, stream));
	CODE(107000, aclrtMemcpyAsync(p, 8, pinned, 8, ACL_MEMCPY_DEVICE_TO_DEVICE, stream));
	CODE(107000, aclrtMemcpyAsync(p, 8, q, 8, ACL_MEMCPY_HOST_TO_DEVICE, stream));
	memset(pinned, 5, 64);
	OK(aclrtMemcpyAsync(p, 64, pinned, 64, ACL_MEMCPY_HOST_TO_DEVICE, stream));
	OK(aclrtMemcpyAsync(q, 64, p, 64, ACL_MEMCPY_DEFAULT, stream));
	OK(aclrtMemcpyAsync(host, 64, q, 64, ACL_MEMCPY_DEVICE_TO_HOST, stream));
	EXPECT(host[63] == 5);		/* pageable: it was a sync copy in disguise */
	OK(aclrtMemsetAsync(p, 64, 6, 64, stream));
	OK(aclrtSynchronizeStream(stream));
	EXPECT(holds(p, 6, 64));
}

static void the_async_copy(void)
{
	RANKS_OK(1, "", async_rows);
}

static void late(struct rank *r)
{
	void *p, *q, *pinned;

	(void)r;
	ready(0);
	p = alloc(4096);
	q = alloc(4096);
	put(p, 1, 4096);
	put(q, 2, 4096);
	OK(aclrtMallocHost(&pinned, 4096));
	OK(aclrtMemcpyAsync(p, 4096, q, 4096, ACL_MEMCPY_DEVICE_TO_DEVICE, stream));
	OK(aclrtMemcpyAsync(pinned, 4096, p, 4096, ACL_MEMCPY_DEVICE_TO_HOST, stream));
	EXPECT(holds(p, 1, 4096));	/* a reader that does not synchronise sees old bytes */
	OK(aclrtSynchronizeStream(stream));
	EXPECT(holds(p, 2, 4096) && ((char *)pinned)[0] == 2);
}

static void a_missing_synchronisation_shows(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_TASK_DELAY_US=50000", late);
}

static void gone(struct rank *r)
{
	void *p, *q;

	(void)r;
	ready(0);
	p = alloc(4096);
	q = alloc(4096);
	OK(aclrtMemcpyAsync(p, 4096, q, 4096, ACL_MEMCPY_DEVICE_TO_DEVICE, stream));
	OK(aclrtFree(q));		/* too early: the copy has not run */
	CODE(507013, aclrtSynchronizeStream(stream));
	OK(aclrtSynchronizeStream(stream));	/* reported once */
}

static void memory_freed_under_a_queued_copy_faults(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_TASK_DELAY_US=50000", gone);
}

/* 2.9, the document column: exporter on device 0, importer on device 1 */
static void foreign(struct rank *r)
{
	bool strict = !getenv("ASCENDCL_EMU_STRICT");
	char host[4096];
	void *p, *local, *pinned;

	ready(r->id);
	OK(aclrtDeviceEnablePeerAccess(!r->id, 0));
	if (r->id == 0) {
		p = alloc(4096);
		put(p, 4, 4096);
		export_granted(r, 1, p, 4096, key);
		rank_barrier(r);
		rank_barrier(r);
		if (strict)
			EXPECT(holds(p, 8, 4096));
		return;
	}
	import_granted(r, 0, key, &p, 0);
	rank_barrier(r);
	local = alloc(4096);
	OK(aclrtMallocHost(&pinned, 4096));
	OK(d2d(local, p, 4096));		/* async copy between devices */
	EXPECT(holds(local, 4, 4096));
	CODE(strict ? 107000 : 0, aclrtMemcpyAsync(local, 8, p, 8, ACL_MEMCPY_DEFAULT, stream));
	CODE(strict ? 107000 : 0,
	     aclrtMemcpyAsync(pinned, 8, p, 8, ACL_MEMCPY_DEVICE_TO_HOST, stream));
	CODE(strict ? 107000 : 0,
	     aclrtMemcpyAsync(p, 8, pinned, 8, ACL_MEMCPY_HOST_TO_DEVICE, stream));
	CODE(strict ? 107000 : 0, aclrtMemcpy(host, 8, p, 8, ACL_MEMCPY_DEVICE_TO_HOST));
	CODE(strict ? 107000 : 0, aclrtMemcpy(p, 8, host, 8, ACL_MEMCPY_HOST_TO_DEVICE));
	CODE(strict ? 107000 : 0, aclrtMemcpy(local, 8, p, 8, ACL_MEMCPY_DEVICE_TO_DEVICE));
	CODE(strict ? 107000 : 0, aclrtMemset(p, 4096, 1, 8));
	CODE(strict ? 107000 : 0, aclrtMemsetAsync(p, 4096, 1, 8, stream));
	CODE(107000, aclrtReduceAsync(local, p, 4096, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_INT8,
				      stream, NULL));
	CODE(107000, aclrtReduceAsync(p, local, 4096, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_INT8,
				      stream, NULL));
	CODE(107000, aclrtFree(p));		/* Close is the way */
	put(local, 8, 4096);
	OK(d2d(p, local, 4096));
	rank_barrier(r);
}

static void memory_imported_from_another_device(void)
{
	RANKS_OK(2, "", foreign);
	RANKS_OK(2, "ASCENDCL_EMU_STRICT=0", foreign);
}

static void same_device(struct rank *r)
{
	char host[64];
	void *p, *local;

	ready(0);
	if (r->id == 0) {
		p = alloc(4096);
		put(p, 4, 4096);
		export_granted(r, 1, p, 4096, key);
		rank_barrier(r);
		EXPECT(holds(p, 6, 64));
		return;
	}
	import_granted(r, 0, key, &p, 0);
	local = alloc(4096);
	OK(aclrtMemcpyAsync(local, 64, p, 64, ACL_MEMCPY_DEFAULT, stream));	/* type 1 in HEAD */
	OK(aclrtSynchronizeStream(stream));
	OK(aclrtMemcpy(host, 64, p, 64, ACL_MEMCPY_DEVICE_TO_HOST));
	EXPECT(host[63] == 4);
	OK(aclrtMemset(p, 64, 2, 64));
	put(local, 4, 64);
	OK(aclrtReduceAsync(p, local, 64, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_INT8, stream, NULL));
	OK(aclrtSynchronizeStream(stream));
	rank_barrier(r);
}

static void same_device_has_no_restriction(void)
{
	RANKS_OK(2, "", same_device);
}

/* 1.9.4: what an imported address is reported as, and what follows from it */
static void reported(struct rank *r)
{
	int type = atoi(getenv("WANT_TYPE"));
	uint64_t lookups = strtoull(getenv("WANT_LOOKUPS"), NULL, 10);
	aclrtPtrAttributes a;
	void *p, *local;

	ready(0);
	if (r->id == 0) {
		p = alloc(4 * MIB);
		OK(aclrtPointerGetAttributes((char *)p + 5, &a));
		EXPECT(a.location.type == 1 && a.location.id == 0 && a.pageSize == 2 * MIB);
		OK(aclrtPointerGetAttributes(&a, &a));
		EXPECT(a.location.type == ACL_MEM_LOCATION_TYPE_UNREGISTERED);
		export_granted(r, 1, p, 4 * MIB, key);
		rank_barrier(r);
		return;
	}
	import_granted(r, 0, key, &p, 0);
	local = alloc(4096);
	OK(aclrtPointerGetAttributes(p, &a));
	EXPECT((int)a.location.type == type);
	CODE(type == 1 ? 0 : 107000,
	     aclrtMemcpyAsync(local, 8, p, 8, ACL_MEMCPY_DEFAULT, stream));
	CODE(type == 1 ? 0 : 107000, aclrtValueWrite(p, 1, 0, stream));
	CODE(type == 1 ? 0 : 107000, aclrtValueWait(p, 1, ACL_STREAM_WAIT_VALUE_GEQ, stream));
	ascendclEmuResetCounters();
	OK(d2d(local, p, 4096));
	EXPECT(counter("ioctl_lookup") == lookups);
	rank_barrier(r);
}

static void location_type_and_lookups_by_release(void)
{
	RANKS_OK(2, "ASCENDCL_EMU_RELEASE=8.5.0 WANT_TYPE=3 WANT_LOOKUPS=1", reported);
	RANKS_OK(2, "ASCENDCL_EMU_RELEASE=9.0.0 WANT_TYPE=3 WANT_LOOKUPS=1", reported);
	RANKS_OK(2, "ASCENDCL_EMU_RELEASE=9.1.0 WANT_TYPE=1 WANT_LOOKUPS=3", reported);
	RANKS_OK(2, "ASCENDCL_EMU_RELEASE=9.2.0-beta.1 WANT_TYPE=3 WANT_LOOKUPS=3", reported);
	RANKS_OK(2, "ASCENDCL_EMU_IMPORT_TYPE=3 WANT_TYPE=3 WANT_LOOKUPS=3", reported);
}

static void no_peer(struct rank *r)
{
	void *p, *local;

	ready(r->id);
	if (r->id == 0) {
		p = alloc(4096);
		export_granted(r, 1, p, 4096, key);
		rank_barrier(r);
		OK(aclrtDeviceEnablePeerAccess(1, 0));
		rank_barrier(r);
		rank_barrier(r);
		return;
	}
	import_granted(r, 0, key, &p, 0);
	local = alloc(4096);
	CODE(507013, d2d(local, p, 4096));	/* no direction is enabled */
	OK(aclrtDeviceEnablePeerAccess(0, 0));
	CODE(507013, d2d(local, p, 4096));	/* one is not enough */
	rank_barrier(r);
	rank_barrier(r);
	OK(d2d(local, p, 4096));		/* the other process enabled the other */
	rank_barrier(r);
}

static void copies_need_both_directions_of_peer_access(void)
{
	RANKS_OK(2, "", no_peer);
}

static void fill(void *dev, const void *host, size_t n)
{
	OK(ascendclEmuPoke(dev, host, n));
}

static void reduce_rows(struct rank *r)
{
	const float f[] = { 1.5f, -2.0f, 8.0f }, g[] = { 2.0f, -3.0f, 1.0f };
	const uint16_t h[] = { 0x3c00, 0x4000, 0xc400 };	/* fp16: 1, 2, -4 */
	const uint16_t b[] = { 0x3f80, 0x4000, 0xc080 };	/* bf16: 1, 2, -4 */
	const int32_t i[] = { INT32_MAX, -5, 7 }, j[] = { 1, 2, 3 };
	uint16_t h2[3];
	int32_t i2[3];
	float f2[3];
	void *p, *q;

	(void)r;
	ready(0);
	p = alloc(4096);
	q = alloc(4096);
#define REDUCE(kind, type, n) \
	(aclrtReduceAsync(p, q, n, kind, type, stream, NULL) ?: aclrtSynchronizeStream(stream))
	fill(p, f, sizeof(f));
	fill(q, g, sizeof(g));
	OK(REDUCE(ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT, 12));	/* count is bytes */
	OK(ascendclEmuPeek(p, f2, sizeof(f2)));
	EXPECT(f2[0] == 3.5f && f2[1] == -5.0f && f2[2] == 9.0f);
	OK(REDUCE(ACL_RT_MEMCPY_SDMA_AUTOMATIC_MAX, ACL_FLOAT, 8));
	OK(ascendclEmuPeek(p, f2, sizeof(f2)));
	EXPECT(f2[0] == 3.5f && f2[1] == -3.0f && f2[2] == 9.0f);
	fill(p, h, sizeof(h));
	fill(q, h, sizeof(h));
	OK(REDUCE(ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT16, 6));
	OK(ascendclEmuPeek(p, h2, sizeof(h2)));
	EXPECT(h2[0] == 0x4000 && h2[1] == 0x4400 && h2[2] == 0xc800);
	fill(p, b, sizeof(b));
	fill(q, b, sizeof(b));
	OK(REDUCE(ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_BF16, 6));
	OK(ascendclEmuPeek(p, h2, sizeof(h2)));
	EXPECT(h2[0] == 0x4000 && h2[1] == 0x4080 && h2[2] == 0xc100);
	fill(p, i, sizeof(i));
	fill(q, j, sizeof(j));
	OK(REDUCE(ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_INT32, 12));
	OK(ascendclEmuPeek(p, i2, sizeof(i2)));
	EXPECT(i2[0] == INT32_MIN && i2[1] == -3 && i2[2] == 10);
	OK(REDUCE(ACL_RT_MEMCPY_SDMA_AUTOMATIC_MIN, ACL_INT32, 12));
	OK(ascendclEmuPeek(p, i2, sizeof(i2)));
	EXPECT(i2[0] == INT32_MIN && i2[1] == -3 && i2[2] == 3);
	CODE(207000, REDUCE(ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_UINT8, 12));
	CODE(207000, REDUCE(ACL_RT_MEMCPY_SDMA_AUTOMATIC_EQUAL, ACL_INT8, 12));
	CODE(107000, REDUCE(ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_INT32, 13));
	CODE(107000, REDUCE(ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_INT32, ((size_t)4 << 30) + 4));
	CODE(107000, aclrtReduceAsync(p, q, 4, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_INT32, stream,
				      p));
	OK(aclrtDeviceEnablePeerAccess(1, 0));
	OK(aclrtSetDevice(1));
	q = alloc(4096);
	OK(aclrtSetDevice(0));
	CODE(107000, REDUCE(ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_INT32, 12));
}

static void reduce_types_and_refusals(void)
{
	RANKS_OK(1, "", reduce_rows);
}

static void padding(struct rank *r)
{
	aclrtPtrAttributes a;
	void *p, *base;
	size_t size;
	struct { size_t ask; int align32; size_t page, takes; } rows[] = {
		{ 1, 0, 4096, 4096 },
		{ 4096, 0, 4096, 8192 },		/* the 32 bytes */
		{ 4096, 1, 4096, 4096 },
		{ MIB, 1, 4096, MIB },
		{ MIB - 32, 0, 4096, MIB },
		{ MIB, 0, 2 * MIB, 2 * MIB },		/* padded above 1 MiB */
		{ 2 * MIB, 0, 2 * MIB, 4 * MIB },	/* two huge pages */
		{ 2 * MIB - 32, 0, 2 * MIB, 2 * MIB },
		{ 2 * MIB, 1, 2 * MIB, 2 * MIB },
	};

	(void)r;
	ready(0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].align32)
			OK(aclrtMallocAlign32(&p, rows[i].ask, ACL_MEM_MALLOC_HUGE_FIRST));
		else
			OK(aclrtMalloc(&p, rows[i].ask, ACL_MEM_MALLOC_HUGE_FIRST));
		OK(aclrtPointerGetAttributes(p, &a));
		OK(aclrtMemGetAddressRange((char *)p + rows[i].ask - 1, &base, &size));
		EXPECT(a.pageSize == rows[i].page && size == rows[i].takes && base == p);
		EXPECT((uintptr_t)p % rows[i].page == 0);
		EXPECT(holds(p, 0xa5, 4096));	/* fresh memory is not zeroed */
	}
	CODE(100000, aclrtMalloc(NULL, 1, ACL_MEM_MALLOC_HUGE_FIRST));
	CODE(100000, aclrtMalloc(&p, 0, ACL_MEM_MALLOC_HUGE_FIRST));
	CODE(107000, aclrtMalloc(&p, 1, 42));
	CODE(207001, aclrtMalloc(&p, (size_t)65 << 30, ACL_MEM_MALLOC_HUGE_FIRST));
	CODE(107000, aclrtFree((char *)p + 64));
	OK(aclrtFree(p));
	CODE(107000, aclrtFree(p));
}

static void page_kinds_and_the_padding_trap(void)
{
	RANKS_OK(1, "", padding);
}

static void few_huge(struct rank *r)
{
	aclrtPtrAttributes a;
	void *p, *q;

	(void)r;
	ready(0);
	OK(aclrtMallocAlign32(&p, 4 * MIB, ACL_MEM_MALLOC_HUGE_FIRST));
	OK(aclrtMallocAlign32(&q, 2 * MIB, ACL_MEM_MALLOC_HUGE_FIRST));
	OK(aclrtPointerGetAttributes(q, &a));
	EXPECT(a.pageSize == 4096);	/* silently */
	CODE(207001, aclrtMalloc(&q, 1, ACL_MEM_MALLOC_HUGE_ONLY));
	OK(aclrtFree(p));
	OK(aclrtMalloc(&q, 1, ACL_MEM_MALLOC_HUGE_ONLY));
	EXPECT(p == q);			/* a freed address comes back at once */
}

static void huge_pages_run_out(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_HUGE_PAGES=2", few_huge);
}

int main(void)
{
	static const struct test tests[] = {
		TEST(the_sync_copy), TEST(the_async_copy), TEST(a_missing_synchronisation_shows),
		TEST(memory_freed_under_a_queued_copy_faults),
		TEST(memory_imported_from_another_device), TEST(same_device_has_no_restriction),
		TEST(location_type_and_lookups_by_release),
		TEST(copies_need_both_directions_of_peer_access), TEST(reduce_types_and_refusals),
		TEST(page_kinds_and_the_padding_trap), TEST(huge_pages_run_out), { NULL, NULL },
	};

	return tests_main("1.2 and 2.9 memory and copies", tests);
}
