/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every byte that two processes share, and nothing else: fixed widths, no pointers, native byte
 * order (both ends run on one machine, but for the record of a region, which goes to others; all are
 * little-endian). Whoever changes a layout changes IPCSHARE__LAYOUT.
 * It lives in base, below all that uses it: the broker (backend/host), the handles of one-sided
 * sharing (memory) and the records of a group (group).
 */
#ifndef IPCSHARE_BASE_WIRE_H
#define IPCSHARE_BASE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define IPCSHARE__LAYOUT 10u
#define IPCSHARE__LINE 128 /* two 64-byte lines: some prefetchers fetch them in pairs */
#define IPCSHARE__KEY_SIZE 65 /* 64 characters and NUL, as the ACL runtime has it */
#define IPCSHARE__BLOB_ALIGN 64 /* a blob's length is a multiple of it */

#define IPCSHARE__MAGIC_IDENTITY 0x49444950u /* "PIDI" */
#define IPCSHARE__MAGIC_BROKER 0x4b4f5242u /* "BROK" */
#define IPCSHARE__MAGIC_HANDLE 0x48u
#define IPCSHARE__MAGIC_HELLO 0x4f4c4c48u /* "HLLO" */
#define IPCSHARE__MAGIC_HEADER 0x52444548u /* "HEDR" */
#define IPCSHARE__MAGIC_BLOB 0x424f4c42u /* "BLOB" */
#define IPCSHARE__MAGIC_CONTROL 0x4c525443u /* "CTRL" */
#define IPCSHARE__MAGIC_RDMA 0x4d44u /* "DM" */

/* ---- Who a process is ---- */

enum ipcshare__identity_kind {
	IPCSHARE__BY_PIDFD = 1, /* proc = inode of its pidfd: unique until the next boot */
	IPCSHARE__BY_START = 2, /* proc = start time in ticks, beside pid and pid namespace */
};

struct ipcshare__identity {
	uint32_t magic;
	uint32_t tgid; /* in the outermost visible pid namespace: for whitelists of a driver */
	uint32_t pid; /* in its own pid namespace */
	uint32_t uid;
	uint64_t proc;
	uint64_t pidns; /* inode of its pid namespace */
	uint64_t endpoint; /* random number that names its broker's socket */
	uint8_t boot[16]; /* boot id of its machine */
	uint16_t kind; /* enum ipcshare__identity_kind */
	int16_t device; /* physical id, -1 none */
	uint32_t check; /* over all bytes before it */
};
_Static_assert(sizeof(struct ipcshare__identity) == 64, "struct ipcshare_identity, public");

/* ---- Keys of the host backend: what the 64 characters of a key spell in hexadecimal ---- */

struct ipcshare__host_key {
	uint64_t secret[2]; /* random; what an importer has to show */
	uint64_t endpoint; /* of the owner */
	uint64_t inode; /* of the memfd: what the importer must receive */
};
_Static_assert(2 * sizeof(struct ipcshare__host_key) + 1 == IPCSHARE__KEY_SIZE, "fills a key");

/* ---- Broker: one request and one reply, each a message of a SOCK_SEQPACKET socket ---- */

enum ipcshare__broker_op {
	IPCSHARE__BROKER_GET = 1, /* hand me the memory of these keys */
	IPCSHARE__BROKER_RETIRE = 2, /* drop what you keep mapped of these regions of mine */
};
#define IPCSHARE__BROKER_BATCH 253 /* SCM_MAX_FD: descriptors that one message can carry */
#define IPCSHARE__REGION_ANY 0xffffffffu /* in a retire entry: all regions of the caller */
#define IPCSHARE__REGION_GONE 0x80000000u /* with an id: it ends now, whoever uses it */

struct ipcshare__broker_head {
	uint32_t magic;
	uint32_t layout;
	uint16_t op;
	uint16_t count; /* entries that follow */
	int32_t status; /* of the whole reply; 0 in a request */
	uint64_t nonce; /* chosen by the client, repeated in the reply */
};
struct ipcshare__broker_get {
	uint64_t secret[2];
	uint32_t access; /* enum ipcshare__access */
	uint32_t pad;
};
struct ipcshare__broker_got {
	int32_t status;
	uint32_t pad;
	uint64_t offset; /* of the region's first byte in the memfd: whole pages */
	uint64_t length; /* of the region */
};
struct ipcshare__broker_retire {
	uint64_t owner; /* endpoint of the caller */
	uint32_t region;
	uint32_t generation;
};
struct ipcshare__broker_retired {
	int32_t status; /* 0 not mapped any more, IPCSHARE_ERR_BUSY in use */
	uint32_t pad;
};
_Static_assert(sizeof(struct ipcshare__broker_head) == 24, "wire layout");
_Static_assert(sizeof(struct ipcshare__broker_get) == 24, "wire layout");
_Static_assert(sizeof(struct ipcshare__broker_got) == 24, "wire layout");
_Static_assert(sizeof(struct ipcshare__broker_retire) == 16, "wire layout");
_Static_assert(sizeof(struct ipcshare__broker_retired) == 8, "wire layout");

