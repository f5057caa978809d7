/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors for any transport: pack and allow on the owner's side, map and unmap on the other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/identity.h"
#include "memory/context.h"

#define HANDLE_CHECKED offsetof(struct ipcshare__wire_handle, region)

/* Over all bytes but the field itself. */
static uint32_t handle_sum(const struct ipcshare__wire_handle *h)
{
	uint64_t sum = ipcshare__checksum(0, h, offsetof(struct ipcshare__wire_handle, check));

	sum = ipcshare__checksum(sum, &h->region, sizeof(*h) - HANDLE_CHECKED);
	return (uint32_t)(sum ^ sum >> 32);
}

static uint32_t packed_sum(const struct ipcshare__wire_packed *p)
{
	return ipcshare__checksum32(p, offsetof(struct ipcshare__wire_packed, check));
}

int ipcshare_self(struct ipcshare_ctx *ctx, struct ipcshare_identity *out)
{
	int err = ipcshare__ctx_check(ctx, "self");

	if (err)
		return err;
	if (!out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "self", "", "out is NULL");
	memcpy(out, &ctx->identity, sizeof(*out));
	return 0;
}

/* ---- Owner ---- */

static int check_flags(unsigned flags, unsigned known, const char *stage)
{
	if (!(flags & ~known))
		return 0;
	return ipcshare__fail(IPCSHARE_ERR_INVALID, stage, "", "flags 0x%x are unknown here",
			      flags & ~known);
}

static int handle_make(struct ipcshare_ctx *ctx, const struct ipcshare__region *r, unsigned flags,
		       struct ipcshare__wire_handle *out)
{
	struct ipcshare__wire_handle h = {
		.magic = IPCSHARE__MAGIC_HANDLE,
		.layout = IPCSHARE__LAYOUT,
		.backend = (uint8_t)ctx->backend->ops->id,
		.access = flags & IPCSHARE_READ_ONLY ? IPCSHARE__READ_ONLY : IPCSHARE__READ_WRITE,
		.region = r->id,
		.generation = r->generation,
		.length = r->mem.span,
		.endpoint = ctx->identity.endpoint,
	};

	if (ipcshare__unhex(r->key, h.key, sizeof(h.key)))
		return ipcshare__fail(IPCSHARE_ERR_UNSUPPORTED, "pack",
				      "share it in a group instead",
				      "this backend's keys don't fit into 64 bytes");
	h.check = handle_sum(&h);
	*out = h;
	return 0;
}

/* Handle and offset of a buffer; exports its region if need be. */
static int pack(struct ipcshare_ctx *ctx, const void *ptr, size_t len, unsigned flags,
		struct ipcshare__wire_handle *handle, uint64_t *offset)
{
	struct ipcshare__region *r;
	int err;

	err = check_flags(flags, IPCSHARE_READ_ONLY | IPCSHARE_SHARE_OPEN, "pack");
	if (!err)
		err = ipcshare__region_hold(ctx, ptr, len, "pack", &r);
	if (err)
		return err;
	err = ipcshare__region_publish(ctx, r, flags, NULL, 0);
	if (!err)
		err = handle_make(ctx, r, flags, handle);
	*offset = (uint64_t)((const char *)ptr - (const char *)r->mem.start);
	ipcshare__region_drop(ctx, r);
	return err;
}

int ipcshare_pack(struct ipcshare_ctx *ctx, const void *ptr, size_t len, unsigned flags,
		  struct ipcshare_packed *out)
{
	struct ipcshare__wire_packed packed;
	uint64_t offset;
	int err = ipcshare__ctx_check(ctx, "pack");

	if (err)
		return err;
	if (!ptr || !len || !out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "pack", "",
				      "ptr or out is NULL, or len is 0");
	err = pack(ctx, ptr, len, flags, &packed.handle, &offset);
	if (err)
		return err;
	packed.offset_lo = (uint32_t)offset;
	packed.offset_hi = (uint16_t)(offset >> 32);
	packed.length_lo = (uint32_t)len;
	packed.length_hi = (uint16_t)(len >> 32);
	packed.check = packed_sum(&packed);
	memcpy(out, &packed, sizeof(*out));
	return 0;
}

int ipcshare_pack_handle(struct ipcshare_ctx *ctx, const void *ptr, unsigned flags,
			 struct ipcshare_handle *out, size_t *offset)
{
	struct ipcshare__wire_handle handle;
	uint64_t at;
	int err = ipcshare__ctx_check(ctx, "pack");

