/* SPDX-License-Identifier: BSD-3-Clause */
#include "topo/machine.h"

#include <ipcshare.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/error.h"

/* ---- This one ---- */

/* What is known of a machine that nobody could look at. */
static struct ipcshare__machine_part whole = { .kind = IPCSHARE__PART_MACHINE,
					       .parent = -1,
					       .number = -1 };
static const struct ipcshare__machine unknown = { .parts = &whole, .nparts = 1 };

const struct ipcshare__machine *ipcshare__machine(bool devices)
{
	/* One without devices, one with. No lock: a fork could inherit it taken. */
	static _Atomic(const struct ipcshare__machine *) found[2];
	const struct ipcshare__machine *first = atomic_load(&found[devices]);
	struct ipcshare__machine *mine = NULL;
	struct ipcshare_error before;

	if (first)
		return first;
	before = *ipcshare_last_error();
	if (ipcshare__machine_load(devices, &mine)) {
		ipcshare__error_restore(&before); /* no failure of the caller's */
		atomic_compare_exchange_strong(&found[devices], &first, &unknown);
		return first ? first : &unknown;
	}
	if (atomic_compare_exchange_strong(&found[devices], &first, mine))
		return mine;
	ipcshare__machine_free(mine); /* another thread was quicker */
	return first;
}

/* ---- Made part by part ---- */

void ipcshare__machine_free(struct ipcshare__machine *m)
{
	if (!m)
		return;
	free(m->parts);
	free(m->cpus);
	free(m);
}

/* Room for entry @n of an array that doubles. */
static void *room(void *array, int n, size_t size)
{
	if (n & (n - 1) || n == 1)
		return array;
	return realloc(array, (n ? 2 * (size_t)n : 2) * size);
}

int ipcshare__machine_add(struct ipcshare__machine *m, int parent,
			  const struct ipcshare__machine_part *part)
{
	struct ipcshare__machine_part *more = room(m->parts, m->nparts, sizeof(*more));

	if (!more)
		return -1;
	m->parts = more;
	more[m->nparts] = *part;
	more[m->nparts].parent = parent;
	return m->nparts++;
}

int ipcshare__machine_cpu(struct ipcshare__machine *m, int number, int part)
{
	while (m->ncpus <= number) {
		int *more = room(m->cpus, m->ncpus, sizeof(*more));

		if (!more)
			return -1;
		m->cpus = more;
		more[m->ncpus++] = -1;
	}
	m->cpus[number] = part;
	return 0;
}

/* ---- Asked ---- */

int ipcshare__machine_above(const struct ipcshare__machine *m, int part,
			    enum ipcshare__machine_kind kind)
{
	while (part >= 0 && m->parts[part].kind != kind)
		part = m->parts[part].parent;
	return part;
}

int ipcshare__machine_end(const struct ipcshare__machine *m, int part)
{
	int end = part + 1;

	while (end < m->nparts && m->parts[end].parent >= part)
		end++;
	return end;
}

int ipcshare__machine_count(const struct ipcshare__machine *m, int part,
			    enum ipcshare__machine_kind kind)
{
	int n = 0;

	for (int i = part; i < ipcshare__machine_end(m, part); i++)
		n += m->parts[i].kind == kind;
	return n;
}

int ipcshare__machine_find(const struct ipcshare__machine *m, enum ipcshare__machine_kind kind,
			   int number)
{
	for (int i = 0; i < m->nparts; i++)
		if (m->parts[i].kind == kind && m->parts[i].number == number)
			return i;
	return -1;
}

int ipcshare__machine_number(const struct ipcshare__machine *m, int part)
{
	return part < 0 ? -1 : m->parts[part].number;
}

static int depth(const struct ipcshare__machine *m, int part)
{
	int d = 0;

	for (; part >= 0; part = m->parts[part].parent)
		d++;
	return d;
}

/* How deep is what holds both? Parents stand before their children. */
static int depth_of_both(const struct ipcshare__machine *m, int a, int b)
{
	while (a != b) {
		if (a > b)
			a = m->parts[a].parent;
		else
			b = m->parts[b].parent;
	}
	return depth(m, a);
}

int ipcshare__machine_nic(const struct ipcshare__machine *m, int part)
{
	int best = -1, deepest = 0;

	for (int i = 0; i < m->nparts; i++) {
		int d = m->parts[i].kind == IPCSHARE__PART_NIC ? depth_of_both(m, i, part) : 0;

		if (d > deepest) {
			deepest = d;
			best = i;
		}
	}
	return best;
}
