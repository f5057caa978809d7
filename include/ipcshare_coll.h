/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare_coll.h - collectives between the ranks of a group
 *
 * The conventions of <ipcshare.h> hold. What is said here holds for every collective below:
 *  - All ranks of the group call it, in the same order, with the same type, op, root and count
 *    where there is one count. Counts are elements. A count of 0 is allowed, and pointers may be
 *    anything then.
 *  - The ranks' calls are the caller's to serialise, also with ipcshare_share() and the other
 *    collectives of <ipcshare.h>. Different groups may be used at the same time.
 *  - Buffers are memory that the CPU can reach, aligned as their type wants it; send and receive
 *    buffers must not overlap. Only IPCSHARE_IN_PLACE makes one of both, as in MPI.
 *  - A reduction combines the ranks in their order, ((x0 op x1) op x2) ..., each element on one
 *    rank or on all alike: its result has the same bits on all ranks and in every run.
 *  - A call returns when its buffers may be used again. Only ipcshare_barrier() promises that all
 *    ranks have come.
 *
 * Return: 0; ERR_INVALID on any rank an argument is NULL or out of range, or there is no such op
 *         for the type; ERR_MISMATCH the ranks make different calls, or with IPCSHARE_CHECK=1 pass
 *         types, ops, roots or lengths that don't fit together, which is undefined without it;
 *         ERR_PEER_DEAD, ERR_TIMEOUT: the group is of no more use then; ERR_LIMIT more than 4000
 *         ranks, where each has bytes for each; ERR_PROTOCOL; ERR_NO_MEMORY. The same on every
 *         rank, with the rank concerned in the last error; what is in the receive buffers is
 *         undefined then. ERR_CLOSED, ERR_FORKED or ERR_INVALID of the group itself are the
 *         caller's alone.
 */
#ifndef IPCSHARE_COLL_H
#define IPCSHARE_COLL_H

#include <ipcshare.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Types and ops ------------------------------------------------------------------------- */

/*
 * X(name, bytes). The pairs are what minloc and maxloc work on: struct { value; int32_t index; },
 * laid out as C does.
 */
#define IPCSHARE_TYPE_LIST(X)                                                                      \
	X(INT8, 1)                                                                                 \
	X(UINT8, 1)                                                                                \
	X(INT16, 2)                                                                                \
	X(UINT16, 2)                                                                               \
	X(INT32, 4)                                                                                \
	X(UINT32, 4)                                                                               \
	X(INT64, 8)                                                                                \
	X(UINT64, 8)                                                                               \
	X(FP16, 2)                                                                                 \
	X(BF16, 2)                                                                                 \
	X(FP32, 4)                                                                                 \
	X(FP64, 8)                                                                                 \
	X(INT16_INDEX, 8)                                                                          \
	X(INT32_INDEX, 8)                                                                          \
	X(INT64_INDEX, 16)                                                                         \
	X(FP32_INDEX, 8)                                                                           \
	X(FP64_INDEX, 16)

enum ipcshare_type {
#define IPCSHARE_TYPE_ENUM(name, bytes) IPCSHARE_##name,
	IPCSHARE_TYPE_LIST(IPCSHARE_TYPE_ENUM)
#undef IPCSHARE_TYPE_ENUM
	IPCSHARE_TYPES
};

/* Sums and products of integers wrap around; fp16 and bf16 are rounded to nearest at each step. */
/* clang-format off */
#define IPCSHARE_OP_LIST(X)                                                                        \
	X(SUM) X(PROD) X(MIN) X(MAX)	/* numbers */                                              \
	X(BAND) X(BOR) X(BXOR)		/* integers, bit by bit */                                 \
	X(LAND) X(LOR) X(LXOR)		/* integers, 0 or not; gives 0 or 1 */                     \
	X(MINLOC) X(MAXLOC)		/* pairs: of equal values the lower index */
/* clang-format on */

