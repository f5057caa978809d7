/* SPDX-License-Identifier: BSD-3-Clause */
#include "mpi/fault.h"

#include <mpi.h>

static const char *const names[] = {
#define FAULT_NAME(name) #name,
	FAULT_CALLS(FAULT_NAME)
#undef FAULT_NAME
};

static struct {
	int on, call, left;
} armed;

const char *fault_name(enum fault_call call)
{
	return names[call];
}

void fault_arm(enum fault_call call, int use)
{
	armed.on = 1;
	armed.call = (int)call;
	armed.left = use;
}

int fault_disarm(void)
{
	int failed = armed.left <= 0;

	armed.on = 0;
	return failed;
}

static int fails(enum fault_call call)
{
	return armed.on && armed.call == (int)call && --armed.left == 0;
}

/* ---- Collective: the others wait for it ---- */

/* One that has begun with @err; if it is to fail it is ended first, or MPI would write where the library has freed. */
static int ends(enum fault_call call, int err, MPI_Request *request)
{
	if (!fails(call))
		return err;
	PMPI_Wait(request, MPI_STATUS_IGNORE);
	return MPI_ERR_OTHER;
}

int MPI_Ibarrier(MPI_Comm comm, MPI_Request *request)
{
	return ends(FAULT_MPI_Ibarrier, PMPI_Ibarrier(comm, request), request);
}

int MPI_Iallgather(const void *send, int send_count, MPI_Datatype send_type, void *recv,
		   int recv_count, MPI_Datatype recv_type, MPI_Comm comm, MPI_Request *request)
{
	return ends(FAULT_MPI_Iallgather,
		    PMPI_Iallgather(send, send_count, send_type, recv, recv_count, recv_type, comm,
				    request),
		    request);
}

int MPI_Iallreduce(const void *send, void *recv, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
		   MPI_Request *request)
{
	return ends(FAULT_MPI_Iallreduce, PMPI_Iallreduce(send, recv, count, type, op, comm, request),
		    request);
}

int MPI_Ibcast(void *buf, int count, MPI_Datatype type, int root, MPI_Comm comm, MPI_Request *request)
{
	return ends(FAULT_MPI_Ibcast, PMPI_Ibcast(buf, count, type, root, comm, request), request);
}

int MPI_Ireduce(const void *send, void *recv, int count, MPI_Datatype type, MPI_Op op, int root,
		MPI_Comm comm, MPI_Request *request)
{
	return ends(FAULT_MPI_Ireduce, PMPI_Ireduce(send, recv, count, type, op, root, comm, request),
		    request);
}

int MPI_Iallgatherv(const void *send, int send_count, MPI_Datatype send_type, void *recv,
		    const int *recv_counts, const int *recv_displs, MPI_Datatype recv_type, MPI_Comm comm,
		    MPI_Request *request)
{
	return ends(FAULT_MPI_Iallgatherv,
		    PMPI_Iallgatherv(send, send_count, send_type, recv, recv_counts, recv_displs,
				     recv_type, comm, request),
		    request);
}

int MPI_Ialltoallv(const void *send, const int *send_counts, const int *send_displs, MPI_Datatype send_type,
		   void *recv, const int *recv_counts, const int *recv_displs, MPI_Datatype recv_type,
		   MPI_Comm comm, MPI_Request *request)
{
	return ends(FAULT_MPI_Ialltoallv,
		    PMPI_Ialltoallv(send, send_counts, send_displs, send_type, recv, recv_counts,
				    recv_displs, recv_type, comm, request),
		    request);
}

int MPI_Iexscan(const void *send, void *recv, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
		MPI_Request *request)
{
	return ends(FAULT_MPI_Iexscan, PMPI_Iexscan(send, recv, count, type, op, comm, request), request);
}

int MPI_Comm_split_type(MPI_Comm comm, int type, int key, MPI_Info info, MPI_Comm *out)
{
	MPI_Comm made = MPI_COMM_NULL;
	int err = PMPI_Comm_split_type(comm, type, key, info, &made);

	if (fails(FAULT_MPI_Comm_split_type)) /* what was made is left to MPI_Finalize() */
		return MPI_ERR_OTHER;
	*out = made;
	return err;
}

int MPI_Comm_free(MPI_Comm *comm)
{
	int err = PMPI_Comm_free(comm);

	return fails(FAULT_MPI_Comm_free) ? MPI_ERR_OTHER : err;
}

/* ---- Local ---- */

/* Nobody knows then if it is over: it is still the library's to find out. */
int MPI_Test(MPI_Request *request, int *done, MPI_Status *status)
{
	return fails(FAULT_MPI_Test) ? MPI_ERR_OTHER : PMPI_Test(request, done, status);
}

int MPI_Comm_set_errhandler(MPI_Comm comm, MPI_Errhandler handler)
{
	return fails(FAULT_MPI_Comm_set_errhandler) ? MPI_ERR_OTHER
						    : PMPI_Comm_set_errhandler(comm, handler);
}

int MPI_Group_translate_ranks(MPI_Group from, int n, const int *ranks, MPI_Group to, int *out)
{
	return fails(FAULT_MPI_Group_translate_ranks)
		       ? MPI_ERR_OTHER
		       : PMPI_Group_translate_ranks(from, n, ranks, to, out);
}

int MPI_Pack(const void *in, int count, MPI_Datatype type, void *out, int len, int *at, MPI_Comm comm)
{
	return fails(FAULT_MPI_Pack) ? MPI_ERR_OTHER
				     : PMPI_Pack(in, count, type, out, len, at, comm);
}

int MPI_Unpack(const void *in, int len, int *at, void *out, int count, MPI_Datatype type, MPI_Comm comm)
{
	return fails(FAULT_MPI_Unpack) ? MPI_ERR_OTHER
				       : PMPI_Unpack(in, len, at, out, count, type, comm);
}
