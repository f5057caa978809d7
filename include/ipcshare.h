/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ipcshare.h - buffers shared in place between the ranks of one node
 *
 * A rank allocates memory (or registers what it has), a group of ranks shares buffers in one
 * collective call, and from then on ipcshare_ptr() gives every rank a pointer into every other
 * rank's buffer. Nothing is copied.
 *
 *	ipcshare_open -> ipcshare_alloc -> ipcshare_group_create -> ipcshare_share
 *		-> ipcshare_ptr ... -> ipcshare_set_free -> ipcshare_group_free -> ipcshare_close
 *
 * Conventions of every function here, unless its comment says otherwise:
 *  - It returns 0 or a negative enum ipcshare_status. Outputs are set on success and untouched
 *    on failure. ipcshare_last_error() says more.
 *  - Lengths and offsets are bytes. Ranks are group ranks, from 0.
 *  - "collective" means: every rank of the group calls it, in the same order. It completes on
 *    every rank and gives the same verdict on all of them.
 *  - Functions that are not collective may be called from any thread. Collective calls on one
 *    group are the caller's to serialise; different groups may be used at the same time.
 *  - Handles (context, arena, group, set, plan, share) that were freed, and contexts inherited by
 *    fork, are recognised: IPCSHARE_ERR_CLOSED, IPCSHARE_ERR_FORKED. This is best effort: the
 *    allocator may give a new handle the address of an old one.
 */
#ifndef IPCSHARE_H
#define IPCSHARE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IPCSHARE_API __attribute__((visibility("default")))

#define IPCSHARE_VERSION_MAJOR 0
#define IPCSHARE_VERSION_MINOR 1
#define IPCSHARE_VERSION_PATCH 0

/* ---- Status and errors ------------------------------------------------------------------- */

/* One status per cause that a caller can act on: X(name, number, text). */
#define IPCSHARE_STATUS_LIST(X)                                                                    \
	X(OK, 0, "success")                                                                        \
	X(ERR_INVALID, -1, "an argument is NULL or out of range")                                  \
	X(ERR_CLOSED, -2, "the handle is not alive: freed, abandoned or never made")               \
	X(ERR_FORKED, -3, "the context was made before fork() and is dead in the child")           \
	X(ERR_CONFIG, -4, "a setting has a value that is not accepted")                            \
	X(ERR_NO_BACKEND, -5, "the backend is unknown or can't be used on this machine")           \
	X(ERR_NO_MEMORY, -6, "out of memory or address space")                                     \
	X(ERR_LIMIT, -7, "a limit is reached: file descriptors, mappings or a fixed maximum")      \
	X(ERR_NOT_SHAREABLE, -8, "the pointer is not shareable memory of this context")            \
	X(ERR_RANGE, -9, "the buffer runs past the end of its allocation")                         \
	X(ERR_BUSY, -10, "still in use: shared, mapped by a peer, or owning live objects")         \
	X(ERR_READ_ONLY, -11, "write access to memory that was shared read-only")                  \
	X(ERR_OPEN_EXPORT, -12,                                                                    \
	  "the allocation was exported the other way before: open or listed")                      \
	X(ERR_NOT_ALLOWED, -13, "this process is not on the owner's whitelist")                    \
	X(ERR_STALE, -14, "the descriptor names memory that its owner has freed")                  \
	X(ERR_PROTOCOL, -15, "bytes from another process are malformed or altered")                \
	X(ERR_VERSION, -16, "the other process uses another layout of the shared bytes")           \
	X(ERR_MISMATCH, -17, "the ranks called with arguments that don't fit together")            \
	X(ERR_BOOTSTRAP, -18, "a bootstrap callback failed")                                       \
	X(ERR_OTHER_NODE, -19, "the memory is on another node")                                    \
	X(ERR_UNREACHABLE, -20, "the owner, or its device, can't be reached from here")            \
	X(ERR_PEER_DEAD, -21, "a peer process has ended")                                          \
	X(ERR_TIMEOUT, -22, "a peer did not answer before the deadline")                           \
	X(ERR_UNSUPPORTED, -23, "this backend or kernel can't do that")                            \
	X(ERR_SYSTEM, -24, "a system call failed in a way the library does not expect")

enum ipcshare_status {
#define IPCSHARE_STATUS_ENUM(name, number, text) IPCSHARE_##name = number,
	IPCSHARE_STATUS_LIST(IPCSHARE_STATUS_ENUM)
#undef IPCSHARE_STATUS_ENUM
};

/**
 * struct ipcshare_error - what went wrong last in this thread
 * @status: enum ipcshare_status
 * @rank: group rank it happened on or with, -1 if none is concerned
 * @index: index of the buffer concerned, -1 if none
 * @code: the system's (errno) or the backend's own number, 0 if none
 * @stage: the step that failed, "export" or "import" for example; never NULL
 * @text: the cause
 * @hint: the likely remedy; may be empty
 */
struct ipcshare_error {
	int status;
	int rank;
	int64_t index;
	int64_t code;
	const char *stage;
	char text[256];
	char hint[256];
};

/**
 * ipcshare_last_error - detail of the last failure seen by this thread
 *
 * A collective that failed on another rank leaves that rank's detail here too.
 * Return: never NULL; .status is 0 before the first failure. Valid until this thread's next
 *         failing call.
 */
IPCSHARE_API const struct ipcshare_error *ipcshare_last_error(void);

/**
 * ipcshare_explain - the last failure of this thread as one line for a person
 *
 * "import: rank 2, buffer 17: cause (hint)". Return: never NULL; valid until the next call of this
 * function in this thread.
 */
IPCSHARE_API const char *ipcshare_explain(void);

/** ipcshare_strerror - constant text of a status; never NULL, also for unknown numbers */
IPCSHARE_API const char *ipcshare_strerror(int status);

/** ipcshare_status_name - "IPCSHARE_ERR_BUSY"; never NULL, also for unknown numbers */
IPCSHARE_API const char *ipcshare_status_name(int status);

/** ipcshare_version - "major.minor.patch" of the library that is linked in */
IPCSHARE_API const char *ipcshare_version(void);

/* ---- Context ------------------------------------------------------------------------------ */

struct ipcshare_ctx;

/**
 * struct ipcshare_options - how to open a context; start from IPCSHARE_OPTIONS_INIT
 * @size: sizeof(struct ipcshare_options), so that the struct can grow
 * @backend: "host" or "ascend", or NULL for the default; IPCSHARE_BACKEND in the environment wins
 * @device: device of backends that have devices, -1 for the current one; "host" ignores it
 * @timeout_ms: deadline of every wait for a peer, 0 for the default; IPCSHARE_TIMEOUT wins
 */
struct ipcshare_options {
	size_t size;
	const char *backend;
	int device;
	unsigned timeout_ms;
};
/* clang-format off */
#define IPCSHARE_OPTIONS_INIT { sizeof(struct ipcshare_options), NULL, -1, 0 }
/* clang-format on */

