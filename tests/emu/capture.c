/* SPDX-License-Identifier: BSD-3-Clause */
/* Capturing: which streams record into which model, and what is refused meanwhile. */
#include <stdlib.h>

#include "capture.h"
#include "model.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct emu_model *active;	/* those that are capturing */
static _Thread_local aclmdlRICaptureMode exchanged = ACL_MODEL_RI_CAPTURE_MODE_GLOBAL;

bool emu_capturing(struct emu_stream *s)
{
	bool yes;

	pthread_mutex_lock(&lock);
	yes = s->capture;
	pthread_mutex_unlock(&lock);
	return yes;
}

bool emu_capture_in(const struct emu_context *c)
{
	bool yes = false;

	pthread_mutex_lock(&lock);
	for (struct emu_model *m = active; m; m = m->next)
		yes |= m->ctx == c->handle;
	pthread_mutex_unlock(&lock);
	return yes;
}

void emu_capture_spoil(struct emu_stream *s)
{
	pthread_mutex_lock(&lock);
	if (s->capture)
		s->capture->invalid = true;
	pthread_mutex_unlock(&lock);
}

/* Lock held: recording a task failed, which spoils the capture. */
static int spoilt(struct emu_model *m, int code, const char *why)
{
	m->invalid = true;
	return emu_fail(code, "while capturing: %s", why);
}

bool emu_capture_record(struct emu_stream *s, struct emu_task *t, int *err)
{
	struct emu_model *m;

	pthread_mutex_lock(&lock);
	m = s->capture;
	*err = 0;
	if (m && m->lanes[s->lane].grouped && t->grouped_refused)
		*err = spoilt(m, ACL_ERROR_RT_TASK_TYPE_NOT_SUPPORT, "a copy in a task group");
	else if (m && emu_lane_append(m, s->lane, t))
		*err = spoilt(m, ACL_ERROR_RT_MEMORY_ALLOCATION, "no memory");
	pthread_mutex_unlock(&lock);
	if (m && *err)
		emu_task_drop(t);
	return m;
}

static bool refuses(const struct emu_model *m)
{
	if (exchanged == ACL_MODEL_RI_CAPTURE_MODE_RELAXED ||
	    m->mode == ACL_MODEL_RI_CAPTURE_MODE_RELAXED)
		return false;
	if (exchanged == ACL_MODEL_RI_CAPTURE_MODE_GLOBAL &&
	    m->mode == ACL_MODEL_RI_CAPTURE_MODE_GLOBAL)
		return true;
	return pthread_equal(m->thread, pthread_self());
}

bool emu_capture_refuses_sync(const struct emu_context *c)
{
	bool yes = false;

	pthread_mutex_lock(&lock);
	for (struct emu_model *m = active; m; m = m->next)
		if (m->ctx == c->handle && refuses(m))
			yes = m->invalid = true;	/* the documents call it spoilt */
	pthread_mutex_unlock(&lock);
	return yes;
}

/* Lock held: no stream records into it any more. */
static void end(struct emu_model *m)
{
	struct emu_model **link = &active;

	while (*link && *link != m)
		link = &(*link)->next;
	if (*link)
		*link = m->next;
	m->capturing = false;
	for (uint32_t l = 0; l < m->nlanes; l++)
		if (m->lanes[l].stream) {
			m->lanes[l].stream->capture = NULL;
			m->lanes[l].stream = NULL;
		}
}

void emu_capture_forget(struct emu_stream *s)
{
	struct emu_model *m;
	bool origin = false;

	pthread_mutex_lock(&lock);
	m = s->capture;
	if (m) {
		origin = !s->lane;
		m->invalid = true;
		m->lanes[s->lane].stream = NULL;
		s->capture = NULL;
	}
	if (origin)
		end(m);
	pthread_mutex_unlock(&lock);
	if (origin)
		emu_model_free(m);
}

static struct emu_model *model_of_event(const struct emu_event *e)
{
	struct emu_model *m = active;

	while (m && m->serial != e->capture)
		m = m->next;
	return m;
}

bool emu_capture_event_used(const struct emu_event *e)
{
	bool yes;

	pthread_mutex_lock(&lock);
	yes = e->capture && model_of_event(e);
	pthread_mutex_unlock(&lock);
	return yes;
}

