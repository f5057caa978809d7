/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/cells.h"

#include <errno.h>

#include "base/error.h"

size_t ipcshare__cells_bytes(size_t n, bool lazy)
{
	const struct ipcshare__cells *c = NULL;

	return n * (sizeof(*c->ptr) + sizeof(*c->len) + sizeof(*c->ref) + (lazy ? sizeof(*c->offset) : 0));
}

int ipcshare__cells_alloc(struct ipcshare__cells *c, struct ipcshare__blocks *blocks, size_t n,
			  bool lazy)
{
	*c = (struct ipcshare__cells){ .n = 0 };
	if (ipcshare__block_get(blocks, ipcshare__cells_bytes(n, lazy), &c->room))
		return ipcshare__fail_errno(ENOMEM, "share", "%zu pointers", n);
	c->n = n;
	c->ptr = c->room.at;
	c->len = (size_t *)(c->ptr + n);
	c->ref = (uint32_t *)(c->len + n + (lazy ? n : 0));
	if (lazy)
		c->offset = (uint64_t *)(c->len + n);
	return 0;
}

void ipcshare__cells_free(struct ipcshare__cells *c, struct ipcshare__blocks *blocks)
{
	ipcshare__block_put(blocks, &c->room);
	*c = (struct ipcshare__cells){ .n = 0 };
}
