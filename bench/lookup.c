/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare-bench lookup: from an address to the allocation that holds it, among few and many, and by a
 * binary search in a sorted array, as a program would have it whose allocations never change.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipcshare.h>
#include <mpi.h>

#include "bench.h"
#include "clock.h"
#include "figure.h"
#include "options.h"
#include "progress.h"
#include "regions.h"
#include "report.h"
#include "stats.h"

#define FEW 10
#define LOOKUPS ((size_t)1 << 16)	/* of a round */
#define WARM ((size_t)1 << 10)

/* X(id, name) */
#define LOOKUP_WAYS(X)                                                                             \
	X(FEW, "find in 10")                                                                       \
	X(FIND, "find")                                                                            \
	X(WARM, "find again")	/* among as many, but the same WARM addresses over and over */     \
	X(SEARCH, "sorted array")

enum lookup_way {
#define LOOKUP_WAY_ENUM(id, name) LOOKUP_WAY_##id,
	LOOKUP_WAYS(LOOKUP_WAY_ENUM)
#undef LOOKUP_WAY_ENUM
	LOOKUP_NWAYS
};

static const char *const names[] = {
#define LOOKUP_WAY_NAME(id, name) name,
	LOOKUP_WAYS(LOOKUP_WAY_NAME)
#undef LOOKUP_WAY_NAME
};

/* Addresses that are looked up in regions, and where each should be found. */
struct places {
	struct regions *regions;
	const char **address;
	uintptr_t *sorted;	/* where each region begins */
	uintptr_t all;		/* sum of the begins of the regions of all addresses ... */
	uintptr_t warm;		/* ... and of the first WARM, as often as they are looked up */
};

struct lookup {
	uint64_t regions, rounds;
	int spoil;
	struct team team;
	struct places few, many;
	double *seconds[LOOKUP_NWAYS];
	char why[TEAM_TEXT];
};

static void *take(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	return p;
}

/* ---- Where to look -------------------------------------------------------------------------- */

static void places_choose(struct places *p, struct regions *regions)
{
	uint64_t state = 42;

	*p = (struct places){ .regions = regions, .address = take(LOOKUPS, sizeof(char *)),
			      .sorted = take(regions->n, sizeof(uintptr_t)) };
	for (size_t i = 0; i < regions->n; i++)
		p->sorted[i] = (uintptr_t)regions->base + i * regions->len;
	for (size_t k = 0; k < LOOKUPS; k++) {
		size_t at;

		state = state * 6364136223846793005u + 1442695040888963407u;
		at = (size_t)((state >> 20) % (regions->n * regions->len));
		p->address[k] = regions->base + at;
		p->all += p->sorted[at / regions->len];
		p->warm += k < WARM ? p->sorted[at / regions->len] * (LOOKUPS / WARM) : 0;
	}
}

static void places_drop(struct places *p)
{
	free(p->address);
	free(p->sorted);
	*p = (struct places){ 0 };
}

/* Each by itself, before anything is timed. */
static int places_check(const struct places *p, char *why)
{
	for (size_t k = 0; k < LOOKUPS; k++) {
		const size_t i = (size_t)(p->address[k] - p->regions->base) / p->regions->len;
		void *base = NULL;
		size_t len = 0;
		int err = ipcshare_find(p->regions->ctx, p->address[k], &base, &len);

		if (!err && base == (void *)p->sorted[i] && len == p->regions->len)
			continue;
		snprintf(why, TEAM_TEXT, "%p: %s, found %zu bytes at %p, expected %zu at %p",
			 (const void *)p->address[k], ipcshare_strerror(err), len, base,
			 p->regions->len, (void *)p->sorted[i]);
		return -1;
	}
	return 0;
}

/* ---- What is timed: all of them, and the sum of what was found -------------------------------- */

static uintptr_t find_all(const struct places *p, size_t different)
{
	uintptr_t all = 0;

	for (size_t k = 0; k < LOOKUPS; k++) {
		void *base = NULL;

		ipcshare_find(p->regions->ctx, p->address[k % different], &base, NULL);
		all += (uintptr_t)base;
	}
	return all;
}

