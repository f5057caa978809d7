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
/* All parts are mapped: is there not a core for each rank? */
bool ipcshare__board_crowded(const struct ipcshare_group *group);

/*
 * For what this rank has to say in the next round. A few bytes that the others may be waiting for already
 * should go into the group's front instead: the post writes them at once with the flag, and the line of
 * the slot goes to the others once and not twice.
 */
struct ipcshare__slot *ipcshare__board_slot(struct ipcshare_group *group);
/* The next round is the one we are in. Whoever sleeps is not woken by it, but by what must follow. */
void ipcshare__board_post(struct ipcshare_group *group);
/* Wake who sleeps until we post; ipcshare__board_wait() does it by itself. */
void ipcshare__board_call(struct ipcshare_group *group);
/* Until all ranks have posted this round: 0, or why that will not be. */
int ipcshare__board_wait(struct ipcshare_group *group);
/* Not all have: 0 they still may, else why they won't. It takes longer when @wait says it is time to. */
int ipcshare__board_glance(struct ipcshare_wait *wait);
/* The first rank from @rank on that has not posted it; the group's size if all have. */
int ipcshare__board_late(const struct ipcshare_group *group, int rank);
/*
 * What @rank said in this round. It may still write there if it is hostile: copy first, then check. Our own
 * slot is with those who read it: to have its front back costs as much as to get theirs. It is in the
 * group's front still.
 */
const struct ipcshare__slot *ipcshare__board_read(const struct ipcshare_group *group, int rank);
/* The slot of @control for @round. */
static inline struct ipcshare__slot *ipcshare__board_slot_in(struct ipcshare__control *control,
							     uint64_t round)
{
	return (struct ipcshare__slot *)(control + 1) + round % 2;
}

/* Whoever may sleep until we post looks around instead. */
void ipcshare__board_wake(struct ipcshare_group *group);

#endif
