/* SPDX-License-Identifier: BSD-3-Clause */
#include "call.h"

#include "base/error.h"
#include "fallback.h"
#include "raise.h"

bool ipcshare__mpi_begin(struct ipcshare__mpi_call *c, MPI_Comm comm)
{
	struct ipcshare__mpi_comm *on = ipcshare__mpi_comm_find(comm);

	if (!on)
		return false;
	*c = (struct ipcshare__mpi_call){
		.comm = comm, .on = on, .group = on->group, .type = IPCSHARE_UINT8
	};
	return true;
}

/* A count or type that is none is found out by MPI, or by those who have what is right. */
static uint64_t bytes_of(const struct ipcshare__mpi_given *g)
{
	uint64_t elements = 0;
	MPI_Count size = 0;

	for (int i = 0; i < g->blocks; i++) {
		int count = g->counts ? g->counts[i] : g->count;

		elements += count > 0 ? (uint64_t)count : 0;
	}
	if (g->type != MPI_DATATYPE_NULL)
		MPI_Type_size_x(g->type, &size);
	return elements * (uint64_t)size;
}

bool ipcshare__mpi_is_short(const struct ipcshare__mpi_call *c, const struct ipcshare__mpi_given *g)
{
	bool is = c->on->nodes && bytes_of(g) < c->on->nodes->least;

	if (is)
		ipcshare__mpi_fall_back(IPCSHARE_MPI_SHORT);
	return is;
}

bool ipcshare__mpi_begin_on_node(struct ipcshare__mpi_call *c, MPI_Comm comm)
{
	if (!ipcshare__mpi_begin(c, comm))
		return false;
	if (c->on->nodes)
		ipcshare__mpi_fall_back(IPCSHARE_MPI_NODES);
	return !c->on->nodes;
}

void ipcshare__mpi_fault(struct ipcshare__mpi_call *c, int status)
{
	if (!status || c->fault.status)
		return;
	c->fault = *ipcshare_last_error();
	c->type = IPCSHARE_TYPES;
}

int ipcshare__mpi_end(struct ipcshare__mpi_call *c, int status)
{
	if (c->fault.status) {
		ipcshare__error_restore(&c->fault);
		status = c->fault.status;
	}
	if (!status)
		status = ipcshare__mpi_buffer_unpack(&c->in, c->comm);
	ipcshare__mpi_buffer_end(&c->out);
	ipcshare__mpi_buffer_end(&c->in);
	if (status)
		return ipcshare__mpi_raise(c->comm);
	ipcshare__mpi_count_call(c->on->nodes != NULL);
	return MPI_SUCCESS;
}
