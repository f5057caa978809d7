/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare-bench resolve: ipcshare_ptr() in random order against an array of pointers for each rank, as a
 * program would have it that did without the library.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipcshare.h>
#include <mpi.h>

#include "bench.h"
#include "cells.h"
#include "clock.h"
#include "figure.h"
#include "options.h"
#include "progress.h"
#include "report.h"
#include "stats.h"
#include "word.h"

#define CELL 64
#define LOOKUPS ((size_t)1 << 18)	/* of a round */

/* X(id, name). The first is what the others are compared with. */
#define RESOLVE_WAYS(X)                                                                            \
	X(ARRAY, "array")                                                                          \
	X(CHECKED, "checked array")	/* beside each row its length, and it is looked at */      \
	X(PTR, "ipcshare_ptr")                                                                     \
	X(TABLE, "ipcshare_table")	/* without a check of the index */

enum resolve_way {
#define RESOLVE_WAY_ENUM(id, name) RESOLVE_WAY_##id,
	RESOLVE_WAYS(RESOLVE_WAY_ENUM)
#undef RESOLVE_WAY_ENUM
	RESOLVE_NWAYS
};

static const char *const names[] = {
#define RESOLVE_WAY_NAME(id, name) name,
	RESOLVE_WAYS(RESOLVE_WAY_NAME)
#undef RESOLVE_WAY_NAME
};
/* Many at once, or each when the one before it is there. */
enum resolve_flow {
	RESOLVE_FLOW_MANY,
	RESOLVE_FLOW_CHAIN,
	RESOLVE_NFLOWS
};
static const char *const flow_names[] = { "many at once", "one by one" };

struct checked_row {
	void *const *ptr;
	size_t count;
};

struct which {
	uint32_t rank, index;
};

struct resolve {
	uint64_t buffers, rounds;
	int spoil;
	struct team team;
	struct cells cells;
	struct ipcshare_buf *bufs;
	struct ipcshare_set *set;
	void ***array;		/* [rank][index] */
	struct checked_row *checked;	/* the same */
	struct which *order;	/* LOOKUPS of them */
	uintptr_t all;		/* the sum of their pointers */
	double *seconds[RESOLVE_NFLOWS][RESOLVE_NWAYS];
	char why[TEAM_TEXT];
};

static void *take(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	return p;
}

/* ---- What is timed: all pointers, summed up so that none is left out ------------------------- */

/* One by one: nobody but us knows that @zero is 0, so the rank depends on the pointer before. */
#define FOLDS(name, type, from, at)                                                                \
	__attribute__((noinline)) static uintptr_t name##_many(type from, int nranks,              \
							       const struct which *order)          \
	{                                                                                          \
		uintptr_t all = 0;                                                                 \
                                                                                                   \
		for (size_t k = 0; k < LOOKUPS; k++)                                               \
			all += (uintptr_t)at(from, nranks, (int)order[k].rank, order[k].index);    \
		return all;                                                                        \
	}                                                                                          \
	__attribute__((noinline)) static uintptr_t name##_chain(type from, int nranks,             \
								const struct which *order)         \
	{                                                                                          \
		uintptr_t all = 0, last = 0, zero = 0;                                             \
                                                                                                   \
		__asm__("" : "+r"(zero));                                                          \
		for (size_t k = 0; k < LOOKUPS; k++) {                                             \
			last = (uintptr_t)at(from, nranks,                                         \
					     (int)(order[k].rank + (uint32_t)(last & zero)),       \
					     order[k].index);                                      \
			all += last;                                                               \
		}                                                                                  \
		return all;                                                                        \
	}

static inline void *array_at(void **const *array, int nranks, int rank, size_t i)
{
	(void)nranks;
	return array[rank][i];
}

static inline void *checked_at(const struct checked_row *rows, int nranks, int rank, size_t i)
{
	return rank < 0 || rank >= nranks || i >= rows[rank].count ? NULL : rows[rank].ptr[i];
}

static inline void *ptr_at(const struct ipcshare_set *set, int nranks, int rank, size_t i)
{
	(void)nranks;
	return ipcshare_ptr(set, rank, i);
}

static inline void *table_at(const struct ipcshare_set *set, int nranks, int rank, size_t i)
{
	(void)nranks;
	return ipcshare_table(set, rank)->ptr[i];
}

FOLDS(array, void **const *, array, array_at)
FOLDS(checked, const struct checked_row *, rows, checked_at)
FOLDS(ptr, const struct ipcshare_set *, set, ptr_at)
FOLDS(table, const struct ipcshare_set *, set, table_at)

