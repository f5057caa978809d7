/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that lives in a memfd: made, adopted from the user, or received from a peer. */
#ifndef IPCSHARE_BACKEND_HOST_MEMFD_H
#define IPCSHARE_BACKEND_HOST_MEMFD_H

#include <stddef.h>
#include <stdint.h>

#include "base/wire.h"

struct ipcshare__memfd {
	int fd;
	uint64_t inode;
	uint64_t offset; /* of the first byte in the file; whole pages */
	void *map; /* our own mapping; NULL if the user made it */
	size_t map_length;
};

/* Can memfds be made and sealed? An errno, or 0. */
int ipcshare__memfd_try(void);

/* Zeroed, reserved, sealed against shrinking and growing, mapped. */
int ipcshare__memfd_make(size_t length, struct ipcshare__memfd *out);
/*
 * The same on huge pages that the machine has set apart; @length is whole ones. An errno, without detail,
 * where there are not so many free.
 */
#define IPCSHARE__HUGE_PAGE ((size_t)2 << 20)
int ipcshare__memfd_make_huge(size_t length, struct ipcshare__memfd *out);
/* Check that @base .. @base + @length is mapped shared from @fd; take a duplicate of @fd. */
int ipcshare__memfd_adopt(void *base, size_t length, int fd, struct ipcshare__memfd *out);
void ipcshare__memfd_drop(struct ipcshare__memfd *m);

/* No new writable mapping and no write() from now on; the mappings that exist stay as they are. */
int ipcshare__memfd_protect(const struct ipcshare__memfd *m);

/* Map what a peer's broker sent, after checking that it is what the key promised. */
int ipcshare__memfd_map(int fd, uint64_t inode, uint64_t offset, uint64_t length,
			enum ipcshare__access access, void **base, size_t *mapped);

#endif