/**
 * ipcshare_open - start using the library in this process
 * @options: or NULL for the defaults
 * @out: the context
 *
 * Starts one thread, the broker, that hands this process's memory to the peers it is shared with.
 * Usually one context a process is enough.
 *
 * Return: 0; ERR_INVALID @out is NULL or options->size is wrong; ERR_CONFIG an IPCSHARE_* variable
 *         has a bad value; ERR_NO_BACKEND; ERR_NO_MEMORY; ERR_LIMIT; ERR_UNSUPPORTED
 *         IPCSHARE_HARDEN=1 with another backend than host
 * Cost:   tens of microseconds.
 */
IPCSHARE_API int ipcshare_open(const struct ipcshare_options *options, struct ipcshare_ctx **out);

/**
 * ipcshare_close - end a context; frees what ipcshare_alloc() gave and is still there
 * @ctx: NULL does nothing
 *
 * Return: 0; ERR_BUSY groups, sets, shares, arenas or mappings of @ctx are alive, or a peer still
 *         uses its memory (nothing was closed then); ERR_CLOSED; ERR_FORKED
 */
IPCSHARE_API int ipcshare_close(struct ipcshare_ctx *ctx);

/**
 * ipcshare_abandon - drop a context and all that belongs to it, whatever the state
 * @ctx: NULL does nothing
 *
 * For the way out after a failure: talks to no peer, calls no driver, waits for nobody. Groups,
 * sets, views, plans, shares, arenas, memory and mappings of @ctx are gone afterwards, but plans
 * whose set was freed before. Peers keep what they have mapped.
 * In a forked child it drops the inherited context. Not so if another thread of the program was in a
 * call on it when this one forked: then leave it be, for what that call was changing is half changed
 * here. It is dead, and ends with the process.
 *
 * Return: 0; ERR_CLOSED
 */
IPCSHARE_API int ipcshare_abandon(struct ipcshare_ctx *ctx);

/** ipcshare_backend - name of the backend in use, "host"; NULL if @ctx is not alive */
IPCSHARE_API const char *ipcshare_backend(const struct ipcshare_ctx *ctx);

/* Kinds of backend calls that are counted: X(name, text). */
#define IPCSHARE_CALL_LIST(X)                                                                      \
	X(ALLOC, "alloc")                                                                          \
	X(FREE, "free")                                                                            \
	X(EXPORT, "export")                                                                        \
	X(ALLOW, "whitelist")                                                                      \
	X(IMPORT, "import")                                                                        \
	X(CLOSE_IMPORT, "close import")                                                            \
	X(CLOSE_EXPORT, "close export")

enum ipcshare_call {
#define IPCSHARE_CALL_ENUM(name, text) IPCSHARE_CALL_##name,
	IPCSHARE_CALL_LIST(IPCSHARE_CALL_ENUM)
#undef IPCSHARE_CALL_ENUM
	IPCSHARE_CALLS
};

/**
 * struct ipcshare_counters - what a context has done since it was opened
 * @calls: backend calls by kind (enum ipcshare_call), one per allocation concerned
 * @call_ns: time spent in them, in nanoseconds
 * @cache_hits: peers' allocations a share or map needed that were mapped already
 * @cache_misses: those that had to be imported
 * @cache_evictions: mappings kept for reuse that were closed to make room
 * @open_exports: allocations exported without a whitelist (IPCSHARE_SHARE_OPEN)
 * @bytes_mapped: peers' bytes mapped now
 * @bytes_allocated: own bytes allocated or registered now
 * @bytes_huge: of these, on huge pages that the machine had set apart
 * @huge_misses: allocations of whole 2 MiB that found no such pages free (IPCSHARE_HUGE_PAGES)
 * @allocations: own allocations alive now
 * @sets: sets alive now
 * @groups: groups alive now
 * @far_bytes: bytes that collectives of this rank read from or wrote to shared memory of ranks behind the
 *	slowest border of their group: in another package, or if there is one alone, NUMA node
 */
struct ipcshare_counters {
	size_t size;
	uint64_t calls[IPCSHARE_CALLS];
	uint64_t call_ns[IPCSHARE_CALLS];
	uint64_t cache_hits;
	uint64_t cache_misses;
	uint64_t cache_evictions;
	uint64_t open_exports;
	uint64_t bytes_mapped;
	uint64_t bytes_allocated;
	uint64_t bytes_huge;
	uint64_t huge_misses;
	uint64_t allocations;
	uint64_t sets;
	uint64_t groups;
	uint64_t far_bytes;
};

/**
 * ipcshare_counters - read the counters
 * @out: out->size must be sizeof(struct ipcshare_counters)
 */
IPCSHARE_API int ipcshare_counters(struct ipcshare_ctx *ctx, struct ipcshare_counters *out);

/** ipcshare_call_name - "import" for IPCSHARE_CALL_IMPORT; never NULL */
IPCSHARE_API const char *ipcshare_call_name(int call);

/* ---- Memory --------------------------------------------------------------------------------- */

/**
 * ipcshare_alloc - memory that can be shared
 * @len: 1 .. PTRDIFF_MAX; need not be whole pages
 * @out: set to the first byte, aligned to a page
 *
 * The bytes start as zero and are reserved: using them can't fail later. So on host their pages lie on
 * the NUMA node where the caller runs (or where its memory policy puts them: numactl), whoever
 * touches them first: bind a rank before it allocates. Each call makes one
 * allocation (on host one memfd: a descriptor and whole pages), so take many small buffers from an
 * arena (below). Sharing any part of an allocation makes its whole pages reachable for the peers.
 *
 * Return: 0; ERR_INVALID; ERR_NO_MEMORY the machine, or the memory cgroup of the job or container,
 *         has not that much left; ERR_LIMIT no file descriptor left
 * Cost:   a few system calls, and the kernel zeroes the pages.
 * Source: memfd_create(2), fallocate(2); set_mempolicy(2) for the node.
 */
IPCSHARE_API int ipcshare_alloc(struct ipcshare_ctx *ctx, size_t len, void **out);

/**
 * ipcshare_free - give memory of ipcshare_alloc() back
 * @ptr: what ipcshare_alloc() returned; NULL does nothing
 *
 * Peers drop the mappings that they only keep for reuse; the call waits for their answer.
 *
 * Return: 0; ERR_NOT_SHAREABLE freed before or not from ipcshare_alloc(); ERR_BUSY a set here holds
 *         it, or a peer has it in a set or in ipcshare_map() (the memory stays); ERR_TIMEOUT a peer
 *         is alive but does not answer
 */
IPCSHARE_API int ipcshare_free(struct ipcshare_ctx *ctx, void *ptr);

/**
 * ipcshare_register - make memory shareable that was allocated otherwise
 * @ptr: first byte; on host page aligned, mapped MAP_SHARED from @fd
 * @len: bytes
 * @fd: -1 on ascend; on host the memfd (made with MFD_ALLOW_SEALING) that @ptr is mapped from; it
 *      is duplicated and sealed against shrinking, and the whole of it becomes reachable for peers
 *
 * Return: 0; ERR_INVALID; ERR_NOT_SHAREABLE @ptr is not mapped from @fd, or @fd is no memfd that
 *         can be sealed; ERR_BUSY the range overlaps one that is known; ERR_NO_MEMORY; ERR_LIMIT
 */
