/* SPDX-License-Identifier: BSD-3-Clause */
/* Pointers that a set gives besides its table: mapped on first use, or from descriptors and back. */
#include <string.h>

#include "base/error.h"
#include "base/known.h"
#include "base/point.h"
#include "group/set.h"

_Static_assert(sizeof(struct ipcshare_descriptor) == sizeof(struct ipcshare__wire_descriptor),
	       "what users carry is what blobs hold");

/* ---- Mapped on first use ---- */

static int key_of(struct ipcshare_group *g, int rank, const struct ipcshare__used *u,
		  char key[IPCSHARE__KEY_SIZE])
{
	const struct ipcshare__known *known;
	bool same;

	pthread_mutex_lock(&g->catalog_lock);
	known = ipcshare__catalog_find(&g->members[rank].catalog, u->region);
	same = known && known->generation == u->generation;
	if (same)
		memcpy(key, known->key, IPCSHARE__KEY_SIZE);
	pthread_mutex_unlock(&g->catalog_lock);
	return same ? 0
		    : ipcshare__fail(IPCSHARE_ERR_STALE, "import", "share it anew",
				     "rank %d has freed the memory, although the set holds it",
				     rank);
}

/* The region at place @ref of a lazy row, which was @u just now, mapped by this call or another. */
static int region_map(struct ipcshare__set *set, int rank, uint32_t ref, struct ipcshare__used u,
		      char **base)
{
	struct ipcshare_group *g = set->group;
	struct ipcshare__mapping *spare = NULL;
	char key[IPCSHARE__KEY_SIZE];
	struct ipcshare__want want = {
		.region = u.region,
		.generation = u.generation,
		.access = u.access,
		.key = key,
		.length = u.length,
	};
	struct ipcshare__used *now;
	int err = u.status ? ipcshare__fail(u.status, "import", "",
					    "its allocation could not be mapped")
			   : key_of(g, rank, &u, key);

	if (!err)
		err = ipcshare__mappings_hold(g->ctx, g->members[rank].peer, &want, 1);
	IPCSHARE__POINT("lazy.imported");
	if (err) {
		ipcshare__fail_at(rank, -1);
		return err;
	}
	pthread_mutex_lock(&set->lock);
	now = &set->rows[rank].used[ref];
	if (now->mapping || !now->cells || now->generation != u.generation) {
		spare = want.mapping; /* another thread was faster */
	} else {
		now->mapping = want.mapping;
		/* Pairs with the acquire load in view_find(). */
		__atomic_store_n(&now->base, want.mapping->at.base, __ATOMIC_RELEASE);
	}
	*base = now->base;
	pthread_mutex_unlock(&set->lock);
	if (spare)
		ipcshare__mapping_drop(g->ctx, spare);
	return *base ? 0
		     : ipcshare__fail(IPCSHARE_ERR_STALE, "import", "",
				      "the set was updated meanwhile");
}

/* Buffer @i, which exists, has no pointer yet. */
static int ptr_map(struct ipcshare__set *set, int rank, size_t i, void **out)
{
	struct ipcshare__row *row = &set->rows[rank];
	struct ipcshare__used u = { .status = 0 };
	uint64_t offset = 0;
	char *base = NULL;
	uint32_t ref;
	int err = 0;

	pthread_mutex_lock(&set->lock);
	ref = row->cells.ref[i];
	if (!(ref & IPCSHARE__NO_REGION))
		u = row->used[ref];
	if (row->cells.offset)
		offset = row->cells.offset[i];
	pthread_mutex_unlock(&set->lock);
	if (ref == IPCSHARE__NO_REGION)
		return 0;
	if (ref & IPCSHARE__NO_REGION)
		return ipcshare__fail(-(int)(ref & ~IPCSHARE__NO_REGION), "set", "",
				      "its owner could not share it");
	base = u.base;
	if (!base)
		err = region_map(set, rank, ref, u, &base);
	if (err)
		return err;
	*out = base + offset;
	/* Relaxed, as in ipcshare_ptr(): what is mapped is visible to all threads of the process. */
	__atomic_store_n(&row->cells.ptr[i], *out, __ATOMIC_RELAXED);
	return 0;
}

void *ipcshare_ptr_lazy(struct ipcshare_set *open, int rank, size_t i)
{
	void *ptr = open ? ipcshare_ptr(open, rank, i) : NULL;

	if (ptr || ipcshare__set_check(open, "set"))
		return ptr;
	ipcshare__known(open);
	if (rank < 0 || rank >= open->nranks || i >= open->rows[rank].count) {
		ipcshare__fail(IPCSHARE_ERR_INVALID, "set", "", "there is no buffer %zu of rank %d",
			       i, rank);
		return NULL;
	}
	if (ptr_map(ipcshare__set_of(open), rank, i, &ptr))
		ipcshare__fail_at(rank, (int64_t)i);
	return ptr;
}

/* ---- Descriptors to pointers ---- */

/* A region of a row, as the last descriptor named it. */
struct view {
	uint32_t region, generation;
	char *base; /* NULL: none yet */
	uint64_t length;
};

static int view_find(struct ipcshare__set *set, int rank, struct ipcshare__wire_descriptor d,
		     struct view *v)
{
	const struct ipcshare__row *row = &set->rows[rank];
	struct ipcshare__used *u;

