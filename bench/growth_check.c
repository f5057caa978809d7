/* SPDX-License-Identifier: BSD-3-Clause */
#include "growth_check.h"

#include <math.h>
#include <unistd.h>

/* ---- Costs ---------------------------------------------------------------------------------- */

/*
 * A set of one buffer, in one region; 63 regions more; 19999 buffers more: of one rank, and of two. Of few
 * buffers no descriptors are kept.
 */
static void fit_memory(const struct growth_shared *one, const struct growth_shared *two,
		       struct growth_costs *c)
{
	const double regions = growth_shape_of(GROWTH_SHARE_REGIONS, 1).regions - 1;
	const double buffers = growth_shape_of(GROWTH_SHARE_BUFFERS, 1).buffers - 1;
	const struct growth_shared *first = &one[GROWTH_SHARE_ONE], *second = &two[GROWTH_SHARE_ONE];

	c->cell = (two[GROWTH_SHARE_BUFFERS].set - second->set -
		   (one[GROWTH_SHARE_BUFFERS].set - first->set)) / buffers;
	c->kept = (one[GROWTH_SHARE_BUFFERS].set - first->set) / buffers - c->cell;
	c->own = (one[GROWTH_SHARE_REGIONS].set - first->set) / regions - c->cell;
	c->other = (two[GROWTH_SHARE_REGIONS].set - second->set) / regions - 2 * c->cell - c->own;
	c->set = first->set - c->own - c->cell;
	c->row = second->set - first->set - c->other - c->cell;
}

static double more(double value, double than)
{
	return fmax(value - than, 0);
}

static double per_call(const struct growth_shared *s, enum ipcshare_call call)
{
	return s->calls[call] > 0 ? s->call_time[call] / s->calls[call] : 0;
}

/* Imports of a peer's regions are one message, however many. */
static void fit_calls(const struct growth_shared *two, struct growth_costs *c)
{
	const struct growth_shared *few = &two[GROWTH_SHARE_ONE], *many = &two[GROWTH_SHARE_BOTH];
	const double one = few->call_time[IPCSHARE_CALL_IMPORT];
	const double regions = many->calls[IPCSHARE_CALL_IMPORT];

	c->calls.cost[IPCSHARE_CALL_EXPORT] = per_call(many, IPCSHARE_CALL_EXPORT);
	c->calls.cost[IPCSHARE_CALL_ALLOW] = per_call(many, IPCSHARE_CALL_ALLOW);
	c->calls.cost[IPCSHARE_CALL_IMPORT] =
		regions > 1 ? more(many->call_time[IPCSHARE_CALL_IMPORT], one) / (regions - 1) : one;
	c->message = more(one, c->calls.cost[IPCSHARE_CALL_IMPORT]);
}

void growth_fit(const struct growth_sample *one, const struct growth_sample *two,
		struct growth_costs *c)
{
	const struct growth_shared *both = &two->of[GROWTH_SHARE_BOTH];
	const struct growth_shape shape = growth_shape_of(GROWTH_SHARE_BOTH, 2);

	c->page = (double)sysconf(_SC_PAGESIZE);
	c->board = ceil(GROWTH_BOARD / c->page) * c->page;
	c->group = one->group;
	c->peer = two->group - one->group;
	fit_memory(one->of, two->of, c);
	c->round = one->round;
	c->line = more(two->round, one->round);
	c->create = one->create;
	c->meet = more(two->create, one->create);
	fit_calls(two->of, c);
	c->copy = two->copy;
	c->again = c->first = 0;
	c->again = more(both->again, growth_column(GROWTH_AGAIN, c, &shape).sum) / 2 / shape.buffers;
	c->first = more(both->first, growth_column(GROWTH_FIRST, c, &shape).sum) / 2 / shape.buffers;
}

/* ---- The model against a sample ------------------------------------------------------------- */

static double term(const struct growth_terms *t, int i)
{
	return t->of[i].value;
}

static double files_that_stay(const struct growth_costs *c, const struct growth_shape *s)
{
	const struct growth_terms files = growth_column(GROWTH_FILES, c, s);
	double sum = 0;

	for (int i = 0; i < GROWTH_FILES_THAT_STAY; i++)
		sum += term(&files, i);
	return sum;
}

void growth_files(int ranks, double files[GROWTH_NSHARES])
{
	const struct growth_costs none = { .ids = 0 };

	for (int share = 0; share < GROWTH_NSHARES; share++) {
		const struct growth_shape s = growth_shape_of((enum growth_share)share, ranks);

		files[share] = files_that_stay(&none, &s);
	}
}

int growth_check_is_good(const struct growth_check *c)
{
	return c->bound < 0 || fabs(c->model - c->real) <= c->bound * c->real;
}

int growth_check(const struct growth_costs *costs, int ranks, int direct, double ids,
		 const struct growth_sample *real, struct growth_check out[GROWTH_CHECKS])
{
	const struct growth_shape s = growth_shape_of(GROWTH_SHARE_BOTH, ranks);
	const struct growth_shared *r = &real->of[GROWTH_SHARE_BOTH];
	struct growth_costs here = *costs;
	struct growth_terms calls, memory;
	struct growth_check *o = out;

	here.ids = ids;
	calls = growth_column(GROWTH_CALLS, &here, &s);
	memory = growth_column(GROWTH_MEMORY, &here, &s);
#define CHECK(name, unit, model, real, bound) *o++ = (struct growth_check){ name, unit, model, real, bound }
	CHECK("exports", "calls", term(&calls, 0), r->calls[IPCSHARE_CALL_EXPORT], GROWTH_EXACT);
	CHECK("whitelist calls", "calls", term(&calls, 1), r->calls[IPCSHARE_CALL_ALLOW], GROWTH_EXACT);
	CHECK("imports", "calls", term(&calls, 2), r->calls[IPCSHARE_CALL_IMPORT], GROWTH_EXACT);
	CHECK("bytes of a blob", "bytes", growth_blob(&s, 0), r->blob, GROWTH_EXACT);
	CHECK("peers' bytes mapped", "bytes", s.bytes * (s.ranks - 1), r->mapped, GROWTH_EXACT);
	if (direct) {
		CHECK("mappings", "maps", growth_column(GROWTH_MAPS, &here, &s).sum, r->maps, GROWTH_EXACT);
		CHECK("bytes mapped, with pages", "bytes", s.ranks * (here.board + s.bytes), r->maps_bytes,
		      GROWTH_EXACT);
		CHECK("descriptors that stay", "files", files_that_stay(&here, &s), r->files,
		      GROWTH_EXACT);
	}
	CHECK("memory of a group", "bytes", term(&memory, 1), real->group, GROWTH_GROUP_BOUND);
	CHECK("memory of a set", "bytes", term(&memory, 2) + term(&memory, 3) + term(&memory, 4), r->set,
	      GROWTH_SET_BOUND);
	CHECK("a round", "s", here.round + here.line * (s.ranks - 1), real->round, GROWTH_NO_BOUND);
	CHECK("creating a group", "s", growth_column(GROWTH_CREATE, &here, &s).sum, real->create,
	      GROWTH_NO_BOUND);
	CHECK("a first share", "s", growth_column(GROWTH_FIRST, &here, &s).sum, r->first,
	      GROWTH_NO_BOUND);
	CHECK("a re-share", "s", growth_column(GROWTH_AGAIN, &here, &s).sum, r->again,
	      GROWTH_NO_BOUND);
#undef CHECK
	return (int)(o - out);
}
