/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare_rdma.h - shared memory registered with a NIC, for the leg between nodes
 *
 * A region is an allocation as a whole: of this process, or of a peer, as it is mapped here. It is
 * registered with a protection domain once for each kind of access, however many buffers of it are
 * asked for; they are addresses in it. So the NIC of this process reads and writes a peer's buffer
 * where it lies.
 *
 *	ipcshare_rdma_open_device -> ibv_alloc_pd -> ipcshare_rdma_domain_create
 *		-> ipcshare_rdma_region ... -> ipcshare_rdma_release ... -> ipcshare_rdma_domain_free
 *		-> ibv_dealloc_pd
 *
 * Devices, queue pairs and completions are the caller's. A program links libipcshare-rdma and
 * libibverbs: pkg-config --cflags --libs ipcshare-rdma. The conventions of <ipcshare.h> hold.
 *
 * How long a registration lives:
 *  - In use, from ipcshare_rdma_region() to ipcshare_rdma_release(), it holds the region as a set
 *    or an ipcshare_map() does: its owner's ipcshare_free(), here or in the peer, is
 *    IPCSHARE_ERR_BUSY.
 *  - Then it is kept for the next who asks, as mappings are. It ends before the memory does: when
 *    the owner frees it, when the mapping it belongs to is closed (ipcshare_trim(), or as too much
 *    is kept), with ipcshare_rdma_trim(), and with its domain. The device is told first, then the
 *    memory is unmapped or given back: so it never writes to what has become something else.
 *  - ipcshare_invalidate() ends registrations of the memory it is called for at once, also those in
 *    use: their keys are dead when it returns. A peer's memory that is invalidated there stays, as
 *    whoever has it mapped keeps the pages.
 *  - ipcshare_abandon() calls no driver: the domain is gone, but the device keeps the registrations
 *    until ibv_close_device(), or the process's end. The pages stay as long.
 *
 * After fork() the child has no domain: IPCSHARE_ERR_FORKED. Memory of this library is shared
 * (MAP_SHARED), not copied on write: what the device writes after a fork is where the parent looks for
 * it, without ibv_fork_init(). Private memory that the program itself registers may need that.
 */
#ifndef IPCSHARE_RDMA_H
#define IPCSHARE_RDMA_H

#include <ipcshare.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ibv_context; /* of <infiniband/verbs.h> */
struct ibv_pd;

/**
 * ipcshare_rdma_open_device - ibv_open_device() by name, which says what is missing
 * @name: "mlx5_0" for example; NULL is the first one
 * @out: to be closed with ibv_close_device()
 *
 * Return: 0; ERR_INVALID; ERR_UNSUPPORTED the machine has no RDMA device, or none of that name;
 *         ERR_NOT_ALLOWED this user may not open it; ERR_SYSTEM
 */
IPCSHARE_API int ipcshare_rdma_open_device(const char *name, struct ibv_context **out);

struct ipcshare_rdma_domain;

/**
 * ipcshare_rdma_domain_create - regions of @ctx are to be registered with @pd
 * @pd: of ibv_alloc_pd(); it stays the caller's, and must be there until the domain is freed
 * @out: it belongs to @ctx, and ends before it
 *
 * Return: 0; ERR_INVALID; ERR_UNSUPPORTED the backend's memory is a device's: a NIC reaches that by
 *         a dma-buf alone, and the Ascend runtime has no call that we know of to export one;
 *         ERR_NO_MEMORY; ERR_CLOSED; ERR_FORKED
 */
IPCSHARE_API int ipcshare_rdma_domain_create(struct ipcshare_ctx *ctx, struct ibv_pd *pd,
					     struct ipcshare_rdma_domain **out);

/**
 * ipcshare_rdma_domain_free - end the registrations that are kept, and the domain
 * @domain: NULL does nothing
 *
 * Return: 0; ERR_BUSY regions were not released (nothing has changed); ERR_CLOSED; ERR_FORKED
 */
IPCSHARE_API int ipcshare_rdma_domain_free(struct ipcshare_rdma_domain *domain);

/**
 * struct ipcshare_rdma_region - a region as the device knows it
 * @base: its first byte here; the address that the device takes for it too, here and remotely
 * @length: bytes
 * @lkey, @rkey: what goes into work requests
 * @access: as asked for
 */
struct ipcshare_rdma_region {
	void *base;
	size_t length;
	uint32_t lkey;
	uint32_t rkey;
	int access;
};

