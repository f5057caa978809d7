/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for the tables of a share, made present at once, and kept for the next one when it is given back:
 * a page that is touched for the first time can cost as much as a thousand descriptors. What is in it can be
 * wanted again too: a tag names it.
 */
#ifndef IPCSHARE_BASE_BLOCKS_H
#define IPCSHARE_BASE_BLOCKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ipcshare__block { /* all zero: none */
	void *at;
	size_t size; /* at least what was asked for */
	uint64_t tag; /* its user's name for what is in it; 0: nothing */
};

#define IPCSHARE__BLOCK_KEPT ((size_t)128 << 10) /* smaller ones are the C library's business */

struct ipcshare__blocks {
	pthread_mutex_t lock; /* the last to be taken; no call is made under it */
	struct ipcshare__kept_block *kept; /* the newest first */
	size_t bytes, max_bytes; /* kept */
};

void ipcshare__blocks_open(struct ipcshare__blocks *blocks, size_t max_bytes);
/* Give back what is kept, and end it. Blocks in use are the caller's. */
void ipcshare__blocks_close(struct ipcshare__blocks *blocks);
/* Give back what is kept. */
void ipcshare__blocks_trim(struct ipcshare__blocks *blocks);

/* At least @len bytes of any content: 0, or IPCSHARE_ERR_NO_MEMORY without detail. */
int ipcshare__block_get(struct ipcshare__blocks *blocks, size_t len, struct ipcshare__block *out);
/*
 * One that was given back with @tag, which is not 0, with all the bytes in it that were asked for; false:
 * it is not kept, as small ones never are. Tags may collide: look what it is.
 */
bool ipcshare__block_find(struct ipcshare__blocks *blocks, uint64_t tag,
			  struct ipcshare__block *out);
/* Give @block back and make it none. */
void ipcshare__block_put(struct ipcshare__blocks *blocks, struct ipcshare__block *block);

#endif
