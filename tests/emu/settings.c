/* SPDX-License-Identifier: BSD-3-Clause */
/* The one table of settings, and the only file that calls getenv(). README.md repeats its texts. */
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acl_abi.h"
#include "settings.h"

#define UNSET (-1000)	/* the release decides */

struct row {
	const char *name;
	size_t off;
	int64_t min, max, init;
	const char *text;	/* a string setting: its default, which may be NULL */
	int is_text;
};

#define F(field) offsetof(struct emu_settings, field)
#define NUM(name, field, init, min, max) { name, F(field), min, max, init, NULL, 0 }
#define TEXT(name, field, init) { name, F(field), 0, 0, 0, init, 1 }

static const struct row rows[] = {
	NUM("ASCENDCL_EMU_DEVICES", devices, 8, 0, 64),
	TEXT("ASCENDCL_EMU_SOC", soc, "Ascend910B3"),
	NUM("ASCENDCL_EMU_DIES", dies, UNSET, 1, 2),
	TEXT("ASCENDCL_EMU_LINKS", links, ""),
	NUM("ASCENDCL_EMU_HBM_MIB", hbm_mib, 65536, 1, 16 << 20),
	NUM("ASCENDCL_EMU_HUGE_PAGES", huge_pages, -1, -1, 1 << 23),
	TEXT("ASCENDCL_EMU_JOB", job, NULL),
	TEXT("ASCENDCL_EMU_RELEASE", release_name, NULL),
	NUM("ASCENDCL_EMU_STRICT", strict, 1, 0, 1),
	NUM("ASCENDCL_EMU_HOST_ACCESS", host_access, 0, 0, 1),
	NUM("ASCENDCL_EMU_START_RULE", start_rule, 1, 0, 1),
	NUM("ASCENDCL_EMU_LEGACY_CLOSE", legacy_close, UNSET, 0, 1),
	NUM("ASCENDCL_EMU_LEGACY_2D", legacy_2d, UNSET, 0, 2),
	NUM("ASCENDCL_EMU_IMPORT_TYPE", import_type, UNSET, 1, 3),
	NUM("ASCENDCL_EMU_LOOKUPS", lookups, UNSET, 0, 16),
	NUM("ASCENDCL_EMU_NO_FLAGS", no_flags, UNSET, 0, 1),
	NUM("ASCENDCL_EMU_VIRTUAL", is_virtual, 0, 0, 1),
	NUM("ASCENDCL_EMU_SIO_PEER", sio_peer, 0, 0, 1),
	NUM("ASCENDCL_EMU_BARE_TGID", bare_tgid, 0, -1, INT32_MAX),
	NUM("ASCENDCL_EMU_BASE_OFFSET", base_offset, 0, 0, 4032),
	NUM("ASCENDCL_EMU_POISON", poison, 65536, 0, INT64_MAX),
	NUM("ASCENDCL_EMU_MAX_KEYS", max_keys, 480000, 1, 480000),
	NUM("ASCENDCL_EMU_MAX_GRANTS", max_grants, 32768, 1, 32768),
	NUM("ASCENDCL_EMU_PEER_CAP", peer_cap, 32, 1, 32),
	NUM("ASCENDCL_EMU_NOTIFIES", notifies, 8192, 1, 8192),
	NUM("ASCENDCL_EMU_QUEUE_DEPTH", queue_depth, 2047, 8, 2047),
	NUM("ASCENDCL_EMU_STREAMS", streams, 1984, 1, 1984),
	NUM("ASCENDCL_EMU_DESTROY_MS", destroy_ms, 10000, 1, 10000),
	NUM("ASCENDCL_EMU_TASK_DELAY_US", task_delay_us, 0, 0, 60000000),
	NUM("ASCENDCL_EMU_DIE_IN_LOCK", die_in_lock, 0, 0, INT32_MAX),
	NUM("ASCENDCL_EMU_STOP_IN_LOCK", stop_in_lock, 0, 0, INT32_MAX),
	NUM("ASCENDCL_EMU_RANK", rank, -1, 0, INT32_MAX),
	TEXT("ASCENDCL_EMU_PHYSICAL", physical, NULL),
	TEXT("ASCEND_RT_VISIBLE_DEVICES", visible, NULL),
	TEXT("ASCENDCL_EMU_DELAY", delay, NULL),
	TEXT("ASCENDCL_EMU_FAIL", fail, NULL),
	TEXT("ASCENDCL_EMU_COUNTERS", counters, NULL),
	NUM("ASCENDCL_EMU_TRACE", trace, 0, 0, 1),
};

