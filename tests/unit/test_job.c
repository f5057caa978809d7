/* SPDX-License-Identifier: BSD-3-Clause */
/* The processes of a launcher find each other, and nobody else. */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "nobody.h"
#include "support/test.h"
#include "tools/job.h"

#define NRANKS 4
#define BIG ((size_t)1 << 20)

/* ---- Variables ---- */

static const char *const variables[] = {
	"OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALRANKID",
	"MPI_LOCALNRANKS",	      "SLURM_LOCALID",		    "SLURM_STEP_TASKS_PER_NODE",
	"SLURM_NODEID",
};
#define NVARIABLES (sizeof(variables) / sizeof(variables[0]))

/* In a child, so that no other test sees them. */
static void find_with(int channel, void *arg)
{
	const char *const *values = arg; /* NULL: not set */
	struct job job;
	int err;

	for (size_t i = 0; i < NVARIABLES; i++)
		if (values[i])
			setenv(variables[i], values[i], 1);
		else
			unsetenv(variables[i]);
	err = job_find(&job);
	test_send(channel, &err, sizeof(err));
	test_send(channel, &job, sizeof(job));
}

static int find(const char *const values[NVARIABLES], struct job *job)
{
	struct test_child *child = test_child(find_with, (void *)(uintptr_t)values);
	int err;

	test_recv(child->channel, &err, sizeof(err));
	test_recv(child->channel, job, sizeof(*job));
	test_child_join(child);
	return err;
}

static void each_launcher_says_which_rank_of_how_many_this_is(void)
{
	static const struct {
		const char *values[NVARIABLES];
		int rank, size;
	} cases[] = {
		{ { NULL }, 0, 1 },
		{ { "3", "8" }, 3, 8 },
		{ { NULL, NULL, "0", "2" }, 0, 2 },
		{ { NULL, NULL, NULL, NULL, "1", "4", "0" }, 1, 4 },
		{ { NULL, NULL, NULL, NULL, "1", "4" }, 1, 4 },
		{ { NULL, NULL, NULL, NULL, "1", "4(x2),3", "1" }, 1, 4 },
		{ { NULL, NULL, NULL, NULL, "2", "4(x2),3", "2" }, 2, 3 },
		{ { NULL, NULL, NULL, NULL, "2", "1,2(x10),3", "11" }, 2, 3 },
		{ { "1", "2", NULL, NULL, "0", "1", "0" }, 1, 2 }, /* mpirun in a job of Slurm */
		{ { NULL, "2" }, 0, 1 }, /* half of it is none */
		{ { NULL, NULL, NULL, NULL, "0" }, 0, 1 }, /* a batch script */
	};
	struct job job;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_STATUS(find(cases[i].values, &job), 0);
		CHECK(job.rank == cases[i].rank && job.size == cases[i].size,
		      "case %zu: rank %d of %d", i, job.rank, job.size);
	}
}

static void a_variable_that_makes_no_sense_is_an_error(void)
{
	static const char *const cases[][NVARIABLES] = {
		{ "2", "2" },
		{ "-1", "2" },
		{ "", "2" },
		{ "1x", "2" },
		{ "1", "" },
		{ "1", "99999999999999999999" },
		{ NULL, NULL, NULL, NULL, "1", "4(x", "1" },
		{ NULL, NULL, NULL, NULL, "1", "4(x2),3", "3" },
		{ NULL, NULL, NULL, NULL, "1", "4(x2)", "zero" },
		{ NULL, NULL, NULL, NULL, "1", "4;2", "0" },
	};
	struct job job;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(find(cases[i], &job) == IPCSHARE_ERR_BOOTSTRAP, "case %zu: rank %d of %d", i,
		      job.rank, job.size);
}

/* ---- Meeting ---- */

/* Rank @rank of @size, and what it met with. */
struct member {
	int rank, size, patience_ms;
	int status; /* expected of job_meet() */
	const char *says; /* in the explanation; NULL anything */
	void (*then)(struct job *job);
};

static void play(int channel, void *arg)
{
	const struct member *m = arg;
	struct job job = {
		.launcher = getppid(),
		.rank = m->rank,
		.size = m->size,
		.patience_ms = m->patience_ms,
	};
	struct test_resources before;
	int err;

	(void)channel;
	test_resources(&before);
	err = job_meet(&job);
	CHECK_STATUS(err, m->status);
	if (m->says)
		CHECK_HAS(ipcshare_explain(), m->says);
	if (!err && m->then)
		m->then(&job);
	if (!err)
		job_leave(&job);
	CHECK_NOTHING_LEAKED(&before);
}

