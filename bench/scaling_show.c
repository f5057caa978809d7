/* SPDX-License-Identifier: BSD-3-Clause */
/* What the model takes, its table, what breaks first, and the model beside a real group. */
#include "scaling.h"

#include <string.h>
#include <sys/resource.h>

#include "figure.h"
#include "report.h"

static const struct {
	const char *name, *unit;
	double budget;
} columns[] = {
#define COLUMN(id, name, unit, budget) { name, unit, budget },
	GROWTH_COLUMNS(COLUMN)
#undef COLUMN
};

/* ---- Texts ---------------------------------------------------------------------------------- */

const char *scaling_text(double value, const char *unit, char *out)
{
	if (!strcmp(unit, "s"))
		return report_time(value, out);
	if (!strcmp(unit, "bytes"))
		return report_bytes((uint64_t)value, out);
	snprintf(out, REPORT_TEXT, value < 1e7 ? "%.0f" : "%.3g", value);
	return out;
}

static struct growth_shape shape_of(const struct scaling *m, uint64_t ranks, uint64_t nodes)
{
	return (struct growth_shape){ .ranks = (double)ranks, .nodes = (double)nodes,
				      .buffers = (double)m->buffers, .regions = (double)m->regions,
				      .bytes = (double)m->bytes };
}

/* ---- What breaks ---------------------------------------------------------------------------- */

static double system_number(const char *path, double otherwise)
{
	FILE *f = fopen(path, "re");
	double number = otherwise;

	if (f && fscanf(f, "%lf", &number) != 1)
		number = otherwise;
	if (f)
		fclose(f);
	return number;
}

/* As a program meets it that raises nothing. */
static double budget_of(enum growth_column column)
{
	struct rlimit limit;

	if (column == GROWTH_MAPS)
		return system_number("/proc/sys/vm/max_map_count", 65530);
	if (column == GROWTH_FILES && !getrlimit(RLIMIT_NOFILE, &limit))
		return (double)limit.rlim_cur;
	return columns[column].budget;
}

static int is_too_much(const struct scaling *m, enum growth_column column, uint64_t ranks,
		       uint64_t nodes)
{
	const struct growth_shape s = shape_of(m, ranks, nodes);

	return growth_column(column, &m->costs, &s).sum > budget_of(column);
}

