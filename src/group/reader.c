/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/reader.h"

#include <ipcshare.h>
#include <string.h>

#include "base/fill.h"
#include "group/blob.h"

#define BATCH 64 /* descriptors that are copied at once: 1 KiB */

void ipcshare__reader_begin(struct ipcshare__reader *r, const struct ipcshare__catalog *catalog,
			    ipcshare__place_fn *place, void *arg, struct ipcshare__cells *cells)
{
	r->catalog = catalog;
	r->place = place;
	r->arg = arg;
	r->cells = cells;
	r->n = 0;
	r->ndescriptors = 0;
	r->rest = 0;
	for (uint32_t i = 0; i < IPCSHARE__PLACES; i++)
		r->places[i].what = (uint64_t)(i ^ 1) << 44;
}

static int place_load(struct ipcshare__reader *r, uint32_t region, uint64_t at,
		      struct ipcshare__place *out)
{
	const struct ipcshare__known *known = ipcshare__catalog_find(r->catalog, region);
	struct ipcshare__place p;
	int err;

	if (!known)
		return ipcshare__blob_malformed("a region that nobody told of; descriptor", at);
	p = (struct ipcshare__place){
		.what = (uint64_t)region << 44,
		.where = (uint64_t)(known->generation & IPCSHARE__LOW20) << 44,
		.length = known->length,
	};
	err = r->place(r->arg, region, &p.to);
	if (!err)
		*out = p;
	return err;
}

/* ---- What is a buffer in a region ---- */

/* An offset stays where the base is NULL; in a lazy row it has a place of its own. */
static inline void cell_set(struct ipcshare__cells *c, size_t i, struct ipcshare__placed to,
			    uint64_t offset, uint64_t len)
{
	uintptr_t ptr = (uintptr_t)to.base + offset;

	if (__builtin_expect(!!c->offset, 0)) {
		c->offset[i] = offset;
		ptr = to.base ? ptr : 0;
	}
	c->ptr[i] = (void *)ptr;
	c->len[i] = len;
	c->ref[i] = to.ref;
}

/*
 * From d[i] on as long as they are buffers of regions that have their place, and fit: the rest is for those
 * who look more closely. Return: the number of the first one that isn't. What stands in memory is copied, for
 * the compiler can't know that no store changes it.
 */
static size_t buffers_read(struct ipcshare__reader *r, const struct ipcshare__wire_descriptor *d,
			   size_t i, size_t n)
{
	const struct ipcshare__place *const places = r->places, *p = NULL;
	struct ipcshare__cells c = *r->cells;
	size_t at = r->n;

	for (; i < n && at < c.n; i++) {
		const struct ipcshare__place
			*of = &places[ipcshare__descriptor_what(d[i]) % IPCSHARE__PLACES];
		uint64_t len = ipcshare__descriptor_length(d[i]);
		uint64_t offset = ipcshare__descriptor_low(d[i]);

		if (!len || ((d[i].what ^ of->what) | (d[i].where ^ of->where)) >> 44 ||
		    offset + len > of->length)
			break;
		cell_set(&c, at++, of->to, offset, len);
		p = of;
	}
	if (p) {
		r->last = p->to;
		r->offset = ipcshare__descriptor_low(d[i - 1]);
		r->length = ipcshare__descriptor_length(d[i - 1]);
		r->rest = p->length - r->offset - r->length;
	}
	r->n = at;
	return i;
}

/* ---- What is special, or wrong, or of a region that has no place yet ---- */

/* How much later its last buffer ends than the one before it: 20 bits times 44 don't overflow. */
static uint64_t run_reach(struct ipcshare__wire_descriptor run)
{
	return ipcshare__descriptor_high(run) * ipcshare__descriptor_low(run);
}

