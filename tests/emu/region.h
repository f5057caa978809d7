/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory this process may name in a call: its device allocations, its imports, its pinned host
 * memory. Device memory has two addresses: the one the application holds, which faults when the
 * host touches it (unless ASCENDCL_EMU_HOST_ACCESS=1), and an alias only the copy engine knows.
 */
#ifndef EMU_REGION_H
#define EMU_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum emu_region_kind { EMU_REGION_DEVICE, EMU_REGION_IMPORT, EMU_REGION_HOST };

struct emu_region {
	enum emu_region_kind kind;
	uintptr_t va;		/* page aligned */
	size_t len;		/* whole pages */
	uintptr_t base;		/* what aclrtMalloc returned: va + ASCENDCL_EMU_BASE_OFFSET */
	size_t page;
	int device;		/* physical: where the memory is */
	int map_device;		/* physical: an import's device page tables are here */
	bool readonly;
	bool exported;		/* a key was made of it, at some time */
	bool sealed;		/* an import whose host mapping was taken away */
	char *alias;
	uint64_t off;		/* in the job's file */
	uint32_t alloc;		/* device memory: its record in the table */
	uint32_t open;		/* import: its record in the table; atomic */
	unsigned busy;		/* borrowed by engines; under the index's lock */
	bool gone;		/* out of the index, to be unmapped by the last borrower */
};

/* Maps r->len bytes at r->off (not for HOST) and enters it: 0, or -1 without address space. */
int emu_region_enter(struct emu_region *r);
void emu_region_leave(struct emu_region *r);	/* out of the index; freed after the last put */

/* The region that holds all of [p, p + len), borrowed, or NULL. */
struct emu_region *emu_region_get(const void *p, size_t len);
void emu_region_put(struct emu_region *r);

/* A region of @kind with .device == @device (any if < 0), not borrowed; NULL if there is none. */
struct emu_region *emu_region_any(enum emu_region_kind kind, int device);

/* False for an import whose exporter closed, freed, reset or died. */
bool emu_region_reachable(const struct emu_region *r);
bool emu_region_foreign(const struct emu_region *r);	/* imported from another device */
void emu_regions_revoke(void);	/* seals the host mappings of unreachable imports */

#endif
