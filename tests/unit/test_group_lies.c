/* SPDX-License-Identifier: BSD-3-Clause */
/* Bootstraps that lie, and bytes that are altered on their way. */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/wire.h"
#include "rounds.h"
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

static void in_no_place(struct ipcshare__wire_hello *h)
{
	h->place.numa = -2;
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
	{ "no place", in_no_place, IPCSHARE_ERR_PROTOCOL, 1, 0 },
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

/* ---- Bytes altered on the way, or false from the start ---- */

static void check_malformed(struct team *t, int err, int round, size_t at)
{
	CHECK(err == IPCSHARE_ERR_PROTOCOL || err == IPCSHARE_ERR_VERSION ||
		      err == IPCSHARE_ERR_MISMATCH,
	      "round %d, byte %zu: %s", round, at, err ? ipcshare_explain() : "success");
	CHECK_INT(err, ipcshare_last_error()->status);
	CHECK_STATUS(ipcshare_group_free(t->group), 0);
}

static void hears_an_altered_hello(struct test_rank *me, void *arg)
{
	struct team t = { .rank = me->rank };

	test_resources(&t.before);
	t.ctx = team_open(20000); /* nobody is to wait for it */
	check_malformed(&t, team_live(&t, me), 0, *(size_t *)arg);
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void alter_hello(const struct test_exchange *x, void *arg)
{
	size_t at = *(size_t *)arg;

	if (x->lane == 0 && x->serial == 0 && x->from == 0 && x->to == (int)(at / 5 % 2))
		x->bytes[at] ^= (unsigned char)(1 << at % 8);
}

static void an_altered_hello_fails_the_creation(void)
{
	for (size_t at = 0; at < offsetof(struct ipcshare__wire_hello, pad); at += 5) {
		struct test_ranks o = {
			.nranks = 2, .fn = hears_an_altered_hello, .arg = &at,
			.filter = alter_hello, .filter_arg = &at,
		};

		test_ranks_with(&o);
	}
}

struct damage {
	int round; /* of the board, what rank 0 says there */
	size_t at; /* the byte of its slot */
};

static void do_damage(struct ipcshare_group *g, void *arg)
{
	const struct damage *d = arg;

	((unsigned char *)&ipcshare__board_slot(g)->front)[d->at] ^= (unsigned char)(1 << d->at % 8);
}

static void reads_altered_bytes(struct test_rank *me, void *arg)
{
	struct damage *d = arg;
	struct rounds rounds = { .special = d->round, .before_post = do_damage, .arg = d };
	struct team t = { .rank = me->rank };
	int err;

	test_resources(&t.before);
	t.ctx = team_open(20000);
	rounds_watch(me->rank ? NULL : &rounds);
	err = team_live(&t, me);
	check_malformed(&t, err, d->round, d->at);
	test_rank_barrier(me, 1); /* a peer may still have had a set */
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void damage(int round, size_t at)
{
	struct damage d = { round, at };

	test_ranks(2, reads_altered_bytes, &d);
}

static void an_altered_header_fails_the_share(void)
{
	for (size_t at = 0; at < offsetof(struct ipcshare__wire_header, pad); at += 3)
		damage(1, at);
	damage(1, offsetof(struct ipcshare__wire_header, value));
	damage(2, offsetof(struct ipcshare__wire_header, value));
	damage(3, offsetof(struct ipcshare__wire_header, value));
}

/* The rank may be hostile: there is no sum to rely on. Whatever can't be must be found. */
static void a_blob_that_cannot_be_fails_the_share(void)
{
	static const size_t in_head[] = {
		offsetof(struct ipcshare__wire_blob, magic), offsetof(struct ipcshare__wire_blob, layout),
		offsetof(struct ipcshare__wire_blob, endpoint), offsetof(struct ipcshare__wire_blob, bytes),
		offsetof(struct ipcshare__wire_blob, set), offsetof(struct ipcshare__wire_blob, nbufs),
		offsetof(struct ipcshare__wire_blob, ndescriptors),
		offsetof(struct ipcshare__wire_blob, nregions),
		offsetof(struct ipcshare__wire_blob, rank), offsetof(struct ipcshare__wire_blob, access),
	};
	const size_t blob = IPCSHARE__SLOT_BODY - offsetof(struct ipcshare__slot, front);
	const size_t region = blob + sizeof(struct ipcshare__wire_blob);
	const size_t descriptor = region + sizeof(struct ipcshare__wire_region) + 8; /* whole 16 */

	for (size_t i = 0; i < sizeof(in_head) / sizeof(in_head[0]); i++)
		damage(1, blob + in_head[i]);
	damage(1, descriptor + 5); /* the length, then the region */
	damage(1, descriptor + 6);
	damage(1, descriptor + 8 + 5); /* the offset, then the generation */
	damage(1, descriptor + 8 + 6);
	damage(1, region + offsetof(struct ipcshare__wire_region, region) + 3);
	damage(1, region + offsetof(struct ipcshare__wire_region, generation));
	damage(1, region + offsetof(struct ipcshare__wire_region, length) + 7);
}

/* ---- Lies about how much there is ---- */

static void says_that_it_has_no_blob(struct ipcshare_group *g, void *arg)
{
	struct ipcshare__wire_header *h = &ipcshare__board_slot(g)->front.header;

	(void)arg;
	h->value = 0;
	h->check = ipcshare__checksum32(h, offsetof(struct ipcshare__wire_header, check));
}

static void reads_no_blob(struct test_rank *me, void *arg)
{
	struct rounds rounds = { .special = 1, .before_post = says_that_it_has_no_blob };
	struct team t = { .rank = me->rank };
	int err;

	(void)arg;
	test_resources(&t.before);
	t.ctx = team_open(20000);
	rounds_watch(me->rank ? NULL : &rounds);
	err = team_live(&t, me);
	check_malformed(&t, err, 1, 0);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_close(t.ctx), 0);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void a_blob_of_no_bytes_fails_the_share(void)
{
	test_ranks(2, reads_no_blob, NULL);
}

#define MANY (2u << 20) /* buffers: 40 MiB of tables */

static uint64_t pretended = UINT64_MAX; /* bytes that are left; UINT64_MAX: the truth */

uint64_t __real_ipcshare__memory_left(const char **whose);
uint64_t __wrap_ipcshare__memory_left(const char **whose);

uint64_t __wrap_ipcshare__memory_left(const char **whose)
{
	uint64_t left = __real_ipcshare__memory_left(whose);

	return pretended == UINT64_MAX ? left : pretended;
}

static void names_many(struct ipcshare_group *g, void *arg)
{
	struct ipcshare__wire_blob *blob = (void *)ipcshare__board_slot(g)->body;

	(void)arg;
	CHECK_INT(blob->ndescriptors, 2); /* which can name as many */
	blob->nbufs = MANY;
}

static void has_no_room_for_many(struct test_rank *me, void *arg)
{
	struct rounds rounds = { .special = 1, .before_post = names_many };
	struct ipcshare_set *const untouched_set = (struct ipcshare_set *)16, *set = untouched_set;
	struct ipcshare_buf bufs[2];
	struct test_resources before;
	struct team t;

	(void)arg;
	team_join(me, &t);
	bufs[0] = (struct ipcshare_buf){ team_alloc(t.ctx, 4096), 100 };
	bufs[1] = (struct ipcshare_buf){ (char *)bufs[0].ptr + 500, 200 };
	pretended = (uint64_t)MANY * 20; /* enough for one rank, but there are two */
	test_resources(&before);
	rounds_watch(me->rank ? NULL : &rounds);
	CHECK_FAILS(ipcshare_share(t.group, bufs, 2, 0, &set), IPCSHARE_ERR_NO_MEMORY);
	rounds_watch(NULL);
	CHECK_HAS(ipcshare_last_error()->text, "2097152 buffers: 2 ranks need ");
	CHECK_INT(ipcshare_last_error()->rank, 0);
	CHECK_PTR(set, untouched_set);
	CHECK_RESIDENT(&before, 16 << 20); /* it was not even tried */
	pretended = UINT64_MAX;
	REQUIRE_OK(ipcshare_share(t.group, bufs, 2, 0, &set)); /* the group goes on */
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, bufs[0].ptr), 0);
	team_leave(&t);
}

static void a_few_bytes_that_name_more_buffers_than_memory_holds_are_refused(void)
{
	test_ranks(2, has_no_room_for_many, NULL);
}

TEST_SUITE(group_lies, NULL, NULL,
	TEST(a_bootstrap_that_lies_about_numbers_is_found_out),
	TEST(a_hello_that_is_well_formed_but_false_is_named),
	TEST(an_altered_hello_fails_the_creation),
	TEST(an_altered_header_fails_the_share),
	TEST(a_blob_that_cannot_be_fails_the_share),
	TEST(a_blob_of_no_bytes_fails_the_share),
	TEST(a_few_bytes_that_name_more_buffers_than_memory_holds_are_refused));
