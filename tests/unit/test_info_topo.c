/* SPDX-License-Identifier: BSD-3-Clause */
/* ipcshare-info --topo: as text, and as a picture, on this machine and on recorded ones. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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
	CHECK_INT(tool_run("", "--topo --svg /no/such/folder/node.svg"), 3);
	CHECK_HAS(tool_output, "writing /no/such/folder/node.svg: No such file");
	CHECK_INT(tool_run("", "--topo --svg /dev/full"), 3);
	CHECK_HAS(tool_output, "writing /dev/full: No space left");
}

/* ---- The picture ---- */

static char picture[256 << 10];

struct rect {
	int x, y, w, h;
};

/* Draw with these variables; the number of boxes. */
static int draw(const char *variables, struct rect *rects, int most)
{
	char path[] = "/tmp/ipcshare-topo-XXXXXX", arguments[64];
	int fd = mkstemp(path), n = 0;
	ssize_t len = 0, got;

	REQUIRE(fd >= 0, "mkstemp: %m");
	snprintf(arguments, sizeof(arguments), "--topo --svg %s", path);
	CHECK_INT(tool_run(variables, arguments), 0);
	while ((got = read(fd, picture + len, sizeof(picture) - 1 - (size_t)len)) > 0)
		len += got;
	picture[len] = '\0';
	close(fd);
	unlink(path);
	for (char *p = picture; (p = strstr(p, "<rect x=")) && n < most; p++, n++)
		REQUIRE(sscanf(p, "<rect x='%d' y='%d' width='%d' height='%d'", &rects[n].x, &rects[n].y,
			       &rects[n].w, &rects[n].h) == 4,
			"%.60s", p);
	return n;
}

static int is_in(const struct rect *a, const struct rect *b)
{
	return a->x >= b->x && a->y >= b->y && a->x + a->w <= b->x + b->w &&
	       a->y + a->h <= b->y + b->h;
}

static int is_beside(const struct rect *a, const struct rect *b)
{
	return a->x + a->w <= b->x || b->x + b->w <= a->x || a->y + a->h <= b->y ||
	       b->y + b->h <= a->y;
}

static int count(const char *what)
{
	int n = 0;

	for (char *p = picture; (p = strstr(p, what)); p++)
		n++;
	return n;
}

static void boxes_lie_in_each_other_or_beside(void)
{
	static const char *const machines[] = {
		"", NPUS, "HWLOC_XMLFILE=tests/topo/2-packages-threads.xml", BIG,
		"HWLOC_SYNTHETIC='package:4 [numa(memory=64GB)] [numa(memory=16GB)] l3:1 core:48 pu:1'",
		"HWLOC_SYNTHETIC='[numa] package:2 l3:1 core:4 pu:1'", "HWLOC_SYNTHETIC='pu:3'",
	};
	static struct rect r[2048];
	struct rect all = { 0 };

	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		int n = draw(machines[i], r, 2048);

		CHECK(n > 2 && n < 2048, "%s: %d boxes", machines[i], n);
		CHECK(sscanf(picture, "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d'",
			     &all.w, &all.h) == 2,
		      "%.60s", picture);
		CHECK_HAS(picture, "</svg>\n");
		for (int a = 0; a < n; a++) {
			CHECK(r[a].w > 0 && r[a].h > 0 && is_in(&r[a], &all),
			      "%s: box %d of %d x %d at %d, %d is not in the picture", machines[i], a,
			      r[a].w, r[a].h, r[a].x, r[a].y);
			for (int b = 0; b < a; b++)
				CHECK(is_beside(&r[a], &r[b]) || is_in(&r[a], &r[b]),
				      "%s: box %d at %d, %d overlaps box %d at %d, %d", machines[i], a,
				      r[a].x, r[a].y, b, r[b].x, r[b].y);
		}
		test_goes_on();
	}
}

static void every_part_is_drawn_once(void)
{
	static struct rect r[2048];
	char number[16];

	if (!has_hwloc())
		return;
	draw(NPUS, r, 2048);
	for (int c = 0; c < 32; c++) {
		snprintf(number, sizeof(number), ">%d</text>", c);
		CHECK(count(number) == 1, "core %d is drawn %d times", c, count(number));
	}
	CHECK_INT(count(">NUMA node "), 4);
	CHECK_INT(count(">Package "), 2);
	CHECK_INT(count(">Cache 24 MiB<"), 8);
	CHECK_INT(count(">NIC mlx5_0<"), 4); /* below the NPUs that it is nearest to */
	CHECK_INT(count(">NIC mlx5_1<"), 4);
	CHECK_INT(count(">mlx5_0<"), 1);
	CHECK_INT(count(">mlx5_1, eth1<"), 1);
	CHECK_INT(count(">eth1<"), 0);
	CHECK_INT(count(">PCI switch<"), 1);
	CHECK_INT(count(">NPU 7<"), 1);
}

TEST_SUITE(info_topo, NULL, NULL,
	TEST(this_machine_is_shown),
	TEST(a_recorded_machine_is_shown_as_a_tree),
	TEST(bad_usage_is_said),
	TEST(boxes_lie_in_each_other_or_beside),
	TEST(every_part_is_drawn_once));