enum ipcshare_op_kind {
	IPCSHARE_OP_NONE,
#define IPCSHARE_OP_ENUM(name) IPCSHARE_OP_##name,
	IPCSHARE_OP_LIST(IPCSHARE_OP_ENUM)
#undef IPCSHARE_OP_ENUM
	IPCSHARE_OPS
};

/**
 * struct ipcshare_op - an op of the caller's own
 * @size: sizeof(struct ipcshare_op)
 * @fn: acc[i] = acc[i] op in[i] for @count elements. @acc is of lower ranks, so the op need not be
 *      commutative; it must be associative in the caller's eyes. Any type is allowed
 * @arg: passed to @fn
 *
 * Give its address where an op is wanted; it must live as long as the call. Calls that reduce must
 * give the same op on all ranks.
 */
struct ipcshare_op {
	size_t size;
	void (*fn)(void *acc, const void *in, size_t count, enum ipcshare_type type, void *arg);
	void *arg;
};

/* The ops that are there; no more than names for the library, don't look through them. */
#define IPCSHARE_SUM ((const struct ipcshare_op *)IPCSHARE_OP_SUM)
#define IPCSHARE_PROD ((const struct ipcshare_op *)IPCSHARE_OP_PROD)
#define IPCSHARE_MIN ((const struct ipcshare_op *)IPCSHARE_OP_MIN)
#define IPCSHARE_MAX ((const struct ipcshare_op *)IPCSHARE_OP_MAX)
#define IPCSHARE_BAND ((const struct ipcshare_op *)IPCSHARE_OP_BAND)
#define IPCSHARE_BOR ((const struct ipcshare_op *)IPCSHARE_OP_BOR)
#define IPCSHARE_BXOR ((const struct ipcshare_op *)IPCSHARE_OP_BXOR)
#define IPCSHARE_LAND ((const struct ipcshare_op *)IPCSHARE_OP_LAND)
#define IPCSHARE_LOR ((const struct ipcshare_op *)IPCSHARE_OP_LOR)
#define IPCSHARE_LXOR ((const struct ipcshare_op *)IPCSHARE_OP_LXOR)
#define IPCSHARE_MINLOC ((const struct ipcshare_op *)IPCSHARE_OP_MINLOC)
#define IPCSHARE_MAXLOC ((const struct ipcshare_op *)IPCSHARE_OP_MAXLOC)

/** ipcshare_type_size - bytes of an element; 0 if there is no such type */
IPCSHARE_API size_t ipcshare_type_size(enum ipcshare_type type);

/** ipcshare_type_name - "fp32" for IPCSHARE_FP32; never NULL */
IPCSHARE_API const char *ipcshare_type_name(enum ipcshare_type type);

/** ipcshare_op_name - "sum" for IPCSHARE_SUM, "user" for the caller's own; never NULL */
IPCSHARE_API const char *ipcshare_op_name(const struct ipcshare_op *op);

/** ipcshare_op_allows - can @op reduce elements of @type? 1, or 0 */
IPCSHARE_API int ipcshare_op_allows(const struct ipcshare_op *op, enum ipcshare_type type);

/* ---- Moving data --------------------------------------------------------------------------- */

/* The send buffer of some calls, the receive buffer of a scatter: what they say. */
#define IPCSHARE_IN_PLACE ((void *)-1)

/*
 * Small messages take one round in the memory of the group, in which every rank looks at all others
 * once; a few bytes travel beside the flag that the others wait for. Long ones take one round for
 * each 64 KiB of a rank's block (each 64 KiB of all blocks together, where every rank has one for
 * each other): one copy into shared memory, one out of it. Blocks of 64 KiB and more are copied
 * once, from where they lie to where they go, or reduced there, in two or three rounds, if all that
 * are given lie in allocations that were shared in this group by ipcshare_share(), and the results of
 * reductions too, but for reduce_scatter; not in an alltoall or reduce_scatter in place. Only speed tells
 * the difference.
 */

