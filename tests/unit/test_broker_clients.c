/* SPDX-License-Identifier: BSD-3-Clause */
/* Clients of a broker that are many, slow or silent. */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#include "offered.h"

/* ---- Clients that don't behave ---- */

static void a_client_that_closes_its_half_is_answered_and_hung_up_on(void)
{
	struct raw_request r = offered_request(1);
	struct raw_reply reply;
	int sock = raw_connect(endpoint);

	shutdown(sock, SHUT_WR);
	raw_recv(sock, &reply);
	CHECK_INT(reply.len, 0);
	close(sock);

	sock = raw_connect(endpoint);
	raw_send(sock, &r, sizeof(r.head) + sizeof(r.get[0]));
	shutdown(sock, SHUT_WR);
	raw_recv(sock, &reply);
	CHECK_INT(reply.len, sizeof(reply.head) + sizeof(reply.got[0]));
	CHECK_STATUS(reply.got[0].status, IPCSHARE_ERR_NOT_ALLOWED);
	raw_recv(sock, &reply);
	CHECK_INT(reply.len, 0);
	close(sock);
}

static void is_silent(int channel, void *arg)
{
	int n = *(int *)arg;

	for (int i = 0; i < n; i++)
		raw_connect(endpoint); /* and says nothing */
	test_signal(channel);
	test_await(channel);
}

/* None of them has more places than its part. */
static void silent_strangers_do_not_keep_a_listed_process_out(void)
{
	enum { STRANGERS = 60 };
	struct test_child *c[STRANGERS];
	uint64_t start_ns;
	int n = 5;

	offered_allow(&me, RW);
	for (int i = 0; i < STRANGERS; i++)
		c[i] = test_child(is_silent, &n);
	for (int i = 0; i < STRANGERS; i++)
		test_await(c[i]->channel); /* all of them are in the queue before us */
	start_ns = ipcshare__now_ns();
	CHECK_STATUS(offered_get(RW), 0);
	CHECK(ipcshare__now_ns() - start_ns < 4000000000u, "it took %ju ms, a stranger's patience",
	      (uintmax_t)((ipcshare__now_ns() - start_ns) / 1000000));
	for (int i = 0; i < STRANGERS; i++) {
		test_signal(c[i]->channel);
		test_child_join(c[i]);
	}
}

static void holds_a_request_back(int channel, void *arg)
{
	struct raw_request r = offered_request(1);
	struct raw_reply reply;
	int sock = raw_connect(endpoint);

	(void)arg;
	test_signal(channel);
	test_await(channel);
	raw_call(sock, &r, &reply);
	CHECK_STATUS(reply.got[0].status, 0);
	raw_close_fds(&reply);
}

static void more_processes_than_places_share_an_open_offer(void)
{
	struct test_child *c[40];
	int silent = 60;

	memcpy(secret, ipcshare__offer_secret(offered_memfd(1)), sizeof(secret));
	for (int i = 0; i < 40; i++)
		c[i] = test_child(holds_a_request_back, NULL);
	for (int i = 0; i < 40; i++)
		test_await(c[i]->channel);
	test_await(test_child(is_silent, &silent)->channel);
	for (int i = 0; i < 40; i++)
		test_signal(c[i]->channel);
	for (int i = 0; i < 40; i++)
		test_child_join(c[i]);
}

/* Each of its lines asks once a second: none is ever silent for long. */
static void never_goes(int channel, void *arg)
{
	struct pollfd told = { .fd = channel, .events = POLLIN };
	struct raw_request r = offered_request(1);
	struct raw_reply reply;
	int socks[13];

	(void)arg;
	for (int i = 0; i < 13; i++)
		socks[i] = raw_connect(endpoint);
	test_signal(channel);
	do
		for (int i = 0; i < 13; i++) {
			recv(socks[i], &reply, sizeof(reply), MSG_DONTWAIT); /* descriptors are not taken */
			send(socks[i], &r, sizeof(r.head) + sizeof(r.get[0]), MSG_NOSIGNAL);
		}
	while (!poll(&told, 1, 1000));
}

/* Processes of which none has more than its part, and which all may have the memory. */
static void who_never_goes_has_to_make_room_in_seconds(void)
{
	struct test_child *c[5];

	memcpy(secret, ipcshare__offer_secret(offered_memfd(1)), sizeof(secret));
	for (int i = 0; i < 5; i++)
		c[i] = test_child(never_goes, NULL);
	for (int i = 0; i < 5; i++)
		test_await(c[i]->channel);
	CHECK_STATUS(offered_get(RW), 0);
	for (int i = 0; i < 5; i++) {
		test_signal(c[i]->channel);
		test_child_join(c[i]);
	}
}

