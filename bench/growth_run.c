/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each try takes a context and a group of its own, so that nothing is kept from before: all that is
 * held, mapped and open afterwards is from it.
 */
#include "growth_run.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipcshare_coll.h>
#include <mpi.h>

#include "bench.h"
#include "clock.h"
#include "footprint.h"
#include "team.h"

#define TRIES 3
#define ROUNDS 100	/* in a row, timed as one */
#define REPEATS 5	/* of what is short: the least counts */
#define COPIES 3
#define LEN ((size_t)64)	/* of a buffer */
#define WAIT_MS 10000	/* for a broker to see that a client has gone */

static const struct growth_shape shapes[] = {
#define SHAPE(id, b, r) { .nodes = 1, .buffers = (b), .regions = (r), .bytes = GROWTH_SHARE_BYTES },
	GROWTH_SHARES(SHAPE)
#undef SHAPE
};

struct growth_shape growth_shape_of(enum growth_share share, int ranks)
{
	struct growth_shape shape = shapes[share];

	shape.ranks = ranks;
	return shape;
}

struct try {
	MPI_Comm comm;
	int rank, n;
	enum growth_share share;
	double files_wanted;	/* negative: no matter */
	struct growth_sample *out;
	struct growth_shared *shared;
	struct ipcshare_ctx *ctx;
	struct ipcshare_group *group;
	struct ipcshare_set *set;
	size_t nregions, nbufs;
	void **regions;
	struct ipcshare_buf *bufs;
	double files;	/* before */
	char why[TEAM_TEXT];
};

/* Did it go well on all ranks of the try? Else no rank goes on. */
static int agreed(struct try *t, int err, const char *what)
{
	int bad = !!err, any;

	if (err)
		team_explain(what, t->why);
	MPI_Allreduce(&bad, &any, 1, MPI_INT, MPI_MAX, t->comm);
	return any ? -1 : 0;
}

/* ---- What the process has ------------------------------------------------------------------- */

static double open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	double n = -1;	/* that of the list itself */

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* None is there before a try. */
static void count_maps(struct growth_shared *s)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long first, end;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "/memfd:ipcshare") && sscanf(line, "%lx-%lx", &first, &end) == 2) {
			s->maps++;
			s->maps_bytes += (double)(end - first);
		}
	if (f)
		fclose(f);
}

/* A broker closes a client's line when it next looks. */
static double settled_files(const struct try *t)
{
	double n = open_files() - t->files;

	for (int ms = 0; t->files_wanted >= 0 && n != t->files_wanted && ms < WAIT_MS; ms++) {
		poll(NULL, 0, 1);
		n = open_files() - t->files;
	}
	return n;
}

/* ---- The steps ------------------------------------------------------------------------------ */

static int allgather(void *arg, struct ipcshare_wait *wait, const void *mine, size_t len, void *all)
{
	(void)wait;
	return MPI_Allgather(mine, (int)len, MPI_BYTE, all, (int)len, MPI_BYTE, *(MPI_Comm *)arg);
}

static void keep_least(double *least, double value, int k)
{
	*least = k && *least < value ? *least : value;
}

static int make_group(struct try *t)
{
	const struct ipcshare_bootstrap bootstrap = {
		.size = sizeof(bootstrap), .arg = &t->comm, .rank = t->rank, .nranks = t->n,
		.allgather = allgather,
	};
	struct footprint before = footprint_now(), after;
	double start;
	int err;

	MPI_Barrier(t->comm);
	start = now();
	err = ipcshare_group_create(t->ctx, &bootstrap, &t->group);
	keep_least(&t->out->create, now() - start, t->share != GROWTH_SHARE_ONE);
	after = footprint_now();
	keep_least(&t->out->group, (double)footprint_growth(&before, &after),
		   t->share != GROWTH_SHARE_ONE);
	return agreed(t, err, "group");
}

static int time_rounds(struct try *t)
{
	double start;
	int err = 0;

	for (int k = 0; k < REPEATS && !err; k++) {
		MPI_Barrier(t->comm);
		start = now();
		for (int i = 0; i < ROUNDS && !err; i++)
			err = ipcshare_barrier(t->group);
		keep_least(&t->out->round, (now() - start) / ROUNDS, k);
	}
	return agreed(t, err, "barrier");
}

/* Side by side in turns of two, and in turns from all regions: no three at one distance. */
static int take_memory(struct try *t)
{
	const size_t len = GROWTH_SHARE_BYTES / t->nregions;
	int err = 0;

	for (size_t r = 0; r < t->nregions && !err; r++)
		err = ipcshare_alloc(t->ctx, len, &t->regions[r]);
	for (size_t i = 0; i < t->nbufs && !err; i++) {
		const size_t at = t->nbufs % 2 ? i : i ^ 1;

		t->bufs[i] = (struct ipcshare_buf){
			(char *)t->regions[at % t->nregions] + at / t->nregions * LEN, LEN,
		};
	}
	return agreed(t, err, "alloc");
}

static int share_first(struct try *t)
{
	struct ipcshare_counters before = { .size = sizeof(before) }, after = before;
	struct footprint held = footprint_now(), holds;
	double start;
	int err;

	ipcshare_counters(t->ctx, &before);
	MPI_Barrier(t->comm);
	start = now();
	err = ipcshare_share(t->group, t->bufs, t->nbufs, IPCSHARE_ALL_OR_NOTHING, &t->set);
	t->shared->first = now() - start;
	holds = footprint_now();
	ipcshare_counters(t->ctx, &after);
	t->shared->set = (double)footprint_growth(&held, &holds);
	for (int k = 0; k < IPCSHARE_CALLS; k++) {
		t->shared->calls[k] = (double)(after.calls[k] - before.calls[k]);
		t->shared->call_time[k] = 1e-9 * (double)(after.call_ns[k] - before.call_ns[k]);
	}
	t->shared->mapped = (double)after.bytes_mapped;
	return agreed(t, err, "share");
}