static const struct {
	const char *name;
	enum emu_release release;
} releases[] = {
	{ "8.2", EMU_8_2 }, { "8.5.0", EMU_8_5_0 }, { "9.0.0", EMU_9_0_0 },
	{ "9.1.0", EMU_9_1_0 }, { "9.2.0-beta.1", EMU_9_2_0 }, { "head", EMU_HEAD },
};

static struct emu_settings settings;
static int error;

static int complain(const char *name, const char *value)
{
	fprintf(stderr, "ascendcl-emu: %s=%s is not a value it can take\n", name, value);
	return ACL_ERROR_INVALID_PARAM;
}

static void row_read(const struct row *r)
{
	const char *value = getenv(r->name);
	char *end;
	int64_t n;

	if (r->is_text) {
		*(const char **)((char *)&settings + r->off) = value ? strdup(value) : r->text;
		return;
	}
	*(int64_t *)((char *)&settings + r->off) = r->init;
	if (!value || !*value)
		return;
	n = strtoll(value, &end, 0);
	if (*end || n < r->min || n > r->max)
		error = complain(r->name, value);
	else
		*(int64_t *)((char *)&settings + r->off) = n;
}

static int known(const char *var, size_t len)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strlen(rows[i].name) == len && !strncmp(rows[i].name, var, len))
			return 1;
	return 0;
}

/* A misspelt switch would silently test nothing. */
static void unknown_refuse(void)
{
	extern char **environ;

	for (char **v = environ; v && *v; v++)
		if (!strncmp(*v, "ASCENDCL_EMU_", 13) && !known(*v, strcspn(*v, "="))) {
			fprintf(stderr, "ascendcl-emu: unknown setting %s\n", *v);
			error = ACL_ERROR_INVALID_PARAM;
		}
}

static void release_apply(void)
{
	struct emu_settings *s = &settings;
	size_t i, n = sizeof(releases) / sizeof(releases[0]);

	if (!s->release_name || !*s->release_name)
		s->release_name = emu_built_release;
	for (i = 0; i < n && strcmp(releases[i].name, s->release_name); i++)
		;
	if (i == n) {
		error = complain("ASCENDCL_EMU_RELEASE", s->release_name);
		i = n - 1;
	}
	s->release = releases[i].release;
	if (s->legacy_close == UNSET)
		s->legacy_close = s->release < EMU_HEAD;
	if (s->legacy_2d == UNSET)	/* bit 0: width 0 refused; 2: kind 3 refused as well */
		s->legacy_2d = s->release < EMU_9_0_0 ? 2 : s->release < EMU_9_1_0;
	if (s->import_type == UNSET)
		s->import_type = s->release == EMU_9_1_0 || s->release == EMU_HEAD ? 1 : 3;
	if (s->lookups == UNSET)
		s->lookups = s->release < EMU_9_1_0 ? 1 : 3;
	if (s->no_flags == UNSET)
		s->no_flags = s->release < EMU_8_5_0;
}

/* An MPI launcher tells a process its rank; ASCENDCL_EMU_FAIL can name one. */
static void rank_find(void)
{
	static const char *const vars[] = {
		"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID",
	};

	for (size_t i = 0; settings.rank < 0 && i < sizeof(vars) / sizeof(vars[0]); i++)
		if (getenv(vars[i]))
			settings.rank = atoll(getenv(vars[i]));
}

static void settings_load(void)
{
	static char uid[16];

	error = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		row_read(&rows[i]);
	unknown_refuse();
	release_apply();
	rank_find();
	if (settings.import_type == 2)
		error = complain("ASCENDCL_EMU_IMPORT_TYPE", "2");
	if (settings.base_offset % 64)
		error = complain("ASCENDCL_EMU_BASE_OFFSET", "not a multiple of 64");
	if (settings.dies == UNSET)
		settings.dies = strncmp(settings.soc, "Ascend910_93", 12) ? 1 : 2;
	if (!settings.job || !*settings.job) {
		snprintf(uid, sizeof(uid), "%u", (unsigned)getuid());
		settings.job = uid;
	}
	if (strlen(settings.job) > 64)
		error = complain("ASCENDCL_EMU_JOB", "a name of more than 64 characters");
}

const struct emu_settings *emu_settings(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, settings_load);
	return &settings;
}

int emu_settings_error(void)
{
	emu_settings();
	return error;
}
