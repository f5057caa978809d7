/* SPDX-License-Identifier: BSD-3-Clause */
/* Which node memory is on, and the NIC near to it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"
#include "recorded.h"
#include "support/test.h"
#include "team.h"
#include "topo/memory_node.h"
#include "topo/place.h"

#define MIB ((size_t)1 << 20)

static void pages_have_a_node_when_they_are_there(void)
{
	struct ipcshare__wire_place here;
	char *p = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int node;

	REQUIRE(p != MAP_FAILED, "mmap: %m");
	madvise(p, 2 * MIB, MADV_NOHUGEPAGE);
	CHECK_INT(ipcshare__memory_node(p, 2 * MIB), -1);
	ipcshare__place_here(-1, &here);
	p[MIB] = 1;
	node = ipcshare__memory_node(p + MIB, 1);
	if (node < 0)
		test_skip("the node of a page: move_pages() does not tell");
	else
		CHECK(here.numa < 0 || node == here.numa, "a page of a thread on node %d is on %d",
		      here.numa, node);
	munmap(p, 2 * MIB);
	CHECK_INT(ipcshare__memory_node(p, 4096), -1);
	CHECK_INT(ipcshare__memory_node(NULL, 0), -1);
}

/* ---- The NIC of a process that takes a recorded machine for its own ---- */

static char said[512];

/* The exit code of the program; what it printed is in @said. */
static int find_nic(const char *machine, int room)
{
	char self[1024], command[2048];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t len;
	FILE *f;
	int status;

	REQUIRE(n > 0, "readlink: %m");
	self[n] = '\0';
	snprintf(command, sizeof(command), "%s '%s' " PROGRAM_NIC " %d", machine, self, room);
	f = popen(command, "re");
	REQUIRE(f != NULL, "popen: %m");
	len = fread(said, 1, sizeof(said) - 1, f);
	said[len] = '\0';
	status = pclose(f);
	REQUIRE(WIFEXITED(status), "%s: status %#x", command, status);
	return WEXITSTATUS(status);
}

#define NPUS "HWLOC_XMLFILE=tests/topo/2-packages-8-npus.xml"

static void the_nic_near_to_memory_is_named(void)
{
	struct ipcshare__machine *m = recorded_machine("pu:1");

	if (!m)
		return;
	ipcshare__machine_free(m);
	CHECK_INT(find_nic(NPUS, 64), 0); /* memory is on node 0, as far as there is only one here */
	CHECK_HAS(said, "mlx5_");
	CHECK_INT(find_nic(NPUS, 7), 0);
	CHECK_INT(find_nic(NPUS, 6), -IPCSHARE_ERR_INVALID);
	CHECK_HAS(said, "untouched\n");
	CHECK_HAS(said, "does not fit into 6 bytes");
	CHECK_INT(find_nic("HWLOC_XMLFILE=tests/topo/2-packages-threads.xml", 64), 0);
	CHECK_STR(said, "mlx5_0\n\n");
	CHECK_INT(find_nic("HWLOC_SYNTHETIC='package:2 [numa] core:2 pu:1'", 64),
		  -IPCSHARE_ERR_UNSUPPORTED);
	CHECK_HAS(said, "untouched\n");
	CHECK_HAS(said, "ipcshare-info --topo");
}

/* Device memory of an emulated NPU, which is where the recorded machine has that of its number. */
static void the_nic_near_to_a_device_is_that_of_its_memory(void)
{
	static const char *const nics[] = { "mlx5_0\n\n", "mlx5_0\n\n", "mlx5_1\n\n", "mlx5_1\n\n" };
	struct ipcshare__machine *m = recorded_machine("pu:1");
	const char *emu = getenv("TEST_EMU");
	char machine[1024];

	ipcshare__machine_free(m);
	if (!m)
		return;
	if (!emu || !emu[0]) {
		test_skip("device memory: TEST_EMU names no emulator");
		return;
	}
	for (int i = 0; i < 4; i++) {
		snprintf(machine, sizeof(machine),
			 NPUS " IPCSHARE_BACKEND=ascend IPCSHARE_ACL_LIB='%s' ASCENDCL_EMU_JOB=nic-%d "
			      "ASCEND_RT_VISIBLE_DEVICES=%d", emu, (int)getpid(), 2 * i);
		CHECK_INT(find_nic(machine, 64), 0);
		CHECK_STR(said, nics[i]);
	}
}

static void without_room_or_length_there_is_no_answer(void)
{
	struct ipcshare_ctx *ctx = team_open(0);
	char name[64] = "untouched", *memory = team_alloc(ctx, 4096);

	CHECK_FAILS(ipcshare_nearest_nic(ctx, memory, 0, name, 64), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_nearest_nic(ctx, NULL, 0, NULL, 64), IPCSHARE_ERR_INVALID);
	CHECK_FAILS(ipcshare_nearest_nic(ctx, NULL, 0, name, 0), IPCSHARE_ERR_INVALID);
	CHECK_STR(name, "untouched");
	CHECK_STATUS(ipcshare_close(ctx), 0);
	CHECK_FAILS(ipcshare_nearest_nic(ctx, NULL, 0, name, 64), IPCSHARE_ERR_CLOSED);
}

TEST_SUITE(nic, NULL, NULL,
	TEST(pages_have_a_node_when_they_are_there),
	TEST(the_nic_near_to_memory_is_named),
	TEST(the_nic_near_to_a_device_is_that_of_its_memory),
	TEST(without_room_or_length_there_is_no_answer));
