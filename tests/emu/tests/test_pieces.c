/* SPDX-License-Identifier: BSD-3-Clause */
/* Contract 1.9.1 (2-D copies), 1.9.2 (batches, descriptors) and 1.9.3 (queue). */
#include "ranks.h"

#include <pthread.h>

static char key[KEY];
static aclrtStream stream;

static void ready(int device)
{
	up(device);
	OK(aclrtCreateStream(&stream));
}

#define D2D ACL_MEMCPY_DEVICE_TO_DEVICE

static void arguments_2d(struct rank *r)
{
	char host[64], host2[64];
	void *p, *q;

	(void)r;
	ready(0);
	p = alloc(4096);
	q = alloc(4096);
	CODE(100000, aclrtMemcpy2dAsync(NULL, 8, q, 8, 8, 1, D2D, stream));
	CODE(100000, aclrtMemcpy2dAsync(p, 7, q, 8, 8, 1, D2D, stream));	/* width > pitch */
	CODE(100000, aclrtMemcpy2dAsync(p, 8, q, 7, 8, 1, D2D, stream));
	CODE(100000, aclrtMemcpy2dAsync(p, 8, q, 8, 8, 1, ACL_MEMCPY_HOST_TO_HOST, stream));
	for (int kind = 5; kind < 8; kind++)
		CODE(100000, aclrtMemcpy2dAsync(p, 8, q, 8, 8, 1, kind, stream));
	OK(aclrtMemcpy2dAsync(p, 8, q, 8, 0, 1, D2D, stream));
	OK(aclrtMemcpy2dAsync(p, 8, q, 8, 8, 0, D2D, stream));
	CODE(107000, aclrtMemcpy2dAsync(p, 5000001, q, 5000001, 5000001, 1, D2D, stream));
	CODE(107000, aclrtMemcpy2dAsync(p, 8, q, 8, 8, 5242881, D2D, stream));
	CODE(107000, aclrtMemcpy2dAsync(host, 8, host2, 8, 8, 1, ACL_MEMCPY_DEFAULT, stream));
	CODE(207000, aclrtMemcpy2d(p, 8, q, 8, 8, 1, D2D));
	CODE(107000, aclrtMemcpy2d(p, 8, q, 8, 8, 1, ACL_MEMCPY_DEFAULT));
	OK(aclrtMemcpy2d(p, 8, host, 8, 8, 8, ACL_MEMCPY_HOST_TO_DEVICE));
}

static void rows_of_1_9_1(void)
{
	RANKS_OK(1, "", arguments_2d);
}

static void before_9_1(struct rank *r)
{
	bool old = !strcmp(ascendclEmuRelease(), "8.5.0");
	void *p, *q;

	(void)r;
	ready(0);
	p = alloc(4096);
	q = alloc(4096);
	CODE(old ? 100000 : 0, aclrtMemcpy2dAsync(p, 8, q, 8, 8, 1, D2D, stream));
	CODE(old ? 100000 : 207000, aclrtMemcpy2d(p, 8, q, 8, 8, 1, D2D));
	CODE(100000, aclrtMemcpy2dAsync(p, 8, q, 8, 0, 1, ACL_MEMCPY_DEFAULT, stream));
}

static void older_releases_refuse_more(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_RELEASE=8.5.0", before_9_1);
	RANKS_OK(1, "ASCENDCL_EMU_RELEASE=9.0.0", before_9_1);
}

static void plane(struct rank *r)
{
	char *p, *local;
	void *import;

	ready(r->id);
	OK(aclrtDeviceEnablePeerAccess(!r->id, 0));
	if (r->id == 0) {
		p = alloc(4096);
		for (int i = 0; i < 16; i++)
			put(p + i * 100, i, 100);
		export_granted(r, 1, p, 4096, key);
		rank_barrier(r);
		rank_barrier(r);
		return;
	}
	import_granted(r, 0, key, &import, 0);
	rank_barrier(r);
	local = alloc(4096);
	put(local, 0x55, 4096);
	ascendclEmuResetCounters();
	OK(aclrtMemcpy2dAsync(local, 32, import, 100, 20, 16, D2D, stream));
	OK(aclrtSynchronizeStream(stream));
	for (int i = 0; i < 16; i++)
		EXPECT(holds(local + i * 32, i, 20) && holds(local + i * 32 + 20, 0x55, 12));
	EXPECT(counter("task") == 16 && counter("row") == 16);	/* one task a row ... */
	EXPECT(counter("ioctl_lookup") == 1);			/* ... one look-up whatever the height */
	CODE(107000, aclrtMemcpy2dAsync(local, 32, import, 100, 20, 16, ACL_MEMCPY_DEFAULT, stream));
	CODE(107000, aclrtMemcpy2dAsync(local, 32, import, 4096, 20, 2, D2D, stream)); /* overrun */
	rank_barrier(r);
}

