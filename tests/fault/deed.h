/* SPDX-License-Identifier: BSD-3-Clause */
/* One collective with its operands, and what must come of it. */
#ifndef TEST_DEED_H
#define TEST_DEED_H

#include "life.h"

enum deed_kind {
	DEED_BCAST,
	DEED_ALLGATHER,
	DEED_GATHER,
	DEED_ALLTOALL,
	DEED_REDUCE,
	DEED_ALLREDUCE,
	DEED_REDUCE_SCATTER,
	DEED_SCAN,
};

struct deed {
	enum deed_kind kind;
	size_t count; /* of the elements that one rank has for all, or for each */
	int root;
	int shared; /* operands are in memory that the group knows */
};

/* Do it, and look at the result. */
int deed_do(struct life *l, const struct deed *deed);

/* Elements that @rank gives, and what is to be at @i of the result of this rank. */
int64_t deed_given(int rank, size_t i);
int64_t deed_expected(const struct deed *deed, int me, size_t i);

#endif
