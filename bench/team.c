/* SPDX-License-Identifier: BSD-3-Clause */
#include "team.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver.h"
#include "progress.h"

int team_rank(void)
{
	int rank;

	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	return rank;
}

void team_wait(void)
{
	struct timespec nap = { 0, 20000 };
	MPI_Request request;
	int done;

	MPI_Ibarrier(MPI_COMM_WORLD, &request);
	for (;;) {
		MPI_Test(&request, &done, MPI_STATUS_IGNORE);
		if (done)
			return;
		progress_wait();
		nanosleep(&nap, NULL);
		if (nap.tv_nsec < 1000000)
			nap.tv_nsec += nap.tv_nsec / 4;
	}
}

/* "rank 3: ..." or, for ranks in a row that say the same, "ranks 0-3: ...". */
static void print_texts(const char *texts, int size)
{
	for (int first = 0, last; first < size; first = last + 1) {
		const char *text = texts + (size_t)first * TEAM_TEXT;

		last = first;
		if (!*text)
			continue;
		while (last + 1 < size && !strcmp(text, texts + (size_t)(last + 1) * TEAM_TEXT))
			last++;
		if (first == last)
			fprintf(stderr, "ipcshare-bench: rank %d: %s\n", first, text);
		else
			fprintf(stderr, "ipcshare-bench: ranks %d-%d: %s\n", first, last, text);
	}
}

int team_verdict(const char *why)
{
	char mine[TEAM_TEXT] = "", *texts = NULL;
	int failed = !!why, any, size;

	team_wait();
	MPI_Allreduce(&failed, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
	if (!any)
		return 0;
	if (why)
		snprintf(mine, sizeof(mine), "%s", why);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	if (team_rank() == 0) {
		texts = malloc((size_t)size * TEAM_TEXT);
		if (!texts)
			MPI_Abort(MPI_COMM_WORLD, 1);
	}
	MPI_Gather(mine, TEAM_TEXT, MPI_CHAR, texts, TEAM_TEXT, MPI_CHAR, 0, MPI_COMM_WORLD);
	if (texts) {
		progress_clear();
		fflush(stdout);
		print_texts(texts, size);
	}
	free(texts);
	return -1;
}

const char *team_explain(const char *what, char *out)
{
	const char *text = ipcshare_explain();
	const size_t len = strlen(what);

	if (!strncmp(text, what, len) && text[len] == ':')
		snprintf(out, TEAM_TEXT, "%s", text);
	else
		snprintf(out, TEAM_TEXT, "%s: %s", what, text);
	return out;
}

static void count_nodes(struct team *team)
{
	const int first = team->peer == 0;

	MPI_Allreduce(&first, &team->nodes, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
	MPI_Allreduce(&team->npeers, &team->most_peers, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
}

static int name_peers(struct team *team)
{
	team->peer = ipcshare_group_rank(team->group);
	team->npeers = ipcshare_group_size(team->group);
	team->names = malloc((size_t)team->npeers * sizeof(*team->names));
	if (!team->names)
		return -1;
	for (int r = 0; r < team->npeers; r++)
		team->names[r] = ipcshare_mpi_comm_rank(team->group, r);
	return 0;
}

/* On backends with devices each rank of a node has the device of its number. */
static int node_rank(void)
{
	MPI_Comm node;
	int rank;

	MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, team_rank(), MPI_INFO_NULL, &node);
	MPI_Comm_rank(node, &rank);
	MPI_Comm_free(&node);
	return rank;
}

int team_open(struct team *team)
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;
	char why[TEAM_TEXT];
	int err;

	memset(team, 0, sizeof(*team));
	team->rank = team_rank();
	MPI_Comm_size(MPI_COMM_WORLD, &team->size);

	team->device = node_rank();
	options.device = team->device;
	err = ipcshare_open(&options, &team->ctx);
	if (team_verdict(err ? team_explain("open", why) : NULL))
		goto fail;
	team->backend = ipcshare_backend(team->ctx);
	team->direct = !strcmp(team->backend, "host");
	err = ipcshare_mpi_group_create(team->ctx, MPI_COMM_WORLD, &team->group);
	if (team_verdict(err ? team_explain("group", why) : NULL))
		goto fail;
	if (team_verdict(name_peers(team) ? "out of memory" : NULL))
		goto fail;
	count_nodes(team);
	return 0;

fail:
	team_close(team, 1);
	return -1;
}

int team_close(struct team *team, int failed)
{
	char why[TEAM_TEXT];
	int err = 0;

	free(team->names);
	if (failed) {
		ipcshare_abandon(team->ctx);
		return -1;
	}
	err = ipcshare_group_free(team->group);
	if (team_verdict(err ? team_explain("group free", why) : NULL))
		return team_close(&(struct team){ .ctx = team->ctx }, 1);
	err = ipcshare_close(team->ctx);
	return team_verdict(err ? team_explain("close", why) : NULL);
}

int team_is_emulated(const struct team *team)
{
	return !team->direct && driver_is_emulated();
}

void team_print_emulated(const struct team *team)
{
	if (team_is_emulated(team))
		printf("(the Ascend runtime is an emulator: speeds are its own, not an NPU's)\n");
}
