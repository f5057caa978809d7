/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare_mpi.h - groups over MPI communicators, and collectives with MPI's signatures
 *
 * The conventions of <ipcshare.h> hold. Calls that are collective over a communicator need MPI to
 * be initialised, and at least MPI_THREAD_SERIALIZED if several threads use MPI or the library.
 */
#ifndef IPCSHARE_MPI_H
#define IPCSHARE_MPI_H

#include <ipcshare.h>
#include <mpi.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * ipcshare_mpi_group_create - the ranks of @comm on this node, as a group; collective over @comm
 * @comm: any intracommunicator, on one node or many; the group doesn't need it any more
 * @out: this node's group; the order of ranks is that of @comm
 *
 * The local ranks are those MPI_COMM_TYPE_SHARED finds and that have the same boot id; for tests,
 * IPCSHARE_FAKE_NODES makes several nodes of them. Only this call uses MPI: the group also works
 * after MPI_Finalize, as long as all its ranks are there.
 *
 * It waits for every rank of @comm until the deadline. MPI can't take a call back that it has
 * begun: after ERR_TIMEOUT, @comm must not be used for collective calls any more. Which rank did
 * not come is not known then, as nobody has heard of it yet.
 *
 * Return: as ipcshare_group_create(), the same on every rank of the node; ERR_INVALID @comm is
 *         MPI_COMM_NULL or an intercommunicator, or MPI is not initialised or finalized already
 */
IPCSHARE_API int ipcshare_mpi_group_create(struct ipcshare_ctx *ctx, MPI_Comm comm,
					   struct ipcshare_group **out);

/** ipcshare_mpi_comm_rank - rank in the communicator of group rank @group_rank. ERR_INVALID, ERR_CLOSED */
IPCSHARE_API int ipcshare_mpi_comm_rank(const struct ipcshare_group *group, int group_rank);

/**
 * ipcshare_mpi_group_rank - group rank of rank @comm_rank of the communicator
 *
 * Return: the rank; ERR_OTHER_NODE it is on another node; ERR_INVALID not a rank of the
 *         communicator, or the group was not made from one; ERR_CLOSED
 */
IPCSHARE_API int ipcshare_mpi_group_rank(const struct ipcshare_group *group, int comm_rank);

/* ---- Collectives in place of MPI's ---------------------------------------------------------- */

