/* SPDX-License-Identifier: BSD-3-Clause */
/* The split form: the caller moves the blobs. */
#include <stdlib.h>

#include "team.h"

static struct ipcshare_set *const untouched = (struct ipcshare_set *)16;

struct blobs {
	size_t len[TEST_RANKS_MAX];
	void *bytes[TEST_RANKS_MAX]; /* into memory; at odd addresses */
	const void *const *list;
	char *memory;
};

/* Everybody's blob, over lane 1. */
static void blobs_gather(struct test_rank *me, const void *mine, size_t len, struct blobs *b)
{
	struct ipcshare_bootstrap lane = test_rank_bootstrap(me, 1, 0);
	size_t total = 0, at = 1;

	CHECK_INT(len % 64, 0);
	REQUIRE_INT(lane.allgather(lane.arg, NULL, &len, sizeof(len), b->len), 0);
	for (int r = 0; r < me->nranks; r++)
		total += b->len[r];
	b->memory = malloc(total + 1);
	test_rank_gatherv(me, 1, mine, b->memory + 1, b->len);
	for (int r = 0; r < me->nranks; at += b->len[r++])
		b->bytes[r] = b->memory + at;
	b->list = (const void *const *)b->bytes;
}

static void moves_the_bytes_itself(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = untouched;
	struct ipcshare_buf bufs[3];
	struct ipcshare_share *s;
	struct blobs b;
	const void *blob;
	size_t len;
	struct team t;
	char *p;

	(void)arg;
	team_join(me, &t);
	p = team_alloc(t.ctx, 3000);
	for (size_t i = 0; i < 3; i++) {
		bufs[i] = (struct ipcshare_buf){ p + 1000 * i, 1000 };
		team_fill(bufs[i].ptr, 1000, t.rank, i);
	}
	bufs[1].ptr = &t; /* a bad one */
	REQUIRE_OK(ipcshare_share_begin(t.group, bufs, 3, 0, &s, &blob, &len));
	CHECK_FAILS(ipcshare_free(t.ctx, p), IPCSHARE_ERR_BUSY);
	blobs_gather(me, blob, len, &b);
	REQUIRE_OK(ipcshare_share_complete(s, b.list, b.len, &set));
	CHECK_FAILS(ipcshare_share_cancel(s), IPCSHARE_ERR_CLOSED);
	CHECK_INT(ipcshare_set_failures(set), t.nranks); /* one of each, seen here */
	for (int r = 0; r < t.nranks; r++) {
		CHECK_STATUS(ipcshare_set_status(set, r, 1), IPCSHARE_ERR_NOT_SHAREABLE);
		CHECK_PTR(ipcshare_ptr(set, r, 1), NULL);
		team_check(ipcshare_ptr(set, r, 0), 1000, r, 0);
		team_check(ipcshare_ptr(set, r, 2), 1000, r, 2);
	}
	/* Local: rank 1 lets go while rank 0 still reads. */
	if (t.rank == 1)
		CHECK_STATUS(ipcshare_set_free(set), 0);
	test_rank_barrier(me, 1);
	if (t.rank == 1) {
		CHECK_FAILS(ipcshare_free(t.ctx, p), IPCSHARE_ERR_BUSY);
		CHECK_INT(team_counters(t.ctx).allocations, 1);
	}
	test_rank_barrier(me, 1);
	if (t.rank != 1) {
		team_check(ipcshare_ptr(set, 1, 0), 1000, 1, 0);
		CHECK_STATUS(ipcshare_set_free(set), 0);
	}
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_free(t.ctx, p), 0);
	free(b.memory);
	team_leave(&t);
}

static void the_split_form_gives_the_same_set(void)
{
	test_ranks(3, moves_the_bytes_itself, NULL);
}

