/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <hwloc.h>
#include <ipcshare.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/host/sysfile.h"
#include "base/error.h"
#include "topo/machine.h"

#define HUAWEI 0x19e5
#define ACCELERATOR 0x1200 /* PCI class: processing accelerator */

/* Where we are while the tree is copied; @failed: no memory. */
struct copy {
	hwloc_topology_t from;
	struct ipcshare__machine *to;
	bool failed;
};

static int add(struct copy *c, int parent, struct ipcshare__machine_part part)
{
	int at = ipcshare__machine_add(c->to, parent, &part);

	c->failed |= at < 0;
	return at;
}

static int number_of(hwloc_obj_t obj)
{
	return obj->os_index == HWLOC_UNKNOWN_INDEX ? -1 : (int)obj->os_index;
}

/* ---- Processors and memory ---- */

static int add_numa(struct copy *c, int parent, hwloc_obj_t obj)
{
	return add(c, parent,
		   (struct ipcshare__machine_part){ .kind = IPCSHARE__PART_NUMA,
						    .number = number_of(obj),
						    .bytes = obj->attr->numanode.local_memory });
}

/* A memory-side cache stands between, if there is one. */
static hwloc_obj_t numa_in(hwloc_obj_t memory)
{
	while (memory && memory->type != HWLOC_OBJ_NUMANODE)
		memory = memory->memory_first_child;
	return memory;
}

/*
 * In hwloc memory hangs beside the cores that are next to it; here the cores are in its node. Where they
 * have more than one, of different kinds, the first one is the usual memory.
 */
static int enter_memory(struct copy *c, int parent, hwloc_obj_t obj)
{
	hwloc_obj_t first = numa_in(obj->memory_first_child), other;

	if (!first)
		return parent;
	for (other = obj->memory_first_child->next_sibling; other; other = other->next_sibling)
		if (numa_in(other))
			add_numa(c, parent, numa_in(other));
	return add_numa(c, parent, first);
}

static bool is_last_level(const struct copy *c, int parent, hwloc_obj_t obj)
{
	return (obj->type == HWLOC_OBJ_L3CACHE || obj->type == HWLOC_OBJ_L2CACHE) &&
	       ipcshare__machine_above(c->to, parent, IPCSHARE__PART_CACHE) < 0;
}

/* The part that @obj is; @parent if it is none of its own. */
static int enter(struct copy *c, int parent, hwloc_obj_t obj)
{
	struct ipcshare__machine_part part = { .number = number_of(obj) };

	if (obj->type == HWLOC_OBJ_MACHINE) {
		part.kind = IPCSHARE__PART_MACHINE;
	} else if (obj->type == HWLOC_OBJ_PACKAGE) {
		part.kind = IPCSHARE__PART_PACKAGE;
		if (part.number < 0) /* a virtual machine may not say */
			part.number = hwloc_bitmap_first(obj->complete_cpuset);
	} else if (obj->type == HWLOC_OBJ_CORE) {
		part.kind = IPCSHARE__PART_CORE;
	} else if (obj->type == HWLOC_OBJ_PU) {
		part.kind = IPCSHARE__PART_CPU;
	} else if (is_last_level(c, parent, obj)) {
		part.kind = IPCSHARE__PART_CACHE;
		part.number = hwloc_bitmap_first(obj->complete_cpuset);
		part.bytes = obj->attr->cache.size;
	} else {
		return parent;
	}
	return add(c, parent, part);
}

/* ---- Devices ---- */

static bool is_npu(hwloc_obj_t obj)
{
	return obj->type == HWLOC_OBJ_PCI_DEVICE && obj->attr->pcidev.vendor_id == HUAWEI &&
	       obj->attr->pcidev.class_id == ACCELERATOR;
}

static void address_of(hwloc_obj_t pci, char address[16])
{
	const struct hwloc_pcidev_attr_s *a = &pci->attr->pcidev;

	snprintf(address, 16, "%04x:%02x:%02x.%x", a->domain & 0xffff, a->bus, a->dev & 0x1f,
		 a->func & 7);
}

/*
 * The driver shows the physical number at the PCI device, which a recorded machine has as an attribute.
 * Source: devdrv_sysfs of hicann/driver.
 */
static int npu_number(const struct copy *c, hwloc_obj_t obj, const char *address)
{
	const char *recorded = hwloc_obj_get_info_by_name(obj, "dev_id");
	char path[64];
	uint64_t number;

	if (recorded)
		return sscanf(recorded, "%" SCNu64, &number) == 1 && number < 1 << 16 ? (int)number
										      : -1;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/dev_id", address);
	if (!hwloc_topology_is_thissystem(c->from) || ipcshare__sysfile_number(path, &number) ||
	    number >= 1 << 16)
		return -1;
	return (int)number;
}

