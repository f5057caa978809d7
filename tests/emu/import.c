/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The importer's side, and Close, which serves both. Two layers, as in the real runtime: the driver
 * library counts imports per key and maps once; the runtime keeps a list of keys, which decides
 * in Close whether a key is "an import of mine" or "an export to destroy" (2.6, 2.7).
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "ipc.h"
#include "peer.h"

#define BUCKETS 1024

struct import {
	struct import *next;
	char key[ACL_IPC_KEY_LEN];
	struct emu_region *region;
	int device;		/* that mapped it */
	unsigned mapped;	/* the driver library's count */
	unsigned listed;	/* the runtime's entries */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* taken before the table's */
static struct import *imports[BUCKETS];

static struct import **bucket_of(const char *key)
{
	uint64_t counter = 0;

	emu_key_parse(key, &counter);
	return &imports[counter % BUCKETS];
}

static struct import *find(const char *key)
{
	struct import *i = *bucket_of(key);

	while (i && memcmp(i->key, key, ACL_IPC_KEY_LEN))
		i = i->next;
	return i;
}

static struct import *find_or_make(const char *key)
{
	struct import *i = find(key);

	if (i)
		return i;
	i = calloc(1, sizeof(*i));
	if (!i)
		return NULL;
	memcpy(i->key, key, ACL_IPC_KEY_LEN);
	i->next = *bucket_of(key);
	*bucket_of(key) = i;
	return i;
}

static void forget_if_unused(struct import *i)
{
	struct import **link = bucket_of(i->key);

	if (i->mapped || i->listed)
		return;
	while (*link != i)
		link = &(*link)->next;
	*link = i->next;
	free(i);
}

static bool listed_for_me(const struct emu_node *n)
{
	const struct emu_slot *me = &emu_table->slots[emu_me];

	for (uint32_t i = n->grants; i != EMU_NONE; i = emu_table->grants[i].next) {
		const struct emu_grant *g = &emu_table->grants[i];

		if (g->pid != me->pid || g->sdid != EMU_NONE)
			continue;
		/* Written before I started: it was meant for an earlier process of this pid. */
		return !emu_settings()->start_rule || (g->time >= me->start && !g->absent);
	}
	return false;
}

/* Lock held. All refusals are alike for the caller; the message knows the cause. */
static int open_node(const char *key, struct emu_region *r)
{
	struct emu_table *t = emu_table;
	uint32_t i = emu_key_find(key), o;
	struct emu_node *n = i == EMU_NONE ? NULL : &t->nodes[i];
	const char *why = NULL;

	if (!n)
		why = "unknown key";
	else if (n->state == EMU_CLOSED)
		why = "the key was destroyed";
	else if (n->state == EMU_SOURCE_FREED)
		why = "its memory was freed";
	else if (emu_node_mine(n) && !n->no_whitelist)
		why = "a process's own key";
	else if (!n->no_whitelist && !listed_for_me(n))
		why = "this process is not listed, or was before it started";
	if (why)
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "import refused: %s", why);
	if (t->slots[emu_me].keys >= (uint32_t)emu_settings()->max_keys)
		return emu_fail(ACL_ERROR_RT_INVALID_HANDLE, "too many exports and imports");
	o = emu_record_take(t->opens, sizeof(*t->opens), &t->opens_top, &t->opens_hint, EMU_OPENS);
	if (o == EMU_NONE)
		return emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "the table is full");
	t->opens[o].node = i;
	t->opens[o].slot = emu_me;
	t->opens[o].owner_slot = n->slot;
	t->opens[o].owner_serial = n->owner_serial;
	t->opens[o].next = n->opens;
	n->opens = o;
	n->nopens++;
	t->slots[emu_me].keys++;
	emu_state_set(&t->opens[o].state, EMU_LIVE);
	r->open = o;
	r->device = (int)n->device;
	r->off = n->off;
	r->len = n->len;
	r->page = n->page;
	return 0;
}

static int map_first(struct import *i, int device)
{
	struct emu_region *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "no host memory");
	r->kind = EMU_REGION_IMPORT;
	r->map_device = device;
	COUNT(ioctl_import, 3);		/* query, open, prefetch */
	emu_table_lock();
	err = open_node(i->key, r);
	emu_table_unlock();
	if (!err && emu_region_enter(r)) {
		emu_table_lock();
		emu_open_drop(r->open);
		emu_table_unlock();
		err = emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "no address space");
	}
	if (err) {
		free(r);
		return err;
	}
	i->region = r;
	i->device = device;
	return 0;
}

/* Flag 1: the device named by the key, both directions (2.6). */
static int peer_enable(const char *key, int device)
{
	int owner = -1;
	uint32_t i;

	if (emu_settings()->no_flags)
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "no halShmemInfoGet");
	COUNT(ioctl_import, 1);
	emu_table_lock();
	i = emu_key_find(key);
	if (i != EMU_NONE && emu_table->nodes[i].state != EMU_CLOSED)
		owner = (int)emu_table->nodes[i].device;
	emu_table_unlock();
	if (owner < 0)
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "import refused: unknown key");
	if (!emu_device_visible(owner))
		return emu_fail(ACL_ERROR_RT_INVALID_DEVICEID, "device %d is not visible here",
				owner);
	return emu_peer_enable_both(device, owner);
}

