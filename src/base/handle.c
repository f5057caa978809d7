/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/handle.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for changes, and who finds nothing */
/* with the kind, and the epoch of the process that made it */
static struct ipcshare__directory handles;
static uint32_t epoch;
/* A page with MADV_WIPEONFORK, made once: in a forked child it is zero, NEW_PROCESS. */
static _Atomic(_Atomic uint32_t *) fork_page;
enum {
	NEW_PROCESS,
	SETTLING,
	SETTLED
};

/*
 * A child starts with a copy of the handles, all of them from an older epoch, and maybe with the lock
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

/* The page stays, as do the tables of the directory: checks may be in them at any time. */
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

static struct ipcshare__name name_of(const void *handle)
{
	return (struct ipcshare__name){ (uintptr_t)handle, 0 };
}

static bool find(const void *handle, struct ipcshare__behind *out)
{
	return ipcshare__directory_find(&handles, name_of(handle), out);
}

int ipcshare__handle_add(const void *handle, enum ipcshare__handle_kind kind)
{
	int err;

	notice_fork();
	pthread_mutex_lock(&lock);
	err = watch_forks();
	if (!err) /* maybe in place of an inherited one whose address came again */
		err = ipcshare__directory_put(&handles, name_of(handle),
					      (struct ipcshare__behind){ kind, epoch });
	pthread_mutex_unlock(&lock);
	if (err == IPCSHARE_ERR_UNSUPPORTED)
		return ipcshare__fail(err, "open",
				      "a seccomp filter may forbid madvise(MADV_WIPEONFORK)",
				      "a fork of this process could not be noticed");
	if (err)
		return ipcshare__fail_errno(ENOMEM, "open", "one more handle");
	return 0;
}

void ipcshare__handle_remove(const void *handle)
{
	notice_fork();
	pthread_mutex_lock(&lock);
	ipcshare__directory_remove(&handles, name_of(handle));
	pthread_mutex_unlock(&lock);
}

/* It was not found alive: why not? Or was there a change just then? */
static int look_again(const void *handle, enum ipcshare__handle_kind kind, const char *stage)
{
	static const char *const name[] = {
		"",	 "context", "group",	   "set",	  "share",     "plan",
		"arena", "view",    "RDMA domain", "RDMA region", "RDMA keys",
	};
	struct ipcshare__behind what;
	uint32_t now;
	bool found;

	if (!handle)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, stage, "", "the %s is NULL",
				      name[kind]);
	pthread_mutex_lock(&lock);
	found = find(handle, &what);
	now = epoch;
	pthread_mutex_unlock(&lock);
	if (!found || what.a != kind)
		return ipcshare__fail(IPCSHARE_ERR_CLOSED, stage,
				      "it was freed before, abandoned, or never made",
				      "the %s %p is not alive", name[kind], handle);
	if (what.b != now)
		return ipcshare__fail(IPCSHARE_ERR_FORKED, stage,
				      "open a context of its own in the child",
				      "the %s was made before fork()", name[kind]);
	return 0;
}

int ipcshare__handle_check(const void *handle, enum ipcshare__handle_kind kind, const char *stage)
{
	struct ipcshare__behind what;

	notice_fork();
	if (find(handle, &what) && what.a == kind && what.b == epoch)
		return 0;
	return look_again(handle, kind, stage);
}

int ipcshare__handle_each(enum ipcshare__handle_kind kind, int (*visit)(void *handle, void *arg),
			  void *arg)
{
	struct ipcshare__behind what;
	struct ipcshare__name name;
	size_t at = 0;
	int stop = 0;

	notice_fork();
	pthread_mutex_lock(&lock);
	while (!stop && ipcshare__directory_next(&handles, &at, &name, &what))
		if (what.a == kind && what.b == epoch)
			stop = visit((void *)(uintptr_t)name.a, arg);
	pthread_mutex_unlock(&lock);
	return stop;
}
