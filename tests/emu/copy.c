/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies and fills. The strict rules of contract 2.9 (default) refuse whatever the documents call
 * unsupported on memory imported from another device: all but the async copy of explicit kind 3.
 */
#include <string.h>

#include "capture.h"
#include "copy.h"
#include "peer.h"

void emu_operands_of(struct emu_operands *o, const void *dst, size_t dn, const void *src,
		     size_t sn, int64_t lookups)
{
	o->dst = emu_place_of(dst, dn, lookups, &o->dst_device);
	o->src = emu_place_of(src, sn, lookups, &o->src_device);
}

static bool imported(enum emu_place p)
{
	return p == EMU_PLACE_LOCAL || p == EMU_PLACE_FOREIGN;
}

static bool foreign(const struct emu_operands *o)
{
	return o->dst == EMU_PLACE_FOREIGN || o->src == EMU_PLACE_FOREIGN;
}

static int no_foreign(const struct emu_operands *o, const char *what)
{
	if (!emu_settings()->strict || !foreign(o))
		return 0;
	return emu_fail(ACL_ERROR_RT_PARAM_INVALID,
			"%s on memory imported from another device: only async copies of kind 3",
			what);
}

static int resolve(const struct emu_operands *o, aclrtMemcpyKind *kind)
{
	bool d = emu_place_device(o->dst), s = emu_place_device(o->src);

	if (*kind != ACL_MEMCPY_DEFAULT)
		return 0;
	if ((imported(o->dst) || imported(o->src)) &&
	    emu_settings()->import_type != ACL_MEM_LOCATION_TYPE_DEVICE)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "kind 4: an imported address is not "
				"reported as device memory by this release");
	*kind = d && s ? ACL_MEMCPY_DEVICE_TO_DEVICE : d ? ACL_MEMCPY_HOST_TO_DEVICE :
		s ? ACL_MEMCPY_DEVICE_TO_HOST : ACL_MEMCPY_HOST_TO_HOST;
	return no_foreign(o, "kind 4");
}

int emu_copy_allowed(const struct emu_operands *o, aclrtMemcpyKind *kind)
{
	bool d = emu_place_device(o->dst), s = emu_place_device(o->src), fits;
	int err;

	if (o->dst == EMU_PLACE_OVERRUN || o->src == EMU_PLACE_OVERRUN)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "past the end of device memory");
	err = resolve(o, kind);
	if (err)
		return err;
	switch (*kind) {
	case ACL_MEMCPY_HOST_TO_HOST:
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "async host to host");
	case ACL_MEMCPY_HOST_TO_DEVICE:
	case ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE:
		fits = d && !s;
		break;
	case ACL_MEMCPY_DEVICE_TO_HOST:
		fits = !d && s;
		break;
	default:
		fits = d && s;
	}
	if (!fits)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "the pointers don't fit kind %d",
				(int)*kind);
	return *kind == ACL_MEMCPY_DEVICE_TO_DEVICE ? 0 : no_foreign(o, "host copy");
}

bool emu_copy_pageable(const struct emu_operands *o)
{
	return o->dst == EMU_PLACE_HOST || o->src == EMU_PLACE_HOST;
}

int emu_copy_pageable_check(struct emu_stream *s)
{
	if (emu_capturing(s)) {
		emu_capture_spoil(s);
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID,
				"pageable host memory while capturing");
	}
	if (emu_capture_refuses_sync(s->ctx))
		return emu_fail(emu_settings()->release < EMU_9_1_0 ?
				ACL_ERROR_RT_CAPTURE_MODE : ACL_ERROR_RT_CAPTURE_MODE_BLOCK_ASYNC,
				"an async copy with pageable memory is a sync one");
	return 0;
}

static int copy_run(struct emu_task *t, const struct emu_run *where)
{
	return emu_engine_copy(&t->u.copy, where->device);
}

int emu_copy_submit(struct emu_stream *s, const struct emu_copy *c)
{
	struct emu_task t = { .run = copy_run, .grouped_refused = true, .u.copy = *c };

	return emu_stream_submit(s, &t);
}

static int arguments(const void *dst, size_t max, const void *src, size_t n, aclrtMemcpyKind kind)
{
	if (!dst || !src || (unsigned)kind > ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL, or kind %d", (int)kind);
	if (n > max)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "%zu bytes into %zu", n, max);
	return 0;
}

