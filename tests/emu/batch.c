/* SPDX-License-Identifier: BSD-3-Clause */
/* Batches and descriptors (contract 1.9.2): of no use between devices, and refused there. */
#include <string.h>

#include "capture.h"
#include "copy.h"

#define SYNC_ENTRIES 4096u
#define DESC_SIZE 32u
#define DESC_ALIGN 64u
#define DESC_MAX (UINT64_C(4) << 30)

struct batch {
	void **dsts;
	size_t *maxs;
	void **srcs;
	size_t *sizes;
	size_t n;
	aclrtMemcpyBatchAttr *attrs;
	size_t *indexes;
	size_t nattrs;
	size_t *fail;		/* NULL in the V2 forms */
};

static int refused(const struct batch *b, size_t at, int code, const char *why)
{
	if (b->fail)
		*b->fail = at;
	return emu_fail(code, "batch entry %lld: %s", (long long)at, why);
}

static int shape_check(const struct batch *b, bool sync)
{
	static const uint8_t zero[sizeof(b->attrs->rsv)];

	if (!b->dsts || !b->maxs || !b->srcs || !b->sizes || !b->attrs || !b->indexes)
		return refused(b, SIZE_MAX, ACL_ERROR_INVALID_PARAM, "NULL");
	if (!b->n || !b->nattrs || b->nattrs > b->n || b->indexes[0])
		return refused(b, SIZE_MAX, ACL_ERROR_RT_PARAM_INVALID, "counts");
	if (sync && b->n > SYNC_ENTRIES)
		return refused(b, SIZE_MAX, ACL_ERROR_RT_PARAM_INVALID, "more than 4096 entries");
	for (size_t k = 0; k < b->nattrs; k++) {
		if (memcmp(b->attrs[k].rsv, zero, sizeof(zero)))
			return refused(b, SIZE_MAX, ACL_ERROR_INVALID_PARAM, "rsv is not 0");
		if (b->indexes[k] >= b->n || (k && b->indexes[k] <= b->indexes[k - 1]))
			return refused(b, SIZE_MAX, ACL_ERROR_RT_PARAM_INVALID, "attribute index");
	}
	return 0;
}

/* Host to device or device to host, and as the entry's attribute says. */
static int entry_check(const struct batch *b, size_t i, const aclrtMemcpyBatchAttr *a,
		       struct emu_operands *o)
{
	bool d, s;

	if (!b->dsts[i] || !b->srcs[i] || b->maxs[i] < b->sizes[i])
		return refused(b, i, ACL_ERROR_INVALID_PARAM, "NULL, or destMax < size");
	emu_operands_of(o, b->dsts[i], b->sizes[i], b->srcs[i], b->sizes[i], 1);
	d = emu_place_device(o->dst);
	s = emu_place_device(o->src);
	if (d == s)
		return refused(b, i, ACL_ERROR_RT_PARAM_INVALID, "not host/device");
	if (o->dst == EMU_PLACE_FOREIGN || o->src == EMU_PLACE_FOREIGN ||
	    o->dst == EMU_PLACE_OVERRUN || o->src == EMU_PLACE_OVERRUN)
		return refused(b, i, ACL_ERROR_RT_PARAM_INVALID, "imported, or past the end");
	if ((a->dstLoc.type == ACL_MEM_LOCATION_TYPE_DEVICE) != d ||
	    (a->srcLoc.type == ACL_MEM_LOCATION_TYPE_DEVICE) != s)
		return refused(b, i, ACL_ERROR_RT_PARAM_INVALID, "its attribute says otherwise");
	return 0;
}

static int run(const struct batch *b, struct emu_context *c, struct emu_stream *s)
{
	struct emu_operands o;
	bool pageable = false;
	int err = shape_check(b, !s);
	size_t k = 0;

	for (size_t i = 0; i < b->n && !err; i++) {
		while (k + 1 < b->nattrs && b->indexes[k + 1] <= i)
			k++;
		err = entry_check(b, i, &b->attrs[k], &o);
		pageable |= emu_copy_pageable(&o);
	}
	if (!err && s && pageable)
		err = emu_copy_pageable_check(s);
	for (size_t i = 0; i < b->n && !err; i++) {
		struct emu_copy copy = { b->dsts[i], b->srcs[i], b->sizes[i] };

		emu_operands_of(&o, copy.dst, copy.n, copy.src, copy.n, 0);
		copy.dst_device = emu_place_device(o.dst);
		copy.src_device = emu_place_device(o.src);
		if (copy.n)
			err = s ? emu_copy_submit(s, &copy) : emu_engine_copy(&copy, c->device);
	}
	if (!err && s && pageable)
		emu_stream_drain(s);
	return err;
}

static int sync_batch(const struct batch *b)
{
	struct emu_context *c;

	NEED_CONTEXT(c);
	if (emu_capture_refuses_sync(c))
		return emu_fail(ACL_ERROR_RT_CAPTURE_MODE, "a sync copy during a capture");
	return run(b, c, NULL);
}

static int async_batch(const struct batch *b, aclrtStream handle)
{
	struct emu_context *c;
	struct emu_stream *s;
	int err;

	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	return s ? run(b, c, s) : err;
}

aclError aclrtMemcpyBatch(void **dsts, size_t *maxs, void **srcs, size_t *sizes, size_t n,
			  aclrtMemcpyBatchAttr *attrs, size_t *indexes, size_t nattrs,
			  size_t *fail)
{
	struct batch b = { dsts, maxs, srcs, sizes, n, attrs, indexes, nattrs, fail };

	ENTER(aclrtMemcpyBatch);
	return fail ? sync_batch(&b) : emu_fail(ACL_ERROR_INVALID_PARAM, "NULL failIndex");
}

