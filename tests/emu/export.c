/* SPDX-License-Identifier: BSD-3-Clause */
/* The exporter's side: making keys, whitelists, and what happens when the memory goes. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "context.h"
#include "ipc.h"

#define PIDS_PER_CALL 31	/* the driver's 32-entry array minus one */

static atomic_int inside;

void emu_ipc_begin(void)
{
	if (atomic_fetch_add(&inside, 1) && emu_settings()->release < EMU_HEAD)
		COUNT(violation_ipc_race, 1);
}

void emu_ipc_end(void)
{
	atomic_fetch_sub(&inside, 1);
}

bool emu_node_mine(const struct emu_node *n)
{
	return n->slot == emu_me && n->owner_serial == emu_table->slots[emu_me].serial;
}

void emu_node_importers(const struct emu_node *n, bool *slots)
{
	for (uint32_t o = n->opens; o != EMU_NONE; o = emu_table->opens[o].next)
		slots[emu_table->opens[o].slot] = true;
}

void emu_node_ring(const bool *slots)
{
	for (uint32_t i = 0; i < EMU_SLOTS; i++)
		if (slots[i] && i == emu_me)
			emu_regions_revoke();
		else if (slots[i])
			emu_helper_ring(i);
}

/* What the driver checks of [p, p + size), or NULL with a reason noted. */
static struct emu_region *exportable(const void *p, size_t size)
{
	struct emu_region *r = emu_region_get(p, 1);
	const char *why = NULL;

	if (!r || r->kind == EMU_REGION_HOST)
		why = "not device memory of this process";
	else if (r->kind == EMU_REGION_IMPORT)
		why = "an imported address";
	else if ((uintptr_t)p & (r->page - 1))
		why = "not aligned to its page size";
	else if (r->readonly)
		why = "read-only memory";
	else if (size > r->va + r->len - (uintptr_t)p)
		why = "the range runs past the mapped pages";
	if (!why)
		return r;
	if (r)
		emu_region_put(r);
	emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "%p cannot be exported: %s", p, why);
	return NULL;
}

static void reexport_note(const struct emu_region *r, uint64_t off)
{
	struct emu_table *t = emu_table;

	for (uint32_t i = 0; i < t->nodes_top; i++)
		if (t->nodes[i].state == EMU_LIVE && t->nodes[i].alloc == r->alloc &&
		    t->nodes[i].off == off && emu_node_mine(&t->nodes[i])) {
			COUNT(violation_reexport, 1);
			return;
		}
}

static int node_create(struct emu_region *r, uintptr_t p, size_t size, bool open_to_all,
		       char *key)
{
	struct emu_table *t = emu_table;
	uint32_t *bucket, i;
	struct emu_node *n;

	if (t->slots[emu_me].keys >= (uint32_t)emu_settings()->max_keys)
		return emu_fail(ACL_ERROR_RT_INVALID_HANDLE, "too many exports and imports");
	reexport_note(r, r->off + (p - r->va));
	i = emu_record_take(t->nodes, sizeof(*t->nodes), &t->nodes_top, &t->nodes_hint,
			    EMU_NODES);
	if (i == EMU_NONE)
		return emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "the table is full");
	n = &t->nodes[i];
	n->slot = emu_me;
	n->owner_serial = t->slots[emu_me].serial;
	n->creator = emu_bare_pid();
	n->device = (uint32_t)r->device;
	n->no_whitelist = open_to_all;
	n->alloc = r->alloc;
	n->page = (uint32_t)r->page;
	n->off = r->off + (p - r->va);
	n->len = (size + r->page - 1) & ~(uint64_t)(r->page - 1);	/* whole pages */
	n->grants = n->opens = EMU_NONE;
	n->counter = t->next_counter++;
	bucket = &t->buckets[n->counter % EMU_BUCKETS];
	n->next = *bucket;
	*bucket = i;
	t->slots[emu_me].keys++;
	emu_state_set(&n->state, EMU_LIVE);
	r->exported = true;
	emu_key_format(key, n);
	return 0;
}

