/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/stash.h"

#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/handle.h"
#include "memory/arena.h"
#include "memory/sizes.h"

IPCSHARE__THREAD_LOCAL struct ipcshare__stash_last ipcshare__stash_last;
_Atomic uint64_t ipcshare__arenas_ended = 1; /* where threads begin with 0 */

/* A thread-specific key, and 1 more: its destructor runs when a thread ends that has, or had, a stash. */
static _Atomic uint64_t thread_ends;

/* How many cells of a size are kept; too few of them would not be worth it. */
static uint32_t capacity_for(size_t cell)
{
	size_t n = IPCSHARE__STASH_BYTES / cell;

	if (cell > IPCSHARE__STASH_CELL)
		return 0;
	return n < IPCSHARE__STASH_CELLS ? (uint32_t)n : IPCSHARE__STASH_CELLS;
}

uint32_t ipcshare__stash_sizes(unsigned shift)
{
	return ipcshare__size_for(shift, IPCSHARE__STASH_CELL) + 1;
}

static size_t bytes_of(const struct ipcshare_arena *arena)
{
	return sizeof(struct ipcshare__stash) +
	       arena->nkept * sizeof(((struct ipcshare__stash *)0)->cells[0]);
}

/* ---- Fill and drain ---- */

bool ipcshare__stash_fill(struct ipcshare_arena *arena, struct ipcshare__stash *stash,
			  uint32_t size, int *err)
{
	struct ipcshare__depot *depot = &stash->depots[size];
	uint32_t n = ipcshare__depot_take(arena, depot, stash->cells[size],
					  capacity_for(depot->cell) / 2, err);

	ipcshare__stash_set_count(stash, size, n);
	return n > 0;
}

/* The oldest go; what was freed last is the likeliest to be in this core's cache. */
static void drain(struct ipcshare_arena *arena, struct ipcshare__stash *stash, uint32_t size,
		  uint32_t keep)
{
	struct ipcshare__cell *cells = stash->cells[size];
	uint32_t n = ipcshare__stash_count(stash, size), go = n > keep ? n - keep : 0;

	if (!go)
		return;
	ipcshare__depots_give(arena, cells, go);
	memmove(cells, cells + go, (n - go) * sizeof(cells[0]));
	ipcshare__stash_set_count(stash, size, n - go);
}

void ipcshare__stash_drain(struct ipcshare_arena *arena, struct ipcshare__stash *stash,
			   uint32_t size)
{
	uint32_t capacity = capacity_for(stash->depots[size].cell);
	int recalled = !atomic_load_explicit(&stash->bins[size].capacity, memory_order_relaxed);

	atomic_store_explicit(&stash->bins[size].capacity, capacity, memory_order_relaxed);
	drain(arena, stash, size, recalled ? 0 : capacity / 2);
}

static void drain_all(struct ipcshare_arena *arena, struct ipcshare__stash *stash)
{
	for (uint32_t size = 0; size < stash->nbins; size++)
		drain(arena, stash, size, 0);
}

/* ---- The stashes of an arena, locked ---- */

static struct ipcshare__stash *stash_of(const struct ipcshare_arena *arena, const void *thread)
{
	struct ipcshare__stash *stash = arena->stashes;

	while (stash && stash->thread != thread)
		stash = stash->next;
	return stash;
}

/* The depots of the next share in turn; a new one while there may be more. */
static struct ipcshare__depot *share_next(struct ipcshare_arena *arena)
{
	uint32_t i = arena->nstashes++ % arena->shares_max;

	if (i >= arena->nshares && ipcshare__arena_share(arena, arena->nkept))
		i = 0;
	return arena->shares[i];
}

