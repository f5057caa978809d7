/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks that share two regions each, and then their keys. */
#ifndef TEST_RDMA_SIDE_H
#define TEST_RDMA_SIDE_H

#include "rdma.h"

#define SIDE_LEN 10000 /* of each region */
#define SIDE_BUFS 6 /* buffer i lies in region i % 2 */
#define SIDE_EMPTY 4

#define SIDE_UNTOUCHED ((struct ipcshare_rdma_keys *)16)

struct side {
	struct test_rank *me;
	struct team t;
	struct ipcshare_rdma_domain *d;
	char *p[2];
	struct ipcshare_buf bufs[SIDE_BUFS];
	struct ipcshare_set *set;
};

/* With the first @n buffers in the set. */
void side_begin(struct side *s, struct test_rank *me, size_t n, unsigned flags);
/* Nothing may be in use then; the set may be gone. */
void side_end(struct side *s);
/* What must work: on failure the rank ends. */
struct ipcshare_rdma_keys *side_share(struct side *s, int access);

#endif