IPCSHARE_API int ipcshare_register(struct ipcshare_ctx *ctx, void *ptr, size_t len, int fd);

/** ipcshare_deregister - undo ipcshare_register(); errors as for ipcshare_free() */
IPCSHARE_API int ipcshare_deregister(struct ipcshare_ctx *ctx, void *ptr);

/**
 * ipcshare_invalidate - registered memory is going away, or is to become other memory
 * @ptr, @len: any range of addresses; @len 0 is none
 *
 * For the hooks of an allocator, to be called before munmap(), aclrtFree() and the like. On return,
 * also with an error but ERR_INVALID, ERR_CLOSED and ERR_FORKED, no address of a registration that
 * reaches into the range is known any more: it is ERR_NOT_SHAREABLE to find, pack or share, until
 * it is registered anew. Each such registration ends as a whole, as by ipcshare_deregister(), but
 * whoever uses it:
 *  - Descriptors of it are ERR_STALE to whoever maps them from now on.
 *  - A peer that has it in a set or in ipcshare_map() keeps what it has until it lets go: on host
 *    the pages, which then belong to nobody else; on ascend an address whose use fails.
 *  - Sets here stay; pointers in them, and plans, are as good as the memory behind them.
 * Who can put off the freeing asks ipcshare_deregister() instead, which leaves in place what is in
 * use. Memory of ipcshare_alloc() is not the hook's: it stays as it is.
 *
 * Return:  0; ERR_BUSY all of this is done, but a set here or a peer still uses some of it, which
 *          the last error names; ERR_TIMEOUT, or another failure to ask it, the same of a peer that
 *          may use it; ERR_INVALID @ctx is NULL; ERR_CLOSED; ERR_FORKED
 * Threads: any, also beside others that register, share and free; not with a lock held that
 *          malloc() or free() needs.
 * Cost:    where nothing is registered that of ipcshare_find(): no lock, system call or allocation.
 *          Else that of ipcshare_deregister(): each peer that was told of it is asked, and waited
 *          for.
 */
IPCSHARE_API int ipcshare_invalidate(struct ipcshare_ctx *ctx, const void *ptr, size_t len);

/**
 * ipcshare_find - the allocation of this context that holds an address
 * @ptr: any address
 * @base, @len: set to its first byte and its length; either may be NULL
 *
 * Return: 0; ERR_NOT_SHAREABLE no allocation or registration of @ctx holds @ptr; ERR_CLOSED;
 *         ERR_FORKED
 * Threads: any, also beside others that allocate and free: it waits for none of them.
 * Cost:   tens of nanoseconds with 10 or 100,000 allocations. A miss costs more: it leaves a
 *         detail.
 */
IPCSHARE_API int ipcshare_find(struct ipcshare_ctx *ctx, const void *ptr, void **base, size_t *len);

/**
 * ipcshare_copy - copy bytes between any two kinds of memory; blocks until they are there
 * @dst, @src: own shareable memory, a peer's (from a set or a map), or any other of the program;
 *             each wholly inside one allocation; they must not overlap
 *
 * Device memory of backends with devices can't be touched by loads and stores; this reaches it, and
 * on host it is memcpy(). For programs that should run on every backend.
 *
 * Return: 0; ERR_INVALID; ERR_RANGE past the end of an allocation; ERR_STALE or ERR_SYSTEM the
 *         device could not, as happens when the owner of imported memory has ended
 */
IPCSHARE_API int ipcshare_copy(struct ipcshare_ctx *ctx, void *dst, const void *src, size_t len);

/**
 * ipcshare_nearest_nic - the network card with the shortest way to memory
 * @ptr, @len: memory of the context or of the program; NULL: where the calling thread runs
 * @name, @room: gets the name of the verbs device, "mlx5_0"; 64 bytes are enough
 *
 * Below the same PCI switch as the device that the memory is on, else in the NUMA node of most of its
 * pages, else in the package. Of several that are as near, the first. Where pages are that this
 * process has not touched yet can't be told: then it is where the calling thread runs.
 *
 * Return: 0; ERR_INVALID; ERR_UNSUPPORTED no such device is seen in this node; ERR_CLOSED
 * Cost:   the first call of a process looks for devices: tens of milliseconds.
 * Source: hwloc; move_pages(2) for the pages.
 */
IPCSHARE_API int ipcshare_nearest_nic(struct ipcshare_ctx *ctx, const void *ptr, size_t len,
				      char *name, size_t room);

/**
 * ipcshare_trim - close all mappings of peers' memory that are only kept for reuse
 * @closed: set to their number; may be NULL
 *
 * Memory that the tables of ended sets were in is given back too (IPCSHARE_KEEP_MIB bounds it).
 *
 * What a set or ipcshare_map() uses stays. IPCSHARE_CACHE_ENTRIES and IPCSHARE_CACHE_MIB bound what
 * is kept without this: what was used longest ago goes first.
 * Return: 0; ERR_CLOSED; ERR_FORKED
 */
IPCSHARE_API int ipcshare_trim(struct ipcshare_ctx *ctx, size_t *closed);

/* ---- Arena ---------------------------------------------------------------------------------- */

/*
 * Many small buffers from few allocations: like malloc(), over memory that can be shared. Buffers
 * of about one length are cells of one slab, side by side; a slab is one allocation, to be exported
 * and imported once, whatever is shared of it. Nothing is written beside the buffers, so the memory
 * may be a device's.
 *
 * A request is rounded up to a multiple of the alignment, and by less than a quarter more to one of
 * the sizes of cells. Each thread keeps some free cells for itself: up to 64 KiB of each size, none
 * larger than 16 KiB. These go back when it ends. For such sizes each thread has slabs of its own,
 * up to four times as many threads as there are cores; then some share them.
 */
struct ipcshare_arena;

/**
 * struct ipcshare_arena_options - how to make one; start from IPCSHARE_ARENA_OPTIONS_INIT
 * @size: sizeof(struct ipcshare_arena_options)
 * @align: every buffer starts at a multiple of it, and no two share one such piece: a power of two
 *         from 16 to 4096. The default 128 keeps writers in different ranks off each other's cache
 *         lines
 * @slab: bytes of the first slab of each size of cells (of a thread), up to 1 GiB, in steps of 2
 *        MiB; default 2 MiB. A request for more than a quarter of it gets an allocation of its own
 * @slab_max: bytes of the largest slab, so too. A further slab is as large as all that its size
 *            has: so there are few, however many buffers. Default 64 MiB, or @slab if that is more
 */
struct ipcshare_arena_options {
	size_t size;
	size_t align;
	size_t slab;
	size_t slab_max;
};
/* clang-format off */
#define IPCSHARE_ARENA_OPTIONS_INIT { sizeof(struct ipcshare_arena_options), 0, 0, 0 }
/* clang-format on */

/**
 * ipcshare_arena_create - an arena that has no memory yet
 * @options: or NULL for the defaults
 * @out: the arena; it belongs to @ctx, and ends before it
 *
 * Return: 0; ERR_INVALID; ERR_NO_MEMORY; ERR_LIMIT
 * Cost:   microseconds; no call of the backend.
 */
