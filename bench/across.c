/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare-bench across: collectives of a job on several nodes, with the library's hand in them and by MPI alone, and
 * from how many bytes on the first are quicker.
 *
 * Nodes have no clock in common, so each rank takes the time of its own call, after a barrier, and the longest one
 * counts.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipcshare_mpi.h>
#include <mpi.h>

#include "bench.h"
#include "clock.h"
#include "figure.h"
#include "progress.h"
#include "report.h"

#define LEAST ((size_t)64 << 10)	/* bytes of the longest buffer of a rank */
#define MOST ((size_t)16 << 20)
#define SIZES 5			/* from the least to the most, four times as many each */
#define NEVER UINT32_MAX

enum way { OURS, BY_MPI, WAYS };
static const char *const way_names[] = { "ipcshare", "MPI" };

struct across {
	uint64_t rounds;
	int spoil;
	struct team team;
	float *send, *recv;
	double *seconds[WAYS];	/* of each round */
	double gains[SIZES];	/* logarithms, of all collectives together */
};

/* ---- The calls: @n floats are the longest buffer of a rank ------------------------------------- */

enum kept { ON_ROOT, ON_OTHERS, ON_ALL, A_BLOCK };	/* what comes of a call, and must be right */

struct spanning {
	const char *name;
	int (*call)(struct across *a, enum way way, int n);
	float (*expected)(const struct across *a, int n, int i);	/* of element @i */
	enum kept kept;
};

static float sent(int rank, int i)
{
	return (float)((i * 3 + rank * 7) % 101);
}

static float sum_of(int ranks, int i)
{
	float sum = 0;

	for (int r = 0; r < ranks; r++)
		sum += sent(r, i);
	return sum;
}

static float sum_of_all(const struct across *a, int n, int i)
{
	(void)n;
	return sum_of(a->team.size, i);
}

static int bcast(struct across *a, enum way way, int n)
{
	float *buf = a->team.rank ? a->recv : a->send;

	return (way == OURS ? ipcshare_mpi_bcast : MPI_Bcast)(buf, n, MPI_FLOAT, 0, MPI_COMM_WORLD);
}

static float from_root(const struct across *a, int n, int i)
{
	(void)a;
	(void)n;
	return sent(0, i);
}

static int reduce(struct across *a, enum way way, int n)
{
	return (way == OURS ? ipcshare_mpi_reduce : MPI_Reduce)(a->send, a->recv, n, MPI_FLOAT, MPI_SUM, 0,
								MPI_COMM_WORLD);
}

static int allreduce(struct across *a, enum way way, int n)
{
	return (way == OURS ? ipcshare_mpi_allreduce : MPI_Allreduce)(a->send, a->recv, n, MPI_FLOAT, MPI_SUM,
								      MPI_COMM_WORLD);
}

