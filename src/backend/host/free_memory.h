/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much memory can still be taken: what the machine has left, and what the cgroups of this process
 * leave it. The kernel does not refuse more than that, it calls the OOM killer; so look first.
 */
#ifndef IPCSHARE_BACKEND_HOST_FREE_MEMORY_H
#define IPCSHARE_BACKEND_HOST_FREE_MEMORY_H

#include <stdint.h>

/* What can still be taken, and who has no more than that: "the machine", or its memory cgroup. */
uint64_t ipcshare__memory_left(const char **whose);

struct ipcshare__cgroup_memory { /* bytes; UINT64_MAX: no limit */
	uint64_t limit; /* the smallest one of the cgroups from ours up */
	uint64_t available; /* below the one that leaves least, its page cache and swap included */
};

/* Free memory and swap of the machine; UINT64_MAX if /proc doesn't tell. */
uint64_t ipcshare__machine_available(void);

/*
 * @list: /proc/self/cgroup, which names our cgroups; @root: /sys/fs/cgroup. Version 1 and 2.
 * -1 if @list can't be read.
 */
int ipcshare__cgroup_memory(const char *list, const char *root,
			    struct ipcshare__cgroup_memory *out);

#endif