IPCSHARE_API int ipcshare_arena_create(struct ipcshare_ctx *ctx,
				       const struct ipcshare_arena_options *options,
				       struct ipcshare_arena **out);

/**
 * ipcshare_arena_destroy - end an arena and give all its memory back, also buffers not freed
 * @arena: NULL does nothing. No other thread may be using it
 *
 * Return: 0; ERR_BUSY a set here holds some of its memory, or a peer has some in a set or in
 *         ipcshare_map(): nothing has changed; ERR_TIMEOUT a peer does not answer, so too;
 *         ERR_CLOSED; ERR_FORKED
 */
IPCSHARE_API int ipcshare_arena_destroy(struct ipcshare_arena *arena);

/**
 * ipcshare_arena_alloc - a buffer
 * @len: 1 .. PTRDIFF_MAX
 * @out: its first byte, at a multiple of the arena's alignment
 *
 * It can be shared like memory of ipcshare_alloc(), and sharing it makes its whole slab reachable
 * for the peers. What it holds is zeroes only if it was never handed out before: it isn't cleaned
 * on reuse. Cells of a fresh slab are handed out in ascending order, side by side.
 *
 * Return: 0; ERR_INVALID; ERR_CLOSED; ERR_FORKED; as for ipcshare_alloc(), if a slab is needed
 * Threads: any.
 * Cost:   as malloc(); no lock, unless this thread has no cell of that size. A slab costs what
 *         ipcshare_alloc() does.
 */
IPCSHARE_API int ipcshare_arena_alloc(struct ipcshare_arena *arena, size_t len, void **out);

/**
 * ipcshare_arena_alloc_many - @n buffers of one length: all, or none
 * @out: @n pointers, ascending, side by side as far as there is room for it: up to @slab_max bytes
 *       are always one run, if the machine has the memory
 *
 * Runs are what ipcshare_share() sends in 32 bytes, and ipcshare_pull() merges. As
 * ipcshare_arena_alloc() otherwise; each is freed on its own.
 */
IPCSHARE_API int ipcshare_arena_alloc_many(struct ipcshare_arena *arena, size_t len, size_t n,
					   void **out);

/**
 * ipcshare_arena_free - give a buffer back
 * @ptr: of ipcshare_arena_alloc() or alloc_many(); NULL does nothing. From any thread
 *
 * It may be handed out again at once: first free the sets that share it. The slab stays, and what
 * peers have mapped of it, so that reuse calls no backend; but a buffer with an allocation of its
 * own is freed as ipcshare_free() does it.
 *
 * Return: 0; ERR_NOT_SHAREABLE freed before, or no buffer of this arena; ERR_CLOSED; ERR_FORKED;
 *         with an allocation of its own also ERR_BUSY and ERR_TIMEOUT of ipcshare_free(): the
 *         buffer stays
 * Cost:   as free(); see ipcshare_arena_alloc().
 */
IPCSHARE_API int ipcshare_arena_free(struct ipcshare_arena *arena, void *ptr);

/**
 * ipcshare_arena_free_many - @n of them
 *
 * One that can't be freed does not stop the others. Return: 0, or the first failure, whose index
 * the last error has; ERR_INVALID
 */
IPCSHARE_API int ipcshare_arena_free_many(struct ipcshare_arena *arena, void *const *ptrs,
					  size_t n);

/**
 * ipcshare_arena_usable - bytes of a buffer: at least what was asked for, and all may be used
 *
 * Return: 0; ERR_INVALID; ERR_NOT_SHAREABLE as for ipcshare_arena_free(); ERR_CLOSED; ERR_FORKED
 */
IPCSHARE_API int ipcshare_arena_usable(struct ipcshare_arena *arena, const void *ptr, size_t *len);

/**
 * ipcshare_arena_trim - give back the slabs of which no buffer is in use
 * @released: set to their bytes; may be NULL
 *
 * Peers close what they have mapped of such a slab before it goes. One that a set holds, here or at
 * a peer, stays, and is no failure; so does one of which another thread keeps a cell. Other threads
 * bring back the cells of a size that they keep when they next free one of it, for a later trim.
 *
 * Return: 0; ERR_TIMEOUT a peer does not answer: that slab stays, others may be gone; ERR_CLOSED;
 *         ERR_FORKED
 */
IPCSHARE_API int ipcshare_arena_trim(struct ipcshare_arena *arena, size_t *released);

/**
 * struct ipcshare_arena_stats - what an arena holds now
 * @slabs: allocations that cells are cut from
 * @slab_bytes: bytes of them: used, kept, free, and what is left at the ends
 * @used: buffers in the caller's hands, but those with an allocation of their own
 * @used_bytes: what they can hold
 * @kept_bytes: of free cells that threads keep
 * @free_bytes: of those that any thread may get
 * @own: buffers that have an allocation of their own
 * @own_bytes: bytes of them
 * @huge_bytes: bytes of both that are on huge pages that the machine had set apart
 * @huge_misses: slabs, so far, for which no such pages were free
 */
struct ipcshare_arena_stats {
	size_t size;
	uint64_t slabs;
	uint64_t slab_bytes;
	uint64_t used;
	uint64_t used_bytes;
	uint64_t kept_bytes;
	uint64_t free_bytes;
	uint64_t own;
	uint64_t own_bytes;
	uint64_t huge_bytes;
	uint64_t huge_misses;
};

/**
 * ipcshare_arena_stats - look at one; what other threads do meanwhile may be seen half
 * @out: out->size must be sizeof(struct ipcshare_arena_stats)
 *
 * Return: 0; ERR_INVALID; ERR_CLOSED; ERR_FORKED
 */
IPCSHARE_API int ipcshare_arena_stats(struct ipcshare_arena *arena,
				      struct ipcshare_arena_stats *out);

/* ---- Group ---------------------------------------------------------------------------------- */

struct ipcshare_group;
struct ipcshare_wait;

/**
 * struct ipcshare_bootstrap - how a group's ranks reach each other before they share memory
 * @size: sizeof(struct ipcshare_bootstrap)
 * @arg: passed to every callback
 * @rank: of the caller, 0 .. nranks - 1
 * @nranks: ranks of the group, all on one node
 * @allgather: @len bytes of every rank, in rank order, into @all
 * @release: or NULL; called once when the group is freed or abandoned. @broken is not 0 if a call
 *           failed before, when a collective clean-up could wait for ever
 *
 * Only ipcshare_group_create() uses it, a few times and with less than 1 KiB of each rank;
 * afterwards the ranks meet in memory that they share. @allgather returns 0, or any other number
 * for failure. While it waits it should call ipcshare_wait_tick(@wait) again and again, and return
 * its result when that is not 0: so a dead peer or a deadline ends the wait, with its own status.
 * <ipcshare_mpi.h> has a bootstrap over MPI.
 */
struct ipcshare_bootstrap {
	size_t size;
	void *arg;
	int rank;
	int nranks;
	int (*allgather)(void *arg, struct ipcshare_wait *wait, const void *mine, size_t len,
			 void *all);
	void (*release)(void *arg, int broken);
};

