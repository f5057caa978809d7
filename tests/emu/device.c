/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices: their three kinds of id, what they are, and giving back what a process holds there. */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "ipc.h"
#include "memory.h"
#include "region.h"
#include "table.h"

#define SDID_BASE 0x00400000u	/* server 1 of super pod 0 */

/* Item @i of a list "4,5,6", which ends at whatever is no number; without a list, @i below @n. */
static int list_item(const char *list, int i, int n)
{
	char *end;
	long id;

	if (!list)
		return i < n ? i : -1;
	for (;; list = end + 1) {
		if (*list < '0' || *list > '9')
			return -1;
		id = strtol(list, &end, 10);
		if (!i--)
			return id < EMU_DEVICES ? (int)id : -1;
		if (*end != ',')
			return -1;
	}
}

/* Logical ids number the devices a container shows; physical ids are the machine's. */
static int physical_of(int logic)
{
	int n = (int)emu_table->machine.devices, p;

	p = logic < 0 ? -1 : list_item(emu_settings()->physical, logic, n);
	return p < n ? p : -1;
}

static int logic_of(int physical)
{
	for (int i = 0; i < EMU_DEVICES; i++)
		if (physical >= 0 && physical_of(i) == physical)
			return i;
	return -1;
}

/*
 * ASCEND_RT_VISIBLE_DEVICES ends at its first id that does not exist. Pages of 9.x support ascending
 * order only, so there the first that is not above the one before ends it too; older ones show 3,2,1.
 */
static int logic_of_user(int user)
{
	bool ascending = emu_settings()->release >= EMU_9_0_0;
	int l = -1, before = -1;

	for (int i = 0; i <= user; i++, before = l) {
		l = list_item(emu_settings()->visible, i, EMU_DEVICES);
		if (physical_of(l) < 0 || (ascending && l <= before))
			return -1;
	}
	return l;
}

static int user_of_logic(int logic)
{
	for (int i = 0; i < EMU_DEVICES; i++)
		if (logic >= 0 && logic_of_user(i) == logic)
			return i;
	return -1;
}

int emu_device_of_user(int32_t user)
{
	return physical_of(logic_of_user(user));
}

int emu_device_to_user(int physical)
{
	return user_of_logic(logic_of(physical));
}

bool emu_device_visible(int physical)
{
	return logic_of(physical) >= 0;
}

bool emu_soc_is_pod(void)
{
	return !strncmp(emu_table->machine.soc, "Ascend910_93", 12);
}

uint32_t emu_device_sdid(int physical)
{
	return SDID_BASE + (uint32_t)physical;
}

int emu_device_chip(int physical)
{
	return physical / (int)emu_table->machine.dies;
}

aclError aclrtGetDeviceCount(uint32_t *count)
{
	uint32_t n = 0;

	ENTER(aclrtGetDeviceCount);
	if (!count)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_MACHINE();
	while (emu_device_of_user((int)n) >= 0)
		n++;
	if (!n)
		return emu_fail(207004, "no device");
	*count = n;
	return 0;
}

const char *aclrtGetSocName(void)
{
	if (emu_enter(EMU_aclrtGetSocName) || emu_join())
		return NULL;
	return emu_table->machine.soc[0] ? emu_table->machine.soc : NULL;
}

aclError aclrtGetRunMode(aclrtRunMode *mode)
{
	ENTER(aclrtGetRunMode);
	if (!mode)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	*mode = ACL_HOST;
	return 0;
}

