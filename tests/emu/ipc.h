/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared memory between processes: keys, exports, whitelists, imports. */
#ifndef EMU_IPC_H
#define EMU_IPC_H

#include <stdbool.h>
#include <stdint.h>

#include "region.h"
#include "table.h"

/*
 * The key of contract 2.2: creator's tgid, counter, device, vf, sdid in hex, padded with '0'.
 * emu_key_parse() refuses what the importer's library cannot parse; nothing but the counter may
 * be read out of a key, and a lookup compares all of it.
 */
void emu_key_format(char *key, const struct emu_node *n);	/* 65 bytes */
int emu_key_parse(const char *key, uint64_t *counter);		/* 0 or -1 */
uint32_t emu_key_find(const char *key);		/* lock held: a node in any state, or EMU_NONE */

bool emu_node_mine(const struct emu_node *n);
void emu_node_ring(const bool *slots);		/* after a revocation, without the lock */
void emu_node_importers(const struct emu_node *n, bool *slots);	/* EMU_SLOTS of them */

void emu_ipc_source_freed(struct emu_region *r);	/* before its memory is given back */
void emu_ipc_device_reset(int device);

/*
 * Releases before the head race inside Close with any other IPC call of the process. Two calls
 * that overlap are counted (violation_ipc_race) so that a test can hold a library to its mutex.
 */
void emu_ipc_begin(void);
void emu_ipc_end(void);

#endif
