/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys: what another node needs for each buffer of a set. A key of each region is all that travels;
 * where the buffers lie in it is what the set says.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/handle.h"
#include "base/known.h"
#include "rdma/domain.h"
#include "rdma/parcel.h"
#include "rdma/verbs.h"

struct keys_row {
	struct ipcshare__wire_key *keys; /* by place in the set's row; length 0: none */
	uint32_t n;
};

struct ipcshare_rdma_keys {
	struct ipcshare__owned owned;
	struct ipcshare_group *group; /* it stays, as its child is alive */
	struct ipcshare__set *set; /* it may be gone: then there is none of that serial */
	uint64_t serial;
	struct ipcshare__registration **used; /* of our own regions, each with a user more */
	uint32_t nused;
	struct keys_row rows[]; /* by rank */
};

/* ---- Make: this rank's part ---- */

/* All in one block, so that only this can fail. */
static struct ipcshare_rdma_keys *keys_alloc(struct ipcshare__set *set)
{
	size_t nranks = (size_t)set->open.nranks, nkeys = 0, nown = set->rows[set->open.rank].nused;
	struct ipcshare_rdma_keys *k;
	struct ipcshare__wire_key *next;

	for (size_t r = 0; r < nranks; r++)
		nkeys += set->rows[r].nused;
	k = calloc(1, sizeof(*k) + nranks * sizeof(k->rows[0]) + nown * sizeof(void *) +
			      nkeys * sizeof(*next));
	if (!k)
		return NULL;
	k->used = (struct ipcshare__registration **)&k->rows[nranks];
	next = (struct ipcshare__wire_key *)(k->used + nown);
	for (size_t r = 0; r < nranks; r++) {
		k->rows[r] = (struct keys_row){ next, set->rows[r].nused };
		next += set->rows[r].nused;
	}
	return k;
}

static int keys_new(struct ipcshare__set *set, struct ipcshare_rdma_keys **out)
{
	struct ipcshare_rdma_keys *k = keys_alloc(set);

	if (!k)
		return ipcshare__fail_errno(ENOMEM, "register", "keys of a set");
	if (ipcshare__handle_add(k, IPCSHARE__HANDLE_RDMA_KEYS)) {
		free(k);
		return IPCSHARE_ERR_NO_MEMORY;
	}
	k->group = set->group;
	k->set = set;
	k->serial = set->serial;
	*out = k;
	return 0;
}

static void registrations_release(struct ipcshare_rdma_keys *k)
{
	for (uint32_t i = 0; i < k->nused; i++)
		ipcshare__registration_release(k->used[i]);
	k->nused = 0;
}

/* It comes to nothing. NULL does nothing. */
static void keys_cancel(struct ipcshare_rdma_keys *k)
{
	struct ipcshare_error why = *ipcshare_last_error();

	if (!k)
		return;
	registrations_release(k);
	ipcshare__handle_remove(k);
	free(k);
	ipcshare__error_restore(&why);
}

/* A region of ours that the set holds. */
static int region_register(struct ipcshare_rdma_domain *d, const struct ipcshare__used *u,
			   int access, struct ipcshare__registration **out)
{
	struct ipcshare__anchor anchor = { .region = u->own };
	int err = ipcshare__mr_check_remote(access, u->access);

	if (err)
		return err;
	pthread_mutex_lock(&d->ctx->lock);
	ipcshare__anchor_keep(&anchor);
	pthread_mutex_unlock(&d->ctx->lock);
	return ipcshare__registration_use(d, &anchor, access, out);
}

static size_t first_cell(const struct ipcshare__row *row, uint32_t ref)
{
	size_t i = 0;

	while (i < row->cells.n && row->cells.ref[i] != ref)
		i++;
	return i;
}

