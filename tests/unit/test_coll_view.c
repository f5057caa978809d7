/* SPDX-License-Identifier: BSD-3-Clause */
/* Views: pointers to what others gave, how long they last, and what they are if nothing can be mapped. */
#include <string.h>

#include "team.h"

#include <ipcshare_coll.h>

#define COUNT 1000
#define ARENA ((size_t)1 << 20)

/* What the buffers of a rank are: shared memory, or memory of its own. */
struct memory {
	int *ints; /* COUNT for each rank, and as many behind them for results */
	struct ipcshare_set *set; /* NULL: it is not shared */
};

static struct memory memory_make(struct team *t, int shared)
{
	struct memory m = { team_alloc(t->ctx, ARENA), NULL };

	if (shared)
		m.set = team_share(t, &(struct ipcshare_buf){ m.ints, ARENA }, 1, 0);
	return m;
}

static void memory_end(struct team *t, struct memory *m)
{
	CHECK_STATUS(ipcshare_set_free(m->set), 0);
	CHECK_STATUS(ipcshare_barrier(t->group), 0);
	CHECK_STATUS(ipcshare_free(t->ctx, m->ints), 0); /* nothing is held */
}

static int value(int rank, int to, int i)
{
	return rank * 1000003 + to * 1009 + i;
}

static void fill(struct team *t, struct memory *m, int more)
{
	for (int to = 0; to < t->nranks; to++)
		for (int i = 0; i < COUNT; i++)
			m->ints[to * COUNT + i] = value(t->rank, to, i) + more;
}

static int shows(const struct ipcshare_view *v, int rank, int to, int more)
{
	const int *block = ipcshare_view_ptr(v, rank);
	int i = 0;

	while (block && i < COUNT && block[i] == value(rank, to, i) + more)
		i++;
	return CHECK(i == COUNT, "element %d of rank %d", i, rank);
}

/* All write something else: through pointers to the others' own memory that is seen. */
static void write_more(struct team *t, struct memory *m)
{
	REQUIRE_OK(ipcshare_barrier(t->group));
	fill(t, m, 5);
	REQUIRE_OK(ipcshare_barrier(t->group));
}

static void looks_at_blocks(struct test_rank *me, void *arg)
{
	int shared = arg == NULL;
	struct ipcshare_view *gathered, *exchanged, *one;
	struct memory m;
	struct team t;

	team_join(me, &t);
	m = memory_make(&t, shared);
	fill(&t, &m, 0);
	REQUIRE_OK(ipcshare_allgather_view(t.group, m.ints, COUNT, IPCSHARE_INT32, &gathered));
	REQUIRE_OK(ipcshare_alltoall_view(t.group, m.ints, COUNT, IPCSHARE_INT32, &exchanged));
	REQUIRE_OK(ipcshare_bcast_view(t.group, t.rank ? NULL : m.ints, COUNT, IPCSHARE_INT32, 0, &one));
	for (int more = 0; more <= 5; more += 5) {
		int seen = shared ? more : 0;

		for (int r = 0; r < t.nranks; r++) {
			shows(gathered, r, 0, seen);
			shows(exchanged, r, t.rank, seen);
		}
		shows(one, 0, 0, seen);
		write_more(&t, &m);
	}
	CHECK(t.nranks < 2 || !ipcshare_view_ptr(one, 1), "only the root gave something");
	CHECK_INT(ipcshare_view_ptr(gathered, t.rank) == m.ints, shared);
	CHECK_STATUS(ipcshare_view_free(exchanged), 0);
	CHECK_STATUS(ipcshare_view_free(gathered), 0);
	CHECK_STATUS(ipcshare_view_free(one), 0);
	memory_end(&t, &m);
	team_leave(&t);
}

static void a_view_shows_the_others_own_memory(void)
{
	for (int n = 1; n <= 4; n++)
		test_ranks(n, looks_at_blocks, NULL);
}

static void what_is_not_shared_is_shown_as_a_copy(void)
{
	for (int n = 1; n <= 4; n++)
		test_ranks(n, looks_at_blocks, "private");
}

static void reduces_once(struct test_rank *me, void *arg)
{
	int shared = arg == NULL;
	struct ipcshare_view *v;
	struct memory m;
	struct team t;
	int *result, root;

	team_join(me, &t);
	root = t.nranks - 1;
	m = memory_make(&t, shared);
	fill(&t, &m, 0);
	result = m.ints + t.nranks * COUNT;
	REQUIRE_OK(ipcshare_allreduce_shared(t.group, m.ints, result, COUNT, IPCSHARE_INT32, IPCSHARE_SUM,
					     root, &v));
	for (int i = 0; i < COUNT; i++) {
		int sum = 0;

		for (int r = 0; r < t.nranks; r++)
			sum += value(r, 0, i);
		CHECK_INT(((const int *)ipcshare_view_ptr(v, root))[i], sum);
	}
	if (t.rank == root)
		CHECK_INT(ipcshare_view_ptr(v, root) == result, shared);
	CHECK_STATUS(ipcshare_view_free(v), 0);
	memory_end(&t, &m);
	team_leave(&t);
}

static void one_result_is_read_by_all(void)
{
	for (int n = 1; n <= 4; n++) {
		test_ranks(n, reduces_once, NULL);
		test_ranks(n, reduces_once, "private");
	}
}

/* ---- How long it lasts ---- */

