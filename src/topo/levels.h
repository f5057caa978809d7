/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Levels: who shares what with whom, out of the places of all ranks and nothing else. So ranks that have
 * the same places come to the same levels, whatever each of them sees of the machine.
 *
 * The ranks of the node fall into packages, those into NUMA nodes, those into last-level caches. Ranks that
 * are in no single package make up one together, and so on further in: a group that isn't bound is one part at
 * every level. A part is named by its leader, the lowest rank in it.
 */
#ifndef IPCSHARE_TOPO_LEVELS_H
#define IPCSHARE_TOPO_LEVELS_H

#include <ipcshare.h>

#include "base/wire.h"

struct ipcshare__levels {
	int nranks;
	int *leaders[IPCSHARE_LEVELS]; /* by rank: the leader of its part */
	/* All ranks, rank 0 first, each part of each level in a row, led by its leader. */
	int *order;
};

/* 0 or IPCSHARE_ERR_NO_MEMORY; @nranks from 1. */
int ipcshare__levels_make(const struct ipcshare__wire_place *places, int nranks,
			  struct ipcshare__levels *out);
void ipcshare__levels_clear(struct ipcshare__levels *levels);

/*
 * The tree below @root: the parent of each rank, -1 of the root. Each part has one rank, its leader or the root,
 * whose parent is outside. So no tree crosses the borders of any level less often.
 */
void ipcshare__levels_tree(const struct ipcshare__levels *levels, int root, int *parents);

/* How many parts there are at @level. */
int ipcshare__levels_parts(const struct ipcshare__levels *levels, enum ipcshare_level level);
/* How often it goes from one part of @level into another: along these ranks, or from them to their parents. */
int ipcshare__levels_crossed(const struct ipcshare__levels *levels, enum ipcshare_level level,
			     const int *order);
int ipcshare__levels_crossed_up(const struct ipcshare__levels *levels, enum ipcshare_level level,
				const int *parents);

#endif
