/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the leaders of nodes tell each other in every call, in one message: how their nodes fare, and which
 * call they make. A few bytes of data go with it, and then it is all there is.
 */
#ifndef IPCSHARE_MPI_WORD_H
#define IPCSHARE_MPI_WORD_H

#include <ipcshare_coll.h>
#include <mpi.h>
#include <stdbool.h>

#define IPCSHARE__MPI_FEW 88 /* bytes of data */

struct ipcshare__mpi_word {
	int32_t status; /* the worst; then all but rank and over means nothing */
	int32_t rank; /* of the communicator: whose status it is */
	int32_t node; /* the first of those that this is of */
	/* of the call: the same on all nodes */
	uint16_t call, type, op;
	uint16_t over; /* MPI has failed here: nothing goes between the nodes any more */
	int32_t root;
	uint64_t count;
	uint64_t has; /* bytes of @data that are here */
	char data[IPCSHARE__MPI_FEW];
};
_Static_assert(sizeof(struct ipcshare__mpi_word) == 128, "one line of two");

/* Those of all nodes become one. An MPI_User_function. */
void ipcshare__mpi_word_merge(void *in, void *inout, int *n, MPI_Datatype *type);

#endif
