/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/handle.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"

struct entry {
	const void *handle; /* NULL: free slot */
	enum ipcshare__handle_kind kind;
	uint32_t epoch; /* that of the process that made it */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *table; /* open addressing; at most half full */
static size_t capacity, used;
static uint32_t epoch;
/* A page with MADV_WIPEONFORK, made once: in a forked child it is zero, NEW_PROCESS. */
static _Atomic(_Atomic uint32_t *) fork_page;
enum { NEW_PROCESS, SETTLING, SETTLED };

/*
 * A child starts with a copy of the table, all of it from an older epoch, and maybe with the lock
 * held by a thread that it doesn't have. Of the child's own threads the first to come here settles
 * that, the others wait.
 */
static void notice_fork(void)
{
	_Atomic uint32_t *state = atomic_load(&fork_page);
	uint32_t expected = NEW_PROCESS;

	if (!state || atomic_load(state) == SETTLED)
		return;
	if (!atomic_compare_exchange_strong(state, &expected, SETTLING)) {
		while (atomic_load(state) != SETTLED)
			sched_yield();
		return;
	}
	pthread_mutex_init(&lock, NULL);
	epoch++;
	atomic_store(state, SETTLED);
}

static int watch_forks(void)
{
	_Atomic uint32_t *page;

	if (atomic_load(&fork_page))
		return 0;
	page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if ((void *)page == MAP_FAILED)
		return IPCSHARE_ERR_NO_MEMORY;
	if (madvise((void *)page, (size_t)sysconf(_SC_PAGESIZE), MADV_WIPEONFORK)) {
		munmap((void *)page, (size_t)sysconf(_SC_PAGESIZE));
		return IPCSHARE_ERR_UNSUPPORTED;
	}
	atomic_store(page, SETTLED);
	atomic_store(&fork_page, page);
	return 0;
}

static size_t slot_of(const void *handle)
{
	return (size_t)(((uintptr_t)handle >> 4) * 0x9e3779b97f4a7c15u >> 20) & (capacity - 1);
}

static struct entry *find(const void *handle)
{
	if (!capacity)
		return NULL;
	for (size_t i = slot_of(handle);; i = (i + 1) & (capacity - 1)) {
		if (table[i].handle == handle)
			return &table[i];
		if (!table[i].handle)
			return NULL;
	}
}

static void insert(struct entry e)
{
	size_t i = slot_of(e.handle);

	while (table[i].handle)
		i = (i + 1) & (capacity - 1);
	table[i] = e;
	used++;
}

static int grow(void)
{
	struct entry *old = table, *bigger;
	size_t old_capacity = capacity;

	if (2 * (used + 1) <= capacity)
		return 0;
	bigger = calloc(capacity ? 2 * capacity : 64, sizeof(*bigger));
	if (!bigger)
		return IPCSHARE_ERR_NO_MEMORY;
	table = bigger;
	capacity = capacity ? 2 * capacity : 64;
	used = 0;
	for (size_t i = 0; i < old_capacity; i++)
		if (old[i].handle)
			insert(old[i]);
	free(old);
	return 0;
}

int ipcshare__handle_add(const void *handle, enum ipcshare__handle_kind kind)
{
	struct entry *e;
	int err;

	notice_fork();
	pthread_mutex_lock(&lock);
	err = watch_forks();
	if (!err)
		err = grow();
	if (!err) {
		e = find(handle); /* an inherited one whose address came again */
		if (e)
			*e = (struct entry){ handle, kind, epoch };
		else
			insert((struct entry){ handle, kind, epoch });
	}
	pthread_mutex_unlock(&lock);
	if (err)
		return ipcshare__fail(err, "open", "", "no room to remember one more handle");
	return 0;
}

void ipcshare__handle_remove(const void *handle)
{
	struct entry *e, moved;
	size_t i;

	notice_fork();
	pthread_mutex_lock(&lock);
	e = find(handle);
	if (e) {
		e->handle = NULL;
		used--;
		/* Close the gap: whoever follows in the cluster may belong before it. */
		i = (size_t)(e - table);
		while (table[i = (i + 1) & (capacity - 1)].handle) {
			moved = table[i];
			table[i].handle = NULL;
			used--;
			insert(moved);
		}
	}
	if (!used) { /* the last one: nothing of ours stays in the process but one page */
		free(table);
		table = NULL;
		capacity = 0;
	}
	pthread_mutex_unlock(&lock);
}

int ipcshare__handle_check(const void *handle, enum ipcshare__handle_kind kind, const char *stage)
{
	static const char *const name[] = { "", "context", "group", "set", "share", "plan", "arena" };
	struct entry *e, found = { 0 };
	uint32_t now;

	if (!handle)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, stage, "", "the %s is NULL", name[kind]);
	notice_fork();
	pthread_mutex_lock(&lock);
	e = find(handle);
	if (e)
		found = *e;
	now = epoch;
	pthread_mutex_unlock(&lock);
	if (!e || found.kind != kind)
		return ipcshare__fail(IPCSHARE_ERR_CLOSED, stage,
				      "it was freed before, abandoned, or never made",
				      "the %s %p is not alive", name[kind], handle);
	if (found.epoch != now)
		return ipcshare__fail(IPCSHARE_ERR_FORKED, stage,
				      "open a context of its own in the child",
				      "the %s was made before fork()", name[kind]);
	return 0;
}

int ipcshare__handle_each(enum ipcshare__handle_kind kind, int (*visit)(void *handle, void *arg),
			  void *arg)
{
	int stop = 0;

	notice_fork();
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < capacity && !stop; i++)
		if (table[i].handle && table[i].kind == kind && table[i].epoch == epoch)
			stop = visit((void *)table[i].handle, arg);
	pthread_mutex_unlock(&lock);
	return stop;
}