static int import(void **p, const char *key, uint64_t flags)
{
	struct emu_context *c;
	struct import *i;
	uint64_t counter;
	int err;

	if (!p || !key)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	if (flags > 1 || emu_key_parse(key, &counter))
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "flags %#llx, or the key's shape",
				(unsigned long long)flags);
	NEED_CONTEXT(c);
	if (emu_settings()->is_virtual)
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "a virtual instance");
	err = flags ? peer_enable(key, c->device) : 0;
	if (err)
		return err;
	i = find_or_make(key);
	if (!i)
		return emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "no host memory");
	if (!i->mapped)
		err = map_first(i, c->device);
	else if (i->device != c->device)	/* the entry already has an address */
		err = emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR,
			       "import refused: mapped on another device of this process");
	if (!err) {
		i->mapped++;
		i->listed = emu_settings()->legacy_close ? 1 : i->listed + 1;
		*p = (void *)i->region->va;
	}
	forget_if_unused(i);
	return err;
}

aclError aclrtIpcMemImportByKey(void **p, const char *key, uint64_t flags)
{
	int err;

	ENTER(aclrtIpcMemImportByKey);
	emu_ipc_begin();
	pthread_mutex_lock(&lock);
	err = import(p, key, flags);
	pthread_mutex_unlock(&lock);
	emu_ipc_end();
	return err;
}

static void unmap(struct import *i)
{
	struct emu_region *r = i->region;
	uint32_t open = r->open;

	i->region = NULL;
	__atomic_store_n(&r->open, EMU_NONE, __ATOMIC_SEQ_CST);	/* engines may still look */
	emu_table_lock();
	emu_open_drop(open);
	emu_table_unlock();
	emu_region_leave(r);
}

static int close_import(struct import *i)
{
	COUNT(ioctl_close, 2);		/* close, and the address's release */
	if (!i->mapped)			/* a device reset took it; the runtime never learnt it */
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "the mapping is gone already");
	if (!--i->mapped)
		unmap(i);
	i->listed = emu_settings()->legacy_close ? 0 : i->listed - 1;
	forget_if_unused(i);
	return 0;
}

static int destroy_locked(const char *key, bool *slots)
{
	uint32_t i = emu_key_find(key);
	struct emu_node *n = i == EMU_NONE ? NULL : &emu_table->nodes[i];

	if (!n || !emu_node_mine(n))
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, n ?
				"neither made nor imported here" : "unknown key");
	if (n->state == EMU_CLOSED)
		return emu_fail(ACL_ERROR_RT_INVALID_HANDLE, "closed before, and still imported");
	emu_node_importers(n, slots);
	emu_node_close(i);
	return 0;
}

static int destroy_export(const char *key)
{
	bool slots[EMU_SLOTS] = { false };
	int err;

	COUNT(ioctl_close, 1);
	emu_table_lock();
	err = destroy_locked(key, slots);
	emu_table_unlock();
	emu_node_ring(slots);
	return err;
}

static int close_key(const char *key)
{
	struct emu_context *c;
	struct import *i;
	uint64_t counter;
	int err;

	if (!key)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_CONTEXT(c);
	if (emu_key_parse(key, &counter))
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "unknown key");
	pthread_mutex_lock(&lock);
	i = find(key);
	err = i && i->listed ? close_import(i) : -1;
	pthread_mutex_unlock(&lock);
	return err < 0 ? destroy_export(key) : err;
}

aclError aclrtIpcMemClose(const char *key)
{
	int err;

	ENTER(aclrtIpcMemClose);
	emu_ipc_begin();
	err = close_key(key);
	emu_ipc_end();
	return err;
}

static void exports_reset(int device, bool *slots)
{
	struct emu_table *t = emu_table;

	emu_table_lock();
	for (uint32_t i = 0; i < t->nodes_top; i++) {
		struct emu_node *n = &t->nodes[i];

		if ((n->state != EMU_LIVE && n->state != EMU_SOURCE_FREED) ||
		    (int)n->device != device || !emu_node_mine(n))
			continue;
		emu_node_importers(n, slots);
		emu_node_close(i);
	}
	emu_table_unlock();
}

void emu_ipc_device_reset(int device)
{
	bool slots[EMU_SLOTS] = { false };

	pthread_mutex_lock(&lock);
	for (int b = 0; b < BUCKETS; b++)
		for (struct import *i = imports[b]; i; i = i->next)
			if (i->mapped && i->device == device) {
				i->mapped = 0;	/* `listed` stays */
				unmap(i);
			}
	pthread_mutex_unlock(&lock);
	exports_reset(device, slots);
	emu_node_ring(slots);
}
