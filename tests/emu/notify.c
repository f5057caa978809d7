/* SPDX-License-Identifier: BSD-3-Clause */
/* Notify calls (contract 1.6 and 1.9.6). The limits are the driver library's. */
#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "notify.h"
#include "peer.h"
#include "stream.h"

struct emu_notify {
	struct emu_notify *next;	/* all of this process */
	void *handle;
	int refs;
	bool creator;
	int device;			/* physical, of the creator */
	uint32_t index;
	uint64_t counter;
	struct emu_shared_notify *shared;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct emu_notify *all;

/* Table lock held. */
static struct emu_shared_notify *take_locked(int device, uint32_t *index)
{
	struct emu_table *t = emu_table;
	struct emu_shared_notify *n;
	uint32_t hint = 0;

	*index = emu_record_take(t->notifies[device], sizeof(*n), &t->notifies_top[device], &hint,
				 (uint32_t)emu_settings()->notifies);
	if (*index == EMU_NONE)
		return NULL;
	n = &t->notifies[device][*index];
	n->slot = emu_me;
	n->counter = t->next_counter++;
	emu_state_set(&n->state, EMU_LIVE);
	return n;
}

uint32_t emu_notify_take(int device)
{
	uint32_t index;

	emu_table_lock();
	take_locked(device, &index);
	emu_table_unlock();
	return index;
}

void emu_notify_give(int device, uint32_t index)
{
	emu_table_lock();
	emu_table->notifies[device][index].state = EMU_FREE;
	emu_table_unlock();
}

static struct emu_notify *notify_new(void)
{
	struct emu_notify *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->refs = 1;
	n->handle = emu_handle_new(EMU_NOTIFY, n);
	if (!n->handle) {
		free(n);
		return NULL;
	}
	pthread_mutex_lock(&lock);
	n->next = all;
	all = n;
	pthread_mutex_unlock(&lock);
	return n;
}

static void notify_put(struct emu_notify *n)
{
	struct emu_notify **link = &all;
	bool last;

	pthread_mutex_lock(&lock);
	last = !--n->refs;
	while (last && *link != n)
		link = &(*link)->next;
	if (last)
		*link = n->next;
	pthread_mutex_unlock(&lock);
	if (last)
		free(n);
}

static struct emu_notify *notify_of(aclrtNotify handle, int *err)
{
	struct emu_notify *n = handle ? emu_handle_get(EMU_NOTIFY, handle) : NULL;

	*err = n ? 0 : emu_fail(handle ? ACL_ERROR_RT_PARAM_INVALID : ACL_ERROR_INVALID_PARAM,
				"not a living notify");
	return n;
}

aclError aclrtCreateNotify(aclrtNotify *out, uint64_t flag)
{
	struct emu_context *c;
	struct emu_notify *n;

	ENTER(aclrtCreateNotify);
	if (!out)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	if (flag > 1)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "flag %#llx", (unsigned long long)flag);
	NEED_CONTEXT(c);
	if (emu_settings()->is_virtual)
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "a virtual instance");
	n = notify_new();
	if (!n)
		return emu_fail(ACL_ERROR_RT_NO_NOTIFY_RESOURCE, "no host memory");
	n->creator = true;
	n->device = c->device;
	emu_table_lock();
	n->shared = take_locked(c->device, &n->index);
	n->counter = n->shared ? n->shared->counter : 0;
	emu_table_unlock();
	if (!n->shared) {
		notify_put(emu_handle_drop(EMU_NOTIFY, n->handle));
		return emu_fail(ACL_ERROR_RT_NO_NOTIFY_RESOURCE, "no notify left on the device");
	}
	*out = n->handle;
	return 0;
}

static bool valid(const struct emu_notify *n)
{
	return __atomic_load_n(&n->shared->state, __ATOMIC_SEQ_CST) == EMU_LIVE &&
	       n->shared->counter == n->counter;
}

/* Handles of this process on the same notify, living ones only. */
static unsigned handles_on(const struct emu_notify *n)
{
	unsigned count = 0;

	pthread_mutex_lock(&lock);
	for (struct emu_notify *i = all; i; i = i->next)
		count += i->counter == n->counter && emu_handle_get(EMU_NOTIFY, i->handle) == i;
	pthread_mutex_unlock(&lock);
	return count;
}

aclError aclrtDestroyNotify(aclrtNotify handle)
{
	struct emu_notify *n;
	unsigned left;
	int err;

	ENTER(aclrtDestroyNotify);
	n = notify_of(handle, &err);
	if (!n)
		return err;
	emu_handle_drop(EMU_NOTIFY, handle);
	left = handles_on(n);
	emu_table_lock();
	if (n->creator && valid(n))
		__atomic_store_n(&n->shared->state, EMU_FREE, __ATOMIC_SEQ_CST);
	for (int i = 0; !n->creator && !left && valid(n) && i < EMU_NOTIFY_PIDS; i++)
		if (n->shared->pids[i].opened == emu_me + 1)
			n->shared->pids[i].opened = 0;
	emu_table_unlock();
	notify_put(n);
	return 0;
}