static int regions_register(struct ipcshare_rdma_keys *k, struct ipcshare_rdma_domain *d,
			    int access, struct ipcshare__parcel *parcel)
{
	const struct ipcshare__row *row = &k->set->rows[k->set->open.rank];
	struct ipcshare_rdma_record record;
	int err = 0;

	ipcshare__parcel_begin(parcel, k->set);
	for (uint32_t i = 0; i < row->nused && !err; i++) {
		const struct ipcshare__used *u = &row->used[i];

		if (!ipcshare__parcel_wants(row, u))
			continue;
		err = region_register(d, u, access, &k->used[k->nused]);
		if (!err)
			err = ipcshare_rdma_pack(&k->used[k->nused++]->open, &record);
		if (err)
			ipcshare__fail_at(-1, (int64_t)first_cell(row, i));
		else
			ipcshare__parcel_add(parcel, u, &record);
	}
	return err;
}

static int share_check(const struct ipcshare_rdma_domain *d, const struct ipcshare__set *set,
		       struct ipcshare_rdma_keys *const *out)
{
	const struct ipcshare__row *row = &set->rows[set->open.rank];
	int err = 0;

	if (!out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "register", "", "out is NULL");
	if (!set->serial)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "register", "pack regions one by one",
				      "a set of ipcshare_share_complete() has no keys");
	for (uint32_t i = 0; i < row->nused && !d; i++)
		if (row->used[i].cells)
			return ipcshare__fail(IPCSHARE_ERR_INVALID, "register",
					      "ipcshare_rdma_domain_create() makes one",
					      "the rank has buffers in the set, but no domain");
	if (d)
		err = ipcshare__rdma_domain_check(d, "register");
	if (!err && d && d->ctx != set->group->ctx)
		err = ipcshare__fail(IPCSHARE_ERR_INVALID, "register", "",
				     "the domain is of another context than the set");
	return err;
}

/* ---- Make: all ranks together ---- */

static int parcels_open(struct ipcshare_rdma_keys *k, const struct ipcshare__parcel *parcels)
{
	int err = 0;

	for (int r = 0; r < k->set->open.nranks && !err; r++)
		err = ipcshare__parcel_open(&parcels[r], k->set, r, k->rows[r].keys);
	return err;
}

static void keys_abandon(struct ipcshare__owned *owned)
{
	struct ipcshare_rdma_keys *k = (struct ipcshare_rdma_keys *)owned;

	ipcshare__handle_remove(k);
	free(k);
}

static void keys_agreed(struct ipcshare_rdma_keys *k)
{
	atomic_fetch_add(&k->group->children, 1);
	ipcshare__owned_add(k->group->ctx, &k->owned, keys_abandon);
}

int ipcshare_rdma_share(struct ipcshare_rdma_domain *d, struct ipcshare_set *open, int access,
			struct ipcshare_rdma_keys **out)
{
	struct ipcshare__set *set = ipcshare__set_of(open);
	struct ipcshare__parcel *parcels = NULL;
	struct ipcshare_rdma_keys *k = NULL;
	int err = ipcshare__set_check(open, "register"), status;

	if (err)
		return err;
	status = share_check(d, set, out);
	if (!status)
		status = keys_new(set, &k);
	if (!status) {
		parcels = ipcshare__parcels_new(set);
		status = parcels ? regions_register(k, d, access, &parcels[set->open.rank])
				 : IPCSHARE_ERR_NO_MEMORY;
	}
	err = ipcshare__parcels_exchange(set, status, parcels);
	if (!err) {
		ipcshare__known(out && k && parcels); /* or the status would have ended it */
		err = ipcshare__agree(set->group, IPCSHARE__COLL_VERDICT, parcels_open(k, parcels),
				      NULL, 0, NULL);
	}
	if (err) {
		keys_cancel(k);
	} else {
		keys_agreed(k);
		*out = k;
	}
	free(parcels);
	return err;
}

/* ---- Look ---- */

