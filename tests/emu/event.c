/* SPDX-License-Identifier: BSD-3-Clause */
/* Event calls. Waiting is for the record that was submitted last when the wait was. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture.h"
#include "event.h"
#include "stream.h"
#include "table.h"

#define FLAGS (ACL_EVENT_SYNC | ACL_EVENT_CAPTURE_STREAM_PROGRESS | ACL_EVENT_TIME_LINE | \
	       ACL_EVENT_DEVICE_USE_ONLY | ACL_EVENT_EXTERNAL | ACL_EVENT_IPC)
#define SLICE_US 200	/* how often a wait looks at shared memory, or for an abort */

struct handle {		/* the 64 bytes of an IPC event handle */
	uint64_t magic, index, counter;
};
#define HANDLE_MAGIC UINT64_C(0x6970636576656e74)
_Static_assert(sizeof(struct handle) <= ACL_IPC_EVENT_HANDLE_SIZE, "fits");

static struct emu_event *event_new(uint32_t flags, bool ex)
{
	struct emu_event *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->flags = flags;
	e->ex = ex;
	e->refs = 1;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->changed, NULL);
	e->handle = emu_handle_new(EMU_EVENT, e);
	if (!e->handle) {
		free(e);
		return NULL;
	}
	return e;
}

static void event_put(struct emu_event *e)
{
	bool last;

	pthread_mutex_lock(&e->lock);
	last = !--e->refs;
	pthread_mutex_unlock(&e->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&e->lock);
	pthread_cond_destroy(&e->changed);
	free(e);
}

static int shared_make(struct emu_event *e)
{
	struct emu_table *t = emu_table;
	uint32_t hint = 0, i;

	emu_table_lock();
	i = emu_record_take(t->events, sizeof(*t->events), &t->events_top, &hint, EMU_EVENTS);
	if (i != EMU_NONE) {
		e->shared = &t->events[i];
		e->shared->slot = emu_me;
		e->counter = e->shared->counter = t->next_counter++;
		emu_state_set(&e->shared->state, EMU_LIVE);
		e->owner = true;
	}
	emu_table_unlock();
	return i == EMU_NONE ? -1 : 0;
}

static int create(aclrtEvent *out, uint32_t flags, bool ex)
{
	struct emu_context *c;
	struct emu_event *e;

	if (!out)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	if (!flags || flags & ~FLAGS || (flags & ACL_EVENT_IPC && flags != ACL_EVENT_IPC))
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "event flags %#x", flags);
	NEED_CONTEXT(c);
	e = event_new(flags, ex);
	if (!e || (flags == ACL_EVENT_IPC && shared_make(e))) {
		if (e)
			event_put(emu_handle_drop(EMU_EVENT, e->handle));
		return emu_fail(ACL_ERROR_RT_NO_EVENT_RESOURCE, "no event left");
	}
	*out = e->handle;
	return 0;
}

aclError aclrtCreateEvent(aclrtEvent *event)
{
	ENTER(aclrtCreateEvent);
	return create(event, ACL_EVENT_SYNC | ACL_EVENT_TIME_LINE, false);
}

aclError aclrtCreateEventWithFlag(aclrtEvent *event, uint32_t flag)
{
	ENTER(aclrtCreateEventWithFlag);
	return create(event, flag, false);
}

aclError aclrtCreateEventExWithFlag(aclrtEvent *event, uint32_t flag)
{
	ENTER(aclrtCreateEventExWithFlag);
	return create(event, flag, true);
}

static struct emu_event *event_of(aclrtEvent handle, int *err)
{
	struct emu_event *e = handle ? emu_handle_get(EMU_EVENT, handle) : NULL;

	*err = e ? 0 : emu_fail(handle ? ACL_ERROR_RT_PARAM_INVALID : ACL_ERROR_INVALID_PARAM,
				"not a living event");
	return e;
}

aclError aclrtDestroyEvent(aclrtEvent handle)
{
	struct emu_event *e;
	int err;

	ENTER(aclrtDestroyEvent);
	e = event_of(handle, &err);
	if (!e)
		return err;
	emu_handle_drop(EMU_EVENT, handle);
	if (e->owner) {
		emu_table_lock();
		if (e->shared->counter == e->counter)
			__atomic_store_n(&e->shared->state, EMU_FREE, __ATOMIC_SEQ_CST);
		emu_table_unlock();
	}
	event_put(e);
	return 0;
}

static bool gone(const struct emu_event *e)
{
	return e->shared && (__atomic_load_n(&e->shared->state, __ATOMIC_SEQ_CST) != EMU_LIVE ||
			     e->shared->counter != e->counter);
}

