/* SPDX-License-Identifier: BSD-3-Clause */
/* A broker's start, stop and limits, and what a fork does to it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/host/socket.h"

#include "offered.h"

/* ---- Start and stop ---- */

static void clients_see_the_broker_stop(void)
{
	struct raw_request r = offered_request(1);
	struct raw_reply reply;
	int sock = raw_connect(endpoint), waiting = raw_connect(endpoint);

	raw_call(sock, &r, &reply);
	ipcshare__broker_stop(broker, 0);
	broker = NULL;
	raw_recv(sock, &reply);
	CHECK_INT(reply.len, 0);
	raw_recv(waiting, &reply);
	CHECK_INT(reply.len, 0);
	close(sock);
	close(waiting);
}

static void starting_and_stopping_leaves_nothing(void)
{
	struct test_resources here;
	struct ipcshare__broker *b;
	struct ipcshare__offer *o;

	test_resources(&here);
	for (int i = 0; i < 200; i++) {
		REQUIRE_OK(ipcshare__broker_start(&config, offered_retire, NULL, &b));
		CHECK(ipcshare__broker_endpoint(b) != endpoint, "two brokers have one endpoint");
		REQUIRE_OK(ipcshare__broker_offer(b, memfd.fd, 0, 4096, 0, &o));
		REQUIRE_OK(ipcshare__broker_allow(b, o, &me, 1, RW));
		ipcshare__broker_stop(b, 0);
	}
	CHECK_NOTHING_LEAKED(&here);
}

static void drops_the_inherited_broker(int channel, void *arg)
{
	struct test_resources here;
	struct stat st;

	(void)channel;
	(void)arg;
	test_resources(&here);
	ipcshare__broker_stop(broker, 1);
	here.fds -= 5; /* its listener, wake-up and spare, its client's socket and pidfd */
	CHECK_NOTHING_LEAKED(&here);
	if (config.socket_dir[0])
		CHECK(!stat(config.socket_dir, &st), "the parent's folder is gone");
}

static void a_forked_child_drops_the_broker_without_harm(void)
{
	struct raw_request r = offered_request(1);
	int sock = raw_connect(endpoint);
	struct raw_reply reply;

	offered_allow(&me, RW);
	raw_call(sock, &r, &reply);
	raw_close_fds(&reply);
	test_child_join(test_child(drops_the_inherited_broker, NULL));
	raw_call(sock, &r, &reply); /* the parent's still serves, also on this connection */
	CHECK_STATUS(reply.got[0].status, 0);
	raw_close_fds(&reply);
	close(sock);
	CHECK_STATUS(offered_get(RW), 0);
}

static void holds_on(int channel, void *arg)
{
	(void)arg;
	test_signal(channel);
	test_await(channel);
}

/* It has copies of the listener and of the connections. */
static void a_fork_that_lives_on_keeps_no_client_waiting(void)
{
	struct raw_request r = offered_request(1);
	struct raw_reply reply;
	struct sockaddr_un addr;
	socklen_t len = ipcshare__socket_address("", endpoint, &addr);
	int sock = raw_connect(endpoint);
	struct test_child *c;

	raw_call(sock, &r, &reply);
	c = test_child(holds_on, NULL);
	test_await(c->channel);
	ipcshare__broker_stop(broker, 0);
	broker = NULL;
	raw_recv(sock, &reply);
	CHECK_INT(reply.len, 0);
	close(sock);
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CHECK(connect(sock, (struct sockaddr *)&addr, len) && errno == ECONNREFUSED,
	      "a broker that is gone still listens");
	close(sock);
	test_signal(c->channel);
	test_child_join(c);
}

static void sockets_in_a_folder_are_private_and_go_away(void)
{
	struct ipcshare__config in_dir = config;
	struct ipcshare__broker *b;
	struct sockaddr_un addr;
	struct stat st;
	mode_t mask = umask(0);
	int sock;

	strcpy(in_dir.socket_dir, "/tmp/ipcshare-test-XXXXXX");
	REQUIRE(mkdtemp(in_dir.socket_dir), "errno %d", errno);
	REQUIRE_OK(ipcshare__broker_start(&in_dir, offered_retire, NULL, &b));
	umask(mask);
	ipcshare__socket_address(in_dir.socket_dir, ipcshare__broker_endpoint(b), &addr);
	CHECK(!stat(addr.sun_path, &st) && (st.st_mode & 07777) == 0600, "%s has mode %o",
	      addr.sun_path, st.st_mode);
	sock = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	CHECK(!connect(sock, (struct sockaddr *)&addr, sizeof(addr)), "errno %d", errno);
	close(sock);
	ipcshare__broker_stop(b, 0);
	CHECK(stat(addr.sun_path, &st) && errno == ENOENT, "%s is left behind", addr.sun_path);
	CHECK(!rmdir(in_dir.socket_dir), "errno %d", errno);

	b = (void *)16;
	CHECK(ipcshare__broker_start(&in_dir, offered_retire, NULL, &b) < 0,
	      "it starts without the folder");
	CHECK_HAS(ipcshare_last_error()->text, in_dir.socket_dir);
	CHECK_PTR(b, (void *)16);
}

