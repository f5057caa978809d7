/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys that a rank can't share, or does not want to share as it should. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/wire.h"
#include "rdma_side.h"
#include "rounds.h"

#define RANKS 3

/* ---- If one rank can't ---- */

enum fault {
	NO_ROOM, DEVICE_LOST, NO_DOMAIN, OTHERS_DOMAIN, DEAD_DOMAIN, NO_ACCESS, LOCAL_ACCESS, REMOTE_WRITE,
	NO_OUT, READ_ONLY, FAULTS
};

static const struct {
	int status;
	const char *has; /* its text or hint */
	int index; /* of the buffer concerned, or -1 */
} faults[FAULTS] = {
	[NO_ROOM] = { IPCSHARE_ERR_LIMIT, "ulimit -l", 1 },
	[DEVICE_LOST] = { IPCSHARE_ERR_UNREACHABLE, "IBV_EVENT_DEVICE_FATAL", 1 },
	[NO_DOMAIN] = { IPCSHARE_ERR_INVALID, "no domain", -1 },
	[OTHERS_DOMAIN] = { IPCSHARE_ERR_INVALID, "another context", -1 },
	[DEAD_DOMAIN] = { IPCSHARE_ERR_CLOSED, "", -1 },
	[NO_ACCESS] = { IPCSHARE_ERR_INVALID, "lets no other node in", 0 },
	[LOCAL_ACCESS] = { IPCSHARE_ERR_INVALID, "lets no other node in", 0 },
	[REMOTE_WRITE] = { IPCSHARE_ERR_INVALID, "LOCAL_WRITE goes with", 0 },
	[NO_OUT] = { IPCSHARE_ERR_INVALID, "out is NULL", -1 },
	[READ_ONLY] = { IPCSHARE_ERR_READ_ONLY, "IPCSHARE_READ_ONLY", 0 },
};

static int shares_with(struct side *s, enum fault fault, struct ipcshare_rdma_keys **out)
{
	struct ipcshare_rdma_domain *d = s->d, *spare = NULL;
	int access = RDMA_WRITE_TOO, status;
	struct ipcshare_ctx *ctx = NULL;

	switch (fault) {
	case NO_ROOM:
	case DEVICE_LOST: /* at the second region; the first is there */
		CHECK_STATUS(ipcshare_rdma_release(rdma_region_at(d, s->p[0], access)), 0);
		fake.fails = 1;
		fake.error = fault == NO_ROOM ? ENOMEM : EIO;
		break;
	case NO_DOMAIN: d = NULL; break;
	case OTHERS_DOMAIN:
		ctx = team_open(0);
		d = spare = rdma_domain(ctx);
		break;
	case DEAD_DOMAIN:
		d = rdma_domain(s->t.ctx);
		CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
		break;
	case NO_ACCESS: access = 0; break;
	case LOCAL_ACCESS: access = IBV_ACCESS_LOCAL_WRITE; break;
	case REMOTE_WRITE: access = IBV_ACCESS_REMOTE_WRITE; break;
	case NO_OUT: out = NULL; break;
	default: break;
	}
	status = ipcshare_rdma_share(d, s->set, access, out);
	if (spare) {
		struct ipcshare_error why = *ipcshare_last_error();

		CHECK_STATUS(ipcshare_rdma_domain_free(spare), 0);
		CHECK_STATUS(ipcshare_close(ctx), 0);
		CHECK_INT(why.status, status);
	}
	return status;
}

static void one_of_them_cannot(struct test_rank *me, void *arg)
{
	enum fault fault = *(enum fault *)arg;
	struct ipcshare_rdma_keys *keys = SIDE_UNTOUCHED;
	struct ipcshare_error why;
	struct side s;
	int status;

	side_begin(&s, me, SIDE_BUFS, fault == READ_ONLY ? IPCSHARE_READ_ONLY : 0);
	/* In the last case all of them ask for too much, and the lowest is named. */
	status = shares_with(&s, me->rank == 1 || fault == READ_ONLY ? fault : FAULTS, &keys);
	why = *ipcshare_last_error();
	CHECK(status == faults[fault].status, "fault %d: %s", fault, ipcshare_explain());
	if (fault != OTHERS_DOMAIN || me->rank != 1) {
		CHECK_INT(why.status, faults[fault].status);
		CHECK_INT(why.rank, fault == READ_ONLY ? 0 : 1);
		CHECK_INT(why.index, faults[fault].index);
		CHECK(strstr(why.text, faults[fault].has) || strstr(why.hint, faults[fault].has),
		      "fault %d: %s", fault, why.text);
	}
	CHECK_PTR(keys, SIDE_UNTOUCHED);
	CHECK_INT(rdma_stats(s.d).active, rdma_stats(s.d).idle);
	CHECK_STATUS(ipcshare_rdma_share(s.d, s.set, RDMA_READ, &keys), 0); /* the group goes on */
	CHECK_STATUS(ipcshare_rdma_keys_free(keys), 0);
	side_end(&s);
}

