/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams and the tasks on them. A task runs later, on the stream's worker thread. */
#ifndef EMU_STREAM_H
#define EMU_STREAM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context.h"
#include "engine.h"

struct emu_event;
struct emu_notify;
struct emu_model;
struct emu_task;

/* What a running task knows of where it runs. */
struct emu_run {
	int device;
	const atomic_bool *abort;	/* its stream is being destroyed by force */
};

struct emu_task {
	int (*run)(struct emu_task *t, const struct emu_run *where);	/* 0 or an ACL code */
	void (*keep)(struct emu_task *t);	/* a copy was made: take references; may be NULL */
	void (*drop)(struct emu_task *t);	/* give them back; may be NULL */
	uint32_t entries;			/* of the queue; 0 counts as 1 */
	bool grouped_refused;			/* a copy: cannot be in a task group */
	union {
		struct emu_copy copy;
		struct {
			char *dst;
			size_t n;
			int value;
		} set;
		struct {
			char *dst;
			const char *src;
			uint64_t n;
			aclrtReduceKind kind;
			aclDataType type;
		} reduce;
		struct {
			struct emu_event *event;
			uint64_t seq;
			uint64_t timeout_ms;	/* 0: none */
		} event;
		struct {
			struct emu_notify *notify;
			uint64_t timeout_s;	/* 0: none */
		} notify;
		struct {
			char *addr;
			uint64_t value;
			uint32_t flag;
		} value;
		struct {
			aclrtHostFunc fn;
			void *args;
		} host;
		struct {
			struct emu_model *model;
			uint32_t edge;
		} model;
		struct {
			char *desc;
		} desc;
	} u;
};

struct emu_stream {
	struct emu_stream *next;	/* of its context */
	struct emu_context *ctx;
	void *handle;
	uint32_t flags;
	bool is_default;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t worker;
	bool has_worker, stop;
	atomic_bool abort;
	struct emu_task *ring;		/* grows up to the queue's depth */
	uint32_t room, head, queued;	/* tasks */
	uint32_t entries;		/* queue entries taken, the running task's included */
	uint64_t submitted, completed;
	int error;			/* the first failure since the last synchronisation */
	struct emu_model *capture;	/* under the capture lock */
	uint32_t lane;
};

struct emu_stream *emu_stream_new(struct emu_context *c, uint32_t flags, bool is_default);
void emu_stream_unlink(struct emu_stream *s);	/* from its context; context lock held */
void emu_stream_free(struct emu_stream *s, bool force);	/* unlinked; may wait for its tasks */

/* The stream of a call (NULL: the context's default one), checked against the context. */
struct emu_stream *emu_stream_of(struct emu_context *c, aclrtStream handle, int *err);

/*
 * Records the task if the stream captures, else queues it; a full queue blocks the caller.
 * The task is copied; its references are taken over, also on failure.
 */
int emu_stream_submit(struct emu_stream *s, struct emu_task *t);
int emu_stream_enqueue(struct emu_stream *s, struct emu_task *t);	/* never records */

void emu_stream_drain(struct emu_stream *s);	/* waits; failures stay to be reported */

/* ms < 0: no limit. 0, the stream's failure, or 507046. */
int emu_stream_wait(struct emu_stream *s, int64_t ms);

int emu_task_run(struct emu_task *t, const struct emu_run *where);	/* with injected faults */
void emu_task_drop(struct emu_task *t);

#endif
