/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks that lack something: they share all the same, or are told what helps. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "forbid.h"
#include "nobody.h"
#include "program.h"
#include "team.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define REFUSE(err) (SECCOMP_RET_ERRNO | (err))
#define LEN 8192
#define STATUSES 1 /* lane */

/* ---- A life ---- */

/* The last step that is done, or the one that failed. */
enum step {
	OPEN,
	ALLOC,
	GROUP,
	SHARE,
};
static const char *const steps[] = { "open", "alloc", "group", "share" };

struct life {
	int status;
	enum step step;
};

/* Where one fails alone, the others must not wait for it. */
static int all_well(struct test_rank *me, int mine)
{
	const size_t lens[2] = { sizeof(int), sizeof(int) };
	int all[2];

	test_rank_gatherv(me, STATUSES, &mine, all, lens);
	return !all[0] && !all[1];
}

static int share(struct team *t, void *mine, unsigned flags)
{
	struct ipcshare_buf buf = { mine, LEN };
	struct ipcshare_set *set;
	int peer = !t->rank, status, err;

	team_fill(mine, LEN, t->rank, 5);
	err = ipcshare_share(t->group, &buf, 1, flags, &set);
	if (err)
		return err;
	status = ipcshare_set_status(set, peer, 0);
	if (!status)
		team_check(ipcshare_ptr(set, peer, 0), LEN, peer, 5);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	return status;
}

static int live_in_group(struct test_rank *me, struct team *t, void *mine, unsigned flags,
			 enum step *step)
{
	int err;

	*step = GROUP;
	err = ipcshare_group_create(t->ctx, &me->bootstrap, &t->group);
	if (err)
		return err;
	*step = SHARE;
	err = share(t, mine, flags);
	CHECK_STATUS(ipcshare_group_free(t->group), 0);
	return err;
}

/* Everything that a rank does, until the first failure. It leaves nothing, and its error. */
static struct life live(struct test_rank *me, unsigned flags)
{
	struct team t = { .rank = me->rank, .nranks = 2 };
	struct life l = { .step = OPEN };
	struct ipcshare_error error;
	void *mine;

	test_resources(&t.before);
	l.status = ipcshare_open(NULL, &t.ctx);
	if (!l.status) {
		l.step = ALLOC;
		l.status = ipcshare_alloc(t.ctx, LEN, &mine);
	}
	error = *ipcshare_last_error();
	if (all_well(me, l.status)) {
		l.status = live_in_group(me, &t, mine, flags, &l.step);
		error = *ipcshare_last_error();
	}
	if (t.ctx)
		CHECK_STATUS(ipcshare_close(t.ctx), 0);
	CHECK_NOTHING_LEAKED(&t.before);
	if (l.status)
		CHECK(error.status == l.status && error.text[0] && error.hint[0],
		      "%s fails with %s and says \"%s\" (%s)", steps[l.step],
		      ipcshare_status_name(l.status), error.text, error.hint);
	return l;
}

/* ---- System calls ---- */

static int no_memfd(void)
{
	return test_forbid(SYS_memfd_create, ENOSYS);
}

static int no_memfd_permission(void)
{
	return test_forbid(SYS_memfd_create, EPERM);
}

static int no_noexec_seal(void) /* before Linux 6.3 */
{
	return test_forbid_if(SYS_memfd_create, 1, 8, 8, REFUSE(EINVAL));
}

static int no_write_seal(void)
{
	return test_forbid_if(SYS_fcntl, 2, 0x10, 0x10, REFUSE(EINVAL));
}

static int no_pidfd_open(void)
{
	return test_forbid(SYS_pidfd_open, EPERM);
}

static int no_peer_pidfd(void) /* before Linux 6.5 */
{
	return test_forbid_if(SYS_getsockopt, 2, UINT32_MAX, SO_PEERPIDFD, REFUSE(ENOPROTOOPT));
}

static int no_pidfds(void)
{
	return no_pidfd_open() || no_peer_pidfd();
}

/* What yama, containers and IPCSHARE_HARDEN refuse. */
static int no_looks_into_others(void)
{
	return test_forbid_deadly(SYS_ptrace) || test_forbid_deadly(SYS_process_vm_readv) ||
	       test_forbid_deadly(SYS_process_vm_writev) || test_forbid_deadly(SYS_pidfd_getfd) ||
	       test_forbid_deadly(SYS_kcmp);
}