static void if_a_rank_cannot_register_all_fail_alike_and_nothing_is_in_use(void)
{
	for (enum fault fault = 0; fault < FAULTS; fault++)
		CHECK(!test_ranks(RANKS, one_of_them_cannot, &fault), "fault %d", fault);
}

static void invalidates_what_it_shares(struct test_rank *me, void *arg)
{
	struct ipcshare_rdma_keys *keys = SIDE_UNTOUCHED, *before = NULL;
	struct ipcshare_rdma_domain *d;
	struct ipcshare_rdma_remote at;
	struct ipcshare_set *set;
	struct ipcshare_buf buf;
	struct team t;
	int fd;

	(void)arg;
	team_join(me, &t);
	d = rdma_domain(t.ctx);
	fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	REQUIRE(!ftruncate(fd, 4096), "%m");
	buf = (struct ipcshare_buf){ mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), 4096 };
	REQUIRE_OK(ipcshare_register(t.ctx, buf.ptr, 4096, fd));
	set = team_share(&t, &buf, 1, 0);
	REQUIRE_OK(ipcshare_rdma_share(d, set, RDMA_READ, &before));
	if (me->rank == 1) {
		CHECK_FAILS(ipcshare_invalidate(t.ctx, buf.ptr, 4096), IPCSHARE_ERR_BUSY);
		rdma_check_all_ended(1); /* the key is dead */
	}
	CHECK_FAILS(ipcshare_rdma_share(d, set, RDMA_READ, &keys), IPCSHARE_ERR_STALE);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK_INT(ipcshare_last_error()->index, 0);
	CHECK_PTR(keys, SIDE_UNTOUCHED);
	CHECK_STATUS(ipcshare_rdma_keys_at(before, 0, 0, &at), 0); /* these live on */
	CHECK_STATUS(ipcshare_rdma_keys_free(before), 0);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	if (me->rank == 0)
		CHECK_STATUS(ipcshare_deregister(t.ctx, buf.ptr), 0);
	munmap(buf.ptr, 4096);
	close(fd);
	rdma_check_all_ended(1);
	team_leave(&t);
}

static void what_a_rank_has_invalidated_has_no_keys(void)
{
	test_ranks(2, invalidates_what_it_shares, NULL);
}

static void gives_another_set(struct test_rank *me, void *arg)
{
	struct ipcshare_rdma_keys *keys = SIDE_UNTOUCHED;
	struct ipcshare_set *other;
	struct side s;

	(void)arg;
	side_begin(&s, me, SIDE_BUFS, 0);
	other = team_share(&s.t, s.bufs, SIDE_BUFS, 0);
	CHECK_FAILS(ipcshare_rdma_share(s.d, me->rank == 2 ? other : s.set, RDMA_READ, &keys),
		    IPCSHARE_ERR_MISMATCH);
	CHECK_HAS(ipcshare_last_error()->text, me->rank == 0 ? "the rank gives set 2 of the group, another one set 1"
							       : "seen by rank 0: the rank gives set 2");
	CHECK_INT(ipcshare_last_error()->rank, 2);
	CHECK_PTR(keys, SIDE_UNTOUCHED);
	CHECK_STATUS(ipcshare_set_free(other), 0);
	CHECK_STATUS(ipcshare_rdma_share(s.d, s.set, RDMA_READ, &keys), 0);
	CHECK_STATUS(ipcshare_rdma_keys_free(keys), 0);
	side_end(&s);
}

static void ranks_that_give_different_sets_are_told(void)
{
	test_ranks(RANKS, gives_another_set, NULL);
}

