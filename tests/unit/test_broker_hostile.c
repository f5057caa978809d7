/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Processes of the same user that want to stop a broker from serving others: of each kind one that is
 * on the whitelist and one that is not.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/host/line.h"
#include "backend/host/socket.h"
#include "base/clock.h"

#include "offered.h"

#define OPEN 130 /* connections that it holds; a broker has 64 places */
#define HONEST 4 /* processes that ask at the same time, as the library does */
#define ROUNDS 10 /* of their requests */
#define SLOWEST_MS 4000 /* of a request: less than the patience with who is silent, which is 5 s */
#define HELD (2 * 64) /* descriptors of the owner meanwhile: a socket and a pidfd for each place */

/* ---- Ways to be hostile: what it does to a connection, time and again ---- */

static void say_nothing(int sock)
{
	(void)sock;
}

static void send_garbage(int sock)
{
	char bytes[10000];

	memset(bytes, 0xa5, sizeof(bytes));
	send(sock, bytes, sizeof(bytes), MSG_NOSIGNAL);
}

static void send_half_a_head(int sock)
{
	struct raw_request r = offered_request(1);

	send(sock, &r, sizeof(r.head) / 2, MSG_NOSIGNAL);
}

static void close_its_half(int sock)
{
	shutdown(sock, SHUT_WR);
}

static void ask(int sock)
{
	struct raw_request r = offered_request(1);

	send(sock, &r, sizeof(r.head) + sizeof(r.get[0]), MSG_NOSIGNAL);
}

static void ask_and_read(int sock)
{
	struct raw_reply reply;

	while (recv(sock, &reply, sizeof(reply), 0) > 0) /* it takes no descriptor */
		;
	ask(sock);
}

static void ask_to_retire(int sock)
{
	struct raw_request r = { .head = raw_head(RETIRE, 1) };

	send(sock, &r, sizeof(r.head) + sizeof(r.retire[0]), MSG_NOSIGNAL);
}

/* ---- Who does so ---- */

struct way {
	void (*act)(int sock);
	int hangs_up; /* after each act */
};

static int connect_now(void)
{
	struct sockaddr_un addr;
	socklen_t len = ipcshare__socket_address("", endpoint, &addr);
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (sock >= 0 && connect(sock, (struct sockaddr *)&addr, len)) {
		close(sock);
		return -1;
	}
	return sock;
}

static void hang_up(int *sock)
{
	if (*sock >= 0)
		close(*sock);
	*sock = -1;
}

static int is_cut(int sock)
{
	struct pollfd p = { .fd = sock, .events = 0 };

	return poll(&p, 1, 0) && p.revents & POLLHUP;
}

/* One act on each connection; those that the broker has cut are made anew. */
static int act_on_all(const struct way *way, int *socks)
{
	int connections = 0;

	for (int i = 0; i < OPEN; i++) {
		if (socks[i] >= 0 && is_cut(socks[i]))
			hang_up(&socks[i]);
		if (socks[i] < 0) {
			socks[i] = connect_now();
			connections += socks[i] >= 0;
		}
		if (socks[i] >= 0)
			way->act(socks[i]);
		if (way->hangs_up)
			hang_up(&socks[i]);
	}
	return connections;
}

static void send_identity(int channel)
{
	struct ipcshare__identity id;

	REQUIRE_OK(ipcshare__identity_self(IPCSHARE__IDENTITY_AUTO, 0, &id));
	test_send(channel, &id, sizeof(id));
	test_await(channel);
}

static void is_hostile(int channel, void *way)
{
	struct pollfd told = { .fd = channel, .events = POLLIN };
	int socks[OPEN], connections;

	send_identity(channel);
	memset(socks, -1, sizeof(socks));
	connections = act_on_all(way, socks);
	test_signal(channel); /* its connections are in the queue before all others */
	while (!poll(&told, 1, 0))
		connections += act_on_all(way, socks);
	test_await(channel);
	for (int i = 0; i < OPEN; i++)
		hang_up(&socks[i]);
	test_send(channel, &connections, sizeof(connections));
}

/* ---- Who wants memory meanwhile, as the library asks for it ---- */

static uint64_t ask_ns(void)
{
	struct ipcshare__broker_get get = { { secret[0], secret[1] }, RW, 0 };
	uint64_t start = ipcshare__now_ns();
	struct ipcshare__broker_got got;
	struct ipcshare__line line;
	int fd;

	REQUIRE_OK(ipcshare__line_open("", endpoint, 10000, "import", &line));
	REQUIRE_OK(ipcshare__line_get(&line, &get, 1, &got, &fd));
	ipcshare__line_close(&line);
	CHECK_STATUS(got.status, 0);
	close(fd);
	return ipcshare__now_ns() - start;
}

