/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks as threads of one process, which meet at a table in memory. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "support/internal.h"
#include "support/ranks.h"

/* Until all have come to this phase of the meeting. */
static int meet(struct test_lane *lane, struct ipcshare_wait *wait, int phase)
{
	struct test_table *t = lane->table;
	time_t end = time(NULL) + TEST_CHILD_PATIENCE_S;
	uint64_t meeting;
	int err;

	pthread_mutex_lock(&t->lock);
	meeting = t->meetings;
	if (++t->arrived[phase] == lane->nmembers) {
		t->arrived[phase] = 0;
		t->meetings++;
	}
	while (t->meetings == meeting) {
		pthread_mutex_unlock(&t->lock);
		err = wait ? ipcshare_wait_tick(wait) : time(NULL) >= end;
		if (err)
			return err;
		sched_yield();
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return 0;
}

static int exchange_over_table(struct test_lane *lane, struct ipcshare_wait *wait,
			       enum test_exchange_kind kind, const void *mine, size_t len,
			       void *all, size_t total)
{
	struct test_table *t = lane->table;
	size_t used = 0;
	int err;

	pthread_mutex_lock(&t->lock);
	free(t->bytes[lane->member]);
	t->bytes[lane->member] = malloc(len + 1);
	memcpy(t->bytes[lane->member], mine, len);
	t->len[lane->member] = len;
	t->kind[lane->member] = kind;
	pthread_mutex_unlock(&t->lock);
	err = meet(lane, wait, 0);
	if (err)
		return err;
	pthread_mutex_lock(&t->lock);
	for (int r = 0; r < lane->nmembers; r++) {
		if (t->kind[r] != kind || t->len[r] > total - used) {
			err = -1; /* the ranks don't agree on what they do */
			break;
		}
		memcpy((char *)all + used, t->bytes[r], t->len[r]);
		used += t->len[r];
	}
	pthread_mutex_unlock(&t->lock);
	if (!err && used != total)
		err = -1;
	/* Nobody brings the next bytes before all have read these. */
	return err ? err : meet(lane, wait, 1);
}

struct start {
	const struct test_ranks *options;
	struct test_table *tables; /* one per lane */
	int rank;
	int done; /* fn returned: no REQUIRE ended the thread */
	pthread_t thread;
};

static void *rank_main(void *arg)
{
	struct start *s = arg;
	struct test_lane lanes[TEST_LANES];
	struct test_rank me = { .rank = s->rank, .nranks = s->options->nranks, .lanes = lanes };

	for (int i = 0; i < TEST_LANES; i++) {
		test_lane_init(&lanes[i], &me, s->options, i, -1, exchange_over_table);
		lanes[i].table = &s->tables[i];
	}
	me.bootstrap = test_rank_bootstrap(&me, 0, 0);
	s->options->fn(&me, s->options->arg);
	s->done = 1;
	return NULL;
}

int test_thread_ranks_at(struct test_at at, const struct test_ranks *o)
{
	struct test_table tables[TEST_LANES];
	struct start start[TEST_RANKS_MAX];
	int failed = 0;

	memset(tables, 0, sizeof(tables));
	for (int i = 0; i < TEST_LANES; i++)
		pthread_mutex_init(&tables[i].lock, NULL);
	for (int r = 0; r < o->nranks; r++) {
		start[r] = (struct start){ .options = o, .tables = tables, .rank = r };
		REQUIRE_INT(pthread_create(&start[r].thread, NULL, rank_main, &start[r]), 0);
	}
	for (int r = 0; r < o->nranks; r++) {
		pthread_join(start[r].thread, NULL);
		failed += !test_check(at, start[r].done, "rank %d, a thread, ended early", r);
	}
	for (int i = 0; i < TEST_LANES; i++) {
		for (int r = 0; r < TEST_RANKS_MAX; r++)
			free(tables[i].bytes[r]);
		pthread_mutex_destroy(&tables[i].lock);
	}
	return failed;
}
