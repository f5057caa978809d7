/* SPDX-License-Identifier: BSD-3-Clause */
#include "mpi/coll_case.h"

#include <ipcshare_mpi.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/test.h"

#define GUARD 64 /* bytes behind each buffer that must stay */
#define RANKS 64

static const char *const name[COLL_WHICH] = {
	"barrier", "bcast", "allgather", "allgatherv", "gather", "gatherv", "scatter", "scatterv",
	"alltoall", "alltoallv", "reduce", "allreduce", "reduce_scatter", "reduce_scatter_block",
	"scan", "exscan",
};

uint64_t coll_random(uint64_t *seed)
{
	uint64_t x = *seed += 0x9e3779b97f4a7c15u; /* splitmix64 */

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t seed = a * 31 + b;

	return coll_random(&seed);
}

/* ---- Types and ops ---- */

enum kind {
	INTEGER,
	REAL,
	BITS,
	TRUTH,
	PAIR,
	OTHER, /* moved only */
};

static const struct {
	const char *name;
	MPI_Datatype type;
	enum kind kind;
	size_t value; /* of a pair: bytes of its value, which is REAL if .real */
	int real;
} types[] = {
#define T(type, kind) { #type, type, kind, 0, 0 }
	T(MPI_INT, INTEGER), T(MPI_LONG, INTEGER), T(MPI_SHORT, INTEGER), T(MPI_LONG_LONG, INTEGER),
	T(MPI_SIGNED_CHAR, INTEGER), T(MPI_UNSIGNED_CHAR, INTEGER), T(MPI_UNSIGNED_SHORT, INTEGER),
	T(MPI_UNSIGNED, INTEGER), T(MPI_UNSIGNED_LONG, INTEGER), T(MPI_UNSIGNED_LONG_LONG, INTEGER),
	T(MPI_INT8_T, INTEGER), T(MPI_INT16_T, INTEGER), T(MPI_INT32_T, INTEGER),
	T(MPI_INT64_T, INTEGER), T(MPI_UINT8_T, INTEGER), T(MPI_UINT16_T, INTEGER),
	T(MPI_UINT32_T, INTEGER), T(MPI_UINT64_T, INTEGER), T(MPI_FLOAT, REAL), T(MPI_DOUBLE, REAL),
	T(MPI_BYTE, BITS), T(MPI_C_BOOL, TRUTH), T(MPI_CHAR, OTHER), T(MPI_WCHAR, OTHER),
	T(MPI_C_DOUBLE_COMPLEX, OTHER),
#undef T
	{ "MPI_2INT", MPI_2INT, PAIR, 4, 0 }, { "MPI_SHORT_INT", MPI_SHORT_INT, PAIR, 2, 0 },
	{ "MPI_LONG_INT", MPI_LONG_INT, PAIR, sizeof(long), 0 },
	{ "MPI_FLOAT_INT", MPI_FLOAT_INT, PAIR, 4, 1 },
	{ "MPI_DOUBLE_INT", MPI_DOUBLE_INT, PAIR, 8, 1 },
};
#define TYPES (sizeof(types) / sizeof(types[0]))

static const struct {
	const char *name;
	MPI_Op op;
	unsigned kinds; /* that it is for */
} ops[] = {
	{ "sum", MPI_SUM, 1 << INTEGER | 1 << REAL }, { "prod", MPI_PROD, 1 << INTEGER | 1 << REAL },
	{ "min", MPI_MIN, 1 << INTEGER | 1 << REAL }, { "max", MPI_MAX, 1 << INTEGER | 1 << REAL },
	{ "band", MPI_BAND, 1 << INTEGER | 1 << BITS }, { "bor", MPI_BOR, 1 << INTEGER | 1 << BITS },
	{ "bxor", MPI_BXOR, 1 << INTEGER | 1 << BITS }, { "land", MPI_LAND, 1 << INTEGER | 1 << TRUTH },
	{ "lor", MPI_LOR, 1 << INTEGER | 1 << TRUTH }, { "lxor", MPI_LXOR, 1 << INTEGER | 1 << TRUTH },
	{ "minloc", MPI_MINLOC, 1 << PAIR }, { "maxloc", MPI_MAXLOC, 1 << PAIR },
};
#define OPS (sizeof(ops) / sizeof(ops[0]))

