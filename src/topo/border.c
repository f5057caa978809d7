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