static void frees_too_early(struct test_rank *me, void *arg)
{
	struct ipcshare_view *v;
	struct memory m;
	struct team t;

	(void)arg;
	team_join(me, &t);
	m = memory_make(&t, 1);
	fill(&t, &m, 0);
	REQUIRE_OK(ipcshare_allgather_view(t.group, m.ints, COUNT, IPCSHARE_INT32, &v));
	CHECK_STATUS(ipcshare_set_free(m.set), 0); /* the view needs no set */
	m.set = NULL;
	CHECK_FAILS(ipcshare_free(t.ctx, m.ints), IPCSHARE_ERR_BUSY);
	CHECK_FAILS(ipcshare_group_free(t.group), IPCSHARE_ERR_BUSY);
	CHECK_HAS(ipcshare_last_error()->text, "views");
	shows(v, t.nranks - 1, 0, 0);
	CHECK_STATUS(ipcshare_view_free(v), 0);
	CHECK(!ipcshare_view_ptr(v, 0), "it has ended");
	CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_CLOSED);
	CHECK_FAILS(ipcshare_view_free(v), IPCSHARE_ERR_CLOSED);
	memory_end(&t, &m);
	team_leave(&t);
}

static void what_a_view_shows_is_busy_until_it_ends(void)
{
	test_ranks(3, frees_too_early, NULL);
}

static void frees_another(struct test_rank *me, void *arg)
{
	struct ipcshare_view *v[2];
	struct team t;
	int mine;

	(void)arg;
	team_join(me, &t);
	mine = t.rank;
	for (int i = 0; i < 2; i++)
		REQUIRE_OK(ipcshare_allgather_view(t.group, &mine, 1, IPCSHARE_INT32, &v[i]));
	CHECK_FAILS(ipcshare_view_free(v[t.rank]), IPCSHARE_ERR_MISMATCH);
	CHECK_HAS(ipcshare_last_error()->text, "the rank freed view");
	CHECK_FAILS(ipcshare_view_free(v[!t.rank]), IPCSHARE_ERR_MISMATCH);
	team_leave(&t);
}

static void views_are_freed_in_one_order(void)
{
	test_ranks(2, frees_another, NULL);
}

static void abandons(struct test_rank *me, void *arg)
{
	struct ipcshare_view *v[2];
	struct memory m;
	struct team t;

	(void)arg;
	team_join(me, &t);
	m = memory_make(&t, 1);
	fill(&t, &m, 0);
	REQUIRE_OK(ipcshare_allgather_view(t.group, m.ints, COUNT, IPCSHARE_INT32, &v[0]));
	REQUIRE_OK(ipcshare_allgather_view(t.group, NULL, 0, IPCSHARE_INT32, &v[1]));
	test_rank_barrier(me, 1);
	CHECK_STATUS(ipcshare_abandon(t.ctx), 0);
	CHECK_FAILS(ipcshare_view_free(v[0]), IPCSHARE_ERR_CLOSED);
	CHECK(!ipcshare_view_ptr(v[1], 0), "it has ended");
	test_rank_barrier(me, 2);
	CHECK_NOTHING_LEAKED(&t.before);
}

static void an_abandoned_view_is_closed(void)
{
	test_ranks(2, abandons, NULL);
}

/* ---- Faults ---- */

static void passes_nothing(struct test_rank *me, void *arg)
{
	struct ipcshare_view *v = NULL, *empty;
	int mine[2] = { 1, 1 }, bad; /* an alltoall has one for each rank */
	struct team t;

	(void)arg;
	CHECK_STATUS(ipcshare_view_free(NULL), 0);
	CHECK(!ipcshare_view_ptr(NULL, 0), "there is no view");
	CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_bcast_view(NULL, mine, 1, IPCSHARE_INT32, 0, &v), IPCSHARE_ERR_INVALID);
	team_join(me, &t);
	bad = t.rank == 1;
	CHECK_FAILS(ipcshare_allgather_view(t.group, mine, 1, IPCSHARE_INT32, bad ? NULL : &v),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_allgather_view(t.group, bad ? NULL : mine, 1, IPCSHARE_INT32, &v),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_bcast_view(t.group, mine, 1, IPCSHARE_INT32, bad ? 7 : 0, &v),
		    IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_alltoall_view(t.group, mine, bad ? SIZE_MAX : 1, IPCSHARE_INT32, &v),
		    IPCSHARE_ERR_INVALID);
	CHECK_INT(ipcshare_last_error()->rank, 1);
	CHECK(!v, "nothing was put there");
	REQUIRE_OK(ipcshare_alltoall_view(t.group, NULL, 0, IPCSHARE_INT32, &empty));
	for (int r = -1; r <= t.nranks; r++)
		CHECK(!ipcshare_view_ptr(empty, r), "rank %d has no block", r);
	CHECK_INT(ipcshare_last_error()->status, IPCSHARE_ERR_INVALID);
	CHECK_STATUS(ipcshare_view_free(empty), 0);
	team_leave(&t);
}

static void wrong_arguments_make_no_view_on_any_rank(void)
{
	test_ranks(2, passes_nothing, NULL);
}

TEST_SUITE(coll_view, NULL, NULL,
	TEST(a_view_shows_the_others_own_memory),
	TEST(what_is_not_shared_is_shown_as_a_copy),
	TEST(one_result_is_read_by_all),
	TEST(what_a_view_shows_is_busy_until_it_ends),
	TEST(views_are_freed_in_one_order),
	TEST(an_abandoned_view_is_closed),
	TEST(wrong_arguments_make_no_view_on_any_rank));