/* ---- Regions and buffers ---- */

enum ipcshare__access {
	IPCSHARE__READ_WRITE = 1,
	IPCSHARE__READ_ONLY = 2,
};

/* The compact form of a region: struct ipcshare_handle, and the first 64 bytes of a packed one. */
struct ipcshare__wire_handle {
	uint8_t magic;
	uint8_t layout;
	uint8_t backend; /* enum ipcshare__backend_id */
	uint8_t access; /* enum ipcshare__access */
	uint32_t check; /* over the other 60 bytes */
	uint32_t region;
	uint32_t generation;
	uint64_t length; /* of the region */
	uint64_t endpoint; /* of the owner */
	uint8_t key[32]; /* the key's 64 hexadecimal characters as bytes */
};
_Static_assert(sizeof(struct ipcshare__wire_handle) == 64, "struct ipcshare_handle, public");

struct ipcshare__wire_packed {
	struct ipcshare__wire_handle handle;
	uint32_t offset_lo;
	uint32_t length_lo;
	uint16_t offset_hi;
	uint16_t length_hi;
	uint32_t check; /* over all bytes before it */
};
_Static_assert(sizeof(struct ipcshare__wire_packed) == 80, "struct ipcshare_packed, public");

/* A region as a blob names it. A group is told of each region once: later blobs leave it out. */
struct ipcshare__wire_region {
	uint32_t region;
	uint32_t generation;
	uint64_t length;
	char key[IPCSHARE__KEY_SIZE];
	uint8_t pad[7];
};
_Static_assert(sizeof(struct ipcshare__wire_region) == 88, "wire layout");

/*
 * A buffer: in blobs, and as struct ipcshare_descriptor. 44 bits of offset and length reach 16 TiB.
 * A length of 0 says that it is something else, named in the region's place.
 */
struct ipcshare__wire_descriptor {
	uint64_t what; /* region id << 44 | length */
	uint64_t where; /* low 20 bits of the region's generation << 44 | offset in it */
};
enum ipcshare__special {
	IPCSHARE__EMPTY = 0, /* a buffer of length 0; where is 0 */
	IPCSHARE__FAILED = 1, /* a buffer that is not shared; where is the status, negated */
	/* where is n << 44 | stride: n more buffers, each @stride behind the one before it. */
	IPCSHARE__RUN = 2,
};
_Static_assert(sizeof(struct ipcshare__wire_descriptor) == 16,
	       "struct ipcshare_descriptor, public");

#define IPCSHARE__BUFS_MAX (1u << 28) /* buffers of one rank in one call */

/*
 * What a rank shares. First what has to be there before a descriptor can be read: the head, nregions
 * regions, and in an update nbufs numbers of 32 bits: which buffers of the set these are; zeroes up to
 * whole 16 bytes. Then ndescriptors descriptors of nbufs buffers, and zeroes up to whole 64 bytes.
 */
struct ipcshare__wire_blob {
	uint32_t magic;
	uint32_t layout;
	uint64_t endpoint; /* of the rank */
	uint64_t bytes; /* of the whole blob */
	uint64_t set; /* serial of the set that is updated; 0: a new one */
	uint32_t nbufs;
	uint32_t ndescriptors;
	uint32_t nregions;
	uint32_t rank;
	uint32_t access; /* enum ipcshare__access, to all of these buffers */
	uint32_t pad;
	uint64_t check; /* over all bytes but this field, if the user carries it; else 0 */
};
_Static_assert(sizeof(struct ipcshare__wire_blob) == 64, "wire layout");

/* ---- Group: what the ranks exchange in collectives ---- */

/* Where a rank runs; numbers as the system counts them, -1 it is not in one alone, or not known. */
struct ipcshare__wire_place {
	int32_t package;
	int32_t numa;
	int32_t cache; /* the last level: the lowest CPU that shares it */
	int32_t first; /* CPU that it may use, -1 not known */
	uint32_t cores; /* how many; 0 not known */
	int32_t device_numa; /* next to its device */
	char address[16]; /* PCI address of that, "" not known */
};
_Static_assert(sizeof(struct ipcshare__wire_place) == 40, "wire layout");

