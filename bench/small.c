/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare-bench small: what it costs to share many small buffers, for the first time and again, against
 * the raw way, MPI's windows, and the bare exchange of the bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipcshare.h>
#include <mpi.h>

#include "bench.h"
#include "descriptors.h"
#include "figure.h"
#include "model.h"
#include "options.h"
#include "progress.h"
#include "report.h"
#include "small.h"

struct small_bench {
	struct small_options o;
	struct model model;
	struct team team;
	MPI_Comm node;
	struct small_case *cases;
	int ncases;
};

static const char *const names[] = {
#define STAGE_NAME(id, name) name,
	SMALL_STAGES(STAGE_NAME)
#undef STAGE_NAME
};
static const char *const step_names[] = {
#define STEP_NAME(id, name) name,
	RAW_STEPS(STEP_NAME)
#undef STEP_NAME
};

/* ---- The cases ------------------------------------------------------------------------------ */

static double *room(unsigned rounds)
{
	double *p = calloc(rounds, sizeof(*p));

	if (!p)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	return p;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The ways that take a call for each buffer know no order, and are slow: once, and not of many. */
static void add_case(struct small_bench *b, size_t n, int shuffled)
{
	struct small_case *c = &b->cases[b->ncases++];
	const int slow = !shuffled && n <= 10000;

	*c = (struct small_case){ .n = n, .len = b->o.size, .shuffled = shuffled,
				  .rounds = (unsigned)b->o.rounds,
				  .repeats = n <= 10000 ? 9 : n <= 100000 ? 3 : 1 };
	c->raw = slow ? least(n, b->o.raw) : 0;
	c->windows = slow && b->team.direct ? least(n, 200) : 0;
	c->window = !shuffled && b->team.direct;
	for (int k = 0; k < SMALL_NSTAGES; k++)
		c->seconds[k] = room(c->rounds);
	for (int k = 0; k < RAW_NSTEPS; k++)
		c->raw_seconds[k] = room(c->rounds);
	c->memory = room(c->rounds);
}

static void free_cases(struct small_bench *b)
{
	for (int i = 0; i < b->ncases; i++) {
		for (int k = 0; k < SMALL_NSTAGES; k++)
			free(b->cases[i].seconds[k]);
		for (int k = 0; k < RAW_NSTEPS; k++)
			free(b->cases[i].raw_seconds[k]);
		free(b->cases[i].memory);
	}
	free(b->cases);
}

static void choose_cases(struct small_bench *b)
{
	const struct option_numbers *asked = &b->o.buffers;
	const size_t most = b->team.direct ? 1000000 : 100000;

	b->cases = calloc(asked->n ? 2 * asked->n : 10, sizeof(*b->cases));
	if (!b->cases)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	for (size_t i = 0; i < asked->n; i++)
		for (int shuffled = 0; shuffled < 2; shuffled++)
			add_case(b, asked->list[i], shuffled);
	for (size_t n = 100; n <= most && !asked->n; n *= 10)
		for (int shuffled = 0; shuffled < 2; shuffled++)
			add_case(b, n, shuffled);
}

static int was_timed(const struct small_case *c, enum small_stage stage)
{
	return stage == SMALL_STAGE_RAW ? c->raw > 0 :
	       stage == SMALL_STAGE_WINDOWS ? c->windows > 0 :
	       stage == SMALL_STAGE_WINDOW ? c->window : 1;
}

/* What a stage is compared with: a stage of this case or, as the raw way knows no order, of the other. */
static const double *baseline_of(const struct small_case *c, enum small_stage stage)
{
	const struct small_case *in_order = c->shuffled ? c - 1 : c;

	if (stage == SMALL_STAGE_FIRST && in_order->raw)
		return in_order->seconds[SMALL_STAGE_RAW];
	return stage == SMALL_STAGE_AGAIN ? c->seconds[SMALL_STAGE_GATHER] : NULL;
}

static double median(const struct small_case *c, enum small_stage stage)
{
	return middle_of(c->seconds[stage], c->rounds).median;
}

static double sum(const double calls[IPCSHARE_CALLS])
{
	double all = 0;

	for (int k = 0; k < IPCSHARE_CALLS; k++)
		all += calls[k];
	return all;
}

/* ---- For a person --------------------------------------------------------------------------- */

static void print_head(const struct small_bench *b)
{
	char size[REPORT_TEXT];

	printf("ipcshare-bench small %s: %s backend, %d ranks on %d node%s, buffers of %s, %ju rounds\n",
	       ipcshare_version(), b->team.backend, b->team.size, b->team.nodes,
	       b->team.nodes == 1 ? "" : "s", report_bytes(b->o.size, size), (uintmax_t)b->o.rounds);
	team_print_emulated(&b->team);
	fflush(stdout);
}

static void print_time(const struct small_case *c, enum small_stage stage, int width)
{
	char text[REPORT_TEXT];

	if (was_timed(c, stage))
		printf(" %*s", width, report_time(median(c, stage), text));
	else
		printf(" %*s", width, "");
}

static void print_case(const struct small_case *c)
{
	printf("  %8zu %-8s", c->n, c->shuffled ? "shuffled" : "in order");
}

static void print_first(const struct small_bench *b)
{
	printf("\nfirst share: time for a buffer, of the slowest rank, median of the rounds; x is how "
	       "many times\nfaster than the raw way, median of the rounds' ratios, +- their middle "
	       "half. Cold: first of a context\n\n  %8s %-8s %13s %10s %8s %8s %10s %11s %7s %5s\n",
	       "buffers", "order", names[SMALL_STAGE_WINDOWS], names[SMALL_STAGE_WINDOW],
	       names[SMALL_STAGE_RAW], names[SMALL_STAGE_ARENA], names[SMALL_STAGE_COLD],
	       names[SMALL_STAGE_FIRST], "x", "+-");
	for (const struct small_case *c = b->cases; c < b->cases + b->ncases; c++) {
		const double *raw = baseline_of(c, SMALL_STAGE_FIRST);

		print_case(c);
		print_time(c, SMALL_STAGE_WINDOWS, 13);
		print_time(c, SMALL_STAGE_WINDOW, 10);
		print_time(c, SMALL_STAGE_RAW, 8);
		print_time(c, SMALL_STAGE_ARENA, 8);
		print_time(c, SMALL_STAGE_COLD, 10);
		print_time(c, SMALL_STAGE_FIRST, 11);
		if (raw) {
			struct middle m = middle_of_ratios(raw, c->seconds[SMALL_STAGE_FIRST],
							   c->rounds);

			printf(" %7.0f %5.0f", m.median, m.median * m.spread);
		}
		putchar('\n');
	}
}

static void print_again(const struct small_bench *b)
{
	char text[REPORT_TEXT];

	printf("\nsharing the same again, against a bare MPI_Allgatherv of the bytes that a rank sends "
	       "for it; a loop\nthat writes as many rows as a set has; calls of the backend; and the "
	       "bytes that a rank holds for each\nbuffer it shares\n\n  %8s %-8s %10s %14s %9s %7s "
	       "%6s %8s %6s %6s\n", "buffers", "order", "sent", names[SMALL_STAGE_GATHER],
	       names[SMALL_STAGE_AGAIN], "x", "+-", names[SMALL_STAGE_ROWS], "calls", "held");
	for (const struct small_case *c = b->cases; c < b->cases + b->ncases; c++) {
		struct middle m = middle_of_ratios(c->seconds[SMALL_STAGE_AGAIN],
						   c->seconds[SMALL_STAGE_GATHER], c->rounds);

		print_case(c);
		printf(" %10s", report_bytes(c->sent, text));
		print_time(c, SMALL_STAGE_GATHER, 14);
		print_time(c, SMALL_STAGE_AGAIN, 9);
		printf(" %7.2f %6.2f", m.median, m.median * m.spread);
		print_time(c, SMALL_STAGE_ROWS, 8);
		printf(" %6.0f %6.0f\n", sum(c->again_calls),
		       middle_of(c->memory, c->rounds).median);
	}
}

static void print_steps(const struct small_bench *b)
{
	char text[REPORT_TEXT];

	for (const struct small_case *c = b->cases; c < b->cases + b->ncases; c++) {
		if (!c->raw)
			continue;
		if (c == b->cases)
			printf("\nsteps of the raw way, for a buffer\n\n");
		printf("  %8zu buffers", c->raw);
		for (int k = 0; k < RAW_NSTEPS; k++)
			printf("%s %s %s", k ? "," : ":", step_names[k],
			       report_time(middle_of(c->raw_seconds[k], c->rounds).median, text));
		putchar('\n');
	}
}

/* "3 imports" is what a share of any number of buffers takes; the raw way takes it for each. */
static void print_calls(const char *what, size_t n, const double calls[IPCSHARE_CALLS],
			const struct model *model)
{
	char text[REPORT_TEXT];

	printf("  %-24s", what);
	for (int k = 0; k < IPCSHARE_CALLS; k++)
		if (k <= IPCSHARE_CALL_IMPORT && k != IPCSHARE_CALL_FREE)
			printf(" %9.0f", calls[k] * (double)n);
	printf(" %14s\n", report_time(model_time(model, calls) * (double)n, text));
}

/* The raw way's closing calls come after what is compared: they are no part of the model. */
static void forget_closing(double calls[IPCSHARE_CALLS])
{
	calls[IPCSHARE_CALL_FREE] = calls[IPCSHARE_CALL_CLOSE_IMPORT] = 0;
	calls[IPCSHARE_CALL_CLOSE_EXPORT] = 0;
}

static void print_model(const struct small_bench *b)
{
	const struct small_case *c = &b->cases[0];

	while (c + 2 < b->cases + b->ncases && c[2].raw)
		c += 2;
	printf("\nbackend calls of a rank for %zu buffers; the model is not measured: it is the "
	       "calls at an assumed cost\n\n  %-24s", c->n, "");
	for (int k = 0; k < IPCSHARE_CALLS; k++)
		if (k <= IPCSHARE_CALL_IMPORT && k != IPCSHARE_CALL_FREE)
			printf(" %9s", ipcshare_call_name(k));
	printf(" %14s\n", "model");
	if (c->raw)
		print_calls(names[SMALL_STAGE_RAW], c->n, c->raw_calls, &b->model);
	print_calls("arena and first share", 1, c->first_calls, &b->model);
	print_calls(names[SMALL_STAGE_AGAIN], 1, c->again_calls, &b->model);
	printf("  %-24s", "assumed cost of a call");
	for (int k = 0; k < IPCSHARE_CALLS; k++)
		if (k <= IPCSHARE_CALL_IMPORT && k != IPCSHARE_CALL_FREE)
			printf(" %6.0f us", b->model.cost[k] * 1e6);
	putchar('\n');
}

static void print_all(const struct small_bench *b)
{
	progress_clear();
	print_first(b);
	print_again(b);
	print_steps(b);
	print_model(b);
	fflush(stdout);
}

/* ---- For a program -------------------------------------------------------------------------- */

static void json_stages(FILE *to, const struct small_bench *b, const struct small_case *c,
			struct figure f)
{
	f.metric = "time_per_buffer";
	f.unit = "s";
	for (int k = 0; k < SMALL_NSTAGES; k++) {
		const double *baseline = baseline_of(c, (enum small_stage)k);

		if (!was_timed(c, (enum small_stage)k))
			continue;
		f.stage = names[k];
		f.value = middle_of(c->seconds[k], c->rounds);
		f.baseline = NULL;
		if (baseline) {
			f.baseline = names[k == SMALL_STAGE_FIRST ? SMALL_STAGE_RAW
								  : SMALL_STAGE_GATHER];
			f.baseline_value = middle_of(baseline, c->rounds).median;
			f.ratio = middle_of_ratios(c->seconds[k], baseline, c->rounds);
		}
		figure_json(to, &b->team, &f);
	}
	for (int k = 0; k < RAW_NSTEPS && c->raw; k++) {
		char stage[64];

		snprintf(stage, sizeof(stage), "raw %s", step_names[k]);
		f.stage = stage;
		f.value = middle_of(c->raw_seconds[k], c->rounds);
		f.baseline = NULL;
		figure_json(to, &b->team, &f);
	}
}

/* The cost of a buffer among many, and among a thousand in the same round. */
static void json_growth(FILE *to, const struct small_bench *b, const struct small_case *c,
			struct figure f)
{
	static const enum small_stage stages[] = { SMALL_STAGE_FIRST, SMALL_STAGE_AGAIN };
	const struct small_case *few = b->cases;

	while (few < c && (few->n != 1000 || few->shuffled != c->shuffled))
		few++;
	f.metric = "growth";
	f.unit = "s";
	f.baseline = "1000 buffers";
	for (int k = 0; k < 2 && few < c; k++) {
		f.stage = names[stages[k]];
		f.value = middle_of(c->seconds[stages[k]], c->rounds);
		f.baseline_value = median(few, stages[k]);
		f.ratio = middle_of_ratios(c->seconds[stages[k]], few->seconds[stages[k]],
					   c->rounds);
		figure_json(to, &b->team, &f);
	}
}

static void json_calls(FILE *to, const struct small_bench *b, struct figure f, const char *stage,
		       const double calls[IPCSHARE_CALLS], double n)
{
	f.stage = stage;
	f.metric = "calls";
	f.unit = "calls/rank";
	f.value = (struct middle){ sum(calls) * n, 0 };
	figure_json(to, &b->team, &f);
	f.metric = "model_per_buffer";
	f.unit = "s";
	f.value.median = model_time(&b->model, calls) * n / (double)f.count;
	figure_json(to, &b->team, &f);
}

static void json_case(FILE *to, const struct small_bench *b, const struct small_case *c)
{
	struct figure f = { .bench = "small", .workload = "cells",
			    .order = c->shuffled ? "shuffled" : "in order", .things = "buffers",
			    .count = c->n, .bytes = c->len, .rounds = c->rounds };

	json_stages(to, b, c, f);
	json_growth(to, b, c, f);
	json_calls(to, b, f, names[SMALL_STAGE_FIRST], c->first_calls, 1);
	json_calls(to, b, f, names[SMALL_STAGE_AGAIN], c->again_calls, 1);
	if (c->raw)
		json_calls(to, b, f, names[SMALL_STAGE_RAW], c->raw_calls, (double)c->n);
	f.stage = names[SMALL_STAGE_COLD];
	f.metric = "memory_per_buffer";
	f.unit = "bytes";
	f.value = middle_of(c->memory, c->rounds);
	figure_json(to, &b->team, &f);
}

/* ---- All of it ------------------------------------------------------------------------------ */

static uint64_t steps_of(const struct small_bench *b)
{
	uint64_t steps = 0;

	for (int i = 0; i < b->ncases; i++)
		steps += b->cases[i].rounds * (4 + 3 * b->cases[i].repeats +
					       !!b->cases[i].raw + !!b->cases[i].windows +
					       (unsigned)b->cases[i].window);
	return steps;
}

static size_t most_buffers(const struct small_bench *b)
{
	size_t most = 0;

	for (int i = 0; i < b->ncases; i++)
		most = b->cases[i].n > most ? b->cases[i].n : most;
	return most;
}

static int run_cases(struct small_bench *b, FILE *json)
{
	struct small *s = small_open(&b->o, &b->team, b->node, most_buffers(b));
	int err = 0;

	progress_stage("small", "rounds", steps_of(b));
	for (unsigned round = 0; round < b->o.rounds; round++)
		for (int i = 0; i < b->ncases && !err; i++)
			err = small_round(s, &b->cases[i], round);
	small_close(s);
	for (int i = 0; i < b->ncases && !err; i++)
		forget_closing(b->cases[i].raw_calls);
	if (err || b->team.rank)
		return err;
	print_all(b);
	for (int i = 0; i < b->ncases && json; i++)
		json_case(json, b, &b->cases[i]);
	printf("\nverified: what every share gave, in every round, %d ranks\n", b->team.size);
	return 0;
}

static int run(void *bench, int no_progress, FILE *json)
{
	struct small_bench *b = bench;
	int err;

	descriptors_raise();
	if (team_open(&b->team))
		return -1;
	if (!b->o.rounds)
		b->o.rounds = b->team.direct ? 11 : 3;
	if (!b->o.raw)
		b->o.raw = b->team.direct ? 2000 : 200;
	MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, b->team.peer, MPI_INFO_NULL,
			    &b->node);
	if (b->team.rank == 0) {
		print_head(b);
		if (!no_progress)
			progress_open();
	}
	err = team_verdict(b->team.npeers < 2 ? "there is no other rank on this node to share with"
					      : NULL);
	if (!err) {
		choose_cases(b);
		err = run_cases(b, json);
	}
	free_cases(b);
	progress_close();
	MPI_Comm_free(&b->node);
	return team_close(&b->team, err) || err ? -1 : 0;
}

