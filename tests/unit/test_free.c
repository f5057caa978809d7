/* SPDX-License-Identifier: BSD-3-Clause */
/* Freeing takes a while, as every peer is asked: what may happen between two answers. */
#include <unistd.h>

#include "base/bytes.h"
#include "importer.h"
#include "raw.h"

/* A peer that, when it is asked to let go, first has an importer map the memory, and then answers. */
struct meddler {
	struct raw_broker broker;
	struct ipcshare__identity id;
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
	owner_allow(im, 0);
	m->packed = owner_pack(owned, OWNED, 0);
	m->answers = answers;
	m->channel = dup(im->child->channel);
	REQUIRE(m->channel >= 0, "no descriptor");
	raw_broker_start(&m->broker, maps_in_between, m);
	close(m->channel);
	memcpy(&m->id, &im->id, sizeof(m->id));
	m->id.endpoint = m->broker.endpoint;
	m->id.check = ipcshare__checksum32(&m->id, offsetof(struct ipcshare__identity, check));
	REQUIRE_OK(ipcshare_allow(owner, owned, (struct ipcshare_identity *)&m->id, 1, 0));
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

TEST_SUITE(free, owner_begin, owner_end,
	TEST(nobody_maps_what_is_being_freed),
	TEST(what_could_not_be_freed_can_be_mapped_again),
	TEST(what_could_not_be_closed_can_be_mapped_again));
