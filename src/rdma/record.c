/* SPDX-License-Identifier: BSD-3-Clause */
/* A registered region as bytes, for a process on another node. */
#include <ipcshare_rdma.h>
#include <limits.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/wire.h"
#include "rdma/domain.h"

static uint32_t sum(const struct ipcshare__wire_rdma *w)
{
	return ipcshare__checksum32(w, offsetof(struct ipcshare__wire_rdma, check));
}

int ipcshare_rdma_pack(const struct ipcshare_rdma_region *region, struct ipcshare_rdma_record *out)
{
	struct ipcshare__wire_rdma w = { .magic = IPCSHARE__MAGIC_RDMA,
					 .layout = IPCSHARE__LAYOUT };
	int err = ipcshare__rdma_region_check(region, "pack");

	if (err)
		return err;
	if (!out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "pack", "", "out is NULL");
	w.rkey = region->rkey;
	w.base = (uintptr_t)region->base;
	w.length = region->length;
	w.access = (uint32_t)region->access;
	w.check = sum(&w);
	memcpy(out, &w, sizeof(*out));
	return 0;
}

int ipcshare_rdma_unpack(const struct ipcshare_rdma_record *record,
			 struct ipcshare_rdma_remote *out)
{
	struct ipcshare__wire_rdma w;

	if (!record || !out)
		return ipcshare__fail(IPCSHARE_ERR_INVALID, "unpack", "", "record or out is NULL");
	memcpy(&w, record, sizeof(w));
	if (w.magic == IPCSHARE__MAGIC_RDMA && w.layout != IPCSHARE__LAYOUT)
		return ipcshare__fail(IPCSHARE_ERR_VERSION, "unpack",
				      "link both nodes' programs to one version",
				      "the record has layout %u, this library %u", w.layout,
				      IPCSHARE__LAYOUT);
	if (w.magic != IPCSHARE__MAGIC_RDMA || w.check != sum(&w) || !w.length ||
	    w.access > INT_MAX || w.base > UINT64_MAX - w.length)
		return ipcshare__fail(IPCSHARE_ERR_PROTOCOL, "unpack",
				      "send all its bytes unchanged",
				      "the record is malformed or was altered");
	*out = (struct ipcshare_rdma_remote){ w.base, w.length, w.rkey, (int)w.access };
	return 0;
}
