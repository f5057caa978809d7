/* SPDX-License-Identifier: BSD-3-Clause */
/* Notifies: the reader records, the owner's stream waits. */
#include <stdio.h>
#include <stdlib.h>

#include "pair.h"

#define LEN 4096

static void give_notify(struct side *s, struct ipcshare__notify *notify)
{
	char key[IPCSHARE__KEY_SIZE];

	REQUIRE_OK(s->ops->notify_export(s->be, notify, key));
	REQUIRE_OK(s->ops->notify_allow(s->be, notify, &s->peer, 1));
	test_send(s->channel, key, sizeof(key));
}

static int take_notify(struct side *s, struct ipcshare__notify **out)
{
	char key[IPCSHARE__KEY_SIZE];

	test_recv(s->channel, key, sizeof(key));
	return s->ops->notify_import(s->be, key, s->peer.device, out);
}

/* ---- Order ---- */

/* Ten rounds: what the reader has written before its record is read after the wait. */
static void waits(struct side *s)
{
	struct ipcshare__memory mem, copy;
	struct ipcshare__notify *notify;
	struct ipcshare__stream *stream;
	unsigned char bytes[LEN];

	REQUIRE_OK(s->ops->alloc(s->be, LEN, &mem));
	REQUIRE_OK(s->ops->alloc(s->be, LEN, &copy));
	REQUIRE_OK(s->ops->stream_create(s->be, &stream));
	REQUIRE_OK(s->ops->notify_create(s->be, &notify));
	side_give(s, &mem, 0);
	give_notify(s, notify);
	for (int round = 1; round <= 10; round++) {
		struct ipcshare__piece piece = { copy.base, mem.base, LEN };

		test_signal(s->channel);
		CHECK_STATUS(s->ops->notify_wait(s->be, notify, stream, 20), 0);
		CHECK_STATUS(s->ops->copy_pieces(s->be, &piece, 1, stream), 0);
		CHECK_STATUS(s->ops->stream_synchronise(s->be, stream), 0);
		side_read(s, copy.base, bytes, LEN);
		CHECK_BYTES(bytes, round, LEN);
	}
	test_await(s->channel);
	s->ops->notify_destroy(s->be, notify);
	s->ops->notify_destroy(s->be, NULL);
	s->ops->stream_destroy(s->be, stream);
	s->ops->close_export(s->be, &mem);
	s->ops->release(s->be, &mem);
	s->ops->release(s->be, &copy);
}

static void records(struct side *s)
{
	struct ipcshare__imported to = side_take(s);
	struct ipcshare__notify *notify;
	struct ipcshare__memory mem;
	struct ipcshare__stream *stream;
	unsigned char bytes[LEN];

	REQUIRE_OK(take_notify(s, &notify));
	REQUIRE_OK(s->ops->alloc(s->be, LEN, &mem));
	REQUIRE_OK(s->ops->stream_create(s->be, &stream));
	for (int round = 1; round <= 10; round++) {
		struct ipcshare__piece piece = { to.base, mem.base, LEN };

		test_await(s->channel); /* so the last round's copy is over */
		memset(bytes, round, LEN);
		side_write(s, mem.base, bytes, LEN);
		CHECK_STATUS(s->ops->copy_pieces(s->be, &piece, 1, stream), 0);
		CHECK_STATUS(s->ops->notify_record(s->be, notify, stream), 0);
	}
	CHECK_STATUS(s->ops->stream_synchronise(s->be, stream), 0);
	s->ops->stream_destroy(s->be, stream);
	s->ops->notify_destroy(s->be, notify);
	s->ops->release(s->be, &mem);
	s->ops->close_import(s->be, &to);
	test_signal(s->channel);
}

static void a_wait_sees_what_was_written_before_the_record(void)
{
	on_pair(.owner = waits, .reader = records);
}

static void two_devices_of_a_chip_can_notify_each_other(void)
{
	on_pair(.backend = "ascend", .owner = waits, .reader = records,
		.set = "ASCENDCL_EMU_SOC=Ascend910_9391");
}

static void waits_in_vain(struct side *s)
{
	struct ipcshare__notify *notify;
	int status;

	REQUIRE_OK(s->ops->notify_create(s->be, &notify));
	status = s->ops->notify_wait(s->be, notify, NULL, 1);
	if (!status)
		status = s->ops->stream_synchronise(s->be, NULL);
	CHECK_FAILS(status, IPCSHARE_ERR_TIMEOUT);
	CHECK_STATUS(s->ops->notify_record(s->be, notify, NULL), 0);
	CHECK_STATUS(s->ops->notify_wait(s->be, notify, NULL, 20), 0); /* it works all the same */
	CHECK_STATUS(s->ops->stream_synchronise(s->be, NULL), 0);
	counts_reset(s);
	CHECK_FAILS(s->ops->notify_wait(s->be, notify, NULL, 0), IPCSHARE_ERR_INVALID);
	CHECK_COUNT(s, "aclrtWaitAndResetNotify", 0);
	s->ops->notify_destroy(s->be, notify);
}

