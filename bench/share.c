/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare-bench share: every rank shares a workload's buffers with every other rank in one call,
 * and every byte is checked in place, in both directions. Here: options, workloads, the outcome.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "progress.h"
#include "report.h"
#include "share_run.h"

#define SLAB_DEFAULT ((size_t)256 << 20)
#define REPEAT_MAX 1000000u

static const char *const default_workloads[] = {
	"gpt2-124m", "lora-r16-llama3-8b", "kv-blocks", "tiny",
};
#define NDEFAULTS (sizeof(default_workloads) / sizeof(default_workloads[0]))

struct arguments {
	const char **names;	/* of workloads */
	size_t nnames;
	const char *dir;
	const char *json;
	int no_progress, help;
	struct share_options run;
};

/* ---- Options ------------------------------------------------------------------------------ */

static void print_help(void)
{
	printf("usage: mpirun -n RANKS ipcshare-bench share [options]\n\n"
	       "Share a workload's buffers between all ranks and verify every byte in place.\n\n"
	       "  --workload NAME|FILE  what to share; may be repeated. Default:");
	for (size_t i = 0; i < NDEFAULTS; i++)
		printf("%s %s", i == 1 ? "\n                       " : "", default_workloads[i]);
	printf("\n"
	       "  --workload-dir DIR    where DIR/NAME.txt is looked up\n"
	       "  --layout slabs|each   buffers cut from few allocations (default), or one\n"
	       "                        allocation each\n"
	       "  --slab BYTES          largest allocation to cut from; K, M, G; default 256M\n"
	       "  --repeat K            share the same buffers K times more; default 1\n"
	       "  --read-only           peers can only read: no marks\n"
	       "  --json FILE           write the figures there, one JSON object a line\n"
	       "  --spoil INDEX         flip a bit in that buffer of the last rank: is it found?\n"
	       "  --no-progress         no progress line, also on a terminal\n"
	       "  --help                this text\n\n"
	       "IPCSHARE_BACKEND in the environment names the backend.\n");
}

