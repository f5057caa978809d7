/* SPDX-License-Identifier: BSD-3-Clause */
#include "life.h"

#include <stdio.h>
#include <stdlib.h>

#include "deed.h"
#include "memory/context.h"
#include "point.h"

#define LONG_MS 120000

/* ---- Bytes ---- */

void life_put(struct life *l, void *to, const void *bytes, size_t len)
{
	REQUIRE_OK(ipcshare_copy(l->ctx, to, bytes, len));
}

void life_get(struct life *l, void *bytes, const void *from, size_t len)
{
	REQUIRE_OK(ipcshare_copy(l->ctx, bytes, from, len));
}

static unsigned char shown(int rank, int memory, size_t i)
{
	return (unsigned char)((i + 1) * (unsigned)(rank * LIFE_MEMORIES + memory + 3) * 0x9e3779b1u >> 24);
}

static void show(struct life *l, int memory)
{
	unsigned char bytes[LIFE_SHOWN];

	for (size_t i = 0; i < LIFE_SHOWN; i++)
		bytes[i] = shown(l->me->rank, memory, i);
	life_put(l, l->memory[memory], bytes, LIFE_SHOWN);
}

/* @len bytes at @from must be those at @at of a memory of @rank. */
static void check_shown(struct life *l, const void *from, size_t len, int rank, int memory, size_t at)
{
	unsigned char bytes[LIFE_SHOWN];
	size_t i = 0;

	life_get(l, bytes, from, len);
	while (i < len && bytes[i] == shown(rank, memory, at + i))
		i++;
	CHECK(i == len, "rank %d, memory %d: byte %zu of %zu is 0x%02x, not 0x%02x", rank, memory, i,
	      len, bytes[i], shown(rank, memory, at + i));
}

/* ---- The buffers that are shared ---- */

struct piece {
	int memory;
	size_t at, len;
};
#define PIECES 3
static const struct piece pieces[PIECES] = {
	{ LIFE_POOL, 0, 4096 }, { LIFE_POOL, 8001, 999 }, { LIFE_SPARE, 16, 5000 },
};
static const struct piece updated = { LIFE_LATE, 64, 3000 }; /* in the last one's place */
static const struct piece lazy = { LIFE_LAZY, 128, 2000 };

static struct ipcshare_buf buf_of(const struct life *l, const struct piece *p)
{
	return (struct ipcshare_buf){ l->memory[p->memory] + p->at, p->len };
}

/* The set says why something of the struck is not there. */
static void check_missing(const struct ipcshare_set *set, int rank, size_t i, int struck)
{
	int status = ipcshare_set_status(set, rank, i);

	CHECK(rank == struck && (status == IPCSHARE_ERR_PEER_DEAD || status == IPCSHARE_ERR_TIMEOUT ||
				 status == IPCSHARE_ERR_UNREACHABLE),
	      "buffer %zu of rank %d: %s", i, rank, ipcshare_status_name(status));
}

/* A device's memory goes with the process that allocated it. */
static int is_lost(const struct life *l, int rank, int struck)
{
	return l->on_device && rank == struck;
}

static void check_set(struct life *l, const struct ipcshare_set *set, size_t i, const struct piece *p,
		      int struck)
{
	for (int r = 0; r < set->nranks; r++) {
		const void *ptr = ipcshare_ptr(set, r, i);

		if (!ptr) {
			check_missing(set, r, i, struck);
			continue;
		}
		if (is_lost(l, r, struck))
			continue;
		CHECK_INT(ipcshare_len(set, r, i), p->len);
		check_shown(l, ptr, p->len, r, p->memory, p->at);
	}
}

static void check_first_set(struct life *l, int struck)
{
	size_t last = PIECES - 1;

	for (size_t i = 0; i < last; i++)
		check_set(l, l->set, i, &pieces[i], struck);
	check_set(l, l->set, last, l->updated ? &updated : &pieces[last], struck);
}

void life_check_sets(struct life *l, int struck)
{
	if (l->set)
		check_first_set(l, struck);
	for (int r = 0; l->lazy && r < l->lazy->nranks; r++)
		if (ipcshare_ptr(l->lazy, r, 0) && !is_lost(l, r, struck))
			check_shown(l, ipcshare_ptr(l->lazy, r, 0), lazy.len, r, lazy.memory, lazy.at);
}

void life_barrier(struct life *l, enum life_lane lane, uint64_t members)
{
	test_rank_bootstrap(l->me, lane, members);
	test_rank_barrier(l->me, lane);
}