static struct ipcshare__stash *stash_new(struct ipcshare_arena *arena)
{
	struct ipcshare__stash *stash = mmap(NULL, bytes_of(arena), PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (stash == MAP_FAILED)
		return NULL;
	if (madvise(stash, bytes_of(arena), MADV_WIPEONFORK)) {
		munmap(stash, bytes_of(arena));
		return NULL;
	}
	stash->nbins = arena->nkept;
	stash->depots = share_next(arena);
	stash->most = stash->depots[stash->nbins - 1].cell;
	stash->shift = arena->shift;
	for (uint32_t size = 0; size < stash->nbins; size++)
		stash->bins[size].capacity = capacity_for(stash->depots[size].cell);
	stash->next = arena->stashes;
	arena->stashes = stash;
	return stash;
}

struct ipcshare__stash *ipcshare__stash_get(struct ipcshare_arena *arena)
{
	struct ipcshare__stash_last *last = &ipcshare__stash_last; /* names the thread, too */
	uint64_t ended = atomic_load_explicit(&ipcshare__arenas_ended, memory_order_relaxed);
	struct ipcshare__stash *stash = ipcshare__stash_here(arena);

	if (stash)
		return stash;
	if (pthread_setspecific((pthread_key_t)(thread_ends - 1), last))
		return NULL;
	pthread_mutex_lock(&arena->lock);
	stash = stash_of(arena, last);
	if (!stash)
		stash = stash_of(arena, NULL);
	if (!stash)
		stash = stash_new(arena);
	if (stash)
		stash->thread = last;
	pthread_mutex_unlock(&arena->lock);
	if (stash)
		*last = (struct ipcshare__stash_last){ arena, ended, stash };
	return stash;
}

void ipcshare__stashes_recall(struct ipcshare_arena *arena)
{
	struct ipcshare__stash *mine;

	pthread_mutex_lock(&arena->lock);
	mine = stash_of(arena, &ipcshare__stash_last);
	if (mine)
		drain_all(arena, mine);
	for (struct ipcshare__stash *stash = arena->stashes; stash; stash = stash->next)
		for (uint32_t size = 0; size < stash->nbins && stash != mine; size++)
			atomic_store_explicit(&stash->bins[size].capacity, 0, memory_order_relaxed);
	pthread_mutex_unlock(&arena->lock);
}

size_t ipcshare__stashes_count(const struct ipcshare_arena *arena, uint32_t size)
{
	size_t n = 0;

	for (const struct ipcshare__stash *stash = arena->stashes; stash; stash = stash->next)
		if (size < stash->nbins)
			n += ipcshare__stash_count(stash, size);
	return n;
}

/* ---- Begin and end ---- */

static int leave(void *handle, void *thread)
{
	struct ipcshare_arena *arena = handle;
	struct ipcshare__stash *stash;

	pthread_mutex_lock(&arena->lock);
	stash = stash_of(arena, thread);
	if (stash) {
		drain_all(arena, stash);
		stash->thread = NULL;
	}
	pthread_mutex_unlock(&arena->lock);
	return 0;
}

/* Only arenas that are alive are visited, and none ends meanwhile. */
static void thread_end(void *thread)
{
	ipcshare__stash_last = (struct ipcshare__stash_last){ 0 }; /* others may come here anew */
	ipcshare__handle_each(IPCSHARE__HANDLE_ARENA, leave, thread);
}

/* Once a process; tried anew if it fails, as keys may come free. */
static int prepare(void)
{
	uint64_t none = 0;
	pthread_key_t key;

	if (atomic_load(&thread_ends))
		return 0;
	if (pthread_key_create(&key, thread_end))
		return ipcshare__fail(IPCSHARE_ERR_LIMIT, "arena_create", "",
				      "the program has no thread-specific key left");
	if (!atomic_compare_exchange_strong(&thread_ends, &none, key + (uint64_t)1))
		pthread_key_delete(key); /* another thread was quicker */
	return 0;
}

int ipcshare__stashes_open(struct ipcshare_arena *arena)
{
	arena->stashes = NULL;
	return prepare();
}

/* No thread end comes here any more. In a forked child all but the first are lost: pages, no more. */
void ipcshare__stashes_close(struct ipcshare_arena *arena)
{
	atomic_fetch_add_explicit(&ipcshare__arenas_ended, 1, memory_order_relaxed);
	for (struct ipcshare__stash *stash = arena->stashes, *next; stash; stash = next) {
		next = stash->next;
		munmap(stash, bytes_of(arena));
	}
}
