/* SPDX-License-Identifier: BSD-3-Clause */
/* Device memory of this process. */
#ifndef EMU_MEMORY_H
#define EMU_MEMORY_H

#include "region.h"

#define EMU_PAGE 4096u
#define EMU_HUGE (2u << 20)
#define EMU_GIANT (1u << 30)

void emu_memory_release(struct emu_region *r);	/* aclrtFree, and at a device reset */

#endif
