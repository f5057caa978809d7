/* SPDX-License-Identifier: BSD-3-Clause */
/* Pulls and pushes: what arrives, what is refused, and that a refusal moves nothing. */
#include <pthread.h>
#include <stdlib.h>

#include "team.h"

#define OWNERS 2 /* ranks 1 and 2; rank 0 pulls and pushes */
#define NBUFS 40
#define ROOM ((size_t)1 << 20)

/* Empty ones too, and one of several pages. */
static size_t how_long(size_t i)
{
	return i % 9 == 4 ? 0 : i == 7 ? 70000 : 1 + i * 131 % 3000;
}

/* Every rank shares NBUFS buffers cut from one allocation. */
static struct ipcshare_set *share_cut(struct team *t, void **memory, unsigned flags)
{
	struct ipcshare_buf bufs[NBUFS];
	size_t at = 0;

	*memory = team_alloc(t->ctx, ROOM);
	for (size_t i = 0; i < NBUFS; i++) {
		bufs[i] = (struct ipcshare_buf){ (char *)*memory + at, how_long(i) };
		team_fill(bufs[i].ptr, bufs[i].len, t->rank, i);
		at += bufs[i].len;
	}
	return team_share(t, bufs, NBUFS, flags);
}

static void end(struct team *t, struct ipcshare_set *set, void *memory)
{
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t->ctx, memory), 0);
	team_leave(t);
}

/* ---- Random items against a model ---- */

#define ITEMS 100000
#define AT_ONCE_MAX 600

struct model {
	uint64_t state;
	struct ipcshare_set *set;
	unsigned char *theirs[1 + OWNERS][NBUFS]; /* what must be in their buffers */
	unsigned char *local, *expected; /* ROOM bytes each */
	struct ipcshare_item items[AT_ONCE_MAX];
	size_t n;
};

static size_t draw(struct model *m, size_t below)
{
	m->state = m->state * 6364136223846793005u + 1442695040888963407u;
	return (size_t)((m->state >> 33) % below);
}

static struct model *model_new(struct ipcshare_set *set)
{
	struct model *m = calloc(1, sizeof(*m));

	m->state = 20260;
	m->set = set;
	m->local = malloc(ROOM);
	m->expected = malloc(ROOM);
	for (int r = 0; r <= OWNERS; r++)
		for (size_t i = 0; i < NBUFS; i++) {
			m->theirs[r][i] = malloc(how_long(i) + 1);
			team_fill(m->theirs[r][i], how_long(i), r, i);
		}
	return m;
}

static void model_free(struct model *m)
{
	for (int r = 0; r <= OWNERS; r++)
		for (size_t i = 0; i < NBUFS; i++)
			free(m->theirs[r][i]);
	free(m->local);
	free(m->expected);
	free(m);
}

static size_t draw_len(struct model *m)
{
	switch (draw(m, 10)) {
	case 0: return 0;
	case 1: return 1 + draw(m, 5000);
	case 2: return (size_t)8 << draw(m, 9);
	default: return draw(m, 130);
	}
}

static void shuffle(struct model *m)
{
	for (size_t i = m->n; i > 1; i--) {
		size_t j = draw(m, i);
		struct ipcshare_item item = m->items[i - 1];

		m->items[i - 1] = m->items[j];
		m->items[j] = item;
	}
}

/* Local memory from the first byte on, with gaps or without; anywhere in the buffers. */
static void draw_pull(struct model *m, size_t want)
{
	size_t at = 0;

	for (m->n = 0; m->n < want; m->n++) {
		struct ipcshare_item *it = &m->items[m->n];

		*it = (struct ipcshare_item){ .rank = (int)draw(m, 1 + OWNERS),
					      .index = draw(m, NBUFS), .len = draw_len(m) };
		if (it->len > how_long(it->index))
			it->len = how_long(it->index);
		it->offset = draw(m, how_long(it->index) - it->len + 1);
		at += draw(m, 3);
		if (at + it->len > ROOM)
			break;
		it->local = it->len ? m->local + at : NULL;
		at += it->len;
	}
	shuffle(m);
}

/* The buffers from the first byte on, so that no two items write one; from anywhere. */
static void draw_push(struct model *m, size_t want)
{
	int rank = (int)draw(m, 1 + OWNERS);
	size_t index = draw(m, NBUFS), offset = 0;

	for (m->n = 0; m->n < want;) {
		struct ipcshare_item *it = &m->items[m->n];
		size_t len = draw_len(m);

		offset += draw(m, 3);
		if (offset > how_long(index) || len > how_long(index) - offset) {
			if (++index == NBUFS)
				break;
			offset = 0;
			continue;
		}
		*it = (struct ipcshare_item){ rank, index, offset, len,
					      m->local + draw(m, ROOM - len) };
		offset += len;
		m->n++;
	}
	shuffle(m);
}