/** ipcshare_barrier - all ranks have come */
IPCSHARE_API int ipcshare_barrier(struct ipcshare_group *group);

/** ipcshare_bcast - @count elements at @buf of @root become those of all ranks */
IPCSHARE_API int ipcshare_bcast(struct ipcshare_group *group, void *buf, size_t count,
				enum ipcshare_type type, int root);

/**
 * ipcshare_allgather - @count elements of every rank, in rank order, into @recv of all
 * @send: IPCSHARE_IN_PLACE: they are in their place in @recv already; for all ranks or none
 */
IPCSHARE_API int ipcshare_allgather(struct ipcshare_group *group, const void *send, void *recv,
				    size_t count, enum ipcshare_type type);

/**
 * ipcshare_allgatherv - the same with counts[r] elements of rank r, which go to displs[r]
 * @counts, @displs: in elements, the counts the same on all ranks; @displs NULL: without gaps
 */
IPCSHARE_API int ipcshare_allgatherv(struct ipcshare_group *group, const void *send, void *recv,
				     const size_t *counts, const size_t *displs,
				     enum ipcshare_type type);

/**
 * ipcshare_gather - @count elements of every rank, in rank order, into @recv of @root
 * @send: IPCSHARE_IN_PLACE, at the root only: its own are in their place
 * @recv: only looked at on the root
 */
IPCSHARE_API int ipcshare_gather(struct ipcshare_group *group, const void *send, void *recv,
				 size_t count, enum ipcshare_type type, int root);

/**
 * ipcshare_gatherv - the same with another @count on each rank
 * @count: of this rank; the root's is counts[root]
 * @counts, @displs: only looked at on the root; @displs NULL: without gaps
 */
IPCSHARE_API int ipcshare_gatherv(struct ipcshare_group *group, const void *send, size_t count,
				  void *recv, const size_t *counts, const size_t *displs,
				  enum ipcshare_type type, int root);

/**
 * ipcshare_scatter - @count elements for every rank, in rank order at @send of @root
 * @send: only looked at on the root
 * @recv: IPCSHARE_IN_PLACE, at the root only: its own stay where they are
 */
IPCSHARE_API int ipcshare_scatter(struct ipcshare_group *group, const void *send, void *recv,
				  size_t count, enum ipcshare_type type, int root);

/** ipcshare_scatterv - the same with counts[r] elements at displs[r] for rank r; see gatherv */
IPCSHARE_API int ipcshare_scatterv(struct ipcshare_group *group, const void *send,
				   const size_t *counts, const size_t *displs, void *recv,
				   size_t count, enum ipcshare_type type, int root);

/**
 * ipcshare_alltoall - @count elements of every rank for every rank
 * @send: IPCSHARE_IN_PLACE: what is in @recv, which is written over; for all ranks or none
 */
IPCSHARE_API int ipcshare_alltoall(struct ipcshare_group *group, const void *send, void *recv,
				   size_t count, enum ipcshare_type type);

/**
 * ipcshare_alltoallv - the same with another number of elements for each pair of ranks
 * @send_counts, @send_displs: not looked at with IPCSHARE_IN_PLACE, where every two ranks must have
 *                             as much for each other
 * @recv_counts, @recv_displs: in elements; what a rank gives must be what the other wants
 */
IPCSHARE_API int ipcshare_alltoallv(struct ipcshare_group *group, const void *send,
				    const size_t *send_counts, const size_t *send_displs,
				    void *recv, const size_t *recv_counts,
				    const size_t *recv_displs, enum ipcshare_type type);

/* ---- Reducing ------------------------------------------------------------------------------ */

/*
 * @send IPCSHARE_IN_PLACE: what is to be reduced is in @recv, which is written over.
 *
 * Short messages take one round, and each rank reduces them for itself. Of long ones each rank
 * reduces a part; of a scan, what is of ranks up to itself.
 */

