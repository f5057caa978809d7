/* SPDX-License-Identifier: BSD-3-Clause */
#include "inject_life.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ipcshare_coll.h>

#define DEADLINE_MS ((unsigned)test_patience(8000)) /* whoever is told of it has waited for nothing */
#define LONG ((size_t)96 << 10) /* collectives leave that where it lies, if it is in shared memory */
#define SMALL 200
#define CELLS 40
#define WORDS (LONG / sizeof(uint32_t))

#define ALONE(step) AGAIN_ALONE(l->a, step)
#define ALL(step) AGAIN_ALL(l->a, step)

struct life {
	struct again *a;
	int rank, nranks, next;
	struct ipcshare_ctx *ctx;
	struct ipcshare_group *group;
	struct ipcshare_arena *arena;
	void *big[2]; /* of ipcshare_alloc(): LONG bytes each */
	void *mapped; /* of the program, registered */
	int memfd;
	void *cells[CELLS];
};

static void meet(struct life *l)
{
	test_rank_barrier(l->a->me, AGAIN_TALK);
}

/* ---- Memory ---- */

static void registers(struct life *l)
{
	l->memfd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	REQUIRE(l->memfd >= 0 && !ftruncate(l->memfd, 8192), "memfd: %m");
	l->mapped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, l->memfd, 0);
	REQUIRE(l->mapped != MAP_FAILED, "mmap: %m");
	ALONE(ipcshare_register(l->ctx, l->mapped, 8192, l->memfd));
}

static void invalidates(struct life *l)
{
	/* It is done also where it fails: then it finds nothing the second time. */
	ALONE(ipcshare_invalidate(l->ctx, l->mapped, 8192));
	munmap(l->mapped, 8192);
	close(l->memfd);
}

static void begins(struct life *l)
{
	struct ipcshare_options options = IPCSHARE_OPTIONS_INIT;

	options.timeout_ms = DEADLINE_MS;
	ALONE(ipcshare_open(&options, &l->ctx));
	for (int i = 0; i < 2; i++)
		ALONE(ipcshare_alloc(l->ctx, LONG, &l->big[i]));
	registers(l);
	ALONE(ipcshare_arena_create(l->ctx, NULL, &l->arena));
	for (int i = 0; i < 2; i++)
		ALONE(ipcshare_arena_alloc(l->arena, SMALL, &l->cells[i]));
	ALONE(ipcshare_arena_alloc_many(l->arena, SMALL, CELLS - 2, l->cells + 2));
	for (int i = 0; i < CELLS; i++)
		memset(l->cells[i], 1 + l->rank, SMALL);
	memset(l->big[0], 1 + l->rank, LONG);
	memset(l->mapped, 1 + l->rank, 8192);
}

static void ends(struct life *l)
{
	ALONE(ipcshare_arena_free_many(l->arena, l->cells + 1, CELLS - 1));
	ALONE(ipcshare_arena_free(l->arena, l->cells[0]));
	ALONE(ipcshare_arena_trim(l->arena, NULL));
	ALONE(ipcshare_arena_destroy(l->arena));
	ALONE(ipcshare_free(l->ctx, l->big[0]));
	invalidates(l);
}

/* ---- Sets ---- */

static void check_buffer(struct life *l, const struct ipcshare_set *set, int rank, size_t i)
{
	void *p = ipcshare_ptr(set, rank, i);

	if (CHECK(p, "%s: buffer %zu of rank %d: %s", l->a->what, i, rank,
		  ipcshare_strerror(ipcshare_set_status(set, rank, i))))
		CHECK_BYTES(p, 1 + rank, SMALL);
}

static void check_set(struct life *l, const struct ipcshare_set *set, size_t n)
{
	for (int r = 0; r < l->nranks; r++)
		for (size_t i = 0; i < n; i++)
			check_buffer(l, set, r, i);
}

static int lazy(struct ipcshare_set *set, int rank, size_t i)
{
	return ipcshare_ptr_lazy(set, rank, i) ? 0 : ipcshare_last_error()->status;
}

