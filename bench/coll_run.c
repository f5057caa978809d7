/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Before each time every rank writes all of what it sends anew, and all wait for each other. A time
 * is from then, when the first rank goes on, until the last one is done: so a rank that a crowded
 * machine lets start late does not hide what others did before.
 */
#include "coll.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mpi.h>

#include "bench.h"
#include "clock.h"
#include "content.h"
#include "progress.h"

static const char *const way_names[] = {
#define NAME(id, name) name,
	COLL_WAYS(NAME)
#undef NAME
};

/* A case on its way. */
struct run {
	struct coll *b;
	struct coll_case *c;
	struct collective_call call;
	struct content content;
	size_t sent, moved;	/* bytes */
	double *start, *end;	/* of this rank, for each way and round */
	char why[TEAM_TEXT];
};

/*
 * What the steps below return: a call that fails does so on every rank, and all of them stop. A wrong
 * byte is known to one rank, which must take part in what the others do until the next verdict.
 */
enum { FINE = 0, FAILED = -1, WRONG = 1 };

/* ---- The ways ------------------------------------------------------------------------------- */

static int call_once(struct run *r, enum coll_way way)
{
	const struct collective *what = r->c->what;

	if ((way == COLL_WAY_OURS ? what->ours : what->mpi)(&r->call) == 0)
		return FINE;
	if (way == COLL_WAY_OURS)
		team_explain(what->name, r->why);
	else
		snprintf(r->why, sizeof(r->why), "%s by MPI failed", what->name);
	return FAILED;
}

static int call_row(struct run *r, enum coll_way way)
{
	for (unsigned k = 0; k < r->c->calls; k++) {
		content_begin(&r->content, k);
		if (call_once(r, way))
			return FAILED;
		content_end(&r->content, k);
	}
	return FINE;
}

static int barrier_row(struct run *r, enum coll_way way)
{
	for (unsigned k = 0; k < r->c->calls; k++)
		if (call_once(r, way))
			return FAILED;
	return FINE;
}

/* As many bytes as the collective has to move on each rank. */
static void copy_row(struct run *r, const float *from)
{
	char *to = (char *)r->call.recv;

	for (unsigned k = 0; k < r->c->calls; k++)
		for (size_t at = 0, len; at < r->moved; at += len) {
			len = r->moved - at < r->sent ? r->moved - at : r->sent;
			memcpy(to + at, from, len);
			/* None may be left out because the next one writes the same. */
			__asm__ volatile("" : : "r"(to), "r"(from) : "memory");
		}
}

static int go(struct run *r, enum coll_way way)
{
	switch (way) {
	case COLL_WAY_MEMCPY: copy_row(r, r->call.send); return FINE;
	case COLL_WAY_PEER: copy_row(r, r->b->peer); return FINE;
	case COLL_WAY_FLAGS: flags_meet(&r->b->flags, r->c->calls); return FINE;
	default: return (r->c->size ? call_row : barrier_row)(r, way);
	}
}

/* ---- What came -------------------------------------------------------------------------------- */

static int check(struct run *r, enum coll_way way)
{
	struct content_diff diff;

	if (!content_check(&r->content, &diff))
		return FINE;
	snprintf(r->why, sizeof(r->why), "%s by %s, blocks of %zu bytes: block %d of what came is wrong "
		 "at offset %zu: %.9g, expected %.9g", r->c->what->name, way_names[way], r->c->size,
		 diff.block, diff.offset, (double)diff.saw, (double)diff.expected);
	return WRONG;
}

/* Is everybody there, whenever somebody leaves? More barriers, which are not timed. */
static int barrier_check(struct run *r, enum coll_way way)
{
	struct coll *b = r->b;
	const int late = b->options->spoil && r->call.rank == r->call.n - 1;
	int err = FINE;

	for (unsigned k = 0; k < r->c->calls; k++) {
		int rank;

		if (!late)
			flags_come(&b->flags);
		if (call_once(r, way))
			return FAILED;
		rank = flags_missing(&b->flags);
		if (rank < 0)
			continue;
		snprintf(r->why, sizeof(r->why), "barrier by %s: left when rank %d had not come",
			 way_names[way], b->team->names[rank]);
		err = WRONG;
	}
	return err;
}

/* What is short, each time; what is long, the first time and the last. */
static int is_checked(const struct run *r, enum coll_way way, int round)
{
	return (way == COLL_WAY_OURS || way == COLL_WAY_MPI) &&
	       (round < 0 || round == (int)r->c->rounds - 1 || r->sent <= 65536);
}

/* ---- Rounds ----------------------------------------------------------------------------------- */

/* @round below 0: not counted. */
static int measure(struct run *r, enum coll_way way, int round)
{
	const size_t at = (size_t)way * r->c->rounds + (size_t)(round < 0 ? 0 : round);
	int err;

	content_write(&r->content, r->b->options->spoil);
	flags_meet(&r->b->flags, 1);
	r->start[at] = now();
	err = go(r, way);
	r->end[at] = now();
	progress_add(1);
	if (err || !is_checked(r, way, round))
		return err;
	return r->c->size ? check(r, way) : barrier_check(r, way);
}

