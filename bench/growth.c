/* SPDX-License-Identifier: BSD-3-Clause */
#include "growth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* As the library has them: src/base/wire.h, and a broker's places (src/backend/host/broker.c). */
#define HELLO 176.0
#define HEADER 40.0
#define LINE 128.0	/* what a rank writes of a slot in a round that carries no blob */
#define PIECE 65408.0	/* of a blob, in a round */
#define HEAD 64.0	/* of a blob; its length is a multiple of that */
#define REGION 88.0	/* that the group was not told of */
#define DESCRIPTOR 16.0
#define ROOM 45.0	/* regions for which a blob has room; with more it is moved, and both places kept */
#define BROKER 3.0	/* descriptors: a listener, an eventfd, a spare one */
#define PLACES 64.0	/* clients at a time, with two descriptors each */

#define ENTRY 8.0	/* of a page, in a page table */
#define SHORT 8.0
#define LONG ((double)(64 << 20))

static struct growth_terms terms_of(const struct growth_term *list)
{
	struct growth_terms t = { .sum = 0 };

	for (int i = 0; i < GROWTH_TERMS && list[i].name; i++) {
		t.of[i] = list[i];
		t.sum += list[i].value;
	}
	return t;
}

#define TERMS(...) terms_of((const struct growth_term[GROWTH_TERMS + 1]){ __VA_ARGS__ })

const struct growth_term *growth_most(const struct growth_terms *t)
{
	const struct growth_term *most = t->of;

	for (const struct growth_term *term = t->of; term->name; term++)
		if (term->value > most->value)
			most = term;
	return most;
}

/* ---- What a rank holds ---------------------------------------------------------------------- */

static struct growth_terms memory(const struct growth_costs *c, const struct growth_shape *s)
{
	const double n = s->ranks, others = n - 1;

	return TERMS(
		{ "own control page and slots", "128 KiB and a page", c->board },
		{ "group and peers", "n", c->group + c->peer * others },
		{ "regions known", "n R", c->set + c->row * others +
					  s->regions * (c->own + c->other * others) },
		{ "cells of a set", "20 n b", c->cell * n * s->buffers },
		{ "own descriptors, kept", "16 b, twice if R > 45",
		  (s->regions > ROOM ? 2 : 1) * c->kept * s->buffers },
		{ "page tables, once touched", "8 n (board + bytes) / page",
		  ENTRY * n * (c->board + s->bytes) / c->page });
}

static struct growth_terms files(const struct growth_costs *c, const struct growth_shape *s)
{
	const double others = s->ranks - 1;

	(void)c;
	return TERMS(
		{ "own memory", "R + 1", s->regions + 1 },
		{ "peers, to see them end", "n - 1", others },
		{ "broker", "3", BROKER },
		{ "peers, while a group is made", "n - 1", others },
		{ "clients of the broker, at times", "2 min(64, n - 1)", 2 * fmin(PLACES, others) });
}

static struct growth_terms maps(const struct growth_costs *c, const struct growth_shape *s)
{
	(void)c;
	return TERMS({ "control pages", "n", s->ranks }, { "regions", "n R", s->ranks * s->regions });
}

/* ---- What it calls and reads ---------------------------------------------------------------- */

static double allow_calls(const struct growth_costs *c, const struct growth_shape *s)
{
	return s->regions * (c->ids > 0 ? ceil((s->ranks - 1) / c->ids) : s->ranks > 1);
}

static struct growth_terms calls(const struct growth_costs *c, const struct growth_shape *s)
{
	const double others = s->ranks - 1;

	return TERMS({ "exports", "R", others > 0 ? s->regions : 0 },
		     { "whitelist calls", "R (n - 1) / 31", allow_calls(c, s) },
		     { "imports", "R (n - 1)", s->regions * others });
}

double growth_blob(const struct growth_shape *s, int told)
{
	return ceil((HEAD + (told ? 0 : REGION * s->regions) + DESCRIPTOR * s->buffers) / HEAD) * HEAD;
}

double growth_rounds(double blob)
{
	return ceil(blob / PIECE) + 1;
}

static struct growth_terms bytes(const struct growth_costs *c, const struct growth_shape *s)
{
	const double others = s->ranks - 1, blob = growth_blob(s, 0);

	(void)c;
	return TERMS({ "hello and headers of a group", "256 (n - 1)", (HELLO + 2 * HEADER) * others },
		     { "blobs", "(64 + 88 R + 16 b) (n - 1)", blob * others },
		     { "lines of rounds", "128 (n - 1) rounds", LINE * growth_rounds(blob) * others });
}

/* ---- How long it takes ---------------------------------------------------------------------- */

static double round_time(const struct growth_costs *c, double ranks)
{
	return c->round + c->line * (ranks - 1);
}

