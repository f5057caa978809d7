/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare-bench pull: many small pieces of all peers' buffers into one place, by ipcshare_pull(), by
 * a plan, by a loop over raw pointers and by MPI_Get, in turns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipcshare.h>
#include <mpi.h>

#include "bench.h"
#include "figure.h"
#include "options.h"
#include "progress.h"
#include "pull.h"
#include "report.h"

static const size_t sizes[] = { 8, 32, 64, 256, 1024, 4096, 16384, 65536 };
#define NSIZES (sizeof(sizes) / sizeof(sizes[0]))

static const char *const way_names[] = {
#define WAY_NAME(id, name) name,
	PULL_WAYS(WAY_NAME)
#undef WAY_NAME
};

/* ---- Show --------------------------------------------------------------------------------- */

static struct middle ratio_of(const struct pull_case *c, int way)
{
	return middle_of_ratios(c->seconds[way], c->seconds[PULL_WAY_LOOP], c->rounds);
}

static void print_head(const struct pull_options *o, const struct team *team)
{
	printf("ipcshare-bench pull %s: %s backend, %d ranks on %d node%s, %s\n",
	       ipcshare_version(), team->backend, team->size, team->nodes,
	       team->nodes == 1 ? "" : "s",
	       o->warm ? "the same bytes again" : "bytes that a peer has just written");
	if (team_is_emulated(team))
		printf("(the Ascend runtime is an emulator: speeds are its own, not an NPU's)\n");
	printf("time for a piece, median of the rounds; x is that of the rounds' ratios to the loop,"
	       "\n+- the middle half of them\n\n");
	printf("  %-9s %9s %7s %10s", "order", "piece", "pieces", way_names[PULL_WAY_LOOP]);
	for (int way = 1; way < PULL_NWAYS; way++)
		if (way != PULL_WAY_GET || team->direct)
			printf(" %10s %6s %4s", way_names[way], "x", "+-");
	printf("%s\n", team_is_emulated(team) ? "\n    driver calls: copies and runs of recorded "
						"ones (with all others on the way)" : "");
	fflush(stdout);
}

static const char *order_name(const struct pull_case *c)
{
	return c->random ? "random" : "in order";
}

static void print_case(const struct pull_case *c)
{
	char text[REPORT_TEXT];

	progress_clear();
	printf("  %-9s %9s %7zu", order_name(c), report_bytes(c->size, text), c->n);
	for (int way = 0; way < PULL_NWAYS; way++) {
		struct middle m, ratio;

		if (!c->has[way])
			continue;
		m = middle_of(c->seconds[way], c->rounds);
		printf(" %10s", report_time(m.median / (double)c->n, text));
		ratio = ratio_of(c, way);
		if (way)
			printf(" %6.3f %4.2f", ratio.median, ratio.median * ratio.spread);
	}
	putchar('\n');
	if (c->calls[PULL_WAY_LOOP].all)
		for (int way = 0; way < PULL_NWAYS; way++)
			if (c->has[way])
				printf("%s %s %ld (%ld)%s", way ? "," : "    driver calls:",
				       way_names[way], c->calls[way].copies, c->calls[way].all,
				       way == PULL_WAY_PLAN ? "\n" : "");
	fflush(stdout);
}

static void json_calls(FILE *to, const struct team *team, struct figure f,
		       const struct driver_calls *calls)
{
	f.baseline = NULL;
	f.unit = "calls";
	f.metric = "driver_copies";
	f.value = (struct middle){ (double)calls->copies, 0 };
	figure_json(to, team, &f);
	f.metric = "driver_calls";
	f.value = (struct middle){ (double)calls->all, 0 };
	figure_json(to, team, &f);
}

static void json_case(FILE *to, const struct team *team, const struct pull_options *o,
		      const struct pull_case *c)
{
	const double n = (double)c->n;
	const double loop = middle_of(c->seconds[PULL_WAY_LOOP], c->rounds).median;
	struct figure f = { .bench = "pull", .workload = o->warm ? "warm" : "new",
			    .order = order_name(c), .things = "pieces", .count = c->n,
			    .bytes = c->size, .rounds = c->rounds, .metric = "time_per_piece",
			    .unit = "s", .baseline_value = loop / n };

	for (int way = 0; way < PULL_NWAYS; way++) {
		if (!c->has[way])
			continue;
		f.stage = way_names[way];
		f.value = middle_of(c->seconds[way], c->rounds);
		f.value.median /= n;
		f.ratio = ratio_of(c, way);
		f.baseline = way ? way_names[PULL_WAY_LOOP] : NULL;
		figure_json(to, team, &f);
		if (way == PULL_WAY_PLAN) {	/* is it worth to have one? */
			f.baseline = way_names[PULL_WAY_PULL];
			f.baseline_value = middle_of(c->seconds[PULL_WAY_PULL], c->rounds).median / n;
			f.ratio = middle_of_ratios(c->seconds[way], c->seconds[PULL_WAY_PULL],
						   c->rounds);
			figure_json(to, team, &f);
			f.baseline_value = loop / n;
		}
		if (c->calls[way].all)
			json_calls(to, team, f, &c->calls[way]);
	}
}

