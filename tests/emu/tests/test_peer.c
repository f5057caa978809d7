/* SPDX-License-Identifier: BSD-3-Clause */
/* Contract 2.12 (peer access), 1.4 (topology) and device ids. */
#include "ranks.h"

static void rows(struct rank *r)
{
	int32_t can = -1, status = -1;
	uint64_t topo;

	(void)r;
	up(0);
	CODE(100000, aclrtDeviceCanAccessPeer(&can, 1, 1));	/* its own peer, in all three */
	CODE(100000, aclrtDeviceEnablePeerAccess(0, 0));
	CODE(100000, aclrtDeviceDisablePeerAccess(0));
	CODE(200006, aclrtDeviceEnablePeerAccess(1, 1));	/* flags */
	CODE(107001, aclrtDeviceEnablePeerAccess(8, 0));
	CODE(507899, aclrtDeviceDisablePeerAccess(1));		/* disable without enable */
	OK(aclrtDeviceCanAccessPeer(&can, 0, 1));
	EXPECT(can == 1);
	OK(aclrtDeviceEnablePeerAccess(1, 0));
	OK(aclrtDeviceEnablePeerAccess(1, 0));			/* counted per process */
	OK(aclrtDevicePeerAccessStatus(0, 1, &status));
	EXPECT(status == 0);					/* one direction is not enough */
	OK(aclrtSetDevice(1));
	OK(aclrtDeviceEnablePeerAccess(0, 0));
	OK(aclrtDevicePeerAccessStatus(0, 1, &status));
	EXPECT(status == 1);
	OK(aclrtDeviceDisablePeerAccess(0));
	OK(aclrtDevicePeerAccessStatus(0, 1, &status));
	EXPECT(status == 0);
	OK(aclrtSetDevice(0));
	OK(aclrtDeviceDisablePeerAccess(1));
	OK(aclrtDeviceDisablePeerAccess(1));
	CODE(507899, aclrtDeviceDisablePeerAccess(1));
	OK(aclrtGetDevicesTopo(0, 1, &topo));
	EXPECT(topo == ACL_RT_DEVS_TOPOLOGY_HCCS);
}

static void enabling_is_one_directional_and_counted(void)
{
	RANKS_OK(1, "", rows);
}

static void cap(struct rank *r)
{
	char token = 0;

	up(0);
	if (r->id)
		rank_recv(r, r->id - 1, &token, 1);
	CODE(r->id < 32 ? 0 : 207001, aclrtDeviceEnablePeerAccess(1, 0));
	if (r->id + 1 < r->n)
		rank_send(r, r->id + 1, &token, 1);
	rank_barrier(r);
	if (r->id == 0)
		rank_die();		/* frees its place without a word */
	if (r->id == r->n - 1) {
		rank_wait_gone(r, 0);
		OK(aclrtDeviceEnablePeerAccess(1, 0));
	}
}

static void small_cap(struct rank *r)
{
	char token;

	up(0);
	if (r->id)
		rank_recv(r, 0, &token, 1);
	CODE(r->id ? 207001 : 0, aclrtDeviceEnablePeerAccess(1, 0));
	if (!r->id)
		rank_send(r, 1, "x", 1);
	rank_barrier(r);
}

static void at_most_32_processes_per_ordered_pair(void)
{
	CU_ASSERT_EQUAL(ranks_run(33, "", 1, cap), 0);
	RANKS_OK(2, "ASCENDCL_EMU_PEER_CAP=1", small_cap);
}

static void dies(struct rank *r)
{
	int64_t chip0, chip1, chip2;
	uint64_t topo;
	int32_t can;

	(void)r;
	up(0);
	OK(aclrtGetDeviceInfo(0, ACL_DEV_ATTR_PHY_CHIP_ID, &chip0));
	OK(aclrtGetDeviceInfo(1, ACL_DEV_ATTR_PHY_CHIP_ID, &chip1));
	OK(aclrtGetDeviceInfo(2, ACL_DEV_ATTR_PHY_CHIP_ID, &chip2));
	EXPECT(chip0 == chip1 && chip1 != chip2);
	OK(aclrtDeviceCanAccessPeer(&can, 0, 1));
	EXPECT(can == 0);
	CODE(507899, aclrtDeviceEnablePeerAccess(1, 0));
	OK(aclrtGetDevicesTopo(0, 1, &topo));
	EXPECT(topo == ACL_RT_DEVS_TOPOLOGY_SIO);
	OK(aclrtDeviceCanAccessPeer(&can, 0, 2));
	EXPECT(can == 1);
	OK(aclrtDeviceEnablePeerAccess(2, 0));
	OK(aclrtGetDevicesTopo(0, 2, &topo));
	EXPECT(topo == ACL_RT_DEVS_TOPOLOGY_HCCS_SW);
}

static void enabling_is_refused_between_the_dies_of_a_chip(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_SOC=Ascend910_9382", dies);
}