__attribute__((noinline)) static uintptr_t search(const uintptr_t *sorted, size_t n, uintptr_t at)
{
	while (n > 1) {
		const size_t half = n / 2;

		if (sorted[half] <= at)
			sorted += half;
		n -= half;
	}
	return *sorted;
}

static uintptr_t search_all(const struct places *p)
{
	uintptr_t all = 0;

	for (size_t k = 0; k < LOOKUPS; k++)
		all += search(p->sorted, p->regions->n, (uintptr_t)p->address[k]);
	return all;
}

static int timed(struct lookup *l, enum lookup_way way, double *out)
{
	const struct places *p = way == LOOKUP_WAY_FEW ? &l->few : &l->many;
	const double start = now_on_core();
	const uintptr_t all = way == LOOKUP_WAY_SEARCH ? search_all(p) :
			      find_all(p, way == LOOKUP_WAY_WARM ? WARM : LOOKUPS);

	*out = (now_on_core() - start) / (double)LOOKUPS;
	if (all == (way == LOOKUP_WAY_WARM ? p->warm : p->all))
		return 0;
	snprintf(l->why, sizeof(l->why), "%s: a look-up among %zu gave something else than before",
		 names[way], p->regions->n);
	return -1;
}

static int measure(struct lookup *l)
{
	int err = l->spoil ? (l->many.all++, 0) : 0;

	for (uint64_t round = 0; round < l->rounds && !err; round++) {
		for (int k = 0; k < LOOKUP_NWAYS && !err; k++) {
			int way = (int)(round + (uint64_t)k) % LOOKUP_NWAYS;

			err = timed(l, (enum lookup_way)way, &l->seconds[way][round]);
		}
		progress_add(1);
	}
	return err;
}

/* ---- Show ----------------------------------------------------------------------------------- */

static void print_head(const struct lookup *l)
{
	printf("ipcshare-bench lookup %s: %s backend\n", ipcshare_version(), l->team.backend);
	if (team_is_emulated(&l->team))
		printf("(the memory is the emulator's, which takes no part in a look-up)\n");
	printf("time on a core for a look-up, median of the rounds; x is that of the rounds' ratios to "
	       "find in %d,\n+- their middle half. Addresses are random; 'find again' has the same %zu "
	       "over and over\n\n  %9s %13s %11s %9s %6s %5s %11s\n", FEW, WARM, "regions",
	       names[LOOKUP_WAY_SEARCH], names[LOOKUP_WAY_FEW], names[LOOKUP_WAY_FIND], "x", "+-",
	       names[LOOKUP_WAY_WARM]);
	fflush(stdout);
}

static struct middle ratio_of(const struct lookup *l)
{
	return middle_of_ratios(l->seconds[LOOKUP_WAY_FIND], l->seconds[LOOKUP_WAY_FEW],
				(unsigned)l->rounds);
}

static void print_time(const struct lookup *l, enum lookup_way way, int width)
{
	char text[REPORT_TEXT];

	printf(" %*s", width, report_time(middle_of(l->seconds[way], (unsigned)l->rounds).median,
					  text));
}

static void print(const struct lookup *l)
{
	const struct middle ratio = ratio_of(l);

	progress_clear();
	printf("  %9zu", l->many.regions->n);
	print_time(l, LOOKUP_WAY_SEARCH, 13);
	print_time(l, LOOKUP_WAY_FEW, 11);
	print_time(l, LOOKUP_WAY_FIND, 9);
	printf(" %6.2f %5.2f", ratio.median, ratio.median * ratio.spread);
	print_time(l, LOOKUP_WAY_WARM, 11);
	putchar('\n');
	fflush(stdout);
}

static void json_lines(FILE *to, const struct lookup *l)
{
	const unsigned n = (unsigned)l->rounds;
	struct figure f = { .bench = "lookup", .workload = "pages", .order = "random",
			    .things = "regions", .count = l->many.regions->n, .rounds = n,
			    .metric = "time_per_lookup", .unit = "s" };

	for (int way = LOOKUP_WAY_WARM; way < LOOKUP_NWAYS; way++) {
		f.stage = names[way];
		f.value = middle_of(l->seconds[way], n);
		figure_json(to, &l->team, &f);
	}
	f.stage = names[LOOKUP_WAY_FIND];
	f.value = middle_of(l->seconds[LOOKUP_WAY_FIND], n);
	f.baseline = names[LOOKUP_WAY_FEW];
	f.baseline_value = middle_of(l->seconds[LOOKUP_WAY_FEW], n).median;
	f.ratio = ratio_of(l);
	figure_json(to, &l->team, &f);
}