/* Every rank finds the same fault; rank 0 speaks. */
__attribute__((format(printf, 1, 2))) static int usage(const char *fmt, ...)
{
	va_list args;

	if (team_rank())
		return BENCH_USAGE;
	va_start(args, fmt);
	fprintf(stderr, "ipcshare-bench share: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "; try 'ipcshare-bench share --help'\n");
	va_end(args);
	return BENCH_USAGE;
}

/* Digits with one of @suffixes behind: 'K', 'M', 'G' are powers of 1024. -1 if it isn't that. */
static int number(const char *text, const char *suffixes, uint64_t min, uint64_t max, uint64_t *out)
{
	static const char units[] = "KMG";
	unsigned long long n;
	unsigned shift = 0;
	char *end;

	if (*text < '0' || *text > '9')	/* strtoull() would take a sign */
		return -1;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return -1;
	if (*end && strchr(suffixes, *end)) {
		shift = 10 * (unsigned)(strchr(units, *end) - units + 1);
		end++;
	}
	if (*end || n > max >> shift || n << shift < min)
		return -1;
	*out = n << shift;
	return 0;
}

static int set_layout(struct arguments *a, const char *text)
{
	if (!strcmp(text, "slabs"))
		a->run.layout = LAYOUT_SLABS;
	else if (!strcmp(text, "each"))
		a->run.layout = LAYOUT_EACH;
	else
		return usage("--layout '%s'; expected slabs or each", text);
	return 0;
}

static int set_number(const char *option, const char *text, struct arguments *a)
{
	uint64_t n;

	if (!strcmp(option, "slab")) {
		if (number(text, "KMG", BUFFERS_ALIGN, PTRDIFF_MAX, &n))
			return usage("--slab '%s'; expected bytes, at least %zu, 64M for example",
				     text, BUFFERS_ALIGN);
		a->run.slab = (size_t)n;
	} else if (!strcmp(option, "repeat")) {
		if (number(text, "", 0, REPEAT_MAX, &n))
			return usage("--repeat '%s'; expected a number from 0 to %u", text,
				     REPEAT_MAX);
		a->run.repeat = (unsigned)n;
	} else {
		if (number(text, "", 0, WORKLOAD_BUFFERS - 1, &n))
			return usage("--spoil '%s'; expected the index of a buffer, from 0", text);
		a->run.spoil = (size_t)n;
	}
	return 0;
}

/* 0, or an exit code. */
static int parse(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
		{ "workload", required_argument, NULL, 'w' },
		{ "workload-dir", required_argument, NULL, 'd' },
		{ "layout", required_argument, NULL, 'l' },
		{ "slab", required_argument, NULL, 'n' },
		{ "repeat", required_argument, NULL, 'n' },
		{ "spoil", required_argument, NULL, 'n' },
		{ "json", required_argument, NULL, 'j' },
		{ "read-only", no_argument, NULL, 'r' },
		{ "no-progress", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	int c, index, err = 0;

	opterr = 0;
	while (!err && (c = getopt_long(argc, argv, ":h", options, &index)) != -1) {
		switch (c) {
		case 'w': a->names[a->nnames++] = optarg; break;
		case 'd': a->dir = optarg; break;
		case 'l': err = set_layout(a, optarg); break;
		case 'n': err = set_number(options[index].name, optarg, a); break;
		case 'j': a->json = optarg; break;
		case 'r': a->run.read_only = 1; break;
		case 'p': a->no_progress = 1; break;
		case 'h': a->help = 1; break;
		case ':': err = usage("%s needs a value", argv[optind - 1]); break;
		default: err = usage("no option '%s'", argv[optind - 1]); break;
		}
	}
	if (!err && optind < argc)
		err = usage("unexpected '%s'", argv[optind]);
	if (!a->nnames)
		for (; a->nnames < NDEFAULTS; a->nnames++)
			a->names[a->nnames] = default_workloads[a->nnames];
	return err;
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
	struct workload *w = calloc(a->nnames, sizeof(*w));

	if (!w)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	for (size_t i = 0; i < a->nnames; i++) {
		int err = load(a->names[i], a->dir, &w[i]);

		if (!err && a->run.spoil != SIZE_MAX && a->run.spoil >= w[i].nbuffers)
			err = usage("--spoil %zu; %s has %zu buffers", a->run.spoil, w[i].name,
				    w[i].nbuffers);
		if (err) {
			free_all(w, a->nnames);
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

/* One allocation each takes a descriptor each. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

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
		raise_descriptor_limit();
	if (team_open(&team))
		return -1;
	if (team.rank == 0) {
		print_head(a, &team);
		if (!a->no_progress)
			progress_open();
	}
	for (size_t i = 0; i < a->nnames && !err; i++)
		err = run_one(a, &team, &w[i], (unsigned)i, json);
	progress_close();
	return team_close(&team, err);
}

/* Rank 0's file, NULL elsewhere. -1 on every rank if it can't be opened. */
static int json_open(const char *path, FILE **out)
{
	int err = 0;

	if (path && team_rank() == 0) {
		*out = fopen(path, "we");
		if (!*out) {
			fprintf(stderr, "ipcshare-bench share: --json %s: %s\n", path,
				strerror(errno));
			err = -1;
		}
	}
	MPI_Bcast(&err, 1, MPI_INT, 0, MPI_COMM_WORLD);
	return err;
}

static int json_close(const char *path, FILE *file)
{
	int bad = 0;

	if (file) {
		bad = ferror(file);
		if (fclose(file) || bad) {
			fprintf(stderr, "ipcshare-bench share: --json %s: can't be written\n",
				path);
			bad = 1;
		}
	}
	MPI_Bcast(&bad, 1, MPI_INT, 0, MPI_COMM_WORLD);
	return bad ? -1 : 0;
}

static int run_loaded(const struct arguments *a)
{
	struct workload *w;
	FILE *json = NULL;
	int err = load_all(a, &w);

	if (err)
		return err;
	err = json_open(a->json, &json);
	if (!err) {
		err = run_all(a, w, json);
		if (json_close(a->json, json))
			err = -1;
	}
	free_all(w, a->nnames);
	return err ? BENCH_FAILED : BENCH_OK;
}

int bench_share(int argc, char **argv)
{
	struct arguments a = { .run = { .layout = LAYOUT_SLABS, .slab = SLAB_DEFAULT, .repeat = 1,
					.spoil = SIZE_MAX } };
	int code;

	a.names = calloc((size_t)argc + NDEFAULTS, sizeof(*a.names));
	if (!a.names)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	code = parse(argc, argv, &a);
	if (!code && a.help) {
		if (team_rank() == 0)
			print_help();
	} else if (!code) {
		code = run_loaded(&a);
	}
	free(a.names);
	return code;
}
