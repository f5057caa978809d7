/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/describe.h"

#include <errno.h>
#include <stdlib.h>

#include "base/descriptor.h"
#include "base/error.h"

int ipcshare__describe_in(const struct ipcshare__region *r, const void *ptr, size_t len,
			  struct ipcshare__wire_descriptor *out)
{
	uint64_t offset = (uint64_t)((const char *)ptr - (const char *)r->mem.start);

	if (offset >= IPCSHARE__REACH || len >= IPCSHARE__REACH)
		return ipcshare__fail(IPCSHARE_ERR_LIMIT, "share", "cut it into shorter buffers",
				      "%zu bytes at offset %ju: a descriptor reaches 16 TiB", len,
				      (uintmax_t)offset);
	*out = ipcshare__descriptor(r->id, r->generation, offset, len);
	return 0;
}

void ipcshare__recent_note(struct ipcshare__recent *all, unsigned n, const void *ptr,
			   const struct ipcshare__region *r)
{
	uint64_t before = (uint64_t)((const char *)r->mem.base - (const char *)r->mem.start);

	if (before + r->mem.length >= IPCSHARE__REACH) /* not every descriptor can be made */
		return;
	*ipcshare__recent_of(all, n, ptr) = (struct ipcshare__recent){
		.base = (uintptr_t)r->mem.base,
		.length = r->mem.length,
		.first = ipcshare__descriptor(r->id, r->generation, before, 0),
	};
}

static int held_add(struct ipcshare__describer *d, struct ipcshare__region *r)
{
	struct ipcshare__held *held;
	uint32_t capacity;

	if (d->nheld == d->capacity) {
		capacity = d->capacity ? 2 * d->capacity : 8;
		held = realloc(d->held, capacity * sizeof(*held));
		if (!held)
			return ipcshare__fail_errno(ENOMEM, "share", "the list of regions");
		d->held = held;
		d->capacity = capacity;
	}
	if (ipcshare__idmap_put(&d->by_id, r->id, d->nheld))
		return ipcshare__fail_errno(ENOMEM, "share", "the list of regions");
	d->held[d->nheld++] = (struct ipcshare__held){ r, 0 };
	return 0;
}

/* Its number in held; a region that is new here is published. */
static int region_number(struct ipcshare__describer *d, const void *ptr, size_t len,
			 uint32_t *number)
{
	struct ipcshare_group *g = d->group;
	struct ipcshare__region *r;
	int err = ipcshare__region_hold(g->ctx, ptr, len, "share", &r);
	const uint32_t *known;

	if (err)
		return err;
	known = ipcshare__idmap_find(&d->by_id, r->id); /* ids of held regions are unique */
	if (known) {
		*number = *known;
		ipcshare__region_drop(g->ctx, r); /* once is enough */
		return 0;
	}
	*number = d->nheld;
	err = held_add(d, r);
	if (err) {
		ipcshare__region_drop(g->ctx, r);
		return err;
	}
	if (g->nothers)
		err = ipcshare__region_publish(g->ctx, r, d->flags, g->others, g->nothers);
	else /* with nobody outside this process there is nothing to export */
		err = ipcshare__region_protect(g->ctx, r, d->flags);
	d->held[*number].status = err;
	return 0;
}

int ipcshare__describe(struct ipcshare__describer *d, const void *ptr, size_t len,
		       struct ipcshare__wire_descriptor *out)
{
	uint32_t number;
	int status = region_number(d, ptr, len, &number);

	if (!status)
		status = d->held[number].status;
	if (!status)
		status = ipcshare__describe_in(d->held[number].region, ptr, len, out);
	if (status)
		*out = ipcshare__descriptor_special(IPCSHARE__FAILED, 0, (uint64_t)-status);
	else
		ipcshare__recent_note(d->recent, IPCSHARE__RECENT, ptr, d->held[number].region);
	return status;
}

void ipcshare__describer_end(struct ipcshare__describer *d)
{
	for (uint32_t i = 0; i < d->nheld; i++)
		if (d->held[i].region)
			ipcshare__region_drop(d->group->ctx, d->held[i].region);
	free(d->held);
	d->held = NULL;
	d->nheld = d->capacity = 0;
	ipcshare__idmap_clear(&d->by_id);
}
