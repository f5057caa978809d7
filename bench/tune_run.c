/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Settings are read when a context is opened, so each way has a context, and memory, of its own. A time
 * is one round of coll_measure(): after a call that isn't counted, and verified.
 */
#include "tune.h"

#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* ---- The environment -------------------------------------------------------------------------- */

static void put(const char *name, const char *value)
{
	if (value ? setenv(name, value, 1) : unsetenv(name))
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
}

static char *keep(const char *name)
{
	const char *value = getenv(name);
	char *kept = value ? strdup(value) : NULL;

	if (value && !kept)
		MPI_Abort(MPI_COMM_WORLD, BENCH_FAILED);
	return kept;
}

/* ---- Contexts --------------------------------------------------------------------------------- */

static const char *unfit(const struct team *team)
{
	return !team->direct ? "the memory of this backend is not the CPU's" :
	       team->npeers < 2 ? "there is no other rank on this node" :
	       team->nodes > 1 ? "the ranks are not all on one node" : NULL;
}

static int way_close(struct tune *t, int way, int failed)
{
	failed = coll_close(&t->colls[way], failed);
	return team_close(&t->teams[way], failed) || failed ? -1 : 0;
}

static int way_open(struct tune *t, int way, size_t room)
{
	struct team *team = &t->teams[way];

	if (team_open(team))
		return -1;
	if (team_verdict(unfit(team)))
		return team_close(team, 1);
	if (!coll_open(&t->colls[way], &t->options, team, room))
		return 0;
	return way_close(t, way, 1);
}

int tune_open(struct tune *t, const struct tune_setting *s, const struct coll_options *options,
	      size_t room)
{
	char *before = keep(s->name), *before_crowded = keep(s->crowded);
	int way, err = 0;

	*t = (struct tune){ .options = *options };
	for (way = 0; way < TUNE_WAYS && !err; way++) {
		put(s->name, s->always[way]);
		put(s->crowded, s->always[way]);
		err = way_open(t, way, room);
	}
	for (way--; err && way > 0; way--)
		way_close(t, way - 1, 1);
	put(s->name, before);
	put(s->crowded, before_crowded);
	free(before);
	free(before_crowded);
	return err;
}

int tune_close(struct tune *t, int failed)
{
	for (int way = 0; way < TUNE_WAYS; way++)
		failed = way_close(t, way, failed);
	return failed;
}

int tune_is_crowded(const struct tune *t)
{
	return t->colls[0].flags.n > t->colls[0].flags.cores;
}

/* ---- Rounds ----------------------------------------------------------------------------------- */

static int measure(struct tune *t, const struct tune_case *c, int way, double *seconds)
{
	double times[COLL_NWAYS];
	struct coll_case once = { .what = c->what, .size = c->size, .rounds = 1, .calls = c->calls,
				  .has = { [COLL_WAY_OURS] = 1 } };

	for (int i = 0; i < COLL_NWAYS; i++)
		once.seconds[i] = &times[i];
	if (coll_measure(&t->colls[way], &once))
		return -1;
	*seconds = times[COLL_WAY_OURS];
	return 0;
}

int tune_measure(struct tune *t, struct tune_case *c)
{
	/* Another one comes first each time. */
	for (unsigned round = 0; round < c->rounds; round++)
		for (unsigned k = 0; k < TUNE_WAYS; k++) {
			const unsigned way = (round + k) % TUNE_WAYS;

			if (measure(t, c, (int)way, &c->seconds[way][round]))
				return -1;
		}
	return 0;
}
