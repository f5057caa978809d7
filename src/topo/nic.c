/* SPDX-License-Identifier: BSD-3-Clause */
/* The NIC for memory: near the pages, or near the device that they are on. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "memory/context.h"
#include "topo/memory_node.h"
#include "topo/place.h"

static bool is_on_device(struct ipcshare_ctx *ctx, const void *ptr)
{
	struct ipcshare_error before = *ipcshare_last_error();
	void *base;
	size_t len;
	bool ours = ptr && !ctx->backend->ops->direct && !ipcshare_find(ctx, ptr, &base, &len);

	ipcshare__error_restore(&before); /* it need not be */
	return ours;
}

/* The part of the machine that the memory is in; all of it, if that is not known. */
static int part_of(struct ipcshare_ctx *ctx, const struct ipcshare__machine *m, const void *ptr,
		   size_t len)
{
	struct ipcshare__wire_place here;
	int part = -1, numa = -1;

	if (is_on_device(ctx, ptr)) {
		part = ipcshare__machine_find(m, IPCSHARE__PART_NPU, ctx->identity.device);
	} else {
		if (ptr)
			numa = ipcshare__memory_node(ptr, len);
		if (numa < 0) {
			ipcshare__place_here(-1, &here);
			numa = here.numa;
		}
		if (numa >= 0)
			part = ipcshare__machine_find(m, IPCSHARE__PART_NUMA, numa);
	}
	return part < 0 ? 0 : part;
}

int ipcshare_nearest_nic(struct ipcshare_ctx *ctx, const void *ptr, size_t len, char *name,
			 size_t room)
{
	const struct ipcshare__machine *m;
	int err = ipcshare__ctx_check(ctx, "topology"), nic;

	if (err)
		return err;
	if (!name || !room || (ptr && !len))
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "topology", "",
				      "the name has no room, or the memory no length");
	m = ipcshare__machine(true);
	nic = ipcshare__machine_nic(m, part_of(ctx, m, ptr, len));
	if (nic < 0)
		return ipcshare__fail(
			IPCSHARE_ERR_UNSUPPORTED, "topology",
			"'ipcshare-info --topo' shows what is seen of this node",
			"there is no verbs device in this node, or hwloc does not see it");
	if (strlen(m->parts[nic].name) >= room)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "topology", "64 bytes are enough",
				      "the name %s does not fit into %zu bytes", m->parts[nic].name,
				      room);
	snprintf(name, room, "%s", m->parts[nic].name);
	return 0;
}