/** ipcshare_reduce - the elements of all ranks, reduced, in @recv of @root; in place there only */
IPCSHARE_API int ipcshare_reduce(struct ipcshare_group *group, const void *send, void *recv,
				 size_t count, enum ipcshare_type type,
				 const struct ipcshare_op *op, int root);

/** ipcshare_allreduce - the same in @recv of all; in place for all ranks or none */
IPCSHARE_API int ipcshare_allreduce(struct ipcshare_group *group, const void *send, void *recv,
				    size_t count, enum ipcshare_type type,
				    const struct ipcshare_op *op);

/**
 * ipcshare_reduce_scatter - of what all reduce to, counts[r] elements in @recv of each rank r
 * @send: the elements for rank 0, for rank 1, and so on; IPCSHARE_IN_PLACE: they are in @recv,
 *        which then begins with the result, and is undefined behind it
 * @counts: the same on all ranks
 */
IPCSHARE_API int ipcshare_reduce_scatter(struct ipcshare_group *group, const void *send, void *recv,
					 const size_t *counts, enum ipcshare_type type,
					 const struct ipcshare_op *op);

/** ipcshare_reduce_scatter_block - the same with @count elements for each rank */
IPCSHARE_API int ipcshare_reduce_scatter_block(struct ipcshare_group *group, const void *send,
					       void *recv, size_t count, enum ipcshare_type type,
					       const struct ipcshare_op *op);

/** ipcshare_scan - the elements of the ranks up to this one, reduced */
IPCSHARE_API int ipcshare_scan(struct ipcshare_group *group, const void *send, void *recv,
			       size_t count, enum ipcshare_type type, const struct ipcshare_op *op);

/** ipcshare_exscan - of the ranks before this one; @recv of rank 0 stays as it is */
IPCSHARE_API int ipcshare_exscan(struct ipcshare_group *group, const void *send, void *recv,
				 size_t count, enum ipcshare_type type,
				 const struct ipcshare_op *op);

/* ---- Views: nothing is moved ---------------------------------------------------------------- */

/*
 * A view shows blocks of other ranks where they lie. From the call that makes it to its end nobody
 * may write to what it shows. ipcshare_view_free() is the end: when it returns, no rank reads any
 * more. Until then the allocations can't be given back (ipcshare_free() is ERR_BUSY, on the rank
 * that shows them) and neither can the group; a view that is freed or abandoned shows nothing.
 *
 * Blocks of any length are mapped, if all that are given lie in allocations that were shared in
 * this group by ipcshare_share(); else they are moved to memory of the view. Only speed and memory
 * tell the difference.
 *
 * Return: as all collectives; ERR_INVALID also @view is NULL. *@view is set on success.
 * Cost: two rounds, and what ipcshare_map() takes for an allocation that was not mapped here yet.
 */
struct ipcshare_view;

/** ipcshare_bcast_view - @count elements at @buf of @root, which alone looks at @buf */
IPCSHARE_API int ipcshare_bcast_view(struct ipcshare_group *group, const void *buf, size_t count,
				     enum ipcshare_type type, int root,
				     struct ipcshare_view **view);

/** ipcshare_allgather_view - @count elements of every rank */
IPCSHARE_API int ipcshare_allgather_view(struct ipcshare_group *group, const void *send,
					 size_t count, enum ipcshare_type type,
					 struct ipcshare_view **view);

/** ipcshare_alltoall_view - @count elements that every rank has for this one */
IPCSHARE_API int ipcshare_alltoall_view(struct ipcshare_group *group, const void *send,
					size_t count, enum ipcshare_type type,
					struct ipcshare_view **view);

/**
 * ipcshare_allreduce_shared - what the elements of all ranks reduce to: once, and all read it there
 * @send, @recv: as for ipcshare_reduce() to @root, which it does first; then the view shows @recv
 *               of @root
 */
IPCSHARE_API int ipcshare_allreduce_shared(struct ipcshare_group *group, const void *send,
					   void *recv, size_t count, enum ipcshare_type type,
					   const struct ipcshare_op *op, int root,
					   struct ipcshare_view **view);

