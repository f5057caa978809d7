/* SPDX-License-Identifier: BSD-3-Clause */
/* The place of a rank: which parts of the machine hold all cores that it may use. */
#ifndef IPCSHARE_TOPO_PLACE_H
#define IPCSHARE_TOPO_PLACE_H

#include "base/wire.h"
#include "topo/machine.h"

/*
 * Of who may use the CPUs whose bits are set in these @words, and has the NPU of that number (-1: none). A
 * rank that isn't bound is in no part but the machine.
 */
void ipcshare__place_of(const struct ipcshare__machine *machine, const uint64_t *cores,
			size_t words, int device, struct ipcshare__wire_place *out);
/* Of this thread. */
void ipcshare__place_here(int device, struct ipcshare__wire_place *out);
/* Can these bytes of another process be one? */
bool ipcshare__place_is_sound(const struct ipcshare__wire_place *place);

#endif
