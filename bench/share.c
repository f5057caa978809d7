/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare-bench share: every rank shares a workload's buffers with every other rank in one call,
 * and every byte is checked in place, in both directions. Here: options, workloads, the outcome.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "descriptors.h"
#include "options.h"
#include "progress.h"
#include "report.h"
#include "share_run.h"

#define SLAB_DEFAULT ((size_t)256 << 20)

static const char *const default_workloads[] = {
	"gpt2-124m", "lora-r16-llama3-8b", "kv-blocks", "tiny",
};
#define NDEFAULTS (sizeof(default_workloads) / sizeof(default_workloads[0]))

struct arguments {
	struct options options;
	struct option_texts names;	/* of workloads */
	const char *dir;
	struct share_options run;
};

/* ---- Options ------------------------------------------------------------------------------ */

/* 0, or an exit code. */
static int set_layout(struct arguments *a, const char *text)
{
	if (!strcmp(text, "slabs"))
		a->run.layout = LAYOUT_SLABS;
	else if (!strcmp(text, "each"))
		a->run.layout = LAYOUT_EACH;
	else
		return options_usage(&a->options, "--layout '%s'; expected slabs or each", text);
	return 0;
}

/* 0, or -1 to end with @code. */
static int parse(int argc, char **argv, struct arguments *a, int *code)
{
	const char *layout = "slabs";
	const struct option_row rows[] = {
		{ .name = "workload", .kind = OPTION_TEXTS, .to = &a->names, .value = "NAME|FILE",
		  .help = "what to share; may be repeated. Default: gpt2-124m\n"
			  "lora-r16-llama3-8b kv-blocks tiny" },
		{ .name = "workload-dir", .kind = OPTION_TEXT, .to = &a->dir, .value = "DIR",
		  .help = "where DIR/NAME.txt is looked up" },
		{ .name = "layout", .kind = OPTION_TEXT, .to = &layout, .value = "slabs|each",
		  .help = "buffers cut from few allocations (default), or one\n"
			  "allocation each" },
		{ .name = "slab", .kind = OPTION_NUMBER, .to = &a->run.slab, .value = "BYTES",
		  .help = "largest allocation to cut from; K, M, G; default 256M",
		  .units = "KMG", .min = BUFFERS_ALIGN, .max = PTRDIFF_MAX,
		  .expected = "bytes, at least 128, 64M for example" },
		{ .name = "repeat", .kind = OPTION_NUMBER, .to = &a->run.repeat, .value = "K",
		  .help = "share the same buffers K times more; default 1",
		  .max = 1000000, .expected = "a number from 0 to 1000000" },
		{ .name = "read-only", .kind = OPTION_FLAG, .to = &a->run.read_only,
		  .help = "peers can only read: no marks" },
		{ .name = "spoil", .kind = OPTION_NUMBER, .to = &a->run.spoil, .value = "INDEX",
		  .help = "flip a bit in that buffer of the last rank: is it found?",
		  .max = WORKLOAD_BUFFERS - 1, .expected = "the index of a buffer, from 0" },
	};

	a->options = (struct options){
		.command = "share",
		.text = "Share a workload's buffers between all ranks and verify every byte in "
			"place.",
		.rows = rows,
		.n = sizeof(rows) / sizeof(rows[0]),
	};
	if (options_parse(&a->options, argc, argv, code))
		return -1;
	a->options.rows = NULL;	/* they end here */
	*code = set_layout(a, layout);
	for (size_t i = 0; !a->names.n && i < NDEFAULTS; i++)
		a->names.list[i] = default_workloads[i];
	if (!a->names.n)
		a->names.n = NDEFAULTS;
	return *code ? -1 : 0;
}

/* ---- Workloads ----------------------------------------------------------------------------- */