/**
 * ipcshare_wait_tick - one look around while waiting in a bootstrap callback
 *
 * Yields, then sleeps a little longer at each call; now and then looks at the peers and the clock.
 * Return: 0 go on; ERR_PEER_DEAD; ERR_TIMEOUT; the status with which a peer gave up
 */
IPCSHARE_API int ipcshare_wait_tick(struct ipcshare_wait *wait);

/**
 * ipcshare_group_create - ranks of one node that will share with each other; collective
 * @bootstrap: copied; @arg must live until release() is called. On failure release() is not called
 * @out: the group
 *
 * Exchanges process ids, identities and places (ipcshare_group_place()), and proves by a real import
 * that every rank can reach every other.
 *
 * Return: 0; ERR_INVALID; ERR_BOOTSTRAP a callback failed or the ranks' numbers are wrong;
 *         ERR_MISMATCH backends differ; ERR_OTHER_NODE; ERR_UNREACHABLE; ERR_VERSION; ERR_PROTOCOL;
 *         ERR_PEER_DEAD; ERR_TIMEOUT; ERR_NO_MEMORY; ERR_LIMIT. The same on every rank.
 * Cost:   the first one of a process looks at the machine: tens of milliseconds to load hwloc, a few
 *         where MPI has done so.
 */
IPCSHARE_API int ipcshare_group_create(struct ipcshare_ctx *ctx,
				       const struct ipcshare_bootstrap *bootstrap,
				       struct ipcshare_group **out);

/**
 * ipcshare_group_free - end a group; collective, unless a collective on it failed before
 * @group: NULL does nothing
 *
 * Mappings of peers that belong to no other group are closed.
 *
 * Return: 0; ERR_BUSY on any rank a set or share of the group is alive: the group stays;
 *         ERR_CLOSED. After an error of the exchange (PEER_DEAD, TIMEOUT, BOOTSTRAP) the group is
 *         freed all the same, without its peers, and 0 is returned.
 */
IPCSHARE_API int ipcshare_group_free(struct ipcshare_group *group);

/** ipcshare_group_rank - the caller's rank, or a negative status */
IPCSHARE_API int ipcshare_group_rank(const struct ipcshare_group *group);

/** ipcshare_group_size - number of ranks, or a negative status */
IPCSHARE_API int ipcshare_group_size(const struct ipcshare_group *group);

/**
 * struct ipcshare_peer - what is known of a rank
 * @tgid: its process id as the outermost visible pid namespace has it
 * @device: its device, -1 if the backend has none
 * @same_process: not 0 if it is this process
 * @alive: 0 once its process has ended
 * @bytes_mapped: bytes of its memory mapped here now
 * @mappings: number of its allocations mapped here now
 */
struct ipcshare_peer {
	size_t size;
	int tgid;
	int device;
	int same_process;
	int alive;
	uint64_t bytes_mapped;
	uint64_t mappings;
};

/** ipcshare_group_peer - look at one rank; out->size must be set. Local. ERR_INVALID, ERR_CLOSED */
IPCSHARE_API int ipcshare_group_peer(struct ipcshare_group *group, int rank,
				     struct ipcshare_peer *out);

/**
 * struct ipcshare_place - where a rank ran when its group was created
 * @package, @numa: the package and the NUMA node, as the system counts them, that hold all cores it
 *                  may use; -1 it may use those of several, for it isn't bound, or it is not known
 * @cache: the same for the last-level cache, named by the lowest core that shares it
 * @cores: cores (hardware threads) it may use, by its affinity and cpuset; 0 not known
 * @first_core: the lowest of them, as the system counts; -1 not known
 * @device_numa: the NUMA node next to its device; -1 it has none, or it is not known
 * @device_address: PCI address of its device, "0000:c1:00.0"; "" not known
 */
struct ipcshare_place {
	size_t size;
	int package;
	int numa;
	int cache;
	int cores;
	int first_core;
	int device_numa;
	char device_address[16];
};

/** ipcshare_group_place - look at one rank; out->size must be set. Local. ERR_INVALID, ERR_CLOSED */
IPCSHARE_API int ipcshare_group_place(const struct ipcshare_group *group, int rank,
				      struct ipcshare_place *out);

/* Into what a node falls, and each of these into the next. */
enum ipcshare_level {
	IPCSHARE_LEVEL_NODE,
	IPCSHARE_LEVEL_PACKAGE,
	IPCSHARE_LEVEL_NUMA,
	IPCSHARE_LEVEL_CACHE, /* the last level */
	IPCSHARE_LEVELS
};

/**
 * ipcshare_group_leaders - which ranks of a group share a package, a NUMA node, a cache
 * @leaders: an array with a place for each rank; gets the lowest rank that shares the part with it
 *
 * Two ranks are in one part if they have one leader; a rank that is its own leader leads. Parts of a
 * level lie in one part of the level before. Ranks that are bound to no single one (their place says
 * -1) make up one part together. The same on every rank, as are the next two.
 *
 * Return: 0; ERR_INVALID; ERR_CLOSED
 * Threads: any.  Ranks: local.
 */
IPCSHARE_API int ipcshare_group_leaders(const struct ipcshare_group *group,
					enum ipcshare_level level, int *leaders);

/**
 * ipcshare_group_order - the ranks in an order in which neighbours are near each other
 * @ranks: an array with a place for each rank
 *
 * Rank 0 comes first, and the ranks of each part of each level in a row: so no order goes from part
 * to part less often, at any level.
 *
 * Return: 0; ERR_INVALID; ERR_CLOSED
 */
IPCSHARE_API int ipcshare_group_order(const struct ipcshare_group *group, int *ranks);

/**
 * ipcshare_group_tree - a tree of the ranks in which one edge leads into each part
 * @root: a rank
 * @parents: an array with a place for each rank: the rank above it; -1 for @root
 *
 * Return: 0; ERR_INVALID; ERR_CLOSED
 */
IPCSHARE_API int ipcshare_group_tree(const struct ipcshare_group *group, int root, int *parents);

/* ---- Share ---------------------------------------------------------------------------------- */

struct ipcshare_buf {
	void *ptr; /* anywhere inside an allocation; ignored if @len is 0 */
	size_t len; /* bytes; 0 is allowed */
};

/* Flags of ipcshare_share(), ipcshare_share_begin(), ipcshare_pack() and ipcshare_allow(). */
/* clang-format off */
#define IPCSHARE_READ_ONLY 0x1u		/* peers can't write. The kernel holds it, for the whole
					 * allocation and from then on: later attempts to share it
					 * writable fail. The owner still writes. */
#define IPCSHARE_SHARE_OPEN 0x2u	/* no whitelist: any process of this user that has the key
					 * gets the memory. Counted in open_exports. For the whole
					 * allocation, from its first share on: an open one can't be
					 * shared with a whitelist any more (ERR_OPEN_EXPORT), nor the
					 * other way round. */
#define IPCSHARE_ALL_OR_NOTHING 0x4u	/* one bad buffer on any rank fails the whole share; only
					 * for ipcshare_share() and ipcshare_set_update(), and
					 * set by any rank */
