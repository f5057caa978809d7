/* SPDX-License-Identifier: BSD-3-Clause */
/* Where bytes are, for those who copy them. */
#ifndef IPCSHARE_BACKEND_ASCEND_PLACE_H
#define IPCSHARE_BACKEND_ASCEND_PLACE_H

#include "backend/ascend/ascend.h"

enum ascend_kind {
	ASCEND_HOST,
	ASCEND_OWN, /* on our device */
	ASCEND_FOREIGN, /* imported, or on another device: only asynchronous copies reach it */
};

/* The last answer, for those who ask of many addresses in a row. Starts as zeroes. */
struct ascend_place {
	enum ascend_kind kind;
	bool exact; /* the range is all of the memory; else a page of it */
	uintptr_t start, end;
};

/* Where @n bytes at @p are; entered. IPCSHARE_ERR_RANGE: partly outside of what begins there. */
int ipcshare__ascend_place(const struct ascend *a, const void *p, size_t n,
			   struct ascend_place *place);

/* One copy, done on return; entered, and with the copy_lock. */
int ipcshare__ascend_copy_placed(struct ascend *a, void *dst, enum ascend_kind to, const void *src,
				 enum ascend_kind from, size_t n);

#endif