	if (err)
		return err;
	if (!ptr || !out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "pack", "", "ptr or out is NULL");
	err = pack(ctx, ptr, 1, flags, &handle, &at);
	if (err)
		return err;
	memcpy(out, &handle, sizeof(*out));
	if (offset)
		*offset = (size_t)at;
	return 0;
}

static int allow_check(const struct ipcshare_ctx *ctx, const struct ipcshare__identity *ids,
		       size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int err = ipcshare__identity_check(&ids[i], "whitelist");

		if (!err && memcmp(ids[i].boot, ctx->identity.boot, sizeof(ids[i].boot)))
			err = ipcshare__fail(IPCSHARE_ERR_OTHER_NODE, "whitelist", "",
					     "process %u runs on another node", ids[i].tgid);
		if (err) {
			ipcshare__fail_at(-1, (int64_t)i);
			return err;
		}
	}
	return 0;
}

static int allow(struct ipcshare_ctx *ctx, const void *ptr, const struct ipcshare__identity *ids,
		 size_t n, unsigned flags)
{
	struct ipcshare__region *r;
	int err = ipcshare__region_hold(ctx, ptr, 1, "whitelist", &r);

	if (err)
		return err;
	err = ipcshare__region_publish(ctx, r, flags | IPCSHARE__OPEN_OR_NOT, ids, n);
	ipcshare__region_drop(ctx, r);
	return err;
}

int ipcshare_allow(struct ipcshare_ctx *ctx, const void *ptr, const struct ipcshare_identity *peers,
		   size_t n, unsigned flags)
{
	struct ipcshare__identity *ids; /* the user's may be unaligned */
	int err = ipcshare__ctx_check(ctx, "whitelist");

	if (err)
		return err;
	if (!ptr || (!peers && n) || n > IPCSHARE__REGION_MAX)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "whitelist", "",
				      "ptr or peers is NULL, or %zu is no number of processes", n);
	err = check_flags(flags, IPCSHARE_READ_ONLY, "whitelist");
	if (err)
		return err;
	ids = malloc((n + 1) * sizeof(*ids));
	if (!ids)
		return ipcshare__fail_errno(ENOMEM, "whitelist", "%zu identities", n);
	if (n)
		memcpy(ids, peers, n * sizeof(*ids));
	err = allow_check(ctx, ids, n);
	if (!err)
		err = allow(ctx, ptr, ids, n, flags);
	free(ids);
	return err;
}

/* ---- Importer ---- */

static int handle_check(const struct ipcshare_ctx *ctx, const struct ipcshare__wire_handle *h)
{
	if (h->magic == IPCSHARE__MAGIC_HANDLE && h->layout != IPCSHARE__LAYOUT)
		return ipcshare__fail(IPCSHARE_ERR_VERSION, "map",
				      "link both processes to one version",
				      "the handle has layout %u, this library %u", h->layout,
				      IPCSHARE__LAYOUT);
	if (h->magic != IPCSHARE__MAGIC_HANDLE || h->check != handle_sum(h) ||
	    h->region >= IPCSHARE__REGION_MAX || !h->generation || !h->length ||
	    h->length > PTRDIFF_MAX ||
	    (h->access != IPCSHARE__READ_ONLY && h->access != IPCSHARE__READ_WRITE))
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "map", "send all its bytes unchanged",
				      "the handle is malformed or was altered");
	if (h->backend != ctx->backend->ops->id)
		return ipcshare__fail(IPCSHARE_ERR_MISMATCH, "map",
				      "open both contexts with the same backend",
				      "the handle is of backend %u, this context of %u (%s)",
				      h->backend, ctx->backend->ops->id, ctx->backend->ops->name);
	return 0;
}

static bool packed_is_sound(const struct ipcshare__wire_packed *p, uint64_t *offset)
{
	uint64_t length = (uint64_t)p->length_hi << 32 | p->length_lo;

	*offset = (uint64_t)p->offset_hi << 32 | p->offset_lo;
	return p->check == packed_sum(p) && length && *offset <= p->handle.length &&
	       length <= p->handle.length - *offset;
}

static int packed_check(const struct ipcshare_ctx *ctx, const struct ipcshare__wire_packed *p,
			uint64_t *offset)
{
	int err = handle_check(ctx, &p->handle);

	if (err || packed_is_sound(p, offset))
		return err;
	return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "map", "send all its bytes unchanged",
			      "the packed buffer is malformed or was altered");
}

static struct ipcshare__want want_of(const struct ipcshare__wire_handle *h)
{
	return (struct ipcshare__want){
		.region = h->region,
		.generation = h->generation,
		.access = h->access,
		.length = h->length,
	};
}

