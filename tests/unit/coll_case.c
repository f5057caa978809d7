/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll_case.h"

#include <stdlib.h>

#define GUARD 64 /* bytes behind each buffer that must stay */
#define UNTOUCHED 0xa5
#define SLOT_BODY (65536 - 128) /* what a round moves at most */
#define MEMORY_MOST ((size_t)128 << 20) /* bytes, if all ranks have a block for each other */
#define TOTAL_OFTEN ((size_t)256 << 10) /* of blocks for one rank */

static const char *const name[COLL_WHICH] = {
	"barrier", "bcast", "allgather", "allgatherv", "gather", "gatherv", "scatter", "scatterv",
	"alltoall", "alltoallv", "reduce", "allreduce", "reduce_scatter", "reduce_scatter_block",
	"scan", "exscan",
};

int coll_case_may_have(int nranks)
{
	if (nranks > COLL_RANKS)
		test_skip("groups of more than %d, whose ranks hardly get on with a sanitizer", COLL_RANKS);
	return nranks <= COLL_RANKS;
}

/* ---- Drawing ---- */

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t seed = a * 31 + b;

	return elements_random(&seed);
}

/* Bytes where another way begins (ipcshare_coll.h), or a round is full; one element less and more. */
static size_t draw_edge(int nranks, size_t size, uint64_t x)
{
	const size_t edges[] = { 2048, 2048, SLOT_BODY / (size_t)nranks / 64 * 64, SLOT_BODY, 65536, 262144 };
	size_t times = 1 + (x >> 8 & 1);

	return edges[x % (sizeof(edges) / sizeof(edges[0]))] / size * times + (x >> 9) % 3 - 1;
}

/* Mostly few, odd or none; seldom very many. */
static size_t draw_count(int nranks, size_t size, uint64_t *seed)
{
	static const size_t few[] = { 0, 0, 1, 1, 2, 3, 5, 8, 17, 64, 100, 255, 1000 };
	uint64_t x = elements_random(seed);
	size_t n = few[(x >> 8) % (sizeof(few) / sizeof(few[0]))], total;

	if (x % 256 == 0)
		n = (x >> 8) % (((size_t)3 << 20) / (size_t)nranks) / size;
	else if (x % 4 == 0)
		n = draw_edge(nranks, size, x >> 8);
	/* What all ranks have for each other costs time, and more of it memory. */
	total = n * size * (size_t)nranks;
	return total > MEMORY_MOST / (size_t)nranks || (total > TOTAL_OFTEN && x >> 62) ? n % 1000 : n;
}

static const struct ipcshare_op user = { sizeof(user), elements_user, NULL };

struct coll_case coll_case_draw(struct ipcshare_group *group, struct coll_arena *arena, uint64_t *seed)
{
	struct coll_case c = { .group = group, .rank = ipcshare_group_rank(group),
			       .nranks = ipcshare_group_size(group) };
	uint64_t x;

	c.which = (enum coll_which)(elements_random(seed) % COLL_WHICH);
	c.type = (enum ipcshare_type)(elements_random(seed) % IPCSHARE_TYPES);
	do
		c.op = elements_op((int)(elements_random(seed) % (IPCSHARE_OPS + 1)), &user);
	while (!ipcshare_op_allows(c.op, c.type));
	c.count = draw_count(c.nranks, ipcshare_type_size(c.type), seed);
	c.root = (int)(elements_random(seed) % (uint64_t)c.nranks);
	c.in_place = elements_random(seed) % 3 == 0;
	c.started = elements_random(seed) % 3 == 0;
	/* No rank's memory is shared, or that of about half of them, or everybody's. */
	x = elements_random(seed);
	c.arena = x % 4 == 0 || (x % 4 == 1 && mix(x, (uint64_t)c.rank) & 1) ? NULL : arena;
	c.seed = elements_random(seed);
	return c;
}

/* ---- Blocks ---- */