static void notify_drop(struct emu_task *t)
{
	notify_put(t->u.notify.notify);
}

static long futex(uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

/* A 32-bit write to the owner's register; its device must be reachable. */
static int record_run(struct emu_task *t, const struct emu_run *where)
{
	struct emu_notify *n = t->u.notify.notify;

	if (!valid(n) || !emu_peer_usable(where->device, n->device))
		return ACL_ERROR_RT_SYS_DMA;
	__atomic_store_n(&n->shared->bit, 1, __ATOMIC_SEQ_CST);
	futex(&n->shared->bit, FUTEX_WAKE, INT32_MAX, NULL);
	return 0;
}

static int wait_run(struct emu_task *t, const struct emu_run *where)
{
	struct emu_notify *n = t->u.notify.notify;
	const struct timespec slice = { 0, 10000000 };	/* to look for an abort */
	uint64_t deadline = t->u.notify.timeout_s ?
		emu_now_ns() + t->u.notify.timeout_s * UINT64_C(1000000000) : UINT64_MAX;
	uint32_t one = 1;

	while (!__atomic_compare_exchange_n(&n->shared->bit, &one, 0, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST)) {
		if (*where->abort)
			return 0;
		if (!valid(n) || emu_now_ns() >= deadline)
			return ACL_ERROR_RT_WAIT_TIMEOUT;
		futex(&n->shared->bit, FUTEX_WAIT, 0, &slice);
		one = 1;
	}
	return 0;
}

static int submit(struct emu_notify *n, struct emu_stream *s, uint64_t timeout_s,
		  int (*run)(struct emu_task *, const struct emu_run *))
{
	struct emu_task t = { .run = run, .drop = notify_drop };

	t.u.notify.notify = n;
	t.u.notify.timeout_s = timeout_s;
	pthread_mutex_lock(&lock);
	n->refs++;
	pthread_mutex_unlock(&lock);
	return emu_stream_submit(s, &t);
}

aclError aclrtRecordNotify(aclrtNotify handle, aclrtStream stream)
{
	struct emu_context *c;
	struct emu_notify *n;
	struct emu_stream *s;
	int err;

	ENTER(aclrtRecordNotify);
	n = notify_of(handle, &err);
	if (!n)
		return err;
	NEED_CONTEXT(c);
	s = emu_stream_of(c, stream, &err);
	return s ? submit(n, s, 0, record_run) : err;
}

aclError aclrtWaitAndResetNotify(aclrtNotify handle, aclrtStream stream, uint32_t timeout_s)
{
	struct emu_context *c;
	struct emu_notify *n;
	struct emu_stream *s;
	int err;

	ENTER(aclrtWaitAndResetNotify);
	n = notify_of(handle, &err);
	if (!n)
		return err;
	NEED_CONTEXT(c);
	if (!n->creator || n->device != c->device)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID,
				"only the creator waits, on the creating device");
	s = emu_stream_of(c, stream, &err);
	return s ? submit(n, s, timeout_s, wait_run) : err;
}

aclError aclrtGetNotifyId(aclrtNotify handle, uint32_t *id)
{
	struct emu_notify *n;
	int err;

	ENTER(aclrtGetNotifyId);
	if (!id)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	n = notify_of(handle, &err);
	if (n)
		*id = n->index;
	return err;
}

aclError aclrtNotifyBatchReset(aclrtNotify *handles, size_t num)
{
	struct emu_notify *n;
	int err;

	ENTER(aclrtNotifyBatchReset);
	if (!handles || !num)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL or none");
	for (size_t i = 0; i < num; i++) {
		n = notify_of(handles[i], &err);
		if (!n || !n->creator)
			return err ? err : emu_fail(ACL_ERROR_RT_PARAM_INVALID, "imported");
	}
	for (size_t i = 0; i < num; i++) {
		n = notify_of(handles[i], &err);
		if (n)
			__atomic_store_n(&n->shared->bit, 0, __ATOMIC_SEQ_CST);
	}
	return 0;
}

/* Another layout than memory keys: callers must treat both as 65 opaque bytes. */
static void key_format(char *key, int device, uint32_t index, uint64_t counter)
{
	int n = snprintf(key, ACL_IPC_KEY_LEN, "N%02x%08x-%016llx", (unsigned)device, index,
			 (unsigned long long)counter);

	memset(key + n, 'z', (size_t)(ACL_IPC_KEY_LEN - n));
	key[ACL_IPC_KEY_LEN - 1] = 0;
}

aclError aclrtNotifyGetExportKey(aclrtNotify handle, char *key, size_t len, uint64_t flags)
{
	struct emu_context *c;
	struct emu_notify *n;
	int err;

	ENTER(aclrtNotifyGetExportKey);
	if (!key)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	n = notify_of(handle, &err);
	if (!n)
		return err;
	NEED_CONTEXT(c);
	if (len < ACL_IPC_KEY_LEN || flags & ~(uint64_t)2)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "len %zu, flags %#llx", len,
				(unsigned long long)flags);
	if (flags && emu_settings()->no_flags)
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "flags in an old driver");
	if (!n->creator)
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "an imported notify");
	emu_table_lock();
	if (flags)
		n->shared->no_whitelist = 1;
	emu_table_unlock();
	key_format(key, n->device, n->index, n->counter);
	return 0;
}

