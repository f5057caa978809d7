/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage.h"

#include "base/error.h"

typedef struct ipcshare__mpi_job job;

/* ---- How a call begins ---- */

job ipcshare__mpi_job_of(const struct ipcshare__mpi_call *c,
			 const struct ipcshare__mpi_course *course, int which)
{
	return (job){
		.on = c->on->nodes,
		.group = c->group,
		.course = course,
		.which = (uint16_t)which,
		.type = c->type,
		.op = c->op,
		.size = ipcshare_type_size(c->type),
		.status = c->fault.status,
	};
}

bool ipcshare__mpi_is_few(const job *j)
{
	return j->count * j->size <= IPCSHARE__MPI_FEW;
}

void ipcshare__mpi_flat_cut(job *j)
{
	size_t bytes = j->count * j->size;

	ipcshare__mpi_job_cut(j, ipcshare__mpi_job_lanes(j, bytes), j->on->slot);
}

void ipcshare__mpi_check_place(struct ipcshare__mpi_call *c, const void *buf, size_t len)
{
	if (len && (!buf || buf == IPCSHARE_IN_PLACE))
		ipcshare__mpi_fault(c, ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
						      buf ? "a buffer is MPI_IN_PLACE where that "
							    "means nothing"
							  : "a buffer is NULL"));
}

/* ---- The root ---- */

int ipcshare__mpi_root_node(const job *j)
{
	return j->root < 0 || j->root >= j->on->size ? -1 : j->on->node_of[j->root];
}

int ipcshare__mpi_root_local(const job *j)
{
	return ipcshare__mpi_root_node(j) < 0 ? j->on->nlocal : j->on->local_of[j->root];
}

bool ipcshare__mpi_is_roots(const job *j)
{
	return ipcshare__mpi_root_node(j) == j->on->mine;
}

/* ---- Stages ---- */

char *ipcshare__mpi_chunk_in(const job *j, const char *base, size_t chunk)
{
	return (char *)base + ipcshare__mpi_chunk_at(j, chunk) * j->size;
}

int ipcshare__mpi_hear(job *j, size_t chunk)
{
	return chunk ? 0
		     : ipcshare_bcast(j->group, NULL, 0, j->type,
				      ipcshare__mpi_root_node(j) < 0 ? -1 : 0);
}

int ipcshare__mpi_to_all(job *j, size_t chunk, char *to)
{
	ipcshare__mpi_chunk_cut(j, chunk);
	return ipcshare_allgatherv(j->group, ipcshare__mpi_slot(j, chunk), to, j->on->counts,
				   j->on->displs, j->type);
}
