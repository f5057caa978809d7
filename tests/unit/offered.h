/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the broker start from: a broker in this process with one memfd on offer. */
#ifndef TEST_OFFERED_H
#define TEST_OFFERED_H

#include <stdatomic.h>

#include "backend/host/broker.h"
#include "backend/host/memfd.h"
#include "raw.h"

#define RW IPCSHARE__READ_WRITE
#define RO IPCSHARE__READ_ONLY
#define GET IPCSHARE__BROKER_GET
#define RETIRE IPCSHARE__BROKER_RETIRE

extern struct ipcshare__config config;
extern struct ipcshare__broker *broker;
extern uint64_t endpoint;
extern struct ipcshare__memfd memfd;
extern struct ipcshare__offer *offer; /* of the memfd; nobody is allowed yet */
extern uint64_t secret[2]; /* of the offer: what offered_get() shows */
extern struct ipcshare__identity me;

/* What the broker asked us to retire. Region 1 is busy, 2 not the caller's, the others are not. */
extern struct retired {
	_Atomic int calls;
	int pid;
	uint64_t owner;
	uint32_t region[4], generation[4];
} retired;

/* Setup and teardown of a suite. _nothing(): the memfd, but no broker. */
void offered_start(void);
void offered_nothing(void);
void offered_stop(void);

int offered_retire(void *arg, const struct ipcshare__caller *caller, uint64_t owner,
		   uint32_t region, uint32_t generation);
/* Put the memfd on offer once more. */
struct ipcshare__offer *offered_memfd(int open);
void offered_allow(const struct ipcshare__identity *id, enum ipcshare__access access);
/* One GET of this process: its status. The descriptor, if there is one, must be the memory. */
int offered_get(enum ipcshare__access access);
/* A good GET of the secret, @count times. */
struct raw_request offered_request(uint16_t count);

#endif
