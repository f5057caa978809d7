/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The verdict on a round when a rank has waited in vain, and the last one may post at this very moment: the
 * same on all ranks. Whoever doubts says so before it looks once more whether all have posted; whoever sees
 * that all have looks for doubts after it. So of a rank that would fail and one that would go on, at least
 * one knows of the other, and a rank that knows of a doubt, its own too, lets one word decide for all.
 */
#ifndef IPCSHARE_GROUP_VERDICT_H
#define IPCSHARE_GROUP_VERDICT_H

#include "group/group.h"

/*
 * This rank has waited in vain: @err, the last error. 0: all have posted after all, and @before is the last
 * error again. Else the failure that counts, now the last error.
 */
int ipcshare__verdict_doubt(struct ipcshare_group *group, int err,
			    const struct ipcshare_error *before);
/* This rank sees that all have posted: 0, or the failure that counts, if another one has doubted. */
int ipcshare__verdict_accept(struct ipcshare_group *group);

#endif
