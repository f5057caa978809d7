/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Peer access (contract 2.12). One direction a call, but a pair works only when both directions
 * were enabled, by any processes. At most 32 processes per ordered pair. The two dies of one chip
 * are linked by SIO; enabling them is refused, and copies between them need no enabling.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "peer.h"
#include "table.h"

static const struct {
	const char *name;
	uint64_t topo;
} kinds[] = {
	{ "hccs_sw", ACL_RT_DEVS_TOPOLOGY_HCCS_SW }, { "hccs", ACL_RT_DEVS_TOPOLOGY_HCCS },
	{ "pix", ACL_RT_DEVS_TOPOLOGY_PIX }, { "pib", ACL_RT_DEVS_TOPOLOGY_PIB },
	{ "phb", ACL_RT_DEVS_TOPOLOGY_PHB }, { "sio", ACL_RT_DEVS_TOPOLOGY_SIO },
	{ "none", ACL_RT_DEVS_TOPOLOGY_SYS },	/* no way through: a pair without a link */
};

/* "a-b=kind,..." in either order of a and b; 0 when the pair is not named. */
static uint64_t topo_configured(int a, int b)
{
	char one[32], other[32];
	const char *p = emu_table->machine.links;

	snprintf(one, sizeof(one), "%d-%d=", a, b);
	snprintf(other, sizeof(other), "%d-%d=", b, a);
	for (; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
		size_t len = !strncmp(p, one, strlen(one)) ? strlen(one) :
			     !strncmp(p, other, strlen(other)) ? strlen(other) : 0;

		for (size_t i = 0; len && i < sizeof(kinds) / sizeof(kinds[0]); i++)
			if (!strncmp(p + len, kinds[i].name, strlen(kinds[i].name)))
				return kinds[i].topo;
	}
	return 0;
}

static bool same_chip(int a, int b)
{
	return a != b && emu_device_chip(a) == emu_device_chip(b);
}

uint64_t emu_peer_topo(int a, int b)
{
	uint64_t topo = topo_configured(a, b);

	if (topo)
		return topo;
	if (same_chip(a, b))
		return ACL_RT_DEVS_TOPOLOGY_SIO;
	return emu_soc_is_pod() ? ACL_RT_DEVS_TOPOLOGY_HCCS_SW : ACL_RT_DEVS_TOPOLOGY_HCCS;
}

static bool linked(int a, int b)
{
	return emu_peer_topo(a, b) != ACL_RT_DEVS_TOPOLOGY_SYS;
}

static bool enabled(int from, int to)
{
	const struct emu_peer *p = &emu_table->peers[from][to];

	for (int i = 0; i < EMU_PEER_CAP; i++) {
		uint32_t holder = __atomic_load_n(&p->slots[i], __ATOMIC_ACQUIRE);

		if (holder && !emu_slot_dead(holder - 1, emu_table->slots[holder - 1].serial))
			return true;
	}
	return false;
}

bool emu_peer_usable(int a, int b)
{
	if (a == b)
		return true;
	if (!linked(a, b))
		return false;
	return same_chip(a, b) || (enabled(a, b) && enabled(b, a));
}

/* Lock held. Counted per process; one entry per process and ordered pair. */
static int enable_locked(int from, int to)
{
	struct emu_peer *p = &emu_table->peers[from][to];
	int cap = (int)emu_settings()->peer_cap, empty = -1;

	for (int i = 0; i < EMU_PEER_CAP; i++) {
		if (p->slots[i] == emu_me + 1) {
			p->counts[i]++;
			return 0;
		}
		if (!p->slots[i] && empty < 0)
			empty = i;
	}
	if (empty < 0 || empty >= cap)
		return emu_fail(ACL_ERROR_RT_MEMORY_ALLOCATION,
				"more than %d processes enable device %d to device %d",
				cap, from, to);
	p->counts[empty] = 1;
	__atomic_store_n(&p->slots[empty], emu_me + 1, __ATOMIC_RELEASE);
	return 0;
}

