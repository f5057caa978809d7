/* SPDX-License-Identifier: BSD-3-Clause */
/* The broker as its clients see it: who gets what, and what of good and bad bytes. */
#include <errno.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "offered.h"

/* ---- Who gets what ---- */

static void a_listed_process_gets_the_memory(void)
{
	offered_allow(&me, RW);
	CHECK_STATUS(offered_get(RW), 0);
	CHECK_STATUS(offered_get(RO), 0);
}

static void gets_nothing(int channel, void *arg)
{
	(void)channel;
	(void)arg;
	CHECK_STATUS(offered_get(RW), IPCSHARE_ERR_NOT_ALLOWED);
	CHECK_STATUS(offered_get(RO), IPCSHARE_ERR_NOT_ALLOWED);
}

static void who_knows_the_key_but_is_not_listed_gets_nothing(void)
{
	test_child_join(test_child(gets_nothing, NULL));
	CHECK_STATUS(offered_get(RW), IPCSHARE_ERR_NOT_ALLOWED); /* not even the owner itself */
}

static void a_fork_of_a_listed_process_is_not_listed(void)
{
	offered_allow(&me, RW);
	test_child_join(test_child(gets_nothing, NULL));
	CHECK_STATUS(offered_get(RW), 0);
}

static void sends_its_identity_and_gets(int channel, void *arg)
{
	struct ipcshare__identity id;
	int status;

	REQUIRE_OK(ipcshare__identity_self(*(enum ipcshare__identity_policy *)arg, 0, &id));
	test_send(channel, &id, sizeof(id));
	test_await(channel);
	status = offered_get(RW);
	test_send(channel, &status, sizeof(status));
	test_await(channel);
}

static void one_process_is_listed_by_each_kind_of_identity(void)
{
	static enum ipcshare__identity_policy policies[] = {
		IPCSHARE__IDENTITY_AUTO, IPCSHARE__IDENTITY_START,
	};

	for (int i = 0; i < 2; i++) {
		struct test_child *listed = test_child(sends_its_identity_and_gets, &policies[i]);
		struct test_child *other = test_child(sends_its_identity_and_gets, &policies[i]);
		struct ipcshare__identity id;
		int status;

		test_recv(other->channel, &id, sizeof(id));
		test_recv(listed->channel, &id, sizeof(id));
		offered_allow(&id, RW);
		test_signal(listed->channel);
		test_signal(other->channel);
		test_recv(listed->channel, &status, sizeof(status));
		CHECK_STATUS(status, 0);
		test_recv(other->channel, &status, sizeof(status));
		CHECK_STATUS(status, IPCSHARE_ERR_NOT_ALLOWED);
		test_signal(listed->channel);
		test_signal(other->channel);
		test_child_join(listed);
		test_child_join(other);
	}
}

/* A start time is in ticks of 10 ms: the next process is to have another. */
static void pass_a_tick(void)
{
	struct timespec a, b;

	clock_gettime(CLOCK_BOOTTIME, &a);
	do {
		sched_yield();
		clock_gettime(CLOCK_BOOTTIME, &b);
	} while (b.tv_sec == a.tv_sec && b.tv_nsec / 10000000 == a.tv_nsec / 10000000);
}

static void a_recycled_pid_gets_nothing(void)
{
	static enum ipcshare__identity_policy policies[] = {
		IPCSHARE__IDENTITY_AUTO, IPCSHARE__IDENTITY_START,
	};

	for (int i = 0; i < 2; i++) {
		struct test_child *c = test_child(sends_its_identity_and_gets, &policies[i]);
		struct ipcshare__identity id;
		pid_t pid = c->pid;
		int status;

		test_recv(c->channel, &id, sizeof(id));
		offered_allow(&id, RW);
		test_child_kill(c);
		pass_a_tick();
		c = test_child_as(pid, sends_its_identity_and_gets, &policies[i]);
		if (!c) {
			test_note("a pid can't be chosen here: an identity with the pid of a new "
				  "process and another start is listed instead");
			c = test_child(sends_its_identity_and_gets, &policies[i]);
			id.pid = (uint32_t)c->pid;
			offered_allow(&id, RW);
		}
		test_recv(c->channel, &id, sizeof(id));
		test_signal(c->channel);
		test_recv(c->channel, &status, sizeof(status));
		CHECK_STATUS(status, IPCSHARE_ERR_NOT_ALLOWED);
		test_signal(c->channel);
		test_child_join(c);
	}
}

