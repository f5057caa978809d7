/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/depot.h"

#include "base/error.h"
#include "base/known.h"
#include "memory/arena.h"
#include "memory/sizes.h"

#define AT_ONCE 64u /* cells: those of a word */

void ipcshare__depot_open(struct ipcshare__depot *d, unsigned shift, uint32_t size)
{
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->grown, NULL);
	d->size = size;
	d->cell = ipcshare__size_bytes(shift, size);
}

void ipcshare__depot_close(struct ipcshare__depot *d)
{
	pthread_cond_destroy(&d->grown);
	pthread_mutex_destroy(&d->lock);
}

/* ---- The list of slabs with free cells, locked ---- */

static void link_last(struct ipcshare__depot *d, struct ipcshare__slab *slab)
{
	slab->next = NULL;
	slab->prev = d->last;
	*(d->last ? &d->last->next : &d->first) = slab;
	d->last = slab;
}

static void unlink_slab(struct ipcshare__depot *d, struct ipcshare__slab *slab)
{
	*(slab->prev ? &slab->prev->next : &d->first) = slab->next;
	*(slab->next ? &slab->next->prev : &d->last) = slab->prev;
}

static void add(struct ipcshare__depot *d, struct ipcshare__slab *slab)
{
	slab->depot = d;
	d->slabs++;
	d->bytes += slab->region->mem.length;
	d->cells += slab->ncells;
	d->nfree += slab->nfree;
	if (slab->nfree)
		link_last(d, slab);
	if (d->growing)
		pthread_cond_broadcast(&d->grown);
}

static void taken(struct ipcshare__depot *d, struct ipcshare__slab *slab, uint32_t n)
{
	d->nfree -= n;
	if (!slab->nfree)
		unlink_slab(d, slab);
}

static void put(struct ipcshare__depot *d, struct ipcshare__slab *slab, const _Atomic uint8_t *live)
{
	ipcshare__slab_put(slab, live);
	d->nfree++;
	if (slab->nfree == 1)
		link_last(d, slab); /* behind those that were used longer: they may get empty */
}

/* ---- Take ---- */

/* An empty slab of another depot of the size. */
static struct ipcshare__slab *take_over(struct ipcshare_arena *arena,
					const struct ipcshare__depot *d)
{
	struct ipcshare__slab *slab = NULL;

	pthread_mutex_lock(&arena->lock);
	for (uint32_t i = 0; i < arena->nshares && !slab && d->size < arena->nkept; i++)
		if (&arena->shares[i][d->size] != d)
			slab = ipcshare__depot_detach_empty(&arena->shares[i][d->size], 1);
	pthread_mutex_unlock(&arena->lock);
	return slab;
}

/* A slab more, if no other thread makes one already: then that one. Locked, but not meanwhile. */
static int grow(struct ipcshare_arena *arena, struct ipcshare__depot *d)
{
	struct ipcshare__slab *slab;
	/* twice as much in all: so there are few slabs, however many cells */
	size_t wanted = d->bytes;
	int err = 0;

	if (d->growing) {
		pthread_cond_wait(&d->grown, &d->lock);
		return 0;
	}
	d->growing = true;
	pthread_mutex_unlock(&d->lock);
	slab = take_over(arena, d);
	if (!slab)
		err = ipcshare__arena_slab(arena, d, d->cell, wanted, &slab);
	pthread_mutex_lock(&d->lock);
	if (!err)
		add(d, slab);
	d->growing = false;
	pthread_cond_broadcast(&d->grown);
	return err;
}

uint32_t ipcshare__depot_take(struct ipcshare_arena *arena, struct ipcshare__depot *d,
			      struct ipcshare__cell *cells, uint32_t n, int *err)
{
	struct ipcshare__slab *slab;

	*err = 0;
	pthread_mutex_lock(&d->lock);
	while (!d->first && !*err)
		*err = grow(arena, d);
	slab = d->first;
	if (slab) {
		*err = 0; /* another thread has brought some */
		n = ipcshare__slab_take(slab, cells, n);
		taken(d, slab, n);
	}
	pthread_mutex_unlock(&d->lock);
	return slab ? n : 0;
}

/* ---- Take many ---- */