static void kept_lines_give_way_to_who_comes(void)
{
	struct raw_request r = { .head = raw_head(RETIRE, 1) };
	struct raw_reply reply;
	int socks[100];
	uint64_t start_ns;

	offered_allow(&me, RW); /* no stranger */
	start_ns = ipcshare__now_ns();
	for (int i = 0; i < 100; i++) {
		socks[i] = raw_connect(endpoint);
		raw_call(socks[i], &r, &reply);
		CHECK_INT(reply.head.status, 0);
	}
	CHECK_STATUS(offered_get(RW), 0);
	CHECK(ipcshare__now_ns() - start_ns < 4000000000u, "it took %ju ms, a silent one's patience",
	      (uintmax_t)((ipcshare__now_ns() - start_ns) / 1000000));
	raw_recv(socks[0], &reply); /* silent for longest */
	CHECK_INT(reply.len, 0);
	raw_call(socks[99], &r, &reply);
	CHECK_INT(reply.head.status, 0);
	for (int i = 0; i < 100; i++)
		close(socks[i]);
}

static void a_silent_client_is_hung_up_on_in_seconds(void)
{
	struct raw_reply reply;
	int sock = raw_connect(endpoint);

	raw_recv(sock, &reply);
	CHECK_INT(reply.len, 0);
	close(sock);
}

/* What is under way to a client is one answer at most. */
static void who_asks_again_before_it_reads_is_hung_up_on(void)
{
	struct raw_request r = offered_request(IPCSHARE__BROKER_BATCH);
	size_t len = sizeof(r.head) + IPCSHARE__BROKER_BATCH * sizeof(r.get[0]);
	struct raw_reply reply;
	int sock = raw_connect(endpoint);

	offered_allow(&me, RW);
	raw_send(sock, &r, len);
	REQUIRE(test_poll(sock, POLLIN), "no answer");
	raw_send(sock, &r, len);
	REQUIRE(test_poll(sock, POLLHUP), "it was not hung up on");
	raw_recv(sock, &reply); /* the answer to the first */
	CHECK_INT(reply.nfds, IPCSHARE__BROKER_BATCH);
	raw_close_fds(&reply);
	raw_recv(sock, &reply);
	CHECK_INT(reply.len, 0);
	CHECK_STATUS(offered_get(RW), 0);
	close(sock);
}

/* ---- Many ---- */

#define MANY 3000

static void thousands_of_offers_are_told_apart(void)
{
	struct ipcshare__offer **many = malloc(MANY * sizeof(struct ipcshare__offer *));
	uint64_t(*secrets)[2] = malloc(MANY * sizeof(*secrets));
	struct raw_reply reply;

	for (int i = 0; i < MANY; i++) {
		REQUIRE_OK(ipcshare__broker_offer(broker, memfd.fd, 0, (uint64_t)i + 1, 0,
						  &many[i]));
		REQUIRE_OK(ipcshare__broker_allow(broker, many[i], &me, 1, RW));
		memcpy(secrets[i], ipcshare__offer_secret(many[i]), sizeof(secrets[i]));
	}
	for (int i = 0; i < MANY; i += 2)
		ipcshare__broker_withdraw(broker, many[i]);
	for (int i = 0; i < MANY; i += 37) {
		CHECK_STATUS(raw_get(endpoint, secrets[i], RW, &reply),
			     i % 2 ? 0 : IPCSHARE_ERR_STALE);
		CHECK_INT(reply.got[0].length, i % 2 ? i + 1 : 0);
		raw_close_fds(&reply);
	}
	free(secrets);
	free(many);
}

static _Atomic int done;

static void *offers_and_withdraws(void *arg)
{
	(void)arg;
	for (int i = 0; i < 300; i++) {
		struct ipcshare__offer *o;

		REQUIRE_OK(ipcshare__broker_offer(broker, memfd.fd, 0, 4096, 0, &o));
		REQUIRE_OK(ipcshare__broker_allow(broker, o, &me, 1, RW));
		ipcshare__broker_withdraw(broker, o);
	}
	atomic_fetch_add(&done, 1);
	return NULL;
}

static void offers_come_and_go_while_clients_are_served(void)
{
	pthread_t threads[3];

	offered_allow(&me, RW);
	atomic_store(&done, 0);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, offers_and_withdraws, NULL);
	do
		CHECK_STATUS(offered_get(RW), 0);
	while (atomic_load(&done) < 3);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

TEST_SUITE(broker_clients, offered_start, offered_stop,
	TEST(a_client_that_closes_its_half_is_answered_and_hung_up_on),
	TEST(silent_strangers_do_not_keep_a_listed_process_out),
	TEST(more_processes_than_places_share_an_open_offer),
	TEST(who_never_goes_has_to_make_room_in_seconds),
	TEST(kept_lines_give_way_to_who_comes),
	TEST(a_silent_client_is_hung_up_on_in_seconds),
	TEST(who_asks_again_before_it_reads_is_hung_up_on),
	TEST(thousands_of_offers_are_told_apart),
	TEST(offers_come_and_go_while_clients_are_served));