int bench_small(int argc, char **argv)
{
	struct small_bench b = { .o = { .size = 64 }, .model = model_assumed() };
	struct option_texts costs = { calloc((size_t)argc, sizeof(char *)), 0 };
	const struct option_row rows[] = {
		{ .name = "buffers", .kind = OPTION_NUMBERS, .to = &b.o.buffers, .value = "N",
		  .help = "only so many; may be repeated. Default 100 to 1000000, on ascend to 100000",
		  .min = 1, .max = 1000000, .expected = "a number from 1 to 1000000" },
		{ .name = "size", .kind = OPTION_NUMBER, .to = &b.o.size, .value = "BYTES",
		  .help = "of a buffer; K; default 64", .units = "K", .min = 8, .max = 1 << 20,
		  .expected = "bytes from 8 to 1024K" },
		{ .name = "rounds", .kind = OPTION_NUMBER, .to = &b.o.rounds, .value = "K",
		  .help = "how often all of it is timed; default 11, on ascend 3",
		  .min = 1, .max = 1000, .expected = "a number from 1 to 1000" },
		{ .name = "raw", .kind = OPTION_NUMBER, .to = &b.o.raw, .value = "N",
		  .help = "of how many the raw way is timed, at most; default 2000, on ascend 200",
		  .min = 1, .max = 100000, .expected = "a number from 1 to 100000" },
		{ .name = "cost", .kind = OPTION_TEXTS, .to = &costs, .value = "CALL=TIME",
		  .help = "what the model takes for a backend call: export=20us. May be repeated" },
		{ .name = "spoil", .kind = OPTION_FLAG, .to = &b.o.spoil,
		  .help = "the last rank flips bits in what it shares: is it found?" },
	};
	struct options o = {
		.command = "small",
		.text = "Share many small buffers, for the first time and again, and compare that "
			"with sharing\nthem one by one, with MPI's shared windows, and with a bare "
			"exchange of the bytes.",
		.rows = rows,
		.n = sizeof(rows) / sizeof(rows[0]),
	};
	int err, code;

	b.o.buffers.list = calloc((size_t)argc, sizeof(uint64_t));
	if (!costs.list || !b.o.buffers.list)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	err = options_parse(&o, argc, argv, &code);
	for (size_t i = 0; i < costs.n && !err; i++)
		if (model_set(&b.model, costs.list[i])) {
			code = options_usage(&o, "--cost '%s'; expected CALL=TIME as in import=50us",
					     costs.list[i]);
			err = -1;
		}
	if (!err)
		code = report_run(&o, run, &b);
	free(costs.list);
	free(b.o.buffers.list);
	return code;
}
