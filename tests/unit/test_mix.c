/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All at once: threads of each rank share in groups of their own, map, evict, allocate and register, while
 * signals and forks come at any moment. TEST_SEED of the environment says what comes.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/internal.h"
#include "team.h"
#include "workout.h"

#if defined(TEST_TSAN) || defined(TEST_ASAN)
#define ROUNDS 6
#else
#define ROUNDS 12
#endif
#define ROUNDS_IN_GROUP 10 /* then it is made anew */
#define SHARERS 2 /* each with a lane */
#define LANE_OURS 3 /* for what the main threads tell each other */
#define REGIONS 6
#define BYTES 5000
#define DEADLINE_MS ((unsigned)TEST_CHILD_PATIENCE_S * 500u)
#define STORM_US 200

struct mix {
	struct ipcshare_ctx *ctx;
	struct test_rank *me;
	uint64_t seed;
	int rounds;
	atomic_int sharing; /* threads that are not done: the others go on as long */
	char *memory[REGIONS]; /* of this rank, which all may map */
	struct ipcshare_packed *packed; /* REGIONS of each rank */
};

struct worker {
	struct mix *mix;
	int number;
	pthread_t thread;
};

static uint64_t draw(uint64_t *state, uint64_t below)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (*state >> 33) % below;
}

/* ---- What the threads do ---- */

static void *shares(void *arg)
{
	struct worker *w = arg;
	struct mix *m = w->mix;
	struct ipcshare_bootstrap lane = test_rank_bootstrap(m->me, w->number, 0);
	struct ipcshare_group *group;

	for (int done = 0; done < m->rounds; done += ROUNDS_IN_GROUP) {
		REQUIRE_OK(ipcshare_group_create(m->ctx, &lane, &group));
		for (int i = 0; i < ROUNDS_IN_GROUP && done + i < m->rounds; i++)
			workout(m->ctx, group, m->seed + (uint64_t)((done + i) * SHARERS + w->number));
		REQUIRE_OK(ipcshare_group_free(group));
	}
	atomic_fetch_sub(&m->sharing, 1);
	return NULL;
}

static void *maps(void *arg)
{
	struct worker *w = arg;
	struct mix *m = w->mix;
	uint64_t state = m->seed + (uint64_t)w->number;

	while (atomic_load(&m->sharing)) {
		int rank = (int)draw(&state, (uint64_t)m->me->nranks);
		size_t i = draw(&state, REGIONS);
		const struct ipcshare_packed *packed = &m->packed[(size_t)rank * REGIONS + i];
		void *p, *q = NULL;

		REQUIRE_OK(ipcshare_map(m->ctx, packed, &p));
		REQUIRE(team_check(p, BYTES, rank, i), "mapped from rank %d", rank);
		REQUIRE_OK(ipcshare_lookup(m->ctx, packed, &q));
		REQUIRE(p == q, "looked up at %p, mapped at %p", q, p);
		REQUIRE_OK(ipcshare_unmap(m->ctx, p));
	}
	return NULL;
}

static void *evicts(void *arg)
{
	struct mix *m = ((struct worker *)arg)->mix;
	struct ipcshare_counters c = { .size = sizeof(c) };

	while (atomic_load(&m->sharing)) {
		REQUIRE_OK(ipcshare_trim(m->ctx, NULL));
		REQUIRE_OK(ipcshare_counters(m->ctx, &c));
		sched_yield();
	}
	return NULL;
}

