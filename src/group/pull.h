/* SPDX-License-Identifier: BSD-3-Clause */
/* Items of a pull or push: what ipcshare_pull() and plans have in common. */
#ifndef IPCSHARE_GROUP_PULL_H
#define IPCSHARE_GROUP_PULL_H

#include "memory/context.h"

/* All of them, before any byte is copied. The last error names the first bad one. */
int ipcshare__items_check(struct ipcshare_set *set, enum ipcshare_direction direction,
			  const struct ipcshare_item *items, size_t n, const char *stage);

/* As pieces for the backend, one for each item in the same order; to be freed. They were checked. */
int ipcshare__items_resolve(const struct ipcshare_set *set, enum ipcshare_direction direction,
			    const struct ipcshare_item *items, size_t n, const char *stage,
			    struct ipcshare__piece **out);

/* The backend failed with a piece: say whose buffer it concerned. */
void ipcshare__items_blame(const struct ipcshare_item *items, size_t n);

/* A stream was given, or NULL: IPCSHARE_ERR_INVALID where the backend has none. */
int ipcshare__items_stream(const struct ipcshare__backend *be, const void *stream,
			   const char *stage);

#endif
