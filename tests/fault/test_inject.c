/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each call that the library makes of the system fails once, at each of its uses, in one rank. The
 * step that makes it must succeed all the same, or fail with the same named error on all that take
 * part and succeed when made again; afterwards nothing may be left.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "inject.h"
#include "inject_life.h"

#define VICTIM 1
#define MOST_USES 400 /* of one call in one life: more is a wait that looks again and again */
#define STRIDE 4
#define SETS 12 /* of faults, each for ranks of its own, as these have a deadline */

enum outcome {
	MAY_FAIL, /* the step is told, or does without */
	MUST_PASS, /* it is made again, or its failure is nothing to the caller */
	FIRST_MAY_FAIL, /* the same, but for what a process needs once */
};

static const struct fault {
	enum inject_call call;
	int err;
	enum outcome outcome;
} faults[] = {
	{ INJECT_malloc, ENOMEM, MAY_FAIL },
	{ INJECT_calloc, ENOMEM, MAY_FAIL },
	{ INJECT_realloc, ENOMEM, MAY_FAIL },
	{ INJECT_aligned_alloc, ENOMEM, MAY_FAIL },
	{ INJECT_mmap, ENOMEM, MAY_FAIL },
	{ INJECT_munmap, ENOMEM, MUST_PASS },
	{ INJECT_madvise, EINVAL, FIRST_MAY_FAIL },
	{ INJECT_memfd_create, EMFILE, MAY_FAIL },
	{ INJECT_memfd_create, ENOMEM, MAY_FAIL },
	{ INJECT_fallocate, ENOSPC, MAY_FAIL },
	{ INJECT_fallocate, EINTR, MUST_PASS },
	{ INJECT_fcntl, EPERM, MAY_FAIL },
	{ INJECT_fcntl, EMFILE, MAY_FAIL },
	{ INJECT_fstat, ENOMEM, MAY_FAIL },
	{ INJECT_stat, EACCES, MAY_FAIL },
	{ INJECT_lstat, EACCES, MUST_PASS },
	{ INJECT_fstatfs, EINTR, MAY_FAIL },
	{ INJECT_open, EMFILE, MAY_FAIL },
	{ INJECT_open, ENOENT, MAY_FAIL },
	{ INJECT_close, EINTR, MUST_PASS },
	{ INJECT_close, EIO, MUST_PASS },
	{ INJECT_read, EIO, MAY_FAIL },
	{ INJECT_read, EINTR, MUST_PASS },
	{ INJECT_fopen, EMFILE, MAY_FAIL },
	{ INJECT_fgets, EIO, MAY_FAIL },
	{ INJECT_fclose, EIO, MUST_PASS },
	{ INJECT_opendir, EMFILE, MUST_PASS },
	{ INJECT_readdir, ENOENT, MUST_PASS },
	{ INJECT_closedir, EBADF, MUST_PASS },
	{ INJECT_rename, ENOSPC, MAY_FAIL },
	{ INJECT_unlink, EACCES, MUST_PASS },
	{ INJECT_fchmod, EPERM, MUST_PASS },
	{ INJECT_getrlimit, EPERM, MUST_PASS },
	{ INJECT_getrandom, ENOSYS, MAY_FAIL },
	{ INJECT_socket, EMFILE, MAY_FAIL },
	{ INJECT_socket, ENOBUFS, MAY_FAIL },
	{ INJECT_socketpair, EMFILE, MAY_FAIL },
	{ INJECT_bind, ENOMEM, MAY_FAIL },
	{ INJECT_listen, EADDRINUSE, MAY_FAIL },
	{ INJECT_connect, EACCES, MAY_FAIL },
	{ INJECT_connect, EAGAIN, MUST_PASS },
	{ INJECT_connect, EINTR, MUST_PASS },
	{ INJECT_accept4, EMFILE, MUST_PASS },
	{ INJECT_accept4, ECONNABORTED, MUST_PASS },
	{ INJECT_accept4, EINTR, MUST_PASS },
	{ INJECT_getsockopt, ENOPROTOOPT, MAY_FAIL },
	{ INJECT_getsockopt, EMFILE, MAY_FAIL },
	{ INJECT_shutdown, ENOTCONN, MUST_PASS },
	{ INJECT_sendmsg, ENOBUFS, MAY_FAIL },
	{ INJECT_sendmsg, EPIPE, MAY_FAIL },
	{ INJECT_sendmsg, ETOOMANYREFS, MAY_FAIL },
	{ INJECT_sendmsg, EINTR, MUST_PASS },
	{ INJECT_sendmsg, EAGAIN, MAY_FAIL }, /* who does not read what it asked for is dropped */
	{ INJECT_recv, ECONNRESET, MAY_FAIL },
	{ INJECT_recv, EINTR, MUST_PASS },
	{ INJECT_recv, EAGAIN, MUST_PASS },
	{ INJECT_recvmsg, ECONNRESET, MAY_FAIL },
	{ INJECT_recvmsg, ENOMEM, MAY_FAIL },
	{ INJECT_recvmsg, EINTR, MUST_PASS },
	{ INJECT_recvmsg, EAGAIN, MUST_PASS },
	{ INJECT_poll, ENOMEM, MAY_FAIL },
	{ INJECT_poll, EINTR, MUST_PASS },
	{ INJECT_eventfd, EMFILE, MAY_FAIL },
	{ INJECT_futex, EINTR, MUST_PASS },
	{ INJECT_futex, EAGAIN, MUST_PASS },
	{ INJECT_pidfd_open, EMFILE, MAY_FAIL },
	{ INJECT_pidfd_open, ENOSYS, MAY_FAIL },
	{ INJECT_nanosleep, EINTR, MUST_PASS },
	{ INJECT_sched_getaffinity, EINVAL, MUST_PASS },
	{ INJECT_pthread_create, EAGAIN, MAY_FAIL },
	{ INJECT_pthread_key_create, EAGAIN, MAY_FAIL },
	{ INJECT_pthread_setspecific, ENOMEM, MAY_FAIL },
};
#define NFAULTS ((int)(sizeof(faults) / sizeof(faults[0])))

