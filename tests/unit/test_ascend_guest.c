/* SPDX-License-Identifier: BSD-3-Clause */
/* The Ascend runtime is the program's: its context, references and captures stay as they are. */
#include <stdlib.h>

#include "backend/ascend/device.h"
#include "memory/context.h"
#include "npu.h"

/* ---- The caller's context ---- */

struct guest {
	void *context;
	int device;
};

/* The program works on: on its device, in its context. */
static void check_guest(const struct guest *g, const char *after)
{
	void *context = NULL;
	int32_t device = -1;

	CHECK_INT(emu.get_context(&context), 0);
	CHECK(context == g->context, "%s leaves context %p, it was %p", after, context, g->context);
	CHECK_INT(emu.get_device(&device), 0);
	CHECK(device == g->device, "%s leaves device %d, it was %d", after, device, g->device);
}

#define KEEPS(call)                                                                                \
	do {                                                                                       \
		CHECK_STATUS(call, 0);                                                             \
		check_guest(&g, #call);                                                            \
	} while (0)
#define KEEPS_AT_FAILURE(call, status)                                                             \
	do {                                                                                       \
		CHECK_STATUS(call, status);                                                        \
		check_guest(&g, #call);                                                            \
	} while (0)

enum program {
	OTHER_DEVICE, /* than the library's */
	SAME_DEVICE, /* its default context */
	OWN_CONTEXT, /* on the same device, made by itself */
};

static struct guest settle_in(struct test_rank *me, enum program program)
{
	struct guest g = { NULL, me->rank };

	if (program == OTHER_DEVICE)
		g.device = (me->rank + 1) % me->nranks;
	REQUIRE_INT(emu.init(NULL), 0);
	REQUIRE_INT(emu.set_device(g.device), 0);
	if (program == OWN_CONTEXT)
		REQUIRE_INT(emu.create_context(&g.context, g.device), 0);
	else
		REQUIRE_INT(emu.get_context(&g.context), 0);
	return g;
}

static void is_a_guest(struct test_rank *me, void *arg)
{
	struct ipcshare_options options = npu_options(me->rank);
	struct guest g;
	struct ipcshare_buf buf = { .len = NPU_SMALL };
	struct ipcshare_packed packed;
	struct ipcshare_ctx *ctx = NULL;
	struct ipcshare_group *group;
	struct ipcshare_set *set = NULL;
	char bytes[NPU_SMALL] = "";
	void *theirs = NULL, *unlinked_memory = NULL, *own = NULL;
	int next = (me->rank + 1) % me->nranks;

	npu_load();
	g = settle_in(me, *(enum program *)arg);
	REQUIRE_INT(emu.malloc(&theirs, 4096, 0), 0);
	for (int i = 0; i < 2; i++) {
		KEEPS(ipcshare_open(&options, &ctx));
		KEEPS(ipcshare_group_create(ctx, &me->bootstrap, &group));
		KEEPS(ipcshare_alloc(ctx, NPU_SMALL, &buf.ptr));
		KEEPS(ipcshare_alloc(ctx, NPU_BIG, &own));
		KEEPS(ipcshare_copy(ctx, buf.ptr, bytes, NPU_SMALL));
		KEEPS(ipcshare_pack(ctx, own, 100, 0, &packed));
		KEEPS(ipcshare_share(group, &buf, 1, 0, &set));
		CHECK_INT(ipcshare_set_failures(set), 0);
		KEEPS(ipcshare_copy(ctx, bytes, ipcshare_ptr(set, next, 0), NPU_SMALL));
		KEEPS(ipcshare_copy(ctx, own, ipcshare_ptr(set, next, 0), NPU_SMALL));
		KEEPS_AT_FAILURE(ipcshare_copy(ctx, own, bytes, NPU_BIG + 1), IPCSHARE_ERR_RANGE);
		REQUIRE_INT(emu.fail("aclrtMallocAlign32:1=207001"), 0);
		KEEPS_AT_FAILURE(ipcshare_alloc(ctx, NPU_BIG, &unlinked_memory),
				 IPCSHARE_ERR_NO_MEMORY);
		emu.fail(NULL);
		test_rank_barrier(me, NPU_TALK);
		KEEPS(ipcshare_set_free(set));
		KEEPS(ipcshare_free(ctx, buf.ptr));
		KEEPS(ipcshare_group_free(group));
		test_rank_barrier(me, NPU_TALK);
		KEEPS(ipcshare_close(ctx));
	}
	/* The runtime and the device are still the program's. */
	CHECK_INT(emu.free(theirs), 0);
	CHECK_INT(emu.malloc(&theirs, 4096, 0), 0);
	CHECK_INT(emu.free(theirs), 0);
	REQUIRE_INT(emu.fail("aclrtCreateStream:1=207008"), 0);
	KEEPS_AT_FAILURE(ipcshare_open(&options, &ctx), IPCSHARE_ERR_LIMIT);
	emu.fail(NULL);
	npu_holds_nothing(me, "the program's own memory is freed too");
}

static void the_callers_context_and_device_are_put_back(void)
{
	static const enum program programs[] = { OTHER_DEVICE, SAME_DEVICE, OWN_CONTEXT };

	for (int i = 0; i < 3 && npu_machine(2); i++)
		test_ranks(2, is_a_guest, (void *)&programs[i]);
}

/* ---- Its references ---- */

/* *arg: how many the program has before us. */
static void takes_references(struct test_rank *me, void *arg)
{
	uint64_t before = *(int *)arg, left = 99;
	struct ipcshare_options options = npu_options(me->rank);
	struct ipcshare_ctx *ctx = NULL, *second = NULL;

	npu_load();
	for (uint64_t i = 0; i < before; i++)
		CHECK_INT(emu.init(NULL), i ? 100002 : 0);
	for (int i = 0; i < 3; i++) {
		CHECK_STATUS(ipcshare_open(&options, &ctx), 0);
		CHECK_STATUS(ipcshare_open(&options, &second), 0);
		CHECK_STATUS(ipcshare_close(ctx), 0);
		CHECK_STATUS(ipcshare_close(second), 0);
		REQUIRE_INT(emu.fail("aclrtCreateStream:1=207008"), 0);
		CHECK_FAILS(ipcshare_open(&options, &ctx), IPCSHARE_ERR_LIMIT);
		emu.fail(NULL);
	}
	for (uint64_t i = before; i > 0; i--) {
		CHECK_INT(emu.finalize_reference(&left), 0);
		CHECK_INT(left, i - 1);
	}
	CHECK_INT(emu.finalize_reference(&left), 100037); /* it is down */
	CHECK_INT(npu_uses("aclFinalize"), 0);
}

static void every_reference_to_the_runtime_is_given_back(void)
{
	for (int n = 0; n < 3 && npu_machine(1); n++)
		test_ranks(1, takes_references, &n);
}

/* A runtime that can only end for everybody: not by us if it was up before, and not by an open. */
static void has_no_references(struct test_rank *me, void *arg)
{
	int was_up = *(int *)arg;
	struct ascend_device d;
	struct acl acl;

	(void)me;
	npu_load();
	acl = *ipcshare__acl_load(getenv("IPCSHARE_ACL_LIB"));
	acl.aclFinalizeReference = NULL;
	if (was_up)
		REQUIRE_INT(emu.init(NULL), 0);
	REQUIRE_INT(emu.fail("aclrtCreateStream:1=207008"), 0);
	CHECK_FAILS(ipcshare__ascend_device_open(&acl, 0, false, &d), IPCSHARE_ERR_LIMIT);
	emu.fail(NULL);
	CHECK_INT(npu_uses("aclFinalize"), 0);
	for (int i = 0; i < 2; i++) {
		REQUIRE_OK(ipcshare__ascend_device_open(&acl, 0, false, &d));
		ipcshare__ascend_device_close(&d);
		CHECK_INT(npu_uses("aclFinalize"), was_up ? 0 : i + 1);
	}
	CHECK_INT(npu_uses("aclFinalizeReference"), 0);
}

static void a_runtime_without_references_is_ended_by_who_began_it(void)
{
	for (int was_up = 0; was_up < 2 && npu_machine(1); was_up++)
		test_ranks(1, has_no_references, &was_up);
}

/* ---- Its captures ---- */

enum mode { GLOBAL, THREAD_LOCAL, RELAXED }; /* as the runtime numbers them */

/* A program that records a copy of its own, and uses the library in the middle. */
struct recording {
	void *stream, *from, *to;
	struct ipcshare_ctx *ctx;
	void *memory;
};

static void record_begin(struct recording *r, enum mode mode)
{
	struct ipcshare_options options = npu_options(0);

	npu_load();
	REQUIRE_INT(emu.init(NULL), 0);
	REQUIRE_INT(emu.set_device(0), 0);
	REQUIRE_INT(emu.create_stream(&r->stream), 0);
	REQUIRE_INT(emu.malloc(&r->from, NPU_BIG, 0), 0);
	REQUIRE_INT(emu.malloc(&r->to, NPU_BIG, 0), 0);
	REQUIRE_OK(ipcshare_open(&options, &r->ctx)); /* in the program's context */
	r->memory = team_alloc(r->ctx, NPU_BIG);
	REQUIRE_INT(emu.capture_begin(r->stream, mode), 0);
}

/* The end of the capture gives @code. */
static void record_end(struct recording *r, int code)
{
	void *model = NULL;

	CHECK_INT(emu.capture_end(r->stream, &model), code);
	if (model) {
		CHECK_INT(emu.execute(model, r->stream), 0);
		CHECK_INT(emu.synchronise(r->stream), 0);
		CHECK_INT(emu.destroy_model(model), 0);
	}
	CHECK_STATUS(ipcshare_close(r->ctx), 0);
	CHECK_INT(emu.free(r->from), 0);
	CHECK_INT(emu.free(r->to), 0);
	CHECK_INT(emu.destroy_stream(r->stream), 0);
}

static void check_mode(enum mode expected)
{
	int mode = expected;

	CHECK_INT(emu.capture_mode(&mode), 0);
	CHECK_INT(mode, expected);
}

/* *arg: the mode of the capture; the thread's is each one in turn. */
static void uses_it_while_recording(struct test_rank *me, void *arg)
{
	enum mode mode = *(enum mode *)arg;
	char bytes[256], *more = NULL;
	struct recording r;

	(void)me;
	record_begin(&r, mode);
	for (int thread = GLOBAL; thread <= RELAXED; thread++) {
		int now = thread;

		CHECK_INT(emu.capture_mode(&now), 0);
		npu_put(r.ctx, r.memory, NPU_BIG, thread, 0);
		npu_check(r.ctx, r.memory, NPU_BIG, thread, 0);
		npu_put(r.ctx, r.from, sizeof(bytes), thread, 1);
		npu_check(r.ctx, r.from, sizeof(bytes), thread, 1);
		CHECK_STATUS(ipcshare_alloc(r.ctx, NPU_SMALL, (void **)&more), 0); /* it is zeroed */
		CHECK_FAILS(ipcshare_copy(r.ctx, bytes, more, NPU_BIG), IPCSHARE_ERR_RANGE);
		CHECK_STATUS(ipcshare_free(r.ctx, more), 0);
		check_mode((enum mode)thread);
	}
	record_end(&r, 0);
}

static void a_capture_of_the_program_goes_on_while_we_copy(void)
{
	for (enum mode mode = GLOBAL; mode <= RELAXED && npu_machine(1); mode++)
		test_ranks(1, uses_it_while_recording, &mode);
}

/* That the test before can fail: without the exchange of modes the copy is refused, and says so. */
static void cannot_exchange_modes(struct test_rank *me, void *arg)
{
	char bytes[256] = "";
	struct recording r;

	(void)me;
	(void)arg;
	record_begin(&r, GLOBAL);
	REQUIRE_INT(emu.fail("aclmdlRICaptureThreadExchangeMode=507899"), 0);
	CHECK_FAILS(ipcshare_copy(r.ctx, r.memory, bytes, sizeof(bytes)), IPCSHARE_ERR_BUSY);
	CHECK_INT(ipcshare_last_error()->code, 107030);
	CHECK_HAS(ipcshare_last_error()->hint, "capture");
	emu.fail(NULL);
	record_end(&r, 507903);
}

static void without_an_exchange_of_modes_the_copy_is_refused(void)
{
	if (npu_machine(1))
		test_ranks(1, cannot_exchange_modes, NULL);
}

#define ROWS 3000 /* more tasks than we let wait in a stream that runs */

static void records_our_copies(struct test_rank *me, void *arg)
{
	struct ipcshare__piece pieces[ROWS + 1], *host = &pieces[ROWS];
	const struct ipcshare__backend_ops *ops;
	char byte = 1;
	struct recording r;

	(void)me;
	(void)arg;
	record_begin(&r, GLOBAL);
	ops = r.ctx->backend->ops;
	for (size_t i = 0; i < ROWS; i++) /* no two at the same stride */
		pieces[i] = (struct ipcshare__piece){ (char *)r.memory + i * 512,
						      (char *)r.from + i * 512 + i % 7, 1 };
	*host = (struct ipcshare__piece){ (char *)r.memory + ROWS * 512, &byte, 1 };
	CHECK_FAILS(ops->copy_pieces(r.ctx->backend, pieces, ROWS + 1, r.stream),
		    IPCSHARE_ERR_UNSUPPORTED);
	CHECK_HAS(ipcshare_last_error()->text, "capturing");
	CHECK_STATUS(ops->copy_pieces(r.ctx->backend, pieces, ROWS, r.stream), 0);
	record_end(&r, 0);
}

static void copies_into_a_capturing_stream_are_recorded(void)
{
	if (npu_machine(1))
		test_ranks(1, records_our_copies, NULL);
}

TEST_SUITE(ascend_guest, npu_remember, npu_restore,
	TEST(the_callers_context_and_device_are_put_back),
	TEST(every_reference_to_the_runtime_is_given_back),
	TEST(a_runtime_without_references_is_ended_by_who_began_it),
	TEST(a_capture_of_the_program_goes_on_while_we_copy),
	TEST(without_an_exchange_of_modes_the_copy_is_refused),
	TEST(copies_into_a_capturing_stream_are_recorded));
