/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The border that is slowest to cross: between packages, or if there is only one, between NUMA nodes. What all
 * ranks want from behind it is better carried over once, by one of a part's ranks, who has it for the others.
 */
#ifndef IPCSHARE_TOPO_BORDER_H
#define IPCSHARE_TOPO_BORDER_H

#include <stdbool.h>

#include "topo/levels.h"

struct ipcshare__border {
	const struct ipcshare__levels *levels;
	enum ipcshare_level
		level; /* of the parts that it divides; IPCSHARE_LEVEL_NODE: there is none */
	int parts; /* numbered by their first ranks */
	int most; /* ranks of the largest part */
	int *at, *mates; /* by rank: its place in the order; how many are in its part, with it */
};

/* 0 or IPCSHARE_ERR_NO_MEMORY. @levels must outlive it. */
int ipcshare__border_make(const struct ipcshare__levels *levels, struct ipcshare__border *out);
void ipcshare__border_clear(struct ipcshare__border *border);

/* Is it between these two? */
static inline bool ipcshare__border_divides(const struct ipcshare__border *b, int rank, int other)
{
	const int *leaders = b->levels->leaders[b->level];

	return leaders[rank] != leaders[other];
}

/* Does each part have ranks that follow each other? */
bool ipcshare__border_in_order(const struct ipcshare__border *border);
/* The part of a rank; and the first rank of a part. */
int ipcshare__border_part(const struct ipcshare__border *border, int rank);
int ipcshare__border_leader(const struct ipcshare__border *border, int part);

/* The place of a rank among those of its part, from 0; and which rank of its part has place @n. */
int ipcshare__border_number(const struct ipcshare__border *border, int rank);
int ipcshare__border_mate(const struct ipcshare__border *border, int rank, int n);
/* Who in the part of @rank carries what comes from @source behind the border: as evenly as can be. */
int ipcshare__border_carrier(const struct ipcshare__border *border, int source, int rank);

#endif
