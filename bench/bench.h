/* SPDX-License-Identifier: BSD-3-Clause */
/* bench.h - what the subcommands and main.c know of each other */
#ifndef BENCH_H
#define BENCH_H

/* Exit codes. The same on every rank. */
enum bench_exit {
	BENCH_OK = 0,
	BENCH_FAILED = 1,	/* the library failed, or a byte is not what it should be */
	BENCH_USAGE = 2,	/* bad arguments or a bad workload file; nothing was run */
};

/**
 * struct bench_command - a subcommand
 * @name: as the user types it
 * @text: one line of help
 * @run: called on every rank between MPI_Init and MPI_Finalize, with argv[0] the subcommand's name;
 *       returns an enum bench_exit
 */
struct bench_command {
	const char *name;
	const char *text;
	int (*run)(int argc, char **argv);
};

int bench_share(int argc, char **argv);
int bench_pairs(int argc, char **argv);
int bench_calls(int argc, char **argv);
int bench_small(int argc, char **argv);
int bench_resolve(int argc, char **argv);
int bench_lookup(int argc, char **argv);
int bench_pull(int argc, char **argv);
int bench_arena(int argc, char **argv);
int bench_coll(int argc, char **argv);
int bench_tune(int argc, char **argv);
int bench_across(int argc, char **argv);
int bench_model(int argc, char **argv);

#endif
