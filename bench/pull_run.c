/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * On each node the first rank pulls and the others own. Before each time the owners write new bytes,
 * as those do whose data is worth pulling: so these come from the owner's core or from memory, and
 * nothing that was not copied now can pass for it.
 */
#include "pull.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mpi.h>

#include "bench.h"
#include "clock.h"
#include "progress.h"

struct pull {
	const struct pull_options *options;
	const struct team *team;
	struct pull_case *c;
	int direct;		/* the memory is the CPU's own */
	size_t count;		/* buffers of each owner */
	char *shared, *landing;	/* what this rank owns; where the first rank pulls to */
	struct ipcshare_buf *bufs;
	struct ipcshare_set *set;
	struct ipcshare_item *items;
	const char **from;	/* raw pointers of the items */
	struct ipcshare_plan *plan;
	MPI_Comm node;
	MPI_Win window;
	char *window_base;
	char *scratch;		/* c->n pieces of ordinary memory */
	uint64_t serial;	/* of what the owners wrote last */
	char why[TEAM_TEXT];
};

static int pulls(const struct pull *p)
{
	return p->team->peer == 0;
}

static int fail_call(struct pull *p, const char *what)
{
	team_explain(what, p->why);
	return -1;
}

/*
 * The first rank has a core for itself if there are two: else it is a matter of chance whether what an
 * owner wrote is in the puller's own cache. The mask as it was goes into @before.
 */
static void cores_divide(const struct pull *p, cpu_set_t *before)
{
	cpu_set_t mine;
	int first = 0;

	if (sched_getaffinity(0, sizeof(*before), before) || CPU_COUNT(before) < 2)
		return;
	while (!CPU_ISSET(first, before))
		first++;
	mine = *before;
	if (pulls(p)) {
		CPU_ZERO(&mine);
		CPU_SET(first, &mine);
	} else {
		CPU_CLR(first, &mine);
	}
	sched_setaffinity(0, sizeof(mine), &mine);
}

/* ---- Content: a word follows from the owner, its place there, and the time of writing ------- */

static uint64_t word(int owner, size_t at, uint64_t serial)
{
	return ((uint64_t)(owner + 1) << 40 ^ at ^ serial << 48) * 0x9e3779b97f4a7c15u;
}

static void fill(const struct pull *p, char *bytes)
{
	for (size_t at = 0; at < p->count * p->c->size; at += 8) {
		uint64_t w = word(p->team->peer, at, p->serial);

		memcpy(bytes + at, &w, 8);
	}
	if (p->options->spoil && p->team->peer == p->team->npeers - 1)
		bytes[p->count * p->c->size - 1] ^= 1;
}

static int write_new(struct pull *p, enum pull_way way)
{
	char *to = p->direct ? (way == PULL_WAY_GET ? p->window_base : p->shared) : p->scratch;

	if (pulls(p))
		return 0;
	fill(p, to);
	if (way == PULL_WAY_GET)
		MPI_Win_sync(p->window);
	if (!p->direct && ipcshare_copy(p->team->ctx, p->shared, to, p->count * p->c->size))
		return fail_call(p, "copy");
	return 0;
}

static int check(struct pull *p, enum pull_way way)
{
	static const char *const names[] = {
#define NAME(id, name) name,
		PULL_WAYS(NAME)
#undef NAME
	};
	const struct pull_case *c = p->c;
	const char *seen = p->direct ? p->landing : p->scratch;

	if (!p->direct && ipcshare_copy(p->team->ctx, p->scratch, p->landing, c->n * c->size))
		return fail_call(p, "copy");
	for (size_t i = 0; i < c->n; i++)
		for (size_t at = 0; at < c->size; at += 8) {
			const struct ipcshare_item *it = &p->items[i];
			uint64_t want = word(it->rank, it->index * c->size + at, p->serial), is;

			memcpy(&is, seen + i * c->size + at, 8);
			if (is == want)
				continue;
			snprintf(p->why, sizeof(p->why), "%s of %zu bytes: piece %zu, buffer %zu "
				 "of rank %d, is wrong at offset %zu: 0x%016" PRIx64
				 ", expected 0x%016" PRIx64, names[way], c->size, i, it->index,
				 p->team->names[it->rank], at, is, want);
			return -1;
		}
	return 0;
}

