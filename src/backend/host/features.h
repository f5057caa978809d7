/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What this kernel offers to the host backend, found by trying: versions lie, as distributions port
 * features back and containers take them away. For ipcshare-info; the backend itself tries and
 * falls back where it needs something.
 */
#ifndef IPCSHARE_BACKEND_HOST_FEATURES_H
#define IPCSHARE_BACKEND_HOST_FEATURES_H

#include <stddef.h>

enum ipcshare__feature_id {
	IPCSHARE__FEATURE_MEMFD,
	IPCSHARE__FEATURE_RESERVE,
	IPCSHARE__FEATURE_SIZE_SEALS,
	IPCSHARE__FEATURE_WRITE_SEAL,
	IPCSHARE__FEATURE_NOEXEC,
	IPCSHARE__FEATURE_ABSTRACT,
	IPCSHARE__FEATURE_PASS_FD,
	IPCSHARE__FEATURE_PIDFD,
	IPCSHARE__FEATURE_PEER_PIDFD,
	IPCSHARE__FEATURE_PIDFS,
	IPCSHARE__FEATURE_PROC,
	IPCSHARE__FEATURE_BOOT_ID,
	IPCSHARE__FEATURE_HUGE_PAGES,
	IPCSHARE__FEATURE_HUGETLB,
	IPCSHARE__FEATURES
};

enum ipcshare__found {
	IPCSHARE__FOUND_NO,
	IPCSHARE__FOUND_YES,
	IPCSHARE__FOUND_UNKNOWN, /* the attempt itself could not be made */
};

struct ipcshare__feature {
	const char *name;
	const char *since; /* the Linux version that brought it */
	const char *use; /* what it is for */
	const char *without; /* what happens if it is missing */
	enum ipcshare__found found;
	char detail[96]; /* how it showed; may be empty */
};

/* Try one; leaves no descriptor, mapping or file behind, and ipcshare_last_error() as it was. */
void ipcshare__feature_probe(enum ipcshare__feature_id id, struct ipcshare__feature *out);

/* "yes", "no", "unknown" */
const char *ipcshare__found_name(enum ipcshare__found found);

#endif
