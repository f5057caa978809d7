/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many small copies between local memory and peers' buffers. All items are checked first, so that a
 * bad one leaves no byte changed. Then, where the CPU reaches the memory, they are looked up again and
 * copied on the way: a list of pieces would cost more to write and read than the second look. Devices
 * get the whole list at once.
 */
#include "group/pull.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/handle.h"
#include "base/move.h"
#include "group/set.h"

/* ---- Check ---- */

/* Relaxed, as in ipcshare_ptr(): ipcshare_ptr_lazy() of another thread may fill it. */
static inline void *pointer_of(const struct ipcshare_row *row, size_t i)
{
	return __atomic_load_n(&row->ptr[i], __ATOMIC_RELAXED);
}

/* True for nearly all there are; what is left is looked at again, with less haste. */
static inline bool item_fits(const struct ipcshare_set *set, const struct ipcshare_item *it)
{
	const struct ipcshare_row *row;
	size_t len;

	if ((unsigned)it->rank >= (unsigned)set->nranks)
		return false;
	row = &set->rows[it->rank];
	if (it->index >= row->count)
		return false;
	len = row->len[it->index];
	return it->offset <= len && it->len <= len - it->offset && it->local &&
	       pointer_of(row, it->index);
}

static int item_bad(const struct ipcshare_item *it, size_t i, int status, const char *stage,
		    const char *hint, const char *what)
{
	ipcshare__fail(status, stage, hint, "%s: buffer %zu, %zu bytes at %zu", what, it->index,
		       it->len, it->offset);
	ipcshare__fail_at(it->rank, (int64_t)i);
	return status;
}

/* 0: it is all right, for nothing is to be copied, or a lazy set has mapped it now. */
static int item_look(struct ipcshare_set *set, const struct ipcshare_item *it, size_t i,
		     const char *stage)
{
	size_t len = ipcshare_len(set, it->rank, it->index);

	if (it->rank < 0 || it->rank >= set->nranks)
		return item_bad(it, i, IPCSHARE_ERR_INVALID, stage, "", "there is no such rank");
	if (it->index >= ipcshare_count(set, it->rank))
		return item_bad(it, i, IPCSHARE_ERR_INVALID, stage, "",
				"the rank shared no such buffer");
	if (!it->local && it->len)
		return item_bad(it, i, IPCSHARE_ERR_INVALID, stage, "", "local is NULL");
	if (ipcshare_set_status(set, it->rank, it->index) && it->len)
		return item_bad(it, i, IPCSHARE_ERR_UNREACHABLE, stage,
				"ipcshare_set_status() says why", "the buffer is not mapped here");
	if (it->offset > len || it->len > len - it->offset)
		return item_bad(it, i, IPCSHARE_ERR_RANGE, stage, "",
				"the item runs past the end of the buffer");
	if (it->len && !ipcshare_ptr_lazy(set, it->rank, it->index))
		return item_bad(it, i, IPCSHARE_ERR_UNREACHABLE, stage, "",
				"the buffer is not mapped here");
	return 0;
}

static void *item_address(const struct ipcshare_set *set, const struct ipcshare_item *it)
{
	/* As a number, for a buffer of no bytes is NULL. */
	return (void *)((uintptr_t)pointer_of(&set->rows[it->rank], it->index) + it->offset);
}

static int read_only_check(struct ipcshare_set *set, const struct ipcshare_item *items, size_t n,
			   const char *stage)
{
	pthread_mutex_t *lock = &ipcshare__set_of(set)->lock;
	size_t i = 0;

	/* an update of other buffers may move what rows know of regions */
	pthread_mutex_lock(lock);
	while (i < n &&
	       (!items[i].len || ipcshare__set_writable(set, items[i].rank, items[i].index)))
		i++;
	pthread_mutex_unlock(lock);
	return i == n ? 0
		      : item_bad(&items[i], i, IPCSHARE_ERR_READ_ONLY, stage,
				 "its owner shared it with IPCSHARE_READ_ONLY",
				 "the buffer can't be written");
}

int ipcshare__items_check(struct ipcshare_set *set, enum ipcshare_direction direction,
			  const struct ipcshare_item *items, size_t n, const char *stage)
{
	int err = ipcshare__handle_check(set, IPCSHARE__HANDLE_SET, stage);

	if (err)
		return err;
	if (!items && n)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, stage, "",
				      "items is NULL, but n is %zu", n);
	for (size_t i = 0; i < n; i++) {
		if (__builtin_expect(item_fits(set, &items[i]), 1))
			continue;
		err = item_look(set, &items[i], i, stage);
		if (err)
			return err;
	}
	return direction == IPCSHARE_PUSH ? read_only_check(set, items, n, stage) : 0;
}

