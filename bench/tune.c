/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare-bench tune: from which size on the other way of a collective is quicker, on this machine, as
 * settings of the library.
 */
#include "tune.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mpi.h>

#include "bench.h"
#include "figure.h"
#include "progress.h"
#include "report.h"

#define MOST_SIZES 16
#define TUNE_MOST ((size_t)16 << 20)	/* bytes of a rank, on either side, for each way */
#define ROUND_MOST ((size_t)65536)	/* that the library accepts */
#define WHOLE_MOST ((size_t)32768)	/* arrays much longer than that go in parts in any case */

struct tune_options {
	const char *out;
	uint64_t rounds, calls;
	int spoil;
};

/* ---- The thresholds ------------------------------------------------------------------------- */

struct threshold {
	struct tune_setting setting;
	const char *ways[TUNE_WAYS];	/* of short blocks, and of long ones */
	const char *collectives[2];	/* that are timed; the second may be NULL */
	int private;	/* memory that isn't shared: else it could be taken from where it is */
	int in_a_row;	/* both ways move all bytes in each call, so that many can be timed as one */
	size_t least;
	size_t (*most)(int n);	/* bytes of a block, up to which the setting can have a say */
	/* Ranks that the setting goes by; fewer than 2, and it has no say. */
	int (*scale)(const struct team *team);
	/* The setting, if the first way is quicker up to @upto bytes, the second from @from on. */
	uint64_t (*value)(int scale, size_t upto, size_t from);
};

static int all_ranks(const struct team *team)
{
	return team->npeers;
}

/*
 * To reduce arrays of @bytes as they are each of n ranks reads n - 1 of them; in parts, n - 1 of n parts
 * twice, and that takes a round more. The setting is the difference: bytes that are read in a round.
 */
static uint64_t round_value(int n, size_t upto, size_t from)
{
	const uint64_t ranks = (uint64_t)n;

	(void)from;
	return (upto * (ranks - 1) * (ranks - 2) + ranks - 1) / ranks;
}

static size_t round_most(int n)
{
	const size_t ranks = (size_t)n;
	size_t most;

	if (n < 3)
		return 0;
	most = ROUND_MOST * ranks / ((ranks - 1) * (ranks - 2));
	return most < WHOLE_MOST ? most : WHOLE_MOST;
}

static uint64_t direct_value(int n, size_t upto, size_t from)
{
	(void)n;
	(void)upto;
	return from;
}

static size_t direct_most(int n)
{
	size_t most = (size_t)1 << 20;

	while (most * (size_t)n > TUNE_MOST)
		most /= 2;
	return most;
}

/* Of the largest package; or of the largest NUMA node, if there is one package. */
static int ranks_of_a_part(const struct team *team)
{
	static const enum ipcshare_level levels[] = { IPCSHARE_LEVEL_PACKAGE, IPCSHARE_LEVEL_NUMA };
	const int n = team->npeers;
	int *leaders = calloc(2 * (size_t)n, sizeof(*leaders)), *sizes = leaders + n, most = n;

	if (!leaders)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	for (size_t i = 0; i < 2 && most == n; i++) {
		memset(sizes, 0, (size_t)n * sizeof(*sizes));
		most = 0;
		if (ipcshare_group_leaders(team->group, levels[i], leaders))
			MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
		for (int r = 0; r < n; r++) {
			const int size = ++sizes[leaders[r]];

			most = size > most ? size : most;
		}
	}
	free(leaders);
	return most < n ? most : 0;
}

/* A block that all want is spared the way over the border for each of a part but one. */
static uint64_t relay_value(int scale, size_t upto, size_t from)
{
	(void)upto;
	return from * (uint64_t)(scale - 1);
}