/* ---- The ways ------------------------------------------------------------------------------- */

/* By hand: the pointers of both ends are known. Device memory takes a call each. */
static int loop(struct pull *p)
{
	const size_t size = p->c->size;

	if (p->direct) {
		for (size_t i = 0; i < p->c->n; i++)
			memcpy(p->items[i].local, p->from[i], size);
		return 0;
	}
	for (size_t i = 0; i < p->c->n; i++)
		if (ipcshare_copy(p->team->ctx, p->items[i].local, p->from[i], size))
			return fail_call(p, "copy");
	return 0;
}

static int get(struct pull *p)
{
	const int size = (int)p->c->size;

	MPI_Win_sync(p->window);
	for (size_t i = 0; i < p->c->n; i++)
		MPI_Get(p->items[i].local, size, MPI_BYTE, p->items[i].rank,
			(MPI_Aint)(p->items[i].index * p->c->size), size, MPI_BYTE, p->window);
	MPI_Win_flush_all(p->window);
	return 0;
}

static int go(struct pull *p, enum pull_way way)
{
	switch (way) {
	case PULL_WAY_LOOP: return loop(p);
	case PULL_WAY_PULL:
		return ipcshare_pull(p->set, p->items, p->c->n) ? fail_call(p, "pull") : 0;
	case PULL_WAY_PLAN: return ipcshare_plan_run(p->plan) ? fail_call(p, "plan") : 0;
	default: return get(p);
	}
}

/* @round below 0: not counted. */
static int measure(struct pull *p, enum pull_way way, int round)
{
	const int warm = p->options->warm;
	struct driver_calls before, after;
	double start;
	int err = 0;

	if (!warm || round < 0) {
		p->serial++;
		err = write_new(p, way);
	}
	if (warm && pulls(p) && p->direct)
		memset(p->landing, 0, p->c->n * p->c->size);
	team_wait();
	if (pulls(p) && !err) {
		before = driver_calls_now();
		start = now();
		err = go(p, way);
		if (round >= 0)
			p->c->seconds[way][round] = now() - start;
		after = driver_calls_now();
		p->c->calls[way] = (struct driver_calls){ after.copies - before.copies,
							  after.all - before.all };
		if (!err)
			err = check(p, way);
	}
	progress_add(1);
	return team_verdict(err ? p->why : NULL);
}

/* With --warm each way needs its bytes written once. */
static int measure_all(struct pull *p)
{
	for (int round = -1; round < (int)p->c->rounds; round++)
		for (int k = 0; k < PULL_NWAYS; k++) {
			/* Another one comes first each time. */
			enum pull_way way = (enum pull_way)((round + 1 + k) % PULL_NWAYS);

			if (round < 0 && p->options->warm)
				p->serial = 0;
			if (p->c->has[way] && measure(p, way, round))
				return -1;
		}
	return 0;
}

/* ---- Before and after ------------------------------------------------------------------------- */

/* Every piece once: by owner in turn, then shuffled; or the owners one after the other. */
static void choose(struct pull *p)
{
	const size_t owners = (size_t)p->team->npeers - 1;
	uint64_t state = 42;

	for (size_t i = 0; i < p->c->n; i++)
		p->items[i] = (struct ipcshare_item){
			.rank = 1 + (int)(p->c->random ? i % owners : i / p->count),
			.index = p->c->random ? i / owners : i % p->count,
			.len = p->c->size,
		};
	for (size_t i = p->c->n - 1; i > 0 && p->c->random; i--) {
		struct ipcshare_item item = p->items[i];
		size_t j;

		state = state * 6364136223846793005u + 1442695040888963407u;
		j = (size_t)((state >> 33) % (i + 1));
		p->items[i] = p->items[j];
		p->items[j] = item;
	}
	for (size_t i = 0; i < p->c->n; i++) {
		p->items[i].local = p->landing + i * p->c->size;
		p->from[i] = ipcshare_ptr(p->set, p->items[i].rank, p->items[i].index);
	}
}

