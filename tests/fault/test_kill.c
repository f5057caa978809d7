/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sweep of kills: a rank is killed, or stopped, at every point of the library's protocols that it
 * comes to, in every step of its life. The others must be told who it was and in time, each in the same
 * call; what they hold must be as it was; and they must be able to go on without it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "life.h"
#include "point.h"
#include "support/moved.h"

#define MS 1000000u
#define TOLD_MS ((uint64_t)test_patience(2000)) /* after a death, or after the deadline */
#define DEADLINE_MS ((unsigned)test_patience(400))

/* ---- One case ---- */

struct verdict { /* of a survivor */
	int status; /* 0: there was nothing to tell */
	int rank; /* that was named */
	int step, calls; /* where it ended, and how many collective calls had succeeded */
	uint64_t ns; /* when */
	uint64_t queued_ns; /* since the step began, spent waiting for a core */
	char said[600];
};

struct scene { /* all ranks and their parent see it */
	struct point_record record;
	int victim; /* -1: nobody */
	int signal; /* SIGKILL, SIGSTOP; 0: the victim's places are recorded */
	struct point_place place;
	unsigned deadline_ms;
	int on_device; /* emulated ones */
	int abandons; /* survivors drop everything at once; else they let go one by one */
	int frees; /* memory one by one; else with the context */
	_Atomic int pid;
	_Atomic uint64_t struck_ns;
	struct verdict verdicts[LIFE_RANKS];
};

static uint64_t survivors_of(const struct scene *s)
{
	return ((UINT64_C(1) << LIFE_RANKS) - 1) & ~(UINT64_C(1) << s->victim);
}

static int fate_status(const struct scene *s)
{
	return s->signal == SIGKILL ? IPCSHARE_ERR_PEER_DEAD : IPCSHARE_ERR_TIMEOUT;
}

/* Where other programs take the cores, ranks wait for those; and each may wait for another that does. */
static uint64_t most_ms(const struct scene *s)
{
	uint64_t queued = 0;

	for (int r = 0; r < LIFE_RANKS; r++)
		queued += s->verdicts[r].queued_ns;
	return TOLD_MS + s->deadline_ms + queued / MS;
}

static void check_told(const struct scene *s, const struct verdict *v)
{
	uint64_t ms = (v->ns - s->struck_ns) / MS;

	CHECK(ms < most_ms(s), "it took %ju ms, and not %ju: %s", (uintmax_t)ms, (uintmax_t)most_ms(s),
	      v->said);
	if (s->place.step == life_hello && v->status == IPCSHARE_ERR_TIMEOUT && v->rank < 0)
		return; /* who was not heard of has no name */
	CHECK(v->status == fate_status(s), "%s", v->said);
	CHECK(v->rank == s->victim, "rank %d is named: %s", v->rank, v->said);
}

/* While a process ends its broker, or the driver, may know it no more, and others not know yet why. */
static int is_ending(const struct scene *s, int status)
{
	return s->signal == SIGKILL && status == (s->on_device ? IPCSHARE_ERR_SYSTEM : IPCSHARE_ERR_UNREACHABLE);
}

/* What failed of the calls that are not collective. */
static void check_missed(const struct scene *s, const struct life *l)
{
	char process[32];

	if (!l->missed)
		return;
	snprintf(process, sizeof(process), "process %d", s->pid);
	CHECK(l->missed == fate_status(s) || is_ending(s, l->missed), "%s: %s", ipcshare_status_name(l->missed), l->missed_text);
	CHECK(l->missed_rank == s->victim || strstr(l->missed_text, process),
	      "it names rank %d: %s", l->missed_rank, l->missed_text);
}

/* In the call that the victim was in, or in the next; and all in the same one. */
static void check_verdicts(const struct scene *s, int me)
{
	const struct verdict *mine = &s->verdicts[me], *v;

	CHECK(mine->status || s->place.step + 1 >= life_leave, "nobody told of it");
	CHECK(!mine->status || mine->step == s->place.step || mine->step == s->place.step + 1,
	      "it was told in step %d, and happened in step %d", mine->step, s->place.step);
	for (int r = 0; r < LIFE_RANKS; r++) {
		v = &s->verdicts[r];
		if (r != s->victim)
			CHECK(v->status == mine->status && v->calls == mine->calls,
			      "rank %d made %d calls, then %s; this rank %d, then %s", r, v->calls,
			      ipcshare_status_name(v->status), mine->calls,
			      ipcshare_status_name(mine->status));
	}
}