static void a_row_is_a_task_and_a_call_one_lookup(void)
{
	RANKS_OK(2, "", plane);
}

/* 1.2: over PCIe a task moves 64 MiB, on chip 4 GiB */
static void large(struct rank *r)
{
	char *p, *q, *remote;

	(void)r;
	ready(0);
	OK(aclrtDeviceEnablePeerAccess(1, 0));
	p = alloc(130 * MIB);
	q = alloc(130 * MIB);
	OK(aclrtSetDevice(1));
	OK(aclrtDeviceEnablePeerAccess(0, 0));
	remote = alloc(130 * MIB);
	put(remote + 129 * MIB, 9, 16);
	OK(aclrtSetDevice(0));
	OK(aclrtMemcpyAsync(p, 130 * MIB, q, 130 * MIB, D2D, stream));
	EXPECT(counter("task") == 1);
	OK(aclrtMemcpyAsync(p, 130 * MIB, remote, 130 * MIB, D2D, stream));
	EXPECT(counter("task") == 1 + 3);
	OK(aclrtSynchronizeStream(stream));
	EXPECT(holds(p + 129 * MIB, 9, 16));
}

static void large_copies_are_several_tasks(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_LINKS=0-1=phb", large);
}

static void batches(struct rank *r)
{
	enum { N = 5000 };
	static void *dst[N], *src[N];
	static size_t size[N], max[N];
	static char host[N];
	aclrtMemcpyBatchAttr a = { { 0, ACL_MEM_LOCATION_TYPE_DEVICE },
				   { 0, ACL_MEM_LOCATION_TYPE_HOST }, { 0 } };
	size_t index = 0, fail = 77;
	char *p, *q;

	(void)r;
	ready(0);
	p = alloc(8192);
	q = alloc(8192);
	for (int i = 0; i < N; i++) {
		dst[i] = p + i;
		src[i] = &host[i];
		host[i] = (char)i;
		size[i] = max[i] = 1;
	}
	OK(aclrtMemcpyBatch(dst, max, src, size, 4096, &a, &index, 1, &fail));
	EXPECT(holds(p + 4095, 0xff, 1));
	CODE(107000, aclrtMemcpyBatch(dst, max, src, size, 4097, &a, &index, 1, &fail));
	OK(aclrtMemcpyBatchAsync(dst, max, src, size, N, &a, &index, 1, &fail, stream));
	OK(aclrtSynchronizeStream(stream));
	EXPECT(holds(p + 4999, 4999 & 0xff, 1));
	src[7] = q;
	CODE(107000, aclrtMemcpyBatch(dst, max, src, size, 10, &a, &index, 1, &fail));
	EXPECT(fail == 7);		/* device to device: refused, and which */
	fail = 0;
	CODE(107000, aclrtMemcpyBatchAsync(dst, max, src, size, 10, &a, &index, 1, &fail, stream));
	EXPECT(fail == 7);
	CODE(107000, aclrtMemcpyBatchV2(dst, max, src, size, 10, &a, &index, 1));
	CODE(107000, aclrtMemcpyBatchAsyncV2(dst, max, src, size, 10, &a, &index, 1, stream));
	src[7] = &host[7];
	max[3] = 0;
	CODE(100000, aclrtMemcpyBatch(dst, max, src, size, 10, &a, &index, 1, &fail));
	max[3] = 1;
	a.rsv[15] = 1;
	CODE(100000, aclrtMemcpyBatch(dst, max, src, size, 10, &a, &index, 1, &fail));
}

static void batches_move_only_between_host_and_device(void)
{
	RANKS_OK(1, "", batches);
}

static void descriptors(struct rank *r)
{
	char *desc, *p, *q;
	size_t size;

	(void)r;
	ready(0);
	desc = alloc(4096);
	p = alloc(4096);
	q = alloc(4096);
	put(q, 3, 4096);
	for (int kind = 0; kind < 6; kind++)
		CODE(207000, aclrtGetMemcpyDescSize(kind, &size));
	OK(aclrtGetMemcpyDescSize(ACL_MEMCPY_INNER_DEVICE_TO_DEVICE, &size));
	EXPECT(size == 32);
#define SET(desc, kind, src, dst, n) aclrtSetMemcpyDesc(desc, kind, src, dst, n, NULL)
	CODE(207000, SET(desc, D2D, q, p, 100));
	CODE(107000, SET(desc + 32, ACL_MEMCPY_INNER_DEVICE_TO_DEVICE, q, p, 100));	/* alignment */
	CODE(107000, SET(desc, ACL_MEMCPY_INNER_DEVICE_TO_DEVICE, key, p, 10));	/* not type 1 */
	OK(SET(desc, ACL_MEMCPY_INNER_DEVICE_TO_DEVICE, q, p, 100));
	OK(aclrtMemcpyAsyncWithDesc(desc, ACL_MEMCPY_INNER_DEVICE_TO_DEVICE, stream));
	CODE(207000, aclrtMemcpyAsyncWithDesc(desc, D2D, stream));
	OK(aclrtSynchronizeStream(stream));
	EXPECT(holds(p, 3, 100) && holds(p + 100, 0xa5, 100));
	OK(aclrtSetDevice(1));
	CODE(107000, SET(desc, ACL_MEMCPY_INNER_DEVICE_TO_DEVICE, q, p, 100));	/* another device */
}

