/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failures of the Ascend runtime beside shares: memory that the program registers, one-sided maps,
 * planes, plans, reducing and notifies. Each rank maps what the last one has, and is mapped by the next.
 */
#include <stdlib.h>

#include "memory/context.h"
#include "sweep.h"

#define LEN ((size_t)64 << 10)
#define CELLS 8 /* of a plane: CELL bytes at each STRIDE */
#define CELL ((size_t)64)
#define STRIDE ((size_t)1024)

struct ring {
	const struct ipcshare__backend_ops *ops;
	struct ipcshare__backend *be;
	int rank, next, last;
	char *program; /* memory of aclrtMalloc() */
	void *own; /* of ipcshare_alloc() */
	char *theirs; /* the last rank's program, mapped */
	struct ipcshare__identity next_id, last_id;
};

/* Everybody's @len bytes; those of @rank into @out. */
static void bytes_of(struct sweep *s, int rank, const void *mine, size_t len, void *out)
{
	struct ipcshare_bootstrap b = test_rank_bootstrap(s->me, NPU_TALK, 0);
	char all[4 * sizeof(struct ipcshare_packed)];

	REQUIRE(len * 4 <= sizeof(all), "%zu bytes", len);
	REQUIRE_INT(b.allgather(b.arg, NULL, mine, len, all), 0);
	memcpy(out, all + (size_t)rank * len, len);
}

/* ---- Memory ---- */

static void registers(struct sweep *s, struct ring *r)
{
	struct ipcshare_identity self, next;
	struct ipcshare_packed packed, last;
	void *program = NULL, *theirs = NULL;
	char bytes[256];

	REQUIRE_INT(emu.malloc(&program, LEN, 0), 0);
	r->program = program;
	ALONE(ipcshare_register(s->ctx, program, LEN, -1));
	team_fill(bytes, sizeof(bytes), r->rank, 0);
	ALONE(ipcshare_copy(s->ctx, program, bytes, sizeof(bytes)));
	REQUIRE_OK(ipcshare_self(s->ctx, &self));
	bytes_of(s, r->next, &self, sizeof(self), &next);
	ALONE(ipcshare_pack(s->ctx, program, LEN, 0, &packed));
	ALONE(ipcshare_allow(s->ctx, program, &next, 1, 0));
	bytes_of(s, r->last, &packed, sizeof(packed), &last);
	ALONE(ipcshare_map(s->ctx, &last, &theirs));
	r->theirs = theirs;
	ALONE(ipcshare_copy(s->ctx, bytes, theirs, sizeof(bytes)));
	team_check(bytes, sizeof(bytes), r->last, 0);
	test_rank_barrier(s->me, NPU_TALK);
}

/* ---- Planes and plans ---- */

static void plane(struct ipcshare__piece pieces[CELLS], char *dst, const char *src)
{
	for (size_t i = 0; i < CELLS; i++)
		pieces[i] = (struct ipcshare__piece){ dst + i * CELL, src + i * STRIDE, CELL };
}

/* The cells of a plane in the program's memory, filled by @who for the @n-th time. */
static void plane_fill(struct sweep *s, const struct ring *r, int n)
{
	char bytes[CELLS * STRIDE];

	team_fill(bytes, sizeof(bytes), r->rank, (size_t)n);
	ALONE(ipcshare_copy(s->ctx, r->program, bytes, sizeof(bytes)));
	test_rank_barrier(s->me, NPU_TALK);
}

static void plane_check(struct sweep *s, const struct ring *r, int n)
{
	char expected[CELLS * STRIDE], cells[CELLS * CELL] = "";

	team_fill(expected, sizeof(expected), r->last, (size_t)n);
	ALONE(ipcshare_copy(s->ctx, cells, r->own, sizeof(cells)));
	for (size_t i = 0; i < CELLS; i++)
		CHECK_MEM(cells + i * CELL, expected + i * STRIDE, CELL);
	test_rank_barrier(s->me, NPU_TALK);
}

static void copies_planes(struct sweep *s, const struct ring *r)
{
	struct ipcshare__piece pieces[CELLS];

	plane(pieces, r->own, r->theirs);
	for (int n = 0; n < 2; n++) {
		plane_fill(s, r, n);
		ALONE(r->ops->copy_pieces(r->be, pieces, CELLS, NULL));
		plane_check(s, r, n);
	}
}

