/* SPDX-License-Identifier: BSD-3-Clause */
/* Barrier, bcast, gathers, scatters and alltoalls: bytes that are moved. */
#include "base/error.h"
#include "call.h"
#include "span.h"

typedef struct ipcshare__mpi_given given;

/* ---- What is given and taken ---- */

static void wrongly_in_place(struct ipcshare__mpi_call *c)
{
	ipcshare__mpi_fault(c, ipcshare__fail(IPCSHARE_ERR_INVALID, "collective", "",
					      "a buffer is MPI_IN_PLACE where that means nothing"));
}

/* In place, the other arguments mean nothing. */
static void gives(struct ipcshare__mpi_call *c, const given *g, bool may_be_in_place)
{
	c->out.at = IPCSHARE_IN_PLACE;
	if (g->buf != MPI_IN_PLACE)
		ipcshare__mpi_fault(c, ipcshare__mpi_buffer_begin(&c->out, g, true, c->on->places,
								  c->comm));
	else if (!may_be_in_place)
		wrongly_in_place(c);
}

/* @filled: what is given lies there too. */
static void takes(struct ipcshare__mpi_call *c, const given *g, bool may_be_in_place, bool filled)
{
	size_t *places = c->on->places + 2 * c->on->size;

	c->in.at = IPCSHARE_IN_PLACE;
	if (g->buf != MPI_IN_PLACE)
		ipcshare__mpi_fault(c,
				    ipcshare__mpi_buffer_begin(&c->in, g, filled, places, c->comm));
	else if (!may_be_in_place)
		wrongly_in_place(c);
}

static size_t own_len(const struct ipcshare__mpi_call *c, const struct ipcshare__mpi_buffer *b)
{
	return b->lens ? b->lens[c->on->rank] : (size_t)b->given.count * b->unit;
}

/* What a rank has for itself is as long on both sides; else something is written past an end. */
static void fits(struct ipcshare__mpi_call *c)
{
	if (c->fault.status || own_len(c, &c->out) == own_len(c, &c->in))
		return;
	ipcshare__mpi_fault(c, ipcshare__fail(IPCSHARE_ERR_MISMATCH, "collective", "",
					      "the rank has %zu bytes for itself, and wants %zu",
					      own_len(c, &c->out), own_len(c, &c->in)));
}

/* Both sides of a call in which each has something for itself. */
static void gives_and_takes(struct ipcshare__mpi_call *c, const given *out, const given *in)
{
	bool in_place = out->buf == MPI_IN_PLACE;

	takes(c, in, false, in_place);
	gives(c, out, true);
	if (!in_place)
		fits(c);
}

static size_t block_len(const struct ipcshare__mpi_call *c, const struct ipcshare__mpi_buffer *b)
{
	return b->len / (size_t)c->on->size;
}

/* ---- Calls ---- */

int ipcshare_mpi_barrier(MPI_Comm comm)
{
	const given nothing = { NULL, MPI_BYTE, 0, 0, NULL, NULL };
	struct ipcshare__mpi_call c;

	if (!ipcshare__mpi_begin(&c, comm) || ipcshare__mpi_is_short(&c, &nothing))
		return PMPI_Barrier(comm);
	return ipcshare__mpi_end(&c, c.on->nodes ? ipcshare__mpi_span_barrier(&c)
						 : ipcshare_barrier(c.group));
}

int ipcshare_mpi_bcast(void *buf, int count, MPI_Datatype type, int root, MPI_Comm comm)
{
	const given g = { buf, type, 1, count, NULL, NULL };
	const struct ipcshare__mpi_buffer *b;
	struct ipcshare__mpi_call c;

	if (!ipcshare__mpi_begin(&c, comm) || ipcshare__mpi_is_short(&c, &g))
		return PMPI_Bcast(buf, count, type, root, comm);
	if (c.on->rank == root)
		gives(&c, &g, false);
	else
		takes(&c, &g, false, false);
	b = c.on->rank == root ? &c.out : &c.in;
	if (c.on->nodes)
		return ipcshare__mpi_end(&c, ipcshare__mpi_span_bcast(&c, b, root));
	return ipcshare__mpi_end(&c, ipcshare_bcast(c.group, b->at, b->len, c.type, root));
}

