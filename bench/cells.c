/* SPDX-License-Identifier: BSD-3-Clause */
#include "cells.h"

#include <stdlib.h>
#include <string.h>

int cells_new(struct cells *c, size_t n, size_t len)
{
	*c = (struct cells){ .n = n, .len = len };
	c->at = calloc(n, sizeof(*c->at));
	return c->at ? 0 : -1;
}

int cells_alloc(struct cells *c, struct ipcshare_ctx *ctx)
{
	int err = ipcshare_arena_create(ctx, NULL, &c->arena);

	return err ? err : ipcshare_arena_alloc_many(c->arena, c->len, c->n, c->at);
}

int cells_free(struct cells *c)
{
	int err = ipcshare_arena_destroy(c->arena);

	if (!err)
		c->arena = NULL;
	return err;
}

void cells_drop(struct cells *c)
{
	free(c->at);
	memset(c, 0, sizeof(*c));
}
