/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls on streams, and synchronising with a device. */
#include "capture.h"
#include "stream.h"

#define FLAGS 0x3fu

static int create(aclrtStream *out, uint32_t prio, uint32_t flag)
{
	struct emu_context *c;
	struct emu_stream *s, *i;
	int64_t n = 0;

	if (!out)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	if (prio > 7 || flag & ~FLAGS)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "priority %u, flags %#x", prio, flag);
	NEED_CONTEXT(c);
	pthread_mutex_lock(&emu_context_lock);
	for (i = c->streams; i; i = i->next)
		n++;
	s = n < emu_settings()->streams ? emu_stream_new(c, flag, false) : NULL;
	pthread_mutex_unlock(&emu_context_lock);
	if (!s)
		return emu_fail(ACL_ERROR_RT_NO_STREAM_RESOURCE, "no stream left");
	*out = s->handle;
	return 0;
}

aclError aclrtCreateStream(aclrtStream *stream)
{
	ENTER(aclrtCreateStream);
	return create(stream, 0, 0);
}

aclError aclrtCreateStreamWithConfig(aclrtStream *stream, uint32_t prio, uint32_t flag)
{
	ENTER(aclrtCreateStreamWithConfig);
	return create(stream, prio, flag);
}

static int destroy(aclrtStream handle, bool force)
{
	struct emu_context *c;
	struct emu_stream *s;
	int err;

	if (!handle)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	if (!s)
		return err;
	if (s->is_default)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "the default stream");
	if (emu_capturing(s))
		return emu_fail(ACL_ERROR_RT_STREAM_CAPTURED, "the stream is capturing");
	pthread_mutex_lock(&emu_context_lock);
	emu_stream_unlink(s);
	pthread_mutex_unlock(&emu_context_lock);
	emu_stream_free(s, force);	/* can take as long as its tasks do */
	return 0;
}

aclError aclrtDestroyStream(aclrtStream stream)
{
	ENTER(aclrtDestroyStream);
	return destroy(stream, false);
}

aclError aclrtDestroyStreamForce(aclrtStream stream)
{
	ENTER(aclrtDestroyStreamForce);
	return destroy(stream, true);
}

static int synchronize(aclrtStream handle, int32_t ms)
{
	struct emu_context *c;
	struct emu_stream *s;
	int err;

	if (ms < -1 || !ms)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "timeout %d", ms);
	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	if (!s)
		return err;
	if (emu_capturing(s))
		return emu_fail(ACL_ERROR_RT_STREAM_CAPTURED, "the stream is capturing");
	return emu_stream_wait(s, ms);
}

aclError aclrtSynchronizeStream(aclrtStream stream)
{
	ENTER(aclrtSynchronizeStream);
	return synchronize(stream, -1);
}

aclError aclrtSynchronizeStreamWithTimeout(aclrtStream stream, int32_t ms)
{
	ENTER(aclrtSynchronizeStreamWithTimeout);
	return synchronize(stream, ms);
}

#define STREAMS_MAX 2048

/* Handles, so that a stream destroyed by another thread meanwhile is skipped. */
static int handles_of(const struct emu_context *c, void **handles)
{
	int n = 0;

	pthread_mutex_lock(&emu_context_lock);
	for (struct emu_stream *s = c->streams; s && n < STREAMS_MAX; s = s->next)
		handles[n++] = s->handle;
	pthread_mutex_unlock(&emu_context_lock);
	return n;
}

/* All streams of the current context; the first failure is reported. */
static int synchronize_device(int32_t ms)
{
	uint64_t start = emu_now_ns();
	void *handles[STREAMS_MAX];
	struct emu_context *c;
	int err = 0, one, n;

	if (ms < -1 || !ms)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "timeout %d", ms);
	NEED_CONTEXT(c);
	if (emu_capture_in(c))
		return emu_fail(ACL_ERROR_RT_STREAM_CAPTURED, "a stream of the context captures");
	n = handles_of(c, handles);
	for (int i = 0; i < n; i++) {
		struct emu_stream *s = emu_handle_get(EMU_STREAM, handles[i]);
		int64_t left = ms < 0 ? -1 : ms - (int64_t)((emu_now_ns() - start) / 1000000);

		one = s ? emu_stream_wait(s, ms < 0 ? -1 : left < 0 ? 0 : left) : 0;
		err = err ? err : one;
	}
	return err;
}

aclError aclrtSynchronizeDevice(void)
{
	ENTER(aclrtSynchronizeDevice);
	return synchronize_device(-1);
}

aclError aclrtSynchronizeDeviceWithTimeout(int32_t ms)
{
	ENTER(aclrtSynchronizeDeviceWithTimeout);
	return synchronize_device(ms);
}

aclError aclrtStreamQuery(aclrtStream handle, aclrtStreamStatus *status)
{
	struct emu_context *c;
	struct emu_stream *s;
	int err;

	ENTER(aclrtStreamQuery);
	if (!status)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	if (!s)
		return err;
	if (emu_capturing(s))
		return emu_fail(ACL_ERROR_RT_STREAM_CAPTURED, "the stream is capturing");
	pthread_mutex_lock(&s->lock);
	*status = s->completed < s->submitted ? ACL_STREAM_STATUS_NOT_READY :
						ACL_STREAM_STATUS_COMPLETE;
	pthread_mutex_unlock(&s->lock);
	return 0;
}
