/* SPDX-License-Identifier: BSD-3-Clause */
/* The copy engine: every access of a device to memory goes through here, and is checked here. */
#ifndef EMU_ENGINE_H
#define EMU_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include "region.h"

/* What a pointer is to a call that must choose or refuse a direction. */
enum emu_place {
	EMU_PLACE_HOST,		/* pageable or pinned, or nothing the emulator knows */
	EMU_PLACE_PINNED,
	EMU_PLACE_DEVICE,
	EMU_PLACE_LOCAL,	/* imported, the exporter is on the same device */
	EMU_PLACE_FOREIGN,	/* imported from another device */
	EMU_PLACE_OVERRUN,	/* starts in device memory and runs past its end */
};

/* Counts a look-up for imported operands (@lookups of them). */
enum emu_place emu_place_of(const void *p, size_t n, int64_t lookups, int *device);
static inline bool emu_place_device(enum emu_place p)
{
	return p >= EMU_PLACE_DEVICE;
}

/*
 * One copy. Whether an operand is device memory is what the issuing call saw: memory that is gone
 * when the task runs must fault as on the device, not be taken for a host address.
 */
struct emu_copy {
	char *dst;
	const char *src;
	size_t n;
	bool dst_device, src_device;
};

/*
 * emu_engine_borrow - the bytes behind device memory @p as a device sees them
 * @device: that touches them; its peer pair with the owner must be up
 *
 * Return: 0, *at, and *r to be put back; 507013 where the hardware would fault.
 */
int emu_engine_borrow(const void *p, size_t n, int device, bool write, struct emu_region **r,
		      char **at);
int emu_engine_copy(const struct emu_copy *c, int device);
int emu_engine_set(void *dst, int value, size_t n, int device);	/* device memory */

#endif