int ipcshare_mpi_allgather(const void *send, int send_count, MPI_Datatype send_type, void *recv,
			   int recv_count, MPI_Datatype recv_type, MPI_Comm comm)
{
	given in = { recv, recv_type, 0, recv_count, NULL, NULL };
	struct ipcshare__mpi_call c;

	if (ipcshare__mpi_begin(&c, comm))
		in.blocks = c.on->size;
	if (!in.blocks || ipcshare__mpi_is_short(&c, &in))
		return PMPI_Allgather(send, send_count, send_type, recv, recv_count, recv_type,
				      comm);
	gives_and_takes(&c, &(given){ send, send_type, 1, send_count, NULL, NULL }, &in);
	if (c.on->nodes)
		return ipcshare__mpi_end(&c, ipcshare__mpi_span_allgather(&c));
	return ipcshare__mpi_end(&c, ipcshare_allgather(c.group, c.out.at, c.in.at,
							block_len(&c, &c.in), c.type));
}

int ipcshare_mpi_allgatherv(const void *send, int send_count, MPI_Datatype send_type, void *recv,
			    const int *recv_counts, const int *recv_displs, MPI_Datatype recv_type,
			    MPI_Comm comm)
{
	given in = { recv, recv_type, 0, 0, recv_counts, recv_displs };
	struct ipcshare__mpi_call c;

	if (ipcshare__mpi_begin(&c, comm))
		in.blocks = c.on->size;
	if (!in.blocks || ipcshare__mpi_is_short(&c, &in))
		return PMPI_Allgatherv(send, send_count, send_type, recv, recv_counts, recv_displs,
				       recv_type, comm);
	gives_and_takes(&c, &(given){ send, send_type, 1, send_count, NULL, NULL }, &in);
	if (c.on->nodes)
		return ipcshare__mpi_end(&c, ipcshare__mpi_span_allgather(&c));
	return ipcshare__mpi_end(&c, ipcshare_allgatherv(c.group, c.out.at, c.in.at, c.in.lens,
							 c.in.firsts, c.type));
}

int ipcshare_mpi_gather(const void *send, int send_count, MPI_Datatype send_type, void *recv,
			int recv_count, MPI_Datatype recv_type, int root, MPI_Comm comm)
{
	const given out = { send, send_type, 1, send_count, NULL, NULL };
	struct ipcshare__mpi_call c;
	bool at_root;

	if (!ipcshare__mpi_begin_on_node(&c, comm))
		return PMPI_Gather(send, send_count, send_type, recv, recv_count, recv_type, root,
				   comm);
	at_root = c.on->rank == root;
	if (at_root)
		gives_and_takes(&c, &out,
				&(given){ recv, recv_type, c.on->size, recv_count, NULL, NULL });
	else
		gives(&c, &out, false);
	return ipcshare__mpi_end(&c, ipcshare_gather(c.group, c.out.at, c.in.at,
						     at_root ? block_len(&c, &c.in) : c.out.len,
						     c.type, root));
}

int ipcshare_mpi_gatherv(const void *send, int send_count, MPI_Datatype send_type, void *recv,
			 const int *recv_counts, const int *recv_displs, MPI_Datatype recv_type,
			 int root, MPI_Comm comm)
{
	const given out = { send, send_type, 1, send_count, NULL, NULL };
	struct ipcshare__mpi_call c;

	if (!ipcshare__mpi_begin_on_node(&c, comm))
		return PMPI_Gatherv(send, send_count, send_type, recv, recv_counts, recv_displs,
				    recv_type, root, comm);
	if (c.on->rank == root)
		gives_and_takes(&c, &out,
				&(given){ recv, recv_type, c.on->size, 0, recv_counts,
					  recv_displs });
	else
		gives(&c, &out, false);
	return ipcshare__mpi_end(&c, ipcshare_gatherv(c.group, c.out.at, c.out.len, c.in.at,
						      c.in.lens, c.in.firsts, c.type, root));
}

