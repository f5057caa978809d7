/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/index.h"

#include <ipcshare.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FULL 64 /* ranges in a leaf: 512 bytes of starts to search */
#define LINE 64
#define RETIRED_MAX 16 /* used again together: each time, readers on their way begin anew */

/* Atomics throughout, for a late reader may look at a leaf while it is filled anew. */
struct ipcshare__index_leaf {
	struct ipcshare__index_leaf *next; /* in a list of the writer's */
	_Atomic size_t count;
	_Atomic uintptr_t start[FULL], end[FULL];
	_Atomic(void *) what[FULL];
};

struct ipcshare__index_top {
	struct ipcshare__index_top *next;
	size_t capacity; /* never changes */
	_Atomic size_t count;
	struct top_entry {
		_Atomic uintptr_t from; /* no range of earlier leaves ends behind it */
		_Atomic(struct ipcshare__index_leaf *) leaf;
	} entries[];
};

/* Leaves lie side by side, so that those of 100,000 ranges need few entries of the TLB. */
struct ipcshare__index_chunk {
	struct ipcshare__index_chunk *next;
	size_t capacity, used; /* leaves */
	struct ipcshare__index_leaf leaves[];
};
#define CHUNK_LEAST 4 /* leaves */
#define CHUNK_MOST ((size_t)2 << 20) /* bytes: a huge page, where the machine has them */

/* Loads pair with the stores of a writer, so that they can't come after the look at @recycled. */
#define GET(x) atomic_load_explicit(&(x), memory_order_acquire)
#define PUT(x, value) atomic_store_explicit(&(x), (value), memory_order_release)

/* ---- Find ---- */

/* The last entry that begins at or before @address; the first one begins before all. */
static size_t top_search(struct ipcshare__index_top *top, uintptr_t address)
{
	size_t at = 0, left = GET(top->count);

	while (left > 1) {
		size_t half = left / 2;

		at += GET(top->entries[at + half].from) <= address ? half : 0;
		left -= half;
	}
	return at;
}

/* The first range that ends behind @address, or the leaf's count. */
static size_t leaf_search(struct ipcshare__index_leaf *leaf, uintptr_t address)
{
	size_t at = 0, left = GET(leaf->count);

	while (left > 1) { /* without a branch on what is found, which nobody could predict */
		size_t half = left / 2;

		at += GET(leaf->end[at + half - 1]) <= address ? half : 0;
		left -= half;
	}
	return left && GET(leaf->end[at]) <= address ? at + 1 : at;
}

/* All that is searched, for its lines would be missed one after the other. */
static void leaf_fetch(const struct ipcshare__index_leaf *leaf)
{
	__builtin_prefetch(leaf);
	for (size_t i = 0; i < FULL; i += LINE / sizeof(leaf->end[0]))
		__builtin_prefetch((const void *)&leaf->end[i]);
}

static void leaf_get(struct ipcshare__index_leaf *leaf, size_t i, struct ipcshare__range *out)
{
	*out = (struct ipcshare__range){ GET(leaf->start[i]), GET(leaf->end[i]),
					 GET(leaf->what[i]) };
}

/* One attempt; what it gives counts only if nothing was recycled meanwhile. */
static bool look(struct ipcshare__index *index, uintptr_t address, struct ipcshare__range *out)
{
	struct ipcshare__index_top *top = GET(index->top);
	size_t entries = top ? GET(top->count) : 0, i;

	if (!entries)
		return false;
	for (size_t e = top_search(top, address); e < entries; e++) {
		struct ipcshare__index_leaf *leaf = GET(top->entries[e].leaf);

		leaf_fetch(leaf);
		i = leaf_search(leaf, address);
		if (i < GET(leaf->count)) {
			leaf_get(leaf, i, out);
			return true;
		}
	}
	return false;
}

bool ipcshare__index_next(struct ipcshare__index *index, const void *address,
			  struct ipcshare__range *out)
{
	struct ipcshare__range range = { 0, 0, NULL };
	uint64_t before;
	bool found;

	do {
		before = GET(index->recycled);
		found = look(index, (uintptr_t)address, &range);
	} while (GET(index->recycled) != before);
	if (found)
		*out = range;
	return found;
}

IPCSHARE__THREAD_LOCAL struct ipcshare__index_last ipcshare__index_last;

