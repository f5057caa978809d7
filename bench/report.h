/* SPDX-License-Identifier: BSD-3-Clause */
/* report.h - what was measured: a table for a person, JSON lines for a program */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdint.h>
#include <stdio.h>

#include "options.h"

#define REPORT_TEXT 32	/* bytes for report_time() and the like */

/* What all rows of a table have in common. */
struct report {
	const char *bench;
	const char *backend;
	const char *layout;
	const char *workload;
	int ranks;
};

/* A stage, over all ranks. */
struct report_row {
	const char *stage;
	int indent;		/* not 0: part of the row above that has none */
	double slowest, fastest;	/* seconds, of a rank */
	double total;		/* seconds of all ranks */
	int counted;		/* @calls means something */
	uint64_t calls;		/* backend calls of a rank; of the one with the most */
	uint64_t buffers;	/* handled by a rank; 0: no cost per buffer */
	uint64_t bytes;		/* read or written by all ranks together; 0: no rate */
	/* To compare with, or NULL: report_rank_rate() if there are bytes, else the time. */
	const struct report_row *baseline;
};

/** report_rate - bytes a second of all ranks together, while the slowest one worked; 0 if none */
double report_rate(const struct report_row *row);

/** report_rank_rate - bytes a second of one rank, on average: less at the mercy of the slowest */
double report_rank_rate(const struct report_row *row);

/** report_ratio - this row's rank rate (or time) as a multiple of its baseline's; 0 if none */
double report_ratio(const struct report_row *row);

void report_table(FILE *to, const struct report_row *rows, size_t n);
void report_json(FILE *to, const struct report *report, const struct report_row *rows, size_t n);

/** report_open - the file of --json on rank 0, NULL elsewhere; -1 on every rank if it can't be opened */
int report_open(const struct options *o, FILE **out);

/** report_close - end it; @file may be NULL. -1 on every rank if it could not be written */
int report_close(const struct options *o, FILE *file);

/* What a bench does between the two. 0, or -1 on every rank. */
typedef int report_run_fn(void *bench, int no_progress, FILE *json);

/** report_run - @run between report_open() and report_close(); returns an enum bench_exit */
int report_run(const struct options *o, report_run_fn *run, void *bench);

/** report_time - "12.3 ms"; returns @out of REPORT_TEXT bytes */
const char *report_time(double seconds, char *out);

/** report_bytes - "237.3 MiB" */
const char *report_bytes(uint64_t bytes, char *out);

#endif
