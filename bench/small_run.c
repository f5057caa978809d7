/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A round takes fresh memory, shares it, verifies what peers see, and shares it again, in turns with
 * what that is compared with.
 */
#include "small.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mpi.h>

#include "bench.h"
#include "cells.h"
#include "clock.h"
#include "footprint.h"
#include "progress.h"
#include "stats.h"
#include "windows.h"
#include "word.h"

/* Buffers of a rank that are checked, about: each may be a page fault, or take a copy. */
#define CHECKED_FIRST 10000	/* in the first round */
#define CHECKED 1000
#define COPIED 250

struct small {
	const struct small_options *options;
	const struct team *team;
	MPI_Comm node;
	struct small_case *c;
	unsigned round, serial;
	struct cells cells;
	size_t *order;		/* buffer i is this cell */
	struct ipcshare_buf *bufs;
	struct ipcshare_set *set;
	void **first;		/* pointers of the first set: buffer i of rank r at r * n + i */
	char *sent, *scratch;	/* for MPI_Allgatherv, and for rows */
	int *lens, *places;
	uint64_t calls[IPCSHARE_CALLS];
	char why[TEAM_TEXT];
};

/* Its pages are there from the start: what the library takes later is told apart from them. */
static void *take(size_t n, size_t size)
{
	void *p = malloc(n * size);

	if (!p)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	return memset(p, 0xff, n * size);
}

static int explain(struct small *s, int err, const char *what)
{
	if (err)
		team_explain(what, s->why);
	return err;
}

/* ---- What is timed -------------------------------------------------------------------------- */

static int step_arena(struct small *s)
{
	return explain(s, cells_alloc(&s->cells, s->team->ctx), "alloc");
}

static int step_share(struct small *s)
{
	return explain(s, ipcshare_share(s->team->group, s->bufs, s->c->n, IPCSHARE_ALL_OR_NOTHING,
					 &s->set), "share");
}

static int step_gather(struct small *s)
{
	MPI_Allgatherv(s->sent, (int)s->c->sent, MPI_BYTE, s->scratch, s->lens, s->places, MPI_BYTE,
		       s->node);
	return 0;
}

/* A pointer, a length and a status for each buffer of each rank, into memory that is there. */
static int step_rows(struct small *s)
{
	const size_t n = s->c->n, cells = n * (size_t)s->team->npeers;
	void **ptr = (void **)s->scratch;
	size_t *len = (size_t *)(ptr + cells);

	for (size_t i = 0; i < cells; i++) {
		ptr[i] = s->bufs;
		len[i] = s->c->len;
	}
	memset(len + cells, 0, 4 * cells);
	__asm__ volatile("" : : "r"(s->scratch) : "memory");	/* it has to be written */
	return 0;
}

/*
 * From when all ranks are there until the last one is done; a buffer, into @out of rank 0. 0; -1 on
 * every rank, and why is printed.
 */
