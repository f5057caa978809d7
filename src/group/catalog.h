/* SPDX-License-Identifier: BSD-3-Clause */
/* The regions that one rank has told us of, by id: what its descriptors refer to. */
#ifndef IPCSHARE_GROUP_CATALOG_H
#define IPCSHARE_GROUP_CATALOG_H

#include "base/idmap.h"
#include "base/wire.h"

struct ipcshare__known { /* the owner's word for everything */
	uint64_t length;
	uint32_t generation;
	char key[IPCSHARE__KEY_SIZE]; /* kept, so that what was unmapped can be imported again */
};

struct ipcshare__catalog { /* all zero: empty */
	struct ipcshare__known *known;
	uint32_t count, capacity;
	struct ipcshare__idmap by_id;
};

/* Add a region, or replace what was known under its id. 0, or IPCSHARE_ERR_NO_MEMORY with detail. */
int ipcshare__catalog_add(struct ipcshare__catalog *catalog, const struct ipcshare__wire_region *r);
/* Valid until the next add; NULL: we were never told. */
const struct ipcshare__known *ipcshare__catalog_find(const struct ipcshare__catalog *catalog,
						     uint32_t region);
void ipcshare__catalog_clear(struct ipcshare__catalog *catalog);

#endif
