/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What only a backend of devices can get wrong: the program's own use of the runtime beside ours,
 * memory that the program allocated, keys that come twice, and the way between devices.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "pair.h"

#define PAGE 4096

static const unsigned char hello[16] = "hello, device";

/* The program's own calls of the runtime. */
#define CALL(side, type, name, ...)                                                                \
	((type)runtime_function((side), #name))(__VA_ARGS__)

static void (*runtime_function(const struct side *s, const char *name))(void)
{
	void *symbol = runtime_symbol(s, name);
	void (*function)(void);

	memcpy(&function, &symbol, sizeof(function));
	REQUIRE(function, "the runtime has no %s", name);
	return function;
}

typedef int malloc_fn(void **p, size_t size, int policy);
typedef int pointer_fn(void *p);
typedef int number_fn(int32_t n);
typedef int number_out_fn(int32_t *n);
typedef int init_fn(const char *config);

static char *program_alloc(struct side *s, size_t size)
{
	void *p = NULL;

	REQUIRE_INT(CALL(s, malloc_fn *, aclrtMalloc, &p, size, 0), 0);
	return p;
}

static void program_free(struct side *s, void *p)
{
	CHECK_INT(CALL(s, pointer_fn *, aclrtFree, p), 0);
}

static int program_device(struct side *s)
{
	int32_t device = -1;

	CALL(s, number_out_fn *, aclrtGetDevice, &device);
	return device;
}

/* ---- Memory of the program ---- */

/* Two buffers of one allocation, neither at its beginning, as a pool hands them out. */
static void registers_two(struct side *s)
{
	char *pool = program_alloc(s, 64 * PAGE);
	struct ipcshare__memory a, b;
	size_t offset;

	REQUIRE_OK(s->ops->adopt(s->be, pool + 192, 1000, -1, &a));
	REQUIRE_OK(s->ops->adopt(s->be, pool + 8 * PAGE + 64, 2000, -1, &b));
	CHECK_PTR(a.base, pool + 192);
	CHECK_INT(a.length, 1000);
	side_write(s, a.base, hello, sizeof(hello));
	side_write(s, b.base, hello, sizeof(hello));
	counts_reset(s);
	side_give(s, &a, 0);
	offset = (size_t)((char *)a.base - (char *)a.start);
	test_send(s->channel, &offset, sizeof(offset));
	side_give(s, &b, 0);
	offset = (size_t)((char *)b.base - (char *)b.start);
	test_send(s->channel, &offset, sizeof(offset));
	if (runtime_symbol(s, "aclrtMemGetAddressRange"))
		CHECK_COUNT(s, "aclrtIpcMemGetExportKey", 1);
	CHECK_COUNT(s, "violation_reexport", 0);
	test_await(s->channel);
	s->ops->close_export(s->be, &a);
	s->ops->release(s->be, &a);
	CHECK_COUNT(s, "aclrtFree", 0); /* it is the program's */
	test_signal(s->channel);
	test_await(s->channel);
	s->ops->close_export(s->be, &b);
	s->ops->release(s->be, &b);
	program_free(s, pool);
}

static void sees_hello(struct side *s, const struct ipcshare__imported *from, size_t offset)
{
	unsigned char bytes[sizeof(hello)] = { 0 };

	side_read(s, (char *)from->base + offset, bytes, sizeof(bytes));
	CHECK_MEM(bytes, hello, sizeof(hello));
}

static void reads_two(struct side *s)
{
	struct ipcshare__imported a, b;
	size_t at_a, at_b;

	counts_reset(s);
	a = side_take(s);
	test_recv(s->channel, &at_a, sizeof(at_a));
	b = side_take(s);
	test_recv(s->channel, &at_b, sizeof(at_b));
	if (runtime_symbol(s, "aclrtMemGetAddressRange"))
		CHECK_COUNT(s, "aclrtIpcMemImportByKey", 1); /* it is one key */
	sees_hello(s, &a, at_a);
	s->ops->close_import(s->be, &a);
	test_signal(s->channel);
	test_await(s->channel);
	sees_hello(s, &b, at_b); /* the first one is gone on both sides */
	s->ops->close_import(s->be, &b);
	test_signal(s->channel);
}

static void buffers_inside_an_allocation_share_its_key(void)
{
	on_pair(.backend = "ascend", .owner = registers_two, .reader = reads_two);
}

static void buffers_of_an_unaligned_allocation_share_its_key(void)
{
	on_pair(.backend = "ascend", .owner = registers_two, .reader = reads_two,
		.set = "ASCENDCL_EMU_BASE_OFFSET=512");
}

static void copies_unregistered(struct side *s)
{
	char *p = program_alloc(s, PAGE), bytes[sizeof(hello)] = { 0 };
	struct ipcshare__memory mem;

	if (!runtime_symbol(s, "aclrtPointerGetAttributes"))
		return;
	REQUIRE_OK(s->ops->alloc(s->be, PAGE, &mem));
	side_write(s, p, hello, sizeof(hello));
	side_write(s, mem.base, p, sizeof(hello));
	side_read(s, mem.base, bytes, sizeof(bytes));
	CHECK_MEM(bytes, hello, sizeof(hello));
	s->ops->release(s->be, &mem);
	program_free(s, p);
}

static void device_memory_that_is_not_registered_can_be_copied(void)
{
	on_pair(.backend = "ascend", .owner = copies_unregistered);
}

static void registers_badly(struct side *s)
{
	char *p = program_alloc(s, PAGE);
	struct ipcshare__memory mem, *const untouched = &mem;
	char host[64];

	mem.base = untouched;
	CHECK_FAILS(s->ops->adopt(s->be, host, sizeof(host), -1, &mem), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_FAILS(s->ops->adopt(s->be, p, 64, 3, &mem), IPCSHARE_ERR_INVALID);
	if (runtime_symbol(s, "aclrtMemGetAddressRange"))
		CHECK_FAILS(s->ops->adopt(s->be, p, 4 * PAGE, -1, &mem), IPCSHARE_ERR_RANGE);
	CHECK_PTR(mem.base, untouched);
	program_free(s, p);
}

static void registers_strictly(struct side *s)
{
	char *p = program_alloc(s, PAGE);
	struct ipcshare__memory mem;

	CHECK_FAILS(s->ops->adopt(s->be, p, 64, -1, &mem), IPCSHARE_ERR_NOT_SHAREABLE);
	CHECK_HAS(ipcshare_last_error()->hint, "IPCSHARE_ASCEND_STRICT");
	program_free(s, p);
}

static void what_is_no_memory_of_the_device_is_refused(void)
{
	on_pair(.backend = "ascend", .owner = registers_badly);
}

static void strict_mode_refuses_to_expose_bytes_beside(void)
{
	on_pair(.backend = "ascend", .owner = registers_strictly, .set = "IPCSHARE_ASCEND_STRICT=1");
}

/* ---- Contexts of one process ---- */

static void owns_hello(struct side *s)
{
	struct ipcshare__memory mem;

	REQUIRE_OK(s->ops->alloc(s->be, PAGE, &mem));
	side_write(s, mem.base, hello, sizeof(hello));
	side_give(s, &mem, 0);
	test_await(s->channel);
	s->ops->close_export(s->be, &mem);
	s->ops->release(s->be, &mem);
}

static void imports_in_two_contexts(struct side *s)
{
	struct ipcshare__import im = { .access = IPCSHARE__READ_WRITE, .device = s->peer.device };
	struct ipcshare__imported first, second;
	struct side other = { 0 };
	struct side_gift gift;

	side_open(&other, "ascend", 1);
	counts_reset(s);
	test_recv(s->channel, &gift, sizeof(gift));
	memcpy(im.key, gift.key, sizeof(im.key));
	im.length = gift.length;
	REQUIRE_OK(s->ops->import_keys(s->be, gift.endpoint, &im, 1));
	first = im.out;
	REQUIRE_OK(other.ops->import_keys(other.be, gift.endpoint, &im, 1));
	second = im.out;
	CHECK_COUNT(s, "aclrtIpcMemImportByKey", 1);
	CHECK_PTR(first.base, second.base);
	s->ops->close_import(s->be, &first);
	CHECK_COUNT(s, "aclrtIpcMemClose", 0);
	sees_hello(&other, &second, 0);
	other.ops->close_import(other.be, &second);
	CHECK_COUNT(s, "aclrtIpcMemClose", 1);
	side_close(&other);
	test_signal(s->channel);
}

static void a_key_is_imported_once_for_all_contexts(void)
{
	on_pair(.backend = "ascend", .owner = owns_hello, .reader = imports_in_two_contexts,
		.devices = 2);
}

struct worker {
	struct side *side;
	const struct side_gift *gift;
	pthread_t thread;
	int failures;
};

static int one_round(struct side *s, const struct side_gift *gift)
{
	struct ipcshare__import im = { .access = IPCSHARE__READ_WRITE, .length = gift->length,
				       .device = gift->device };
	unsigned char bytes[sizeof(hello)] = { 0 };
	struct ipcshare__notify *notify;
	int status;

	memcpy(im.key, gift->key, sizeof(im.key));
	status = s->ops->import_keys(s->be, gift->endpoint, &im, 1);
	if (status)
		return status;
	status = s->ops->copy(s->be, bytes, im.out.base, sizeof(bytes));
	s->ops->close_import(s->be, &im.out);
	if (!status)
		status = memcmp(bytes, hello, sizeof(bytes)) != 0;
	if (!status)
		status = s->ops->notify_create(s->be, &notify);
	if (!status)
		s->ops->notify_destroy(s->be, notify);
	return status;
}

static void *works(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < 200; i++)
		w->failures += one_round(w->side, w->gift) != 0;
	return NULL;
}

static void imports_in_four_threads(struct side *s)
{
	struct worker workers[4];
	struct side_gift gift;

	test_recv(s->channel, &gift, sizeof(gift));
	counts_reset(s);
	for (int i = 0; i < 4; i++) {
		workers[i] = (struct worker){ .side = s, .gift = &gift };
		REQUIRE_INT(pthread_create(&workers[i].thread, NULL, works, &workers[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(workers[i].thread, NULL);
		CHECK_INT(workers[i].failures, 0);
	}
	CHECK_COUNT(s, "violation_ipc_race", 0);
	CHECK_COUNT(s, "aclrtIpcMemClose", count_of(s, "aclrtIpcMemImportByKey"));
	test_signal(s->channel);
}

/* Older runtimes need it: they race inside, and can't close a key that came twice. */
static void threads_take_turns_with_keys(void)
{
	on_pair(.backend = "ascend", .owner = owns_hello, .reader = imports_in_four_threads);
	on_pair(.backend = "ascend", .owner = owns_hello, .reader = imports_in_four_threads,
		.set = "ASCENDCL_EMU_LEGACY_CLOSE=1");
}

static void closing_one_context_leaves_the_others(struct side *s)
{
	struct side first = { 0 }, second = { 0 };
	struct ipcshare__memory mem;
	char bytes[sizeof(hello)] = { 0 };

	side_open(&first, "ascend", 1);
	side_open(&second, "ascend", 1);
	REQUIRE_OK(second.ops->alloc(second.be, PAGE, &mem));
	side_close(&first);
	side_write(&second, mem.base, hello, sizeof(hello));
	side_read(&second, mem.base, bytes, sizeof(bytes));
	CHECK_MEM(bytes, hello, sizeof(hello));
	second.ops->release(second.be, &mem);
	side_close(&second);
	REQUIRE_OK(s->ops->alloc(s->be, PAGE, &mem)); /* and ours, on device 0 */
	s->ops->release(s->be, &mem);
	CHECK_COUNT(s, "aclFinalize", 0);
	CHECK_COUNT(s, "aclFinalizeReference", 0);
}

static void contexts_end_in_any_order(void)
{
	on_pair(.backend = "ascend", .owner = closing_one_context_leaves_the_others,
		.devices = 2);
}

/* ---- The program beside us ---- */

static void program_uses_device_1(struct side *s)
{
	struct ipcshare__memory mem;
	struct ipcshare__notify *notify;
	struct ipcshare__stream *stream;
	struct ipcshare__plan *plan;
	struct ipcshare__piece piece;
	char key[IPCSHARE__KEY_SIZE];

	REQUIRE_INT(CALL(s, number_fn *, aclrtSetDevice, 1), 0);
#define STAYS(what)                                                                                \
	do {                                                                                       \
		what;                                                                              \
		CHECK(program_device(s) == 1, "device %d after " #what, program_device(s));        \
	} while (0)
	STAYS(REQUIRE_OK(s->ops->alloc(s->be, PAGE, &mem)));
	STAYS(side_write(s, mem.base, hello, sizeof(hello)));
	STAYS(REQUIRE_OK(s->ops->export_key(s->be, &mem, 0, key)));
	STAYS(CHECK_STATUS(s->ops->allow(s->be, &mem, &s->id, 1, IPCSHARE__READ_WRITE), 0));
	piece = (struct ipcshare__piece){ mem.base, (char *)mem.base + 64, 64 };
	STAYS(CHECK_STATUS(s->ops->copy_pieces(s->be, &piece, 1, NULL), 0));
	STAYS(REQUIRE_OK(s->ops->plan_create(s->be, &piece, 1, &plan)));
	STAYS(CHECK_STATUS(s->ops->plan_run(s->be, plan, NULL), 0));
	STAYS(s->ops->plan_free(s->be, plan));
	STAYS(REQUIRE_OK(s->ops->stream_create(s->be, &stream)));
	STAYS(CHECK_STATUS(s->ops->stream_synchronise(s->be, stream), 0));
	STAYS(s->ops->stream_destroy(s->be, stream));
	STAYS(REQUIRE_OK(s->ops->notify_create(s->be, &notify)));
	STAYS(CHECK_STATUS(s->ops->notify_record(s->be, notify, NULL), 0));
	STAYS(s->ops->notify_destroy(s->be, notify));
	STAYS(s->ops->close_export(s->be, &mem));
	STAYS(s->ops->release(s->be, &mem));
	if (runtime_fail(s, "aclrtMalloc=207001,aclrtMallocAlign32=207001"))
		STAYS(CHECK_FAILS(s->ops->alloc(s->be, PAGE, &mem), IPCSHARE_ERR_NO_MEMORY));
	runtime_fail(s, "");
	if (runtime_fail(s, "aclrtGetCurrentContext:1=507000"))
		STAYS(CHECK_FAILS(s->ops->alloc(s->be, PAGE, &mem), IPCSHARE_ERR_SYSTEM));
	runtime_fail(s, "");
#undef STAYS
}

static void the_programs_device_stays_current(void)
{
	on_pair(.backend = "ascend", .owner = program_uses_device_1, .devices = 2);
}

static void program_initialises_too(struct side *s)
{
	struct side other = { 0 };
	char *p;

	CALL(s, init_fn *, aclInit, NULL); /* a reference of the program's */
	REQUIRE_INT(CALL(s, number_fn *, aclrtSetDevice, 1), 0);
	p = program_alloc(s, PAGE);
	side_open(&other, "ascend", 2);
	side_close(&other);
	side_close(s);
	program_free(s, p); /* its runtime is still up */
	CHECK_INT(program_device(s), 1);
	side_open(s, "ascend", 0);
}

static void the_programs_runtime_outlives_us(void)
{
	on_pair(.backend = "ascend", .owner = program_initialises_too, .devices = 3);
}

static void forgets(struct side *s)
{
	static const char *const calls[] = {
		"aclrtFree", "aclrtIpcMemClose", "aclrtResetDevice", "aclFinalize",
		"aclFinalizeReference", "aclrtDestroyStream", "aclrtDestroyNotify",
		"aclmdlRIDestroy", "aclrtSetCurrentContext", "aclrtGetCurrentContext",
	};
	struct ipcshare__memory mem, again;
	struct ipcshare__notify *notify;
	struct ipcshare__plan *plan;
	struct ipcshare__piece piece;
	struct side other = { 0 };
	char key[IPCSHARE__KEY_SIZE];

	side_open(&other, "ascend", 0);
	REQUIRE_OK(other.ops->alloc(other.be, PAGE, &mem));
	REQUIRE_OK(other.ops->export_key(other.be, &mem, 0, key));
	REQUIRE_OK(other.ops->notify_create(other.be, &notify));
	piece = (struct ipcshare__piece){ mem.base, (char *)mem.base + 64, 64 };
	REQUIRE_OK(other.ops->plan_create(other.be, &piece, 1, &plan));
	counts_reset(s);
	other.ops->forget(other.be);
	other.ops->plan_free(other.be, plan);
	other.ops->notify_destroy(other.be, notify);
	other.ops->release(other.be, &mem);
	side_close(&other);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (count_of(s, calls[i]) > 0)
			FAIL("%s was called %ld times", calls[i], count_of(s, calls[i]));
	REQUIRE_OK(s->ops->alloc(s->be, PAGE, &again)); /* whatever address this is */
	s->ops->release(s->be, &again);
}

static void an_abandoned_context_calls_nothing(void)
{
	on_pair(.backend = "ascend", .owner = forgets);
}

/* ---- Whitelists ---- */

static void allows_itself_and_others(struct side *s)
{
	struct ipcshare__identity ids[64];
	struct ipcshare__memory mem;
	char key[IPCSHARE__KEY_SIZE];

	for (uint32_t i = 0; i < 64; i++) {
		ids[i] = s->id;
		ids[i].tgid = 4000000 + i;
		ids[i].device = -1;
	}
	ids[3] = s->id;
	REQUIRE_OK(s->ops->alloc(s->be, PAGE, &mem));
	REQUIRE_OK(s->ops->export_key(s->be, &mem, 0, key));
	counts_reset(s);
	CHECK_STATUS(s->ops->allow(s->be, &mem, &s->id, 1, IPCSHARE__READ_WRITE), 0);
	CHECK_COUNT(s, "aclrtIpcMemSetImportPid", 0);
	CHECK_STATUS(s->ops->allow(s->be, &mem, ids, 63, IPCSHARE__READ_WRITE), 0); /* 62 others */
	CHECK_COUNT(s, "aclrtIpcMemSetImportPid", 2);
	CHECK_STATUS(s->ops->allow(s->be, &mem, ids, 64, IPCSHARE__READ_WRITE), 0); /* 63 others */
	CHECK_COUNT(s, "aclrtIpcMemSetImportPid", 5);
	ids[0] = s->id; /* it comes last of a full call, and after it */
	CHECK_STATUS(s->ops->allow(s->be, &mem, ids, 1, IPCSHARE__READ_WRITE), 0);
	CHECK_STATUS(s->ops->allow(s->be, &mem, &ids[1], 33, IPCSHARE__READ_WRITE), 0);
	ids[34] = s->id;
	CHECK_STATUS(s->ops->allow(s->be, &mem, &ids[33], 2, IPCSHARE__READ_WRITE), 0);
	CHECK_COUNT(s, "aclrtIpcMemSetImportPid", 8);
	s->ops->close_export(s->be, &mem);
	s->ops->release(s->be, &mem);
}

static void the_own_id_is_never_in_a_whitelist(void)
{
	on_pair(.backend = "ascend", .owner = allows_itself_and_others);
}

/* ---- Between devices ---- */

static void owns_openly(struct side *s)
{
	struct ipcshare__memory mem;

	REQUIRE_OK(s->ops->alloc(s->be, PAGE, &mem));
	side_write(s, mem.base, hello, sizeof(hello));
	side_give(s, &mem, IPCSHARE__EXPORT_OPEN); /* it never learns who reads */
	test_await(s->channel);
	s->ops->close_export(s->be, &mem);
	s->ops->release(s->be, &mem);
}

static void reads_hello(struct side *s)
{
	struct ipcshare__imported from = side_take(s);

	sees_hello(s, &from, 0);
	s->ops->close_import(s->be, &from);
	test_signal(s->channel);
}

/* Only one of them imports: the other direction of peer access has to come from somewhere. */
static void one_direction_is_enough(void)
{
	on_pair(.backend = "ascend", .owner = owns_hello, .reader = reads_hello);
	on_pair(.backend = "ascend", .owner = owns_openly, .reader = reads_hello);
}

static void two_dies_of_a_chip_share(void)
{
	on_pair(.backend = "ascend", .owner = owns_hello, .reader = reads_hello,
		.set = "ASCENDCL_EMU_SOC=Ascend910_9391");
	on_pair(.backend = "ascend", .owner = owns_openly, .reader = reads_hello,
		.set = "ASCENDCL_EMU_SOC=Ascend910_9391");
}

static int try_import(struct side *s, int device)
{
	struct side_gift gift;
	struct ipcshare__import im = { .access = IPCSHARE__READ_WRITE };
	int status;

	test_recv(s->channel, &gift, sizeof(gift));
	memcpy(im.key, gift.key, sizeof(im.key));
	im.length = gift.length;
	im.device = device == -2 ? gift.device : device;
	status = s->ops->import_keys(s->be, gift.endpoint, &im, 1);
	CHECK_INT(im.status, status);
	if (!status) {
		sees_hello(s, &im.out, 0);
		s->ops->close_import(s->be, &im.out);
	}
	test_signal(s->channel);
	return status;
}

static void reads_from_somewhere(struct side *s)
{
	CHECK_STATUS(try_import(s, -1), 0);
}

static void the_owners_device_may_be_unknown(void)
{
	on_pair(.backend = "ascend", .owner = owns_hello, .reader = reads_from_somewhere);
	on_pair(.backend = "ascend", .owner = owns_hello, .reader = reads_from_somewhere,
		.set = "ASCENDCL_EMU_SOC=Ascend910_9391");
}

static void finds_no_way(struct side *s)
{
	CHECK_FAILS(try_import(s, -2), IPCSHARE_ERR_UNREACHABLE);
	CHECK_HAS(ipcshare_last_error()->text, "can't reach");
}

static void devices_without_a_link_are_unreachable(void)
{
	on_pair(.backend = "ascend", .owner = owns_hello, .reader = finds_no_way,
		.set = "ASCENDCL_EMU_LINKS=0-1=none");
}

static void finds_the_pair_taken(struct side *s)
{
	int fails = runtime_fail(s, "aclrtDeviceEnablePeerAccess=207001");
	int status = try_import(s, -2);

	if (fails)
		CHECK_FAILS(status, IPCSHARE_ERR_LIMIT);
	runtime_fail(s, "");
}

static void a_pair_with_too_many_processes_is_a_limit(void)
{
	on_pair(.backend = "ascend", .owner = owns_hello, .reader = finds_the_pair_taken);
}

TEST_SUITE(device, NULL, NULL,
	TEST(buffers_inside_an_allocation_share_its_key),
	TEST(buffers_of_an_unaligned_allocation_share_its_key),
	TEST(device_memory_that_is_not_registered_can_be_copied),
	TEST(what_is_no_memory_of_the_device_is_refused),
	TEST(strict_mode_refuses_to_expose_bytes_beside),
	TEST(a_key_is_imported_once_for_all_contexts),
	TEST(threads_take_turns_with_keys),
	TEST(contexts_end_in_any_order),
	TEST(the_programs_device_stays_current),
	TEST(the_programs_runtime_outlives_us),
	TEST(an_abandoned_context_calls_nothing),
	TEST(the_own_id_is_never_in_a_whitelist),
	TEST(one_direction_is_enough),
	TEST(two_dies_of_a_chip_share),
	TEST(the_owners_device_may_be_unknown),
	TEST(devices_without_a_link_are_unreachable),
	TEST(a_pair_with_too_many_processes_is_a_limit));