/* Brokers listen in a folder, as more calls are made for that. */
static char folder[] = "/tmp/ipcshare-inject-XXXXXX";

/* ---- What came of it, in memory that all ranks share ---- */

#define PLACES 64

struct tally {
	int uses, told, passed, nplaces;
	uintptr_t place[PLACES];
};
static struct tally *tallies; /* of faults[], here and elsewhere */

static void count(struct tally *t, uintptr_t place, int told)
{
	int i = 0;

	t->uses++;
	t->told += told;
	t->passed += !told;
	while (i < t->nplaces && t->place[i] != place)
		i++;
	if (i == t->nplaces && i < PLACES)
		t->place[t->nplaces++] = place;
}

/* ---- One fault ---- */

static const struct fault *fault;

/* Every failure names its cause, and none has waited for a deadline. */
static void check_told(struct again *a, const char *step, int status)
{
	const struct ipcshare_error *e = ipcshare_last_error();

	int may = fault->outcome == MAY_FAIL ||
		  (fault->outcome == FIRST_MAY_FAIL && a->me->nranks == 1);

	CHECK(may, "%s: %s fails: %s", a->what, step, ipcshare_explain());
	CHECK(status != IPCSHARE_ERR_TIMEOUT, "%s: %s has waited: %s", a->what, step,
	      ipcshare_explain());
	CHECK(e->stage[0] && e->text[0], "%s: %s has no detail", a->what, step);
	if (getenv("TEST_SHOW"))
		fprintf(stderr, "%s: rank %d: %s: %s: %s [%jd]\n", a->what, a->me->rank, step,
			ipcshare_status_name(status), ipcshare_explain(), (intmax_t)e->code);
}

