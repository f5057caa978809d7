/* SPDX-License-Identifier: BSD-3-Clause */
/* Handles: kind, generation and index in one number outside any address the process can map. */
#include <pthread.h>
#include <stdlib.h>

#include "emu.h"

struct entry {
	void *object;		/* NULL: free */
	uint32_t generation;
	uint32_t next_free;
	enum emu_kind kind;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *entries;
static uint32_t count, room, first_free;	/* first_free: index + 1, 0 for none */

#define MARK (UINT64_C(0xACE) << 52)	/* not a canonical address: dereferencing faults */

/* The mark in 12 bits, the kind in 4, the generation in 24, the index in 24. */
static void *pack(enum emu_kind kind, uint32_t i)
{
	return (void *)(uintptr_t)(MARK | (uint64_t)kind << 48 |
				   (uint64_t)(entries[i].generation & 0xffffff) << 24 | i);
}

static int grow(void)
{
	uint32_t want = room ? room * 2 : 64;
	struct entry *more;

	if (want > 1u << 24)
		return -1;
	more = realloc(entries, want * sizeof(*more));
	if (!more)
		return -1;
	entries = more;
	room = want;
	return 0;
}

void *emu_handle_new(enum emu_kind kind, void *object)
{
	void *handle = NULL;
	uint32_t i;

	pthread_mutex_lock(&lock);
	if (first_free) {
		i = first_free - 1;
		first_free = entries[i].next_free;
	} else {
		if (count == room && grow())
			goto unlock;
		i = count++;
		entries[i].generation = 0;
	}
	entries[i].object = object;
	entries[i].kind = kind;
	handle = pack(kind, i);
unlock:
	pthread_mutex_unlock(&lock);
	return handle;
}

static struct entry *find(enum emu_kind kind, const void *handle)
{
	uint32_t i = (uintptr_t)handle & 0xffffff;

	if (i >= count || !entries[i].object || pack(kind, i) != handle || entries[i].kind != kind)
		return NULL;
	return &entries[i];
}

void *emu_handle_get(enum emu_kind kind, const void *handle)
{
	struct entry *e;
	void *object;

	pthread_mutex_lock(&lock);
	e = find(kind, handle);
	object = e ? e->object : NULL;
	pthread_mutex_unlock(&lock);
	return object;
}

void *emu_handle_drop(enum emu_kind kind, const void *handle)
{
	struct entry *e;
	void *object = NULL;

	pthread_mutex_lock(&lock);
	e = find(kind, handle);
	if (e) {
		object = e->object;
		e->object = NULL;
		e->generation++;
		e->next_free = first_free;
		first_free = (uint32_t)(e - entries) + 1;
	}
	pthread_mutex_unlock(&lock);
	return object;
}
