/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every rank against every other of its node, one pair at a time: is the peer's memory reached, do
 * its bytes come and do ours arrive, and how fast. Through ipcshare_copy(), as device memory is out
 * of reach for loads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipcshare.h>
#include <mpi.h>

#include "bench.h"
#include "clock.h"
#include "options.h"
#include "pairs.h"
#include "progress.h"
#include "report.h"

#define SIZE_DEFAULT ((size_t)1 << 20)
#define SIZE_LARGEST ((uint64_t)1 << 30)
#define REPEATS 5	/* timed copies a pair; the fastest counts */
#define MARK 64		/* bytes that each rank leaves with each peer */

/* ---- Content ------------------------------------------------------------------------------ */

/* What rank @owner of the job has in its buffer; no two ranks have the same. */
static void fill(char *bytes, size_t size, int owner)
{
	uint64_t state = ((uint64_t)owner + 1) * 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < size; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		bytes[i] = (char)(state >> 56);
	}
}

/* What @writer leaves with @owner: the same pattern under a number of its own. */
static void fill_mark(char *mark, int writer)
{
	fill(mark, MARK, -2 - writer);
}

/* Where group rank @writer puts its mark into the buffer of any rank; behind the last: its own. */
static size_t mark_at(const struct pairs *p, int writer)
{
	return (p->options->size + MARK - 1) / MARK * MARK + (size_t)writer * MARK;
}

static size_t shared_size(const struct pairs *p)
{
	return mark_at(p, p->team->npeers + 1);
}

/* ---- Preparing ---------------------------------------------------------------------------- */

static int prepare_memory(struct pairs *p)
{
	const size_t size = p->options->size;
	void *shared = NULL, *landing = NULL;
	char mark[MARK];
	int err;

	err = ipcshare_alloc(p->team->ctx, shared_size(p), &shared);
	if (!err)
		err = ipcshare_alloc(p->team->ctx, size, &landing);
	if (err)
		return err;
	p->shared = shared;
	p->landing = landing;
	fill(p->expected, size, p->team->rank);
	fill_mark(mark, p->team->rank);
	if (p->options->spoil == (uint64_t)p->team->rank) {
		p->expected[size / 2] ^= 1;
		mark[MARK / 2] ^= 1;
	}
	err = ipcshare_copy(p->team->ctx, p->shared, p->expected, size);
	if (!err)
		err = ipcshare_copy(p->team->ctx, p->shared + mark_at(p, p->team->npeers), mark,
				    MARK);
	return err;
}

static void name_devices(struct pairs *p)
{
	struct ipcshare_peer peer = { .size = sizeof(peer) };

	for (int r = 0; r < p->team->size; r++)
		p->row[r] = (struct pairs_cell){ .status = PAIRS_ELSEWHERE, .device = -1 };
	for (int r = 0; r < p->team->npeers; r++) {
		struct pairs_cell *cell = &p->row[p->team->names[r]];

		cell->status = ipcshare_group_peer(p->team->group, r, &peer);
		cell->device = cell->status ? -1 : peer.device;
	}
}

static int prepare(struct pairs *p)
{
	const size_t size = p->options->size;
	struct ipcshare_buf buf;
	char why[TEAM_TEXT];
	int err;

	p->row = calloc((size_t)p->team->size, sizeof(*p->row));
	p->seen = malloc(size);
	p->expected = malloc(size);
	if (team_verdict(p->row && p->seen && p->expected ? NULL : "out of memory"))
		return -1;
	name_devices(p);
	err = prepare_memory(p);
	if (team_verdict(err ? team_explain("alloc", why) : NULL))
		return -1;
	buf = (struct ipcshare_buf){ p->shared, shared_size(p) };
	err = ipcshare_share(p->team->group, &buf, 1, 0, &p->set);
	return team_verdict(err ? team_explain("share", why) : NULL);
}

/* ---- One pair ------------------------------------------------------------------------------ */

static void note(struct pairs *p, int peer, int status, const char *text)
{
	p->row[p->team->names[peer]].status = status;
	if (!p->first[0])
		snprintf(p->first, sizeof(p->first), "with rank %d: %.400s", p->team->names[peer],
			 text);
}

/* Own memory is read too: what the peers' rates are compared with. */
static int read_peer(struct pairs *p, int peer)
{
	const size_t size = p->options->size;
	struct pairs_cell *cell = &p->row[p->team->names[peer]];
	const char *theirs = ipcshare_ptr(p->set, peer, 0);
	double fastest = 0;
	int err;

	for (int i = 0; i <= REPEATS; i++) {	/* the first one is not counted */
		double start = now(), seconds;

		err = ipcshare_copy(p->team->ctx, p->landing, theirs, size);
		seconds = now() - start;
		if (err)
			return err;
		if (i && seconds > 0 && (fastest == 0 || seconds < fastest))
			fastest = seconds;
	}
	cell->rate = fastest > 0 ? (double)size / fastest : 0;
	err = ipcshare_copy(p->team->ctx, p->seen, p->landing, size);
	if (err)
		return err;
	fill(p->expected, size, p->team->names[peer]);
	return memcmp(p->seen, p->expected, size) ? PAIRS_WRONG_READ : 0;
}

