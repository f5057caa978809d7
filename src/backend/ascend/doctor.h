/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the Ascend backend needs of runtime, driver and container, each thing tried. For
 * ipcshare-info --doctor.
 */
#ifndef IPCSHARE_BACKEND_ASCEND_DOCTOR_H
#define IPCSHARE_BACKEND_ASCEND_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/finding.h"
#include "base/config.h"

#define ASCEND_DOCTOR_DEVICES 64

/* X(id, name): in this order they are tried and shown. */
#define ASCEND_FINDINGS(X)                                                                         \
	X(NODES, "device nodes")                                                                   \
	X(LIBRARY, "runtime library")                                                              \
	X(VERSION, "version")                                                                      \
	X(IDS, "physical ids")                                                                     \
	X(TOPO, "topology")                                                                        \
	X(COPY_2D, "2-D copies")                                                                   \
	X(CAPTURE, "capture and replay")                                                           \
	X(INIT, "initialisation")                                                                  \
	X(TGID, "bare process id")                                                                 \
	X(SOC, "SoC")                                                                              \
	X(DEVICES, "devices")                                                                      \
	X(VISIBLE, "visible devices")                                                              \
	X(WHOLE, "whole devices")                                                                  \
	X(LINKS, "links")                                                                          \
	X(CONTEXTS, "contexts")                                                                    \
	X(EXPORT, "export")                                                                        \
	X(WHITELIST, "whitelist")                                                                  \
	X(CLOSE, "close")                                                                          \
	X(OPEN, "without whitelist")                                                               \
	X(RANGE, "address range")

enum ascend_finding_id {
#define ASCEND_FINDING_ENUM(id, name) ASCEND_FINDING_##id,
	ASCEND_FINDINGS(ASCEND_FINDING_ENUM)
#undef ASCEND_FINDING_ENUM
	ASCEND_FINDING_COUNT
};

struct ascend_report_link {
	const char *name; /* "SIO", "HCCS", "PCIe", "none"; "?" if the runtime can't tell */
	int can; /* CanAccessPeer's word; -1: it failed */
};

struct ascend_report {
	struct ipcshare__finding findings[ASCEND_FINDING_COUNT];
	char soc[64]; /* "" unknown */
	char runtime[32]; /* "emulator 9.1.0" in place of a real one, else "" */
	int ndevices; /* visible ones, numbered from 0 */
	int physical[ASCEND_DOCTOR_DEVICES];
	struct ascend_report_link links[ASCEND_DOCTOR_DEVICES][ASCEND_DOCTOR_DEVICES];
	int tgid; /* bare process id; 0 unknown */
	const struct acl *acl;
	bool did_init; /* nobody had before */
	bool holds; /* a reference to the runtime, to be given back */
};

/*
 * Try everything; needs no privileges and leaves the caller's device and context as they are. The
 * runtime stays initialised until ipcshare__ascend_examined(), for it may not come up twice in a
 * process. Not while a context of this backend is open: IPC calls would meet.
 */
void ipcshare__ascend_examine(const struct ipcshare__config *config, struct ascend_report *out);
void ipcshare__ascend_examined(struct ascend_report *report);

/* Device nodes below @dev ("/dev"), as a finding of its own. */
void ipcshare__ascend_nodes(const char *dev, struct ipcshare__finding *out);

/* "Ascend910B3 (910B)", without a context; "" if the runtime can't be opened or has no name. */
void ipcshare__ascend_soc_text(const struct ipcshare__config *config, char *text, size_t len);

#endif
