/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A directory: names of 16 bytes, and 16 bytes that stand behind each. Writers lock among themselves;
 * readers take no lock, wait for nobody and write nothing.
 *
 * Open addressing, at most half full. Each entry has a version that is odd while it changes, so nothing
 * is found that never stood there. A table that was outgrown is used again, but never given back while
 * the directory lives: a reader that comes late finds nothing in it, which is why a name that is not
 * found has to be looked for again under the writers' lock.
 */
#ifndef IPCSHARE_BASE_DIRECTORY_H
#define IPCSHARE_BASE_DIRECTORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ipcshare__name {
	uint64_t a, b; /* @a is not 0 */
};

struct ipcshare__behind {
	uint64_t a, b;
};

struct ipcshare__directory_table;

struct ipcshare__directory { /* all zero: empty */
	size_t count;
	size_t filled; /* entries that can't end a search: names, and those that were taken out */
	_Atomic(struct ipcshare__directory_table *) table;
	struct ipcshare__directory_table *spare; /* outgrown; readers may be in them */
};

/* Certain if it is found; or under the lock. */
bool ipcshare__directory_find(struct ipcshare__directory *dir, struct ipcshare__name name,
			      struct ipcshare__behind *out);

/* New, or in place of what is there: 0, or IPCSHARE_ERR_NO_MEMORY without detail. */
int ipcshare__directory_put(struct ipcshare__directory *dir, struct ipcshare__name name,
			    struct ipcshare__behind what);
/* Nothing if it isn't there. */
void ipcshare__directory_remove(struct ipcshare__directory *dir, struct ipcshare__name name);

/* The next entry in no order; @at is 0 at first. Under the lock, without changes in between. */
bool ipcshare__directory_next(struct ipcshare__directory *dir, size_t *at,
			      struct ipcshare__name *name, struct ipcshare__behind *what);

/* No reader may be in it any more. */
void ipcshare__directory_clear(struct ipcshare__directory *dir);

#endif
