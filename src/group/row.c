/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/row.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/known.h"

#define NONE UINT32_MAX

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

/* ---- Place ---- */

static int used_at(struct ipcshare__row *row, uint32_t region, enum ipcshare__access access,
		   uint32_t *ref)
{
	uint32_t key = key_of(region, access);
	const uint32_t *at = ipcshare__idmap_find(&row->by_id, key);

	if (at)
		*ref = *at;
	else if (used_add(row, key, ref))
		return ipcshare__fail_errno(ENOMEM, "share", "one more region of a set");
	return 0;
}

static void want(struct ipcshare__row *row, uint32_t ref)
{
	row->used[ref].wanted = true;
	row->used[ref].next_wanted = NONE;
	if (row->wanted == NONE)
		row->wanted = ref;
	else
		row->used[row->last_wanted].next_wanted = ref;
	row->last_wanted = ref;
}

static struct ipcshare__want want_of(const struct ipcshare__row_source *s,
				     const struct ipcshare__used *u)
{
	return (struct ipcshare__want){
		.region = u->region,
		.generation = u->generation,
		.access = u->access,
		.key = ipcshare__catalog_find(s->catalog, u->region)->key,
		.length = u->length,
	};
}

static struct ipcshare__held *own_held(const struct ipcshare__row_source *s, uint32_t region)
{
	return &s->ours->held[*ipcshare__idmap_find(&s->ours->by_id, region)];
}

/* It is new to the row, or was let go: from where it is mapped already, if it is. */
static void used_begin(struct ipcshare__row_source *s, uint32_t ref)
{
	struct ipcshare__used *u = &s->row->used[ref];
	struct ipcshare__want w;

	u->alive = true;
	s->row->nidle++;
	if (s->ours) {
		u->own = own_held(s, u->region)->region;
		own_held(s, u->region)->region = NULL;
		u->base = u->own->mem.start;
	} else if (!s->lazy) {
		w = want_of(s, u);
		u->mapping = ipcshare__mapping_hold_ready(s->ctx, s->peer, &w);
		if (u->mapping)
			u->base = u->mapping->at.base;
		else
			want(s->row, ref);
	}
}

int ipcshare__row_place(void *source, uint32_t region, struct ipcshare__placed *out)
{
	struct ipcshare__row_source *s = source;
	const struct ipcshare__known *known = ipcshare__catalog_find(s->catalog, region);
	struct ipcshare__used *u;
	uint32_t ref = 0;
	int err = used_at(s->row, region, s->access, &ref);

	if (err)
		return err;
	u = &s->row->used[ref];
	if (!u->alive && s->ours && !own_held(s, region)->region)
		return ipcshare__fail(IPCSHARE_ERR_NO_MEMORY, "share", "share anew",
				      "an earlier try to complete the share failed half-way");
	if (!u->alive) {
		*u = (struct ipcshare__used){
			.region = region,
			.generation = known->generation,
			.access = s->access,
			.length = known->length,
		};
		used_begin(s, ref);
	} else if (u->generation != known->generation) {
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "share", "",
				      "region %u was freed, although the set holds it", region);
	}
	if (!u->base && !s->lazy)
		u->unsettled = s->row->unsettled = true;
	*out = (struct ipcshare__placed){ ref, u->base };
	return 0;
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

static uint32_t wanted_count(const struct ipcshare__row *row)
{
	uint32_t n = 0;

	for (uint32_t ref = row->wanted; ref != NONE; ref = row->used[ref].next_wanted)
		n++;
	return n;
}

int ipcshare__row_map(struct ipcshare__row_source *s, int *failed)
{
	struct ipcshare__row *row = s->row;
	uint32_t n = wanted_count(row), i = 0;
	struct ipcshare__want *wants;

	*failed = 0;
	if (!n)
		return 0;
	wants = calloc(n, sizeof(*wants));
	if (!wants)
		return ipcshare__fail_errno(ENOMEM, "share", "%u imports", n);
	for (uint32_t ref = row->wanted; ref != NONE; ref = row->used[ref].next_wanted)
		wants[i++] = want_of(s, &row->used[ref]);
	*failed = ipcshare__mappings_hold(s->ctx, s->peer, wants, n);
	for (i = 0; i < n; i++) {
		struct ipcshare__used *u = wanted_take(row);

		u->status = wants[i].status;
		u->mapping = wants[i].mapping;
		u->base = u->status ? NULL : u->mapping->at.base;
	}
	free(wants);
	return 0;
}

size_t ipcshare__row_settle(struct ipcshare__row *row, struct ipcshare__cells *c)
{
	size_t first_bad = c->n;

	if (!row->unsettled)
		return first_bad;
	for (size_t i = 0; i < c->n; i++) {
		const struct ipcshare__used *u = c->ref[i] & IPCSHARE__NO_REGION
							 ? NULL
							 : &row->used[c->ref[i]];

		if (!u || !u->unsettled)
			continue;
		c->ptr[i] = u->base ? u->base + (uintptr_t)c->ptr[i] : NULL;
		if (u->status && first_bad == c->n)
			first_bad = i;
	}
	ipcshare__known(row->used || !row->nused);
	for (uint32_t i = 0; i < row->nused; i++)
		row->used[i].unsettled = false;
	row->unsettled = false;
	return first_bad;
}