static void copies(struct life *l, struct ipcshare_set *set)
{
	char *seen = malloc(SMALL * CELLS);
	struct ipcshare_item items[CELLS];
	struct ipcshare_plan *plan = NULL;
	void *const *table;

	for (size_t i = 0; i < CELLS; i++)
		items[i] = (struct ipcshare_item){ l->next, i % 4, 0, SMALL, seen + i * SMALL };
	ALONE(ipcshare_pull(set, items, CELLS));
	CHECK_BYTES(seen, 1 + l->next, SMALL * CELLS);
	ALONE(ipcshare_push(set, items, CELLS));
	memset(seen, 0, SMALL * CELLS);
	ALONE(ipcshare_plan_create(set, IPCSHARE_PULL, items, CELLS, &plan));
	ALONE(ipcshare_plan_run(plan));
	CHECK_BYTES(seen, 1 + l->next, SMALL * CELLS);
	ALONE(ipcshare_table_device(set, l->next, &table));
	ALONE(ipcshare_plan_free(plan));
	free(seen);
	meet(l);
}

static void describes(struct life *l, struct ipcshare_set *set)
{
	struct ipcshare_descriptor mine, all[TEST_RANKS_MAX];
	struct ipcshare_buf buf = { l->cells[3], SMALL };
	size_t lens[TEST_RANKS_MAX];
	void *p = NULL;

	for (int r = 0; r < l->nranks; r++)
		lens[r] = sizeof(mine);
	ALONE(ipcshare_describe(set, &buf, 1, &mine));
	test_rank_gatherv(l->a->me, AGAIN_TALK, &mine, all, lens);
	ALONE(ipcshare_resolve(set, l->next, &all[l->next], 1, &p, NULL));
	CHECK_BYTES(p, 1 + l->next, SMALL);
	meet(l);
}

/* What a failure leaves out of a set is shared the next time. */
static void shares_what_it_can(struct life *l, const struct ipcshare_buf *bufs)
{
	struct ipcshare_set *set = NULL;
	int again = 0, all[TEST_RANKS_MAX];

	do {
		ALL(ipcshare_share(l->group, bufs, 4, 0, &set));
		again_everybodys(l->a->me, (int)ipcshare_set_failures(set), all);
		for (int r = 0; r < l->nranks; r++)
			CHECK_INT(all[r], all[0]);
		CHECK(!all[0] || !again, "%s: a second set has %d failures", l->a->what, all[0]);
		if (!all[0])
			check_set(l, set, 4);
		else
			l->a->failures++;
		meet(l);
		ALL(ipcshare_set_free(set));
	} while (all[0] && !again++);
}

static void updates(struct life *l, struct ipcshare_set *set)
{
	struct ipcshare_buf bufs[] = { { l->mapped, SMALL }, { l->cells[7], SMALL } };
	size_t index[] = { 0, 2 };

	ALL(ipcshare_set_update(set, index, bufs, 2, IPCSHARE_ALL_OR_NOTHING));
	check_set(l, set, 4);
	meet(l);
}

static void shares(struct life *l)
{
	struct ipcshare_buf bufs[] = {
		{ l->big[0], SMALL }, { l->cells[0], SMALL }, { l->cells[5], SMALL },
		{ (char *)l->mapped + 100, SMALL },
	};
	struct ipcshare_set *set = NULL, *later = NULL;

	shares_what_it_can(l, bufs);
	/* Of another allocation, so that there is something to map yet. */
	bufs[0] = (struct ipcshare_buf){ l->big[1], SMALL };
	memset(l->big[1], 1 + l->rank, LONG);
	ALL(ipcshare_share(l->group, bufs, 4, IPCSHARE_LAZY | IPCSHARE_ALL_OR_NOTHING, &later));
	for (size_t i = 0; i < 4; i++) {
		ALONE(lazy(later, l->next, i));
		check_buffer(l, later, l->next, i);
	}
	ALL(ipcshare_share(l->group, bufs, 4, IPCSHARE_ALL_OR_NOTHING, &set));
	check_set(l, set, 4);
	copies(l, set);
	describes(l, set);
	updates(l, set);
	ALL(ipcshare_set_free(later));
	ALL(ipcshare_set_free(set));
}

