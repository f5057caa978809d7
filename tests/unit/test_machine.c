/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine as a tree, and places in it: recorded machines, and this one. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "recorded.h"
#include "support/test.h"
#include "topo/place.h"

static int count(const struct ipcshare__machine *m, enum ipcshare__machine_kind kind)
{
	int n = 0;

	for (int i = 0; i < m->nparts; i++)
		n += m->parts[i].kind == kind;
	return n;
}

/* A tree, each subtree in a row, and every CPU in it. */
static void check_tree(const struct ipcshare__machine *m)
{
	int cpus = 0;

	CHECK_INT(m->parts[0].kind, IPCSHARE__PART_MACHINE);
	CHECK_INT(m->parts[0].parent, -1);
	for (int i = 1; i < m->nparts; i++) {
		int up = i - 1;

		while (up >= 0 && up != m->parts[i].parent)
			up = m->parts[up].parent;
		CHECK(up >= 0, "part %d hangs at %d, which stands not above it", i, m->parts[i].parent);
	}
	for (int c = 0; c < m->ncpus; c++) {
		if (m->cpus[c] < 0)
			continue;
		CHECK_INT(m->parts[m->cpus[c]].kind, IPCSHARE__PART_CPU);
		CHECK_INT(m->parts[m->cpus[c]].number, c);
		CHECK(ipcshare__machine_above(m, m->cpus[c], IPCSHARE__PART_NUMA) >= 0,
		      "core %d is in no NUMA node", c);
		cpus++;
	}
	CHECK_INT(cpus, count(m, IPCSHARE__PART_CPU));
}

/* ---- What it is made of ---- */

static const struct shape {
	const char *machine;
	int packages, numas, caches, cores, cpus, npus, nics, nets;
} shapes[] = {
	{ "2-packages-8-npus.xml", 2, 4, 8, 32, 32, 8, 2, 2 },
	{ "2-packages-threads.xml", 2, 2, 4, 8, 16, 0, 1, 2 },
	{ "package:2 group:2 [numa] l3:2 core:2 pu:2", 2, 4, 8, 16, 32, 0, 0, 0 },
	/* one NUMA node above the packages */
	{ "[numa] package:2 l3:1 core:4 pu:1", 2, 1, 2, 8, 8, 0, 0, 0 },
	/* two NUMA nodes below each cache */
	{ "package:2 l3:1 group:2 [numa] core:2 pu:1", 2, 4, 2, 8, 8, 0, 0, 0 },
	/* two kinds of memory next to the same cores */
	{ "package:2 [numa(memory=64GB)] [numa(memory=16GB)] l3:1 core:4 pu:1", 2, 4, 2, 8, 8, 0, 0, 0 },
	/* no level 3 */
	{ "package:1 [numa] l2:4 core:1 pu:1", 1, 1, 4, 4, 4, 0, 0, 0 },
	/* hwloc adds a node of memory, for there is always one */
	{ "pu:3", 0, 1, 0, 0, 3, 0, 0, 0 },
};

static void a_machine_has_the_parts_that_hwloc_finds(void)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *s = &shapes[i];
		struct ipcshare__machine *m = recorded_machine(s->machine);

		if (!m)
			return;
		check_tree(m);
		CHECK(count(m, IPCSHARE__PART_PACKAGE) == s->packages &&
			      count(m, IPCSHARE__PART_NUMA) == s->numas &&
			      count(m, IPCSHARE__PART_CACHE) == s->caches &&
			      count(m, IPCSHARE__PART_CORE) == s->cores &&
			      count(m, IPCSHARE__PART_CPU) == s->cpus &&
			      count(m, IPCSHARE__PART_NPU) == s->npus &&
			      count(m, IPCSHARE__PART_NIC) == s->nics &&
			      count(m, IPCSHARE__PART_NET) == s->nets,
		      "%s: %d packages, %d NUMA nodes, %d caches, %d cores, %d CPUs, %d NPUs, %d NICs, "
		      "%d interfaces",
		      s->machine, count(m, IPCSHARE__PART_PACKAGE), count(m, IPCSHARE__PART_NUMA),
		      count(m, IPCSHARE__PART_CACHE), count(m, IPCSHARE__PART_CORE),
		      count(m, IPCSHARE__PART_CPU), count(m, IPCSHARE__PART_NPU),
		      count(m, IPCSHARE__PART_NIC), count(m, IPCSHARE__PART_NET));
		ipcshare__machine_free(m);
	}
}

/* ---- Places ---- */