static int prepare_memory(struct pull *p)
{
	const size_t bytes = p->c->n * p->c->size;

	p->scratch = malloc(bytes);
	p->bufs = calloc(p->count, sizeof(*p->bufs));
	p->items = calloc(p->c->n, sizeof(*p->items));
	p->from = calloc(p->c->n, sizeof(*p->from));
	if (!p->scratch || !p->bufs || !p->items || !p->from) {
		snprintf(p->why, sizeof(p->why), "out of memory");
		return -1;
	}
	if (ipcshare_alloc(p->team->ctx, p->count * p->c->size, (void **)&p->shared) ||
	    ipcshare_alloc(p->team->ctx, bytes, (void **)&p->landing))
		return fail_call(p, "alloc");
	for (size_t i = 0; i < p->count; i++)
		p->bufs[i] = (struct ipcshare_buf){ p->shared + i * p->c->size, p->c->size };
	return 0;
}

static void window_open(struct pull *p)
{
	if (!p->direct)
		return;
	MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, p->team->peer, MPI_INFO_NULL,
			    &p->node);
	MPI_Win_allocate_shared((MPI_Aint)(p->count * p->c->size), 1, MPI_INFO_NULL, p->node,
				&p->window_base, &p->window);
	MPI_Win_lock_all(0, p->window);
}

static void window_close(struct pull *p)
{
	if (!p->direct)
		return;
	MPI_Win_unlock_all(p->window);
	MPI_Win_free(&p->window);
	MPI_Comm_free(&p->node);
}

static int prepare(struct pull *p)
{
	int err = prepare_memory(p);

	if (team_verdict(err ? p->why : NULL))
		return -1;
	err = ipcshare_share(p->team->group, p->bufs, p->count, 0, &p->set);
	if (!err && ipcshare_set_failures(p->set))
		err = IPCSHARE_ERR_UNREACHABLE;
	if (team_verdict(err ? team_explain("share", p->why) : NULL))
		return -1;
	if (pulls(p)) {
		choose(p);
		err = ipcshare_plan_create(p->set, IPCSHARE_PULL, p->items, p->c->n, &p->plan);
	}
	return team_verdict(err ? team_explain("plan", p->why) : NULL);
}

static int end(struct pull *p)
{
	int err = ipcshare_plan_free(p->plan);

	if (!err)
		err = ipcshare_set_free(p->set);
	if (!err)
		err = ipcshare_free(p->team->ctx, p->shared);
	if (!err)
		err = ipcshare_free(p->team->ctx, p->landing);
	return team_verdict(err ? team_explain("free", p->why) : NULL);
}

int pull_run(const struct pull_options *options, const struct team *team, struct pull_case *c)
{
	struct pull p = { .options = options, .team = team, .c = c,
			  .direct = !strcmp(team->backend, "host") };
	const size_t owners = (size_t)team->npeers - 1;
	cpu_set_t cores;
	int err;

	CPU_ZERO(&cores);
	cores_divide(&p, &cores);
	p.count = (c->n + owners - 1) / owners;
	for (int way = 0; way < PULL_NWAYS; way++)
		c->has[way] = way != PULL_WAY_GET || p.direct;
	err = prepare(&p);
	if (!err) {
		window_open(&p);
		err = measure_all(&p);
		window_close(&p);
	}
	if (!err)
		err = end(&p);
	free(p.scratch);
	free(p.bufs);
	free(p.items);
	free(p.from);
	if (CPU_COUNT(&cores))
		sched_setaffinity(0, sizeof(cores), &cores);
	return err;
}