static void part(struct scene *s, struct life *l)
{
	if (s->abandons)
		life_abandon(l);
	else
		life_let_go(l);
}

static void note(struct verdict *v, const struct life *l, int err)
{
	*v = (struct verdict){
		.status = err, .rank = err ? ipcshare_last_error()->rank : -1, .step = l->step,
		.calls = l->calls, .ns = ipcshare__now_ns(),
		.queued_ns = life_queued_ns() - l->queued_ns,
	};
	snprintf(v->said, sizeof(v->said), "%s", ipcshare_explain());
}

static void survives(struct scene *s, struct life *l, int err)
{
	struct test_rank *me = l->me;

	note(&s->verdicts[me->rank], l, err);
	check_missed(s, l);
	life_check_sets(l, s->victim);
	life_barrier(l, LIFE_SURVIVORS, survivors_of(s));
	if (err)
		check_told(s, &s->verdicts[me->rank]);
	check_verdicts(s, me->rank);
	part(s, l);
	life_meet_without(l, survivors_of(s));
	life_barrier(l, LIFE_SURVIVORS, survivors_of(s));
	if (s->signal == SIGSTOP) {
		kill(s->pid, SIGCONT);
		life_barrier(l, LIFE_EVERYBODY, 0);
	}
	life_end(l, s->frees);
}

/* The others have gone on without it: its own call must come to an end, and all that is its own. */
static void is_late(struct scene *s, struct life *l, int err)
{
	CHECK(err || s->place.step + 1 >= life_leave, "it has not noticed that it is alone");
	CHECK(!err || err == ipcshare_last_error()->status, "%s", ipcshare_status_name(err));
	life_check_sets(l, -1);
	part(s, l);
	life_barrier(l, LIFE_EVERYBODY, 0);
	life_end(l, s->frees);
}

static void lives(struct test_rank *me, void *arg)
{
	struct scene *s = arg;
	struct life l;
	int err;

	life_begin(&l, me, s->place.step, s->deadline_ms, s->on_device);
	if (me->rank == s->victim) {
		s->pid = getpid();
		if (s->signal)
			point_arm(s->place, s->signal, &s->struck_ns);
		else
			point_watch(&s->record);
	}
	err = life_run(&l);
	if (!s->signal) {
		CHECK_STATUS(err, 0);
		life_end(&l, 1);
	} else if (me->rank != s->victim) {
		survives(s, &l, err);
	} else if (s->struck_ns) {
		is_late(s, &l, err);
	} else {
		FAIL("it did not come there: %s", err ? ipcshare_explain() : "all went well");
	}
}

/* ---- What came of all ---- */

struct line {
	const char *point;
	int cases;
	int at_once, later; /* the others were told in the call it was struck in, or in the next */
	int silent; /* it had nothing more to say, nor had they to ask */
	int unnamed;
	uint64_t worst_ns; /* until all were told */
};

static void count(struct line *l, const struct scene *s)
{
	const struct verdict *v = &s->verdicts[s->victim ? 0 : 1];

	l->cases++;
	l->at_once += v->status && v->step == s->place.step;
	l->later += v->status && v->step != s->place.step;
	l->silent += !v->status;
	l->unnamed += v->status && v->rank != s->victim;
	for (int r = 0; r < LIFE_RANKS; r++)
		if (r != s->victim && s->verdicts[r].status &&
		    s->verdicts[r].ns - s->struck_ns > l->worst_ns)
			l->worst_ns = s->verdicts[r].ns - s->struck_ns;
}

static void add(struct line *sum, const struct line *l)
{
	sum->cases += l->cases;
	sum->at_once += l->at_once;
	sum->later += l->later;
	sum->silent += l->silent;
	sum->unnamed += l->unnamed;
	sum->worst_ns = l->worst_ns > sum->worst_ns ? l->worst_ns : sum->worst_ns;
}