static void do_pull(struct model *m)
{
	memset(m->local, 0, ROOM);
	memset(m->expected, 0, ROOM);
	for (size_t i = 0; i < m->n; i++) {
		const struct ipcshare_item *it = &m->items[i];

		if (it->len)
			memcpy(m->expected + ((unsigned char *)it->local - m->local),
			       m->theirs[it->rank][it->index] + it->offset, it->len);
	}
	CHECK_STATUS(ipcshare_pull(m->set, m->items, m->n), 0);
	CHECK_MEM(m->local, m->expected, ROOM);
}

static void do_push(struct model *m)
{
	for (size_t i = 0; i < ROOM; i += 8) {
		uint64_t word = m->state * (i + 1);

		memcpy(m->local + i, &word, 8);
	}
	for (size_t i = 0; i < m->n; i++) {
		const struct ipcshare_item *it = &m->items[i];

		memcpy(m->theirs[it->rank][it->index] + it->offset, it->local, it->len);
	}
	CHECK_STATUS(ipcshare_push(m->set, m->items, m->n), 0);
}

static void check_buffers(const struct model *m)
{
	for (int r = 0; r <= OWNERS; r++)
		for (size_t i = 0; i < NBUFS; i++)
			if (how_long(i))
				CHECK_MEM(ipcshare_ptr(m->set, r, i), m->theirs[r][i],
					  how_long(i));
}

static void moves_at_random(struct test_rank *me, void *arg)
{
	struct ipcshare_set *set;
	struct team t;
	void *memory;

	(void)arg;
	team_join(me, &t);
	set = share_cut(&t, &memory, 0);
	if (t.rank == 0) {
		struct model *m = model_new(set);
		size_t done = 0;

		for (int round = 0; done < ITEMS; round++, done += m->n) {
			size_t want = 1 + draw(m, AT_ONCE_MAX);

			if (round % 2) {
				draw_push(m, want);
				do_push(m);
			} else {
				draw_pull(m, want);
				do_pull(m);
			}
			if (round % 64 == 1)
				check_buffers(m);
		}
		check_buffers(m);
		model_free(m);
	}
	end(&t, set, memory);
}

static void random_pulls_and_pushes_do_what_a_model_does(void)
{
	test_ranks(1 + OWNERS, moves_at_random, NULL);
}

/* Every length around those that are copied in a special way, at every alignment. */
static void moves_each_length(struct test_rank *me, void *arg)
{
	unsigned char got[600], sent[600];
	struct ipcshare_set *set;
	struct team t;
	void *memory;

	(void)arg;
	team_join(me, &t);
	set = share_cut(&t, &memory, 0);
	for (size_t len = 0; len <= 300 && t.rank == 0; len++)
		for (size_t skew = 0; skew < 9; skew++) {
			struct ipcshare_item it = { 1, 7, 100 + skew, len, got + 100 + skew / 2 };
			unsigned char *there = ipcshare_ptr(set, 1, 7);

			memset(got, 0xaa, sizeof(got));
			CHECK_STATUS(ipcshare_pull(set, &it, 1), 0);
			CHECK_MEM(it.local, there + it.offset, len);
			CHECK_BYTES(got, 0xaa, 100 + skew / 2);
			CHECK_BYTES((char *)it.local + len, 0xaa, 100);
			team_fill(sent, len, 5, skew);
			it.local = sent;
			it.offset += 30000;
			memset(there + it.offset - 50, 0xbb, len + 100);
			CHECK_STATUS(ipcshare_push(set, &it, 1), 0);
			team_check(there + it.offset, len, 5, skew);
			CHECK_BYTES(there + it.offset - 50, 0xbb, 50);
			CHECK_BYTES(there + it.offset + len, 0xbb, 50);
		}
	end(&t, set, memory);
}

static void every_length_arrives_and_no_byte_beside_it(void)
{
	test_ranks(2, moves_each_length, NULL);
}

/* ---- What is refused ---- */

typedef int move_fn(struct ipcshare_set *set, const struct ipcshare_item *items, size_t n);

/* A bad item among @n good ones: named, and nothing has moved in either direction. */
static void refuse(struct ipcshare_set *set, struct ipcshare_item bad, int status, move_fn *move)
{
	unsigned char here[64], *there = ipcshare_ptr(set, 1, 3);
	struct ipcshare_item items[3] = {
		{ 1, 3, 0, 8, here }, { 1, 3, 8, 8, here + 8 }, bad,
	};

	memset(here, 0xcc, sizeof(here));
	memset(there, 0x11, 64);
	CHECK_FAILS(move(set, items, 3), status);
	CHECK_INT(ipcshare_last_error()->index, 2);
	CHECK_INT(ipcshare_last_error()->rank, bad.rank);
	CHECK_BYTES(here, 0xcc, sizeof(here));
	CHECK_BYTES(there, 0x11, 64);
}