/*
 * Each stands for the MPI call of its name: the same arguments (MPI_IN_PLACE and derived datatypes
 * too), meaning and result, over the memory that the ranks of a node share. Nothing has to be
 * opened before: the first call on a communicator, which takes all its ranks some milliseconds,
 * makes a group, in a context of the library's own. It ends with the communicator, at the latest
 * with MPI_Finalize().
 *
 * What the library can't do is left to MPI itself, by PMPI_*: so a program's own MPI_Allreduce()
 * may call these. All ranks go the same way, for it is chosen by what MPI wants to be equal on all
 * of them; see enum ipcshare_mpi_reason. Other datatypes never are a reason to move data by MPI: a
 * rank whose memory has gaps packs it for itself.
 *
 * Unlike MPI's, a reduction has the same bits on all ranks and in every run; it need not be those
 * of MPI.
 *
 * More than one node: barrier, bcast, allgather(v), reduce, allreduce, reduce_scatter(_block), scan and
 * exscan go over the memory of each node, and by MPI between the nodes: so each byte goes once to a
 * node, and not to each rank, and of a reduction only what comes of each node's ranks. That pays from
 * IPCSHARE_ACROSS bytes on, of the longest buffer of a rank; shorter calls are left to MPI
 * (IPCSHARE_MPI_SHORT). So are (IPCSHARE_MPI_NODES) gather(v), scatter(v) and alltoall(v), of which
 * each byte is for one rank, and goes to its node once in any case; and scans of communicators in
 * which the ranks of a node don't follow each other. Else it does not matter which ranks are where.
 * `ipcshare-bench across` finds what to set. Of ranks that are set to different bytes the most count.
 * Where count or datatype, which MPI wants to be equal, make the call short on some ranks alone, they
 * wait for each other, as with MPI. What differs from one node:
 *  - A reduction is that of each node in the order of its ranks, and what the nodes have is reduced
 *    by MPI's own op, on one communicator in the order of nodes: its bits are as much the same on
 *    all ranks and in every run as those of MPI's allreduce. Of up to 88 bytes they always are the
 *    same on all ranks. A reduce_scatter is reduced by the library also between nodes, in their order.
 *  - What is wrong on one rank is an error on all ranks of all nodes, but what goes wrong once data
 *    moves (memory, MPI itself, a rank that dies) is one on all ranks of that node: others wait for
 *    it. MPI's own errors are ERR_BOOTSTRAP, with its text on all ranks of the node.
 *  - A rank waits for MPI for 7/8 of the deadline, so that the ranks of its node, who wait for it,
 *    hear why. Then, or if MPI failed, calls on the communicator that go between nodes fail at
 *    once: ERR_CLOSED. Of a node that has lost a rank, the others hear at the next call.
 *
 * Return:  MPI_SUCCESS, or an error of MPI's. The library's own errors come as MPI's do: the error
 *          handler of @comm is called, which by default ends the job; after MPI_ERRORS_RETURN the
 *          code is returned. It is of a class of the library's own; MPI_Error_string() tells the
 *          cause until the next error, and ipcshare_last_error() the detail. What is wrong on one
 *          rank (a negative count, MPI_DATATYPE_NULL, no memory to pack) is an error on all:
 *          ERR_INVALID on the others.
 * Threads: as for MPI's: with MPI_THREAD_MULTIPLE any, on different communicators at the same time.
 * Waits:   as long as all ranks of the node live, for IPCSHARE_TIMEOUT if that is set, else for a
 *          day. A rank that dies on another node is MPI's to notice, or the deadline's.
 */
