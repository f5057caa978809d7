/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One collective with MPI's signature, drawn from a seed that all ranks have: made by MPI and by the
 * library from the same bytes, which must leave the same bytes in all memory that is given, gaps
 * included. The datatypes of each rank are its own; only the signature is common.
 */
#ifndef TESTS_MPI_COLL_CASE_H
#define TESTS_MPI_COLL_CASE_H

#include <mpi.h>
#include <stdint.h>

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

struct coll_case {
	MPI_Comm comm;
	int rank, nranks;
	enum coll_which which;
	int type; /* of the signature: a number of this file's table */
	int op;
	int count; /* elements of a block; the most, if blocks differ */
	int root;
	int in_place;
	uint64_t seed; /* of bytes, lengths, gaps and datatypes */
};

/* Numbers that follow from the seed; it is changed. */
uint64_t coll_random(uint64_t *seed);
/* The next case of @comm. */
struct coll_case coll_case_draw(MPI_Comm comm, uint64_t *seed);
/* Make both calls and compare; 1 if all is well. */
int coll_case_run(const struct coll_case *c);

#endif
