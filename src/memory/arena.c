/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/arena.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/handle.h"
#include "memory/sizes.h"

#define ALIGN_DEFAULT ((size_t)128) /* what some cores fetch together: two 64-byte lines */
#define ALIGN_LEAST ((size_t)16)
#define ALIGN_MOST ((size_t)4096)
#define SLAB_MAX_DEFAULT ((size_t)64 << 20)

static int check(const struct ipcshare_arena *arena, const char *stage)
{
	return ipcshare__handle_check(arena, IPCSHARE__HANDLE_ARENA, stage);
}

/* ---- Begin ---- */

/* Zeroes become the defaults. */
static int options_set(struct ipcshare_arena_options *o, const struct ipcshare_arena_options *given)
{
	if (given && given->size != sizeof(*given))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "arena_create",
				      "start from IPCSHARE_ARENA_OPTIONS_INIT",
				      "options->size is %zu, not %zu", given->size, sizeof(*given));
	if (given)
		*o = *given;
	if (!o->align)
		o->align = ALIGN_DEFAULT;
	if (o->align < ALIGN_LEAST || o->align > ALIGN_MOST || o->align & (o->align - 1))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "arena_create", "",
				      "options->align is %zu, no power of two from %zu to %zu",
				      o->align, ALIGN_LEAST, ALIGN_MOST);
	if (o->slab > IPCSHARE__SLAB_MOST || o->slab_max > IPCSHARE__SLAB_MOST)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "arena_create", "",
				      "options->slab is %zu, slab_max is %zu; at most %zu", o->slab,
				      o->slab_max, IPCSHARE__SLAB_MOST);
	if (!o->slab)
		o->slab = o->slab_max && o->slab_max < IPCSHARE__SLAB_STEP ? o->slab_max
									   : IPCSHARE__SLAB_STEP;
	if (!o->slab_max)
		o->slab_max = o->slab > SLAB_MAX_DEFAULT ? o->slab : SLAB_MAX_DEFAULT;
	if (o->slab_max < o->slab)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "arena_create", "",
				      "options->slab_max is %zu, less than slab, %zu", o->slab_max,
				      o->slab);
	o->slab = ipcshare__round_up(o->slab, IPCSHARE__SLAB_STEP);
	o->slab_max = ipcshare__round_up(o->slab_max, IPCSHARE__SLAB_STEP);
	return 0;
}

int ipcshare__arena_share(struct ipcshare_arena *arena, uint32_t nsizes)
{
	struct ipcshare__depot *depots = aligned_alloc(_Alignof(struct ipcshare__depot),
						       nsizes * sizeof(*depots));

	if (!depots)
		return IPCSHARE_ERR_NO_MEMORY;
	memset(depots, 0, nsizes * sizeof(*depots));
	for (uint32_t size = 0; size < nsizes; size++)
		ipcshare__depot_open(&depots[size], arena->shift, size);
	arena->shares[arena->nshares++] = depots;
	return 0;
}

/* Few threads meet in a share, also if there are some more than cores; and memory is for few of them. */
static uint32_t shares_for_cores(void)
{
	cpu_set_t cores;
	uint32_t n = sched_getaffinity(0, sizeof(cores), &cores) ? 1 : (uint32_t)CPU_COUNT(&cores);

	return n < IPCSHARE__SHARES_MOST / 4 ? 4 * n : IPCSHARE__SHARES_MOST;
}

static struct ipcshare_arena *arena_new(struct ipcshare_ctx *ctx,
					const struct ipcshare_arena_options *o)
{
	struct ipcshare_arena *arena = calloc(1, sizeof(*arena));

	if (!arena)
		return NULL;
	arena->ctx = ctx;
	arena->shift = (unsigned)__builtin_ctzll(o->align);
	arena->slab = o->slab;
	arena->slab_max = o->slab_max;
	arena->most = o->slab / 4;
	arena->nsizes = ipcshare__size_for(arena->shift, arena->most) + 1;
	arena->nkept = ipcshare__stash_sizes(arena->shift);
	arena->shares_max = shares_for_cores();
	if (ipcshare__arena_share(arena, arena->nsizes)) {
		free(arena);
		return NULL;
	}
	pthread_mutex_init(&arena->lock, NULL);
	return arena;
}

static uint32_t sizes_of_share(const struct ipcshare_arena *arena, uint32_t share)
{
	return share ? arena->nkept : arena->nsizes;
}

