/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The broker: one thread of each context that hands this process's memory to the processes on its
 * whitelist, and drops idle mappings when their owner asks. It never waits for a client: replies are
 * sent without blocking, and a client that is slow, silent or malformed loses its place.
 */
#ifndef IPCSHARE_BACKEND_HOST_BROKER_H
#define IPCSHARE_BACKEND_HOST_BROKER_H

#include "base/config.h"
#include "base/identity.h"
#include "base/wire.h"

struct ipcshare__broker;
struct ipcshare__offer; /* one memfd on offer */

/*
 * The owner behind @caller asks to drop what is mapped of its region (or IPCSHARE__REGION_ANY):
 * 0, IPCSHARE_ERR_BUSY, or IPCSHARE_ERR_NOT_ALLOWED if @caller isn't that owner. Called in the
 * broker's thread.
 */
typedef int ipcshare__retire_fn(void *arg, const struct ipcshare__caller *caller, uint64_t owner,
				uint32_t region, uint32_t generation);

int ipcshare__broker_start(const struct ipcshare__config *config, ipcshare__retire_fn *retire,
			   void *arg, struct ipcshare__broker **out);
/* Ends the thread. In a forked child, where it never was, only gives the memory back. */
void ipcshare__broker_stop(struct ipcshare__broker *broker, int in_child);
uint64_t ipcshare__broker_endpoint(const struct ipcshare__broker *broker);

/* Put a memfd on offer. @open: for every process of this user, instead of those allowed. */
int ipcshare__broker_offer(struct ipcshare__broker *broker, int fd, uint64_t offset,
			   uint64_t length, int open, struct ipcshare__offer **out);
const uint64_t *ipcshare__offer_secret(const struct ipcshare__offer *offer);
int ipcshare__broker_allow(struct ipcshare__broker *broker, struct ipcshare__offer *offer,
			   const struct ipcshare__identity *ids, size_t n,
			   enum ipcshare__access access);
/* While @paused whoever may have it is answered IPCSHARE_ERR_BUSY. */
void ipcshare__broker_pause(struct ipcshare__broker *broker, struct ipcshare__offer *offer,
			    int paused);
void ipcshare__broker_withdraw(struct ipcshare__broker *broker, struct ipcshare__offer *offer);

#endif
