/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters: what was called, and the driver-level work behind it; per process and per job. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emu.h"
#include "emu_control.h"
#include "table.h"

static const char *const names[EMU_NCOUNTERS] = {
#define X(name) [EMU_##name] = #name,
	EMU_CALLS(X)
#undef X
#define X(name) [EMU_COUNT_##name] = #name,
	EMU_WORKS(X)
#undef X
	[EMU_TASK_FAULT] = "run",
};
_Static_assert((int)EMU_COUNT_ioctl_export == (int)EMU_NCALLS, "names follow each other");

static uint64_t mine[EMU_NCOUNTERS];

const char *emu_call_name(enum emu_call call)
{
	return names[call];
}

int emu_call_find(const char *name, size_t len)
{
	for (int i = 0; i < EMU_NCOUNTERS; i++)
		if (strlen(names[i]) == len && !memcmp(names[i], name, len))
			return i;
	return -1;
}

void emu_count(enum emu_call what, uint64_t by)
{
	__atomic_fetch_add(&mine[what], by, __ATOMIC_RELAXED);
	if (emu_table)
		__atomic_fetch_add(&emu_table->counters[what], by, __ATOMIC_RELAXED);
}

int ascendclEmuCounter(const char *name, uint64_t *value)
{
	int i = emu_call_find(name, strlen(name));

	if (i < 0)
		return -1;
	*value = __atomic_load_n(&mine[i], __ATOMIC_RELAXED);
	return 0;
}

int ascendclEmuJobCounter(const char *name, uint64_t *value)
{
	int i = emu_call_find(name, strlen(name));

	if (i < 0 || emu_forked() || emu_join())
		return -1;
	*value = __atomic_load_n(&emu_table->counters[i], __ATOMIC_RELAXED);
	return 0;
}

void ascendclEmuResetCounters(void)
{
	for (int i = 0; i < EMU_NCOUNTERS; i++)
		__atomic_store_n(&mine[i], 0, __ATOMIC_RELAXED);
}

int ascendclEmuHoldings(struct ascendcl_emu_holdings *out)
{
	struct emu_table *t;

	if (emu_forked() || emu_join())
		return -1;
	t = emu_table;
	memset(out, 0, sizeof(*out));
	emu_table_lock();
	for (uint32_t i = 0; i < t->nodes_top; i++)
		if (t->nodes[i].state == EMU_LIVE || t->nodes[i].state == EMU_SOURCE_FREED) {
			out->exports++;
			out->grants += t->nodes[i].ngrants;
		}
	for (uint32_t i = 0; i < t->opens_top; i++)
		out->imports += t->opens[i].state != EMU_FREE;
	for (uint32_t d = 0; d < t->machine.devices; d++) {
		out->bytes += t->used[d];
		for (uint32_t i = 0; i < t->notifies_top[d]; i++)
			out->notifies += t->notifies[d][i].state != EMU_FREE;
	}
	for (uint32_t i = 0; i < t->slots_top; i++)
		out->processes += t->slots[i].used;
	emu_table_unlock();
	return 0;
}

/* ASCENDCL_EMU_COUNTERS=stderr, or a file that each process appends its lines to. */
__attribute__((destructor)) static void report(void)
{
	const char *where = emu_settings()->counters;
	FILE *f;

	if (!where || !*where || !emu_table)
		return;
	f = strcmp(where, "stderr") ? fopen(where, "ae") : stderr;
	for (int i = 0; f && i < EMU_NCOUNTERS; i++)
		if (mine[i])
			fprintf(f, "ascendcl-emu: rank %lld pid %d %s %llu\n",
				(long long)emu_settings()->rank, (int)emu_bare_pid(), names[i],
				(unsigned long long)mine[i]);
	if (f && f != stderr)
		fclose(f);
}
