/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/cells.h"

#include <errno.h>

#include "base/error.h"
#include "group/recipe.h"

/* Where each array of @n lies in the block: a recipe first, which is found without knowing @n. */
static void cells_lay(struct ipcshare__cells *c, size_t n, bool lazy, bool recipe)
{
	c->n = n;
	c->recipe = recipe ? c->room.at : NULL;
	c->ptr = (void **)((char *)c->room.at + (recipe ? sizeof(*c->recipe) : 0));
	c->len = (size_t *)(c->ptr + n);
	c->offset = lazy ? (uint64_t *)(c->len + n) : NULL;
	c->ref = (uint32_t *)(c->len + n + (lazy ? n : 0));
}

size_t ipcshare__cells_bytes(size_t n, bool lazy)
{
	const struct ipcshare__cells *c = NULL;

	return n * (sizeof(*c->ptr) + sizeof(*c->len) + sizeof(*c->ref) +
		    (lazy ? sizeof(*c->offset) : 0));
}

int ipcshare__cells_alloc(struct ipcshare__cells *c, struct ipcshare__blocks *blocks, size_t n,
			  bool lazy, bool recipe)
{
	*c = (struct ipcshare__cells){ .n = 0 };
	if (ipcshare__block_get(blocks,
				ipcshare__cells_bytes(n, lazy) + (recipe ? sizeof(*c->recipe) : 0),
				&c->room))
		return ipcshare__fail_errno(ENOMEM, "share", "%zu pointers", n);
	cells_lay(c, n, lazy, recipe);
	return 0;
}

bool ipcshare__cells_find(struct ipcshare__cells *c, struct ipcshare__blocks *blocks,
			  const struct ipcshare__recipe *asked)
{
	struct ipcshare__cells found = { .n = 0 };

	if (!ipcshare__block_find(blocks, ipcshare__recipe_tag(asked), &found.room))
		return false;
	if (!ipcshare__recipe_same(found.room.at, asked)) {
		ipcshare__block_put(blocks, &found.room);
		return false;
	}
	cells_lay(&found, asked->nbufs, false, true);
	*c = found;
	return true;
}

void ipcshare__cells_free(struct ipcshare__cells *c, struct ipcshare__blocks *blocks)
{
	ipcshare__block_put(blocks, &c->room);
	*c = (struct ipcshare__cells){ .n = 0 };
}
