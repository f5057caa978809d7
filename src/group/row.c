/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/row.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"

#define NONE UINT32_MAX

/* ---- Cells ---- */

int ipcshare__cells_alloc(struct ipcshare__cells *c, struct ipcshare__blocks *blocks, size_t n,
			  bool lazy)
{
	size_t each = sizeof(*c->ptr) + sizeof(*c->len) + sizeof(*c->ref) +
		      (lazy ? sizeof(*c->offset) : 0);

	*c = (struct ipcshare__cells){ .n = n };
	if (ipcshare__block_get(blocks, n * each, &c->room))
		return ipcshare__fail_errno(ENOMEM, "share", "%zu pointers", n);
	c->ptr = c->room.at;
	c->len = (size_t *)(c->ptr + n);
	c->ref = (uint32_t *)(c->len + n + (lazy ? n : 0));
	if (lazy)
		c->offset = (uint64_t *)(c->len + n);
	return 0;
}

void ipcshare__cells_free(struct ipcshare__cells *c, struct ipcshare__blocks *blocks)
{
	ipcshare__block_put(blocks, &c->room);
	*c = (struct ipcshare__cells){ .n = 0 };
}

/* ---- Rows ---- */

void ipcshare__row_init(struct ipcshare__row *row)
{
	*row = (struct ipcshare__row){ .wanted = NONE };
}

void ipcshare__row_free(struct ipcshare__row *row, struct ipcshare__blocks *blocks)
{
	ipcshare__cells_free(&row->cells, blocks);
	free(row->used);
	ipcshare__idmap_clear(&row->by_id);
}

static uint32_t key_of(uint32_t region, enum ipcshare__access access)
{
	return 2 * region + (access == IPCSHARE__READ_ONLY);
}

struct ipcshare__used *ipcshare__row_find(const struct ipcshare__row *row, uint32_t region,
					  enum ipcshare__access access)
{
	const uint32_t *at = ipcshare__idmap_find(&row->by_id, key_of(region, access));

	return at && row->used[*at].cells ? &row->used[*at] : NULL;
}

static int used_add(struct ipcshare__row *row, uint32_t key, uint32_t *ref)
{
	uint32_t capacity = row->capacity ? 2 * row->capacity : 4;
	struct ipcshare__used *used;

	if (row->nused == row->capacity) {
		used = realloc(row->used, capacity * sizeof(*used));
		if (!used)
			return IPCSHARE_ERR_NO_MEMORY;
		row->used = used;
		row->capacity = capacity;
	}
	if (ipcshare__idmap_put(&row->by_id, key, row->nused))
		return IPCSHARE_ERR_NO_MEMORY;
	*ref = row->nused++;
	row->used[*ref] = (struct ipcshare__used){ .cells = 0 };
	return 0;
}

/* The place of @region in the row; wanted, if nothing of the set lay in it until now. */
static int used_place(struct ipcshare__row *row, uint32_t region, enum ipcshare__access access,
		      const struct ipcshare__catalog *catalog, uint32_t *ref)
{
	const struct ipcshare__known *known = ipcshare__catalog_find(catalog, region);
	uint32_t key = key_of(region, access);
	const uint32_t *at = ipcshare__idmap_find(&row->by_id, key);
	struct ipcshare__used *u;

	if (at)
		*ref = *at;
	else if (used_add(row, key, ref))
		return ipcshare__fail_errno(ENOMEM, "share", "one more region of a set");
	u = &row->used[*ref];
	if ((u->cells || u->wanted) && u->generation != known->generation)
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "share", "",
				      "region %u was freed, although the set holds it", region);
	if (u->cells || u->wanted)
		return 0;
	*u = (struct ipcshare__used){
		.region = region,
		.generation = known->generation,
		.access = access,
		.length = known->length,
		.wanted = true,
		.next_wanted = NONE,
	};
	if (row->wanted == NONE)
		row->wanted = *ref;
	else
		row->used[row->last_wanted].next_wanted = *ref;
	row->last_wanted = *ref;
	return 0;
}

/* ---- Read ---- */

struct reading {
	struct ipcshare__row *row;
	const struct ipcshare__catalog *catalog;
	enum ipcshare__access access;
};