static int no_sockets(void)
{
	return test_forbid(SYS_socket, EPERM);
}

static int no_names_for_sockets(void)
{
	return test_forbid(SYS_bind, EACCES);
}

/* As landlock does with abstract ones of other sandboxes. */
static int no_connections(void)
{
	return test_forbid(SYS_connect, EPERM);
}

static int no_reserve(void)
{
	return test_forbid(SYS_fallocate, ENOSYS);
}

static int no_hardening(void)
{
	setenv("IPCSHARE_HARDEN", "1", 1);
	return test_forbid(SYS_prctl, EPERM);
}

static int no_eventfd(void)
{
	return test_forbid(SYS_eventfd2, EPERM);
}

/* ---- Limits ---- */

static int lower(int resource, rlim_t to)
{
	struct rlimit limit = { to, to };

	return setrlimit(resource, &limit);
}

static int no_threads(void)
{
	return test_become_nobody() || lower(RLIMIT_NPROC, 0);
}

static int no_locked_memory(void)
{
	return test_become_nobody() || lower(RLIMIT_MEMLOCK, 0);
}

static int files_of(rlim_t len)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit))
		return -1;
	limit.rlim_cur = len < limit.rlim_max ? len : limit.rlim_max;
	return setrlimit(RLIMIT_FSIZE, &limit);
}

static int no_files_of_a_page(void)
{
	return files_of(4096);
}

/* ---- Places ---- */

static int cover(const char *dir, unsigned long flags)
{
	return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	       mount("tmpfs", dir, "tmpfs", flags, NULL);
}

static int no_proc(void)
{
	return cover("/proc", 0);
}

/* As hidepid= does for who may not attach. */
static int no_look_at_peers(void)
{
	setenv("IPCSHARE_IDENTITY", "start", 1);
	return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	       mount("proc", "/proc", "proc", 0, "hidepid=invisible") || test_become_nobody();
}

static int no_look_at_hardened_peers(void)
{
	return no_look_at_peers() || setenv("IPCSHARE_HARDEN", "1", 1);
}

static int read_only_folder(void)
{
	setenv("IPCSHARE_SOCKET_DIR", "/tmp", 1);
	return cover("/tmp", MS_RDONLY);
}

static int no_folder(void)
{
	return setenv("IPCSHARE_SOCKET_DIR", "/tmp/ipcshare-no-such-folder", 1);
}

static int another_user(void)
{
	return test_become_nobody();
}

/* ---- The table ---- */

#define BOTH 3
#define ONE 2 /* rank 1 */

