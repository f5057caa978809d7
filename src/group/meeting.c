/* SPDX-License-Identifier: BSD-3-Clause */
/* What collective shares and updates have in common: agree, exchange the blobs, agree again. */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/known.h"
#include "group/board.h"
#include "group/part.h"

int ipcshare__meeting_init(struct ipcshare__meeting *m, int nranks, unsigned flags)
{
	size_t n = (size_t)nranks;

	_Static_assert(sizeof(size_t) == 8 && sizeof(void *) == 8, "64-bit machines only");
	*m = (struct ipcshare__meeting){ .flags = flags,
					 .values = calloc(2 * n, sizeof(uint64_t)) };
	if (!m->values)
		return ipcshare__fail_errno(ENOMEM, "share", "the exchange");
	m->lens = m->values + n;
	return 0;
}

void ipcshare__meeting_free(struct ipcshare__meeting *m)
{
	free(m->values);
}

/* Every rank sees the same lengths, so all find the same. */
static int lens_check(const struct ipcshare__meeting *m, const struct ipcshare_group *g)
{
	for (int r = 0; r < g->size; r++)
		if (m->lens[r] % IPCSHARE__BLOB_ALIGN || m->lens[r] > IPCSHARE__BLOB_MAX) {
			ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "share", "",
				       "the rank announced a blob of %ju bytes",
				       (uintmax_t)m->lens[r]);
			ipcshare__fail_at(r, -1);
			return IPCSHARE_ERR_PROTOCOL;
		}
	return 0;
}

static void part_take(void *parts, int rank, const void *bytes, size_t n)
{
	ipcshare__part_take((struct ipcshare__part *)parts + rank, bytes, n);
}

int ipcshare__meeting_hold(struct ipcshare__meeting *m, struct ipcshare_group *g,
			   enum ipcshare__collective which, int status,
			   const struct ipcshare_share *s, struct ipcshare__part *parts)
{
	int err = ipcshare__agree_bytes(g, which, status, &m->flags, s ? s->blob : NULL,
					s ? s->blob->bytes : 0, m->lens);

	if (err)
		return err;
	err = lens_check(m, g);
	if (err)
		return ipcshare__exchange_quit(g, err);
	for (int r = 0; r < g->size; r++) /* the head of a blob comes with its length */
		ipcshare__part_begin(&parts[r], ipcshare__board_read(g, r)->body,
				     m->lens[r] ? sizeof(struct ipcshare__wire_blob) : 0,
				     m->lens[r]);
	ipcshare__parts_look_for_room(parts, g->size);
	ipcshare__known(s); /* or the status would have ended the agreement */
	return ipcshare__exchange_bytes(g, s->blob, m->lens, part_take, parts);
}

/* All have them now. What there is no room to note is sent again. */
static void regions_told(const struct ipcshare_share *s)
{
	const struct ipcshare__wire_region *r = ipcshare__blob_regions(s->blob);

	for (uint32_t i = 0; i < s->blob->nregions; i++)
		(void)ipcshare__idmap_put(&s->group->told, r[i].region, r[i].generation);
}

int ipcshare__meeting_end(struct ipcshare__meeting *m, const struct ipcshare_share *s, int status,
			  const struct ipcshare_error *bad, uint64_t *failures, uint32_t *flags)
{
	struct ipcshare_group *g = s->group;
	int err;

	if (!status && bad->status && m->flags & IPCSHARE_ALL_OR_NOTHING) {
		ipcshare__error_restore(bad);
		status = bad->status;
	}
	err = ipcshare__agree(g, IPCSHARE__COLL_VERDICT, status, flags, *failures, m->values);
	if (err)
		return err;
	regions_told(s);
	*failures = 0;
	for (int r = 0; r < g->size; r++)
		*failures += m->values[r];
	return 0;
}
