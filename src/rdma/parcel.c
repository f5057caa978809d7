/* SPDX-License-Identifier: BSD-3-Clause */
#include "rdma/parcel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/known.h"

static uint64_t bytes_of(uint32_t nregions)
{
	return sizeof(struct ipcshare__wire_parcel) +
	       nregions * (uint64_t)sizeof(struct ipcshare__wire_key);
}

bool ipcshare__parcel_wants(const struct ipcshare__row *row, const struct ipcshare__used *u)
{
	return u->cells && (u->access == IPCSHARE__READ_WRITE ||
			    !ipcshare__row_find(row, u->region, IPCSHARE__READ_WRITE));
}

static uint32_t regions_count(const struct ipcshare__row *row)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < row->nused; i++)
		n += ipcshare__parcel_wants(row, &row->used[i]);
	return n;
}

struct ipcshare__parcel *ipcshare__parcels_new(const struct ipcshare__set *set)
{
	size_t nranks = (size_t)set->open.nranks, total = nranks * sizeof(struct ipcshare__parcel);
	struct ipcshare__parcel *parcels;
	char *room;

	for (size_t r = 0; r < nranks; r++)
		total += bytes_of(regions_count(&set->rows[r]));
	parcels = calloc(1, total);
	if (!parcels) {
		ipcshare__fail_errno(ENOMEM, "register", "the keys of %zu ranks", nranks);
		return NULL;
	}
	room = (char *)(parcels + nranks);
	for (size_t r = 0; r < nranks; r++) {
		parcels[r].at = (struct ipcshare__wire_parcel *)room;
		parcels[r].nregions = regions_count(&set->rows[r]);
		room += bytes_of(parcels[r].nregions);
	}
	return parcels;
}

/* What is more than the set allows is left out, for ipcshare__parcel_open() to refuse. */
static void append(struct ipcshare__parcel *p, const void *bytes, size_t n)
{
	uint64_t room = bytes_of(p->nregions) - p->len;

	n = n < room ? n : (size_t)room;
	memcpy((char *)p->at + p->len, bytes, n);
	p->len += n;
}

void ipcshare__parcel_begin(struct ipcshare__parcel *p, const struct ipcshare__set *set)
{
	append(p, &set->serial, sizeof(set->serial));
}

void ipcshare__parcel_add(struct ipcshare__parcel *p, const struct ipcshare__used *u,
			  const struct ipcshare_rdma_record *record)
{
	struct ipcshare__wire_key key = { u->region, u->generation, { .magic = 0 } };

	memcpy(&key.record, record, sizeof(key.record));
	append(p, &key, sizeof(key));
}

/* ---- On the way ---- */

/* Our own is here already, and full. */
static void take(void *parcels, int rank, const void *bytes, size_t n)
{
	append((struct ipcshare__parcel *)parcels + rank, bytes, n);
}

/* So that nobody waits for rounds without end. Every rank sees the same lengths. */
static int lens_check(struct ipcshare_group *g, const uint64_t *lens)
{
	for (int r = 0; r < g->size; r++)
		if (lens[r] > bytes_of(IPCSHARE__REGION_MAX)) {
			ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "register", "",
				       "the rank announced keys of %ju bytes", (uintmax_t)lens[r]);
			ipcshare__fail_at(r, -1);
			return ipcshare__exchange_quit(g, IPCSHARE_ERR_PROTOCOL);
		}
	return 0;
}

int ipcshare__parcels_exchange(const struct ipcshare__set *set, int status,
			       struct ipcshare__parcel *parcels)
{
	struct ipcshare_group *g = set->group;
	struct ipcshare__parcel *own = status ? NULL : &parcels[g->rank];
	uint64_t *lens = g->serials;
	int err = ipcshare__agree_bytes(g, IPCSHARE__COLL_RDMA_SHARE, status, NULL,
					own ? own->at : NULL, own ? own->len : 0, lens);

	if (!err)
		err = lens_check(g, lens);
	if (err)
		return err;
	ipcshare__known(own); /* or the status would have ended the agreement */
	for (int r = 0; r < g->size; r++)
		parcels[r].said = lens[r];
	return ipcshare__exchange_bytes(g, own->at, lens, take, parcels);
}

/* ---- There ---- */

static int form_check(const struct ipcshare__parcel *p, const struct ipcshare__set *set)
{
	if (p->len >= sizeof(*p->at) && p->at->set != set->serial)
		return ipcshare__fail(IPCSHARE_ERR_MISMATCH, "register",
				      "give the same set on every rank",
				      "the rank gives set %ju of the group, another one set %ju",
				      (uintmax_t)p->at->set, (uintmax_t)set->serial);
	if (p->said != bytes_of(p->nregions))
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "register", "",
				      "the rank has %u regions in the set, but keys of %ju bytes",
				      p->nregions, (uintmax_t)p->said);
	return 0;
}

/* Into the places of its region in the row; true: it has one, and it was free. */
static bool key_place(const struct ipcshare__row *row, const struct ipcshare__wire_key *key,
		      struct ipcshare__wire_key *keys)
{
	bool placed = false;

	if (key->region >= IPCSHARE__REGION_MAX) /* a row can't be asked for it */
		return false;
	for (int access = IPCSHARE__READ_WRITE; access <= IPCSHARE__READ_ONLY; access++) {
		const struct ipcshare__used *u = ipcshare__row_find(row, key->region, access);

		if (!u || u->generation != key->generation || u->length != key->record.length ||
		    keys[u - row->used].record.length)
			continue;
		keys[u - row->used] = *key;
		placed = true;
	}
	return placed;
}

int ipcshare__parcel_open(const struct ipcshare__parcel *p, const struct ipcshare__set *set,
			  int rank, struct ipcshare__wire_key *keys)
{
	struct ipcshare_rdma_record record;
	struct ipcshare_rdma_remote remote;
	int err = form_check(p, set);

	/* As many as there are regions, and none twice: so all are there. */
	for (uint32_t i = 0; i < p->nregions && !err; i++) {
		const struct ipcshare__wire_key *key = &p->at->keys[i];

		memcpy(&record, &key->record, sizeof(record));
		err = ipcshare_rdma_unpack(&record, &remote);
		if (!err && !key_place(&set->rows[rank], key, keys))
			err = ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "register", "",
					     "the key of region %u can't be", key->region);
	}
	if (err)
		ipcshare__fail_at(rank, -1);
	return err;
}
