/* SPDX-License-Identifier: BSD-3-Clause */
/* What ipcshare-info has found; gathered once (info.c), shown as text (text.c) or JSON (json.c). */
#ifndef IPCSHARE_TOOLS_INFO_H
#define IPCSHARE_TOOLS_INFO_H

#include <sys/utsname.h>

#include "backend/host/features.h"
#include "backend/host/limits.h"
#include "base/config.h"

#define INFO_BACKENDS_MAX 8
#define INFO_SETTINGS_MAX 32

struct info_backend {
	const char *name;
	const char *text;
	int built; /* 0: announced, but not part of this version */
	int usable;
	int chosen; /* what ipcshare_open(NULL, ...) takes */
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

struct info {
	struct utsname kernel;
	struct info_backend backends[INFO_BACKENDS_MAX];
	size_t nbackends;
	char open_problem[640]; /* of ipcshare_open() here; "" it works */
	struct ipcshare__feature features[IPCSHARE__FEATURES];
	struct ipcshare__limit limits[IPCSHARE__LIMITS];
	struct info_setting settings[INFO_SETTINGS_MAX];
	size_t nsettings, nbad, nset; /* all, not accepted, from the environment */
	struct info_unknown *unknown;
	size_t nunknown;
};

/* Settings and unknown variables only. Takes variables with bad values out of the environment. */
void info_settings(struct info *info);
/* All the rest; after info_settings(). */
void info_machine(struct info *info);
void info_free(struct info *info);

void text_machine(const struct info *info);
void text_settings(const struct info *info);
void json_all(const struct info *info);

#endif