/* ---- All of it ---------------------------------------------------------------------------- */

static int run_case(const struct pull_options *o, const struct team *team, size_t size, int random,
		    FILE *json)
{
	const int is_host = !strcmp(team->backend, "host");
	struct pull_case c = { .size = size, .random = random };
	int err;

	c.n = o->pieces ? (size_t)o->pieces : is_host ? 10000 : 1000;
	if (c.n > PULL_BYTES / size)
		c.n = PULL_BYTES / size;
	c.rounds = o->rounds ? (unsigned)o->rounds : is_host ? 21 : 5;
	for (int way = 0; way < PULL_NWAYS; way++) {
		c.seconds[way] = calloc(c.rounds, sizeof(double));
		if (!c.seconds[way])
			MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	}
	progress_stage("pull", order_name(&c), (c.rounds + 1) * PULL_NWAYS);
	err = pull_run(o, team, &c);
	if (!err && team->rank == 0) {
		print_case(&c);
		if (json)
			json_case(json, team, o, &c);
	}
	for (int way = 0; way < PULL_NWAYS; way++)
		free(c.seconds[way]);
	return err;
}

static int run_all(const struct pull_options *o, const struct team *team, FILE *json)
{
	if (team_verdict(team->npeers < 2 ? "there is no other rank on this node to pull from"
					  : NULL))
		return -1;
	for (int random = 1; random >= 0; random--)
		for (size_t i = 0; i < NSIZES; i++) {
			size_t size = o->size ? (size_t)o->size : sizes[i];

			if (run_case(o, team, size, random, json))
				return -1;
			if (o->size)
				break;
		}
	return 0;
}

static int run(void *bench, int no_progress, FILE *json)
{
	const struct pull_options *o = bench;
	struct team team;
	int err;

	if (team_open(&team))
		return -1;
	if (team.rank == 0) {
		print_head(o, &team);
		if (!no_progress)
			progress_open();
	}
	err = run_all(o, &team, json);
	progress_close();
	if (!err && team.rank == 0)
		printf("\nverified: every byte of every round, %d ranks\n", team.size);
	return team_close(&team, err) || err ? -1 : 0;
}

int bench_pull(int argc, char **argv)
{
	struct pull_options options = { 0 };
	const struct option_row rows[] = {
		{ .name = "size", .kind = OPTION_NUMBER, .to = &options.size, .value = "BYTES",
		  .help = "only pieces of this size; K; 8 to 64K, default several",
		  .units = "K", .min = 8, .max = 65536, .expected = "bytes from 8 to 64K" },
		{ .name = "pieces", .kind = OPTION_NUMBER, .to = &options.pieces, .value = "N",
		  .help = "pieces a round, fewer if they are large; default 10000, on ascend 1000",
		  .min = 1, .max = 1000000, .expected = "a number from 1 to 1000000" },
		{ .name = "rounds", .kind = OPTION_NUMBER, .to = &options.rounds, .value = "K",
		  .help = "how often each is timed; default 21, on ascend 5",
		  .min = 1, .max = 10000, .expected = "a number from 1 to 10000" },
		{ .name = "warm", .kind = OPTION_FLAG, .to = &options.warm,
		  .help = "pull the same bytes again, instead of what a peer has just written" },
		{ .name = "spoil", .kind = OPTION_FLAG, .to = &options.spoil,
		  .help = "the last rank flips a bit in what it shares: is it found?" },
	};
	struct options o = {
		.command = "pull",
		.text = "Pull many small pieces of all peers' buffers with one call and with a "
			"plan, and\ncompare that with memcpy() over raw pointers and with MPI_Get. "
			"All bytes are\nverified each time. Takes two ranks or more.",
		.rows = rows,
		.n = sizeof(rows) / sizeof(rows[0]),
	};
	int code;

	if (options_parse(&o, argc, argv, &code))
		return code;
	if (options.size % 8)
		return options_usage(&o, "--size %ju; expected a multiple of 8",
				     (uintmax_t)options.size);
	return report_run(&o, run, &options);
}
