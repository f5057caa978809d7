/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many copies on the host: each is a memcpy(), so there is only to gain from fetching ahead and, for
 * plans, from merging.
 */
#include <errno.h>
#include <stdlib.h>

#include "backend/host/host.h"
#include "backend/pieces.h"
#include "base/error.h"
#include "base/move.h"

static const struct ipcshare__run_limits no_runs = { 0, 1 };

static void copy_all(const struct ipcshare__piece *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i + IPCSHARE__AHEAD < n)
			ipcshare__fetch(p[i + IPCSHARE__AHEAD].src, p[i + IPCSHARE__AHEAD].len);
		ipcshare__move(p[i].dst, p[i].src, p[i].len);
	}
}

int ipcshare__host_copy_pieces(struct ipcshare__backend *be, const struct ipcshare__piece *pieces,
			       size_t n, struct ipcshare__stream *stream)
{
	(void)be;
	(void)stream;
	copy_all(pieces, n);
	return 0;
}

struct plan {
	struct ipcshare__piece *pieces;
	size_t n;
};

/* Without runs a move is but a piece. */
static int pieces_of(const struct ipcshare__moves *moves, struct plan *p)
{
	p->n = moves->n;
	p->pieces = malloc((p->n + 1) * sizeof(*p->pieces));
	if (!p->pieces)
		return ipcshare__fail_errno(ENOMEM, "plan", "%zu copies", p->n);
	for (size_t i = 0; i < p->n; i++)
		p->pieces[i] = (struct ipcshare__piece){ moves->list[i].dst, moves->list[i].src,
							 moves->list[i].width };
	return 0;
}

int ipcshare__host_plan_create(struct ipcshare__backend *be, const struct ipcshare__piece *pieces,
			       size_t n, struct ipcshare__plan **out)
{
	struct plan *p = malloc(sizeof(*p));
	struct ipcshare__moves moves;
	int err;

	(void)be;
	if (!p)
		return ipcshare__fail_errno(ENOMEM, "plan", "a plan");
	err = ipcshare__moves_plan(pieces, n, no_runs, &moves);
	if (!err) {
		err = pieces_of(&moves, p);
		free(moves.list);
	}
	if (err)
		free(p);
	else
		*out = (struct ipcshare__plan *)p;
	return err;
}

int ipcshare__host_plan_run(struct ipcshare__backend *be, struct ipcshare__plan *plan,
			    struct ipcshare__stream *stream)
{
	const struct plan *p = (struct plan *)plan;

	(void)be;
	(void)stream;
	copy_all(p->pieces, p->n);
	return 0;
}

void ipcshare__host_plan_free(struct ipcshare__backend *be, struct ipcshare__plan *plan)
{
	(void)be;
	if (plan)
		free(((struct plan *)plan)->pieces);
	free(plan);
}
