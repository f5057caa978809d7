/* SPDX-License-Identifier: BSD-3-Clause */
/* What the copying calls share: which copies are allowed, and queueing one. */
#ifndef EMU_COPY_H
#define EMU_COPY_H

#include "engine.h"
#include "stream.h"

/* Both operands of a copy as the call sees them. */
struct emu_operands {
	enum emu_place dst, src;
	int dst_device, src_device;
};

void emu_operands_of(struct emu_operands *o, const void *dst, size_t dn, const void *src,
		     size_t sn, int64_t lookups);

/* The rules of contract 2.9 for a copy of @kind: 0 or an ACL code; *kind is resolved if DEFAULT. */
int emu_copy_allowed(const struct emu_operands *o, aclrtMemcpyKind *kind);

/* Memory that is not pinned turns an async copy into a sync one (1.9.5): 0 or the refusal. */
bool emu_copy_pageable(const struct emu_operands *o);
int emu_copy_pageable_check(struct emu_stream *s);

int emu_copy_submit(struct emu_stream *s, const struct emu_copy *c);

#endif
