/* SPDX-License-Identifier: BSD-3-Clause */
/* ipcshare-info --topo: as text, and as a picture, on this machine and on recorded ones. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "picture.h"
#include "recorded.h"
#include "support/test.h"
#include "support/tool.h"
#include "topo/machine.h"

#define NPUS "HWLOC_XMLFILE=tests/topo/2-packages-8-npus.xml"
#define BIG "HWLOC_SYNTHETIC='package:2 group:4 [numa(memory=96GiB)] l3:3 core:8 pu:2'"

/* Recorded machines are hwloc's. */
static int has_hwloc(void)
{
	struct ipcshare__machine *m = recorded_machine("pu:1");

	ipcshare__machine_free(m);
	return m != NULL;
}

/* ---- Text ---- */

static void this_machine_is_shown(void)
{
	CHECK_INT(tool_run("", "--topo"), 0);
	CHECK_HAS(tool_output, "\nThis process\n  may use ");
	tool_check_columns();
}

static void a_recorded_machine_is_shown_as_a_tree(void)
{
	if (!has_hwloc())
		return;
	CHECK_INT(tool_run(NPUS, "--topo"), 0);
	CHECK_HAS(tool_output, "\nNode: 2 packages, 4 NUMA nodes, 32 cores, 8 NPUs, 2 NICs\n");
	CHECK_HAS(tool_output, "\n  Package 1                            cores 16-31\n"
			       "    NUMA node 2, 256 GiB               cores 16-23\n"
			       "      Cache 24 MiB                     cores 16-19\n");
	CHECK_HAS(tool_output, "\n      PCI switch\n"
			       "        NPU 0                          0000:02:00.0  nearest NIC mlx5_0\n"
			       "        NIC mlx5_0                     0000:03:00.0\n"
			       "      NPU 1                            0000:05:00.0  nearest NIC mlx5_0\n"
			       "      Network eth0                     0000:07:00.0\n");
	CHECK_HAS(tool_output, "\n      NIC mlx5_1, eth1                 0000:83:00.0\n");
	tool_check_columns();
	CHECK_INT(tool_run(BIG, "--topo"), 0);
	CHECK_HAS(tool_output, "\nNode: 2 packages, 8 NUMA nodes, 192 cores, 384 hardware threads\n");
	tool_check_columns();
}

static void bad_usage_is_said(void)
{
	CHECK_INT(tool_run("", "--svg /dev/null"), 2);
	CHECK_HAS(tool_output, "--svg goes with --topo\n");
	CHECK_INT(tool_run("", "--matrix"), 2);
	CHECK_HAS(tool_output, "--matrix goes with --topo\n");
	CHECK_INT(tool_run("", "--topo --matrix"), 2);
	CHECK_HAS(tool_output, "takes two ranks or more: 'mpirun -n 2 ipcshare-info --topo --matrix'\n");
	CHECK_INT(tool_run("", "--topo --svg /no/such/folder/node.svg"), 3);
	CHECK_HAS(tool_output, "writing /no/such/folder/node.svg: No such file");
	CHECK_INT(tool_run("", "--topo --svg /dev/full"), 3);
	CHECK_HAS(tool_output, "writing /dev/full: No space left");
}

/* ---- The picture ---- */

static struct picture picture;

/* Draw with these variables. */
static void draw(const char *variables)
{
	char path[] = "/tmp/ipcshare-topo-XXXXXX", arguments[64];
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "r");

	REQUIRE(f != NULL, "mkstemp, fdopen: %m");
	snprintf(arguments, sizeof(arguments), "--topo --svg %s", path);
	CHECK_INT(tool_run(variables, arguments), 0);
	picture_read(f, &picture);
	fclose(f);
	unlink(path);
}

static void boxes_lie_in_each_other_or_beside(void)
{
	static const char *const machines[] = {
		"", NPUS, "HWLOC_XMLFILE=tests/topo/2-packages-threads.xml", BIG,
		"HWLOC_SYNTHETIC='package:4 [numa(memory=64GB)] [numa(memory=16GB)] l3:1 core:48 pu:1'",
		"HWLOC_SYNTHETIC='[numa] package:2 l3:1 core:4 pu:1'", "HWLOC_SYNTHETIC='pu:3'",
	};

	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		draw(machines[i]);
		CHECK(picture.nboxes > 2, "%s: %d boxes", machines[i], picture.nboxes);
		picture_check_boxes(&picture, machines[i]);
		test_goes_on();
	}
}

static void every_part_is_drawn_once(void)
{
	char number[16];

	if (!has_hwloc())
		return;
	draw(NPUS);
	for (int c = 0; c < 32; c++) {
		snprintf(number, sizeof(number), ">%d</text>", c);
		CHECK(picture_count(&picture, number) == 1, "core %d is drawn %d times", c,
		      picture_count(&picture, number));
	}
	CHECK_INT(picture_count(&picture, ">NUMA node "), 4);
	CHECK_INT(picture_count(&picture, ">Package "), 2);
	CHECK_INT(picture_count(&picture, ">Cache 24 MiB<"), 8);
	CHECK_INT(picture_count(&picture, ">NIC mlx5_0<"), 4); /* below the NPUs that it is nearest to */
	CHECK_INT(picture_count(&picture, ">NIC mlx5_1<"), 4);
	CHECK_INT(picture_count(&picture, ">mlx5_0<"), 1);
	CHECK_INT(picture_count(&picture, ">mlx5_1, eth1<"), 1);
	CHECK_INT(picture_count(&picture, ">eth1<"), 0);
	CHECK_INT(picture_count(&picture, ">PCI switch<"), 1);
	CHECK_INT(picture_count(&picture, ">NPU 7<"), 1);
}

TEST_SUITE(info_topo, NULL, NULL,
	TEST(this_machine_is_shown),
	TEST(a_recorded_machine_is_shown_as_a_tree),
	TEST(bad_usage_is_said),
	TEST(boxes_lie_in_each_other_or_beside),
	TEST(every_part_is_drawn_once));