static void a_set_of_split_shares_has_no_keys(void)
{
	struct ipcshare_buf buf;
	struct ipcshare_rdma_keys *keys = SIDE_UNTOUCHED;
	struct ipcshare_rdma_domain *d;
	struct ipcshare_share *share;
	struct ipcshare_group *group;
	struct ipcshare_set *set;
	const void *blob;
	size_t len;

	owner_open();
	buf = (struct ipcshare_buf){ owned, OWNED };
	d = rdma_domain(owner);
	REQUIRE_OK(ipcshare_group_create(owner, &team_alone, &group));
	REQUIRE_OK(ipcshare_share_begin(group, &buf, 1, 0, &share, &blob, &len));
	REQUIRE_OK(ipcshare_share_complete(share, &blob, &len, &set));
	CHECK_FAILS(ipcshare_rdma_share(d, set, RDMA_READ, &keys), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_rdma_share(d, NULL, RDMA_READ, &keys), IPCSHARE_ERR_INVALID);
	CHECK_PTR(keys, SIDE_UNTOUCHED);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_FAILS(ipcshare_rdma_share(d, set, RDMA_READ, &keys), IPCSHARE_ERR_CLOSED);
	CHECK_STATUS(ipcshare_rdma_domain_free(d), 0);
	CHECK_STATUS(ipcshare_group_free(group), 0);
}

static void one_dies(struct test_rank *me, void *arg)
{
	struct ipcshare_rdma_keys *keys = SIDE_UNTOUCHED;
	struct side s;

	(void)arg;
	side_begin(&s, me, SIDE_BUFS, 0);
	if (me->rank == 2)
		raise(SIGKILL);
	CHECK_FAILS(ipcshare_rdma_share(s.d, s.set, RDMA_READ, &keys), IPCSHARE_ERR_PEER_DEAD);
	CHECK_INT(ipcshare_last_error()->rank, 2);
	CHECK_PTR(keys, SIDE_UNTOUCHED);
	CHECK_INT(rdma_stats(s.d).active, rdma_stats(s.d).idle);
	CHECK_STATUS(ipcshare_rdma_domain_free(s.d), 0);
	CHECK_STATUS(ipcshare_abandon(s.t.ctx), 0);
	rdma_check_all_ended(2);
}

static void the_death_of_a_rank_is_named_and_nothing_is_in_use(void)
{
	struct test_ranks o = { .nranks = RANKS, .fn = one_dies, .dies = 1 << 2 };

	test_ranks_with(&o);
}

/* ---- Lies ---- */

struct lie {
	const char *what;
	void (*tell)(struct ipcshare__slot *slot, struct ipcshare__wire_parcel *p);
	int status;
	const char *text; /* has it */
};

static void sign_record(struct ipcshare__wire_rdma *w)
{
	w->check = ipcshare__checksum32(w, offsetof(struct ipcshare__wire_rdma, check));
}

static void says_value(struct ipcshare__slot *slot, uint64_t value)
{
	struct ipcshare__wire_header *h = &slot->front.header;

	h->value = value;
	h->check = ipcshare__checksum32(h, offsetof(struct ipcshare__wire_header, check));
}

#define LIE(name, ...)                                                                             \
	static void name(struct ipcshare__slot *slot, struct ipcshare__wire_parcel *p)             \
	{                                                                                          \
		(void)slot, (void)p;                                                               \
		__VA_ARGS__                                                                        \
	}

LIE(no_such_region, p->keys[0].region += 1000;)
LIE(no_region_at_all, p->keys[0].region = UINT32_MAX;)
LIE(old_generation, p->keys[1].generation--;)
LIE(twice, p->keys[1] = p->keys[0];)
LIE(longer, p->keys[1].record.length++; sign_record(&p->keys[1].record);)
LIE(shorter, p->keys[1].record.length--; sign_record(&p->keys[1].record);)
LIE(no_length, p->keys[1].record.length = 0; sign_record(&p->keys[1].record);)
LIE(altered, p->keys[0].record.rkey ^= 1;)
LIE(other_version, p->keys[0].record.layout++;)
LIE(one_less, says_value(slot, sizeof(*p) + sizeof(p->keys[0]));)
LIE(one_more, says_value(slot, sizeof(*p) + 3 * sizeof(p->keys[0]));)
LIE(nothing, says_value(slot, 0);)
LIE(half_a_head, says_value(slot, 4);)
LIE(no_end, says_value(slot, UINT64_MAX);)