static void a_wait_ends_in_time(void)
{
	on_pair(.owner = waits_in_vain);
}

/* ---- Who may ---- */

static void creates(struct side *s)
{
	struct ipcshare__notify *notify;

	REQUIRE_OK(s->ops->notify_create(s->be, &notify));
	give_notify(s, notify);
	test_await(s->channel);
	s->ops->notify_destroy(s->be, notify);
}

static void does_what_only_the_creator_may(struct side *s)
{
	struct ipcshare__notify *notify;
	char key[IPCSHARE__KEY_SIZE];

	REQUIRE_OK(take_notify(s, &notify));
	counts_reset(s);
	CHECK_FAILS(s->ops->notify_wait(s->be, notify, NULL, 1), IPCSHARE_ERR_NOT_ALLOWED);
	CHECK_FAILS(s->ops->notify_export(s->be, notify, key), IPCSHARE_ERR_NOT_ALLOWED);
	CHECK_FAILS(s->ops->notify_allow(s->be, notify, &s->peer, 1), IPCSHARE_ERR_NOT_ALLOWED);
	CHECK_COUNT(s, "aclrtWaitAndResetNotify", 0);
	CHECK_COUNT(s, "aclrtNotifyGetExportKey", 0);
	CHECK_COUNT(s, "aclrtNotifySetImportPid", 0);
	s->ops->notify_destroy(s->be, notify);
	test_signal(s->channel);
}

static void only_its_creator_waits_exports_and_allows(void)
{
	on_pair(.owner = creates, .reader = does_what_only_the_creator_may);
}

static void creates_for_nobody(struct side *s)
{
	struct ipcshare__notify *notify;
	char key[IPCSHARE__KEY_SIZE];

	REQUIRE_OK(s->ops->notify_create(s->be, &notify));
	REQUIRE_OK(s->ops->notify_export(s->be, notify, key));
	test_send(s->channel, key, sizeof(key));
	test_await(s->channel);
	s->ops->notify_destroy(s->be, notify);
}

static void is_not_allowed(struct side *s)
{
	struct ipcshare__notify *notify = (void *)16, *const before = notify;
	int status = take_notify(s, &notify);
	char key[IPCSHARE__KEY_SIZE];

	CHECK_FAILS(status, s->ops->id == IPCSHARE__BACKEND_HOST ? IPCSHARE_ERR_NOT_ALLOWED
								 : IPCSHARE_ERR_SYSTEM);
	CHECK_HAS(ipcshare_last_error()->hint, "allow");
	CHECK_PTR(notify, before);
	memset(key, 'x', sizeof(key)); /* no end */
	CHECK_FAILS(s->ops->notify_import(s->be, key, -1, &notify), IPCSHARE_ERR_PROTOCOL);
	test_signal(s->channel);
}

static void who_is_not_allowed_imports_nothing(void)
{
	on_pair(.owner = creates_for_nobody, .reader = is_not_allowed);
}

/* Processes that never were: the number of a pid is all that matters here. */
static void allows_seventeen(struct side *s)
{
	struct ipcshare__identity ids[18];
	struct ipcshare__notify *notify;
	char key[IPCSHARE__KEY_SIZE];

	for (uint32_t i = 0; i < 18; i++) {
		ids[i] = s->id;
		ids[i].tgid = 4000000 + i;
		ids[i].proc ^= i + 1;
		ids[i].device = -1;
	}
	REQUIRE_OK(s->ops->notify_create(s->be, &notify));
	REQUIRE_OK(s->ops->notify_export(s->be, notify, key));
	counts_reset(s);
	CHECK_FAILS(s->ops->notify_allow(s->be, notify, ids, 17), IPCSHARE_ERR_LIMIT);
	CHECK_COUNT(s, "aclrtNotifySetImportPid", 0);
	CHECK_STATUS(s->ops->notify_allow(s->be, notify, ids, 10), 0);
	CHECK_STATUS(s->ops->notify_allow(s->be, notify, ids, 16), 0); /* ten of them again */
	CHECK_COUNT(s, "aclrtNotifySetImportPid", 16);
	CHECK_FAILS(s->ops->notify_allow(s->be, notify, &ids[16], 1), IPCSHARE_ERR_LIMIT);
	CHECK_COUNT(s, "aclrtNotifySetImportPid", 16);
	s->ops->notify_destroy(s->be, notify);
}