static double steps(double nodes)
{
	return nodes > 1 ? ceil(log2(nodes)) : 0;
}

/* Two barriers of all ranks, and an allgather of two numbers of each: that is MPI_Comm_split_type(). */
static double split_time(const struct growth_costs *c, const struct growth_shape *s)
{
	return s->nodes > 1 ? 5 * steps(s->nodes) * c->latency + 8 * s->ranks * s->nodes / c->bandwidth
			    : 0;
}

static struct growth_terms create(const struct growth_costs *c, const struct growth_shape *s)
{
	return TERMS({ "a group of one", "1", c->create },
		     { "peers met", "n - 1", c->meet * (s->ranks - 1) },
		     { "MPI splits all ranks by node", "8 n N / bandwidth", split_time(c, s) });
}

static struct growth_terms first(const struct growth_costs *c, const struct growth_shape *s)
{
	const double others = s->ranks - 1, *cost = c->calls.cost;

	return TERMS({ "exports", "R", s->regions * cost[IPCSHARE_CALL_EXPORT] },
		     { "whitelist", "R (n - 1) / 31", allow_calls(c, s) * cost[IPCSHARE_CALL_ALLOW] },
		     { "imports", "(n - 1) (message + R import)",
		       others * (c->message + s->regions * cost[IPCSHARE_CALL_IMPORT]) },
		     { "rounds", "rounds (n - 1) line",
		       growth_rounds(growth_blob(s, 0)) * round_time(c, s->ranks) },
		     { "descriptors to new cells", "n b", c->first * s->ranks * s->buffers });
}

static struct growth_terms again(const struct growth_costs *c, const struct growth_shape *s)
{
	return TERMS({ "rounds", "rounds (n - 1) line",
		       growth_rounds(growth_blob(s, 1)) * round_time(c, s->ranks) },
		     { "descriptors to cells", "n b", c->again * s->ranks * s->buffers });
}

/* On the node, between the nodes by recursive doubling, and on the node again. */
static struct growth_terms reduce_short(const struct growth_costs *c, const struct growth_shape *s)
{
	return TERMS({ "rounds on the node", "(n - 1) line",
		       (s->nodes > 1 ? 2 : 1) * round_time(c, s->ranks) },
		     { "between the nodes", "log2(N) (latency + 8 / bandwidth)",
		       steps(s->nodes) * (c->latency + SHORT / c->bandwidth) });
}

/* Offers, maps, folds: three rounds. Between nodes each rank sends its part: halving, then doubling. */
static struct growth_terms reduce_long(const struct growth_costs *c, const struct growth_shape *s)
{
	const double wire = s->nodes > 1 ? 2 * LONG * (s->nodes - 1) / s->nodes / c->bandwidth : 0;

	return TERMS({ "rounds on the node", "3 (n - 1) line",
		       (s->nodes > 1 ? 5 : 3) * round_time(c, s->ranks) },
		     { "reading and writing", "64 MiB copy", LONG * c->copy },
		     { "latency between the nodes", "2 log2(N) latency", 2 * steps(s->nodes) * c->latency },
		     { "bytes between the nodes", "2 64 MiB (N - 1) / N / bandwidth", wire });
}

struct growth_terms growth_column(enum growth_column column, const struct growth_costs *c,
				  const struct growth_shape *s)
{
	switch (column) {
	case GROWTH_MEMORY: return memory(c, s);
	case GROWTH_FILES: return files(c, s);
	case GROWTH_MAPS: return maps(c, s);
	case GROWTH_CALLS: return calls(c, s);
	case GROWTH_BYTES: return bytes(c, s);
	case GROWTH_CREATE: return create(c, s);
	case GROWTH_FIRST: return first(c, s);
	case GROWTH_AGAIN: return again(c, s);
	case GROWTH_SHORT: return reduce_short(c, s);
	default: return reduce_long(c, s);
	}
}

/* ---- Between nodes -------------------------------------------------------------------------- */

static int positive(const char *text, double *number, char **end)
{
	if (*text < '0' || *text > '9')
		return -1;
	*number = strtod(text, end);
	return *number > 0 && *number < 1e9 ? 0 : -1;
}

int growth_network(struct growth_costs *c, const char *text)
{
	double latency, bandwidth;
	char *end;

	if (positive(text, &latency, &end))
		return -1;
	if (strncmp(end, "ns,", 3) && strncmp(end, "us,", 3) && strncmp(end, "ms,", 3))
		return -1;
	latency *= *end == 'n' ? 1e-9 : *end == 'u' ? 1e-6 : 1e-3;
	if (positive(end + 3, &bandwidth, &end) || (strcmp(end, "GB/s") && strcmp(end, "MB/s")))
		return -1;
	c->latency = latency;
	c->bandwidth = bandwidth * (*end == 'G' ? 1e9 : 1e6);
	return 0;
}
