/* SPDX-License-Identifier: BSD-3-Clause */
/* Who has started this process, and as which of how many. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/error.h"
#include "tools/job.h"

/* ---- Variables ---- */

/*
 * Of the outermost launcher last: a job of Slurm may have started that of an MPI. Source: mpirun(1) of Open
 * MPI; what MPICH's hydra 4.0, Open MPI 4.1 and Slurm 22.05 set; srun(1).
 */
static const struct variables {
	const char *rank, *size;
	const char *node; /* which entry of a list "4(x2),3" the size is; NULL: it is one number */
} known[] = {
	{ "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", NULL },
	{ "MPI_LOCALRANKID", "MPI_LOCALNRANKS", NULL },
	{ "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE", "SLURM_NODEID" },
};

/* The number that @text begins with; *@end behind it. -1: there is none. */
static long number_at(const char *text, char **end)
{
	*end = (char *)text;
	return *text >= '0' && *text <= '9' ? strtol(text, end, 10) : -1;
}

/* The @index-th entry of "4(x2),3"; -1 there is none. */
static long entry_of(const char *list, long index)
{
	char *at;

	for (long n = number_at(list, &at), times = 1; n >= 0; n = number_at(at, &at), times = 1) {
		if (!strncmp(at, "(x", 2)) {
			times = number_at(at + 2, &at);
			at += *at == ')';
		}
		if (index < times)
			return *at && *at != ',' ? -1 : n;
		index -= times;
		at += *at == ',';
	}
	return -1;
}

/* ---- Which process it is ---- */

static FILE *open_of(pid_t pid, const char *what)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	return fopen(path, "re");
}

/* Was that process started with the variable? One that we can't look into is another user's: a daemon. */
static bool has(pid_t pid, const char *variable)
{
	FILE *f = open_of(pid, "environ");
	const size_t len = strlen(variable);
	char *entry = NULL;
	size_t room = 0;
	bool found = false;

	while (f && !found && getdelim(&entry, &room, '\0', f) > 0)
		found = !strncmp(entry, variable, len) && entry[len] == '=';
	free(entry);
	if (f)
		fclose(f);
	return found;
}

/* 0: not known */
static pid_t parent_of(pid_t pid)
{
	FILE *f = open_of(pid, "status");
	char line[256];
	int parent = 0;

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "PPid: %d", &parent) != 1)
		;
	if (f)
		fclose(f);
	return parent;
}

/* The launcher is the nearest ancestor without the variable that it sets: scripts may stand between. */
static pid_t launcher_pid(const char *variable)
{
	pid_t pid = getppid(), next;

	while (pid > 1 && has(pid, variable) && (next = parent_of(pid)))
		pid = next;
	return pid;
}

/* ---- Who we are ---- */

static int find(const struct variables *v, const char *rank_text, const char *size_text,
		struct job *job)
{
	const char *node = v->node ? ipcshare__config_raw(v->node) : NULL;
	char *end, *node_end = "";
	long rank = number_at(rank_text, &end), size;

	size = entry_of(size_text, node ? number_at(node, &node_end) : 0);
	if (*end || *node_end || rank < 0 || rank >= size || size > JOB_RANKS)
		return ipcshare__fail(
			IPCSHARE_ERR_BOOTSTRAP, "job",
			"unset both, if no launcher has started this",
			"%s is \"%.40s\" and %s is \"%.40s\", which is no rank of a node", v->rank,
			rank_text, v->size, size_text);
	job->size_variable = v->size;
	job->launcher = launcher_pid(v->rank);
	job->rank = (int)rank;
	job->size = (int)size;
	return 0;
}

int job_find(struct job *out)
{
	*out = (struct job){ .size = 1, .patience_ms = JOB_PATIENCE_MS };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const char *rank = ipcshare__config_raw(known[i].rank),
			   *size = ipcshare__config_raw(known[i].size);

		if (rank && size)
			return find(&known[i], rank, size, out);
	}
	return 0;
}
