/* SPDX-License-Identifier: BSD-3-Clause */
/* Many small copies, turned into few: what is adjacent is one, what is evenly spaced is a run. */
#ifndef IPCSHARE_BACKEND_PIECES_H
#define IPCSHARE_BACKEND_PIECES_H

#include "backend/backend.h"

/* @height rows of @width bytes; the next row begins a pitch further on. Height 1: one copy. */
struct ipcshare__move {
	char *dst;
	const char *src;
	size_t width, height;
	size_t dpitch, spitch; /* at least the width; of no meaning if the height is 1 */
};

struct ipcshare__moves {
	struct ipcshare__move *list; /* to be freed */
	size_t n; /* never more than there were pieces */
};

/* What a run may be at most; height 1: there are none. */
struct ipcshare__run_limits {
	size_t width, height;
};

/* Pure: looks at no byte of the pieces. 0, or IPCSHARE_ERR_NO_MEMORY with detail. */
int ipcshare__moves_plan(const struct ipcshare__piece *pieces, size_t n,
			 struct ipcshare__run_limits limits, struct ipcshare__moves *out);

#endif