static size_t extent_of(MPI_Datatype type)
{
	MPI_Aint lb, extent;

	MPI_Type_get_extent(type, &lb, &extent);
	return (size_t)extent;
}

/* Few values, so that those of pairs are often the same; sums and products of reals are exact. */
static void put_number(char *p, size_t size, int real, uint64_t x, int op)
{
	static const double factors[] = { 1, -1, 2, 0.5 };
	double d = op >= 0 && ops[op].op == MPI_PROD ? factors[x & 3] : (double)(int)(x & 15) - 8;
	float f = (float)d;

	if (real)
		memcpy(p, size == 4 ? (void *)&f : (void *)&d, size);
	else
		memcpy(p, &x, size);
}

/*
 * What MPIs get wrong is not asked of them: Open MPI 4.1 lets sums of 8 and 16 bits saturate, MPICH 4.0
 * takes unsigned numbers for signed ones when it looks for the least or the greatest.
 */
static void tame(const struct coll_case *c, char *p, size_t size, int op)
{
	if (op >= 0 && ops[op].op == MPI_SUM) {
		p[0] &= 7;
		memset(p + 1, 0, size - 1);
	}
	if (op >= 0 && !strncmp(types[c->type].name, "MPI_U", 5))
		p[size - 1] &= 0x7f;
}

/* One element; what is between value and index of a pair, or behind them, is zero. */
static void put(const struct coll_case *c, char *p, size_t extent, uint64_t x, int op)
{
	int32_t index = (int32_t)(x >> 40);

	switch (types[c->type].kind) {
	case INTEGER:
		put_number(p, extent, 0, x & 3 ? x : 0, op);
		tame(c, p, extent, op);
		break;
	case REAL:
		put_number(p, extent, 1, x, op);
		break;
	case TRUTH:
		*p = x & 1;
		break;
	case PAIR:
		memset(p, 0, extent);
		x = types[c->type].real ? x : x % 4;
		put_number(p, types[c->type].value, types[c->type].real, x, op);
		memcpy(p + (types[c->type].value < 4 ? 4 : types[c->type].value), &index, 4);
		break;
	default:
		for (size_t i = 0; i < extent; i++)
			p[i] = x & 3 ? (char)(x >> (i * 8 % 56)) : 0;
	}
}

/* ---- Drawing ---- */

static int draw_count(size_t size, uint64_t *seed)
{
	static const int some[] = { 0, 1, 1, 2, 3, 5, 8, 17, 64, 99 };
	static const size_t around[] = { 2 << 10, 2 << 10, 2 << 10, 64 << 10, 64 << 10, 256 << 10 };
	uint64_t x = coll_random(seed);

	if (x % 8 < 5)
		return some[(x >> 8) % (sizeof(some) / sizeof(some[0]))];
	return (int)(around[(x >> 8) % 6] / size) + (int)((x >> 16) % 3) - 1;
}

struct coll_case coll_case_draw(MPI_Comm comm, uint64_t *seed)
{
	struct coll_case c = { .comm = comm };

	MPI_Comm_rank(comm, &c.rank);
	MPI_Comm_size(comm, &c.nranks);
	c.which = (enum coll_which)(coll_random(seed) % COLL_WHICH);
	do {
		c.type = (int)(coll_random(seed) % TYPES);
		c.op = (int)(coll_random(seed) % OPS);
	} while (c.which >= COLL_REDUCE && !(ops[c.op].kinds >> types[c.type].kind & 1));
	c.count = draw_count(extent_of(types[c.type].type), seed);
	c.root = (int)(coll_random(seed) % (uint64_t)c.nranks);
	c.in_place = coll_random(seed) % 3 == 0;
	c.seed = coll_random(seed);
	return c;
}