IPCSHARE_API int ipcshare_mpi_barrier(MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_bcast(void *buf, int count, MPI_Datatype type, int root,
				    MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_allgather(const void *send, int send_count, MPI_Datatype send_type,
					void *recv, int recv_count, MPI_Datatype recv_type,
					MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_allgatherv(const void *send, int send_count, MPI_Datatype send_type,
					 void *recv, const int *recv_counts, const int *recv_displs,
					 MPI_Datatype recv_type, MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_gather(const void *send, int send_count, MPI_Datatype send_type,
				     void *recv, int recv_count, MPI_Datatype recv_type, int root,
				     MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_gatherv(const void *send, int send_count, MPI_Datatype send_type,
				      void *recv, const int *recv_counts, const int *recv_displs,
				      MPI_Datatype recv_type, int root, MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_scatter(const void *send, int send_count, MPI_Datatype send_type,
				      void *recv, int recv_count, MPI_Datatype recv_type, int root,
				      MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_scatterv(const void *send, const int *send_counts,
				       const int *send_displs, MPI_Datatype send_type, void *recv,
				       int recv_count, MPI_Datatype recv_type, int root,
				       MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_alltoall(const void *send, int send_count, MPI_Datatype send_type,
				       void *recv, int recv_count, MPI_Datatype recv_type,
				       MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_alltoallv(const void *send, const int *send_counts,
					const int *send_displs, MPI_Datatype send_type, void *recv,
					const int *recv_counts, const int *recv_displs,
					MPI_Datatype recv_type, MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_reduce(const void *send, void *recv, int count, MPI_Datatype type,
				     MPI_Op op, int root, MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_allreduce(const void *send, void *recv, int count, MPI_Datatype type,
					MPI_Op op, MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_reduce_scatter(const void *send, void *recv, const int *recv_counts,
					     MPI_Datatype type, MPI_Op op, MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_reduce_scatter_block(const void *send, void *recv, int recv_count,
						   MPI_Datatype type, MPI_Op op, MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_scan(const void *send, void *recv, int count, MPI_Datatype type,
				   MPI_Op op, MPI_Comm comm);
IPCSHARE_API int ipcshare_mpi_exscan(const void *send, void *recv, int count, MPI_Datatype type,
				     MPI_Op op, MPI_Comm comm);

/* Why calls are left to MPI: X(name, text). */
#define IPCSHARE_MPI_REASON_LIST(X)                                                                \
	X(TYPE, "the type is none that the library reduces, or not with this op")                  \
	X(OP, "the op is the program's own")                                                       \
	X(INTER, "the communicator is an intercommunicator")                                       \
	X(NODES, "the ranks are on several nodes, and the library makes no such call there")       \
	X(SHORT, "the ranks are on several nodes, and it moves less than IPCSHARE_ACROSS bytes")   \
	X(NO_GROUP, "a rank of the communicator can't have a group: IPCSHARE_LOG=error says why")  \
	X(OFF, "a rank has IPCSHARE_MPI=0, or MPI is being finalized")

enum ipcshare_mpi_reason {
	IPCSHARE_MPI_NOTHING, /* they aren't */
#define IPCSHARE_MPI_REASON_ENUM(name, text) IPCSHARE_MPI_##name,
	IPCSHARE_MPI_REASON_LIST(IPCSHARE_MPI_REASON_ENUM)
#undef IPCSHARE_MPI_REASON_ENUM
	IPCSHARE_MPI_REASONS
};

/**
 * struct ipcshare_mpi_counters - what became of the calls above in this process
 * @calls: those that the library did
 * @packed: buffers that this rank packed or unpacked for that
 * @across: those of @calls whose communicator has more than one node
 * @crossed: bytes that this rank gave to MPI for other nodes in them
 * @fallbacks: those that were left to MPI, by reason (enum ipcshare_mpi_reason)
 */
struct ipcshare_mpi_counters {
	size_t size;
	uint64_t calls;
	uint64_t packed;
	uint64_t across;
	uint64_t crossed;
	uint64_t fallbacks[IPCSHARE_MPI_REASONS];
};

/**
 * ipcshare_mpi_counters - read the counters; from any thread, before, during and after MPI
 * @out: out->size must be sizeof(struct ipcshare_mpi_counters)
 *
 * With IPCSHARE_LOG=info the first call that is left to MPI for a reason says so too.
 * Return: 0; ERR_INVALID
 */
IPCSHARE_API int ipcshare_mpi_counters(struct ipcshare_mpi_counters *out);

/** ipcshare_mpi_reason_text - text of a reason for people; never NULL, also for unknown numbers */
IPCSHARE_API const char *ipcshare_mpi_reason_text(int reason);

/**
 * ipcshare_mpi_group_attach - let calls on @comm use a group of the caller's; collective over @comm
 * @group: of all ranks of @comm, in its order, as ipcshare_mpi_group_create() makes it on one node;
 *         or NULL: from the next call on the library has its own again
 *
 * For those who share memory in the group: long blocks in it are copied once, straight to where
 * they go. It stays the caller's, who gives it up here, or frees @comm, before freeing the group;
 * else calls on @comm fail. Collective calls on the group and those on @comm are the caller's to
 * serialise.
 *
 * Return: 0; ERR_INVALID @comm is MPI_COMM_NULL or an intercommunicator, MPI is not up, or a rank
 *         has another number in the group than in @comm; ERR_MISMATCH NULL on some ranks only;
 *         ERR_CLOSED; ERR_FORKED; ERR_NO_MEMORY; ERR_BOOTSTRAP. The same on all ranks; on failure
 *         all is as before.
 */
IPCSHARE_API int ipcshare_mpi_group_attach(struct ipcshare_group *group, MPI_Comm comm);

#ifdef __cplusplus
}
#endif
#endif
