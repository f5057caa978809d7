/* SPDX-License-Identifier: BSD-3-Clause */
#include "deed.h"

#include <stdlib.h>

/* ---- What there is, and what must come of it ---- */

int64_t deed_given(int rank, size_t i)
{
	return (int64_t)(rank + 1) * 1000003 + (int64_t)i * 7;
}

/* Of the ranks below @end. */
static int64_t sum(int end, size_t i)
{
	int64_t s = 0;

	for (int r = 0; r < end; r++)
		s += deed_given(r, i);
	return s;
}

int64_t deed_expected(const struct deed *d, int me, size_t i)
{
	int rank = (int)(i / d->count);
	size_t k = i % d->count;

	switch (d->kind) {
	case DEED_BCAST:
		return deed_given(d->root, i);
	case DEED_ALLGATHER:
	case DEED_GATHER:
		return deed_given(rank, k);
	case DEED_ALLTOALL:
		return deed_given(rank, (size_t)me * d->count + k);
	case DEED_REDUCE_SCATTER:
		return sum(LIFE_RANKS, (size_t)me * d->count + i);
	case DEED_SCAN:
		return sum(me + 1, i);
	default:
		return sum(LIFE_RANKS, i);
	}
}

static size_t elements_given(const struct deed *d)
{
	int to_each = d->kind == DEED_ALLTOALL || d->kind == DEED_REDUCE_SCATTER;

	return to_each ? d->count * LIFE_RANKS : d->count;
}

static size_t elements_expected(const struct deed *d, int me)
{
	switch (d->kind) {
	case DEED_GATHER:
		return me == d->root ? d->count * LIFE_RANKS : 0;
	case DEED_REDUCE:
		return me == d->root ? d->count : 0;
	case DEED_ALLGATHER:
	case DEED_ALLTOALL:
		return d->count * LIFE_RANKS;
	default:
		return d->count;
	}
}

/* ---- The calls ---- */

static int call(struct ipcshare_group *g, const struct deed *d, void *in, void *out)
{
	switch (d->kind) {
	case DEED_BCAST:
		return ipcshare_bcast(g, out, d->count, IPCSHARE_INT64, d->root);
	case DEED_ALLGATHER:
		return ipcshare_allgather(g, in, out, d->count, IPCSHARE_INT64);
	case DEED_GATHER:
		return ipcshare_gather(g, in, out, d->count, IPCSHARE_INT64, d->root);
	case DEED_ALLTOALL:
		return ipcshare_alltoall(g, in, out, d->count, IPCSHARE_INT64);
	case DEED_REDUCE:
		return ipcshare_reduce(g, in, out, d->count, IPCSHARE_INT64, IPCSHARE_SUM, d->root);
	case DEED_ALLREDUCE:
		return ipcshare_allreduce(g, in, out, d->count, IPCSHARE_INT64, IPCSHARE_SUM);
	case DEED_REDUCE_SCATTER:
		return ipcshare_reduce_scatter_block(g, in, out, d->count, IPCSHARE_INT64,
						     IPCSHARE_SUM);
	default:
		return ipcshare_scan(g, in, out, d->count, IPCSHARE_INT64, IPCSHARE_SUM);
	}
}

static void fill(struct life *l, const struct deed *d, char *in, char *out)
{
	size_t n = elements_given(d);
	int64_t *values = malloc(n * sizeof(*values));

	for (size_t i = 0; i < n; i++)
		values[i] = deed_given(l->me->rank, i);
	life_put(l, in, values, n * sizeof(*values));
	if (d->kind == DEED_BCAST && l->me->rank == d->root)
		life_put(l, out, values, n * sizeof(*values));
	free(values);
}

static void check(struct life *l, const struct deed *d, const char *out)
{
	size_t n = elements_expected(d, l->me->rank), i = 0;
	int64_t *values = calloc(n + 1, sizeof(*values));

	life_get(l, values, out, n * sizeof(*values));
	while (i < n && values[i] == deed_expected(d, l->me->rank, i))
		i++;
	CHECK(i == n, "element %zu of %zu is %jd, not %jd", i, n, (intmax_t)values[i],
	      (intmax_t)deed_expected(d, l->me->rank, i));
	free(values);
}

int deed_do(struct life *l, const struct deed *d)
{
	char *room = d->shared ? l->memory[LIFE_POOL] + LIFE_SHOWN : malloc(2 * LIFE_OPERAND);
	int err;

	fill(l, d, room, room + LIFE_OPERAND);
	err = life_all(l, call(l->group, d, room, room + LIFE_OPERAND));
	if (!err)
		check(l, d, room + LIFE_OPERAND);
	if (!d->shared)
		free(room);
	return err;
}