int ipcshare_mpi_scatter(const void *send, int send_count, MPI_Datatype send_type, void *recv,
			 int recv_count, MPI_Datatype recv_type, int root, MPI_Comm comm)
{
	struct ipcshare__mpi_call c;
	bool at_root;

	if (!ipcshare__mpi_begin_on_node(&c, comm))
		return PMPI_Scatter(send, send_count, send_type, recv, recv_count, recv_type, root,
				    comm);
	at_root = c.on->rank == root;
	takes(&c, &(given){ recv, recv_type, 1, recv_count, NULL, NULL }, at_root, false);
	if (at_root)
		gives(&c, &(given){ send, send_type, c.on->size, send_count, NULL, NULL }, false);
	if (at_root && recv != MPI_IN_PLACE)
		fits(&c);
	return ipcshare__mpi_end(&c, ipcshare_scatter(c.group, c.out.at, c.in.at,
						      at_root ? block_len(&c, &c.out) : c.in.len,
						      c.type, root));
}

int ipcshare_mpi_scatterv(const void *send, const int *send_counts, const int *send_displs,
			  MPI_Datatype send_type, void *recv, int recv_count,
			  MPI_Datatype recv_type, int root, MPI_Comm comm)
{
	struct ipcshare__mpi_call c;
	bool at_root;

	if (!ipcshare__mpi_begin_on_node(&c, comm))
		return PMPI_Scatterv(send, send_counts, send_displs, send_type, recv, recv_count,
				     recv_type, root, comm);
	at_root = c.on->rank == root;
	takes(&c, &(given){ recv, recv_type, 1, recv_count, NULL, NULL }, at_root, false);
	if (at_root)
		gives(&c, &(given){ send, send_type, c.on->size, 0, send_counts, send_displs },
		      false);
	if (at_root && recv != MPI_IN_PLACE)
		fits(&c);
	return ipcshare__mpi_end(&c, ipcshare_scatterv(c.group, c.out.at, c.out.lens, c.out.firsts,
						       c.in.at, c.in.len, c.type, root));
}

int ipcshare_mpi_alltoall(const void *send, int send_count, MPI_Datatype send_type, void *recv,
			  int recv_count, MPI_Datatype recv_type, MPI_Comm comm)
{
	struct ipcshare__mpi_call c;

	if (!ipcshare__mpi_begin_on_node(&c, comm))
		return PMPI_Alltoall(send, send_count, send_type, recv, recv_count, recv_type,
				     comm);
	gives_and_takes(&c, &(given){ send, send_type, c.on->size, send_count, NULL, NULL },
			&(given){ recv, recv_type, c.on->size, recv_count, NULL, NULL });
	return ipcshare__mpi_end(&c, ipcshare_alltoall(c.group, c.out.at, c.in.at,
						       block_len(&c, &c.in), c.type));
}

int ipcshare_mpi_alltoallv(const void *send, const int *send_counts, const int *send_displs,
			   MPI_Datatype send_type, void *recv, const int *recv_counts,
			   const int *recv_displs, MPI_Datatype recv_type, MPI_Comm comm)
{
	struct ipcshare__mpi_call c;

	if (!ipcshare__mpi_begin_on_node(&c, comm))
		return PMPI_Alltoallv(send, send_counts, send_displs, send_type, recv, recv_counts,
				      recv_displs, recv_type, comm);
	gives_and_takes(&c, &(given){ send, send_type, c.on->size, 0, send_counts, send_displs },
			&(given){ recv, recv_type, c.on->size, 0, recv_counts, recv_displs });
	return ipcshare__mpi_end(&c, ipcshare_alltoallv(c.group, c.out.at, c.out.lens, c.out.firsts,
							c.in.at, c.in.lens, c.in.firsts, c.type));
}