static void completes_with_bad_blobs(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set = untouched;
	struct ipcshare_share *s = NULL, *older = NULL;
	const void *blob, *list[2], *swapped[2], *older_blob;
	int peer = !me->rank;
	struct ipcshare_buf buf, small;
	struct blobs b, ob;
	size_t len, older_len, lens[2];
	struct team t;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 1000), 1000 };
	small = (struct ipcshare_buf){ team_alloc(t.ctx, 10), 10 };
	team_fill(buf.ptr, 1000, t.rank, 0);
	REQUIRE_OK(ipcshare_share_begin(t.group, &small, 1, 0, &older, &older_blob, &older_len));
	REQUIRE_OK(ipcshare_share_begin(t.group, &buf, 1, 0, &s, &blob, &len));
	blobs_gather(me, older_blob, older_len, &ob);
	blobs_gather(me, blob, len, &b);
	memcpy(list, b.bytes, sizeof(list));
	memcpy(lens, b.len, sizeof(lens));
	swapped[0] = list[1];
	swapped[1] = list[0];
	CHECK_FAILS(ipcshare_share_complete(s, swapped, lens, &set), IPCSHARE_ERR_MISMATCH);
	list[peer] = NULL;
	CHECK_FAILS(ipcshare_share_complete(s, list, lens, &set), IPCSHARE_ERR_INVALID);
	list[peer] = b.bytes[peer];
	for (size_t n = 0; n < lens[peer]; n += 7) { /* cut off */
		lens[peer] = n;
		CHECK_FAILS(ipcshare_share_complete(s, list, lens, &set), IPCSHARE_ERR_PROTOCOL);
		lens[peer] = b.len[peer];
	}
	((char *)b.bytes[peer])[70] ^= 1; /* altered */
	CHECK_FAILS(ipcshare_share_complete(s, list, lens, &set), IPCSHARE_ERR_PROTOCOL);
	CHECK_INT(ipcshare_last_error()->rank, peer);
	((char *)b.bytes[peer])[70] ^= 1;
	/* Our own blob of another share: its offsets don't fit this one's regions. */
	list[t.rank] = ob.bytes[t.rank];
	lens[t.rank] = ob.len[t.rank];
	CHECK_FAILS(ipcshare_share_complete(s, list, lens, &set), IPCSHARE_ERR_MISMATCH);
	list[t.rank] = b.bytes[t.rank];
	lens[t.rank] = b.len[t.rank];
	CHECK_FAILS(ipcshare_share_complete(s, NULL, lens, &set), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_complete(s, list, NULL, &set), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_complete(s, list, lens, NULL), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_complete(NULL, list, lens, &set), IPCSHARE_ERR_INVALID);
	CHECK_PTR(set, untouched);
	CHECK_INT(team_counters(t.ctx).sets, 0);
	REQUIRE_OK(ipcshare_share_complete(s, list, lens, &set)); /* it is still good */
	team_check(ipcshare_ptr(set, peer, 0), 1000, peer, 0);
	CHECK_FAILS(ipcshare_share_complete(s, list, lens, &set), IPCSHARE_ERR_CLOSED);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_share_cancel(older), 0);
	CHECK_FAILS(ipcshare_share_cancel(older), IPCSHARE_ERR_CLOSED);
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0); /* no failed try holds it here or there */
	CHECK_STATUS(ipcshare_free(t.ctx, small.ptr), 0);
	free(b.memory);
	free(ob.memory);
	team_leave(&t);
}

static void a_share_survives_bad_blobs(void)
{
	test_ranks(2, completes_with_bad_blobs, NULL);
}

static void begins_badly(struct test_rank *me, void *arg)
{
	struct ipcshare_share *const no_share = (void *)16, *s = no_share;
	const void *const no_blob = "", *blob = no_blob;
	struct ipcshare_buf buf;
	size_t len = 5;
	struct team t;

	(void)arg;
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 1000), 1000 };
	CHECK_FAILS(ipcshare_share_begin(NULL, &buf, 1, 0, &s, &blob, &len), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_begin(t.group, NULL, 1, 0, &s, &blob, &len),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_begin(t.group, &buf, 1, IPCSHARE_ALL_OR_NOTHING, &s, &blob, &len),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_begin(t.group, &buf, 1, 0, NULL, &blob, &len),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_begin(t.group, &buf, 1, 0, &s, NULL, &len),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_begin(t.group, &buf, 1, 0, &s, &blob, NULL),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_share_begin(t.group, &buf, SIZE_MAX / 8, 0, &s, &blob, &len),
		    IPCSHARE_ERR_NO_MEMORY);
	CHECK_PTR(s, no_share);
	CHECK_PTR(blob, no_blob);
	CHECK_INT(len, 5);
	CHECK_STATUS(ipcshare_share_cancel(NULL), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	team_leave(&t);
}

static void a_share_that_cannot_begin_leaves_nothing(void)
{
	test_ranks(1, begins_badly, NULL);
}

TEST_SUITE(share_split, NULL, NULL,
	TEST(the_split_form_gives_the_same_set),
	TEST(a_share_survives_bad_blobs),
	TEST(a_share_that_cannot_begin_leaves_nothing));