/* All of them at the same time, but for the first one, which is the last one to be started. */
static void play_all(const struct member *members, int n)
{
	struct test_child *children[NRANKS];

	for (int i = n - 1; i >= 0; i--)
		children[i] = test_child(play, (void *)(uintptr_t)&members[i]);
	for (int i = 0; i < n; i++)
		test_child_join(children[i]);
}

static unsigned char byte_of(int rank, size_t at)
{
	return (unsigned char)((size_t)rank * 37 + at * 11 + (at >> 9));
}

static void exchange(struct job *job)
{
	static const size_t lens[] = { 1, 0, 513, BIG };
	unsigned char *mine = malloc(BIG), *all = malloc(BIG * NRANKS);

	REQUIRE(mine && all, "malloc");
	for (size_t at = 0; at < BIG; at++)
		mine[at] = byte_of(job->rank, at);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		memset(all, 0xee, BIG * NRANKS);
		REQUIRE_OK(job_allgather(job, NULL, mine, lens[i], all));
		for (size_t at = 0; at < lens[i] * (size_t)job->size; at++)
			REQUIRE(all[at] == byte_of((int)(at / lens[i]), at % lens[i]),
				"byte %zu of %zu a rank", at, lens[i]);
		REQUIRE_OK(job_barrier(job));
	}
	free(mine);
	free(all);
}

#define PATIENT (TEST_CHILD_PATIENCE_S * 1000)

static void ranks_of_one_launcher_meet_and_exchange_bytes(void)
{
	struct member members[NRANKS];

	for (int r = 0; r < NRANKS; r++)
		members[r] = (struct member){ r, NRANKS, PATIENT, 0, NULL, exchange };
	play_all(members, NRANKS);
}

static void nobody_answers(struct job *job)
{
	char all[3];

	CHECK_FAILS(job_allgather(job, NULL, "", 1, all), IPCSHARE_ERR_PEER_DEAD);
	CHECK_HAS(ipcshare_explain(), "rank 0 has ended, or gave up");
}

static void a_rank_that_never_comes_is_named_in_time(void)
{
	const struct member members[] = {
		{ 0, 3, 300, IPCSHARE_ERR_TIMEOUT, "rank 1 of 3 did not come in 0.3 s", NULL },
		{ 2, 3, PATIENT, 0, NULL, nobody_answers },
	};
	const struct member alone = { 2, 3, 300, IPCSHARE_ERR_TIMEOUT,
				      "rank 0 of 3 did not come in 0.3 s", NULL };
	uint64_t start = ipcshare__now_ns();

	play_all(members, 2);
	CHECK(ipcshare__now_ns() - start >= 300000000, "before the deadline");
	play_all(&alone, 1);
}

static void goes(struct job *job)
{
	(void)job;
}

static void misses_one(struct job *job)
{
	char all[3];

	CHECK_FAILS(job_allgather(job, NULL, "", 1, all), IPCSHARE_ERR_PEER_DEAD);
	CHECK_HAS(ipcshare_explain(), job->rank ? "rank 0 has ended" : "rank 1 has ended");
}

static void a_rank_that_ends_meanwhile_is_named(void)
{
	const struct member members[] = {
		{ 0, 3, PATIENT, 0, NULL, misses_one },
		{ 1, 3, PATIENT, 0, NULL, goes },
		{ 2, 3, PATIENT, 0, NULL, misses_one },
	};

	play_all(members, 3);
}

/* Until rank 0 has given up; it does not take long. */
static void stays(struct job *job)
{
	char byte;

	CHECK(test_poll(job->sockets[0], POLLIN), "rank 0 stays, too");
	CHECK_INT(recv(job->sockets[0], &byte, 1, 0), 0);
}

static void hears_nothing(struct job *job)
{
	char all[2];

	job->patience_ms = 200;
	CHECK_FAILS(job_allgather(job, NULL, "", 1, all), IPCSHARE_ERR_TIMEOUT);
	CHECK_HAS(ipcshare_explain(), "nothing came from rank 1 in 0.2 s");
}

static void a_rank_that_says_nothing_is_named_in_time(void)
{
	const struct member members[] = {
		{ 0, 2, PATIENT, 0, NULL, hears_nothing },
		{ 1, 2, PATIENT, 0, NULL, stays },
	};

	play_all(members, 2);
}

