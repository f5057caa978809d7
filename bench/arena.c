/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare-bench arena: small buffers from an arena, allocated and freed by 1 to 4 threads, in turns with
 * malloc() and free().
 */
#include "arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mpi.h>

#include "bench.h"
#include "figure.h"
#include "options.h"
#include "progress.h"
#include "report.h"

static const size_t sizes[] = { 64, 256, 1024, 4096 };
static const unsigned threads[] = { 1, 2, 4 };
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

struct arena_options {
	uint64_t size;		/* 0: all */
	uint64_t threads;	/* so too */
	uint64_t batch;
	uint64_t pairs;
	uint64_t rounds;
	int spoil;
};

static const char *const way_names[] = {
#define WAY_NAME(id, name) name,
	ARENA_WAYS(WAY_NAME)
#undef WAY_NAME
};

/* ---- Show --------------------------------------------------------------------------------- */

static void print_head(const struct team *team)
{
	printf("ipcshare-bench arena %s: %s backend, on rank 0\n", ipcshare_version(), team->backend);
	team_print_emulated(team);
	printf("time to allocate and free a buffer, of a thread, median of the rounds; x is that of the"
	       "\nrounds' ratios to malloc, +- the middle half of them\n\n");
	printf("  %-18s %9s %7s %10s %10s %6s %4s\n", "order", "buffer", "threads",
	       way_names[ARENA_WAY_MALLOC], way_names[ARENA_WAY_ARENA], "x", "+-");
	fflush(stdout);
}

/* "at once", or "1000, random": how long a buffer lives, and which goes first. */
static const char *order_name(const struct arena_case *c, char *out, size_t size)
{
	if (c->batch == 1)
		snprintf(out, size, "at once");
	else
		snprintf(out, size, "%zu, random", c->batch);
	return out;
}

static void print_case(const struct arena_case *c)
{
	struct middle ratio = middle_of_ratios(c->seconds[ARENA_WAY_ARENA],
					       c->seconds[ARENA_WAY_MALLOC], c->rounds);
	char text[REPORT_TEXT], order[REPORT_TEXT];

	progress_clear();
	printf("  %-18s %9s %7u", order_name(c, order, sizeof(order)), report_bytes(c->size, text),
	       c->threads);
	for (int way = 0; way < ARENA_NWAYS; way++)
		printf(" %10s", report_time(middle_of(c->seconds[way], c->rounds).median /
						    (double)c->n, text));
	printf(" %6.3f %4.2f\n", ratio.median, ratio.median * ratio.spread);
	fflush(stdout);
}

static void json_case(FILE *to, const struct team *team, const struct arena_case *c)
{
	const double n = (double)c->n;
	const double *baseline = c->seconds[ARENA_WAY_MALLOC];
	char order[REPORT_TEXT];
	struct figure f = { .bench = "arena", .workload = "alloc and free",
			    .order = order_name(c, order, sizeof(order)), .things = "threads",
			    .count = c->threads, .bytes = c->size, .rounds = c->rounds,
			    .metric = "time_per_pair", .unit = "s",
			    .baseline_value = middle_of(baseline, c->rounds).median / n };

	for (int way = 0; way < ARENA_NWAYS; way++) {
		f.stage = way_names[way];
		f.value = middle_of(c->seconds[way], c->rounds);
		f.value.median /= n;
		f.baseline = way ? way_names[ARENA_WAY_MALLOC] : NULL;
		f.ratio = middle_of_ratios(c->seconds[way], baseline, c->rounds);
		figure_json(to, team, &f);
	}
}

static void print_memory(const struct ipcshare_arena_stats *s)
{
	char bytes[REPORT_TEXT], huge[REPORT_TEXT];

	printf("\n%ju slab%s, %s, of it %s on huge pages\n", (uintmax_t)s->slabs,
	       s->slabs == 1 ? "" : "s", report_bytes(s->slab_bytes, bytes),
	       report_bytes(s->huge_bytes, huge));
}

/* ---- All of it ---------------------------------------------------------------------------- */

static int run_case(const struct arena_options *o, const struct team *team,
		    struct ipcshare_arena *arena, struct arena_case c, FILE *json, char *why)
{
	char order[REPORT_TEXT];
	int err;