static void refuse_all(struct ipcshare_set *set, move_fn *move)
{
	const size_t len = how_long(3);
	char here[64];

	refuse(set, (struct ipcshare_item){ -1, 3, 0, 8, here }, IPCSHARE_ERR_INVALID, move);
	refuse(set, (struct ipcshare_item){ 2, 3, 0, 8, here }, IPCSHARE_ERR_INVALID, move);
	refuse(set, (struct ipcshare_item){ 1, NBUFS, 0, 8, here }, IPCSHARE_ERR_INVALID, move);
	refuse(set, (struct ipcshare_item){ 1, SIZE_MAX, 0, 0, here }, IPCSHARE_ERR_INVALID, move);
	refuse(set, (struct ipcshare_item){ 1, 3, 0, 8, NULL }, IPCSHARE_ERR_INVALID, move);
	refuse(set, (struct ipcshare_item){ 1, 3, 0, len + 1, here }, IPCSHARE_ERR_RANGE, move);
	refuse(set, (struct ipcshare_item){ 1, 3, len - 7, 8, here }, IPCSHARE_ERR_RANGE, move);
	refuse(set, (struct ipcshare_item){ 1, 3, len + 1, 0, here }, IPCSHARE_ERR_RANGE, move);
	refuse(set, (struct ipcshare_item){ 1, 3, 8, SIZE_MAX - 4, here }, IPCSHARE_ERR_RANGE,
	       move);
	refuse(set, (struct ipcshare_item){ 1, 3, SIZE_MAX - 4, 8, here }, IPCSHARE_ERR_RANGE,
	       move);
	refuse(set, (struct ipcshare_item){ 1, 4, 0, 1, here }, IPCSHARE_ERR_RANGE, move); /* empty */
	CHECK_FAILS(move(set, NULL, 1), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(move(NULL, NULL, 0), IPCSHARE_ERR_INVALID);
}

static void asks_for_too_much(struct test_rank *me, void *arg)
{
	struct ipcshare_item nothing[] = { { 1, 3, how_long(3), 0, NULL }, { 1, 4, 0, 0, NULL } };
	struct ipcshare_set *set;
	struct team t;
	void *memory;

	(void)arg;
	team_join(me, &t);
	set = share_cut(&t, &memory, 0);
	if (t.rank == 0) {
		refuse_all(set, ipcshare_pull);
		refuse_all(set, ipcshare_push);
		CHECK_STATUS(ipcshare_pull(set, NULL, 0), 0);
		CHECK_STATUS(ipcshare_pull(set, nothing, 2), 0);
		CHECK_STATUS(ipcshare_push(set, nothing, 2), 0);
		CHECK_STATUS(ipcshare_pull_on(set, nothing, 2, NULL), 0);
		CHECK_STATUS(ipcshare_push_on(set, nothing, 2, NULL), 0);
		CHECK_FAILS(ipcshare_pull_on(set, nothing, 2, &t), IPCSHARE_ERR_INVALID);
		CHECK_FAILS(ipcshare_push_on(set, nothing, 2, &t), IPCSHARE_ERR_INVALID);
	}
	end(&t, set, memory);
	CHECK_FAILS(ipcshare_pull(set, nothing, 2), IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_push(set, nothing, 2), IPCSHARE_ERR_CLOSED);
}

static void a_bad_item_is_named_and_nothing_moves(void)
{
	test_ranks(2, asks_for_too_much, NULL);
}

/* Rank 1's second buffer is not shareable: it has no bytes here, and says why. */
static void pulls_what_failed(struct test_rank *me, void *arg)
{
	char foreign[64], here[64];
	struct ipcshare_item items[] = { { 1, 0, 0, 8, here }, { 1, 1, 0, 8, here + 8 } };
	struct ipcshare_buf bufs[2];
	struct ipcshare_set *set;
	struct team t;

	(void)arg;
	team_join(me, &t);
	bufs[0] = (struct ipcshare_buf){ team_alloc(t.ctx, 64), 64 };
	bufs[1] = (struct ipcshare_buf){ foreign, 64 };
	set = team_share(&t, bufs, t.rank ? 2 : 1, 0);
	memset(here, 0xcc, sizeof(here));
	CHECK_FAILS(ipcshare_pull(set, items, 2), IPCSHARE_ERR_UNREACHABLE);
	CHECK_INT(ipcshare_last_error()->index, 1);
	CHECK_FAILS(ipcshare_push(set, items, 2), IPCSHARE_ERR_UNREACHABLE);
	CHECK_BYTES(here, 0xcc, sizeof(here));
	CHECK_STATUS(ipcshare_pull(set, items, 1), 0);
	items[1].len = 0;
	CHECK_STATUS(ipcshare_pull(set, items, 2), 0);
	end(&t, set, bufs[0].ptr);
}

static void a_buffer_that_failed_is_unreachable(void)
{
	test_ranks(2, pulls_what_failed, NULL);
}

/* Rank 1 shares read-only; rank 0 does not. */
static void pushes_to_read_only(struct test_rank *me, void *arg)
{
	unsigned char here[64];
	struct ipcshare_item own = { me->rank, 3, 0, 8, here };
	/* Each rank has bytes of its own in rank 0's buffer: the other looks at its own meanwhile. */
	struct ipcshare_item peers[] = { { 0, 3, me->rank ? 40 : 16, 8, here },
					 { 1, 3, 24, 8, here } };
	struct ipcshare_set *set;
	struct team t;
	void *memory;

	(void)arg;
	memset(here, 0x5a, sizeof(here));
	team_join(me, &t);
	set = share_cut(&t, &memory, me->rank ? IPCSHARE_READ_ONLY : 0);
	CHECK_STATUS(ipcshare_push(set, &own, 1), 0); /* owners still write */
	CHECK_BYTES(ipcshare_ptr(set, t.rank, 3), 0x5a, 8);
	if (t.rank == 0) {
		unsigned char before[8];

		memcpy(before, (char *)ipcshare_ptr(set, 0, 3) + 16, 8);
		CHECK_FAILS(ipcshare_push(set, peers, 2), IPCSHARE_ERR_READ_ONLY);
		CHECK_INT(ipcshare_last_error()->index, 1);
		CHECK_INT(ipcshare_last_error()->rank, 1);
		CHECK_MEM((char *)ipcshare_ptr(set, 0, 3) + 16, before, 8);
		peers[1].len = 0;
		CHECK_STATUS(ipcshare_push(set, peers, 2), 0);
		peers[1].len = 8;
	} else {
		CHECK_STATUS(ipcshare_push(set, peers, 2), 0);
	}
	CHECK_STATUS(ipcshare_pull(set, &peers[1], 1), 0);
	end(&t, set, memory);
}

static void nothing_is_pushed_into_read_only_memory(void)
{
	test_ranks(2, pushes_to_read_only, NULL);
}

/* ---- Threads ---- */

struct puller {
	struct ipcshare_set *set;
	int number;
};

/* All read one peer; each writes a piece of its own. With pulls, pushes and plans of all threads. */
static void *pulls_on_and_on(void *arg)
{
	const struct puller *p = arg;
	unsigned char got[128], sent[64];
	struct ipcshare_item pull[] = { { 1, 7, 0, 64, got }, { 1, 8, 8, 64, got + 64 } };
	struct ipcshare_item push = { 1, 7, 1000 + 64 * (size_t)p->number, 64, sent };
	struct ipcshare_plan *plan;

	for (int i = 0; i < 300; i++) {
		memset(sent, i, sizeof(sent));
		CHECK_STATUS(ipcshare_push(p->set, &push, 1), 0);
		CHECK_STATUS(ipcshare_pull(p->set, pull, 2), 0);
		team_check(got, 64, 1, 7);
		CHECK_BYTES((char *)ipcshare_ptr(p->set, 1, 7) + push.offset, i, 64);
		memset(got, 0, sizeof(got));
		REQUIRE_OK(ipcshare_plan_create(p->set, IPCSHARE_PULL, pull, 2, &plan));
		CHECK_STATUS(ipcshare_plan_run(plan), 0);
		team_check(got, 64, 1, 7);
		CHECK_STATUS(ipcshare_plan_free(plan), 0);
	}
	return NULL;
}

static void pulls_in_threads(struct test_rank *me, void *arg)
{
	struct puller pullers[4];
	pthread_t threads[4];
	struct ipcshare_set *set;
	struct team t;
	void *memory;

	(void)arg;
	team_join(me, &t);
	set = share_cut(&t, &memory, 0);
	for (int i = 0; i < 4 && t.rank == 0; i++) {
		pullers[i] = (struct puller){ set, i };
		REQUIRE_INT(pthread_create(&threads[i], NULL, pulls_on_and_on, &pullers[i]), 0);
	}
	for (int i = 0; i < 4 && t.rank == 0; i++)
		REQUIRE_INT(pthread_join(threads[i], NULL), 0);
	end(&t, set, memory);
}

static void threads_pull_push_and_plan_at_once(void)
{
	test_ranks(2, pulls_in_threads, NULL);
}

TEST_SUITE(pull, NULL, NULL,
	TEST(random_pulls_and_pushes_do_what_a_model_does),
	TEST(every_length_arrives_and_no_byte_beside_it),
	TEST(a_bad_item_is_named_and_nothing_moves),
	TEST(a_buffer_that_failed_is_unreachable),
	TEST(nothing_is_pushed_into_read_only_memory),
	TEST(threads_pull_push_and_plan_at_once));
