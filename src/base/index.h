/* SPDX-License-Identifier: BSD-3-Clause */
/* An ordered index of address ranges that don't overlap. Callers lock. */
#ifndef IPCSHARE_BASE_INDEX_H
#define IPCSHARE_BASE_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct ipcshare__range {
	uintptr_t start, end;
	void *what;
};

struct ipcshare__index {
	struct ipcshare__range *ranges; /* by start */
	size_t count, capacity;
};

/* 0; IPCSHARE_ERR_BUSY it overlaps one that is there; IPCSHARE_ERR_NO_MEMORY. Without detail. */
int ipcshare__index_add(struct ipcshare__index *index, const void *start, size_t length,
			void *what);
void ipcshare__index_remove(struct ipcshare__index *index, const void *start);
/* The range that holds @address; NULL if none does. */
const struct ipcshare__range *ipcshare__index_find(const struct ipcshare__index *index,
						   const void *address);
void ipcshare__index_clear(struct ipcshare__index *index);

#endif
