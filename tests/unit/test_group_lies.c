/* SPDX-License-Identifier: BSD-3-Clause */
/* Bootstraps that lie, and bytes that are altered on their way. */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/wire.h"
#include "team.h"

#define MS 1000000u

static struct ipcshare_group *const untouched = (struct ipcshare_group *)16;

/* ---- Bootstraps that lie ---- */

enum lie { LIE_RANK, LIE_MORE_RANKS };

static void is_lied_to(struct test_rank *me, void *arg)
{
	enum lie lie = *(enum lie *)arg;
	struct ipcshare_group *group = untouched;
	struct test_resources before;
	struct ipcshare_ctx *ctx;
	uint64_t start;

	test_resources(&before);
	ctx = team_open(20000);
	if (me->rank == 1 && lie == LIE_RANK)
		me->bootstrap.rank = 0;
	if (me->rank == 1 && lie == LIE_MORE_RANKS)
		me->bootstrap.nranks++;
	start = ipcshare__now_ns();
	CHECK_FAILS(ipcshare_group_create(ctx, &me->bootstrap, &group), IPCSHARE_ERR_BOOTSTRAP);
	CHECK(ipcshare__now_ns() - start < 15000 * (uint64_t)MS, "it waited for the deadline");
	CHECK_PTR(group, untouched);
	CHECK_INT(me->released, 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
	CHECK_NOTHING_LEAKED(&before);
}

static void a_bootstrap_that_lies_about_numbers_is_found_out(void)
{
	test_ranks(3, is_lied_to, &(enum lie){ LIE_RANK });
	test_ranks(3, is_lied_to, &(enum lie){ LIE_MORE_RANKS });
}

/* What rank 0 says of itself, with sums that are right. */
struct falsehood {
	const char *what;
	void (*tell)(struct ipcshare__wire_hello *h);
	int expected;
	int seen_by, of; /* the ranks in the detail */
};

static void from_another_node(struct ipcshare__wire_hello *h)
{
	h->identity.boot[3] ^= 1;
}

static void with_another_backend(struct ipcshare__wire_hello *h)
{
	h->backend++;
}

static void with_another_layout(struct ipcshare__wire_hello *h)
{
	h->layout++;
}

static void in_anothers_name(struct ipcshare__wire_hello *h)
{
	h->identity.proc++;
}

static void at_no_address(struct ipcshare__wire_hello *h)
{
	h->identity.endpoint++;
}

static const struct falsehood falsehoods[] = {
	{ "another node", from_another_node, IPCSHARE_ERR_OTHER_NODE, 1, 0 },
	{ "another backend", with_another_backend, IPCSHARE_ERR_MISMATCH, 1, 0 },
	{ "another layout", with_another_layout, IPCSHARE_ERR_VERSION, 1, 0 },
	/* Rank 1 lets somebody else in: rank 0 is the first to be hurt. */
	{ "another process", in_anothers_name, IPCSHARE_ERR_NOT_ALLOWED, 0, 1 },
	{ "another address", at_no_address, IPCSHARE_ERR_UNREACHABLE, 1, 0 },
};

/* Only rank 1 hears it; rank 2 and rank 0 itself hear the truth. */
static void tell_falsehood(const struct test_exchange *x, void *arg)
{
	const struct falsehood *f = arg;
	struct ipcshare__wire_hello h;

	if (x->lane || x->serial || x->from != 0 || x->to != 1)
		return;
	memcpy(&h, x->bytes, sizeof(h));
	f->tell(&h);
	h.identity.check = ipcshare__checksum32(&h.identity,
						offsetof(struct ipcshare__identity, check));
	h.check = ipcshare__checksum32(&h, offsetof(struct ipcshare__wire_hello, check));
	memcpy(x->bytes, &h, sizeof(h));
}

static void hears_a_falsehood(struct test_rank *me, void *arg)
{
	const struct falsehood *f = arg;
	struct ipcshare_group *group = untouched;
	struct test_resources before;
	struct ipcshare_ctx *ctx;

	test_resources(&before);
	ctx = team_open(0);
	CHECK_FAILS(ipcshare_group_create(ctx, &me->bootstrap, &group), f->expected);
	CHECK_INT(ipcshare_last_error()->rank, f->of);
	CHECK_HAS(ipcshare_last_error()->text, f->seen_by ? "seen by rank 1" : "seen by rank 0");
	CHECK_PTR(group, untouched);
	CHECK_STATUS(ipcshare_close(ctx), 0);
	CHECK_NOTHING_LEAKED(&before);
}

static void a_hello_that_is_well_formed_but_false_is_named(void)
{
	for (size_t i = 0; i < sizeof(falsehoods) / sizeof(falsehoods[0]); i++) {
		struct falsehood f = falsehoods[i];
		struct test_ranks o = {
			.nranks = 3, .fn = hears_a_falsehood, .arg = &f,
			.filter = tell_falsehood, .filter_arg = &f,
		};

		CHECK(test_ranks_with(&o) == 0, "%s", f.what);
	}
}

/* ---- Bytes altered on the way ---- */

struct damage {
	enum test_exchange_kind kind;
	int serial; /* of the exchange */
	int to; /* from rank 0 */
	size_t at; /* the byte */
	unsigned char flip;
};

static void do_damage(const struct test_exchange *x, void *arg)
{
	const struct damage *d = arg;

	if (x->lane == 0 && x->serial == d->serial && x->from == 0 && x->to == d->to) {
		CHECK_INT(x->kind, d->kind);
		REQUIRE(d->at < x->len, "%zu bytes", x->len);
		x->bytes[d->at] ^= d->flip;
	}
}

static void lives_with_altered_bytes(struct test_rank *me, void *arg)
{
	const struct damage *d = arg;
	struct team t = { .rank = me->rank };
	int err;

	test_resources(&t.before);
	t.ctx = team_open(20000); /* nobody is to wait for it */
	err = team_live(&t, me);
	CHECK(err == IPCSHARE_ERR_PROTOCOL || err == IPCSHARE_ERR_VERSION,
	      "exchange %d, byte %zu: %s", d->serial, d->at, err ? ipcshare_explain() : "success");
	CHECK_INT(err, ipcshare_last_error()->status);
	CHECK_STATUS(ipcshare_group_free(t.group), 0);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void damage(enum test_exchange_kind kind, int serial, int to, size_t at)
{
	struct damage d = { kind, serial, to, at, (unsigned char)(1 << at % 8) };
	struct test_ranks o = {
		.nranks = 2, .fn = lives_with_altered_bytes, .arg = &d,
		.filter = do_damage, .filter_arg = &d,
	};

	test_ranks_with(&o);
}

static void an_altered_hello_fails_the_creation(void)
{
	for (size_t at = 0; at < offsetof(struct ipcshare__wire_hello, pad); at += 5)
		damage(TEST_ALLGATHER, 0, at / 5 % 2, at);
}

/* Also one that a rank sees in its own place: it must not act on it. */
static void an_altered_header_fails_the_share(void)
{
	for (size_t at = 0; at < offsetof(struct ipcshare__wire_header, pad); at += 3) {
		damage(TEST_ALLGATHER, 3, 0, at);
		damage(TEST_ALLGATHER, 3, 1, at);
	}
	damage(TEST_ALLGATHER, 2, 1, offsetof(struct ipcshare__wire_header, value));
	damage(TEST_ALLGATHER, 5, 1, offsetof(struct ipcshare__wire_header, value));
}

static void an_altered_blob_fails_the_share(void)
{
	size_t len = sizeof(struct ipcshare__wire_blob) + sizeof(struct ipcshare__wire_descriptor) +
		     sizeof(struct ipcshare__wire_region);

	for (size_t at = 0; at < len; at += 11)
		damage(TEST_ALLGATHERV, 4, at / 11 % 2, at);
}

TEST_SUITE(group_lies, NULL, NULL,
	TEST(a_bootstrap_that_lies_about_numbers_is_found_out),
	TEST(a_hello_that_is_well_formed_but_false_is_named),
	TEST(an_altered_hello_fails_the_creation),
	TEST(an_altered_header_fails_the_share),
	TEST(an_altered_blob_fails_the_share));
