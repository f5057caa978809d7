/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "team.h"

int options_usage(const struct options *o, const char *fmt, ...)
{
	va_list args;

	if (team_rank())
		return BENCH_USAGE;
	va_start(args, fmt);
	fprintf(stderr, "ipcshare-bench %s: ", o->command);
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "; try 'ipcshare-bench %s --help'\n", o->command);
	va_end(args);
	return BENCH_USAGE;
}

/* ---- --help ------------------------------------------------------------------------------- */

/* "--slab BYTES" */
static int head(const struct option_row *row, char *out, size_t size)
{
	return snprintf(out, size, "--%s%s%s", row->name, row->value ? " " : "",
			row->value ? row->value : "");
}

static void print_row(const struct option_row *row, int width)
{
	const char *line = row->help;
	char text[64];
	size_t len;

	head(row, text, sizeof(text));
	printf("  %-*s  ", width, text);
	for (len = strcspn(line, "\n"); line[len]; len = strcspn(line, "\n")) {
		printf("%.*s\n  %-*s  ", (int)len, line, width, "");
		line += len + 1;
	}
	printf("%s\n", line);
}

static void print_help(const struct options *o, const struct option_row *rows, size_t n)
{
	int width = 0;

	for (size_t i = 0; i < n; i++) {
		const int len = head(&rows[i], NULL, 0);

		width = len > width ? len : width;
	}
	printf("usage: mpirun -n RANKS ipcshare-bench %s [options]\n\n%s\n\n", o->command, o->text);
	for (size_t i = 0; i < n; i++)
		print_row(&rows[i], width);
	printf("\nIPCSHARE_BACKEND in the environment names the backend.\n");
}

/* ---- Parsing ------------------------------------------------------------------------------ */

/* Digits with one of the row's units behind. -1 if it isn't that. */
static int number(const struct option_row *row, const char *text, uint64_t *out)
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
	if (*end && row->units && strchr(row->units, *end)) {
		shift = 10 * (unsigned)(strchr(units, *end) - units + 1);
		end++;
	}
	if (*end || n > row->max >> shift || n << shift < row->min)
		return -1;
	*out = n << shift;
	return 0;
}

static int take_number(const struct options *o, const struct option_row *row, const char *text,
		       uint64_t *to)
{
	if (!number(row, text, to))
		return 0;
	return options_usage(o, "--%s '%s'; expected %s", row->name, text, row->expected);
}

/* 0, or an exit code. */
static int take(const struct options *o, const struct option_row *row, const char *text)
{
	struct option_texts *texts = row->to;
	struct option_numbers *numbers = row->to;

	switch (row->kind) {
	case OPTION_FLAG: *(int *)row->to = 1; break;
	case OPTION_TEXT: *(const char **)row->to = text; break;
	case OPTION_TEXTS: texts->list[texts->n++] = text; break;
	case OPTION_NUMBER: return take_number(o, row, text, row->to);
	case OPTION_NUMBERS: return take_number(o, row, text, &numbers->list[numbers->n++]);
	}
	return 0;
}

/* The last row is --help, which has a short form. */
static int parse(const struct options *o, const struct option_row *rows, size_t n,
		 struct option *table, int argc, char **argv)
{
	int c, index, err = 0;

	for (size_t i = 0; i < n; i++)
		table[i] = (struct option){ .name = rows[i].name, .has_arg = !!rows[i].value };
	opterr = 0;
	while (!err && (c = getopt_long(argc, argv, ":h", table, &index)) != -1) {
		switch (c) {
		case 0: err = take(o, &rows[index], optarg); break;
		case 'h': err = take(o, &rows[n - 1], NULL); break;
		case ':': err = options_usage(o, "%s needs a value", argv[optind - 1]); break;
		default: err = options_usage(o, "no option '%s'", argv[optind - 1]); break;
		}
	}
	if (!err && optind < argc)
		err = options_usage(o, "unexpected '%s'", argv[optind]);
	return err;
}

int options_parse(struct options *o, int argc, char **argv, int *code)
{
	int help = 0;
	const struct option_row common[] = {
		{ .name = "json", .kind = OPTION_TEXT, .to = &o->json, .value = "FILE",
		  .help = "write the figures there, one JSON object a line" },
		{ .name = "no-progress", .kind = OPTION_FLAG, .to = &o->no_progress,
		  .help = "no progress line, also on a terminal" },
		{ .name = "help", .kind = OPTION_FLAG, .to = &help, .help = "this text" },
	};
	const size_t n = o->n + sizeof(common) / sizeof(common[0]);
	struct option_row *rows = calloc(n, sizeof(*rows));
	struct option *table = calloc(n + 1, sizeof(*table));

	if (!rows || !table)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	memcpy(rows, o->rows, o->n * sizeof(*rows));
	memcpy(rows + o->n, common, sizeof(common));
	*code = parse(o, rows, n, table, argc, argv);
	if (!*code && help && team_rank() == 0)
		print_help(o, rows, n);
	free(table);
	free(rows);
	return *code || help ? -1 : 0;
}