static const struct stand {
	const char *machine;
	uint64_t cores[2];
	int device;
	int package, numa, cache, first, ncores, device_numa;
} stands[] = {
	/* one core; a cache; a NUMA node; a package; two of them; all */
	{ "2-packages-8-npus.xml", { 1 << 5 }, -1, 0, 0, 4, 5, 1, -1 },
	{ "2-packages-8-npus.xml", { 0xf << 16 }, -1, 1, 2, 16, 16, 4, -1 },
	{ "2-packages-8-npus.xml", { 0xff << 8 }, -1, 0, 1, -1, 8, 8, -1 },
	{ "2-packages-8-npus.xml", { 0xffff0000 }, -1, 1, -1, -1, 16, 16, -1 },
	{ "2-packages-8-npus.xml", { 0x00010001 }, -1, -1, -1, -1, 0, 2, -1 },
	{ "2-packages-8-npus.xml", { 0xffffffff }, 0, -1, -1, -1, 0, 32, 0 },
	/* the last one decides, not the first two */
	{ "2-packages-8-npus.xml", { 0x80000003 }, 7, -1, -1, -1, 0, 3, 3 },
	{ "2-packages-8-npus.xml", { 1 }, 3, 0, 0, 0, 0, 1, 1 },
	{ "2-packages-8-npus.xml", { 1 }, 8, 0, 0, 0, 0, 1, -1 }, /* there is no such device */
	/* threads of a core are numbered far apart; both are one cache */
	{ "2-packages-threads.xml", { 1 << 5 | 1 << 13 }, -1, 1, 1, 4, 5, 2, -1 },
	{ "2-packages-threads.xml", { 1 << 1 | 1 << 10 }, -1, 0, 0, -1, 1, 2, -1 },
	/* cores that the machine has not, and none */
	{ "package:2 [numa] core:2 pu:1", { 0, 1 }, -1, -1, -1, -1, 64, 1, -1 },
	{ "package:2 [numa] core:2 pu:1", { 1, 1 }, -1, -1, -1, -1, 0, 2, -1 },
	{ "package:2 [numa] core:2 pu:1", { 0 }, -1, -1, -1, -1, -1, 0, -1 },
	{ "package:2 [numa] core:2 pu:1", { 0x3 }, -1, 0, 0, -1, 0, 2, -1 },
	/* of two kinds of memory the first */
	{ "package:2 [numa(memory=64GB)] [numa(memory=16GB)] l3:1 core:4 pu:1", { 0x30 }, -1, 1, 2, 4, 4,
	  2, -1 },
};

static void a_place_is_what_holds_all_cores_of_a_rank(void)
{
	for (size_t i = 0; i < sizeof(stands) / sizeof(stands[0]); i++) {
		const struct stand *s = &stands[i];
		struct ipcshare__machine *m = recorded_machine(s->machine);
		struct ipcshare__wire_place p;

		if (!m)
			return;
		ipcshare__place_of(m, s->cores, 2, s->device, &p);
		CHECK(p.package == s->package && p.numa == s->numa && p.cache == s->cache &&
			      p.first == s->first && (int)p.cores == s->ncores &&
			      p.device_numa == s->device_numa,
		      "row %zu: package %d, NUMA node %d, cache %d, first %d of %u cores, device at %d", i,
		      p.package, p.numa, p.cache, p.first, p.cores, p.device_numa);
		CHECK(ipcshare__place_is_sound(&p), "row %zu: it is not sound", i);
		ipcshare__machine_free(m);
	}
}

static void a_device_has_its_address(void)
{
	struct ipcshare__machine *m = recorded_machine("2-packages-8-npus.xml");
	struct ipcshare__wire_place p;

	if (!m)
		return;
	ipcshare__place_of(m, (uint64_t[]){ 1 }, 1, 6, &p);
	CHECK_STR(p.address, "0000:a1:00.0");
	ipcshare__place_of(m, (uint64_t[]){ 1 }, 1, -1, &p);
	CHECK_STR(p.address, "");
	ipcshare__machine_free(m);
}

static void places_that_cannot_be_are_found_out(void)
{
	const struct ipcshare__wire_place good = { .cores = 1 };
	struct ipcshare__wire_place p = good;

	CHECK(ipcshare__place_is_sound(&p), "it is");
	p.package = -2;
	CHECK(!ipcshare__place_is_sound(&p), "package -2");
	p = good;
	p.numa = INT32_MIN;
	CHECK(!ipcshare__place_is_sound(&p), "NUMA node");
	p = good;
	p.cache = -2;
	CHECK(!ipcshare__place_is_sound(&p), "cache -2");
	p = good;
	p.first = -2;
	CHECK(!ipcshare__place_is_sound(&p), "first core -2");
	p = good;
	p.device_numa = -2;
	CHECK(!ipcshare__place_is_sound(&p), "device at -2");
	p = good;
	p.cores = UINT32_MAX;
	CHECK(!ipcshare__place_is_sound(&p), "too many cores");
	p = good;
	memset(p.address, 'x', sizeof(p.address));
	CHECK(!ipcshare__place_is_sound(&p), "an address without an end");
}