int ipcshare__items_stream(const struct ipcshare__backend *be, const void *stream,
			   const char *stage)
{
	if (!stream || !be->ops->direct)
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_INVALID, stage, "pass NULL: the call blocks",
			      "backend %s has no streams", be->ops->name);
}

/* ---- By the CPU ---- */

/* Once for each direction, so that nothing is asked in the loop. */
static inline __attribute__((always_inline)) void
move_all(const struct ipcshare_set *set, const struct ipcshare_item *items, size_t n, bool push)
{
	for (size_t i = 0; i < n; i++) {
		const struct ipcshare_item *it = &items[i], *later = it + IPCSHARE__AHEAD;
		void *theirs = item_address(set, it);

		if (i + IPCSHARE__AHEAD < n)
			ipcshare__fetch(item_address(set, later), later->len);
		if (push)
			ipcshare__move(theirs, it->local, it->len);
		else
			ipcshare__move(it->local, theirs, it->len);
	}
}

/* ---- By the backend ---- */

int ipcshare__items_resolve(const struct ipcshare_set *set, enum ipcshare_direction direction,
			    const struct ipcshare_item *items, size_t n, const char *stage,
			    struct ipcshare__piece **out)
{
	struct ipcshare__piece *p = calloc(n + 1, sizeof(*p));

	if (!p)
		return ipcshare__fail_errno(ENOMEM, stage, "%zu pieces", n);
	for (size_t i = 0; i < n; i++) {
		void *theirs = item_address(set, &items[i]);

		p[i].dst = direction == IPCSHARE_PUSH ? theirs : items[i].local;
		p[i].src = direction == IPCSHARE_PUSH ? items[i].local : theirs;
		p[i].len = items[i].len;
	}
	*out = p;
	return 0;
}

void ipcshare__items_blame(const struct ipcshare_item *items, size_t n)
{
	int64_t index = ipcshare_last_error()->index;

	if (index >= 0 && (uint64_t)index < n)
		ipcshare__fail_at(items[index].rank, -1);
}

static int copy_pieces(struct ipcshare_set *set, enum ipcshare_direction direction,
		       const struct ipcshare_item *items, size_t n, void *stream, const char *stage)
{
	struct ipcshare__backend *be = ipcshare__set_group(set)->ctx->backend;
	struct ipcshare__piece *pieces;
	int err = ipcshare__items_resolve(set, direction, items, n, stage, &pieces);

	if (err)
		return err;
	err = be->ops->copy_pieces(be, pieces, n, stream);
	free(pieces);
	if (err)
		ipcshare__items_blame(items, n);
	return err;
}

static int copy(struct ipcshare_set *set, enum ipcshare_direction direction,
		const struct ipcshare_item *items, size_t n, void *stream, const char *stage)
{
	const struct ipcshare__backend *be;
	int err = ipcshare__items_check(set, direction, items, n, stage);

	if (err)
		return err;
	be = ipcshare__set_group(set)->ctx->backend;
	err = ipcshare__items_stream(be, stream, stage);
	if (err)
		return err;
	if (!be->ops->direct)
		return n ? copy_pieces(set, direction, items, n, stream, stage) : 0;
	if (direction == IPCSHARE_PUSH)
		move_all(set, items, n, true);
	else
		move_all(set, items, n, false);
	return 0;
}

int ipcshare_pull(struct ipcshare_set *set, const struct ipcshare_item *items, size_t n)
{
	return copy(set, IPCSHARE_PULL, items, n, NULL, "pull");
}

int ipcshare_push(struct ipcshare_set *set, const struct ipcshare_item *items, size_t n)
{
	return copy(set, IPCSHARE_PUSH, items, n, NULL, "push");
}

int ipcshare_pull_on(struct ipcshare_set *set, const struct ipcshare_item *items, size_t n,
		     void *stream)
{
	return copy(set, IPCSHARE_PULL, items, n, stream, "pull");
}

int ipcshare_push_on(struct ipcshare_set *set, const struct ipcshare_item *items, size_t n,
		     void *stream)
{
	return copy(set, IPCSHARE_PUSH, items, n, stream, "push");
}