/* In this order: what is found is in force for the next. */
static const struct threshold thresholds[] = {
	{ { "IPCSHARE_COLL_ROUND", "IPCSHARE_CROWD_ROUND", { "65536", "0" } },
	  { "whole", "in parts" }, { "allreduce", NULL }, .private = 1, .in_a_row = 1, .least = 128,
	  .most = round_most, .scale = all_ranks, .value = round_value },
	{ { "IPCSHARE_COLL_DIRECT", "IPCSHARE_CROWD_DIRECT", { "4294967295", "1" } },
	  { "copied", "left there" }, { "allreduce", "allgather" }, .least = 1024,
	  .most = direct_most, .scale = all_ranks, .value = direct_value },
	{ { "IPCSHARE_COLL_RELAY", "IPCSHARE_COLL_RELAY", { "4294967295", "0" } },
	  { "each itself", "passed on" }, { "bcast", "allgather" }, .least = 65536,
	  .most = direct_most, .scale = ranks_of_a_part, .value = relay_value },
};
#define NTHRESHOLDS (sizeof(thresholds) / sizeof(thresholds[0]))

/* Powers of 2; none if the setting has no say among @n ranks. */
static size_t sizes_of(const struct threshold *th, int n, size_t *sizes)
{
	size_t count = 0;

	for (size_t size = th->least; size <= th->most(n) && count < MOST_SIZES; size *= 2)
		sizes[count++] = size;
	return count;
}

/* ---- Where they cross ----------------------------------------------------------------------- */

/* How the two ways compare, over the sizes. */
struct crossing {
	size_t n, sizes[MOST_SIZES];
	/* Of the second way, if more than the spread: logarithms, of all collectives together. */
	double gain[MOST_SIZES];
};

static void crossing_add(struct crossing *x, size_t i, struct middle ratio)
{
	if (fabs(ratio.median - 1) > ratio.median * ratio.spread)
		x->gain[i] -= log(ratio.median);
}

/*
 * The size from which on the second way gains the most; @x->n: it loses also with the longest
 * blocks. False: these don't tell.
 */
static int crossing_at(const struct crossing *x, size_t *at)
{
	double sum = 0, best = 0;

	*at = x->n;
	for (size_t i = x->n; i-- > 0;) {
		sum += x->gain[i];
		if (sum > best) {
			best = sum;
			*at = i;
		}
	}
	return *at < x->n || x->gain[x->n - 1] < 0;
}

/* ---- What was found ------------------------------------------------------------------------- */

/* A line for a shell. */
struct found {
	char line[128];
};

/* Of the two names, the one that counts here; and it does from now on. */
static void conclude(const struct tune *t, const struct threshold *th, const struct crossing *x,
		     struct found *out)
{
	const char *name = tune_is_crowded(t) ? th->setting.crowded : th->setting.name;
	char value[24];
	size_t at;

	if (!crossing_at(x, &at)) {
		snprintf(out->line, sizeof(out->line),
			 "# %s: no gain or loss beyond the spread, so it stays as it was", name);
		return;
	}
	snprintf(value, sizeof(value), "%ju",
		 (uintmax_t)th->value(th->scale(&t->teams[0]), at ? x->sizes[at - 1] : 0,
				      at < x->n ? x->sizes[at] : 2 * x->sizes[x->n - 1]));
	snprintf(out->line, sizeof(out->line), "%s=%s", name, value);
	if (setenv(name, value, 1))
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
}

static void print_found(FILE *to, const struct found *found)
{
	for (size_t i = 0; i < NTHRESHOLDS; i++)
		fprintf(to, "%s\n", found[i].line);
}

/* On rank 0. 0, or -1 and *@why. */
static int write_found(const char *path, const struct found *found, int nranks, char *why)
{
	FILE *file = fopen(path, "we");
	int bad = 0;

	if (file) {
		fprintf(file, "# ipcshare-bench tune %s, %d ranks\n", ipcshare_version(), nranks);
		print_found(file, found);
		bad = ferror(file);
		bad |= fclose(file);
	}
	if (file && !bad)
		return 0;
	snprintf(why, TEAM_TEXT, "--out %s: %s", path, strerror(errno));
	return -1;
}

/* ---- Show ----------------------------------------------------------------------------------- */