static const struct lie lies[] = {
	{ "no such region", no_such_region, IPCSHARE_ERR_PROTOCOL, "can't be" },
	{ "no region at all", no_region_at_all, IPCSHARE_ERR_PROTOCOL, "region 4294967295 can't be" },
	{ "an old generation", old_generation, IPCSHARE_ERR_PROTOCOL, "can't be" },
	{ "a region twice", twice, IPCSHARE_ERR_PROTOCOL, "can't be" },
	{ "a region that is longer", longer, IPCSHARE_ERR_PROTOCOL, "can't be" },
	{ "a region that is shorter", shorter, IPCSHARE_ERR_PROTOCOL, "can't be" },
	{ "a region of no bytes", no_length, IPCSHARE_ERR_PROTOCOL, "malformed" },
	{ "an altered record", altered, IPCSHARE_ERR_PROTOCOL, "malformed" },
	{ "a record of another version", other_version, IPCSHARE_ERR_VERSION, "layout" },
	{ "a key less", one_less, IPCSHARE_ERR_PROTOCOL, "2 regions in the set, but keys of 48 bytes" },
	{ "a key more", one_more, IPCSHARE_ERR_PROTOCOL, "2 regions in the set, but keys of 128 bytes" },
	{ "nothing", nothing, IPCSHARE_ERR_PROTOCOL, "keys of 0 bytes" },
	{ "half a head", half_a_head, IPCSHARE_ERR_PROTOCOL, "keys of 4 bytes" },
	{ "keys without end", no_end, IPCSHARE_ERR_PROTOCOL, "announced keys of" },
};

struct told { /* a rank */
	const struct lie *lie;
	struct test_rank *me;
	struct ipcshare__wire_header truth;
};

static void tell_lie(struct ipcshare_group *g, void *arg)
{
	struct ipcshare__slot *slot = ipcshare__board_slot(g);
	struct told *told = arg;

	told->truth = slot->front.header;
	told->lie->tell(slot, (struct ipcshare__wire_parcel *)slot->body);
}

/* The others have read it: the liar's own library is to find what it wrote. */
static void take_it_back(struct ipcshare_group *g, void *arg)
{
	struct told *told = arg;
	struct ipcshare__slot *slot = (void *)(uintptr_t)ipcshare__board_read(g, g->rank);

	if (told->lie->tell == no_end) /* they leave at once, and so may the liar */
		return;
	test_rank_barrier(told->me, 1);
	slot->front.header = told->truth;
}

static void have_read_it(struct ipcshare_group *g, void *arg)
{
	(void)g;
	test_rank_barrier(((struct told *)arg)->me, 1);
}

/* Rank 0 tells it. */
static void is_told_a_lie(struct test_rank *me, void *arg)
{
	struct told told = { .lie = arg, .me = me };
	struct rounds liars = { .special = 1, .before_post = tell_lie, .after = take_it_back, .arg = &told };
	struct rounds others = { .special = 2, .before_post = have_read_it, .arg = &told };
	struct ipcshare_rdma_keys *keys = SIDE_UNTOUCHED;
	struct side s;
	int status;

	side_begin(&s, me, SIDE_BUFS, 0);
	rounds_watch(me->rank ? &others : &liars);
	status = ipcshare_rdma_share(s.d, s.set, RDMA_READ, &keys);
	rounds_watch(NULL);
	if (me->rank || told.lie->tell != no_end) {
		CHECK(status == told.lie->status, "%s: %s", told.lie->what, status ? ipcshare_explain() : "success");
		CHECK_HAS(ipcshare_last_error()->text, told.lie->text);
		CHECK_INT(ipcshare_last_error()->rank, 0);
	}
	CHECK(status != 0, "%s", told.lie->what);
	CHECK_PTR(keys, SIDE_UNTOUCHED);
	CHECK_INT(rdma_stats(s.d).active, rdma_stats(s.d).idle);
	if (told.lie->tell != no_end) { /* the group goes on */
		CHECK_STATUS(ipcshare_rdma_share(s.d, s.set, RDMA_READ, &keys), 0);
		CHECK_STATUS(ipcshare_rdma_keys_free(keys), 0);
		side_end(&s);
		return;
	}
	CHECK_STATUS(ipcshare_rdma_domain_free(s.d), 0);
	CHECK_STATUS(ipcshare_abandon(s.t.ctx), 0);
}

static void keys_that_cannot_be_are_refused_by_all(void)
{
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		CHECK(!test_ranks(RANKS, is_told_a_lie, (void *)(uintptr_t)&lies[i]), "%s", lies[i].what);
}

TEST_SUITE(rdma_keys_bad, rdma_begin, owner_end,
	TEST(if_a_rank_cannot_register_all_fail_alike_and_nothing_is_in_use),
	TEST(what_a_rank_has_invalidated_has_no_keys),
	TEST(ranks_that_give_different_sets_are_told),
	TEST(a_set_of_split_shares_has_no_keys),
	TEST(the_death_of_a_rank_is_named_and_nothing_is_in_use),
	TEST(keys_that_cannot_be_are_refused_by_all));