/* ---- Beginning ---- */

uint64_t life_queued_ns(void)
{
	FILE *f = fopen("/proc/self/schedstat", "re");
	uintmax_t ns = 0;

	if (f && fscanf(f, "%*u %ju", &ns) != 1)
		ns = 0;
	if (f)
		fclose(f);
	return ns;
}

/*
 * A short deadline is only for where a rank is struck, and there all begin together: a slow machine must not
 * look like a rank that stands.
 */
static void deadline_set(struct life *l, int is_short)
{
	l->ctx->timeout_ms = is_short ? l->deadline_ms : LONG_MS;
}

static void step_begin(struct life *l, int step)
{
	l->step = step;
	if (step == l->target)
		l->queued_ns = life_queued_ns();
	if (l->deadline_ms && step == l->target) {
		life_barrier(l, LIFE_EVERYBODY, 0);
		deadline_set(l, 1);
	}
	point_step(step);
}

/* When the first allgather is through, the hellos have gone round: the call goes on with the next step. */
static int gather(void *arg, struct ipcshare_wait *wait, const void *mine, size_t len, void *all)
{
	struct life *l = arg;
	int err = l->bootstrap.allgather(l->bootstrap.arg, wait, mine, len, all);

	if (!err && l->step == life_hello)
		step_begin(l, life_hello + 1);
	return err;
}

static void memory_make(struct life *l, int memory)
{
	size_t len = memory == LIFE_POOL ? LIFE_SHOWN + 2 * LIFE_OPERAND : LIFE_SHOWN;
	void *p = NULL;

	REQUIRE_OK(ipcshare_alloc(l->ctx, len, &p));
	l->memory[memory] = p;
	show(l, memory);
}

/* What is missing of the context and the memory. */
static void have_all(struct life *l)
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;

	options.timeout_ms = l->deadline_ms; /* the backend keeps it, for answers to its imports */
	options.device = l->on_device ? l->me->rank : -1;
	if (!l->ctx)
		REQUIRE_OK(ipcshare_open(&options, &l->ctx));
	deadline_set(l, 0);
	for (int m = 0; m < LIFE_MEMORIES; m++)
		if (!l->memory[m])
			memory_make(l, m);
}

/* What a device's runtime loads and starts once a process is no leak. */
static void warm_up(const struct test_rank *me)
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;
	struct ipcshare_ctx *ctx;

	options.device = me->rank;
	REQUIRE_OK(ipcshare_open(&options, &ctx));
	CHECK_STR(ipcshare_backend(ctx), "ascend");
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

void life_begin(struct life *l, struct test_rank *me, int target, unsigned deadline_ms, int on_device)
{
	*l = (struct life){
		.me = me, .target = target, .deadline_ms = deadline_ms, .on_device = on_device,
		.bootstrap = me->bootstrap,
	};
	if (on_device)
		warm_up(me);
	test_resources(&l->before);
	have_all(l);
}

/* ---- The steps ---- */

int life_all(struct life *l, int err)
{
	l->calls += !err;
	return err;
}

/* A local call failed; the next collective one will tell more. */
static void miss(struct life *l)
{
	const struct ipcshare_error *e = ipcshare_last_error();

	if (l->missed)
		return;
	l->missed = e->status;
	l->missed_rank = e->rank;
	memcpy(l->missed_text, e->text, sizeof(l->missed_text));
}

static void memory_free(struct life *l, int memory)
{
	if (ipcshare_free(l->ctx, l->memory[memory]))
		miss(l);
	else
		l->memory[memory] = NULL;
}

static int create(struct life *l, const struct deed *deed)
{
	struct ipcshare_bootstrap b = l->bootstrap;

	(void)deed;
	b.arg = l;
	b.allgather = gather;
	b.release = NULL;
	return life_all(l, ipcshare_group_create(l->ctx, &b, &l->group));
}

static int share(struct life *l, const struct deed *deed)
{
	struct ipcshare_buf bufs[PIECES];

	(void)deed;
	for (size_t i = 0; i < PIECES; i++)
		bufs[i] = buf_of(l, &pieces[i]);
	return life_all(l, ipcshare_share(l->group, bufs, PIECES, 0, &l->set));
}

/* More descriptors than a slot of the board has room for. */
#define MANY 5000

