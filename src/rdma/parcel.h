/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A parcel: the keys of one rank's regions in a set, on their way to its group. Written by its owner,
 * distrusted by everybody else: each rank knows from the set which regions it must hold.
 */
#ifndef IPCSHARE_RDMA_PARCEL_H
#define IPCSHARE_RDMA_PARCEL_H

#include <ipcshare_rdma.h>

#include "group/set.h"

struct ipcshare__parcel {
	struct ipcshare__wire_parcel *at;
	uint32_t nregions; /* that it must hold */
	uint64_t len; /* bytes of it that are here */
	uint64_t said; /* bytes of it, as its owner says */
};

/* Does the row's @u stand for its region? If cells lie in it; of two with different access one does. */
bool ipcshare__parcel_wants(const struct ipcshare__row *row, const struct ipcshare__used *u);

/* Empty ones with room for what they must hold, one of each rank: free() them; NULL, with detail. */
struct ipcshare__parcel *ipcshare__parcels_new(const struct ipcshare__set *set);
/* Our own: the head, then each region of the row; it was registered as the record says. */
void ipcshare__parcel_begin(struct ipcshare__parcel *parcel, const struct ipcshare__set *set);
void ipcshare__parcel_add(struct ipcshare__parcel *parcel, const struct ipcshare__used *u,
			  const struct ipcshare_rdma_record *record);
/*
 * Everybody's, if all ranks have come so far: @status is ours; if it is a failure, @parcels may be
 * NULL. Fails on all ranks alike.
 */
int ipcshare__parcels_exchange(const struct ipcshare__set *set, int status,
			       struct ipcshare__parcel *parcels);
/* Into keys[place] of each region of the row, if the parcel of @rank holds what it must. */
int ipcshare__parcel_open(const struct ipcshare__parcel *parcel, const struct ipcshare__set *set,
			  int rank, struct ipcshare__wire_key *keys);

#endif