static int differ(const struct coll_case *c) /* the lengths of blocks */
{
	return c->which == COLL_ALLGATHERV || c->which == COLL_REDUCE_SCATTER || c->which == COLL_GATHERV ||
	       c->which == COLL_SCATTERV || c->which == COLL_ALLTOALLV;
}

/* Elements that rank @from has for rank @to; as many as the other way. */
static size_t block_len(const struct coll_case *c, int from, int to)
{
	if (c->which == COLL_REDUCE_SCATTER) /* all have as much for one */
		from = to;
	uint64_t x = mix(c->seed, (uint64_t)(from < to ? from * 64 + to : to * 64 + from));

	return !differ(c) ? c->count : x % 4 ? x % (c->count + 1) : 0;
}

static size_t bytes(const struct coll_case *c, size_t count)
{
	return count * ipcshare_type_size(c->type);
}

static void block_make(const struct coll_case *c, int from, int to, void *at)
{
	elements_fill(c->type, at, block_len(c, from, to),
		      mix(c->seed, 0x10000 + (uint64_t)from * 64 + (uint64_t)to));
}

/* Where the blocks lie; if their lengths differ, perhaps backwards, and with gaps. */
struct places {
	size_t counts[TEST_RANKS_MAX], displs[TEST_RANKS_MAX];
	const size_t *given; /* displs, or NULL if that says the same */
	size_t total;
};

/* Of the blocks that @c->rank has for all (@out), or that all have for it; to rank 0 if @one. */
static void places_make(const struct coll_case *c, int out, int one, struct places *p)
{
	uint64_t x = mix(c->seed, 0x20000 + (uint64_t)c->rank * 2 + (uint64_t)out);
	int apart = differ(c) && c->which != COLL_REDUCE_SCATTER;
	int backwards = apart && x & 1, gaps = apart && x & 2;

	p->total = 0;
	for (int i = 0; i < c->nranks; i++) {
		int r = backwards ? c->nranks - 1 - i : i;

		p->counts[r] = one ? block_len(c, r, 0)
				   : out ? block_len(c, c->rank, r) : block_len(c, r, c->rank);
		p->total += gaps ? (x >> i) % 4 : 0;
		p->displs[r] = p->total;
		p->total += p->counts[r];
	}
	p->given = backwards || gaps || x & 4 ? p->displs : NULL;
}

/* ---- Buffers ---- */

struct buffer {
	char *at, *expected;
	size_t len; /* bytes, with the guard */
	int shared; /* in the arena */
};

static struct buffer buffer_make(const struct coll_case *c, size_t count)
{
	struct buffer b = { .len = bytes(c, count) + GUARD };
	size_t room = (b.len + 63) / 64 * 64;

	b.shared = c->arena && room <= c->arena->size - c->arena->used;
	b.at = b.shared ? c->arena->base + c->arena->used : malloc(b.len);
	if (b.shared)
		c->arena->used += room;
	b.expected = malloc(b.len);
	REQUIRE(b.at && b.expected, "%zu bytes", b.len);
	memset(b.at, UNTOUCHED, b.len);
	memset(b.expected, UNTOUCHED, b.len);
	return b;
}

/* A block that is there before the call, and stays unless something else is expected in its place. */
static void buffer_put(const struct coll_case *c, struct buffer *b, size_t at, int from, int to)
{
	block_make(c, from, to, b->at + bytes(c, at));
	block_make(c, from, to, b->expected + bytes(c, at));
}

static void buffer_expect(const struct coll_case *c, struct buffer *b, size_t at, int from, int to)
{
	block_make(c, from, to, b->expected + bytes(c, at));
}

