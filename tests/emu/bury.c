/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Giving back what a process held: memory, exports, imports, peers, notifies. Used when it asks
 * for it and when it died; the caller holds the table lock. Each step can be repeated, since the
 * process that does it can die as well.
 */
#include <fcntl.h>
#include <string.h>

#include "emu.h"
#include "table.h"

void emu_alloc_release(uint32_t alloc)
{
	struct emu_table *t = emu_table;
	struct emu_alloc *a = &t->allocs[alloc];

	if (a->state == EMU_FREE)
		return;
	/* First: of memory that has no record any more nobody would give back the pages. */
	fallocate(emu_file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, a->off, a->len);
	emu_state_set(&a->state, EMU_FREE);
	t->used[a->device] -= a->len;
	t->huge[a->device] -= a->huge;
	if (alloc < t->allocs_hint)
		t->allocs_hint = alloc;
}

static void node_release(uint32_t node)
{
	struct emu_table *t = emu_table;
	struct emu_node *n = &t->nodes[node];
	uint32_t *link = &t->buckets[n->counter % EMU_BUCKETS];
	uint32_t g, next;

	while (*link != EMU_NONE && *link != node)
		link = &t->nodes[*link].next;
	if (*link == node)
		*link = n->next;
	emu_state_set(&n->state, EMU_FREE);
	if (node < t->nodes_hint)
		t->nodes_hint = node;
	for (g = n->grants; g != EMU_NONE; g = next) {
		next = t->grants[g].next;
		t->grants[g].next = t->grants_free;
		t->grants_free = g;
	}
}

/* Takes the mapping away from every importer; their own Close stays a success. */
static void node_revoke(struct emu_node *n)
{
	struct emu_table *t = emu_table;

	for (uint32_t o = n->opens; o != EMU_NONE; o = t->opens[o].next)
		if (t->opens[o].state == EMU_LIVE) {
			__atomic_store_n(&t->opens[o].state, EMU_REVOKED, __ATOMIC_SEQ_CST);
			COUNT(revoked, 1);
		}
}

void emu_node_close(uint32_t node)
{
	struct emu_node *n = &emu_table->nodes[node];

	if (n->state != EMU_LIVE && n->state != EMU_SOURCE_FREED)
		return;
	emu_state_set(&n->state, EMU_CLOSED);
	if (emu_table->slots[n->slot].keys)
		emu_table->slots[n->slot].keys--;
	emu_node_settle(node);
}

/* Nobody keeps what was closed or freed, and a closed node goes with its last importer. */
void emu_node_settle(uint32_t node)
{
	struct emu_node *n = &emu_table->nodes[node];

	if (n->state == EMU_CLOSED || n->state == EMU_SOURCE_FREED)
		node_revoke(n);
	if (n->state == EMU_CLOSED && n->opens == EMU_NONE)
		node_release(node);
}

void emu_node_source_freed(uint32_t node)
{
	struct emu_node *n = &emu_table->nodes[node];

	if (n->state == EMU_LIVE)
		emu_state_set(&n->state, EMU_SOURCE_FREED);
	emu_node_settle(node);
}

void emu_open_drop(uint32_t open)
{
	struct emu_table *t = emu_table;
	struct emu_open *o = &t->opens[open];
	struct emu_node *n = &t->nodes[o->node];
	uint32_t *link = &n->opens;

	if (o->state == EMU_FREE)
		return;
	while (*link != EMU_NONE && *link != open)
		link = &t->opens[*link].next;
	if (*link == open) {
		*link = o->next;
		n->nopens--;
	}
	if (t->slots[o->slot].keys)
		t->slots[o->slot].keys--;
	emu_state_set(&o->state, EMU_FREE);
	if (open < t->opens_hint)
		t->opens_hint = open;
	emu_node_settle(o->node);
}

static void notifies_bury(uint32_t slot)
{
	struct emu_table *t = emu_table;

	for (uint32_t d = 0; d < t->machine.devices; d++)
		for (uint32_t i = 0; i < t->notifies_top[d]; i++) {
			struct emu_shared_notify *n = &t->notifies[d][i];

			if (n->state == EMU_FREE)
				continue;
			if (n->slot == slot)
				n->state = EMU_FREE;
			for (int k = 0; k < EMU_NOTIFY_PIDS; k++)
				if (n->pids[k].opened == slot + 1)
					n->pids[k].opened = 0;
		}
}

static void peers_bury(uint32_t slot)
{
	struct emu_table *t = emu_table;

	for (uint32_t a = 0; a < t->machine.devices; a++)
		for (uint32_t b = 0; b < t->machine.devices; b++)
			for (int k = 0; k < EMU_PEER_CAP; k++)
				if (t->peers[a][b].slots[k] == slot + 1)
					t->peers[a][b].slots[k] = 0;
}

void emu_bury(uint32_t slot)
{
	struct emu_table *t = emu_table;

	for (uint32_t i = 0; i < t->opens_top; i++)
		if (t->opens[i].state != EMU_FREE && t->opens[i].slot == slot)
			emu_open_drop(i);
	for (uint32_t i = 0; i < t->nodes_top; i++)
		if (t->nodes[i].state != EMU_FREE && t->nodes[i].slot == slot)
			emu_node_close(i);
	for (uint32_t i = 0; i < t->allocs_top; i++)
		if (t->allocs[i].state != EMU_FREE && t->allocs[i].slot == slot)
			emu_alloc_release(i);
	notifies_bury(slot);
	peers_bury(slot);
	for (uint32_t i = 0; i < t->events_top; i++)
		if (t->events[i].state != EMU_FREE && t->events[i].slot == slot)
			t->events[i].state = EMU_FREE;
}