static int export(void *p, size_t size, char *key, size_t len, uint64_t flags)
{
	struct emu_context *c;
	struct emu_region *r;
	int err;

	if (!p || !key)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	if (!size || flags > 1 || len < ACL_IPC_KEY_LEN)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "size %zu, len %zu, flags %#llx", size,
				len, (unsigned long long)flags);
	NEED_CONTEXT(c);
	if (emu_settings()->is_virtual)
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "a virtual instance");
	COUNT(ioctl_export, flags ? 2 : 1);
	r = exportable(p, size);
	if (!r)
		return ACL_ERROR_RT_DRV_INTERNAL_ERROR;
	emu_table_lock();
	err = node_create(r, (uintptr_t)p, size, flags && !emu_settings()->no_flags, key);
	emu_table_unlock();
	emu_region_put(r);
	if (!err && flags && emu_settings()->no_flags)
		/* The second step fails and the new node stays behind, as in the driver. */
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "no halShmemSetAttribute");
	return err;
}

aclError aclrtIpcMemGetExportKey(void *p, size_t size, char *key, size_t len, uint64_t flags)
{
	int err;

	ENTER(aclrtIpcMemGetExportKey);
	emu_ipc_begin();
	err = export(p, size, key, len, flags);
	emu_ipc_end();
	return err;
}

static bool pid_absent(int32_t pid)
{
	struct emu_table *t = emu_table;

	if (pid <= 0 || emu_bare_pid() != getpid())
		return false;	/* cannot tell from inside another pid namespace */
	for (uint32_t i = 0; i < t->slots_top; i++)
		if (t->slots[i].used && t->slots[i].pid == pid)
			return false;
	return kill(pid, 0) && errno == ESRCH;
}

static struct emu_grant *grant_new(struct emu_node *n, int32_t pid, uint32_t sdid)
{
	struct emu_table *t = emu_table;
	struct emu_grant *g;
	uint32_t i;

	if (t->grants_free != EMU_NONE) {
		i = t->grants_free;
		t->grants_free = t->grants[i].next;
	} else if (t->grants_top < EMU_GRANTS) {
		i = t->grants_top++;
	} else {
		return NULL;
	}
	g = &t->grants[i];
	g->pid = pid;
	g->sdid = sdid;
	g->next = n->grants;
	emu_state_set(&n->grants, i);	/* a list can't be made anew: it is whole at any time */
	n->ngrants++;
	return g;
}

/* Appends, or refreshes the time of an entry that is there. */
static int grant(struct emu_node *n, int32_t pid, uint32_t sdid)
{
	struct emu_grant *g = NULL;

	for (uint32_t i = n->grants; i != EMU_NONE; i = emu_table->grants[i].next)
		if (emu_table->grants[i].pid == pid && emu_table->grants[i].sdid == sdid)
			g = &emu_table->grants[i];
	if (!g)
		g = grant_new(n, pid, sdid);
	if (!g)
		return emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION, "the whitelist pool is full");
	g->absent = pid_absent(pid);
	g->time = emu_now_ns();
	return 0;
}

static int pids_add(const char *key, const int32_t *pid, int num, uint32_t sdid)
{
	uint32_t i = emu_key_find(key);
	struct emu_node *n = i == EMU_NONE ? NULL : &emu_table->nodes[i];
	int added = 0, err;

	if (!n || !emu_node_mine(n))
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, n ?
				"only the creator of a key lists processes" : "unknown key");
	if (n->state == EMU_CLOSED)
		return emu_fail(ACL_ERROR_RT_INVALID_HANDLE, "the key was closed");
	if (n->no_whitelist)
		return emu_fail(ACL_ERROR_RT_NO_PERMISSION, "exported without a whitelist");
	if (n->ngrants + (uint32_t)num > (uint32_t)emu_settings()->max_grants)
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "%u listed and %d more",
				n->ngrants, num);
	for (int k = 0; k < num; k++) {
		if (!pid[k] || pid[k] == n->creator)
			continue;
		err = grant(n, pid[k], sdid);
		if (err)
			return err;	/* the earlier ones stay listed */
		added++;
	}
	return added ? 0 : emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR,
				    "every pid was 0 or the creator's own");
}