static int buffer_check(const struct coll_case *c, struct buffer *b, const char *what)
{
	size_t at = memcmp(b->at, b->expected, b->len) ? 0 : b->len;

	while (at < b->len && b->at[at] == b->expected[at])
		at++;
	if (!b->shared)
		free(b->at);
	free(b->expected);
	return CHECK(at == b->len,
		     "%s of %d ranks, %zu of %s, root %d, in place %d: byte %zu of %zu of the %s buffer",
		     name[c->which], c->nranks, c->count, ipcshare_type_name(c->type), c->root,
		     c->in_place, at, b->len - GUARD, what);
}

/* ---- The calls: one buffer that is given, one that is filled ---- */

struct io {
	struct buffer send, recv;
	struct places out, in;
};

#define CALL(name, ...)                                                                            \
	(c->device ? ipcshare_##name##_async(__VA_ARGS__, c->device->stream) :                     \
	 request ? ipcshare_##name##_start(__VA_ARGS__, request) : ipcshare_##name(__VA_ARGS__))

static int call(const struct coll_case *c, struct io *io, const void *send, void *recv,
		struct ipcshare_request **request)
{
	switch (c->which) {
	case COLL_BARRIER:
		return CALL(barrier, c->group);
	case COLL_BCAST:
		return CALL(bcast, c->group, recv, c->count, c->type, c->root);
	case COLL_ALLGATHER:
		return CALL(allgather, c->group, send, recv, c->count, c->type);
	case COLL_ALLGATHERV:
		return CALL(allgatherv, c->group, send, recv, io->in.counts, io->in.given, c->type);
	case COLL_GATHER:
		return CALL(gather, c->group, send, recv, c->count, c->type, c->root);
	case COLL_GATHERV:
		return CALL(gatherv, c->group, send, block_len(c, c->rank, 0), recv, io->in.counts,
				 io->in.given, c->type, c->root);
	case COLL_SCATTER:
		return CALL(scatter, c->group, send, recv, c->count, c->type, c->root);
	case COLL_SCATTERV:
		return CALL(scatterv, c->group, send, io->out.counts, io->out.given, recv,
				  block_len(c, c->root, c->rank), c->type, c->root);
	case COLL_ALLTOALL:
		return CALL(alltoall, c->group, send, recv, c->count, c->type);
	case COLL_REDUCE:
		return CALL(reduce, c->group, send, recv, c->count, c->type, c->op, c->root);
	case COLL_ALLREDUCE:
		return CALL(allreduce, c->group, send, recv, c->count, c->type, c->op);
	case COLL_REDUCE_SCATTER:
		return CALL(reduce_scatter, c->group, send, recv, io->out.counts, c->type, c->op);
	case COLL_REDUCE_SCATTER_BLOCK:
		return CALL(reduce_scatter_block, c->group, send, recv, c->count, c->type, c->op);
	case COLL_SCAN:
		return CALL(scan, c->group, send, recv, c->count, c->type, c->op);
	case COLL_EXSCAN:
		return CALL(exscan, c->group, send, recv, c->count, c->type, c->op);
	default:
		return CALL(alltoallv, c->group, send, io->out.counts, io->out.given, recv,
				   io->in.counts, io->in.given, c->type);
	}
}

#undef CALL

/* What is sent is shared; what is received need not be, unless it is both. */
static int call_on_device(const struct coll_case *c, struct io *io, const void *send, void *recv)
{
	struct coll_device *d = c->device;
	size_t room = (io->send.len + 63) / 64 * 64;
	int both = c->which == COLL_BCAST || send == IPCSHARE_IN_PLACE;
	char *out = d->shared, *in = (both || c->seed & 1 ? d->shared : d->own) + room;
	int err;

	REQUIRE(room + io->recv.len <= d->size, "%zu bytes", room + io->recv.len);
	REQUIRE_OK(ipcshare_copy(d->ctx, out, io->send.at, io->send.len));
	REQUIRE_OK(ipcshare_copy(d->ctx, in, io->recv.at, io->recv.len));
	err = call(c, io, send == IPCSHARE_IN_PLACE ? send : out, recv == IPCSHARE_IN_PLACE ? recv : in,
		   NULL);
	if (!err && d->stream)
		CHECK_INT(d->synchronise(d->stream), 0);
	REQUIRE_OK(ipcshare_copy(d->ctx, io->send.at, out, io->send.len));
	REQUIRE_OK(ipcshare_copy(d->ctx, io->recv.at, in, io->recv.len));
	return err;
}

/* Some ranks look a few times before they wait. */
static int call_to_its_end(const struct coll_case *c, struct io *io, const void *send, void *recv)
{
	struct ipcshare_request *request = NULL;
	int err = c->device ? call_on_device(c, io, send, recv) :
			      call(c, io, send, recv, c->started ? &request : NULL);
	int done = !request;

	for (uint64_t looks = mix(c->seed, (uint64_t)c->rank) % 16; looks && !err && !done; looks--)
		err = ipcshare_request_test(&request, &done);
	return err ? err : ipcshare_request_wait(&request);
}

static int finish(const struct coll_case *c, struct io *io, int in_place_at_send, int in_place)
{
	const void *send = in_place && in_place_at_send ? IPCSHARE_IN_PLACE : io->send.at;
	void *recv = in_place && !in_place_at_send ? IPCSHARE_IN_PLACE : io->recv.at;
	int ok = CHECK_STATUS(call_to_its_end(c, io, send, recv), 0);

	ok &= buffer_check(c, &io->recv, "receive");
	return ok & buffer_check(c, &io->send, "send");
}

static int run_bcast(const struct coll_case *c)
{
	struct io io = { .send = buffer_make(c, 0), .recv = buffer_make(c, c->count) };

	if (c->rank == c->root)
		buffer_put(c, &io.recv, 0, c->root, 0);
	buffer_expect(c, &io.recv, 0, c->root, 0);
	return finish(c, &io, 0, 0);
}

/* Each rank has one block; all, or the root, want all of them. */
static int run_gather(const struct coll_case *c, int rooted)
{
	int wants = !rooted || c->rank == c->root, in_place = wants && c->in_place;
	struct io io = { .send = buffer_make(c, block_len(c, c->rank, 0)) };

	places_make(c, 0, 1, &io.in);
	io.recv = buffer_make(c, wants ? io.in.total : 0);
	buffer_put(c, &io.send, 0, c->rank, 0);
	if (in_place)
		buffer_put(c, &io.recv, io.in.displs[c->rank], c->rank, 0);
	for (int r = 0; r < c->nranks && wants; r++)
		buffer_expect(c, &io.recv, io.in.displs[r], r, 0);
	return finish(c, &io, 1, in_place);
}

static int run_scatter(const struct coll_case *c)
{
	int gives = c->rank == c->root, in_place = gives && c->in_place;
	struct io io = { .recv = buffer_make(c, block_len(c, c->root, c->rank)) };

	places_make(c, 1, 0, &io.out);
	io.send = buffer_make(c, gives ? io.out.total : 0);
	for (int r = 0; r < c->nranks && gives; r++)
		buffer_put(c, &io.send, io.out.displs[r], c->rank, r);
	if (!in_place)
		buffer_expect(c, &io.recv, 0, c->root, c->rank);
	return finish(c, &io, 0, in_place);
}

static int run_alltoall(const struct coll_case *c)
{
	struct io io;

	places_make(c, 1, 0, &io.out);
	places_make(c, 0, 0, &io.in);
	io.send = buffer_make(c, io.out.total);
	io.recv = buffer_make(c, io.in.total);
	for (int r = 0; r < c->nranks; r++) {
		buffer_put(c, &io.send, io.out.displs[r], c->rank, r);
		if (c->in_place)
			buffer_put(c, &io.recv, io.in.displs[r], c->rank, r);
		buffer_expect(c, &io.recv, io.in.displs[r], r, c->rank);
	}
	return finish(c, &io, 1, c->in_place);
}

/* What the blocks for @to of the ranks below @last reduce to. */
static void buffer_expect_fold(const struct coll_case *c, struct buffer *b, int to, int last)
{
	size_t n = block_len(c, 0, to);
	void *in = malloc(bytes(c, n) + 1);

	REQUIRE(in, "%zu elements", n);
	for (int r = 0; r < last; r++) {
		block_make(c, r, to, r ? in : b->expected);
		if (r)
			elements_fold(c->op, c->type, b->expected, in, n);
	}
	free(in);
}

/* The same bits, but for what no two machines have alike. */
static void forgive(const struct coll_case *c, struct buffer *b, size_t n)
{
	if (elements_differ(c->type, b->at, b->expected, n) == n)
		memcpy(b->at, b->expected, bytes(c, n));
}

static int finish_fold(const struct coll_case *c, struct io *io, int in_place, size_t n, size_t dirty)
{
	int ok = CHECK_STATUS(call_to_its_end(c, io, in_place ? IPCSHARE_IN_PLACE : io->send.at, io->recv.at), 0);

	forgive(c, &io->recv, n);
	if (dirty > n) /* undefined */
		memcpy(io->recv.at + bytes(c, n), io->recv.expected + bytes(c, n), bytes(c, dirty - n));
	ok &= buffer_check(c, &io->recv, "receive");
	return ok & buffer_check(c, &io->send, "send");
}

static int run_reduce(const struct coll_case *c)
{
	int wants = c->which != COLL_REDUCE || c->rank == c->root, in_place = wants && c->in_place;
	int last = c->which == COLL_SCAN ? c->rank + 1 : c->which == COLL_EXSCAN ? c->rank : c->nranks;
	struct io io = { .send = buffer_make(c, c->count), .recv = buffer_make(c, wants ? c->count : 0) };

	buffer_put(c, &io.send, 0, c->rank, 0);
	if (in_place)
		buffer_put(c, &io.recv, 0, c->rank, 0);
	if (wants)
		buffer_expect_fold(c, &io.recv, 0, last);
	return finish_fold(c, &io, in_place, wants && last ? c->count : 0, 0);
}

static int run_reduce_scatter(const struct coll_case *c)
{
	size_t mine = block_len(c, c->rank, c->rank);
	struct io io;

	places_make(c, 1, 0, &io.out);
	io.send = buffer_make(c, io.out.total);
	io.recv = buffer_make(c, c->in_place ? io.out.total : mine);
	for (int r = 0; r < c->nranks; r++) {
		buffer_put(c, &io.send, io.out.displs[r], c->rank, r);
		if (c->in_place)
			buffer_put(c, &io.recv, io.out.displs[r], c->rank, r);
	}
	buffer_expect_fold(c, &io.recv, c->rank, c->nranks);
	return finish_fold(c, &io, c->in_place, mine, c->in_place ? io.out.total : 0);
}

int coll_case_run(const struct coll_case *c)
{
	if (c->arena)
		c->arena->used = 0;
	switch (c->which) {
	case COLL_BARRIER:
		return finish(c, &(struct io){ .send = buffer_make(c, 0), .recv = buffer_make(c, 0) }, 0, 0);
	case COLL_BCAST:
		return run_bcast(c);
	case COLL_ALLGATHER:
	case COLL_ALLGATHERV:
		return run_gather(c, 0);
	case COLL_GATHER:
	case COLL_GATHERV:
		return run_gather(c, 1);
	case COLL_SCATTER:
	case COLL_SCATTERV:
		return run_scatter(c);
	case COLL_ALLTOALL:
	case COLL_ALLTOALLV:
		return run_alltoall(c);
	case COLL_REDUCE_SCATTER:
	case COLL_REDUCE_SCATTER_BLOCK:
		return run_reduce_scatter(c);
	default:
		return run_reduce(c);
	}
}
