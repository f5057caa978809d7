/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What ipcshare_map() has given out, by address and by name. A name is that of a region, as a
 * descriptor has it: so who holds a map finds its address again without a lock.
 */
#ifndef IPCSHARE_MEMORY_MAPS_H
#define IPCSHARE_MEMORY_MAPS_H

#include "base/directory.h"
#include "base/index.h"

struct ipcshare_ctx;
struct ipcshare__mapping;
struct ipcshare__want;

struct ipcshare__maps {
	struct ipcshare__index by_address;
	struct ipcshare__directory by_name;
};

/*
 * One map more of a region that is mapped already, or kept for reuse; @want as for
 * ipcshare__mappings_hold(), which is needed if *@out is NULL then.
 */
int ipcshare__maps_again(struct ipcshare_ctx *ctx, uint64_t endpoint, struct ipcshare__want *want,
			 struct ipcshare__mapping **out);
/* One more of @mapping, which the caller holds. */
int ipcshare__maps_add(struct ipcshare_ctx *ctx, struct ipcshare__mapping *mapping);
/* One less: false if there is none at @address. *@last is to be dropped; NULL if there are others. */
bool ipcshare__maps_remove(struct ipcshare_ctx *ctx, const void *address,
			   struct ipcshare__mapping **last);

/*
 * Where the region that @want names is, without a lock and without a hold: as long as the caller has
 * a map of it. false: it isn't among the maps.
 */
bool ipcshare__maps_find(struct ipcshare_ctx *ctx, uint64_t endpoint,
			 const struct ipcshare__want *want, void **base);

/* Its owner has ended it: nobody finds it by name. Locked. */
void ipcshare__maps_hide(struct ipcshare__maps *maps, const struct ipcshare__mapping *mapping);

/* No reader may be in it any more. */
void ipcshare__maps_clear(struct ipcshare__maps *maps);

#endif
