/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/directory.h"

#include <ipcshare.h>
#include <stdlib.h>

#define SMALLEST 64

struct entry {
	_Atomic uint64_t version; /* odd: it changes just now */
	_Atomic uint64_t a, b; /* its name; a is 0 in the two cases below */
	_Atomic uint64_t behind_a, behind_b;
};

struct ipcshare__directory_table {
	struct ipcshare__directory_table *next; /* in the list of spare ones */
	size_t mask; /* never changes */
	struct entry entries[];
};

/* In place of a name. A search ends at the first, and goes on behind the second. */
static const struct ipcshare__name empty = { 0, 0 }, gone = { 0, 1 };

/*
 * A reader's loads can't come after its second look at the version, nor a writer's stores before the
 * version is odd: each load pairs with the store whose bytes it has read.
 */
#define GET(x) atomic_load_explicit(&(x), memory_order_acquire)
#define PUT(x, value) atomic_store_explicit(&(x), (value), memory_order_release)
/* For the writer, and what is looked at again. */
#define PEEK(x) atomic_load_explicit(&(x), memory_order_relaxed)

static size_t place_of(struct ipcshare__name name)
{
	return (size_t)((name.a ^ name.b * 0xff51afd7ed558ccdu) * 0x9e3779b97f4a7c15u >> 32);
}

static bool is_named(const struct entry *e, struct ipcshare__name name)
{
	return PEEK(e->a) == name.a && PEEK(e->b) == name.b;
}

/* ---- Find ---- */

/* What stands behind @name, unless the entry changes under our eyes. */
static bool entry_read(const struct entry *e, struct ipcshare__name name,
		       struct ipcshare__behind *out)
{
	uint64_t version = GET(e->version);
	bool same = GET(e->a) == name.a && GET(e->b) == name.b;
	struct ipcshare__behind what = { GET(e->behind_a), GET(e->behind_b) };

	if (!same || version & 1 || PEEK(e->version) != version)
		return false;
	*out = what;
	return true;
}

bool ipcshare__directory_find(struct ipcshare__directory *dir, struct ipcshare__name name,
			      struct ipcshare__behind *out)
{
	struct ipcshare__directory_table *t = GET(dir->table);
	size_t at = place_of(name);

	for (size_t n = 0; t && n <= t->mask; n++, at++) {
		const struct entry *e = &t->entries[at & t->mask];

		if (is_named(e, name))
			return entry_read(e, name, out);
		if (is_named(e, empty))
			return false;
	}
	return false;
}

/*
 * ---- Change, under the writers' lock ----
 *
 * A child of fork() may find a change that another thread of its parent had half made: an entry that is
 * odd until it is written again, and counts that are too high by one, which does no harm.
 */

static void entry_write(struct entry *e, struct ipcshare__name name, struct ipcshare__behind what)
{
	uint64_t version = PEEK(e->version) | 1;

	PUT(e->version, version);
	PUT(e->a, name.a);
	PUT(e->b, name.b);
	PUT(e->behind_a, what.a);
	PUT(e->behind_b, what.b);
	PUT(e->version, version + 1);
}

/* The entry of @name, or the first one that is free for it. */
static struct entry *entry_for(struct ipcshare__directory_table *t, struct ipcshare__name name)
{
	struct entry *reusable = NULL;

	for (size_t at = place_of(name);; at++) {
		struct entry *e = &t->entries[at & t->mask];

		if (is_named(e, name))
			return e;
		if (is_named(e, empty))
			return reusable ?: e;
		if (!reusable && is_named(e, gone))
			reusable = e;
	}
}

/* An empty table; one that is spare, if there is one of this size. */
static struct ipcshare__directory_table *table_take(struct ipcshare__directory *dir,
						    size_t capacity)
{
	struct ipcshare__directory_table **link = &dir->spare, *t;

	while ((t = *link) && t->mask != capacity - 1)
		link = &t->next;
	if (t) {
		*link = t->next;
		return t;
	}
	t = calloc(1, sizeof(*t) + capacity * sizeof(t->entries[0]));
	if (t)
		t->mask = capacity - 1;
	return t;
}

/* Late readers find nothing there, now or when it is used again. */
static void table_spare(struct ipcshare__directory *dir, struct ipcshare__directory_table *t)
{
	for (size_t i = 0; i <= t->mask; i++)
		if (!is_named(&t->entries[i], empty))
			entry_write(&t->entries[i], empty, (struct ipcshare__behind){ 0, 0 });
	t->next = dir->spare;
	dir->spare = t;
}

/* Room for one name more, and still as many empty entries as others. */
static int reach(struct ipcshare__directory *dir)
{
	struct ipcshare__directory_table *old = GET(dir->table), *t;
	struct ipcshare__behind what;
	struct ipcshare__name name;
	size_t capacity = old ? old->mask + 1 : SMALLEST, at = 0;

	if (old && 2 * (dir->filled + 1) <= capacity)
		return 0;
	if (4 * dir->count >= capacity) /* else there is room enough in what was taken out */
		capacity *= 2;
	t = table_take(dir, capacity);
	if (!t)
		return IPCSHARE_ERR_NO_MEMORY;
	while (ipcshare__directory_next(dir, &at, &name, &what))
		entry_write(entry_for(t, name), name, what);
	PUT(dir->table, t);
	dir->filled = dir->count;
	if (old)
		table_spare(dir, old);
	return 0;
}

int ipcshare__directory_put(struct ipcshare__directory *dir, struct ipcshare__name name,
			    struct ipcshare__behind what)
{
	struct entry *e;

	if (reach(dir))
		return IPCSHARE_ERR_NO_MEMORY;
	e = entry_for(PEEK(dir->table), name);
	dir->filled += is_named(e, empty);
	dir->count += !is_named(e, name);
	entry_write(e, name, what);
	return 0;
}

void ipcshare__directory_remove(struct ipcshare__directory *dir, struct ipcshare__name name)
{
	struct ipcshare__directory_table *t = PEEK(dir->table);
	struct entry *e = t ? entry_for(t, name) : NULL;
	size_t at;

	if (!e || !is_named(e, name))
		return;
	entry_write(e, gone, (struct ipcshare__behind){ 0, 0 });
	dir->count--;
	/* What is gone right before an empty entry keeps no search going. */
	at = (size_t)(e - t->entries);
	if (!is_named(&t->entries[(at + 1) & t->mask], empty))
		return;
	for (; is_named(e, gone); e = &t->entries[--at & t->mask]) {
		entry_write(e, empty, (struct ipcshare__behind){ 0, 0 });
		dir->filled--;
	}
}

bool ipcshare__directory_next(struct ipcshare__directory *dir, size_t *at,
			      struct ipcshare__name *name, struct ipcshare__behind *what)
{
	struct ipcshare__directory_table *t = PEEK(dir->table);

	while (t && *at <= t->mask) {
		const struct entry *e = &t->entries[(*at)++];

		*name = (struct ipcshare__name){ PEEK(e->a), PEEK(e->b) };
		*what = (struct ipcshare__behind){ PEEK(e->behind_a), PEEK(e->behind_b) };
		if (name->a)
			return true;
	}
	return false;
}

void ipcshare__directory_clear(struct ipcshare__directory *dir)
{
	struct ipcshare__directory_table *t;

	free(PEEK(dir->table));
	while ((t = dir->spare)) {
		dir->spare = t->next;
		free(t);
	}
	*dir = (struct ipcshare__directory){ 0 };
}
