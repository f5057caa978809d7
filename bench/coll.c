/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare-bench coll: the collectives of the library and of MPI on the same memory, in turns, and
 * the time that a plain copy of as many bytes takes.
 */
#include "coll.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mpi.h>

#include "bench.h"
#include "coll_view.h"
#include "figure.h"
#include "progress.h"
#include "report.h"

static const uint64_t sizes[] = {
	8,	 16,	  64,	   256,	    1 << 10, 4 << 10,
	16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20,
};
#define NSIZES (sizeof(sizes) / sizeof(sizes[0]))

static const char *const way_names[] = {
#define WAY_NAME(id, name) name,
	COLL_WAYS(WAY_NAME)
#undef WAY_NAME
};

/* ---- Show --------------------------------------------------------------------------------- */

static const char *place(const struct coll *b)
{
	return b->flags.apart ? "bound" : "free";
}

/* With a rank on each core waiting is free; with more, an MPI that spins is an easy match. */
static const char *way_name(const struct coll *b, enum coll_way way)
{
	return way == COLL_WAY_MPI && !b->flags.apart && b->waiting == WAITING_SPINS ?
		       "spinning MPI" : way_names[way];
}

static const char *memory(const struct coll *b)
{
	return b->options->private ? "private" : "shared";
}

static const char *mpi_name(void)
{
	static char text[MPI_MAX_LIBRARY_VERSION_STRING];
	int len;

	MPI_Get_library_version(text, &len);
	text[strcspn(text, ",\n")] = '\0';
	for (char *c = text; *c; c++)
		*c = *c == '\t' ? ' ' : *c;
	return text;
}

static void print_head(const struct coll *b)
{
	static const char *const waiting[] = { "", ", whose waiting ranks yield",
					       ", whose waiting ranks spin" };

	printf("ipcshare-bench coll %s: %s backend, %d ranks %s %d core%s, %s memory, against %s%s\n",
	       ipcshare_version(), b->team->backend, b->team->size,
	       b->flags.apart ? "bound to" : "on", b->flags.cores, b->flags.cores == 1 ? "" : "s",
	       memory(b), mpi_name(), waiting[b->waiting]);
	if (b->options->views) {
		printf("time until all ranks are done, median of the rounds, and how it grows from few "
		       "bytes to many\n\n");
		return;
	}
	printf("time of a call until all ranks are done, median of the rounds; x is how many times as "
	       "fast as MPI,\n+- the middle half of that; and what part of the speed of memcpy() by "
	       "all ranks at once\n\n");
	printf("  %-14s %9s %10s %10s %6s %5s %10s %5s", "collective", "block",
	       way_names[COLL_WAY_OURS], way_names[COLL_WAY_MPI], "x", "+-",
	       way_names[COLL_WAY_MEMCPY], "part");
	if (b->peer)
		printf(" %11s %5s", way_names[COLL_WAY_PEER], "part");
	putchar('\n');
	fflush(stdout);
}

/* How the library's time compares with that of another way. */
static struct middle ratio_to(const struct coll_case *c, enum coll_way way)
{
	return middle_of_ratios(c->seconds[COLL_WAY_OURS], c->seconds[way], c->rounds);
}

static double median(const struct coll_case *c, enum coll_way way)
{
	return middle_of(c->seconds[way], c->rounds).median;
}

/* A sum of two floats needs no more than the exchange of two words. */
static int is_exchange(const struct coll_case *c)
{
	return !c->size || (c->size == 8 && !strcmp(c->what->name, "allreduce"));
}

static void print_case(const struct coll_case *c)
{
	const struct middle ratio = ratio_to(c, COLL_WAY_MPI);
	char text[REPORT_TEXT];

	progress_clear();
	printf("  %-14s %9s", c->what->name, c->size ? report_bytes(c->size, text) : "");
	printf(" %10s", report_time(median(c, COLL_WAY_OURS), text));
	printf(" %10s", report_time(median(c, COLL_WAY_MPI), text));
	printf(" %6.2f %5.2f", 1 / ratio.median, ratio.spread / ratio.median);
	if (c->has[COLL_WAY_MEMCPY]) {
		printf(" %10s", report_time(median(c, COLL_WAY_MEMCPY), text));
		printf(" %4.0f%%", 100 / ratio_to(c, COLL_WAY_MEMCPY).median);
	}
	if (c->has[COLL_WAY_PEER]) {
		printf(" %11s", report_time(median(c, COLL_WAY_PEER), text));
		printf(" %4.0f%%", 100 / ratio_to(c, COLL_WAY_PEER).median);
	}
	if (is_exchange(c))
		printf("  %.2f x a flag exchange, %s", ratio_to(c, COLL_WAY_FLAGS).median,
		       report_time(median(c, COLL_WAY_FLAGS), text));
	putchar('\n');
	fflush(stdout);
}