static const struct lack {
	const char *what;
	int (*take)(void); /* not 0: that is not permitted here */
	int ranks; /* bits: who lacks it */
	int as_root;
	unsigned flags; /* of the share */
	int status;
	enum step step;
	const char *hint;
} lacks[] = {
	{ "memfd_create", no_memfd, BOTH, 0, 0, IPCSHARE_ERR_NO_BACKEND, OPEN, "seccomp" },
	{ "memfd_create, on one rank", no_memfd_permission, ONE, 0, 0, IPCSHARE_ERR_NO_BACKEND, OPEN,
	  "seccomp" },
	{ "MFD_NOEXEC_SEAL", no_noexec_seal, BOTH, 0, 0, 0, SHARE, "" },
	{ "F_SEAL_FUTURE_WRITE", no_write_seal, BOTH, 0, 0, 0, SHARE, "" },
	{ "F_SEAL_FUTURE_WRITE, to share read-only", no_write_seal, BOTH, 0, IPCSHARE_READ_ONLY,
	  IPCSHARE_ERR_UNSUPPORTED, SHARE, "Linux 5.1" },
	{ "pidfd_open", no_pidfd_open, BOTH, 0, 0, 0, SHARE, "" },
	{ "pidfd_open, on one rank", no_pidfd_open, ONE, 0, 0, 0, SHARE, "" },
	{ "SO_PEERPIDFD", no_peer_pidfd, BOTH, 0, 0, 0, SHARE, "" },
	{ "both", no_pidfds, BOTH, 0, 0, 0, SHARE, "" },
	{ "ptrace, process_vm_*, pidfd_getfd, kcmp", no_looks_into_others, BOTH, 0, 0, 0, SHARE, "" },
	{ "socket", no_sockets, BOTH, 0, 0, IPCSHARE_ERR_SYSTEM, OPEN, "seccomp" },
	{ "bind", no_names_for_sockets, BOTH, 0, 0, IPCSHARE_ERR_SYSTEM, OPEN, "seccomp" },
	{ "connect, on one rank", no_connections, ONE, 0, 0, IPCSHARE_ERR_UNREACHABLE, GROUP,
	  "IPCSHARE_SOCKET_DIR" },
	{ "eventfd", no_eventfd, BOTH, 0, 0, IPCSHARE_ERR_SYSTEM, OPEN, "seccomp" },
	{ "prctl, with IPCSHARE_HARDEN", no_hardening, BOTH, 0, 0, IPCSHARE_ERR_SYSTEM, OPEN, "seccomp" },
	{ "fallocate", no_reserve, BOTH, 0, 0, IPCSHARE_ERR_UNSUPPORTED, ALLOC, "seccomp" },
	{ "threads (RLIMIT_NPROC)", no_threads, BOTH, 0, 0, IPCSHARE_ERR_LIMIT, OPEN, "ulimit -u" },
	{ "locked memory (RLIMIT_MEMLOCK)", no_locked_memory, BOTH, 0, 0, 0, SHARE, "" },
	{ "files of a page (RLIMIT_FSIZE)", no_files_of_a_page, BOTH, 0, 0, IPCSHARE_ERR_LIMIT, ALLOC,
	  "ulimit -f" },
	{ "/proc", no_proc, BOTH, 1, 0, IPCSHARE_ERR_SYSTEM, OPEN, "mount /proc" },
	{ "others' processes in /proc", no_look_at_peers, BOTH, 1, 0, 0, SHARE, "" },
	{ "hardened ones, too", no_look_at_hardened_peers, BOTH, 1, 0, IPCSHARE_ERR_UNREACHABLE, GROUP,
	  "hidepid" },
	{ "a folder that can be written", read_only_folder, BOTH, 1, 0, IPCSHARE_ERR_SYSTEM, OPEN,
	  "IPCSHARE_SOCKET_DIR" },
	{ "a folder", no_folder, BOTH, 0, 0, IPCSHARE_ERR_SYSTEM, OPEN, "IPCSHARE_SOCKET_DIR" },
	{ "the same user", another_user, ONE, 1, 0, 0, SHARE, "" },
};

static void lives_without(struct test_rank *me, void *arg)
{
	const struct lack *lack = arg;
	int mine = lack->ranks >> me->rank & 1;
	struct life l;

	test_no_leak_check();
	if (!all_well(me, mine ? lack->take() : 0)) {
		test_skip("to lack %s takes a right that is not here", lack->what);
		return;
	}
	l = live(me, lack->flags);
	files_of(RLIM_INFINITY); /* else what gcov counts can't be written at the end */
	if (l.status == 0 && !mine && l.step <= ALLOC)
		return; /* the other failed alone */
	CHECK(l.status == lack->status && l.step == lack->step, "without %s: %s in %s: %s",
	      lack->what, ipcshare_status_name(l.status), steps[l.step],
	      l.status ? ipcshare_explain() : "");
	CHECK_HAS(l.status ? ipcshare_last_error()->hint : "", lack->hint);
}

static void what_is_lacking_is_done_without_or_named_with_what_helps(void)
{
	for (size_t i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++) {
		if (lacks[i].as_root && geteuid()) {
			test_skip("not root: %s can't be taken away", lacks[i].what);
			continue;
		}
		if (test_ranks(2, lives_without, (void *)&lacks[i]))
			FAIL("without %s", lacks[i].what);
		test_goes_on();
	}
}

/* ---- A little of something ---- */

/* What rank 1 has, beside what it holds already. */
struct little {
	const char *what;
	int resource;
	rlim_t (*limit)(int round); /* a round gives a little more */
	int statuses[2]; /* what it may come to, beside success */
};