#define IPCSHARE_LAZY 0x8u		/* only for ipcshare_share(): the caller maps nothing yet,
					 * but what it asks for with ipcshare_ptr_lazy(), and that
					 * then. Concerns the caller alone. */
/* clang-format on */

/* A row of a set: the buffers of one rank. */
struct ipcshare_row {
	void *const *ptr;
	const size_t *len;
	size_t count;
};

/*
 * The outcome of a share. Read it with the functions below. Only ipcshare_set_update() and, entry
 * by entry, ipcshare_ptr_lazy() change it.
 */
struct ipcshare_set {
	const struct ipcshare_row *rows;
	int nranks;
	int rank; /* the caller's */
};

/**
 * ipcshare_share - share n buffers of every rank with every other rank; collective
 * @bufs: @n buffers inside allocations of the group's context. Each rank has its own @n, lengths
 *        and order; a buffer may appear twice and in many sets
 * @n: may be 0
 * @flags: IPCSHARE_READ_ONLY and IPCSHARE_SHARE_OPEN concern the caller's own buffers;
 *         IPCSHARE_ALL_OR_NOTHING the whole call
 * @out: the set
 *
 * A buffer that can't be shared, or can't be imported by some rank, does not stop the others:
 * ipcshare_ptr() gives NULL for it and ipcshare_set_status() the reason; see
 * ipcshare_set_failures(). An allocation is exported, whitelisted and imported once, however many
 * buffers lie in it; sharing known allocations again makes no backend call.
 *
 * Return: 0 (also with failed buffers, unless IPCSHARE_ALL_OR_NOTHING); ERR_INVALID a rank passed
 *         NULL or unknown flags; with IPCSHARE_ALL_OR_NOTHING the status of the first bad buffer;
 *         ERR_PEER_DEAD, ERR_TIMEOUT, ERR_BOOTSTRAP (the group is of no more use then);
 *         ERR_PROTOCOL; ERR_NO_MEMORY, also for more than 2^28 buffers. The same on every rank.
 * Cost:   two rounds in shared memory, and 16 bytes written per buffer; 32 for a run of buffers of
 *         one length that follow each other at one distance. 88 more per allocation that is new to
 *         the group. The set holds 20 bytes per buffer of each rank; those of a list in order are
 *         kept when it ends, and a share of the same list takes them as they are.
 */
IPCSHARE_API int ipcshare_share(struct ipcshare_group *group, const struct ipcshare_buf *bufs,
				size_t n, unsigned flags, struct ipcshare_set **out);

/**
 * ipcshare_set_free - end a set; collective (local for sets of ipcshare_share_complete())
 * @set: NULL does nothing
 *
 * When it returns no rank uses the set's pointers, and the owners may free their buffers. Mappings
 * stay for the next share until their owner frees the memory or the group is freed.
 *
 * Return: 0; ERR_CLOSED freed before; ERR_PEER_DEAD, ERR_TIMEOUT or ERR_BOOTSTRAP if the exchange
 *         failed: the set is freed here all the same
 */
IPCSHARE_API int ipcshare_set_free(struct ipcshare_set *set);

/**
 * ipcshare_ptr - buffer @i of @rank, as a local pointer
 *
 * The caller's own rank, and ranks in the same process, give the raw pointers. NULL for a buffer
 * that failed or has length 0, and if @rank or @i is out of range. Valid until ipcshare_set_free().
 * Cost: a few loads; no call, lock or system call.
 */
static inline void *ipcshare_ptr(const struct ipcshare_set *set, int rank, size_t i)
{
	const struct ipcshare_row *row;

	if (__builtin_expect((unsigned)rank >= (unsigned)set->nranks, 0)) /* also below 0 */
		return NULL;
	row = &set->rows[rank];
	if (__builtin_expect(i >= row->count, 0))
		return NULL;
	/* ipcshare_ptr_lazy() may fill it */
	return __atomic_load_n(&row->ptr[i], __ATOMIC_RELAXED);
}

/**
 * ipcshare_ptr_lazy - the same, and in a set made with IPCSHARE_LAZY maps what is not mapped yet
 *
 * The first call for a buffer imports its allocation, if no other buffer did; later ones cost what
 * ipcshare_ptr() does. After a failure the next call tries again. Threads: any. Works on every set.
 * Return: the pointer; NULL for length 0, or on failure, which the last error explains
 */
IPCSHARE_API void *ipcshare_ptr_lazy(struct ipcshare_set *set, int rank, size_t i);

/** ipcshare_len - its length in bytes; 0 if @rank or @i is out of range */
static inline size_t ipcshare_len(const struct ipcshare_set *set, int rank, size_t i)
{
	if (rank < 0 || rank >= set->nranks || i >= set->rows[rank].count)
		return 0;
	return set->rows[rank].len[i];
}

/** ipcshare_count - how many buffers @rank shared; 0 if @rank is out of range */
static inline size_t ipcshare_count(const struct ipcshare_set *set, int rank)
{
	return rank < 0 || rank >= set->nranks ? 0 : set->rows[rank].count;
}

/** ipcshare_set_status - 0, or why buffer @i of @rank can't be used here; ERR_INVALID out of range */
IPCSHARE_API int ipcshare_set_status(const struct ipcshare_set *set, int rank, size_t i);

/**
 * ipcshare_set_failures - number of failures, counted over all ranks; the same on every rank
 *
 * A buffer its owner could not share counts once for every rank. For sets of
 * ipcshare_share_complete() only this rank's failures are known.
 */
IPCSHARE_API uint64_t ipcshare_set_failures(const struct ipcshare_set *set);

/**
 * ipcshare_table - pointers, lengths and number of all buffers of @rank, to be walked without
 * checks
 *
 * Where ipcshare_ptr() gives NULL, so does the table. Return: NULL if @rank is out of range. Valid
 * until the set is freed; ipcshare_set_update() changes entries, not the table's place.
 */
static inline const struct ipcshare_row *ipcshare_table(const struct ipcshare_set *set, int rank)
{
	return rank < 0 || rank >= set->nranks ? NULL : &set->rows[rank];
}

/**
 * ipcshare_table_device - the pointers of @rank's buffers where a kernel of the device can read
 * them
 * @out: array of ipcshare_count() pointers in memory of the caller's device; on host the table
 *       itself
 *
 * Made at the first call, kept up to date by ipcshare_set_update(), freed with the set. What a lazy
 * set has mapped meanwhile is there after the next call. Local.
 * Return: 0; ERR_INVALID; ERR_NO_MEMORY; ERR_CLOSED; what ipcshare_copy() returns
 */
IPCSHARE_API int ipcshare_table_device(struct ipcshare_set *set, int rank, void *const **out);

