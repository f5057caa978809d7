/* SPDX-License-Identifier: BSD-3-Clause */
#include "arena.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "progress.h"

struct run;

struct worker {
	struct run *run;
	unsigned index;
	pthread_t thread;
	void **p;		/* a batch */
	uint32_t *order;	/* in which it is freed */
	unsigned char *copy;	/* of a buffer, to fill and compare it */
	double start, end;
	int failed;
	char why[TEAM_TEXT];
};

/* What the workers are to do next. */
enum task {
	TASK_TIME,
	TASK_FILL,
	TASK_CHECK,
	TASK_END,
};

struct run {
	struct arena_case *c;
	const struct team *team;
	struct ipcshare_arena *arena;
	enum task task;
	enum arena_way way;
	int direct;		/* loads and stores reach the memory */
	pthread_barrier_t begin, done;
	struct worker workers[ARENA_THREADS];
};

/* ---- A worker --------------------------------------------------------------------------------- */

/* So that the compiler does not leave a pair out. */
static inline void keep(void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

static int fail_call(struct worker *w, const char *what)
{
	if (!w->failed)
		team_explain(what, w->why);
	w->failed = 1;
	return -1;
}

static void time_malloc(struct worker *w)
{
	const size_t size = w->run->c->size, batch = w->run->c->batch, n = w->run->c->n;

	for (size_t done = 0; batch == 1 && done < n; done++) {
		void *p = malloc(size);

		keep(p);
		free(p);
	}
	for (size_t done = 0; batch > 1 && done < n; done += batch) {
		for (size_t i = 0; i < batch; i++)
			w->p[i] = malloc(size);
		for (size_t i = 0; i < batch; i++)
			free(w->p[w->order[i]]);
	}
}

static void time_arena(struct worker *w)
{
	const size_t size = w->run->c->size, batch = w->run->c->batch, n = w->run->c->n;
	struct ipcshare_arena *arena = w->run->arena;
	int err = 0;

	for (size_t done = 0; batch == 1 && done < n; done++) {
		void *p = NULL;

		err |= ipcshare_arena_alloc(arena, size, &p);
		keep(p);
		err |= ipcshare_arena_free(arena, p);
	}
	for (size_t done = 0; batch > 1 && done < n; done += batch) {
		for (size_t i = 0; i < batch; i++)
			err |= ipcshare_arena_alloc(arena, size, &w->p[i]);
		for (size_t i = 0; i < batch; i++)
			err |= ipcshare_arena_free(arena, w->p[w->order[i]]);
	}
	if (err)
		fail_call(w, "arena");
}

/* Bytes of a buffer, other ones for each. */
static void pattern(const struct worker *w, size_t i)
{
	uint64_t word = (uint64_t)(w->index + 1) << 40 | (uint64_t)i << 8 | 0x5a;

	for (size_t at = 0; at < w->run->c->size; at += sizeof(word)) {
		size_t left = w->run->c->size - at;

		word = word * 6364136223846793005u + 1442695040888963407u;
		memcpy(w->copy + at, &word, left < sizeof(word) ? left : sizeof(word));
	}
}

static void fill(struct worker *w)
{
	const struct run *r = w->run;

	for (size_t i = 0; i < r->c->batch && !w->failed; i++) {
		if (ipcshare_arena_alloc(r->arena, r->c->size, &w->p[i])) {
			fail_call(w, "arena_alloc");
			return;
		}
		pattern(w, i);
		if (r->direct)
			memcpy(w->p[i], w->copy, r->c->size);
		else if (ipcshare_copy(r->team->ctx, w->p[i], w->copy, r->c->size))
			fail_call(w, "copy");
	}
	if (r->c->spoil && w->index + 1 == r->c->threads && !w->failed) {
		w->copy[r->c->size - 1] ^= 1; /* of the last buffer */
		ipcshare_copy(r->team->ctx, w->p[r->c->batch - 1], w->copy, r->c->size);
	}
}

static void check(struct worker *w)
{
	const struct run *r = w->run;
	unsigned char *there = w->copy + r->c->size; /* room for another */

	for (size_t i = 0; i < r->c->batch && !w->failed; i++) {
		pattern(w, i);
		if (r->direct)
			there = w->p[i];
		else if (ipcshare_copy(r->team->ctx, there, w->p[i], r->c->size))
			fail_call(w, "copy");
		if (!w->failed && memcmp(there, w->copy, r->c->size)) {
			snprintf(w->why, sizeof(w->why),
				 "buffer %zu of thread %u (%zu bytes at %p) is not what was written", i,
				 w->index, r->c->size, w->p[i]);
			w->failed = 1;
		}
		if (!w->failed && ipcshare_arena_free(r->arena, w->p[i]))
			fail_call(w, "arena_free");
	}
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct run *r = w->run;

	for (;;) {
		pthread_barrier_wait(&r->begin);
		w->start = now();
		switch (r->task) {
		case TASK_TIME: r->way == ARENA_WAY_MALLOC ? time_malloc(w) : time_arena(w); break;
		case TASK_FILL: fill(w); break;
		case TASK_CHECK: check(w); break;
		case TASK_END: return NULL;
		}
		w->end = now();
		pthread_barrier_wait(&r->done);
	}
}

/* ---- All of them ------------------------------------------------------------------------------ */

/* From the first that began to the last that was done. */
static double go(struct run *r, enum task task)
{
	double start, end;

	r->task = task;
	pthread_barrier_wait(&r->begin);
	pthread_barrier_wait(&r->done);
	start = r->workers[0].start;
	end = r->workers[0].end;
	for (unsigned i = 1; i < r->c->threads; i++) {
		start = r->workers[i].start < start ? r->workers[i].start : start;
		end = r->workers[i].end > end ? r->workers[i].end : end;
	}
	return end - start;
}

static int failed(const struct run *r, char *why)
{
	for (unsigned i = 0; i < r->c->threads; i++)
		if (r->workers[i].failed) {
			snprintf(why, TEAM_TEXT, "%s", r->workers[i].why);
			return -1;
		}
	return 0;
}

/* Another one comes first each time. */
static int measure_all(struct run *r, char *why)
{
	for (int round = -1; round < (int)r->c->rounds; round++) {
		for (int k = 0; k < ARENA_NWAYS; k++) {
			double seconds;

			r->way = (enum arena_way)((round + 1 + k) % ARENA_NWAYS);
			seconds = go(r, TASK_TIME);
			if (round >= 0)
				r->c->seconds[r->way][round] = seconds;
		}
		go(r, TASK_FILL);
		go(r, TASK_CHECK);
		progress_add(1);
		if (failed(r, why))
			return -1;
	}
	return 0;
}

static int worker_prepare(struct worker *w, struct run *r, unsigned index)
{
	const size_t batch = r->c->batch;
	uint64_t state = index + 1;

	w->run = r;
	w->index = index;
	w->p = calloc(batch, sizeof(*w->p));
	w->order = calloc(batch, sizeof(*w->order));
	w->copy = malloc(2 * r->c->size);
	if (!w->p || !w->order || !w->copy)
		return -1;
	for (size_t i = 0; i < batch; i++) {
		size_t j;

		state = state * 6364136223846793005u + 1442695040888963407u;
		j = (size_t)((state >> 33) % (i + 1));
		w->order[i] = w->order[j];
		w->order[j] = (uint32_t)i;
	}
	return 0;
}

int arena_run(const struct team *team, struct ipcshare_arena *arena, struct arena_case *c, char *why)
{
	struct run *r = calloc(1, sizeof(*r));
	unsigned started = 0;
	int err = r ? 0 : -1;

	snprintf(why, TEAM_TEXT, "out of memory, or no more threads");
	if (err)
		return err;
	mallopt(M_TRIM_THRESHOLD, 1 << 30); /* it is to keep its memory, as an arena does */
	*r = (struct run){ .c = c, .team = team, .arena = arena,
			   .direct = !strcmp(team->backend, "host") };
	pthread_barrier_init(&r->begin, NULL, c->threads + 1);
	pthread_barrier_init(&r->done, NULL, c->threads + 1);
	for (unsigned i = 0; i < c->threads && !err; i++)
		err = worker_prepare(&r->workers[i], r, i);
	for (; started < c->threads && !err; started += !err)
		err = pthread_create(&r->workers[started].thread, NULL, worker_main,
				     &r->workers[started]);
	if (err && started)
		return -1; /* they wait for ever: the job ends */
	if (!err) {
		err = measure_all(r, why);
		r->task = TASK_END;
		pthread_barrier_wait(&r->begin);
	}
	for (unsigned i = 0; i < c->threads; i++) {
		if (started)
			pthread_join(r->workers[i].thread, NULL);
		free(r->workers[i].p);
		free(r->workers[i].order);
		free(r->workers[i].copy);
	}
	pthread_barrier_destroy(&r->begin);
	pthread_barrier_destroy(&r->done);
	free(r);
	return err;
}
