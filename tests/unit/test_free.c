/* SPDX-License-Identifier: BSD-3-Clause */
/* Freeing takes a while, as every peer is asked: what may happen between two answers. */
#include <poll.h>
#include <unistd.h>

#include "base/bytes.h"
#include "importer.h"
#include "memory/context.h"
#include "raw.h"

/* The importer's identity, but with another broker. */
static struct ipcshare__identity identity_at(const struct importer *im, uint64_t endpoint)
{
	struct ipcshare__identity id;

	memcpy(&id, &im->id, sizeof(id));
	id.endpoint = endpoint;
	id.check = ipcshare__checksum32(&id, offsetof(struct ipcshare__identity, check));
	return id;
}

/* More owners' lines than its broker has places: the one that is kept longest gives way. */
static void importer_crowd(const struct importer *im)
{
	struct raw_request request = { .head = raw_head(IPCSHARE__BROKER_RETIRE, 1) };
	struct ipcshare__identity id;
	struct raw_reply reply;
	int socks[64];

	memcpy(&id, &im->id, sizeof(id));
	for (int i = 0; i < 64; i++) {
		socks[i] = raw_connect(id.endpoint);
		raw_call(socks[i], &request, &reply);
	}
	for (int i = 0; i < 64; i++)
		close(socks[i]);
}

/* A peer that, when it is asked to let go, first has an importer map the memory, and then answers. */
struct meddler {
	struct raw_broker broker;
	int channel; /* a duplicate: the importer's own is closed in other children */
	struct ipcshare_packed packed;
	int answers;
};

static void maps_in_between(const struct raw_request *request, struct raw_reply *reply, void *arg)
{
	struct meddler *m = arg;
	struct test_child importer = { .channel = m->channel };

	(void)request;
	importer_check_refused(&(struct importer){ .child = &importer }, &m->packed,
			       IPCSHARE_ERR_BUSY);
	reply->retired[0].status = m->answers;
	reply->len = sizeof(reply->head) + sizeof(reply->retired[0]);
}

/* @im is asked first, the meddler second. */
static void meddler_start(struct meddler *m, struct importer *im, int answers)
{
	struct ipcshare__identity id;

	owner_allow(im, 0);
	m->packed = owner_pack(owned, OWNED, 0);
	m->answers = answers;
	m->channel = dup(im->child->channel);
	REQUIRE(m->channel >= 0, "no descriptor");
	raw_broker_start(&m->broker, maps_in_between, m);
	close(m->channel);
	id = identity_at(im, m->broker.endpoint);
	REQUIRE_OK(ipcshare_allow(owner, owned, (struct ipcshare_identity *)&id, 1, 0));
}

static void nobody_maps_what_is_being_freed(void)
{
	struct importer im = importer_start();
	struct meddler m;

	owner_open();
	meddler_start(&m, &im, 0);
	CHECK_STATUS(ipcshare_free(owner, owned), 0);
	raw_broker_stop(&m.broker);
	CHECK_INT(importer_count(&im).counters.bytes_mapped, 0);
	importer_check_refused(&im, &m.packed, IPCSHARE_ERR_STALE);
	importer_dismiss(&im);
}

static void what_could_not_be_freed_can_be_mapped_again(void)
{
	struct importer im = importer_start();
	struct meddler m;

	owner_open();
	meddler_start(&m, &im, IPCSHARE_ERR_BUSY);
	REQUIRE(CHECK_FAILS(ipcshare_free(owner, owned), IPCSHARE_ERR_BUSY), "it is gone");
	CHECK_INT(importer_unmap(&im, importer_must_map(&im, &m.packed)), 0);
	raw_broker_stop(&m.broker);
	CHECK_STATUS(ipcshare_free(owner, owned), 0);
	importer_dismiss(&im);
}

