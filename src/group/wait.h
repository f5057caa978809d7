/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting for peers: bounded, kind to other ranks on the same core, and with an eye on the peers. */
#ifndef IPCSHARE_GROUP_WAIT_H
#define IPCSHARE_GROUP_WAIT_H

#include "group/group.h"

struct ipcshare_wait {
	struct ipcshare_group *group; /* NULL: the peers are not known yet */
	unsigned timeout_ms;
	uint64_t deadline_ns;
	uint64_t look_ns; /* when to look at the peers' processes again */
	uint64_t grace_ns; /* until when a peer that is gone may still be heard; 0: none is gone */
	uint32_t ticks;
	bool crowded; /* more ranks than cores: never spin */
};

void ipcshare__wait_begin(struct ipcshare_wait *wait, struct ipcshare_group *group);
/* Before there is a group: only the clock is looked at. */
void ipcshare__wait_begin_early(struct ipcshare_wait *wait, unsigned timeout_ms, int nranks);

#endif