static int run_read(struct ipcshare__reader *r, struct ipcshare__wire_descriptor run, uint64_t at)
{
	const uint64_t more = ipcshare__descriptor_high(run),
		       stride = ipcshare__descriptor_low(run);
	const uint64_t offset = r->offset + stride; /* of the first one more */
	struct ipcshare__cells c = *r->cells;
	const size_t i = r->n;

	if (!run_reach(run))
		return ipcshare__blob_malformed("a run of nothing; descriptor", at);
	if (run_reach(run) > r->rest)
		return ipcshare__blob_malformed("a run past the end of its region; descriptor", at);
	if (more > c.n - i)
		return ipcshare__blob_malformed("more buffers than it says; descriptor", at);
	ipcshare__fill32(c.ref + i, r->last.ref, more);
	ipcshare__fill64(c.len + i, r->length, 0, more);
	if (c.offset)
		ipcshare__fill64(c.offset + i, offset, stride, more);
	if (c.offset && !r->last.base)
		memset(c.ptr + i, 0, more * sizeof(*c.ptr));
	else
		ipcshare__fill64((uint64_t *)c.ptr + i, (uintptr_t)r->last.base + offset, stride,
				 more);
	r->n += more;
	r->rest = 0;
	return 0;
}

static int nothing_read(struct ipcshare__reader *r, struct ipcshare__wire_descriptor d, uint64_t at)
{
	uint32_t what = ipcshare__descriptor_what(d);

	if (what != IPCSHARE__EMPTY && what != IPCSHARE__FAILED)
		return ipcshare__blob_malformed("a special descriptor of no kind; descriptor", at);
	if (what == IPCSHARE__EMPTY && d.where)
		return ipcshare__blob_malformed("an empty buffer with an address; descriptor", at);
	if (what == IPCSHARE__FAILED && (d.where < 1 || d.where > -IPCSHARE_ERR_SYSTEM))
		return ipcshare__blob_malformed("an unknown status; descriptor", at);
	if (r->n == r->cells->n)
		return ipcshare__blob_malformed("more buffers than it says; descriptor", at);
	cell_set(r->cells, r->n++,
		 (struct ipcshare__placed){ IPCSHARE__NO_REGION | (uint32_t)d.where, NULL }, 0, 0);
	r->rest = 0;
	return 0;
}

static int descriptor_read(struct ipcshare__reader *r, struct ipcshare__wire_descriptor d,
			   uint64_t at)
{
	uint32_t what = ipcshare__descriptor_what(d);
	struct ipcshare__place *p = &r->places[what % IPCSHARE__PLACES];

	if (!ipcshare__descriptor_length(d))
		return what == IPCSHARE__RUN ? run_read(r, d, at) : nothing_read(r, d, at);
	if ((d.what ^ p->what) >> 44) {
		int err = place_load(r, what, at, p);

		if (err)
			return err;
	}
	if ((d.where ^ p->where) >> 44)
		return ipcshare__blob_malformed("a region that is another now; descriptor", at);
	if (ipcshare__descriptor_low(d) + ipcshare__descriptor_length(d) > p->length)
		return ipcshare__blob_malformed("a buffer outside its region; descriptor", at);
	if (!buffers_read(r, &d, 0, 1))
		return ipcshare__blob_malformed("more buffers than it says; descriptor", at);
	return 0;
}

int ipcshare__reader_read(struct ipcshare__reader *r, const unsigned char *bytes, size_t n)
{
	struct ipcshare__wire_descriptor d[BATCH];
	int err = 0;

	for (size_t done = 0, k; done < n && !err; done += k) {
		k = n - done < BATCH ? n - done : BATCH;
		/* one memcpy() would become a slow string instruction */
		for (size_t i = 0; i < k; i++)
			memcpy(&d[i], bytes + (done + i) * sizeof(*d), sizeof(*d));
		__asm__ volatile("" : "+m"(d)); /* from here on it is the copy that counts */
		for (size_t i = 0; !err && (i = buffers_read(r, d, i, k)) < k; i++)
			err = descriptor_read(r, d[i], r->ndescriptors + done + i);
	}
	r->ndescriptors += n;
	return err;
}

void ipcshare__reader_skip(struct ipcshare__reader *r, struct ipcshare__cells *cells, uint64_t n)
{
	r->cells = cells;
	r->n = cells->n;
	r->ndescriptors = n;
}

int ipcshare__reader_end(const struct ipcshare__reader *r)
{
	return r->n == r->cells->n
		       ? 0
		       : ipcshare__blob_malformed("not as many buffers as it says, but", r->n);
}
