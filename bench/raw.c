/* SPDX-License-Identifier: BSD-3-Clause */
#include "raw.h"

#include <stdlib.h>

#include <mpi.h>

#include "bench.h"
#include "clock.h"
#include "word.h"

struct raw {
	const struct team *team;
	MPI_Comm node;
	size_t n, len;
	unsigned serial;
	struct ipcshare_identity *peers;
	void **mine;			/* buffer i */
	struct ipcshare_packed *packed;	/* buffer i of rank r at i * npeers + r; the own one in its place */
	void **theirs;			/* likewise; NULL of the caller's own */
	char why[TEAM_TEXT];
};

/* ---- The steps: each for all buffers, so that each can be timed ----------------------------- */

static size_t at(const struct raw *w, size_t i, int rank)
{
	return i * (size_t)w->team->npeers + (size_t)rank;
}

static int step_alloc(struct raw *w)
{
	int err = 0;

	for (size_t i = 0; i < w->n && !err; i++)
		err = ipcshare_alloc(w->team->ctx, w->len, &w->mine[i]);
	return err;
}

static int step_export(struct raw *w)
{
	int err = 0;

	for (size_t i = 0; i < w->n && !err; i++)
		err = ipcshare_pack(w->team->ctx, w->mine[i], w->len, 0,
				    &w->packed[at(w, i, w->team->peer)]);
	return err;
}

static int step_allow(struct raw *w)
{
	int err = 0;

	for (size_t i = 0; i < w->n; i++)
		for (int r = 0; r < w->team->npeers && !err; r++)
			if (r != w->team->peer)
				err = ipcshare_allow(w->team->ctx, w->mine[i], &w->peers[r], 1, 0);
	return err;
}

static int step_exchange(struct raw *w)
{
	const int bytes = sizeof(struct ipcshare_packed);

	for (size_t i = 0; i < w->n; i++)
		MPI_Allgather(MPI_IN_PLACE, 0, MPI_BYTE, &w->packed[at(w, i, 0)], bytes, MPI_BYTE,
			      w->node);
	return 0;
}

static int step_import(struct raw *w)
{
	int err = 0;

	for (size_t i = 0; i < w->n; i++)
		for (int r = 0; r < w->team->npeers && !err; r++)
			if (r != w->team->peer)
				err = ipcshare_map(w->team->ctx, &w->packed[at(w, i, r)],
						   &w->theirs[at(w, i, r)]);
	return err;
}

static int (*const steps[])(struct raw *w) = {
	[RAW_STEP_ALLOC] = step_alloc, [RAW_STEP_EXPORT] = step_export,
	[RAW_STEP_ALLOW] = step_allow, [RAW_STEP_EXCHANGE] = step_exchange,
	[RAW_STEP_IMPORT] = step_import,
};
static const char *const names[] = {
#define RAW_STEP_NAME(id, name) name,
	RAW_STEPS(RAW_STEP_NAME)
#undef RAW_STEP_NAME
};

static int write_words(struct raw *w)
{
	int err = 0;

	for (size_t i = 0; i < w->n && !err; i++)
		err = word_write(w->team, w->mine[i], i, w->serial, w->why);
	return team_verdict(err ? w->why : NULL);
}

static int check_words(struct raw *w)
{
	int err = 0;

	for (size_t i = 0; i < w->n; i++)
		for (int r = 0; r < w->team->npeers && !err; r++)
			if (r != w->team->peer)
				err = word_check(w->team, w->theirs[at(w, i, r)], r, i, w->serial,
						 w->why);
	return team_verdict(err ? w->why : NULL);
}

static int run_steps(struct raw *w, double *seconds)
{
	for (int k = 0; k < RAW_NSTEPS; k++) {
		double start;
		int err;

		/* Before anybody can see them. */
		if (k == RAW_STEP_EXCHANGE && write_words(w))
			return -1;
		MPI_Barrier(w->node);
		start = now();
		err = steps[k](w);
		seconds[k] = now() - start;
		if (team_verdict(err ? team_explain(names[k], w->why) : NULL))
			return -1;
	}
	return check_words(w);
}

/* Importers first: what a peer has mapped can't be freed. */
static int give_back(struct raw *w)
{
	const size_t all = w->n * (size_t)w->team->npeers;
	int err = 0;

	for (size_t i = 0; i < all && !err; i++)
		err = ipcshare_unmap(w->team->ctx, w->theirs[i]);
	if (team_verdict(err ? team_explain("unmap", w->why) : NULL))
		return -1;
	for (size_t i = 0; i < w->n && !err; i++)
		err = ipcshare_free(w->team->ctx, w->mine[i]);
	return team_verdict(err ? team_explain("free", w->why) : NULL);
}

int raw_share(const struct team *team, MPI_Comm node, size_t n, size_t len, unsigned serial,
	      double seconds[RAW_NSTEPS])
{
	const size_t all = n * (size_t)team->npeers;
	struct raw w = { .team = team, .node = node, .n = n, .len = len, .serial = serial };
	int err;

	w.peers = calloc((size_t)team->npeers, sizeof(*w.peers));
	w.mine = calloc(n, sizeof(*w.mine));
	w.packed = calloc(all, sizeof(*w.packed));
	w.theirs = calloc(all, sizeof(*w.theirs));
	if (!w.peers || !w.mine || !w.packed || !w.theirs)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	err = ipcshare_self(team->ctx, &w.peers[team->peer]);
	MPI_Allgather(MPI_IN_PLACE, 0, MPI_BYTE, w.peers, sizeof(*w.peers), MPI_BYTE, node);
	err = team_verdict(err ? team_explain("self", w.why) : NULL);
	if (!err)
		err = run_steps(&w, seconds);
	if (!err)
		err = give_back(&w);
	free(w.peers);
	free(w.mine);
	free(w.packed);
	free(w.theirs);
	return err;
}
