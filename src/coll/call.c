/* SPDX-License-Identifier: BSD-3-Clause */
#include "coll/call.h"

#include <string.h>

#include "base/error.h"

int ipcshare__call_begin(struct ipcshare__call *c, struct ipcshare_group *group,
			 enum ipcshare__collective which, enum ipcshare_type type)
{
	int err = ipcshare__group_check(group, "collective");

	if (err)
		return err;
	*c = (struct ipcshare__call){ .group = group, .which = which, .type = type, .root = -1 };
	c->size = ipcshare_type_size(type);
	if (!c->size)
		c->status = ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
					   "there is no type %d", (int)type);
	return 0;
}

/* ---- Faults ---- */

void ipcshare__call_root(struct ipcshare__call *c, int root)
{
	c->root = root;
	if (!c->status && (root < 0 || root >= c->group->size))
		c->status = ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
					   "the root is %d, and there are %d ranks", root,
					   c->group->size);
}

bool ipcshare__call_is_root(const struct ipcshare__call *c)
{
	return c->root == c->group->rank;
}

/* Can @n elements be at @ptr? */
static void check_block(struct ipcshare__call *c, const void *ptr, size_t n)
{
	if (c->status || !n)
		return;
	if (!ptr || ptr == IPCSHARE_IN_PLACE)
		c->status = ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
					   ptr ? "a buffer is IPCSHARE_IN_PLACE where that means nothing"
					       : "a buffer is NULL");
	else if (n > PTRDIFF_MAX / c->size)
		c->status = ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
					   "%zu elements of %zu bytes are more than memory holds", n,
					   c->size);
}

struct ipcshare__layout ipcshare__call_block(struct ipcshare__call *c, const void *ptr,
					     size_t count, int only)
{
	struct ipcshare__layout l = { .base = (char *)ptr, .size = c->size, .only = only, .count = count };
	size_t ranks = only == IPCSHARE__EVERY ? (size_t)c->group->size : 1;

	if (only != IPCSHARE__NOBODY)
		check_block(c, ptr, count > SIZE_MAX / ranks ? SIZE_MAX : count * ranks);
	return l;
}

struct ipcshare__layout ipcshare__call_blocks(struct ipcshare__call *c, const void *ptr,
					      const size_t *counts, const size_t *displs)
{
	struct ipcshare__layout l = { .base = (char *)ptr, .size = c->size, .only = IPCSHARE__EVERY,
				      .counts = counts, .displs = displs };
	size_t end = 0;

	if (!c->status && !counts)
		c->status = ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
					   "there are no counts, one for each rank");
	for (int r = 0; r < c->group->size && !c->status; r++) {
		size_t first = displs ? displs[r] : end;

		end = first > SIZE_MAX - counts[r] ? SIZE_MAX : first + counts[r];
		check_block(c, ptr, counts[r] ? end : 0);
	}
	return l;
}

/* ---- The first round ---- */

void ipcshare__call_say(struct ipcshare__call *c, uint64_t most)
{
	ipcshare__header_fill(c->group, c->which, c->status, 0, most, &c->header);
	memcpy(ipcshare__board_slot(c->group), &c->header, sizeof(c->header));
}

int ipcshare__call_hear(struct ipcshare__call *c, uint64_t *most)
{
	struct ipcshare__wire_header h;
	bool failed = false;

	*most = 0;
	for (int r = 0; r < c->group->size; r++) {
		int err;

		memcpy(&h, ipcshare__board_read(c->group, r), sizeof(h));
		err = ipcshare__header_check(c->group, &c->header, &h, r);
		if (err)
			return err;
		failed |= h.status != 0;
		*most = h.value > *most ? h.value : *most;
	}
	return failed ? ipcshare__agree_on_failure(c->group, c->status) : 0;
}
