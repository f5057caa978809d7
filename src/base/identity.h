/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who a process is, so that a recycled pid is somebody else. Linux 6.9 gives every process a pidfd
 * inode that no other gets until the next boot; before that it is pid, pid namespace and start time.
 */
#ifndef IPCSHARE_BASE_IDENTITY_H
#define IPCSHARE_BASE_IDENTITY_H

#include "base/config.h"
#include "base/wire.h"

/* This process, with @endpoint filled in and no device. IPCSHARE_ERR_SYSTEM without /proc. */
int ipcshare__identity_self(enum ipcshare__identity_policy policy, uint64_t endpoint,
			    struct ipcshare__identity *out);

/* This process's id in the outermost pid namespace that its /proc shows. */
uint32_t ipcshare__outermost_tgid(void);

/* What a backend knows better: the id that its whitelist wants, and the physical device. */
void ipcshare__identity_complete(struct ipcshare__identity *id, uint32_t tgid, int device);

/* Bytes of another process: 0, or IPCSHARE_ERR_PROTOCOL. */
int ipcshare__identity_check(const struct ipcshare__identity *id, const char *stage);

/* Not 0 if both are the same process; they may have different endpoints. */
int ipcshare__identity_same(const struct ipcshare__identity *a, const struct ipcshare__identity *b);

/* The process at the other end of a UNIX socket, as the kernel names it. */
struct ipcshare__caller {
	int pidfd; /* or -1; owned by who asked */
	int pid; /* in our pid namespace; 0 it isn't visible here */
	uint32_t uid;
	uint64_t inode; /* of its pidfd; 0 where the kernel has no unique ones */
};

int ipcshare__caller_of(int socket, struct ipcshare__caller *out);
void ipcshare__caller_close(struct ipcshare__caller *caller);

/* Not 0 if the caller is the process that @id names. */
int ipcshare__caller_is(const struct ipcshare__caller *caller, const struct ipcshare__identity *id);

/*
 * A pidfd on the process that @id names, to see its end by; the caller's to close. -1: there is no such
 * process any more, and *@ended is 1; or it can't be told from here, and that is 0.
 */
int ipcshare__identity_watch(const struct ipcshare__identity *id, int *ended);

/* Not 0 if the process stands, by a signal or for a debugger; 0 also if it can't be told from here. */
int ipcshare__identity_stopped(const struct ipcshare__identity *id);

/* Not 0 if the caller has this process's user, and that can be told. */
int ipcshare__caller_is_our_user(const struct ipcshare__caller *caller);

/* Not 0 once the process of a pidfd has ended; 0 for pidfd -1. */
int ipcshare__pidfd_ended(int pidfd);

#endif