static uint64_t recorded(struct emu_event *e)
{
	return __atomic_load_n(e->shared ? &e->shared->recorded : &e->recorded, __ATOMIC_SEQ_CST);
}

static uint64_t done(struct emu_event *e)
{
	return __atomic_load_n(e->shared ? &e->shared->done : &e->done, __ATOMIC_SEQ_CST);
}

static int record_run(struct emu_task *t, const struct emu_run *where)
{
	struct emu_event *e = t->u.event.event;
	uint64_t *at = e->shared ? &e->shared->done : &e->done, old = 0;

	(void)where;
	if (gone(e))
		return ACL_ERROR_RT_INTERNAL_ERROR;
	pthread_mutex_lock(&e->lock);
	while (old < t->u.event.seq &&
	       !__atomic_compare_exchange_n(at, &old, t->u.event.seq, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST))
		;
	e->done_ns = emu_now_ns();
	pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->lock);
	return 0;
}

static void event_drop(struct emu_task *t)
{
	event_put(t->u.event.event);
}

static struct emu_task task_of(struct emu_event *e, uint64_t seq, uint64_t timeout_ms,
			       int (*run)(struct emu_task *, const struct emu_run *))
{
	struct emu_task t = { .run = run, .drop = event_drop };

	t.u.event.event = e;
	t.u.event.seq = seq;
	t.u.event.timeout_ms = timeout_ms;
	pthread_mutex_lock(&e->lock);
	e->refs++;
	pthread_mutex_unlock(&e->lock);
	return t;
}

/* The event and stream of a call; a NULL stream is the context's default one. */
static int both(aclrtEvent event, aclrtStream stream, struct emu_event **e, struct emu_stream **s)
{
	struct emu_context *c;
	int err;

	*s = NULL;
	*e = event_of(event, &err);
	if (err)
		return err;
	NEED_CONTEXT(c);
	*s = emu_stream_of(c, stream, &err);
	return err;
}

aclError aclrtRecordEvent(aclrtEvent event, aclrtStream stream)
{
	struct emu_event *e;
	struct emu_stream *s = NULL;
	struct emu_task t;
	int err;

	ENTER(aclrtRecordEvent);
	err = both(event, stream, &e, &s);
	if (err)
		return err;
	err = emu_capture_event_record(s, e);
	if (err >= 0)
		return err;
	t = task_of(e, __atomic_add_fetch(e->shared ? &e->shared->recorded : &e->recorded, 1,
					  __ATOMIC_SEQ_CST), 0, record_run);
	return emu_stream_submit(s, &t);
}

static int reset_run(struct emu_task *t, const struct emu_run *where)
{
	struct emu_event *e = t->u.event.event;

	(void)where;
	if (e->shared)
		return 0;
	pthread_mutex_lock(&e->lock);
	if (e->recorded == t->u.event.seq)	/* not recorded anew meanwhile */
		e->done = e->recorded = 0;
	pthread_mutex_unlock(&e->lock);
	return 0;
}

aclError aclrtResetEvent(aclrtEvent event, aclrtStream stream)
{
	struct emu_event *e;
	struct emu_stream *s = NULL;
	struct emu_task t;
	int err;

	ENTER(aclrtResetEvent);
	err = both(event, stream, &e, &s);
	if (err)
		return err;
	t = task_of(e, recorded(e), 0, reset_run);
	return emu_stream_submit(s, &t);
}

static int used_check(struct emu_event *e)
{
	return emu_capture_event_used(e) ?
		emu_fail(ACL_ERROR_RT_EVENT_CAPTURED, "the event is used in a capture") : 0;
}

aclError aclrtQueryEventStatus(aclrtEvent event, aclrtEventRecordedStatus *status)
{
	struct emu_event *e;
	int err;

	ENTER(aclrtQueryEventStatus);
	if (!status)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	e = event_of(event, &err);
	if (err || (err = used_check(e)))
		return err;
	*status = recorded(e) && done(e) >= recorded(e) ? ACL_EVENT_RECORDED_STATUS_COMPLETE :
							  ACL_EVENT_RECORDED_STATUS_NOT_READY;
	return 0;
}

/* 0, -1 at the deadline (0: none), or an error when the event or the stream goes away */
static int wait_until(struct emu_event *e, uint64_t seq, uint64_t deadline,
		      const atomic_bool *abort)
{
	while (done(e) < seq) {
		if (gone(e))
			return ACL_ERROR_RT_INTERNAL_ERROR;
		if (abort && *abort)
			return 0;
		if (deadline && emu_now_ns() >= deadline)
			return -1;
		emu_sleep_us(SLICE_US);
	}
	return 0;
}