/* The one allgather of group creation. */
struct ipcshare__wire_hello {
	uint32_t magic;
	uint32_t layout;
	int32_t status; /* start-up status of the rank; not 0: the rest may be empty */
	uint32_t rank;
	uint32_t nranks;
	uint32_t backend;
	struct ipcshare__identity identity;
	char control_key[IPCSHARE__KEY_SIZE]; /* of the rank's control page, host backend */
	char version[15];
	struct ipcshare__wire_place place;
	uint32_t check; /* over all bytes before it */
	uint32_t pad;
};
_Static_assert(sizeof(struct ipcshare__wire_hello) == 216, "wire layout");

/* First exchange of every collective: what is called, and how long the second one is. */
enum ipcshare__collective {
	IPCSHARE__COLL_SHARE = 1,
	IPCSHARE__COLL_VERDICT,
	IPCSHARE__COLL_SET_FREE,
	IPCSHARE__COLL_GROUP_CREATE,
	IPCSHARE__COLL_GROUP_FREE,
	IPCSHARE__COLL_SET_UPDATE,
	IPCSHARE__COLL_BARRIER,
	IPCSHARE__COLL_BCAST,
	IPCSHARE__COLL_ALLGATHER,
	IPCSHARE__COLL_GATHER,
	IPCSHARE__COLL_SCATTER,
	IPCSHARE__COLL_ALLTOALL,
	IPCSHARE__COLL_REDUCE,
	IPCSHARE__COLL_ALLREDUCE,
	IPCSHARE__COLL_REDUCE_SCATTER,
	IPCSHARE__COLL_SCAN,
	IPCSHARE__COLL_EXSCAN,
	IPCSHARE__COLL_BCAST_VIEW,
	IPCSHARE__COLL_ALLGATHER_VIEW,
	IPCSHARE__COLL_ALLTOALL_VIEW,
	IPCSHARE__COLL_VIEW_FREE,
	IPCSHARE__COLL_MESH, /* before the first call on a stream */
	IPCSHARE__COLL_RDMA_SHARE,
	IPCSHARE__COLLECTIVES
};
struct ipcshare__wire_header {
	uint32_t magic;
	uint16_t layout;
	uint16_t collective;
	uint64_t round; /* serial of the exchange in this group */
	int32_t status;
	uint32_t flags;
	uint64_t value; /* share, update: bytes of the blob that follows; verdict: failures;
			 * set_free: serial; barrier and later: bytes of the longest block */
	uint32_t check; /* over all bytes before it; 0 in the collectives of ipcshare_coll.h */
	uint32_t pad;
};
_Static_assert(sizeof(struct ipcshare__wire_header) == 40, "wire layout");

/* With IPCSHARE_CHECK, before the first bytes of a collective; behind it, for each rank: */
struct ipcshare__wire_args {
	uint32_t type;
	uint32_t op; /* enum ipcshare_op_kind; IPCSHARE_OPS the user's own */
	int32_t root; /* -1: there is none */
	uint32_t pad;
};
struct ipcshare__wire_lens { /* in bytes, of blocks for and from that rank */
	uint64_t gives;
	uint64_t wants; /* UINT64_MAX: nothing, whatever is given */
};
_Static_assert(sizeof(struct ipcshare__wire_args) == 16, "wire layout");
_Static_assert(sizeof(struct ipcshare__wire_lens) == 16, "wire layout");

/*
 * In front of the bytes of a collective: flags of its header, and what follows it, with OFFERS, instead
 * of bytes: where the sender's blocks are, and for each rank the offset of its block in there.
 */
enum ipcshare__call_flags {
	IPCSHARE__CALL_CHECKED = 1, /* IPCSHARE_CHECK is set */
	IPCSHARE__CALL_OFFERS = 2,
	/* too long, as the sender sees it, for the way of a single round */
	IPCSHARE__CALL_LONG = 4,
	IPCSHARE__CALL_STREAM = 8, /* it is queued on a stream */
	/* worth a round more, as the sender sees it, to go over the border once (topo/border.h) */
	IPCSHARE__CALL_RELAYS = 16,
};
struct ipcshare__wire_offer {
	struct ipcshare__wire_descriptor at;
	/* where what others have for it may be written; length 0: nowhere */
	struct ipcshare__wire_descriptor to;
	uint32_t read_only; /* how the region of @at was shared */
	uint32_t pad;
};
_Static_assert(sizeof(struct ipcshare__wire_offer) == 40, "wire layout");

/* Sent only after somebody failed: the detail of each rank. */
struct ipcshare__wire_detail {
	int32_t status;
	int32_t rank;
	int64_t index;
	int64_t code;
	char stage[32];
	char text[256];
	char hint[256];
};
_Static_assert(sizeof(struct ipcshare__wire_detail) == 568, "wire layout");