static void sixteen_processes_are_the_most(void)
{
	on_pair(.owner = allows_seventeen);
}

static void allows_itself(struct side *s)
{
	struct ipcshare__notify *notify;
	char key[IPCSHARE__KEY_SIZE];

	REQUIRE_OK(s->ops->notify_create(s->be, &notify));
	REQUIRE_OK(s->ops->notify_export(s->be, notify, key));
	CHECK_STATUS(s->ops->notify_allow(s->be, notify, &s->id, 1), 0);
	CHECK_COUNT(s, "aclrtNotifySetImportPid", 0);
	s->ops->notify_destroy(s->be, notify);
}

static void the_own_id_is_no_call(void)
{
	on_pair(.backend = "ascend", .owner = allows_itself);
}

/* ---- Captures ---- */

typedef int capture_begin_fn(void *stream, int mode);
typedef int capture_end_fn(void *stream, void **model);
typedef int model_destroy_fn(void *model);

static void call_symbol(const struct side *s, const char *name, void *slot)
{
	void *symbol = runtime_symbol(s, name);

	REQUIRE(symbol, "the runtime has no %s", name);
	memcpy(slot, &symbol, sizeof(symbol));
}

/* A stream of the table is one of the runtime, which the program captures. */
static void is_captured(struct side *s)
{
	struct ipcshare__stream *stream, *other;
	capture_begin_fn *begin;
	capture_end_fn *end;
	model_destroy_fn *destroy;
	void *model;

	REQUIRE_OK(s->ops->stream_create(s->be, &stream));
	REQUIRE_OK(s->ops->stream_create(s->be, &other));
	CHECK(!s->ops->stream_captured(s->be, stream) && !s->ops->stream_captured(s->be, NULL), "before");
	if (s->ops->id != IPCSHARE__BACKEND_HOST) {
		call_symbol(s, "aclmdlRICaptureBegin", &begin);
		call_symbol(s, "aclmdlRICaptureEnd", &end);
		call_symbol(s, "aclmdlRIDestroy", &destroy);
		REQUIRE_INT(begin(stream, 1), 0);
		CHECK(s->ops->stream_captured(s->be, stream), "it is captured");
		CHECK(!s->ops->stream_captured(s->be, other), "not all are");
		REQUIRE_INT(end(stream, &model), 0);
		CHECK(!s->ops->stream_captured(s->be, stream), "after it");
		CHECK_INT(destroy(model), 0);
	}
	s->ops->stream_destroy(s->be, stream);
	s->ops->stream_destroy(s->be, other);
}

static void a_stream_says_that_it_is_captured(void)
{
	on_pair(.owner = is_captured);
}

/* ---- Failures ---- */

static void meets_failures(struct side *s)
{
	static const char *const rules[] = {
		"aclrtCreateNotify=207009", "aclrtNotifyGetExportKey=207000",
		"aclrtNotifySetImportPid=507899", "aclrtRecordNotify=107003",
		"aclrtWaitAndResetNotify=107000",
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct ipcshare__notify *notify = NULL;
		char key[IPCSHARE__KEY_SIZE], call[32];
		struct ipcshare__identity other = s->id;
		int status;

		if (!runtime_fail(s, rules[i]))
			return;
		other.tgid++;
		status = s->ops->notify_create(s->be, &notify);
		if (!status)
			status = s->ops->notify_export(s->be, notify, key);
		if (!status)
			status = s->ops->notify_allow(s->be, notify, &other, 1);
		if (!status)
			status = s->ops->notify_record(s->be, notify, NULL);
		if (!status)
			status = s->ops->notify_wait(s->be, notify, NULL, 1);
		snprintf(call, sizeof(call), "%.*s", (int)strcspn(rules[i], "="), rules[i]);
		CHECK(status, "%s did not fail", call);
		CHECK_HAS(ipcshare_last_error()->text, call);
		CHECK_INT(ipcshare_last_error()->code, atoi(strchr(rules[i], '=') + 1));
		runtime_fail(s, "");
		s->ops->notify_destroy(s->be, notify);
	}
}

static void each_failing_call_is_named(void)
{
	on_pair(.backend = "ascend", .owner = meets_failures);
}

TEST_SUITE(notify, NULL, NULL,
	TEST(a_wait_sees_what_was_written_before_the_record),
	TEST(two_devices_of_a_chip_can_notify_each_other),
	TEST(a_wait_ends_in_time),
	TEST(only_its_creator_waits_exports_and_allows),
	TEST(who_is_not_allowed_imports_nothing),
	TEST(sixteen_processes_are_the_most),
	TEST(the_own_id_is_no_call),
	TEST(a_stream_says_that_it_is_captured),
	TEST(each_failing_call_is_named));