/* Rank 0 reads the file for all: other nodes need not have it, and all have the same. */
static int load(const char *name, const char *dir, struct workload *out)
{
	struct workload_error error = { "" };
	char path[PATH_MAX] = "", *text = NULL;
	size_t len = 0;
	uint64_t told;
	int err = 0;

	if (team_rank() == 0)
		err = workload_load(name, dir, path, &text, &len, &error);
	told = err ? UINT64_MAX : len;
	MPI_Bcast(&told, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
	if (told == UINT64_MAX) {
		err = -1;
		goto out;
	}
	len = (size_t)told;
	if (team_rank())
		text = malloc(len + 1);
	if (!text)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	MPI_Bcast(path, sizeof(path), MPI_CHAR, 0, MPI_COMM_WORLD);
	MPI_Bcast(text, (int)len, MPI_CHAR, 0, MPI_COMM_WORLD);
	err = workload_parse(text, len, path, out, &error);
	free(text);
out:
	if (err && team_rank() == 0)
		fprintf(stderr, "ipcshare-bench share: %s\n", error.text);
	return err ? BENCH_USAGE : 0;
}

static void free_all(struct workload *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		workload_free(&w[i]);
	free(w);
}

/* All of them before the first run: a bad file is found at once. */
static int load_all(const struct arguments *a, struct workload **out)
{
	struct workload *w = calloc(a->names.n, sizeof(*w));

	if (!w)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	for (size_t i = 0; i < a->names.n; i++) {
		int err = load(a->names.list[i], a->dir, &w[i]);

		if (!err && a->run.spoil != OPTION_NONE && a->run.spoil >= w[i].nbuffers)
			err = options_usage(&a->options, "--spoil %" PRIu64 "; %s has %zu buffers",
					    a->run.spoil, w[i].name, w[i].nbuffers);
		if (err) {
			free_all(w, a->names.n);
			return err;
		}
	}
	*out = w;
	return 0;
}

/* ---- The outcome --------------------------------------------------------------------------- */

static const char *layout_name(enum layout layout)
{
	return layout == LAYOUT_EACH ? "each" : "slabs";
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* What rank 0 knows of all ranks in the end. */
struct outcome {
	struct report_row rows[STAGES];
	size_t nrows;
	struct report_row *row_of[STAGES];	/* NULL if there was no such stage */
	uint64_t buffers, bytes;	/* of all ranks */
	uint64_t marks, marks_wanted;
	uint64_t calls[IPCSHARE_CALLS];	/* of the rank with the most */
};

static void reduce(const uint64_t *in, uint64_t *out, int n, MPI_Op op)
{
	MPI_Reduce(in, out, n, MPI_UINT64_T, op, 0, MPI_COMM_WORLD);
}

/* Collective; the row is for rank 0. A stage without work has none: verify of a single rank. */
static void add_row(struct outcome *o, enum stage stage, const char *name, int indent,
		    const struct measure *m)
{
	/* What can't make backend calls has an empty cell, not a 0. */
	static const char counted[STAGES] = {
		[STAGE_ALLOC] = 1, [STAGE_SHARE] = 1, [STAGE_EXPORT] = 1, [STAGE_ALLOW] = 1,
		[STAGE_IMPORT] = 1, [STAGE_RESHARE] = 1, [STAGE_SET_FREE] = 1, [STAGE_FREE] = 1,
	};
	struct report_row row = { .stage = name, .indent = indent, .counted = counted[stage] };
	const double seconds = m->times ? m->seconds / m->times : 0;
	const uint64_t mine[] = { m->times, m->calls, m->buffers };
	uint64_t most[3];

	MPI_Reduce(&seconds, &row.slowest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
	MPI_Reduce(&seconds, &row.fastest, 1, MPI_DOUBLE, MPI_MIN, 0, MPI_COMM_WORLD);
	MPI_Reduce(&seconds, &row.total, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
	reduce(&m->bytes, &row.bytes, 1, MPI_SUM);
	reduce(mine, most, 3, MPI_MAX);
	if (team_rank() || !most[0] || (!most[2] && !indent))
		return;
	row.calls = most[1];
	row.buffers = most[2];
	o->row_of[stage] = &o->rows[o->nrows];
	o->rows[o->nrows++] = row;
}

static void compare(struct outcome *o, enum stage stage, enum stage baseline)
{
	if (o->row_of[stage])
		o->row_of[stage]->baseline = o->row_of[baseline];
}

static void collect(const struct share_run *r, struct outcome *o)
{
	const uint64_t mine[] = { r->b.n, r->b.bytes, r->marks, r->marks_wanted };
	uint64_t all[4];

	memset(o, 0, sizeof(*o));
#define STAGE_ADD(id, name, indent) add_row(o, STAGE_##id, name, indent, &r->measure[STAGE_##id]);
	STAGE_LIST(STAGE_ADD)
#undef STAGE_ADD
	compare(o, STAGE_VERIFY, STAGE_OWN);
	compare(o, STAGE_REREAD, STAGE_OWN);
	compare(o, STAGE_RESHARE, STAGE_SHARE);

	reduce(r->calls, o->calls, IPCSHARE_CALLS, MPI_MAX);
	reduce(mine, all, 4, MPI_SUM);
	if (team_rank())
		return;
	o->buffers = all[0];
	o->bytes = all[1];
	o->marks = all[2];
	o->marks_wanted = all[3];
}

static void print_head(const struct arguments *a, const struct team *team)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);

	printf("ipcshare-bench share %s: %s backend, %d rank%s on %d node%s, layout %s%s\n",
	       ipcshare_version(), team->backend, team->size, plural((uint64_t)team->size),
	       team->nodes, plural((uint64_t)team->nodes), layout_name(a->run.layout),
	       a->run.read_only ? ", read-only" : "");
	if (team->npeers > cores)
		printf("(%d ranks have %ld core%s here: times include waiting for one)\n",
		       team->npeers, cores, plural((uint64_t)cores));
	if (team_is_emulated(team))
		printf("(the Ascend runtime is an emulator: speeds are its own, not an NPU's)\n");
	fflush(stdout);
}

static void print_ratios(const struct outcome *o)
{
	const struct report_row *first = o->row_of[STAGE_VERIFY], *again = o->row_of[STAGE_REREAD];
	const struct report_row *reshare = o->row_of[STAGE_RESHARE];

	if (first && again)
		printf("  in place: peers' buffers are read at %.2f x the rate of own ones; at the "
		       "first touch %.2f x\n", report_ratio(again), report_ratio(first));
	if (reshare)
		printf("  sharing again: %.2f x the time of the first share, %" PRIu64
		       " backend calls\n", report_ratio(reshare), reshare->calls);
}

static void print_outcome(const struct share_run *r, const struct outcome *o)
{
	const uint64_t exports = o->calls[IPCSHARE_CALL_EXPORT];
	const uint64_t imports = o->calls[IPCSHARE_CALL_IMPORT];
	char bytes[REPORT_TEXT];

	printf("\n%s: %zu buffer%s, %s in %zu allocation%s a rank\n", r->w->name, r->b.n,
	       plural(r->b.n), report_bytes(r->b.bytes, bytes), r->b.nslabs, plural(r->b.nslabs));
	report_table(stdout, o->rows, o->nrows);
	printf("  calls per rank: %" PRIu64 " export%s, %" PRIu64 " whitelist, %" PRIu64
	       " import%s for %zu allocation%s\n", exports, plural(exports),
	       o->calls[IPCSHARE_CALL_ALLOW], imports, plural(imports), r->b.nslabs,
	       plural(r->b.nslabs));
	print_ratios(o);
	if (o->marks < o->marks_wanted)
		printf("  marks: %" PRIu64 " of %" PRIu64 "; the other buffers are too short for a "
		       "mark of each rank\n", o->marks, o->marks_wanted);
	printf("verified: %" PRIu64 " buffers, %" PRIu64 " bytes, %d ranks\n", o->buffers, o->bytes,
	       r->team->size);
	fflush(stdout);
}

/* ---- All of it ----------------------------------------------------------------------------- */

static int run_one(const struct arguments *a, const struct team *team, const struct workload *w,
		   unsigned serial, FILE *json)
{
	struct share_run r = { .options = &a->run, .team = team, .w = w, .serial = serial };
	const struct report report = { .bench = "share", .backend = team->backend,
				       .layout = layout_name(a->run.layout), .workload = w->name,
				       .ranks = team->size };
	struct outcome o;
	int err = share_run_do(&r);

	if (!err) {
		collect(&r, &o);
		progress_clear();
		if (team->rank == 0)
			print_outcome(&r, &o);
		if (json)
			report_json(json, &report, o.rows, o.nrows);
	}
	share_run_end(&r);
	return err;
}

static int run_all(const struct arguments *a, const struct workload *w, FILE *json)
{
	struct team team;
	int err = 0;

	if (a->run.layout == LAYOUT_EACH)
		descriptors_raise();	/* each takes one */
	if (team_open(&team))
		return -1;
	if (team.rank == 0) {
		print_head(a, &team);
		if (!a->options.no_progress)
			progress_open();
	}
	for (size_t i = 0; i < a->names.n && !err; i++)
		err = run_one(a, &team, &w[i], (unsigned)i, json);
	progress_close();
	return team_close(&team, err);
}

static int run_loaded(const struct arguments *a)
{
	struct workload *w;
	FILE *json = NULL;
	int err = load_all(a, &w);

	if (err)
		return err;
	err = report_open(&a->options, &json);
	if (!err) {
		err = run_all(a, w, json);
		if (report_close(&a->options, json))
			err = -1;
	}
	free_all(w, a->names.n);
	return err ? BENCH_FAILED : BENCH_OK;
}

int bench_share(int argc, char **argv)
{
	struct arguments a = { .run = { .slab = SLAB_DEFAULT, .repeat = 1, .spoil = OPTION_NONE } };
	int code;

	a.names.list = calloc((size_t)argc + NDEFAULTS, sizeof(*a.names.list));
	if (!a.names.list)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	if (!parse(argc, argv, &a, &code))
		code = run_loaded(&a);
	free(a.names.list);
	return code;
}