static void print_head(const struct tune *t, const struct threshold *th)
{
	const struct coll *b = &t->colls[0];

	printf("%s: %d ranks %s %d core%s, %s memory\n",
	       tune_is_crowded(t) ? th->setting.crowded : th->setting.name, b->team->size,
	       b->flags.apart ? "bound to" : "on", b->flags.cores, b->flags.cores == 1 ? "" : "s",
	       th->private ? "private" : "shared");
	printf("  %-14s %9s %10s %10s %6s %5s\n", "collective", "block", th->ways[0], th->ways[1], "x",
	       "+-");
	fflush(stdout);
}

static void print_case(const struct tune_case *c, struct middle ratio)
{
	char text[REPORT_TEXT];

	progress_clear();
	printf("  %-14s %9s", c->what->name, report_bytes(c->size, text));
	for (int way = 0; way < TUNE_WAYS; way++)
		printf(" %10s", report_time(middle_of(c->seconds[way], c->rounds).median, text));
	printf(" %6.2f %5.2f\n", ratio.median, ratio.median * ratio.spread);
	fflush(stdout);
}

static void json_case(FILE *to, const struct tune *t, const struct threshold *th,
		      const struct tune_case *c, struct middle ratio)
{
	struct figure f = { .bench = "tune", .workload = c->what->name,
			    .place = t->colls[0].flags.apart ? "bound" : "free",
			    .memory = th->private ? "private" : "shared", .things = "calls",
			    .count = c->calls, .bytes = c->size, .rounds = c->rounds,
			    .metric = "time", .unit = "s" };

	for (int way = 0; way < TUNE_WAYS; way++) {
		f.stage = th->ways[way];
		f.value = middle_of(c->seconds[way], c->rounds);
		f.baseline = way ? th->ways[0] : NULL;
		f.baseline_value = middle_of(c->seconds[0], c->rounds).median;
		f.ratio = ratio;
		figure_json(to, &t->teams[0], &f);
	}
}

/* ---- All of it ------------------------------------------------------------------------------ */

static int run_case(struct tune *t, const struct threshold *th, struct tune_case *c,
		    struct middle *ratio, FILE *json)
{
	int err;

	for (int way = 0; way < TUNE_WAYS; way++) {
		c->seconds[way] = calloc(c->rounds, sizeof(double));
		if (!c->seconds[way])
			MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	}
	progress_stage("tune", c->what->name, 2 * TUNE_WAYS * (uint64_t)c->rounds);
	err = tune_measure(t, c);
	if (!err) {
		*ratio = middle_of_ratios(c->seconds[1], c->seconds[0], c->rounds);
		if (t->teams[0].rank == 0)
			print_case(c, *ratio);
		if (json)
			json_case(json, t, th, c, *ratio);
	}
	for (int way = 0; way < TUNE_WAYS; way++)
		free(c->seconds[way]);
	return err;
}

static int run_threshold(const struct tune_options *o, struct tune *t, const struct threshold *th,
			 struct crossing *x, FILE *json)
{
	for (size_t k = 0; k < 2 && th->collectives[k]; k++)
		for (size_t i = 0; i < x->n; i++) {
			struct tune_case c = { .what = collective_find(th->collectives[k]),
					       .size = x->sizes[i], .rounds = (unsigned)o->rounds,
					       .calls = th->in_a_row ? (unsigned)o->calls : 1 };
			struct middle ratio;

			if (run_case(t, th, &c, &ratio, json))
				return -1;
			crossing_add(x, i, ratio);
		}
	return 0;
}

/* Every rank finds the same: they have the same times. */
static int find(const struct tune_options *o, const struct threshold *th, int n, FILE *json,
		struct found *out)
{
	const struct coll_options options = { .private = th->private, .spoil = o->spoil };
	struct crossing x = { 0 };
	struct tune t;
	int err;

