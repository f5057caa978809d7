/* SPDX-License-Identifier: BSD-3-Clause */
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/identity.h"
#include "support/test.h"

#define AUTO IPCSHARE__IDENTITY_AUTO
#define START IPCSHARE__IDENTITY_START

static struct ipcshare__identity self(enum ipcshare__identity_policy policy)
{
	struct ipcshare__identity id;

	REQUIRE_OK(ipcshare__identity_self(policy, 77, &id));
	return id;
}

static void an_identity_says_who_we_are(void)
{
	struct ipcshare__identity id = self(AUTO), by_start = self(START);

	CHECK_INT(id.magic, IPCSHARE__MAGIC_IDENTITY);
	CHECK_INT(id.pid, getpid());
	CHECK_INT(id.tgid, ipcshare__outermost_tgid());
	CHECK_INT(id.uid, geteuid());
	CHECK_INT(id.endpoint, 77);
	CHECK_INT(id.device, -1);
	CHECK(id.proc && id.pidns, "proc %ju, pidns %ju", (uintmax_t)id.proc, (uintmax_t)id.pidns);
	CHECK(id.kind == IPCSHARE__BY_PIDFD || id.kind == IPCSHARE__BY_START, "kind %d", id.kind);
	CHECK_STATUS(ipcshare__identity_check(&id, "the test"), 0);
	CHECK_INT(by_start.kind, IPCSHARE__BY_START);
	CHECK_STATUS(ipcshare__identity_check(&by_start, "the test"), 0);
	if (id.kind == IPCSHARE__BY_START)
		test_note("no pidfd inodes on this kernel: identity is by start time alone");
}

static void identities_are_the_same_every_time(void)
{
	static const enum ipcshare__identity_policy policies[] = { AUTO, START };
	struct test_resources before;

	test_resources(&before);
	for (int i = 0; i < 2; i++) {
		struct ipcshare__identity a = self(policies[i]), b = self(policies[i]);

		CHECK_MEM(&a, &b, sizeof(a));
		CHECK(ipcshare__identity_same(&a, &b), "policy %d", policies[i]);
		b.endpoint = 78; /* another context of the same process */
		CHECK(ipcshare__identity_same(&a, &b), "policy %d", policies[i]);
	}
	CHECK_NOTHING_LEAKED(&before);
}

static void every_altered_byte_of_an_identity_is_seen(void)
{
	struct ipcshare__identity id = self(AUTO);

	for (size_t i = 0; i < sizeof(id); i++) {
		((unsigned char *)&id)[i] ^= 0x10;
		CHECK_FAILS(ipcshare__identity_check(&id, "the test"), IPCSHARE_ERR_PROTOCOL);
		((unsigned char *)&id)[i] ^= 0x10;
	}
	CHECK_STATUS(ipcshare__identity_check(&id, "the test"), 0);
	memset(&id, 0, sizeof(id));
	CHECK_FAILS(ipcshare__identity_check(&id, "the test"), IPCSHARE_ERR_PROTOCOL);
}

static void an_unknown_kind_is_refused_though_its_checksum_is_right(void)
{
	struct ipcshare__identity id = self(AUTO);

	id.kind = 3;
	id.check = ipcshare__checksum32(&id, offsetof(struct ipcshare__identity, check));
	CHECK_FAILS(ipcshare__identity_check(&id, "the test"), IPCSHARE_ERR_PROTOCOL);
}

/* ---- Two processes ---- */

struct two {
	struct ipcshare__identity by_auto, by_start;
};

static void sends_its_identities(int channel, void *arg)
{
	struct two ids = { self(AUTO), self(START) };

	(void)arg;
	test_send(channel, &ids, sizeof(ids));
	test_await(channel);
}

/* The next process has another start time than any before: a tick is 10 ms. */
static void pass_a_tick(void)
{
	struct timespec a, b;

	clock_gettime(CLOCK_BOOTTIME, &a);
	do {
		sched_yield();
		clock_gettime(CLOCK_BOOTTIME, &b);
	} while (b.tv_sec == a.tv_sec && b.tv_nsec / 10000000 == a.tv_nsec / 10000000);
}

