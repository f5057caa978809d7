/* SPDX-License-Identifier: BSD-3-Clause */
#include "cells.h"

#include <stdlib.h>
#include <string.h>

#define SLAB ((size_t)64 << 20)

static size_t cells_a_slab(const struct cells *c)
{
	return c->len < SLAB ? SLAB / c->len : 1;
}

int cells_new(struct cells *c, size_t n, size_t len)
{
	*c = (struct cells){ .n = n, .len = len };
	c->at = calloc(n, sizeof(*c->at));
	c->slabs = calloc(n / cells_a_slab(c) + 1, sizeof(*c->slabs));
	if (c->at && c->slabs)
		return 0;
	cells_drop(c);
	return -1;
}

int cells_alloc(struct cells *c, struct ipcshare_ctx *ctx)
{
	const size_t most = cells_a_slab(c);

	for (size_t i = 0; i < c->n; i++) {
		if (i % most == 0) {
			size_t count = c->n - i < most ? c->n - i : most;
			int err = ipcshare_alloc(ctx, count * c->len, &c->slabs[c->nslabs]);

			if (err)
				return err;
			c->nslabs++;
		}
		c->at[i] = (char *)c->slabs[c->nslabs - 1] + i % most * c->len;
	}
	return 0;
}

int cells_free(struct cells *c, struct ipcshare_ctx *ctx)
{
	int err = 0;

	while (c->nslabs && !err) {
		err = ipcshare_free(ctx, c->slabs[c->nslabs - 1]);
		if (!err)
			c->nslabs--;
	}
	return err;
}

void cells_drop(struct cells *c)
{
	free(c->at);
	free(c->slabs);
	memset(c, 0, sizeof(*c));
}
