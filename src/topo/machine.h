/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine as a tree of parts: what is a package, a NUMA node, a cache, a core, and which devices
 * hang where. It is copied once from what hwloc finds (machine_hwloc.c, the only file that knows hwloc);
 * where there is no hwloc it is one part (machine_none.c). All else works on the copy.
 */
#ifndef IPCSHARE_TOPO_MACHINE_H
#define IPCSHARE_TOPO_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

enum ipcshare__machine_kind {
	IPCSHARE__PART_MACHINE,
	IPCSHARE__PART_PACKAGE,
	IPCSHARE__PART_NUMA, /* and the cores next to it, if it has any */
	IPCSHARE__PART_CACHE, /* a last-level one, and the cores that share it */
	IPCSHARE__PART_CORE,
	IPCSHARE__PART_CPU, /* a hardware thread: what the system gives a number, and masks a bit */
	IPCSHARE__PART_BRIDGE, /* of PCI: what hangs below one is nearer to each other */
	IPCSHARE__PART_NPU,
	IPCSHARE__PART_NIC, /* a verbs device, "mlx5_0" */
	IPCSHARE__PART_NET, /* a network interface, "eth0" */
};

struct ipcshare__machine_part {
	enum ipcshare__machine_kind kind;
	int parent; /* index; it stands before its children, and each subtree stands together. -1: none */
	/* As the system counts; of a cache the lowest CPU that shares it. -1: not known */
	int number;
	uint64_t bytes; /* of memory, of a cache */
	char address[16]; /* of a device: PCI, "0000:c1:00.0" */
	char name[40]; /* of a device */
};

struct ipcshare__machine {
	struct ipcshare__machine_part *parts; /* the machine first */
	int nparts;
	int *cpus; /* the part of each CPU, by the system's number; -1: there is none */
	int ncpus;
};

/*
 * This machine; never NULL. With @devices, also what hangs at PCI, which takes longer. The first call of
 * a process looks, the others find: what can't be found out now is taken for one part, for good. Safe
 * from any thread.
 */
const struct ipcshare__machine *ipcshare__machine(bool devices);

/* Look, and keep nothing. 0; IPCSHARE_ERR_UNSUPPORTED without hwloc; IPCSHARE_ERR_NO_MEMORY. */
int ipcshare__machine_load(bool devices, struct ipcshare__machine **out);
void ipcshare__machine_free(struct ipcshare__machine *machine);
/* Append a part behind @parent and all that is below it so far: its index, or -1 without memory. */
int ipcshare__machine_add(struct ipcshare__machine *machine, int parent,
			  const struct ipcshare__machine_part *part);
/* CPU @number is part @part: 0, or -1 without memory. */
int ipcshare__machine_cpu(struct ipcshare__machine *machine, int number, int part);

/* @part itself, or the next above it that is of @kind; -1 there is none. */
int ipcshare__machine_above(const struct ipcshare__machine *machine, int part,
			    enum ipcshare__machine_kind kind);
/* One behind the last part of the subtree of @part. */
int ipcshare__machine_end(const struct ipcshare__machine *machine, int part);
/* How many parts of @kind there are in it. */
int ipcshare__machine_count(const struct ipcshare__machine *machine, int part,
			    enum ipcshare__machine_kind kind);
/* The first of that kind and number; -1 there is none. */
int ipcshare__machine_find(const struct ipcshare__machine *machine,
			   enum ipcshare__machine_kind kind, int number);
/* The number of @part; -1 if @part is -1. */
int ipcshare__machine_number(const struct ipcshare__machine *machine, int part);

/* The verbs device with the shortest way to @part: below the deepest part that holds both; -1 none. */
int ipcshare__machine_nic(const struct ipcshare__machine *machine, int part);

#endif
