/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare-bench calls: what does one backend call cost, and does its cost grow with the allocation?
 * Rank 0 allocates, exports and whitelists, rank 1 imports, compares and closes, rank 0 frees; again
 * and again, for several sizes. The times are the library's counters: the backend's calls alone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipcshare.h>
#include <mpi.h>

#include "bench.h"
#include "options.h"
#include "pattern.h"
#include "report.h"
#include "team.h"

#define REPEAT_DEFAULT 10
#define REPEAT_MAX 100000u
#define MARK ((size_t)64)
#define MARK_STEP ((size_t)2 << 20)	/* each of the device's huge pages has one */

struct calls_options {
	struct option_numbers sizes;
	uint64_t repeat;
	int spoil;
};

struct calls {
	const struct calls_options *options;
	const struct team *team;
	FILE *json;		/* NULL: none */
	struct ipcshare_identity importer;
	unsigned serial;	/* of the allocation: no two have the same marks */
};

/* ---- Content ------------------------------------------------------------------------------ */

static struct pattern pattern_of(const struct calls *c, size_t at)
{
	static const int names[] = { 0, 1 };

	return (struct pattern){ .run = c->serial, .n = 2, .names = names, .index = at };
}

/* Rank 0 writes the mark at offset @at of its memory. */
static int write_mark(const struct calls *c, char *base, size_t at, int spoil)
{
	const struct pattern pattern = pattern_of(c, at);
	char mark[MARK];

	pattern_fill(&pattern, mark, MARK);
	mark[MARK / 2] ^= (char)spoil;
	return ipcshare_copy(c->team->ctx, base + at, mark, MARK);
}

/* The last mark ends with the allocation. */
static int write_marks(const struct calls *c, char *base, size_t size)
{
	const size_t last = size - MARK;
	int err = 0;

	for (size_t at = 0; !err && at + MARK <= last; at += MARK_STEP)
		err = write_mark(c, base, at, 0);
	return err ? err : write_mark(c, base, last, c->options->spoil);
}

/* NULL the mark is there; else what is wrong, in @why. */
static const char *compare_mark(const struct calls *c, const char *base, size_t at, char *why)
{
	const struct pattern pattern = pattern_of(c, at);
	struct pattern_diff diff;
	char mark[MARK];

	if (ipcshare_copy(c->team->ctx, mark, base + at, MARK))
		return team_explain("copy", why);
	if (!pattern_check(&pattern, mark, MARK, &diff))
		return NULL;
	snprintf(why, TEAM_TEXT, "what is imported is wrong at offset %zu: 0x%016" PRIx64
		 ", expected 0x%016" PRIx64, at + diff.offset, diff.saw, diff.expected);
	return why;
}

static const char *compare_marks(const struct calls *c, const char *base, size_t size, char *why)
{
	const size_t last = size - MARK;
	const char *wrong = NULL;

	for (size_t at = 0; !wrong && at + MARK <= last; at += MARK_STEP)
		wrong = compare_mark(c, base, at, why);
	return wrong ? wrong : compare_mark(c, base, last, why);
}

/* ---- One cycle ----------------------------------------------------------------------------- */

static const char *offer(const struct calls *c, size_t size, void **memory,
			 struct ipcshare_packed *packed, char *why)
{
	struct ipcshare_ctx *ctx = c->team->ctx;

	if (ipcshare_alloc(ctx, size, memory))
		return team_explain("alloc", why);
	if (write_marks(c, *memory, size))
		return team_explain("copy", why);
	if (ipcshare_pack(ctx, *memory, size, 0, packed))
		return team_explain("export", why);
	if (ipcshare_allow(ctx, *memory, &c->importer, 1, 0))
		return team_explain("whitelist", why);
	return NULL;
}

static const char *take(const struct calls *c, size_t size, const struct ipcshare_packed *packed,
			char *why)
{
	const char *wrong;
	void *memory;

	if (ipcshare_map(c->team->ctx, packed, &memory))
		return team_explain("import", why);
	wrong = compare_marks(c, memory, size, why);
	if (ipcshare_unmap(c->team->ctx, memory) && !wrong)
		return team_explain("close import", why);
	return wrong;
}