static int place(void *arg, uint32_t region, uint32_t *ref)
{
	const struct reading *r = arg;

	return used_place(r->row, region, r->access, r->catalog, ref);
}

int ipcshare__row_read(struct ipcshare__row *row, const struct ipcshare__blob *b,
		       const struct ipcshare__catalog *catalog, struct ipcshare__cells *c)
{
	struct reading r = { row, catalog, b->access };

	return ipcshare__blob_read(b, catalog, place, &r, c->ref);
}

/* ---- Map ---- */

static struct ipcshare__used *wanted_take(struct ipcshare__row *row)
{
	struct ipcshare__used *u = row->wanted == NONE ? NULL : &row->used[row->wanted];

	if (u) {
		row->wanted = u->next_wanted;
		u->wanted = false;
	}
	return u;
}

void ipcshare__row_map_later(struct ipcshare__row *row)
{
	while (wanted_take(row))
		;
}

void ipcshare__row_map_own(struct ipcshare__row *row, struct ipcshare__describer *ours)
{
	struct ipcshare__used *u;

	while ((u = wanted_take(row))) {
		struct ipcshare__held *held =
			&ours->held[*ipcshare__idmap_find(&ours->by_id, u->region)];

		u->own = held->region;
		held->region = NULL;
		u->base = u->own->mem.start;
	}
}

static uint32_t wanted_count(const struct ipcshare__row *row)
{
	uint32_t n = 0;

	for (uint32_t ref = row->wanted; ref != NONE; ref = row->used[ref].next_wanted)
		n++;
	return n;
}

int ipcshare__row_map(struct ipcshare__row *row, struct ipcshare_ctx *ctx,
		      struct ipcshare__peer *peer, const struct ipcshare__catalog *catalog, int *failed)
{
	uint32_t n = wanted_count(row), i = 0, ref = row->wanted;
	struct ipcshare__want *wants;

	*failed = 0;
	if (!n)
		return 0;
	wants = calloc(n, sizeof(*wants));
	if (!wants)
		return ipcshare__fail_errno(ENOMEM, "share", "%u imports", n);
	for (; ref != NONE; ref = row->used[ref].next_wanted)
		wants[i++] = (struct ipcshare__want){
			.region = row->used[ref].region,
			.generation = row->used[ref].generation,
			.access = row->used[ref].access,
			.key = ipcshare__catalog_find(catalog, row->used[ref].region)->key,
			.length = row->used[ref].length,
		};
	*failed = ipcshare__mappings_hold(ctx, peer, wants, n);
	for (i = 0; i < n; i++) {
		struct ipcshare__used *u = wanted_take(row);

		u->status = wants[i].status;
		u->mapping = wants[i].mapping;
		u->base = u->status ? NULL : u->mapping->at.base;
	}
	free(wants);
	return 0;
}

/* ---- Fill ---- */

struct filling {
	const struct ipcshare__row *row;
	struct ipcshare__cells *cells;
	size_t i, first_bad;
	uint32_t ref; /* of the cell before; NO_REGION: none */
	char *base; /* of its region */
};

static void region_enter(struct filling *f, uint32_t ref)
{
	const struct ipcshare__used *u = &f->row->used[ref];

	f->ref = ref;
	f->base = u->base;
	if (u->status && f->first_bad == f->cells->n)
		f->first_bad = f->i;
}

static inline void cell_fill(struct filling *f, uint64_t offset, size_t len)
{
	struct ipcshare__cells *c = f->cells;
	size_t i = f->i++;

	c->ptr[i] = f->base ? f->base + offset : NULL;
	c->len[i] = len;
	if (c->offset)
		c->offset[i] = offset;
}

size_t ipcshare__row_fill(const struct ipcshare__row *row, const struct ipcshare__blob *b,
			  struct ipcshare__cells *c)
{
	struct filling f = {
		.row = row, .cells = c, .first_bad = c->n, .ref = IPCSHARE__NO_REGION,
	};
	uint64_t offset = 0, len = 0;