static int timed(struct small *s, int (*step)(struct small *s), double *out)
{
	double mine[2], most[2], start;
	int err;

	MPI_Barrier(s->node);
	start = now();
	err = step(s);
	mine[0] = now() - start;
	mine[1] = !!err;
	MPI_Allreduce(mine, most, 2, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
	*out = most[0] / (double)s->c->n;
	progress_add(1);
	return most[1] > 0 ? team_verdict(err ? s->why : NULL) : 0;
}

/* ---- Backend calls -------------------------------------------------------------------------- */

static void calls_begin(struct small *s)
{
	struct ipcshare_counters counters = { .size = sizeof(counters) };

	ipcshare_counters(s->team->ctx, &counters);
	memcpy(s->calls, counters.calls, sizeof(s->calls));
}

/* Since calls_begin(), for one of @n. */
static void calls_end(const struct small *s, size_t n, double out[IPCSHARE_CALLS])
{
	struct ipcshare_counters counters = { .size = sizeof(counters) };
	double mine[IPCSHARE_CALLS];

	ipcshare_counters(s->team->ctx, &counters);
	for (int k = 0; k < IPCSHARE_CALLS; k++)
		mine[k] = (double)(counters.calls[k] - s->calls[k]) / (double)n;
	MPI_Allreduce(mine, out, IPCSHARE_CALLS, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
}

/* ---- What the peers see --------------------------------------------------------------------- */

static size_t stride(const struct small *s)
{
	const size_t most = !s->team->direct ? COPIED : s->round ? CHECKED : CHECKED_FIRST;

	return s->c->n <= most ? 1 : s->c->n / most;
}

static int write_words(struct small *s)
{
	const size_t n = s->c->n;
	int err = 0;

	for (size_t i = 0; i < n && !err; i += stride(s))
		err = word_write(s->team, s->bufs[n - 1 - i].ptr, n - 1 - i, s->serial, s->why);
	if (s->options->spoil && s->team->peer == s->team->npeers - 1 && !err)
		err = word_write(s->team, s->bufs[n - 1].ptr, n - 1, s->serial + 1, s->why);
	return team_verdict(err ? s->why : NULL);
}

static int check_words(struct small *s)
{
	const size_t n = s->c->n;
	int err = 0;

	for (int r = 0; r < s->team->npeers; r++)
		for (size_t i = 0; i < n && !err; i += stride(s))
			err = word_check(s->team, ipcshare_ptr(s->set, r, n - 1 - i), r, n - 1 - i,
					 s->serial, s->why);
	return team_verdict(err ? s->why : NULL);
}

static void keep_pointers(struct small *s)
{
	for (int r = 0; r < s->team->npeers; r++)
		memcpy(s->first + (size_t)r * s->c->n, ipcshare_table(s->set, r)->ptr,
		       s->c->n * sizeof(void *));
}

static int compare_pointers(struct small *s)
{
	const size_t n = s->c->n;
	int err = 0;

	for (int r = 0; r < s->team->npeers && !err; r++) {
		const struct ipcshare_row *row = ipcshare_table(s->set, r);

		err = row->count != n ||
		      memcmp(s->first + (size_t)r * n, row->ptr, n * sizeof(void *));
		if (err)
			snprintf(s->why, sizeof(s->why), "a re-share of %zu buffers gives other "
				 "pointers to those of rank %d", n, s->team->names[r]);
	}
	return team_verdict(err ? s->why : NULL);
}

static int end_set(struct small *s)
{
	int err = explain(s, ipcshare_set_free(s->set), "set free");

	return team_verdict(err ? s->why : NULL);
}

static int end_cells(struct small *s)
{
	int err = explain(s, cells_free(&s->cells), "free");

	return team_verdict(err ? s->why : NULL);
}

/* ---- The order of the buffers, and what it means for the bytes of a re-share ----------------- */

static void choose_order(struct small *s)
{
	uint64_t state = 42 + (uint64_t)s->team->rank;

	for (size_t i = 0; i < s->c->n; i++)
		s->order[i] = i;
	for (size_t i = s->c->n - 1; i > 0 && s->c->shuffled; i--) {
		size_t other = s->order[i], j;

		state = state * 6364136223846793005u + 1442695040888963407u;
		j = (size_t)((state >> 33) % (i + 1));
		s->order[i] = s->order[j];
		s->order[j] = other;
	}
}

static void place(struct small *s)
{
	for (size_t i = 0; i < s->c->n; i++)
		s->bufs[i] = (struct ipcshare_buf){ s->cells.at[s->order[i]], s->c->len };
}

/*
 * A head of 64 bytes, 32 for three or more at one distance, 16 for each other one, and whole 64s. Where
 * it is the same on all ranks is no matter: what they send is.
 */
static size_t bytes_sent(const struct ipcshare_buf *bufs, size_t n)
{
	size_t bytes = 64;

	for (size_t i = 0, run; i < n; i += run) {
		run = 1;
		if (i + 1 < n) {
			ptrdiff_t step = (char *)bufs[i + 1].ptr - (char *)bufs[i].ptr;

			while (i + run < n && (char *)bufs[i + run].ptr -
						      (char *)bufs[i + run - 1].ptr == step)
				run++;
		}
		if (run < 3)
			run = 1;
		bytes += run > 1 ? 32 : 16;
	}
	return (bytes + 63) & ~(size_t)63;
}

static size_t bytes_most(size_t n)
{
	return (64 + 16 * n + 63) & ~(size_t)63;
}

static void prepare_repeats(struct small *s)
{
	const int mine = (int)bytes_sent(s->bufs, s->c->n);

	MPI_Allgather(&mine, 1, MPI_INT, s->lens, 1, MPI_INT, s->node);
	s->c->sent = (size_t)mine;
	s->places[0] = 0;
	for (int r = 1; r < s->team->npeers; r++)
		s->places[r] = s->places[r - 1] + s->lens[r - 1];
}

/* ---- A round -------------------------------------------------------------------------------- */

/* In a context of its own, where nothing is kept from before. */
static int share_cold(struct small *s)
{
	const struct team *warm = s->team;
	double *seconds = &s->c->seconds[SMALL_STAGE_COLD][s->round], held, arena;
	struct footprint before, after;
	struct team cold;
	int err;

	if (team_open(&cold))
		return -1;
	s->team = &cold;
	before = footprint_now();
	err = timed(s, step_arena, &arena);
	if (!err) {
		place(s);
		err = timed(s, step_share, seconds);
	}
	after = footprint_now();
	held = (double)footprint_growth(&before, &after) / (double)s->c->n;
	MPI_Allreduce(&held, &s->c->memory[s->round], 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
	if (!err)
		err = end_set(s) || end_cells(s) ? -1 : 0;
	s->team = warm;
	return team_close(&cold, err);
}

static int share_first(struct small *s)
{
	double **seconds = s->c->seconds;

	calls_begin(s);
	if (timed(s, step_arena, &seconds[SMALL_STAGE_ARENA][s->round]))
		return -1;
	place(s);
	if (write_words(s) || timed(s, step_share, &seconds[SMALL_STAGE_FIRST][s->round]))
		return -1;
	calls_end(s, 1, s->c->first_calls);
	if (check_words(s))
		return -1;
	keep_pointers(s);
	return end_set(s);
}

static int share_again(struct small *s, double *out)
{
	calls_begin(s);
	if (timed(s, step_share, out))
		return -1;
	calls_end(s, 1, s->c->again_calls);
	return compare_pointers(s) || end_set(s) ? -1 : 0;
}

static int repeat_short(struct small *s)
{
	static const enum small_stage stages[] = { SMALL_STAGE_GATHER, SMALL_STAGE_AGAIN,
						   SMALL_STAGE_ROWS };
	const unsigned repeats = s->c->repeats;
	double *seconds = take(3 * repeats, sizeof(*seconds));
	int err = 0;

	for (unsigned k = 0; k < repeats && !err; k++) {
		err = timed(s, step_gather, &seconds[k]);
		if (!err)
			err = share_again(s, &seconds[repeats + k]);
		if (!err)
			err = timed(s, step_rows, &seconds[2 * repeats + k]);
	}
	for (int i = 0; i < 3 && !err; i++)
		s->c->seconds[stages[i]][s->round] =
			middle_of(seconds + (unsigned)i * repeats, repeats).median;
	free(seconds);
	return err;
}

static int share_raw(struct small *s)
{
	double mine[RAW_NSTEPS + 1] = { 0 }, most[RAW_NSTEPS + 1];

	calls_begin(s);
	if (raw_share(s->team, s->node, s->c->raw, s->c->len, s->serial, mine))
		return -1;
	calls_end(s, s->c->raw, s->c->raw_calls);
	for (int k = 0; k < RAW_NSTEPS; k++)
		mine[RAW_NSTEPS] += mine[k];
	MPI_Allreduce(mine, most, RAW_NSTEPS + 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
	for (int k = 0; k < RAW_NSTEPS; k++)
		s->c->raw_seconds[k][s->round] = most[k] / (double)s->c->raw;
	s->c->seconds[SMALL_STAGE_RAW][s->round] = most[RAW_NSTEPS] / (double)s->c->raw;
	progress_add(1);
	return 0;
}

static int share_windows(struct small *s, enum small_stage stage, size_t n, size_t count)
{
	double mine, most;

	if (windows_share(s->team, s->node, n, s->c->len, count, s->serial, &mine))
		return -1;
	MPI_Allreduce(&mine, &most, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
	s->c->seconds[stage][s->round] = most / (double)n;
	progress_add(1);
	return 0;
}

int small_round(struct small *s, struct small_case *c, unsigned round)
{
	s->c = c;
	s->round = round;
	s->serial++;
	s->cells.n = c->n;
	s->cells.len = c->len;
	choose_order(s);
	if (share_cold(s) || share_first(s))
		return -1;
	prepare_repeats(s);
	if (repeat_short(s) || end_cells(s))
		return -1;
	if (c->raw && share_raw(s))
		return -1;
	if (c->windows && share_windows(s, SMALL_STAGE_WINDOWS, c->windows, c->windows))
		return -1;
	return c->window && share_windows(s, SMALL_STAGE_WINDOW, c->n, 1) ? -1 : 0;
}

struct small *small_open(const struct small_options *options, const struct team *team,
			 MPI_Comm node, size_t most)
{
	const size_t npeers = (size_t)team->npeers;
	struct small *s = calloc(1, sizeof(*s));

	if (!s || cells_new(&s->cells, most, 1))
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	memset(s->cells.at, 0xff, most * sizeof(*s->cells.at));
	s->options = options;
	s->team = team;
	s->node = node;
	s->order = take(most, sizeof(*s->order));
	s->bufs = take(most, sizeof(*s->bufs));
	s->first = take(most * npeers, sizeof(*s->first));
	s->sent = take(1, bytes_most(most));
	s->scratch = take(npeers, 128 + 20 * most);	/* more than bytes_most() */
	s->lens = take(npeers, sizeof(*s->lens));
	s->places = take(npeers, sizeof(*s->places));
	return s;
}

void small_close(struct small *s)
{
	free(s->order);
	free(s->bufs);
	free(s->first);
	free(s->sent);
	free(s->scratch);
	free(s->lens);
	free(s->places);
	cells_drop(&s->cells);
	free(s);
}