static void a_wrong_secret_is_stale(void)
{
	offered_allow(&me, RW);
	secret[0] ^= 1;
	CHECK_STATUS(offered_get(RW), IPCSHARE_ERR_STALE);
	secret[0] ^= 1;
	secret[1] ^= UINT64_C(1) << 63;
	CHECK_STATUS(offered_get(RW), IPCSHARE_ERR_STALE);
}

static void withdrawn_memory_is_stale(void)
{
	offered_allow(&me, RW);
	ipcshare__broker_withdraw(broker, offer);
	CHECK_STATUS(offered_get(RW), IPCSHARE_ERR_STALE);
}

static void paused_memory_is_busy_for_who_may_have_it(void)
{
	ipcshare__broker_pause(broker, offer, 1);
	CHECK_STATUS(offered_get(RW), IPCSHARE_ERR_NOT_ALLOWED);
	offered_allow(&me, RW);
	CHECK_STATUS(offered_get(RW), IPCSHARE_ERR_BUSY);
	ipcshare__broker_pause(broker, offer, 0);
	CHECK_STATUS(offered_get(RW), 0);
}

static void a_read_only_grant_gives_no_write_access(void)
{
	offered_allow(&me, RO);
	CHECK_STATUS(offered_get(RW), IPCSHARE_ERR_READ_ONLY);
	CHECK_STATUS(offered_get(RO), 0);
	offered_allow(&me, RW); /* more */
	CHECK_STATUS(offered_get(RW), 0);
	offered_allow(&me, RO); /* does not take it back */
	CHECK_STATUS(offered_get(RW), 0);
}

static void is_served_as(int channel, void *arg)
{
	int *uid = arg;

	(void)channel;
	if (*uid)
		REQUIRE(!setresuid((uid_t)*uid, (uid_t)*uid, (uid_t)*uid), "errno %d", errno);
	CHECK_STATUS(offered_get(RW), *uid ? IPCSHARE_ERR_NOT_ALLOWED : 0);
}

static void is_refused_as(int channel, void *arg)
{
	uid_t uid = (uid_t)*(int *)arg;

	(void)channel;
	REQUIRE(!setresuid(uid, uid, uid), "errno %d", errno);
	CHECK_STATUS(offered_get(RW), IPCSHARE_ERR_NOT_ALLOWED);
}

static void an_open_offer_is_for_every_process_of_the_user(void)
{
	int stay = 0, nobody = 65534;

	memcpy(secret, ipcshare__offer_secret(offered_memfd(1)), sizeof(secret));
	CHECK_STATUS(offered_get(RW), 0);
	test_child_join(test_child(is_served_as, &stay));
	if (geteuid())
		test_note("not root: another user's process was not tried");
	else
		test_child_join(test_child(is_served_as, &nobody));
}

struct elsewhere {
	uint64_t endpoint, secret[2];
};

static struct ipcshare__broker *volatile parents; /* a checker of leaks finds it here */

/* There every user outside has the same id as this one: that of nobody. */
static void offers_where_no_user_is_known(int channel, void *arg)
{
	struct elsewhere e = { .endpoint = 0 };

	(void)arg;
	test_no_leak_check();
	if (!unshare(CLONE_NEWUSER)) {
		parents = broker;
		offered_start();
		e.endpoint = endpoint;
		memcpy(e.secret, ipcshare__offer_secret(offered_memfd(1)), sizeof(e.secret));
	}
	test_send(channel, &e, sizeof(e));
	test_await(channel);
	if (e.endpoint)
		offered_stop();
}

static void users_that_look_alike_in_a_namespace_are_not_one(void)
{
	struct test_child *c = test_child(offers_where_no_user_is_known, NULL);
	int nobody = 65534;
	struct elsewhere e;

	test_recv(c->channel, &e, sizeof(e));
	if (e.endpoint) {
		endpoint = e.endpoint;
		memcpy(secret, e.secret, sizeof(secret));
		CHECK_STATUS(offered_get(RW), IPCSHARE_ERR_NOT_ALLOWED);
		if (!geteuid())
			test_child_join(test_child(is_refused_as, &nobody));
	} else {
		test_skip("no right to make a user namespace");
	}
	test_signal(c->channel);
	test_child_join(c);
}

/* ---- Requests ---- */

