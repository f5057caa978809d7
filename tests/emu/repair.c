/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * After a death inside the table's lock. The records that have a state are true; the lists they are
 * in, the counts and the sums may be half done, and are made anew. Each step can be repeated, since
 * the process that does it can die as well. At other times the same is only compared.
 */
#include <stdlib.h>
#include <string.h>

#include "emu.h"
#include "emu_control.h"
#include "table.h"

static void lists_repair(struct emu_table *t)
{
	memset(t->buckets, 0xff, sizeof(t->buckets));
	for (uint32_t i = 0; i < t->slots_top; i++)
		t->slots[i].keys = 0;
	for (uint32_t i = 0; i < t->nodes_top; i++) {
		struct emu_node *n = &t->nodes[i];
		uint32_t *bucket = &t->buckets[n->counter % EMU_BUCKETS];

		if (n->state == EMU_FREE)
			continue;
		n->next = *bucket;
		*bucket = i;
		n->opens = EMU_NONE;
		n->nopens = 0;
		t->slots[n->slot].keys += n->state != EMU_CLOSED;
	}
	for (uint32_t i = 0; i < t->opens_top; i++) {
		struct emu_open *o = &t->opens[i];

		if (o->state == EMU_FREE)
			continue;
		o->next = t->nodes[o->node].opens;
		t->nodes[o->node].opens = i;
		t->nodes[o->node].nopens++;
		t->slots[o->slot].keys++;
	}
}

/* Entries that no whitelist leads to are free. */
static void grants_repair(struct emu_table *t)
{
	bool *listed = calloc(t->grants_top + 1, 1);

	if (!listed)
		return;		/* some stay unused until the job ends */
	for (uint32_t i = 0; i < t->nodes_top; i++) {
		struct emu_node *n = &t->nodes[i];

		if (n->state == EMU_FREE)
			continue;
		n->ngrants = 0;
		for (uint32_t g = n->grants; g != EMU_NONE; g = t->grants[g].next) {
			listed[g] = true;
			n->ngrants++;
		}
	}
	t->grants_free = EMU_NONE;
	for (uint32_t g = 0; g < t->grants_top; g++)
		if (!listed[g]) {
			t->grants[g].next = t->grants_free;
			t->grants_free = g;
		}
	free(listed);
}

static void sums_of(const struct emu_table *t, uint64_t *used, int64_t *huge)
{
	memset(used, 0, sizeof(t->used));
	memset(huge, 0, sizeof(t->huge));
	for (uint32_t i = 0; i < t->allocs_top; i++)
		if (t->allocs[i].state != EMU_FREE) {
			used[t->allocs[i].device] += t->allocs[i].len;
			huge[t->allocs[i].device] += t->allocs[i].huge;
		}
}

void emu_table_repair(void)
{
	struct emu_table *t = emu_table;

	t->allocs_hint = t->nodes_hint = t->opens_hint = 0;
	lists_repair(t);
	grants_repair(t);
	sums_of(t, t->used, t->huge);
	for (uint32_t i = 0; i < t->nodes_top; i++)
		emu_node_settle(i);
}

/* Lengths of lists, or a number above all when one does not end. */
static uint64_t opens_of(const struct emu_table *t, uint32_t node)
{
	uint64_t n = 0;

	for (uint32_t o = t->nodes[node].opens; o != EMU_NONE; o = t->opens[o].next)
		if (t->opens[o].state == EMU_FREE || t->opens[o].node != node || n++ > EMU_OPENS)
			return UINT64_MAX;
	return n;
}

static uint64_t bucketed(const struct emu_table *t)
{
	uint64_t n = 0;

	for (uint32_t b = 0; b < EMU_BUCKETS; b++)
		for (uint32_t i = t->buckets[b]; i != EMU_NONE; i = t->nodes[i].next)
			if (t->nodes[i].state == EMU_FREE || n++ > EMU_NODES)
				return UINT64_MAX;
	return n;
}

static uint64_t granted(const struct emu_table *t, uint32_t first)
{
	uint64_t n = 0;

	for (uint32_t g = first; g != EMU_NONE; g = t->grants[g].next)
		if (n++ > EMU_GRANTS)
			return UINT64_MAX;
	return n;
}

static bool sound(const struct emu_table *t)
{
	uint64_t used[EMU_DEVICES], nodes = 0, opens = 0, open_records = 0;
	uint64_t grants = granted(t, t->grants_free);
	int64_t huge[EMU_DEVICES];

	for (uint32_t i = 0; i < t->nodes_top; i++) {
		const struct emu_node *n = &t->nodes[i];

		if (n->state == EMU_FREE)
			continue;
		if (opens_of(t, i) != n->nopens || granted(t, n->grants) != n->ngrants)
			return false;
		nodes++;
		opens += n->nopens;
		grants += n->ngrants;
	}
	for (uint32_t i = 0; i < t->opens_top; i++)
		open_records += t->opens[i].state != EMU_FREE;
	sums_of(t, used, huge);
	return bucketed(t) == nodes && opens == open_records && grants == t->grants_top &&
	       !memcmp(used, t->used, sizeof(used)) && !memcmp(huge, t->huge, sizeof(huge));
}

int ascendclEmuSound(void)
{
	bool yes;

	if (emu_forked() || emu_join())
		return -1;
	emu_table_lock();
	yes = sound(emu_table);
	emu_table_unlock();
	return yes ? 0 : -1;
}
