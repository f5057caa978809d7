/* SPDX-License-Identifier: BSD-3-Clause */
/* Contexts: one default context a device, made by aclrtSetDevice, and explicit ones. */
#include <stdlib.h>

#include "context.h"
#include "region.h"
#include "stream.h"
#include "table.h"

pthread_mutex_t emu_context_lock = PTHREAD_MUTEX_INITIALIZER;

static struct emu_context *all;
static unsigned set_count[EMU_DEVICES];		/* aclrtSetDevice calls not yet reset */
static _Thread_local void *current;		/* a handle: it may have died meanwhile */

struct emu_context *emu_context_current(int *err)
{
	struct emu_context *c;

	*err = emu_join();
	if (*err)
		return NULL;
	c = current ? emu_handle_get(EMU_CONTEXT, current) : NULL;
	if (!c)
		*err = emu_fail(ACL_ERROR_RT_CONTEXT_NULL, current ?
				"the thread's context was destroyed" :
				"no context on this thread: call aclrtSetDevice first");
	return c;
}

struct emu_context *emu_context_of_device(int device, struct emu_context *after)
{
	struct emu_context *c = after ? after->next : all;

	while (c && c->device != device)
		c = c->next;
	return c;
}

static struct emu_context *default_of(int device)
{
	struct emu_context *c = emu_context_of_device(device, NULL);

	while (c && !c->is_default)
		c = emu_context_of_device(device, c);
	return c;
}

static struct emu_context *context_new(int device, bool is_default)
{
	struct emu_context *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->device = device;
	c->is_default = is_default;
	c->handle = emu_handle_new(EMU_CONTEXT, c);
	c->default_stream = emu_stream_new(c, 0, true);
	if (!c->handle || !c->default_stream) {
		emu_handle_drop(EMU_CONTEXT, c->handle);
		free(c);
		return NULL;
	}
	c->next = all;
	all = c;
	return c;
}

/* Streams of the context end with it; its tasks that are queued are dropped. */
static void context_free(struct emu_context *c)
{
	struct emu_context **link = &all;

	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	emu_handle_drop(EMU_CONTEXT, c->handle);
	while (c->streams) {
		struct emu_stream *s = c->streams;

		emu_stream_unlink(s);
		emu_stream_free(s, true);
	}
	free(c);
}

aclError aclrtSetDevice(int32_t user)
{
	struct emu_context *c;
	int device, err = 0;

	ENTER(aclrtSetDevice);
	NEED_MACHINE();
	if (!emu_initialised())
		return emu_fail(ACL_ERROR_UNINITIALIZE, "aclInit was not called");
	device = emu_device_of_user(user);
	if (device < 0)
		return emu_fail(ACL_ERROR_RT_INVALID_DEVICEID, "no device %d here", user);
	pthread_mutex_lock(&emu_context_lock);
	c = default_of(device);
	if (!c)
		c = context_new(device, true);
	if (c) {
		set_count[device]++;
		current = c->handle;
	} else {
		err = emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "no memory for a context");
	}
	pthread_mutex_unlock(&emu_context_lock);
	return err;
}

static int device_reset(int32_t user, bool force)
{
	struct emu_context *c;
	int device, err = 0;

	NEED_MACHINE();
	device = emu_device_of_user(user);
	if (device < 0)
		return emu_fail(ACL_ERROR_RT_INVALID_DEVICEID, "no device %d here", user);
	pthread_mutex_lock(&emu_context_lock);
	c = default_of(device);
	if (!c || !set_count[device]) {
		err = emu_fail(ACL_ERROR_RT_CONTEXT_NULL, "device %d was not set", user);
	} else if (!--set_count[device] || force) {
		set_count[device] = 0;
		while (force && (c = emu_context_of_device(device, NULL)))
			context_free(c);
		if (!force)
			context_free(c);
		if (!emu_context_of_device(device, NULL))
			emu_device_release(device);
	}
	pthread_mutex_unlock(&emu_context_lock);
	return err;
}

aclError aclrtResetDevice(int32_t user)
{
	ENTER(aclrtResetDevice);
	return device_reset(user, false);
}

aclError aclrtResetDeviceForce(int32_t user)
{
	ENTER(aclrtResetDeviceForce);
	return device_reset(user, true);
}

aclError aclrtGetDevice(int32_t *user)
{
	struct emu_context *c;

	ENTER(aclrtGetDevice);
	if (!user)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_CONTEXT(c);
	*user = emu_device_to_user(c->device);
	return 0;
}

aclError aclrtCreateContext(aclrtContext *ctx, int32_t user)
{
	struct emu_context *c;
	int device;

	ENTER(aclrtCreateContext);
	if (!ctx)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_MACHINE();
	if (!emu_initialised())
		return emu_fail(ACL_ERROR_UNINITIALIZE, "aclInit was not called");
	device = emu_device_of_user(user);
	if (device < 0)
		return emu_fail(ACL_ERROR_RT_INVALID_DEVICEID, "no device %d here", user);
	pthread_mutex_lock(&emu_context_lock);
	c = context_new(device, false);
	pthread_mutex_unlock(&emu_context_lock);
	if (!c)
		return emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "no memory for a context");
	current = c->handle;
	*ctx = c->handle;
	return 0;
}

aclError aclrtDestroyContext(aclrtContext ctx)
{
	struct emu_context *c;
	int err = 0, device;

	ENTER(aclrtDestroyContext);
	if (!ctx)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	pthread_mutex_lock(&emu_context_lock);
	c = emu_handle_get(EMU_CONTEXT, ctx);
	if (!c || c->is_default) {
		err = emu_fail(ACL_ERROR_RT_PARAM_INVALID, "not an explicitly created context");
	} else {
		device = c->device;
		context_free(c);
		if (!emu_context_of_device(device, NULL))
			emu_device_release(device);
	}
	pthread_mutex_unlock(&emu_context_lock);
	return err;
}

aclError aclrtSetCurrentContext(aclrtContext ctx)
{
	ENTER(aclrtSetCurrentContext);
	if (!ctx)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	if (!emu_handle_get(EMU_CONTEXT, ctx))
		return emu_fail(ACL_ERROR_RT_CONTEXT_NULL, "not a living context");
	current = ctx;
	return 0;
}

aclError aclrtGetCurrentContext(aclrtContext *ctx)
{
	struct emu_context *c;

	ENTER(aclrtGetCurrentContext);
	if (!ctx)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_CONTEXT(c);
	*ctx = c->handle;
	return 0;
}

void emu_context_detach_all(void)
{
	pthread_mutex_lock(&emu_context_lock);
	while (all) {
		int device = all->device;

		set_count[device] = 0;
		context_free(all);
		if (!emu_context_of_device(device, NULL))
			emu_device_release(device);
	}
	pthread_mutex_unlock(&emu_context_lock);
}