static void a_full_batch_with_one_bad_key_fails_only_that(void)
{
	struct raw_request request = offered_request(IPCSHARE__BROKER_BATCH);
	struct raw_reply reply;
	struct stat st;
	int sock = raw_connect(endpoint);

	offered_allow(&me, RW);
	request.get[100].secret[0]++;
	raw_call(sock, &request, &reply);
	CHECK_INT(reply.head.status, 0);
	CHECK_INT(reply.head.count, IPCSHARE__BROKER_BATCH);
	CHECK_INT(reply.nfds, IPCSHARE__BROKER_BATCH - 1);
	for (int i = 0; i < IPCSHARE__BROKER_BATCH; i++)
		CHECK_STATUS(reply.got[i].status, i == 100 ? IPCSHARE_ERR_STALE : 0);
	for (size_t i = 0; i < reply.nfds; i++)
		CHECK(!fstat(reply.fds[i], &st) && st.st_ino == memfd.inode, "descriptor %zu", i);
	raw_close_fds(&reply);
	close(sock);
}

static void one_connection_serves_many_requests(void)
{
	struct raw_request request = offered_request(1);
	struct raw_reply reply;
	int sock = raw_connect(endpoint);

	offered_allow(&me, RW);
	for (int i = 0; i < 100; i++) {
		request.head.nonce++;
		raw_call(sock, &request, &reply);
		CHECK_STATUS(reply.got[0].status, 0);
		raw_close_fds(&reply);
	}
	close(sock);
}

/* The bytes are refused with @status and the connection ends; others are still served. */
static void check_refused(const void *bytes, size_t len, int status, const char *what)
{
	struct raw_reply reply;
	int sock = raw_connect(endpoint);

	raw_send(sock, bytes, len);
	raw_recv(sock, &reply);
	if (!CHECK_STATUS(reply.head.status, status))
		FAIL("%s, %zu bytes", what, len);
	CHECK_INT(reply.len, sizeof(reply.head));
	CHECK_INT(reply.nfds, 0);
	raw_close_fds(&reply);
	raw_recv(sock, &reply);
	CHECK(!reply.len, "%s: the connection stays", what);
	close(sock);
	CHECK_STATUS(offered_get(RW), 0);
}

static void malformed_requests_are_refused_and_hung_up_on(void)
{
	struct raw_request good = offered_request(2), r;
	size_t len = sizeof(good.head) + 2 * sizeof(good.get[0]);
	unsigned char garbage[2 * sizeof(struct raw_request)];
	unsigned random = 7;

	offered_allow(&me, RW);
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (unsigned char)((random = random * 1103515245u + 12345u) >> 16);
	for (size_t n = 1; n < 60; n++)
		check_refused(garbage, n, IPCSHARE_ERR_PROTOCOL, "garbage");
	check_refused(garbage, sizeof(garbage), IPCSHARE_ERR_PROTOCOL, "much garbage");
	for (size_t n = 1; n < len; n += n == 1 ? 22 : 1)
		check_refused(&good, n, IPCSHARE_ERR_PROTOCOL, "a cut request");
	check_refused(&good, len + 1, IPCSHARE_ERR_PROTOCOL, "a byte too many");
	check_refused(&good, len + sizeof(good.get[0]), IPCSHARE_ERR_PROTOCOL, "an entry too many");
	r = good;
	r.head.magic++;
	check_refused(&r, len, IPCSHARE_ERR_PROTOCOL, "wrong magic");
	r = good;
	r.head.op = 0;
	check_refused(&r, len, IPCSHARE_ERR_PROTOCOL, "op 0");
	r.head.op = 3;
	check_refused(&r, len, IPCSHARE_ERR_PROTOCOL, "op 3");
	r.head.op = RETIRE;
	check_refused(&r, len, IPCSHARE_ERR_PROTOCOL, "entries of another op");
	r = offered_request(0);
	check_refused(&r, sizeof(r.head), IPCSHARE_ERR_PROTOCOL, "count 0");
	r = offered_request(IPCSHARE__BROKER_BATCH + 1);
	check_refused(&r, sizeof(r.head) + (IPCSHARE__BROKER_BATCH + 1) * sizeof(r.get[0]),
		      IPCSHARE_ERR_PROTOCOL, "count 254");
	r = good;
	r.head.count = 65535;
	check_refused(&r, len, IPCSHARE_ERR_PROTOCOL, "count 65535");
}