bool ipcshare__index_find(struct ipcshare__index *index, const void *address,
			  struct ipcshare__range *out)
{
	const struct ipcshare__range *hit = ipcshare__index_hit(index, address);
	uint64_t version = GET(index->version);
	struct ipcshare__range range;

	if (hit) {
		*out = *hit;
		return true;
	}
	if (!ipcshare__index_next(index, address, &range) || range.start > (uintptr_t)address)
		return false;
	ipcshare__index_last = (struct ipcshare__index_last){ index, version, range };
	*out = range;
	return true;
}

/* ---- Leaves and tops for writers ---- */

static void leaf_spare(struct ipcshare__index *index, struct ipcshare__index_leaf *leaf)
{
	leaf->next = index->spare;
	index->spare = leaf;
}

static void leaf_retire(struct ipcshare__index *index, struct ipcshare__index_leaf *leaf)
{
	leaf->next = index->retired;
	index->retired = leaf;
	index->nretired++;
}

/* Before the first byte of them changes, readers that may have passed them are told. */
static void recycle(struct ipcshare__index *index)
{
	atomic_fetch_add(&index->recycled, 1);
	index->spare = index->retired;
	index->retired = NULL;
	index->nretired = 0;
}

static struct ipcshare__index_chunk *chunk_new(size_t capacity)
{
	size_t bytes = sizeof(struct ipcshare__index_chunk) +
		       capacity * sizeof(struct ipcshare__index_leaf);
	struct ipcshare__index_chunk *chunk;

	if (bytes > CHUNK_MOST / 2) {
		bytes = CHUNK_MOST;
		capacity = (bytes - sizeof(*chunk)) / sizeof(chunk->leaves[0]);
		chunk = aligned_alloc(CHUNK_MOST, bytes);
		if (chunk)
			madvise(chunk, bytes, MADV_HUGEPAGE);
	} else {
		chunk = malloc(bytes);
	}
	if (chunk)
		*chunk = (struct ipcshare__index_chunk){ .capacity = capacity };
	return chunk;
}

/* One that was never used; NULL: no memory. */
static struct ipcshare__index_leaf *leaf_new(struct ipcshare__index *index)
{
	struct ipcshare__index_chunk *chunk = index->chunks;
	struct ipcshare__index_leaf *leaf;

	if (!chunk || chunk->used == chunk->capacity) {
		chunk = chunk_new(chunk ? 2 * chunk->capacity : CHUNK_LEAST);
		if (!chunk)
			return NULL;
		chunk->next = index->chunks;
		index->chunks = chunk;
	}
	leaf = &chunk->leaves[chunk->used++];
	memset(leaf, 0, sizeof(*leaf));
	return leaf;
}

/*
 * A change that replaces one leaf gives back one, so once there is a leaf to spare a removal never
 * lacks one.
 */
static struct ipcshare__index_leaf *leaf_take(struct ipcshare__index *index)
{
	struct ipcshare__index_leaf *leaf;

	if (!index->spare && index->nretired < RETIRED_MAX) {
		leaf = leaf_new(index);
		if (leaf)
			return leaf;
	}
	if (!index->spare)
		recycle(index);
	leaf = index->spare;
	if (leaf)
		index->spare = leaf->next;
	return leaf;
}

static struct ipcshare__index_top *top_new(size_t capacity)
{
	struct ipcshare__index_top *top = calloc(1,
						 sizeof(*top) + capacity * sizeof(top->entries[0]));

	if (top)
		top->capacity = capacity;
	return top;
}

/* Room for one entry more, in @other too. Nothing can be found there that could not before. */
static int top_reach(struct ipcshare__index *index)
{
	struct ipcshare__index_top *top = GET(index->top), *a, *b;
	size_t capacity = top ? 2 * top->capacity : 4;

	if (top && GET(top->count) < top->capacity)
		return 0;
	a = top_new(capacity);
	b = top_new(capacity);
	if (!a || !b) {
		free(a);
		free(b);
		return IPCSHARE_ERR_NO_MEMORY;
	}
	if (top) {
		for (size_t i = 0; i < GET(top->count); i++) {
			PUT(a->entries[i].from, GET(top->entries[i].from));
			PUT(a->entries[i].leaf, GET(top->entries[i].leaf));
		}
		PUT(a->count, GET(top->count));
		top->next = index->outgrown;
		index->other->next = top;
		index->outgrown = index->other;
	}
	index->other = b;
	PUT(index->top, a);
	return 0;
}