	for (uint32_t k = 0; k < b->ndescriptors; k++) {
		struct ipcshare__wire_descriptor d = ipcshare__blob_at(b, k);
		uint32_t ref = c->ref[f.i];

		if (ref & IPCSHARE__NO_REGION) {
			f.ref = IPCSHARE__NO_REGION;
			f.base = NULL;
			cell_fill(&f, 0, 0);
			continue;
		}
		if (ref != f.ref)
			region_enter(&f, ref);
		if (ipcshare__descriptor_length(d)) {
			offset = ipcshare__descriptor_low(d);
			len = ipcshare__descriptor_length(d);
			cell_fill(&f, offset, len);
		} else {
			for (uint32_t more = ipcshare__descriptor_high(d); more; more--) {
				offset += ipcshare__descriptor_low(d);
				cell_fill(&f, offset, len);
			}
		}
	}
	return f.first_bad;
}

/* ---- Count and exchange ---- */

static void count_one(struct ipcshare__row *row, uint32_t ref, uint64_t by)
{
	if (!(ref & IPCSHARE__NO_REGION))
		row->used[ref].cells += by;
	else if (ref != IPCSHARE__NO_REGION)
		row->failed += by;
}

void ipcshare__row_count(struct ipcshare__row *row, const struct ipcshare__cells *c, int by)
{
	for (size_t i = 0, from; i < c->n;) { /* mostly many in one region */
		uint32_t ref = c->ref[from = i];

		while (i < c->n && c->ref[i] == ref)
			i++;
		count_one(row, ref, (uint64_t)by * (i - from));
	}
}

void ipcshare__row_swap(struct ipcshare__row *row, const struct ipcshare__blob *update,
			struct ipcshare__cells *c)
{
	struct ipcshare__cells *mine = &row->cells;

	for (size_t k = 0; k < c->n; k++) {
		size_t i = ipcshare__blob_index(update, k), len = mine->len[i];
		uint32_t ref = mine->ref[i];
		void *ptr = mine->ptr[i];

		count_one(row, ref, (uint64_t)-1);
		count_one(row, c->ref[k], 1);
		mine->len[i] = c->len[k];
		mine->ref[i] = c->ref[k];
		/* Relaxed, as in ipcshare_ptr(), which may look at its neighbours just now. */
		__atomic_store_n(&mine->ptr[i], c->ptr[k], __ATOMIC_RELAXED);
		c->len[k] = len;
		c->ref[k] = ref;
		c->ptr[k] = ptr;
		if (mine->offset) {
			uint64_t offset = mine->offset[i];

			mine->offset[i] = c->offset[k];
			c->offset[k] = offset;
		}
	}
}

/* ---- Let go ---- */

static void used_drop(struct ipcshare__used *u, struct ipcshare_ctx *ctx)
{
	if (u->mapping)
		ipcshare__mapping_drop(ctx, u->mapping);
	if (u->own)
		ipcshare__region_drop(ctx, u->own);
	u->mapping = NULL;
	u->own = NULL;
	u->base = NULL;
	u->status = 0;
}

static bool is_idle(const struct ipcshare__row *row, uint32_t ref)
{
	return !(ref & IPCSHARE__NO_REGION) && !row->used[ref].cells;
}

bool ipcshare__row_has_idle(const struct ipcshare__row *row, const struct ipcshare__cells *c)
{
	size_t i = 0;

	while (i < c->n && !is_idle(row, c->ref[i]))
		i++;
	return i < c->n;
}

void ipcshare__row_sweep(struct ipcshare__row *row, struct ipcshare_ctx *ctx,
			 const struct ipcshare__cells *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (is_idle(row, c->ref[i]))
			used_drop(&row->used[c->ref[i]], ctx);
}

void ipcshare__row_drop(struct ipcshare__row *row, struct ipcshare_ctx *ctx)
{
	for (uint32_t i = 0; i < row->nused; i++)
		used_drop(&row->used[i], ctx);
}

/* ---- Look ---- */

int ipcshare__row_status(const struct ipcshare__row *row, size_t i)
{
	uint32_t ref = row->cells.ref[i];

	return ref & IPCSHARE__NO_REGION ? -(int)(ref & ~IPCSHARE__NO_REGION)
					 : row->used[ref].status;
}

uint64_t ipcshare__row_failures(const struct ipcshare__row *row)
{
	uint64_t n = row->failed;

	for (uint32_t i = 0; i < row->nused; i++)
		if (row->used[i].status)
			n += row->used[i].cells;
	return n;
}