/* Its regions are not its any more. In a forked child other threads' copies may still hold the locks. */
static void arena_free(struct ipcshare_arena *arena, bool in_child)
{
	ipcshare__stashes_close(arena);
	ipcshare__arena_slabs_forget(arena);
	for (uint32_t i = 0; i < arena->nshares; i++) {
		for (uint32_t size = 0; size < sizes_of_share(arena, i) && !in_child; size++)
			ipcshare__depot_close(&arena->shares[i][size]);
		free(arena->shares[i]);
	}
	if (!in_child)
		pthread_mutex_destroy(&arena->lock);
	free(arena);
}

static void arena_abandon(struct ipcshare__owned *owned)
{
	struct ipcshare_arena *arena = (struct ipcshare_arena *)owned;

	ipcshare__handle_remove(arena);
	arena_free(arena, true);
}

int ipcshare_arena_create(struct ipcshare_ctx *ctx, const struct ipcshare_arena_options *options,
			  struct ipcshare_arena **out)
{
	struct ipcshare_arena_options o = IPCSHARE_ARENA_OPTIONS_INIT;
	struct ipcshare_arena *arena;
	int err = ipcshare__ctx_check(ctx, "arena_create");

	if (err)
		return err;
	if (!out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "arena_create", "", "out is NULL");
	err = options_set(&o, options);
	if (err)
		return err;
	arena = arena_new(ctx, &o);
	if (!arena)
		return ipcshare__fail_errno(ENOMEM, "arena_create", "an arena");
	err = ipcshare__stashes_open(arena);
	if (!err)
		err = ipcshare__handle_add(arena, IPCSHARE__HANDLE_ARENA);
	if (err) {
		arena_free(arena, false);
		return err;
	}
	ipcshare__owned_add(ctx, &arena->owned, arena_abandon);
	*out = arena;
	return 0;
}

/* ---- Allocate ---- */

static int alloc_check(struct ipcshare_arena *arena, size_t len, void **out)
{
	int err = check(arena, "arena_alloc");

	if (err)
		return err;
	if (!out || !len || len > PTRDIFF_MAX)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "arena_alloc", "",
				      "out is NULL, or %zu bytes are asked for", len);
	return 0;
}

static void *hand_out(const struct ipcshare__cell *cell)
{
	atomic_store_explicit(cell->live, 1, memory_order_relaxed);
	return cell->ptr;
}

/* The way of the first call in a thread, of an empty stash, and of what is kept in none. */
static __attribute__((noinline)) int alloc_slowly(struct ipcshare_arena *arena, size_t len,
						  void **out)
{
	int err = alloc_check(arena, len, out);
	struct ipcshare__stash *stash;
	struct ipcshare__cell one;
	uint32_t size;

	if (err)
		return err;
	if (len > arena->most)
		return ipcshare__arena_own(arena, len, out);
	size = ipcshare__size_for(arena->shift, len);
	stash = ipcshare__stash_get(arena);
	if (!stash || size >= stash->nbins) {
		if (!ipcshare__depot_take(arena, ipcshare__arena_depot(arena, stash, size), &one, 1,
					  &err))
			return err;
		*out = hand_out(&one);
		return 0;
	}
	if (!ipcshare__stash_count(stash, size) && !ipcshare__stash_fill(arena, stash, size, &err))
		return err;
	*out = hand_out(ipcshare__stash_pop(stash, size));
	return 0;
}

int ipcshare_arena_alloc(struct ipcshare_arena *arena, size_t len, void **out)
{
	struct ipcshare__stash *stash = ipcshare__stash_here(arena);
	uint32_t size;

	if (__builtin_expect(!stash || !out || len - 1 >= stash->most, 0))
		return alloc_slowly(arena, len, out);
	size = ipcshare__size_for(stash->shift, len);
	if (__builtin_expect(!ipcshare__stash_count(stash, size), 0))
		return alloc_slowly(arena, len, out);
	*out = hand_out(ipcshare__stash_pop(stash, size));
	return 0;
}

static int own_many(struct ipcshare_arena *arena, size_t len, size_t n, void **out)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		err = ipcshare__arena_own(arena, len, &out[i]);
		while (err && i)
			ipcshare_arena_free(arena, out[--i]);
	}
	return err;
}

int ipcshare_arena_alloc_many(struct ipcshare_arena *arena, size_t len, size_t n, void **out)
{
	int err = alloc_check(arena, len, n ? out : &(void *){ NULL });
	uint32_t size;

	if (err || !n)
		return err;
	if (n > PTRDIFF_MAX / len)
		return ipcshare__fail(IPCSHARE_ERR_NO_MEMORY, "arena_alloc", "allocate less",
				      "%zu times %zu bytes are more than the address space", n,
				      len);
	if (len > arena->most)
		return own_many(arena, len, n, out);
	size = ipcshare__size_for(arena->shift, len);
	return ipcshare__depot_take_many(arena,
					 ipcshare__arena_depot(arena, ipcshare__stash_get(arena),
							       size),
					 out, n);
}