/* No stream is waited for: a missing synchronisation must show. */
static int sync_copy(void *dst, size_t max, const void *src, size_t n, aclrtMemcpyKind kind)
{
	struct emu_operands o;
	struct emu_context *c;
	struct emu_copy copy;
	int err;

	err = arguments(dst, max, src, n, kind);
	if (err)
		return err;
	NEED_CONTEXT(c);
	if (emu_capture_refuses_sync(c))
		return emu_fail(ACL_ERROR_RT_CAPTURE_MODE, "a sync copy during a capture");
	if (!n || dst == src)
		return 0;
	emu_operands_of(&o, dst, n, src, n, 1);
	err = no_foreign(&o, "sync copy");
	if (err)
		return err;
	if (o.dst == EMU_PLACE_OVERRUN || o.src == EMU_PLACE_OVERRUN)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "past the end of device memory");
	/* The kind is only a hint: the direction comes from the pointers. */
	copy = (struct emu_copy){ dst, src, n, emu_place_device(o.dst), emu_place_device(o.src) };
	err = emu_engine_copy(&copy, c->device);
	return err ? emu_fail(err, "a device access faulted") : 0;
}

aclError aclrtMemcpy(void *dst, size_t max, const void *src, size_t n, aclrtMemcpyKind kind)
{
	ENTER(aclrtMemcpy);
	return sync_copy(dst, max, src, n, kind);
}

/* A large copy is several tasks: 4 GiB each on chip and over HCCS, 64 MiB over PCIe (1.2). */
static size_t task_unit(const struct emu_operands *o)
{
	const uint64_t pcie = ACL_RT_DEVS_TOPOLOGY_PIX | ACL_RT_DEVS_TOPOLOGY_PIB |
			      ACL_RT_DEVS_TOPOLOGY_PHB;

	if (o->dst_device >= 0 && o->src_device >= 0 && o->dst_device != o->src_device &&
	    emu_peer_topo(o->dst_device, o->src_device) & pcie)
		return (size_t)64 << 20;
	return (size_t)4 << 30;
}

static int submit_split(struct emu_stream *s, const struct emu_copy *whole, size_t unit)
{
	int err = 0;

	for (size_t done = 0; done < whole->n && !err; done += unit) {
		struct emu_copy part = *whole;

		part.dst += done;
		part.src += done;
		part.n = whole->n - done < unit ? whole->n - done : unit;
		err = emu_copy_submit(s, &part);
	}
	return err;
}

static int async_copy(void *dst, size_t max, const void *src, size_t n, aclrtMemcpyKind kind,
		      aclrtStream handle)
{
	struct emu_operands o;
	struct emu_context *c;
	struct emu_stream *s;
	struct emu_copy copy;
	int err;

	err = arguments(dst, max, src, n, kind);
	if (err)
		return err;
	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	if (!s || !n || dst == src)
		return err;
	emu_operands_of(&o, dst, n, src, n, emu_settings()->lookups);
	err = emu_copy_allowed(&o, &kind);
	if (!err && emu_copy_pageable(&o))
		err = emu_copy_pageable_check(s);
	if (err)
		return err;
	copy = (struct emu_copy){ dst, src, n, emu_place_device(o.dst), emu_place_device(o.src) };
	err = submit_split(s, &copy, task_unit(&o));
	if (!err && emu_copy_pageable(&o))
		emu_stream_drain(s);
	return err;
}

aclError aclrtMemcpyAsync(void *dst, size_t max, const void *src, size_t n,
			  aclrtMemcpyKind kind, aclrtStream stream)
{
	ENTER(aclrtMemcpyAsync);
	return async_copy(dst, max, src, n, kind, stream);
}

static int set_check(const void *p, size_t max, size_t n, struct emu_operands *o)
{
	if (!p)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	if (n > max)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "%zu bytes into %zu", n, max);
	o->dst = emu_place_of(p, n, 1, &o->dst_device);
	o->src = EMU_PLACE_HOST;
	if (o->dst == EMU_PLACE_OVERRUN)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "past the end of device memory");
	return no_foreign(o, "fill");
}

aclError aclrtMemset(void *p, size_t max, int32_t value, size_t n)
{
	struct emu_operands o;
	struct emu_context *c;
	int err;

	ENTER(aclrtMemset);
	NEED_CONTEXT(c);
	err = set_check(p, max, n, &o);
	if (err)
		return err;
	if (emu_capture_refuses_sync(c))
		return emu_fail(ACL_ERROR_RT_CAPTURE_MODE, "a sync fill during a capture");
	if (!emu_place_device(o.dst)) {
		memset(p, value, n);
		return 0;
	}
	err = emu_engine_set(p, value, n, c->device);
	return err ? emu_fail(err, "a device access faulted") : 0;
}

static int set_run(struct emu_task *t, const struct emu_run *where)
{
	return emu_engine_set(t->u.set.dst, t->u.set.value, t->u.set.n, where->device);
}

aclError aclrtMemsetAsync(void *p, size_t max, int32_t value, size_t n, aclrtStream handle)
{
	struct emu_task t = { .run = set_run, .u.set = { p, n, value } };
	struct emu_operands o;
	struct emu_context *c;
	struct emu_stream *s;
	int err;

	ENTER(aclrtMemsetAsync);
	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	if (!s)
		return err;
	err = set_check(p, max, n, &o);
	if (err || !n)
		return err;
	if (!emu_place_device(o.dst))
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "not device memory");
	return emu_stream_submit(s, &t);
}
