/* SPDX-License-Identifier: BSD-3-Clause */
/* Notifies: one bit each in the job's table; the creator waits, anyone who opened it records. */
#ifndef EMU_NOTIFY_H
#define EMU_NOTIFY_H

#include <stdint.h>

#include "table.h"

/* A model's end notify: it only takes one of the device's; EMU_NONE when there is none left. */
uint32_t emu_notify_take(int device);
void emu_notify_give(int device, uint32_t index);

#endif
