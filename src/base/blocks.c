/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/blocks.h"

#include <ipcshare.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#define HUGE_PAGE ((size_t)2 << 20)

struct ipcshare__kept_block { /* in the block itself, behind what was asked for */
	struct ipcshare__kept_block *next;
	struct ipcshare__block block;
};

static struct ipcshare__kept_block *kept_of(const struct ipcshare__block *b)
{
	return (struct ipcshare__kept_block *)((char *)b->at + b->size) - 1;
}

void ipcshare__blocks_open(struct ipcshare__blocks *b, size_t max_bytes)
{
	*b = (struct ipcshare__blocks){ .max_bytes = max_bytes };
	pthread_mutex_init(&b->lock, NULL);
}

static void unmap_all(struct ipcshare__kept_block *list)
{
	while (list) {
		struct ipcshare__kept_block *next = list->next;

		munmap(list->block.at, list->block.size);
		list = next;
	}
}

void ipcshare__blocks_trim(struct ipcshare__blocks *b)
{
	struct ipcshare__kept_block *list;

	pthread_mutex_lock(&b->lock);
	list = b->kept;
	b->kept = NULL;
	b->bytes = 0;
	pthread_mutex_unlock(&b->lock);
	unmap_all(list);
}

void ipcshare__blocks_close(struct ipcshare__blocks *b)
{
	unmap_all(b->kept);
	pthread_mutex_destroy(&b->lock);
}

/* ---- Get ---- */

/* One that has @tag or, if that is 0, at least @size and at most an eighth more. */
static bool fits(const struct ipcshare__block *b, uint64_t tag, size_t size)
{
	return tag ? b->tag == tag : b->size >= size && b->size - size <= size / 8;
}

/* The newest one that is kept and fits, off the list; or none. */
static bool kept_take(struct ipcshare__blocks *b, uint64_t tag, size_t size,
		      struct ipcshare__block *out)
{
	struct ipcshare__kept_block **at = &b->kept, *k;

	pthread_mutex_lock(&b->lock);
	while ((k = *at) && !fits(&k->block, tag, size))
		at = &k->next;
	if (k) {
		*at = k->next;
		b->bytes -= k->block.size;
		*out = k->block;
	}
	pthread_mutex_unlock(&b->lock);
	return k;
}

bool ipcshare__block_find(struct ipcshare__blocks *b, uint64_t tag, struct ipcshare__block *out)
{
	return kept_take(b, tag, 0, out);
}

/*
 * Page by page the kernel would be entered for each. What the advice can't do, or an old kernel does not
 * know, happens at the first touch.
 */
static void *map_present(size_t size)
{
	size_t extra = size >= HUGE_PAGE ? HUGE_PAGE : 0, before;
	char *p = mmap(NULL, size + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	if (p == MAP_FAILED)
		return NULL;
	if (extra) {
		before = -(uintptr_t)p & (HUGE_PAGE - 1);
		if (before)
			munmap(p, before);
		p += before;
		if (extra - before)
			munmap(p + size, extra - before);
		madvise(p, size, MADV_HUGEPAGE);
	}
	madvise(p, size, MADV_POPULATE_WRITE);
	return p;
}

int ipcshare__block_get(struct ipcshare__blocks *b, size_t len, struct ipcshare__block *out)
{
	struct ipcshare__block block = { .size = len };

	if (len > PTRDIFF_MAX - 2 * HUGE_PAGE)
		return IPCSHARE_ERR_NO_MEMORY;
	if (len < IPCSHARE__BLOCK_KEPT) {
		block.at = malloc(len + !len);
	} else {
		block.size = ipcshare__round_up(len + sizeof(struct ipcshare__kept_block),
						(size_t)sysconf(_SC_PAGESIZE));
		if (!kept_take(b, 0, block.size, &block))
			block.at = map_present(block.size);
		block.tag = 0;
	}
	if (!block.at)
		return IPCSHARE_ERR_NO_MEMORY;
	*out = block;
	return 0;
}

/* ---- Put ---- */

/* What no longer fits behind the newest ones, off the list. Locked. */
static struct ipcshare__kept_block *excess_take(struct ipcshare__blocks *b)
{
	struct ipcshare__kept_block **at = &b->kept, *excess;
	size_t bytes = 0;

	while (*at && bytes + (*at)->block.size <= b->max_bytes) {
		bytes += (*at)->block.size;
		at = &(*at)->next;
	}
	excess = *at;
	*at = NULL;
	b->bytes = bytes;
	return excess;
}

void ipcshare__block_put(struct ipcshare__blocks *b, struct ipcshare__block *block)
{
	struct ipcshare__kept_block *excess, *k;
	struct ipcshare__block given = *block;

	*block = (struct ipcshare__block){ NULL, 0, 0 };
	if (given.size < IPCSHARE__BLOCK_KEPT) {
		free(given.at);
		return;
	}
	k = kept_of(&given);
	pthread_mutex_lock(&b->lock);
	*k = (struct ipcshare__kept_block){ b->kept, given };
	b->kept = k;
	b->bytes += given.size;
	excess = b->bytes > b->max_bytes ? excess_take(b) : NULL;
	pthread_mutex_unlock(&b->lock);
	unmap_all(excess);
}
