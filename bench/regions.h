/* SPDX-License-Identifier: BSD-3-Clause */
/* regions.h - many registrations of a context of their own: pages that lie side by side */
#ifndef BENCH_REGIONS_H
#define BENCH_REGIONS_H

#include "team.h"

struct regions {
	struct ipcshare_ctx *ctx;
	char *base;
	size_t n, len;		/* each has @len bytes */
	int direct;
};

/** regions_most - how many this process may have: on host each takes a descriptor */
size_t regions_most(const struct team *team);

/** regions_open - @n of them, registered in no order; 0, or -1 and @why */
int regions_open(struct regions *r, const struct team *team, size_t n, char *why);

/** regions_close - end them; 0, or -1 and @why. Also after regions_open() has failed */
int regions_close(struct regions *r, char *why);

#endif