static void another_process_is_another_identity(void)
{
	struct two mine = { self(AUTO), self(START) }, theirs;
	struct test_child *c = test_child(sends_its_identities, NULL);

	test_recv(c->channel, &theirs, sizeof(theirs));
	CHECK(!ipcshare__identity_same(&mine.by_auto, &theirs.by_auto), "a child is its parent");
	CHECK(!ipcshare__identity_same(&mine.by_start, &theirs.by_start), "a child is its parent");
	CHECK(!ipcshare__identity_same(&mine.by_auto, &theirs.by_start), "kinds are mixed");
	CHECK_INT(theirs.by_auto.pid, c->pid);
	test_signal(c->channel);
	test_child_join(c);
}

static void the_same_pid_and_start_on_another_machine_or_namespace_is_another(void)
{
	struct ipcshare__identity a = self(START), b = a;

	b.boot[3] ^= 1;
	CHECK(!ipcshare__identity_same(&a, &b), "other boot id");
	b = a;
	b.pidns++;
	CHECK(!ipcshare__identity_same(&a, &b), "other pid namespace");
	b = a;
	b.pid++;
	CHECK(!ipcshare__identity_same(&a, &b), "other pid");
	b = a;
	b.proc++;
	CHECK(!ipcshare__identity_same(&a, &b), "other start time");
	a = b = self(AUTO);
	b.boot[3] ^= 1;
	CHECK(!ipcshare__identity_same(&a, &b), "other boot id");
}

static struct test_child *recycled(struct two *first, struct two *second)
{
	struct test_child *c = test_child(sends_its_identities, NULL);
	pid_t pid = c->pid;

	test_recv(c->channel, first, sizeof(*first));
	test_child_kill(c);
	pass_a_tick();
	c = test_child_as(pid, sends_its_identities, NULL);
	if (c) {
		test_recv(c->channel, second, sizeof(*second));
		CHECK_INT(second->by_auto.pid, pid);
		return c;
	}
	test_note("a pid can't be chosen here (needs CAP_CHECKPOINT_RESTORE): forged instead");
	*second = *first;
	second->by_start.proc++;
	second->by_auto.proc++;
	return NULL;
}

static void a_recycled_pid_is_somebody_else(void)
{
	struct two first, second;
	struct test_child *c = recycled(&first, &second);

	CHECK_INT(first.by_start.pid, second.by_start.pid);
	CHECK(!ipcshare__identity_same(&first.by_auto, &second.by_auto), "proc %ju and %ju",
	      (uintmax_t)first.by_auto.proc, (uintmax_t)second.by_auto.proc);
	CHECK(!ipcshare__identity_same(&first.by_start, &second.by_start), "started at %ju and %ju",
	      (uintmax_t)first.by_start.proc, (uintmax_t)second.by_start.proc);
	if (c)
		test_signal(c->channel);
}

/* ---- Callers ---- */

/* A pair's ends name who made it: us. A listener and a client name each other. */
static void the_kernel_names_the_caller(void)
{
	struct two mine = { self(AUTO), self(START) }, other = mine;
	struct ipcshare__caller caller;
	struct test_resources before;
	int pair[2];

	test_resources(&before);
	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "no sockets");
	REQUIRE_OK(ipcshare__caller_of(pair[0], &caller));
	CHECK_INT(caller.pid, getpid());
	CHECK_INT(caller.uid, geteuid());
	CHECK(ipcshare__caller_is(&caller, &mine.by_auto), "we are not ourselves");
	CHECK(ipcshare__caller_is(&caller, &mine.by_start), "we are not ourselves by start time");
	CHECK_INT(ipcshare__pidfd_ended(caller.pidfd), 0);
	other.by_auto.proc++;
	other.by_start.proc++;
	CHECK(!ipcshare__caller_is(&caller, &other.by_auto), "any process is taken");
	CHECK(!ipcshare__caller_is(&caller, &other.by_start), "any start time is taken");
	other.by_start = mine.by_start;
	other.by_start.pid++;
	CHECK(!ipcshare__caller_is(&caller, &other.by_start), "any pid is taken");
	other.by_start = mine.by_start;
	other.by_start.pidns++;
	CHECK(!ipcshare__caller_is(&caller, &other.by_start), "any pid namespace is taken");
	ipcshare__caller_close(&caller);
	ipcshare__caller_close(&caller); /* once more does nothing */
	close(pair[0]);
	close(pair[1]);
	CHECK_NOTHING_LEAKED(&before);
}

