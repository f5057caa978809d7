/* SPDX-License-Identifier: BSD-3-Clause */
#include <ipcshare.h>
#include <stdlib.h>
#include <string.h>

#include "tools/topo.h"

#define WIDTH 80
#define CELL 16

/* ---- One line for each ---- */

static void number_text(int number, char text[CELL])
{
	snprintf(text, CELL, number < 0 ? "-" : "%d", number);
}

/* Near its NPU, or near its cores. */
static int nic_of(const struct ipcshare__machine *m, const struct rank *rank)
{
	int npu = ranks_npu(m, rank);

	return ipcshare__machine_nic(m, npu < 0 ? ranks_home(m, rank) : npu);
}

static void show_rank(const struct ranks *r, const struct ipcshare__machine *m, int i, FILE *out)
{
	const struct rank *rank = &r->rank[i];
	char cores[CELL], package[CELL], numa[CELL], cache[CELL], npu[2 * CELL];
	int nic = nic_of(m, rank);

	topo_cores(rank->cores, cores, sizeof(cores));
	number_text(rank->place.package, package);
	number_text(rank->place.numa, numa);
	number_text(rank->place.cache, cache);
	fprintf(out, "  %4d  %-15s  %7s  %4s  %5s", i, cores[0] ? cores : "not known", package,
		numa, cache);
	if (r->links) {
		snprintf(npu, sizeof(npu), "%d %s", rank->device, rank->place.device_address);
		fprintf(out, "  %-*s", nic < 0 ? (int)strcspn(npu, " ") : 15, npu);
	}
	fprintf(out, "%s%s\n", nic < 0 ? "" : "  ", nic < 0 ? "" : m->parts[nic].name);
}

static void show_each(const struct ranks *r, const struct ipcshare__machine *m, FILE *out)
{
	bool has_nic = ipcshare__machine_count(m, 0, IPCSHARE__PART_NIC) > 0, is_wide = false;

	fprintf(out, "\nRanks\n  rank  %-15s  package  NUMA  cache", "cores");
	if (r->links)
		fprintf(out, has_nic ? "  %-15s" : "  %s", "NPU");
	fprintf(out, has_nic ? "  nearest NIC\n" : "\n");
	for (int i = 0; i < r->n; i++) {
		show_rank(r, m, i, out);
		is_wide |= r->rank[i].place.package < 0 || r->rank[i].place.numa < 0 ||
			   r->rank[i].place.cache < 0;
	}
	if (is_wide)
		fprintf(out, "  -: it is not bound to one, or there is none\n");
}

/* ---- Matrices ---- */

typedef void cell_fn(const struct ranks *r, int row, int column, char text[CELL]);

static void link_text(const struct ranks *r, int row, int column, char text[CELL])
{
	const char *link = ranks_link(r, row, column);

	snprintf(text, CELL, "%s", link[0] ? link : "-");
}

static void rate_text(const struct ranks *r, int row, int column, char text[CELL])
{
	const struct rank_pair *pair = ranks_pair(r, row, column);

	if (pair->status)
		snprintf(text, CELL, "-");
	else
		snprintf(text, CELL, "%.*f", pair->rate < 99.95e9 ? 2 : 0, pair->rate / 1e9);
}

/* "UNREACHABLE" */
static void status_text(const struct ranks *r, int row, int column, char text[CELL])
{
	int status = ranks_pair(r, row, column)->status;

	if (!status)
		snprintf(text, CELL, "ok");
	else if (status == RANKS_WRONG)
		snprintf(text, CELL, "WRONG");
	else
		snprintf(text, CELL, "%s", ipcshare_status_name(status) + strlen("IPCSHARE_ERR_"));
}

/* As many columns at a time as fit. */
static void show_matrix(const struct ranks *r, cell_fn *cell, FILE *out)
{
	char text[CELL];
	int width = 5, columns;

	for (int i = 0; i < r->n * r->n; i++) {
		cell(r, i / r->n, i % r->n, text);
		width = (int)strlen(text) > width ? (int)strlen(text) : width;
	}
	columns = (WIDTH - 6) / (width + 1);
	for (int first = 0; first < r->n; first += columns) {
		int last = first + columns < r->n ? first + columns : r->n;

		fprintf(out, "  rank");
		for (int j = first; j < last; j++)
			fprintf(out, " %*d", width, j);
		fprintf(out, "\n");
		for (int i = 0; i < r->n; i++) {
			fprintf(out, "  %4d", i);
			for (int j = first; j < last; j++) {
				cell(r, i, j, text);
				fprintf(out, " %*s", width, text);
			}
			fprintf(out, "\n");
		}
	}
}

/* ---- Sharing ---- */

/* Words, in lines that begin with @indent blanks. */
static void flow(const char *text, int indent, FILE *out)
{
	int at = 0;

	while (*text) {
		int word = (int)strcspn(text, " ");

		if (at && at + 1 + word > WIDTH) {
			fprintf(out, "\n");
			at = 0;
		}
		fprintf(out, "%*s%.*s", at ? 1 : indent, "", word, text);
		at += (at ? 1 : indent) + word;
		text += word;
		text += strspn(text, " ");
	}
	fprintf(out, "\n");
}

static int failures(const struct ranks *r)
{
	int n = 0;

	for (int i = 0; r->pairs && i < r->n * r->n; i++)
		n += r->pairs[i].status != 0;
	return n;
}

static void show_failures(const struct ranks *r, FILE *out)
{
	char text[RANKS_WHY + 32];

	fprintf(out, "\nCan the row's rank read the memory of the column's?\n");
	show_matrix(r, status_text, out);
	for (int i = 0; i < r->n; i++) {
		snprintf(text, sizeof(text), "rank %d %s", i, r->whys[i]);
		if (r->whys[i][0])
			flow(text, 2, out);
	}
}

static void show_sharing(const struct ranks *r, FILE *out)
{
	int nfailed = failures(r);

	fprintf(out, "\nSharing without copies, backend %s\n", r->backend);
	fprintf(out, "  these %d ranks can make a group\n", r->n);
	if (!r->pairs)
		fprintf(out, "  --matrix tries each pair, and how fast it is\n");
	else if (nfailed)
		fprintf(out, "  %d of %d ordered pairs fail\n", nfailed, r->n * r->n);
	else
		fprintf(out, "  works between all pairs; every byte that was read is right\n");
	if (nfailed)
		show_failures(r, out);
}

static void show_rates(const struct ranks *r, FILE *out)
{
	fprintf(out,
		"\nGB/s, in copies of 1 MiB: the row's rank reads the memory of the column's;\n"
		"on the diagonal its own\n");
	if (r->emulated)
		fprintf(out, "(the NPUs are emulated: these speeds are no NPU's)\n");
	show_matrix(r, rate_text, out);
}

void ranks_text(const struct ranks *r, const struct ipcshare__machine *m, FILE *out)
{
	show_each(r, m, out);
	if (r->links) {
		fprintf(out, "\nLinks between the NPUs of ranks\n");
		show_matrix(r, link_text, out);
	}
	show_sharing(r, out);
	if (r->pairs)
		show_rates(r, out);
}
