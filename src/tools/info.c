/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/info.h"

#include <ctype.h>
#include <dirent.h>
#include <ipcshare.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backend/backend.h"

/* ---- Settings ---- */

/* Single-character changes that make @b of @a; case doesn't count. */
static size_t distance(const char *a, const char *b)
{
	size_t row[128], la = strlen(a), lb = strlen(b);

	if (la >= 128 || lb >= 128)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t change = diagonal + (toupper((unsigned char)a[i - 1]) != b[j - 1]);
			size_t shift = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);

			diagonal = row[j];
			row[j] = change < shift ? change : shift;
		}
	}
	return row[lb];
}

/* @name and @known without what all variables begin with: a typo, or one begins with the other. */
static int is_close(const char *name, const char *known)
{
	size_t ln = strlen(name), lk = strlen(known), shorter = ln < lk ? ln : lk;

	return distance(name, known) <= (lk + 2) / 3 ||
	       (shorter >= 3 && !strncasecmp(name, known, shorter));
}

static const char *nearest(const struct info *info, const char *name)
{
	const size_t prefix = strlen("IPCSHARE_");
	size_t least = SIZE_MAX;
	const char *best = NULL;

	for (size_t i = 0; i < info->nsettings; i++) {
		const char *known = info->settings[i].what->name;
		size_t d = distance(name + prefix, known + prefix);

		if (d < least && is_close(name + prefix, known + prefix)) {
			least = d;
			best = known;
		}
	}
	return best;
}

static void add_unknown(const char *name, void *arg)
{
	struct info *info = arg;
	struct info_unknown *more;

	more = realloc(info->unknown, (info->nunknown + 1) * sizeof(*more));
	if (!more)
		return;
	info->unknown = more;
	more += info->nunknown++;
	snprintf(more->name, sizeof(more->name), "%s", name);
	more->nearest = nearest(info, name);
}

static void note_bad(struct info *info, struct info_setting *s)
{
	s->from_environment = 1;
	snprintf(s->value, sizeof(s->value), "%s", ipcshare__config_raw(s->what->name));
	snprintf(s->problem, sizeof(s->problem), "%s (%s)", ipcshare_last_error()->text,
		 ipcshare_last_error()->hint);
	info->nbad++;
}

void info_settings(struct info *info)
{
	const struct ipcshare__setting *table = ipcshare__settings(&info->nsettings);
	struct ipcshare__config *config = &info->config;

	if (info->nsettings > INFO_SETTINGS_MAX)
		info->nsettings = INFO_SETTINGS_MAX;
	for (size_t i = 0; i < info->nsettings; i++)
		info->settings[i].what = &table[i];
	for (size_t i = 0; i < info->nsettings; i++) {
		struct info_setting *s = &info->settings[i];

		if (ipcshare__config_read(config, s->what))
			note_bad(info, s);
		else
			ipcshare__config_value(config, s->what, s->value, sizeof(s->value),
					       &s->from_environment);
		info->nset += s->from_environment != 0;
	}
	ipcshare__config_unknown(add_unknown, info);
}

/* ---- The machine ---- */

static void gather_backends(struct info *info)
{
	for (int i = 0; i < INFO_BACKENDS_MAX && ipcshare__backends[i]; i++) {
		const struct ipcshare__backend_ops *ops = ipcshare__backends[i];
		struct info_backend *b = &info->backends[info->nbackends++];

		b->name = ops->name;
		b->text = ops->text;
		b->chosen = !strcmp(info->config.backend, ops->name);
		b->usable = ops->probe(&info->config) == 0;
		if (!b->usable)
			snprintf(b->problem, sizeof(b->problem), "%s", ipcshare_explain());
		else if (ops->id == IPCSHARE__BACKEND_ASCEND)
			ipcshare__ascend_soc_text(&info->config, b->device, sizeof(b->device));
	}
}

/* The only proof that a context opens is to open one. */
static void try_open(struct info *info)
{
	struct ipcshare_ctx *ctx;

	for (size_t i = 0; i < info->nsettings; i++)
		if (info->settings[i].problem[0] && !info->open_problem[0])
			snprintf(info->open_problem, sizeof(info->open_problem), "%s",
				 info->settings[i].problem);
	if (info->open_problem[0])
		return;
	if (ipcshare_open(NULL, &ctx))
		snprintf(info->open_problem, sizeof(info->open_problem), "%s", ipcshare_explain());
	else
		ipcshare_close(ctx);
}

/* By the kernel's word: this program is not linked with libibverbs. */
static void gather_rdma(struct info *info)
{
	struct dirent **entries;
	int n = scandir("/sys/class/infiniband", &entries, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;

		if (name[0] != '.' && info->nrdma < INFO_RDMA_MAX)
			snprintf(info->rdma[info->nrdma++], sizeof(info->rdma[0]), "%.63s", name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

void info_machine(struct info *info)
{
	uname(&info->kernel);
	gather_backends(info);
	try_open(info);
	gather_rdma(info);
	for (int i = 0; i < IPCSHARE__FEATURES; i++)
		ipcshare__feature_probe((enum ipcshare__feature_id)i, &info->features[i]);
	for (int i = 0; i < IPCSHARE__LIMITS; i++)
		ipcshare__limit_read((enum ipcshare__limit_id)i, &info->limits[i]);
}

int info_is_bad(const struct info *info)
{
	return info->nbad || info->open_problem[0] ||
	       info_doctor_failed(info, info->config.backend);
}

void info_free(struct info *info)
{
	if (info->doctor.done)
		ipcshare__ascend_examined(&info->doctor.ascend);
	free(info->unknown);
}