/* Lock held: the entry of @pid, or an empty one; 16 in all. */
static struct emu_notify_pid *pid_slot(struct emu_shared_notify *n, int32_t pid)
{
	for (int i = 0; i < EMU_NOTIFY_PIDS; i++)
		if (n->pids[i].pid == pid)
			return &n->pids[i];
	for (int i = 0; i < EMU_NOTIFY_PIDS; i++)
		if (!n->pids[i].pid)
			return &n->pids[i];
	return NULL;
}

static int import_pid(aclrtNotify handle, const int32_t *pid, size_t num)
{
	struct emu_notify_pid *slot;
	struct emu_context *c;
	struct emu_notify *n;
	int err;

	if (!pid)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	n = notify_of(handle, &err);
	if (!n)
		return err;
	NEED_CONTEXT(c);
	if (num != 1)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "%zu pids: exactly one a call", num);
	if (!n->creator)
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "an imported notify");
	if (*pid <= 0 || *pid == emu_bare_pid())
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "pid %d", *pid);
	emu_table_lock();
	slot = pid_slot(n->shared, *pid);
	if (n->shared->no_whitelist)
		err = emu_fail(ACL_ERROR_RT_NO_PERMISSION, "exported without a whitelist");
	else if (!slot)
		err = emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "a 17th process");
	else {
		slot->pid = *pid;
		slot->time = emu_now_ns();
	}
	emu_table_unlock();
	return err;
}

aclError aclrtNotifySetImportPid(aclrtNotify notify, int32_t *pid, size_t num)
{
	ENTER(aclrtNotifySetImportPid);
	return import_pid(notify, pid, num);
}

aclError aclrtNotifySetImportPidInterServer(aclrtNotify notify, aclrtServerPid *pids, size_t num)
{
	int err = 0;

	ENTER(aclrtNotifySetImportPidInterServer);
	if (!pids || !num)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "NULL or no servers");
	NEED_MACHINE();
	if (!emu_soc_is_pod())
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "super pods only");
	for (size_t i = 0; i < num && !err; i++)
		err = import_pid(notify, pids[i].pid, pids[i].num);
	return err;
}

/* Lock held; the slots also count processes when there is no whitelist. */
static int open_locked(struct emu_notify *n)
{
	const struct emu_slot *me = &emu_table->slots[emu_me];
	struct emu_notify_pid *slot;

	if (!valid(n))
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "unknown notify key");
	slot = pid_slot(n->shared, me->pid);
	if (n->shared->no_whitelist) {
		if (!slot)
			return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "a 17th importer");
		slot->pid = me->pid;
	} else if (!slot || slot->pid != me->pid ||
		   (emu_settings()->start_rule && slot->time < me->start)) {
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR,
				"this process is not listed, or was before it started");
	}
	slot->opened = emu_me + 1;
	return 0;
}

static int key_parse(const char *key, struct emu_notify *n)
{
	char text[ACL_IPC_KEY_LEN];
	unsigned long long counter;
	unsigned device, index;

	if (strnlen(key, ACL_IPC_KEY_LEN) != ACL_IPC_KEY_LEN - 1)
		return ACL_ERROR_RT_PARAM_INVALID;
	if (sscanf(key, "N%2x%8x-%16llx", &device, &index, &counter) != 3 ||
	    device >= emu_table->machine.devices || index >= EMU_NOTIFIES)
		return ACL_ERROR_RT_DRV_INTERNAL_ERROR;
	key_format(text, (int)device, index, counter);
	n->device = (int)device;
	n->index = index;
	n->counter = counter;
	n->shared = &emu_table->notifies[device][index];
	return memcmp(text, key, sizeof(text)) ? ACL_ERROR_RT_DRV_INTERNAL_ERROR : 0;
}

aclError aclrtNotifyImportByKey(aclrtNotify *out, const char *key, uint64_t flags)
{
	struct emu_context *c;
	struct emu_notify *n;
	int err;

	ENTER(aclrtNotifyImportByKey);
	if (!out || !key)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	if (flags & ~(uint64_t)2)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "flags %#llx",
				(unsigned long long)flags);
	NEED_CONTEXT(c);
	if (emu_settings()->is_virtual || (flags && emu_settings()->no_flags))
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "virtual, or an old driver");
	n = notify_new();
	if (!n)
		return emu_fail(ACL_ERROR_RT_NO_NOTIFY_RESOURCE, "no host memory");
	err = key_parse(key, n);
	if (err)
		emu_fail(err, "not a notify key");
	if (!err && flags)
		err = emu_peer_enable_both(c->device, n->device);
	emu_table_lock();
	err = err ? err : open_locked(n);
	emu_table_unlock();
	if (err)
		notify_put(emu_handle_drop(EMU_NOTIFY, n->handle));
	else
		*out = n->handle;
	return err;
}