/**
 * ipcshare_set_update - exchange k of the caller's buffers for others; collective
 * @index: @k different numbers of buffers of this rank, below ipcshare_count()
 * @bufs: what stands there from now on, as in ipcshare_share()
 * @k: may be 0, and another on each rank
 * @flags: IPCSHARE_READ_ONLY, IPCSHARE_SHARE_OPEN, IPCSHARE_ALL_OR_NOTHING as in ipcshare_share()
 *
 * Only what changes is sent. Nobody may use the buffers concerned during the call, nor describe or
 * resolve any of this set; pointers of all other buffers stay as they are. Allocations that no
 * buffer of the set lies in any more are let go on every rank, so their owner may free them
 * afterwards. Only for sets of ipcshare_share().
 *
 * Return: as ipcshare_share(); ERR_INVALID also if an index is out of range or given twice;
 *         ERR_MISMATCH the ranks update different sets. On failure the set is as it was, on every
 *         rank.
 * Cost:   two rounds, one more if something is let go; up to 20 bytes written per changed buffer.
 */
IPCSHARE_API int ipcshare_set_update(struct ipcshare_set *set, const size_t *index,
				     const struct ipcshare_buf *bufs, size_t k, unsigned flags);

/*
 * A buffer in 16 bytes that every rank of a set understands: for messages, queues and shared
 * memory. All zero is a buffer of length 0.
 */
struct ipcshare_descriptor {
	unsigned char bytes[16];
};

/**
 * ipcshare_describe - own addresses as descriptors
 * @bufs: @n buffers inside allocations that the caller shared in this set, not necessarily those
 *        buffers
 *
 * Return: 0; ERR_INVALID; ERR_NOT_SHAREABLE not in an allocation of the set; ERR_RANGE; ERR_CLOSED.
 *         The last error names the first bad buffer; @out is untouched.
 * Threads: any, but not during ipcshare_set_update() of the set.
 * Cost:   some nanoseconds a buffer.
 */
IPCSHARE_API int ipcshare_describe(struct ipcshare_set *set, const struct ipcshare_buf *bufs,
				   size_t n, struct ipcshare_descriptor *out);

/**
 * ipcshare_resolve - descriptors of @rank as pointers here
 * @ptrs, @lens: @n entries each; @lens may be NULL
 *
 * Return: 0; ERR_INVALID; ERR_PROTOCOL malformed; ERR_STALE of memory that is not in the set;
 *         ERR_RANGE; why the memory can't be used here; ERR_CLOSED. The last error names the first
 *         bad one; outputs are untouched.
 * Threads: any, but not during ipcshare_set_update() of the set.
 * Cost:   some nanoseconds a descriptor, without lock or system call; but what a lazy set has not
 *         mapped yet is mapped.
 */
IPCSHARE_API int ipcshare_resolve(struct ipcshare_set *set, int rank,
				  const struct ipcshare_descriptor *in, size_t n, void **ptrs,
				  size_t *lens);

/* ---- Pull and push: many small copies at once ----------------------------------------------- */

/* One copy between local memory and a part of a buffer in a set. */
struct ipcshare_item {
	int rank; /* whose buffer */
	size_t index; /* which of them */
	size_t offset; /* in it, in bytes */
	size_t len; /* bytes; 0 is allowed */
	void *local; /* any memory of the program; ignored if @len is 0 */
};

/**
 * ipcshare_pull - copy @n pieces of peers' buffers into local memory; blocks until they are there
 * @items: in any order. No destination may overlap bytes of another item
 *
 * All items are checked first: a bad one is found before any byte is copied, and the last error
 * has its number as the index. When many buffers are pulled, pull them in one call: on host pieces
 * are fetched ahead while others are copied, on ascend pieces that lie side by side at both ends go
 * as one copy, evenly spaced ones as one call, and there is one wait at the end.
 *
 * Return:  0; ERR_INVALID there is no such rank or buffer, or @local is NULL; ERR_RANGE past the
 *          end of a buffer; ERR_UNREACHABLE a buffer that failed, see ipcshare_set_status(), or
 *          that a lazy set can't map; ERR_CLOSED; ERR_FORKED; ERR_NO_MEMORY; and what
 *          ipcshare_copy() returns: if the device failed, some pieces may have been copied
 * Threads: any.
 * Cost:    on host that of the bytes, and a few nanoseconds an item; no allocation or system call.
 */
IPCSHARE_API int ipcshare_pull(struct ipcshare_set *set, const struct ipcshare_item *items,
			       size_t n);

/**
 * ipcshare_push - the other direction: local memory into peers' buffers
 *
 * As ipcshare_pull(). Return: ERR_READ_ONLY besides, its owner shared it with IPCSHARE_READ_ONLY
 */
IPCSHARE_API int ipcshare_push(struct ipcshare_set *set, const struct ipcshare_item *items,
			       size_t n);

/**
 * ipcshare_pull_on, ipcshare_push_on - the same, in the order of a stream of the caller
 * @stream: an aclrtStream of the context's device on ascend; NULL is ipcshare_pull(). On host there
 *          is nothing but NULL, anything else is ERR_INVALID
 *
 * What lies on devices at both ends is only queued: synchronise the stream before you look at the
 * bytes, change them, or free the set. Items with one end in the program's ordinary memory are
 * done on return; for that, what is in the stream before them is waited for. A call with more
 * copies than a queue of the device holds waits for room.
 */
IPCSHARE_API int ipcshare_pull_on(struct ipcshare_set *set, const struct ipcshare_item *items,
				  size_t n, void *stream);
IPCSHARE_API int ipcshare_push_on(struct ipcshare_set *set, const struct ipcshare_item *items,
				  size_t n, void *stream);

struct ipcshare_plan;

enum ipcshare_direction {
	IPCSHARE_PULL,
	IPCSHARE_PUSH,
};

/**
 * ipcshare_plan_create - a pull or push that is worked out once and run many times; local
 * @items: as for ipcshare_pull(), and not needed afterwards. The bytes are read at each run
 * @out: the plan
 *
 * Return: 0; ERR_INVALID also for another direction; else as ipcshare_pull(), ipcshare_push()
 * Cost:   several times that of a pull; it sorts the items and, on ascend, records the copies.
 */
IPCSHARE_API int ipcshare_plan_create(struct ipcshare_set *set, enum ipcshare_direction direction,
				      const struct ipcshare_item *items, size_t n,
				      struct ipcshare_plan **out);

/**
 * ipcshare_plan_run - do it; blocks until the bytes are there
 *
 * One thread at a time per plan, and not while its set is being freed or updated. On ascend one
 * call replays all copies between devices.
 *
 * Return: 0; ERR_CLOSED the plan or its set was freed; ERR_STALE the set was updated since;
 *         ERR_FORKED; what ipcshare_copy() returns
 */
IPCSHARE_API int ipcshare_plan_run(struct ipcshare_plan *plan);

/**
 * ipcshare_plan_run_on - the same, in the order of a stream; see ipcshare_pull_on()
 *
 * Before the plan runs on another stream, and before it or its set is freed, synchronise the one it
 * ran on.
 */
IPCSHARE_API int ipcshare_plan_run_on(struct ipcshare_plan *plan, void *stream);

/**
 * ipcshare_plan_free - end a plan, before or after its set
 * @plan: NULL does nothing
 *
 * Return: 0; ERR_CLOSED freed before, or abandoned with its context; ERR_FORKED
 */
IPCSHARE_API int ipcshare_plan_free(struct ipcshare_plan *plan);

/* ---- The split form of a share -------------------------------------------------------------- */