/* ---- Free ---- */

static int not_live(const void *ptr, const char *stage, const char *why)
{
	return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, stage,
			      "pass what ipcshare_arena_alloc() of this arena returned, once",
			      "%p %s", ptr, why);
}

/* The slab and the byte of the cell that begins at @ptr, be it live or not. */
static int cell_find(struct ipcshare_arena *arena, const void *ptr, const char *stage,
		     struct ipcshare__slab **slab, _Atomic uint8_t **live)
{
	*slab = ipcshare__arena_slab_at(arena, ptr);
	if (!*slab)
		return not_live(ptr, stage, "is not in memory of this arena");
	*live = ipcshare__slab_live(*slab, ptr);
	return *live ? 0 : not_live(ptr, stage, "is not the beginning of a buffer");
}

/* Of all who try at the same time, one succeeds. */
static bool take_from_caller(_Atomic uint8_t *live)
{
	return atomic_exchange_explicit(live, 0, memory_order_relaxed);
}

static int free_own(struct ipcshare_arena *arena, struct ipcshare__slab *slab)
{
	_Atomic uint8_t *live = slab->live;
	int err = ipcshare__arena_slab_release(arena, slab, "arena_free");

	if (err)
		atomic_store_explicit(live, 1, memory_order_relaxed);
	return err;
}

static __attribute__((noinline)) int free_slowly(struct ipcshare_arena *arena, void *ptr)
{
	struct ipcshare__stash *stash;
	struct ipcshare__slab *slab;
	_Atomic uint8_t *live;
	int err;

	if (!ptr)
		return 0;
	err = check(arena, "arena_free");
	if (!err)
		err = cell_find(arena, ptr, "arena_free", &slab, &live);
	if (err)
		return err;
	if (!take_from_caller(live))
		return not_live(ptr, "arena_free", "was freed before, or never handed out");
	if (slab->size == IPCSHARE__SIZE_OWN)
		return free_own(arena, slab);
	stash = ipcshare__stash_get(arena);
	if (!stash || slab->size >= stash->nbins) {
		ipcshare__depots_give(arena, &(struct ipcshare__cell){ ptr, live }, 1);
		return 0;
	}
	if (!ipcshare__stash_has_room(stash, slab->size))
		ipcshare__stash_drain(arena, stash, slab->size);
	ipcshare__stash_push(stash, slab->size, (struct ipcshare__cell){ ptr, live });
	return 0;
}

/* Into the stash, if it has room and all is well. */
static inline bool free_quickly(struct ipcshare__stash *stash, const struct ipcshare__slab *slab,
				void *ptr)
{
	_Atomic uint8_t *live = ipcshare__slab_live(slab, ptr);

	if (!live || slab->size >= stash->nbins || !ipcshare__stash_has_room(stash, slab->size) ||
	    !take_from_caller(live))
		return false;
	ipcshare__stash_push(stash, slab->size, (struct ipcshare__cell){ ptr, live });
	return true;
}

/* In another slab than the last one. */
static __attribute__((noinline)) int free_elsewhere(struct ipcshare_arena *arena, void *ptr)
{
	struct ipcshare__stash *stash = ipcshare__stash_here(arena);
	const struct ipcshare__slab *slab = stash ? ipcshare__arena_slab_at(arena, ptr) : NULL;

	if (slab && free_quickly(stash, slab, ptr))
		return 0;
	return free_slowly(arena, ptr);
}

int ipcshare_arena_free(struct ipcshare_arena *arena, void *ptr)
{
	struct ipcshare__stash *stash = ipcshare__stash_here(arena);
	const struct ipcshare__range *last = stash ? ipcshare__index_hit(&arena->slabs, ptr) : NULL;

	if (__builtin_expect(last && free_quickly(stash, last->what, ptr), 1))
		return 0;
	return free_elsewhere(arena, ptr);
}

int ipcshare_arena_free_many(struct ipcshare_arena *arena, void *const *ptrs, size_t n)
{
	struct ipcshare_error first = { .status = 0 };

	if (!ptrs && n)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "arena_free", "", "ptrs is NULL");
	for (size_t i = 0; i < n; i++)
		if (ipcshare_arena_free(arena, ptrs[i]) && !first.status) {
			ipcshare__fail_at(-1, (int64_t)i);
			first = *ipcshare_last_error();
		}
	if (first.status)
		ipcshare__error_restore(&first);
	return first.status;
}

void ipcshare__arena_take_back(struct ipcshare_arena *arena, void *ptr)
{
	struct ipcshare__slab *slab = ipcshare__arena_slab_at(arena, ptr);
	_Atomic uint8_t *live = ipcshare__slab_live(slab, ptr);

	take_from_caller(live);
	ipcshare__depots_give(arena, &(struct ipcshare__cell){ ptr, live }, 1);
}