static int reduce_scatter(struct across *a, enum way way, int n)
{
	return (way == OURS ? ipcshare_mpi_reduce_scatter_block : MPI_Reduce_scatter_block)(
		a->send, a->recv, n / a->team.size, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

static float own_sum(const struct across *a, int n, int i)
{
	return sum_of(a->team.size, n / a->team.size * a->team.rank + i);
}

static int scan(struct across *a, enum way way, int n)
{
	return (way == OURS ? ipcshare_mpi_scan : MPI_Scan)(a->send, a->recv, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

static float sum_up_to_own(const struct across *a, int n, int i)
{
	(void)n;
	return sum_of(a->team.rank + 1, i);
}

static int allgather(struct across *a, enum way way, int n)
{
	const int block = n / a->team.size;

	return (way == OURS ? ipcshare_mpi_allgather : MPI_Allgather)(a->send, block, MPI_FLOAT, a->recv, block,
								      MPI_FLOAT, MPI_COMM_WORLD);
}

static float from_each(const struct across *a, int n, int i)
{
	const int block = n / a->team.size;

	return sent(i / block, i % block);
}

static const struct spanning spannings[] = {
	{ "bcast", bcast, from_root, ON_OTHERS },
	{ "reduce", reduce, sum_of_all, ON_ROOT },
	{ "allreduce", allreduce, sum_of_all, ON_ALL },
	{ "reduce_scatter", reduce_scatter, own_sum, A_BLOCK },
	{ "scan", scan, sum_up_to_own, ON_ALL },
	{ "allgather", allgather, from_each, ON_ALL },
};
#define NSPANNINGS (sizeof(spannings) / sizeof(spannings[0]))

/* ---- Measured --------------------------------------------------------------------------------- */

/* 0, or -1 and @why. */
static int check(const struct across *a, const struct spanning *s, enum way way, int n, char *why)
{
	const int len = s->kept == A_BLOCK ? n / a->team.size : n;

	if (a->team.rank ? s->kept == ON_ROOT : s->kept == ON_OTHERS)
		return 0;
	for (int i = 0; i < len; i++) {
		const float expected = s->expected(a, n, i);

		if (a->recv[i] == expected)
			continue;
		snprintf(why, TEAM_TEXT, "%s by %s, %zu bytes: element %d is %.9g, expected %.9g", s->name,
			 way_names[way], (size_t)n * sizeof(float), i, (double)a->recv[i], (double)expected);
		return -1;
	}
	return 0;
}

/* @round below 0: not counted. 0, or -1 and @why. */
static int measure(struct across *a, const struct spanning *s, enum way way, int n, int round, char *why)
{
	double start, took;
	int err;

	memset(a->recv, 0xff, (size_t)n * sizeof(float));
	a->send[n / 2] = sent(a->team.rank, n / 2) + (float)a->spoil;
	MPI_Barrier(MPI_COMM_WORLD);
	start = now();
	err = s->call(a, way, n);
	took = now() - start;
	progress_add(1);
	if (err) {
		snprintf(why, TEAM_TEXT, "%s by %s failed", s->name, way_names[way]);
		return -1;
	}
	MPI_Allreduce(MPI_IN_PLACE, &took, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
	if (round >= 0)
		a->seconds[way][round] = took;
	return check(a, s, way, n, why);
}

static int measure_all(struct across *a, const struct spanning *s, int n)
{
	char why[TEAM_TEXT] = "";
	int err = 0;

	for (int round = -1; round < (int)a->rounds; round++)
		for (int k = 0; k < WAYS; k++) {
			char now[TEAM_TEXT];

			if (measure(a, s, (enum way)((round + 1 + k) % WAYS), n, round, now) && !err) {
				err = -1;
				memcpy(why, now, sizeof(why));
			}
		}
	return team_verdict(err ? why : NULL);
}

/* ---- Shown ------------------------------------------------------------------------------------ */

static void show(const struct across *a, const struct spanning *s, size_t size, struct middle ratio, FILE *json)
{
	struct figure f = { .bench = "across", .workload = s->name, .things = "nodes",
			    .count = (size_t)a->team.nodes, .bytes = size, .rounds = (unsigned)a->rounds,
			    .metric = "time", .unit = "s" };
	char text[REPORT_TEXT];

	progress_clear();
	printf("  %-14s %10s", s->name, report_bytes(size, text));
	for (int way = 0; way < WAYS; way++) {
		f.stage = way_names[way];
		f.value = middle_of(a->seconds[way], (unsigned)a->rounds);
		printf(" %10s", report_time(f.value.median, text));
		if (way == OURS) {
			f.baseline = way_names[BY_MPI];
			f.baseline_value = middle_of(a->seconds[BY_MPI], (unsigned)a->rounds).median;
			f.ratio = middle_of_ratios(a->seconds[OURS], a->seconds[BY_MPI], (unsigned)a->rounds);
		} else {
			f.baseline = NULL;
		}
		if (json)
			figure_json(json, &a->team, &f);
	}
	printf(" %6.2f %5.2f\n", ratio.median, ratio.median * ratio.spread);
	fflush(stdout);
}

/* From where on all longer ones gain, the collectives taken together. */
static void print_setting(const struct across *a)
{
	size_t size = MOST;
	int i = SIZES;

	while (i > 0 && a->gains[i - 1] > 0)
		i--;
	for (int k = i; k < SIZES - 1; k++)
		size /= 4;
	printf("IPCSHARE_ACROSS=%zu\n", i < SIZES ? size : (size_t)NEVER);
}

/* ---- All of it -------------------------------------------------------------------------------- */

static const char *memory_open(struct across *a)
{
	int bad = 0;

	a->send = malloc(MOST);
	a->recv = malloc(MOST);
	for (int way = 0; way < WAYS; way++) {
		a->seconds[way] = calloc(a->rounds, sizeof(double));
		bad |= !a->seconds[way];
	}
	if (bad || !a->send || !a->recv)
		return "out of memory";
	for (size_t i = 0; i < MOST / sizeof(float); i++)
		a->send[i] = sent(a->team.rank, (int)i);
	return NULL;
}

static void memory_close(struct across *a)
{
	free(a->send);
	free(a->recv);
	for (int way = 0; way < WAYS; way++)
		free(a->seconds[way]);
}

/* So many that all ranks have the same part of them. */
static int floats_of(const struct across *a, size_t bytes)
{
	const int n = (int)(bytes / sizeof(float));

	return n - n % a->team.size;
}

static int run_sizes(struct across *a, FILE *json)
{
	for (size_t k = 0; k < NSPANNINGS; k++)
		for (int i = 0; i < SIZES; i++) {
			const size_t size = LEAST << 2 * i;
			struct middle ratio;

			progress_stage("across", spannings[k].name, WAYS * (a->rounds + 1));
			if (measure_all(a, &spannings[k], floats_of(a, size)))
				return -1;
			ratio = middle_of_ratios(a->seconds[BY_MPI], a->seconds[OURS], (unsigned)a->rounds);
			a->gains[i] += log(ratio.median);
			if (a->team.rank == 0)
				show(a, &spannings[k], size, ratio, json);
		}
	return 0;
}

static const char *unfit(const struct across *a)
{
	struct ipcshare_mpi_counters c = { .size = sizeof(c) };

	if (a->team.nodes < 2)
		return "all ranks are on one node";
	if (ipcshare_mpi_barrier(MPI_COMM_WORLD) || ipcshare_mpi_counters(&c) || !c.across)
		return "the library leaves collectives between the nodes to MPI: IPCSHARE_LOG=info says why";
	return NULL;
}

static int run_team(struct across *a, int no_progress, FILE *json)
{
	int err;

	if (team_verdict(unfit(a)) || team_verdict(memory_open(a)))
		return -1;
	if (a->team.rank == 0) {
		printf("ipcshare-bench across %s: %d ranks on %d nodes\n"
		       "time of a call on the slowest rank, median of %ju rounds; x is how often as fast as MPI's, "
		       "+- the\nmiddle half of the rounds' ratios\n\n  %-14s %10s %10s %10s %6s %5s\n",
		       ipcshare_version(), a->team.size, a->team.nodes, (uintmax_t)a->rounds, "collective", "bytes",
		       way_names[OURS], way_names[BY_MPI], "x", "+-");
		if (!no_progress)
			progress_open();
	}
	err = run_sizes(a, json);
	progress_close();
	if (!err && a->team.rank == 0) {
		printf("\nverified: what came by both, %d ranks\n\n", a->team.size);
		print_setting(a);
	}
	return err;
}

static int run(void *bench, int no_progress, FILE *json)
{
	struct across *a = bench;
	int err;

	if (setenv("IPCSHARE_ACROSS", "0", 1)) /* of any length */
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	if (team_open(&a->team))
		return -1;
	err = run_team(a, no_progress, json);
	memory_close(a);
	return team_close(&a->team, err) || err ? -1 : 0;
}

int bench_across(int argc, char **argv)
{
	struct across across = { .rounds = 11 };
	const struct option_row rows[] = {
		{ .name = "rounds", .kind = OPTION_NUMBER, .to = &across.rounds, .value = "K",
		  .help = "how often each is timed; default 11",
		  .min = 1, .max = 10000, .expected = "a number from 1 to 10000" },
		{ .name = "spoil", .kind = OPTION_FLAG, .to = &across.spoil,
		  .help = "every rank sends something wrong: is it found?" },
	};
	struct options o = {
		.command = "across",
		.text = "Time collectives of a job on several nodes, over the memory of each node and by MPI\n"
			"between them, against MPI alone, and print from how many bytes on the first are\n"
			"quicker, as a setting of the library: IPCSHARE_ACROSS.\n\n"
			"  mpirun -n 128 --map-by ppr:32:node ipcshare-bench across\n\n"
			"Ranks give and take up to 16 MiB; all of it is verified each time. Takes two nodes or\n"
			"more; IPCSHARE_FAKE_NODES makes some of one machine, but then MPI is as quick between\n"
			"them as on them.",
		.rows = rows,
		.n = sizeof(rows) / sizeof(rows[0]),
	};
	int code;

	if (options_parse(&o, argc, argv, &code))
		return code;
	return report_run(&o, run, &across);
}