static uintptr_t fold(const struct resolve *r, enum resolve_flow flow, enum resolve_way way)
{
	const int n = r->team.npeers, many = flow == RESOLVE_FLOW_MANY;

	switch (way) {
	case RESOLVE_WAY_ARRAY: return (many ? array_many : array_chain)(r->array, n, r->order);
	case RESOLVE_WAY_CHECKED:
		return (many ? checked_many : checked_chain)(r->checked, n, r->order);
	case RESOLVE_WAY_PTR: return (many ? ptr_many : ptr_chain)(r->set, n, r->order);
	default: return (many ? table_many : table_chain)(r->set, n, r->order);
	}
}

/* The first time brings its tables back into the caches, which the ways before it have used. */
static int timed(struct resolve *r, enum resolve_flow flow, enum resolve_way way, double *out)
{
	const uintptr_t first = fold(r, flow, way);
	const double start = now_on_core();
	const uintptr_t all = fold(r, flow, way);

	*out = (now_on_core() - start) / (double)LOOKUPS;
	if (all == r->all && first == r->all)
		return 0;
	snprintf(r->why, sizeof(r->why), "%s, %s, gave something else than before", names[way],
		 flow_names[flow]);
	return -1;
}

/* Another way comes first each time. */
static int measure(struct resolve *r)
{
	int err = 0;

	for (uint64_t round = 0; round < r->rounds && !err; round++) {
		for (int flow = 0; flow < RESOLVE_NFLOWS; flow++)
			for (int k = 0; k < RESOLVE_NWAYS && !err; k++) {
				const int way = (int)((round + (uint64_t)k) % RESOLVE_NWAYS);

				err = timed(r, (enum resolve_flow)flow, (enum resolve_way)way,
					    &r->seconds[flow][way][round]);
			}
		progress_add(1);
	}
	return err;
}

/* ---- Before --------------------------------------------------------------------------------- */

static int share(struct resolve *r)
{
	const unsigned serial = 1;
	int err = cells_alloc(&r->cells, r->team.ctx);

	for (size_t i = 0; i < r->cells.n && !err; i++)
		r->bufs[i] = (struct ipcshare_buf){ r->cells.at[i], CELL };
	if (team_verdict(err ? team_explain("alloc", r->why) : NULL))
		return -1;
	for (size_t i = 0; i < r->cells.n && r->team.direct; i++)
		word_write(&r->team, r->bufs[i].ptr, i, serial, r->why);
	if (r->spoil && r->team.direct && r->team.peer == r->team.npeers - 1)
		*(unsigned char *)r->bufs[r->cells.n - 1].ptr ^= 1;
	err = ipcshare_share(r->team.group, r->bufs, r->cells.n, IPCSHARE_ALL_OR_NOTHING, &r->set);
	if (team_verdict(err ? team_explain("share", r->why) : NULL))
		return -1;
	for (int rank = 0; rank < r->team.npeers; rank++)
		for (size_t i = 0; i < r->cells.n && r->team.direct && !err; i++)
			err = word_check(&r->team, ipcshare_ptr(r->set, rank, i), rank, i, serial,
					 r->why);
	return team_verdict(err ? r->why : NULL);
}

static void prepare(struct resolve *r)
{
	const size_t npeers = (size_t)r->team.npeers, n = r->cells.n;
	uint64_t state = 42;

	for (size_t rank = 0; rank < npeers; rank++) {
		r->array[rank] = take(n, sizeof(void *));
		for (size_t i = 0; i < n; i++)
			r->array[rank][i] = ipcshare_ptr(r->set, (int)rank, i);
		r->checked[rank] = (struct checked_row){ r->array[rank], n };
	}
	for (size_t k = 0; k < LOOKUPS; k++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		r->order[k].rank = (uint32_t)((state >> 33) % npeers);
		state = state * 6364136223846793005u + 1442695040888963407u;
		r->order[k].index = (uint32_t)((state >> 33) % n);
		r->all += (uintptr_t)r->array[r->order[k].rank][r->order[k].index];
	}
}

static int end(struct resolve *r)
{
	int err = ipcshare_set_free(r->set);

	if (!err)
		err = cells_free(&r->cells);
	return team_verdict(err ? team_explain("free", r->why) : NULL);
}

/* ---- Show ----------------------------------------------------------------------------------- */

