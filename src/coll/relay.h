/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all ranks want from behind the border (topo/border.h) is carried over it once: each rank of a part takes
 * a piece of it, or some of the blocks, and after a round more the others copy that from there. Only between
 * buffers that all have offered (offer.h).
 */
#ifndef IPCSHARE_COLL_RELAY_H
#define IPCSHARE_COLL_RELAY_H

#include "coll/call.h"

/* Before the first round: is the round worth it, as this rank sees it? A block has up to @most bytes. */
bool ipcshare__relay_pays(const struct ipcshare__call *call, uint64_t most);
/* After it, the same on all ranks: do all let their part copy from their buffers? */
bool ipcshare__relay_can(const struct ipcshare__call *call);

/* Of @len bytes that @source has, what this rank takes from there; *@at where that begins. */
size_t ipcshare__relay_piece(const struct ipcshare__call *call, int source, size_t len, size_t *at);
/* Does the other get what this rank has from here, and not from one of its part? */
bool ipcshare__relay_brings(const struct ipcshare__call *call, int other);

/* Note what @mate carries for this rank of the @len bytes of @source: @from there @to here. */
void ipcshare__relay_note(const struct ipcshare__call *call, int source, int mate, const char *from,
			  char *to, size_t len);
/* The same of blocks that aren't reduced, once all is mapped. 0, or why it can't be. */
int ipcshare__relay_map(struct ipcshare__call *call);
/* After the round in which all have what they carry. */
void ipcshare__relay_pass(const struct ipcshare__call *call);

#endif