/* ---- Datatypes ---- */

/* Memory that holds the signature's elements: some of them for each element of the datatype. */
struct form {
	MPI_Datatype type;
	int holds;
	int made; /* to be freed */
};

enum { FLAT, COPY, ROW, GAPS, COLUMN, TURNED, FORMS };

static struct form form_make(MPI_Datatype base, int which)
{
	MPI_Aint extent = (MPI_Aint)extent_of(base);
	struct form f = { base, 1, which != FLAT };
	MPI_Datatype inner;

	switch (which) {
	case COPY:
		MPI_Type_dup(base, &f.type);
		break;
	case ROW: /* of copies, so that what it is made of is no type with a name */
		MPI_Type_dup(base, &inner);
		MPI_Type_contiguous(f.holds = 2, inner, &f.type);
		MPI_Type_free(&inner);
		break;
	case GAPS:
		MPI_Type_create_resized(base, 0, 2 * extent, &f.type);
		break;
	case COLUMN:
		MPI_Type_vector(f.holds = 2, 1, 2, base, &f.type);
		break;
	case TURNED: /* without gaps, but the second comes first */
		MPI_Type_create_hindexed(f.holds = 2, (int[]){ 1, 1 }, (MPI_Aint[]){ extent, 0 }, base,
					 &f.type);
		break;
	}
	if (f.made)
		MPI_Type_commit(&f.type);
	return f;
}

/* Of this rank; reductions take what has a name. */
static struct form form_draw(const struct coll_case *c, int out, int even)
{
	uint64_t x = mix(c->seed, 0x30000 + (uint64_t)c->rank * 2 + (uint64_t)out);
	int which = x % 2 ? FLAT : (int)((x >> 8) % FORMS);

	if (c->which >= COLL_REDUCE || (!even && which != COPY && which != GAPS))
		which = FLAT;
	return form_make(types[c->type].type, which);
}

/* ---- Blocks ---- */

static int differ(const struct coll_case *c) /* the lengths of blocks */
{
	return c->which == COLL_ALLGATHERV || c->which == COLL_REDUCE_SCATTER || c->which == COLL_GATHERV ||
	       c->which == COLL_SCATTERV || c->which == COLL_ALLTOALLV;
}

/* Elements of the signature that rank @from has for rank @to: an even number, if blocks differ. */
static int block_len(const struct coll_case *c, int from, int to)
{
	uint64_t x;

	if (!differ(c))
		return c->count;
	if (c->which == COLL_SCATTERV || c->which == COLL_REDUCE_SCATTER) /* only the receiver counts */
		from = to;
	else if (c->which != COLL_ALLTOALLV)
		to = from;
	x = mix(c->seed, (uint64_t)(from < to ? from * 64 + to : to * 64 + from));
	return x % 4 ? (int)(x % ((uint64_t)c->count + 1)) & ~1 : 0;
}

struct side {
	struct form form;
	char *mem[2]; /* of MPI's call and of ours */
	char *before;
	size_t len;
	int blocks, apart; /* apart: counts and displs are theirs */
	int count; /* of the datatype, of a block */
	int counts[RANKS], displs[RANKS];
};

/* The blocks of all ranks, or one; if their lengths differ perhaps backwards, and with gaps. */
static int places_make(const struct coll_case *c, struct side *s, int out)
{
	uint64_t x = mix(c->seed, 0x20000 + (uint64_t)c->rank * 2 + (uint64_t)out);
	int backwards = (int)x & 1, gaps = (int)x & 2, total = 0;

	for (int i = 0; i < c->nranks; i++) {
		int r = backwards ? c->nranks - 1 - i : i;

		s->counts[r] = (out ? block_len(c, c->rank, r) : block_len(c, r, c->rank)) / s->form.holds;
		total += gaps ? (int)(x >> i) & 3 : 0;
		s->displs[r] = total;
		total += s->counts[r];
	}
	return total;
}

