/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Before each call every rank writes the first word of each block that it shows, and all wait for each
 * other; so they do between the call and the look at what it shows. A time is from when the first rank
 * goes on until the last one is done.
 */
#include "coll_view.h"

#include <stdlib.h>

#include <ipcshare_coll.h>
#include <mpi.h>

#include "bench.h"
#include "clock.h"
#include "progress.h"
#include "report.h"

/* The second is what targets speak of. */
static const size_t sizes[] = { 64, 16 << 20 };
enum { NSIZES = 2 };

/* A look is one word of each block, and the end of the view. */
enum part { PART_CALL, PART_LOOK, NPARTS };

/* One call on its way. */
struct step {
	struct coll *b;
	size_t count;		/* of a block */
	int root;
	unsigned serial;	/* of the call: words differ */
	struct ipcshare_view *view;
};

struct kind {
	const char *name;
	int (*make)(struct step *s);
	int to_each;		/* a block for each rank, instead of one for all */
	int of_each;		/* a block of each rank, instead of one of the root */
	int sums;		/* and so all bytes are read */
};

static int make_bcast(struct step *s)
{
	return ipcshare_bcast_view(s->b->team->group, s->b->send, s->count, IPCSHARE_FP32, s->root,
				   &s->view);
}

static int make_allgather(struct step *s)
{
	return ipcshare_allgather_view(s->b->team->group, s->b->send, s->count, IPCSHARE_FP32,
				       &s->view);
}

static int make_alltoall(struct step *s)
{
	return ipcshare_alltoall_view(s->b->team->group, s->b->send, s->count, IPCSHARE_FP32,
				      &s->view);
}

static int make_allreduce(struct step *s)
{
	return ipcshare_allreduce_shared(s->b->team->group, s->b->send, s->b->recv, s->count,
					 IPCSHARE_FP32, IPCSHARE_SUM, s->root, &s->view);
}

static const struct kind kinds[] = {
	{ "bcast_view", make_bcast, .sums = 0 },
	{ "allgather_view", make_allgather, .of_each = 1 },
	{ "alltoall_view", make_alltoall, .to_each = 1, .of_each = 1 },
	{ "allreduce_shared", make_allreduce, .sums = 1 },
};
#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

struct run {
	struct coll *b;
	const struct kind *kind;
	unsigned rounds, serial;
	double *seconds[NSIZES][NPARTS];	/* of a call, for each round */
	char why[TEAM_TEXT];
};

/* ---- One call ------------------------------------------------------------------------------- */

/* What @from has for @to: whole, and so few digits that sums of floats are exact. */
static float word(const struct step *s, int from, int to)
{
	return (float)(s->serial % 1000 * 100 + (unsigned)from * 10 + (unsigned)to);
}

static void write_words(struct step *s, const struct kind *kind)
{
	const struct team *team = s->b->team;
	const int spoil = s->b->options->spoil;

	for (int to = 0; to < (kind->to_each ? team->npeers : 1); to++)
		s->b->send[(size_t)to * s->count] = word(s, team->peer, to) + (float)spoil;
}

static float expected(const struct step *s, const struct kind *kind, int from)
{
	float sum = 0;

	for (int r = 0; r < s->b->team->npeers && kind->sums; r++)
		sum += word(s, r, 0);
	return kind->sums ? sum : word(s, from, kind->to_each ? s->b->team->peer : 0);
}

static int look(const struct step *s, const struct run *r, float *words)
{
	for (int from = 0; from < s->b->team->npeers; from++) {
		const float *at;

		if (!r->kind->of_each && from != s->root)
			continue;
		at = ipcshare_view_ptr(s->view, from);
		if (!at)
			return -1;
		words[from] = *(const volatile float *)at;
	}
	return 0;
}

static void check(const struct step *s, struct run *r, const float *words)
{
	for (int from = 0; from < s->b->team->npeers && !*r->why; from++)
		if ((r->kind->of_each || from == s->root) &&
		    words[from] != expected(s, r->kind, from))
			snprintf(r->why, sizeof(r->why), "%s of %zu bytes: the block of rank %d begins "
				 "with %.9g, expected %.9g", r->kind->name, s->count * sizeof(float),
				 from, (double)words[from], (double)expected(s, r->kind, from));
}

/* @times: when this rank began and ended each part. A call that fails does so on every rank. */
static int call_once(struct step *s, struct run *r, double times[NPARTS][2])
{
	float words[s->b->team->npeers];
	int err;

	write_words(s, r->kind);
	flags_meet(&s->b->flags, 1);
	times[PART_CALL][0] = now();
	err = r->kind->make(s);
	times[PART_CALL][1] = now();
	if (err) {
		team_explain(r->kind->name, r->why);
		return -1;
	}
	flags_meet(&s->b->flags, 1);
	times[PART_LOOK][0] = now();
	if (look(s, r, words))
		team_explain("view_ptr", r->why);
	err = ipcshare_view_free(s->view);
	times[PART_LOOK][1] = now();
	if (err)
		team_explain("view_free", r->why);
	else if (!*r->why)
		check(s, r, words);
	return err;
}