/* The limit is one on numbers, and the lowest that are free are taken. */
static rlim_t so_many_descriptors(int round)
{
	int fd = 0;

	while (fcntl(fd, F_GETFD) >= 0 || round-- > 0)
		fd++;
	return (rlim_t)fd;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which need more than a test can count */
static rlim_t so_much_space(int round)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	REQUIRE(f && fscanf(f, "%lu", &pages) == 1, "errno %d", errno);
	fclose(f);
	return pages * (rlim_t)sysconf(_SC_PAGESIZE) + (rlim_t)round * (128 << 10);
}
#endif

/* Round by round a little more, until all is well. */
static void lives_with_a_little(struct test_rank *me, void *arg)
{
	const struct little *little = arg;
	struct rlimit before, limit;
	struct life l = { .status = -1 };
	int rounds = 0, failures = 0;

	test_no_leak_check();
	REQUIRE(!getrlimit(little->resource, &before), "errno %d", errno);
	for (int done = 0; !done; rounds++) {
		limit = before;
		if (me->rank)
			limit.rlim_cur = little->limit(rounds);
		REQUIRE(!setrlimit(little->resource, &limit), "errno %d", errno);
		l = live(me, 0);
		REQUIRE(!setrlimit(little->resource, &before), "errno %d", errno);
		failures += l.status != 0;
		CHECK(!l.status || l.status == little->statuses[0] ||
		      l.status == little->statuses[1], "%s, round %d: %s in %s: %s", little->what,
		      rounds, ipcshare_status_name(l.status), steps[l.step], ipcshare_explain());
		done = all_well(me, l.status || (me->rank == 0 && l.step != SHARE));
		REQUIRE(rounds < 200, "it never ends");
	}
	if (me->rank) {
		CHECK(failures >= 3, "only %d of %d rounds failed", failures, rounds);
		test_figure("%s: %d of %d rounds fail", little->what, failures, rounds);
	}
}

static void a_little_is_enough_or_a_limit_that_is_named(void)
{
	struct little files = { "descriptors", RLIMIT_NOFILE, so_many_descriptors,
				{ IPCSHARE_ERR_LIMIT, IPCSHARE_ERR_LIMIT } };

	test_ranks(2, lives_with_a_little, &files);
	test_goes_on();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	test_skip("sanitizers need more address space than a test can count");
#else
	struct little space = { "address space", RLIMIT_AS, so_much_space,
				{ IPCSHARE_ERR_LIMIT, IPCSHARE_ERR_NO_MEMORY } };

	test_ranks(2, lives_with_a_little, &space);
#endif
}

static void opens_without_notice_of_forks(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	REQUIRE(!test_forbid_if(SYS_madvise, 2, UINT32_MAX, MADV_WIPEONFORK, REFUSE(EINVAL)),
		"errno %d", errno);
	execl("/proc/self/exe", "run-unit", PROGRAM_OPENS, NULL);
	FAIL("execl: errno %d", errno);
}

/* A process asks once, and what it forks has the answer: so another program. */
static void where_forks_cant_be_noticed_no_context_opens(void)
{
	CHECK_INT(test_child_wait(test_child(opens_without_notice_of_forks, NULL)),
		  -IPCSHARE_ERR_UNSUPPORTED << 8);
}

static void ranks_of_two_users_cant_share_over_a_folder(void)
{
	static const struct lack lack = {
		"the same user", another_user, ONE, 1, 0, IPCSHARE_ERR_UNREACHABLE, GROUP, "one user",
	};
	char folder[] = "/tmp/ipcshare-test-XXXXXX";

	if (geteuid()) {
		test_skip("not root: there is no other user to be");
		return;
	}
	REQUIRE(mkdtemp(folder) && !chmod(folder, 01777), "errno %d", errno);
	setenv("IPCSHARE_SOCKET_DIR", folder, 1);
	CHECK_INT(test_ranks(2, lives_without, (void *)&lack), 0);
	unsetenv("IPCSHARE_SOCKET_DIR");
	CHECK(!rmdir(folder), "errno %d", errno);
}

TEST_SUITE(lacks, NULL, NULL,
	TEST(what_is_lacking_is_done_without_or_named_with_what_helps),
	TEST(a_little_is_enough_or_a_limit_that_is_named),
	TEST(where_forks_cant_be_noticed_no_context_opens),
	TEST(ranks_of_two_users_cant_share_over_a_folder));
