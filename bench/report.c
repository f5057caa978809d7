/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "bench.h"
#include "team.h"

double report_rate(const struct report_row *row)
{
	return row->bytes && row->slowest > 0 ? (double)row->bytes / row->slowest : 0;
}

double report_rank_rate(const struct report_row *row)
{
	return row->bytes && row->total > 0 ? (double)row->bytes / row->total : 0;
}

double report_ratio(const struct report_row *row)
{
	if (!row->baseline)
		return 0;
	if (row->bytes)
		return report_rank_rate(row->baseline) > 0
			       ? report_rank_rate(row) / report_rank_rate(row->baseline) : 0;
	return row->baseline->slowest > 0 ? row->slowest / row->baseline->slowest : 0;
}

/* ---- For a person ------------------------------------------------------------------------- */

/* Three digits that count, as far as there are so many before the point. */
static int decimals(double value)
{
	return value == 0 ? 0 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

const char *report_time(double seconds, char *out)
{
	static const struct {
		double below, scale;
		const char *unit;
	} units[] = { { 1e-6, 1e9, "ns" }, { 1e-3, 1e6, "us" }, { 1, 1e3, "ms" }, { 0, 1, "s" } };
	size_t i = 0;

	while (units[i].below > 0 && seconds >= units[i].below)
		i++;
	seconds *= units[i].scale;
	snprintf(out, REPORT_TEXT, "%.*f %-2s", decimals(seconds), seconds, units[i].unit);
	return out;
}

const char *report_bytes(uint64_t bytes, char *out)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes;
	size_t i = 0;

	while (value >= 1024 && i < sizeof(units) / sizeof(units[0]) - 1) {
		value /= 1024;
		i++;
	}
	snprintf(out, REPORT_TEXT, "%.*f %s", i ? 1 : 0, value, units[i]);
	return out;
}

/* Cells of a row, each as wide as its heading; empty ones at the end are left out. */
static void print_row(FILE *to, const struct report_row *row)
{
	char time[REPORT_TEXT];

	fprintf(to, "  %s%-*s", row->indent ? "  " : "", row->indent ? 9 : 11, row->stage);
	fprintf(to, " %10s", report_time(row->slowest, time));
	fprintf(to, " %10s", report_time(row->fastest, time));
	if (row->counted)
		fprintf(to, " %8" PRIu64, row->calls);
	else if (row->buffers)
		fprintf(to, " %8s", "");
	if (row->buffers)
		fprintf(to, " %9" PRIu64 " %10s", row->buffers,
			report_time(row->slowest / (double)row->buffers, time));
	if (row->bytes)
		fprintf(to, " %7.2f", report_rate(row) / 1e9);
	putc('\n', to);
}

void report_table(FILE *to, const struct report_row *rows, size_t n)
{
	fprintf(to, "  %-11s %10s %10s %8s %9s %10s %7s\n", "stage", "slowest", "fastest", "calls",
		"buffers", "a buffer", "GB/s");
	for (size_t i = 0; i < n; i++)
		print_row(to, &rows[i]);
}

/* ---- For a program ------------------------------------------------------------------------ */

/* Length of the UTF-8 sequence at @s, 0 if there is none. */
static int utf8_len(const unsigned char *s)
{
	int len = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 :
		  s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	for (int i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and what is beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

static void json_string(FILE *to, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	putc('"', to);
	while (*s) {
		int len = utf8_len(s);

		if (!len)	/* no text at all: the replacement character */
			fputs("\\ufffd", to);
		else if (*s == '"' || *s == '\\')
			fprintf(to, "\\%c", *s);
		else if (*s < 0x20 || *s == 0x7f)
			fprintf(to, "\\u%04x", *s);
		else
			fwrite(s, 1, (size_t)len, to);
		s += len ? len : 1;
	}
	putc('"', to);
}

static void json_field(FILE *to, const char *before, const char *name, const char *text)
{
	fprintf(to, "%s\"%s\": ", before, name);
	json_string(to, text);
}

/* One line; @baseline is the baseline's value of the same metric, 0 if there is none. */
static void json_line(FILE *to, const struct report *report, const struct report_row *row,
		      const char *metric, double value, const char *unit, double baseline)
{
	json_field(to, "{", "bench", report->bench);
	json_field(to, ", ", "backend", report->backend);
	json_field(to, ", ", "layout", report->layout);
	fprintf(to, ", \"ranks\": %d", report->ranks);
	json_field(to, ", ", "workload", report->workload);
	json_field(to, ", ", "stage", row->stage);
	json_field(to, ", ", "metric", metric);
	fprintf(to, ", \"value\": %.9g", value);
	json_field(to, ", ", "unit", unit);
	if (baseline > 0) {
		json_field(to, ", ", "baseline", row->baseline->stage);
		fprintf(to, ", \"baseline_value\": %.9g, \"ratio\": %.6g", baseline,
			value / baseline);
	}
	fputs("}\n", to);
}

static void json_row(FILE *to, const struct report *report, const struct report_row *row)
{
	const struct report_row *base = row->baseline;
	int by_rate = base && row->bytes;

	json_line(to, report, row, "time", row->slowest, "s", base && !by_rate ? base->slowest : 0);
	json_line(to, report, row, "time_fastest_rank", row->fastest, "s", 0);
	if (row->counted)
		json_line(to, report, row, "calls", (double)row->calls, "calls/rank", 0);
	if (row->buffers)
		json_line(to, report, row, "time_per_buffer",
			  row->slowest / (double)row->buffers, "s", 0);
	if (report_rate(row) > 0) {
		json_line(to, report, row, "rate", report_rate(row) / 1e9, "GB/s", 0);
		json_line(to, report, row, "rate_of_a_rank", report_rank_rate(row) / 1e9, "GB/s",
			  by_rate ? report_rank_rate(base) / 1e9 : 0);
	}
}

void report_json(FILE *to, const struct report *report, const struct report_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		json_row(to, report, &rows[i]);
}

int report_open(const struct options *o, FILE **out)
{
	FILE *file = NULL;
	int err = 0;

	if (o->json && team_rank() == 0) {
		file = fopen(o->json, "we");
		if (!file) {
			fprintf(stderr, "ipcshare-bench %s: --json %s: %s\n", o->command, o->json,
				strerror(errno));
			err = -1;
		}
	}
	MPI_Bcast(&err, 1, MPI_INT, 0, MPI_COMM_WORLD);
	if (!err)
		*out = file;
	return err;
}

int report_close(const struct options *o, FILE *file)
{
	int bad = 0;

	if (file) {
		bad = ferror(file);
		if (fclose(file) || bad) {
			fprintf(stderr, "ipcshare-bench %s: --json %s: can't be written\n",
				o->command, o->json);
			bad = 1;
		}
	}
	MPI_Bcast(&bad, 1, MPI_INT, 0, MPI_COMM_WORLD);
	return bad ? -1 : 0;
}

int report_run(const struct options *o, report_run_fn *run, void *bench)
{
	FILE *json = NULL;
	int err;

	if (report_open(o, &json))
		return BENCH_FAILED;
	err = run(bench, o->no_progress, json);
	if (report_close(o, json))
		err = -1;
	return err ? BENCH_FAILED : BENCH_OK;
}