static int share_many(struct life *l, const struct deed *deed)
{
	struct ipcshare_buf *bufs = malloc(MANY * sizeof(*bufs));
	struct ipcshare_set *set = NULL;
	int err;

	(void)deed;
	for (size_t i = 0; i < MANY; i++) /* at no even distance: no run */
		bufs[i] = (struct ipcshare_buf){ l->memory[LIFE_POOL] + 12 * i + i * i % 5, 4 };
	err = life_all(l, ipcshare_share(l->group, bufs, MANY, 0, &set));
	free(bufs);
	return err ? err : life_all(l, ipcshare_set_free(set));
}

static int share_what_can_not_be(struct life *l, const struct deed *deed)
{
	struct ipcshare_buf buf = buf_of(l, &pieces[0]);
	struct ipcshare_set *set = NULL;
	int err;

	(void)deed;
	if (l->me->rank == 2)
		buf = (struct ipcshare_buf){ &buf, sizeof(buf) };
	err = ipcshare_share(l->group, &buf, 1, IPCSHARE_ALL_OR_NOTHING, &set);
	if (err != IPCSHARE_ERR_NOT_SHAREABLE)
		return err;
	CHECK_INT(ipcshare_last_error()->rank, 2);
	return life_all(l, 0);
}

static int update(struct life *l, const struct deed *deed)
{
	struct ipcshare_buf buf = buf_of(l, &updated);
	int err;

	(void)deed;
	err = life_all(l, ipcshare_set_update(l->set, (size_t[]){ PIECES - 1 }, &buf, 1, 0));
	l->updated = !err;
	return err;
}

static int share_lazily(struct life *l, const struct deed *deed)
{
	struct ipcshare_buf buf = buf_of(l, &lazy);
	int err = life_all(l, ipcshare_share(l->group, &buf, 1, IPCSHARE_LAZY, &l->lazy));

	(void)deed;
	for (int r = 0; r < LIFE_RANKS && !err; r++) {
		void *ptr = ipcshare_ptr_lazy(l->lazy, r, 0);

		if (ptr && !l->on_device) /* where it may be gone by now */
			check_shown(l, ptr, lazy.len, r, lazy.memory, lazy.at);
		if (!ptr)
			miss(l);
	}
	return err ? err : life_all(l, ipcshare_barrier(l->group));
}

static int set_end(struct life *l, struct ipcshare_set **set)
{
	int err = life_all(l, ipcshare_set_free(*set));

	*set = NULL; /* whatever the peers said */
	return err;
}

/* Its owner asks who has it mapped still. */
static int free_lazy(struct life *l, const struct deed *deed)
{
	int err = set_end(l, &l->lazy);

	(void)deed;
	if (err)
		return err;
	memory_free(l, LIFE_LAZY);
	return life_all(l, ipcshare_barrier(l->group));
}

static int barrier(struct life *l, const struct deed *deed)
{
	(void)deed;
	return life_all(l, ipcshare_barrier(l->group));
}

static int view(struct life *l, const struct deed *d)
{
	const size_t len = d->count * sizeof(int64_t);
	int64_t *values = malloc(len);
	char *send = d->shared ? l->memory[LIFE_POOL] + LIFE_SHOWN : malloc(len);
	int err;

	for (size_t i = 0; i < d->count; i++)
		values[i] = deed_given(l->me->rank, i);
	life_put(l, send, values, len);
	err = life_all(l, ipcshare_allgather_view(l->group, send, d->count, IPCSHARE_INT64, &l->view));
	for (int r = 0; r < LIFE_RANKS && !err; r++) {
		life_get(l, values, ipcshare_view_ptr(l->view, r), len);
		for (size_t i = 0; i < d->count; i++)
			if (values[i] != deed_given(r, i) && CHECK_INT(values[i], deed_given(r, i)))
				break;
	}
	if (!d->shared)
		free(send);
	free(values);
	return err;
}

static int view_end(struct life *l, const struct deed *deed)
{
	int err = life_all(l, ipcshare_view_free(l->view));

	(void)deed;
	l->view = NULL;
	return err;
}

static void check_bcast(const struct deed *d, int me, const int64_t *values)
{
	size_t i = 0;

	while (i < d->count && values[i] == deed_expected(d, me, i))
		i++;
	CHECK(i == d->count, "element %zu is %jd", i, (intmax_t)values[i]);
}

/*
 * The last one is tested once, and may be over by then, also because one before it failed; the others are
 * waited for, so each rank has the verdicts in the order of the calls.
 */
