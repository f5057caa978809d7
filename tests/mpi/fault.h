/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault.h - one of MPI's calls fails, in the library's own use of it
 *
 * This program has the MPI_* functions of FAULT_CALLS itself, through MPI's profiling interface; they
 * are made by PMPI_*. A collective call is made also when it is to fail, and ended, as the other
 * ranks wait for it: in MPI itself it is not known what they would do.
 */
#ifndef TESTS_MPI_FAULT_H
#define TESTS_MPI_FAULT_H

/* What gives an error although its arguments are right: for want of memory, or of the network. */
#define FAULT_CALLS(X)                                                                             \
	X(MPI_Ibarrier)                                                                            \
	X(MPI_Iallgather)                                                                          \
	X(MPI_Test)                                                                                \
	X(MPI_Comm_split_type)                                                                     \
	X(MPI_Comm_set_errhandler)                                                                 \
	X(MPI_Comm_free)                                                                           \
	X(MPI_Group_translate_ranks)                                                               \
	X(MPI_Pack)                                                                                \
	X(MPI_Unpack)                                                                              \
	X(MPI_Iallreduce)                                                                          \
	X(MPI_Ibcast)                                                                              \
	X(MPI_Ireduce)                                                                             \
	X(MPI_Iallgatherv)                                                                         \
	X(MPI_Ialltoallv)                                                                          \
	X(MPI_Iexscan)

enum fault_call {
#define FAULT_ENUM(name) FAULT_##name,
	FAULT_CALLS(FAULT_ENUM)
#undef FAULT_ENUM
	FAULT_COUNT
};

const char *fault_name(enum fault_call call);
/* Use number @use of @call from now on fails, in this rank. */
void fault_arm(enum fault_call call, int use);
/* No more. Not 0: it has failed. */
int fault_disarm(void);

#endif