/* ---- All of it ------------------------------------------------------------------------------ */

static int run_many(struct lookup *l, size_t n, FILE *json)
{
	struct regions many;
	int err = regions_open(&many, &l->team, n, l->why);

	if (!err) {
		places_choose(&l->many, &many);
		err = places_check(&l->many, l->why);
		if (!err)
			err = measure(l);
		if (!err)
			print(l);
		if (!err && json)
			json_lines(json, l);
		places_drop(&l->many);
	}
	return regions_close(&many, err ? (char[TEAM_TEXT]){ 0 } : l->why) || err ? -1 : 0;
}

static int run_all(struct lookup *l, FILE *json)
{
	const size_t first = l->regions ? l->regions : FEW, last = l->regions ? l->regions : 100000;
	const size_t most = regions_most(&l->team);
	int err = 0;

	progress_stage("lookup", "rounds", 5 * l->rounds);
	for (size_t n = first; n <= last && !err; n *= 10) {
		if (n <= most)
			err = run_many(l, n, json);
		else
			printf("  %9zu not here: each takes a descriptor, and this user may have "
			       "%zu (ulimit -Hn)\n", n, most);
	}
	return err;
}

/* Only the first rank looks anything up. */
static int run_rank(struct lookup *l, int no_progress, FILE *json)
{
	struct regions few;
	int err = regions_open(&few, &l->team, FEW, l->why);

	if (!err) {
		places_choose(&l->few, &few);
		err = places_check(&l->few, l->why);
		print_head(l);
		if (!no_progress)
			progress_open();
		if (!err)
			err = run_all(l, json);
		progress_close();
		places_drop(&l->few);
		if (!err)
			printf("\nverified: the result of every look-up, %d rank%s\n", l->team.size,
			       l->team.size == 1 ? "" : "s");
	}
	return regions_close(&few, err ? (char[TEAM_TEXT]){ 0 } : l->why) || err ? -1 : 0;
}

static int run(void *bench, int no_progress, FILE *json)
{
	struct lookup *l = bench;
	int err = 0;

	if (team_open(&l->team))
		return -1;
	for (int k = 0; k < LOOKUP_NWAYS; k++)
		l->seconds[k] = take(l->rounds, sizeof(double));
	if (l->team.rank == 0)
		err = run_rank(l, no_progress, json);
	err = team_verdict(err ? l->why : NULL);
	for (int k = 0; k < LOOKUP_NWAYS; k++)
		free(l->seconds[k]);
	return team_close(&l->team, err) || err ? -1 : 0;
}

int bench_lookup(int argc, char **argv)
{
	struct lookup l = { .rounds = 51 };
	const struct option_row rows[] = {
		{ .name = "regions", .kind = OPTION_NUMBER, .to = &l.regions, .value = "N",
		  .help = "only so many; default 10 to 100000", .min = 1, .max = 1000000,
		  .expected = "a number from 1 to 1000000" },
		{ .name = "rounds", .kind = OPTION_NUMBER, .to = &l.rounds, .value = "K",
		  .help = "how often each is timed; default 51", .min = 1, .max = 10000,
		  .expected = "a number from 1 to 10000" },
		{ .name = "spoil", .kind = OPTION_FLAG, .to = &l.spoil,
		  .help = "expect something else than what is there: is it found?" },
	};
	struct options o = {
		.command = "lookup",
		.text = "Find the allocation that holds an address, among few and many of them, and "
			"compare\nthat with a binary search in a sorted array. One rank is enough.",
		.rows = rows,
		.n = sizeof(rows) / sizeof(rows[0]),
	};
	int code;

	if (options_parse(&o, argc, argv, &code))
		return code;
	return report_run(&o, run, &l);
}