static int synchronize(aclrtEvent event, int32_t ms)
{
	struct emu_event *e;
	int err;

	if (ms < -1 || !ms)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "timeout %d", ms);
	e = event_of(event, &err);
	if (err || (err = used_check(e)))
		return err;
	err = wait_until(e, recorded(e), ms < 0 ? 0 : emu_now_ns() + (uint64_t)ms * 1000000, NULL);
	return err < 0 ? emu_fail(ACL_ERROR_RT_EVENT_SYNC_TIMEOUT, "event not reached") : err;
}

aclError aclrtSynchronizeEvent(aclrtEvent event)
{
	ENTER(aclrtSynchronizeEvent);
	return synchronize(event, -1);
}

aclError aclrtSynchronizeEventWithTimeout(aclrtEvent event, int32_t ms)
{
	ENTER(aclrtSynchronizeEventWithTimeout);
	return synchronize(event, ms);
}

static int wait_run(struct emu_task *t, const struct emu_run *where)
{
	uint64_t ms = t->u.event.timeout_ms;
	int err = wait_until(t->u.event.event, t->u.event.seq,
			     ms ? emu_now_ns() + ms * 1000000 : 0, where->abort);

	return err < 0 ? ACL_ERROR_RT_WAIT_TIMEOUT : err;
}

static int stream_wait(aclrtStream stream, aclrtEvent event, int32_t ms)
{
	struct emu_event *e;
	struct emu_stream *s = NULL;
	struct emu_task t;
	uint64_t seq;
	int err;

	if (ms < 0)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "timeout %d", ms);
	err = both(event, stream, &e, &s);
	if (err)
		return err;
	err = emu_capture_event_wait(s, e);
	if (err >= 0)
		return err;
	seq = recorded(e);
	if (!seq && !e->ex && !e->shared)
		seq = 1;	/* a plain event that was never recorded blocks until it is */
	t = task_of(e, seq, (uint64_t)ms, wait_run);
	return emu_stream_submit(s, &t);
}

aclError aclrtStreamWaitEvent(aclrtStream stream, aclrtEvent event)
{
	ENTER(aclrtStreamWaitEvent);
	return stream_wait(stream, event, 0);
}

aclError aclrtStreamWaitEventWithTimeout(aclrtStream stream, aclrtEvent event, int32_t ms)
{
	ENTER(aclrtStreamWaitEventWithTimeout);
	return stream_wait(stream, event, ms);
}

static uint64_t done_ns(struct emu_event *e)
{
	uint64_t ns;

	pthread_mutex_lock(&e->lock);
	ns = e->done_ns;
	pthread_mutex_unlock(&e->lock);
	return ns;
}

aclError aclrtEventElapsedTime(float *ms, aclrtEvent start, aclrtEvent end)
{
	struct emu_event *a, *b;
	int err;

	ENTER(aclrtEventElapsedTime);
	if (!ms)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	a = event_of(start, &err);
	b = err ? NULL : event_of(end, &err);
	if (err)
		return err;
	if (!(a->flags & b->flags & ACL_EVENT_TIME_LINE))
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "an event without TIME_LINE");
	if (!done(a) || !done(b))
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "an event was not recorded");
	*ms = (float)((double)(int64_t)(done_ns(b) - done_ns(a)) / 1e6);
	return 0;
}

aclError aclrtIpcGetEventHandle(aclrtEvent event, aclrtIpcEventHandle *out)
{
	struct handle h = { .magic = HANDLE_MAGIC };
	struct emu_event *e;
	int err;

	ENTER(aclrtIpcGetEventHandle);
	if (!out)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	e = event_of(event, &err);
	if (err)
		return err;
	if (!e->owner)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "not an IPC event made here");
	h.index = (uint64_t)(e->shared - emu_table->events);
	h.counter = e->counter;
	memset(out, 0, sizeof(*out));
	memcpy(out, &h, sizeof(h));
	return 0;
}

aclError aclrtIpcOpenEventHandle(aclrtIpcEventHandle in, aclrtEvent *out)
{
	struct emu_context *c;
	struct emu_event *e;
	struct handle h;

	ENTER(aclrtIpcOpenEventHandle);
	if (!out)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_CONTEXT(c);
	memcpy(&h, &in, sizeof(h));
	if (h.magic != HANDLE_MAGIC || h.index >= EMU_EVENTS)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "not an IPC event handle");
	e = event_new(ACL_EVENT_IPC, false);
	if (!e)
		return emu_fail(ACL_ERROR_RT_NO_EVENT_RESOURCE, "no event left");
	e->shared = &emu_table->events[h.index];
	e->counter = h.counter;
	if (gone(e)) {
		event_put(emu_handle_drop(EMU_EVENT, e->handle));
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "the event is gone");
	}
	*out = e->handle;
	return 0;
}
