/* SPDX-License-Identifier: BSD-3-Clause */
/* What ipcshare-info --topo shows: the node as text (topo.c) and as a picture (topo_svg.c). */
#ifndef IPCSHARE_TOOLS_TOPO_H
#define IPCSHARE_TOOLS_TOPO_H

#include <stdio.h>

#include "tools/ranks.h"
#include "topo/place.h"

struct topo {
	const struct ipcshare__machine *machine;
	struct ipcshare__wire_place here;
	uint64_t usable[RANKS_CPUS / 64]; /* cores, by this process, or by any rank */
	const struct ranks *ranks; /* NULL: this process alone */
};

/* @ranks: or NULL */
void topo_find(const struct ranks *ranks, struct topo *out);
void topo_text(const struct topo *topo, FILE *out);
/* Not 0: the stream took not all. */
int topo_svg(const struct topo *topo, FILE *out);

/* "0-3, 8"; cut where there is no more room. */
void topo_cores(const uint64_t *cores, char *text, size_t len);
static inline bool topo_has(const uint64_t *cores, int core)
{
	return core >= 0 && core < RANKS_CPUS && cores[core / 64] >> core % 64 & 1;
}
/* "Package 0", "NUMA node 2, 256 GiB", "mlx5_0, eth1" */
void topo_name(const struct ipcshare__machine *machine, int part, char *text, size_t len);
/* "2 packages, 4 NUMA nodes, 32 cores, 64 hardware threads, 8 NPUs, 2 NICs" */
void topo_summary(const struct ipcshare__machine *machine, char *text, size_t len);
/* An interface that belongs to the NIC before it is shown with that. */
bool topo_is_second(const struct ipcshare__machine *machine, int part);
/* The part can be left out: nothing is in it, or it is a bridge to one device. */
bool topo_is_plain(const struct ipcshare__machine *machine, int part);

#endif
