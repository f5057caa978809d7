/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/pieces.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"

#define FEW 4 /* a quarter of the pieces is good enough to look no further */

static uintptr_t dst_of(const struct ipcshare__piece *p)
{
	return (uintptr_t)p->dst;
}

static uintptr_t src_of(const struct ipcshare__piece *p)
{
	return (uintptr_t)p->src;
}

static int by_dst(const void *a, const void *b)
{
	uintptr_t x = dst_of(a), y = dst_of(b);

	return (x > y) - (x < y);
}

static int by_src(const void *a, const void *b)
{
	uintptr_t x = src_of(a), y = src_of(b);

	return (x > y) - (x < y);
}

static size_t without_empty(const struct ipcshare__piece *from, size_t n,
			    struct ipcshare__piece *to)
{
	size_t left = 0;

	for (size_t i = 0; i < n; i++)
		if (from[i].len)
			to[left++] = from[i];
	return left;
}

/* In place; how many are left. */
static size_t merge(struct ipcshare__piece *p, size_t n)
{
	size_t last = 0;

	for (size_t i = 1; i < n; i++) {
		if (dst_of(&p[last]) + p[last].len == dst_of(&p[i]) &&
		    src_of(&p[last]) + p[last].len == src_of(&p[i]))
			p[last].len += p[i].len;
		else
			p[++last] = p[i];
	}
	return n ? last + 1 : 0;
}

/* How many of @p, from the first one on, are rows of one run; 1: none but itself. */
static size_t run_length(const struct ipcshare__piece *p, size_t n,
			 struct ipcshare__run_limits limits)
{
	size_t width = p[0].len, rows = 1;
	uintptr_t dpitch, spitch;

	if (n < 2 || width > limits.width)
		return 1;
	dpitch = dst_of(&p[1]) - dst_of(&p[0]); /* a step back is a pitch beyond INTPTR_MAX */
	spitch = src_of(&p[1]) - src_of(&p[0]);
	if (dpitch < width || spitch < width || dpitch > INTPTR_MAX || spitch > INTPTR_MAX)
		return 1;
	while (rows < n && rows < limits.height && p[rows].len == width &&
	       dst_of(&p[rows]) - dst_of(&p[rows - 1]) == dpitch &&
	       src_of(&p[rows]) - src_of(&p[rows - 1]) == spitch)
		rows++;
	return rows;
}

/* @list has room for @n. */
static size_t find_runs(const struct ipcshare__piece *p, size_t n,
			struct ipcshare__run_limits limits, struct ipcshare__move *list)
{
	size_t used = 0;

	for (size_t i = 0, rows; i < n; i += rows) {
		rows = run_length(&p[i], n - i, limits);
		list[used] = (struct ipcshare__move){ p[i].dst, p[i].src, p[i].len, rows, 0, 0 };
		if (rows > 1) {
			list[used].dpitch = dst_of(&p[i + 1]) - dst_of(&p[i]);
			list[used].spitch = src_of(&p[i + 1]) - src_of(&p[i]);
		}
		used++;
	}
	return used;
}

/* Replace @best if another order of the pieces needs fewer moves; @p and @list are scratch. */
static void try_order(struct ipcshare__piece *p, size_t n, struct ipcshare__run_limits limits,
		      struct ipcshare__move **list, struct ipcshare__moves *best)
{
	struct ipcshare__move *other = best->list;
	size_t moves = find_runs(p, merge(p, n), limits, *list);

	if (other && moves >= best->n)
		return;
	*best = (struct ipcshare__moves){ *list, moves };
	*list = other;
}

/*
 * As the caller lists them first; then by source and by destination, for the pieces that a pull
 * takes from one peer lie together in the one order, those that a push gives to one in the other.
 */
int ipcshare__moves_plan(const struct ipcshare__piece *pieces, size_t n,
			 struct ipcshare__run_limits limits, struct ipcshare__moves *out)
{
	static int (*const orders[])(const void *a, const void *b) = { NULL, by_src, by_dst };
	struct ipcshare__piece *p = malloc((n + 1) * sizeof(*p));
	struct ipcshare__move *list = NULL;
	struct ipcshare__moves best = { NULL, n };
	int err = p ? 0 : ENOMEM;

	for (int i = 0; i < 3 && !err && (!best.list || best.n > n / FEW + 1); i++) {
		size_t left = without_empty(pieces, n, p);

		if (!list)
			list = malloc((n + 1) * sizeof(*list));
		if (!list)
			break;
		if (orders[i])
			qsort(p, left, sizeof(*p), orders[i]);
		try_order(p, left, limits, &list, &best);
	}
	free(list);
	free(p);
	if (!best.list)
		return ipcshare__fail_errno(ENOMEM, "copy", "%zu pieces", n);
	*out = best;
	return 0;
}
