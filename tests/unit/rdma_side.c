/* SPDX-License-Identifier: BSD-3-Clause */
#include "rdma_side.h"

void side_begin(struct side *s, struct test_rank *me, size_t n, unsigned flags)
{
	*s = (struct side){ .me = me };
	team_join(me, &s->t);
	s->d = rdma_domain(s->t.ctx);
	for (int k = 0; k < 2; k++)
		s->p[k] = team_alloc(s->t.ctx, SIDE_LEN);
	for (size_t i = 0; i < SIDE_BUFS; i++)
		s->bufs[i] = (struct ipcshare_buf){ s->p[i % 2] + 1000 * i, i == SIDE_EMPTY ? 0 : 100 + i };
	s->set = team_share(&s->t, s->bufs, n, flags);
}

void side_end(struct side *s)
{
	struct ipcshare_rdma_stats stats = rdma_stats(s->d);

	CHECK_INT(stats.active, stats.idle); /* nothing is in use */
	CHECK_STATUS(ipcshare_rdma_domain_free(s->d), 0);
	CHECK_STATUS(ipcshare_set_free(s->set), 0);
	for (int k = 0; k < 2; k++)
		CHECK_STATUS(ipcshare_free(s->t.ctx, s->p[k]), 0);
	rdma_check_all_ended(fake.made);
	team_leave(&s->t);
}

struct ipcshare_rdma_keys *side_share(struct side *s, int access)
{
	struct ipcshare_rdma_keys *keys = SIDE_UNTOUCHED;

	REQUIRE_OK(ipcshare_rdma_share(s->d, s->set, access, &keys));
	return keys;
}
