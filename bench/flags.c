/* SPDX-License-Identifier: BSD-3-Clause */
#include "flags.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* Ranks that have cores of their own gain nothing from giving them away, but for others' sake. */
#define PATIENCE 20000
#define PATIENCE_CROWDED 20

static void count_cores(struct flags *f)
{
	cpu_set_t mine, all;
	int count, sum;

	CPU_ZERO(&mine);
	sched_getaffinity(0, sizeof(mine), &mine);
	count = CPU_COUNT(&mine);
	MPI_Allreduce(&mine, &all, sizeof(mine), MPI_BYTE, MPI_BOR, MPI_COMM_WORLD);
	MPI_Allreduce(&count, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
	f->cores = CPU_COUNT(&all);
	f->apart = sum == f->cores;
	f->patience = f->n > f->cores ? PATIENCE_CROWDED : PATIENCE;
}

int flags_open(struct flags *f, const struct team *team)
{
	struct ipcshare_buf buf;
	char why[TEAM_TEXT];
	int err;

	*f = (struct flags){ .me = team->peer, .n = team->npeers };
	count_cores(f);
	f->of = calloc((size_t)f->n, sizeof(*f->of));
	if (team_verdict(f->of ? NULL : "out of memory"))
		return -1;
	err = ipcshare_alloc(team->ctx, sizeof(*f->mine), (void **)&f->mine);
	if (team_verdict(err ? team_explain("alloc", why) : NULL))
		return -1;
	buf = (struct ipcshare_buf){ f->mine, sizeof(*f->mine) };
	err = ipcshare_share(team->group, &buf, 1, IPCSHARE_ALL_OR_NOTHING, &f->set);
	if (team_verdict(err ? team_explain("share", why) : NULL))
		return -1;
	for (int r = 0; r < f->n; r++)
		f->of[r] = ipcshare_ptr(f->set, r, 0);
	return 0;
}

int flags_close(struct flags *f, const struct team *team, int failed)
{
	char why[TEAM_TEXT];
	int err;

	free(f->of);
	if (failed)
		return -1;
	err = ipcshare_set_free(f->set);
	if (!err)
		err = ipcshare_free(team->ctx, f->mine);
	return team_verdict(err ? team_explain("free", why) : NULL);
}

static void meet(struct flags *f)
{
	const uint64_t serial = ++f->meetings;
	unsigned looks = 0;

	/* What this rank has written before is seen by whoever sees the word. */
	atomic_store_explicit(&f->mine->met, serial, memory_order_release);
	for (int r = 0; r < f->n; r++)
		while (atomic_load_explicit(&f->of[r]->met, memory_order_acquire) < serial)
			if (++looks > f->patience)
				sched_yield();
}

void flags_meet(struct flags *f, unsigned n)
{
	while (n--)
		meet(f);
}

void flags_come(struct flags *f)
{
	atomic_store_explicit(&f->mine->came, ++f->comings, memory_order_release);
}

int flags_missing(const struct flags *f)
{
	for (int r = 0; r < f->n; r++)
		if (atomic_load_explicit(&f->of[r]->came, memory_order_acquire) < f->comings)
			return r;
	return -1;
}
