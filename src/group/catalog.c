/* SPDX-License-Identifier: BSD-3-Clause */
#include "group/catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static int no_room(void)
{
	return ipcshare__fail_errno(ENOMEM, "share", "the regions of a peer");
}

static int reserve(struct ipcshare__catalog *c)
{
	uint32_t capacity = c->capacity ? 2 * c->capacity : 8;
	struct ipcshare__known *known;

	if (c->count < c->capacity)
		return 0;
	known = realloc(c->known, capacity * sizeof(*known));
	if (!known)
		return no_room();
	c->known = known;
	c->capacity = capacity;
	return 0;
}

int ipcshare__catalog_add(struct ipcshare__catalog *c, const struct ipcshare__wire_region *r)
{
	const uint32_t *at = ipcshare__idmap_find(&c->by_id, r->region);
	uint32_t i = at ? *at : c->count;
	int err = at ? 0 : reserve(c);

	if (!err && !at && ipcshare__idmap_put(&c->by_id, r->region, i))
		err = no_room();
	if (err)
		return err;
	c->count += !at;
	c->known[i] = (struct ipcshare__known){ .length = r->length, .generation = r->generation };
	memcpy(c->known[i].key, r->key, sizeof(r->key));
	return 0;
}

const struct ipcshare__known *ipcshare__catalog_find(const struct ipcshare__catalog *c,
						     uint32_t region)
{
	const uint32_t *at = ipcshare__idmap_find(&c->by_id, region);

	return at ? &c->known[*at] : NULL;
}

void ipcshare__catalog_clear(struct ipcshare__catalog *c)
{
	free(c->known);
	ipcshare__idmap_clear(&c->by_id);
	*c = (struct ipcshare__catalog){ 0 };
}
