/* SPDX-License-Identifier: BSD-3-Clause */
/* The limits of this process and machine that a user of the host backend can run into. */
#ifndef IPCSHARE_BACKEND_HOST_LIMITS_H
#define IPCSHARE_BACKEND_HOST_LIMITS_H

#include <stdint.h>

enum ipcshare__limit_id {
	IPCSHARE__LIMIT_FILES,
	IPCSHARE__LIMIT_MAPPINGS,
	IPCSHARE__LIMIT_ADDRESS_SPACE,
	IPCSHARE__LIMIT_FREE_MEMORY,
	IPCSHARE__LIMIT_CGROUP_MEMORY,
	IPCSHARE__LIMIT_LOCKED,
	IPCSHARE__LIMIT_THREADS,
	IPCSHARE__LIMIT_PTRACE,
	IPCSHARE__LIMIT_PID_NAMESPACE,
	IPCSHARE__LIMITS
};

enum ipcshare__limit_kind {
	IPCSHARE__LIMIT_UNKNOWN, /* it can't be read here */
	IPCSHARE__LIMIT_NONE, /* unlimited */
	IPCSHARE__LIMIT_VALUE,
};

struct ipcshare__limit {
	const char *name; /* as the system calls it */
	const char *unit; /* of @value: "bytes", or "" for a plain number */
	const char *bounds; /* what it bounds here */
	enum ipcshare__limit_kind kind;
	uint64_t value;
	char text[64]; /* the value for people */
};

/* Read one; leaves nothing behind. */
void ipcshare__limit_read(enum ipcshare__limit_id id, struct ipcshare__limit *out);

#endif
