/* SPDX-License-Identifier: BSD-3-Clause */
/* What a capture records and a replay runs: lanes of tasks, one a stream, tied by edges. */
#ifndef EMU_MODEL_H
#define EMU_MODEL_H

#include <pthread.h>
#include <stdbool.h>

#include "stream.h"

struct emu_lane {
	struct emu_stream *stream;	/* while capturing */
	struct emu_task *tasks;
	uint32_t n, room;
	uint32_t last_edge;		/* 1 + the edge that its last task records; 0: none */
	bool grouped;			/* inside a task group */
};

struct emu_model {
	struct emu_model *next;		/* of those that are capturing */
	void *handle;
	void *ctx;			/* handle */
	uint64_t serial;
	aclmdlRICaptureMode mode;
	pthread_t thread;
	bool capturing, invalid;
	struct emu_lane *lanes;
	uint32_t nlanes;
	uint32_t *waited_in;		/* per edge: 1 + the lane that waits for it */
	uint64_t *edge_run;		/* per edge: the last run in which it was passed */
	uint32_t nedges;
	pthread_mutex_t lock;		/* the rest: replays */
	pthread_cond_t changed;
	uint32_t pending;		/* replays queued or running */
	bool running;
	uint64_t run;
	uint32_t end_notify;		/* it occupies one of the device's */
	int device;
};

struct emu_model *emu_model_new(struct emu_context *c);
void emu_model_free(struct emu_model *m);
int emu_lane_add(struct emu_model *m, struct emu_stream *s);	/* 0 or -1 */
int emu_lane_append(struct emu_model *m, uint32_t lane, const struct emu_task *t);
int emu_edge_record(struct emu_model *m, uint32_t lane, uint32_t *edge);
int emu_edge_wait(struct emu_model *m, uint32_t lane, uint32_t edge);
bool emu_model_joined(const struct emu_model *m);	/* every side lane leads back to the first */

#endif