static void is_honest(int channel, void *arg)
{
	(void)arg;
	send_identity(channel);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t ns = ask_ns();

		test_send(channel, &ns, sizeof(ns));
		test_await(channel);
	}
}

/* ---- The owner ---- */

static struct test_child *start(void (*fn)(int channel, void *arg), const struct way *way, int listed)
{
	struct test_child *c = test_child(fn, (void *)way);
	struct ipcshare__identity id;

	test_recv(c->channel, &id, sizeof(id));
	if (listed)
		offered_allow(&id, RW);
	return c;
}

static void check_held(const struct test_resources *before)
{
	struct test_resources now;

	test_resources(&now);
	CHECK(now.fds <= before->fds + HELD, "%d descriptors, %d before", now.fds, before->fds);
	CHECK_INT(now.threads, before->threads);
	CHECK_INT(now.maps, before->maps);
}

/* All ask at once, then we look what we hold. The time of the slowest request. */
static uint64_t serve_honest(struct test_child **honest, const struct test_resources *before)
{
	uint64_t slowest = 0, ns;

	for (int i = 0; i < ROUNDS; i++) {
		for (int h = 0; h < HONEST; h++)
			test_signal(honest[h]->channel);
		for (int h = 0; h < HONEST; h++) {
			test_recv(honest[h]->channel, &ns, sizeof(ns));
			slowest = ns > slowest ? ns : slowest;
		}
		check_held(before);
	}
	for (int h = 0; h < HONEST; h++) {
		test_signal(honest[h]->channel);
		test_child_join(honest[h]);
	}
	return slowest;
}

static void withstand(const struct way *way, int listed)
{
	struct test_child *hostile = start(is_hostile, way, listed), *honest[HONEST];
	struct test_resources before;
	uint64_t slowest;
	int connections;

	for (int h = 0; h < HONEST; h++)
		honest[h] = start(is_honest, NULL, 1);
	test_resources(&before);
	test_signal(hostile->channel);
	test_await(hostile->channel);
	slowest = serve_honest(honest, &before);
	CHECK(slowest < SLOWEST_MS * UINT64_C(1000000), "the slowest of %d requests took %ju ms",
	      HONEST * ROUNDS, (uintmax_t)(slowest / 1000000));
	CHECK_RESIDENT(&before, 1 << 20);
	test_signal(hostile->channel);
	test_recv(hostile->channel, &connections, sizeof(connections));
	test_child_join(hostile);
	test_figure("%s made %d connections; the slowest of %d requests took %ju us",
		    listed ? "a listed process" : "a stranger", connections, HONEST * ROUNDS,
		    (uintmax_t)(slowest / 1000));
	CHECK_NOTHING_LEAKED(&before);
}

static void withstand_both(void (*act)(int sock), int hangs_up)
{
	const struct way way = { act, hangs_up };

	withstand(&way, 0);
	withstand(&way, 1);
}

static void who_says_nothing_keeps_nobody_out(void)
{
	withstand_both(say_nothing, 0);
}

static void who_connects_and_hangs_up_keeps_nobody_out(void)
{
	withstand_both(say_nothing, 1);
}

static void who_sends_garbage_keeps_nobody_out(void)
{
	withstand_both(send_garbage, 0);
}

static void who_sends_half_a_head_keeps_nobody_out(void)
{
	withstand_both(send_half_a_head, 0);
}

static void who_closes_its_half_keeps_nobody_out(void)
{
	withstand_both(close_its_half, 0);
}

static void who_never_reads_keeps_nobody_out(void)
{
	withstand_both(ask, 0);
}

static void who_asks_without_end_keeps_nobody_out(void)
{
	withstand_both(ask_and_read, 0);
}

static void who_asks_to_retire_keeps_nobody_out(void)
{
	withstand_both(ask_to_retire, 0);
}

TEST_SUITE(broker_hostile, offered_start, offered_stop,
	TEST(who_says_nothing_keeps_nobody_out),
	TEST(who_connects_and_hangs_up_keeps_nobody_out),
	TEST(who_sends_garbage_keeps_nobody_out),
	TEST(who_sends_half_a_head_keeps_nobody_out),
	TEST(who_closes_its_half_keeps_nobody_out),
	TEST(who_never_reads_keeps_nobody_out),
	TEST(who_asks_without_end_keeps_nobody_out),
	TEST(who_asks_to_retire_keeps_nobody_out));