static void print_line(const struct line *l)
{
	printf("    %-20s%7d%9d%11d%9d%9d%9ju\n", l->point, l->cases, l->at_once, l->later, l->silent,
	       l->unnamed, (uintmax_t)(l->worst_ns / MS));
}

static void print(const char *fate, const struct line *lines, size_t n)
{
	struct line all = { .point = "all" };

	printf("\n    %-20s  cases  at once  next call  nothing  unnamed  ms most\n", fate);
	for (size_t i = 0; i < n; i++) {
		print_line(&lines[i]);
		add(&all, &lines[i]);
	}
	print_line(&all);
}

/* ---- The machine ---- */

static int emulated; /* it has devices */

/* What happens there is no other test's business. */
static void machine_name(void)
{
	char job[32];

	snprintf(job, sizeof(job), "test-kill-%d", getpid());
	setenv("ASCENDCL_EMU_JOB", job, 1);
}

/* 0: there is no emulator. */
static int machine_emulate(void)
{
	const char *emulator = getenv("TEST_EMU");

	if (!emulator || !*emulator) {
		test_skip("TEST_EMU names no emulator of the Ascend runtime");
		return 0;
	}
	setenv("IPCSHARE_BACKEND", "ascend", 1);
	setenv("IPCSHARE_ACL_LIB", emulator, 1);
	setenv("ASCENDCL_EMU_DEVICES", "4", 1);
	machine_name();
	emulated = 1;
	return 1;
}

static void machine_end(void)
{
	static const char *const settings[] = {
		"IPCSHARE_BACKEND", "IPCSHARE_ACL_LIB", "ASCENDCL_EMU_DEVICES", "ASCENDCL_EMU_JOB",
	};

	for (size_t i = 0; emulated && i < sizeof(settings) / sizeof(settings[0]); i++)
		unsetenv(settings[i]);
	emulated = 0;
}

/* ---- The sweep ---- */

/* Two packages, so that blocks are relayed between ranks (IPCSHARE_COLL_RELAY is 0). */
static const struct ipcshare__wire_place places[LIFE_RANKS] = {
	{ .package = 0, .device_numa = -1 }, { .package = 1, .numa = 1, .device_numa = -1 },
	{ .package = 0, .device_numa = -1 }, { .package = 1, .numa = 1, .device_numa = -1 },
};

#define TEAMS 3 /* at the same time, for they mostly wait */

static struct scene *scenes; /* of each team */
static struct line lines[POINT_PLACES];
static size_t nlines;

static struct line *line_of(const char *point)
{
	size_t i = 0;

	while (i < nlines && strcmp(lines[i].point, point))
		i++;
	if (i == nlines)
		lines[nlines++].point = point;
	return &lines[i];
}