static int attribute(int device, aclrtDevAttr attr, int64_t *value)
{
	switch ((int)attr) {
	case ACL_DEV_ATTR_AICORE_CORE_NUM:
	case ACL_DEV_ATTR_CUBE_CORE_NUM:
		*value = 24;
		return 0;
	case ACL_DEV_ATTR_VECTOR_CORE_NUM:
		*value = 48;
		return 0;
	case ACL_DEV_ATTR_TOTAL_GLOBAL_MEM_SIZE:
		*value = (int64_t)emu_table->machine.hbm;
		return 0;
	case ACL_DEV_ATTR_L2_CACHE_SIZE:
		*value = 192 << 20;
		return 0;
	case ACL_DEV_ATTR_SMP_ID:
	case ACL_DEV_ATTR_SUPER_POD_ID:
	case ACL_DEV_ATTR_MAINBOARD_ID:
		*value = 0;
		return 0;
	case ACL_DEV_ATTR_PHY_CHIP_ID:
		*value = emu_device_chip(device);
		return 0;
	case ACL_DEV_ATTR_SUPER_POD_DEVICE_ID:
		*value = emu_device_sdid(device);
		return 0;
	case ACL_DEV_ATTR_SUPER_POD_SERVER_ID:
		*value = SDID_BASE >> 22;
		return 0;
	case ACL_DEV_ATTR_IS_VIRTUAL:
		*value = emu_settings()->is_virtual;
		return 0;
	case ACL_DEV_ATTR_NPU_ARCH:
		*value = 2201;
		return 0;
	default:
		return emu_fail(ACL_ERROR_RT_PARAM_INVALID, "attribute %d", (int)attr);
	}
}

aclError aclrtGetDeviceInfo(uint32_t user, aclrtDevAttr attr, int64_t *value)
{
	int device;

	ENTER(aclrtGetDeviceInfo);
	if (!value)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_MACHINE();
	device = emu_device_of_user((int32_t)user);
	if (device < 0)
		return emu_fail(ACL_ERROR_RT_INVALID_DEVICEID, "no device %u here", user);
	return attribute(device, attr, value);
}

static int translate(int from, int32_t *to, int (*how)(int))
{
	if (!to)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_MACHINE();
	if (how(from) < 0)
		return emu_fail(ACL_ERROR_RT_INVALID_DEVICEID, "id %d", from);
	*to = how(from);
	return 0;
}

static int user_of_physical(int physical)
{
	return emu_device_to_user(physical);
}

/* The two "logic" names really translate user ids, on every release (contract 1.1). */
aclError aclrtGetLogicDevIdByPhyDevId(int32_t phy, int32_t *logic)
{
	ENTER(aclrtGetLogicDevIdByPhyDevId);
	return translate(phy, logic, user_of_physical);
}

aclError aclrtGetPhyDevIdByLogicDevId(int32_t logic, int32_t *phy)
{
	ENTER(aclrtGetPhyDevIdByLogicDevId);
	return translate(logic, phy, emu_device_of_user);
}

aclError aclrtGetLogicDevIdByUserDevId(int32_t user, int32_t *logic)
{
	ENTER(aclrtGetLogicDevIdByUserDevId);
	return translate(user, logic, logic_of_user);
}

aclError aclrtGetUserDevIdByLogicDevId(int32_t logic, int32_t *user)
{
	ENTER(aclrtGetUserDevIdByLogicDevId);
	return translate(logic, user, user_of_logic);
}

aclError aclrtGetUserDevIdByPhyDevId(int32_t phy, int32_t *user)
{
	ENTER(aclrtGetUserDevIdByPhyDevId);
	return translate(phy, user, user_of_physical);
}

aclError aclrtGetPhyDevIdByUserDevId(int32_t user, int32_t *phy)
{
	ENTER(aclrtGetPhyDevIdByUserDevId);
	return translate(user, phy, emu_device_of_user);
}

/*
 * A reset: memory goes, exports are revoked, imports are dropped. The runtime's own list of
 * imported keys stays as it was, so that a later Close of one of them fails (2.8).
 */
void emu_device_release(int device)
{
	struct emu_region *r;

	emu_ipc_device_reset(device);
	while ((r = emu_region_any(EMU_REGION_DEVICE, device)))
		emu_memory_release(r);
}
