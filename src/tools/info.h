/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What ipcshare-info has found; gathered once (info.c, doctor.c), shown as text (text.c) or JSON
 * (json.c).
 */
#ifndef IPCSHARE_TOOLS_INFO_H
#define IPCSHARE_TOOLS_INFO_H

#include <sys/utsname.h>

#include "backend/ascend/doctor.h"
#include "backend/host/features.h"
#include "backend/host/limits.h"
#include "base/config.h"

#define INFO_BACKENDS_MAX 8
#define INFO_SETTINGS_MAX 32
#define INFO_PROCESS_FINDINGS 3
#define INFO_RDMA_MAX 64

struct info_backend {
	const char *name;
	const char *text;
	int usable;
	int chosen; /* what ipcshare_open(NULL, ...) takes */
	char device[96]; /* kind of its devices; "" it has none, or can't tell */
	char problem[640]; /* why it isn't usable, and a hint */
};

struct info_setting {
	const struct ipcshare__setting *what;
	char value[256];
	int from_environment;
	char problem[640]; /* why the value isn't accepted; "" it is */
};

struct info_unknown {
	char name[128];
	const char *nearest; /* a setting's name, or NULL if none is close */
};

/* What the backends need, each thing with a verdict. */
struct info_doctor {
	int done;
	struct ipcshare__finding host[IPCSHARE__FEATURES];
	size_t nhost;
	struct ipcshare__finding process[INFO_PROCESS_FINDINGS]; /* its limits, for any backend */
	struct ascend_report ascend;
};

struct info {
	struct utsname kernel;
	struct ipcshare__config config; /* bad values replaced by defaults */
	struct info_backend backends[INFO_BACKENDS_MAX];
	size_t nbackends;
	char open_problem[640]; /* of ipcshare_open() here; "" it works */
	char rdma[INFO_RDMA_MAX][64]; /* names of RDMA devices, in order */
	size_t nrdma;
	struct ipcshare__feature features[IPCSHARE__FEATURES];
	struct ipcshare__limit limits[IPCSHARE__LIMITS];
	struct info_setting settings[INFO_SETTINGS_MAX];
	size_t nsettings, nbad, nset; /* all, not accepted, from the environment */
	struct info_unknown *unknown;
	size_t nunknown;
	struct info_doctor doctor;
};

/* Settings and unknown variables only. Takes variables with bad values out of the environment. */
void info_settings(struct info *info);
/* What the backends need; after info_settings(), before info_machine(). */
void info_doctor(struct info *info);
/* All the rest. */
void info_machine(struct info *info);
/* Something that backend @name needs is missing; only after info_doctor(). */
int info_doctor_failed(const struct info *info, const char *name);
/* Not 0: a setting is bad, the library can't be opened, or the chosen backend lacks something. */
int info_is_bad(const struct info *info);
void info_free(struct info *info);

void text_machine(const struct info *info);
void text_settings(const struct info *info);
void text_doctor(const struct info *info);
void json_all(const struct info *info);

/* "ok", "limited", "failed", "unknown" */
const char *info_verdict_name(enum ipcshare__verdict verdict);

#endif