/* ---- Look at it ---- */

int ipcshare_arena_usable(struct ipcshare_arena *arena, const void *ptr, size_t *len)
{
	int err = check(arena, "arena_usable");
	struct ipcshare__slab *slab;
	_Atomic uint8_t *live;

	if (err)
		return err;
	if (!len)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "arena_usable", "", "len is NULL");
	err = cell_find(arena, ptr, "arena_usable", &slab, &live);
	if (err)
		return err;
	if (!atomic_load_explicit(live, memory_order_relaxed))
		return not_live(ptr, "arena_usable", "was freed before, or never handed out");
	*len = slab->cell;
	return 0;
}

/* What threads do meanwhile may be seen half: never less than none. */
static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void size_count(struct ipcshare_arena *arena, uint32_t size, struct ipcshare_arena_stats *s)
{
	size_t cell = arena->shares[0][size].cell, kept, used, cells = 0, nfree = 0;

	for (uint32_t i = 0; i < arena->nshares && size < sizes_of_share(arena, i); i++) {
		struct ipcshare__depot *d = &arena->shares[i][size];

		pthread_mutex_lock(&d->lock);
		s->slabs += d->slabs;
		s->slab_bytes += d->bytes;
		cells += d->cells;
		nfree += d->nfree;
		pthread_mutex_unlock(&d->lock);
	}
	kept = ipcshare__stashes_count(arena, size);
	used = minus(cells, nfree + kept);
	s->used += used;
	s->used_bytes += used * cell;
	s->kept_bytes += kept * cell;
	s->free_bytes += nfree * cell;
}

int ipcshare_arena_stats(struct ipcshare_arena *arena, struct ipcshare_arena_stats *out)
{
	struct ipcshare_arena_stats s = { .size = sizeof(s) };
	int err = check(arena, "arena_stats");

	if (err)
		return err;
	if (!out || out->size != sizeof(*out))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "arena_stats",
				      "set out->size to sizeof(struct ipcshare_arena_stats)",
				      "out is NULL or its size is wrong");
	pthread_mutex_lock(&arena->lock);
	for (uint32_t size = 0; size < arena->nsizes; size++)
		size_count(arena, size, &s);
	s.own = arena->own;
	s.own_bytes = arena->own_bytes;
	s.huge_bytes = arena->huge_bytes;
	s.huge_misses = arena->huge_misses;
	pthread_mutex_unlock(&arena->lock);
	*out = s;
	return 0;
}

/* ---- Trim and end ---- */

/* What is in use by a set or a peer stays, which is no failure. */
static int trim_depot(struct ipcshare_arena *arena, struct ipcshare__depot *d, size_t *released)
{
	struct ipcshare__slab *slab = ipcshare__depot_detach_empty(d, SIZE_MAX), *next;
	int err = 0, failed;

	for (; slab; slab = next) {
		const struct ipcshare_error before = *ipcshare_last_error();
		size_t bytes = slab->region->mem.length;

		next = slab->next;
		failed = ipcshare__arena_slab_release(arena, slab, "arena_trim");
		if (failed)
			ipcshare__depot_attach(d, slab);
		else
			*released += bytes;
		if (failed == IPCSHARE_ERR_BUSY)
			ipcshare__error_restore(&before);
		else if (failed)
			err = failed;
	}
	return err;
}

int ipcshare_arena_trim(struct ipcshare_arena *arena, size_t *released)
{
	int err = check(arena, "arena_trim"), failed = 0;
	uint32_t nshares;
	size_t bytes = 0;

	if (err)
		return err;
	ipcshare__stashes_recall(arena);
	pthread_mutex_lock(&arena->lock);
	nshares = arena->nshares;
	pthread_mutex_unlock(&arena->lock);
	for (uint32_t i = 0; i < nshares; i++)
		for (uint32_t size = 0; size < sizes_of_share(arena, i); size++) {
			err = trim_depot(arena, &arena->shares[i][size], &bytes);
			failed = failed ? failed : err;
		}
	if (!failed && released)
		*released = bytes;
	return failed;
}

int ipcshare_arena_destroy(struct ipcshare_arena *arena)
{
	int err;

	if (!arena)
		return 0;
	err = check(arena, "arena_destroy");
	if (!err)
		err = ipcshare__arena_slabs_begin(arena, "arena_destroy");
	if (err)
		return err;
	ipcshare__handle_remove(arena); /* from here on no thread's end comes here */
	ipcshare__owned_remove(arena->ctx, &arena->owned);
	ipcshare__arena_slabs_end(arena);
	arena_free(arena, false);
	return 0;
}