int emu_capture_event_record(struct emu_stream *s, struct emu_event *e)
{
	struct emu_model *m;
	int err = -1;

	pthread_mutex_lock(&lock);
	m = s->capture;
	if (!m)
		e->capture = 0;
	else if (!e->ex || e->shared)
		err = spoilt(m, ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
			     e->shared ? "an IPC event" : "not an Ex event");
	else if (!(e->flags & ACL_EVENT_EXTERNAL)) {
		err = emu_edge_record(m, s->lane, &e->edge) ?
			spoilt(m, ACL_ERROR_RT_MEMORY_ALLOCATION, "no memory") : 0;
		e->capture = m->serial;
	}
	pthread_mutex_unlock(&lock);
	return err;
}

static int wait_captured(struct emu_stream *s, struct emu_event *e, struct emu_model *m)
{
	if (!s->capture && s->is_default)
		return spoilt(m, ACL_ERROR_RT_CAPTURE_IMPLICIT, "the default stream");
	if (!s->capture && emu_lane_add(m, s))
		return spoilt(m, ACL_ERROR_RT_MEMORY_ALLOCATION, "no memory");
	return emu_edge_wait(m, s->lane, e->edge) ?
		spoilt(m, ACL_ERROR_RT_MEMORY_ALLOCATION, "no memory") : 0;
}

int emu_capture_event_wait(struct emu_stream *s, struct emu_event *e)
{
	struct emu_model *of_event, *of_stream;
	int err = -1;

	pthread_mutex_lock(&lock);
	of_event = e->capture ? model_of_event(e) : NULL;
	of_stream = s->capture;
	if (of_event && (!of_stream || of_stream == of_event))
		err = wait_captured(s, e, of_event);
	else if (of_stream && (!e->ex || e->shared))
		err = spoilt(of_stream, ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
			     e->shared ? "an IPC event" : "not an Ex event");
	else if (of_stream && !(e->flags & ACL_EVENT_EXTERNAL))
		err = spoilt(of_stream, ACL_ERROR_RT_CAPTURE_DEPENDENCY,
			     "an event recorded outside");
	pthread_mutex_unlock(&lock);
	return err;
}

aclError aclmdlRICaptureBegin(aclrtStream handle, aclmdlRICaptureMode mode)
{
	struct emu_context *c;
	struct emu_stream *s;
	struct emu_model *m;
	int err;

	ENTER(aclmdlRICaptureBegin);
	if (!handle)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL stream");
	if ((unsigned)mode > ACL_MODEL_RI_CAPTURE_MODE_RELAXED)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "mode %d", (int)mode);
	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	if (!s)
		return err;
	if (s->is_default || s->flags & ACL_STREAM_PERSISTENT)
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "this stream cannot capture");
	pthread_mutex_lock(&lock);
	m = s->capture ? NULL : emu_model_new(c);
	if (s->capture)
		err = emu_fail(ACL_ERROR_RT_STREAM_CAPTURED, "it captures already");
	else if (!m)
		err = emu_fail(ACL_ERROR_RT_NO_NOTIFY_RESOURCE, "no notify for the model's end");
	else if (emu_lane_add(m, s)) {
		emu_model_free(m);
		err = emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "no memory");
	} else {
		m->mode = mode;
		m->capturing = true;
		m->next = active;
		active = m;
	}
	pthread_mutex_unlock(&lock);
	return err;
}

/* Lock held. The first group of refusals leaves the capture running. */
static int end_check(struct emu_stream *s, struct emu_model **m, bool *discard)
{
	*discard = false;
	*m = s->capture;
	if (!*m)
		return emu_fail(ACL_ERROR_RT_STREAM_NOT_CAPTURED, "the stream does not capture");
	if (s->lane)
		return emu_fail(ACL_ERROR_RT_CAPTURE_UNMATCHED, "begun on another stream");
	if ((*m)->mode != ACL_MODEL_RI_CAPTURE_MODE_RELAXED &&
	    !pthread_equal((*m)->thread, pthread_self()))
		return emu_fail(ACL_ERROR_RT_CAPTURE_WRONG_THREAD, "begun by another thread");
	*discard = true;
	if ((*m)->invalid)
		return emu_fail(ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED,
				"an earlier failure spoilt the capture");
	if (!emu_model_joined(*m))
		return emu_fail(ACL_ERROR_RT_STREAM_UNJOINED, "a side stream was not joined back");
	*discard = false;
	return 0;
}