/*
 * The split form, for callers that move the bytes themselves. Local, not collective: each rank
 * calls ipcshare_share_begin(), sends its blob to every other rank by any means, and calls
 * ipcshare_share_complete() with the blobs of all ranks. The set is freed locally: make sure
 * yourself that no peer uses a buffer before you change or free it (ipcshare_free() refuses while a
 * peer holds it).
 */
struct ipcshare_share;

/**
 * ipcshare_share_begin - export and whitelist buffers, and describe them in a blob
 * @blob: set to the bytes to send; they belong to the share
 * @len: their number
 *
 * Return: 0; ERR_INVALID; ERR_NO_MEMORY; ERR_CLOSED. Buffers that fail are marked in the blob.
 */
IPCSHARE_API int ipcshare_share_begin(struct ipcshare_group *group, const struct ipcshare_buf *bufs,
				      size_t n, unsigned flags, struct ipcshare_share **out,
				      const void **blob, size_t *len);

/**
 * ipcshare_share_complete - turn the blobs of all ranks into a set
 * @share: ends on success; on failure it stays, for another try or ipcshare_share_cancel()
 * @blobs: one per rank, in rank order, also the caller's own; need no alignment
 * @lens: their lengths
 *
 * Return: 0 (also if some buffers failed); ERR_INVALID; ERR_PROTOCOL, ERR_VERSION a blob is
 *         malformed; ERR_MISMATCH a blob of another rank or group; ERR_NO_MEMORY; ERR_CLOSED
 */
IPCSHARE_API int ipcshare_share_complete(struct ipcshare_share *share, const void *const *blobs,
					 const size_t *lens, struct ipcshare_set **out);

/** ipcshare_share_cancel - end a share without a set; NULL does nothing. ERR_CLOSED */
IPCSHARE_API int ipcshare_share_cancel(struct ipcshare_share *share);

/* ---- One-sided: descriptors for any transport, no collective --------------------------------- */

/* Plain bytes without pointers: copy and send them as they are, within one node. */
struct ipcshare_identity {
	unsigned char bytes[64]; /* a process, never confused with a later one */
};
struct ipcshare_handle {
	unsigned char bytes[64]; /* an allocation, without the offset of a buffer in it */
};
struct ipcshare_packed {
	unsigned char bytes[80]; /* a buffer: handle, offset, length */
};

/** ipcshare_self - the identity by which peers can ipcshare_allow() this process. ERR_INVALID */
IPCSHARE_API int ipcshare_self(struct ipcshare_ctx *ctx, struct ipcshare_identity *out);

/**
 * ipcshare_pack - describe a buffer of ours in fixed-size bytes
 * @flags: IPCSHARE_READ_ONLY, IPCSHARE_SHARE_OPEN
 *
 * Exports the allocation if it isn't yet. Who may map it is said by ipcshare_allow().
 * Return: 0; ERR_INVALID; ERR_NOT_SHAREABLE; ERR_RANGE; ERR_READ_ONLY; ERR_OPEN_EXPORT; ERR_LIMIT
 */
IPCSHARE_API int ipcshare_pack(struct ipcshare_ctx *ctx, const void *ptr, size_t len,
			       unsigned flags, struct ipcshare_packed *out);

/**
 * ipcshare_pack_handle - describe an allocation in 64 bytes, for transports with small slots
 * @ptr: anywhere inside it
 * @offset: or NULL; set to the offset of @ptr in it, to be sent apart
 *
 * Errors as for ipcshare_pack().
 */
IPCSHARE_API int ipcshare_pack_handle(struct ipcshare_ctx *ctx, const void *ptr, unsigned flags,
				      struct ipcshare_handle *out, size_t *offset);

/**
 * ipcshare_allow - let processes map the allocation that @ptr lies in
 * @peers: @n identities from their ipcshare_self(); those allowed before are skipped
 * @flags: 0, or IPCSHARE_READ_ONLY as given to ipcshare_pack()
 *
 * Must come before their ipcshare_map(). Lasts until the memory is freed. Memory that was exported
 * with IPCSHARE_SHARE_OPEN needs it not, and stays open.
 * Return: 0; ERR_INVALID; ERR_NOT_SHAREABLE; ERR_PROTOCOL an identity is malformed;
 *         ERR_OTHER_NODE; ERR_READ_ONLY; ERR_NO_MEMORY
 */
IPCSHARE_API int ipcshare_allow(struct ipcshare_ctx *ctx, const void *ptr,
				const struct ipcshare_identity *peers, size_t n, unsigned flags);

/**
 * ipcshare_map - a pointer to a buffer that another process packed
 *
 * Every map needs an ipcshare_unmap(). An allocation is imported once, whatever is mapped of it.
 * Return: 0; ERR_INVALID; ERR_PROTOCOL, ERR_VERSION malformed or altered bytes; ERR_NOT_ALLOWED;
 *         ERR_STALE; ERR_BUSY its owner is just freeing it (if that is refused, a later map works)
 *         or, in the owner's own process, what was at its address before is still mapped;
 *         ERR_READ_ONLY; ERR_MISMATCH another backend's; ERR_UNREACHABLE the owner has ended,
 *         closed its context, or runs on another node; ERR_PEER_DEAD; ERR_TIMEOUT; ERR_NO_MEMORY;
 *         ERR_LIMIT
 */
IPCSHARE_API int ipcshare_map(struct ipcshare_ctx *ctx, const struct ipcshare_packed *packed,
			      void **out);

/** ipcshare_map_handle - the same for a whole allocation; @len may be NULL */
IPCSHARE_API int ipcshare_map_handle(struct ipcshare_ctx *ctx, const struct ipcshare_handle *handle,
				     void **base, size_t *len);

/**
 * ipcshare_lookup - the pointer again, for whoever holds a map of the buffer's allocation
 * @packed: of any buffer in it
 *
 * It holds nothing: the pointer is good as long as an ipcshare_map() or ipcshare_map_handle() of
 * the allocation is not given back. Until then nothing can close the mapping.
 * Return:  0; ERR_INVALID; ERR_PROTOCOL, ERR_VERSION, ERR_MISMATCH as for ipcshare_map();
 *          ERR_NOT_SHAREABLE it is not mapped, or its owner has ended it with
 *          ipcshare_invalidate(): ipcshare_map() says which; ERR_CLOSED; ERR_FORKED
 * Threads: any, also beside others that map, unmap and trim.
 * Cost:    some tens of nanoseconds; no lock, system call or write that other threads would see. A
 *          miss costs more. ipcshare_map() of what is mapped already takes one lock.
 */
IPCSHARE_API int ipcshare_lookup(struct ipcshare_ctx *ctx, const struct ipcshare_packed *packed,
				 void **out);

/**
 * ipcshare_unmap - give back what ipcshare_map() or ipcshare_map_handle() returned
 * @ptr: NULL does nothing
 *
 * The import is closed with the last user. Return: 0; ERR_NOT_SHAREABLE @ptr is not mapped
 */
IPCSHARE_API int ipcshare_unmap(struct ipcshare_ctx *ctx, void *ptr);

#ifdef __cplusplus
}
#endif
#endif
