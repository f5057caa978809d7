/* SPDX-License-Identifier: BSD-3-Clause */
/* Our place on an NPU (device.c): a context, a stream; and the way to other devices (peer.c). */
#ifndef IPCSHARE_BACKEND_ASCEND_DEVICE_H
#define IPCSHARE_BACKEND_ASCEND_DEVICE_H

#include <stdbool.h>
#include <sys/types.h>

#include "backend/ascend/acl.h"

#define ASCEND_DEVICES 64 /* the driver's device index is below it */

enum ascend_soc {
	ASCEND_SOC_UNKNOWN,
	ASCEND_SOC_910B,
	ASCEND_SOC_910C,
};
/* By name: "Ascend910B" and a digit, "Ascend910_93" and digits. NULL is unknown. */
enum ascend_soc ipcshare__ascend_soc(const char *name);
/* The same as a status: IPCSHARE_ERR_NO_BACKEND for an unknown one, unless @any_soc. */
int ipcshare__ascend_soc_check(const char *name, const char *stage, bool any_soc);

/* How far peer access to a device has come. */
enum ascend_peer {
	ASCEND_PEER_UNKNOWN,
	ASCEND_PEER_OURS, /* our direction is enabled; the pair works once the other one is */
	ASCEND_PEER_BOTH,
};

struct ascend_device {
	const struct acl *acl;
	int id; /* as this process numbers devices */
	int physical; /* as the machine does: what travels */
	acl_handle context;
	acl_handle stream;
	bool did_init, did_set; /* it counts among the users of aclInit and aclrtSetDevice */
	bool lost; /* abandoned: no call into the driver any more */
	pid_t pid; /* who opened it */
	_Atomic enum ascend_peer peers[ASCEND_DEVICES]; /* by physical id */
};

/* @device -1: the caller's current one, or 0. */
int ipcshare__ascend_device_open(const struct acl *acl, int device, bool any_soc,
				 struct ascend_device *out);
void ipcshare__ascend_device_close(struct ascend_device *d);

/* In a fork: other threads' locks may be held for ever, and the driver does not know us. */
bool ipcshare__ascend_forked(const struct ascend_device *d);

/*
 * Every entry into the runtime: our context becomes current, and the caller's is put back. A capture
 * of the caller's own goes on meanwhile: what blocks is refused in its context, and spoils it, unless
 * the thread says that it knows what it does.
 */
struct ascend_entry {
	acl_handle before; /* NULL: the thread had none, and keeps ours: there is no way back */
	int32_t mode; /* the thread's for captures, to be put back; -1: it was not changed */
};
int ipcshare__ascend_enter(const struct ascend_device *d, const char *stage,
			   struct ascend_entry *entry);
void ipcshare__ascend_leave(const struct ascend_device *d, const struct ascend_entry *entry);

/*
 * Let our device reach that of a peer, once; entered. The pair works when the other direction is
 * enabled too: *@complete. A device of -1 is unknown, and never complete.
 * IPCSHARE_ERR_UNREACHABLE there is no link; IPCSHARE_ERR_LIMIT too many processes share the pair.
 */
int ipcshare__ascend_reach(struct ascend_device *d, int physical, bool *complete);
/* The same on behalf of a peer that is to read from us: it will meet the error, if there is one. */
void ipcshare__ascend_welcome(struct ascend_device *d, int physical);
/* Both directions are there: an import has enabled them. */
void ipcshare__ascend_completed(struct ascend_device *d, int physical);

/* A call of @stage found no device of ours behind a peer's: IPCSHARE_ERR_UNREACHABLE, its code kept. */
int ipcshare__ascend_invisible(const struct acl *acl, int code, const char *stage,
			       const char *call);

/*
 * "SIO", "HCCS", "PCIe" or "none": the link between two devices, by this process's numbers. What goes
 * through the processors of the host (SYS) is no link.
 */
const char *ipcshare__ascend_link(const struct acl *acl, int device, int other);
/*
 * The same between our device and one that a peer has, by the machine's number. "" it is ours, "?" it is
 * not seen here, or the release can't tell. Not entered.
 */
const char *ipcshare__ascend_link_to(const struct ascend_device *d, int physical);

#endif