/* The blobs go by the test's own way. */
static void shares_split(struct life *l)
{
	struct ipcshare_buf buf = { l->cells[9], SMALL };
	struct ipcshare_share *share = NULL;
	struct ipcshare_set *set = NULL;
	const void *blob, *blobs[TEST_RANKS_MAX];
	size_t len, lens[TEST_RANKS_MAX], used = 0;
	int all[TEST_RANKS_MAX];
	char *bytes;

	ALONE(ipcshare_share_begin(l->group, &buf, 1, 0, &share, &blob, &len));
	again_everybodys(l->a->me, (int)len, all);
	for (int r = 0; r < l->nranks; r++)
		used += lens[r] = (size_t)all[r];
	bytes = malloc(used);
	test_rank_gatherv(l->a->me, AGAIN_TALK, blob, bytes, lens);
	used = 0;
	for (int r = 0; r < l->nranks; used += lens[r++])
		blobs[r] = bytes + used;
	ALONE(ipcshare_share_complete(share, blobs, lens, &set));
	if (ipcshare_set_failures(set))
		l->a->failures++;
	else
		check_set(l, set, 1);
	meet(l);
	ALONE(ipcshare_set_free(set));
	free(bytes);
	meet(l);
}

/* ---- One-sided ---- */

static void maps(struct life *l)
{
	struct ipcshare_identity self, ids[TEST_RANKS_MAX];
	struct ipcshare_packed mine, all[TEST_RANKS_MAX];
	size_t lens[TEST_RANKS_MAX];
	void *p = NULL, *q = NULL, *own = NULL;

	ALONE(ipcshare_alloc(l->ctx, 5000, &own));
	memset(own, 1 + l->rank, 5000);
	ALONE(ipcshare_self(l->ctx, &self));
	for (int r = 0; r < l->nranks; r++)
		lens[r] = sizeof(self);
	test_rank_gatherv(l->a->me, AGAIN_TALK, &self, ids, lens);
	ALONE(ipcshare_pack(l->ctx, own, 5000, IPCSHARE_READ_ONLY, &mine));
	ALONE(ipcshare_allow(l->ctx, own, ids, (size_t)l->nranks, IPCSHARE_READ_ONLY));
	for (int r = 0; r < l->nranks; r++)
		lens[r] = sizeof(mine);
	test_rank_gatherv(l->a->me, AGAIN_TALK, &mine, all, lens);
	ALONE(ipcshare_map(l->ctx, &all[l->next], &p));
	CHECK_BYTES(p, 1 + l->next, 5000);
	ALONE(ipcshare_lookup(l->ctx, &all[l->next], &q));
	CHECK_PTR(q, p);
	meet(l);
	ALONE(ipcshare_unmap(l->ctx, p));
	ALONE(ipcshare_trim(l->ctx, NULL));
	meet(l);
	ALONE(ipcshare_free(l->ctx, own));
}

/* ---- Collectives ---- */

static void fill(struct life *l, uint32_t *words)
{
	for (size_t i = 0; i < WORDS; i++)
		words[i] = (uint32_t)i + 1000u * (uint32_t)l->rank;
}

static uint32_t sum(const struct life *l, size_t i)
{
	uint32_t n = (uint32_t)l->nranks;

	return n * (uint32_t)i + 1000u * (n * (n - 1) / 2);
}

static void check_sums(struct life *l, const uint32_t *words, size_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!CHECK(words[i] == sum(l, from + i), "%s: word %zu is %u, not %u", l->a->what,
			   from + i, words[i], sum(l, from + i)))
			return;
}

