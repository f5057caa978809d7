/* SPDX-License-Identifier: BSD-3-Clause */
/* Accesses in pieces, each checked anew: a mapping revoked during a copy ends the copy. */
#include <string.h>

#include "emu.h"
#include "emu_control.h"
#include "engine.h"
#include "peer.h"

#define PIECE (1u << 20)

enum emu_place emu_place_of(const void *p, size_t n, int64_t lookups, int *device)
{
	struct emu_region *r = emu_region_get(p, 0);
	enum emu_place place;

	*device = -1;
	if (!r)
		return EMU_PLACE_HOST;
	*device = r->device;
	if (r->kind == EMU_REGION_IMPORT)
		COUNT(ioctl_lookup, (uint64_t)lookups);
	if (r->kind == EMU_REGION_HOST)
		place = EMU_PLACE_PINNED;
	else if (n > r->va + r->len - (uintptr_t)p)
		place = EMU_PLACE_OVERRUN;
	else if (r->kind == EMU_REGION_DEVICE)
		place = EMU_PLACE_DEVICE;
	else
		place = emu_region_foreign(r) ? EMU_PLACE_FOREIGN : EMU_PLACE_LOCAL;
	emu_region_put(r);
	return place;
}

int emu_engine_borrow(const void *p, size_t n, int device, bool write, struct emu_region **r,
		      char **at)
{
	struct emu_region *found = emu_region_get(p, n);

	if (!found)
		return ACL_ERROR_RT_SYS_DMA;
	if (found->kind == EMU_REGION_HOST || !emu_region_reachable(found) ||
	    !emu_peer_usable(device, found->device) || (write && found->readonly)) {
		emu_region_put(found);
		return ACL_ERROR_RT_SYS_DMA;
	}
	*r = found;
	*at = found->alias + ((uintptr_t)p - found->va);
	return 0;
}

static void give_back(struct emu_region *r)
{
	if (r)
		emu_region_put(r);
}

static int piece_copy(const struct emu_copy *c, size_t done, size_t n, int device)
{
	struct emu_region *from = NULL, *to = NULL;
	char *in = (char *)c->src + done, *out = c->dst + done;
	int err = 0;

	if (c->src_device)
		err = emu_engine_borrow(in, n, device, false, &from, &in);
	if (!err && c->dst_device)
		err = emu_engine_borrow(out, n, device, true, &to, &out);
	if (!err)
		memmove(out, in, n);
	give_back(to);
	give_back(from);
	return err;
}

int emu_engine_copy(const struct emu_copy *c, int device)
{
	int err = 0;

	for (size_t done = 0; done < c->n && !err; done += PIECE)
		err = piece_copy(c, done, c->n - done < PIECE ? c->n - done : PIECE, device);
	return err;
}

int emu_engine_set(void *dst, int value, size_t n, int device)
{
	struct emu_region *r;
	char *at;
	int err = 0;

	for (size_t done = 0; done < n && !err; done += PIECE) {
		size_t len = n - done < PIECE ? n - done : PIECE;

		err = emu_engine_borrow((char *)dst + done, len, device, true, &r, &at);
		if (err)
			break;
		memset(at, value, len);
		emu_region_put(r);
	}
	return err;
}

static int probe(const void *dev, size_t len, struct emu_region **r, char **at)
{
	*r = emu_region_get(dev, len);
	if (!*r || (*r)->kind == EMU_REGION_HOST || !emu_region_reachable(*r)) {
		give_back(*r);
		return -1;
	}
	*at = (*r)->alias + ((uintptr_t)dev - (*r)->va);
	return 0;
}

int ascendclEmuPeek(const void *dev, void *host, size_t len)
{
	struct emu_region *r;
	char *at;

	if (probe(dev, len, &r, &at))
		return -1;
	memcpy(host, at, len);
	give_back(r);
	return 0;
}

int ascendclEmuPoke(void *dev, const void *host, size_t len)
{
	struct emu_region *r;
	char *at;

	if (probe(dev, len, &r, &at))
		return -1;
	memcpy(at, host, len);
	give_back(r);
	return 0;
}