/**
 * ipcshare_view_ptr - the block of @rank, for reading
 *
 * Return: NULL, with the last error, if there is none: only the root of a bcast has one, and none
 *         has 0 elements; ERR_CLOSED the view has ended. Our own block is where it was given, if
 *         nothing was moved.
 * Threads: any. Cost: a look-up.
 */
IPCSHARE_API const void *ipcshare_view_ptr(const struct ipcshare_view *view, int rank);

/**
 * ipcshare_view_free - the view's end; NULL is none
 *
 * Collective, as ipcshare_set_free() is: on all ranks, in the same order. The view is gone whatever
 * it returns, and what it showed is no longer mapped for it.
 */
IPCSHARE_API int ipcshare_view_free(struct ipcshare_view *view);

/* ---- Started, and ended later ---------------------------------------------------------------- */

/*
 * Each collective has a form that starts it and comes back. Its arguments, and what they point to,
 * must stay as they are until it is over. The calls of a group, of both forms, are made in the
 * order in which they are started, one after the other; all ranks must start them in the same
 * order. One that does not return the request comes back when all calls before it are over and so
 * is it.
 *
 * Nothing happens behind the caller's back: a call gets on while a rank starts, tests or waits for
 * one of the group, and while it makes another collective call of the group. So compute and test in
 * turn.
 *
 * A request must be tested until it is done, or waited for; ipcshare_group_free() is ERR_BUSY
 * before that. After ipcshare_abandon() both say so, and give back the request.
 *
 * Return: 0, and *@request is to be ended; or the caller's own faults, as of all collectives.
 *         Faults of the arguments come with the end. If there is no memory or no @request, the call
 *         fails at once, on all ranks: here that is what the start returns.
 * Cost: an allocation; a test without news reads a line of each peer.
 */
struct ipcshare_request;

/**
 * ipcshare_request_test - get on as far as possible without waiting
 * @request: set to NULL when it is done; NULL is done
 * @done: 1 or 0. It may take any number of tests: they know no deadline, but do notice peers that
 *        die
 *
 * Return: 0; if done, what the collective returns.
 */
IPCSHARE_API int ipcshare_request_test(struct ipcshare_request **request, int *done);

/**
 * ipcshare_request_wait - wait until it is done; NULL is done
 *
 * Return: what the collective returns. Each round has the deadline of all collectives, from the
 *         moment the rank waits for it.
 */
IPCSHARE_API int ipcshare_request_wait(struct ipcshare_request **request);

IPCSHARE_API int ipcshare_barrier_start(struct ipcshare_group *group,
					struct ipcshare_request **request);
IPCSHARE_API int ipcshare_bcast_start(struct ipcshare_group *group, void *buf, size_t count,
				      enum ipcshare_type type, int root,
				      struct ipcshare_request **request);
IPCSHARE_API int ipcshare_allgather_start(struct ipcshare_group *group, const void *send,
					  void *recv, size_t count, enum ipcshare_type type,
					  struct ipcshare_request **request);
IPCSHARE_API int ipcshare_allgatherv_start(struct ipcshare_group *group, const void *send,
					   void *recv, const size_t *counts, const size_t *displs,
					   enum ipcshare_type type,
					   struct ipcshare_request **request);
IPCSHARE_API int ipcshare_gather_start(struct ipcshare_group *group, const void *send, void *recv,
				       size_t count, enum ipcshare_type type, int root,
				       struct ipcshare_request **request);
IPCSHARE_API int ipcshare_gatherv_start(struct ipcshare_group *group, const void *send,
					size_t count, void *recv, const size_t *counts,
					const size_t *displs, enum ipcshare_type type, int root,
					struct ipcshare_request **request);
IPCSHARE_API int ipcshare_scatter_start(struct ipcshare_group *group, const void *send, void *recv,
					size_t count, enum ipcshare_type type, int root,
					struct ipcshare_request **request);