	v->region = ipcshare__descriptor_what(d);
	v->generation = ipcshare__descriptor_high(d);
	v->base = NULL;
	u = ipcshare__row_find(row, v->region, IPCSHARE__READ_WRITE);
	if (!u)
		u = ipcshare__row_find(row, v->region, IPCSHARE__READ_ONLY);
	if (!u || (u->generation & IPCSHARE__LOW20) != v->generation)
		return ipcshare__fail(IPCSHARE_ERR_STALE, "set", "share it in this set first",
				      "region %u of rank %d is not in the set", v->region, rank);
	v->length = u->length;
	/* Pairs with the release store in region_map(). */
	v->base = __atomic_load_n(&u->base, __ATOMIC_ACQUIRE);
	return v->base ? 0 : region_map(set, rank, (uint32_t)(u - row->used), *u, &v->base);
}

static int resolve_one(struct ipcshare__set *set, int rank, struct ipcshare__wire_descriptor d,
		       struct view *v, void **ptr, size_t *len)
{
	uint64_t offset = ipcshare__descriptor_low(d);
	int err = 0;

	*len = ipcshare__descriptor_length(d);
	*ptr = NULL;
	if (!*len)
		return d.what | d.where ? ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "set", "",
							 "a descriptor is malformed")
					: 0;
	if (!v->base || v->region != ipcshare__descriptor_what(d) ||
	    v->generation != ipcshare__descriptor_high(d))
		err = view_find(set, rank, d, v);
	if (err)
		return err;
	if (offset > v->length || *len > v->length - offset)
		return ipcshare__fail(IPCSHARE_ERR_RANGE, "set", "",
				      "%zu bytes at offset %ju of an allocation of %ju bytes", *len,
				      (uintmax_t)offset, (uintmax_t)v->length);
	*ptr = v->base + offset;
	return 0;
}

int ipcshare_resolve(struct ipcshare_set *open, int rank, const struct ipcshare_descriptor *in,
		     size_t n, void **ptrs, size_t *lens)
{
	struct ipcshare__set *set = ipcshare__set_of(open);
	struct view v = { .base = NULL };
	int err = ipcshare__set_check(open, "set");

	if (err)
		return err;
	if (rank < 0 || rank >= open->nranks || ((!in || !ptrs) && n))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "set", "",
				      "in or ptrs is NULL, or there is no rank %d", rank);
	/* Outputs are written only when all are known to be good. */
	for (int writing = 0; writing < 2; writing++) {
		for (size_t i = 0; i < n; i++) {
			struct ipcshare__wire_descriptor d;
			size_t len;
			void *ptr;

			memcpy(&d, &in[i], sizeof(d));
			err = resolve_one(set, rank, d, &v, &ptr, &len);
			if (err) {
				ipcshare__fail_at(rank, (int64_t)i);
				return err;
			}
			if (writing)
				ptrs[i] = ptr;
			if (writing && lens)
				lens[i] = len;
		}
	}
	return 0;
}

/* ---- Pointers to descriptors ---- */

/* The set holds the region of the address, so it stays as it is. */
static int own_region(struct ipcshare__set *set, const void *ptr, size_t len,
		      const struct ipcshare__region **out)
{
	const struct ipcshare__row *row = &set->rows[set->open.rank];
	struct ipcshare_ctx *ctx = set->group->ctx;
	const struct ipcshare__used *u;
	struct ipcshare__region *r;
	int err = ipcshare__region_hold(ctx, ptr, len, "set", &r);

	if (err)
		return err;
	u = ipcshare__row_find(row, r->id, IPCSHARE__READ_WRITE);
	if (!u)
		u = ipcshare__row_find(row, r->id, IPCSHARE__READ_ONLY);
	ipcshare__region_drop(ctx, r);
	if (!u || u->own != r)
		return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "set",
				      "share it in this set first",
				      "%p is in no allocation of the set", ptr);
	*out = r;
	return 0;
}

static int describe_one(struct ipcshare__set *set, const struct ipcshare_buf *buf,
			struct ipcshare__recent *recents, struct ipcshare__wire_descriptor *out)
{
	const struct ipcshare__region *r = NULL;
	int err;

	*out = ipcshare__descriptor_special(IPCSHARE__EMPTY, 0, 0);
	if (!buf->len ||
	    ipcshare__recent_describe(recents, IPCSHARE__RECENT_FEW, buf->ptr, buf->len, out))
		return 0;
	err = own_region(set, buf->ptr, buf->len, &r);
	if (err)
		return err;
	ipcshare__recent_note(recents, IPCSHARE__RECENT_FEW, buf->ptr, r);
	return ipcshare__describe_in(r, buf->ptr, buf->len, out);
}

int ipcshare_describe(struct ipcshare_set *open, const struct ipcshare_buf *bufs, size_t n,
		      struct ipcshare_descriptor *out)
{
	struct ipcshare__set *set = ipcshare__set_of(open);
	struct ipcshare__recent recents[IPCSHARE__RECENT_FEW] = { { .length = 0 } };
	int err = ipcshare__set_check(open, "set");

	if (err)
		return err;
	if ((!bufs || !out) && n)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "set", "", "bufs or out is NULL");
	/* Outputs are written only when all are known to be good. */
	for (int writing = 0; writing < 2; writing++) {
		for (size_t i = 0; i < n; i++) {
			struct ipcshare__wire_descriptor d;

			err = describe_one(set, &bufs[i], recents, &d);
			if (err) {
				ipcshare__fail_at(-1, (int64_t)i);
				return err;
			}
			if (writing)
				memcpy(&out[i], &d, sizeof(d));
		}
	}
	return 0;
}