static void fill(const struct coll_case *c, struct side *s, int out)
{
	size_t extent = extent_of(types[c->type].type);
	uint64_t seed = mix(c->seed, 0x10000 + (uint64_t)c->rank * 2 + (uint64_t)out);
	int op = c->which >= COLL_REDUCE ? c->op : -1;

	for (size_t at = 0; at + extent <= s->len; at += extent)
		put(c, s->before + at, extent, coll_random(&seed), op);
	memcpy(s->mem[0], s->before, s->len);
	memcpy(s->mem[1], s->before, s->len);
}

enum blocks { NONE, ONE, ALL };

/* @len: elements of a block, unless those of all ranks differ. */
static void side_make(const struct coll_case *c, struct side *s, int out, enum blocks blocks, int len)
{
	int total;

	s->form = form_draw(c, out, differ(c) || len % 2 == 0);
	s->count = len / s->form.holds;
	s->blocks = blocks == NONE ? 0 : blocks == ONE ? 1 : c->nranks;
	s->apart = blocks == ALL && differ(c);
	total = s->apart ? places_make(c, s, out) : s->blocks * s->count;
	s->len = (size_t)total * extent_of(s->form.type) + GUARD;
	s->before = calloc(3, s->len);
	REQUIRE(s->before, "%zu bytes", 3 * s->len);
	s->mem[0] = s->before + s->len;
	s->mem[1] = s->mem[0] + s->len;
	fill(c, s, out);
}

static void side_free(struct side *s)
{
	if (s->form.made)
		MPI_Type_free(&s->form.type);
	free(s->before);
}

/*
 * The same blocks packed, side by side. MPI gets these: some MPIs choose their ways by the datatypes of
 * each rank and hang if those differ, or get lost in the gaps of pairs.
 */
static void pack_begin(const struct coll_case *c, const struct side *s, struct side *packed)
{
	int at = 0, size;

	MPI_Type_size(types[c->type].type, &size);
	*packed = (struct side){ .form = { MPI_PACKED, 1, 0 }, .blocks = s->blocks, .apart = s->apart };
	packed->count = s->count * s->form.holds * size;
	for (int i = 0; i < s->blocks; i++) {
		packed->counts[i] = s->apart ? s->counts[i] * s->form.holds * size : packed->count;
		packed->displs[i] = at;
		at += packed->counts[i];
	}
	packed->before = calloc(1, (size_t)at + 1);
	REQUIRE(packed->before, "%d bytes", at);
	packed->mem[0] = packed->before;
}

/* From there to here, or back. */
static void convert(const struct side *s, struct side *packed, int back)
{
	for (int i = 0; i < s->blocks; i++) {
		int n = s->apart ? s->counts[i] : s->count, len = packed->counts[i], done = 0;
		size_t first = s->apart ? (size_t)s->displs[i] : (size_t)i * (size_t)n;
		char *at = s->mem[0] + first * extent_of(s->form.type);
		char *bytes = packed->mem[0] + packed->displs[i];

		if (back)
			MPI_Unpack(bytes, len, &done, at, n, s->form.type, MPI_COMM_SELF);
		else
			MPI_Pack(at, n, s->form.type, bytes, len, &done, MPI_COMM_SELF);
	}
}

/* ---- Calling ---- */

struct io {
	struct side out, in;
	int gives_in_place, takes_in_place;
};

/* The same arguments for both. */
#define CALL(theirs, own, ...) (ours ? ipcshare_mpi_##own(__VA_ARGS__) : MPI_##theirs(__VA_ARGS__))

