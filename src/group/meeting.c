/* SPDX-License-Identifier: BSD-3-Clause */
/* What collective shares and updates have in common: agree, exchange the blobs, agree again. */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "group/share.h"

int ipcshare__meeting_init(struct ipcshare__meeting *m, int nranks, unsigned flags)
{
	size_t n = (size_t)nranks;
	uint64_t *words = calloc(3 * n, sizeof(uint64_t));

	_Static_assert(sizeof(size_t) == 8 && sizeof(void *) == 8, "64-bit machines only");
	*m = (struct ipcshare__meeting){ .flags = flags };
	if (!words)
		return ipcshare__fail_errno(ENOMEM, "share", "the exchange");
	m->values = words;
	m->lens = words + n;
	m->blobs = (unsigned char **)(words + 2 * n);
	return 0;
}

void ipcshare__meeting_free(struct ipcshare__meeting *m, struct ipcshare_group *g)
{
	free(m->values);
	ipcshare__block_put(&g->ctx->blocks, &m->bytes);
}

/* Bytes of all peers' blobs; PROTOCOL if a length can't be. */
static int lens_sum(const struct ipcshare__meeting *m, const struct ipcshare_group *g, size_t *total)
{
	*total = 0;
	for (int r = 0; r < g->size; r++) {
		uint64_t len = m->lens[r];

		if (len % IPCSHARE__BLOB_ALIGN || len > PTRDIFF_MAX - *total) {
			ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "share", "",
				       "the rank announced a blob of %ju bytes", (uintmax_t)len);
			ipcshare__fail_at(r, -1);
			return IPCSHARE_ERR_PROTOCOL;
		}
		if (r != g->rank)
			*total += len;
	}
	return 0;
}

int ipcshare__meeting_hold(struct ipcshare__meeting *m, struct ipcshare_group *g,
			   enum ipcshare__collective which, int status,
			   const struct ipcshare_share *s)
{
	size_t total, at = 0;
	int err = ipcshare__agree_bytes(g, which, status, &m->flags, s ? s->blob : NULL,
					s ? s->blob->bytes : 0, m->lens);

	if (err)
		return err;
	err = lens_sum(m, g, &total);
	if (err)
		return ipcshare__exchange_quit(g, err);
	if (ipcshare__block_get(&g->ctx->blocks, total, &m->bytes))
		return ipcshare__exchange_quit(
			g, ipcshare__fail_errno(ENOMEM, "share", "%zu bytes of descriptors", total));
	for (int r = 0; r < g->size; r++) {
		m->blobs[r] = r == g->rank ? (unsigned char *)s->blob : (unsigned char *)m->bytes.at + at;
		at += r == g->rank ? 0 : m->lens[r];
	}
	return ipcshare__exchange_bytes(g, s->blob, m->lens, m->blobs);
}

/* All have them now. What there is no room to note is sent again. */
static void regions_told(const struct ipcshare_share *s)
{
	struct ipcshare__blob sent = ipcshare__blob_view(s->blob);

	for (uint32_t i = 0; i < sent.nregions; i++) {
		struct ipcshare__wire_region r = ipcshare__blob_region(&sent, i);

		(void)ipcshare__idmap_put(&s->group->told, r.region, r.generation);
	}
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
