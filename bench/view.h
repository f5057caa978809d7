/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * view.h - shareable memory as the CPU can touch it
 *
 * On host that is the memory itself. Device memory can't be loaded from or stored to: it is copied
 * through a window of ordinary memory, many buffers at a time, as they lie side by side. A copy costs
 * several blocking calls of the driver, so words that are written near each other go in one.
 */
#ifndef BENCH_VIEW_H
#define BENCH_VIEW_H

#include <ipcshare.h>

/* A word on its way. */
struct view_word {
	char *at;
	uint64_t word;
};

struct view {
	struct ipcshare_ctx *ctx;
	int direct;		/* the memory is its own window */
	char *window;
	size_t capacity;
	char *at;		/* the shared memory that the window shows */
	size_t len;
	int written;		/* the window is ahead of the memory, up to len */
	struct view_word *words;	/* to be written, in rising order, near each other */
	size_t nwords;
	char *end;		/* of the allocation that they go to */
	int err;		/* status of the first copy that failed */
};

/** view_open - look at the memory of @ctx */
void view_open(struct view *v, struct ipcshare_ctx *ctx);

/**
 * view_read - @len bytes of shared memory at @ptr, to be read
 * @rest: bytes from @ptr to the end of the allocation; those behind @len are likely to be wanted next
 *
 * Return: where they can be read until the next call; NULL if a copy failed, see v->err
 */
const void *view_read(struct view *v, void *ptr, size_t len, size_t rest);

/** view_write - the same, to be written in full; view_flush() ends it */
void *view_write(struct view *v, void *ptr, size_t len, size_t rest);

/**
 * view_poke - write a word at @ptr; view_flush() ends it
 * @rest: as for view_read()
 *
 * Unless v->direct, what lies between two words not far from each other is read and written back with
 * them: until the flush nobody else may write into that memory.
 * Return: 0 or a status
 */
int view_poke(struct view *v, void *ptr, uint64_t word, size_t rest);

/** view_flush - what was written is in the memory, and what was read is forgotten; 0 or a status */
int view_flush(struct view *v);

/** view_close - give the window back */
void view_close(struct view *v);

#endif