/* All of a context's memory is asked for before any of it goes. */
static void what_could_not_be_closed_can_be_mapped_again(void)
{
	struct importer im = importer_start();
	struct ipcshare_packed first;
	struct meddler m;
	char *other;

	owner_open();
	other = owned;
	first = owner_pack(other, OWNED, 0);
	owner_allow(&im, 0);
	owned = team_alloc(owner, OWNED);
	meddler_start(&m, &im, IPCSHARE_ERR_BUSY);
	REQUIRE(CHECK_FAILS(ipcshare_close(owner), IPCSHARE_ERR_BUSY), "it is gone");
	CHECK_INT(importer_unmap(&im, importer_must_map(&im, &first)), 0);
	CHECK_INT(importer_unmap(&im, importer_must_map(&im, &m.packed)), 0);
	raw_broker_stop(&m.broker);
	importer_dismiss(&im);
}

/* ---- A mapping that goes just then ---- */

#define FREED_SOON_MS 200 /* by an owner that waits for nobody */

static struct slow_close {
	const struct ipcshare__backend_ops *ops;
	int channel, freed_before;
} slow;

/* Off all lists, and still mapped: the owner frees it now, and says so when it is done. */
static void closes_slowly(struct ipcshare__backend *be, struct ipcshare__imported *at)
{
	struct pollfd p = { .fd = slow.channel, .events = POLLIN };

	test_signal(slow.channel);
	slow.freed_before += poll(&p, 1, FREED_SOON_MS) != 0;
	slow.ops->close_import(be, at);
}

/* With @arg it is kept, and then trimmed; else it goes with its last user. */
static void maps_and_closes_slowly(int channel, void *arg)
{
	struct ipcshare_ctx *mine = team_open(0);
	struct ipcshare__backend_ops ops = *mine->backend->ops;
	struct ipcshare_packed packed[2];
	struct ipcshare_identity id;
	void *other, *p;

	slow = (struct slow_close){ mine->backend->ops, channel, 0 };
	REQUIRE_OK(ipcshare_self(mine, &id));
	test_send(channel, &id, sizeof(id));
	test_recv(channel, packed, sizeof(packed));
	if (arg)
		REQUIRE_OK(ipcshare_map(mine, &packed[1], &other)); /* so that the peer stays */
	REQUIRE_OK(ipcshare_map(mine, &packed[0], &p));
	ops.close_import = closes_slowly;
	if (!arg)
		mine->backend->ops = &ops;
	REQUIRE_OK(ipcshare_unmap(mine, p));
	mine->backend->ops = &ops;
	if (arg)
		REQUIRE_OK(ipcshare_trim(mine, NULL));
	mine->backend->ops = slow.ops;
	CHECK_INT(slow.freed_before, 0);
	test_await(channel);
	if (arg)
		CHECK_STATUS(ipcshare_unmap(mine, other), 0);
	CHECK_STATUS(ipcshare_close(mine), 0);
}

static void free_beside_a_slow_close(void *trims)
{
	struct test_child *child = test_child(maps_and_closes_slowly, trims);
	struct ipcshare_packed packed[2];
	struct importer im = { .child = child };
	void *other;

	test_recv(child->channel, &im.id, sizeof(im.id));
	owner_open();
	other = team_alloc(owner, OWNED);
	packed[0] = owner_pack(owned, OWNED, 0);
	packed[1] = owner_pack(other, OWNED, 0);
	owner_allow(&im, 0);
	REQUIRE_OK(ipcshare_allow(owner, other, &im.id, 1, 0));
	test_send(child->channel, packed, sizeof(packed));
	test_await(child->channel);
	CHECK_STATUS(ipcshare_free(owner, owned), 0);
	test_signal(child->channel);
	test_child_join(child);
	CHECK_STATUS(ipcshare_close(owner), 0);
	owner = NULL;
}

static void what_a_peer_closes_just_then_is_waited_for(void)
{
	free_beside_a_slow_close(NULL);
	free_beside_a_slow_close("it trims");
}

/* ---- The line to a peer ---- */

struct counter {
	struct raw_broker broker;
	int questions;
};