static void another_layout_is_named_whatever_its_sizes_are(void)
{
	struct raw_request r = offered_request(2);

	offered_allow(&me, RW);
	r.head.layout++;
	check_refused(&r, sizeof(r.head) + 2 * sizeof(r.get[0]), IPCSHARE_ERR_VERSION,
		      "the same sizes");
	check_refused(&r, sizeof(r.head) + 2 * sizeof(r.get[0]) + 8, IPCSHARE_ERR_VERSION,
		      "larger entries");
	r.head.op = 9;
	check_refused(&r, sizeof(r.head), IPCSHARE_ERR_VERSION, "an op we don't know");
}

static void a_cut_request_is_not_answered_with_anothers_bytes(void)
{
	struct raw_request r = offered_request(1);
	uint64_t nonce = r.head.nonce;
	struct raw_reply reply;
	int sock = raw_connect(endpoint);

	raw_call(sock, &r, &reply);
	close(sock);
	sock = raw_connect(endpoint);
	raw_send(sock, &r, 4);
	raw_recv(sock, &reply);
	CHECK_STATUS(reply.head.status, IPCSHARE_ERR_PROTOCOL);
	CHECK(reply.head.nonce != nonce, "it shows another client's nonce");
	close(sock);
}

static void descriptors_in_a_request_are_not_kept(void)
{
	struct raw_request r = offered_request(1);
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { &r, sizeof(r.head) + sizeof(r.get[0]) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
	struct test_resources now;
	struct raw_reply reply;
	int sock = raw_connect(endpoint);

	offered_allow(&me, RW);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(cm), (int[]){ memfd.fd, memfd.fd }, 2 * sizeof(int));
	raw_call(sock, &r, &reply); /* so that the broker holds this connection in the snapshot */
	raw_close_fds(&reply);
	test_resources(&now);
	REQUIRE_INT(sendmsg(sock, &msg, MSG_NOSIGNAL), iov.iov_len);
	raw_recv(sock, &reply);
	CHECK_STATUS(reply.got[0].status, 0);
	raw_close_fds(&reply);
	CHECK_NOTHING_LEAKED(&now);
	close(sock);
}

/* ---- Retire ---- */

static void retire_is_answered_by_the_callback(void)
{
	struct raw_request r = { .head = raw_head(RETIRE, 3) };
	struct raw_reply reply;
	int sock = raw_connect(endpoint);

	for (uint32_t i = 0; i < 3; i++)
		r.retire[i] = (struct ipcshare__broker_retire){ 4711, i, 100 + i };
	raw_call(sock, &r, &reply);
	CHECK_INT(reply.head.status, 0);
	CHECK_INT(reply.head.count, 3);
	CHECK_INT(reply.len, sizeof(reply.head) + 3 * sizeof(reply.retired[0]));
	CHECK_STATUS(reply.retired[0].status, 0);
	CHECK_STATUS(reply.retired[1].status, IPCSHARE_ERR_BUSY);
	CHECK_STATUS(reply.retired[2].status, IPCSHARE_ERR_NOT_ALLOWED);
	CHECK_INT(retired.calls, 3);
	CHECK_INT(retired.pid, getpid());
	CHECK_INT(retired.owner, 4711);
	for (uint32_t i = 0; i < 3; i++) {
		CHECK_INT(retired.region[i], i);
		CHECK_INT(retired.generation[i], 100 + i);
	}
	close(sock);
}

TEST_SUITE(broker, offered_start, offered_stop,
	TEST(a_listed_process_gets_the_memory),
	TEST(who_knows_the_key_but_is_not_listed_gets_nothing),
	TEST(a_fork_of_a_listed_process_is_not_listed),
	TEST(one_process_is_listed_by_each_kind_of_identity),
	TEST(a_recycled_pid_gets_nothing),
	TEST(a_wrong_secret_is_stale),
	TEST(withdrawn_memory_is_stale),
	TEST(paused_memory_is_busy_for_who_may_have_it),
	TEST(a_read_only_grant_gives_no_write_access),
	TEST(an_open_offer_is_for_every_process_of_the_user),
	TEST(users_that_look_alike_in_a_namespace_are_not_one),
	TEST(a_full_batch_with_one_bad_key_fails_only_that),
	TEST(one_connection_serves_many_requests),
	TEST(malformed_requests_are_refused_and_hung_up_on),
	TEST(another_layout_is_named_whatever_its_sizes_are),
	TEST(a_cut_request_is_not_answered_with_anothers_bytes),
	TEST(descriptors_in_a_request_are_not_kept),
	TEST(retire_is_answered_by_the_callback));
