/* SPDX-License-Identifier: BSD-3-Clause */
/* cells.h - many small buffers of one length, of an arena that has nothing else */
#ifndef BENCH_CELLS_H
#define BENCH_CELLS_H

#include <ipcshare.h>

struct cells {
	struct ipcshare_arena *arena;
	void **at;	/* each cell, in the order of addresses */
	size_t n, len;
};

/** cells_new - room for the pointers; -1 if out of memory. Takes no shareable memory yet */
int cells_new(struct cells *c, size_t n, size_t len);

/** cells_alloc - take them; 0 or the library's status: drop the context then */
int cells_alloc(struct cells *c, struct ipcshare_ctx *ctx);

/** cells_free - give them back; 0 or the library's status */
int cells_free(struct cells *c);

/** cells_drop - forget the pointers */
void cells_drop(struct cells *c);

#endif
