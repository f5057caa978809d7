/* SPDX-License-Identifier: BSD-3-Clause */
#include "topo/border.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"

static enum ipcshare_level outermost(const struct ipcshare__levels *l)
{
	if (ipcshare__levels_parts(l, IPCSHARE_LEVEL_PACKAGE) > 1)
		return IPCSHARE_LEVEL_PACKAGE;
	return ipcshare__levels_parts(l, IPCSHARE_LEVEL_NUMA) > 1 ? IPCSHARE_LEVEL_NUMA
								  : IPCSHARE_LEVEL_NODE;
}

int ipcshare__border_make(const struct ipcshare__levels *l, struct ipcshare__border *out)
{
	struct ipcshare__border b = { .levels = l, .level = outermost(l) };
	size_t n = (size_t)l->nranks;
	const int *leaders = l->leaders[b.level];

	b.at = calloc(2 * n, sizeof(*b.at));
	if (!b.at)
		return ipcshare__fail_errno(ENOMEM, "topology", "the border between %d ranks",
					    l->nranks);
	b.mates = b.at + n;
	for (int i = 0; i < l->nranks; i++) {
		b.at[l->order[i]] = i;
		b.mates[leaders[i]]++; /* first of the leaders alone */
	}
	for (int r = 0; r < l->nranks; r++) {
		b.parts += leaders[r] == r;
		b.mates[r] = b.mates[leaders[r]];
		b.most = b.mates[r] > b.most ? b.mates[r] : b.most;
	}
	*out = b;
	return 0;
}

void ipcshare__border_clear(struct ipcshare__border *b)
{
	free(b->at);
	*b = (struct ipcshare__border){ .levels = NULL };
}

/* The leader of a part is its first rank. */
bool ipcshare__border_in_order(const struct ipcshare__border *b)
{
	const int *leaders = b->levels->leaders[b->level];

	for (int r = 1; r < b->levels->nranks; r++)
		if (leaders[r] < leaders[r - 1])
			return false;
	return true;
}

int ipcshare__border_part(const struct ipcshare__border *b, int rank)
{
	const int *leaders = b->levels->leaders[b->level];
	int part = 0;

	for (int r = 0; r < leaders[rank]; r++)
		part += leaders[r] == r;
	return part;
}

int ipcshare__border_leader(const struct ipcshare__border *b, int part)
{
	const int *leaders = b->levels->leaders[b->level];
	int rank = 0;

	while (leaders[rank] != rank || part--)
		rank++;
	return rank;
}

/* A part stands in a row, led by its leader. */
static int first_of(const struct ipcshare__border *b, int rank)
{
	return b->at[b->levels->leaders[b->level][rank]];
}

int ipcshare__border_number(const struct ipcshare__border *b, int rank)
{
	return b->at[rank] - first_of(b, rank);
}

int ipcshare__border_mate(const struct ipcshare__border *b, int rank, int n)
{
	return b->levels->order[first_of(b, rank) + n];
}

int ipcshare__border_carrier(const struct ipcshare__border *b, int source, int rank)
{
	return ipcshare__border_mate(b, rank, ipcshare__border_number(b, source) % b->mates[rank]);
}
