/* SPDX-License-Identifier: BSD-3-Clause */
/* A libibverbs without devices, as far as src/rdma calls it: it counts, and fails as it is told. */
#ifndef TEST_FAKE_VERBS_H
#define TEST_FAKE_VERBS_H

#include <infiniband/verbs.h>

struct fake_verbs {
	int fails; /* so many next ibv_reg_mr() */
	int error; /* with this errno */
	int end_error; /* what ibv_dereg_mr() gives */
	_Atomic int made, ended; /* calls that worked; a broker's thread makes some */
	_Atomic int lost; /* memory that was not mapped any more when its registration ended */
	int no_list; /* ibv_get_device_list(): NULL, as of a kernel without the subsystem */
	int devices;
	int open_error;
	void (*making)(void); /* called by ibv_reg_mr() */
	void (*ending)(void *addr); /* by ibv_dereg_mr() */
};

extern struct fake_verbs fake; /* changed by whoever has begun a test with fake_reset() */
void fake_reset(void);
extern struct ibv_pd fake_pd;

#endif