static void make_scenes(void)
{
	scenes = mmap(NULL, TEAMS * sizeof(*scenes), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(scenes != MAP_FAILED, "no memory");
	setenv("IPCSHARE_COLL_RELAY", "0", 1);
	nlines = 0;
	memset(lines, 0, sizeof(lines));
}

static void end_scenes(void)
{
	munmap(scenes, TEAMS * sizeof(*scenes));
	unsetenv("IPCSHARE_COLL_RELAY");
	machine_end();
}

/* Where does the rank come to when all goes well? */
static const struct point_record *record(int victim)
{
	struct scene *s = &scenes[0];

	*s = (struct scene){ .victim = victim, .on_device = emulated };
	test_ranks_with((&(struct test_ranks){ .nranks = LIFE_RANKS, .fn = lives, .arg = s,
					       .filter = test_moved, .filter_arg = (void *)places }));
	REQUIRE(s->record.n && s->record.n < POINT_PLACES, "%zu places", s->record.n);
	return &s->record;
}

static void strike(int channel, void *scene)
{
	struct scene *s = scene;
	struct test_ranks o = { .nranks = LIFE_RANKS, .fn = lives, .arg = s,
				.filter = test_moved, .filter_arg = (void *)places };
	char what[128];

	(void)channel;
	machine_name();
	snprintf(what, sizeof(what), "rank %d %s at %s %d in \"%s\"", s->victim,
		 s->signal == SIGKILL ? "killed" : "stopped", s->place.point, s->place.nth,
		 life_steps[s->place.step].name);
	o.dies = s->signal == SIGKILL ? 1u << s->victim : 0;
	test_ranks_at(TEST_AT_(0, what), &o);
}

static void scene_set(struct scene *s, int victim, int signal, struct point_place place)
{
	static int serial;

	s->victim = victim;
	s->signal = signal;
	s->place = place;
	s->on_device = emulated;
	s->deadline_ms = signal == SIGSTOP || place.step == life_hello ? DEADLINE_MS : 0;
	s->abandons = serial % 2 && !emulated; /* it calls no driver, so that keeps its streams */
	s->frees = serial / 2 % 2;
	serial++;
	s->struck_ns = 0;
	s->pid = 0;
	memset(s->verdicts, 0, sizeof(s->verdicts));
}

static void strike_all(int victim, int signal, const struct point_place *places, size_t n, int teams)
{
	struct test_child *team[TEAMS];

	for (size_t i = 0; i < n; i += (size_t)teams) {
		int some = n - i < (size_t)teams ? (int)(n - i) : teams;

		test_goes_on();
		for (int t = 0; t < some; t++) {
			scene_set(&scenes[t], victim, signal, places[i + (size_t)t]);
			team[t] = test_child(strike, &scenes[t]);
		}
		for (int t = 0; t < some; t++)
			if (test_child_join(team[t]))
				count(line_of(scenes[t].place.point), &scenes[t]);
	}
}

/* ---- Which places ---- */

/* Once in every step, but the rounds, for they follow each other in a call; and all of a group's creation. */
static int is_in_a_step(const struct point_record *r, size_t i)
{
	const struct point_place *p = &r->places[i];

	return p->nth <= (strncmp(p->point, "round.", 6) ? 1 : 2) || p->step <= life_hello + 1;
}

static int is_first(const struct point_record *r, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(r->places[k].point, r->places[i].point))
			return 0;
	return 1;
}

static int is_first_or_last(const struct point_record *r, size_t i)
{
	size_t k = i + 1;

	while (k < r->n && (strcmp(r->places[k].point, r->places[i].point) || !is_in_a_step(r, k)))
		k++;
	return is_first(r, i) || (k == r->n && is_in_a_step(r, i));
}

/* TEST_POINT, a part of a point's name, leaves out all others. */
static void sweep(int victim, int signal, int (*wanted)(const struct point_record *r, size_t i), int teams)
{
	static struct point_place places[POINT_PLACES];
	const struct point_record *r = record(victim);
	const char *only = getenv("TEST_POINT");
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (wanted(r, i) && (!only || strstr(r->places[i].point, only)))
			places[n++] = r->places[i];
	strike_all(victim, signal, places, n, teams);
}

static void every_point_of_the_library_is_come_to(void)
{
	const struct point_record *r = record(1);
	const char *const *names;
	size_t n;

	names = point_names(&n);
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < r->n && strcmp(r->places[k].point, names[i]))
			k++;
		CHECK(k < r->n, "no step comes to %s", names[i]);
	}
}

static void survivors_of_a_kill_are_told_who_and_go_on(void)
{
	sweep(1, SIGKILL, is_in_a_step, 1);
	sweep(0, SIGKILL, is_first, 1);
	print("killed at", lines, nlines);
}

static void a_stopped_rank_is_left_behind_and_finds_out(void)
{
	sweep(1, SIGSTOP, is_first_or_last, TEAMS);
	print("stopped at", lines, nlines);
}

/* What waits on a stream does so until its deadline: see coll_stream_faults of the unit tests. */
static void so_are_those_that_share_device_memory(void)
{
	if (!machine_emulate())
		return;
	sweep(1, SIGKILL, is_first, 1);
	print("killed at", lines, nlines);
}

TEST_SUITE(kill, make_scenes, end_scenes,
	TEST(every_point_of_the_library_is_come_to),
	TEST(survivors_of_a_kill_are_told_who_and_go_on),
	TEST(so_are_those_that_share_device_memory),
	TEST(a_stopped_rank_is_left_behind_and_finds_out));
