/* SPDX-License-Identifier: BSD-3-Clause */
#include "view.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW ((size_t)16 << 20)
#define GAP ((size_t)32 << 10)	/* to move it twice is about as dear as one more copy */
#define WORDS ((size_t)8192)	/* on their way at a time */

void view_open(struct view *v, struct ipcshare_ctx *ctx)
{
	*v = (struct view){ .ctx = ctx, .direct = !strcmp(ipcshare_backend(ctx), "host") };
}

void view_close(struct view *v)
{
	free(v->window);
	free(v->words);
	v->window = NULL;
	v->words = NULL;
	v->nwords = 0;
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

/* The window has no other use meanwhile: it was flushed before the first of these words. */
static int flush_words(struct view *v)
{
	char *const first = v->words[0].at;
	const size_t len = (size_t)(v->words[v->nwords - 1].at - first) + sizeof(v->words[0].word);
	int err;

	if (v->nwords == 1)	/* as it is */
		return ipcshare_copy(v->ctx, first, &v->words[0].word, len);
	err = reach(v, len);
	if (!err)
		err = ipcshare_copy(v->ctx, v->window, first, len);
	if (err)
		return err;
	for (size_t i = 0; i < v->nwords; i++)
		memcpy(v->window + (v->words[i].at - first), &v->words[i].word,
		       sizeof(v->words[i].word));
	return ipcshare_copy(v->ctx, first, v->window, len);
}

int view_flush(struct view *v)
{
	if (v->nwords && !v->err)
		v->err = flush_words(v);
	if (v->written && !v->err)
		v->err = ipcshare_copy(v->ctx, v->at, v->window, v->len);
	v->nwords = 0;
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

/* Can it go with the words that wait? */
static int joins(const struct view *v, const char *at)
{
	const char *first = v->words[0].at, *last = v->words[v->nwords - 1].at;

	return v->nwords < WORDS && at > last && at < v->end && (size_t)(at - last) <= GAP &&
	       (size_t)(at - first) < WINDOW;
}

int view_poke(struct view *v, void *ptr, uint64_t word, size_t rest)
{
	if (v->direct) {
		memcpy(ptr, &word, sizeof(word));
		return 0;
	}
	if (!v->words)
		v->words = malloc(WORDS * sizeof(*v->words));
	if (!v->words)
		return v->err = IPCSHARE_ERR_NO_MEMORY;
	if (!v->nwords || !joins(v, ptr)) {
		if (view_flush(v))
			return v->err;
		v->end = (char *)ptr + rest;
	}
	v->words[v->nwords++] = (struct view_word){ ptr, word };
	return 0;
}
