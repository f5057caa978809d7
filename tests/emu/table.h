/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table: every byte that processes of one job share, in one memfd that only living processes
 * hold. Behind it in the same file lies the device memory.
 *
 * Rules. The table lock is a robust mutex; every write below happens under it except where a
 * comment names another writer. A process can be killed between any two instructions: a record
 * counts from the moment its `state` is stored, last, and until it is cleared, first. Lists, counts
 * and sums follow from the records, so after a death inside the lock they are made anew of them.
 * Whoever takes the lock first does that, and buries the dead.
 */
#ifndef EMU_TABLE_H
#define EMU_TABLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calls.h"

#define EMU_MAGIC 0x756d65616c636121
#define EMU_LAYOUT 1
#define EMU_DEVICES 64		/* contract 4.1: device index < 64 */
#define EMU_SLOTS 512
#define EMU_ALLOCS (1u << 20)
#define EMU_NODES (1u << 20)
#define EMU_OPENS (1u << 20)
#define EMU_GRANTS (1u << 22)
#define EMU_BUCKETS (1u << 16)
#define EMU_NOTIFIES 8192	/* contract 1.6, per device */
#define EMU_EVENTS 65536
#define EMU_PEER_CAP 32
#define EMU_NOTIFY_PIDS 16
#define EMU_NONE UINT32_MAX
#define EMU_POOL (UINT64_C(1) << 44)	/* file bytes per device; offsets are never used twice */

struct emu_machine {		/* written once, by the first process, before anyone joins */
	uint32_t devices;
	uint32_t dies;
	uint64_t hbm;
	int64_t huge_pages;
	char soc[32];
	char links[512];
};

struct emu_slot {		/* one process */
	uint32_t used;
	int32_t pid;		/* bare: as the outermost pid namespace sees it */
	uint64_t serial;	/* never reused: tells a slot's users apart */
	uint64_t start;		/* boottime ns of the process's start, rounded down to a tick */
	uint32_t keys;		/* exports and imports held */
	uint32_t pad;
	pthread_mutex_t alive;	/* held by the helper thread; the kernel marks it at its death */
};

enum { EMU_FREE, EMU_LIVE, EMU_SOURCE_FREED, EMU_CLOSED, EMU_REVOKED };

struct emu_alloc {		/* device memory */
	uint32_t state;
	uint32_t slot;
	uint32_t device;
	uint32_t huge;		/* 2 MiB pages it takes */
	uint64_t off;		/* in the file */
	uint64_t len;
};

struct emu_node {		/* one export; CLOSED: destroyed while importers still hold it */
	uint32_t state;
	uint32_t slot;
	uint32_t device;
	uint32_t no_whitelist;
	uint32_t alloc;
	uint32_t page;
	uint64_t counter;
	uint64_t off;
	uint64_t len;
	uint32_t next;		/* in its bucket */
	uint32_t grants;	/* whitelist: head and number */
	uint32_t ngrants;
	uint32_t opens;		/* head */
	uint32_t nopens;
	uint32_t attr;		/* access link */
	int32_t creator;	/* bare pid, also in the key */
	uint32_t pad;
	uint64_t owner_serial;
};

struct emu_grant {		/* one whitelist entry */
	int32_t pid;
	uint32_t sdid;		/* EMU_NONE: this server */
	uint64_t time;		/* boottime ns when it was last written */
	uint32_t next;
	uint32_t absent;	/* no such process existed when it was written */
};

struct emu_open {		/* one import of a node by a process */
	uint32_t state;		/* LIVE, REVOKED; copy engines read it without the lock */
	uint32_t node;
	uint32_t slot;
	uint32_t next;		/* of the node */
	uint64_t owner_serial;	/* of the exporter: its death revokes even before burial */
	uint32_t owner_slot;
	uint32_t pad;
};

struct emu_notify_pid {
	int32_t pid;
	uint32_t opened;	/* slot + 1 of a process that has it open */
	uint64_t time;
};

struct emu_shared_notify {
	uint32_t state;		/* read without the lock, atomically; so is the event's */
	uint32_t slot;
	uint32_t bit;		/* any process records, the owner waits: atomic, also a futex */
	uint32_t no_whitelist;
	uint64_t counter;
	struct emu_notify_pid pids[EMU_NOTIFY_PIDS];
};

