/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/ascend/work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ascend/place.h"
#include "base/error.h"

void ipcshare__work_free(struct ascend_work *w)
{
	free(w->moves.list);
	free(w->rest);
}

/* Divide the pieces: those between devices to the front of @all, the others behind; entered. */
static int work_sort(const struct ascend *a, const struct ipcshare__piece *pieces, size_t n,
		     struct ipcshare__piece *all, size_t *ndevice)
{
	struct ascend_place to = { 0 }, from = { 0 };
	size_t front = 0, back = n;
	int err;

	for (size_t i = 0; i < n; i++) {
		const struct ipcshare__piece *p = &pieces[i];

		err = p->len ? ipcshare__ascend_place(a, p->dst, p->len, &to) : 0;
		if (!err && p->len)
			err = ipcshare__ascend_place(a, p->src, p->len, &from);
		if (err) {
			ipcshare__fail_at(-1, (int64_t)i);
			return err;
		}
		if (p->len && (to.kind == ASCEND_HOST || from.kind == ASCEND_HOST))
			all[--back] = *p;
		else
			all[front++] = *p;
	}
	*ndevice = front;
	return 0;
}

/* ---- Moves that stay in one memory ---- */

/* Where the parts of moves go, and the last answers of where memory ends. */
struct parts {
	const struct ascend *a;
	struct ascend_place to, from;
	struct ipcshare__move *list;
	size_t n;
};

/* From @p to the end of its memory; of memory that nobody registered only a page is known. */
static size_t room_at(const struct ascend *a, const void *p, struct ascend_place *place)
{
	ipcshare__ascend_place(a, p, 1, place);
	return place->exact ? place->end - (uintptr_t)p : SIZE_MAX;
}

static size_t rows_in(size_t room, const struct ipcshare__move *m, size_t pitch)
{
	size_t rows = room < m->width ? 0 : m->height > 1 ? 1 + (room - m->width) / pitch : 1;

	return rows < m->height ? rows : m->height;
}

/* One row, whose pieces may belong to memories that happen to be neighbours on both sides. */
static void row_split(struct parts *p, char *dst, const char *src, size_t width)
{
	for (size_t now; width; dst += now, src += now, width -= now) {
		size_t to = room_at(p->a, dst, &p->to), from = room_at(p->a, src, &p->from);

		now = to < from ? to : from;
		if (now > width)
			now = width;
		p->list[p->n++] = (struct ipcshare__move){ dst, src, now, 1, 0, 0 };
	}
}

static void move_split(struct parts *p, struct ipcshare__move m)
{
	while (m.height) {
		size_t to = rows_in(room_at(p->a, m.dst, &p->to), &m, m.dpitch);
		size_t from = rows_in(room_at(p->a, m.src, &p->from), &m, m.spitch);
		size_t rows = to < from ? to : from;

		if (rows) {
			p->list[p->n] = m;
			p->list[p->n++].height = rows;
		} else {
			row_split(p, m.dst, m.src, m.width);
			rows = 1;
		}
		m.dst += rows * m.dpitch;
		m.src += rows * m.spitch;
		m.height -= rows;
	}
}

/*
 * The runtime refuses a copy that leaves an allocation, and those of two peers may lie side by side,
 * or at equal distances. No piece crosses an end, so there are no more parts than pieces.
 */
static int moves_split(const struct ascend *a, struct ipcshare__moves *moves, size_t npieces)
{
	struct parts p = { .a = a, .list = malloc((npieces + 1) * sizeof(*p.list)) };

	if (!p.list)
		return ipcshare__fail_errno(ENOMEM, "copy", "%zu pieces", npieces);
	for (size_t i = 0; i < moves->n; i++)
		move_split(&p, moves->list[i]);
	free(moves->list);
	*moves = (struct ipcshare__moves){ p.list, p.n };
	return 0;
}

int ipcshare__work_make(struct ascend *a, const struct ipcshare__piece *pieces, size_t n,
			struct ascend_work *out)
{
	struct ipcshare__run_limits limits = { ACL_2D_WIDTH, ACL_2D_HEIGHT };
	struct ipcshare__piece *rest = malloc((n + 1) * sizeof(*rest));
	struct ipcshare__moves moves = { .n = 0 };
	size_t ndevice = 0;
	int err;

	if (!rest)
		return ipcshare__fail_errno(ENOMEM, "copy", "%zu pieces", n);
	err = work_sort(a, pieces, n, rest, &ndevice);
	if (!err) {
		if (a->no_2d || !a->device.acl->aclrtMemcpy2dAsync)
			limits.height = 1;
		err = ipcshare__moves_plan(rest, ndevice, limits, &moves);
	}
	if (!err)
		err = moves_split(a, &moves, ndevice);
	if (err) {
		free(moves.list);
		free(rest);
		return err;
	}
	*out = (struct ascend_work){ moves, rest, n - ndevice };
	memmove(rest, rest + ndevice, out->nrest * sizeof(*rest));
	return 0;
}
