/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare-bench model: what a rank will hold, call, read and wait for with more ranks and nodes than
 * there are here, from what groups of one and of two ranks cost here; and the same model against all the
 * ranks that there are.
 */
#include "scaling.h"

#include <stdlib.h>
#include <string.h>

#include <mpi.h>

#include "bench.h"
#include "report.h"

#define NETWORK "2us,25GB/s"

/* NULL, or which one is wrong. */
static const char *verify(const struct scaling *m, char *why)
{
	char model[REPORT_TEXT], real[REPORT_TEXT];

	for (int i = 0; i < m->nchecks; i++) {
		const struct growth_check *c = &m->checks[i];

		if (growth_check_is_good(c))
			continue;
		snprintf(why, TEAM_TEXT, "%s: the model has %s, there are %s", c->name,
			 scaling_text(c->model, c->unit, model), scaling_text(c->real, c->unit, real));
		return why;
	}
	return NULL;
}

/* ---- All of it ------------------------------------------------------------------------------ */

/* What was told instead of measured; the texts were checked before. */
static void take_costs(struct scaling *m)
{
	for (size_t i = 0; i < m->set_costs.n; i++) {
		model_set(&m->costs.calls, m->set_costs.list[i]);
		if (!strncmp(m->set_costs.list[i], "import=", 7))
			m->costs.message = 0;
	}
}

static int sample(struct scaling *m, int ranks, int direct)
{
	double files[GROWTH_NSHARES];

	growth_files(ranks, files);
	return growth_sample(1, 1, NULL, &m->one) || growth_sample(2, 1, NULL, &m->two) ||
	       growth_sample(ranks, 0, direct ? files : NULL, &m->all) ? -1 : 0;
}

static int show(struct scaling *m)
{
	const char *wrong;
	char why[TEAM_TEXT];

	if (m->team.rank == 0)
		scaling_show(m);
	wrong = verify(m, why);
	if (team_verdict(m->team.rank ? NULL : wrong))
		return -1;
	if (m->team.rank == 0)
		printf("\nverified: calls, bytes, mappings and memory of the model, %d ranks\n",
		       m->team.size);
	return 0;
}

/* On one node, and with somebody to share with? And does the CPU touch the memory? */
static int look(struct team *team)
{
	int err = team_open(team);
	const char *wrong;

	if (err)
		return -1;
	wrong = team->npeers < 2 ? "there is no other rank on this node to share with" :
		team->nodes > 1 ? "the ranks are not on one node" : NULL;
	err = team_verdict(wrong);
	return team_close(team, err);
}

static int run(void *bench, int no_progress, FILE *json)
{
	struct scaling *m = bench;
	struct team team;
	int err;

	(void)no_progress; /* it is over too soon */
	m->json = json;
	/* Nothing of it is open while the samples count. */
	if (look(&team) || sample(m, team.size, team.direct) || team_open(&m->team))
		return -1;
	m->costs.ids = SCALING_IDS;
	growth_fit(&m->one, &m->two, &m->costs);
	m->nchecks = growth_check(&m->costs, team.size + !!m->spoil, team.direct, team.direct ? 0 : SCALING_IDS,
				  &m->all, m->checks);
	take_costs(m);
	err = show(m);
	return team_close(&m->team, err) || err ? -1 : 0;
}

/* 0, or an exit code. */
static int check(const struct options *o, struct scaling *m)
{
	static const uint64_t ranks[] = { 8, 16, 64, 128, 384 }, nodes[] = { 1, 16, 1000, 10000 };
	struct model scratch = model_assumed();

	for (size_t i = 0; i < m->set_costs.n; i++)
		if (model_set(&scratch, m->set_costs.list[i]))
			return options_usage(o, "--cost '%s'; expected CALL=TIME as in import=50us",
					     m->set_costs.list[i]);
	if (growth_network(&m->costs, m->network))
		return options_usage(o, "--network '%s'; expected LATENCY,BANDWIDTH as in " NETWORK,
				     m->network);
	if (!m->ranks.n) {
		m->ranks.n = sizeof(ranks) / sizeof(ranks[0]);
		memcpy(m->ranks.list, ranks, sizeof(ranks));
	}
	if (!m->nodes.n) {
		m->nodes.n = sizeof(nodes) / sizeof(nodes[0]);
		memcpy(m->nodes.list, nodes, sizeof(nodes));
	}
	return 0;
}

int bench_model(int argc, char **argv)
{
	uint64_t ranks[argc + 5], nodes[argc + 4]; /* as many if none is given */
	const char *costs[argc];
	struct scaling m = { .ranks = { ranks, 0 }, .nodes = { nodes, 0 }, .buffers = 10000,
			     .regions = 4, .bytes = 64 << 20, .set_costs = { costs, 0 },
			     .network = NETWORK };
	const struct option_row rows[] = {
		{ .name = "ranks", .kind = OPTION_NUMBERS, .to = &m.ranks, .value = "N",
		  .help = "of a node; may be repeated. Default: 8 16 64 128 384", .min = 2,
		  .max = SCALING_RANKS, .expected = "a number from 2 to 65536" },
		{ .name = "nodes", .kind = OPTION_NUMBERS, .to = &m.nodes, .value = "N",
		  .help = "may be repeated. Default: 1 16 1000 10000. With one --ranks and one\n"
			  "--nodes each term is shown", .min = 1,
		  .max = SCALING_NODES, .expected = "a number from 1 to 10000000" },
		{ .name = "buffers", .kind = OPTION_NUMBER, .to = &m.buffers, .value = "N",
		  .help = "that each rank shares; default 10000", .min = 1, .max = 1 << 28,
		  .expected = "a number from 1 to 268435456" },
		{ .name = "regions", .kind = OPTION_NUMBER, .to = &m.regions, .value = "N",
		  .help = "that they lie in; default 4", .min = 1, .max = 1 << 20,
		  .expected = "a number from 1 to 1048576" },
		{ .name = "bytes", .kind = OPTION_NUMBER, .to = &m.bytes, .value = "BYTES",
		  .help = "of a rank's regions in all; K, M, G; default 64M", .units = "KMG", .min = 1,
		  .max = (uint64_t)1 << 50, .expected = "bytes, 64M for example" },
		{ .name = "cost", .kind = OPTION_TEXTS, .to = &m.set_costs, .value = "CALL=TIME",
		  .help = "of a backend call, instead of what it takes here: import=50us. May be repeated" },
		{ .name = "network", .kind = OPTION_TEXT, .to = &m.network,
		  .value = "LATENCY,BANDWIDTH",
		  .help = "of a message between nodes, and of a node; default " NETWORK ".\n"
			  "Nobody has measured it" },
		{ .name = "spoil", .kind = OPTION_FLAG, .to = &m.spoil,
		  .help = "check the model of one rank more than there are: is it found?" },
	};
	struct options o = {
		.command = "model",
		.text = "Print what a rank will hold, call, read and wait for with more ranks and nodes than "
			"there\nare here, and which term breaks first: a model, from costs that are measured "
			"here with\none rank and with two. Its counts are compared with those of a share of all "
			"ranks. Takes\ntwo ranks or more, on one node.",
		.rows = rows,
		.n = sizeof(rows) / sizeof(rows[0]),
	};
	int code;

	if (options_parse(&o, argc, argv, &code))
		return code;
	code = check(&o, &m);
	if (code)
		return code;
	return report_run(&o, run, &m);
}