/* ---- The nearest NIC ---- */

static const struct way {
	const char *machine;
	enum ipcshare__machine_kind from;
	int number;
	const char *nic; /* NULL: none */
} ways[] = {
	{ "2-packages-8-npus.xml", IPCSHARE__PART_NUMA, 0, "mlx5_0" },
	{ "2-packages-8-npus.xml", IPCSHARE__PART_NUMA, 1, "mlx5_0" }, /* its package's */
	{ "2-packages-8-npus.xml", IPCSHARE__PART_NUMA, 2, "mlx5_1" },
	{ "2-packages-8-npus.xml", IPCSHARE__PART_NUMA, 3, "mlx5_1" },
	{ "2-packages-8-npus.xml", IPCSHARE__PART_NPU, 0, "mlx5_0" },
	{ "2-packages-8-npus.xml", IPCSHARE__PART_NPU, 4, "mlx5_1" },
	{ "2-packages-8-npus.xml", IPCSHARE__PART_NPU, 7, "mlx5_1" },
	{ "2-packages-threads.xml", IPCSHARE__PART_NUMA, 0, "mlx5_0" }, /* the only one, far away */
	{ "package:2 [numa] core:2 pu:1", IPCSHARE__PART_NUMA, 0, NULL },
};

static void the_nearest_nic_is_found(void)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		const struct way *w = &ways[i];
		struct ipcshare__machine *m = recorded_machine(w->machine);
		int from, nic;

		if (!m)
			return;
		from = ipcshare__machine_find(m, w->from, w->number);
		REQUIRE(from >= 0, "row %zu: there is no such part", i);
		nic = ipcshare__machine_nic(m, from);
		CHECK((nic < 0) == !w->nic, "row %zu: part %d", i, nic);
		if (nic >= 0 && w->nic)
			CHECK_STR(m->parts[nic].name, w->nic);
		ipcshare__machine_free(m);
	}
}

/* By hand: two NICs in one NUMA node, the second behind the switch of the NPU. */
static void a_nic_behind_the_same_switch_is_nearer(void)
{
	struct ipcshare__machine m = { .nparts = 0 };
	static const struct {
		int parent;
		struct ipcshare__machine_part part;
	} parts[] = {
		{ -1, { .kind = IPCSHARE__PART_MACHINE } },
		{ 0, { .kind = IPCSHARE__PART_NUMA } },
		{ 1, { .kind = IPCSHARE__PART_BRIDGE } },
		{ 2, { .kind = IPCSHARE__PART_NIC, .name = "near0" } },
		{ 2, { .kind = IPCSHARE__PART_BRIDGE } },
		{ 4, { .kind = IPCSHARE__PART_NPU } },
		{ 4, { .kind = IPCSHARE__PART_NIC, .name = "nearer0" } },
	};

	for (int i = 0; i < 7; i++)
		REQUIRE_INT(ipcshare__machine_add(&m, parts[i].parent, &parts[i].part), i);
	CHECK_INT(ipcshare__machine_nic(&m, 5), 6);
	CHECK_INT(ipcshare__machine_nic(&m, 1), 3); /* both as near: the first */
	free(m.parts);
}

/* ---- This machine ---- */

static void this_machine_holds_the_cores_of_this_process(void)
{
	const struct ipcshare__machine *m = ipcshare__machine(false);
	struct ipcshare__wire_place p;
	cpu_set_t cores;

	check_tree(m);
	CHECK_PTR(ipcshare__machine(false), m);
	CHECK_INT(sched_getaffinity(0, sizeof(cores), &cores), 0);
	ipcshare__place_here(-1, &p);
	CHECK_INT(p.cores, CPU_COUNT(&cores));
	CHECK(p.first >= 0 && CPU_ISSET(p.first, &cores), "the first core is %d", p.first);
	if (m->nparts == 1)
		test_skip("parts of this machine: hwloc is not there, or finds none");
	else
		CHECK(p.first < m->ncpus && m->cpus[p.first] >= 0, "core %d is in no part", p.first);
}

TEST_SUITE(machine, NULL, NULL,
	TEST(a_machine_has_the_parts_that_hwloc_finds),
	TEST(a_place_is_what_holds_all_cores_of_a_rank),
	TEST(a_device_has_its_address),
	TEST(places_that_cannot_be_are_found_out),
	TEST(the_nearest_nic_is_found),
	TEST(a_nic_behind_the_same_switch_is_nearer),
	TEST(this_machine_holds_the_cores_of_this_process));