IPCSHARE_API int ipcshare_scatterv_start(struct ipcshare_group *group, const void *send,
					 const size_t *counts, const size_t *displs, void *recv,
					 size_t count, enum ipcshare_type type, int root,
					 struct ipcshare_request **request);
IPCSHARE_API int ipcshare_alltoall_start(struct ipcshare_group *group, const void *send, void *recv,
					 size_t count, enum ipcshare_type type,
					 struct ipcshare_request **request);
IPCSHARE_API int ipcshare_alltoallv_start(struct ipcshare_group *group, const void *send,
					  const size_t *send_counts, const size_t *send_displs,
					  void *recv, const size_t *recv_counts,
					  const size_t *recv_displs, enum ipcshare_type type,
					  struct ipcshare_request **request);
IPCSHARE_API int ipcshare_reduce_start(struct ipcshare_group *group, const void *send, void *recv,
				       size_t count, enum ipcshare_type type,
				       const struct ipcshare_op *op, int root,
				       struct ipcshare_request **request);
IPCSHARE_API int ipcshare_allreduce_start(struct ipcshare_group *group, const void *send,
					  void *recv, size_t count, enum ipcshare_type type,
					  const struct ipcshare_op *op,
					  struct ipcshare_request **request);
IPCSHARE_API int ipcshare_reduce_scatter_start(struct ipcshare_group *group, const void *send,
					       void *recv, const size_t *counts,
					       enum ipcshare_type type,
					       const struct ipcshare_op *op,
					       struct ipcshare_request **request);
IPCSHARE_API int ipcshare_reduce_scatter_block_start(struct ipcshare_group *group, const void *send,
						     void *recv, size_t count,
						     enum ipcshare_type type,
						     const struct ipcshare_op *op,
						     struct ipcshare_request **request);
IPCSHARE_API int ipcshare_scan_start(struct ipcshare_group *group, const void *send, void *recv,
				     size_t count, enum ipcshare_type type,
				     const struct ipcshare_op *op,
				     struct ipcshare_request **request);
IPCSHARE_API int ipcshare_exscan_start(struct ipcshare_group *group, const void *send, void *recv,
				       size_t count, enum ipcshare_type type,
				       const struct ipcshare_op *op,
				       struct ipcshare_request **request);

/* ---- In the order of a stream ---------------------------------------------------------------- */

/*
 * Each collective has a form that queues it on a stream, on backends whose memory is a device's:
 * @stream is an aclrtStream of the context's device on ascend. The ranks agree on the call, and
 *     queue it; on return its
 * buffers are as before, and when the stream has come so far, the call is made. All bytes are moved
 * and reduced by the device. The calls of one rank follow each other also on different streams.
 * NULL: on a stream of the library's own, to its end. On host there is nothing but NULL, anything
 * else is ERR_INVALID.
 *
 *  - What a rank gives to others must lie in memory that its group shares by ipcshare_share(), in a
 *    set that is alive and not made with IPCSHARE_LAZY; what it receives may be any memory of its
 *    device, but with IPCSHARE_IN_PLACE both are one. Sets, group, and @recv must stay until the
 *    stream is synchronised.
 *  - Sum, min and max are reduced, of int8, int16, int32, fp16, bf16 and fp32; all else is
 *    ERR_UNSUPPORTED. The ranks are combined in their order here too. Long allreduces take less of
 *    the links if what is received lies in shared memory as well.
 *  - A wait on the stream ends after the deadline of the context, also one for a peer whose stream
 *    is behind: then the stream's next synchronisation fails. Free the group then, for its streams
 *    are out of step.
 *  - May be captured, if all ranks do: each replay is a call like any other, to be made by all
 *    alike.
 *
 * Return: as of the call itself, the same on every rank, and: ERR_INVALID what is given is not
 *         shared so; ERR_UNSUPPORTED; ERR_MISMATCH some ranks queue the call, others make it;
 *         ERR_LIMIT, and others of the device. Some ranks may have queued their part of a call that
 *         failed: synchronise the stream all the same. ERR_CLOSED also if an earlier one has failed
 *         so that the ranks' streams are out of step.
 * Cost:   two rounds in the memory of the group, before and after it is queued. The first such call
 *         of a group makes two notifies for each peer and opens two of its own; the first that
 *         reduces, or has a block for each rank, takes 6 MiB of the device. They stay until the
 *         group is freed.
 */