/* ---- Change: every step leaves what a reader can find either as it was or as it will be ---- */

static void changed(struct ipcshare__index *index)
{
	static _Atomic uint64_t serial;

	PUT(index->version, atomic_fetch_add(&serial, 1) + 1);
}

/* Instead of @remove entries from @at on, @n others, whose first leaf begins where the old one did. */
static void top_splice(struct ipcshare__index *index, size_t at, size_t remove,
		       struct ipcshare__index_leaf *const *leaves, size_t n)
{
	struct ipcshare__index_top *old = GET(index->top), *top = index->other;
	size_t count = GET(old->count), to = 0;

	atomic_fetch_add(&index->recycled, 1); /* readers may still be in it, from the last time */
	for (size_t i = 0; i < at; i++, to++) {
		PUT(top->entries[to].from, GET(old->entries[i].from));
		PUT(top->entries[to].leaf, GET(old->entries[i].leaf));
	}
	for (size_t i = 0; i < n; i++, to++) {
		PUT(top->entries[to].from, i	? GET(leaves[i]->start[0])
					   : at ? GET(old->entries[at].from)
						: 0);
		PUT(top->entries[to].leaf, leaves[i]);
	}
	for (size_t i = at + remove; i < count; i++, to++) {
		PUT(top->entries[to].from, to ? GET(old->entries[i].from) : 0);
		PUT(top->entries[to].leaf, GET(old->entries[i].leaf));
	}
	PUT(top->count, to);
	PUT(index->top, top);
	index->other = old;
}

static void leaf_put(struct ipcshare__index_leaf *leaf, size_t i,
		     const struct ipcshare__range *range)
{
	PUT(leaf->start[i], range->start);
	PUT(leaf->end[i], range->end);
	PUT(leaf->what[i], range->what);
}

/* Ranges @from .. @to of a leaf, behind those that are in @out. */
static void leaf_append(struct ipcshare__index_leaf *out, struct ipcshare__index_leaf *leaf,
			size_t from, size_t to)
{
	size_t n = GET(out->count);
	struct ipcshare__range range;

	for (size_t i = from; i < to; i++) {
		leaf_get(leaf, i, &range);
		leaf_put(out, n++, &range);
	}
	PUT(out->count, n);
}

static void leaf_append_one(struct ipcshare__index_leaf *out, const struct ipcshare__range *range)
{
	size_t n = GET(out->count);

	leaf_put(out, n, range);
	PUT(out->count, n + 1);
}

static int add_first(struct ipcshare__index *index, const struct ipcshare__range *range)
{
	struct ipcshare__index_leaf *leaf, *reserve;
	int err = top_reach(index);

	if (err)
		return err;
	leaf = leaf_take(index);
	reserve = leaf_take(index); /* for the removal */
	if (reserve)
		leaf_spare(index, reserve);
	if (!leaf || !reserve) {
		if (leaf)
			leaf_spare(index, leaf);
		return IPCSHARE_ERR_NO_MEMORY;
	}
	PUT(leaf->count, 0);
	leaf_append_one(leaf, range);
	top_splice(index, 0, 0, &leaf, 1);
	return 0;
}

/* A full leaf becomes two; or, at the very end, one more, for addresses mostly grow. */
static int add_split(struct ipcshare__index *index, size_t entry, size_t at,
		     const struct ipcshare__range *range)
{
	struct ipcshare__index_leaf *old, *halves[2];
	size_t middle = at == FULL ? FULL : FULL / 2;
	int err = top_reach(index);

	if (err)
		return err;
	old = GET(GET(index->top)->entries[entry].leaf);
	halves[0] = leaf_take(index);
	halves[1] = halves[0] ? leaf_take(index) : NULL;
	if (!halves[1]) {
		if (halves[0])
			leaf_spare(index, halves[0]);
		return IPCSHARE_ERR_NO_MEMORY;
	}
	PUT(halves[0]->count, 0);
	PUT(halves[1]->count, 0);
	leaf_append(halves[0], old, 0, at < middle ? at : middle);
	if (at < middle) {
		leaf_append_one(halves[0], range);
		leaf_append(halves[0], old, at, middle);
		leaf_append(halves[1], old, middle, FULL);
	} else {
		leaf_append(halves[1], old, middle, at);
		leaf_append_one(halves[1], range);
		leaf_append(halves[1], old, at, FULL);
	}
	top_splice(index, entry, 1, halves, 2);
	leaf_retire(index, old);
	return 0;
}

