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

/* A bit for each core that this rank may use; all, if @bytes are too few to tell. */
void ipcshare__wait_cores(void *cores, size_t bytes);

void ipcshare__wait_begin(struct ipcshare_wait *wait, struct ipcshare_group *group);
/* Before there is a group: only the clock is looked at. */
void ipcshare__wait_begin_early(struct ipcshare_wait *wait, unsigned timeout_ms, int nranks);

/* Has @rank entered the exchange that this rank is in? Then what it has to say can be read. */
bool ipcshare__wait_has_entered(const struct ipcshare_group *group, int rank);
/* @rank, not ours, has left with @status: that as the last error, which names the rank that was the cause. */
int ipcshare__wait_quitter(const struct ipcshare_group *group, int rank, int64_t status);
/* Look for all to enter it, while that is cheaper than anything else: as ipcshare__board_late(). */
int ipcshare__wait_spin(const struct ipcshare_group *group);
/* Wait a little longer for @rank to enter it: 0 look again; or why that is of no more use. */
int ipcshare__wait_for_post(struct ipcshare_wait *wait, int rank);
/* The same for who has something else to do: without a deadline. */
int ipcshare__wait_glance(struct ipcshare_wait *wait);

#endif