/**
 * ipcshare_rdma_region - the region that an address lies in, registered
 * @ptr: anywhere in memory of the context, or in what ipcshare_map() gave
 * @access: enum ibv_access_flags; with IBV_ACCESS_REMOTE_WRITE or REMOTE_ATOMIC goes LOCAL_WRITE
 * @out: good until ipcshare_rdma_release(), of which each call needs one
 *
 * The whole region is pinned. If the device or RLIMIT_MEMLOCK has no more room, those that are kept
 * in the domain make way.
 *
 * Return:  0; ERR_INVALID; ERR_NOT_SHAREABLE; ERR_READ_ONLY access that writes to a peer's memory
 *          that it shares read-only, or any access where the kernel pins no read-only mapping (seen
 *          on Linux 6.1); ERR_LIMIT RLIMIT_MEMLOCK, which counts registered bytes; ERR_NO_MEMORY;
 *          ERR_UNSUPPORTED the device knows not that access, or can't reach that memory;
 *          ERR_UNREACHABLE the device is lost: free the domain and open it anew, as after
 *          IBV_EVENT_DEVICE_FATAL; ERR_STALE its owner has invalidated it; ERR_CLOSED; ERR_FORKED
 * Threads: any. Others that want the same region wait for the one that registers it.
 * Cost:    the first time ibv_reg_mr() of the region; later one lock.
 */
IPCSHARE_API int ipcshare_rdma_region(struct ipcshare_rdma_domain *domain, const void *ptr,
				      int access, const struct ipcshare_rdma_region **out);

/**
 * ipcshare_rdma_region_of - the same for buffer @i of @rank in a set
 * @set: of the domain's context. Other buffers, and other sets, that lie in the region have the same
 *
 * The buffer begins at ipcshare_ptr(set, @rank, @i). In a lazy set it is mapped, if it isn't yet. The
 * set may be freed before the region is released; the peer can't free the memory until then.
 * Return: as above; ERR_INVALID also an empty buffer; why the buffer can't be used here
 */
IPCSHARE_API int ipcshare_rdma_region_of(struct ipcshare_rdma_domain *domain,
					 struct ipcshare_set *set, int rank, size_t i, int access,
					 const struct ipcshare_rdma_region **out);

/**
 * ipcshare_rdma_release - give a region back
 * @region: NULL does nothing. No work request of the caller uses it any more
 *
 * Return: 0; ERR_CLOSED released before; ERR_FORKED
 */
IPCSHARE_API int ipcshare_rdma_release(const struct ipcshare_rdma_region *region);

/**
 * ipcshare_rdma_trim - end the registrations of a domain that are only kept
 * @ended: set to their number; may be NULL
 */
IPCSHARE_API int ipcshare_rdma_trim(struct ipcshare_rdma_domain *domain, size_t *ended);

/**
 * struct ipcshare_rdma_stats - what a domain has done, and has now
 * @registrations: ibv_reg_mr() that worked
 * @hits: regions that were asked for and registered already
 * @revoked: ended in use, by ipcshare_invalidate()
 * @stuck: that the device did not want to end: it keeps their pages until ibv_close_device()
 * @active: registered now
 * @active_bytes: bytes of them, which count for RLIMIT_MEMLOCK
 * @idle: of @active, only kept
 */
struct ipcshare_rdma_stats {
	size_t size;
	uint64_t registrations;
	uint64_t hits;
	uint64_t revoked;
	uint64_t stuck;
	uint64_t active;
	uint64_t active_bytes;
	uint64_t idle;
};

/** ipcshare_rdma_stats - out->size must be set. ERR_INVALID, ERR_CLOSED, ERR_FORKED */
IPCSHARE_API int ipcshare_rdma_stats(struct ipcshare_rdma_domain *domain,
				     struct ipcshare_rdma_stats *out);

/* ---- For the other node --------------------------------------------------------------------- */

/*
 * What a process on another node needs to read or write a region, in 32 plain bytes. It is in no group
 * with us, so nothing is exchanged for you: send a record for each region, and for each buffer its
 * offset in it, with what set up your queue pairs. Whoever has the record and a queue pair of the
 * domain's ibv_pd can do what its access says, until the region is released and ended: the whitelist of
 * the owner says who may map memory, not what a rank that maps it, or is told its key, lets others do.
 */
struct ipcshare_rdma_record {
	unsigned char bytes[32];
};

struct ipcshare_rdma_remote { /* of a region, or of a buffer in one */
	uint64_t base; /* remote address of its first byte */
	uint64_t length;
	uint32_t rkey;
	int access;
};

/** ipcshare_rdma_pack - ERR_INVALID; ERR_STALE the memory was invalidated; ERR_CLOSED; ERR_FORKED */
IPCSHARE_API int ipcshare_rdma_pack(const struct ipcshare_rdma_region *region,
				    struct ipcshare_rdma_record *out);

/** ipcshare_rdma_unpack - needs no context. ERR_INVALID; ERR_PROTOCOL, ERR_VERSION malformed */
IPCSHARE_API int ipcshare_rdma_unpack(const struct ipcshare_rdma_record *record,
				      struct ipcshare_rdma_remote *out);