/* Every way once, and another one comes first each time. */
static int measure_round(struct run *r, int round)
{
	char why[TEAM_TEXT] = "";
	int err = FINE;

	for (int k = 0; k < COLL_NWAYS && err != FAILED; k++) {
		enum coll_way way = (enum coll_way)((round + 1 + k) % COLL_NWAYS);
		int now = r->c->has[way] ? measure(r, way, round) : FINE;

		if (now && !*why)
			memcpy(why, r->why, sizeof(why));
		err = now ? now : err;
	}
	memcpy(r->why, why, sizeof(why));
	return err;
}

static int measure_all(struct run *r)
{
	char why[TEAM_TEXT] = "";
	int err = FINE;

	for (int round = -1; round < (int)r->c->rounds && err != FAILED; round++) {
		int now = measure_round(r, round);

		if (now && !*why)
			memcpy(why, r->why, sizeof(why));
		err = now ? now : err;
		if (round < 0 && team_verdict(err ? why : NULL))
			return -1;
	}
	return team_verdict(err ? why : NULL);
}

/* From the first one's start to the last one's end, divided by the calls. */
static void conclude(struct run *r)
{
	struct coll_case *c = r->c;
	const int n = COLL_NWAYS * (int)c->rounds;

	MPI_Allreduce(MPI_IN_PLACE, r->start, n, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD);
	MPI_Allreduce(MPI_IN_PLACE, r->end, n, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
	for (int way = 0; way < COLL_NWAYS; way++)
		for (unsigned k = 0; k < c->rounds; k++) {
			const size_t at = (size_t)way * c->rounds + k;

			c->seconds[way][k] = (r->end[at] - r->start[at]) / c->calls;
		}
}

/* ---- Before and after ------------------------------------------------------------------------- */

static void *room(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	return p;
}

static void call_open(struct collective_call *call, const struct coll *b, size_t size)
{
	const int n = b->team->npeers;

	*call = (struct collective_call){ .group = b->team->group, .rank = b->team->peer, .n = n,
					  .send = b->send, .recv = b->recv,
					  .count = size / sizeof(float),
					  .parts = room((size_t)n, sizeof(*call->parts)),
					  .mpi_parts = room((size_t)n, sizeof(*call->mpi_parts)) };
	for (int r = 0; r < n; r++) {
		call->parts[r] = collective_part(call, r + 1) - collective_part(call, r);
		call->mpi_parts[r] = (int)call->parts[r];
	}
}

int coll_measure(struct coll *b, struct coll_case *c)
{
	struct run r = { .b = b, .c = c, .moved = collective_moved(c->what, b->team->npeers, c->size) };
	int err;

	call_open(&r.call, b, c->size);
	content_open(&r.content, c->what, &r.call, c->calls);
	r.sent = r.content.sent * sizeof(float);
	r.start = room(COLL_NWAYS * (size_t)c->rounds, sizeof(double));
	r.end = room(COLL_NWAYS * (size_t)c->rounds, sizeof(double));
	err = measure_all(&r);
	if (!err)
		conclude(&r);
	content_close(&r.content);
	free(r.call.parts);
	free(r.call.mpi_parts);
	free(r.start);
	free(r.end);
	return err;
}

static int memory_open(struct coll *b, char *why)
{
	struct ipcshare_ctx *ctx = b->team->ctx;

	if (b->options->private) {
		b->send = aligned_alloc(4096, b->room);
		b->recv = aligned_alloc(4096, b->room);
		snprintf(why, TEAM_TEXT, "out of memory");
		return b->send && b->recv ? 0 : -1;
	}
	if (!ipcshare_alloc(ctx, b->room, (void **)&b->send) &&
	    !ipcshare_alloc(ctx, b->room, (void **)&b->recv))
		return 0;
	team_explain("alloc", why);
	return -1;
}

int coll_open(struct coll *b, const struct coll_options *options, const struct team *team,
	      size_t room)
{
	struct ipcshare_buf bufs[2];
	char why[TEAM_TEXT];
	int err;

	*b = (struct coll){ .options = options, .team = team, .waiting = waiting_of_mpi() };
	b->room = room / 4096 * 4096 + 4096;
	if (flags_open(&b->flags, team))
		return -1;
	err = memory_open(b, why);
	if (team_verdict(err ? why : NULL))
		return -1;
	memset(b->send, 0, b->room);
	memset(b->recv, 0, b->room);
	if (options->private)
		return 0;
	bufs[0] = (struct ipcshare_buf){ b->send, b->room };
	bufs[1] = (struct ipcshare_buf){ b->recv, b->room };
	err = ipcshare_share(team->group, bufs, 2, IPCSHARE_ALL_OR_NOTHING, &b->set);
	if (team_verdict(err ? team_explain("share", why) : NULL))
		return -1;
	b->peer = ipcshare_ptr(b->set, (team->peer + 1) % team->npeers, 0);
	return 0;
}

static int memory_close(struct coll *b)
{
	int err = ipcshare_set_free(b->set);

	if (!err)
		err = ipcshare_free(b->team->ctx, b->send);
	return err ? err : ipcshare_free(b->team->ctx, b->recv);
}

int coll_close(struct coll *b, int failed)
{
	char why[TEAM_TEXT];
	int err = 0;

	if (b->options->private) {
		free(b->send);
		free(b->recv);
	} else if (!failed) {
		err = memory_close(b);
	}
	if (!failed)
		failed = team_verdict(err ? team_explain("free", why) : NULL);
	return flags_close(&b->flags, b->team, failed);
}
