/* SPDX-License-Identifier: BSD-3-Clause */
/* 2-D copies (contract 1.9.1): device to device only in the async form, one task a row. */
#include "capture.h"
#include "copy.h"

#define MAX_WIDTH 5000000u
#define MAX_HEIGHT 5242880u

struct plane {
	char *dst;
	const char *src;
	size_t dpitch, spitch, width, height;
};

static size_t extent(size_t pitch, const struct plane *p)
{
	return (p->height - 1) * pitch + p->width;
}

/* 0, an ACL code, or -1: nothing to do */
static int arguments(const struct plane *p, aclrtMemcpyKind kind)
{
	int64_t legacy = emu_settings()->legacy_2d;

	if (!p->dst || !p->src || p->width > p->dpitch || p->width > p->spitch ||
	    kind < ACL_MEMCPY_HOST_TO_DEVICE || kind > ACL_MEMCPY_DEFAULT)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL, a pitch below the width, or kind "
				"%d", (int)kind);
	if (kind == ACL_MEMCPY_DEVICE_TO_DEVICE && legacy == 2)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "2-D kind 3 before 9.0.0");
	if (!p->width || !p->height)
		return legacy ? emu_fail(ACL_ERROR_INVALID_PARAM, "an empty plane") : -1;
	if (p->width > MAX_WIDTH || p->height > MAX_HEIGHT)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "a plane of %zu x %zu", p->width,
				p->height);
	return 0;
}

static struct emu_copy row_of(const struct plane *p, size_t y, const struct emu_operands *o)
{
	return (struct emu_copy){ p->dst + y * p->dpitch, p->src + y * p->spitch, p->width,
				  emu_place_device(o->dst), emu_place_device(o->src) };
}

/* kind 4 takes only pairs it recognises; two host pointers are none of them */
static int allowed(const struct emu_operands *o, aclrtMemcpyKind kind)
{
	int err;

	if (kind == ACL_MEMCPY_DEFAULT && !emu_place_device(o->dst) && !emu_place_device(o->src))
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "kind 4: two host pointers");
	err = emu_copy_allowed(o, &kind);
	return err;
}

static int sync_plane(const struct plane *p, aclrtMemcpyKind kind)
{
	struct emu_operands o;
	struct emu_context *c;
	int err;

	err = arguments(p, kind);
	if (err)
		return err < 0 ? 0 : err;
	if (kind == ACL_MEMCPY_DEVICE_TO_DEVICE)
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "2-D kind 3 is async only");
	NEED_CONTEXT(c);
	if (emu_capture_refuses_sync(c))
		return emu_fail(ACL_ERROR_RT_CAPTURE_MODE, "a sync copy during a capture");
	emu_operands_of(&o, p->dst, extent(p->dpitch, p), p->src, extent(p->spitch, p), 1);
	if (emu_place_device(o.dst) && emu_place_device(o.src))
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "two device pointers, sync form");
	err = allowed(&o, kind);
	for (size_t y = 0; y < p->height && !err; y++) {
		struct emu_copy row = row_of(p, y, &o);

		err = emu_engine_copy(&row, c->device);
	}
	return err;
}

static int async_plane(const struct plane *p, aclrtMemcpyKind kind, aclrtStream handle)
{
	struct emu_operands o;
	struct emu_context *c;
	struct emu_stream *s;
	int err;

	err = arguments(p, kind);
	if (err)
		return err < 0 ? 0 : err;
	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	if (!s)
		return err;
	emu_operands_of(&o, p->dst, extent(p->dpitch, p), p->src, extent(p->spitch, p), 1);
	err = allowed(&o, kind);
	if (!err && emu_copy_pageable(&o))
		err = emu_copy_pageable_check(s);
	for (size_t y = 0; y < p->height && !err; y++) {
		struct emu_copy row = row_of(p, y, &o);

		COUNT(row, 1);
		err = emu_copy_submit(s, &row);
	}
	if (!err && emu_copy_pageable(&o))
		emu_stream_drain(s);
	return err;
}

aclError aclrtMemcpy2d(void *dst, size_t dpitch, const void *src, size_t spitch, size_t width,
		       size_t height, aclrtMemcpyKind kind)
{
	struct plane p = { dst, src, dpitch, spitch, width, height };

	ENTER(aclrtMemcpy2d);
	return sync_plane(&p, kind);
}

aclError aclrtMemcpy2dAsync(void *dst, size_t dpitch, const void *src, size_t spitch,
			    size_t width, size_t height, aclrtMemcpyKind kind, aclrtStream stream)
{
	struct plane p = { dst, src, dpitch, spitch, width, height };

	ENTER(aclrtMemcpy2dAsync);
	return async_plane(&p, kind, stream);
}