static int add_at(struct ipcshare__index *index, size_t entry, size_t at,
		  const struct ipcshare__range *range)
{
	struct ipcshare__index_top *top = GET(index->top);
	struct ipcshare__index_leaf *old = GET(top->entries[entry].leaf), *leaf;
	size_t count = GET(old->count);

	if (count == FULL)
		return add_split(index, entry, at, range);
	leaf = leaf_take(index);
	if (!leaf)
		return IPCSHARE_ERR_NO_MEMORY;
	PUT(leaf->count, 0);
	leaf_append(leaf, old, 0, at);
	leaf_append_one(leaf, range);
	leaf_append(leaf, old, at, count);
	PUT(top->entries[entry].leaf, leaf);
	leaf_retire(index, old);
	return 0;
}

/*
 * Where it belongs. What begins in the gap before an entry and reaches into it is the first of that
 * entry, which from now on begins earlier: there is nothing in the gap that a reader could miss.
 */
static size_t add_entry(struct ipcshare__index_top *top, const struct ipcshare__range *range)
{
	size_t entry = top_search(top, range->start);

	if (entry + 1 < GET(top->count) && GET(top->entries[entry + 1].from) < range->end) {
		entry++;
		PUT(top->entries[entry].from, range->start);
	}
	return entry;
}

int ipcshare__index_add(struct ipcshare__index *index, const void *start, size_t length, void *what)
{
	struct ipcshare__range range = { (uintptr_t)start, (uintptr_t)start + length, what }, next;
	struct ipcshare__index_top *top = GET(index->top);
	size_t entry;
	int err;

	if (ipcshare__index_next(index, start, &next) && next.start < range.end)
		return IPCSHARE_ERR_BUSY;
	if (!index->count) {
		err = add_first(index, &range);
	} else {
		entry = add_entry(top, &range);
		err = add_at(index, entry, leaf_search(GET(top->entries[entry].leaf), range.start),
			     &range);
	}
	if (err)
		return err;
	index->count++;
	changed(index);
	return 0;
}

/* The neighbour behind @entry, if both fit in half a leaf: so that many small ones don't stay. */
static struct ipcshare__index_leaf *mate_of(struct ipcshare__index_top *top, size_t entry,
					    size_t count)
{
	struct ipcshare__index_leaf *next;

	if (entry + 1 >= GET(top->count))
		return NULL;
	next = GET(top->entries[entry + 1].leaf);
	return count + GET(next->count) <= FULL / 2 ? next : NULL;
}

void ipcshare__index_remove(struct ipcshare__index *index, const void *start)
{
	struct ipcshare__index_top *top = GET(index->top);
	size_t entry = top_search(top, (uintptr_t)start), count, at;
	struct ipcshare__index_leaf *old = GET(top->entries[entry].leaf), *leaf, *mate;

	count = GET(old->count);
	at = leaf_search(old, (uintptr_t)start);
	if (count == 1) {
		top_splice(index, entry, 1, NULL, 0);
	} else {
		mate = mate_of(top, entry, count - 1);
		leaf = leaf_take(index);
		PUT(leaf->count, 0);
		leaf_append(leaf, old, 0, at);
		leaf_append(leaf, old, at + 1, count);
		if (mate) {
			leaf_append(leaf, mate, 0, GET(mate->count));
			top_splice(index, entry, 2, &leaf, 1);
			leaf_retire(index, mate);
		} else {
			PUT(top->entries[entry].leaf, leaf);
		}
	}
	leaf_retire(index, old);
	index->count--;
	changed(index);
}

void ipcshare__index_clear(struct ipcshare__index *index)
{
	struct ipcshare__index_top *top = GET(index->top);

	free(top);
	free(index->other);
	while (index->outgrown) {
		top = index->outgrown;
		index->outgrown = top->next;
		free(top);
	}
	while (index->chunks) {
		struct ipcshare__index_chunk *next = index->chunks->next;

		free(index->chunks);
		index->chunks = next;
	}
	*index = (struct ipcshare__index){ 0 };
	changed(index); /* what threads remember of it holds no more */
}
