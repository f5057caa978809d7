/* SPDX-License-Identifier: BSD-3-Clause */
#include "topo/levels.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"

/* A rank on its way into the order: what tells its parts apart, the outermost first. */
struct placed {
	int key[IPCSHARE_LEVELS];
	int rank;
};

static int compare(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	for (int level = 0; level < IPCSHARE_LEVELS; level++)
		if (x->key[level] != y->key[level])
			return x->key[level] < y->key[level] ? -1 : 1;
	return x->rank < y->rank ? -1 : 1;
}

static void sort(struct placed *ranks, int n)
{
	qsort(ranks, (size_t)n, sizeof(*ranks), compare);
}

static bool same_part(const struct placed *a, const struct placed *b, int level)
{
	for (int outer = 0; outer <= level; outer++)
		if (a->key[outer] != b->key[outer])
			return false;
	return true;
}

/* Ranks of a part stand together: the lowest of them is its leader. */
static void find_leaders(const struct placed *ranks, int n, int level, int *leaders)
{
	for (int begin = 0, end; begin < n; begin = end) {
		int leader = ranks[begin].rank;

		for (end = begin; end < n && same_part(&ranks[begin], &ranks[end], level); end++)
			if (ranks[end].rank < leader)
				leader = ranks[end].rank;
		for (int i = begin; i < end; i++)
			leaders[ranks[i].rank] = leader;
	}
}

static void work_out(const struct ipcshare__wire_place *places, struct placed *ranks,
		     struct ipcshare__levels *l)
{
	int n = l->nranks;

	for (int r = 0; r < n; r++)
		ranks[r] = (struct placed){
			.key = { 0, places[r].package, places[r].numa, places[r].cache },
			.rank = r,
		};
	sort(ranks, n);
	for (int level = 0; level < IPCSHARE_LEVELS; level++)
		find_leaders(ranks, n, level, l->leaders[level]);
	/* Once more, the parts in the order of their leaders and not of the machine's numbers. */
	for (int i = 0; i < n; i++)
		for (int level = 0; level < IPCSHARE_LEVELS; level++)
			ranks[i].key[level] = l->leaders[level][ranks[i].rank];
	sort(ranks, n);
	for (int i = 0; i < n; i++)
		l->order[i] = ranks[i].rank;
}

int ipcshare__levels_make(const struct ipcshare__wire_place *places, int nranks,
			  struct ipcshare__levels *out)
{
	size_t n = (size_t)nranks;
	struct ipcshare__levels l = { .nranks = nranks };
	struct placed *ranks = calloc(n, sizeof(*ranks));
	int *all = calloc((IPCSHARE_LEVELS + 1) * n, sizeof(*all));

	if (!ranks || !all) {
		free(ranks);
		free(all);
		return ipcshare__fail_errno(ENOMEM, "topology", "the levels of %d ranks", nranks);
	}
	l.order = all;
	for (int level = 0; level < IPCSHARE_LEVELS; level++)
		l.leaders[level] = all + (size_t)(level + 1) * n;
	work_out(places, ranks, &l);
	free(ranks);
	*out = l;
	return 0;
}

void ipcshare__levels_clear(struct ipcshare__levels *levels)
{
	free(levels->order);
	*levels = (struct ipcshare__levels){ .nranks = 0 };
}

/* ---- The tree ---- */

void ipcshare__levels_tree(const struct ipcshare__levels *l, int root, int *parents)
{
	for (int r = 0; r < l->nranks; r++) {
		int parent = r;

		/* The leader of the smallest part that has another one. */
		for (int level = IPCSHARE_LEVELS - 1; level >= 0 && parent == r; level--) {
			const int *leaders = l->leaders[level];

			parent = leaders[r] == leaders[root] ? root : leaders[r];
		}
		parents[r] = parent == r ? -1 : parent;
	}
}

/* ---- Counted ---- */

int ipcshare__levels_parts(const struct ipcshare__levels *l, enum ipcshare_level level)
{
	int parts = 0;

	for (int r = 0; r < l->nranks; r++)
		parts += l->leaders[level][r] == r;
	return parts;
}

int ipcshare__levels_crossed(const struct ipcshare__levels *l, enum ipcshare_level level,
			     const int *order)
{
	const int *leaders = l->leaders[level];
	int crossed = 0;

	for (int i = 1; i < l->nranks; i++)
		crossed += leaders[order[i - 1]] != leaders[order[i]];
	return crossed;
}

int ipcshare__levels_crossed_up(const struct ipcshare__levels *l, enum ipcshare_level level,
				const int *parents)
{
	const int *leaders = l->leaders[level];
	int crossed = 0;

	for (int r = 0; r < l->nranks; r++)
		crossed += parents[r] >= 0 && leaders[r] != leaders[parents[r]];
	return crossed;
}