static void *allocates(void *arg)
{
	struct mix *m = ((struct worker *)arg)->mix;
	struct ipcshare_arena *arena;
	void *many[50];

	REQUIRE_OK(ipcshare_arena_create(m->ctx, NULL, &arena));
	for (uint64_t state = m->seed; atomic_load(&m->sharing);) {
		size_t len = 1 + draw(&state, 3000);
		void *one;

		REQUIRE_OK(ipcshare_arena_alloc_many(arena, len, 50, many));
		REQUIRE_OK(ipcshare_arena_alloc(arena, len, &one));
		memset(one, 1, len);
		REQUIRE_OK(ipcshare_arena_free(arena, one));
		REQUIRE_OK(ipcshare_arena_free_many(arena, many, 50));
		REQUIRE_OK(ipcshare_arena_trim(arena, NULL));
		one = team_alloc(m->ctx, len);
		REQUIRE_OK(ipcshare_free(m->ctx, one));
	}
	REQUIRE_OK(ipcshare_arena_destroy(arena));
	return NULL;
}

static void *registers(void *arg)
{
	struct mix *m = ((struct worker *)arg)->mix;
	int fd = memfd_create("own", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct ipcshare_packed packed;
	char *own;

	REQUIRE(fd >= 0 && !ftruncate(fd, BYTES), "errno %d", errno);
	own = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(own != MAP_FAILED, "errno %d", errno);
	while (atomic_load(&m->sharing)) {
		REQUIRE_OK(ipcshare_register(m->ctx, own, BYTES, fd));
		REQUIRE_OK(ipcshare_pack(m->ctx, own, BYTES, 0, &packed));
		REQUIRE_OK(ipcshare_invalidate(m->ctx, own, BYTES));
	}
	munmap(own, BYTES);
	close(fd);
	return NULL;
}

/* ---- Forks ---- */

static _Atomic int forks; /* of this process */

/* An end by exit() runs what the program left for it; so this must be nothing of the library's. */
static void lives_and_ends(struct mix *m, int how __attribute__((unused)))
{
	struct ipcshare_counters c = { .size = sizeof(c) };
	struct ipcshare_ctx *fresh __attribute__((unused)) = NULL;
	void *p = NULL;
	int ok;

	alarm((unsigned)TEST_CHILD_PATIENCE_S); /* with the default action, to end a child that hangs */
	ok = ipcshare_counters(m->ctx, &c) == IPCSHARE_ERR_FORKED;
	ok &= ipcshare_alloc(m->ctx, 100, &p) == IPCSHARE_ERR_FORKED;
	ok &= ipcshare_map(m->ctx, m->packed, &p) == IPCSHARE_ERR_FORKED;
	ok &= ipcshare_close(m->ctx) == IPCSHARE_ERR_FORKED;
/*
 * A sanitizer is not made for what follows in such a child: its malloc() may wait for a thread that is not
 * here, whose memory it takes for leaked, and TSan wants no thread with the stack of one of the parent.
 */
#if !defined(TEST_TSAN) && !defined(TEST_ASAN)
	if (how & 1) {
		ok &= ipcshare_open(NULL, &fresh) == 0;
		ok &= ipcshare_alloc(fresh, 100, &p) == 0;
		ok &= ipcshare_close(fresh) == 0;
	}
	if (how & 2)
		exit(ok ? 0 : 1);
#endif
	_exit(ok ? 0 : 1);
}

static void *forks_children(void *arg)
{
	struct mix *m = ((struct worker *)arg)->mix;

	for (int how = 0; atomic_load(&m->sharing); how++) {
		pid_t child = fork();
		int status = 0;

		if (!child) {
			signal(SIGALRM, SIG_DFL);
			lives_and_ends(m, how);
		}
		REQUIRE(child > 0, "errno %d", errno);
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
		REQUIRE(status == 0, "a child of kind %d ended with 0x%x", how & 3, status);
		forks++;
	}
	return NULL;
}

/* ---- Signals ---- */

static _Atomic int signals;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

/* To the threads of the work: the caller blocks it. 0 ends it. */
static void storm(int us)
{
	struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART */
	struct itimerval every = { { 0, us }, { 0, us } };

	if (us) {
		sigaction(SIGALRM, &action, NULL);
		sigaction(SIGCHLD, &action, NULL);
	}
	setitimer(ITIMER_REAL, &every, NULL);
}

/* For the threads made from now on. */
static void block_alarm(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(how, &set, NULL);
}

/* ---- A rank ---- */

static void open_memory(struct mix *m)
{
	struct test_rank *me = m->me;
	size_t n = (size_t)me->nranks;
	struct ipcshare_bootstrap lane = test_rank_bootstrap(me, LANE_OURS, 0);
	struct ipcshare_identity self, *all = calloc(n, sizeof(*all));
	struct ipcshare_packed mine[REGIONS];

	m->packed = calloc(n * REGIONS, sizeof(*m->packed));
	REQUIRE_OK(ipcshare_self(m->ctx, &self));
	REQUIRE_INT(lane.allgather(lane.arg, NULL, &self, sizeof(self), all), 0);
	for (size_t i = 0; i < REGIONS; i++) {
		m->memory[i] = team_alloc(m->ctx, BYTES);
		team_fill(m->memory[i], BYTES, me->rank, i);
		REQUIRE_OK(ipcshare_pack(m->ctx, m->memory[i], BYTES, 0, &mine[i]));
		REQUIRE_OK(ipcshare_allow(m->ctx, m->memory[i], all, n, 0));
	}
	REQUIRE_INT(lane.allgather(lane.arg, NULL, mine, sizeof(mine), m->packed), 0);
	free(all);
}

static void close_memory(struct mix *m)
{
	test_rank_barrier(m->me, LANE_OURS); /* nobody maps any more */
	for (size_t i = 0; i < REGIONS; i++)
		CHECK_STATUS(ipcshare_free(m->ctx, m->memory[i]), 0);
	free(m->packed);
}

enum { QUIET = 0, STORM = 1, FORKS = 2 };

static void works(struct mix *m, int disturbed)
{
	void *(*const does[])(void *) = { shares, shares, maps, maps, evicts, allocates, registers,
					  forks_children };
	size_t n = sizeof(does) / sizeof(does[0]) - !(disturbed & FORKS);
	struct worker w[sizeof(does) / sizeof(does[0])];

	atomic_store(&m->sharing, SHARERS);
	if (disturbed & STORM)
		storm(STORM_US);
	for (size_t i = 0; i < n; i++) {
		w[i] = (struct worker){ m, (int)i, 0 };
		REQUIRE_INT(pthread_create(&w[i].thread, NULL, does[i], &w[i]), 0);
	}
	block_alarm(SIG_BLOCK);
	for (size_t i = 0; i < n; i++)
		pthread_join(w[i].thread, NULL);
	if (disturbed & STORM)
		storm(0);
	block_alarm(SIG_UNBLOCK);
	CHECK_INT(atomic_load(&m->sharing), 0);
}

static void mix_rank(struct test_rank *me, int disturbed, int rounds)
{
	struct mix m = { .me = me, .seed = test_setting("TEST_SEED", 1), .rounds = rounds };

	m.ctx = team_open(DEADLINE_MS);
	open_memory(&m);
	works(&m, disturbed);
	close_memory(&m);
	CHECK_STATUS(ipcshare_close(m.ctx), 0);
}

static void ranks_mix(struct test_rank *me, void *arg)
{
	int disturbed = *(const int *)arg;
	struct test_resources before;

	setenv("IPCSHARE_CACHE_ENTRIES", "3", 1); /* so that mappings come and go by themselves, too */
	mix_rank(me, disturbed, 1); /* what malloc() keeps for so many threads, it has then */
	test_resources(&before);
	mix_rank(me, disturbed, ROUNDS);
	CHECK_NOTHING_LEAKED(&before);
	if (disturbed & STORM)
		CHECK(signals > 10, "%d signals", signals);
	if (disturbed & FORKS)
		CHECK(forks > 0, "no child");
}

static void threads_mix(struct test_rank *me, void *arg)
{
	(void)arg;
	mix_rank(me, QUIET, ROUNDS);
}

/* ---- A child that gives back what it has inherited ---- */

/* Rank 1 tells rank 0 here of memory that it then frees. */
struct told {
	struct ipcshare_packed packed; /* read while it is written: then it is malformed */
	atomic_int forking, mapped; /* by rank 0, once at least */
};

/* In this thread nothing of the library's is under way, but its broker is asked all the time. */
static void forks_beside_its_broker(struct team *t, struct told *told)
{
	for (int i = 0; i < 20 * ROUNDS || !atomic_load(&told->mapped); i++) {
		int status = 0;
		pid_t child;
		void *p;

		if (!ipcshare_map(t->ctx, &told->packed, &p)) {
			atomic_store(&told->mapped, 1);
			REQUIRE_OK(ipcshare_unmap(t->ctx, p)); /* and it is kept, to be called back */
		}
		child = fork();
		if (!child) {
			alarm((unsigned)TEST_CHILD_PATIENCE_S);
			_exit(ipcshare_abandon(t->ctx) != 0);
		}
		REQUIRE(child > 0, "errno %d", errno);
		waitpid(child, &status, 0);
		REQUIRE(status == 0, "child %d ended with 0x%x", i, status);
	}
	atomic_store(&told->forking, 0);
}

static void frees_what_it_tells(struct team *t, struct told *told, const struct ipcshare_identity *peer)
{
	while (atomic_load(&told->forking)) {
		void *p = team_alloc(t->ctx, BYTES);
		int err;

		REQUIRE_OK(ipcshare_allow(t->ctx, p, peer, 1, 0));
		REQUIRE_OK(ipcshare_pack(t->ctx, p, BYTES, 0, &told->packed));
		do /* what is told may be gone each time; but not before one was mapped */
			sched_yield();
		while (!atomic_load(&told->mapped));
		while ((err = ipcshare_free(t->ctx, p)) == IPCSHARE_ERR_BUSY)
			sched_yield();
		REQUIRE_INT(err, 0);
	}
}

static void one_forks_and_abandons(struct test_rank *me, void *arg)
{
	struct ipcshare_bootstrap lane = test_rank_bootstrap(me, LANE_OURS, 0);
	struct ipcshare_identity self, all[2];
	struct team t;

	team_join_for(me, DEADLINE_MS, &t);
	REQUIRE_OK(ipcshare_self(t.ctx, &self));
	REQUIRE_INT(lane.allgather(lane.arg, NULL, &self, sizeof(self), all), 0);
	if (me->rank == 0)
		forks_beside_its_broker(&t, arg);
	else
		frees_what_it_tells(&t, arg, &all[0]);
	team_leave(&t);
}

static void a_child_may_abandon_all_whatever_the_broker_does(void)
{
	struct told *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				 -1, 0);

	REQUIRE(told != MAP_FAILED, "errno %d", errno);
	atomic_store(&told->forking, 1);
	test_ranks(2, one_forks_and_abandons, told);
	munmap(told, sizeof(*told));
}

static void threads_of_each_rank_do_all_at_once(void)
{
	test_ranks(3, ranks_mix, &(int){ QUIET });
}

static void so_do_threads_of_ranks_that_are_threads(void)
{
	test_thread_ranks(3, threads_mix, NULL);
}

static void signals_do_not_disturb(void)
{
	test_ranks(3, ranks_mix, &(int){ STORM });
}

static void children_forked_at_any_moment_find_all_dead_and_disturb_nothing(void)
{
	test_ranks(2, ranks_mix, &(int){ FORKS });
}

static void neither_do_both_at_once(void)
{
	test_ranks(2, ranks_mix, &(int){ STORM | FORKS });
}

TEST_SUITE(mix, NULL, NULL,
	TEST(threads_of_each_rank_do_all_at_once),
	TEST(so_do_threads_of_ranks_that_are_threads),
	TEST(signals_do_not_disturb),
	TEST(children_forked_at_any_moment_find_all_dead_and_disturb_nothing),
	TEST(neither_do_both_at_once),
	TEST(a_child_may_abandon_all_whatever_the_broker_does));