static int enter_npu(struct copy *c, int parent, hwloc_obj_t obj)
{
	struct ipcshare__machine_part part = { .kind = IPCSHARE__PART_NPU };

	address_of(obj, part.address);
	part.number = npu_number(c, obj, part.address);
	return add(c, parent, part);
}

static int enter_port(struct copy *c, int parent, hwloc_obj_t obj)
{
	struct ipcshare__machine_part part = { .number = -1 };

	if (obj->attr->osdev.type == HWLOC_OBJ_OSDEV_OPENFABRICS)
		part.kind = IPCSHARE__PART_NIC;
	else if (obj->attr->osdev.type == HWLOC_OBJ_OSDEV_NETWORK)
		part.kind = IPCSHARE__PART_NET;
	else
		return parent;
	snprintf(part.name, sizeof(part.name), "%s", obj->name ? obj->name : "?");
	if (obj->parent && obj->parent->type == HWLOC_OBJ_PCI_DEVICE)
		address_of(obj->parent, part.address);
	return add(c, parent, part);
}

static void copy_devices(struct copy *c, int parent, hwloc_obj_t first)
{
	for (hwloc_obj_t obj = first; obj && !c->failed; obj = obj->next_sibling) {
		int at = parent;

		if (obj->type == HWLOC_OBJ_BRIDGE)
			at = add(c, parent,
				 (struct ipcshare__machine_part){ .kind = IPCSHARE__PART_BRIDGE,
								  .number = -1 });
		else if (is_npu(obj))
			at = enter_npu(c, parent, obj);
		else if (obj->type == HWLOC_OBJ_OS_DEVICE)
			at = enter_port(c, parent, obj);
		copy_devices(c, at, obj->io_first_child);
	}
}

/* ---- All of it ---- */

/* The tree is a few levels deep. */
static void copy_tree(struct copy *c, int parent, hwloc_obj_t obj)
{
	int at = enter(c, parent, obj), inside;

	if (at >= 0 && obj->type == HWLOC_OBJ_PU)
		c->failed |= ipcshare__machine_cpu(c->to, (int)obj->os_index, at) != 0;
	inside = c->failed ? at : enter_memory(c, at, obj);
	for (hwloc_obj_t child = obj->first_child; child && !c->failed; child = child->next_sibling)
		copy_tree(c, inside, child);
	copy_devices(c, inside, obj->io_first_child);
}

/* They would start the runtimes of GPUs in the caller's process. */
static const char *const not_wanted[] = { "opencl", "gl", "cuda", "nvml", "rsmi", "levelzero" };

static void configure(hwloc_topology_t t, bool devices)
{
	static const hwloc_obj_type_t wanted[] = { HWLOC_OBJ_PACKAGE, HWLOC_OBJ_L3CACHE,
						   HWLOC_OBJ_L2CACHE, HWLOC_OBJ_CORE };

	/* What a cpuset forbids this rank counts too: others of the group may be there. */
	hwloc_topology_set_flags(t, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
	hwloc_topology_set_all_types_filter(t, HWLOC_TYPE_FILTER_KEEP_NONE);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		hwloc_topology_set_type_filter(t, wanted[i], HWLOC_TYPE_FILTER_KEEP_ALL);
	/* A group may be all that memory has in common with some cores. */
	hwloc_topology_set_type_filter(t, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
	if (devices)
		hwloc_topology_set_io_types_filter(t, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
	for (size_t i = 0; i < sizeof(not_wanted) / sizeof(not_wanted[0]); i++)
		hwloc_topology_set_components(t, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST,
					      not_wanted[i]);
}

int ipcshare__machine_load(bool devices, struct ipcshare__machine **out)
{
	struct copy c = { .to = calloc(1, sizeof(*c.to)) };

	if (!c.to)
		return ipcshare__fail_errno(ENOMEM, "topology", "a copy of the machine");
	if (hwloc_topology_init(&c.from)) {
		free(c.to);
		return ipcshare__fail_errno(ENOMEM, "topology", "hwloc_topology_init");
	}
	configure(c.from, devices);
	if (hwloc_topology_load(c.from)) {
		int err = errno;

		hwloc_topology_destroy(c.from);
		free(c.to);
		return ipcshare__fail_errno(err, "topology", "hwloc_topology_load");
	}
	copy_tree(&c, -1, hwloc_get_root_obj(c.from));
	hwloc_topology_destroy(c.from);
	if (c.failed) {
		ipcshare__machine_free(c.to);
		return ipcshare__fail_errno(ENOMEM, "topology", "a copy of the machine");
	}
	*out = c.to;
	return 0;
}