/* The fewest ranks, or nodes, with which a column is too much: all columns only grow. @most + 1: none */
static uint64_t fewest(const struct scaling *m, enum growth_column column, uint64_t ranks, uint64_t most)
{
	uint64_t low = ranks ? 1 : 2, high = most + 1;

	while (low < high) {
		const uint64_t middle = low + (high - low) / 2;

		if (ranks ? is_too_much(m, column, ranks, middle) : is_too_much(m, column, middle, 1))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static uint64_t most_of(const struct option_numbers *numbers)
{
	uint64_t most = 0;

	for (size_t i = 0; i < numbers->n; i++)
		most = numbers->list[i] > most ? numbers->list[i] : most;
	return most;
}

/* "from 384 ranks on" or, if it is not the ranks, "from 1000 nodes of 384 on". */
static void print_break(const struct scaling *m, enum growth_column column)
{
	const uint64_t largest = most_of(&m->ranks);
	uint64_t ranks = fewest(m, column, 0, SCALING_RANKS), nodes = 1;
	char budget[REPORT_TEXT], from[64];
	struct growth_terms terms;
	struct growth_shape s;

	snprintf(from, sizeof(from), "%ju ranks", (uintmax_t)ranks);
	if (ranks > largest) {
		nodes = fewest(m, column, largest, SCALING_NODES);
		if (nodes <= SCALING_NODES && nodes > 1) {
			ranks = largest;
			snprintf(from, sizeof(from), "%ju x %ju", (uintmax_t)ranks, (uintmax_t)nodes);
		} else {
			nodes = 1;
		}
	}
	scaling_text(budget_of(column), columns[column].unit, budget);
	if (ranks > SCALING_RANKS) {
		printf("  %-17s %10s %12s\n", columns[column].name, budget, "never");
		return;
	}
	s = shape_of(m, ranks, nodes);
	terms = growth_column(column, &m->costs, &s);
	printf("  %-17s %10s %12s  %s: %s\n", columns[column].name, budget, from,
	       growth_most(&terms)->name, growth_most(&terms)->formula);
}

static void print_breaks(const struct scaling *m)
{
	printf("\nthe first term that breaks: the largest one with the fewest ranks of a node (or ranks x "
	       "nodes), at\nwhich a column is more than its budget. Descriptors and mappings have this "
	       "system's limits; the\nother budgets are what we take for too much\n\n"
	       "  %-17s %10s %12s  %s\n", "", "budget", "from", "term");
	for (int k = 0; k < GROWTH_NCOLUMNS; k++)
		print_break(m, (enum growth_column)k);
}

/* ---- The table ------------------------------------------------------------------------------ */

static void json_term(const struct scaling *m, const struct growth_shape *s, const char *stage,
		      const char *metric, const char *unit, double value)
{
	char workload[64];
	const struct figure f = { .bench = "model", .workload = workload, .things = "buffers",
				  .count = (size_t)s->buffers, .rounds = 1, .stage = stage,
				  .metric = metric, .unit = unit, .value = { value, 0 } };

	snprintf(workload, sizeof(workload), "%.0f ranks x %.0f nodes", s->ranks, s->nodes);
	if (m->json)
		figure_json(m->json, &m->team, &f);
}

static void print_terms(const struct scaling *m, const struct growth_shape *s)
{
	char text[REPORT_TEXT];

	for (int k = 0; k < GROWTH_NCOLUMNS; k++) {
		const struct growth_terms t = growth_column((enum growth_column)k, &m->costs, s);

		printf("  %-34s %10s\n", columns[k].name, scaling_text(t.sum, columns[k].unit, text));
		for (const struct growth_term *term = t.of; term->name; term++)
			printf("    %-32s %10s  %s\n", term->name,
			       scaling_text(term->value, columns[k].unit, text), term->formula);
	}
}

static void print_row(const struct scaling *m, const struct growth_shape *s)
{
	char text[REPORT_TEXT];

	printf("  %5.0f %6.0f", s->ranks, s->nodes);
	for (int k = 0; k < GROWTH_NCOLUMNS; k++) {
		const struct growth_terms t = growth_column((enum growth_column)k, &m->costs, s);

		printf(" %9s%s", scaling_text(t.sum, columns[k].unit, text),
		       t.sum > budget_of((enum growth_column)k) ? "!" : " ");
	}
	putchar('\n');
}

static void json_shape(const struct scaling *m, const struct growth_shape *s)
{
	for (int k = 0; k < GROWTH_NCOLUMNS; k++) {
		const struct growth_terms t = growth_column((enum growth_column)k, &m->costs, s);

		json_term(m, s, columns[k].name, "sum", columns[k].unit, t.sum);
		for (const struct growth_term *term = t.of; term->name; term++)
			json_term(m, s, columns[k].name, term->name, columns[k].unit, term->value);
	}
}

static void print_heads(void)
{
	static const char *const heads[][2] = {
		{ "", "memory" }, { "descrip-", "tors" }, { "", "mappings" }, { "driver", "calls" },
		{ "bytes", "read" }, { "", "group" }, { "first", "share" }, { "", "re-share" },
		{ "allreduce", "8 B" }, { "allreduce", "64 MiB" },
	};
	static const char *const sizes[] = { "  %5s %6s", "  ranks  nodes" };

	for (int line = 0; line < 2; line++) {
		printf(line ? sizes[1] : sizes[0], "", "");
		for (int k = 0; k < GROWTH_NCOLUMNS; k++)
			printf(" %9s ", heads[k][line]);
		putchar('\n');
	}
}

static void print_model(const struct scaling *m)
{
	const int single = m->ranks.n == 1 && m->nodes.n == 1;
	char bytes[REPORT_TEXT];

	printf("\nthe model, of a rank: nothing below is measured. Each rank shares %ju buffers in %ju region%s "
	       "of %s\nin all, no two buffers in a row; %d ids go in a whitelist call, as on ascend; each rank "
	       "has a core.\n", (uintmax_t)m->buffers, (uintmax_t)m->regions, m->regions == 1 ? "" : "s",
	       report_bytes(m->bytes, bytes), SCALING_IDS);
	if (!single) {
		printf("! is more than a budget below\n\n");
		print_heads();
	} else {
		printf("\n");
	}
	for (size_t i = 0; i < m->ranks.n; i++)
		for (size_t k = 0; k < m->nodes.n; k++) {
			const struct growth_shape s = shape_of(m, m->ranks.list[i], m->nodes.list[k]);

			if (single)
				print_terms(m, &s);
			else
				print_row(m, &s);
			json_shape(m, &s);
		}
}

/* ---- What it is made from, and whether it holds ---------------------------------------------- */

static void print_cost(const char *name, double value, const char *unit, const char *from)
{
	char text[REPORT_TEXT];

	printf("  %-40s %10s  %s\n", name, scaling_text(value, unit, text), from);
}

static void print_costs(const struct scaling *m)
{
	const struct growth_costs *c = &m->costs;
	const char *measured = "two ranks, less one", *calls = m->set_costs.n ? "counters, or --cost"
									      : "counters, two ranks";

	printf("\nwhat the model takes: measured here with one rank and with two, but for the network\n\n");
	print_cost("a round of one rank", c->round, "s", "ipcshare_barrier, one rank");
	print_cost("a round, each rank more", c->line, "s", measured);
	print_cost("a group of one rank", c->create, "s", "ipcshare_group_create, one rank");
	print_cost("a group, each rank more", c->meet, "s", measured);
	print_cost("export of a region", c->calls.cost[IPCSHARE_CALL_EXPORT], "s", calls);
	print_cost("whitelist call", c->calls.cost[IPCSHARE_CALL_ALLOW], "s", calls);
	print_cost("import of a region", c->calls.cost[IPCSHARE_CALL_IMPORT], "s", calls);
	print_cost("import, each peer", c->message, "s", calls);
	print_cost("first share, a buffer of each rank", c->first, "s", "two ranks, less all other terms");
	print_cost("re-share, a buffer of each rank", c->again, "s", "two ranks, less rounds");
	print_cost("a MiB copied from a peer, all at once", c->copy * 1048576, "s", "ipcshare_copy, two ranks");
	print_cost("private memory of a group", c->group, "bytes", "one rank");
	print_cost("  each rank more", c->peer, "bytes", measured);
	print_cost("private memory of a set", c->set, "bytes", "one rank");
	print_cost("  each rank more", c->row, "bytes", measured);
	print_cost("  each region of its own", c->own, "bytes", "64 regions, less one");
	print_cost("  each region of another rank", c->other, "bytes", "64 regions, less one");
	print_cost("  each buffer of each rank", c->cell, "bytes", "20000 buffers, less one");
	print_cost("  each buffer of its own, kept", c->kept, "bytes", "20000 buffers, less one");
	print_cost("control page and slots of a rank", c->board, "bytes", "whole pages of its layout");
	print_cost("a message between nodes", c->latency, "s", "--network: not measured");
	print_cost("bytes a second between nodes", c->bandwidth, "bytes", "--network: not measured");
}

/* "equal", "within 10 %", or nothing of what is not judged. */
static const char *verdict_of(const struct growth_check *c, char *out)
{
	if (!growth_check_is_good(c))
		return "WRONG";
	if (c->bound == GROWTH_EXACT)
		return "equal";
	if (c->bound < 0)
		return "";
	snprintf(out, REPORT_TEXT, "within %.0f %%", 100 * c->bound);
	return out;
}

static void print_checks(const struct scaling *m)
{
	const struct growth_shape s = growth_shape_of(GROWTH_SHARE_BOTH, m->team.size);
	char model[REPORT_TEXT], real[REPORT_TEXT], verdict[REPORT_TEXT];

	printf("\nthe model against a group of %d ranks here, and a share of %.0f buffers in %.0f regions%s\n\n"
	       "  %-24s %12s %12s %8s\n", m->team.size, s.buffers, s.regions,
	       m->team.size > 2 ? "" : ",\nwhich its costs are from", "", "model", "here", "x");
	for (int i = 0; i < m->nchecks; i++) {
		const struct growth_check *c = &m->checks[i];

		printf("  %-24s %12s %12s %8.2f  %s\n", c->name, scaling_text(c->model, c->unit, model),
		       scaling_text(c->real, c->unit, real), c->real > 0 ? c->model / c->real : 0,
		       verdict_of(c, verdict));
		json_term(m, &s, c->name, "here", c->unit, c->real);
		json_term(m, &s, c->name, "model", c->unit, c->model);
	}
	printf("\n(times are for a core of each rank; with more ranks than cores, and other work, they differ)\n");
}

void scaling_show(const struct scaling *m)
{
	printf("ipcshare-bench model %s: %s backend, %d ranks\n", ipcshare_version(),
	       m->team.backend, m->team.size);
	team_print_emulated(&m->team);
	print_costs(m);
	print_model(m);
	print_breaks(m);
	print_checks(m);
	fflush(stdout);
}