static void show_one(const struct resolve *r, int flow, int way, FILE *json)
{
	const double *array = r->seconds[flow][RESOLVE_WAY_ARRAY], *seconds = r->seconds[flow][way];
	const unsigned n = (unsigned)r->rounds;
	const struct figure f = {
		.bench = "resolve", .workload = flow_names[flow], .order = "random",
		.things = "buffers", .count = r->cells.n, .rounds = n, .stage = names[way],
		.metric = "time_per_pointer", .unit = "s", .value = middle_of(seconds, n),
		.baseline = way == RESOLVE_WAY_ARRAY ? NULL : names[RESOLVE_WAY_ARRAY],
		.baseline_value = middle_of(array, n).median,
		.ratio = middle_of_ratios(seconds, array, n),
	};
	char text[REPORT_TEXT];

	printf(" %12s", report_time(f.value.median, text));
	if (f.baseline)
		printf(" %6.3f %5.3f", f.ratio.median, f.ratio.median * f.ratio.spread);
	else
		printf(" %6s %5s", "", "");
	if (json)
		figure_json(json, &r->team, &f);
}

static void show(const struct resolve *r, FILE *json)
{
	progress_clear();
	printf("time on a core for a pointer, median of the rounds; x is that of the rounds' ratios to "
	       "the array,\n+- their middle half\n\n  %-14s", "");
	for (int flow = 0; flow < RESOLVE_NFLOWS; flow++)
		printf(" %12s %6s %5s", flow_names[flow], "x", "+-");
	for (int way = 0; way < RESOLVE_NWAYS; way++) {
		printf("\n  %-14s", names[way]);
		for (int flow = 0; flow < RESOLVE_NFLOWS; flow++)
			show_one(r, flow, way, json);
	}
	putchar('\n');
}

static int run_team(struct resolve *r, FILE *json)
{
	int err = share(r);

	if (err)
		return err;
	prepare(r);
	progress_stage("resolve", "rounds", r->rounds);
	if (r->team.rank == 0)
		err = measure(r);
	if (team_verdict(err ? r->why : NULL))
		return -1;
	if (r->team.rank == 0) {
		show(r, json);
		printf("\nverified: %s, and the pointers of every round, %d ranks\n",
		       r->team.direct ? "a word of every buffer" : "all buffers were shared",
		       r->team.size);
	}
	return end(r);
}

static int run(void *bench, int no_progress, FILE *json)
{
	struct resolve *r = bench;
	int err;

	if (team_open(&r->team))
		return -1;
	if (cells_new(&r->cells, r->buffers, CELL))
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	r->bufs = take(r->buffers, sizeof(*r->bufs));
	r->array = take((size_t)r->team.npeers, sizeof(*r->array));
	r->checked = take((size_t)r->team.npeers, sizeof(*r->checked));
	r->order = take(LOOKUPS, sizeof(*r->order));
	for (int k = 0; k < RESOLVE_NFLOWS * RESOLVE_NWAYS; k++)
		r->seconds[k / RESOLVE_NWAYS][k % RESOLVE_NWAYS] = take(r->rounds, sizeof(double));
	if (r->team.rank == 0) {
		printf("ipcshare-bench resolve %s: %s backend, %ju buffers of each of %d ranks, in "
		       "random order\n", ipcshare_version(), r->team.backend,
		       (uintmax_t)r->buffers, r->team.npeers);
		if (!no_progress)
			progress_open();
	}
	err = run_team(r, json);
	progress_close();
	for (int rank = 0; rank < r->team.npeers; rank++)
		free(r->array[rank]);
	for (int k = 0; k < RESOLVE_NFLOWS * RESOLVE_NWAYS; k++)
		free(r->seconds[k / RESOLVE_NWAYS][k % RESOLVE_NWAYS]);
	free(r->array);
	free(r->checked);
	free(r->order);
	free(r->bufs);
	cells_drop(&r->cells);
	return team_close(&r->team, err) || err ? -1 : 0;
}

int bench_resolve(int argc, char **argv)
{
	struct resolve r = { .buffers = 100000, .rounds = 31 };
	const struct option_row rows[] = {
		{ .name = "buffers", .kind = OPTION_NUMBER, .to = &r.buffers, .value = "N",
		  .help = "of each rank; default 100000", .min = 1, .max = 10000000,
		  .expected = "a number from 1 to 10000000" },
		{ .name = "rounds", .kind = OPTION_NUMBER, .to = &r.rounds, .value = "K",
		  .help = "how often each is timed; default 31", .min = 1, .max = 10000,
		  .expected = "a number from 1 to 10000" },
		{ .name = "spoil", .kind = OPTION_FLAG, .to = &r.spoil,
		  .help = "the last rank flips a bit in what it shares: is it found?" },
	};
	struct options o = {
		.command = "resolve",
		.text = "Take pointers to buffers of all ranks, in random order, by ipcshare_ptr() "
			"and from\nan array of pointers for each rank.",
		.rows = rows,
		.n = sizeof(rows) / sizeof(rows[0]),
	};
	int code;

	if (options_parse(&o, argc, argv, &code))
		return code;
	return report_run(&o, run, &r);
}
