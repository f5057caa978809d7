/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asking importers to let go of what is to be freed. The line to each is kept open for the next
 * question, for programs free many allocations in a row; with the last of them the lines go.
 */
#ifndef IPCSHARE_MEMORY_RETIRE_H
#define IPCSHARE_MEMORY_RETIRE_H

#include <stddef.h>

#include "backend/host/line.h"

#define IPCSHARE__RETIRE_LINES 32 /* kept open at most: two descriptors each, here and there */

struct ipcshare_ctx;

struct ipcshare__retire_line {
	uint64_t endpoint;
	struct ipcshare__line line;
};

struct ipcshare__retire_lines {
	struct ipcshare__retire_line kept[IPCSHARE__RETIRE_LINES];
	size_t n;
	uint64_t told; /* entries on the lists of all regions: who may have to be asked */
};

/*
 * The context behind @endpoint maps the region no more: 0, also if that context is gone;
 * IPCSHARE_ERR_BUSY it is in use there; IPCSHARE_ERR_TIMEOUT; or another failure of the line.
 */
int ipcshare__retire(struct ipcshare_ctx *ctx, uint64_t endpoint, uint32_t region,
		     uint32_t generation);

/* @n more, or fewer, entries on lists. With the last one every line is closed. */
void ipcshare__retire_more(struct ipcshare_ctx *ctx, size_t n);
void ipcshare__retire_fewer(struct ipcshare_ctx *ctx, size_t n);

void ipcshare__retire_abandon(struct ipcshare_ctx *ctx);

#endif