static int disable_locked(int from, int to)
{
	struct emu_peer *p = &emu_table->peers[from][to];

	for (int i = 0; i < EMU_PEER_CAP; i++)
		if (p->slots[i] == emu_me + 1) {
			if (!--p->counts[i])
				p->slots[i] = 0;
			return 0;
		}
	return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR, "this process never enabled it");
}

static int enable_check(int from, int to)
{
	if (same_chip(from, to) && !emu_settings()->sio_peer)
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR,
				"devices %d and %d are dies of one chip", from, to);
	if (!linked(from, to))
		return emu_fail(ACL_ERROR_RT_DRV_INTERNAL_ERROR,
				"no link between devices %d and %d", from, to);
	if (emu_settings()->is_virtual)
		return emu_fail(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "a virtual instance");
	return 0;
}

static int enable(int from, int to)
{
	int err = enable_check(from, to);

	if (err)
		return err;
	COUNT(ioctl_peer, 1);
	emu_table_lock();
	err = enable_locked(from, to);
	emu_table_unlock();
	return err;
}

int emu_peer_enable_both(int a, int b)
{
	int err = a == b ? 0 : enable(a, b);

	return err || a == b ? err : enable(b, a);
}

/* Two user ids to physical ones. */
static int pair(int32_t user, int32_t peer, int *a, int *b)
{
	if (user == peer)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "device %d is not its own peer", user);
	*a = emu_device_of_user(user);
	*b = emu_device_of_user(peer);
	if (*a < 0 || *b < 0)
		return emu_fail(ACL_ERROR_RT_INVALID_DEVICEID, "no device %d here",
				*a < 0 ? user : peer);
	return 0;
}

aclError aclrtDeviceCanAccessPeer(int32_t *can, int32_t user, int32_t peer)
{
	int a, b, err;

	ENTER(aclrtDeviceCanAccessPeer);
	if (!can)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_MACHINE();
	err = pair(user, peer, &a, &b);
	if (err)
		return err;
	*can = linked(a, b) && (!same_chip(a, b) || emu_settings()->sio_peer);
	return 0;
}

static int peer_of_current(int32_t peer, int *a, int *b)
{
	struct emu_context *c;

	NEED_CONTEXT(c);
	return pair(emu_device_to_user(c->device), peer, a, b);
}

aclError aclrtDeviceEnablePeerAccess(int32_t peer, uint32_t flags)
{
	int a, b, err;

	ENTER(aclrtDeviceEnablePeerAccess);
	if (flags)
		return emu_fail(ACL_ERROR_FEATURE_UNSUPPORTED, "flags %u", flags);
	err = peer_of_current(peer, &a, &b);
	return err ? err : enable(a, b);
}

aclError aclrtDeviceDisablePeerAccess(int32_t peer)
{
	int a, b, err;

	ENTER(aclrtDeviceDisablePeerAccess);
	err = peer_of_current(peer, &a, &b);
	if (err)
		return err;
	COUNT(ioctl_peer, 1);
	emu_table_lock();
	err = disable_locked(a, b);
	emu_table_unlock();
	return err;
}

aclError aclrtDevicePeerAccessStatus(int32_t user, int32_t peer, int32_t *status)
{
	int a, b, err;

	ENTER(aclrtDevicePeerAccessStatus);
	if (!status)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_MACHINE();
	err = pair(user, peer, &a, &b);
	if (!err)
		*status = enabled(a, b) && enabled(b, a);
	return err;
}

aclError aclrtGetDevicesTopo(uint32_t user, uint32_t other, uint64_t *value)
{
	int a, b, err;

	ENTER(aclrtGetDevicesTopo);
	if (!value)
		return emu_fail(ACL_ERROR_INVALID_PARAM, "NULL");
	NEED_MACHINE();
	err = pair((int32_t)user, (int32_t)other, &a, &b);
	if (!err)
		*value = emu_peer_topo(a, b);
	return err;
}