static int requests(struct life *l, const struct deed *d)
{
	static int64_t values[1 << 15]; /* a request that is not ended may still write there */
	static int64_t one, sum;
	struct ipcshare_request **r = l->requests;
	int me = l->me->rank, done = 0, tested = 0, err;

	for (size_t i = 0; i < d->count; i++)
		values[i] = me == d->root ? deed_given(me, i) : 0;
	one = me + 1;
	err = ipcshare_allreduce_start(l->group, &one, &sum, 1, IPCSHARE_INT64, IPCSHARE_SUM, &r[0]);
	if (!err)
		err = ipcshare_bcast_start(l->group, values, d->count, IPCSHARE_INT64, d->root, &r[1]);
	if (!err)
		err = ipcshare_barrier_start(l->group, &r[2]);
	if (!err)
		tested = ipcshare_request_test(&r[2], &done);
	for (int i = 0; i < LIFE_REQUESTS && !err; i++)
		err = life_all(l, ipcshare_request_wait(&r[i]));
	if (!err)
		err = tested;
	if (err)
		return err;
	CHECK_INT(sum, LIFE_RANKS * (LIFE_RANKS + 1) / 2);
	check_bcast(d, me, values);
	return 0;
}

static int free_all(struct life *l, const struct deed *deed)
{
	int err = set_end(l, &l->set);

	(void)deed;
	for (int m = 0; m < LIFE_MEMORIES && !err; m++)
		if (l->memory[m])
			memory_free(l, m);
	return err ? err : life_all(l, ipcshare_barrier(l->group));
}

static int leave(struct life *l, const struct deed *deed)
{
	int err = ipcshare_group_free(l->group);

	(void)deed;
	if (!err)
		l->group = NULL;
	return err;
}

static int close_it(struct life *l, const struct deed *deed)
{
	int err = ipcshare_close(l->ctx);

	(void)deed;
	if (!err)
		l->ctx = NULL;
	return err;
}

#define DEED(...) 0, deed_do, &(const struct deed){ __VA_ARGS__ }
const struct life_step life_steps[] = {
	{ "say hello", LIFE_ALWAYS, create, NULL },
	{ "create the group", LIFE_ALWAYS, NULL, NULL }, /* see gather() */
	{ "share", LIFE_ALWAYS, share, NULL },
	{ "share many", 0, share_many, NULL },
	{ "share what can't be", 0, share_what_can_not_be, NULL },
	{ "update", 0, update, NULL },
	{ "share lazily", 0, share_lazily, NULL },
	{ "free what was lazy", 1, free_lazy, NULL },
	{ "barrier", 0, barrier, NULL },
	{ "short bcast of rank 0", DEED(DEED_BCAST, 8, 0, 0) },
	{ "short bcast of rank 1", DEED(DEED_BCAST, 8, 1, 0) },
	{ "bcast through slots", DEED(DEED_BCAST, 20000, 1, 0) },
	{ "bcast of shared memory", DEED(DEED_BCAST, 20000, 1, 1) },
	{ "allgather of shared memory", DEED(DEED_ALLGATHER, 9000, 0, 1) },
	{ "gather to rank 1", DEED(DEED_GATHER, 9000, 1, 1) },
	{ "alltoall through slots", DEED(DEED_ALLTOALL, 3000, 0, 0) },
	{ "short allreduce", DEED(DEED_ALLREDUCE, 4, 0, 0) },
	{ "allreduce in windows", DEED(DEED_ALLREDUCE, 20000, 0, 0) },
	{ "allreduce of shared memory", DEED(DEED_ALLREDUCE, 20000, 0, 1) },
	{ "reduce to rank 0", DEED(DEED_REDUCE, 600, 0, 0) },
	{ "reduce_scatter of shared memory", DEED(DEED_REDUCE_SCATTER, 9000, 0, 1) },
	{ "scan through slots", DEED(DEED_SCAN, 9000, 0, 0) },
	{ "scan of shared memory", DEED(DEED_SCAN, 9000, 0, 1) },
	{ "view of shared memory", 0, view, &(const struct deed){ DEED_ALLGATHER, 9000, 0, 1 } },
	{ "end of the view", 1, view_end, NULL },
	{ "view of other memory", 0, view, &(const struct deed){ DEED_ALLGATHER, 9000, 0, 0 } },
	{ "end of that view", 1, view_end, NULL },
	{ "requests", 0, requests, &(const struct deed){ DEED_BCAST, 20000, 1, 0 } },
	{ "free all", 0, free_all, NULL },
	{ "leave the group", 1, leave, NULL },
	{ "close", 2, close_it, NULL },
};
const int life_nsteps = sizeof(life_steps) / sizeof(life_steps[0]);
const int life_hello = 0;
const int life_leave = sizeof(life_steps) / sizeof(life_steps[0]) - 2;

