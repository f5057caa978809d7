/* SPDX-License-Identifier: BSD-3-Clause */
/* What each backend needs, as findings with a verdict and a remedy. */
#include <ipcshare.h>
#include <stdio.h>
#include <string.h>

#include "tools/info.h"

const char *info_verdict_name(enum ipcshare__verdict verdict)
{
	static const char *const names[] = {
		[IPCSHARE__VERDICT_UNKNOWN] = "unknown",
		[IPCSHARE__VERDICT_OK] = "ok",
		[IPCSHARE__VERDICT_LIMITED] = "limited",
		[IPCSHARE__VERDICT_FAILED] = "failed",
	};

	return names[verdict];
}

/* ---- The host backend ---- */

enum need {
	NOT_LOOKED_AT, /* for memory that the program makes itself */
	OPTIONAL,
	NEEDED,
	NEEDED_WITHOUT_DIR, /* unless brokers listen in a folder */
};

static const enum need needs[IPCSHARE__FEATURES] = {
	[IPCSHARE__FEATURE_MEMFD] = NEEDED,
	[IPCSHARE__FEATURE_RESERVE] = NEEDED,
	[IPCSHARE__FEATURE_SIZE_SEALS] = NEEDED,
	[IPCSHARE__FEATURE_WRITE_SEAL] = OPTIONAL,
	[IPCSHARE__FEATURE_NOEXEC] = OPTIONAL,
	[IPCSHARE__FEATURE_ABSTRACT] = NEEDED_WITHOUT_DIR,
	[IPCSHARE__FEATURE_PASS_FD] = NEEDED,
	[IPCSHARE__FEATURE_PIDFD] = OPTIONAL,
	[IPCSHARE__FEATURE_PEER_PIDFD] = OPTIONAL,
	[IPCSHARE__FEATURE_PIDFS] = OPTIONAL,
	[IPCSHARE__FEATURE_PROC] = NEEDED,
	[IPCSHARE__FEATURE_BOOT_ID] = NEEDED,
	[IPCSHARE__FEATURE_HUGE_PAGES] = OPTIONAL,
	[IPCSHARE__FEATURE_HUGETLB] = NOT_LOOKED_AT,
};

static void remedy_of(const struct ipcshare__feature *f, enum ipcshare__feature_id id, char *text,
		      size_t len)
{
	if (id == IPCSHARE__FEATURE_PROC || id == IPCSHARE__FEATURE_BOOT_ID)
		snprintf(text, len, "mount /proc in the container");
	else if (id != IPCSHARE__FEATURE_ABSTRACT && id != IPCSHARE__FEATURE_HUGE_PAGES)
		snprintf(text, len,
			 "Linux %s or newer; in a container, its seccomp filter may forbid it",
			 f->since);
	/* those two have theirs in what their lack means */
}

static void finding_of(const struct info *info, enum ipcshare__feature_id id, enum need need,
		       struct ipcshare__finding *out)
{
	struct ipcshare__feature f;

	ipcshare__feature_probe(id, &f);
	out->name = f.name;
	if (need == NEEDED_WITHOUT_DIR && info->config.socket_dir[0])
		need = OPTIONAL;
	if (f.found == IPCSHARE__FOUND_YES) {
		out->verdict = IPCSHARE__VERDICT_OK;
		snprintf(out->detail, sizeof(out->detail), "%s", f.use);
	} else if (f.found == IPCSHARE__FOUND_UNKNOWN) {
		out->verdict = IPCSHARE__VERDICT_UNKNOWN;
		snprintf(out->detail, sizeof(out->detail), "%s", f.detail);
	} else {
		out->verdict = need == OPTIONAL ? IPCSHARE__VERDICT_LIMITED
						: IPCSHARE__VERDICT_FAILED;
		snprintf(out->detail, sizeof(out->detail), "%s%s%s", f.detail,
			 f.detail[0] ? "; " : "", f.without);
		remedy_of(&f, id, out->remedy, sizeof(out->remedy));
	}
}

static void examine_host(struct info *info)
{
	struct info_doctor *d = &info->doctor;

	for (int i = 0; i < IPCSHARE__FEATURES; i++)
		if (needs[i] != NOT_LOOKED_AT)
			finding_of(info, (enum ipcshare__feature_id)i, needs[i],
				   &d->host[d->nhost++]);
}

/* ---- Limits of the process ---- */

struct wanted {
	enum ipcshare__limit_id id;
	uint64_t least; /* below it: limited; 0: any value is */
	const char *means;
	const char *remedy;
};

static const struct wanted wanted[INFO_PROCESS_FINDINGS] = {
	{ IPCSHARE__LIMIT_FILES, 1024, "few for one descriptor an allocation (host)",
	  "ulimit -n 65536; cut many buffers from one allocation" },
	{ IPCSHARE__LIMIT_MAPPINGS, 65530, "few for one mapping an allocation, own or imported",
	  "as root: sysctl vm.max_map_count=262144" },
	{ IPCSHARE__LIMIT_LOCKED, 0,
	  "bounds what a network card can register; sharing on the node locks nothing",
	  "ulimit -l unlimited; for a container --ulimit memlock=-1" },
};

static void examine_limit(const struct wanted *w, struct ipcshare__finding *out)
{
	struct ipcshare__limit l;

	ipcshare__limit_read(w->id, &l);
	out->name = l.name;
	if (l.kind == IPCSHARE__LIMIT_UNKNOWN) {
		snprintf(out->detail, sizeof(out->detail), "it can't be read here");
	} else if (l.kind == IPCSHARE__LIMIT_NONE || (w->least && l.value >= w->least)) {
		out->verdict = IPCSHARE__VERDICT_OK;
		snprintf(out->detail, sizeof(out->detail), "%s", l.text);
	} else {
		out->verdict = IPCSHARE__VERDICT_LIMITED;
		snprintf(out->detail, sizeof(out->detail), "%s: %s", l.text, w->means);
		snprintf(out->remedy, sizeof(out->remedy), "%s", w->remedy);
	}
}

/* ---- All of it ---- */

void info_doctor(struct info *info)
{
	struct info_doctor *d = &info->doctor;

	for (int i = 0; i < INFO_PROCESS_FINDINGS; i++)
		examine_limit(&wanted[i], &d->process[i]);
	examine_host(info);
	ipcshare__ascend_examine(&info->config, &d->ascend);
	d->done = 1;
}

static int has_failed(const struct ipcshare__finding *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (f[i].verdict == IPCSHARE__VERDICT_FAILED)
			return 1;
	return 0;
}

int info_doctor_failed(const struct info *info, const char *name)
{
	const struct info_doctor *d = &info->doctor;

	if (!d->done)
		return 0;
	return strcmp(name, "ascend") ? has_failed(d->host, d->nhost)
				      : has_failed(d->ascend.findings, ASCEND_FINDING_COUNT);
}
