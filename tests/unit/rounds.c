/* SPDX-License-Identifier: BSD-3-Clause */
#include "rounds.h"

static struct rounds *watched;
static int doubting;

void rounds_watch(struct rounds *rounds)
{
	watched = rounds;
}

static void call(void (*fn)(struct ipcshare_group *, void *), struct ipcshare_group *g)
{
	if (fn && watched->posted == watched->special)
		fn(g, watched->arg);
}

void __real_ipcshare__board_post(struct ipcshare_group *g);
int __real_ipcshare__board_wait(struct ipcshare_group *g);
void __wrap_ipcshare__board_post(struct ipcshare_group *g);
int __wrap_ipcshare__board_wait(struct ipcshare_group *g);

void __wrap_ipcshare__board_post(struct ipcshare_group *g)
{
	if (watched) {
		watched->posted++;
		call(watched->before_post, g);
	}
	__real_ipcshare__board_post(g);
}

int __wrap_ipcshare__board_wait(struct ipcshare_group *g)
{
	int err;

	if (watched)
		call(watched->before_wait, g);
	err = __real_ipcshare__board_wait(g);
	if (watched && !err)
		call(watched->after, g);
	return err;
}

int __real_ipcshare__verdict_doubt(struct ipcshare_group *g, int err, const struct ipcshare_error *before);
int __real_ipcshare__board_late(const struct ipcshare_group *g, int rank);
int __wrap_ipcshare__verdict_doubt(struct ipcshare_group *g, int err, const struct ipcshare_error *before);
int __wrap_ipcshare__board_late(const struct ipcshare_group *g, int rank);

int __wrap_ipcshare__verdict_doubt(struct ipcshare_group *g, int err, const struct ipcshare_error *before)
{
	if (watched)
		call(watched->before_doubt, g);
	doubting = 1;
	err = __real_ipcshare__verdict_doubt(g, err, before);
	doubting = 0;
	return err;
}

int __wrap_ipcshare__board_late(const struct ipcshare_group *g, int rank)
{
	int late = __real_ipcshare__board_late(g, rank);

	if (watched && doubting)
		call(watched->in_doubt, (struct ipcshare_group *)g);
	return late;
}
