/* SPDX-License-Identifier: BSD-3-Clause */
/* The settings: one table, read from the environment when a context is opened. */
#ifndef IPCSHARE_BASE_CONFIG_H
#define IPCSHARE_BASE_CONFIG_H

#include <stddef.h>
#include <stdint.h>

enum ipcshare__identity_policy {
	IPCSHARE__IDENTITY_AUTO, /* pidfd inodes where the kernel has them */
	IPCSHARE__IDENTITY_START, /* start times, as on kernels before 6.9 */
};

struct ipcshare__config {
	char backend[16];
	uint32_t timeout_s;
	uint32_t log;
	char socket_dir[64]; /* "": abstract sockets */
	uint32_t identity; /* enum ipcshare__identity_policy */
	uint32_t harden; /* no debugger, no look into our memory but root's */
	uint32_t cache_entries, cache_mib;
	uint32_t huge_pages;
	uint32_t keep_mib;
	uint32_t check; /* collectives compare their arguments first */
	/* Thresholds of collectives (coll/thresholds.h), in bytes: of ranks on cores of their own, and others. */
	uint32_t coll_round, coll_round_crowded;
	uint32_t coll_direct, coll_direct_crowded;
	uint32_t coll_relay;
	uint32_t mpi; /* collectives with MPI's signatures */
	uint32_t across; /* from so many bytes on, those over several nodes too */
	char fake_nodes[64]; /* mpi/fake.h; "": none */
	char acl_lib[128]; /* "": the usual names */
	uint32_t ascend_any_soc;
	uint32_t ascend_strict;
};

struct ipcshare__setting {
	const char *name;
	const char *fallback; /* the default, as a user would write it */
	const char *range; /* what is accepted, for people */
	const char *text;
	const char *const *choices; /* NULL-ended; or NULL: a number or text */
	uint32_t min, max; /* of a number; 0, 0: text */
	size_t offset; /* into struct ipcshare__config */
	size_t size; /* of the field */
	int from_root; /* of text: a path that ranks in different folders must understand alike */
};

/* The table; @count is set to its length. */
const struct ipcshare__setting *ipcshare__settings(size_t *count);

/* Defaults, overridden by the environment. IPCSHARE_ERR_CONFIG names variable, value and range. */
int ipcshare__config_load(struct ipcshare__config *out);

/* One setting into @config. IPCSHARE_ERR_CONFIG if the environment's value is bad: the default then. */
int ipcshare__config_read(struct ipcshare__config *config, const struct ipcshare__setting *setting);

/* The value of one setting as text; *from_environment says where it comes from. */
void ipcshare__config_value(const struct ipcshare__config *config,
			    const struct ipcshare__setting *setting, char *text, size_t len,
			    int *from_environment);

/* What the environment has, whether it is accepted or not; NULL if nothing. */
const char *ipcshare__config_raw(const char *name);

/* Names of IPCSHARE_* variables that no setting has: calls @visit with NAME for each. */
void ipcshare__config_unknown(void (*visit)(const char *name, void *arg), void *arg);

#endif
