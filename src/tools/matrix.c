/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether each rank gets each other's memory mapped, and how fast it reads it then, one pair at a time. By
 * ipcshare_copy(), as loads don't reach device memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "tools/ranks.h"

#define REPEATS 5 /* timed reads of a pair; the fastest counts */

/* What one rank has in hand. */
struct bench {
	struct job *job;
	struct ipcshare_ctx *ctx;
	struct ranks *ranks;
	struct ipcshare_set *set;
	void *ours; /* what the others read */
	void *landing; /* where theirs comes to */
	uint64_t *seen, *expected; /* of the host */
	struct rank_pair *row;
	char why[RANKS_WHY];
};

/* No two ranks have the same bytes. */
static void fill(uint64_t *words, int owner)
{
	uint64_t state = ((uint64_t)owner + 1) * 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < RANKS_COPY / sizeof(*words); i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		words[i] = state ^ state >> 32;
	}
}

/* ---- Before and after ---- */

static int make_room(struct bench *b)
{
	const size_t n = (size_t)b->ranks->n;

	b->seen = malloc(RANKS_COPY);
	b->expected = malloc(RANKS_COPY);
	b->row = calloc(n, sizeof(*b->row));
	b->ranks->pairs = calloc(n * n, sizeof(*b->ranks->pairs));
	b->ranks->whys = calloc(n, sizeof(*b->ranks->whys));
	if (b->seen && b->expected && b->row && b->ranks->pairs && b->ranks->whys)
		return 0;
	return ipcshare__fail_errno(ENOMEM, "matrix", "the pairs of %zu ranks", n);
}

static int fill_ours(struct bench *b)
{
	int err = ipcshare_alloc(b->ctx, RANKS_COPY, &b->ours);

	if (!err)
		err = ipcshare_alloc(b->ctx, RANKS_COPY, &b->landing);
	if (err)
		return err;
	fill(b->expected, b->job->rank);
	return ipcshare_copy(b->ctx, b->ours, b->expected, RANKS_COPY);
}

static int begin(struct bench *b, struct ipcshare_group *group)
{
	struct ipcshare_buf buf = { .len = RANKS_COPY };
	int err = make_room(b);

	if (!err)
		err = fill_ours(b);
	err = ranks_agree(b->job, err);
	if (err)
		return err;
	buf.ptr = b->ours;
	return ranks_agree(b->job, ipcshare_share(group, &buf, 1, 0, &b->set));
}

static int end(struct bench *b)
{
	int err = ipcshare_set_free(b->set);

	if (!err)
		err = ipcshare_free(b->ctx, b->ours);
	if (!err)
		err = ipcshare_free(b->ctx, b->landing);
	return ranks_agree(b->job, err);
}

/* ---- One pair ---- */

static int read_from(struct bench *b, const void *theirs, int owner, double *rate)
{
	uint64_t fastest = UINT64_MAX;
	int err = 0;

	for (int i = 0; i <= REPEATS && !err; i++) { /* the first one is not counted */
		uint64_t start = ipcshare__now_ns(), took;

		err = ipcshare_copy(b->ctx, b->landing, theirs, RANKS_COPY);
		took = ipcshare__now_ns() - start;
		if (i && took < fastest)
			fastest = took ? took : 1;
	}
	if (!err)
		err = ipcshare_copy(b->ctx, b->seen, b->landing, RANKS_COPY);
	if (err)
		return err;
	fill(b->expected, owner);
	if (memcmp(b->seen, b->expected, RANKS_COPY))
		return RANKS_WRONG;
	*rate = (double)RANKS_COPY * 1e9 / (double)fastest;
	return 0;
}

static void note(struct bench *b, int owner, int status, const char *why)
{
	b->row[owner].status = status;
	if (!b->why[0])
		snprintf(b->why, sizeof(b->why), "with rank %d: %s", owner, why);
}

static void try_rank(struct bench *b, int owner)
{
	const struct ipcshare_error *e = ipcshare_last_error();
	int status = ipcshare_set_status(b->set, owner, 0);

	if (status) { /* the share has told us of one of those that fail */
		note(b, owner, status,
		     e->status == status && e->rank == owner ? ipcshare_explain()
							     : ipcshare_strerror(status));
		return;
	}
	status = read_from(b, ipcshare_ptr(b->set, owner, 0), owner, &b->row[owner].rate);
	if (status == RANKS_WRONG)
		note(b, owner, status, "the bytes that were read are not the owner's");
	else if (status)
		note(b, owner, status, ipcshare_explain());
}

/* ---- All of them ---- */

static int try_all(struct bench *b)
{
	struct ranks *r = b->ranks;
	int err = 0;

	for (int reader = 0; reader < r->n && !err; reader++) {
		for (int owner = 0; owner < r->n && reader == b->job->rank; owner++)
			try_rank(b, owner);
		err = job_barrier(b->job);
	}
	if (!err)
		err = job_allgather(b->job, NULL, b->row, (size_t)r->n * sizeof(*b->row), r->pairs);
	return err ? err : job_allgather(b->job, NULL, b->why, sizeof(b->why), r->whys);
}

int matrix_measure(struct job *job, struct ipcshare_ctx *ctx, struct ipcshare_group *group,
		   struct ranks *ranks)
{
	struct bench b = { .job = job, .ctx = ctx, .ranks = ranks };
	int err = begin(&b, group);

	if (!err)
		err = try_all(&b);
	if (!err)
		err = end(&b);
	free(b.seen);
	free(b.expected);
	free(b.row);
	return err;
}
