/* SPDX-License-Identifier: BSD-3-Clause */
#include "view.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW ((size_t)16 << 20)

void view_open(struct view *v, struct ipcshare_ctx *ctx)
{
	*v = (struct view){ .ctx = ctx, .direct = !strcmp(ipcshare_backend(ctx), "host") };
}

void view_close(struct view *v)
{
	free(v->window);
	v->window = NULL;
	v->capacity = 0;
	v->len = 0;
}

static int reach(struct view *v, size_t len)
{
	char *window;

	if (len <= v->capacity)
		return 0;
	window = realloc(v->window, len);
	if (!window)
		return v->err = IPCSHARE_ERR_NO_MEMORY;
	v->window = window;
	v->capacity = len;
	return 0;
}

static int shows(const struct view *v, const void *ptr, size_t len)
{
	const char *p = ptr;

	return v->len && p >= v->at && p + len <= v->at + v->len;
}

int view_flush(struct view *v)
{
	if (v->written && !v->err)
		v->err = ipcshare_copy(v->ctx, v->at, v->window, v->len);
	v->written = 0;
	v->len = 0;
	return v->err;
}

/* A new window on as much of @rest as is worth while; its content is the caller's to fill. */
static int move(struct view *v, void *ptr, size_t len, size_t rest)
{
	size_t n = rest < WINDOW ? rest : WINDOW;

	if (n < len)
		n = len;
	if (view_flush(v) || reach(v, n))
		return -1;
	v->at = ptr;
	v->len = n;
	return 0;
}

const void *view_read(struct view *v, void *ptr, size_t len, size_t rest)
{
	if (v->direct)
		return ptr;
	if (!shows(v, ptr, len)) {
		if (move(v, ptr, len, rest))
			return NULL;
		v->err = ipcshare_copy(v->ctx, v->window, v->at, v->len);
		if (v->err)
			return NULL;
	}
	return v->window + ((char *)ptr - v->at);
}

void *view_write(struct view *v, void *ptr, size_t len, size_t rest)
{
	if (v->direct)
		return ptr;
	if (!shows(v, ptr, len)) {
		if (move(v, ptr, len, rest))
			return NULL;
		memset(v->window, 0, v->len);
		v->written = 1;
	}
	return v->window + ((char *)ptr - v->at);
}

int view_poke(struct view *v, void *ptr, const void *bytes, size_t len)
{
	if (v->direct) {
		memcpy(ptr, bytes, len);
		return 0;
	}
	return ipcshare_copy(v->ctx, ptr, bytes, len);
}
