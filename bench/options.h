/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.h - what a subcommand takes on its command line, as a table
 *
 * Parsing and --help both go by the table. Every subcommand has --json, --no-progress and --help
 * besides.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#define OPTION_NONE UINT64_MAX	/* for numbers that may be missing */

enum option_kind {
	OPTION_FLAG,	/* to an int, set to 1 */
	OPTION_TEXT,	/* to a const char * */
	OPTION_TEXTS,	/* to a struct option_texts; may be repeated */
	OPTION_NUMBER,	/* to a uint64_t */
	OPTION_NUMBERS,	/* to a struct option_numbers; may be repeated */
};

struct option_texts {
	const char **list;	/* has room for argc */
	size_t n;
};

struct option_numbers {
	uint64_t *list;		/* has room for argc */
	size_t n;
};

struct option_row {
	const char *name;	/* without the dashes */
	enum option_kind kind;
	void *to;
	const char *value;	/* "BYTES"; NULL for flags */
	const char *help;	/* may have several lines */
	/* of numbers */
	const char *units;	/* that may stand behind, of "KMG", powers of 1024; NULL none */
	uint64_t min, max;
	const char *expected;	/* "a number from 0 to 9" */
};

struct options {
	const char *command;
	const char *text;	/* what it does */
	const struct option_row *rows;
	size_t n;
	/* set by options_parse() */
	const char *json;
	int no_progress;
};

/**
 * options_parse - read the command line; every rank finds the same, and rank 0 speaks
 * @code: set to the exit code if there is nothing to run: after --help, or a fault
 *
 * Return: 0 to go on, -1 to end with @code
 */
int options_parse(struct options *o, int argc, char **argv, int *code);

/** options_usage - rank 0 says what is wrong with the arguments; returns BENCH_USAGE */
__attribute__((format(printf, 2, 3))) int options_usage(const struct options *o, const char *fmt,
							 ...);

#endif