/* Map the region of a handle; the mapping holds the peer from then on. */
static int map_new(struct ipcshare_ctx *ctx, const struct ipcshare__wire_handle *h,
		   struct ipcshare__mapping **out)
{
	struct ipcshare__want want = want_of(h);
	char key[IPCSHARE__KEY_SIZE];
	struct ipcshare__peer *peer;
	int err;

	ipcshare__hex(h->key, sizeof(h->key), key);
	want.key = key;
	err = ipcshare__peer_hold(ctx, h->endpoint, NULL, "map", &peer);
	if (err)
		return err;
	err = ipcshare__mappings_hold(ctx, peer, &want, 1);
	ipcshare__peer_drop(ctx, peer);
	if (err)
		return err;
	err = ipcshare__maps_add(ctx, want.mapping);
	if (err)
		ipcshare__mapping_drop(ctx, want.mapping);
	else
		*out = want.mapping;
	return err;
}

static int map(struct ipcshare_ctx *ctx, const struct ipcshare__wire_handle *h,
	       struct ipcshare__mapping **out)
{
	struct ipcshare__want want = want_of(h);
	struct ipcshare__mapping *known;
	int err = ipcshare__maps_again(ctx, h->endpoint, &want, &known);

	if (err || !known)
		return err ? err : map_new(ctx, h, out);
	*out = known;
	return 0;
}

int ipcshare_map(struct ipcshare_ctx *ctx, const struct ipcshare_packed *packed, void **out)
{
	struct ipcshare__wire_packed p;
	struct ipcshare__mapping *m;
	uint64_t offset = 0;
	int err = ipcshare__ctx_check(ctx, "map");

	if (err)
		return err;
	if (!packed || !out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "map", "", "packed or out is NULL");
	memcpy(&p, packed, sizeof(p));
	err = packed_check(ctx, &p, &offset);
	if (!err)
		err = map(ctx, &p.handle, &m);
	if (err)
		return err;
	*out = (char *)m->at.base + offset;
	return 0;
}

int ipcshare_map_handle(struct ipcshare_ctx *ctx, const struct ipcshare_handle *handle, void **base,
			size_t *len)
{
	struct ipcshare__wire_handle h;
	struct ipcshare__mapping *m;
	int err = ipcshare__ctx_check(ctx, "map");

	if (err)
		return err;
	if (!handle || !base)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "map", "", "handle or base is NULL");
	memcpy(&h, handle, sizeof(h));
	err = handle_check(ctx, &h);
	if (!err)
		err = map(ctx, &h, &m);
	if (err)
		return err;
	*base = m->at.base;
	if (len)
		*len = m->length;
	return 0;
}

static int lookup_fail(const struct ipcshare_ctx *ctx, const struct ipcshare__wire_packed *p)
{
	uint64_t offset;
	int err = packed_check(ctx, p, &offset);

	return err ? err
		   : ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "lookup", "ipcshare_map() it",
				    "region %u of its owner is not mapped by ipcshare_map()",
				    p->handle.region);
}

int ipcshare_lookup(struct ipcshare_ctx *ctx, const struct ipcshare_packed *packed, void **out)
{
	struct ipcshare__wire_packed p;
	struct ipcshare__want want;
	uint64_t offset;
	void *base;
	int err = ipcshare__ctx_check(ctx, "lookup");

	if (err)
		return err;
	if (!packed || !out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "lookup", "", "packed or out is NULL");
	memcpy(&p, packed, sizeof(p));
	want = want_of(&p.handle);
	/* Its handle is sound if it is that of a map. */
	if (!packed_is_sound(&p, &offset) ||
	    !ipcshare__maps_find(ctx, p.handle.endpoint, &want, &base))
		return lookup_fail(ctx, &p);
	*out = (char *)base + offset;
	return 0;
}

int ipcshare_unmap(struct ipcshare_ctx *ctx, void *ptr)
{
	struct ipcshare__mapping *last;
	int err;

	if (!ptr)
		return 0;
	err = ipcshare__ctx_check(ctx, "unmap");
	if (err)
		return err;
	if (!ipcshare__maps_remove(ctx, ptr, &last))
		return ipcshare__fail(IPCSHARE_ERR_NOT_SHAREABLE, "unmap",
				      "it was unmapped before, or never mapped",
				      "%p is not from ipcshare_map()", ptr);
	if (last)
		ipcshare__mapping_drop(ctx, last);
	return 0;
}
