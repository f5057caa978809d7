/* SPDX-License-Identifier: BSD-3-Clause */
/* Between doctor.c (runtime, process) and doctor_device.c (devices): how findings are written. */
#ifndef IPCSHARE_BACKEND_ASCEND_EXAMINE_H
#define IPCSHARE_BACKEND_ASCEND_EXAMINE_H

#include "backend/ascend/acl.h"
#include "backend/ascend/device.h"
#include "backend/ascend/doctor.h"

enum {
	ACL_DEV_ATTR_IS_VIRTUAL = 501
};

/* say(finding, OK, remedy, format, ...) */
#define say(f, verdict, ...) ipcshare__finding_set(f, IPCSHARE__VERDICT_##verdict, __VA_ARGS__)
#define append ipcshare__finding_append

/* A call failed: its code, the name of the code and the runtime's own words. */
#define refused(acl, f, verdict, ...)                                                              \
	ipcshare__ascend_refused(acl, f, IPCSHARE__VERDICT_##verdict, __VA_ARGS__)
void ipcshare__ascend_refused(const struct acl *acl, struct ipcshare__finding *f,
			      enum ipcshare__verdict verdict, int code, const char *call,
			      const char *remedy);

/* All that follow @after have not been tried, because of @why. */
void ipcshare__ascend_skip_rest(struct ascend_report *r, int after, const char *why);

/* Findings WHOLE and after; there is a device, and the runtime is up. */
void ipcshare__ascend_examine_devices(struct ascend_report *r);

#endif