static void what_is_no_unix_socket_has_no_caller(void)
{
	struct ipcshare__caller caller = { .pid = 5 };
	int pipes[2];

	REQUIRE(!pipe(pipes), "no pipe");
	CHECK(ipcshare__caller_of(pipes[0], &caller) < 0, "a pipe has a caller");
	CHECK_INT(caller.pid, 5);
	close(pipes[0]);
	close(pipes[1]);
}

/* Calls, hands the socket over and ends: the socket keeps naming it. */
static void calls_and_sends_its_identities(int channel, void *arg)
{
	int *listener = arg, sock;
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	REQUIRE(!getsockname(*listener, (struct sockaddr *)&addr, &len), "no name");
	sock = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	REQUIRE(!connect(sock, (struct sockaddr *)&addr, len), "no connection");
	sends_its_identities(channel, NULL);
}

static int listen_anywhere(void)
{
	struct sockaddr addr = { .sa_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	REQUIRE(!bind(sock, &addr, sizeof(sa_family_t)) && !listen(sock, 8), "can't listen");
	return sock;
}

static void a_caller_that_has_ended_is_nobody(void)
{
	struct two mine = { self(AUTO), self(START) }, theirs;
	int listener = listen_anywhere(), sock;
	struct test_child *c = test_child(calls_and_sends_its_identities, &listener);
	struct ipcshare__caller caller;

	test_recv(c->channel, &theirs, sizeof(theirs));
	sock = accept(listener, NULL, NULL);
	REQUIRE_OK(ipcshare__caller_of(sock, &caller));
	CHECK_INT(caller.pid, c->pid);
	CHECK(ipcshare__caller_is(&caller, &theirs.by_auto), "the caller is not itself");
	CHECK(ipcshare__caller_is(&caller, &theirs.by_start), "the caller is not itself");
	CHECK(!ipcshare__caller_is(&caller, &mine.by_auto), "the caller is us");
	CHECK(!ipcshare__caller_is(&caller, &mine.by_start), "the caller is us");
	CHECK_INT(ipcshare__pidfd_ended(caller.pidfd), 0);
	test_child_kill(c);
	CHECK(ipcshare__pidfd_ended(caller.pidfd), "its end is not seen");
	CHECK(!ipcshare__caller_is(&caller, &theirs.by_start), "a dead process passes by its pid");
	ipcshare__caller_close(&caller);
	close(sock);
	close(listener);
}

/* A new process with the old one's pid calls; the old one's identity is not its. */
static void a_caller_with_a_recycled_pid_is_not_who_had_it_before(void)
{
	int listener = listen_anywhere(), sock;
	struct test_child *c = test_child(calls_and_sends_its_identities, &listener);
	struct ipcshare__caller caller;
	struct two old, new;
	pid_t pid = c->pid;

	test_recv(c->channel, &old, sizeof(old));
	close(accept(listener, NULL, NULL));
	test_child_kill(c);
	pass_a_tick();
	c = test_child_as(pid, calls_and_sends_its_identities, &listener);
	if (!c) {
		test_note("a pid can't be chosen here: another process's identity is forged "
			  "to have its pid");
		c = test_child(calls_and_sends_its_identities, &listener);
		old.by_start.pid = (uint32_t)c->pid;
	}
	test_recv(c->channel, &new, sizeof(new));
	sock = accept(listener, NULL, NULL);
	REQUIRE_OK(ipcshare__caller_of(sock, &caller));
	CHECK_INT(caller.pid, old.by_start.pid);
	CHECK(!ipcshare__caller_is(&caller, &old.by_auto), "the pid is enough");
	CHECK(!ipcshare__caller_is(&caller, &old.by_start), "the pid is enough");
	CHECK(ipcshare__caller_is(&caller, &new.by_auto), "the new process is not itself");
	CHECK(ipcshare__caller_is(&caller, &new.by_start), "the new process is not itself");
	ipcshare__caller_close(&caller);
	close(sock);
	close(listener);
}

static void no_pidfd_never_ends(void)
{
	CHECK_INT(ipcshare__pidfd_ended(-1), 0);
}

/* ---- Watching a process that only its identity is known of ---- */

static int watch(const struct ipcshare__identity *id, int expected_to_have_ended)
{
	int ended = -1, pidfd = ipcshare__identity_watch(id, &ended);

	CHECK_INT(ended, expected_to_have_ended);
	return pidfd;
}

static void watch_to_its_end(struct test_child *c, const struct ipcshare__identity *id)
{
	int pidfd = watch(id, 0);

	REQUIRE(pidfd >= 0, "it lives, and is not watched");
	CHECK_INT(ipcshare__pidfd_ended(pidfd), 0);
	test_child_kill(c);
	CHECK_INT(ipcshare__pidfd_ended(pidfd), 1);
	close(pidfd);
	CHECK_INT(watch(id, 1), -1);
}

static void a_process_is_watched_by_its_identity(void)
{
	for (int by_start = 0; by_start < 2; by_start++) {
		struct test_child *c = test_child(sends_its_identities, NULL);
		struct two ids;

		test_recv(c->channel, &ids, sizeof(ids));
		watch_to_its_end(c, by_start ? &ids.by_start : &ids.by_auto);
	}
}

static void whoever_has_its_pid_now_is_not_taken_for_it(void)
{
	struct ipcshare__identity id = self(AUTO);

	id.proc++; /* it was another process, with our pid */
	CHECK_INT(watch(&id, 1), -1);
	id = self(START);
	id.proc--;
	CHECK_INT(watch(&id, 1), -1);
}

static void a_process_of_another_pid_namespace_can_not_be_watched(void)
{
	struct ipcshare__identity id = self(AUTO);

	id.pidns++;
	CHECK_INT(watch(&id, 0), -1);
}

static void a_process_that_stands_is_seen_to(void)
{
	struct test_child *c = test_child(sends_its_identities, NULL);
	struct two ids;

	test_recv(c->channel, &ids, sizeof(ids));
	CHECK_INT(ipcshare__identity_stopped(&ids.by_auto), 0);
	test_child_stop(c);
	CHECK_INT(ipcshare__identity_stopped(&ids.by_auto), 1);
	ids.by_auto.pidns++;
	CHECK_INT(ipcshare__identity_stopped(&ids.by_auto), 0);
	ids.by_auto.pidns--;
	test_child_kill(c);
	CHECK_INT(ipcshare__identity_stopped(&ids.by_auto), 0);
}

TEST_SUITE(identity, NULL, NULL,
	TEST(an_identity_says_who_we_are),
	TEST(identities_are_the_same_every_time),
	TEST(every_altered_byte_of_an_identity_is_seen),
	TEST(an_unknown_kind_is_refused_though_its_checksum_is_right),
	TEST(another_process_is_another_identity),
	TEST(the_same_pid_and_start_on_another_machine_or_namespace_is_another),
	TEST(a_recycled_pid_is_somebody_else),
	TEST(the_kernel_names_the_caller),
	TEST(what_is_no_unix_socket_has_no_caller),
	TEST(a_caller_that_has_ended_is_nobody),
	TEST(a_caller_with_a_recycled_pid_is_not_who_had_it_before),
	TEST(no_pidfd_never_ends),
	TEST(a_process_is_watched_by_its_identity),
	TEST(whoever_has_its_pid_now_is_not_taken_for_it),
	TEST(a_process_of_another_pid_namespace_can_not_be_watched),
	TEST(a_process_that_stands_is_seen_to));