/* ---- Keys of all ranks ---------------------------------------------------------------------- */

/*
 * Keys of a set are what another node needs for each buffer of each rank. A rank registers the
 * regions of its own buffers, once each, with a NIC of its own choice; then all ranks have the keys,
 * so that one of them, a leader, can hand any rank's buffers to another node:
 *
 *	ipcshare_share -> ipcshare_rdma_share -> ipcshare_rdma_keys_at, _keys_record ...
 *		-> ipcshare_rdma_keys_free -> ipcshare_group_free, ipcshare_rdma_domain_free
 *
 * A key opens memory over queue pairs of the ibv_pd that it was registered with, its owner's: the
 * other node needs one that is connected to each rank whose buffers it is to reach.
 *
 * As long as a rank has the keys, they hold its own regions, as ipcshare_rdma_region() does, and the
 * group; not the set. When it frees them its memory stays registered, as other regions do, but may
 * be given back: agree beforehand that the other node has done. ipcshare_invalidate() ends the keys
 * of that memory at once. The other ranks' keys say nothing of it, but what is asked with them fails
 * (IBV_WC_REM_ACCESS_ERR).
 */
struct ipcshare_rdma_keys;

/**
 * ipcshare_rdma_share - register one's own buffers of @set, and exchange the keys of all ranks
 * @domain: of the set's context; NULL will do for a rank that has no buffers in the set
 * @set: of ipcshare_share(); the same on all ranks
 * @access: what others may do with this rank's buffers: as for ipcshare_rdma_region(), with one of
 *          IBV_ACCESS_REMOTE_*. It need not be the same on all ranks
 * @out: set on success; to be freed with ipcshare_rdma_keys_free(), before the group
 *
 * Collective, as ipcshare_share() is. If a rank can't register, all ranks fail alike, with its rank,
 * its reason and one of its buffers in the last error; nothing is in use then that was not before,
 * and the group goes on.
 *
 * Return:  0; on any rank: ERR_INVALID, also a set of ipcshare_share_complete(); ERR_READ_ONLY access
 *          that writes, but the rank shares its buffers with IPCSHARE_READ_ONLY; ERR_LIMIT
 *          RLIMIT_MEMLOCK; ERR_NO_MEMORY; ERR_UNSUPPORTED; ERR_UNREACHABLE; ERR_STALE the rank has
 *          invalidated memory of the set; ERR_MISMATCH the ranks give different sets;
 *          ERR_PROTOCOL, ERR_VERSION what a rank sent can't be; ERR_PEER_DEAD, ERR_TIMEOUT: the
 *          group is of no more use then. The same on all ranks. Faults of the set or its group
 *          themselves are the caller's alone: ERR_CLOSED, ERR_FORKED
 * Threads: the calls of a rank are the caller's to serialise, as of all collectives of the group.
 * Cost:    ibv_reg_mr() of each region that isn't registered yet; two rounds of the group, and one
 *          more for each 1600 regions of a rank. 40 bytes travel for a region, however many buffers
 *          lie in it
 */
IPCSHARE_API int ipcshare_rdma_share(struct ipcshare_rdma_domain *domain, struct ipcshare_set *set,
				     int access, struct ipcshare_rdma_keys **out);

/**
 * ipcshare_rdma_keys_at - where the other node finds buffer @i of @rank
 *
 * What the set says of its buffers counts: so after ipcshare_set_update() it is where the new buffer lies,
 * if that region was in the set when the keys were shared.
 *
 * Return:  0; ERR_INVALID, also no such buffer, or it is empty; why the buffer can't be used here;
 *          ERR_STALE an update has brought its region into the set: share keys anew; ERR_CLOSED the set
 *          was freed, or the keys; ERR_FORKED
 * Threads: any. Cost: one lock.
 */
IPCSHARE_API int ipcshare_rdma_keys_at(const struct ipcshare_rdma_keys *keys, int rank, size_t i,
				       struct ipcshare_rdma_remote *out);

/**
 * ipcshare_rdma_keys_record - the same as a record of the buffer's region, and the offset in it
 *
 * Of all buffers that lie in one region it is the same: so the other node need be told it once.
 * Return, Threads, Cost: as of ipcshare_rdma_keys_at()
 */
IPCSHARE_API int ipcshare_rdma_keys_record(const struct ipcshare_rdma_keys *keys, int rank,
					   size_t i, struct ipcshare_rdma_record *out,
					   uint64_t *offset);

/**
 * ipcshare_rdma_keys_free - release the regions of this rank
 * @keys: NULL does nothing
 *
 * Local: it waits for no rank. Return: 0; ERR_CLOSED; ERR_FORKED
 */
IPCSHARE_API int ipcshare_rdma_keys_free(struct ipcshare_rdma_keys *keys);

#ifdef __cplusplus
}
#endif
#endif