static void json_rate(FILE *to, const struct coll *b, const struct coll_case *c, struct figure f)
{
	const double bytes = (double)b->team->npeers *
			     (double)collective_moved(c->what, b->team->npeers, c->size);

	f.metric = "rate";
	f.unit = "GB/s";
	f.baseline = NULL;
	f.value.median = bytes / f.value.median / 1e9;
	figure_json(to, b->team, &f);
}

static struct figure figure_of(const struct coll *b, const struct coll_case *c)
{
	return (struct figure){ .bench = "coll", .workload = c->what->name, .place = place(b),
				.memory = memory(b), .things = "calls", .count = c->calls,
				.bytes = c->size, .rounds = c->rounds, .metric = "time",
				.unit = "s" };
}

/* The library's time stands in a line for each thing that it is compared with. */
static void json_case(FILE *to, const struct coll *b, const struct coll_case *c)
{
	for (int way = 0; way < COLL_NWAYS; way++) {
		struct figure f = figure_of(b, c);

		if (!c->has[way])
			continue;
		f.stage = way_name(b, (enum coll_way)way);
		f.value = middle_of(c->seconds[way], c->rounds);
		if (way)
			figure_json(to, b->team, &f);
		if (c->has[COLL_WAY_MEMCPY])
			json_rate(to, b, c, f);
		if (!way)
			continue;
		f.stage = way_names[COLL_WAY_OURS];
		f.value = middle_of(c->seconds[COLL_WAY_OURS], c->rounds);
		f.baseline = way_name(b, (enum coll_way)way);
		f.baseline_value = median(c, way);
		f.ratio = ratio_to(c, way);
		figure_json(to, b->team, &f);
	}
}

/* ---- The mean over the sizes ------------------------------------------------------------------ */

/* Logarithms of the ratios to MPI: their sum over the cases, of the medians and of each round. */
struct mean {
	unsigned cases;
	double medians, floors;
	double *rounds;
};

/* What no call can be quicker than: the ranks know of each other that they are there, and the bytes move. */
static double floor_of(const struct coll_case *c)
{
	enum coll_way copy = c->has[COLL_WAY_PEER] ? COLL_WAY_PEER : COLL_WAY_MEMCPY;

	return median(c, COLL_WAY_FLAGS) + (c->has[copy] ? median(c, copy) : 0);
}

static void mean_add(struct mean *m, const struct coll_case *c)
{
	m->cases++;
	m->medians += log(ratio_to(c, COLL_WAY_MPI).median);
	m->floors += log(floor_of(c) / median(c, COLL_WAY_MPI));
	for (unsigned k = 0; k < c->rounds; k++)
		m->rounds[k] += log(c->seconds[COLL_WAY_OURS][k] / c->seconds[COLL_WAY_MPI][k]);
}

static void json_mean(FILE *to, const struct coll *b, const struct coll_case *c, const char *metric,
		      unsigned sizes, struct middle ratio)
{
	struct figure f = figure_of(b, c);

	f.things = "sizes";
	f.count = sizes;
	f.bytes = 0;
	f.stage = way_names[COLL_WAY_OURS];
	f.metric = metric;
	f.unit = "x";
	f.value = f.ratio = ratio;
	f.baseline = way_name(b, COLL_WAY_MPI);
	f.baseline_value = 1;
	figure_json(to, b->team, &f);
}

/* Geometric. The rounds tell how much of it is chance. */
static void mean_show(struct mean *m, FILE *json, const struct coll *b, const struct coll_case *c)
{
	struct middle ratio, least = { .median = exp(m->floors / m->cases) };

	for (unsigned k = 0; k < c->rounds; k++)
		m->rounds[k] = exp(m->rounds[k] / m->cases);
	ratio.median = exp(m->medians / m->cases);
	ratio.spread = middle_of(m->rounds, c->rounds).spread;
	printf("  %-14s %9s %10s %10s %6.2f %5.2f  (%.2f: a flag exchange, and the memcpy)\n\n", "",
	       "mean", "", "", 1 / ratio.median, ratio.spread / ratio.median, 1 / least.median);
	if (!json)
		return;
	json_mean(json, b, c, "mean", m->cases, ratio);
	json_mean(json, b, c, "floor", m->cases, least);
}

/* ---- All of it ---------------------------------------------------------------------------- */

