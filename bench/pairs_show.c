/* SPDX-License-Identifier: BSD-3-Clause */
/* What rank 0 says of all pairs: matrices for a person, JSON lines for a program. */
#include "pairs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <ipcshare.h>
#include <mpi.h>

#include "bench.h"
#include "report.h"

#define WIDTH 80

static void *gather(const void *mine, size_t len, int size)
{
	char *all = NULL;

	if (team_rank() == 0) {
		all = malloc((size_t)size * len);
		if (!all)
			MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	}
	MPI_Gather(mine, (int)len, MPI_BYTE, all, (int)len, MPI_BYTE, 0, MPI_COMM_WORLD);
	return all;
}

static const struct pairs_cell *cell_at(const struct pairs_result *r, int row, int column)
{
	return &r->cells[(size_t)row * (size_t)r->size + (size_t)column];
}

int pairs_collect(const struct pairs *p, struct pairs_result *r)
{
	const int size = p->team->size;
	uint64_t mine[3] = { 0 }, all[3];

	*r = (struct pairs_result){ .size = size };
	r->cells = gather(p->row, (size_t)size * sizeof(*p->row), size);
	r->node = gather(&p->team->names[0], sizeof(int), size);
	r->texts = gather(p->first, sizeof(p->first), size);
	for (int i = 0; i < size; i++) {
		const int is_self = i == p->team->rank, status = p->row[i].status;

		mine[0] += !is_self && status != PAIRS_ELSEWHERE;
		mine[1] += !is_self && status && status != PAIRS_ELSEWHERE;
		mine[2] += is_self && status;
	}
	MPI_Allreduce(mine, all, 3, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
	r->npairs = all[0];
	r->nbad = all[1];
	r->nself = all[2];
	return r->nbad || r->nself ? -1 : 0;
}

void pairs_drop(struct pairs_result *r)
{
	free(r->cells);
	free(r->node);
	free(r->texts);
}

/* "UNREACHABLE" */
static const char *status_text(int status)
{
	const char *name = ipcshare_status_name(status);

	if (!status)
		return "ok";
	if (status == PAIRS_WRONG_READ || status == PAIRS_WRONG_WRITTEN)
		return status == PAIRS_WRONG_READ ? "WRONG READ" : "NOT WRITTEN";
	return strncmp(name, "IPCSHARE_ERR_", 13) ? name : name + 13;
}

static void reach_text(const struct pairs_cell *cell, int is_self, char *out, size_t len)
{
	snprintf(out, len, "%s", is_self && !cell->status ? "-" : status_text(cell->status));
}

static void rate_text(const struct pairs_cell *cell, int is_self, char *out, size_t len)
{
	(void)is_self;
	if (cell->status || cell->rate <= 0)
		snprintf(out, len, "-");
	else
		snprintf(out, len, "%.*f", cell->rate < 99.95e9 ? 2 : 0, cell->rate / 1e9);
}

typedef void text_fn(const struct pairs_cell *cell, int is_self, char *out, size_t len);

/* The ranks of one node as rows and columns; as many columns at a time as fit a terminal. */
static void print_matrix(const struct pairs_result *r, const int *ranks, int n, text_fn *text)
{
	int width = 5, columns;
	char cell[32];

	for (int i = 0; i < n * n; i++) {
		text(cell_at(r, ranks[i / n], ranks[i % n]), i / n == i % n, cell, sizeof(cell));
		if ((int)strlen(cell) > width)
			width = (int)strlen(cell);
	}
	columns = (WIDTH - 14) / (width + 1);
	for (int first = 0; first < n; first += columns) {
		int last = first + columns < n ? first + columns : n;

		printf("  %5s %6s", "rank", "device");
		for (int j = first; j < last; j++)
			printf(" %*d", width, ranks[j]);
		putchar('\n');
		for (int i = 0; i < n; i++) {
			int device = cell_at(r, ranks[i], ranks[i])->device;

			snprintf(cell, sizeof(cell), device < 0 ? "-" : "%d", device);
			printf("  %5d %6s", ranks[i], cell);
			for (int j = first; j < last; j++) {
				text(cell_at(r, ranks[i], ranks[j]), i == j, cell, sizeof(cell));
				printf(" %*s", width, cell);
			}
			putchar('\n');
		}
	}
}

/* Each node's ranks, from the first one of each. */
static int ranks_of_node(const struct pairs_result *r, int first, int *ranks)
{
	int n = 0;

	for (int i = 0; i < r->size; i++)
		if (r->node[i] == first)
			ranks[n++] = i;
	return n;
}

static void print_node(const struct pairs_result *r, int first, int *ranks)
{
	const int n = ranks_of_node(r, first, ranks);

	if (n < r->size)
		printf("\nthe node of rank %d\n", first);
	printf("\nthe rank of the row reads from and writes to that of the column\n");
	print_matrix(r, ranks, n, reach_text);
	printf("\nGB/s of reading; where row and column meet, of its own memory\n");
	print_matrix(r, ranks, n, rate_text);
}

static void print_failures(const struct pairs_result *r)
{
	for (int i = 0; i < r->size; i++)
		if (r->texts[(size_t)i * TEAM_TEXT])
			fprintf(stderr, "ipcshare-bench: rank %d %s\n", i,
				r->texts + (size_t)i * TEAM_TEXT);
}

static const char *plural(int n)
{
	return n == 1 ? "" : "s";
}

void pairs_head(const struct pairs *p)
{
	const struct team *team = p->team;
	char size[REPORT_TEXT];

	printf("ipcshare-bench pairs %s: %s backend, %d rank%s on %d node%s, %s a copy\n",
	       ipcshare_version(), team->backend, team->size, plural(team->size), team->nodes,
	       plural(team->nodes), report_bytes(p->options->size, size));
	team_print_emulated(p->team);
	fflush(stdout);
}

void pairs_print(const struct pairs_result *r)
{
	int *ranks = malloc((size_t)r->size * sizeof(*ranks));

	if (!ranks)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	for (int i = 0; i < r->size; i++)
		if (r->node[i] == i)
			print_node(r, i, ranks);
	free(ranks);
	if (r->nbad || r->nself)
		printf("\nFAILED: %" PRIu64 " of %" PRIu64 " ordered pairs", r->nbad, r->npairs);
	else
		printf("\nverified: %" PRIu64 " ordered pairs", r->npairs);
	if (r->nself)
		printf(", and %" PRIu64 " of the ranks with themselves", r->nself);
	printf(", %d rank%s\n", r->size, plural(r->size));
	fflush(stdout);
	print_failures(r);
}

void pairs_json(FILE *to, const struct pairs *p, const struct pairs_result *r)
{
	const int emulated = team_is_emulated(p->team);

	for (int i = 0; i < r->size * r->size; i++) {
		const int row = i / r->size, column = i % r->size;
		const struct pairs_cell *cell = cell_at(r, row, column);
		const struct pairs_cell *own = cell_at(r, row, row);

		if (cell->status == PAIRS_ELSEWHERE)
			continue;
		fprintf(to, "{\"bench\": \"pairs\", \"backend\": \"%s\", \"ranks\": %d, "
			    "\"emulated\": %s, \"rank\": %d, \"device\": %d, \"peer\": %d, "
			    "\"peer_device\": %d, \"status\": \"%s\"",
			p->team->backend, r->size, emulated ? "true" : "false", row, own->device,
			column, cell->device, status_text(cell->status));
		fprintf(to, ", \"stage\": \"%s\", \"metric\": \"rate\", \"value\": %.9g, "
			    "\"unit\": \"GB/s\"", row == column ? "own" : "read",
			cell->rate / 1e9);
		if (row != column && own->rate > 0)
			fprintf(to, ", \"baseline\": \"own\", \"baseline_value\": %.9g, "
				    "\"ratio\": %.6g", own->rate / 1e9, cell->rate / own->rate);
		fputs("}\n", to);
	}
}