/* @send, @recv: WORDS of them, anywhere. */
static void moves(struct life *l, uint32_t *send, uint32_t *recv)
{
	size_t part = WORDS / (size_t)l->nranks;

	ALL(ipcshare_barrier(l->group));
	fill(l, send);
	ALL(ipcshare_bcast(l->group, recv, 10, IPCSHARE_UINT32, 0));
	ALL(ipcshare_allgather(l->group, send, recv, part, IPCSHARE_UINT32));
	CHECK_INT(recv[part * (size_t)l->next], 1000 * l->next);
	ALL(ipcshare_gather(l->group, send, recv, part, IPCSHARE_UINT32, 0));
	ALL(ipcshare_scatter(l->group, send, recv, part, IPCSHARE_UINT32, 0));
	ALL(ipcshare_alltoall(l->group, send, recv, part, IPCSHARE_UINT32));
	CHECK_INT(recv[part * (size_t)l->next], 1000 * l->next + (int)part * l->rank);
	ALL(ipcshare_allreduce(l->group, send, recv, WORDS, IPCSHARE_UINT32, IPCSHARE_SUM));
	check_sums(l, recv, 0, WORDS);
	ALL(ipcshare_reduce(l->group, send, recv, WORDS, IPCSHARE_UINT32, IPCSHARE_SUM, 0));
	ALL(ipcshare_reduce_scatter_block(l->group, send, recv, part, IPCSHARE_UINT32,
					  IPCSHARE_SUM));
	check_sums(l, recv, part * (size_t)l->rank, part);
	ALL(ipcshare_exscan(l->group, send, recv, 100, IPCSHARE_UINT32, IPCSHARE_SUM));
}

/* A rank without memory for the request has made the call when it starts; the others when they wait. */
static int start_and_wait(struct life *l, uint32_t *send, uint32_t *recv)
{
	struct ipcshare_request *request = NULL;
	int err = ipcshare_allreduce_start(l->group, send, recv, 500, IPCSHARE_UINT32, IPCSHARE_SUM,
					   &request);

	return err ? err : ipcshare_request_wait(&request);
}

static void moves_later(struct life *l, uint32_t *send, uint32_t *recv)
{
	ALL(start_and_wait(l, send, recv));
	check_sums(l, recv, 0, 500);
}

static void views(struct life *l, uint32_t *send, uint32_t *recv)
{
	struct ipcshare_view *view = NULL;
	const uint32_t *theirs;

	ALL(ipcshare_allgather_view(l->group, send, WORDS, IPCSHARE_UINT32, &view));
	theirs = ipcshare_view_ptr(view, l->next);
	CHECK_INT(theirs[7], 7 + 1000 * l->next);
	ALL(ipcshare_view_free(view));
	ALL(ipcshare_allreduce_shared(l->group, send, recv, WORDS, IPCSHARE_UINT32, IPCSHARE_SUM,
				      0, &view));
	ALL(ipcshare_view_free(view));
}

static void collectives(struct life *l)
{
	struct ipcshare_buf bufs[] = { { l->big[0], LONG }, { l->big[1], LONG } };
	uint32_t *send = malloc(LONG), *recv = malloc(LONG);
	struct ipcshare_set *set = NULL;

	moves(l, send, recv);
	moves_later(l, send, recv);
	ALL(ipcshare_share(l->group, bufs, 2, IPCSHARE_ALL_OR_NOTHING, &set));
	moves(l, l->big[0], l->big[1]);
	fill(l, l->big[0]);
	views(l, l->big[0], l->big[1]);
	ALL(ipcshare_set_free(set));
	free(recv);
	free(send);
}

/* ---- A life ---- */

void inject_life(struct again *a)
{
	struct life life = {
		.a = a, .rank = a->me->rank, .nranks = a->me->nranks,
		.next = (a->me->rank + 1) % a->me->nranks,
	}, *l = &life;

	begins(l);
	meet(l);
	ALL(ipcshare_group_create(l->ctx, &a->me->bootstrap, &l->group));
	shares(l);
	shares_split(l);
	maps(l);
	collectives(l);
	ends(l);
	meet(l);
	ALL(ipcshare_group_free(l->group));
	meet(l);
	ALONE(ipcshare_close(l->ctx)); /* with memory that it has to free */
}

void inject_life_alone(struct again *a)
{
	struct life life = { .a = a, .nranks = 1 }, *l = &life;

	begins(l);
	ends(l);
	ALONE(ipcshare_close(l->ctx));
}