/*
 * What a rank says in a round. The first line is all that a short call takes from one core to another: it
 * carries the flag that the others wait for, the header, and the bytes, if they are few.
 */
#define IPCSHARE__SLOT ((size_t)64 << 10)
struct ipcshare__front {
	/* or in its place what an exchange without one has to say */
	struct ipcshare__wire_header header;
	unsigned char few[IPCSHARE__LINE - 48]; /* what follows a header */
};
struct ipcshare__slot {
	/* That what follows belongs to; stored last. The peers wait for it, and sleep on its low half. */
	uint64_t round;
	struct ipcshare__front front;
	/* what follows a header, if it is more */
	unsigned char body[IPCSHARE__SLOT - IPCSHARE__LINE];
};
_Static_assert(sizeof(struct ipcshare__front) == IPCSHARE__LINE - 8, "with the flag, a line");
_Static_assert(sizeof(struct ipcshare__slot) == IPCSHARE__SLOT, "wire layout");
#define IPCSHARE__SLOT_BODY offsetof(struct ipcshare__slot, body)
/* without a header */
#define IPCSHARE__SLOT_MOST (IPCSHARE__SLOT - offsetof(struct ipcshare__slot, front))

/*
 * Of each rank in each group: written by its owner, read by all others. Behind it stand two slots, for odd
 * and for even rounds; the owner writes one before it posts the round, and leaves it alone until all have
 * posted the next.
 */
struct ipcshare__control {
	/* line 0: written once, before the key is sent */
	uint32_t magic;
	uint32_t layout;
	uint32_t rank;
	uint32_t nranks;
	uint8_t pad0[IPCSHARE__LINE - 16];
	/* a bit for each that the owner may use; all, if there are more */
	uint64_t cores[IPCSHARE__LINE / 8];
	/* line 2: the owner stores, the peers look at it in every round: written when it ends, and before the
	 * ranks have met, when rounds go over the bootstrap */
	uint64_t round; /* serial of the exchange the owner has entered then */
	int64_t gave_up; /* status with which it left the protocol; 0 it is in */
	/* the rank concerned, written before gave_up and before a verdict; -1 none but the owner */
	int64_t because_of;
	uint64_t doubts; /* the round that the owner found was not complete; src/group/verdict.h */
	int64_t doubts_why; /* status with which it leaves then; written before a verdict */
	uint8_t pad1[IPCSHARE__LINE - 40];
	/* line 3: the owner stores, whoever posts looks at it */
	uint32_t asleep; /* the owner sleeps until a peer posts */
	uint8_t pad2[IPCSHARE__LINE - 4];
	/* line 4: in rank 0's; whoever knows of a doubt swaps it, once a round */
	uint64_t verdict;
	uint8_t pad3[IPCSHARE__LINE - 8];
};
_Static_assert(offsetof(struct ipcshare__control, round) == 2 * IPCSHARE__LINE, "own line");
_Static_assert(offsetof(struct ipcshare__control, asleep) == 3 * IPCSHARE__LINE, "own line");
_Static_assert(offsetof(struct ipcshare__control, verdict) == 4 * IPCSHARE__LINE, "own line");
_Static_assert(sizeof(struct ipcshare__control) == 5 * IPCSHARE__LINE, "wire layout");
#define IPCSHARE__CONTROL_SIZE                                                                     \
	(sizeof(struct ipcshare__control) + 2 * sizeof(struct ipcshare__slot))
/* ---- RDMA: a registered region, for a process on another node ---- */

struct ipcshare__wire_rdma {
	uint16_t magic;
	uint16_t layout; /* IPCSHARE__LAYOUT */
	uint32_t rkey;
	uint64_t base;
	uint64_t length;
	uint32_t access; /* enum ibv_access_flags */
	uint32_t check; /* over all bytes before it */
};
_Static_assert(sizeof(struct ipcshare__wire_rdma) == 32, "struct ipcshare_rdma_record, public");

/* What a rank tells its group of its regions in a set: a key of each, once, in any order. */
struct ipcshare__wire_key {
	uint32_t region;
	uint32_t generation;
	struct ipcshare__wire_rdma record;
};
struct ipcshare__wire_parcel {
	uint64_t set; /* its serial */
	struct ipcshare__wire_key keys[];
};
_Static_assert(sizeof(struct ipcshare__wire_key) == 40, "wire layout");
_Static_assert(sizeof(struct ipcshare__wire_parcel) == 8, "wire layout");

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half of a word comes first");

#endif
