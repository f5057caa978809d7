/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many small copies by the CPU: what is soon to be copied is fetched while others are. A peer has
 * just written most of what is pulled, so the bytes come from its core, or from memory, and waiting
 * for one piece at a time is most of the cost (see ipcshare-bench pull).
 */
#ifndef IPCSHARE_BASE_MOVE_H
#define IPCSHARE_BASE_MOVE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define IPCSHARE__AHEAD 32 /* pieces between fetching one and copying it */
#define IPCSHARE__FETCH 512 /* bytes of each: the processor itself goes on with longer ones */
#define IPCSHARE__FETCH_LINE 64

/* Any address: one that is no memory is ignored. */
static inline void ipcshare__fetch(const void *p, size_t len)
{
	uintptr_t at = (uintptr_t)p & ~(uintptr_t)(IPCSHARE__FETCH_LINE - 1);
	uintptr_t end = (uintptr_t)p + (len < IPCSHARE__FETCH ? len : IPCSHARE__FETCH);

	for (; at < end; at += IPCSHARE__FETCH_LINE)
		__builtin_prefetch((const void *)at);
}

/* memcpy() of two halves that may overlap: all of the source is read before anything is written. */
#define IPCSHARE__MOVE_HALVES(size)                                                                \
	do {                                                                                       \
		unsigned char head[size], tail[size];                                              \
		memcpy(head, src, size);                                                           \
		memcpy(tail, (const char *)src + len - size, size);                                \
		memcpy(dst, head, size);                                                           \
		memcpy((char *)dst + len - size, tail, size);                                      \
	} while (0)

/* @len 0: the pointers may be anything. Up to 64 bytes a call would cost more than the copy. */
static inline void ipcshare__move(void *dst, const void *src, size_t len)
{
	if (len > 64)
		memcpy(dst, src, len);
	else if (len >= 32)
		IPCSHARE__MOVE_HALVES(32);
	else if (len >= 16)
		IPCSHARE__MOVE_HALVES(16);
	else if (len >= 8)
		IPCSHARE__MOVE_HALVES(8);
	else if (len)
		memcpy(dst, src, len);
}

#endif
