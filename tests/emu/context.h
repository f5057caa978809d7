/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices as one process sees them, and the context current on each thread. */
#ifndef EMU_CONTEXT_H
#define EMU_CONTEXT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "emu.h"

struct emu_stream;

struct emu_context {
	struct emu_context *next;	/* all contexts of the process */
	void *handle;
	int device;			/* physical */
	bool is_default;
	struct emu_stream *default_stream;
	struct emu_stream *streams;	/* under emu_context_lock */
	unsigned captures;		/* captures running in it */
};

extern pthread_mutex_t emu_context_lock;

/* The calling thread's context; without one *@err is 107002. */
struct emu_context *emu_context_current(int *err);
struct emu_context *emu_context_of_device(int device, struct emu_context *after);
void emu_context_detach_all(void);	/* aclFinalize */

/* device.c: user ids are what calls take, logical ids come after ASCEND_RT_VISIBLE_DEVICES */
int emu_device_of_user(int32_t user);	/* physical, or -1 */
int emu_device_to_user(int physical);	/* or -1: not visible */
bool emu_device_visible(int physical);	/* in the container */
bool emu_soc_is_pod(void);		/* 910C: keys carry the sdid, SetAttr works */
uint32_t emu_device_sdid(int physical);
int emu_device_chip(int physical);
void emu_device_release(int device);	/* all this process holds on it */

/* Opens a function that needs a context: the machine, aclInit, and a context. */
#define NEED_CONTEXT(ctx) \
	do { \
		int need_; \
		(ctx) = emu_context_current(&need_); \
		if (!(ctx)) \
			return need_; \
	} while (0)

#define NEED_MACHINE() \
	do { \
		int need_ = emu_join(); \
		if (need_) \
			return need_; \
	} while (0)

#endif