static void unlinked(struct rank *r)
{
	void *p, *q;
	aclrtStream s;
	uint64_t topo;
	int32_t can;

	(void)r;
	up(0);
	p = alloc(4096);
	OK(aclrtCreateStream(&s));
	OK(aclrtDeviceCanAccessPeer(&can, 1, 0));
	EXPECT(can == 0);
	CODE(507899, aclrtDeviceEnablePeerAccess(1, 0));
	OK(aclrtGetDevicesTopo(0, 1, &topo));
	EXPECT(topo == ACL_RT_DEVS_TOPOLOGY_SYS);
	OK(aclrtGetDevicesTopo(2, 0, &topo));
	EXPECT(topo == ACL_RT_DEVS_TOPOLOGY_PHB);
	OK(aclrtDeviceEnablePeerAccess(2, 0));
	OK(aclrtSetDevice(1));
	q = alloc(4096);
	OK(aclrtSetDevice(0));
	OK(aclrtMemcpyAsync(p, 8, q, 8, ACL_MEMCPY_DEVICE_TO_DEVICE, s));
	CODE(507013, aclrtSynchronizeStream(s));
}

static void a_pair_without_a_link(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_SOC=Ascend910B2C ASCENDCL_EMU_LINKS=0-1=none,2-0=phb", unlinked);
}

static void ids(struct rank *r)
{
	bool has_pair = strcmp(ascendclEmuRelease(), "9.0.0");
	int32_t id = -1;
	uint32_t count;

	(void)r;
	/* the container shows 7,5,6,4; the job asks for 1,3 of them */
	up(0);
	OK(aclrtGetDeviceCount(&count));
	EXPECT(count == 2);
	CODE(107001, aclrtSetDevice(2));
	OK(aclrtGetPhyDevIdByLogicDevId(0, &id));	/* translates the user id, despite its name */
	EXPECT(id == 5);
	OK(aclrtGetLogicDevIdByPhyDevId(4, &id));
	EXPECT(id == 1);
	OK(aclrtGetLogicDevIdByUserDevId(1, &id));
	EXPECT(id == 3);
	OK(aclrtGetUserDevIdByLogicDevId(1, &id));
	EXPECT(id == 0);
	if (has_pair) {
		OK(aclrtGetPhyDevIdByUserDevId(1, &id));
		EXPECT(id == 4);
		OK(aclrtGetUserDevIdByPhyDevId(5, &id));
		EXPECT(id == 0);
	}
	CODE(107001, aclrtGetLogicDevIdByPhyDevId(7, &id));
	OK(aclrtGetDevice(&id));
	EXPECT(id == 0);
}

static void user_logical_and_physical_ids(void)
{
	RANKS_OK(1, "ASCENDCL_EMU_PHYSICAL=7,5,6,4 ASCEND_RT_VISIBLE_DEVICES=1,3", ids);
}

static void one_visible(struct rank *r)
{
	uint32_t count;

	(void)r;
	OK(aclInit(NULL));
	OK(aclrtGetDeviceCount(&count));
	EXPECT(count == 1);
	OK(aclrtSetDevice(0));
	for (int i = 1; i < 4; i++)
		CODE(107001, aclrtSetDevice(i));
}

static void three_visible(struct rank *r)
{
	uint32_t count;
	int32_t id;

	(void)r;
	up(2);
	OK(aclrtGetDeviceCount(&count));
	OK(aclrtGetPhyDevIdByLogicDevId(2, &id));
	EXPECT(count == 3 && id == 1);
}

/* What follows the first id that is not valid is not there, not even for who names it. */
static void the_visible_list_ends_at_what_is_not_valid(void)
{
	RANKS_OK(1, "ASCEND_RT_VISIBLE_DEVICES=3,2,1", one_visible);	/* not ascending */
	RANKS_OK(1, "ASCEND_RT_VISIBLE_DEVICES=3,3,4", one_visible);
	RANKS_OK(1, "ASCEND_RT_VISIBLE_DEVICES=3,9,4", one_visible);	/* of 8 devices */
	RANKS_OK(1, "ASCEND_RT_VISIBLE_DEVICES=3;4,5", one_visible);
	RANKS_OK(1, "ASCEND_RT_VISIBLE_DEVICES=3,2,1 ASCENDCL_EMU_RELEASE=9.0.0", one_visible);
	RANKS_OK(1, "ASCEND_RT_VISIBLE_DEVICES=3,2,1 ASCENDCL_EMU_RELEASE=8.5.0", three_visible);
}

int main(void)
{
	static const struct test tests[] = {
		TEST(enabling_is_one_directional_and_counted),
		TEST(at_most_32_processes_per_ordered_pair),
		TEST(enabling_is_refused_between_the_dies_of_a_chip), TEST(a_pair_without_a_link),
		TEST(user_logical_and_physical_ids),
		TEST(the_visible_list_ends_at_what_is_not_valid), { NULL, NULL },
	};

	return tests_main("2.12 peer access", tests);
}