/* Collectives that leave their operands where they are are made by the CPU. */
static int is_for_cpu(const struct life_step *s)
{
	return s->deed && s->deed->shared;
}

int life_run(struct life *l)
{
	int first = l->target - life_steps[l->target].needs, err = 0;

	for (l->step = 0; l->step < life_nsteps; l->step++) {
		if (l->step < first && life_steps[l->step].needs != LIFE_ALWAYS)
			continue;
		if (l->on_device && is_for_cpu(&life_steps[l->step]))
			continue;
		step_begin(l, l->step);
		err = life_steps[l->step].run(l, life_steps[l->step].deed);
		if (err)
			break;
	}
	point_step(-1);
	return err;
}

/* ---- The way out ---- */

/* A request may have been through before the group failed. */
void life_let_go(struct life *l)
{
	for (int i = 0; i < LIFE_REQUESTS; i++) {
		ipcshare_request_wait(&l->requests[i]);
		CHECK_PTR(l->requests[i], NULL);
	}
	if (l->view)
		CHECK(ipcshare_view_free(l->view), "the view's end was agreed on");
	if (l->lazy)
		CHECK(ipcshare_set_free(l->lazy), "the set's end was agreed on");
	if (l->set)
		CHECK(ipcshare_set_free(l->set), "the set's end was agreed on");
	if (l->group)
		CHECK_STATUS(ipcshare_group_free(l->group), 0);
	l->view = NULL;
	l->lazy = l->set = NULL;
	l->group = NULL;
}

void life_abandon(struct life *l)
{
	if (l->ctx)
		CHECK_STATUS(ipcshare_abandon(l->ctx), 0);
	l->ctx = NULL;
	memset(l->memory, 0, sizeof(l->memory));
	for (int i = 0; i < LIFE_REQUESTS; i++)
		if (l->requests[i])
			CHECK_FAILS(ipcshare_request_wait(&l->requests[i]), IPCSHARE_ERR_CLOSED);
	l->view = NULL;
	l->lazy = l->set = NULL;
	l->group = NULL;
}

static void meet_without(struct life *l, uint64_t members)
{
	struct ipcshare_bootstrap b = test_rank_bootstrap(l->me, LIFE_SMALLER, members);
	int64_t one = l->me->rank, all = 0, expected = 0;
	struct ipcshare_buf bufs[PIECES];
	struct ipcshare_group *group;
	struct ipcshare_set *set;

	have_all(l);
	for (size_t i = 0; i < PIECES; i++)
		bufs[i] = buf_of(l, &pieces[i]);
	REQUIRE_OK(ipcshare_group_create(l->ctx, &b, &group));
	REQUIRE_OK(ipcshare_share(group, bufs, PIECES, IPCSHARE_ALL_OR_NOTHING, &set));
	for (int r = 0, at = 0; r < LIFE_RANKS; r++) {
		if (!(members >> r & 1))
			continue;
		for (size_t i = 0; i < PIECES; i++)
			check_shown(l, ipcshare_ptr(set, at, i), pieces[i].len, r, pieces[i].memory,
				    pieces[i].at);
		expected += r;
		at++;
	}
	REQUIRE_OK(ipcshare_allreduce(group, &one, &all, 1, IPCSHARE_INT64, IPCSHARE_SUM));
	CHECK_INT(all, expected);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_group_free(group), 0);
}

/* A context whose imports have a short deadline is not the one to tell how well all goes on. */
void life_meet_without(struct life *l, uint64_t members)
{
	struct life fresh = { .me = l->me, .on_device = l->on_device };

	meet_without(l->deadline_ms ? &fresh : l, members);
	if (fresh.ctx)
		CHECK_STATUS(ipcshare_close(fresh.ctx), 0);
}

void life_end(struct life *l, int free_memory)
{
	for (int m = 0; m < LIFE_MEMORIES && free_memory; m++)
		if (l->memory[m])
			CHECK_STATUS(ipcshare_free(l->ctx, l->memory[m]), 0);
	if (l->ctx)
		CHECK_STATUS(ipcshare_close(l->ctx), 0);
	CHECK_NOTHING_LEAKED(&l->before);
}