static void listens_in_a_folder(int channel, void *arg)
{
	struct ipcshare__broker *b;
	uint64_t mine;

	REQUIRE_OK(ipcshare__broker_start(arg, offered_retire, NULL, &b));
	mine = ipcshare__broker_endpoint(b);
	test_send(channel, &mine, sizeof(mine));
	test_await(channel);
	ipcshare__broker_stop(b, 0);
}

static int is_there(const char *dir, uint64_t which)
{
	struct sockaddr_un addr;
	struct stat st;

	ipcshare__socket_address(dir, which, &addr);
	return !lstat(addr.sun_path, &st);
}

static void files_of_killed_processes_go_and_no_others(void)
{
	struct ipcshare__config in_dir = config;
	struct test_child *dies, *lives;
	uint64_t dead, alive, no_socket = 1;
	struct ipcshare__broker *b;
	struct sockaddr_un other, file;
	char name[sizeof(other.sun_path)];

	strcpy(in_dir.socket_dir, "/tmp/ipcshare-test-XXXXXX");
	REQUIRE(mkdtemp(in_dir.socket_dir), "errno %d", errno);
	dies = test_child(listens_in_a_folder, &in_dir);
	test_recv(dies->channel, &dead, sizeof(dead));
	lives = test_child(listens_in_a_folder, &in_dir);
	test_recv(lives->channel, &alive, sizeof(alive));
	CHECK(is_there(in_dir.socket_dir, dead), "one that lives was swept away");
	test_child_kill(dies);
	CHECK(is_there(in_dir.socket_dir, dead), "it has left no file");
	ipcshare__socket_address(in_dir.socket_dir, dead, &other);
	strcpy(name, other.sun_path);
	strcat(other.sun_path, "0"); /* as dead, but not a broker's name */
	REQUIRE(!link(name, other.sun_path), "errno %d", errno);
	ipcshare__socket_address(in_dir.socket_dir, no_socket, &file);
	close(open(file.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));

	REQUIRE_OK(ipcshare__broker_start(&in_dir, offered_retire, NULL, &b));
	CHECK(!is_there(in_dir.socket_dir, dead), "a dead broker's file stays");
	CHECK(is_there(in_dir.socket_dir, alive), "a living broker's file is gone");
	CHECK(is_there(in_dir.socket_dir, no_socket), "a file that is no socket is gone");
	CHECK(!unlink(other.sun_path), "a file with another name is gone");
	CHECK(!unlink(file.sun_path), "errno %d", errno);
	ipcshare__broker_stop(b, 0);
	test_signal(lives->channel);
	test_child_join(lives);
	CHECK(!rmdir(in_dir.socket_dir), "errno %d", errno);
}

static void starts_with_few_descriptors(int channel, void *arg)
{
	struct ipcshare__broker *b = (void *)16;
	struct test_resources here;
	struct rlimit limit;
	int lowest = dup(0), status;

	(void)channel;
	(void)arg;
	close(lowest);
	getrlimit(RLIMIT_NOFILE, &limit);
	test_resources(&here);
	for (int n = 0;; n++) {
		limit.rlim_cur = (rlim_t)(lowest + n);
		setrlimit(RLIMIT_NOFILE, &limit);
		status = ipcshare__broker_start(&config, offered_retire, NULL, &b);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		if (!status || n > 20)
			break;
		CHECK_STATUS(status, IPCSHARE_ERR_LIMIT);
		CHECK_PTR(b, (void *)16);
		CHECK_NOTHING_LEAKED(&here);
	}
	CHECK_STATUS(status, 0);
	ipcshare__broker_stop(b, 0);
	CHECK_NOTHING_LEAKED(&here);
}

static void too_few_descriptors_are_a_limit(void)
{
	test_child_join(test_child(starts_with_few_descriptors, NULL));
}

static void starts_without_threads(int channel, void *arg)
{
	struct ipcshare__broker *b = (void *)16;
	struct test_resources here;
	struct rlimit none = { 0, 0 };

	(void)channel;
	(void)arg;
	test_no_leak_check();
	test_resources(&here);
	REQUIRE(!setrlimit(RLIMIT_NPROC, &none), "errno %d", errno);
	REQUIRE(!setresuid(65533, 65533, 65533), "errno %d", errno);
	CHECK_FAILS(ipcshare__broker_start(&config, offered_retire, NULL, &b), IPCSHARE_ERR_LIMIT);
	CHECK_HAS(ipcshare_last_error()->hint, "ulimit -u");
	CHECK_PTR(b, (void *)16);
	CHECK_NOTHING_LEAKED(&here);
}

