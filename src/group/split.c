/* SPDX-License-Identifier: BSD-3-Clause */
/* The split form: the caller moves the blobs, and nothing is collective. */
#include <stdlib.h>

#include "base/error.h"
#include "base/handle.h"
#include "group/set.h"

static void share_abandon(struct ipcshare__owned *owned)
{
	struct ipcshare_share *s = (struct ipcshare_share *)owned;

	ipcshare__handle_remove(s);
	free(s->describer.held);
	ipcshare__idmap_clear(&s->describer.by_id);
	ipcshare__block_put(&s->group->ctx->blocks, &s->room);
	free(s);
}

int ipcshare_share_begin(struct ipcshare_group *g, const struct ipcshare_buf *bufs, size_t n,
			 unsigned flags, struct ipcshare_share **out, const void **blob,
			 size_t *len)
{
	struct ipcshare__share_args args = { .bufs = bufs, .n = n, .flags = flags };
	struct ipcshare_share *s;
	int err = ipcshare__group_check(g, "share");

	if (err)
		return err;
	if (!out || !blob || !len)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "share", "",
				      "out, blob or len is NULL");
	err = ipcshare__share_check(&args, IPCSHARE__BUFFER_FLAGS);
	if (!err)
		err = ipcshare__share_make(g, &args, &s);
	if (err)
		return err;
	err = ipcshare__handle_add(s, IPCSHARE__HANDLE_SHARE);
	if (err) {
		ipcshare__share_delete(s);
		return err;
	}
	ipcshare__owned_add(g->ctx, &s->owned, share_abandon);
	*out = s;
	*blob = s->blob;
	*len = s->blob->bytes;
	return 0;
}

static void share_end(struct ipcshare_share *s)
{
	ipcshare__handle_remove(s);
	ipcshare__owned_remove(s->group->ctx, &s->owned);
	ipcshare__share_delete(s);
}

static int share_check(const struct ipcshare_share *s)
{
	int err = ipcshare__handle_check(s, IPCSHARE__HANDLE_SHARE, "share");

	return err ? err : ipcshare__group_check(s->group, "share");
}

static int set_make(struct ipcshare_share *s, const void *const *blobs, const size_t *lens,
		    struct ipcshare_set **out)
{
	struct ipcshare_error bad, why;
	struct ipcshare__part *parts;
	struct ipcshare__set *set;
	int own = s->group->rank;
	int err = ipcshare__set_begin(s, &set, &parts);

	if (err)
		return err;
	for (int r = 0; r < s->group->size; r++)
		ipcshare__part_begin(&parts[r], blobs[r], lens[r], lens[r]);
	ipcshare__parts_look_for_room(parts, s->group->size);
	for (int r = 0; r < s->group->size; r++)
		if (r != own)
			ipcshare__part_take(&parts[r], blobs[r], lens[r]);
	err = ipcshare__set_end(set, parts, blobs[own], lens[own], &bad);
	why = *ipcshare_last_error();
	ipcshare__parts_free(parts, s->group);
	if (!err) {
		*out = &set->open;
		return 0;
	}
	ipcshare__set_cancel(set);
	ipcshare__error_restore(&why);
	return err;
}

int ipcshare_share_complete(struct ipcshare_share *s, const void *const *blobs, const size_t *lens,
			    struct ipcshare_set **out)
{
	int err = share_check(s);

	if (err)
		return err;
	if (!blobs || !lens || !out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "share", "",
				      "blobs, lens or out is NULL");
	for (int r = 0; r < s->group->size; r++)
		if (!blobs[r])
			return ipcshare__fail(IPCSHARE_ERR_INVALID, "share", "",
					      "the blob of rank %d is NULL", r);
	err = set_make(s, blobs, lens, out);
	if (!err)
		share_end(s);
	return err;
}

int ipcshare_share_cancel(struct ipcshare_share *s)
{
	int err;

	if (!s)
		return 0;
	err = share_check(s);
	if (!err)
		share_end(s);
	return err;
}