static int write_peer(struct pairs *p, int peer)
{
	char *theirs = ipcshare_ptr(p->set, peer, 0);

	return ipcshare_copy(p->team->ctx, theirs + mark_at(p, p->team->peer),
			     p->shared + mark_at(p, p->team->npeers), MARK);
}

static void try_peer(struct pairs *p, int peer)
{
	int status = ipcshare_set_status(p->set, peer, 0);

	if (status) {
		const struct ipcshare_error *e = ipcshare_last_error();

		note(p, peer, status,
		     e->status == status ? ipcshare_explain() : ipcshare_strerror(status));
		return;
	}
	status = read_peer(p, peer);
	if (!status)
		status = write_peer(p, peer);
	if (status == PAIRS_WRONG_READ)
		note(p, peer, status, "the bytes that were read are not the owner's");
	else if (status)
		note(p, peer, status, ipcshare_explain());
}

/* Who wrote into our buffer? Each writer is told. Collective over the job. */
static int check_marks(struct pairs *p)
{
	const struct team *team = p->team;
	unsigned char *come = calloc(2 * (size_t)team->size, 1), *arrived = come + team->size;
	char mark[MARK], seen[MARK];
	int err = 0;

	if (!come)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	for (int r = 0; r < team->npeers && !err; r++) {
		fill_mark(mark, team->names[r]);
		err = ipcshare_copy(team->ctx, seen, p->shared + mark_at(p, r), MARK);
		come[team->names[r]] = !err && !memcmp(mark, seen, MARK);
	}
	MPI_Alltoall(come, 1, MPI_UNSIGNED_CHAR, arrived, 1, MPI_UNSIGNED_CHAR, MPI_COMM_WORLD);
	for (int r = 0; r < team->npeers; r++)
		if (!p->row[team->names[r]].status && !arrived[team->names[r]])
			note(p, r, PAIRS_WRONG_WRITTEN, "the owner does not see what was written");
	free(come);
	return err;
}

/* One pair of each node at a time, so that no copy slows another down. */
static int try_all(struct pairs *p)
{
	const struct team *team = p->team;
	const int most = team->most_peers;
	char why[TEAM_TEXT];
	int err;

	progress_stage("pairs", "copy", (uint64_t)most * (uint64_t)most);
	for (int reader = 0; reader < most; reader++)
		for (int owner = 0; owner < most; owner++) {
			if (reader == team->peer && owner < team->npeers)
				try_peer(p, owner);
			team_wait();
			progress_add(1);
		}
	err = check_marks(p);
	return team_verdict(err ? team_explain("copy", why) : NULL);
}

static int end(struct pairs *p)
{
	char why[TEAM_TEXT];
	int err = ipcshare_set_free(p->set);

	p->set = NULL;
	if (!err)
		err = ipcshare_free(p->team->ctx, p->landing);
	if (!err)
		err = ipcshare_free(p->team->ctx, p->shared);
	return team_verdict(err ? team_explain("free", why) : NULL);
}

/* ---- All of it ----------------------------------------------------------------------------- */

/* 0 all pairs are fine; -1 some are not, or nothing could be tried: *dead is set then. */
static int run_pairs(struct pairs *p, FILE *json, int *dead)
{
	struct pairs_result result;
	int err = prepare(p);

	if (!err)
		err = try_all(p);
	if (!err)
		err = end(p);
	progress_clear();
	*dead = err;
	if (err)
		return err;
	err = pairs_collect(p, &result);
	if (p->team->rank == 0)
		pairs_print(&result);
	if (json)
		pairs_json(json, p, &result);
	pairs_drop(&result);
	return err;
}

static int run(void *bench, int no_progress, FILE *json)
{
	const struct pairs_options *options = bench;
	struct team team;
	struct pairs p = { .options = options, .team = &team };
	int dead, err;

	if (team_open(&team))
		return -1;
	if (team.rank == 0) {
		pairs_head(&p);
		if (!no_progress)
			progress_open();
	}
	err = run_pairs(&p, json, &dead);
	progress_close();
	free(p.row);
	free(p.seen);
	free(p.expected);
	return team_close(&team, dead) || err ? -1 : 0;
}

int bench_pairs(int argc, char **argv)
{
	struct pairs_options options = { .size = SIZE_DEFAULT, .spoil = OPTION_NONE };
	const struct option_row rows[] = {
		{ .name = "size", .kind = OPTION_NUMBER, .to = &options.size, .value = "BYTES",
		  .help = "how much is read from each peer; K, M; 64 to 1024M, default 1M",
		  .units = "KM", .min = MARK, .max = SIZE_LARGEST,
		  .expected = "bytes from 64 to 1024M" },
		{ .name = "spoil", .kind = OPTION_NUMBER, .to = &options.spoil, .value = "RANK",
		  .help = "flip a bit in what that rank shares and writes: is it found?",
		  .max = INT32_MAX, .expected = "the number of a rank" },
	};
	struct options o = {
		.command = "pairs",
		.text = "Try every pair of ranks on each node in both directions, one pair at a "
			"time, and\nprint who reaches whom and how fast. For when a job fails, and "
			"before it runs.",
		.rows = rows,
		.n = sizeof(rows) / sizeof(rows[0]),
	};
	int code;

	if (options_parse(&o, argc, argv, &code))
		return code;
	return report_run(&o, run, &options);
}