aclError aclmdlRICaptureEnd(aclrtStream handle, aclmdlRI *out)
{
	struct emu_context *c;
	struct emu_stream *s;
	struct emu_model *m;
	bool discard;
	int err;

	ENTER(aclmdlRICaptureEnd);
	if (!handle || !out)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	if (!s)
		return err;
	pthread_mutex_lock(&lock);
	err = end_check(s, &m, &discard);
	if (!err || discard)
		end(m);
	pthread_mutex_unlock(&lock);
	if (!err)
		*out = m->handle;
	if (discard) {
		emu_model_free(m);
		*out = NULL;
	}
	return err;
}

aclError aclmdlRICaptureGetInfo(aclrtStream handle, aclmdlRICaptureStatus *status, aclmdlRI *model)
{
	struct emu_context *c;
	struct emu_stream *s;
	int err;

	ENTER(aclmdlRICaptureGetInfo);
	if (!status)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	if (!s)
		return err;
	pthread_mutex_lock(&lock);
	*status = !s->capture ? ACL_MODEL_RI_CAPTURE_STATUS_NONE :
		  s->capture->invalid ? ACL_MODEL_RI_CAPTURE_STATUS_INVALIDATED :
					ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE;
	if (model)
		*model = s->capture ? s->capture->handle : NULL;
	pthread_mutex_unlock(&lock);
	return 0;
}

aclError aclmdlRICaptureThreadExchangeMode(aclmdlRICaptureMode *mode)
{
	aclmdlRICaptureMode old = exchanged;

	ENTER(aclmdlRICaptureThreadExchangeMode);
	if (!mode)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	if ((unsigned)*mode > ACL_MODEL_RI_CAPTURE_MODE_RELAXED)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "mode %d", (int)*mode);
	exchanged = *mode;
	*mode = old;
	return 0;
}

/* Task groups serve kernels, which the emulator has none of: only their refusals matter. */
static int group_mark(aclrtStream handle, bool begin)
{
	struct emu_context *c;
	struct emu_stream *s;
	int err;

	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	if (!s)
		return err;
	pthread_mutex_lock(&lock);
	if (!s->capture)
		err = emu_fail(ACL_ERROR_RT_STREAM_NOT_CAPTURED, "the stream does not capture");
	else if (s->capture->lanes[s->lane].grouped == begin)
		err = spoilt(s->capture, ACL_ERROR_RT_PARAM_INVALID, "unmatched task group");
	else
		s->capture->lanes[s->lane].grouped = begin;
	pthread_mutex_unlock(&lock);
	return err;
}

aclError aclmdlRICaptureTaskGrpBegin(aclrtStream stream)
{
	ENTER(aclmdlRICaptureTaskGrpBegin);
	return group_mark(stream, true);
}

aclError aclmdlRICaptureTaskGrpEnd(aclrtStream stream, aclrtTaskGrp *group)
{
	static int token;
	int err;

	ENTER(aclmdlRICaptureTaskGrpEnd);
	if (!group)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	err = group_mark(stream, false);
	if (!err)
		*group = emu_handle_new(EMU_GROUP, &token);
	return err;
}

aclError aclmdlRICaptureTaskUpdateBegin(aclrtStream stream, aclrtTaskGrp group)
{
	struct emu_context *c;
	int err;

	ENTER(aclmdlRICaptureTaskUpdateBegin);
	if (!group || !emu_handle_get(EMU_GROUP, group))
		return emu_fail(ACL_ERROR_INVALID_PARAM, "not a task group");
	NEED_CONTEXT(c);
	emu_stream_of(c, stream, &err);
	return err;
}

aclError aclmdlRICaptureTaskUpdateEnd(aclrtStream stream)
{
	struct emu_context *c;
	int err;

	ENTER(aclmdlRICaptureTaskUpdateEnd);
	NEED_CONTEXT(c);
	emu_stream_of(c, stream, &err);
	return err;
}