static int set_check(const struct ipcshare_rdma_keys *k)
{
	/* Another may have been made where it was. */
	if (ipcshare__set_check(&k->set->open, "keys") || k->set->group != k->group ||
	    k->set->serial != k->serial)
		return ipcshare__fail(IPCSHARE_ERR_CLOSED, "keys", "free the keys, too",
				      "the set of the keys was freed");
	return 0;
}

struct found {
	struct ipcshare__wire_key key; /* of the buffer's region */
	uint64_t offset, length; /* of the buffer in it */
};

/* Buffer @i of the row. The set is locked. */
static int cell_find(const struct keys_row *keys, const struct ipcshare__row *row, size_t i,
		     struct found *out)
{
	const struct ipcshare__cells *c = &row->cells;
	uint32_t ref = i < c->n ? c->ref[i] : IPCSHARE__NO_REGION;
	const struct ipcshare__wire_key *key;

	if (ref == IPCSHARE__NO_REGION)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "keys", "",
				      "the buffer does not exist, or is empty");
	if (ipcshare__row_status(row, i))
		return ipcshare__fail(ipcshare__row_status(row, i), "keys", "",
				      "the buffer can't be used here");
	key = ref < keys->n ? &keys->keys[ref] : NULL;
	if (!key || !key->record.length || key->generation != row->used[ref].generation)
		return ipcshare__fail(IPCSHARE_ERR_STALE, "keys", "share the set's keys anew",
				      "an update has brought the buffer's region into the set");
	*out = (struct found){ *key, 0, c->len[i] };
	out->offset = c->offset ? c->offset[i]
				: (uint64_t)((char *)c->ptr[i] - row->used[ref].base);
	return 0;
}

static int find(const struct ipcshare_rdma_keys *k, int rank, size_t i, struct found *out)
{
	int err = ipcshare__handle_check(k, IPCSHARE__HANDLE_RDMA_KEYS, "keys");

	if (!err)
		err = set_check(k);
	if (err)
		return err;
	if (rank < 0 || rank >= k->set->open.nranks)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "keys", "", "there is no rank %d",
				      rank);
	pthread_mutex_lock(&k->set->lock);
	err = cell_find(&k->rows[rank], &k->set->rows[rank], i, out);
	pthread_mutex_unlock(&k->set->lock);
	if (err)
		ipcshare__fail_at(rank, (int64_t)i);
	return err;
}

int ipcshare_rdma_keys_at(const struct ipcshare_rdma_keys *k, int rank, size_t i,
			  struct ipcshare_rdma_remote *out)
{
	struct found f = { .length = 0 };
	int err = find(k, rank, i, &f);

	if (err)
		return err;
	if (!out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "keys", "", "out is NULL");
	*out = (struct ipcshare_rdma_remote){ f.key.record.base + f.offset, f.length,
					      f.key.record.rkey, (int)f.key.record.access };
	return 0;
}

int ipcshare_rdma_keys_record(const struct ipcshare_rdma_keys *k, int rank, size_t i,
			      struct ipcshare_rdma_record *out, uint64_t *offset)
{
	struct found f = { .length = 0 };
	int err = find(k, rank, i, &f);

	if (err)
		return err;
	if (!out || !offset)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "keys", "", "out or offset is NULL");
	memcpy(out, &f.key.record, sizeof(*out));
	*offset = f.offset;
	return 0;
}

/* ---- Free ---- */

int ipcshare_rdma_keys_free(struct ipcshare_rdma_keys *k)
{
	struct ipcshare_group *g;
	int err;

	if (!k)
		return 0;
	err = ipcshare__handle_check(k, IPCSHARE__HANDLE_RDMA_KEYS, "keys");
	if (err)
		return err;
	g = k->group;
	ipcshare__handle_remove(k);
	registrations_release(k);
	ipcshare__owned_remove(g->ctx, &k->owned);
	atomic_fetch_sub(&g->children, 1);
	free(k);
	return 0;
}
