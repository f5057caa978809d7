/* SPDX-License-Identifier: BSD-3-Clause */
#include "buffers.h"

#include <stdlib.h>
#include <string.h>

#include "progress.h"

/* Lengths are at most PTRDIFF_MAX, so this can't overflow. */
static size_t aligned(size_t len)
{
	return (len + BUFFERS_ALIGN - 1) & ~(BUFFERS_ALIGN - 1);
}

/* Where the next buffer of @len bytes goes: behind the last one if the slab has room for it. */
static void place(struct buffers *b, size_t i, size_t len, enum layout layout, size_t slab)
{
	struct slab *last = b->nslabs ? &b->slabs[b->nslabs - 1] : NULL;
	size_t offset = last ? aligned(last->len) : 0;

	if (!last || layout == LAYOUT_EACH || offset > slab || len > slab - offset) {
		last = &b->slabs[b->nslabs++];
		offset = 0;
	}
	b->slab_of[i] = b->nslabs - 1;
	b->offset_of[i] = offset;
	last->len = offset + len;
}

int buffers_plan(struct buffers *b, const struct workload *w, enum layout layout, size_t slab)
{
	const size_t n = w->nbuffers;

	memset(b, 0, sizeof(*b));
	b->buf = calloc(n, sizeof(*b->buf));
	b->slabs = calloc(n, sizeof(*b->slabs));
	b->slab_of = calloc(n, sizeof(*b->slab_of));
	b->offset_of = calloc(n, sizeof(*b->offset_of));
	if (!b->buf || !b->slabs || !b->slab_of || !b->offset_of) {
		buffers_drop(b);
		return -1;
	}
	b->n = n;
	b->bytes = w->bytes;
	for (size_t i = 0; i < n; i++)
		place(b, i, workload_len(w, i), layout, slab);
	for (size_t i = 0; i < n; i++)
		b->buf[i].len = workload_len(w, i);
	return 0;
}

int buffers_alloc(struct buffers *b, struct ipcshare_ctx *ctx)
{
	for (size_t s = 0; s < b->nslabs; s++) {
		int err = ipcshare_alloc(ctx, b->slabs[s].len, &b->slabs[s].base);

		if (err)
			return err;
		progress_add(b->slabs[s].len);
	}
	for (size_t i = 0; i < b->n; i++)
		b->buf[i].ptr = (char *)b->slabs[b->slab_of[i]].base + b->offset_of[i];
	return 0;
}

int buffers_free(struct buffers *b, struct ipcshare_ctx *ctx)
{
	for (size_t s = 0; s < b->nslabs; s++) {
		int err = ipcshare_free(ctx, b->slabs[s].base);

		if (err)
			return err;
		progress_add(b->slabs[s].len);
	}
	return 0;
}

void buffers_drop(struct buffers *b)
{
	free(b->buf);
	free(b->slabs);
	free(b->slab_of);
	free(b->offset_of);
	memset(b, 0, sizeof(*b));
}