/* ---- Rounds --------------------------------------------------------------------------------- */

/* How many make a round. One that folds 16 MiB takes as long as many that do not. */
static unsigned calls_of(const struct run *r, size_t size)
{
	return r->kind->sums && size > COLL_SHORT ? 4 : (unsigned)r->b->options->calls;
}

/* The median over the calls, each until the slowest rank is done. */
static void conclude(struct run *r, int size, int round, double *start, double *end, unsigned calls)
{
	const int n = (int)(NPARTS * calls);

	MPI_Allreduce(MPI_IN_PLACE, start, n, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD);
	MPI_Allreduce(MPI_IN_PLACE, end, n, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
	for (int part = 0; part < NPARTS && round >= 0; part++) {
		for (unsigned k = 0; k < calls; k++)
			end[(unsigned)part * calls + k] -= start[(unsigned)part * calls + k];
		r->seconds[size][part][round] = middle_of(&end[(unsigned)part * calls], calls).median;
	}
}

static void *room(size_t n)
{
	void *p = calloc(n, sizeof(double));

	if (!p)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	return p;
}

/* @round below 0: not counted. */
static int measure(struct run *r, int size, int round)
{
	struct step s = { .b = r->b, .count = sizes[size] / sizeof(float) };
	const unsigned calls = calls_of(r, sizes[size]);
	double *start = room(NPARTS * (size_t)calls), *end = room(NPARTS * (size_t)calls);
	int err = 0;

	for (unsigned k = 0; k < calls && !err; k++) {
		double times[NPARTS][2] = { { 0 } };

		s.serial = ++r->serial;
		s.root = (int)(s.serial % (unsigned)r->b->team->npeers);
		err = call_once(&s, r, times);
		for (unsigned part = 0; part < NPARTS; part++) {
			start[part * calls + k] = times[part][0];
			end[part * calls + k] = times[part][1];
		}
	}
	progress_add(1);
	err = team_verdict(*r->why ? r->why : NULL);
	if (!err)
		conclude(r, size, round, start, end, calls);
	free(start);
	free(end);
	return err;
}

/* ---- Show ----------------------------------------------------------------------------------- */

static const char *const part_names[] = { "view", "look and end" };

static void show(const struct run *r, FILE *json, struct figure f)
{
	char text[REPORT_TEXT];

	progress_clear();
	for (int part = 0; part < NPARTS; part++) {
		double *const few = r->seconds[0][part], *const many = r->seconds[1][part];
		const struct middle growth = middle_of_ratios(many, few, r->rounds);

		printf("  %-16s %-13s", part ? "" : r->kind->name, part_names[part]);
		printf(" %10s", report_time(middle_of(few, r->rounds).median, text));
		printf(" %10s", report_time(middle_of(many, r->rounds).median, text));
		printf(" %7.2f %5.2f\n", growth.median, growth.spread * growth.median);
		f.workload = r->kind->name;
		f.stage = part_names[part];
		f.rounds = r->rounds;
		f.unit = "s";
		for (int size = 0; size < NSIZES && json; size++) {
			f.bytes = sizes[size];
			f.count = calls_of(r, sizes[size]);
			f.metric = "view_time";
			f.value = middle_of(r->seconds[size][part], r->rounds);
			f.baseline = NULL;
			if (size) {
				f.metric = "growth";
				f.baseline = "64 bytes";
				f.baseline_value = middle_of(few, r->rounds).median;
				f.ratio = growth;
			}
			figure_json(json, r->b->team, &f);
		}
	}
	fflush(stdout);
}

/* ---- All of it ------------------------------------------------------------------------------ */

static int run_kind(struct coll *b, const struct kind *kind, FILE *json, struct figure figure)
{
	struct run r = { .b = b, .kind = kind, .rounds = (unsigned)b->options->rounds };
	int err = 0;

	for (int i = 0; i < NSIZES * NPARTS; i++)
		r.seconds[i / NPARTS][i % NPARTS] = room(r.rounds);
	progress_stage("coll", kind->name, (uint64_t)(r.rounds + 1) * NSIZES);
	for (int round = -1; round < (int)r.rounds && !err; round++)
		for (int k = 0; k < NSIZES && !err; k++)
			err = measure(&r, (round + 1 + k) % NSIZES, round);
	if (!err && b->team->rank == 0)
		show(&r, json, figure);
	for (int i = 0; i < NSIZES * NPARTS; i++)
		free(r.seconds[i / NPARTS][i % NPARTS]);
	return err;
}

size_t coll_view_room(const struct team *team)
{
	return sizes[NSIZES - 1] * (size_t)team->npeers;
}

int coll_view(struct coll *b, FILE *json, struct figure figure)
{
	int err = 0;

	if (b->team->rank == 0)
		printf("  %-16s %-13s %10s %10s %7s %5s\n", "view", "part", "64 bytes", "16.0 MiB",
		       "growth", "+-");
	for (size_t i = 0; i < NKINDS && !err; i++)
		err = run_kind(b, &kinds[i], json, figure);
	return err;
}