static void too_few_threads_are_a_limit(void)
{
	if (geteuid()) {
		test_note("not root: a user without threads was not tried");
		return;
	}
	test_child_join(test_child(starts_without_threads, NULL));
}

/* ---- An owner without descriptors ---- */

struct owner {
	uint64_t endpoint;
	uint64_t secret[2];
	struct ipcshare__identity peer;
};

/* A process of its own with a broker, for its limit is to be lowered. */
static void owns_with_few_descriptors(int channel, void *arg)
{
	struct owner *o = arg;
	struct ipcshare__offer *mine;
	struct ipcshare__broker *b;
	struct rlimit limit;
	int room, lowest;

	REQUIRE_OK(ipcshare__broker_start(&config, offered_retire, NULL, &b));
	REQUIRE_OK(ipcshare__broker_offer(b, memfd.fd, 0, memfd.map_length, 0, &mine));
	REQUIRE_OK(ipcshare__broker_allow(b, mine, &o->peer, 1, RW));
	o->endpoint = ipcshare__broker_endpoint(b);
	memcpy(o->secret, ipcshare__offer_secret(mine), sizeof(o->secret));
	test_recv(channel, &room, sizeof(room));
	lowest = dup(0);
	close(lowest);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)(lowest + room);
	setrlimit(RLIMIT_NOFILE, &limit);
	test_send(channel, o, sizeof(*o));
	test_await(channel);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	test_signal(channel);
	test_await(channel);
	ipcshare__broker_stop(b, 0);
}

/* Its spare descriptor is enough to say so. */
static void an_owner_without_descriptors_says_so_and_serves_when_it_has_some(void)
{
	struct owner o = { .peer = me };
	struct test_child *c = test_child(owns_with_few_descriptors, &o);
	struct raw_request request;
	struct raw_reply reply;
	int room = 0, silent, sock;

	test_send(c->channel, &room, sizeof(room));
	test_recv(c->channel, &o, sizeof(o));
	memcpy(secret, o.secret, sizeof(secret));
	request = offered_request(1);
	for (int i = 0; i < 100; i++) {
		sock = raw_connect(o.endpoint);
		raw_call(sock, &request, &reply);
		CHECK_STATUS(reply.head.status, IPCSHARE_ERR_LIMIT);
		close(sock);
	}
	silent = raw_connect(o.endpoint); /* has the spare one: the next waits in the queue */
	sock = raw_connect(o.endpoint);
	raw_send(sock, &request, sizeof(request.head) + sizeof(request.get[0]));
	test_signal(c->channel);
	test_await(c->channel);
	raw_recv(sock, &reply);
	CHECK_STATUS(reply.head.status ? reply.head.status : reply.got[0].status, 0);
	raw_close_fds(&reply);
	close(sock);
	close(silent);
	test_signal(c->channel);
	test_child_join(c);
}

/* It can accept us but not look at who we are: that is its limit, not our fault. */
static void an_owner_without_descriptors_does_not_call_us_a_stranger(void)
{
	struct owner o = { .peer = me };
	struct test_child *c = test_child(owns_with_few_descriptors, &o);
	struct raw_request request;
	struct raw_reply reply;
	int room = 1, sock;

	test_send(c->channel, &room, sizeof(room));
	test_recv(c->channel, &o, sizeof(o));
	memcpy(secret, o.secret, sizeof(secret));
	request = offered_request(1);
	sock = raw_connect(o.endpoint);
	raw_call(sock, &request, &reply);
	CHECK_STATUS(reply.head.status ? reply.head.status : reply.got[0].status,
		     IPCSHARE_ERR_LIMIT);
	raw_close_fds(&reply);
	close(sock);
	test_signal(c->channel);
	test_await(c->channel);
	CHECK_STATUS(raw_get(o.endpoint, o.secret, RW, &reply), 0);
	raw_close_fds(&reply);
	test_signal(c->channel);
	test_child_join(c);
}

TEST_SUITE(broker_life, offered_start, offered_stop,
	TEST(clients_see_the_broker_stop),
	TEST(starting_and_stopping_leaves_nothing),
	TEST(a_forked_child_drops_the_broker_without_harm),
	TEST(a_fork_that_lives_on_keeps_no_client_waiting),
	TEST(sockets_in_a_folder_are_private_and_go_away));

/* Here it is children that have brokers. */
TEST_SUITE(broker_limits, offered_nothing, offered_stop,
	TEST(files_of_killed_processes_go_and_no_others),
	TEST(too_few_descriptors_are_a_limit),
	TEST(too_few_threads_are_a_limit),
	TEST(an_owner_without_descriptors_says_so_and_serves_when_it_has_some),
	TEST(an_owner_without_descriptors_does_not_call_us_a_stranger));
