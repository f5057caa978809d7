/* SPDX-License-Identifier: BSD-3-Clause */
/* The index of regions: a sorted array behind a mutex; engines borrow, so free never pulls away. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "emu.h"
#include "region.h"
#include "table.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct emu_region **sorted;
static size_t count, room;

/* The first region that ends above @va. */
static size_t slot_of(uintptr_t va)
{
	size_t lo = 0, hi = count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (sorted[mid]->va + sorted[mid]->len <= va)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int insert(struct emu_region *r)
{
	size_t i;

	if (count == room) {
		size_t want = room ? room * 2 : 64;
		struct emu_region **more = realloc(sorted, want * sizeof(*more));

		if (!more)
			return -1;
		sorted = more;
		room = want;
	}
	i = slot_of(r->va);
	memmove(sorted + i + 1, sorted + i, (count++ - i) * sizeof(*sorted));
	sorted[i] = r;
	return 0;
}

/*
 * Each process hands out device addresses from a zone of its own, so that a pointer of one is
 * never valid in another; inside it the lowest gap is taken, so that a freed address comes back
 * at the next allocation: whoever caches by address meets that at once.
 */
#ifdef __SANITIZE_THREAD__	/* leaves an application the lowest 512 GiB */
#define ZONES UINT64_C(0x1000000000)
#define ZONE_SIZE (UINT64_C(1) << 33)
#else
#define ZONES UINT64_C(0x200000000000)
#define ZONE_SIZE (UINT64_C(1) << 37)
#endif

static uintptr_t align_up(uintptr_t va, size_t align)
{
	return (va + align - 1) & ~(uintptr_t)(align - 1);
}

/* Address space of @len bytes that faults; lock held. */
static uintptr_t reserve(size_t len, size_t align)
{
	uintptr_t zone = ZONES + emu_me * ZONE_SIZE, va = align_up(zone, align);
	size_t i = slot_of(va);

	while (va + len <= zone + ZONE_SIZE) {
		if (i < count && sorted[i]->va < va + len) {
			va = align_up(sorted[i]->va + sorted[i]->len, align);
			i++;
			continue;
		}
		if (mmap((void *)va, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
			 MAP_FIXED_NOREPLACE, -1, 0) == (void *)va)
			return va;
		va = align_up(va + len, align);		/* still borrowed, or not ours */
		i = slot_of(va);
	}
	return 0;
}

static void unmap(struct emu_region *r)
{
	if (r->kind != EMU_REGION_HOST) {
		munmap((void *)r->va, r->len);
		munmap(r->alias, r->len);
	} else {
		free((void *)r->va);
	}
}

static int map(struct emu_region *r)
{
	int prot = PROT_READ | PROT_WRITE;

	r->va = reserve(r->len, r->page);
	if (!r->va)
		return -1;
	r->alias = mmap(NULL, r->len, prot, MAP_SHARED | MAP_NORESERVE, emu_file, r->off);
	if (r->alias == MAP_FAILED) {
		munmap((void *)r->va, r->len);
		return -1;
	}
	if (emu_settings()->host_access &&
	    mmap((void *)r->va, r->len, r->readonly ? PROT_READ : prot,
		 MAP_SHARED | MAP_NORESERVE | MAP_FIXED, emu_file, r->off) == MAP_FAILED) {
		unmap(r);
		return -1;
	}
	return 0;
}

int emu_region_enter(struct emu_region *r)
{
	int err;

	pthread_mutex_lock(&lock);
	err = r->kind == EMU_REGION_HOST ? 0 : map(r);
	if (!err && insert(r)) {
		err = -1;
		if (r->kind != EMU_REGION_HOST)
			unmap(r);
	}
	if (!err)
		r->base += r->va;
	pthread_mutex_unlock(&lock);
	return err;
}

static void release(struct emu_region *r)
{
	unmap(r);
	free(r);
}

void emu_region_leave(struct emu_region *r)
{
	bool last;
	size_t i;

	pthread_mutex_lock(&lock);
	i = slot_of(r->va);
	memmove(sorted + i, sorted + i + 1, (--count - i) * sizeof(*sorted));
	r->gone = true;
	last = !r->busy;
	pthread_mutex_unlock(&lock);
	if (last)
		release(r);
}

struct emu_region *emu_region_get(const void *p, size_t len)
{
	uintptr_t va = (uintptr_t)p;
	struct emu_region *r = NULL;
	size_t i;

	pthread_mutex_lock(&lock);
	i = slot_of(va);
	if (i < count && sorted[i]->va <= va && len <= sorted[i]->va + sorted[i]->len - va) {
		r = sorted[i];
		r->busy++;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

void emu_region_put(struct emu_region *r)
{
	bool last;

	pthread_mutex_lock(&lock);
	last = !--r->busy && r->gone;
	pthread_mutex_unlock(&lock);
	if (last)
		release(r);
}

struct emu_region *emu_region_any(enum emu_region_kind kind, int device)
{
	struct emu_region *r = NULL;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < count && !r; i++)
		if (sorted[i]->kind == kind && (device < 0 || sorted[i]->device == device))
			r = sorted[i];
	pthread_mutex_unlock(&lock);
	return r;
}

bool emu_region_reachable(const struct emu_region *r)
{
	uint32_t open = __atomic_load_n(&r->open, __ATOMIC_SEQ_CST);
	const struct emu_open *o;

	if (r->kind != EMU_REGION_IMPORT)
		return true;
	if (open == EMU_NONE)
		return false;	/* closed, or dropped by a device reset */
	o = &emu_table->opens[open];
	return __atomic_load_n(&o->state, __ATOMIC_SEQ_CST) == EMU_LIVE &&
	       !emu_slot_dead(o->owner_slot, o->owner_serial);
}

bool emu_region_foreign(const struct emu_region *r)
{
	return r->kind == EMU_REGION_IMPORT && r->device != r->map_device;
}

void emu_regions_revoke(void)
{
	if (!emu_settings()->host_access)
		return;		/* the host cannot touch it; engines look at the table themselves */
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < count; i++) {
		struct emu_region *r = sorted[i];

		if (r->kind != EMU_REGION_IMPORT || r->sealed || emu_region_reachable(r))
			continue;
		mmap((void *)r->va, r->len, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
		r->sealed = true;
	}
	pthread_mutex_unlock(&lock);
}
