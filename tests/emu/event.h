/* SPDX-License-Identifier: BSD-3-Clause */
/* Events: a count of records submitted and done; IPC events keep both in the shared table. */
#ifndef EMU_EVENT_H
#define EMU_EVENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct emu_shared_event;

struct emu_event {
	void *handle;
	uint32_t flags;
	bool ex;			/* made by aclrtCreateEventExWithFlag: may be captured */
	struct emu_shared_event *shared;
	bool owner;			/* of the shared part */
	uint64_t counter;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int refs;
	uint64_t recorded, done;
	uint64_t done_ns;
	uint64_t capture;		/* serial of the model it was last recorded in, 0: none */
	uint32_t edge;
};

#endif