aclError aclrtMemcpyBatchV2(void **dsts, size_t *maxs, void **srcs, size_t *sizes, size_t n,
			    aclrtMemcpyBatchAttr *attrs, size_t *indexes, size_t nattrs)
{
	struct batch b = { dsts, maxs, srcs, sizes, n, attrs, indexes, nattrs, NULL };

	ENTER(aclrtMemcpyBatchV2);
	return sync_batch(&b);
}

aclError aclrtMemcpyBatchAsync(void **dsts, size_t *maxs, void **srcs, size_t *sizes, size_t n,
			       aclrtMemcpyBatchAttr *attrs, size_t *indexes, size_t nattrs,
			       size_t *fail, aclrtStream stream)
{
	struct batch b = { dsts, maxs, srcs, sizes, n, attrs, indexes, nattrs, fail };

	ENTER(aclrtMemcpyBatchAsync);
	return fail ? async_batch(&b, stream) : emu_fail(ACL_ERROR_INVALID_PARAM, "NULL failIndex");
}

aclError aclrtMemcpyBatchAsyncV2(void **dsts, size_t *maxs, void **srcs, size_t *sizes, size_t n,
				 aclrtMemcpyBatchAttr *attrs, size_t *indexes, size_t nattrs,
				 aclrtStream stream)
{
	struct batch b = { dsts, maxs, srcs, sizes, n, attrs, indexes, nattrs, NULL };

	ENTER(aclrtMemcpyBatchAsyncV2);
	return async_batch(&b, stream);
}

/* What a descriptor holds; a kernel may fill it in as well, so its bytes are read at run time. */
struct desc {
	uint64_t src, dst, n, magic;
};
_Static_assert(sizeof(struct desc) == DESC_SIZE, "ABI");
#define DESC_MAGIC UINT64_C(0x64657363)

static int desc_kind(aclrtMemcpyKind kind)
{
	return kind == ACL_MEMCPY_INNER_DEVICE_TO_DEVICE ? 0 :
	       emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "descriptors take kind 6 only");
}

aclError aclrtGetMemcpyDescSize(aclrtMemcpyKind kind, size_t *size)
{
	ENTER(aclrtGetMemcpyDescSize);
	if (!size)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	*size = DESC_SIZE;
	return desc_kind(kind);
}

/* Reported as type 1 and on this very device; imports only where the release says 1 for them. */
static bool inner(const void *p, size_t n, const struct emu_context *c)
{
	int device;
	enum emu_place place = emu_place_of(p, n, 1, &device);

	return device == c->device &&
	       (place == EMU_PLACE_DEVICE ||
		(place == EMU_PLACE_LOCAL &&
		 emu_settings()->import_type == ACL_MEM_LOCATION_TYPE_DEVICE));
}

aclError aclrtSetMemcpyDesc(void *desc, aclrtMemcpyKind kind, void *src, void *dst, size_t count,
			    void *config)
{
	struct desc d = { (uintptr_t)src, (uintptr_t)dst, count, DESC_MAGIC };
	struct emu_copy copy = { desc, (char *)&d, sizeof(d), true, false };
	struct emu_context *c;

	ENTER(aclrtSetMemcpyDesc);
	if (!desc || !src || !dst || config)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL, or a config");
	if (desc_kind(kind))
		return ACL_ERROR_RT_FEATURE_NOT_SUPPORT;
	NEED_CONTEXT(c);
	if (emu_capture_refuses_sync(c))
		return emu_fail(ACL_ERROR_RT_CAPTURE_MODE, "a sync copy during a capture");
	if ((uintptr_t)desc % DESC_ALIGN || count > DESC_MAX || !inner(desc, DESC_SIZE, c) ||
	    !inner(src, count, c) || !inner(dst, count, c))
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "an address, its device or the count");
	return emu_engine_copy(&copy, c->device);
}

static int desc_run(struct emu_task *t, const struct emu_run *where)
{
	struct desc d;
	struct emu_copy read = { (char *)&d, t->u.desc.desc, sizeof(d), false, true }, copy;
	int err = emu_engine_copy(&read, where->device);

	if (err || d.magic != DESC_MAGIC)
		return ACL_ERROR_RT_SYS_DMA;
	copy = (struct emu_copy){ (char *)(uintptr_t)d.dst, (char *)(uintptr_t)d.src, d.n, true,
				  true };
	return emu_engine_copy(&copy, where->device);
}

aclError aclrtMemcpyAsyncWithDesc(void *desc, aclrtMemcpyKind kind, aclrtStream handle)
{
	struct emu_task t = { .run = desc_run, .grouped_refused = true, .u.desc = { desc } };
	struct emu_context *c;
	struct emu_stream *s;
	int err;

	ENTER(aclrtMemcpyAsyncWithDesc);
	if (!desc)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	if (desc_kind(kind))
		return ACL_ERROR_RT_FEATURE_NOT_SUPPORT;
	NEED_CONTEXT(c);
	s = emu_stream_of(c, handle, &err);
	if (!s)
		return err;
	if ((uintptr_t)desc % DESC_ALIGN || !inner(desc, DESC_SIZE, c))
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "not a descriptor");
	return emu_stream_submit(s, &t);
}