static double *room(unsigned rounds)
{
	double *p = calloc(rounds, sizeof(*p));

	if (!p)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	return p;
}

static struct coll_case case_of(const struct coll *b, const struct collective *what, size_t size)
{
	const struct coll_options *o = b->options;
	struct coll_case c = { .what = what, .size = what->from == FROM_NOBODY ? 0 : size };

	c.rounds = (unsigned)o->rounds;
	/* In a row of scans the first ranks, who need nothing of others, would run ahead. */
	c.calls = c.size <= COLL_SHORT && what->from != FROM_SUM_UPTO &&
		  what->from != FROM_SUM_BEFORE ? (unsigned)o->calls : 1;
	c.has[COLL_WAY_OURS] = c.has[COLL_WAY_MPI] = c.has[COLL_WAY_FLAGS] = 1;
	/* The same few bytes over and over say nothing of what has to come from another core. */
	c.has[COLL_WAY_MEMCPY] = c.size > COLL_SHORT;
	c.has[COLL_WAY_PEER] = c.size > COLL_SHORT && b->peer;
	return c;
}

static int run_case(struct coll *b, struct coll_case *c, struct mean *mean, FILE *json)
{
	unsigned ways = 0;
	int err;

	for (int way = 0; way < COLL_NWAYS; way++) {
		c->seconds[way] = room(c->rounds);
		ways += !!c->has[way];
	}
	progress_stage("coll", c->what->name, (uint64_t)(c->rounds + 1) * ways);
	err = coll_measure(b, c);
	if (!err && b->team->rank == 0) {
		print_case(c);
		mean_add(mean, c);
		if (json)
			json_case(json, b, c);
	}
	for (int way = 0; way < COLL_NWAYS; way++)
		free(c->seconds[way]);
	return err;
}

/* What a rank of a larger job has no room for is left out. */
static int fits(const struct coll *b, const struct collective *what, uint64_t size)
{
	return (size_t)collective_kept(what, b->team->npeers) * size <= COLL_MOST;
}

static int run_collective(struct coll *b, const struct collective *what, FILE *json)
{
	const struct option_numbers *asked = &b->options->sizes;
	const size_t n = what->from == FROM_NOBODY ? 1 : asked->n;
	struct mean mean = { .rounds = room((unsigned)b->options->rounds) };
	struct coll_case c;
	char text[REPORT_TEXT];
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		if (fits(b, what, asked->list[i])) {
			c = case_of(b, what, asked->list[i]);
			err = run_case(b, &c, &mean, json);
		} else if (b->team->rank == 0) {
			printf("  %-14s %9s not here: more than 64 MiB in a rank\n", what->name,
			       report_bytes(asked->list[i], text));
		}
	}
	if (!err && mean.cases > 1)
		mean_show(&mean, json, b, &c);
	free(mean.rounds);
	return err;
}

static int is_asked(const struct coll_options *o, const struct collective *what)
{
	for (size_t i = 0; i < o->names.n; i++)
		if (!strcmp(o->names.list[i], what->name))
			return 1;
	return !o->names.n;
}

static size_t room_for_all(const struct coll_options *o, const struct team *team)
{
	size_t most = 0;

	if (o->views)
		return coll_view_room(team);
	for (size_t i = 0; i < ncollectives; i++)
		for (size_t k = 0; k < o->sizes.n && is_asked(o, &collectives[i]); k++) {
			size_t size = (size_t)collective_kept(&collectives[i], team->npeers) *
				      o->sizes.list[k];

			most = size > most && size <= COLL_MOST ? size : most;
		}
	return most;
}

static struct figure view_figure(const struct coll *b)
{
	return (struct figure){ .bench = "coll", .place = place(b), .memory = memory(b),
				.things = "calls" };
}

static int run_all(const struct coll_options *o, const struct team *team, FILE *json)
{
	struct coll b;
	int err;

	if (team_verdict(!team->direct ? "the memory of this backend is not the CPU's" :
			 team->npeers < 2 ? "there is no other rank on this node" :
			 team->nodes > 1 ? "the ranks are not all on one node" :
			 o->views && coll_view_room(team) > COLL_MOST ?
				 "views of more than 64 MiB in a rank" : NULL))
		return -1;
	err = coll_open(&b, o, team, room_for_all(o, team));
	if (!err && team->rank == 0)
		print_head(&b);
	if (!err && o->views)
		err = coll_view(&b, json, view_figure(&b));
	for (size_t i = 0; i < ncollectives && !err && !o->views; i++)
		if (is_asked(o, &collectives[i]))
			err = run_collective(&b, &collectives[i], json);
	return coll_close(&b, err);
}