static bool take_run(struct ipcshare__depot *d, void **out, uint32_t n)
{
	struct ipcshare__slab *slab;

	pthread_mutex_lock(&d->lock);
	slab = d->first;
	while (slab && !ipcshare__slab_take_run(slab, out, n))
		slab = slab->next;
	if (slab)
		taken(d, slab, n);
	pthread_mutex_unlock(&d->lock);
	return slab != NULL;
}

/* From a slab of their own: so nobody else breaks into the run. */
static int take_new_run(struct ipcshare_arena *arena, struct ipcshare__depot *d, void **out,
			uint32_t n)
{
	struct ipcshare__slab *slab;
	size_t wanted;
	int err;

	pthread_mutex_lock(&d->lock);
	wanted = d->bytes;
	pthread_mutex_unlock(&d->lock);
	err = ipcshare__arena_slab(arena, d, n * d->cell, wanted, &slab);
	if (err)
		return err;
	ipcshare__slab_take_run(slab, out, n);
	ipcshare__depot_attach(d, slab);
	return 0;
}

/* Wherever they are; false if there are not so many. */
static bool take_scattered(struct ipcshare__depot *d, void **out, size_t n)
{
	struct ipcshare__cell cells[AT_ONCE];
	bool enough;

	pthread_mutex_lock(&d->lock);
	enough = d->nfree >= n;
	while (enough && n) {
		struct ipcshare__slab *slab = d->first;
		uint32_t got = ipcshare__slab_take(slab, cells,
						   n < AT_ONCE ? (uint32_t)n : AT_ONCE);

		taken(d, slab, got);
		n -= got;
		while (got) {
			*out++ = cells[--got].ptr;
			atomic_store_explicit(cells[got].live, 1, memory_order_relaxed);
		}
	}
	pthread_mutex_unlock(&d->lock);
	return enough;
}

int ipcshare__depot_take_many(struct ipcshare_arena *arena, struct ipcshare__depot *d, void **out,
			      size_t n)
{
	const struct ipcshare_error before = *ipcshare_last_error();
	size_t most = arena->slab_max / d->cell, done, run;
	int err = 0;

	for (done = 0; done < n && !err; done += err ? 0 : run) {
		run = n - done < most ? n - done : most;
		if (!take_run(d, out + done, (uint32_t)run))
			err = take_new_run(arena, d, out + done, (uint32_t)run);
	}
	if (!err)
		return 0;
	if (take_scattered(d, out + done, n - done)) {
		ipcshare__error_restore(&before);
		return 0;
	}
	for (size_t i = 0; i < done; i++)
		ipcshare__arena_take_back(arena, out[i]);
	return err;
}

/* ---- Give ---- */

static void leave(struct ipcshare__depot *d)
{
	if (d->growing)
		pthread_cond_broadcast(&d->grown);
	pthread_mutex_unlock(&d->lock);
}

void ipcshare__depots_give(struct ipcshare_arena *arena, const struct ipcshare__cell *cells,
			   size_t n)
{
	struct ipcshare__depot *d = NULL;

	for (size_t i = 0; i < n; i++) {
		struct ipcshare__slab *slab = ipcshare__arena_slab_at(arena, cells[i].ptr);

		if (slab->depot != d) { /* mostly all have one home */
			if (d)
				leave(d);
			d = slab->depot;
			pthread_mutex_lock(&d->lock);
		}
		ipcshare__known(d);
		put(d, slab, cells[i].live);
	}
	if (d)
		leave(d);
}

struct ipcshare__slab *ipcshare__depot_detach_empty(struct ipcshare__depot *d, size_t most)
{
	struct ipcshare__slab *slab, *next, *list = NULL;

	pthread_mutex_lock(&d->lock);
	for (slab = d->first; slab && most; slab = next) {
		next = slab->next;
		if (slab->nfree < slab->ncells)
			continue;
		unlink_slab(d, slab);
		d->slabs--;
		d->bytes -= slab->region->mem.length;
		d->cells -= slab->ncells;
		d->nfree -= slab->nfree;
		slab->next = list;
		list = slab;
		most--;
	}
	pthread_mutex_unlock(&d->lock);
	return list;
}

void ipcshare__depot_attach(struct ipcshare__depot *d, struct ipcshare__slab *slab)
{
	pthread_mutex_lock(&d->lock);
	add(d, slab);
	pthread_mutex_unlock(&d->lock);
}
