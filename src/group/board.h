/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The board: what each rank of a group shows to all others, in memory that all of them map. In a round
 * every rank writes its slot, posts, and waits until all have posted; then it may read the slots of all
 * until it posts again. Two slots are enough: who writes for round k + 2 has seen that all posted k + 1,
 * so nobody reads what was said in round k any more.
 */
#ifndef IPCSHARE_GROUP_BOARD_H
#define IPCSHARE_GROUP_BOARD_H

#include "group/group.h"

/* Our own part of it, and the key for the peers. ipcshare__board_end() either way. */
int ipcshare__board_make(struct ipcshare_group *group, char key[IPCSHARE__KEY_SIZE]);
void ipcshare__board_end(struct ipcshare_group *group);
/* Let all ranks of the group map it. */
int ipcshare__board_allow(struct ipcshare_group *group);
/* Map @rank's part, of which @key is the key. */
int ipcshare__board_meet(struct ipcshare_group *group, int rank, const char *key);
void ipcshare__board_leave(struct ipcshare_group *group, int rank);

/* IPCSHARE__SLOT bytes for what this rank has to say in the next round. */
unsigned char *ipcshare__board_slot(struct ipcshare_group *group);
/* The next round is the one we are in. */
void ipcshare__board_post(struct ipcshare_group *group);
/* Until all ranks have posted this round: 0, or why that will not be. */
int ipcshare__board_wait(struct ipcshare_group *group);
/* What @rank said in this round. It may still write there if it is hostile: copy first, then check. */
const unsigned char *ipcshare__board_read(const struct ipcshare_group *group, int rank);

/* Whoever sleeps until we post looks around instead. */
void ipcshare__board_wake(struct ipcshare_group *group);

#endif
