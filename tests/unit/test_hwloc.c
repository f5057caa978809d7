/* SPDX-License-Identifier: BSD-3-Clause */
/* What hwloc itself says of this machine, beside what we say. Only where it is linked in. */
#include <hwloc.h>
#include <sched.h>
#include <stdlib.h>

#include "support/test.h"
#include "team.h"
#include "topo/memory_node.h"
#include "topo/place.h"

#define MIB ((size_t)1 << 20)

static hwloc_topology_t topology;

static void load(void)
{
	REQUIRE(!hwloc_topology_init(&topology) && !hwloc_topology_load(topology), "hwloc: %m");
}

static void drop(void)
{
	hwloc_topology_destroy(topology);
}

/* Where hwloc finds these pages: the only node of them; -1 several, -2 it can't tell. */
static int node_of(const void *memory, size_t len)
{
	hwloc_nodeset_t set = hwloc_bitmap_alloc();
	int node = -2;

	if (!hwloc_get_area_memlocation(topology, memory, len, set, HWLOC_MEMBIND_BYNODESET))
		node = hwloc_bitmap_weight(set) == 1 ? hwloc_bitmap_first(set) : -1;
	hwloc_bitmap_free(set);
	return node;
}

/* Nobody can tell before the pages are mapped, and a look at them maps them. */
static int bytes_of(const char *memory, size_t len)
{
	int sum = 0;

	for (size_t i = 0; i < len; i += 4096)
		sum += ((const volatile char *)memory)[i];
	return sum;
}

static void check_node(const char *what, const void *memory, size_t len, int node)
{
	CHECK_INT(bytes_of(memory, len), 0);
	CHECK(node_of(memory, len) == node, "%s of a rank on node %d is on %d", what, node,
	      node_of(memory, len));
	CHECK(ipcshare__memory_node(memory, len) == node, "%s of a rank on node %d: we find %d", what,
	      node, ipcshare__memory_node(memory, len));
}

/* Bound to the cores of a node: all that it allocates is there, wherever it is touched first. */
static void allocates(int channel, void *arg)
{
	hwloc_obj_t node = arg, other = node->next_cousin;
	struct ipcshare_ctx *ctx;
	struct ipcshare_arena *arena;
	struct ipcshare__wire_place here;
	void *memory, *buffer[64];

	(void)channel;
	other = other ? other : hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, 0);
	REQUIRE(!hwloc_set_cpubind(topology, node->cpuset, 0), "hwloc_set_cpubind: %m");
	ipcshare__place_here(-1, &here);
	CHECK_INT(here.numa, node->os_index);
	ctx = team_open(0);
	memory = team_alloc(ctx, 16 * MIB);
	REQUIRE_OK(ipcshare_arena_create(ctx, NULL, &arena));
	REQUIRE_OK(ipcshare_arena_alloc_many(arena, 64 << 10, 64, buffer));
	if (!hwloc_bitmap_iszero(other->cpuset))
		REQUIRE(!hwloc_set_cpubind(topology, other->cpuset, 0), "hwloc_set_cpubind: %m");
	check_node("memory", memory, 16 * MIB, (int)node->os_index);
	for (int i = 0; i < 64; i += 9)
		check_node("a buffer of an arena", buffer[i], 64 << 10, (int)node->os_index);
	CHECK_STATUS(ipcshare_arena_destroy(arena), 0);
	CHECK_STATUS(ipcshare_close(ctx), 0);
}

static void memory_is_on_the_node_of_the_rank_that_allocates_it(void)
{
	int nodes = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE), tried = 0;
	char *here = malloc(4096);

	here[0] = 1;
	if (node_of(here, 1) == -2) {
		test_skip("memory on its owner's node: hwloc can't tell here where pages are");
		free(here);
		return;
	}
	free(here);
	if (nodes < 2)
		test_skip("memory on another node than node 0: this machine has one NUMA node");
	for (int i = 0; i < nodes; i++) {
		hwloc_obj_t node = hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, (unsigned)i);

		if (hwloc_bitmap_iszero(node->cpuset))
			continue;
		test_child_join(test_child(allocates, node));
		tried++;
	}
	CHECK(tried > 0, "no node has cores");
}

static void both_see_the_same_machine(void)
{
	const struct ipcshare__machine *m = ipcshare__machine(false);

	CHECK_INT(ipcshare__machine_count(m, 0, IPCSHARE__PART_CPU),
		  hwloc_bitmap_weight(hwloc_topology_get_complete_cpuset(topology)));
	for (int c = 0; c < m->ncpus; c++) {
		hwloc_obj_t cpu = hwloc_get_pu_obj_by_os_index(topology, (unsigned)c), package;
		int part = m->cpus[c], at;

		if (!cpu || part < 0)
			continue;
		package = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_PACKAGE, cpu);
		at = ipcshare__machine_above(m, part, IPCSHARE__PART_PACKAGE);
		CHECK((at < 0) == !package, "core %d: part %d", c, at);
		if (package && at >= 0 && package->os_index != HWLOC_UNKNOWN_INDEX)
			CHECK_INT(m->parts[at].number, package->os_index);
		at = ipcshare__machine_above(m, part, IPCSHARE__PART_NUMA);
		CHECK(at >= 0 && hwloc_bitmap_isset(cpu->nodeset, (unsigned)m->parts[at].number),
		      "core %d is in NUMA node %d", c, ipcshare__machine_number(m, at));
	}
}

TEST_SUITE(hwloc, load, drop,
	TEST(both_see_the_same_machine),
	TEST(memory_is_on_the_node_of_the_rank_that_allocates_it));