IPCSHARE_API int ipcshare_barrier_async(struct ipcshare_group *group, void *stream);
IPCSHARE_API int ipcshare_bcast_async(struct ipcshare_group *group, void *buf, size_t count,
				      enum ipcshare_type type, int root, void *stream);
IPCSHARE_API int ipcshare_allgather_async(struct ipcshare_group *group, const void *send,
					  void *recv, size_t count, enum ipcshare_type type,
					  void *stream);
IPCSHARE_API int ipcshare_allgatherv_async(struct ipcshare_group *group, const void *send,
					   void *recv, const size_t *counts, const size_t *displs,
					   enum ipcshare_type type, void *stream);
IPCSHARE_API int ipcshare_gather_async(struct ipcshare_group *group, const void *send, void *recv,
				       size_t count, enum ipcshare_type type, int root,
				       void *stream);
IPCSHARE_API int ipcshare_gatherv_async(struct ipcshare_group *group, const void *send,
					size_t count, void *recv, const size_t *counts,
					const size_t *displs, enum ipcshare_type type, int root,
					void *stream);
IPCSHARE_API int ipcshare_scatter_async(struct ipcshare_group *group, const void *send, void *recv,
					size_t count, enum ipcshare_type type, int root,
					void *stream);
IPCSHARE_API int ipcshare_scatterv_async(struct ipcshare_group *group, const void *send,
					 const size_t *counts, const size_t *displs, void *recv,
					 size_t count, enum ipcshare_type type, int root,
					 void *stream);
IPCSHARE_API int ipcshare_alltoall_async(struct ipcshare_group *group, const void *send, void *recv,
					 size_t count, enum ipcshare_type type, void *stream);
IPCSHARE_API int ipcshare_alltoallv_async(struct ipcshare_group *group, const void *send,
					  const size_t *send_counts, const size_t *send_displs,
					  void *recv, const size_t *recv_counts,
					  const size_t *recv_displs, enum ipcshare_type type,
					  void *stream);
IPCSHARE_API int ipcshare_reduce_async(struct ipcshare_group *group, const void *send, void *recv,
				       size_t count, enum ipcshare_type type,
				       const struct ipcshare_op *op, int root, void *stream);
IPCSHARE_API int ipcshare_allreduce_async(struct ipcshare_group *group, const void *send,
					  void *recv, size_t count, enum ipcshare_type type,
					  const struct ipcshare_op *op, void *stream);
IPCSHARE_API int ipcshare_reduce_scatter_async(struct ipcshare_group *group, const void *send,
					       void *recv, const size_t *counts,
					       enum ipcshare_type type,
					       const struct ipcshare_op *op, void *stream);
IPCSHARE_API int ipcshare_reduce_scatter_block_async(struct ipcshare_group *group, const void *send,
						     void *recv, size_t count,
						     enum ipcshare_type type,
						     const struct ipcshare_op *op, void *stream);
IPCSHARE_API int ipcshare_scan_async(struct ipcshare_group *group, const void *send, void *recv,
				     size_t count, enum ipcshare_type type,
				     const struct ipcshare_op *op, void *stream);
IPCSHARE_API int ipcshare_exscan_async(struct ipcshare_group *group, const void *send, void *recv,
				       size_t count, enum ipcshare_type type,
				       const struct ipcshare_op *op, void *stream);

#ifdef __cplusplus
}
#endif
#endif
