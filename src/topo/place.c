/* SPDX-License-Identifier: BSD-3-Clause */
#include "topo/place.h"

#include <sched.h>
#include <string.h>

#define CPUS_MOST 8192 /* that Linux can be built for */

static const struct ipcshare__wire_place nowhere = {
	.package = -1, .numa = -1, .cache = -1, .first = -1, .device_numa = -1
};

/* The part of that kind that holds all CPUs seen so far and @cpu; -1 there is none. */
static int with(const struct ipcshare__machine *m, const struct ipcshare__wire_place *so_far,
		int number, int cpu, enum ipcshare__machine_kind kind)
{
	int here = ipcshare__machine_number(m, ipcshare__machine_above(m, cpu, kind));

	return !so_far->cores || here == number ? here : -1;
}

static void add_cpu(const struct ipcshare__machine *m, int number, struct ipcshare__wire_place *p)
{
	int cpu = number < m->ncpus ? m->cpus[number] : -1;

	p->package = with(m, p, p->package, cpu, IPCSHARE__PART_PACKAGE);
	p->numa = with(m, p, p->numa, cpu, IPCSHARE__PART_NUMA);
	p->cache = with(m, p, p->cache, cpu, IPCSHARE__PART_CACHE);
	if (!p->cores)
		p->first = number;
	p->cores++;
}

static void add_device(const struct ipcshare__machine *m, int device,
		       struct ipcshare__wire_place *p)
{
	int npu = device < 0 ? -1 : ipcshare__machine_find(m, IPCSHARE__PART_NPU, device);

	if (npu < 0)
		return;
	p->device_numa = ipcshare__machine_number(m, ipcshare__machine_above(m, npu,
									     IPCSHARE__PART_NUMA));
	memcpy(p->address, m->parts[npu].address, sizeof(p->address));
}

void ipcshare__place_of(const struct ipcshare__machine *m, const uint64_t *cores, size_t words,
			int device, struct ipcshare__wire_place *out)
{
	struct ipcshare__wire_place p = nowhere;

	for (size_t w = 0; w < words; w++)
		for (uint64_t left = cores[w]; left; left &= left - 1)
			add_cpu(m, (int)(w * 64) + __builtin_ctzll(left), &p);
	add_device(m, device, &p);
	*out = p;
}

void ipcshare__place_here(int device, struct ipcshare__wire_place *out)
{
	uint64_t cores[CPUS_MOST / 64] = { 0 };

	if (sched_getaffinity(0, sizeof(cores), (cpu_set_t *)(void *)cores))
		memset(cores, 0, sizeof(cores)); /* then it is not known */
	ipcshare__place_of(ipcshare__machine(device >= 0), cores, CPUS_MOST / 64, device, out);
}

bool ipcshare__place_is_sound(const struct ipcshare__wire_place *p)
{
	return p->package >= -1 && p->numa >= -1 && p->cache >= -1 && p->first >= -1 &&
	       p->cores <= CPUS_MOST && p->device_numa >= -1 &&
	       memchr(p->address, '\0', sizeof(p->address));
}
