/* SPDX-License-Identifier: BSD-3-Clause */
/* What ranks have found out about each other as pictures: how fast each pair is, and how NPUs are linked. */
#ifndef IPCSHARE_TOOLS_RANKS_SVG_H
#define IPCSHARE_TOOLS_RANKS_SVG_H

#include "tools/ranks.h"
#include "tools/svg.h"

/* From at->x, at->y on; at->w, at->h are set to the size. With @out NULL only these. -1 without memory. */
int ranks_svg(const struct ranks *ranks, FILE *out, struct box *at);

#endif
