/* SPDX-License-Identifier: BSD-3-Clause */
/* Links between devices and who enabled peer access; all ids are physical. */
#ifndef EMU_PEER_H
#define EMU_PEER_H

#include <stdbool.h>
#include <stdint.h>

uint64_t emu_peer_topo(int a, int b);	/* ACL_RT_DEVS_TOPOLOGY_* */
bool emu_peer_usable(int a, int b);	/* may a copy on @a touch memory of @b now? */
int emu_peer_enable_both(int a, int b);	/* import flag 1: 0 or an ACL code */

#endif
