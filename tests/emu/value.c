/* SPDX-License-Identifier: BSD-3-Clause */
/* Device-side stores and polls of one 64-bit word, and host functions (contract 1.9.6). */
#include "engine.h"
#include "stream.h"

#define WAIT_ENTRIES 4		/* a ValueWait takes four entries of the queue */
#define POLL_US 50

/* 8-byte aligned device memory; imported memory only where the release reports it as such. */
static int address_check(const void *p)
{
	int device;
	enum emu_place place = emu_place_of(p, sizeof(uint64_t), 1, &device);

	if ((uintptr_t)p % sizeof(uint64_t))
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "not 8-byte aligned");
	if (place == EMU_PLACE_DEVICE)
		return 0;
	if ((place == EMU_PLACE_LOCAL || place == EMU_PLACE_FOREIGN) &&
	    emu_settings()->import_type == ACL_MEM_LOCATION_TYPE_DEVICE)
		return 0;
	return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "not reported as device memory");
}

static int write_run(struct emu_task *t, const struct emu_run *where)
{
	struct emu_region *r;
	char *at;
	int err;

	err = emu_engine_borrow(t->u.value.addr, sizeof(uint64_t), where->device, true, &r, &at);
	if (err)
		return err;
	__atomic_store_n((uint64_t *)(void *)at, t->u.value.value, __ATOMIC_SEQ_CST);
	emu_region_put(r);
	return 0;
}

static bool reached(uint64_t now, uint64_t value, uint32_t flag)
{
	switch (flag) {
	case ACL_STREAM_WAIT_VALUE_GEQ:
		return (int64_t)(now - value) >= 0;
	case ACL_STREAM_WAIT_VALUE_EQ:
		return now == value;
	case ACL_STREAM_WAIT_VALUE_AND:
		return now & value;
	default:
		return ~(now | value);
	}
}

static int wait_run(struct emu_task *t, const struct emu_run *where)
{
	struct emu_region *r;
	uint64_t now;
	char *at;
	int err;

	for (;;) {
		err = emu_engine_borrow(t->u.value.addr, sizeof(now), where->device, false, &r, &at);
		if (err)
			return err;
		now = __atomic_load_n((uint64_t *)(void *)at, __ATOMIC_SEQ_CST);
		emu_region_put(r);
		if (reached(now, t->u.value.value, t->u.value.flag) || *where->abort)
			return 0;
		emu_sleep_us(POLL_US);
	}
}

static int submit(void *addr, aclrtStream handle, struct emu_task *t)
{
	struct emu_context *c;
	struct emu_stream *s;
	int err;

	if (!addr)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	if (s)
		err = address_check(addr);
	return err ? err : emu_stream_submit(s, t);
}

aclError aclrtValueWrite(void *addr, uint64_t value, uint32_t flag, aclrtStream stream)
{
	struct emu_task t = { .run = write_run, .u.value = { addr, value, flag } };

	ENTER(aclrtValueWrite);
	if (flag)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "flag %u", flag);
	return submit(addr, stream, &t);
}

aclError aclrtValueWait(void *addr, uint64_t value, uint32_t flag, aclrtStream stream)
{
	struct emu_task t = { .run = wait_run, .entries = WAIT_ENTRIES,
			      .u.value = { addr, value, flag } };

	ENTER(aclrtValueWait);
	if (flag > ACL_STREAM_WAIT_VALUE_NOR)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "flag %u", flag);
	return submit(addr, stream, &t);
}

static int host_run(struct emu_task *t, const struct emu_run *where)
{
	(void)where;
	emu_hostfunc_mark(true);
	t->u.host.fn(t->u.host.args);
	emu_hostfunc_mark(false);
	return 0;
}

aclError aclrtLaunchHostFunc(aclrtStream handle, aclrtHostFunc fn, void *args)
{
	struct emu_task t = { .run = host_run, .u.host = { fn, args } };
	struct emu_context *c;
	struct emu_stream *s;
	int err;

	ENTER(aclrtLaunchHostFunc);
	if (!fn)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	return s ? emu_stream_submit(s, &t) : err;
}