static int run(void *bench, int no_progress, FILE *json)
{
	const struct coll_options *o = bench;
	struct team team;
	int err;

	if (team_open(&team))
		return -1;
	if (team.rank == 0 && !no_progress)
		progress_open();
	err = run_all(o, &team, json);
	progress_close();
	if (!err && team.rank == 0)
		printf("verified: what %s, %d ranks\n", o->views ? "the views show" :
		       "came by the library and by MPI", team.size);
	return team_close(&team, err) || err ? -1 : 0;
}

/* 0, or an exit code. */
static int check(const struct options *o, struct coll_options *c)
{
	for (size_t i = 0; i < c->names.n; i++)
		if (!collective_find(c->names.list[i]))
			return options_usage(o, "no collective '%s'", c->names.list[i]);
	if (c->views && (c->names.n || c->sizes.n))
		return options_usage(o, "--views has collectives and sizes of its own");
	for (size_t i = 0; i < c->sizes.n; i++)
		if (c->sizes.list[i] % sizeof(float))
			return options_usage(o, "--size %ju; expected a multiple of 4",
					     (uintmax_t)c->sizes.list[i]);
	for (size_t i = 0; !c->sizes.n && i < NSIZES; i++)
		c->sizes.list[i] = sizes[i];
	c->sizes.n = c->sizes.n ? c->sizes.n : NSIZES;
	return 0;
}

int bench_coll(int argc, char **argv)
{
	const char *names[argc];
	uint64_t asked[(size_t)argc + NSIZES];
	struct coll_options options = { .names = { .list = names }, .sizes = { .list = asked },
					.rounds = 21, .calls = 100 };
	const struct option_row rows[] = {
		{ .name = "collective", .kind = OPTION_TEXTS, .to = &options.names, .value = "NAME",
		  .help = "only this one; may be repeated. barrier, bcast, reduce, allreduce,\n"
			  "reduce_scatter, allgather, gather, scatter, alltoall, scan, exscan" },
		{ .name = "size", .kind = OPTION_NUMBERS, .to = &options.sizes, .value = "BYTES",
		  .help = "of a block; K, M; may be repeated. Default: 8, and powers of 4 from 16 to\n"
			  "16M. A block is what a rank sends in a bcast, reduce, allreduce, scan,\n"
			  "exscan, allgather or gather; what it sends to each rank in a scatter or\n"
			  "alltoall; what it sends, and receives a part of, in a reduce_scatter",
		  .units = "KM", .min = 4, .max = COLL_MOST, .expected = "bytes from 4 to 64M" },
		{ .name = "rounds", .kind = OPTION_NUMBER, .to = &options.rounds, .value = "K",
		  .help = "how often each is timed; default 21",
		  .min = 1, .max = 10000, .expected = "a number from 1 to 10000" },
		{ .name = "calls", .kind = OPTION_NUMBER, .to = &options.calls, .value = "N",
		  .help = "in a row, timed as one, up to 4 KiB; default 100. Longer blocks are\n"
			  "written anew before each call",
		  .min = 1, .max = 100000, .expected = "a number from 1 to 100000" },
		{ .name = "views", .kind = OPTION_FLAG, .to = &options.views,
		  .help = "instead, what shows blocks where they lie: views of 64 bytes and of 16 MiB" },
		{ .name = "private", .kind = OPTION_FLAG, .to = &options.private,
		  .help = "in memory of malloc(), instead of what the group shares" },
		{ .name = "spoil", .kind = OPTION_FLAG, .to = &options.spoil,
		  .help = "every rank sends something wrong, and the last one comes late: found?" },
	};
	struct options o = {
		.command = "coll",
		.text = "Time the collectives of the library and of MPI, of floats, on the same "
			"memory, until\nall ranks are done; and a memcpy() by all ranks at once of "
			"the bytes that must move,\nout of memory of their own and out of what "
			"another rank has just written:\n"
			"  (n-1)/n blocks on each of n ranks for bcast, 1 for scatter and gather, n for\n"
			"  allgather and alltoall; where sums are made each block is read once and each\n"
			"  result written once, and a copy is a read and a write: (n+1)/2n for reduce and\n"
			"  reduce_scatter, 1 for allreduce and scan, (n-1)/n for exscan.\n"
			"All bytes are verified. Takes two ranks or more, on one node.",
		.rows = rows,
		.n = sizeof(rows) / sizeof(rows[0]),
	};
	int code;

	if (options_parse(&o, argc, argv, &code))
		return code;
	code = check(&o, &options);
	if (code)
		return code;
	return report_run(&o, run, &options);
}