static int move(const struct coll_case *c, const struct io *io, int ours)
{
	void *send = io->gives_in_place ? MPI_IN_PLACE : io->out.mem[ours];
	void *recv = io->takes_in_place ? MPI_IN_PLACE : io->in.mem[ours];
	MPI_Datatype st = io->out.form.type, rt = io->in.form.type;
	const int *sc = io->out.counts, *sd = io->out.displs, *rc = io->in.counts, *rd = io->in.displs;
	int s = io->out.count, r = io->in.count, root = c->root;
	MPI_Comm comm = c->comm;

	switch (c->which) {
	case COLL_BARRIER: return CALL(Barrier, barrier, comm);
	case COLL_BCAST: return CALL(Bcast, bcast, recv, r, rt, root, comm);
	case COLL_ALLGATHER: return CALL(Allgather, allgather, send, s, st, recv, r, rt, comm);
	case COLL_ALLGATHERV: return CALL(Allgatherv, allgatherv, send, s, st, recv, rc, rd, rt, comm);
	case COLL_GATHER: return CALL(Gather, gather, send, s, st, recv, r, rt, root, comm);
	case COLL_GATHERV: return CALL(Gatherv, gatherv, send, s, st, recv, rc, rd, rt, root, comm);
	case COLL_SCATTER: return CALL(Scatter, scatter, send, s, st, recv, r, rt, root, comm);
	case COLL_SCATTERV: return CALL(Scatterv, scatterv, send, sc, sd, st, recv, r, rt, root, comm);
	case COLL_ALLTOALL: return CALL(Alltoall, alltoall, send, s, st, recv, r, rt, comm);
	default: return CALL(Alltoallv, alltoallv, send, sc, sd, st, recv, rc, rd, rt, comm);
	}
}

static int move_by_mpi(const struct coll_case *c, const struct io *io)
{
	struct io packed = { .gives_in_place = io->gives_in_place, .takes_in_place = io->takes_in_place };
	int err;

	pack_begin(c, &io->out, &packed.out);
	pack_begin(c, &io->in, &packed.in);
	convert(&io->out, &packed.out, 0);
	convert(&io->in, &packed.in, 0);
	err = move(c, &packed, 0);
	convert(&io->in, &packed.in, 1);
	side_free(&packed.out);
	side_free(&packed.in);
	return err;
}

/* In place is what MPI does with a copy of it; MPICH 4.0 itself can't in some communicators. */
static int reduce(const struct coll_case *c, const struct io *io, int ours)
{
	void *in_place = ours ? MPI_IN_PLACE : io->in.before;
	void *send = io->gives_in_place ? in_place : io->out.mem[ours], *recv = io->in.mem[ours];
	MPI_Datatype type = types[c->type].type;
	MPI_Op op = ops[c->op].op;
	MPI_Comm comm = c->comm;
	int n = c->count, counts[RANKS];

	for (int r = 0; r < c->nranks; r++)
		counts[r] = block_len(c, r, r);
	switch (c->which) {
	case COLL_REDUCE: return CALL(Reduce, reduce, send, recv, n, type, op, c->root, comm);
	case COLL_ALLREDUCE: return CALL(Allreduce, allreduce, send, recv, n, type, op, comm);
	case COLL_SCAN: return CALL(Scan, scan, send, recv, n, type, op, comm);
	case COLL_EXSCAN: return CALL(Exscan, exscan, send, recv, n, type, op, comm);
	case COLL_REDUCE_SCATTER:
		return CALL(Reduce_scatter, reduce_scatter, send, recv, counts, type, op, comm);
	default:
		return CALL(Reduce_scatter_block, reduce_scatter_block, send, recv, n, type, op, comm);
	}
}

static void describe(const struct coll_case *c, char *text, size_t len)
{
	snprintf(text, len, "%s of %d %s, op %s, root %d%s, rank %d of %d, seed %#jx", name[c->which],
		 c->count, types[c->type].name, c->which < COLL_REDUCE ? "-" : ops[c->op].name, c->root,
		 c->in_place ? ", in place" : "", c->rank, c->nranks, (uintmax_t)c->seed);
}

static int same(const struct coll_case *c, const char *what, const char *is, const char *wanted,
		size_t len)
{
	char text[256];
	size_t i = 0;

	while (i < len && is[i] == wanted[i])
		i++;
	if (i == len)
		return 1;
	describe(c, text, sizeof(text));
	return CHECK(i == len, "byte %zu of %zu to %s is %#x instead of %#x: %s", i, len, what,
		     (unsigned char)is[i], (unsigned char)wanted[i], text);
}