	c.n = o->pairs;
	if (c.n % c.batch)
		c.n += c.batch - c.n % c.batch;
	c.rounds = (unsigned)o->rounds;
	c.spoil = o->spoil;
	for (int way = 0; way < ARENA_NWAYS; way++) {
		c.seconds[way] = calloc(c.rounds, sizeof(double));
		if (!c.seconds[way])
			MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	}
	progress_stage("arena", order_name(&c, order, sizeof(order)), c.rounds + 1);
	err = arena_run(team, arena, &c, why);
	if (!err) {
		print_case(&c);
		if (json)
			json_case(json, team, &c);
	}
	for (int way = 0; way < ARENA_NWAYS; way++)
		free(c.seconds[way]);
	return err;
}

/* What one option names, or all in a list. */
static int run_all(const struct arena_options *o, const struct team *team,
		   struct ipcshare_arena *arena, FILE *json, char *why)
{
	for (int at_once = 1; at_once >= 0; at_once--)
		for (size_t t = 0; t < (o->threads ? 1 : COUNT(threads)); t++)
			for (size_t s = 0; s < (o->size ? 1 : COUNT(sizes)); s++) {
				struct arena_case c = {
					.size = o->size ? (size_t)o->size : sizes[s],
					.threads = o->threads ? (unsigned)o->threads : threads[t],
					.batch = at_once ? 1 : (size_t)o->batch,
				};

				if (run_case(o, team, arena, c, json, why))
					return -1;
			}
	return 0;
}

static int run_here(const struct arena_options *o, const struct team *team, FILE *json, char *why)
{
	struct ipcshare_arena_stats stats = { .size = sizeof(stats) };
	struct ipcshare_arena *arena;

	if (ipcshare_arena_create(team->ctx, NULL, &arena)) {
		team_explain("arena_create", why);
		return -1;
	}
	if (run_all(o, team, arena, json, why))
		return -1;
	if (ipcshare_arena_stats(arena, &stats) || ipcshare_arena_destroy(arena)) {
		team_explain("arena_destroy", why);
		return -1;
	}
	print_memory(&stats);
	return 0;
}

static int run(void *bench, int no_progress, FILE *json)
{
	const struct arena_options *o = bench;
	char why[TEAM_TEXT];
	struct team team;
	int err = 0;

	if (team_open(&team))
		return -1;
	if (team.rank == 0) {
		print_head(&team);
		if (!no_progress)
			progress_open();
		err = run_here(o, &team, json, why);
		progress_close();
	}
	team_wait();
	err = team_verdict(err ? why : NULL);
	if (!err && team.rank == 0)
		printf("verified: every buffer of a batch after every round\n");
	return team_close(&team, err) || err ? -1 : 0;
}

int bench_arena(int argc, char **argv)
{
	struct arena_options options = { .batch = 1000, .pairs = 100000, .rounds = 21 };
	const struct option_row rows[] = {
		{ .name = "size", .kind = OPTION_NUMBER, .to = &options.size, .value = "BYTES",
		  .help = "only buffers of this size; K; 1 to 64K, default several",
		  .units = "K", .min = 1, .max = 65536, .expected = "bytes from 1 to 64K" },
		{ .name = "threads", .kind = OPTION_NUMBER, .to = &options.threads, .value = "N",
		  .help = "only so many threads; 1 to 64, default 1, 2 and 4",
		  .min = 1, .max = ARENA_THREADS, .expected = "a number from 1 to 64" },
		{ .name = "batch", .kind = OPTION_NUMBER, .to = &options.batch, .value = "N",
		  .help = "buffers that are freed in random order; default 1000",
		  .min = 2, .max = 1000000, .expected = "a number from 2 to 1000000" },
		{ .name = "pairs", .kind = OPTION_NUMBER, .to = &options.pairs, .value = "N",
		  .help = "buffers of each thread a round, whole batches; default 100000",
		  .min = 1, .max = 100000000, .expected = "a number from 1 to 100000000" },
		{ .name = "rounds", .kind = OPTION_NUMBER, .to = &options.rounds, .value = "K",
		  .help = "how often each is timed; default 21",
		  .min = 1, .max = 10000, .expected = "a number from 1 to 10000" },
		{ .name = "spoil", .kind = OPTION_FLAG, .to = &options.spoil,
		  .help = "flip a bit in what is verified: is it found?" },
	};
	struct options o = {
		.command = "arena",
		.text = "Allocate and free small buffers of an arena, each at once and in batches in "
			"random\norder, and compare that with malloc(). On rank 0; the others wait.",
		.rows = rows,
		.n = COUNT(rows),
	};
	int code;

	if (options_parse(&o, argc, argv, &code))
		return code;
	return report_run(&o, run, &options);
}