static void check_held(const struct again *a, struct inject_held before)
{
	struct inject_held now = inject_held();

	CHECK(now.blocks == before.blocks && now.mapped == before.mapped && now.files == before.files,
	      "%s: before and now: blocks %jd, %jd; bytes mapped %jd, %jd; files %jd, %jd", a->what,
	      (intmax_t)before.blocks, (intmax_t)now.blocks, (intmax_t)before.mapped,
	      (intmax_t)now.mapped, (intmax_t)before.files, (intmax_t)now.files);
}

/* The first use and every n-th after it; make soak takes all. */
static int stride(void)
{
	return (int)test_setting("TEST_STRIDE", STRIDE);
}

struct sweep {
	struct test_rank *me;
	int which; /* of faults[] */
	enum inject_where where;
	struct test_resources before;
	struct inject_held held;
};

/* 0: in this life there was no such use. */
static int live_with(struct sweep *s, int use)
{
	struct again a = {
		.me = s->me, .victim = VICTIM, .told = check_told,
		.anyone = s->where == INJECT_ELSEWHERE,
	};
	int came[TEST_RANKS_MAX], failed[TEST_RANKS_MAX], is_victim = s->me->rank == VICTIM;
	int any = 0;
	uintptr_t place = 0;

	fault = &faults[s->which];
	snprintf(a.what, sizeof(a.what), "%s%s use %d, %s", inject_name(fault->call),
		 s->where == INJECT_HERE ? "" : " of the broker", use, strerrorname_np(fault->err));
	if (is_victim)
		inject_arm(fault->call, fault->err, use, s->where);
	inject_life(&a);
	inject_disarm(&place);
	inject_settle();
	again_everybodys(s->me, is_victim && place, came);
	again_everybodys(s->me, a.failures, failed);
	for (int r = 0; r < s->me->nranks; r++)
		any |= failed[r];
	CHECK_NOTHING_LEAKED(&s->before);
	check_held(&a, s->held);
	if (is_victim && place)
		count(&tallies[2 * s->which + s->where], place, any);
	return came[VICTIM];
}

static void none_told(struct again *a, const char *step, int status)
{
	FAIL("%s: %s: %d: %s", a->what, step, status, ipcshare_explain());
}

/* *arg: which set of faults[]. */
static void meets_faults(struct test_rank *me, void *arg)
{
	struct again a = { .me = me, .victim = VICTIM, .what = "no call", .told = none_told };
	struct sweep s = { .me = me };

	for (int i = 0; i < 2; i++) /* what is kept for the next time is no leak */
		inject_life(&a);
	test_resources(&s.before);
	s.held = inject_held();
	for (s.which = *(int *)arg; s.which < NFAULTS; s.which += SETS)
		for (s.where = INJECT_HERE; s.where <= INJECT_ELSEWHERE; s.where++)
			for (int use = 1; use <= MOST_USES && live_with(&s, use);)
				use += stride();
	inject_life(&a); /* which sweeps the folder */
}

/* ---- The first life of a process ---- */

struct first {
	int which, use;
};

/* As a killed process leaves it in the folder. */
static void leave_socket(void)
{
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/ipcshare-%016x", folder, (unsigned)getpid());
	CHECK(!bind(sock, (struct sockaddr *)&addr, sizeof(addr)), "bind: %m");
	close(sock);
}

/* Nothing is warm, so what a process needs once is met too. */
static void begins_with_a_fault(int channel, void *arg)
{
	struct test_rank me = { .rank = VICTIM, .nranks = 1 };
	struct again a = { .me = &me, .victim = VICTIM, .told = check_told };
	const struct first *first = arg;
	struct test_resources before;
	uintptr_t place;
	int came;

	fault = &faults[first->which];
	snprintf(a.what, sizeof(a.what), "%s use %d, %s", inject_name(fault->call), first->use,
		 strerrorname_np(fault->err));
	leave_socket();
	test_resources(&before);
	inject_arm(fault->call, fault->err, first->use, INJECT_HERE);
	inject_life_alone(&a);
	came = inject_disarm(&place);
	inject_settle();
	CHECK_NOTHING_LEAKED(&before);
	if (came)
		count(&tallies[2 * first->which], place, a.failures != 0);
	test_send(channel, &came, sizeof(came));
}