/* ---- Others ---- */

struct hello { /* as in job.c */
	uint32_t magic;
	int32_t rank, size;
};
#define HELLO 0x6a6f6231

static socklen_t address(unsigned uid, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(out->sun_path + 1, sizeof(out->sun_path) - 1,
					    "ipcshare-job-%u-%d", uid, getppid()));
}

/* Says that it is somebody, and is sent away. */
static void intrude(unsigned uid, struct hello h)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un name;
	socklen_t len = address(uid, &name);
	char byte;

	while (connect(fd, (struct sockaddr *)&name, len))
		usleep(1000); /* rank 0 is about to come */
	CHECK(send(fd, &h, sizeof(h), MSG_NOSIGNAL) == sizeof(h) || errno == EPIPE, "send: %m");
	CHECK(recv(fd, &byte, 1, 0) <= 0, "it is kept");
	close(fd);
}

static void strangers(int channel, void *arg)
{
	(void)arg;
	intrude(geteuid(), (struct hello){ 0x12345678, 1, 2 });
	intrude(geteuid(), (struct hello){ HELLO, 0, 2 });
	intrude(geteuid(), (struct hello){ HELLO, 2, 2 });
	intrude(geteuid(), (struct hello){ HELLO, -1, 2 });
	intrude(geteuid(), (struct hello){ HELLO, 1, 3 });
	test_signal(channel);
}

static void another_user(int channel, void *arg)
{
	unsigned uid = geteuid();

	(void)arg;
	REQUIRE(!test_become_nobody(), "another user: %m");
	intrude(uid, (struct hello){ HELLO, 1, 2 });
	test_signal(channel);
}

/* Rank 1 comes only when the intruder has been sent away. */
static void job_goes_on_without(void (*intruder)(int channel, void *arg))
{
	const struct member members[] = {
		{ 0, 2, PATIENT, 0, NULL, exchange },
		{ 1, 2, PATIENT, 0, NULL, exchange },
	};
	struct test_child *first = test_child(play, (void *)(uintptr_t)&members[0]),
			  *other = test_child(intruder, NULL), *second;

	test_await(other->channel);
	test_child_join(other);
	second = test_child(play, (void *)(uintptr_t)&members[1]);
	test_child_join(first);
	test_child_join(second);
}

static void who_is_no_rank_of_the_job_is_sent_away(void)
{
	job_goes_on_without(strangers);
}

static void another_user_is_sent_away(void)
{
	if (geteuid())
		test_skip("another user at the socket of a job: only root can be one");
	else
		job_goes_on_without(another_user);
}

/* Sits at the socket of root's job. */
static void occupy(int channel, void *arg)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un name;
	socklen_t len = address(geteuid(), &name);

	(void)arg;
	REQUIRE(!test_become_nobody(), "another user: %m");
	REQUIRE(!bind(fd, (struct sockaddr *)&name, len) && !listen(fd, 1), "bind, listen: %m");
	test_signal(channel);
	test_await(channel);
}

static void a_socket_that_another_user_has_is_not_used(void)
{
	const struct member members[] = {
		{ 0, 2, PATIENT, IPCSHARE_ERR_NOT_ALLOWED, "is another user's", NULL },
		{ 1, 2, PATIENT, IPCSHARE_ERR_NOT_ALLOWED, "is another user's", NULL },
	};
	struct test_child *other;

	if (geteuid()) {
		test_skip("a socket of a job that another user has: only root can be one");
		return;
	}
	other = test_child(occupy, NULL);
	test_await(other->channel);
	play_all(members, 2);
	test_signal(other->channel);
	test_child_join(other);
}

TEST_SUITE(job, NULL, NULL,
	TEST(each_launcher_says_which_rank_of_how_many_this_is),
	TEST(a_variable_that_makes_no_sense_is_an_error),
	TEST(ranks_of_one_launcher_meet_and_exchange_bytes),
	TEST(a_rank_that_never_comes_is_named_in_time),
	TEST(a_rank_that_ends_meanwhile_is_named),
	TEST(a_rank_that_says_nothing_is_named_in_time),
	TEST(who_is_no_rank_of_the_job_is_sent_away),
	TEST(another_user_is_sent_away),
	TEST(a_socket_that_another_user_has_is_not_used));