/*
 * What a rank has to give stays; what comes is what MPI brings. @defined: bytes of the receive buffer
 * that are (the guard behind them too), if this rank receives at all.
 */
static int run(const struct coll_case *c, struct io *io, int receives, size_t defined)
{
	int moves = c->which < COLL_REDUCE;
	const char *wanted = receives ? io->in.mem[0] : io->in.before;
	size_t len = io->in.len, rest;
	char text[256];
	int ok;

	describe(c, text, sizeof(text));
	ok = CHECK((moves ? move_by_mpi(c, io) : reduce(c, io, 0)) == MPI_SUCCESS, "MPI itself: %s", text);
	ok &= CHECK((moves ? move(c, io, 1) : reduce(c, io, 1)) == MPI_SUCCESS, "%s: %s",
		    ipcshare_explain(), text);
	if (defined > len)
		defined = len;
	rest = io->gives_in_place && defined < len ? len - GUARD : defined; /* between them: anything */
	ok &= same(c, "receive", io->in.mem[1], wanted, defined);
	ok &= same(c, "leave", io->in.mem[1] + rest, io->in.before + rest, len - rest);
	ok &= same(c, "send", io->out.mem[1], io->out.before, io->out.len);
	side_free(&io->out);
	side_free(&io->in);
	return ok;
}

/* ---- The kinds of call ---- */

static int run_move(const struct coll_case *c, enum blocks gives, enum blocks takes, int receives)
{
	struct io io = { 0 };
	int me = c->rank, own = block_len(c, me, me);

	side_make(c, &io.out, 1, gives, own);
	side_make(c, &io.in, 0, takes, own);
	if (c->which == COLL_SCATTER || c->which == COLL_SCATTERV)
		io.takes_in_place = c->in_place && me == c->root;
	else if (c->which == COLL_GATHER || c->which == COLL_GATHERV)
		io.gives_in_place = c->in_place && me == c->root;
	else
		io.gives_in_place = c->in_place;
	return run(c, &io, receives, SIZE_MAX);
}

static int run_reduce(const struct coll_case *c)
{
	int n = c->which == COLL_REDUCE_SCATTER_BLOCK ? c->count * c->nranks : c->count;
	int receives = c->which != COLL_REDUCE || c->rank == c->root;
	size_t extent = extent_of(types[c->type].type), defined = SIZE_MAX;
	struct io io = { .gives_in_place = c->in_place && receives };
	struct coll_case whole = *c;

	whole.which = COLL_ALLREDUCE; /* all blocks are one */
	if (c->which == COLL_REDUCE_SCATTER)
		for (int r = n = 0; r < c->nranks; r++)
			n += block_len(c, r, r);
	if (c->which == COLL_REDUCE_SCATTER || c->which == COLL_REDUCE_SCATTER_BLOCK)
		defined = (size_t)block_len(c, c->rank, c->rank) * extent;
	if (c->which == COLL_EXSCAN && c->rank == 0)
		receives = 0;
	side_make(&whole, &io.out, 1, ONE, n);
	side_make(&whole, &io.in, 0, ONE, n);
	return run(c, &io, receives, defined);
}

int coll_case_run(const struct coll_case *c)
{
	int at_root = c->rank == c->root;

	switch (c->which) {
	case COLL_BARRIER:
		return run_move(c, NONE, NONE, 0);
	case COLL_BCAST:
		return run_move(c, NONE, ONE, 1);
	case COLL_ALLGATHER:
	case COLL_ALLGATHERV:
		return run_move(c, ONE, ALL, 1);
	case COLL_GATHER:
	case COLL_GATHERV:
		return run_move(c, ONE, at_root ? ALL : NONE, at_root);
	case COLL_SCATTER:
	case COLL_SCATTERV:
		return run_move(c, at_root ? ALL : NONE, ONE, !at_root || !c->in_place);
	case COLL_ALLTOALL:
	case COLL_ALLTOALLV:
		return run_move(c, ALL, ALL, 1);
	default:
		return run_reduce(c);
	}
}