/* ---- Count and exchange ---- */

/* @by more cells, or fewer. */
static void count(struct ipcshare__row *row, uint32_t ref, uint64_t by)
{
	struct ipcshare__used *u;
	bool was_idle;

	if (ref & IPCSHARE__NO_REGION) {
		row->failed += ref == IPCSHARE__NO_REGION ? 0 : by;
		return;
	}
	u = &row->used[ref];
	was_idle = !u->cells;
	u->cells += by;
	row->nidle += (uint32_t)!u->cells - (uint32_t)was_idle;
}

/* As long as regions are few: counted on the side, for increments of one place wait for each other. */
#define FEW 64u
static size_t few_count(struct ipcshare__row *row, const uint32_t *refs, size_t n)
{
	uint64_t counts[FEW] = { 0 };
	size_t i = 0;

	for (uint32_t differ, any; i + 8 <= n; i += 8, refs += 8) {
		differ = any = 0;
		for (int k = 0; k < 8; k++) {
			differ |= refs[k] ^ refs[0];
			any |= refs[k];
		}
		if (any & IPCSHARE__NO_REGION)
			break;
		if (!differ)
			counts[refs[0]] += 8;
		else
			for (int k = 0; k < 8; k++)
				counts[refs[k]]++;
	}
	for (uint32_t ref = 0; ref < row->nused; ref++)
		if (counts[ref])
			count(row, ref, counts[ref]);
	return i;
}

void ipcshare__row_count(struct ipcshare__row *row, const uint32_t *refs, size_t n)
{
	for (size_t i = 0; i < n;) {
		if (row->nused <= FEW)
			i += few_count(row, refs + i, n - i);
		for (size_t end = i + 8; i < n && i < end; i++)
			count(row, refs[i], 1);
	}
}

void ipcshare__row_remember(struct ipcshare__row *row)
{
	struct ipcshare__recipe *recipe = row->cells.recipe;

	if (!recipe || row->failed || row->nused > IPCSHARE__RECIPE_MOST)
		return;
	for (uint32_t i = 0; i < row->nused; i++) {
		const struct ipcshare__used *u = &row->used[i];

		if (!u->base)
			return;
		recipe->regions[i] = (struct ipcshare__ingredient){
			u->region, u->generation, u->length, u->cells, u->base,
		};
	}
	recipe->nregions = row->nused;
	row->cells.room.tag = ipcshare__recipe_tag(recipe);
}

int ipcshare__row_recall(struct ipcshare__row_source *s, const struct ipcshare__recipe *recipe)
{
	for (uint32_t i = 0; i < recipe->nregions; i++) {
		const struct ipcshare__ingredient *was = &recipe->regions[i];
		const struct ipcshare__known *known = ipcshare__catalog_find(s->catalog,
									     was->region);
		struct ipcshare__placed to;
		int err;

		if (!known || known->generation != was->generation || known->length != was->length)
			return 1;
		err = ipcshare__row_place(s, was->region, &to);
		if (err)
			return err;
		if (to.ref != i || to.base != was->base)
			return 1;
	}
	for (uint32_t i = 0; i < recipe->nregions; i++)
		count(s->row, i, recipe->regions[i].cells);
	return 0;
}

void ipcshare__row_swap(struct ipcshare__row *row, const uint32_t *indices,
			struct ipcshare__cells *c)
{
	struct ipcshare__cells *mine = &row->cells;

	mine->room.tag = 0; /* they are no longer what the recipe says */
	for (size_t k = 0; k < c->n; k++) {
		size_t i = indices[k], len = mine->len[i];
		uint32_t ref = mine->ref[i];
		void *ptr = mine->ptr[i];

		count(row, ref, (uint64_t)-1);
		count(row, c->ref[k], 1);
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

static void used_end(struct ipcshare__used *u, struct ipcshare_ctx *ctx)
{
	if (u->mapping)
		ipcshare__mapping_drop(ctx, u->mapping);
	if (u->own)
		ipcshare__region_drop(ctx, u->own);
	*u = (struct ipcshare__used){ .region = u->region };
}

void ipcshare__row_sweep(struct ipcshare__row *row, struct ipcshare_ctx *ctx)
{
	while (wanted_take(row)) /* of parts that failed: no cell will lie in it */
		;
	for (uint32_t i = 0; i < row->nused && row->nidle; i++)
		if (row->used[i].alive && !row->used[i].cells) {
			used_end(&row->used[i], ctx);
			row->nidle--;
		}
}

void ipcshare__row_drop(struct ipcshare__row *row, struct ipcshare_ctx *ctx)
{
	for (uint32_t i = 0; i < row->nused; i++)
		used_end(&row->used[i], ctx);
	row->nidle = 0;
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