static void descriptors_stay_inside_one_device(void)
{
	RANKS_OK(1, "", descriptors);
}

static void *push_2047(void *arg)
{
	void **pq = arg;

	OK(aclrtSetDevice(0));
	for (int i = 0; i < 2046; i++)
		OK(aclrtMemcpyAsync(pq[0], 8, pq[1], 8, D2D, stream));
	__atomic_store_n((int *)pq[2], 1, __ATOMIC_SEQ_CST);
	OK(aclrtMemcpyAsync(pq[0], 8, pq[1], 8, D2D, stream));	/* entry 2048: blocks */
	__atomic_store_n((int *)pq[2], 2, __ATOMIC_SEQ_CST);
	return NULL;
}

/* A wait and 2046 copies fill the queue; the next one blocks its caller until the wait is over. */
static void full_queue(struct rank *r)
{
	aclrtStreamStatus status;
	aclrtNotify notify;
	int at = 0;
	void *pq[3] = { NULL, NULL, &at };
	pthread_t thread;
	aclrtStream other;
	uint64_t tasks;

	(void)r;
	ready(0);
	pq[0] = alloc(4096);
	pq[1] = alloc(4096);
	OK(aclrtCreateStream(&other));
	OK(aclrtCreateNotify(&notify, 0));
	OK(aclrtWaitAndResetNotify(notify, stream, 0));
	pthread_create(&thread, NULL, push_2047, pq);
	while (__atomic_load_n(&at, __ATOMIC_SEQ_CST) < 1)
		;
	for (int i = 0; i < 100; i++) {		/* it does not get through while the wait stands */
		OK(aclrtStreamQuery(stream, &status));
		EXPECT(status == ACL_STREAM_STATUS_NOT_READY);
		EXPECT(__atomic_load_n(&at, __ATOMIC_SEQ_CST) == 1);
	}
	tasks = counter("task");
	EXPECT(tasks == 2047);
	OK(aclrtRecordNotify(notify, other));
	pthread_join(thread, NULL);
	EXPECT(at == 2);
	OK(aclrtSynchronizeStream(stream));
	EXPECT(counter("task") == 2049);
}

static void the_2048th_outstanding_task_blocks_its_caller(void)
{
	RANKS_OK(1, "", full_queue);
}

static void value_entries(struct rank *r)
{
	uint64_t *p;

	(void)r;
	ready(0);
	p = alloc(4096);
	OK(aclrtMemset(p, 4096, 0, 4096));
	ascendclEmuResetCounters();
	CODE(107000, aclrtValueWrite((char *)p + 4, 1, 0, stream));
	CODE(107000, aclrtValueWrite(p, 1, 1, stream));
	CODE(107000, aclrtValueWrite(key, 1, 0, stream));
	CODE(107000, aclrtValueWait(p, 1, 4, stream));
	OK(aclrtValueWrite(p, 5, 0, stream));
	OK(aclrtValueWait(p, 4, ACL_STREAM_WAIT_VALUE_GEQ, stream));
	OK(aclrtValueWait(p, 5, ACL_STREAM_WAIT_VALUE_EQ, stream));
	OK(aclrtValueWait(p, 4, ACL_STREAM_WAIT_VALUE_AND, stream));
	OK(aclrtValueWait(p, 1, ACL_STREAM_WAIT_VALUE_NOR, stream));
	OK(aclrtSynchronizeStream(stream));
	EXPECT(counter("task") == 5 && counter("queue_entry") == 1 + 4 * 4);
	OK(aclrtValueWait(p, (uint64_t)-1, ACL_STREAM_WAIT_VALUE_EQ, stream));	/* never */
	CODE(507046, aclrtSynchronizeStreamWithTimeout(stream, 20));
	OK(aclrtDestroyStreamForce(stream));
}

static void value_wait_takes_four_entries(void)
{
	RANKS_OK(1, "", value_entries);
}

int main(void)
{
	static const struct test tests[] = {
		TEST(rows_of_1_9_1), TEST(older_releases_refuse_more),
		TEST(a_row_is_a_task_and_a_call_one_lookup),
		TEST(large_copies_are_several_tasks),
		TEST(batches_move_only_between_host_and_device),
		TEST(descriptors_stay_inside_one_device),
		TEST(the_2048th_outstanding_task_blocks_its_caller),
		TEST(value_wait_takes_four_entries), { NULL, NULL },
	};

	return tests_main("1.9 many small pieces", tests);
}