struct emu_shared_event {
	uint32_t state;
	uint32_t slot;
	uint64_t counter;
	uint64_t recorded;	/* atomic: records submitted by any process */
	uint64_t done;		/* atomic: records executed */
};

struct emu_peer {
	uint32_t slots[EMU_PEER_CAP];	/* slot + 1, 0 free */
	uint32_t counts[EMU_PEER_CAP];
};

struct emu_table {
	uint64_t magic;
	uint32_t layout;
	uint32_t size_check;
	struct emu_machine machine;
	pthread_mutex_t lock;
	uint64_t next_serial;
	uint64_t next_counter;		/* of keys; never reused */
	uint64_t next_off[EMU_DEVICES];
	uint64_t used[EMU_DEVICES];	/* bytes of device memory */
	int64_t huge[EMU_DEVICES];	/* 2 MiB pages taken */
	uint32_t slots_top, allocs_top, nodes_top, opens_top, grants_top, events_top;
	uint32_t notifies_top[EMU_DEVICES];
	uint32_t allocs_hint, nodes_hint, opens_hint;
	uint32_t grants_free;		/* chain of unused entries */
	uint64_t counters[EMU_NCOUNTERS];	/* atomic, any process */
	uint32_t buckets[EMU_BUCKETS];
	struct emu_slot slots[EMU_SLOTS];
	struct emu_peer peers[EMU_DEVICES][EMU_DEVICES];	/* [from][to] */
	struct emu_shared_notify notifies[EMU_DEVICES][EMU_NOTIFIES];
	struct emu_shared_event events[EMU_EVENTS];
	struct emu_alloc allocs[EMU_ALLOCS];
	struct emu_node nodes[EMU_NODES];
	struct emu_open opens[EMU_OPENS];
	struct emu_grant grants[EMU_GRANTS];
};
_Static_assert(sizeof(struct emu_node) == 88, "layout: change EMU_LAYOUT too");
_Static_assert(sizeof(struct emu_open) == 32, "layout: change EMU_LAYOUT too");
_Static_assert(sizeof(struct emu_grant) == 24, "layout: change EMU_LAYOUT too");

#define EMU_TABLE_SIZE ((sizeof(struct emu_table) + (UINT64_C(1) << 30) - 1) & \
			~((UINT64_C(1) << 30) - 1))
#define EMU_FILE_SIZE (EMU_TABLE_SIZE + EMU_DEVICES * EMU_POOL)

/* The rest of a record is stored before its state, and nothing that follows is stored earlier. */
static inline void emu_state_set(uint32_t *state, uint32_t value)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(state, value, __ATOMIC_SEQ_CST);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* join.c: this process's place. All calls that need the machine start with emu_join(). */
extern struct emu_table *emu_table;
extern uint32_t emu_me;			/* my slot */
extern uint64_t emu_serial;		/* and its serial: another one there means I was buried */
extern int emu_file;			/* the memfd */
int emu_join(void);			/* 0 or an ACL code */
int32_t emu_bare_pid(void);
bool emu_forked(void);			/* a child of fork(): no process of the job */

/* table.c */
void emu_table_init(struct emu_table *t);	/* by the first process */
int emu_table_check(const struct emu_table *t);	/* by later ones: 0 or an ACL code */
void emu_table_lock(void);
void emu_table_unlock(void);
bool emu_slot_dead(uint32_t slot, uint64_t serial);
uint32_t emu_record_take(void *base, size_t size, uint32_t *top, uint32_t *hint, uint32_t max);

/* bury.c: give back what a process held; table lock held */
void emu_bury(uint32_t slot);
void emu_alloc_release(uint32_t alloc);
void emu_node_close(uint32_t node);		/* the exporter's Close */
void emu_node_source_freed(uint32_t node);
void emu_node_settle(uint32_t node);		/* what follows from a node's state */
void emu_open_drop(uint32_t open);		/* an importer's Close or death */

/* repair.c: after a death inside the lock; table lock held */
void emu_table_repair(void);

/* helper.c: the thread that answers other processes of the job */
int emu_helper_start(int listener, pthread_mutex_t *alive);
void emu_helper_ring(uint32_t slot);		/* make it notice revocations; waits for it */
int emu_helper_connect(uint32_t slot);		/* a socket, or -1 */

#endif