static void runs_plans(struct sweep *s, const struct ring *r)
{
	struct ipcshare__piece pieces[CELLS];
	struct ipcshare__plan *plan = NULL;

	plane(pieces, r->own, r->theirs);
	ALONE(r->ops->plan_create(r->be, pieces, CELLS, &plan));
	for (int n = 2; n < 4; n++) {
		plane_fill(s, r, n);
		ALONE(r->ops->plan_run(r->be, plan, NULL));
		plane_check(s, r, n);
	}
	r->ops->plan_free(r->be, plan);
}

/* ---- Reducing ---- */

/* What cannot be queued is not done: the same step again counts once. */
static void reduces(struct sweep *s, const struct ring *r)
{
	int32_t ones[64], sums[64];

	for (int i = 0; i < 64; i++)
		ones[i] = i;
	ALONE(ipcshare_copy(s->ctx, r->own, ones, sizeof(ones)));
	ALONE(ipcshare_copy(s->ctx, r->program, ones, sizeof(ones)));
	for (int n = 0; n < 2; n++)
		ALONE(r->ops->reduce(r->be, r->own, r->program, sizeof(ones), IPCSHARE_INT32,
				     IPCSHARE_OP_SUM, NULL));
	ALONE(r->ops->stream_synchronise(r->be, NULL));
	ALONE(ipcshare_copy(s->ctx, sums, r->own, sizeof(sums)));
	for (int i = 0; i < 64; i++)
		CHECK_INT(sums[i], 3 * i);
	test_rank_barrier(s->me, NPU_TALK);
}

/* ---- Notifies ---- */

/* The owner waits until the next rank, which reads from it, has recorded. */
static void notifies(struct sweep *s, const struct ring *r)
{
	struct ipcshare__notify *mine = NULL, *theirs = NULL;
	struct ipcshare__stream *stream = NULL;
	struct ipcshare__piece pieces[CELLS];
	char key[IPCSHARE__KEY_SIZE], last[IPCSHARE__KEY_SIZE];

	ALONE(r->ops->stream_create(r->be, &stream));
	ALONE(r->ops->notify_create(r->be, &mine));
	ALONE(r->ops->notify_export(r->be, mine, key));
	ALONE(r->ops->notify_allow(r->be, mine, &r->next_id, 1));
	bytes_of(s, r->last, key, sizeof(key), last);
	ALONE(r->ops->notify_import(r->be, last, r->last_id.device, &theirs));
	plane(pieces, r->own, r->theirs);
	plane_fill(s, r, 4);
	ALONE(r->ops->copy_pieces(r->be, pieces, CELLS, stream));
	ALONE(r->ops->notify_record(r->be, theirs, stream));
	ALONE(r->ops->notify_wait(r->be, mine, stream, 20));
	ALONE(r->ops->stream_synchronise(r->be, stream));
	plane_check(s, r, 4);
	r->ops->notify_destroy(r->be, theirs);
	test_rank_barrier(s->me, NPU_TALK);
	r->ops->notify_destroy(r->be, mine);
	r->ops->stream_destroy(r->be, stream);
}

/* ---- All of it ---- */

static void goes_round(struct sweep *s)
{
	struct ipcshare_options options = npu_options(s->me->rank);
	struct ring r = { .rank = s->me->rank };

	r.next = (r.rank + 1) % s->me->nranks;
	r.last = (r.rank + s->me->nranks - 1) % s->me->nranks;
	ALONE(ipcshare_open(&options, &s->ctx));
	r.be = s->ctx->backend;
	r.ops = r.be->ops;
	bytes_of(s, r.next, &s->ctx->identity, sizeof(s->ctx->identity), &r.next_id);
	bytes_of(s, r.last, &s->ctx->identity, sizeof(s->ctx->identity), &r.last_id);
	ALONE(ipcshare_alloc(s->ctx, LEN, &r.own));
	registers(s, &r);
	copies_planes(s, &r);
	runs_plans(s, &r);
	reduces(s, &r);
	notifies(s, &r);
	ALONE(ipcshare_unmap(s->ctx, r.theirs));
	test_rank_barrier(s->me, NPU_TALK);
	ALONE(ipcshare_deregister(s->ctx, r.program));
	REQUIRE_INT(emu.free(r.program), 0);
	ALONE(ipcshare_free(s->ctx, r.own));
	ALONE(ipcshare_close(s->ctx));
}

static void a_failure_beside_shares_is_named_and_passes(void)
{
	if (npu_machine(4))
		sweep_run(SWEEP_PIECES, goes_round);
}

TEST_SUITE(ascend_pieces, npu_remember, npu_restore,
	TEST(a_failure_beside_shares_is_named_and_passes));
