/* SPDX-License-Identifier: BSD-3-Clause */
/* ipcshare-bench: the table of subcommands, and the way in and out of MPI. */
#include <stdio.h>
#include <string.h>

#include <ipcshare.h>
#include <mpi.h>

#include "bench.h"

static const struct bench_command commands[] = {
	{ "share", "share a workload's buffers between ranks and verify every byte", bench_share },
	{ "pairs", "try and time every pair of ranks; print who reaches whom", bench_pairs },
	{ "calls", "time each call that sharing an allocation takes, by its size", bench_calls },
	{ "small", "share many small buffers, against the raw way and MPI's windows", bench_small },
	{ "resolve", "take pointers to peers' buffers, against a plain array of them", bench_resolve },
	{ "lookup", "find the allocation that holds an address, among few and many", bench_lookup },
	{ "pull", "many small pieces of peers' buffers, against memcpy() and MPI_Get", bench_pull },
	{ "arena", "small buffers of an arena, allocated and freed, against malloc()", bench_arena },
	{ "coll", "collectives of the library, against MPI's on the same memory", bench_coll },
	{ "tune", "find from which size on another way of a collective is quicker here", bench_tune },
	{ "across", "collectives over several nodes, against MPI alone", bench_across },
	{ "model", "what grows with ranks and nodes, and which term breaks first", bench_model },
};
#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *to)
{
	fprintf(to, "usage: mpirun -n RANKS ipcshare-bench SUBCOMMAND [options]\n\n");
	for (size_t i = 0; i < NCOMMANDS; i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].text);
	fprintf(to, "\n"
		    "  --help     this text; 'ipcshare-bench SUBCOMMAND --help' lists the options\n"
		    "  --version  the version of the library\n");
}

static const struct bench_command *find(const char *name)
{
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* Every rank gets the same arguments, so one of them speaks for all. */
static int without_command(const char *arg, int speaks)
{
	if (arg && (!strcmp(arg, "--help") || !strcmp(arg, "-h"))) {
		if (speaks)
			print_help(stdout);
		return BENCH_OK;
	}
	if (arg && !strcmp(arg, "--version")) {
		if (speaks)
			printf("ipcshare-bench %s\n", ipcshare_version());
		return BENCH_OK;
	}
	if (!speaks)
		return BENCH_USAGE;
	if (arg)
		fprintf(stderr, "ipcshare-bench: no subcommand '%s'; try 'ipcshare-bench --help'\n",
			arg);
	else
		print_help(stderr);
	return BENCH_USAGE;
}

int main(int argc, char **argv)
{
	const struct bench_command *command;
	int threads, rank, code;

	/* Not MPI_Init(): the library has a thread of its own, though it never calls MPI. */
	MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &threads);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);

	command = argc > 1 ? find(argv[1]) : NULL;
	if (command)
		code = command->run(argc - 1, argv + 1);
	else
		code = without_command(argc > 1 ? argv[1] : NULL, rank == 0);
	fflush(NULL);

	/* mpirun ends the job at the first bad exit code: by then all ranks have said what they
	 * have to say. */
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Finalize();
	return code;
}