static int pids_set(const char *key, const int32_t *pid, size_t num, uint32_t sdid)
{
	uint64_t counter;
	int err;

	if ((int32_t)num <= 0 || (int32_t)num > PIDS_PER_CALL)	/* narrowed, as in the runtime */
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "%zu pids in one call", num);
	if (emu_key_parse(key, &counter)) {
		if (!key[0] || strnlen(key, ACL_IPC_KEY_LEN) == ACL_IPC_KEY_LEN)
			return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "empty or endless key");
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "unknown key");
	}
	COUNT(ioctl_set_pid, 1);
	emu_table_lock();
	err = pids_add(key, pid, (int32_t)num, sdid);
	emu_table_unlock();
	return err;
}

static int import_pid(const char *key, int32_t *pid, size_t num)
{
	struct emu_context *c;

	if (!key || !pid)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	if (!num)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "no pids");
	NEED_CONTEXT(c);
	return pids_set(key, pid, num, EMU_NONE);
}

aclError aclrtIpcMemSetImportPid(const char *key, int32_t *pid, size_t num)
{
	int err;

	ENTER(aclrtIpcMemSetImportPid);
	emu_ipc_begin();
	err = import_pid(key, pid, num);
	emu_ipc_end();
	return err;
}

static bool server_here(uint32_t sdid)
{
	for (uint32_t d = 0; d < emu_table->machine.devices; d++)
		if (emu_device_sdid((int)d) == sdid)
			return true;
	return false;
}

static int import_pid_servers(const char *key, aclrtServerPid *pids, size_t num)
{
	struct emu_context *c;
	int err = 0;

	if (!key || !pids || !num)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "NULL or no servers");
	NEED_CONTEXT(c);
	if (!emu_soc_is_pod())
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "super pods only");
	for (size_t i = 0; i < num && !err; i++)
		err = !pids[i].pid ? emu_fail(ACL_ERROR_RT_PARAM_INVALID, "NULL pids") :
		      pids_set(key, pids[i].pid, pids[i].num,
			       server_here(pids[i].sdid) ? EMU_NONE : pids[i].sdid);
	return err;
}

aclError aclrtIpcMemImportPidInterServer(const char *key, aclrtServerPid *pids, size_t num)
{
	int err;

	ENTER(aclrtIpcMemImportPidInterServer);
	emu_ipc_begin();
	err = import_pid_servers(key, pids, num);
	emu_ipc_end();
	return err;
}

static int set_attr(const char *key, aclrtIpcMemAttrType type, uint64_t attr)
{
	struct emu_context *c;
	int err = 0;
	uint32_t i;

	if (!key || type != ACL_RT_IPC_MEM_ATTR_ACCESS_LINK ||
	    attr > ACL_RT_IPC_MEM_ATTR_ACCESS_LINK_UB_MULTI_PORT)
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "NULL, or an unknown attribute");
	NEED_CONTEXT(c);
	if (!emu_soc_is_pod())
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "910C only");
	if (attr > ACL_RT_IPC_MEM_ATTR_ACCESS_LINK_HCCS)
		return emu_fail(ACL_ERROR_RT_LINK_TYPE_NOT_SUPPORTED, "no UB here");
	emu_table_lock();
	i = emu_key_find(key);
	if (i == EMU_NONE)
		err = emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "unknown key");
	else if (emu_node_mine(&emu_table->nodes[i]))
		emu_table->nodes[i].attr = (uint32_t)attr;
	emu_table_unlock();
	return err;
}

aclError aclrtIpcMemSetAttr(const char *key, aclrtIpcMemAttrType type, uint64_t attr)
{
	int err;

	ENTER(aclrtIpcMemSetAttr);
	emu_ipc_begin();
	err = set_attr(key, type, attr);
	emu_ipc_end();
	return err;
}

/* aclrtFree of exported memory: importers lose it, the key record stays until Close. */
void emu_ipc_source_freed(struct emu_region *r)
{
	struct emu_table *t = emu_table;
	bool slots[EMU_SLOTS] = { false };

	if (!r->exported)
		return;
	emu_table_lock();
	for (uint32_t i = 0; i < t->nodes_top; i++) {
		struct emu_node *n = &t->nodes[i];

		if (n->state != EMU_LIVE || n->alloc != r->alloc || !emu_node_mine(n))
			continue;
		emu_node_importers(n, slots);
		emu_node_source_freed(i);
	}
	emu_table_unlock();
	emu_node_ring(slots);
}