static int first_life_with(int which, int use)
{
	struct first first = { which, use };
	struct test_child *child = test_child(begins_with_a_fault, &first);
	int came = 0;

	test_recv(child->channel, &came, sizeof(came));
	test_child_join(child);
	return came;
}

static void print_table(void)
{
	struct tally sum = { .uses = 0 };

	printf("\n    %-20s %-14s %7s %6s %6s %6s\n", "call", "fails with", "places", "uses", "told",
	       "passed");
	for (int i = 0; i < 2 * NFAULTS; i++) {
		const struct tally *t = &tallies[i];

		if (!t->uses)
			continue;
		printf("    %-20s %-14s %7d %6d %6d %6d%s\n", inject_name(faults[i / 2].call),
		       strerrorname_np(faults[i / 2].err), t->nplaces, t->uses, t->told, t->passed,
		       i % 2 ? "  (broker)" : "");
		sum.nplaces += t->nplaces;
		sum.uses += t->uses;
		sum.told += t->told;
		sum.passed += t->passed;
	}
	printf("    %-20s %-14s %7d %6d %6d %6d\n    ", "all", "", sum.nplaces, sum.uses, sum.told,
	       sum.passed);
}

static int is_not_met(enum inject_call call)
{
	switch ((int)call) {
	case INJECT_free: /* it can't fail */
	case INJECT_syscall: /* counts as what it calls */
	case INJECT_ftruncate: /* only ipcshare-info's look at the kernel */
	case INJECT_access:
	case INJECT_nanosleep: /* only who waits for long: by chance */
	case INJECT_futex:
		return 1;
	}
	return 0;
}

static void check_all_met(void)
{
	int met[INJECT_COUNT] = { 0 };

	for (int i = 0; i < 2 * NFAULTS; i++)
		met[faults[i / 2].call] |= tallies[i].uses > 0;
	for (int i = 0; i < INJECT_COUNT; i++)
		CHECK(met[i] || is_not_met(i), "%s() never failed", inject_name(i));
}

static void each_call_that_fails_is_named_by_all_or_done_without(void)
{
	int ranks = (int)test_setting("TEST_RANKS", 2);

	for (int i = 0; i < NFAULTS; i++) {
		test_goes_on();
		for (int use = 1; use <= MOST_USES && first_life_with(i, use);)
			use += stride();
	}
	for (int i = 0; i < SETS; i++) {
		test_goes_on();
		test_ranks(ranks, meets_faults, &i);
	}
	print_table();
	check_all_met();
}

static void what_fails_for_a_cause_that_is_not_expected_is_a_system_error(void)
{
	struct ipcshare_ctx *ctx = NULL;
	uintptr_t place;

	inject_arm(INJECT_eventfd, EPERM, 1, INJECT_HERE);
	CHECK_FAILS(ipcshare_open(NULL, &ctx), IPCSHARE_ERR_SYSTEM);
	CHECK(inject_disarm(&place), "eventfd() was not called");
	CHECK_INT(ipcshare_last_error()->code, EPERM);
	CHECK_STATUS(ipcshare_open(NULL, &ctx), 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

/* ---- Around each test ---- */

static void begin(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	REQUIRE(mkdtemp(folder), "%s: %m", folder);
	setenv("IPCSHARE_SOCKET_DIR", folder, 1);
	tallies = mmap(NULL, 2 * NFAULTS * sizeof(*tallies), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(tallies != MAP_FAILED, "mmap: %m");
}

static void end(void)
{
	unsetenv("IPCSHARE_SOCKET_DIR");
	CHECK(!rmdir(folder), "%s: %m", folder);
	munmap(tallies, 2 * NFAULTS * sizeof(*tallies));
}

TEST_SUITE(inject, begin, end,
	TEST(each_call_that_fails_is_named_by_all_or_done_without),
	TEST(what_fails_for_a_cause_that_is_not_expected_is_a_system_error));
