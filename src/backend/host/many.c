/* SPDX-License-Identifier: BSD-3-Clause */
/* Many copies on the host: each is a memcpy(), so all there is to gain is merging the adjacent. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/host/host.h"
#include "backend/pieces.h"
#include "base/error.h"

static const struct ipcshare__run_limits no_runs = { 0, 1 };

int ipcshare__host_copy_pieces(struct ipcshare__backend *be, const struct ipcshare__piece *pieces,
			       size_t n, struct ipcshare__stream *stream)
{
	(void)be;
	(void)stream;
	for (size_t i = 0, next; i < n; i = next) { /* merged on the way: no memory is needed */
		char *dst = pieces[i].dst;
		const char *src = pieces[i].src;
		size_t len = pieces[i].len;

		for (next = i + 1; next < n && pieces[next].dst == dst + len &&
				   pieces[next].src == src + len; next++)
			len += pieces[next].len;
		if (len)
			memcpy(dst, src, len);
	}
	return 0;
}

struct plan {
	struct ipcshare__moves moves;
};

int ipcshare__host_plan_create(struct ipcshare__backend *be, const struct ipcshare__piece *pieces,
			       size_t n, struct ipcshare__plan **out)
{
	struct plan *p = malloc(sizeof(*p));
	int err;

	(void)be;
	if (!p)
		return ipcshare__fail_errno(ENOMEM, "plan", "a plan");
	err = ipcshare__moves_plan(pieces, n, no_runs, &p->moves);
	if (err)
		free(p);
	else
		*out = (struct ipcshare__plan *)p;
	return err;
}

int ipcshare__host_plan_run(struct ipcshare__backend *be, struct ipcshare__plan *plan)
{
	const struct ipcshare__moves *moves = &((struct plan *)plan)->moves;

	(void)be;
	for (size_t i = 0; i < moves->n; i++)
		memcpy(moves->list[i].dst, moves->list[i].src, moves->list[i].width);
	return 0;
}

void ipcshare__host_plan_free(struct ipcshare__backend *be, struct ipcshare__plan *plan)
{
	(void)be;
	if (plan)
		free(((struct plan *)plan)->moves.list);
	free(plan);
}
