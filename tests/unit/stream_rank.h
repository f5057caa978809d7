/* SPDX-License-Identifier: BSD-3-Clause */
/* A rank on the emulator, with memory and a stream, for tests of collectives on streams. */
#ifndef TEST_STREAM_RANK_H
#define TEST_STREAM_RANK_H

#include "coll_case.h"
#include "npu.h"

struct stream_rank {
	struct team t;
	struct coll_device device;
	struct ipcshare_set *set; /* that holds device.shared */
};

/* With @size bytes of each kind of memory. */
void stream_rank_join(struct test_rank *me, size_t size, struct stream_rank *r);
/* Nothing may be left, here or in the runtime. */
void stream_rank_leave(struct test_rank *me, struct stream_rank *r);
/* The same of a group whose exchange has failed with @status. */
void stream_rank_leave_broken(struct test_rank *me, struct stream_rank *r, int status);

#endif
