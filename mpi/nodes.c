/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "bootstrap.h"
#include "group/group.h"

/*
 * MPI need not do anything but in its own calls. A rank that waits for one of its node, who waits for another
 * node, which waits for what this rank has given to MPI, must let MPI work or all wait for ever. Also when it has
 * no request any more: what MPI has taken need not be on its way yet.
 */
static bool let_mpi_work(void *arg)
{
	struct ipcshare__mpi_nodes *n = arg;
	int done = 1, waits = 0, any;

	for (int i = 0; i < 3; i++)
		if (n->requests[i] != MPI_REQUEST_NULL) {
			MPI_Request_get_status(n->requests[i], &done, MPI_STATUS_IGNORE);
			waits |= !done;
		}
	if (!waits && n->lane != MPI_COMM_NULL)
		MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, n->lane, &any, MPI_STATUS_IGNORE);
	return waits;
}

/* ---- The end ---- */

/* MPI still has a request: it may use our memory, and the communicator. */
static bool in_use(struct ipcshare__mpi_nodes *n)
{
	int done;

	for (int i = 0; i < 3; i++)
		if (n->requests[i] != MPI_REQUEST_NULL &&
		    (MPI_Test(&n->requests[i], &done, MPI_STATUS_IGNORE) || !done))
			return true;
	return false;
}

static void mpi_end(struct ipcshare__mpi_nodes *n)
{
	if (n->lane != MPI_COMM_NULL)
		MPI_Comm_free(&n->lane);
	if (n->merge != MPI_OP_NULL)
		MPI_Op_free(&n->merge);
	if (n->word != MPI_DATATYPE_NULL)
		MPI_Type_free(&n->word);
}

static pthread_mutex_t given_up_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ipcshare__mpi_nodes *given_up;

static void give_up(struct ipcshare__mpi_nodes *n)
{
	pthread_mutex_lock(&given_up_lock);
	n->next = given_up;
	given_up = n;
	pthread_mutex_unlock(&given_up_lock);
}

void ipcshare__mpi_nodes_end(struct ipcshare__mpi_nodes *n)
{
	if (!n)
		return;
	if (ipcshare__mpi_is_up() && in_use(n)) {
		give_up(n);
		return;
	}
	if (ipcshare__mpi_is_up())
		mpi_end(n);
	free(n->node_of); /* with all arrays of int */
	free(n->counts);
	free(n->slots[0]);
	free(n);
}

/* End what MPI is done with by now; but not the communicators, for other ranks may never do so. */
static void given_up_sweep(void)
{
	struct ipcshare__mpi_nodes *n, *next;

	pthread_mutex_lock(&given_up_lock);
	n = given_up;
	given_up = NULL;
	pthread_mutex_unlock(&given_up_lock);
	for (; n; n = next) {
		next = n->next;
		n->lane = MPI_COMM_NULL;
		ipcshare__mpi_nodes_end(n);
	}
}

/* ---- The beginning ---- */

static struct ipcshare__mpi_nodes *nodes_new(MPI_Comm comm, struct ipcshare_group *group)
{
	struct ipcshare__mpi_nodes *n = calloc(1, sizeof(*n));
	size_t size, nlocal = (size_t)ipcshare_group_size(group);

	if (!n)
		return NULL;
	MPI_Comm_size(comm, &n->size);
	MPI_Comm_rank(comm, &n->rank);
	n->nlocal = (int)nlocal;
	n->local = ipcshare_group_rank(group);
	n->lane = MPI_COMM_NULL;
	n->word = MPI_DATATYPE_NULL;
	n->merge = MPI_OP_NULL;
	for (int i = 0; i < 3; i++)
		n->requests[i] = MPI_REQUEST_NULL;
	size = (size_t)n->size;
	n->node_of = calloc(8 * size + 1, sizeof(int));
	n->counts = calloc(4 * nlocal, sizeof(*n->counts));
	n->slot = size * IPCSHARE__MPI_SLOT_OF_RANK;
	if (n->slot < IPCSHARE__MPI_SLOT)
		n->slot = IPCSHARE__MPI_SLOT;
	n->slots[0] = malloc(2 * n->slot);
	if (n->node_of && n->counts && n->slots[0]) {
		n->local_of = n->node_of + size;
		n->members = n->local_of + size;
		n->node_counts = n->members + size;
		n->node_displs = n->node_counts + size;
		n->brought_counts = n->node_displs + size;
		n->brought_displs = n->brought_counts + size;
		n->first = n->brought_displs + size;
		n->displs = n->counts + nlocal;
		n->piece_counts = n->displs + nlocal;
		n->piece_displs = n->piece_counts + nlocal;
		n->slots[1] = n->slots[0] + n->slot;
		return n;
	}
	ipcshare__mpi_nodes_end(n);
	return NULL;
}

