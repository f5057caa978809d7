/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: a queue of at most 2047 entries and a worker thread each, started at the first task. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture.h"
#include "stream.h"

#define PERSISTENT_DEPTH 2016	/* hand-built models only: tasks are held, never run */

int emu_task_run(struct emu_task *t, const struct emu_run *where)
{
	int code;

	if (emu_settings()->task_delay_us)
		emu_sleep_us((uint64_t)emu_settings()->task_delay_us);
	if (emu_fault_due(EMU_TASK_FAULT, &code))
		return code;
	return t->run(t, where);
}

void emu_task_drop(struct emu_task *t)
{
	if (t->drop)
		t->drop(t);
}

static uint32_t entries_of(const struct emu_task *t)
{
	return t->entries ? t->entries : 1;
}

static void *work(void *arg)
{
	struct emu_stream *s = arg;
	struct emu_run where = { s->ctx->device, &s->abort };

	pthread_mutex_lock(&s->lock);
	for (;;) {
		struct emu_task t;
		int err;

		while (!s->queued && !s->stop)
			pthread_cond_wait(&s->changed, &s->lock);
		if (!s->queued)
			break;
		t = s->ring[s->head];
		s->head = (s->head + 1) % s->room;
		s->queued--;
		pthread_mutex_unlock(&s->lock);
		err = s->abort ? 0 : emu_task_run(&t, &where);
		emu_task_drop(&t);
		pthread_mutex_lock(&s->lock);
		if (err && !s->error)
			s->error = err;
		s->entries -= entries_of(&t);
		s->completed++;
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static int worker_start(struct emu_stream *s)
{
	sigset_t all, old;
	int err;

	if (s->has_worker)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&s->worker, NULL, work, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	s->has_worker = !err;
	return err;
}

static int ring_grow(struct emu_stream *s)
{
	uint32_t want = s->room ? s->room * 2 : 16;
	struct emu_task *ring = malloc(want * sizeof(*ring));

	if (!ring)
		return -1;
	for (uint32_t i = 0; i < s->queued; i++)
		ring[i] = s->ring[(s->head + i) % s->room];
	free(s->ring);
	s->ring = ring;
	s->room = want;
	s->head = 0;
	return 0;
}

/* Lock held; blocks while the queue is full, as the real issuing call spins. */
static int put(struct emu_stream *s, struct emu_task *t)
{
	uint32_t depth = (uint32_t)emu_settings()->queue_depth;

	if (s->flags & ACL_STREAM_PERSISTENT) {
		if (s->entries + entries_of(t) > PERSISTENT_DEPTH)
			return emu_fail(ACL_ERROR_RT_STREAM_TASK_FULL, "persistent stream is full");
		s->entries += entries_of(t);
		emu_task_drop(t);
		return 0;
	}
	while (s->entries + entries_of(t) > depth)
		pthread_cond_wait(&s->changed, &s->lock);
	if ((s->queued == s->room && ring_grow(s)) || worker_start(s))
		return emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "no memory for a task");
	s->ring[(s->head + s->queued++) % s->room] = *t;
	s->entries += entries_of(t);
	s->submitted++;
	pthread_cond_broadcast(&s->changed);
	return 0;
}

int emu_stream_enqueue(struct emu_stream *s, struct emu_task *t)
{
	int err;

	pthread_mutex_lock(&s->lock);
	err = put(s, t);
	pthread_mutex_unlock(&s->lock);
	if (err)
		emu_task_drop(t);
	else
		COUNT(task, 1);
	if (!err)
		COUNT(queue_entry, entries_of(t));
	return err;
}

int emu_stream_submit(struct emu_stream *s, struct emu_task *t)
{
	int err;

	if (emu_capture_record(s, t, &err))
		return err;
	return emu_stream_enqueue(s, t);
}

struct emu_stream *emu_stream_new(struct emu_context *c, uint32_t flags, bool is_default)
{
	struct emu_stream *s = calloc(1, sizeof(*s));
	pthread_condattr_t a;

	if (!s)
		return NULL;
	s->ctx = c;
	s->flags = flags;
	s->is_default = is_default;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &a);
	pthread_condattr_destroy(&a);
	s->handle = emu_handle_new(EMU_STREAM, s);
	if (!s->handle) {
		free(s);
		return NULL;
	}
	s->next = c->streams;
	c->streams = s;
	return s;
}

static void worker_stop(struct emu_stream *s, bool force)
{
	pthread_mutex_lock(&s->lock);
	s->abort = force;
	s->stop = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (s->has_worker)
		pthread_join(s->worker, NULL);
}

void emu_stream_unlink(struct emu_stream *s)
{
	struct emu_stream **link = &s->ctx->streams;

	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
	emu_handle_drop(EMU_STREAM, s->handle);
}

void emu_stream_free(struct emu_stream *s, bool force)
{
	emu_capture_forget(s);
	worker_stop(s, force);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s->ring);
	free(s);
}

struct emu_stream *emu_stream_of(struct emu_context *c, aclrtStream handle, int *err)
{
	struct emu_stream *s = handle ? emu_handle_get(EMU_STREAM, handle) : c->default_stream;

	*err = 0;
	if (!s)
		*err = emu_fail(ACL_ERROR_RT_PARAM_INVALID, "not a living stream");
	else if (s->ctx != c)
		*err = emu_fail(ACL_ERROR_RT_STREAM_CONTEXT, "a stream of another context");
	return *err ? NULL : s;
}

static struct timespec deadline_in(int64_t ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

void emu_stream_drain(struct emu_stream *s)
{
	uint64_t until;

	pthread_mutex_lock(&s->lock);
	until = s->submitted;
	while (s->completed < until)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

int emu_stream_wait(struct emu_stream *s, int64_t ms)
{
	struct timespec t = deadline_in(ms < 0 ? 0 : ms);
	uint64_t until;
	int err = 0;

	pthread_mutex_lock(&s->lock);
	until = s->submitted;
	while (s->completed < until && err != ETIMEDOUT)
		err = ms < 0 ? pthread_cond_wait(&s->changed, &s->lock) :
			       pthread_cond_timedwait(&s->changed, &s->lock, &t);
	if (s->completed < until) {
		err = emu_fail(ACL_ERROR_RT_STREAM_SYNC_TIMEOUT, "the stream is still busy");
	} else {
		err = s->error;
		s->error = 0;	/* reported once; later tasks ran on (continue on failure) */
		if (err)
			emu_fail(err, "a task on the stream failed");
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}