/* The first three questions come over one line; behind the last of them it is hung up. */
static void counts_lines(const struct raw_request *request, struct raw_reply *reply, void *arg)
{
	struct counter *c = arg;

	(void)request;
	CHECK_INT(c->broker.connections, ++c->questions <= 3 ? 1 : 2);
	reply->len = sizeof(reply->head) + sizeof(reply->retired[0]);
}

static void frees_in_a_row_use_one_line(void)
{
	struct importer im = importer_start();
	struct counter c = { .questions = 0 };
	struct ipcshare__identity id;
	char *more[4];

	raw_broker_start(&c.broker, counts_lines, &c);
	id = identity_at(&im, c.broker.endpoint);
	owner_open();
	for (int i = 0; i < 4; i++) {
		more[i] = team_alloc(owner, OWNED);
		owner_pack(more[i], OWNED, 0);
	}
	for (int i = 0; i < 3; i++)
		REQUIRE_OK(ipcshare_allow(owner, more[i], (struct ipcshare_identity *)&id, 1, 0));
	for (int i = 0; i < 3; i++)
		CHECK_STATUS(ipcshare_free(owner, more[i]), 0);
	REQUIRE_OK(ipcshare_allow(owner, more[3], (struct ipcshare_identity *)&id, 1, 0));
	CHECK_STATUS(ipcshare_free(owner, more[3]), 0);
	raw_broker_stop(&c.broker);
	importer_dismiss(&im);
}

static void frees_after_the_peer_hung_up_on_a_kept_line(void)
{
	struct importer im = importer_start();
	struct ipcshare_packed packed;
	char *other, *p;

	owner_open();
	owner_allow(&im, 0);
	packed = owner_pack(owned, OWNED, 0);
	p = importer_must_map(&im, &packed);
	other = team_alloc(owner, OWNED);
	owner_pack(other, OWNED, 0);
	REQUIRE_OK(ipcshare_allow(owner, other, &im.id, 1, 0));
	CHECK_STATUS(ipcshare_free(owner, other), 0);
	importer_crowd(&im);
	REQUIRE(CHECK_FAILS(ipcshare_free(owner, owned), IPCSHARE_ERR_BUSY), "it is gone");
	CHECK_INT(importer_unmap(&im, p), 0);
	CHECK_STATUS(ipcshare_free(owner, owned), 0);
	importer_dismiss(&im);
}

/* Hangs up on the first question, and is busy at the next. */
static void hangs_up_once(const struct raw_request *request, struct raw_reply *reply, void *arg)
{
	int *questions = arg;

	(void)request;
	if ((*questions)++ == 0) {
		reply->len = 0;
		return;
	}
	reply->retired[0].status = IPCSHARE_ERR_BUSY;
	reply->len = sizeof(reply->head) + sizeof(reply->retired[0]);
}

/* It is no proof that nothing is mapped there. */
static void a_peer_that_hangs_up_is_asked_again(void)
{
	struct importer im = importer_start();
	struct ipcshare__identity id;
	struct raw_broker broker;
	int questions = 0;

	owner_open();
	owner_pack(owned, OWNED, 0);
	raw_broker_start(&broker, hangs_up_once, &questions);
	id = identity_at(&im, broker.endpoint);
	REQUIRE_OK(ipcshare_allow(owner, owned, (struct ipcshare_identity *)&id, 1, 0));
	REQUIRE(CHECK_FAILS(ipcshare_free(owner, owned), IPCSHARE_ERR_BUSY), "it is gone");
	raw_broker_stop(&broker);
	CHECK_STATUS(ipcshare_free(owner, owned), 0); /* nobody listens there any more */
	importer_dismiss(&im);
}

TEST_SUITE(free, owner_begin, owner_end,
	TEST(nobody_maps_what_is_being_freed),
	TEST(what_could_not_be_freed_can_be_mapped_again),
	TEST(what_could_not_be_closed_can_be_mapped_again),
	TEST(what_a_peer_closes_just_then_is_waited_for),
	TEST(frees_in_a_row_use_one_line),
	TEST(frees_after_the_peer_hung_up_on_a_kept_line),
	TEST(a_peer_that_hangs_up_is_asked_again));