/* @leaders: by rank, the first rank of its node; of which there are as many as leaders of themselves. */
static void number(struct ipcshare__mpi_nodes *n, const int *leaders)
{
	int at = 0;

	for (int r = 0; r < n->size; r++)
		if (leaders[r] == r)
			n->node_of[r] = n->count++;
	for (int r = 0; r < n->size; r++)
		n->node_of[r] = n->node_of[leaders[r]];
	n->mine = n->node_of[n->rank];
	n->lanes = n->size;
	for (int node = 0; node < n->count; node++) {
		int begin = n->first[node] = at;

		for (int r = 0; r < n->size; r++)
			if (n->node_of[r] == node) {
				n->local_of[r] = at - begin;
				n->members[at++] = r;
			}
		n->lanes = at - begin < n->lanes ? at - begin : n->lanes;
	}
	n->first[n->count] = at;
	n->in_order = true;
	for (int r = 0; r < n->size; r++)
		n->in_order &= n->members[r] == r;
}

/* The nodes by number, or not 0. */
static int find(struct ipcshare__mpi_nodes *n, MPI_Comm comm, struct ipcshare_group *group)
{
	int leader = ipcshare_mpi_comm_rank(group, 0), err;
	int *leaders = n->members; /* free until they are numbered */

	err = PMPI_Allgather(&leader, 1, MPI_INT, leaders, 1, MPI_INT, comm);
	if (err)
		return err;
	memcpy(n->node_counts, leaders, (size_t)n->size * sizeof(int));
	number(n, n->node_counts);
	return 0;
}

static int lane_make(struct ipcshare__mpi_nodes *n, MPI_Comm comm)
{
	int err = MPI_Comm_split(comm, n->local < n->lanes ? n->local : MPI_UNDEFINED, n->mine,
				 &n->lane);

	if (!err && n->lane != MPI_COMM_NULL)
		err = MPI_Comm_set_errhandler(n->lane, MPI_ERRORS_RETURN);
	if (!err)
		err = MPI_Type_contiguous((int)sizeof(n->said), MPI_BYTE, &n->word);
	if (!err)
		err = MPI_Type_commit(&n->word);
	return err ? err : MPI_Op_create(ipcshare__mpi_word_merge, 1, &n->merge);
}

/* Who lacks memory says so before what all must do together. */
struct ipcshare__mpi_nodes *ipcshare__mpi_nodes_make(MPI_Comm comm, struct ipcshare_group *group)
{
	struct ipcshare__mpi_nodes *n = nodes_new(comm, group);
	/* the least of both: is there one on all ranks, and how much less is wanted than the most there is */
	uint32_t mine[2] = { n != NULL, UINT32_MAX - group->ctx->config.across }, all[2] = { 0 };

	given_up_sweep();
	if (PMPI_Allreduce(mine, all, 2, MPI_UINT32_T, MPI_MIN, comm) || !all[0] ||
	    find(n, comm, group) || lane_make(n, comm)) {
		ipcshare__fail(IPCSHARE_ERR_BOOTSTRAP, "collective", "calls are left to MPI",
			       "a rank has no memory for lanes between nodes, or MPI none for it");
		ipcshare__mpi_nodes_end(n);
		return NULL;
	}
	n->least = UINT32_MAX - all[1];
	group->meanwhile = let_mpi_work;
	group->meanwhile_arg = n;
	return n;
}
