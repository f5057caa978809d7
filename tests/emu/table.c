/* SPDX-License-Identifier: BSD-3-Clause */
/* The shared table's lock, its first contents, and how records are found. */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu.h"
#include "table.h"

static void machine_fill(struct emu_machine *m)
{
	const struct emu_settings *s = emu_settings();

	memset(m, 0, sizeof(*m));
	m->devices = s->devices;
	m->dies = s->dies;
	m->hbm = (uint64_t)s->hbm_mib << 20;
	m->huge_pages = s->huge_pages;
	snprintf(m->soc, sizeof(m->soc), "%s", s->soc);
	snprintf(m->links, sizeof(m->links), "%s", s->links);
}

static void lock_init(pthread_mutex_t *m)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(m, &a);
	pthread_mutexattr_destroy(&a);
}

void emu_table_init(struct emu_table *t)
{
	machine_fill(&t->machine);
	lock_init(&t->lock);
	t->layout = EMU_LAYOUT;
	t->size_check = sizeof(*t);
	t->grants_free = EMU_NONE;
	t->next_counter = 1;
	memset(t->buckets, 0xff, sizeof(t->buckets));
	for (int i = 0; i < EMU_SLOTS; i++)
		lock_init(&t->slots[i].alive);
	for (int i = 0; i < EMU_DEVICES; i++)
		t->next_off[i] = EMU_TABLE_SIZE + i * EMU_POOL;
	t->magic = EMU_MAGIC;
}

int emu_table_check(const struct emu_table *t)
{
	struct emu_machine mine;

	if (t->magic != EMU_MAGIC || t->layout != EMU_LAYOUT || t->size_check != sizeof(*t))
		return emu_fail(ACL_ERROR_INTERNAL, "job %s runs another build of the emulator",
				emu_settings()->job);
	machine_fill(&mine);
	if (memcmp(&mine, &t->machine, sizeof(mine))) {
		fprintf(stderr, "ascendcl-emu: job %s runs with another machine (DEVICES, SOC, "
			"DIES, LINKS, HBM_MIB or HUGE_PAGES differ)\n", emu_settings()->job);
		return emu_fail(ACL_ERROR_INTERNAL, "job %s runs with another machine",
				emu_settings()->job);
	}
	return 0;
}

/*
 * The first word of a glibc mutex is its futex, which holds the owner's thread id; the kernel
 * ORs FUTEX_OWNER_DIED into it. Read raw: trylock would take the mutex away from the dead owner,
 * and somebody else looking at that moment would see it alive.
 */
static bool mutex_abandoned(const pthread_mutex_t *m)
{
	_Static_assert(offsetof(pthread_mutex_t, __data.__lock) == 0, "glibc's layout");
	int word = __atomic_load_n(&m->__data.__lock, __ATOMIC_ACQUIRE);

	return (word & FUTEX_OWNER_DIED) || !(word & FUTEX_TID_MASK);
}

bool emu_slot_dead(uint32_t slot, uint64_t serial)
{
	const struct emu_slot *s = &emu_table->slots[slot];

	return __atomic_load_n(&s->serial, __ATOMIC_ACQUIRE) != serial ||
	       mutex_abandoned(&s->alive);
}

static void dead_bury(void)
{
	struct emu_table *t = emu_table;

	for (uint32_t i = 0; i < t->slots_top; i++) {
		struct emu_slot *s = &t->slots[i];

		if (!s->used || !mutex_abandoned(&s->alive))
			continue;
		emu_bury(i);
		lock_init(&s->alive);	/* nobody holds it, and nobody waits for it */
		s->used = 0;
	}
}

/*
 * A process is killed thread by thread: its helper may be gone, and its slot given away, while
 * another of its threads still runs. That one must not write any more.
 */
static bool buried(void)
{
	const struct emu_slot *s = &emu_table->slots[emu_me == EMU_NONE ? 0 : emu_me];

	return emu_me != EMU_NONE && (!s->used || s->serial != emu_serial);
}

static int64_t sections;	/* under the lock */

void emu_table_lock(void)
{
	int err = pthread_mutex_lock(&emu_table->lock);

	if (err == EOWNERDEAD) {	/* not consistent until repaired, lest this death be missed */
		emu_table_repair();
		err = pthread_mutex_consistent(&emu_table->lock);
	}
	if (err)
		abort();	/* our mistake: going on would mean going on without the lock */
	if (buried() || ++sections == emu_settings()->stop_in_lock)
		raise(buried() ? SIGKILL : SIGSTOP);
	dead_bury();
}

void emu_table_unlock(void)
{
	if (sections == emu_settings()->die_in_lock)
		raise(SIGKILL);
	pthread_mutex_unlock(&emu_table->lock);
}

/* An unused record, its `state` (the first member) 0: its index, or EMU_NONE. */
uint32_t emu_record_take(void *base, size_t size, uint32_t *top, uint32_t *hint, uint32_t max)
{
	uint32_t i;

	for (i = *hint; i < *top; i++)
		if (*(uint32_t *)((char *)base + i * size) == EMU_FREE)
			goto found;
	for (i = 0; *top == max && i < *hint; i++)
		if (*(uint32_t *)((char *)base + i * size) == EMU_FREE)
			goto found;
	if (*top == max)
		return EMU_NONE;
	i = (*top)++;
found:
	memset((char *)base + i * size, 0, size);
	*hint = i + 1;
	return i;
}
