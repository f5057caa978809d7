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

/* Not the virtual machine of the tests: it has two. */
static void has_one_node(const char *skipped)
{
	if (getenv("TEST_VM"))
		FAIL("%s", skipped);
	else
		test_skip("%s", skipped);
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
		has_one_node("memory on another node than node 0: this machine has one NUMA node");
	for (int i = 0; i < nodes; i++) {
		hwloc_obj_t node = hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, (unsigned)i);

		if (hwloc_bitmap_iszero(node->cpuset))
			continue;
		test_child_join(test_child(allocates, node));
		tried++;
	}
	CHECK(tried > 0, "no node has cores");
}

/* Ranks 0 and 2 on one node, 1 on another. */
static hwloc_obj_t two_nodes[2];

static void runs_on_one_of_two_nodes(struct test_rank *me, void *arg)
{
	struct ipcshare_place place = { .size = sizeof(place) };
	hwloc_obj_t node = two_nodes[me->rank % 2];
	int leaders[3] = { -1, -1, -1 }, order[3] = { -1, -1, -1 };
	struct ipcshare_set *set;
	struct ipcshare_buf buf;
	struct team t;

	(void)arg;
	REQUIRE(!hwloc_set_cpubind(topology, node->cpuset, 0), "hwloc_set_cpubind: %m");
	team_join(me, &t);
	buf = (struct ipcshare_buf){ team_alloc(t.ctx, 4 * MIB), 4 * MIB };
	set = team_share(&t, &buf, 1, 0);
	for (int r = 0; r < 3; r++) {
		int there = (int)two_nodes[r % 2]->os_index;

		CHECK_STATUS(ipcshare_group_place(t.group, r, &place), 0);
		CHECK_INT(place.numa, there);
		check_node("shared memory", ipcshare_ptr(set, r, 0), 4 * MIB, there);
	}
	CHECK_STATUS(ipcshare_group_leaders(t.group, IPCSHARE_LEVEL_NUMA, leaders), 0);
	CHECK(leaders[0] == 0 && leaders[1] == 1 && leaders[2] == 0, "leaders are %d, %d, %d", leaders[0],
	      leaders[1], leaders[2]);
	CHECK_STATUS(ipcshare_group_order(t.group, order), 0);
	CHECK(order[0] == 0 && order[1] == 2 && order[2] == 1, "the order is %d, %d, %d", order[0], order[1],
	      order[2]);
	CHECK_STATUS(ipcshare_set_free(set), 0);
	CHECK_STATUS(ipcshare_free(t.ctx, buf.ptr), 0);
	team_leave(&t);
}

static void peers_find_memory_on_its_owners_node(void)
{
	int nodes = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE), n = 0;

	for (int i = 0; i < nodes && n < 2; i++) {
		hwloc_obj_t node = hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, (unsigned)i);

		if (!hwloc_bitmap_iszero(node->cpuset))
			two_nodes[n++] = node;
	}
	if (n < 2)
		has_one_node("ranks on two NUMA nodes: this machine has one with cores");
	else
		test_ranks(3, runs_on_one_of_two_nodes, NULL);
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
	TEST(memory_is_on_the_node_of_the_rank_that_allocates_it),
	TEST(peers_find_memory_on_its_owners_node));