static int share_once(const struct calls *c, size_t size)
{
	const int owner = c->team->rank == 0;
	struct ipcshare_packed packed;
	char why[TEAM_TEXT];
	void *memory = NULL;

	if (team_verdict(owner ? offer(c, size, &memory, &packed, why) : NULL))
		return -1;
	MPI_Bcast(&packed, sizeof(packed), MPI_BYTE, 0, MPI_COMM_WORLD);
	if (team_verdict(owner ? NULL : take(c, size, &packed, why)))
		return -1;
	return team_verdict(ipcshare_free(c->team->ctx, memory) ? team_explain("free", why) : NULL);
}

/* The same with the nanoseconds of each kind of call, of which there must be one. */
static int time_once(struct calls *c, size_t size, uint64_t ns[IPCSHARE_CALLS])
{
	struct ipcshare_counters before = { .size = sizeof(before) }, after = before;
	uint64_t calls[IPCSHARE_CALLS];
	const char *wrong = NULL;
	char why[TEAM_TEXT];

	c->serial++;
	ipcshare_counters(c->team->ctx, &before);
	if (share_once(c, size))
		return -1;
	ipcshare_counters(c->team->ctx, &after);
	for (int i = 0; i < IPCSHARE_CALLS; i++) {
		calls[i] = after.calls[i] - before.calls[i];
		ns[i] = after.call_ns[i] - before.call_ns[i];
	}
	MPI_Allreduce(MPI_IN_PLACE, calls, IPCSHARE_CALLS, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
	MPI_Allreduce(MPI_IN_PLACE, ns, IPCSHARE_CALLS, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
	for (int i = 0; i < IPCSHARE_CALLS && !wrong; i++)
		if (calls[i] != 1) {
			snprintf(why, sizeof(why), "%" PRIu64 " calls of %s instead of one", calls[i],
				 ipcshare_call_name(i));
			wrong = why;
		}
	return team_verdict(wrong);
}

/* ---- All of them --------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* @ns: of the first cycle, and of the @n that count, which are sorted here. */
static void show_call(const struct calls *c, size_t size, const char *name, uint64_t *ns, size_t n)
{
	uint64_t *sorted = ns + 1, shown[4];
	char text[REPORT_TEXT];

	qsort(sorted, n, sizeof(*sorted), by_value);
	shown[0] = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
	shown[1] = sorted[0];
	shown[2] = sorted[n - 1];
	shown[3] = ns[0];
	printf("  %-13s", name);
	for (int i = 0; i < 4; i++)
		printf(" %10s", report_time(1e-9 * (double)shown[i], text));
	printf("\n");
	if (c->json)
		fprintf(c->json, "{\"bench\": \"calls\", \"backend\": \"%s\", \"ranks\": 2, "
			"\"workload\": \"%zu bytes\", \"stage\": \"%s\", \"metric\": \"time\", "
			"\"value\": %.9g, \"unit\": \"s\", \"least\": %.9g, \"most\": %.9g}\n",
			c->team->backend, size, name, 1e-9 * (double)shown[0],
			1e-9 * (double)shown[1], 1e-9 * (double)shown[2]);
}

static int run_size(struct calls *c, size_t size)
{
	const size_t cycles = c->options->repeat + 1;
	uint64_t now[IPCSHARE_CALLS], *ns = malloc(IPCSHARE_CALLS * cycles * sizeof(*ns));
	char text[REPORT_TEXT];
	int err = team_verdict(ns ? NULL : "out of memory");

	for (size_t k = 0; k < cycles && !err; k++) {
		err = time_once(c, size, now);
		for (int i = 0; i < IPCSHARE_CALLS; i++)
			ns[(size_t)i * cycles + k] = now[i];
	}
	if (!err && c->team->rank == 0) {
		printf("\n%-15s %7s %10s %10s %10s\n", report_bytes(size, text), "median", "least",
		       "most", "first");
		for (int i = 0; i < IPCSHARE_CALLS; i++)
			show_call(c, size, ipcshare_call_name(i), &ns[(size_t)i * cycles],
				  cycles - 1);
		fflush(stdout);
	}
	free(ns);
	return err;
}

static void print_head(const struct calls *c)
{
	printf("ipcshare-bench calls %s: %s backend, one allocation, rank 0 to rank 1, %" PRIu64
	       " + 1 times\n", ipcshare_version(), c->team->backend, c->options->repeat);
	if (!strcmp(c->team->backend, "host"))
		printf("(memory of the host: no NPU takes part in these times)\n");
	team_print_emulated(c->team);
	fflush(stdout);
}

static int run_all(struct calls *c)
{
	int err = ipcshare_self(c->team->ctx, &c->importer);
	char why[TEAM_TEXT];

	if (team_verdict(err ? team_explain("self", why) : NULL))
		return -1;
	MPI_Bcast(&c->importer, sizeof(c->importer), MPI_BYTE, 1, MPI_COMM_WORLD);
	for (size_t i = 0; i < c->options->sizes.n && !err; i++)
		err = run_size(c, c->options->sizes.list[i]);
	if (!err && c->team->rank == 0)
		printf("\nverified: %u imports carry what their owner wrote\n", c->serial);
	return err;
}

static int run(void *bench, int no_progress, FILE *json)
{
	const struct calls_options *options = bench;
	struct team team;
	struct calls c = { .options = options, .team = &team, .json = json };
	int err;

	(void)no_progress; /* it is over too soon */
	if (team_open(&team))
		return -1;
	if (team_verdict(team.npeers == 2 ? NULL : "the two ranks are not on one node"))
		return team_close(&team, 1);
	if (team.rank == 0)
		print_head(&c);
	err = run_all(&c);
	return team_close(&team, err) || err ? -1 : 0;
}

/* 0, or an exit code. */
static int check(const struct options *o, struct calls_options *c)
{
	static const uint64_t sizes[] = { (uint64_t)4 << 10, (uint64_t)2 << 20, (uint64_t)1 << 30 };
	int size;

	MPI_Comm_size(MPI_COMM_WORLD, &size);
	if (size != 2)
		return options_usage(o, "it takes 2 ranks, not %d", size);
	for (size_t i = 0; !c->sizes.n && i < sizeof(sizes) / sizeof(sizes[0]); i++)
		c->sizes.list[i] = sizes[i];
	c->sizes.n = c->sizes.n ? c->sizes.n : sizeof(sizes) / sizeof(sizes[0]);
	return 0;
}

int bench_calls(int argc, char **argv)
{
	uint64_t sizes[argc + 3]; /* three if none is given */
	struct calls_options options = { .sizes = { .list = sizes }, .repeat = REPEAT_DEFAULT };
	const struct option_row rows[] = {
		{ .name = "size", .kind = OPTION_NUMBERS, .to = &options.sizes, .value = "BYTES",
		  .help = "of the allocation; K, M, G; may be repeated. Default: 4K 2M 1G",
		  .units = "KMG", .min = MARK, .max = PTRDIFF_MAX,
		  .expected = "bytes, at least 64, 2M for example" },
		{ .name = "repeat", .kind = OPTION_NUMBER, .to = &options.repeat, .value = "K",
		  .help = "cycles that count, after a first one that does not; default 10",
		  .min = 1, .max = REPEAT_MAX, .expected = "a number from 1 to 100000" },
		{ .name = "spoil", .kind = OPTION_FLAG, .to = &options.spoil,
		  .help = "flip a bit of what rank 0 writes: is it found?" },
	};
	struct options o = {
		.command = "calls",
		.text = "Time each backend call that it takes to share an allocation and to end "
			"that: rank 0\nexports and whitelists, rank 1 imports, verifies and "
			"closes. For 2 ranks.",
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
