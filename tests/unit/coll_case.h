/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One call of a collective, drawn from a seed that all ranks have. As every rank can make the bytes
 * of every other, each knows what it must receive, and looks at the whole buffer, gaps included.
 */
#ifndef TEST_COLL_CASE_H
#define TEST_COLL_CASE_H

#include "elements.h"
#include "team.h"

/*
 * Cases in all groups together, unless TEST_CASES of the environment says another number. Sanitizers
 * take ten times as long for each, and longer still in groups that are much larger than the machine.
 */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define COLL_CASES 1000
#define COLL_RANKS 17
#else
#define COLL_CASES 10000
#define COLL_RANKS TEST_RANKS_MAX
#endif

enum coll_which {
	COLL_BARRIER,
	COLL_BCAST,
	COLL_ALLGATHER,
	COLL_ALLGATHERV,
	COLL_GATHER,
	COLL_GATHERV,
	COLL_SCATTER,
	COLL_SCATTERV,
	COLL_ALLTOALL,
	COLL_ALLTOALLV,
	COLL_REDUCE,
	COLL_ALLREDUCE,
	COLL_REDUCE_SCATTER,
	COLL_REDUCE_SCATTER_BLOCK,
	COLL_SCAN,
	COLL_EXSCAN,
	COLL_WHICH
};

/* Memory that the group shares, for the buffers of one case after the other; as far as it goes. */
struct coll_arena {
	char *base;
	size_t size, used;
};

/* Device memory, for calls on a stream: of the same size, shared and not. */
struct coll_device {
	struct ipcshare_ctx *ctx;
	char *shared, *own;
	size_t size;
	void *stream; /* or NULL */
	int (*synchronise)(void *stream);
};

struct coll_case {
	struct ipcshare_group *group;
	int rank, nranks;
	enum coll_which which;
	enum ipcshare_type type;
	const struct ipcshare_op *op; /* for those that reduce */
	size_t count; /* elements of a block; the most, if blocks differ */
	int root;
	int in_place;
	int started; /* and ended later, in the form for that */
	struct coll_arena *arena; /* where buffers are from; NULL: malloc() */
	struct coll_device *device; /* queued on its stream, with buffers there, and synchronised; or NULL */
	uint64_t seed; /* of bytes, lengths and gaps */
};

/* May a group have so many ranks here? If not, that is said. */
int coll_case_may_have(int nranks);
/* The next case of @group; buffers may be from @arena. */
struct coll_case coll_case_draw(struct ipcshare_group *group, struct coll_arena *arena, uint64_t *seed);
/* Make the call and check what came; 1 if all is well. */
int coll_case_run(const struct coll_case *c);

#endif