/* What is there now; a blob that is carried names all regions, as that of a first share does. */
static int count(struct try *t)
{
	struct ipcshare_share *share;
	const void *blob;
	size_t len = 0;
	int err = ipcshare_share_begin(t->group, t->bufs, t->nbufs, 0, &share, &blob, &len);

	if (!err)
		err = ipcshare_share_cancel(share);
	t->shared->blob = (double)len;
	count_maps(t->shared);
	t->shared->files = settled_files(t);
	return agreed(t, err, "share");
}

static int share_again(struct try *t)
{
	double start;
	int err = 0;

	for (int k = 0; k < REPEATS && !err; k++) {
		err = ipcshare_set_free(t->set);
		MPI_Barrier(t->comm);
		start = now();
		if (!err)
			err = ipcshare_share(t->group, t->bufs, t->nbufs, IPCSHARE_ALL_OR_NOTHING,
					     &t->set);
		keep_least(&t->shared->again, now() - start, k);
	}
	return agreed(t, err, "share");
}

/* All of the next rank's region, by all ranks at once; the first time finds the pages. */
static int time_copies(struct try *t)
{
	char *to = malloc(GROWTH_SHARE_BYTES);
	const void *from = ipcshare_ptr(t->set, (t->rank + 1) % t->n, 0);
	double start = 0;
	int err = 0;

	if (!to)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	for (int i = 0; i <= COPIES && !err; i++) {
		err = ipcshare_copy(t->ctx, to, from, GROWTH_SHARE_BYTES);
		if (i == 0) {
			MPI_Barrier(t->comm);
			start = now();
		}
	}
	t->out->copy = (now() - start) / COPIES / (double)GROWTH_SHARE_BYTES;
	free(to);
	return agreed(t, err, "copy");
}

/* ---- A try ---------------------------------------------------------------------------------- */

static int open_context(struct try *t)
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;
	char mine[256] = "", *all = malloc(sizeof(mine) * (size_t)t->n);

	if (!all)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	/* What MPI takes once, it has then. */
	MPI_Allgather(mine, sizeof(mine), MPI_BYTE, all, sizeof(mine), MPI_BYTE, t->comm);
	free(all);
	t->files = open_files();
	options.device = t->rank;
	return agreed(t, ipcshare_open(&options, &t->ctx), "open");
}

static int close_context(struct try *t, int err)
{
	if (err) {
		if (t->ctx)
			ipcshare_abandon(t->ctx);
		return -1;
	}
	if (agreed(t, ipcshare_set_free(t->set), "set free") ||
	    agreed(t, ipcshare_group_free(t->group), "group free"))
		return close_context(t, -1);
	return agreed(t, ipcshare_close(t->ctx), "close");
}

static int do_steps(struct try *t)
{
	int err = open_context(t) || make_group(t) || take_memory(t) || share_first(t) || count(t) ||
		  share_again(t);

	if (!err && t->share == GROWTH_SHARE_ONE)
		err = time_rounds(t) || (t->n > 1 && time_copies(t));
	return close_context(t, err ? -1 : 0);
}

static int try_share(struct try *t, enum growth_share share, const double *files)
{
	int err;

	t->share = share;
	t->shared = &t->out->of[share];
	t->files_wanted = files ? files[share] : -1;
	t->nregions = (size_t)shapes[share].regions;
	t->nbufs = (size_t)shapes[share].buffers;
	t->ctx = NULL;
	t->regions = calloc(t->nregions, sizeof(*t->regions));
	t->bufs = calloc(t->nbufs, sizeof(*t->bufs));
	if (!t->regions || !t->bufs)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	err = do_steps(t);
	free(t->regions);
	free(t->bufs);
	return err;
}

/* ---- All of them ---------------------------------------------------------------------------- */

#define FIGURES (sizeof(struct growth_sample) / sizeof(double))

/* Each figure by itself: of the rank with the most, the least of the tries. */
static void summarise(struct growth_sample *tries, struct growth_sample *out)
{
	double *figure = (double *)tries;

	MPI_Allreduce(MPI_IN_PLACE, figure, (int)(TRIES * FIGURES), MPI_DOUBLE, MPI_MAX,
		      MPI_COMM_WORLD);
	*out = tries[0];
	for (size_t i = FIGURES; i < TRIES * FIGURES; i++)
		if (figure[i] < ((double *)out)[i % FIGURES])
			((double *)out)[i % FIGURES] = figure[i];
}

int growth_sample(int ranks, int full, const double *files, struct growth_sample *out)
{
	struct growth_sample tries[TRIES] = { { .group = 0 } };
	struct try t = { .n = ranks };
	int err = 0;

	t.rank = team_rank();
	MPI_Comm_split(MPI_COMM_WORLD, t.rank < ranks ? 0 : MPI_UNDEFINED, t.rank, &t.comm);
	for (int i = 0; i < TRIES && t.rank < ranks && !err; i++) {
		t.out = &tries[i];
		for (int share = 0; share < GROWTH_NSHARES && !err; share++)
			if (full || share == GROWTH_SHARE_ONE || share == GROWTH_SHARE_BOTH)
				err = try_share(&t, (enum growth_share)share, files);
	}
	err = team_verdict(!err ? NULL : *t.why ? t.why : "stopped, as another rank failed");
	if (!err)
		summarise(tries, out);
	if (t.comm != MPI_COMM_NULL)
		MPI_Comm_free(&t.comm);
	return err;
}