	snprintf(out->line, sizeof(out->line), "# %s: can't be found with these %d ranks",
		 th->setting.name, n);
	x.n = sizes_of(th, n, x.sizes);
	if (!x.n)
		return 0;
	if (tune_open(&t, &th->setting, &options, (size_t)n * x.sizes[x.n - 1]))
		return -1;
	if (th->scale(&t.teams[0]) < 2)
		return tune_close(&t, 0);
	if (t.teams[0].rank == 0)
		print_head(&t, th);
	err = run_threshold(o, &t, th, &x, json);
	if (!err) {
		conclude(&t, th, &x, out);
		if (t.teams[0].rank == 0)
			printf("%s\n\n", out->line);
	}
	return tune_close(&t, err);
}

static int run(void *bench, int no_progress, FILE *json)
{
	const struct tune_options *o = bench;
	struct found found[NTHRESHOLDS];
	char why[TEAM_TEXT];
	int n, err = 0;

	MPI_Comm_size(MPI_COMM_WORLD, &n);
	if (team_rank() == 0) {
		printf("ipcshare-bench tune %s\ntime of a call until all ranks are done, median of the "
		       "rounds; x is that of the second\nway to the first, +- the middle half of the "
		       "rounds' ratios\n\n", ipcshare_version());
		if (!no_progress)
			progress_open();
	}
	for (size_t i = 0; i < NTHRESHOLDS && !err; i++)
		err = find(o, &thresholds[i], n, json, &found[i]);
	progress_close();
	if (err)
		return -1;
	if (team_rank() == 0) {
		printf("verified: what came by each way, %d ranks\n\n", n);
		print_found(stdout, found);
		err = o->out ? write_found(o->out, found, n, why) : 0;
	}
	return team_verdict(err ? why : NULL);
}

int bench_tune(int argc, char **argv)
{
	struct tune_options options = { .rounds = 21, .calls = 20 };
	const struct option_row rows[] = {
		{ .name = "out", .kind = OPTION_TEXT, .to = &options.out, .value = "FILE",
		  .help = "write the settings there, in place of what was in it" },
		{ .name = "rounds", .kind = OPTION_NUMBER, .to = &options.rounds, .value = "K",
		  .help = "how often each is timed; default 21",
		  .min = 1, .max = 10000, .expected = "a number from 1 to 10000" },
		{ .name = "calls", .kind = OPTION_NUMBER, .to = &options.calls, .value = "N",
		  .help = "in a row, timed as one, for IPCSHARE_COLL_ROUND; default 20",
		  .min = 1, .max = 100000, .expected = "a number from 1 to 100000" },
		{ .name = "spoil", .kind = OPTION_FLAG, .to = &options.spoil,
		  .help = "every rank sends something wrong: is it found?" },
	};
	struct options o = {
		.command = "tune",
		.text = "Find from which size on another way of the collectives is quicker here, and print it "
			"as\nsettings of the library: IPCSHARE_COLL_ROUND and IPCSHARE_COLL_DIRECT with ranks "
			"that\nhave cores of their own, IPCSHARE_CROWD_ROUND and IPCSHARE_CROWD_DIRECT with "
			"more\nranks than cores; and IPCSHARE_COLL_RELAY, if the ranks are bound to several "
			"packages\nor NUMA nodes.\n\n"
			"  mpirun -n 4 --bind-to core ipcshare-bench tune --out own.tune\n"
			"  mpirun -n 8 --oversubscribe ipcshare-bench tune --out crowd.tune\n"
			"  set -a; . ./own.tune; . ./crowd.tune; set +a; mpirun ...\n\n"
			"Each size is timed both ways in turns, all bytes are verified. Where long blocks\n"
			"neither gain nor lose more than the spread, a comment says so and the setting stays.\n"
			"Among two ranks a round has no say. Let nothing else run meanwhile. Takes two ranks\n"
			"or more, on one node.",
		.rows = rows,
		.n = sizeof(rows) / sizeof(rows[0]),
	};
	int code;

	if (options_parse(&o, argc, argv, &code))
		return code;
	return report_run(&o, run, &options);
}
