/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where one way of a collective gets quicker than another: settings, for machines differ. Ranks need not
 * have the same ones: what one of them takes for long is long.
 */
#ifndef IPCSHARE_COLL_THRESHOLDS_H
#define IPCSHARE_COLL_THRESHOLDS_H

#include "group/group.h"

/* Bytes of a block from which on another round or two cost less than another copy. */
static inline uint64_t ipcshare__direct_least(const struct ipcshare_group *g)
{
	const struct ipcshare__config *c = &g->ctx->config;

	return g->crowded ? c->coll_direct_crowded : c->coll_direct;
}

/*
 * Bytes of an array up to which each of n ranks reduces it for itself: it reads n - 1 of them. In parts it
 * would read n - 1 of n parts twice, and need a round more. For two ranks that is the same to read.
 */
static inline uint64_t ipcshare__short_most(const struct ipcshare_group *g)
{
	const struct ipcshare__config *c = &g->ctx->config;
	uint64_t round = g->crowded ? c->coll_round_crowded : c->coll_round, n = (uint64_t)g->size;

	return n > 2 ? round * n / ((n - 1) * (n - 2)) : UINT64_MAX;
}

#endif
